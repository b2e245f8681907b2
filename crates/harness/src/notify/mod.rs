//! `notify`: tells somebody outside, once. Whether it is tried again is the operator's decision.
//!
//! It is done by curl, as clones are done by git: proxies, certificates and mail servers are what everybody's curl makes
//! of them. Addresses and passwords reach it by its standard input, never by its arguments, and no word of it that could
//! hold one is passed on.

mod curl;
mod mail;

use std::{fs, path::Path};

use gastown_wire::{Channel, NotifyOrders, NotifyOutcome, NotifyReport, Report as _, VERSION, exit};
use serde_json::json;

use crate::{last_words, setup::termination_path};
use curl::{Answer, Config};

/// A key of a Secret is short. Bytes.
const LIMIT: u64 = 16 * 1024;

/// Why nobody was told.
#[derive(Debug, thiserror::Error)]
enum NotifyError {
    /// There is no Secret, or it holds nothing.
    #[error("is not there or holds nothing")]
    SecretMissing,
    /// It lacks a key.
    #[error("lacks the key {0}")]
    KeyMissing(&'static str),
    /// What a key holds is not what it should.
    #[error("{key} {what}")]
    AddressInvalid {
        /// Which key, or the spec's URL.
        key: &'static str,
        /// What is wrong; never the value.
        what: &'static str,
    },
    /// There is no curl.
    #[error("there is no program curl in the harness image (or on this machine): install it")]
    CurlMissing,
    /// It cannot be spoken to as things are.
    #[error("{0}")]
    NotConfigured(&'static str),
    /// The receiver says no.
    #[error("{0}")]
    Refused(String),
    /// No answer, or one that asks to come back.
    #[error("{0}")]
    Unreachable(String),
}

impl NotifyError {
    fn outcome(&self) -> NotifyOutcome {
        let config = |reason: &str| NotifyOutcome::Config { reason: reason.into() };
        match self {
            Self::SecretMissing => config("SecretMissing"),
            Self::KeyMissing(_) => config("KeyMissing"),
            Self::AddressInvalid { .. } => config("AddressInvalid"),
            Self::CurlMissing => config("CurlMissing"),
            Self::NotConfigured(_) => config("NotConfigured"),
            Self::Refused(_) => NotifyOutcome::Refused,
            Self::Unreachable(_) => NotifyOutcome::Unreachable,
        }
    }
}

/// Tells it, leaves the report, and returns the exit code: 0 only where the receiver has accepted it.
pub async fn run(orders: NotifyOrders) -> i32 {
    let report = notify(&orders).await;
    tracing::info!(report = %report.encode(), id = orders.id, "notify");
    last_words::leave_or_log(&termination_path(), &report);
    match report.outcome {
        NotifyOutcome::Sent => 0,
        NotifyOutcome::Unreachable => exit::TRANSIENT,
        NotifyOutcome::Config { .. } | NotifyOutcome::Refused => exit::CONFIG,
    }
}

/// Tells it once. Whatever happens is in the report.
pub async fn notify(orders: &NotifyOrders) -> NotifyReport {
    let told = match orders.channel {
        Channel::Slack => post(orders, "slack-url").await,
        Channel::Webhook => post(orders, "webhook-url").await,
        Channel::Email => mail::send(orders).await,
    };
    let (outcome, detail) = match told {
        Ok(()) => (NotifyOutcome::Sent, String::new()),
        Err(error) => (error.outcome(), error.to_string()),
    };
    NotifyReport {
        version: VERSION,
        outcome,
        detail,
    }
}

/// The mounted Secret: a file a key.
struct Secret<'a>(&'a Path);

impl<'a> Secret<'a> {
    fn of(orders: &'a NotifyOrders) -> Self {
        Self(Path::new(&orders.secret_dir))
    }

    fn may(&self, key: &'static str) -> Option<String> {
        let path = self.0.join(key);
        fs::metadata(&path).ok().filter(|m| m.is_file() && m.len() <= LIMIT)?;
        let text = String::from_utf8_lossy(&fs::read(&path).ok()?).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// A value of one line.
    fn must(&self, key: &'static str) -> Result<String, NotifyError> {
        let text = self.may(key).ok_or_else(|| match self.is_empty() {
            true => NotifyError::SecretMissing,
            false => NotifyError::KeyMissing(key),
        })?;
        match text.chars().any(char::is_control) {
            true => Err(NotifyError::AddressInvalid {
                key,
                what: "holds more than one line",
            }),
            false => Ok(text),
        }
    }

    /// The kubelet's own links begin with two dots.
    fn is_empty(&self) -> bool {
        let mut entries = fs::read_dir(self.0).into_iter().flatten().flatten();
        !entries.any(|e| !e.file_name().to_string_lossy().starts_with(".."))
    }
}

async fn post(orders: &NotifyOrders, key: &'static str) -> Result<(), NotifyError> {
    let (url, key) = match &orders.url {
        Some(url) => (url.clone(), "the URL"),
        None => (Secret::of(orders).must(key)?, key),
    };
    if !url.starts_with("https://") && !url.starts_with("http://") {
        let what = "is no http or https URL";
        return Err(NotifyError::AddressInvalid { key, what });
    }
    let mut config = Config::to(&url);
    config.set("header", "Content-Type: application/json");
    config.set("header", &format!("Idempotency-Key: {}", orders.id));
    config.set("user-agent", concat!("gastown/", env!("CARGO_PKG_VERSION")));
    config.set("proto", "=http,https");
    let body = json!({ "text": harmless(&orders.text) }).to_string();
    let answer = config.run("data-binary", "@", body.as_bytes()).await?;
    judged(answer)
}

/// Slack gives meaning to three characters: words of an agent must not call a whole channel.
fn harmless(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn judged(answer: Answer) -> Result<(), NotifyError> {
    answer.fault()?;
    match answer.code {
        200..=299 => Ok(()),
        // Asked to come back, or broken.
        code @ (408 | 425 | 429 | 500..) => Err(NotifyError::Unreachable(format!("it answers {code}"))),
        code @ 300..=399 => Err(NotifyError::Refused(format!(
            "it answers {code}, which leads elsewhere: name the address it leads to"
        ))),
        code => Err(NotifyError::Refused(format!(
            "it answers {code}: is the address right and still valid?"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_an_agent_call_nobody() {
        assert_eq!(harmless("a <!channel> & <@U1>"), "a &lt;!channel&gt; &amp; &lt;@U1&gt;");
    }

    #[test]
    fn what_an_answer_means() {
        let of = |code| judged(Answer { exit: 0, code }).map_err(|e| e.outcome());
        for code in [200, 204] {
            assert_eq!(of(code), Ok(()));
        }
        for code in [408, 429, 500, 503] {
            assert_eq!(of(code), Err(NotifyOutcome::Unreachable), "{code}");
        }
        for code in [302, 400, 403, 404, 410] {
            assert_eq!(of(code), Err(NotifyOutcome::Refused), "{code}");
        }
    }
}
