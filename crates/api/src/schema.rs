//! What the derive cannot say: required fields, quantities, and CEL rules that compile on Kubernetes 1.26.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use serde_json::json;

/// A CEL rule over a kind's spec. Only about fields v0.4.2 did not have, or what it refused too: old objects must
/// stay writable. What else we ask is a condition.
struct Rule {
    kind: &'static str,
    rule: &'static str,
    /// What to write instead.
    message: &'static str,
}

/// Functions newer than Kubernetes 1.26 do not compile there, and lists a rule walks must be bounded.
const RULES: [Rule; 6] = [
    Rule {
        kind: "Rig",
        rule: "!has(self.mergeStrategy) || self.mergeStrategy != 'pullRequest' || !(self.gitURL.startsWith('/') || self.gitURL.startsWith('file:'))",
        message: "mergeStrategy pullRequest needs a repository on a forge: write an https or ssh gitURL, or mergeStrategy: direct",
    },
    Rule {
        kind: "Rig",
        rule: "!has(self.podTemplate) || !has(self.podTemplate.runAsUser) || self.podTemplate.runAsUser > 0",
        message: "podTemplate.runAsUser 0 is root, which these pods never are: write another UID, or leave it out for 65532",
    },
    Rule {
        kind: "Rig",
        rule: "!has(self.podTemplate) || !has(self.podTemplate.labels) || self.podTemplate.labels.all(k, !k.startsWith('gastown.io/') && k != 'app.kubernetes.io/managed-by')",
        message: "podTemplate.labels: gastown.io/* and app.kubernetes.io/managed-by are the operator's own: write other keys",
    },
    Rule {
        kind: "Rig",
        rule: "!has(self.podTemplate) || !has(self.podTemplate.env) || self.podTemplate.env.all(e, !e.name.startsWith('GASTOWN_') && e.name != 'HOME')",
        message: "podTemplate.env: GASTOWN_* and HOME are the operator's own: write other names",
    },
    Rule {
        kind: "Rig",
        rule: "!has(self.podTemplate) || !has(self.podTemplate.cacheVolumes) || self.podTemplate.cacheVolumes.all(v, v.mountPath != '/' && v.mountPath != '/workspace' && !v.mountPath.startsWith('/workspace/') && v.mountPath != '/gastown' && !v.mountPath.startsWith('/gastown/'))",
        message: "podTemplate.cacheVolumes: /workspace and /gastown are the pod's own: write another mountPath",
    },
    Rule {
        kind: "Polecat",
        rule: "!has(self.task) || !has(self.task.description) || !has(self.taskDescription) || self.task.description == self.taskDescription",
        message: "task.description and taskDescription differ: write the task in task.description only",
    },
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

/// What Kubernetes reads as a quantity; the pattern that Go's generators write for it.
const QUANTITY: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";

/// Completes a derived definition.
pub(crate) fn completed(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let kind = crd.spec.names.kind.clone();
    let roots = crd
        .spec
        .versions
        .iter_mut()
        .filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
    for root in roots {
        complete_root(&kind, root);
    }
    crd
}

fn complete_root(kind: &str, root: &mut JSONSchemaProps) {
    tidy(root);
    root.title = None;
    let Some((_, spec_required, fields)) = REQUIRED.iter().find(|(k, _, _)| *k == kind) else {
        return;
    };
    root.required = spec_required.then(|| vec!["spec".to_owned()]);
    let Some(spec) = property(root, "spec") else {
        return;
    };
    spec.required = Some(fields.iter().map(|f| (*f).to_owned()).collect());
    let rules: Vec<ValidationRule> = RULES
        .iter()
        .filter(|rule| rule.kind == kind)
        .map(|rule| ValidationRule {
            rule: rule.rule.to_owned(),
            message: Some(rule.message.to_owned()),
            ..ValidationRule::default()
        })
        .collect();
    spec.x_kubernetes_validations = Some(rules).filter(|rules| !rules.is_empty());
    // The derive describes the root by its own name; people who ask `kubectl explain` want what the kind is.
    let about = spec.description.replace("What is wanted.".to_owned());
    if let Some(state) = property(spec, "desiredState") {
        state.default = Some(JSON(json!("Idle")));
    }
    root.description = about;
}

fn property<'a>(schema: &'a mut JSONSchemaProps, name: &str) -> Option<&'a mut JSONSchemaProps> {
    schema.properties.as_mut()?.get_mut(name)
}

/// Serde's defaults are how we read, not what the API server should write into people's objects. Without `nullable`
/// the server drops a null, so that no rule and no reader meets one.
fn tidy(schema: &mut JSONSchemaProps) {
    schema.default = None;
    schema.nullable = None;
    if schema.x_kubernetes_int_or_string == Some(true) {
        schema.any_of = Some(["integer", "string"].map(of_type).to_vec());
        schema.pattern.get_or_insert(QUANTITY.to_owned());
        // A page of Go's documentation, once a quantity.
        schema.description = schema.description.take().filter(|text| text.len() < 500);
    }
    // Kubernetes lets these names be left out, and so did v0.4.2.
    if let Some(name) = property(schema, "name")
        && name
            .description
            .as_deref()
            .is_some_and(|text| text.contains("effectively required"))
    {
        name.description = Some("Name of the object referred to.".to_owned());
        if let Some(required) = schema.required.as_mut() {
            required.retain(|field| field != "name");
        }
    }
    for property in schema.properties.iter_mut().flat_map(|p| p.values_mut()) {
        tidy(property);
    }
    match schema.items.as_mut() {
        Some(JSONSchemaPropsOrArray::Schema(one)) => tidy(one),
        Some(JSONSchemaPropsOrArray::Schemas(many)) => many.iter_mut().for_each(tidy),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(more)) = schema.additional_properties.as_mut() {
        tidy(more);
    }
}

fn of_type(name: &str) -> JSONSchemaProps {
    JSONSchemaProps {
        type_: Some(name.to_owned()),
        ..JSONSchemaProps::default()
    }
}
