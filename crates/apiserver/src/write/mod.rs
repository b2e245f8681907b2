//! The rules of writing: admit, then create, update, patch or delete inside a transaction.

mod admit;
mod bind;
mod collect;
mod create;
mod delete;
mod events;
mod patch;
pub(crate) mod strategic;
mod update;

use std::sync::Arc;

use serde_json::Value;

use crate::catalog::{Resource, Version};
use crate::object::{Key, Object};
use crate::status::{ApiError, ApiResult};

pub(crate) use bind::bind;
pub(crate) use collect::settle;
pub(crate) use create::create;
pub(crate) use delete::{DeleteOptions, Deleted, Propagation, delete};
pub(crate) use events::{any_expired as any_event_expired, expire as expire_events};
pub(crate) use patch::{Patch, patch};
pub(crate) use update::{Update, update};

/// What a write is about: the kind, the version it is written in, and the place.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) resource: Arc<Resource>,
    pub(crate) version: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Subject {
    pub(crate) fn key(&self) -> Key {
        Key::new(&self.resource.id, &self.namespace, &self.name)
    }

    pub(crate) fn version(&self) -> ApiResult<&Version> {
        self.resource
            .version(&self.version)
            .ok_or_else(|| ApiError::not_served(format!("{} is not served", self.resource.api_version(&self.version))))
    }

    pub(crate) fn missing(&self) -> ApiError {
        ApiError::not_found(self.resource.about(&self.name))
    }
}

/// What to do about fields nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Strictness {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// The result of a write: the object, and words of warning for the client.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) object: Arc<Object>,
    pub(crate) warnings: Vec<String>,
}

/// `value` as version `version` shows it. Versions share one shape (conversion strategy None).
pub(crate) fn in_version(resource: &Resource, value: &mut Value, version: &str) {
    if let Some(map) = value.as_object_mut() {
        map.insert("apiVersion".to_owned(), Value::from(resource.api_version(version)));
        map.insert("kind".to_owned(), Value::from(resource.kind.as_str()));
    }
}
