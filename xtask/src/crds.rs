//! The six definitions as the chart holds them: plain files, that kubectl applies as well.

use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

use crate::generated::Generated;

const FOLDER: &str = "charts/gastown-operator/files/crds";
const HEADER: &str = "# Generated from crates/api by `make generate`. Do not edit.\n";

/// One file a kind.
pub(crate) fn files(crds: &[CustomResourceDefinition]) -> Result<Vec<Generated>> {
    crds.iter().map(file).collect()
}

fn file(crd: &CustomResourceDefinition) -> Result<Generated> {
    let name = format!("{}.{}", crd.spec.names.plural, crd.spec.group);
    let mut definition = serde_json::to_value(crd).with_context(|| format!("{name} as JSON"))?;
    whole_numbers(&mut definition);
    // An uninstall leaves the definitions, and with them everything that people made of them.
    let metadata = definition.get_mut("metadata").and_then(Value::as_object_mut);
    metadata
        .map(|metadata| metadata.entry("annotations").or_insert_with(|| json!({})))
        .and_then(Value::as_object_mut)
        .with_context(|| format!("{name} has no metadata"))?
        .insert("helm.sh/resource-policy".into(), "keep".into());
    let yaml = serde_saphyr::to_string(&definition).with_context(|| format!("{name} as YAML"))?;
    Ok(Generated {
        path: format!("{FOLDER}/{name}.yaml"),
        text: format!("{HEADER}---\n{yaml}"),
    })
}

/// Bounds are floating point in the schema's type and whole numbers in what people read: `1`, not `1.0`.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(float) = number.as_f64()
                && float.fract() == 0.0
                && float.abs() < 9e15
            {
                *value = Value::from(float as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a cluster reads from the file is what the code says, whatever YAML makes of quotes, folds and `yes`.
    #[test]
    fn yaml_reads_back_as_the_definition() {
        for crd in gastown_api::crds() {
            let read: CustomResourceDefinition = serde_saphyr::from_str(&file(&crd).unwrap().text).unwrap();
            let kept = read.metadata.annotations.clone().unwrap_or_default();
            assert_eq!(kept.get("helm.sh/resource-policy").map(String::as_str), Some("keep"));
            assert_eq!(read.spec, crd.spec);
        }
    }
}
