//! One bead store: looks at its repository in intervals, by a pod of seconds, and tells what is there.
//!
//! ```text
//! due ─status: reader─▶ its pod is made ─report─▶ status: count, commit, no reader ─▶ the pod goes ─▶ at rest until due
//! ```
//!
//! The reader is written down before it is made, so that one that goes without a word is a failure, not a new beginning.
//! Nothing begins while a pod of the store is still there.

mod reader;
mod source;
mod status;

use crate::blueprint::Blueprint;
use crate::census::Census;
use crate::draft::Draft;
use crate::key::{Key, Kind};
use crate::names;
use crate::plan::Action;
use crate::polecat::outcome::DELETION_SLACK;
use crate::reason::Reason;
use crate::refinery::evidence::clean;
use crate::row::{BeadStoreRow, PodRow};
use gastown_api::BeadStoreStatus;
use jiff::{SignedDuration, Timestamp};
use reader::Look;
use source::Source;
use status::Word;

/// A reader that is written down and not there after this is lost.
const GRACE: SignedDuration = SignedDuration::from_secs(10);
/// The first wait after a failure. Doubles with each.
const BACKOFF: SignedDuration = SignedDuration::from_secs(30);
/// The longest wait after a failure, where the interval is not longer.
const LONGEST: SignedDuration = SignedDuration::from_mins(15);

/// Decides one bead store.
pub(crate) fn decide(census: &Census<'_>, row: &BeadStoreRow, out: &mut Draft<'_>) {
    if row.meta.deleting.is_some() {
        // Owner collection ends its reader.
        return;
    }
    let (interval, remark) = source::interval(census.world, row);
    let (source, word) = match Source::of(census.world, row) {
        Ok(source) => {
            let word = step(census, row, &source, interval, out);
            (Some(source), word)
        }
        Err(why) => (None, status::closed(row, &why, census.now)),
    };
    for pod in reader::all(census.world, row).filter(|p| !is_reader(row, p)) {
        delete(pod, out);
    }
    let basis = source.map(|s| s.basis);
    let word = status::finish(row, word, basis, remark.as_deref(), census.now);
    out.publish_bead_store(row, word.status, word.because, word.notices);
}

/// What the status says next.
fn step(
    census: &Census<'_>,
    row: &BeadStoreRow,
    source: &Source<'_>,
    interval: SignedDuration,
    out: &mut Draft<'_>,
) -> Word {
    let same = row.status.basis.as_ref() == Some(&source.basis);
    match &row.status.reader {
        Some(name) if same => attend(census, row, source, name, out),
        // What it reads is not what is asked for any more.
        Some(_) => status::abandoned(row),
        None => {
            let due = if same { due(&row.status, interval) } else { census.now };
            begin(census, row, source, due, out)
        }
    }
}

/// When the next look is due.
fn due(status: &BeadStoreStatus, interval: SignedDuration) -> Timestamp {
    let last = status.last_attempt_time.as_ref().map_or(Timestamp::MIN, |t| t.0);
    let wait = match status.failures.filter(|n| *n > 0) {
        None => interval,
        Some(n) => {
            let doubled = BACKOFF.saturating_mul(1 << (n - 1).clamp(0, 9));
            doubled.min(LONGEST.max(interval))
        }
    };
    last.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

/// Sends a reader, if it is time and the one before is gone.
fn begin(census: &Census<'_>, row: &BeadStoreRow, source: &Source<'_>, due: Timestamp, out: &mut Draft<'_>) -> Word {
    let now = census.now;
    // One whose node never confirms its end is not waited for: the next has another name.
    let leaves = |pod: &PodRow| pod.meta.deleting.map(|at| at + DELETION_SLACK);
    let there = reader::all(census.world, row).filter(|p| leaves(p).is_none_or(|at| at > now));
    let gone = there.map(|pod| leaves(pod).unwrap_or(Timestamp::MAX)).max();
    let at = gone.map_or(due, |gone| gone.max(due));
    if at > now {
        if at < Timestamp::MAX {
            out.wake_at(&row.spec.rig_ref, at);
        }
        return status::unchanged(row);
    }
    let failures = row
        .status
        .failures
        .filter(|_| row.status.basis.as_ref() == Some(&source.basis));
    let name = names::reader(&row.meta.key.name, &row.meta.uid.0, failures.unwrap_or_default());
    status::begun(row, source, name, now)
}

/// Makes the reader, waits for it, hears it.
fn attend(census: &Census<'_>, row: &BeadStoreRow, source: &Source<'_>, name: &str, out: &mut Draft<'_>) -> Word {
    let (world, now) = (census.world, census.now);
    let key = Key::new(Kind::Pod, &row.meta.key.namespace, name);
    if let Some(pod) = reader::all(world, row).find(|p| p.meta.key == key) {
        return match reader::look(pod, now) {
            Look::Running { until, trouble } => {
                out.wake_at(&row.spec.rig_ref, until);
                status::waiting(row, trouble.as_ref(), now)
            }
            Look::Told(report) => status::told(row, source, &report, now),
            Look::Failed(why) => status::failed(row, &why, now),
        };
    }
    if world.in_flight(&key).is_some() {
        return status::unchanged(row);
    }
    let sent = row.status.last_attempt_time.as_ref().map_or(Timestamp::MIN, |t| t.0);
    // Names come again: an older refusal is of an older pod.
    let refusal = world.refusal(&key).filter(|r| r.until > sent);
    if let Some(why) = refusal.and_then(|r| r.why.as_ref()) {
        let message = format!("the pod that reads the issues was refused: {}", clean(why));
        return status::failed(row, &Reason::new("PodRefused", message), now);
    }
    let until = sent.saturating_add(GRACE).unwrap_or(Timestamp::MAX);
    if now >= until {
        return status::failed(row, &reader::lost("it is gone"), now);
    }
    out.wake_at(&row.spec.rig_ref, until);
    let because = Reason::new("SyncDue", format!("reads the issues of {}", source.target.branch));
    let blueprint = Blueprint::BeadsPod(reader::pod(world, row, source, key));
    out.push(Action::Create {
        blueprint: Box::new(blueprint),
        because,
    });
    status::unchanged(row)
}

fn is_reader(row: &BeadStoreRow, pod: &PodRow) -> bool {
    row.status.reader.as_ref() == Some(&pod.meta.key.name)
}

fn delete(pod: &PodRow, out: &mut Draft<'_>) {
    let because = Reason::new("SyncOver", "what it says is known, or not asked for any more");
    // The next reader waits for it.
    out.delete(pod, false, because);
}
