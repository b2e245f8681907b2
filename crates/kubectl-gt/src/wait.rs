//! Waiting for polecats, with one deadline.

use crate::output::{note, one_line};
use crate::{Cluster, Failure, exit};
use futures::StreamExt;
use gastown_api::{Polecat, PolecatPhase, conditions};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::time::Duration;
use tokio::time::Instant;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// The pod runs.
    Ready,
    /// The work is on the target branch.
    Landed,
}

/// Waits until each is there or cannot get there; progress goes to a terminal's stderr. The first failure is
/// returned once nobody is waited for any more.
pub(crate) async fn wait(
    cluster: &Cluster,
    names: &[String],
    until: Until,
    deadline: Instant,
    program: &str,
) -> Result<(), Failure> {
    let mut waiting: BTreeSet<String> = names.iter().cloned().collect();
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    let mut failures = Vec::new();
    let result = tokio::time::timeout_at(
        deadline,
        watch(cluster, &mut waiting, until, program, &mut last, &mut failures),
    )
    .await;
    if result.is_err() {
        let which: Vec<&str> = waiting.iter().map(String::as_str).collect();
        let stand: Vec<&str> = waiting.iter().filter_map(|n| last.get(n)).map(String::as_str).collect();
        return Err(Failure::new(
            exit::TIMED_OUT,
            format!(
                "{} is not there in time: {}",
                which.join(", "),
                if stand.is_empty() {
                    "nothing is known of it yet".to_owned()
                } else {
                    stand.join("; ")
                }
            ),
        )
        .hint(format!(
            "it goes on without you: {program} polecat status {}",
            which.first().unwrap_or(&"NAME")
        )));
    }
    match failures.into_iter().reduce(joined) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// Two failures as one.
fn joined(mut first: Failure, second: Failure) -> Failure {
    first.what = format!("{}\nerror: {}", first.what, second.what);
    first
}

async fn watch(
    cluster: &Cluster,
    waiting: &mut BTreeSet<String>,
    until: Until,
    program: &str,
    last: &mut BTreeMap<String, String>,
    failures: &mut Vec<Failure>,
) {
    let api: Api<Polecat> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let mut config = watcher::Config::default();
    if let (1, Some(name)) = (waiting.len(), waiting.first()) {
        config = config.fields(&format!("metadata.name={name}"));
    }
    let mut stream = std::pin::pin!(watcher(api, config).default_backoff());
    let show = std::io::stderr().is_terminal();
    let mut seen = BTreeSet::new();
    while !waiting.is_empty() {
        let Some(event) = stream.next().await else { return };
        let polecat = match event {
            Ok(watcher::Event::Apply(p)) => p,
            Ok(watcher::Event::InitApply(p)) => {
                seen.insert(p.name_any());
                p
            }
            Ok(watcher::Event::Delete(p)) => {
                gone(&p.name_any(), waiting, failures);
                continue;
            }
            Ok(watcher::Event::Init) => {
                seen.clear();
                continue;
            }
            // Whoever is not in a whole list was deleted while nobody watched.
            Ok(watcher::Event::InitDone) => {
                let missing: Vec<String> = waiting.difference(&seen).cloned().collect();
                for name in missing {
                    gone(&name, waiting, failures);
                }
                continue;
            }
            Err(_) => continue,
        };
        let name = polecat.name_any();
        if !waiting.contains(&name) {
            continue;
        }
        let line = describe(&polecat);
        if show && last.get(&name) != Some(&line) {
            note(&line);
        }
        last.insert(name.clone(), line);
        match judge(&polecat, until, program) {
            None => {}
            Some(result) => {
                waiting.remove(&name);
                failures.extend(result.err());
            }
        }
    }
}

fn gone(name: &str, waiting: &mut BTreeSet<String>, failures: &mut Vec<Failure>) {
    if waiting.remove(name) {
        failures.push(Failure::new(exit::FAILED, format!("polecat {name} was deleted")));
    }
}

fn describe(polecat: &Polecat) -> String {
    let status = polecat.status.clone().unwrap_or_default();
    let message = status.message.map(|m| format!(" {}", one_line(&m))).unwrap_or_default();
    format!("{}: {:?}{message}", polecat.name_any(), status.phase)
}

/// Whether the wait is over; failures name the polecat's own reason.
fn judge(polecat: &Polecat, until: Until, program: &str) -> Option<Result<(), Failure>> {
    let status = polecat.status.clone().unwrap_or_default();
    let merged = conditions::is_true(&status.conditions, conditions::MERGED);
    let done = status.phase == PolecatPhase::Done;
    match until {
        _ if merged => return Some(Ok(())),
        Until::Ready if done || status.pod_active == Some(true) => return Some(Ok(())),
        _ => {}
    }
    let name = polecat.name_any();
    match status.phase {
        PolecatPhase::Stuck => {
            let why = status.message.unwrap_or_else(|| "no reason is given".to_owned());
            Some(Err(Failure::new(exit::FAILED, format!("{name} is stuck: {why}"))
                .hint(format!("{program} polecat status {name}"))))
        }
        PolecatPhase::Terminated => Some(Err(Failure::new(exit::FAILED, format!("{name} was terminated")))),
        _ => None,
    }
}

/// Durations as Go writes them: 90s, 2m, 1h30m, or plain seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a duration: write 90s, 5m or 1h30m");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut digits = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let n: u64 = digits.parse().map_err(|_| wrong())?;
        digits.clear();
        let part = match c {
            'h' => Duration::from_secs(n.checked_mul(3600).ok_or_else(wrong)?),
            'm' if chars.peek() == Some(&'s') => {
                chars.next();
                Duration::from_millis(n)
            }
            'm' => Duration::from_secs(n.checked_mul(60).ok_or_else(wrong)?),
            's' => Duration::from_secs(n),
            _ => return Err(wrong()),
        };
        total = total.checked_add(part).ok_or_else(wrong)?;
    }
    if digits.is_empty() && !text.is_empty() {
        Ok(total)
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_read_as_go_writes_them() {
        for (text, seconds) in [("90s", 90), ("2m", 120), ("1h30m", 5400), ("45", 45), ("0s", 0)] {
            assert_eq!(duration(text).map(|d| d.as_secs()), Ok(seconds), "{text}");
        }
        assert_eq!(duration("250ms").map(|d| d.as_millis()), Ok(250));
        for text in [
            "",
            "m",
            "5x",
            "1m5",
            "-3s",
            "99999999999999999999s",
            "18446744073709551615s1s",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
