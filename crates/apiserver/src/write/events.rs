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
pub(crate) fn any_expired<'a>(
    mut objects: impl Iterator<Item = &'a Arc<Object>>,
    now: Timestamp,
) -> bool {
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
