//! What does not depend on a rig: the kinds, the operator, the user's rights, the namespace.

use super::Check;
use crate::session::Session;
use crate::{DEFAULT_NAMESPACE, Failure};
use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use serde_json::Value;

/// The operator's lease, of this generation and the one before.
const LEASE: &str = "9a7b81dd.gastown.io";
/// A lease that was not renewed for this long has no holder. Seconds.
const STALE: i64 = 60;
/// Where the predecessor's manifests put the operator.
const PREDECESSOR_NAMESPACE: &str = "gastown-operator-system";
/// What the API server of one machine says in its version: it and the operator are one process, and need no lease.
const ONE_MACHINE: &str = "+gastown";
/// Oldest Kubernetes that is served.
const OLDEST: u32 = 26;
/// The chart's roles for people, as a release of its own name has them: in a namespace, and for rigs.
const ROLES: [&str; 2] = ["gastown-operator-editor", "gastown-operator-rig-viewer"];
/// What people do here: verb, resource, subresource, group, whether in a namespace.
const RIGHTS: [(&str, &str, &str, &str, bool, &str); 9] = [
    ("create", "polecats", "", gastown_api::GROUP, true, "sling"),
    ("list", "polecats", "", gastown_api::GROUP, true, "polecat list"),
    ("patch", "polecats", "", gastown_api::GROUP, true, "polecat retry, nuke"),
    (
        "delete",
        "polecats",
        "",
        gastown_api::GROUP,
        true,
        "polecat nuke --force",
    ),
    ("create", "convoys", "", gastown_api::GROUP, true, "convoy create"),
    ("get", "rigs", "", gastown_api::GROUP, false, "sling"),
    ("create", "rigs", "", gastown_api::GROUP, false, "rig create"),
    ("get", "pods", "log", "", true, "polecat logs"),
    ("patch", "pods", "", "", true, "polecat tell"),
];

pub(super) async fn checks(session: &Session<'_>) -> Result<Vec<Check>, Failure> {
    let (version, check) = server(session).await?;
    let mut checks = vec![check];
    checks.push(kinds(session).await?);
    checks.push(operator(&version, session).await?);
    checks.extend(namespace(session).await?);
    checks.push(rights(session).await?);
    Ok(checks)
}

/// Whether an answer is a refusal: what may not be looked at is no failure of the town.
fn forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(s) if s.code == 401 || s.code == 403)
}

fn unknown_there(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(s) if matches!(s.code, 404 | 405))
}

async fn server(session: &Session<'_>) -> Result<(String, Check), Failure> {
    let version = session.cluster.client.apiserver_version().await?;
    let digits = |text: &str| {
        text.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
            .parse::<u32>()
    };
    let old = matches!((digits(&version.major), digits(&version.minor)), (Ok(1), Ok(minor)) if minor < OLDEST);
    let check = if old {
        Check::fail(
            "API server",
            format!("Kubernetes {}: older than 1.{OLDEST}", version.git_version),
            "update the cluster",
        )
    } else {
        Check::ok("API server", format!("Kubernetes {}", version.git_version))
    };
    Ok((version.git_version, check))
}

