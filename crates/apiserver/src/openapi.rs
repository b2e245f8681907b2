//! OpenAPI v3: one document a group version, enough for `kubectl apply`, `explain` and strict validation.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::catalog::{Catalog, Resource, Version};
use crate::discovery::{groups, members};
use crate::kinds::definitions;
use crate::write::strategic;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// Which documents there are. The hash in each address changes with its content, so clients may cache.
pub(crate) fn index(catalog: &Catalog) -> Value {
    let mut paths = Map::new();
    for (group, versions) in groups(catalog) {
        for version in versions {
            let path = if group.is_empty() {
                format!("api/{version}")
            } else {
                format!("apis/{group}/{version}")
            };
            let mut digest = Sha256::new();
            for (resource, served) in members(catalog, &group, &version) {
                digest.update(resource.plural.as_bytes());
                digest.update(served.open_api.to_string().as_bytes());
            }
            let hash: String = digest.finalize().iter().take(16).map(|b| format!("{b:02X}")).collect();
            let relative = format!("/openapi/v3/{path}?hash={hash}");
            paths.insert(path, json!({"serverRelativeURL": relative}));
        }
    }
    json!({"paths": paths})
}

/// The document of one group version.
pub(crate) fn document(catalog: &Catalog, group: &str, version: &str) -> Option<Value> {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for (resource, served) in members(catalog, group, version) {
        let name = schema_name(resource, served);
        schemas.insert(name.clone(), schema(resource, served));
        add_paths(&mut paths, resource, version, &name);
    }
    if paths.is_empty() {
        return None;
    }
    add_references(&mut schemas);
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.35.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

fn schema_name(resource: &Resource, version: &Version) -> String {
    match version.open_api.get("$ref").and_then(Value::as_str) {
        Some(reference) => reference.rsplit('/').next().unwrap_or_default().to_owned(),
        None => {
            let mut words: Vec<&str> = resource.group.split('.').collect();
            words.reverse();
            format!("{}.{}.{}", words.join("."), version.name, resource.kind)
        }
    }
}

/// What upstream says of a field that every kind has.
fn common(field: &str) -> Value {
    definitions()
        .get("io.k8s.api.core.v1.ConfigMap")
        .and_then(|c| c.pointer(&format!("/properties/{field}/description")))
        .cloned()
        .unwrap_or_default()
}

fn schema(resource: &Resource, version: &Version) -> Value {
    let mut schema = match version.open_api.get("$ref").and_then(Value::as_str) {
        Some(reference) => {
            let name = reference.rsplit('/').next().unwrap_or_default();
            rewritten(definitions().get(name).unwrap_or(&Value::Null))
        }
        None => {
            let mut schema = (*version.open_api).clone();
            let properties = crate::object::child(&mut schema, "properties");
            for field in ["apiVersion", "kind"] {
                properties.insert(
                    field.to_owned(),
                    json!({"type": "string", "description": common(field)}),
                );
            }
            let reference = format!("#/components/schemas/{META}");
            properties.insert(
                "metadata".to_owned(),
                json!({"allOf": [{"$ref": reference}], "description": common("metadata")}),
            );
            schema
        }
    };
    let kind = json!([{"group": resource.group, "version": version.name, "kind": resource.kind}]);
    crate::object::as_map(&mut schema).insert("x-kubernetes-group-version-kind".to_owned(), kind);
    schema
}

/// References of the generator, pointed at where OpenAPI keeps schemas; lists say how they merge.
fn rewritten(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            let reference = map.get("$ref").and_then(Value::as_str);
            let Some(name) = reference.and_then(|r| r.rsplit('/').next()) else {
                let mut copy: Map<String, Value> = map.iter().map(|(k, v)| (k.clone(), rewritten(v))).collect();
                if let Some(properties) = copy.get_mut("properties").and_then(Value::as_object_mut) {
                    properties
                        .iter_mut()
                        .for_each(|(name, property)| mark_merge(name, property));
                }
                return copy.into();
            };
            let target = format!("#/components/schemas/{name}");
            match map.get("description") {
                // A reference stands alone in OpenAPI 3.0; a description beside it needs allOf.
                Some(description) => {
                    json!({"allOf": [{"$ref": target}], "description": description})
                }
                None => json!({"$ref": target}),
            }
        }
        Value::Array(items) => items.iter().map(rewritten).collect(),
        plain => plain.clone(),
    }
}

