//! A notification to somebody outside, as it stands.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The newest notification. A pod tells it; what became of it is condition Notified.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Notification {
    /// Names what happened; the receiver gets it as Idempotency-Key or Message-ID.
    pub id: String,
    /// What it is about, in one line.
    pub subject: String,
    /// What is told.
    pub text: String,
    /// How often it was tried, a try under way included.
    pub tries: i64,
    /// The pod of the try under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,
    /// The next try is not before this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Time>,
    /// When it was accepted: by the receiver, or as an Event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Time>,
}
