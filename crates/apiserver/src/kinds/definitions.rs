//! The built-in kinds' schemas, as k8s-openapi carries them: for strict decoding and `kubectl explain`.

use std::sync::{Arc, OnceLock};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Status};
use schemars::SchemaGenerator;
use serde_json::Value;

use super::BuiltIn;
use crate::schema::Schema;

/// Every definition by name, for example `io.k8s.api.core.v1.Pod`.
pub(crate) fn definitions() -> &'static Value {
    static ALL: OnceLock<Value> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut generator = SchemaGenerator::default();
        for kind in [
            BuiltIn::Namespace,
            BuiltIn::Pod,
            BuiltIn::Secret,
            BuiltIn::ConfigMap,
            BuiltIn::Event,
            BuiltIn::Node,
            BuiltIn::Lease,
            BuiltIn::NetworkPolicy,
            BuiltIn::Crd,
        ] {
            subschema(kind, &mut generator);
        }
        generator.subschema_for::<ObjectMeta>();
        generator.subschema_for::<Status>();
        generator.subschema_for::<DeleteOptions>();
        Value::Object(generator.take_definitions(true))
    })
}

#[expect(
    clippy::disallowed_types,
    reason = "only the schema of a Secret, never one's content"
)]
fn subschema(kind: BuiltIn, generator: &mut SchemaGenerator) -> Value {
    match kind {
        BuiltIn::Namespace => generator.subschema_for::<core::Namespace>(),
        BuiltIn::Pod => generator.subschema_for::<core::Pod>(),
        BuiltIn::Secret => generator.subschema_for::<core::Secret>(),
        BuiltIn::ConfigMap => generator.subschema_for::<core::ConfigMap>(),
        BuiltIn::Event => generator.subschema_for::<core::Event>(),
        BuiltIn::Node => generator.subschema_for::<core::Node>(),
        BuiltIn::Lease => generator.subschema_for::<Lease>(),
        BuiltIn::NetworkPolicy => generator.subschema_for::<NetworkPolicy>(),
        BuiltIn::Crd => generator.subschema_for::<CustomResourceDefinition>(),
    }
    .to_value()
}

/// The compiled schema of a kind, and the schema as the OpenAPI document shows it.
pub(super) fn schema_of(kind: BuiltIn) -> (Arc<Schema>, Arc<Value>) {
    let reference = subschema(kind, &mut SchemaGenerator::default());
    let compiled = match Schema::compile_with(&reference, definitions()) {
        Ok(schema) => schema,
        // The definitions are a constant of the build; a test compiles them all.
        Err(error) => unreachable!("the built-in schema of {kind:?} compiles: {error}"),
    };
    (compiled, Arc::new(reference))
}

#[cfg(test)]
mod tests {
    #[test]
    fn built_in_schemas_know_their_fields() {
        for resource in super::super::resources() {
            let version = &resource.versions[0];
            let mut object = serde_json::json!({"metadata": {"name": "x", "colour": "red"}, "colour": "red"});
            let unknown = version.schema.prune(&mut object);
            assert_eq!(unknown, ["colour", "metadata.colour"], "{}", resource.kind);
        }
    }
}
