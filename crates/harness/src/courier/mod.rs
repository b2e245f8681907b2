//! `courier`: carries the agent's commits to the remote while it works, judges the end, and reports.

mod carrier;
mod door;
mod end;
mod nudges;
mod patience;
mod raw;
pub mod verdict;

use std::time::Duration;

use gastown_wire::{ContentTrouble, CourierOutcome, CourierReport, Tokens, VERSION, exit};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout, timeout_at},
};

pub use nudges::{ANNOTATION, WITNESS};
pub use patience::Patience;

use crate::{
    last_words,
    ledger::LedgerError,
    link::{Ended, FromCourier, FromRun, Line},
    ready,
    record::Record,
    setup::Pod,
};
use carrier::{Carried, Carrier, Opened, Settled};
pub(crate) use door::Door;
use end::{End, fenced};
use nudges::Nudges;
use patience::{at_work, clock};
use raw::Raw;

/// Longest pause between two tries to reach the remote.
const MOST_BACKOFF: Duration = Duration::from_secs(15);
/// Exit code when something of ours is broken; the kubelet starts the container again.
const BROKEN: i32 = 1;

/// Runs to the end of the agent. Returns the exit code.
pub async fn run(pod: Pod, patience: Patience) -> i32 {
    let Ok(term) = signal(SignalKind::terminate()) else {
        return BROKEN;
    };
    let door = match Door::open(pod.link_file()).await {
        Ok(door) => door,
        Err(error) => {
            tracing::error!("no line to the agent's container can be opened: {error}");
            return BROKEN;
        }
    };
    // Who was here before may have let the agent work.
    let again = ready::is_ready(&pod).is_ok();
    ready::touch(&pod);
    let mut courier = Courier {
        again,
        nudges: Nudges::of(&pod),
        raw: Raw::of(&pod),
        spent: (None, None),
        pod,
        patience,
        door,
        term,
        stopping: false,
        line: None,
        record: Record::default(),
        content: None,
    };
    let end = courier.work().await;
    courier.report(end).await
}

struct Courier {
    pod: Pod,
    patience: Patience,
    door: Door,
    term: Signal,
    /// The pod is being deleted.
    stopping: bool,
    /// This container started again: there may be work that is nowhere else.
    again: bool,
    /// `run`, while it is there.
    line: Option<Line<FromRun>>,
    /// What the record said last.
    record: Record,
    /// What was wrong with the record repository then.
    content: Option<ContentTrouble>,
    nudges: Nudges,
    raw: Raw,
    /// Tokens and cost, as the agent told them.
    spent: (Option<Tokens>, Option<u64>),
}

/// How the time with the agent ended.
enum Over {
    Ended(Box<Carrier>, Ended),
    Fenced,
    /// A push hangs for longer than there is time.
    Cut,
}

impl Courier {
    async fn work(&mut self) -> End {
        let carrier = match self.open().await {
            Ok(Opened::Held(carrier)) => carrier,
            Ok(Opened::Fenced) => return fenced(),
            Ok(Opened::Done(record)) => {
                let mut end = End::of(CourierOutcome::Done, "said before; this container started again");
                end.commit.clone_from(&record.commit);
                self.record = *record;
                return end;
            }
            Err(end) => return end,
        };
        self.note(&carrier);
        tracing::info!(
            "attempt {} holds the record; waiting for the agent",
            self.record.attempt
        );
        match self.serve(carrier).await {
            Over::Ended(carrier, ended) => self.settle(carrier, ended).await,
            Over::Fenced => fenced(),
            Over::Cut => {
                let outcome = match self.stopping {
                    true => CourierOutcome::Stopped,
                    false => CourierOutcome::PushFailed,
                };
                End {
                    outcome,
                    commit: self.record.commit.clone(),
                    detail: "the remote did not answer in time".into(),
                }
            }
        }
    }

    fn note(&mut self, carrier: &Carrier) {
        self.record = carrier.record().clone();
        self.content = carrier.content_trouble().cloned();
    }