/// kubectl computes patches of built-in kinds by these marks.
fn mark_merge(name: &str, property: &mut Value) {
    let items = property.get("items");
    let of_objects = items.is_some_and(|i| i.get("$ref").is_some() || i.get("allOf").is_some());
    let key = strategic::KEYS
        .iter()
        .find(|(field, _)| *field == name)
        .and_then(|(_, keys)| keys.first());
    let set = items.is_some() && strategic::SETS.contains(&name);
    let Some(map) = property.as_object_mut() else {
        return;
    };
    if let Some(key) = key.filter(|_| of_objects) {
        map.insert("x-kubernetes-patch-merge-key".to_owned(), Value::from(*key));
    } else if !set {
        return;
    }
    map.insert("x-kubernetes-patch-strategy".to_owned(), Value::from("merge"));
}

/// Adds every schema that one already there refers to.
fn add_references(schemas: &mut Map<String, Value>) {
    let mut wanted = BTreeSet::new();
    schemas.values().for_each(|s| references(s, &mut wanted));
    while let Some(name) = wanted.pop_first() {
        if schemas.contains_key(&name) {
            continue;
        }
        let schema = rewritten(definitions().get(&name).unwrap_or(&Value::Null));
        references(&schema, &mut wanted);
        schemas.insert(name, schema);
    }
}

fn references(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            if let Some(name) = map
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|r| r.strip_prefix("#/components/schemas/"))
            {
                found.insert(name.to_owned());
            }
            map.values().for_each(|v| references(v, found));
        }
        Value::Array(items) => items.iter().for_each(|v| references(v, found)),
        _ => {}
    }
}

fn add_paths(paths: &mut Map<String, Value>, resource: &Resource, version: &str, schema: &str) {
    let root = if resource.group.is_empty() {
        format!("/api/{version}")
    } else {
        format!("/apis/{}/{version}", resource.group)
    };
    let scope = if resource.namespaced {
        "/namespaces/{namespace}"
    } else {
        ""
    };
    let collection = format!("{root}{scope}/{}", resource.plural);
    let kind = json!({"group": resource.group, "version": version, "kind": resource.kind});
    let parameter =
        |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let content = |media: &str| json!({media: {"schema": {"$ref": format!("#/components/schemas/{schema}")}}});
    let answer = json!({"200": {"description": "OK", "content": content("application/json")}});
    let operation = |action: &str, medias: &[&str], parameters: &[&str]| {
        let mut operation = json!({
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": kind,
            "responses": answer,
            "parameters": parameters.iter().map(|p| parameter(p)).collect::<Vec<_>>(),
        });
        if !medias.is_empty() {
            let body: Map<String, Value> = medias
                .iter()
                .map(|m| ((*m).to_owned(), json!({"schema": {"type": "object"}})))
                .collect();
            crate::object::as_map(&mut operation).insert("requestBody".to_owned(), json!({"content": body}));
        }
        operation
    };
    // kubectl looks for these parameters on PATCH before it asks for server-side validation or dry runs.
    let write = &["dryRun", "fieldManager", "fieldValidation"];
    let patches = &[
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
    ];
    let patches = if resource.built_in.is_some() {
        patches.as_slice()
    } else {
        patches.get(..2).unwrap_or_default()
    };
    paths.insert(
        collection.clone(),
        json!({
            "get": operation("list", &[], &["labelSelector", "fieldSelector", "limit", "continue", "watch"]),
            "post": operation("post", &["application/json"], write),
            "delete": operation("deletecollection", &[], &["dryRun"]),
        }),
    );
    paths.insert(
        format!("{collection}/{{name}}"),
        json!({
            "get": operation("get", &[], &[]),
            "put": operation("put", &["application/json"], write),
            "patch": operation("patch", patches, write),
            "delete": operation("delete", &[], &["dryRun", "gracePeriodSeconds", "propagationPolicy"]),
        }),
    );
}