async fn kinds(session: &Session<'_>) -> Result<Check, Failure> {
    const INSTALL: &str = "helm upgrade --install gastown-operator charts/gastown-operator -n gastown-system --create-namespace && kubectl apply --server-side -f charts/gastown-operator/files/crds";
    let api: Api<CustomResourceDefinition> = Api::all(session.cluster.client.clone());
    let (mut missing, mut older) = (Vec::new(), Vec::new());
    for ours in gastown_api::crds() {
        let name = ours.name_any();
        match api.get_opt(&name).await {
            Ok(None) => missing.push(ours.spec.names.kind.clone()),
            Ok(Some(theirs)) => {
                let lacks = lacking(&schema(&ours), &schema(&theirs), "");
                if let Some(first) = lacks.first() {
                    older.push(format!("{} has no {first}", ours.spec.names.kind));
                }
            }
            Err(e) if forbidden(&e) => return Ok(Check::warn("kinds", "you may not look at definitions")),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(match (missing.is_empty(), older.is_empty()) {
        (false, _) => Check::fail("kinds", format!("not installed: {}", missing.join(", ")), INSTALL),
        (true, false) => Check::warn("kinds", format!("older than this program: {}", older.join("; "))).fix(INSTALL),
        (true, true) => Check::ok("kinds", "all six, and current"),
    })
}

fn schema(crd: &CustomResourceDefinition) -> Value {
    let version = crd.spec.versions.iter().find(|v| v.name == gastown_api::VERSION);
    let schema = version.and_then(|v| v.schema.as_ref()?.open_api_v3_schema.as_ref());
    serde_json::to_value(schema).unwrap_or_default()
}

/// Fields that one schema has and another has not.
fn lacking(ours: &Value, theirs: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(fields) = ours.get("properties").and_then(Value::as_object) {
        for (name, field) in fields {
            let here = format!("{path}.{name}");
            match theirs.pointer(&format!("/properties/{name}")) {
                Some(held) => found.extend(lacking(field, held, &here)),
                None => found.push(here),
            }
        }
    }
    if let Some(items) = ours.get("items") {
        found.extend(lacking(
            items,
            theirs.get("items").unwrap_or(&Value::Null),
            &format!("{path}[]"),
        ));
    }
    found
}

/// Where an operator stands for election.
enum Seat {
    /// It is held, by that replica.
    Held(String),
    /// Nobody has renewed it for so many seconds, or ever.
    Left(Option<i64>),
    /// None ever stood there.
    Empty,
    /// We may not look.
    Hidden,
}

async fn seat(namespace: &str, session: &Session<'_>) -> Result<Seat, Failure> {
    let api: Api<Lease> = Api::namespaced(session.cluster.client.clone(), namespace);
    let lease = match api.get_opt(LEASE).await {
        Ok(Some(lease)) => lease,
        Ok(None) => return Ok(Seat::Empty),
        Err(e) if forbidden(&e) => return Ok(Seat::Hidden),
        Err(e) => return Err(e.into()),
    };
    let spec = lease.spec.unwrap_or_default();
    let holder = spec.holder_identity.filter(|h| !h.is_empty());
    let age = spec.renew_time.map(|t| Timestamp::now().duration_since(t.0).as_secs());
    Ok(match (holder, age) {
        (Some(holder), Some(age)) if age <= STALE => Seat::Held(holder),
        (_, age) => Seat::Left(age),
    })
}

/// Namespaces where operators are looked for.
fn homes<'a>(session: &'a Session<'_>) -> [&'a str; 3] {
    [session.namespace(), DEFAULT_NAMESPACE, PREDECESSOR_NAMESPACE]
}

/// Where an operator runs that holds this namespace's place in vain: none runs there, and one does somewhere else.
pub(super) async fn moved_from(home: &str, session: &Session<'_>) -> Result<Option<String>, Failure> {
    if !matches!(seat(home, session).await?, Seat::Left(_) | Seat::Empty) {
        return Ok(None);
    }
    for other in homes(session) {
        if other != home && matches!(seat(other, session).await?, Seat::Held(_)) {
            return Ok(Some(other.to_owned()));
        }
    }
    Ok(None)
}

async fn operator(version: &str, session: &Session<'_>) -> Result<Check, Failure> {
    const NAME: &str = "operator";
    let mut may_not = false;
    let mut stale = None;
    for namespace in homes(session) {
        match seat(namespace, session).await? {
            Seat::Held(holder) => return Ok(Check::ok(NAME, format!("{holder} in namespace {namespace}"))),
            Seat::Left(age) => stale = Some((namespace.to_owned(), age)),
            Seat::Empty => {}
            Seat::Hidden => may_not = true,
        }
    }
    if stale.is_none() && version.contains(ONE_MACHINE) {
        return Ok(Check::ok(NAME, "part of gastown up, like this API server"));
    }
    let see = format!("kubectl get deploy,pods -n {DEFAULT_NAMESPACE}; on one machine: gastown up");
    Ok(match (stale, may_not) {
        (Some((namespace, age)), _) => Check::fail(
            NAME,
            format!(
                "none runs: its lease in namespace {namespace} was last renewed {} ago",
                age.map_or_else(|| "never".to_owned(), crate::output::span)
            ),
            see,
        ),
        (None, true) => Check::warn(NAME, "you may not look at its lease"),
        (None, false) => Check::fail(NAME, "none has ever run in the namespaces looked at", see),
    })
}

async fn namespace(session: &Session<'_>) -> Result<Vec<Check>, Failure> {
    const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
    let name = session.namespace();
    let check = format!("namespace {name}");
    let api: Api<Namespace> = Api::all(session.cluster.client.clone());
    let found = match api.get_opt(name).await {
        Ok(Some(found)) => found,
        Ok(None) => {
            return Ok(vec![Check::fail(
                check,
                "is not there",
                format!("kubectl create namespace {name}"),
            )]);
        }
        Err(e) if forbidden(&e) => return Ok(vec![Check::warn(check, "you may not look at it")]),
        Err(e) => return Err(e.into()),
    };
    let level = found.labels().get(ENFORCE).cloned();
    Ok(vec![match level {
        Some(level) => Check::ok(
            check,
            format!("pod security: {level}; polecats fit the strictest, restricted"),
        ),
        None => Check::ok(check, "no pod security level is enforced; polecats fit restricted"),
    }])
}

async fn rights(session: &Session<'_>) -> Result<Check, Failure> {
    const NAME: &str = "your rights";
    let api: Api<SelfSubjectAccessReview> = Api::all(session.cluster.client.clone());
    let mut denied = Vec::new();
    for (verb, resource, part, group, namespaced, what) in RIGHTS {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    verb: Some(verb.into()),
                    resource: Some(resource.into()),
                    subresource: Some(part.to_owned()).filter(|p| !p.is_empty()),
                    group: Some(group.into()),
                    namespace: namespaced.then(|| session.namespace().to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        match api.create(&PostParams::default(), &review).await {
            Ok(answer) if answer.status.as_ref().is_some_and(|s| s.allowed) => {}
            Ok(_) => denied.push(format!("{verb} {resource} ({what})")),
            Err(e) if unknown_there(&e) => {
                return Ok(Check::ok(NAME, "this API server keeps no rights: all is allowed"));
            }
            Err(e) if forbidden(&e) => return Ok(Check::warn(NAME, "you may not even ask for your rights")),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(if denied.is_empty() {
        Check::ok(NAME, "all that this program needs")
    } else {
        let [edit, see] = ROLES;
        let namespace = session.namespace();
        Check::warn(NAME, format!("you may not: {}", denied.join(", "))).fix(format!(
            "ask for the roles {edit} in namespace {namespace} and {see} everywhere (docs/INSTALL.md: What it may do); \
             logs and tell are in Kubernetes' own role edit, rig create is an administrator's"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roles_to_ask_for_are_those_of_the_chart() {
        let manifest = include_str!("../../../../deploy/install.yaml");
        for role in ROLES {
            assert!(manifest.contains(&format!("\n  name: {role}\n")), "{role}");
        }
    }

    #[test]
    fn an_older_definition_is_told_by_a_field_it_lacks() {
        let crds = gastown_api::crds();
        let ours = schema(crds.iter().find(|c| c.spec.names.kind == "Polecat").unwrap());
        assert!(lacking(&ours, &ours, "").is_empty());
        let mut theirs = ours.clone();
        let spec = theirs.pointer_mut("/properties/spec/properties").unwrap();
        spec.as_object_mut().unwrap().remove("priority");
        assert_eq!(lacking(&ours, &theirs, ""), [".spec.priority"]);
        // A newer one has more, and is no trouble.
        assert!(lacking(&theirs, &ours, "").is_empty());
    }
}
