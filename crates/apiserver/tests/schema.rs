//! Custom resources: defaults, pruning, validation in kube-apiserver's words, CEL, definitions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Gadget, GadgetSpec, Town, status};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams, ValidationDirective};
use serde_json::{Value, json};

#[tokio::test]
async fn custom_resources_are_defaulted_pruned_and_judged() {
    let town = Town::new().await;
    let api: Api<Gadget> = town.namespaced();
    let made = api
        .create(
            &PostParams::default(),
            &Gadget::new(
                "g1",
                GadgetSpec {
                    size: 3,
                    ..Default::default()
                },
            ),
        )
        .await
        .unwrap();
    assert_eq!((made.spec.colour.as_str(), made.metadata.generation), ("red", Some(1)));

    let bad = status(
        api.create(
            &PostParams::default(),
            &Gadget::new(
                "g2",
                GadgetSpec {
                    size: 99,
                    ..Default::default()
                },
            ),
        )
        .await
        .unwrap_err(),
    );
    assert_eq!((bad.code, bad.reason.as_str()), (422, "Invalid"));
    assert_eq!(
        bad.message,
        "Gadget.things.example.org \"g2\" is invalid: spec.size: Invalid value: 99: spec.size in body should be less than or equal to 10"
    );
    let causes = bad.details.unwrap().causes;
    assert_eq!(
        (causes[0].field.as_str(), causes[0].reason.as_str()),
        ("spec.size", "FieldValueInvalid")
    );

    // CEL, with its own words; then a rule about the change itself.
    let odd = status(
        api.create(
            &PostParams::default(),
            &Gadget::new(
                "g3",
                GadgetSpec {
                    size: 4,
                    twin: Some("g3-twin".into()),
                    ..Default::default()
                },
            ),
        )
        .await
        .unwrap_err(),
    );
    assert_eq!(
        odd.message,
        "Gadget.things.example.org \"g3\" is invalid: spec: Invalid value: only gadgets of odd size have a twin; remove spec.twin"
    );
    let shrink = json!({"spec": {"size": 1}});
    let refused = status(
        api.patch("g1", &PatchParams::default(), &Patch::Merge(shrink))
            .await
            .unwrap_err(),
    );
    assert!(
        refused.message.contains("a gadget never shrinks"),
        "{}",
        refused.message
    );

    // The specification counts in the generation; status has its own door.
    let grown = api
        .patch(
            "g1",
            &PatchParams::default(),
            &Patch::Merge(json!({"spec": {"size": 5}, "status": {"state": "no"}})),
        )
        .await
        .unwrap();
    assert_eq!((grown.metadata.generation, grown.status), (Some(2), None));
    let told = api
        .patch_status(
            "g1",
            &PatchParams::default(),
            &Patch::Merge(json!({"spec": {"size": 9}, "status": {"state": "busy"}})),
        )
        .await
        .unwrap();
    assert_eq!(
        (
            told.spec.size,
            told.metadata.generation,
            told.status.unwrap().state.as_str()
        ),
        (5, Some(2), "busy")
    );
}

#[tokio::test]
async fn unknown_fields_are_pruned_warned_of_or_refused() {
    let town = Town::new().await;
    let resource = ApiResource::erase::<Gadget>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(town.client.clone(), "default", &resource);
    let mut object = DynamicObject::new("loose", &resource);
    object.data = json!({"spec": {"size": 1, "wheels": 4}});
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    assert_eq!(made.data["spec"], json!({"size": 1, "colour": "red"}));

    let strict = PatchParams {
        field_validation: Some(ValidationDirective::Strict),
        ..Default::default()
    };
    let refused = status(
        api.patch("loose", &strict, &Patch::Merge(json!({"spec": {"wheels": 4}})))
            .await
            .unwrap_err(),
    );
    assert_eq!(refused.code, 422);
    assert!(
        refused
            .message
            .contains("strict decoding error: unknown field \"spec.wheels\""),
        "{}",
        refused.message
    );
}

const GROUP: &str = "probe.example.org";

