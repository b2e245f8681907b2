//! The kinds this server knows by itself, and what each demands beyond its schema.

mod crd;
mod definitions;
mod event;
mod lease;
mod namespace;
mod network;
mod pod;
mod quantity;
mod resources;
mod secret;

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) use crd::{CLEANUP, compile as compile_crd, version_rank};
pub(crate) use definitions::definitions;

use crate::catalog::{Column, Resource, Version};
use crate::schema::Rules;
use crate::status::FieldError;

/// A built-in kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum BuiltIn {
    Namespace,
    Pod,
    Secret,
    ConfigMap,
    Event,
    Node,
    Lease,
    NetworkPolicy,
    Crd,
}

struct Row {
    kind: BuiltIn,
    group: &'static str,
    plural: &'static str,
    name: &'static str,
    short: &'static [&'static str],
    categories: &'static [&'static str],
    namespaced: bool,
    status: bool,
    selectable: &'static [&'static str],
    columns: &'static [(&'static str, &'static str, i64)],
}

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

const POD_FIELDS: &[&str] = &[
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
];

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row { kind: BuiltIn::ConfigMap, group: "", plural: "configmaps", name: "ConfigMap", short: &["cm"], categories: &[], namespaced: true, status: false, selectable: &[],
        columns: &[("Data", "string", 0), ("Age", "string", 0)] },
    Row { kind: BuiltIn::Event, group: "", plural: "events", name: "Event", short: &["ev"], categories: &[], namespaced: true, status: false, selectable: EVENT_FIELDS,
        columns: &[("Last Seen", "string", 0), ("Type", "string", 0), ("Reason", "string", 0), ("Object", "string", 0), ("Subobject", "string", 1), ("Source", "string", 1), ("Message", "string", 0), ("First Seen", "string", 1), ("Count", "string", 1), ("Name", "string", 1)] },
    Row { kind: BuiltIn::Namespace, group: "", plural: "namespaces", name: "Namespace", short: &["ns"], categories: &[], namespaced: false, status: true, selectable: &["status.phase"],
        columns: &[("Status", "string", 0), ("Age", "string", 0)] },
    Row { kind: BuiltIn::Node, group: "", plural: "nodes", name: "Node", short: &["no"], categories: &[], namespaced: false, status: true, selectable: &["spec.unschedulable"],
        columns: &[("Status", "string", 0), ("Roles", "string", 0), ("Age", "string", 0), ("Version", "string", 0), ("Internal-IP", "string", 1), ("External-IP", "string", 1), ("OS-Image", "string", 1), ("Kernel-Version", "string", 1), ("Container-Runtime", "string", 1)] },
    Row { kind: BuiltIn::Pod, group: "", plural: "pods", name: "Pod", short: &["po"], categories: &["all"], namespaced: true, status: true, selectable: POD_FIELDS,
        columns: &[("Ready", "string", 0), ("Status", "string", 0), ("Restarts", "string", 0), ("Age", "string", 0), ("IP", "string", 1), ("Node", "string", 1), ("Nominated Node", "string", 1), ("Readiness Gates", "string", 1)] },
    Row { kind: BuiltIn::Secret, group: "", plural: "secrets", name: "Secret", short: &[], categories: &[], namespaced: true, status: false, selectable: &["type"],
        columns: &[("Type", "string", 0), ("Data", "integer", 0), ("Age", "string", 0)] },
    Row { kind: BuiltIn::Crd, group: "apiextensions.k8s.io", plural: "customresourcedefinitions", name: "CustomResourceDefinition", short: &["crd", "crds"], categories: &["api-extensions"], namespaced: false, status: true, selectable: &[],
        columns: &[("Created At", "date", 0)] },
    Row { kind: BuiltIn::Lease, group: "coordination.k8s.io", plural: "leases", name: "Lease", short: &[], categories: &[], namespaced: true, status: false, selectable: &[],
        columns: &[("Holder", "string", 0), ("Age", "string", 0)] },
    Row { kind: BuiltIn::NetworkPolicy, group: "networking.k8s.io", plural: "networkpolicies", name: "NetworkPolicy", short: &["netpol"], categories: &[], namespaced: true, status: false, selectable: &[],
        columns: &[("Pod-Selector", "string", 0), ("Age", "string", 0)] },
];

/// The built-in resources. Their schemas are compiled once a process.
pub(crate) fn resources() -> Vec<Arc<Resource>> {
    static ALL: OnceLock<Vec<Arc<Resource>>> = OnceLock::new();
    ALL.get_or_init(|| ROWS.iter().map(resource).map(Arc::new).collect())
        .clone()
}