    /// Reads the record, however long the remote is away.
    async fn open(&mut self) -> Result<Opened, End> {
        let least = Instant::now() + self.patience.open;
        let most = match self.again {
            true => least.max(self.deadline()),
            false => least,
        };
        let mut backoff = self.interval();
        loop {
            let error = tokio::select! {
                opened = timeout_at(most, at_work(&self.pod, Carrier::open(&self.pod))) => match opened {
                    Ok(Ok(opened)) => return Ok(opened),
                    Ok(Err(error)) => error,
                    Err(_) => return Err(End::of(CourierOutcome::PushFailed, "the remote did not answer")),
                },
                _ = self.term.recv() => {
                    self.stopping = true;
                    return Err(End::of(CourierOutcome::Stopped, "told to stop before the agent started"));
                }
            };
            let deadline = if error.is_transient() { most } else { least };
            if Instant::now() >= deadline || matches!(error, LedgerError::Record(_) | LedgerError::NoRecord(_)) {
                return Err(End::of(CourierOutcome::PushFailed, error.to_string()));
            }
            tracing::warn!(
                "the record cannot be read: {error}; tried again until {}",
                clock(deadline)
            );
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(MOST_BACKOFF);
        }
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(self.pod.orders.pace.push_interval_ms.max(50))
    }

    fn again(&self) -> Duration {
        self.patience
            .again
            .unwrap_or(Duration::from_secs(self.pod.orders.pace.stuck_after_s.max(60)))
    }

    /// Carries while the agent works.
    async fn serve(&mut self, carrier: Box<Carrier>) -> Over {
        let interval = self.interval();
        let mut backoff = interval;
        let mut due = Instant::now() + interval;
        let mut urgent = false;
        // When to stop waiting: for run to appear, or for its last word.
        let mut give_up = Some(Instant::now() + self.patience.first);
        let mut idle = Some(carrier);
        let mut busy: Option<Carrying> = None;
        let ended = loop {
            tokio::select! {
                line = self.door.caller() => {
                    self.welcome(line).await;
                    give_up = give_up.filter(|_| self.stopping);
                }
                word = hear(&mut self.line) => match word {
                    Some(FromRun::Ended(ended)) => {
                        self.spent = (ended.tokens, ended.cost_micros);
                        break ended;
                    }
                    Some(FromRun::Activity) => ready::touch(&self.pod),
                    Some(FromRun::Progress) => {
                        ready::touch(&self.pod);
                        urgent = true;
                        if backoff == interval {
                            due = Instant::now();
                        }
                    }
                    Some(FromRun::Hello { .. }) => {}
                    None => {
                        tracing::warn!("the agent's container went away; waiting for it to come back");
                        self.line = None;
                        urgent = true;
                        let until = Instant::now() + self.again();
                        give_up = Some(give_up.filter(|_| self.stopping).map_or(until, |g| g.min(until)));
                        self.door.invite().await;
                    }
                },
                () = sleep_until(due), if idle.is_some() => {
                    self.pass_nudge().await;
                    self.raw.pump();
                    busy = idle.take().map(|carrier| carry(carrier, urgent));
                    urgent = false;
                }
                Some(carried) = carried(&mut busy) => {
                    busy = None;
                    let Some((carrier, result)) = carried else { return Over::Cut };
                    self.note(&carrier);
                    idle = Some(carrier);
                    match result {
                        Ok(Carried::Level) => backoff = interval,
                        Ok(Carried::Fenced) => return Over::Fenced,
                        Err(error) => {
                            tracing::warn!("the work cannot be pushed now: {error}");
                            urgent = true;
                            backoff = (backoff * 2).min(MOST_BACKOFF.max(interval));
                        }
                    }
                    due = if urgent && backoff == interval { Instant::now() } else { Instant::now() + backoff };
                }
                () = at(give_up) => {
                    tracing::error!("nothing is heard of the agent's container");
                    break Ended { stopped: self.stopping, ..Ended::default() };
                }
                _ = self.term.recv(), if !self.stopping => {
                    self.stopping = true;
                    let grace = Duration::from_secs(self.pod.orders.pace.agent_grace_s + 30);
                    // Nobody there: nothing more will come.
                    give_up = Some(Instant::now() + if self.line.is_some() { grace } else { Duration::ZERO });
                    tracing::info!("told to stop: waiting for the agent's last word");
                }
            }
        };
        self.regain(idle, busy, ended).await
    }