/// A definition of `Probe` with this schema for `spec`.
fn definition(spec: &Value) -> CustomResourceDefinition {
    serde_json::from_value(json!({
        "metadata": {"name": format!("probes.{GROUP}")},
        "spec": {
            "group": GROUP,
            "scope": "Cluster",
            "names": {"plural": "probes", "kind": "Probe"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
            }],
        },
    }))
    .unwrap()
}

fn probes(town: &Town) -> (Api<DynamicObject>, ApiResource) {
    let resource = ApiResource {
        group: GROUP.into(),
        version: "v1".into(),
        api_version: format!("{GROUP}/v1"),
        kind: "Probe".into(),
        plural: "probes".into(),
    };
    (Api::all_with(town.client.clone(), &resource), resource)
}

#[tokio::test]
async fn every_bound_is_refused_in_kube_apiservers_words() {
    let town = Town::new().await;
    let crds: Api<CustomResourceDefinition> = Api::all(town.client.clone());
    let spec = json!({
        "type": "object",
        "required": ["must"],
        "properties": {
            "must": {"type": "string"},
            "count": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 5},
            "word": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 4},
            "mode": {"type": "string", "enum": ["slow", "fast"]},
            "port": {"x-kubernetes-int-or-string": true},
            "parts": {
                "type": "array", "maxItems": 2, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "required": ["name"], "properties": {
                    "name": {"type": "string"}, "size": {"type": "integer", "default": 7}}},
            },
            "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "limits": {"type": "object", "additionalProperties": {"type": "integer"}, "x-kubernetes-validations": [
                {"rule": "self.all(k, self[k] > 0)", "messageExpression": "'limits are positive, got ' + string(size(self))"}]},
            "maybe": {"type": "string", "nullable": true, "default": "unset"},
        },
    });
    crds.create(&PostParams::default(), &definition(&spec)).await.unwrap();
    let (api, resource) = probes(&town);
    let make = |name: &str, spec: Value| {
        let mut object = DynamicObject::new(name, &resource);
        object.data = json!({"spec": spec});
        object
    };
    for (spec, expected) in [
        (json!({}), "spec.must: Required value"),
        (
            json!({"must": 1}),
            "spec.must: Invalid value: \"integer\": spec.must in body must be of type string: \"integer\"",
        ),
        (
            json!({"must": "", "count": 0}),
            "spec.count: Invalid value: 0: spec.count in body should be greater than or equal to 1",
        ),
        (
            json!({"must": "", "word": "A1"}),
            "spec.word: Invalid value: \"A1\": spec.word in body should match '^[a-z]+$'",
        ),
        (
            json!({"must": "", "word": "a"}),
            "spec.word: Invalid value: \"a\": spec.word in body should be at least 2 chars long",
        ),
        (
            json!({"must": "", "word": "abcde"}),
            "spec.word: Too long: may not be more than 4 bytes",
        ),
        (
            json!({"must": "", "mode": "odd"}),
            "spec.mode: Unsupported value: \"odd\": supported values: \"slow\", \"fast\"",
        ),
        (
            json!({"must": "", "port": true}),
            "spec.port: Invalid value: \"boolean\": spec.port in body must be of type integer,string: \"boolean\"",
        ),
        (
            json!({"must": "", "parts": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}),
            "spec.parts: Too many: 3: must have at most 2 items",
        ),
        (
            json!({"must": "", "parts": [{"name": "a"}, {"name": "a"}]}),
            "spec.parts[1]: Duplicate value: {\"name\":\"a\"}",
        ),
        (
            json!({"must": "", "parts": [{"size": 1}]}),
            "spec.parts[0].name: Required value",
        ),
        (
            json!({"must": "", "tags": ["x", "x"]}),
            "spec.tags[1]: Duplicate value: \"x\"",
        ),
        (
            json!({"must": "", "limits": {"a": 0}}),
            "spec.limits: Invalid value: limits are positive, got 1",
        ),
    ] {
        let refused = status(api.create(&PostParams::default(), &make("p", spec)).await.unwrap_err());
        // Some faults keep the rules from being run, and the answer says so.
        let unchecked = ", <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]";
        let alone = format!("Probe.{GROUP} \"p\" is invalid: {expected}");
        let among = format!("Probe.{GROUP} \"p\" is invalid: [{expected}{unchecked}");
        assert!(
            refused.message == alone || refused.message == among,
            "{}",
            refused.message
        );
    }
    let name = status(
        api.create(&PostParams::default(), &make("Big_Name", json!({"must": ""})))
            .await
            .unwrap_err(),
    );
    assert!(
        name.message.contains("a lowercase RFC 1123 subdomain must consist of"),
        "{}",
        name.message
    );

    // Nulls where none may be give way, those that may be stay; what is open stays open.
    let rich =
        json!({"must": "", "mode": null, "maybe": null, "port": "http", "parts": [{"name": "a"}], "free": {"x": [1]}});
    let made = api.create(&PostParams::default(), &make("good", rich)).await.unwrap();
    let expected =
        json!({"must": "", "maybe": null, "port": "http", "parts": [{"name": "a", "size": 7}], "free": {"x": [1]}});
    assert_eq!(made.data["spec"], expected);

    // A PUT has to say which revision it replaces.
    let blind = status(
        api.replace("good", &PostParams::default(), &make("good", json!({"must": "x"})))
            .await
            .unwrap_err(),
    );
    assert!(
        blind
            .message
            .contains("metadata.resourceVersion: Invalid value: 0: must be specified for an update"),
        "{}",
        blind.message
    );
}

