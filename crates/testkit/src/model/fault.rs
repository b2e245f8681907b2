//! What goes wrong with a model's endpoint.

use super::speak::Said;
use axum::{
    Json,
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use futures::{StreamExt as _, stream};
use serde_json::json;
use std::io;

/// A way to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error with these headers (`retry-after`, `anthropic-ratelimit-unified-reset`, …).
    Status(u16, Vec<(&'static str, String)>),
    /// An error in these words.
    Says(u16, String),
    /// No answer, and the connection stays.
    Hang,
    /// The connection ends without an answer.
    Drop,
    /// The stream ends in the middle without its end; the connection stays.
    Stall,
}

impl Fault {
    /// An error without headers.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self::Status(code, Vec::new())
    }

    /// Too many requests; come again after some seconds.
    #[must_use]
    pub fn later(seconds: u64) -> Self {
        Self::Status(429, vec![("retry-after", seconds.to_string())])
    }

    /// A subscription's limit is reached until then (seconds since 1970), as Anthropic says it to logins.
    #[must_use]
    pub fn limit(resets: i64) -> Self {
        Self::Status(
            429,
            vec![
                ("anthropic-ratelimit-unified-status", "rejected".into()),
                ("anthropic-ratelimit-unified-reset", resets.to_string()),
                ("anthropic-ratelimit-unified-representative-claim", "five_hour".into()),
                ("retry-after", "3600".into()),
            ],
        )
    }

    pub(super) async fn answer(self, said: Option<Said>) -> Response {
        match self {
            Self::Status(code, headers) => error(code, headers, &format!("scripted {code}"), said.as_ref()),
            Self::Says(code, words) => error(code, Vec::new(), &words, said.as_ref()),
            Self::Hang => std::future::pending().await,
            Self::Drop => {
                // A body that fails ends the connection.
                let broken = stream::once(async { Err::<String, _>(io::Error::other("dropped")) });
                ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(broken)).into_response()
            }
            Self::Stall => {
                let events = said.map(|s| s.events()).unwrap_or_default();
                let half = events.len() / 2;
                let first = stream::iter(events.into_iter().take(half).map(Ok::<_, io::Error>));
                let body = Body::from_stream(first.chain(stream::pending()));
                ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
            }
        }
    }
}

fn error(code: u16, headers: Vec<(&'static str, String)>, words: &str, said: Option<&Said>) -> Response {
    let kind = match code {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    let error = json!({"type": kind, "message": words, "code": kind});
    let body = match said.is_some_and(Said::is_anthropic) {
        true => json!({"type": "error", "error": error}),
        false => json!({"error": error}),
    };
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            map.insert(HeaderName::from_static(name), value);
        }
    }
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (code, map, Json(body)).into_response()
}