    /// Gets the carrier back from a push that may hang.
    async fn regain(&mut self, idle: Option<Box<Carrier>>, busy: Option<Carrying>, ended: Ended) -> Over {
        if let Some(carrier) = idle {
            return Over::Ended(carrier, ended);
        }
        let Some(mut busy) = busy else {
            return Over::Cut;
        };
        let mut deadline = self.deadline();
        let regained = self.in_time(&mut deadline, &mut busy).await;
        match regained {
            Some(Ok((_, Ok(Carried::Fenced)))) => Over::Fenced,
            Some(Ok((carrier, _))) => Over::Ended(carrier, ended),
            Some(Err(_)) => Over::Cut,
            None => {
                busy.abort();
                Over::Cut
            }
        }
    }

    /// When the last push must have ended.
    fn deadline(&self) -> Instant {
        Instant::now()
            + match self.stopping {
                true => self.patience.stop,
                false => self.patience.last_push(&self.pod),
            }
    }

    /// Waits for something until a deadline, which is nearer as soon as the pod is told to go.
    async fn in_time<T>(&mut self, deadline: &mut Instant, what: impl Future<Output = T>) -> Option<T> {
        let what = at_work(&self.pod, what);
        tokio::pin!(what);
        loop {
            tokio::select! {
                done = &mut what => return Some(done),
                () = sleep_until(*deadline) => return None,
                _ = self.term.recv(), if !self.stopping => {
                    self.stopping = true;
                    *deadline = (*deadline).min(self.deadline());
                }
            }
        }
    }

    /// The agent may start, unless the pod is going.
    async fn welcome(&mut self, mut line: Line<FromRun>) {
        ready::touch(&self.pod);
        if self.stopping || line.say(&FromCourier::Go).await.is_ok() {
            tracing::info!("the agent's container is there");
            self.line = Some(line);
        }
    }

    async fn pass_nudge(&mut self) {
        let Some(line) = &mut self.line else { return };
        while let Some(text) = self.nudges.fresh() {
            tracing::info!("passing on a nudge");
            // A line that is gone is noticed where it is read.
            let _ = line.say(&FromCourier::Nudge { text }).await;
        }
    }

    /// The judgement and the last push, for as long as it takes and is allowed.
    async fn settle(&mut self, mut carrier: Box<Carrier>, ended: Ended) -> End {
        let outcome = match carrier.judge(&ended).await {
            Ok(outcome) => outcome,
            Err(error) => {
                return self.concluded(&carrier, CourierOutcome::PushFailed, error.to_string());
            }
        };
        let mut deadline = self.deadline();
        let mut backoff = self.interval();
        let mut trouble = String::from("the remote did not answer");
        // When a remote is believed that says what it will hardly take back.
        let mut resign_at = None;
        loop {
            let passes = match self.in_time(&mut deadline, carrier.settle(&outcome)).await {
                Some(Ok(Settled::As(outcome))) => {
                    return self.concluded(&carrier, outcome, ended.detail);
                }
                Some(Ok(Settled::Fenced)) => return fenced(),
                Some(Ok(Settled::Unproven)) => {
                    "the branch is not where it was pushed to".clone_into(&mut trouble);
                    false
                }
                Some(Err(LedgerError::Refused { name, why })) => {
                    let why = format!("{name}: {why}");
                    return self.concluded(&carrier, CourierOutcome::PushRejected { why }, String::new());
                }
                Some(Err(error)) => {
                    trouble = error.to_string();
                    error.is_transient()
                }
                None => break,
            };
            // What would be lost with the pod, or done twice, is worth its whole time; the word of a failure is not.
            let until = if passes && (outcome == CourierOutcome::Done || carrier.has_unpushed()) {
                resign_at = None;
                deadline
            } else {
                deadline.min(*resign_at.get_or_insert_with(|| Instant::now() + self.patience.push))
            };
            let now = Instant::now();
            if now >= until {
                break;
            }
            tracing::warn!(
                "the last work cannot be pushed now: {trouble}; tried again until {}",
                clock(until)
            );
            let pause = sleep_until(until.min(now + backoff));
            if self.in_time(&mut deadline, pause).await.is_none() {
                break;
            }
            backoff = (backoff * 2).min(MOST_BACKOFF);
        }
        // A failure that leaves nothing behind on this machine is told as what it is.
        let outcome = match outcome {
            CourierOutcome::Done => CourierOutcome::PushFailed,
            _ if carrier.is_behind() => CourierOutcome::PushFailed,
            outcome => outcome,
        };
        self.concluded(&carrier, outcome, trouble)
    }

