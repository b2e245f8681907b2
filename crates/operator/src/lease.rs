//! Leader election: a Lease with a resourceVersion precondition, judged by when we saw it change, not by its clock.

use crate::town::Clock;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The predecessor's lease: an operator of either generation excludes the other.
pub(crate) const LEASE_NAME: &str = "9a7b81dd.gastown.io";

/// Who stands for election, and where.
#[derive(Clone, Debug)]
pub struct LeaseSettings {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Unique name of this process, usually the pod's.
    pub identity: String,
    /// How long a silent holder keeps it.
    pub duration: Duration,
    /// How often it is renewed.
    pub renew: Duration,
}

impl LeaseSettings {
    /// The usual 15 s, renewed every 5 s.
    #[must_use]
    pub fn new(namespace: String, identity: String) -> Self {
        Self {
            namespace,
            identity,
            duration: Duration::from_secs(15),
            renew: Duration::from_secs(5),
        }
    }
}

/// What to do about the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Write ourselves into it: it is ours, free, or its holder has been silent too long.
    Take,
    /// Another holds it.
    Wait,
}

/// What we know of the Lease: its holder and when we saw it change.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sighting {
    holder: Option<String>,
    rev: String,
    since: Timestamp,
}

fn decide(sighting: &Sighting, me: &str, duration: SignedDuration, now: Timestamp) -> Step {
    match sighting.holder.as_deref() {
        None | Some("") => Step::Take,
        Some(holder) if holder == me => Step::Take,
        Some(_) if now.duration_since(sighting.since) > duration => Step::Take,
        Some(_) => Step::Wait,
    }
}

/// Stands for election until `drained`, then gives the lease up: whoever takes it finds no write of ours under way.
pub(crate) async fn hold(
    client: Client,
    settings: LeaseSettings,
    clock: Clock,
    leader: watch::Sender<bool>,
    drained: CancellationToken,
) {
    let api: Api<Lease> = Api::namespaced(client, &settings.namespace);
    let mut candidate = Candidate {
        api,
        settings,
        clock,
        sighting: None,
        held: None,
        renewed: None,
    };
    loop {
        let nap = tokio::select! {
            nap = candidate.step() => nap,
            () = drained.cancelled() => break,
        };
        let leads = candidate.leads();
        leader.send_if_modified(|was| {
            let changed = *was != leads;
            if changed {
                tracing::info!(leads, "leadership changed");
            }
            *was = leads;
            changed
        });
        tokio::select! {
            () = drained.cancelled() => break,
            () = tokio::time::sleep(nap) => {}
        }
    }
    leader.send_replace(false);
    candidate.vacate().await;
}

struct Candidate {
    api: Api<Lease>,
    settings: LeaseSettings,
    clock: Clock,
    sighting: Option<Sighting>,
    /// The Lease as we last wrote it: renewed without reading it first.
    held: Option<Lease>,
    renewed: Option<Renewed>,
}

/// When a renewal was asked for, by both clocks: one stops while a machine sleeps, the other may be set.
#[derive(Clone, Copy)]
struct Renewed {
    wall: Timestamp,
    steady: Instant,
}

impl Candidate {
    fn duration(&self) -> SignedDuration {
        SignedDuration::try_from(self.settings.duration).unwrap_or(SignedDuration::from_secs(15))
    }

    /// What is left of our leadership: two thirds of the lease since the last renewal, so that we stop well before
    /// others may think that we are gone.
    fn left(&self) -> Duration {
        let Some(renewed) = self.renewed else {
            return Duration::ZERO;
        };
        let term = self.settings.duration * 2 / 3;
        let wall = Duration::try_from((self.clock)().duration_since(renewed.wall)).unwrap_or_default();
        term.saturating_sub(wall.max(renewed.steady.elapsed()))
    }

    fn leads(&self) -> bool {
        !self.left().is_zero()
    }

    /// One look and at most one write, within what is left of our leadership; how long to wait for the next.
    async fn step(&mut self) -> Duration {
        let (renew, left) = (self.settings.renew, self.left());
        let patience = if left.is_zero() { renew } else { left.min(renew) };
        match tokio::time::timeout(patience, self.try_step()).await {
            Ok(Ok(())) if self.leads() => renew,
            Ok(Ok(())) => self.until_free(),
            Ok(Err(e)) => {
                self.held = None;
                tracing::warn!(error = %e, "the lease could not be renewed");
                self.retry()
            }
            Err(_) => {
                self.held = None;
                tracing::warn!("the lease could not be renewed: no answer");
                self.retry()
            }
        }
    }

    fn retry(&self) -> Duration {
        let soon = self.settings.renew / 5;
        match self.left() {
            Duration::ZERO => soon,
            left => left.min(soon),
        }
    }

