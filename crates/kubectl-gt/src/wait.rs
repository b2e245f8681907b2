//! Waiting for a polecat, with one deadline.

use crate::{Cluster, Failure, exit};
use futures::StreamExt;
use gastown_api::{Polecat, PolecatPhase, conditions};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use std::io::IsTerminal;
use std::time::Duration;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// The pod runs.
    Ready,
    /// The work is on the target branch.
    Landed,
}

/// Waits; progress goes to a terminal's stderr.
pub(crate) async fn wait(
    cluster: &Cluster,
    name: &str,
    until: Until,
    timeout: Duration,
    program: &str,
) -> Result<Polecat, Failure> {
    let api: Api<Polecat> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut stream = std::pin::pin!(watcher(api, config).default_backoff());
    let show = std::io::stderr().is_terminal();
    let mut last = String::new();
    let watching = async {
        while let Some(event) = stream.next().await {
            let polecat = match event {
                Ok(watcher::Event::Apply(p) | watcher::Event::InitApply(p)) => p,
                Ok(watcher::Event::Delete(_)) => {
                    return Err(Failure::new(exit::FAILED, format!("polecat {name} was deleted")));
                }
                Ok(_) | Err(_) => continue,
            };
            let line = describe(&polecat);
            if show && line != last {
                eprintln!("{line}");
            }
            last = line;
            if let Some(result) = judge(&polecat, until, program) {
                return result.map(|()| polecat);
            }
        }
        Err(Failure::new(exit::FAILED, "the watch ended"))
    };
    match tokio::time::timeout(timeout, watching).await {
        Ok(result) => result,
        Err(_) => Err(Failure::new(
            exit::TIMED_OUT,
            format!("{name} is not there after {} s: {last}", timeout.as_secs()),
        )
        .hint(format!("it goes on without you: {program} polecat status {name}"))),
    }
}

fn describe(polecat: &Polecat) -> String {
    let status = polecat.status.clone().unwrap_or_default();
    let message = status.message.unwrap_or_default();
    format!("{}: {:?} {message}", polecat.name_any(), status.phase)
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
                .hint(format!("{program} polecat logs {name}"))))
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
        total += match c {
            'h' => Duration::from_secs(n.checked_mul(3600).ok_or_else(wrong)?),
            'm' if chars.peek() == Some(&'s') => {
                chars.next();
                Duration::from_millis(n)
            }
            'm' => Duration::from_secs(n.checked_mul(60).ok_or_else(wrong)?),
            's' => Duration::from_secs(n),
            _ => return Err(wrong()),
        };
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
        for text in ["", "m", "5x", "1m5", "-3s", "99999999999999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
