//! One API call: a deadline, the smallest answer anybody needs, and what a refusal means.
//!
//! Not kube's typed calls: they decode whole objects where a uid and a revision are wanted, and drop `Retry-After`.

use gastown_rules::{Key, Kind, Rev, Uid};
use http::{HeaderMap, Request, Response, header::RETRY_AFTER};
use http_body_util::BodyExt;
use kube::api::ApiResource;
use kube::client::Body;
use kube::{Client, Resource};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Longest a call may take before its answer counts as lost. Watches have their own.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// Longest `Retry-After` that is believed: an hour's silence is nobody's intention.
const LONGEST_AFTER: Duration = Duration::from_secs(120);

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// The server's own word: it did not do it, or (5xx) cannot say.
    #[error("{code} {reason}: {message}")]
    Refused {
        code: u16,
        reason: String,
        message: String,
        /// `Retry-After`, where the server sent one.
        after: Option<Duration>,
    },
    /// No answer, or half of one: perhaps done.
    #[error("no answer: {0}")]
    Silent(String),
    /// An answer that is not what was asked for.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
    /// The request could not be spelled.
    #[error("the request cannot be written: {0}")]
    Unspeakable(String),
}

impl Failed {
    /// The server's status code, where it answered.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// How long the server asked to be left alone.
    pub(crate) fn after(&self) -> Option<Duration> {
        match self {
            Self::Refused { after, .. } => *after,
            _ => None,
        }
    }

    /// Whether asking again may help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Refused { code, .. } => *code == 429 || *code >= 500,
            Self::Silent(_) => true,
            Self::Unreadable(_) | Self::Unspeakable(_) => false,
        }
    }
}

impl From<kube::core::request::Error> for Failed {
    fn from(error: kube::core::request::Error) -> Self {
        Self::Unspeakable(error.to_string())
    }
}

/// What is read of the object a write answers with.
#[derive(Deserialize)]
pub(crate) struct Written {
    metadata: WrittenMeta,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WrittenMeta {
    uid: String,
    resource_version: String,
    owner_references: Vec<WrittenOwner>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WrittenOwner {
    uid: String,
    controller: bool,
}

impl Written {
    pub(crate) fn uid(&self) -> Uid {
        Uid(self.metadata.uid.clone())
    }

    pub(crate) fn rev(&self) -> Rev {
        Rev(self.metadata.resource_version.parse().unwrap_or_default())
    }

    /// UID of the controlling owner.
    pub(crate) fn owner(&self) -> Option<Uid> {
        let mut owners = self.metadata.owner_references.iter();
        owners.find(|o| o.controller).map(|o| Uid(o.uid.clone()))
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Said {
    reason: String,
    message: String,
    details: Option<SaidDetails>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct SaidDetails {
    retry_after_seconds: u64,
}

/// Sends and waits for the head of a good answer; a bad one is read to its end. No deadline of its own.
pub(crate) async fn open(client: &Client, request: Request<Vec<u8>>) -> Result<Response<Body>, Failed> {
    let answer = client
        .send(request.map(Body::from))
        .await
        .map_err(|e| Failed::Silent(e.to_string()))?;
    let code = answer.status();
    if code.is_success() {
        return Ok(answer);
    }
    let header = retry_after(answer.headers());
    // A refusal whose words are lost is still a refusal.
    let words = answer
        .into_body()
        .collect()
        .await
        .map(|b| b.to_bytes())
        .unwrap_or_default();
    let said: Said = serde_json::from_slice(&words).unwrap_or_else(|_| Said {
        message: String::from_utf8_lossy(&words).chars().take(1024).collect(),
        ..Said::default()
    });
    let body = said.details.map(|d| d.retry_after_seconds).filter(|s| *s > 0);
    Err(Failed::Refused {
        code: code.as_u16(),
        reason: said.reason,
        message: said.message,
        after: header.or(body.map(Duration::from_secs)).map(|d| d.min(LONGEST_AFTER)),
    })
}

/// Sends and reads the whole answer within [`DEADLINE`].
pub(crate) async fn ask(client: &Client, request: Request<Vec<u8>>) -> Result<bytes::Bytes, Failed> {
    let whole = async {
        let body = open(client, request).await?.into_body();
        let read = body.collect().await.map_err(|e| Failed::Silent(e.to_string()))?;
        Ok(read.to_bytes())
    };
    match tokio::time::timeout(DEADLINE, whole).await {
        Ok(answer) => answer,
        Err(_) => Err(Failed::Silent(format!("none within {} s", DEADLINE.as_secs()))),
    }
}

/// [`ask`], read as JSON.
pub(crate) async fn read<T: DeserializeOwned>(client: &Client, request: Request<Vec<u8>>) -> Result<T, Failed> {
    let text = ask(client, request).await?;
    serde_json::from_slice(&text).map_err(|e| Failed::Unreadable(e.to_string()))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Kind's resource.
pub(crate) fn resource_of(kind: Kind) -> ApiResource {
    match kind {
        Kind::Rig => ApiResource::erase::<gastown_api::Rig>(&()),
        Kind::Polecat => ApiResource::erase::<gastown_api::Polecat>(&()),
        Kind::Convoy => ApiResource::erase::<gastown_api::Convoy>(&()),
        Kind::Witness => ApiResource::erase::<gastown_api::Witness>(&()),
        Kind::Refinery => ApiResource::erase::<gastown_api::Refinery>(&()),
        Kind::BeadStore => ApiResource::erase::<gastown_api::BeadStore>(&()),
        Kind::Pod => ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&()),
        Kind::ConfigMap => ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&()),
    }
}

/// Requests about a kind: of one namespace, or of all (and of cluster-scoped kinds).
pub(crate) fn about(kind: Kind, namespace: Option<&str>) -> kube::core::Request {
    kube::core::Request::new(kube::api::DynamicObject::url_path(&resource_of(kind), namespace))
}

/// Requests about an object's namespace and kind.
pub(crate) fn about_key(key: &Key) -> kube::core::Request {
    about(key.kind, Some(key.namespace.as_str()).filter(|n| !n.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(status: u16, header: Option<&'static str>, body: &'static str) -> Failed {
        let server = tower::service_fn(move |_| async move {
            let mut answer = Response::builder().status(status);
            if let Some(after) = header {
                answer = answer.header("Retry-After", after);
            }
            answer.body(Body::from(body.as_bytes().to_vec()))
        });
        let client = Client::new(server, "default");
        let request = about(Kind::Pod, None).list(&kube::api::ListParams::default()).unwrap();
        ask(&client, request).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_refusal_says_its_code_its_words_and_when_to_come_back() {
        // Priority and Fairness answers in plain text, with a header.
        let full = refused(429, Some("7"), "Too many requests, please try again later.\n").await;
        assert_eq!((full.code(), full.after()), (Some(429), Some(Duration::from_secs(7))));
        assert!(full.is_transient() && full.to_string().contains("Too many requests"));
        let body = r#"{"kind":"Status","reason":"TooManyRequests","message":"m","details":{"retryAfterSeconds":3}}"#;
        let full = refused(429, None, body).await;
        assert_eq!(full.after(), Some(Duration::from_secs(3)));
        let endless = refused(503, Some("86400"), "").await;
        assert_eq!(endless.after(), Some(LONGEST_AFTER));
        let denied = refused(403, None, r#"{"reason":"Forbidden","message":"pods is forbidden"}"#).await;
        assert!(!denied.is_transient() && denied.to_string().contains("pods is forbidden"));
    }
}
