//! Taking a request apart: path, query, wanted format, body.

use http::request::Parts;
use http::{HeaderMap, Method, header};
use serde_json::Value;

use crate::status::{ApiError, ApiResult};

/// A query string, decoded.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Query {
        let pairs = text.split('&').filter(|p| !p.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        });
        Query(pairs.collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1" | "True" | "TRUE" | "t" | "T"))
    }

    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> ApiResult<Option<T>> {
        match self.get(name).filter(|v| !v.is_empty()) {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| {
                ApiError::bad_request(format!(
                    "strconv.ParseInt: parsing {text:?}: invalid syntax (of the parameter {name})"
                ))
            }),
        }
    }
}

/// Percent-decoding; `+` is a space in queries.
pub(crate) fn decode(text: &str, plus: bool) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let rest = bytes.hex_ahead();
                match rest {
                    Some(decoded) => {
                        out.push(decoded);
                        bytes.next();
                        bytes.next();
                    }
                    None => out.push(b'%'),
                }
            }
            b'+' if plus => out.push(b' '),
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

trait HexPrefix {
    fn hex_ahead(&self) -> Option<u8>;
}

impl HexPrefix for std::str::Bytes<'_> {
    /// The byte that the next two hexadecimal digits stand for.
    fn hex_ahead(&self) -> Option<u8> {
        let mut ahead = self.clone();
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        let (high, low) = (digit(ahead.next())?, digit(ahead.next())?);
        u8::try_from(high * 16 + low).ok()
    }
}

/// The form an answer is wanted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum View {
    #[default]
    Full,
    Table,
    Partial,
}

/// The first form in `Accept` that we serve.
pub(crate) fn view(headers: &HeaderMap) -> ApiResult<View> {
    let Some(accept) = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()) else {
        return Ok(View::Full);
    };
    for choice in accept.split(',') {
        let mut words = choice.split(';').map(str::trim);
        let kind = words.next().unwrap_or_default();
        if !matches!(
            kind,
            "application/json" | "*/*" | "application/*" | "application/json;stream=watch"
        ) {
            continue;
        }
        let mut view = View::Full;
        let mut known = true;
        for word in words {
            match word.split_once('=') {
                Some(("as", "Table")) => view = View::Table,
                Some(("as", "PartialObjectMetadata" | "PartialObjectMetadataList")) => view = View::Partial,
                Some(("as", _)) => known = false,
                Some(("g", "meta.k8s.io")) | Some(("v", "v1")) => {}
                Some(("g" | "v", _)) => known = false,
                _ => {}
            }
        }
        if known {
            return Ok(view);
        }
    }
    Err(ApiError::not_acceptable(
        "only the following media types are accepted: application/json (this one-machine API speaks no protobuf)",
    ))
}

/// Whether `Accept` asks for a discovery document of all groups at once.
pub(crate) fn wants_aggregated_discovery(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|accept| {
            accept.split(',').any(|choice| {
                let has = |word: &str| choice.split(';').any(|w| w.trim() == word);
                has("v=v2") && has("as=APIGroupDiscoveryList")
            })
        })
}

/// The media type of the body, without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> &str {
    let text = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim()
}

/// Decodes a body: JSON, or YAML where the client says so.
pub(crate) fn decode_body(headers: &HeaderMap, body: &[u8]) -> ApiResult<Value> {
    match media_type(headers) {
        "" | "application/json" | "*/*" => serde_json::from_slice(body)
            .map_err(|e| ApiError::bad_request(format!("the object provided is not valid JSON: {e}"))),
        "application/vnd.kubernetes.protobuf" => crate::protobuf::decode(body),
        "application/yaml" | "text/yaml" | "application/x-yaml" => {
            let text =
                std::str::from_utf8(body).map_err(|_| ApiError::bad_request("the object provided is not UTF-8"))?;
            serde_saphyr::from_str(text)
                .map_err(|e| ApiError::bad_request(format!("the object provided is not valid YAML: {e}")))
        }
        other => Err(ApiError::unsupported_media(format!(
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml (got {other})"
        ))),
    }
}

