//! `git http-backend` as the CGI program it is.

use std::path::Path;
use std::process::Stdio;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header, request::Parts};
use http_body_util::Full;
use tokio::io::AsyncWriteExt as _;

/// Answers one request. `user`: who may push.
#[expect(clippy::disallowed_types, reason = "git's own server is a program")]
pub(super) async fn answer(root: &Path, parts: &Parts, body: Bytes, user: Option<&str>) -> Response<Full<Bytes>> {
    let text = |name| {
        let value = parts.headers.get(name).and_then(|v| v.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let mut command = tokio::process::Command::new("git");
    command
        .arg("http-backend")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", text(header::CONTENT_TYPE))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", text(header::CONTENT_ENCODING))
        .env("GIT_PROTOCOL", text(header::HeaderName::from_static("git-protocol")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    if let Some(user) = user {
        // The backend takes pushes of whoever has a name.
        command.env("REMOTE_USER", user);
    }
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeding = async move {
        // It may answer without reading everything.
        let _ = stdin.write_all(&body).await;
        drop(stdin);
    };
    let ((), out) = tokio::join!(feeding, child.wait_with_output());
    respond(&out.unwrap().stdout)
}

/// Header lines, an empty line, the body.
fn respond(out: &[u8]) -> Response<Full<Bytes>> {
    let split = out.windows(4).position(|w| w == b"\r\n\r\n");
    let (head, body) = split.map_or((out, &[][..]), |at| (&out[..at], &out[at + 4..]));
    let mut status = StatusCode::OK;
    let mut headers = HeaderMap::new();
    for line in String::from_utf8_lossy(head).lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        match name {
            "Status" => {
                let code = value.split_whitespace().next().unwrap_or_default();
                status = code.parse().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            }
            _ => {
                let name: header::HeaderName = name.parse().unwrap();
                headers.insert(name, value.trim().parse().unwrap());
            }
        }
    }
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
