//! Pages of lists and lines of watches, to facts. One object that cannot be read is a fact too, and spoils nothing.

use super::{pods, slim};
use crate::call::Failed;
use gastown_rules::{Fact, Key, Kind, Seen};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use slim::Object;

/// A page of a list.
pub(super) struct Page {
    pub(super) objects: Vec<(Key, Fact)>,
    pub(super) rev: String,
    pub(super) more: Option<String>,
}

/// A line of a watch.
pub(super) enum Event {
    Bookmark { rev: String },
    Changed { rev: String, fact: Box<Fact> },
    Expired,
    Failed(Failed),
}

#[derive(Deserialize)]
#[serde(bound = "O: DeserializeOwned")]
struct ListOf<O> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default = "Vec::new")]
    items: Vec<O>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ListMeta {
    resource_version: String,
    r#continue: String,
}

#[derive(Deserialize)]
#[serde(bound = "O: DeserializeOwned")]
struct EventOf<O> {
    r#type: String,
    object: O,
}

/// The object of an ERROR event.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Trouble {
    code: u16,
    reason: String,
    message: String,
}

/// Reads a page of a kind's list.
pub(super) fn page(kind: Kind, text: &[u8]) -> Result<Page, Failed> {
    match kind {
        Kind::Rig => page_of(kind, text, |o| slim::row(kind, o).map(Box::new).map(Seen::Rig)),
        Kind::Polecat => page_of(kind, text, |o| slim::row(kind, o).map(Box::new).map(Seen::Polecat)),
        Kind::Convoy => page_of(kind, text, |o| slim::row(kind, o).map(Box::new).map(Seen::Convoy)),
        Kind::Witness => page_of(kind, text, |o| slim::row(kind, o).map(Box::new).map(Seen::Witness)),
        Kind::Refinery => page_of(kind, text, |o| slim::row(kind, o).map(Box::new).map(Seen::Refinery)),
        Kind::BeadStore => page_of(kind, text, |o| slim::row(kind, o).map(Box::new).map(Seen::BeadStore)),
        Kind::Pod => page_of(kind, text, |o: pods::Pod| pods::pod_row(o).map(Box::new).map(Seen::Pod)),
        Kind::ConfigMap => Err(Failed::Unspeakable("ConfigMaps are not watched".into())),
    }
}

/// Reads a line of a kind's watch.
pub(super) fn event(kind: Kind, line: &[u8]) -> Event {
    match kind {
        Kind::Rig => event_of(kind, line, |o| slim::row(kind, o).map(Box::new).map(Seen::Rig)),
        Kind::Polecat => event_of(kind, line, |o| slim::row(kind, o).map(Box::new).map(Seen::Polecat)),
        Kind::Convoy => event_of(kind, line, |o| slim::row(kind, o).map(Box::new).map(Seen::Convoy)),
        Kind::Witness => event_of(kind, line, |o| slim::row(kind, o).map(Box::new).map(Seen::Witness)),
        Kind::Refinery => event_of(kind, line, |o| slim::row(kind, o).map(Box::new).map(Seen::Refinery)),
        Kind::BeadStore => event_of(kind, line, |o| slim::row(kind, o).map(Box::new).map(Seen::BeadStore)),
        Kind::Pod => event_of(kind, line, |o: pods::Pod| pods::pod_row(o).map(Box::new).map(Seen::Pod)),
        Kind::ConfigMap => Event::Failed(Failed::Unspeakable("ConfigMaps are not watched".into())),
    }
}

fn page_of<S, T>(kind: Kind, text: &[u8], seen: impl Fn(Object<S, T>) -> Result<Seen, String>) -> Result<Page, Failed>
where
    S: DeserializeOwned,
    T: DeserializeOwned,
{
    // At once where every object can be read, which is always; one by one where one cannot.
    let (metadata, objects) = match serde_json::from_slice::<ListOf<Object<S, T>>>(text) {
        Ok(list) => {
            let facts = list.items.into_iter().map(|o| fact(kind, o, &seen)).collect();
            (list.metadata, facts)
        }
        Err(_) => {
            let list: ListOf<Value> = serde_json::from_slice(text).map_err(|e| Failed::Unreadable(e.to_string()))?;
            let facts = list.items.into_iter().map(|v| in_parts(kind, v, &seen).0).collect();
            (list.metadata, facts)
        }
    };
    Ok(Page {
        objects,
        rev: metadata.resource_version,
        more: Some(metadata.r#continue).filter(|c| !c.is_empty()),
    })
}

fn event_of<S, T>(kind: Kind, line: &[u8], seen: impl Fn(Object<S, T>) -> Result<Seen, String>) -> Event
where
    S: DeserializeOwned,
    T: DeserializeOwned,
{
    if let Ok(event) = serde_json::from_slice::<EventOf<Object<S, T>>>(line)
        && event.r#type != "ERROR"
    {
        let rev = event.object.metadata.revision().to_owned();
        return match event.r#type.as_str() {
            "BOOKMARK" => Event::Bookmark { rev },
            "DELETED" => vanished(event.object.metadata.key(kind), rev),
            _ => Event::Changed {
                rev,
                fact: Box::new(fact(kind, event.object, &seen).1),
            },
        };
    }
    let event: EventOf<Value> = match serde_json::from_slice(line) {
        Ok(event) => event,
        Err(e) => return Event::Failed(Failed::Unreadable(e.to_string())),
    };
    if event.r#type == "ERROR" {
        return trouble(event.object);
    }
    let ((key, fact), rev) = in_parts(kind, event.object, &seen);
    match event.r#type.as_str() {
        "BOOKMARK" => Event::Bookmark { rev },
        "DELETED" => vanished(key, rev),
        _ => Event::Changed {
            rev,
            fact: Box::new(fact),
        },
    }
}

