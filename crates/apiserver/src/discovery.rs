//! Discovery: which kinds there are, in the old form and the aggregated one.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::catalog::{Catalog, Resource, Version};
use crate::kinds::{BuiltIn, version_rank};
use crate::request::wants_aggregated_discovery;
use crate::respond::{self, Body};
use crate::server::ApiServer;

const VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
const WITHOUT_COLLECTION: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];
/// In upstream's order, which is another for what definitions define.
const CUSTOM_VERBS: &[&str] = &[
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "create",
    "update",
    "watch",
];

fn verbs(resource: &Resource) -> &'static [&'static str] {
    match resource.built_in {
        None => CUSTOM_VERBS,
        Some(kind) if !kind.deletes_collections() => WITHOUT_COLLECTION,
        Some(_) => VERBS,
    }
}

/// Tells clients whether two kinds share a store.
fn storage_hash(resource: &Resource) -> String {
    let name = format!("{}/{}/{}", resource.group, resource.storage, resource.kind);
    let digest = Sha256::digest(name.as_bytes());
    crate::base64::encode(digest.get(..8).unwrap_or_default())
}

/// Leaves out what is empty, as upstream does.
fn with_names(mut entry: Value, resource: &Resource) -> Value {
    if let Some(map) = entry.as_object_mut() {
        for (field, names) in [
            ("shortNames", &resource.short_names),
            ("categories", &resource.categories),
        ] {
            if !names.is_empty() {
                map.insert(field.to_owned(), json!(names));
            }
        }
    }
    entry
}
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

impl ApiServer {
    /// The discovery or OpenAPI document at this path, if it is one.
    pub(crate) fn discover(&self, words: &[&str], headers: &HeaderMap) -> Option<Response<Body>> {
        let catalog = self.inner.state().catalog.clone();
        let document = match words {
            ["api"] if wants_aggregated_discovery(headers) => {
                return Some(aggregated(&catalog, true));
            }
            ["apis"] if wants_aggregated_discovery(headers) => {
                return Some(aggregated(&catalog, false));
            }
            ["api"] => {
                json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
            }
            ["apis"] => {
                let groups: Vec<Value> = groups(&catalog)
                    .keys()
                    .filter(|g| !g.is_empty())
                    .map(|g| group(&catalog, g))
                    .collect();
                json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
            }
            ["apis", name] if groups(&catalog).contains_key(*name) => {
                let mut group = group(&catalog, name);
                if let Some(map) = group.as_object_mut() {
                    map.insert("kind".to_owned(), json!("APIGroup"));
                    map.insert("apiVersion".to_owned(), json!("v1"));
                }
                group
            }
            ["api", "v1"] => resource_list(&catalog, "", "v1")?,
            ["apis", group, version] => resource_list(&catalog, group, version)?,
            ["openapi", "v3"] => crate::openapi::index(&catalog),
            ["openapi", "v3", "api", "v1"] => crate::openapi::document(&catalog, "", "v1")?,
            ["openapi", "v3", "apis", group, version] => crate::openapi::document(&catalog, group, version)?,
            _ => return None,
        };
        Some(respond::json(StatusCode::OK, &document))
    }
}

/// Groups, each with its versions, the preferred one first.
pub(crate) fn groups(catalog: &Catalog) -> BTreeMap<String, Vec<String>> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for resource in catalog.all() {
        let versions = groups.entry(resource.group.clone()).or_default();
        for version in &resource.versions {
            if !versions.contains(&version.name) {
                versions.push(version.name.clone());
            }
        }
    }
    groups.retain(|_, versions| !versions.is_empty());
    for versions in groups.values_mut() {
        versions.sort_by_key(|v| std::cmp::Reverse(version_rank(v)));
    }
    groups
}

/// The kinds served in one version of a group.
pub(crate) fn members<'a>(
    catalog: &'a Catalog,
    group: &'a str,
    version: &'a str,
) -> impl Iterator<Item = (&'a Arc<Resource>, &'a Version)> {
    catalog
        .all()
        .filter(move |r| r.group == group)
        .filter_map(move |r| r.version(version).map(|v| (r, v)))
}

fn group(catalog: &Catalog, name: &str) -> Value {
    let versions: Vec<Value> = groups(catalog)
        .remove(name)
        .unwrap_or_default()
        .into_iter()
        .map(|v| json!({"groupVersion": format!("{name}/{v}"), "version": v}))
        .collect();
    json!({"name": name, "preferredVersion": versions.first(), "versions": versions})
}

/// Subresources with their verbs and the kind they speak.
fn subresources(resource: &Resource, version: &Version) -> Vec<(&'static str, &'static [&'static str], String)> {
    let mut list: Vec<(&str, &[&str], String)> = Vec::new();
    if version.has_status {
        list.push(("status", &["get", "patch", "update"], resource.kind.clone()));
    }
    if resource.is(BuiltIn::Pod) {
        list.push(("log", &["get"], "Pod".to_owned()));
        list.push(("binding", &["create"], "Binding".to_owned()));
    }
    list
}

fn resource_list(catalog: &Catalog, group: &str, version: &str) -> Option<Value> {
    let mut resources = Vec::new();
    for (resource, served) in members(catalog, group, version) {
        let entry = json!({
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": verbs(resource),
            "storageVersionHash": storage_hash(resource),
        });
        resources.push(with_names(entry, resource));
        for (name, verbs, kind) in subresources(resource, served) {
            resources.push(json!({
                "name": format!("{}/{name}", resource.plural),
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": kind,
                "verbs": verbs,
            }));
        }
    }
    if resources.is_empty() {
        return None;
    }
    let group_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": resources,
    }))
}

fn aggregated(catalog: &Catalog, core: bool) -> Response<Body> {
    let items: Vec<Value> = groups(catalog)
        .into_iter()
        .filter(|(name, _)| name.is_empty() == core)
        .map(|(name, versions)| {
            let versions: Vec<Value> = versions.iter().map(|v| aggregated_version(catalog, &name, v)).collect();
            let metadata = if core { json!({}) } else { json!({"name": name}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let document = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    });
    let mut response = respond::json(StatusCode::OK, &document);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(AGGREGATED));
    response
}

fn aggregated_version(catalog: &Catalog, group: &str, version: &str) -> Value {
    let kind = |kind: &str| json!({"group": group, "version": version, "kind": kind});
    let resources: Vec<Value> = members(catalog, group, version)
        .map(|(resource, served)| {
            let below: Vec<Value> = subresources(resource, served)
                .into_iter()
                .map(|(name, verbs, k)| json!({"subresource": name, "responseKind": kind(&k), "verbs": verbs}))
                .collect();
            let entry = json!({
                "resource": resource.plural,
                "responseKind": kind(&resource.kind),
                "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
                "singularResource": resource.singular,
                "verbs": verbs(resource),
            });
            let mut entry = with_names(entry, resource);
            if let (false, Some(map)) = (below.is_empty(), entry.as_object_mut()) {
                map.insert("subresources".to_owned(), Value::from(below));
            }
            entry
        })
        .collect();
    json!({"version": version, "resources": resources, "freshness": "Current"})
}
