//! Notices: what a pod is to say to somebody outside, and what became of it.

use crate::{REPORT_LIMIT, report::Report};
use serde::{Deserialize, Serialize};

/// How somebody outside is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Channel {
    /// An incoming webhook of Slack's.
    Slack,
    /// Any address that takes a POST of `{"text": …}`.
    #[default]
    Webhook,
    /// A mail server.
    Email,
}

impl Channel {
    /// The keys of the Secret it needs, where the spec holds no address.
    #[must_use]
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Slack => &["slack-url"],
            Self::Webhook => &["webhook-url"],
            Self::Email => &["smtp-url", "email-from", "email-to"],
        }
    }
}

/// Orders of a pod that tells somebody something, once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NotifyOrders {
    /// [`crate::VERSION`].
    pub version: u32,
    /// Names what happened: a receiver that knows it already may drop it.
    pub id: String,
    /// How.
    pub channel: Channel,
    /// The address, where the spec holds one; else it is in the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Folder of the mounted Secret.
    pub secret_dir: String,
    /// One line.
    pub subject: String,
    /// All there is to say.
    pub text: String,
}

impl NotifyOrders {
    /// The texts of people and addresses, which a node must not take for paths.
    pub(crate) fn words(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let url = self.url.iter().map(|url| ("url", url));
        [("subject", &self.subject), ("text", &self.text)]
            .into_iter()
            .chain(url)
    }
}

/// What became of a notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum NotifyOutcome {
    /// The receiver has accepted it.
    Sent,
    /// Something is missing or wrong on our side. `reason` is CamelCase.
    Config {
        /// Why.
        reason: String,
    },
    /// The receiver does not want it: asking again changes nothing.
    Refused,
    /// Nobody answered, or asked to come back.
    Unreachable,
}

/// Report of `notify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotifyReport {
    /// [`crate::VERSION`].
    pub version: u32,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: NotifyOutcome,
    /// For people. Never an address: it may be a secret.
    #[serde(default)]
    pub detail: String,
}

impl Report for NotifyReport {
    const LIMIT: usize = REPORT_LIMIT;
    fn version(&self) -> u32 {
        self.version
    }
    fn shorten(&mut self) -> bool {
        crate::report::halve(&mut self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Orders;

    #[test]
    fn orders_hold_no_path_and_no_dollar_that_a_node_would_rewrite() {
        let orders = NotifyOrders {
            version: 1,
            url: Some("https://example.com/tmp/x".into()),
            secret_dir: "/gastown/notify".into(),
            subject: "a /tmp/y".into(),
            text: "see /workspace/repo for $(HOME)".into(),
            ..NotifyOrders::default()
        };
        let text = Orders::Notify(Box::new(orders.clone())).to_env().unwrap();
        assert!(text.contains("\"/gastown/notify\""), "{text}");
        for word in ["/tmp", "/workspace", "$"] {
            assert!(!text.contains(word), "{word} in {text}");
        }
        assert_eq!(
            serde_json::from_str::<Orders>(&text).unwrap(),
            Orders::Notify(Box::new(orders))
        );
    }

    #[test]
    fn a_report_comes_back() {
        let report = NotifyReport {
            version: 1,
            outcome: NotifyOutcome::Config {
                reason: "SecretMissing".into(),
            },
            detail: "x".repeat(5000),
        };
        let read = NotifyReport::decode(&report.encode()).unwrap();
        assert_eq!(read.outcome, report.outcome);
        assert!(read.detail.len() < 1000);
    }
}
