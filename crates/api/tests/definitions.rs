//! What the definitions say: a snapshot a kind, short enough to read in review, and the habits all of them keep.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a scene that cannot go on should say where"
)]

use serde_json::Value;

fn definitions() -> Vec<Value> {
    gastown_api::crds()
        .iter()
        .map(|crd| serde_json::to_value(crd).unwrap())
        .collect()
}

/// One line a field: its path, type and bounds. Descriptions are in the generated reference.
fn fields(schema: &Value, path: &str, lines: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{path}.{name}");
        let list = field["type"] == "array";
        let inner = if list { &field["items"] } else { field };
        let kind = match (inner["type"].as_str(), &inner["additionalProperties"]) {
            (None, _) => "quantity".to_owned(),
            (Some("object"), values) if !values.is_null() => "map".to_owned(),
            (Some(kind), _) => inner["format"].as_str().unwrap_or(kind).to_owned(),
        };
        let required = schema["required"]
            .as_array()
            .is_some_and(|all| all.iter().any(|r| r == name));
        let mut line = format!("{at}: {kind}{}", if list { "[]" } else { "" });
        if required {
            line.push_str(" required");
        }
        for bound in [
            "default",
            "enum",
            "pattern",
            "minimum",
            "maximum",
            "minLength",
            "maxLength",
            "minItems",
            "maxItems",
            "maxProperties",
            "x-kubernetes-list-type",
            "x-kubernetes-list-map-keys",
        ] {
            for holder in [field, inner] {
                if let Some(value) = holder.get(bound) {
                    line.push_str(&format!(" {bound}={value}"));
                    break;
                }
            }
        }
        lines.push(line);
        fields(inner, &if list { format!("{at}[]") } else { at }, lines);
    }
}

#[test]
fn snapshots() {
    for definition in definitions() {
        let spec = &definition["spec"];
        let version = &spec["versions"][0];
        let schema = &version["schema"]["openAPIV3Schema"];
        let mut lines = vec![format!(
            "{} {} {} {}",
            definition["metadata"]["name"], spec["scope"], spec["names"], version["subresources"]
        )];
        for column in version["additionalPrinterColumns"].as_array().unwrap() {
            lines.push(format!("column {column}"));
        }
        lines.push(format!("required {}", schema["required"]));
        fields(schema, "", &mut lines);
        for rule in schema["properties"]["spec"]["x-kubernetes-validations"]
            .as_array()
            .into_iter()
            .flatten()
        {
            lines.push(format!("rule {}\n  says {}", rule["rule"], rule["message"]));
        }
        insta::assert_snapshot!(spec["names"]["plural"].as_str().unwrap().to_owned(), lines.join("\n"));
    }
}

#[test]
fn the_contract_of_all_kinds() {
    let names: Vec<String> = definitions()
        .iter()
        .map(|d| d["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    let expected = ["rigs", "polecats", "convoys", "witnesses", "refineries", "beadstores"]
        .map(|plural| format!("{plural}.gastown.gastown.io"));
    assert_eq!(names, expected);
    for definition in definitions() {
        let version = &definition["spec"]["versions"][0];
        assert_eq!(version["name"], "v1alpha1");
        assert!(version["subresources"]["status"].is_object());
        let columns = version["additionalPrinterColumns"].as_array().unwrap();
        let names: Vec<&str> = columns.iter().map(|c| c["name"].as_str().unwrap()).collect();
        assert_eq!(names[names.len() - 2..], ["Message", "Age"]);
    }
}

fn undescribed(schema: &Value, path: &str, found: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{path}.{name}");
        if field["description"].as_str().unwrap_or_default().len() < 5 {
            found.push(at.clone());
        }
        undescribed(field, &at, found);
        undescribed(&field["items"], &at, found);
    }
}

/// `kubectl explain` has an answer for every field.
#[test]
fn every_field_says_what_it_means() {
    for definition in definitions() {
        let mut found = Vec::new();
        let root = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        undescribed(root, &definition["spec"]["names"]["kind"].to_string(), &mut found);
        // Kubernetes' own quantity, whose page of documentation is left out.
        found.retain(|path| !path.ends_with(".divisor"));
        assert_eq!(found, Vec::<String>::new());
    }
}

fn rules(schema: &Value, found: &mut Vec<(String, String)>) {
    match schema {
        Value::Object(parts) => {
            for rule in parts
                .get("x-kubernetes-validations")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                let text = |name: &str| rule[name].as_str().unwrap_or_default().to_owned();
                found.push((text("rule"), text("message")));
            }
            parts.values().for_each(|part| rules(part, found));
        }
        Value::Array(parts) => parts.iter().for_each(|part| rules(part, found)),
        _ => {}
    }
}

/// Kubernetes 1.26 has the CEL of 2022: a function it lacks would make the whole definition unusable there.
#[test]
fn rules_use_what_kubernetes_1_26_has() {
    let calls = regex::Regex::new(r"([a-zA-Z]+)\(").unwrap();
    let known = ["has", "all", "exists", "startsWith", "endsWith", "size", "matches"];
    let mut found = Vec::new();
    for definition in definitions() {
        rules(&definition, &mut found);
    }
    assert!(!found.is_empty());
    for (rule, message) in found {
        for call in calls.captures_iter(&rule) {
            assert!(known.contains(&&call[1]), "{} in {rule}", &call[1]);
        }
        assert!(
            message.contains("write"),
            "{message:?} does not say what to write instead"
        );
    }
}
