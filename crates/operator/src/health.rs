//! Probes and metrics over HTTP. Healthy means the loop turns; ready means every kind is listed.

use crate::metrics::Metrics;
use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use gastown_rules::Kind;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The loop naps at most 20 s; three naps without a turn is a hang.
const STALLED: Duration = Duration::from_secs(60);

/// What probes ask.
pub struct Health {
    inner: Mutex<Inner>,
}

struct Inner {
    turned: Instant,
    /// Kinds that are not listed yet; none while nobody has said which.
    waiting: Option<BTreeSet<Kind>>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            inner: Mutex::new(Inner {
                turned: Instant::now(),
                waiting: None,
            }),
        }
    }
}

impl Health {
    fn with<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        f(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn expect(&self, kind: Kind) {
        self.with(|i| i.waiting.get_or_insert_default().insert(kind));
    }

    pub(crate) fn synced(&self, kind: Kind) {
        self.with(|i| i.waiting.as_mut().map(|w| w.remove(&kind)));
    }

    pub(crate) fn turned(&self) {
        self.with(|i| i.turned = Instant::now());
    }

    /// Why it is not healthy.
    ///
    /// # Errors
    /// A sentence for the probe's body.
    pub fn live(&self) -> Result<(), String> {
        turning(self.with(|i| i.turned.elapsed()))
    }

    /// Why it is not ready.
    ///
    /// # Errors
    /// A sentence for the probe's body.
    pub fn ready(&self) -> Result<(), String> {
        self.live()?;
        match self.with(|i| i.waiting.clone()) {
            None => Err("starting".into()),
            Some(waiting) if !waiting.is_empty() => Err(format!("not listed yet: {waiting:?}")),
            Some(_) => Ok(()),
        }
    }
}

fn turning(last: Duration) -> Result<(), String> {
    match last {
        age if age > STALLED => Err(format!("the loop has not turned for {} s", age.as_secs())),
        _ => Ok(()),
    }
}

#[derive(Clone)]
struct Served {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

/// `/metrics`, `/healthz`, `/readyz`.
pub fn router(metrics: Arc<Metrics>, health: Arc<Health>) -> Router {
    let probe = |answer: Result<(), String>| match answer {
        Ok(()) => (StatusCode::OK, "ok".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    };
    Router::new()
        .route(
            "/healthz",
            get(move |State(s): State<Served>| async move { probe(s.health.live()) }),
        )
        .route(
            "/readyz",
            get(move |State(s): State<Served>| async move { probe(s.health.ready()) }),
        )
        .route(
            "/metrics",
            get(|State(s): State<Served>| async move {
                let kind = [(
                    "content-type",
                    "application/openmetrics-text; version=1.0.0; charset=utf-8",
                )];
                (kind, s.metrics.text()).into_response()
            }),
        )
        .with_state(Served { metrics, health })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alive_is_who_turns_and_ready_is_who_has_listed_everything() {
        let health = Health::default();
        assert!(health.ready().is_err(), "nobody has begun");
        health.expect(Kind::Pod);
        assert!(health.live().is_ok() && health.ready().unwrap_err().contains("Pod"));
        health.synced(Kind::Pod);
        assert!(health.ready().is_ok());
        health.with(|i| i.turned = Instant::now().checked_sub(STALLED + Duration::from_secs(1)).unwrap());
        assert!(health.live().unwrap_err().contains("has not turned") && health.ready().is_err());
        health.turned();
        assert!(health.ready().is_ok());
    }
}