fn vanished(key: Key, rev: String) -> Event {
    let fact = Fact::Vanished {
        key,
        rev: slim::rev(&rev),
    };
    Event::Changed {
        rev,
        fact: Box::new(fact),
    }
}

fn trouble(status: Value) -> Event {
    let said: Trouble = serde_json::from_value(status).unwrap_or_default();
    if said.code == 410 {
        return Event::Expired;
    }
    Event::Failed(Failed::Refused {
        code: said.code,
        reason: said.reason,
        message: said.message,
        after: None,
    })
}

fn fact<S, T>(kind: Kind, object: Object<S, T>, seen: impl Fn(Object<S, T>) -> Result<Seen, String>) -> (Key, Fact) {
    let key = object.metadata.key(kind);
    match seen(object) {
        Ok(seen) => (key, Fact::Seen(seen)),
        Err(why) => (key.clone(), Fact::Malformed { key, why }),
    }
}

fn in_parts<S, T>(
    kind: Kind,
    value: Value,
    seen: impl Fn(Object<S, T>) -> Result<Seen, String>,
) -> ((Key, Fact), String)
where
    S: DeserializeOwned,
    T: DeserializeOwned,
{
    match Object::in_parts(value) {
        Ok(object) => {
            let rev = object.metadata.revision().to_owned();
            (fact(kind, object, seen), rev)
        }
        Err(broken) => {
            let key = Key { kind, ..broken.key };
            let (why, rev) = (broken.why, broken.rev);
            ((key.clone(), Fact::Malformed { key, why }), rev)
        }
    }
}

/// A row of a kind, from nothing but a name.
#[cfg(test)]
pub(crate) fn row<S, T>(kind: Kind) -> gastown_rules::Row<S, T>
where
    S: DeserializeOwned,
    T: DeserializeOwned + Default,
{
    slim::row(kind, serde_json::from_str(r#"{"metadata":{"name":"x"}}"#).unwrap()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"metadata":{"name":"nux","namespace":"town","resourceVersion":"5"},"spec":{"rig":"parts"}}"#;
    const BAD: &str = r#"{"metadata":{"name":"odd","namespace":"town","resourceVersion":"6"},"spec":{"rig":[]}}"#;

    #[test]
    fn one_object_that_cannot_be_read_does_not_spoil_its_list() {
        let text = format!(r#"{{"metadata":{{"resourceVersion":"9","continue":"c"}},"items":[{GOOD},{BAD}]}}"#);
        let page = page(Kind::Polecat, text.as_bytes()).unwrap();
        assert_eq!((page.rev.as_str(), page.more.as_deref()), ("9", Some("c")));
        let facts: Vec<&Fact> = page.objects.iter().map(|(_, f)| f).collect();
        assert!(matches!(facts[0], Fact::Seen(Seen::Polecat(p)) if p.spec.rig == "parts"));
        let odd = Key::new(Kind::Polecat, "town", "odd");
        assert!(matches!(facts[1], Fact::Malformed { key, why } if *key == odd && why.starts_with("spec: ")));
    }

    #[test]
    fn a_watch_says_what_changed_what_went_and_that_its_history_is_gone() {
        let line = |kind: &str, object: &str| format!(r#"{{"type":"{kind}","object":{object}}}"#).into_bytes();
        let read = |kind: &str, object: &str| event(Kind::Polecat, &line(kind, object));
        assert!(matches!(read("MODIFIED", GOOD), Event::Changed { rev, fact }
            if rev == "5" && matches!(*fact, Fact::Seen(_))));
        assert!(matches!(read("ADDED", BAD), Event::Changed { rev, fact }
            if rev == "6" && matches!(*fact, Fact::Malformed { .. })));
        assert!(matches!(read("DELETED", BAD), Event::Changed { fact, .. }
            if matches!(&*fact, Fact::Vanished { key, .. } if key.name == "odd")));
        let bookmark = r#"{"kind":"Polecat","metadata":{"resourceVersion":"8","creationTimestamp":null}}"#;
        assert!(matches!(read("BOOKMARK", bookmark), Event::Bookmark { rev } if rev == "8"));
        let status = r#"{"kind":"Status","metadata":{},"status":"Failure","code":410,"reason":"Expired"}"#;
        assert!(matches!(read("ERROR", status), Event::Expired));
        let status = r#"{"kind":"Status","metadata":{},"status":"Failure","code":500,"message":"etcd"}"#;
        assert!(matches!(read("ERROR", status), Event::Failed(e) if e.code() == Some(500)));
    }
}
