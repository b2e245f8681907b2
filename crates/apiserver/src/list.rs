//! Lists: selectors, revisions, chunks.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::base64;
use crate::object::{Object, Place, to_bytes};
use crate::request::View;
use crate::respond::{self, Body};
use crate::selector::Selector;
use crate::status::{ApiError, ApiResult, FieldError};
use crate::table;
use crate::verbs::{Call, render};

const EXPIRED: &str = "The provided continue parameter is too old to display a consistent list result. \
    You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. \
    Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

/// Where a chunked list goes on: its revision, none for whatever is there by then, and the last place it showed.
struct Token {
    rv: Option<u64>,
    after: Place,
}

impl Token {
    fn encode(&self) -> String {
        let text = json!({"rv": self.rv, "ns": self.after.0, "name": self.after.1}).to_string();
        base64::encode(text.as_bytes()).replace('+', "-").replace('/', "_")
    }

    fn decode(text: &str) -> Option<Token> {
        let bytes = base64::decode(&text.replace('-', "+").replace('_', "/"))?;
        let value: Value = serde_json::from_slice(&bytes).ok()?;
        let part = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Token {
            rv: value.get("rv")?.as_u64(),
            after: (part("ns")?, part("name")?),
        })
    }
}

struct Page {
    objects: Vec<Arc<Object>>,
    rv: u64,
    next: Option<Token>,
    remaining: usize,
}