    fn concluded(&mut self, carrier: &Carrier, outcome: CourierOutcome, detail: String) -> End {
        self.note(carrier);
        End {
            outcome,
            commit: carrier.pushed().map(ToString::to_string).unwrap_or_default(),
            detail,
        }
    }

    /// Leaves the report, then tells `run` that it may go. In this order: the word is a promise.
    async fn report(&mut self, end: End) -> i32 {
        self.raw.pump();
        let o = &self.pod.orders;
        let fenced = end.outcome == CourierOutcome::Fenced;
        let report = CourierReport {
            version: VERSION,
            round: o.round,
            attempt: o.attempt,
            branch: o.work_branch.clone(),
            base: self.record.base.clone(),
            commits: if end.commit.is_empty() { 0 } else { self.record.commits },
            commit: end.commit,
            tokens: self.spent.0,
            cost_micros: self.spent.1,
            outcome: end.outcome,
            detail: end.detail,
            content: self.content.take(),
        };
        tracing::info!(
            "{}: {} commits at {} {}",
            verdict::word(&report.outcome),
            report.commits,
            report.commit,
            report.detail
        );
        last_words::leave_or_log(&self.pod.termination, &report);
        let word = if fenced {
            FromCourier::Stop
        } else {
            FromCourier::Delivered
        };
        self.farewell(&word).await;
        if fenced { exit::FENCED } else { 0 }
    }

    async fn farewell(&mut self, word: &FromCourier) {
        if let Some(line) = &mut self.line
            && line.say(word).await.is_ok()
        {
            return;
        }
        // It may be on its way here: a container that started again, or one that starts only now.
        self.door.invite().await;
        let term = self.term.recv();
        tokio::select! {
            caller = timeout(self.patience.farewell, self.door.caller()) => if let Ok(mut line) = caller {
                // It went away again: its container sees to that.
                let _ = line.say(word).await;
            },
            // Nobody comes any more in a pod that is going.
            () = async { if !self.stopping { term.await; } } => {}
        }
    }
}

/// A push under way. It owns the carrier, so that nothing else can push meanwhile.
type Carrying = JoinHandle<(Box<Carrier>, Result<Carried, LedgerError>)>;

fn carry(mut carrier: Box<Carrier>, urgent: bool) -> Carrying {
    tokio::spawn(async move {
        let result = carrier.carry(urgent).await;
        (carrier, result)
    })
}

/// The end of a push; `Some(None)` if it came to no end in order.
async fn carried(busy: &mut Option<Carrying>) -> Option<Option<(Box<Carrier>, Result<Carried, LedgerError>)>> {
    match busy {
        Some(task) => Some(task.await.ok()),
        None => std::future::pending().await,
    }
}

async fn hear(line: &mut Option<Line<FromRun>>) -> Option<FromRun> {
    match line {
        Some(line) => line.next().await,
        None => std::future::pending().await,
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