#[tokio::test]
async fn a_stricter_schema_leaves_old_objects_writable() {
    let town = Town::new().await;
    let crds: Api<CustomResourceDefinition> = Api::all(town.client.clone());
    let loose = json!({"type": "object", "properties": {"word": {"type": "string"}, "other": {"type": "string"}}});
    crds.create(&PostParams::default(), &definition(&loose)).await.unwrap();
    let (api, resource) = probes(&town);
    let mut object = DynamicObject::new("old", &resource);
    object.data = json!({"spec": {"word": "TOO LOUD"}});
    api.create(&PostParams::default(), &object).await.unwrap();

    let stricter = json!({"spec": {"versions": [{
        "name": "v1", "served": true, "storage": true,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "word": {"type": "string", "pattern": "^[a-z]+$"}, "other": {"type": "string"}}}}}},
    }]}});
    crds.patch(
        &format!("probes.{GROUP}"),
        &PatchParams::default(),
        &Patch::Merge(stricter),
    )
    .await
    .unwrap();
    let spec = |spec: Value| Patch::Merge(json!({"spec": spec}));
    api.patch("old", &PatchParams::default(), &spec(json!({"other": "x"})))
        .await
        .unwrap();
    let refused = api
        .patch("old", &PatchParams::default(), &spec(json!({"word": "LOUDER"})))
        .await
        .unwrap_err();
    assert!(status(refused).message.contains("should match"));
}

#[tokio::test]
async fn definitions_that_cannot_work_are_refused() {
    let town = Town::new().await;
    let crds: Api<CustomResourceDefinition> = Api::all(town.client.clone());
    let rule = |rule: &str| json!({"type": "object", "properties": {"a": {"type": "string"}}, "x-kubernetes-validations": [{"rule": rule}]});
    for (spec, expected) in [
        (
            json!({"type": "string", "pattern": "("}),
            "must be a valid regular expression",
        ),
        (rule("self.a =="), "x-kubernetes-validations"),
    ] {
        let refused = status(
            crds.create(&PostParams::default(), &definition(&spec))
                .await
                .unwrap_err(),
        );
        assert_eq!(refused.code, 422);
        assert!(refused.message.contains(expected), "{}", refused.message);
    }
    let mut misnamed = definition(&json!({"type": "object"}));
    misnamed.metadata.name = Some("else.example.org".into());
    let refused = status(crds.create(&PostParams::default(), &misnamed).await.unwrap_err());
    assert!(
        refused.message.contains("must be spec.names.plural+\".\"+spec.group"),
        "{}",
        refused.message
    );
}
