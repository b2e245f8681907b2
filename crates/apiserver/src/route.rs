//! From a request to the code that answers it.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Value, json};

use crate::request::{Context, Path, ResourcePath};
use crate::respond::{self, Body};
use crate::server::ApiServer;
use crate::status::{ApiError, ApiResult};

/// The largest body taken, as upstream.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

impl ApiServer {
    /// Answers one request. Never fails: refusals are answers.
    pub(crate) async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let path = Path::parse(parts.uri.path());
        let answered = async {
            let body = read(body).await?;
            match path {
                Path::Plain(words) => self.plain(&words, &parts.method, &parts.headers),
                Path::Resource(path) => {
                    let context = Context::new(parts)?;
                    self.resource(path, &context, body).await
                }
            }
        };
        answered.await.unwrap_or_else(|e: ApiError| respond::error(&e))
    }

    fn plain(&self, words: &[String], method: &Method, headers: &http::HeaderMap) -> ApiResult<Response<Body>> {
        if method != Method::GET {
            return Err(ApiError::method_not_allowed());
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if let Some(document) = self.discover(&words, headers) {
            return Ok(document);
        }
        match words.as_slice() {
            ["version"] => Ok(respond::json(StatusCode::OK, &version())),
            ["healthz" | "livez" | "readyz"] | ["healthz" | "livez" | "readyz", "ping"] => {
                Ok(respond::text(StatusCode::OK, "ok"))
            }
            ["api", ..] | ["apis", ..] => Err(not_served(&words.join("/"))),
            _ => Err(ApiError::not_served("the server could not find the requested resource")),
        }
    }

    async fn resource(&self, path: ResourcePath, context: &Context, body: Bytes) -> ApiResult<Response<Body>> {
        if path.group == REVIEWS && path.version == "v1" && path.plural == "selfsubjectaccessreviews" {
            return review(context, &body);
        }
        let resource = self
            .inner
            .state()
            .catalog
            .find(&path.group, &path.version, &path.plural)
            .cloned();
        let Some(resource) = resource else {
            // Logs outlive pods, but everything else needs a kind.
            let version = crate::catalog::resource_id(&path.group, &path.plural);
            return Err(not_served(&format!("{version} (version {})", path.version)));
        };
        if resource.namespaced && path.name.is_some() && path.namespace.is_empty() {
            return Err(ApiError::bad_request(format!(
                "{} live in namespaces; the path names none",
                path.plural
            )));
        }
        if !resource.namespaced && !path.namespace.is_empty() {
            return Err(ApiError::not_served("the server could not find the requested resource"));
        }
        let call = crate::verbs::Call {
            server: self,
            resource,
            path: &path,
            context,
        };
        call.dispatch(&body).await
    }
}

const REVIEWS: &str = "authorization.k8s.io";

/// `kubectl auth can-i`: one machine has one user, who may do everything that is served.
fn review(context: &Context, body: &[u8]) -> ApiResult<Response<Body>> {
    if context.method != Method::POST {
        return Err(ApiError::method_not_allowed());
    }
    // kubectl asks in protobuf; the answer is the same whatever was asked.
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let answer = json!({
        "kind": "SelfSubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": {},
        "spec": asked.get("spec").cloned().unwrap_or_else(|| json!({})),
        "status": {"allowed": true, "reason": "whoever holds this machine's token may do everything"},
    });
    Ok(respond::json(StatusCode::CREATED, &answer))
}

/// 404 that says why: this is no cluster, and says which kind it has not got.
fn not_served(what: &str) -> ApiError {
    ApiError::not_served(format!(
        "the server could not find the requested resource: {what} is not served; this is the API of one machine, \
         it serves namespaces, pods, secrets, configmaps, events, nodes, leases, networkpolicies, \
         customresourcedefinitions and what those define"
    ))
}

async fn read<B>(body: B) -> ApiResult<Bytes>
where
    B: hyper::body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(e) if e.is::<LengthLimitError>() => Err(ApiError::too_large(format!("limit is {BODY_LIMIT} bytes"))),
        Err(e) => Err(ApiError::bad_request(format!("the body could not be read: {e}"))),
    }
}

fn version() -> Value {
    json!({
        "major": "1",
        "minor": "35",
        "gitVersion": concat!("v1.35.0+gastown-", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}