impl Call<'_> {
    pub(crate) async fn collection(&self) -> ApiResult<Response<Body>> {
        self.server.inner.sweep_events(&self.resource).await?;
        if self.context.query.flag("watch") {
            return self.watch();
        }
        self.check_list_options(false)?;
        let page = self.page()?;
        let mut metadata = json!({"resourceVersion": page.rv.to_string()});
        if let (None, View::Full, Some(map)) = (self.resource.built_in, self.context.view, metadata.as_object_mut()) {
            // As upstream writes lists of what it has no type for.
            map.insert("continue".to_owned(), Value::from(""));
        }
        if let (Some(next), Some(map)) = (page.next, metadata.as_object_mut()) {
            map.insert("continue".to_owned(), Value::from(next.encode()));
            if self.selector()?.is_everything() {
                map.insert("remainingItemCount".to_owned(), Value::from(page.remaining));
            }
        }
        Ok(self.list_response(page.objects.iter(), metadata))
    }

    /// Options that contradict each other.
    pub(crate) fn check_list_options(&self, watch: bool) -> ApiResult<()> {
        const MATCH: &str = "resourceVersionMatch";
        let query = &self.context.query;
        let (wanted, how) = (query.text("resourceVersion"), query.text(MATCH));
        let initial = query.get("sendInitialEvents");
        let mut errors = Vec::new();
        let mut forbid = |field: &str, why: &str| errors.push(FieldError::forbidden(field, why));
        match (initial, watch) {
            (Some(_), false) => forbid("sendInitialEvents", "sendInitialEvents is forbidden for list"),
            (Some(_), true) if how.is_empty() => forbid(
                MATCH,
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ),
            (None, true) if !how.is_empty() => forbid(
                MATCH,
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ),
            (None, false) if !how.is_empty() && wanted.is_empty() => forbid(
                MATCH,
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ),
            (None, false) if how == "Exact" && wanted == "0" => forbid(
                MATCH,
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ),
            _ => {}
        }
        if !matches!(how, "" | "Exact" | "NotOlderThan") {
            let choices = ["Exact", "NotOlderThan", ""].map(Value::from);
            errors.push(FieldError::unsupported(MATCH, &Value::from(how), &choices));
        }
        if !errors.is_empty() {
            return Err(ApiError::invalid_options("ListOptions", errors));
        }
        if !query.text("continue").is_empty() && !matches!(wanted, "" | "0") {
            return Err(ApiError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        Ok(())
    }

    pub(crate) fn selector(&self) -> ApiResult<Selector> {
        let subject_version = self
            .resource
            .version(&self.path.version)
            .ok_or_else(|| ApiError::not_served("this version is not served"))?;
        let query = &self.context.query;
        Selector::parse(
            query.text("labelSelector"),
            query.text("fieldSelector"),
            &self.resource,
            subject_version,
        )
    }

    fn page(&self) -> ApiResult<Page> {
        let query = &self.context.query;
        let limit = query.number::<i64>("limit")?.filter(|l| *l > 0);
        let limit = limit.and_then(|l| usize::try_from(l).ok()).unwrap_or(usize::MAX);
        let (selector, state) = (self.selector()?, self.server.inner.state());
        let token = match query.text("continue") {
            "" => None,
            text => Some(Token::decode(text).ok_or_else(|| ApiError::bad_request("continue key is not valid"))?),
        };
        let wanted = query.number::<u64>("resourceVersion")?.unwrap_or(0);
        // As upstream: a chunk of a named revision is of exactly that one.
        let exact = match query.text("resourceVersionMatch") {
            "" => limit < usize::MAX,
            how => how == "Exact",
        };
        if token.is_none() && wanted > state.rv {
            return Err(ApiError::too_new(wanted, state.rv));
        }
        let rv = match &token {
            Some(token) => token.rv.unwrap_or(state.rv),
            None if exact && wanted > 0 => wanted,
            None => state.rv,
        };
        let (id, namespace) = (&self.resource.id, self.path.namespace.as_str());
        let after = token.map(|t| t.after);
        let mut matching = Vec::new();
        if rv == state.rv {
            let found = state
                .range(id, namespace, after.as_ref())
                .filter(|(_, o)| selector.admits(&o.value));
            matching.extend(found.map(|(p, o)| (p.clone(), Arc::clone(o))));
        } else {
            let gone = || match &after {
                None => ApiError::expired("The resourceVersion for the provided list is too old."),
                Some(after) => {
                    let after = after.clone();
                    ApiError::expired(EXPIRED).with_continue(Token { rv: None, after }.encode())
                }
            };
            let snapshot = state.at(id, namespace, rv).ok_or_else(gone)?;
            let rest = snapshot
                .into_iter()
                .filter(|(p, _)| after.as_ref().is_none_or(|a| p > a));
            matching.extend(rest.filter(|(_, o)| selector.admits(&o.value)));
        }
        let total = matching.len();
        matching.truncate(limit);
        let next = (total > matching.len())
            .then(|| {
                matching.last().map(|(place, _)| Token {
                    rv: Some(rv),
                    after: place.clone(),
                })
            })
            .flatten();
        Ok(Page {
            remaining: total - matching.len(),
            objects: matching.into_iter().map(|(_, o)| o).collect(),
            rv,
            next,
        })
    }

    /// A list in the form the client wants. Full lists are glued together from the objects' own bytes.
    pub(crate) fn list_response<'a>(
        &self,
        objects: impl Iterator<Item = &'a Arc<Object>>,
        metadata: Value,
    ) -> Response<Body> {
        let content = match (self.context.view, self.resource.version(&self.path.version)) {
            (View::Table, Some(_)) => to_bytes(
                &table::Shape::new(&self.resource, &self.path.version, self.context).table(objects, metadata, true),
            ),
            (View::Partial, _) => to_bytes(&json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": metadata,
                "items": objects.map(|o| table::partial(&o.value)).collect::<Vec<_>>(),
            })),
            _ => self.full_list(objects, &metadata),
        };
        respond::bytes(StatusCode::OK, content)
    }

    fn full_list<'a>(&self, objects: impl Iterator<Item = &'a Arc<Object>>, metadata: &Value) -> Bytes {
        let mut out = BytesMut::new();
        let head = json!({
            "kind": self.resource.list_kind,
            "apiVersion": self.resource.api_version(&self.path.version),
            "metadata": metadata,
        });
        let head = to_bytes(&head);
        out.put_slice(head.strip_suffix(b"}").unwrap_or(&head));
        out.put_slice(b",\"items\":[");
        for (i, object) in objects.enumerate() {
            if i > 0 {
                out.put_u8(b',');
            }
            out.put(render(&self.resource, &self.path.version, object));
        }
        out.put_slice(b"]}\n");
        out.freeze()
    }
}
