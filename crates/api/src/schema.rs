//! What the derive cannot say: required fields, defaults, and CEL rules that compile on Kubernetes 1.26.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrBool, ValidationRule,
};
use serde_json::json;

/// Only rules on new fields, or on what v0.4.2 refused too: old objects must stay writable.
const RULES: [(&str, &str, &str); 4] = [
    (
        "Rig",
        "!has(self.mergeStrategy) || self.mergeStrategy != 'pullRequest' || self.gitURL.startsWith('http') || self.gitURL.startsWith('git@') || self.gitURL.startsWith('ssh://')",
        "mergeStrategy pullRequest needs a repository on a forge: use an https or ssh gitURL, or mergeStrategy direct",
    ),
    (
        "Rig",
        "!has(self.settings) || !has(self.settings.namepoolTheme) || self.settings.namepoolTheme in ['mad-max', 'minerals', 'wasteland']",
        "settings.namepoolTheme is one of mad-max, minerals, wasteland",
    ),
    (
        "Polecat",
        "!has(self.task) || !has(self.task.description) || !has(self.taskDescription) || self.task.description == self.taskDescription",
        "task.description and taskDescription differ: write the task in task.description only",
    ),
    (
        "Polecat",
        "self.rig != 'standalone' || has(self.kubernetes)",
        "rig standalone inherits nothing: write kubernetes.gitRepository",
    ),
];

/// Required fields of each kind's spec, and whether the spec itself is (as in the predecessor).
const REQUIRED: [(&str, bool, &[&str]); 6] = [
    ("Rig", false, &["gitURL", "beadsPrefix"]),
    ("Polecat", false, &["rig", "desiredState"]),
    ("Convoy", false, &["description", "trackedBeads"]),
    ("Witness", true, &["rigRef"]),
    ("Refinery", true, &["rigRef"]),
    ("BeadStore", true, &["rigRef", "prefix"]),
];

/// Completes a derived definition.
pub(crate) fn completed(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let kind = crd.spec.names.kind.clone();
    for version in &mut crd.spec.versions {
        let Some(root) = version
            .schema
            .as_mut()
            .and_then(|s| s.open_api_v3_schema.as_mut())
        else {
            continue;
        };
        complete_root(&kind, root);
    }
    crd
}

fn complete_root(kind: &str, root: &mut JSONSchemaProps) {
    let Some((_, spec_required, fields)) = REQUIRED.iter().find(|(k, _, _)| *k == kind) else {
        return;
    };
    root.required = spec_required.then(|| vec!["spec".to_owned()]);
    let Some(properties) = root.properties.as_mut() else {
        return;
    };
    if let Some(spec) = properties.get_mut("spec") {
        spec.required = Some(fields.iter().map(|f| (*f).to_owned()).collect());
        spec.default = None;
        let rules: Vec<ValidationRule> = RULES
            .iter()
            .filter(|(k, _, _)| *k == kind)
            .map(|(_, rule, message)| ValidationRule {
                rule: (*rule).to_owned(),
                message: Some((*message).to_owned()),
                ..ValidationRule::default()
            })
            .collect();
        if !rules.is_empty() {
            spec.x_kubernetes_validations = Some(rules);
        }
        strip_defaults(spec);
        if kind == "Polecat"
            && let Some(state) = spec
                .properties
                .as_mut()
                .and_then(|p| p.get_mut("desiredState"))
        {
            state.default = Some(
                k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSON(json!(
                    "Idle"
                )),
            );
        }
    }
    if let Some(status) = properties.get_mut("status") {
        strip_defaults(status);
        status.required = None;
    }
}

/// Serde's defaults are how we read, not what the API server should write into people's objects. Only names that
/// Kubernetes' own types require stay required.
fn strip_defaults(schema: &mut JSONSchemaProps) {
    schema.default = None;
    for property in schema.properties.iter_mut().flat_map(|p| p.values_mut()) {
        strip_defaults(property);
    }
    if let Some(items) = schema.items.as_mut() {
        use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaPropsOrArray as Items;
        match items {
            Items::Schema(one) => strip_defaults(one),
            Items::Schemas(many) => many.iter_mut().for_each(strip_defaults),
        }
    }
    if let Some(JSONSchemaPropsOrBool::Schema(more)) = schema.additional_properties.as_mut() {
        strip_defaults(more);
    }
}