fn resource(row: &Row) -> Resource {
    let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
    let mut columns = vec![column("Name", "string", 0)];
    columns.extend(row.columns.iter().map(|(n, t, p)| column(n, t, *p)));
    if row.kind == BuiltIn::Event {
        // Events print their name last, and only when asked for more.
        columns.remove(0);
    }
    let (schema, open_api) = definitions::schema_of(row.kind);
    Resource {
        id: crate::catalog::resource_id(row.group, row.plural).into(),
        group: row.group.to_owned(),
        plural: row.plural.to_owned(),
        singular: row.name.to_lowercase(),
        kind: row.name.to_owned(),
        list_kind: format!("{}List", row.name),
        short_names: strings(row.short),
        categories: strings(row.categories),
        namespaced: row.namespaced,
        storage: "v1".to_owned(),
        versions: vec![Version {
            name: "v1".to_owned(),
            schema,
            rules: Rules::default(),
            open_api,
            has_status: row.status,
            columns,
            selectable: strings(row.selectable),
            deprecation: None,
        }],
        built_in: Some(row.kind),
    }
}

fn column(name: &str, kind: &str, priority: i64) -> Column {
    Column {
        name: name.to_owned(),
        kind: kind.to_owned(),
        format: if name == "Name" {
            "name".to_owned()
        } else {
            String::new()
        },
        description: match name {
            "Name" => described("name"),
            _ => String::new(),
        },
        priority,
        path: String::new(),
    }
}

/// What upstream says of a field of the metadata.
fn described(field: &str) -> String {
    definitions()
        .get("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
        .and_then(|m| m.pointer(&format!("/properties/{field}/description")))
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

impl BuiltIn {
    /// Whether a change of the specification counts in `metadata.generation`.
    pub(crate) fn has_generation(self) -> bool {
        matches!(self, BuiltIn::Pod | BuiltIn::NetworkPolicy | BuiltIn::Crd)
    }

    /// Fills in what upstream fills in when such an object is created.
    pub(crate) fn prepare_create(self, value: &mut Value, now: Timestamp) {
        match self {
            BuiltIn::Pod => pod::prepare_create(value),
            BuiltIn::Namespace => namespace::prepare_create(value),
            BuiltIn::Secret => secret::prepare(value),
            BuiltIn::Event => event::prepare(value),
            BuiltIn::NetworkPolicy => network::prepare(value),
            BuiltIn::Crd => crd::prepare_create(value, now),
            _ => {}
        }
    }

    /// Fills in what upstream fills in when such an object is replaced.
    pub(crate) fn prepare_update(self, value: &mut Value, old: &Value, now: Timestamp) {
        match self {
            BuiltIn::Pod => pod::default(value),
            BuiltIn::Namespace => namespace::prepare_update(value, old),
            BuiltIn::Secret => secret::prepare(value),
            BuiltIn::Event => event::prepare(value),
            BuiltIn::NetworkPolicy => network::prepare(value),
            BuiltIn::Crd => crd::prepare_update(value, old, now),
            _ => {}
        }
    }

    /// What holds when only the status is written, too.
    pub(crate) fn prepare_status(self, value: &mut Value, old: &Value) {
        match self {
            BuiltIn::Namespace => namespace::keep_label(value),
            BuiltIn::Pod => pod::keep_quality(value, old),
            _ => {}
        }
    }

    /// Why a body cannot be decoded into its kind, beyond wrong types.
    pub(crate) fn check_encoding(self, value: &Value) -> Result<(), String> {
        match self {
            BuiltIn::Secret => secret::check_encoding(value, "data"),
            BuiltIn::ConfigMap => secret::check_encoding(value, "binaryData"),
            BuiltIn::Pod => pod::check_quantities(value),
            _ => Ok(()),
        }
    }

    /// Whether a whole collection of them may be deleted at once.
    pub(crate) fn deletes_collections(self) -> bool {
        self != BuiltIn::Namespace
    }

    /// What the schema cannot say.
    pub(crate) fn validate(self, value: &Value, old: Option<&Value>) -> Vec<FieldError> {
        match self {
            BuiltIn::Pod => pod::validate(value, old),
            BuiltIn::Secret => secret::validate(value, old, "Secret"),
            BuiltIn::ConfigMap => secret::validate(value, old, "ConfigMap"),
            BuiltIn::Crd => crd::validate(value, old),
            BuiltIn::Event => event::validate(value),
            BuiltIn::Lease => lease::validate(value),
            BuiltIn::NetworkPolicy => network::validate(value),
            _ => Vec::new(),
        }
    }

    /// A word of warning with every write of such an object.
    pub(crate) fn warning(self) -> Option<&'static str> {
        (self == BuiltIn::NetworkPolicy).then_some(
            "NetworkPolicy is stored but not enforced: this is one machine's API, its pods share the machine's network",
        )
    }
}

/// An empty object of a kind that exists from the start.
pub(crate) fn first_namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}
