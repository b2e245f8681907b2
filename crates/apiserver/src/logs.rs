//! Pod logs come from whoever runs the pods; this server only asks.

use std::io;
use std::sync::PoisonError;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use http::Response;
use jiff::Timestamp;
use serde_json::Value;

use crate::object::{Object, dig};
use crate::request::Query;
use crate::respond::{self, Body};
use crate::status::{About, ApiError, ApiResult, FieldError};
use crate::verbs::Call;

/// A request for the log of one container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogRequest {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// UID of the pod object; `None` when it is gone. Logs outlive pods.
    pub uid: Option<String>,
    /// The container; `None` when the request names none and the pod does not tell.
    pub container: Option<String>,
    /// Whether to go on until the container ends.
    pub follow: bool,
    /// Only this many lines from the end.
    pub tail_lines: Option<u64>,
    /// Only what is newer than this many seconds.
    pub since_seconds: Option<u64>,
    /// Only what is newer than this.
    pub since_time: Option<Timestamp>,
    /// At most this many bytes.
    pub limit_bytes: Option<u64>,
    /// The log of the container's run before this one.
    pub previous: bool,
    /// Whether each line starts with its time.
    pub timestamps: bool,
}

/// Why there is no log.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// There is no such pod or container.
    #[error("{0}")]
    NotFound(String),
    /// The request makes no sense for this pod, for example no container was named and there are two.
    #[error("{0}")]
    BadRequest(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// The bytes of a log as they come.
pub type LogStream = BoxStream<'static, Result<Bytes, io::Error>>;

/// Serves logs of containers, also of pods that are gone.
pub trait PodLogs: Send + Sync {
    /// Opens a log.
    fn logs(&self, request: LogRequest) -> BoxFuture<'static, Result<LogStream, LogError>>;
}

/// What no log can be asked for.
fn check_options(name: &str, query: &Query) -> ApiResult<()> {
    let mut errors = Vec::new();
    for (field, least, detail) in [
        ("tailLines", 0, "must be greater than or equal to 0"),
        ("limitBytes", 1, "must be greater than 0"),
        ("sinceSeconds", 1, "must be greater than 0"),
    ] {
        if let Some(value) = query.number::<i64>(field)?.filter(|v| *v < least) {
            errors.push(FieldError::invalid(field, &Value::from(value), detail));
        }
    }
    if query.get("sinceSeconds").is_some() && query.get("sinceTime").is_some() {
        let detail = "at most one of `sinceTime` or `sinceSeconds` may be specified";
        errors.push(FieldError::forbidden("[]", detail));
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(About::new("", "PodLogOptions", name), errors))
}

impl Call<'_> {
    /// `GET pods/{name}/log`. A pod that is gone may still have a log, so the source is asked anyway.
    pub(crate) async fn log(&self, name: &str) -> ApiResult<Response<Body>> {
        let source = self
            .server
            .inner
            .logs
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let source = source.ok_or_else(|| {
            ApiError::unavailable("no logs: no node serves them to this API server yet; start the node and try again")
        })?;
        let subject = self.subject(name);
        let pod = self.server.inner.state().get(&subject.key()).cloned();
        check_options(name, &self.context.query)?;
        let request = self.log_request(name, pod.as_deref())?;
        let opened = source.logs(request).await.map_err(|e| match e {
            LogError::NotFound(_) if pod.is_none() => subject.missing(),
            LogError::NotFound(why) => ApiError::not_served(why),
            LogError::BadRequest(why) => ApiError::bad_request(why),
            LogError::Other(why) => ApiError::internal(why),
        })?;
        Ok(respond::stream(opened, "text/plain"))
    }

    fn log_request(&self, name: &str, pod: Option<&Object>) -> ApiResult<LogRequest> {
        let query = &self.context.query;
        let mut request = LogRequest {
            namespace: self.path.namespace.clone(),
            pod: name.to_owned(),
            uid: pod.map(|p| p.uid().to_owned()),
            container: query.get("container").filter(|c| !c.is_empty()).map(str::to_owned),
            follow: query.flag("follow"),
            tail_lines: query.number("tailLines")?,
            since_seconds: query.number("sinceSeconds")?,
            since_time: query.number("sinceTime")?,
            limit_bytes: query.number("limitBytes")?,
            previous: query.flag("previous"),
            timestamps: query.flag("timestamps"),
        };
        if let Some(pod) = pod {
            let names = |list: &str| -> Vec<&str> {
                let found = dig(&pod.value, &["spec", list]).and_then(Value::as_array);
                found
                    .into_iter()
                    .flatten()
                    .filter_map(|c| c.get("name").and_then(Value::as_str))
                    .collect()
            };
            let (main, init) = (names("containers"), names("initContainers"));
            match (&request.container, main.as_slice()) {
                (None, [only]) => request.container = Some((*only).to_owned()),
                (None, many) => {
                    return Err(ApiError::bad_request(format!(
                        "a container name must be specified for pod {name}, choose one of: [{}]",
                        [init.as_slice(), many].concat().join(" ")
                    )));
                }
                (Some(wanted), _) if !main.contains(&wanted.as_str()) && !init.contains(&wanted.as_str()) => {
                    return Err(ApiError::bad_request(format!(
                        "container {wanted} is not valid for pod {name}"
                    )));
                }
                (Some(_), _) => {}
            }
        }
        Ok(request)
    }
}
