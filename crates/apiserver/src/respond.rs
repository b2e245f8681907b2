//! Answers: JSON, statuses, streams.

use std::io;

use bytes::Bytes;
use futures::Stream;
use futures::StreamExt;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use serde_json::Value;

use crate::object::to_bytes;
use crate::status::ApiError;

/// The body of every answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

pub(crate) fn json(code: StatusCode, value: &Value) -> Response<Body> {
    bytes(code, to_bytes(value))
}

pub(crate) fn bytes(code: StatusCode, content: Bytes) -> Response<Body> {
    let body = Full::new(content).map_err(|never| match never {}).boxed_unsync();
    with_type(code, body, "application/json")
}

pub(crate) fn text(code: StatusCode, content: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(content.to_owned()))
        .map_err(|never| match never {})
        .boxed_unsync();
    with_type(code, body, "text/plain; charset=utf-8")
}

pub(crate) fn error(error: &ApiError) -> Response<Body> {
    json(error.code, &error.body())
}

pub(crate) fn stream<S>(content: S, media: &'static str) -> Response<Body>
where
    S: Stream<Item = io::Result<Bytes>> + Send + 'static,
{
    let body = StreamBody::new(content.map(|chunk| chunk.map(Frame::data))).boxed_unsync();
    with_type(StatusCode::OK, body, media)
}

fn with_type(code: StatusCode, body: Body, media: &'static str) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// Adds `Warning` headers, which kubectl prints.
pub(crate) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings {
        let quoted = warning
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace(['\n', '\r'], " ");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}