/// What a path asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Path {
    /// Something that is no object, as its words: `api`, `apis/<group>`, `version`, `openapi/v3/...`.
    Plain(Vec<String>),
    Resource(ResourcePath),
}

/// A collection, an object or a subresource.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ResourcePath {
    pub(crate) group: String,
    pub(crate) version: String,
    /// Empty for cluster-scoped kinds and for lists over all namespaces.
    pub(crate) namespace: String,
    pub(crate) plural: String,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

impl Path {
    pub(crate) fn parse(path: &str) -> Path {
        let words: Vec<String> = path
            .split('/')
            .filter(|w| !w.is_empty())
            .map(|w| decode(w, false))
            .collect();
        let borrowed: Vec<&str> = words.iter().map(String::as_str).collect();
        let found = match borrowed.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => resource_path("", version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => resource_path(group, version, rest),
            _ => None,
        };
        found.map_or(Path::Plain(words), Path::Resource)
    }
}

fn resource_path(group: &str, version: &str, rest: &[&str]) -> Option<ResourcePath> {
    let base = ResourcePath {
        group: group.to_owned(),
        version: version.to_owned(),
        ..ResourcePath::default()
    };
    let own = |text: &&str| Some((*text).to_owned());
    let made = |namespace: &str, rest: &[&str]| {
        let (plural, name, subresource) = match rest {
            [plural] => (plural, None, None),
            [plural, name] => (plural, own(name), None),
            [plural, name, sub @ ..] => (plural, own(name), Some(sub.join("/"))),
            [] => return None,
        };
        Some(ResourcePath {
            namespace: namespace.to_owned(),
            plural: (*plural).to_owned(),
            name,
            subresource,
            ..base.clone()
        })
    };
    match rest {
        // The namespace's own subresources look like a resource inside it.
        ["namespaces", _, "status" | "finalize"] => made("", rest),
        ["namespaces", namespace, inner @ ..] if !inner.is_empty() => made(namespace, inner),
        rest => made("", rest),
    }
}

/// Everything about a request but its body.
pub(crate) struct Context {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Query,
    pub(crate) view: View,
}

impl Context {
    pub(crate) fn new(parts: Parts) -> ApiResult<Context> {
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let view = view(&parts.headers)?;
        if view == View::Table {
            crate::table::check_include(&query)?;
        }
        Ok(Context {
            view,
            method: parts.method,
            headers: parts.headers,
            query,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_what_they_ask_for() {
        let resource = |path: &str| match Path::parse(path) {
            Path::Resource(r) => {
                format!(
                    "{}|{}|{}|{}|{:?}|{:?}",
                    r.group, r.version, r.namespace, r.plural, r.name, r.subresource
                )
            }
            Path::Plain(words) => words.join(" "),
        };
        for (path, expected) in [
            ("/api/v1/pods", "|v1||pods|None|None"),
            ("/api/v1/namespaces/a", "|v1||namespaces|Some(\"a\")|None"),
            (
                "/api/v1/namespaces/a/status",
                "|v1||namespaces|Some(\"a\")|Some(\"status\")",
            ),
            (
                "/api/v1/namespaces/a/pods/b/log",
                "|v1|a|pods|Some(\"b\")|Some(\"log\")",
            ),
            ("/apis/g.io/v1/rigs/x%2Dy", "g.io|v1||rigs|Some(\"x-y\")|None"),
            ("/apis/g.io/v1", "apis g.io v1"),
            ("/openapi/v3/apis/g.io/v1", "openapi v3 apis g.io v1"),
        ] {
            assert_eq!(resource(path), expected, "{path}");
        }
    }

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse("labelSelector=a%3Db%2Cc&x=1+2&watch=true&bad=%zz");
        assert_eq!(query.text("labelSelector"), "a=b,c");
        assert_eq!(query.text("x"), "1 2");
        assert!(query.flag("watch"));
        assert_eq!(query.text("bad"), "%zz");
        assert!(query.number::<u64>("x").is_err());
    }
}
