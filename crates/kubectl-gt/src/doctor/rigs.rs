//! What a rig needs: a test command, Secrets with the right keys, a remote that pods reach and that takes pushes.

use super::Check;
use crate::auth;
use crate::needs::{self, Lack};
use crate::session::Session;
use crate::{Failure, output::one_line};
use gastown_api::conditions::{self, CONTENT_KEPT, DEGRADED, PROGRESSING};
use gastown_api::{Polecat, PolecatPhase, Refinery, Rig, RigPhase, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use std::collections::BTreeMap;

/// Any one of these groups of keys makes a git credential.
const GIT_KEYS: [&[&str]; 7] = [
    &["ssh-privatekey"],
    &["id_rsa"],
    &["id_ed25519"],
    &["identity"],
    &["username", "password"],
    &["password"],
    &["token"],
];
/// The reason of a queue whose branch is protected.
const PUSH_REJECTED: &str = "PushRejected";
/// The reason of a polecat whose repository takes nothing but commits.
const CONTENT_REFUSED: &str = "ContentRefused";

pub(super) async fn checks(rig: Option<&str>, session: &Session<'_>) -> Result<Vec<Check>, Failure> {
    let rigs = match rig {
        Some(word) => vec![session.rig(word).await?],
        None => session.rigs().list(None).await?,
    };
    if rigs.is_empty() {
        let fix = format!("{} rig create NAME --git-url URL --prefix ab", session.program());
        return Ok(vec![Check::warn("rigs", "there are none").fix(fix)]);
    }
    let polecats: Vec<Polecat> = session
        .polecats(false)
        .list(None)
        .await?
        .into_iter()
        .map(|p| p.object)
        .collect();
    let mut checks = Vec::new();
    for held in rigs {
        checks.extend(one(&held.object, &polecats, session).await?);
    }
    Ok(checks)
}

async fn one(rig: &Rig, polecats: &[Polecat], session: &Session<'_>) -> Result<Vec<Check>, Failure> {
    let name = rig.name_any();
    let status = rig.status.clone().unwrap_or_default();
    let mut checks = Vec::new();
    let said = status
        .message
        .unwrap_or_else(|| "the operator has not looked at it yet".to_owned());
    let check = format!("rig {name}");
    checks.push(match status.phase {
        RigPhase::Ready => Check::ok(check, one_line(&said)),
        RigPhase::Initializing => Check::warn(check, one_line(&said)),
        RigPhase::Degraded => Check::fail(
            check,
            one_line(&said),
            format!("{} rig status {name}", session.program()),
        ),
    });
    checks.extend(abandoned(&name, rig, session).await?);
    let refinery = session
        .refineries(Some(session.home_of(rig)))
        .get(&names::refinery_name(&name))
        .await?
        .map(|r| r.object);
    checks.push(test_command(&name, rig, refinery.as_ref()));
    checks.extend(git_secret(&name, rig, session));
    checks.extend(secrets(&name, rig, session).await?);
    checks.push(remote(&name, rig, refinery.as_ref(), polecats, session.program()));
    checks.extend(content(&name, polecats));
    checks.extend(refinery.as_ref().and_then(|r| protected(&name, r, session.program())));
    Ok(checks)
}

/// A status that nobody writes any more: its operator is gone, and one that runs in another namespace leaves it alone.
async fn abandoned(name: &str, rig: &Rig, session: &Session<'_>) -> Result<Option<Check>, Failure> {
    let home = rig.status.as_ref().and_then(|s| s.child_namespace.as_deref());
    let Some(home) = home.filter(|home| !home.is_empty()) else {
        return Ok(None);
    };
    let fix = format!(
        "kubectl patch rig {name} --subresource status --type merge -p '{{\"status\":{{\"childNamespace\":null}}}}'"
    );
    Ok(super::cluster::moved_from(home, session).await?.map(|other| {
        let what = format!("its status is that of an operator in {home}, where none runs; one runs in {other}");
        Check::fail(format!("rig {name} operator"), what, fix)
    }))
}

fn test_command(name: &str, rig: &Rig, refinery: Option<&Refinery>) -> Check {
    let own = refinery.and_then(|r| r.spec.test_command.as_ref());
    let command = own.or(rig.spec.test_command.as_ref());
    let check = format!("rig {name} test");
    match needs::test_command(name, command.map(String::as_str)) {
        Some(lack) => lacks(check, lack),
        None => Check::ok(check, one_line(command.map_or("", String::as_str))),
    }
}

fn git_secret(name: &str, rig: &Rig, session: &Session<'_>) -> Option<Check> {
    let lack = needs::git_secret(name, &rig.spec, session.namespace())?;
    Some(lacks(format!("rig {name} git secret"), lack))
}

fn lacks(check: String, lack: Lack) -> Check {
    match lack.bars {
        true => Check::fail(check, lack.what, lack.fix),
        false => Check::warn(check, lack.what).fix(lack.fix),
    }
}

/// A Secret a rig names.
struct Wanted {
    what: &'static str,
    secret: String,
    /// Any one of these groups of keys will do; none: the Secret alone.
    groups: Vec<Vec<String>>,
    /// What makes it.
    fix: String,
}

/// The Secrets a rig names, with what its polecats' pods look for in them.
async fn secrets(name: &str, rig: &Rig, session: &Session<'_>) -> Result<Vec<Check>, Failure> {
    let mut wanted: Vec<Wanted> = Vec::new();
    let program = session.program();
    let namespace = session.namespace();
    if let Some(secret) = &rig.spec.git_secret_ref {
        let keys = GIT_KEYS
            .iter()
            .map(|group| group.iter().map(|k| (*k).to_owned()).collect());
        let fix = format!(
            "kubectl create secret generic {} --from-file=ssh-privatekey=$HOME/.ssh/id_ed25519 -n {namespace}",
            secret.name
        );
        wanted.push(Wanted {
            what: "git secret",
            secret: secret.name.clone(),
            groups: keys.collect(),
            fix,
        });
    }
    if let Some(secret) = &rig.spec.claude_creds_secret_ref {
        // Any settings will do for other agents; a login for Claude Code. A key or a token is taken as well.
        let instead = [gastown_wire::API_KEY_KEY, gastown_wire::TOKEN_KEY];
        let keys = gastown_wire::LOGIN_KEYS.iter().copied().chain(instead);
        let fix = format!("{program} auth sync --secret {} -n {namespace}", secret.name);
        let groups = match rig.spec.agent {
            None | Some(gastown_api::AgentKind::ClaudeCode) => keys.map(|k| vec![k.to_owned()]).collect(),
            Some(_) => Vec::new(),
        };
        wanted.push(Wanted {
            what: "login secret",
            secret: secret.name.clone(),
            groups,
            fix,
        });
    }
    let model_key = rig
        .spec
        .agent_config
        .as_ref()
        .and_then(|c| c.model_provider.as_ref()?.api_key_secret_ref.as_ref());
    for key in [rig.spec.api_key_secret_ref.as_ref(), model_key].into_iter().flatten() {
        let fix = format!(
            "{program} auth sync --api-key-from-env {} --secret {} -n {namespace}",
            key.key, key.name
        );
        wanted.push(Wanted {
            what: "API key secret",
            secret: key.name.clone(),
            groups: vec![vec![key.key.clone()]],
            fix,
        });
    }
    let mut checks = Vec::new();
    for Wanted {
        what,
        secret,
        groups,
        fix,
    } in wanted
    {
        let check = format!("rig {name} {what}");
        checks.push(match auth::secrets(session).get_opt(&secret).await {
            Ok(None) => Check::fail(
                check,
                format!("there is no secret {secret} in namespace {namespace}"),
                fix,
            ),
            Ok(Some(found)) => keys(check, &secret, &auth::values(&found), &groups, fix),
            Err(kube::Error::Api(s)) if s.code == 401 || s.code == 403 => Check::warn(
                check,
                format!("you may not look at secret {secret}; the pods say if it is wrong"),
            ),
            Err(e) => return Err(e.into()),
        });
    }
    Ok(checks)
}

fn keys(check: String, secret: &str, values: &BTreeMap<String, Vec<u8>>, groups: &[Vec<String>], fix: String) -> Check {
    let has = |key: &String| values.get(key).is_some_and(|v| !v.is_empty());
    if groups.is_empty() || groups.iter().any(|group| group.iter().all(has)) {
        return Check::ok(check, format!("secret {secret} has what is needed"));
    }
    let wanted: Vec<String> = groups.iter().map(|g| g.join(" and ")).collect();
    Check::fail(
        check,
        format!(
            "secret {secret} has none of the keys {}, or they are empty",
            wanted.join(", ")
        ),
        fix,
    )
}

/// Whether pods reach the remote, as they have said themselves.
fn remote(name: &str, rig: &Rig, refinery: Option<&Refinery>, polecats: &[Polecat], program: &str) -> Check {
    let check = format!("rig {name} remote");
    let queue = refinery.and_then(|r| r.status.clone()).unwrap_or_default();
    // A branch that takes no push is a check of its own.
    let of_queue = blaming(&queue.conditions).filter(|c| c.reason != PUSH_REJECTED);
    let own = polecats.iter().filter(|p| p.spec.rig == name);
    let of_polecats = own.filter_map(|p| blaming(&p.status.as_ref()?.conditions));
    if let Some(c) = of_queue.into_iter().chain(of_polecats).next() {
        return Check::fail(
            check,
            format!("{}: {}", c.reason, one_line(&c.message)),
            format!("do as it says (docs/TROUBLESHOOTING.md: The git remote), then: {program} polecat retry NAME"),
        );
    }
    match queue.head {
        Some(head) => {
            let short: String = head.chars().take(10).collect();
            Check::ok(check, format!("pods read {} at {short}", rig.spec.git_url))
        }
        None => Check::warn(check, format!("no pod has read {} yet", rig.spec.git_url)),
    }
}

/// Where uncommitted files and conversations are not kept, as the newest that says anything of it says.
fn content(name: &str, polecats: &[Polecat]) -> Option<Check> {
    let own = polecats.iter().filter(|p| p.spec.rig == name);
    let status = own.filter_map(|p| p.status.as_ref());
    // Whoever works has not come to it yet, unless it says so.
    let told = status.filter_map(|s| {
        let trouble = conditions::get(&s.conditions, CONTENT_KEPT);
        (trouble.is_some() || s.phase != PolecatPhase::Working).then_some((s.last_activity.as_ref()?.0, trouble))
    });
    let (_, trouble) = told.max_by_key(|(at, _)| *at)?;
    let trouble = trouble?;
    let said = format!("{}: {}", trouble.reason, one_line(&trouble.message));
    let fix = "do as it says (docs/TROUBLESHOOTING.md: The git remote); the next attempt tries it again";
    let check = match trouble.reason.as_str() {
        // The code's own repository.
        CONTENT_REFUSED => format!("rig {name} record"),
        _ => format!("rig {name} record repository"),
    };
    Some(Check::warn(check, said).fix(fix))
}

/// The condition that says the remote is what is wrong, for good or for now.
fn blaming(all: &[Condition]) -> Option<&Condition> {
    let bad = [(DEGRADED, "True"), (PROGRESSING, "False")];
    let told = bad.iter().filter_map(|(kind, status)| {
        let told = conditions::get(all, kind)?;
        (told.status == *status).then_some(told)
    });
    told.into_iter().find(|c| gastown_wire::blames_the_remote(&c.reason))
}

/// A branch that does not take what the queue pushes.
fn protected(name: &str, refinery: &Refinery, program: &str) -> Option<Check> {
    let status = refinery.status.as_ref()?;
    let condition = conditions::get(&status.conditions, DEGRADED)?;
    (condition.status == "True" && condition.reason == PUSH_REJECTED).then(|| {
        Check::fail(
            format!("rig {name} branch"),
            one_line(&condition.message),
            format!(
                "let the queue's account push to the branch (on GitHub: Settings, Branches: allow it to bypass the protection); then: {program} refinery resume {name}"
            ),
        )
    })
}
