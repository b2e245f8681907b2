//! Events are news, not state: they go after an hour, and the oldest make room for new ones.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::object::{Key, Object, meta_str};
use crate::store::Txn;

const TTL: SignedDuration = SignedDuration::from_hours(1);
/// Events kept at most.
pub(crate) const LIMIT: usize = 5_000;
/// Removed at once when the limit is met, so that not every event pays for a search.
const SLICE: usize = 500;

/// When an event was last written, as far as it says.
fn last_seen(value: &Value) -> Option<Timestamp> {
    ["lastTimestamp", "eventTime"]
        .iter()
        .filter_map(|f| value.get(*f).and_then(Value::as_str))
        .chain([meta_str(value, "creationTimestamp")])
        .filter_map(|t| t.parse().ok())
        .max()
}

fn is_expired(object: &Object, now: Timestamp) -> bool {
    last_seen(&object.value).is_some_and(|seen| now.duration_since(seen) > TTL)
}

/// Removes the oldest events when there are too many.
pub(super) fn make_room(txn: &mut Txn<'_>, resource: &Arc<str>) {
    // Counting is a walk over pointers; it only copies when the limit is met.
    if txn.count(resource) < LIMIT {
        return;
    }
    let mut all = txn.list(resource, "");
    all.sort_by_key(|(_, object)| object.rv);
    for (key, _) in all.into_iter().take(SLICE) {
        txn.remove(&key);
    }
}

/// Whether any event is due; read before a listing, so that a quiet town writes nothing.
pub(crate) fn any_expired<'a>(mut objects: impl Iterator<Item = &'a Arc<Object>>, now: Timestamp) -> bool {
    objects.any(|o| is_expired(o, now))
}

/// Removes events older than an hour.
pub(crate) fn expire(txn: &mut Txn<'_>, resource: &Arc<str>) {
    let now = txn.now();
    let due: Vec<Key> = txn
        .list(resource, "")
        .into_iter()
        .filter(|(_, o)| is_expired(o, now))
        .map(|(k, _)| k)
        .collect();
    for key in due {
        txn.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::server::{ApiServer, Options};

    fn event(name: &str, created: &str) -> (Key, Value) {
        let value = json!({"metadata": {"name": name, "namespace": "default", "creationTimestamp": created}});
        (Key::new(&"events".into(), "default", name), value)
    }

    #[tokio::test]
    async fn events_older_than_an_hour_go() {
        let server = ApiServer::open(Options::default()).unwrap();
        let left = server
            .inner
            .write(|txn| {
                for (name, created) in [("old", "2020-01-01T00:00:00Z"), ("new", "2999-01-01T00:00:00Z")] {
                    let (key, value) = event(name, created);
                    txn.put(&key, value);
                }
                expire(txn, &"events".into());
                Ok(txn
                    .list(&"events".into(), "")
                    .into_iter()
                    .map(|(k, _)| k.name)
                    .collect::<Vec<_>>())
            })
            .await
            .unwrap();
        assert_eq!(left, ["new"]);
    }

    #[tokio::test]
    async fn the_oldest_events_make_room() {
        let server = ApiServer::open(Options::default()).unwrap();
        server
            .inner
            .write(|txn| {
                for i in 0..LIMIT {
                    let (key, value) = event(&format!("e{i:05}"), "2999-01-01T00:00:00Z");
                    txn.put(&key, value);
                }
                Ok(())
            })
            .await
            .unwrap();
        let first = server
            .inner
            .write(|txn| {
                make_room(txn, &"events".into());
                let all = txn.list(&"events".into(), "");
                Ok((all.len(), all.into_iter().next().map(|(k, _)| k.name)))
            })
            .await
            .unwrap();
        assert_eq!(first, (LIMIT - SLICE, Some(format!("e{SLICE:05}"))));
    }
}
