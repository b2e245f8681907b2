//! Which kinds are served: the built-in ones, and what CRDs define.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::kinds::BuiltIn;
use crate::schema::{Rules, Schema};
use crate::status::About;

/// One kind of object and how it is served.
#[derive(Debug)]
pub(crate) struct Resource {
    /// `plural` or `plural.group`.
    pub(crate) id: Arc<str>,
    pub(crate) group: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    /// The version objects are stored as.
    pub(crate) storage: String,
    /// Served versions, the preferred one first.
    pub(crate) versions: Vec<Version>,
    /// `None` for what a CRD defines.
    pub(crate) built_in: Option<BuiltIn>,
}

/// One served version.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) schema: Arc<Schema>,
    pub(crate) rules: Rules,
    /// The schema as the CRD has it; for built-in kinds a reference into the shared definitions.
    pub(crate) open_api: Arc<Value>,
    pub(crate) has_status: bool,
    pub(crate) columns: Vec<Column>,
    /// Field paths usable in field selectors, beside `metadata.name` and `metadata.namespace`.
    pub(crate) selectable: Vec<String>,
    pub(crate) deprecation: Option<String>,
}

/// A printer column.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) format: String,
    pub(crate) description: String,
    pub(crate) priority: i64,
    pub(crate) path: String,
}

impl Resource {
    pub(crate) fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|v| v.name == name)
    }

    pub(crate) fn about(&self, name: &str) -> About {
        About::new(&self.group, &self.plural, name)
    }

    /// For 422, which names the kind.
    pub(crate) fn about_kind(&self, name: &str) -> About {
        About::new(&self.group, &self.kind, name)
    }

    pub(crate) fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() {
            version.to_owned()
        } else {
            format!("{}/{version}", self.group)
        }
    }

    pub(crate) fn is(&self, kind: BuiltIn) -> bool {
        self.built_in == Some(kind)
    }
}

/// `plural` or `plural.group`.
pub(crate) fn resource_id(group: &str, plural: &str) -> String {
    if group.is_empty() {
        plural.to_owned()
    } else {
        format!("{plural}.{group}")
    }
}

/// Splits `group/version`; the core group is empty.
pub(crate) fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// Everything served right now.
#[derive(Debug, Clone)]
pub(crate) struct Catalog {
    resources: BTreeMap<Arc<str>, Arc<Resource>>,
}

impl Catalog {
    pub(crate) fn built_in() -> Catalog {
        let resources = crate::kinds::resources()
            .into_iter()
            .map(|r| (Arc::clone(&r.id), r))
            .collect();
        Catalog { resources }
    }

    pub(crate) fn insert(&mut self, resource: Arc<Resource>) {
        self.resources.insert(Arc::clone(&resource.id), resource);
    }

    pub(crate) fn remove(&mut self, id: &str) {
        self.resources.remove(id);
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Arc<Resource>> {
        self.resources.get(id)
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.get(&resource_id(group, plural))
            .filter(|r| r.version(version).is_some())
    }

    pub(crate) fn find_kind(&self, api_version: &str, kind: &str) -> Option<&Arc<Resource>> {
        let (group, _) = split_api_version(api_version);
        self.all().find(|r| r.group == group && r.kind == kind)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.values()
    }
}