    /// Until the lease of another may run out; looked at often enough to see it given up.
    fn until_free(&self) -> Duration {
        let often = self.settings.renew * 2 / 5;
        let Some(sighting) = &self.sighting else {
            return often;
        };
        let free = sighting.since + self.duration() + SignedDuration::from_millis(10);
        match Duration::try_from(free.duration_since((self.clock)())) {
            Ok(left) if !left.is_zero() => left.min(often),
            _ => often,
        }
    }

    async fn try_step(&mut self) -> Result<(), kube::Error> {
        let now = Renewed {
            wall: (self.clock)(),
            steady: Instant::now(),
        };
        if let Some(held) = self.held.take() {
            return self.write(Some(held), now).await;
        }
        let Some(lease) = self.api.get_opt(LEASE_NAME).await? else {
            return self.write(None, now).await;
        };
        let rev = lease.metadata.resource_version.clone().unwrap_or_default();
        let holder = lease.spec.as_ref().and_then(|s| s.holder_identity.clone());
        let since = match &self.sighting {
            Some(seen) if seen.rev == rev => seen.since,
            _ => now.wall,
        };
        let sighting = Sighting { holder, rev, since };
        let step = decide(&sighting, &self.settings.identity, self.duration(), now.wall);
        self.sighting = Some(sighting);
        match step {
            Step::Take => self.write(Some(lease), now).await,
            Step::Wait => {
                self.renewed = None;
                Ok(())
            }
        }
    }

    async fn write(&mut self, old: Option<Lease>, now: Renewed) -> Result<(), kube::Error> {
        let spec = self.spec(old.as_ref(), now.wall);
        let written = match old {
            None => {
                let metadata = ObjectMeta {
                    name: Some(LEASE_NAME.into()),
                    ..ObjectMeta::default()
                };
                let lease = Lease {
                    metadata,
                    spec: Some(spec),
                };
                self.api.create(&PostParams::default(), &lease).await
            }
            Some(old) => {
                // The old object's resourceVersion makes this a compare-and-swap: of two candidates one wins.
                let lease = Lease {
                    metadata: old.metadata,
                    spec: Some(spec),
                };
                self.api.replace(LEASE_NAME, &PostParams::default(), &lease).await
            }
        };
        match written {
            Ok(lease) => {
                self.held = Some(lease);
                self.renewed = Some(now);
                Ok(())
            }
            // Another wrote it in between; the next look says who.
            Err(kube::Error::Api(s)) if s.code == 409 => {
                self.renewed = None;
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    fn spec(&self, old: Option<&Lease>, now: Timestamp) -> LeaseSpec {
        let me = self.settings.identity.clone();
        let old = old.and_then(|l| l.spec.clone()).unwrap_or_default();
        let ours = old.holder_identity.as_deref() == Some(&me);
        LeaseSpec {
            holder_identity: Some(me),
            lease_duration_seconds: i32::try_from(self.settings.duration.as_secs()).ok(),
            renew_time: Some(MicroTime(now)),
            acquire_time: if ours { old.acquire_time } else { Some(MicroTime(now)) },
            lease_transitions: Some(old.lease_transitions.unwrap_or(0) + i32::from(!ours)),
            ..LeaseSpec::default()
        }
    }

    /// Leaves the lease free, so that the next leader need not wait.
    async fn vacate(&mut self) {
        if self.renewed.is_none() {
            return;
        }
        let free = async {
            let Some(mut lease) = self.api.get_opt(LEASE_NAME).await? else {
                return Ok(());
            };
            let Some(spec) = lease.spec.as_mut() else {
                return Ok(());
            };
            if spec.holder_identity.as_deref() == Some(&self.settings.identity) {
                spec.holder_identity = Some(String::new());
                self.api.replace(LEASE_NAME, &PostParams::default(), &lease).await?;
            }
            Ok::<(), kube::Error>(())
        };
        match tokio::time::timeout(Duration::from_secs(3), free).await {
            Ok(Ok(())) => {}
            _ => tracing::warn!("the lease could not be given up; it runs out by itself"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(holder: Option<&str>, seconds_ago: i64) -> (Sighting, Timestamp) {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1000);
        let since = now - SignedDuration::from_secs(seconds_ago);
        (
            Sighting {
                holder: holder.map(str::to_owned),
                rev: "1".into(),
                since,
            },
            now,
        )
    }

    #[test]
    fn a_lease_is_taken_when_free_ours_or_silent_and_left_alone_otherwise() {
        let fifteen = SignedDuration::from_secs(15);
        for (holder, ago, step) in [
            (None, 0, Step::Take),
            (Some(""), 0, Step::Take),
            (Some("me"), 0, Step::Take),
            (Some("me"), 100, Step::Take),
            (Some("you"), 0, Step::Wait),
            (Some("you"), 15, Step::Wait),
            (Some("you"), 16, Step::Take),
        ] {
            let (sighting, now) = seen(holder, ago);
            assert_eq!(
                decide(&sighting, "me", fifteen, now),
                step,
                "{holder:?} silent for {ago} s"
            );
        }
    }
}
