//! polecat retry and tell: a word to an agent, after its work or in the middle of it.

use super::find;
use crate::globals::Rehearsal;
use crate::output::print_one;
use crate::session::Session;
use crate::{Failure, complete, exit};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use gastown_api::conditions::{self, MERGED};
use gastown_api::{Polecat, PolecatPhase, labels};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;

/// Longest word to an agent: it travels in an object's metadata or status. Bytes.
const LONGEST: usize = 4096;

/// Arguments of polecat retry.
#[derive(Args, Debug)]
pub struct RetryArgs {
    /// NAME or RIG/NAME.
    #[arg(add = ArgValueCompleter::new(complete::polecats))]
    name: String,
    /// What to do differently: a new round of the same conversation begins with it.
    #[arg(short, long, allow_hyphen_values = true)]
    message: Option<String>,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

/// Arguments of polecat tell.
#[derive(Args, Debug)]
pub struct TellArgs {
    /// NAME or RIG/NAME.
    #[arg(add = ArgValueCompleter::new(complete::polecats))]
    name: String,
    /// What to say.
    #[arg(required = true, allow_hyphen_values = true)]
    message: String,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

fn checked(text: &str) -> Result<&str, Failure> {
    if text.trim().is_empty() {
        return Err(Failure::new(exit::USAGE, "there is nothing in the message"));
    }
    if text.len() > LONGEST {
        return Err(Failure::new(
            exit::USAGE,
            format!("the message has {} bytes; {LONGEST} is the most", text.len()),
        )
        .hint("put the material into the repository and refer to it"));
    }
    Ok(text)
}

/// Why it cannot be tried again now.
fn refusal(polecat: &Polecat, message: bool, program: &str) -> Option<Failure> {
    let name = polecat.name_any();
    let status = polecat.status.clone().unwrap_or_default();
    let bead = polecat.spec.bead_id.as_deref().unwrap_or_default();
    if conditions::is_true(&status.conditions, MERGED) {
        return Some(
            Failure::new(exit::REFUSED, format!("{name}'s work has landed, and stays landed"))
                .hint(format!("{program} sling {bead} {} --again -m \"…\"", polecat.spec.rig).replace("  ", " ")),
        );
    }
    match status.phase {
        PolecatPhase::Working => Some(
            Failure::new(exit::REFUSED, format!("{name} is at work"))
                .hint(format!("say it now: {program} polecat tell {name} \"…\"")),
        ),
        PolecatPhase::Done if !message => Some(
            Failure::new(exit::REFUSED, format!("{name} is done, and waits to land")).hint(format!(
                "say what is to be different: {program} polecat retry {name} -m \"…\""
            )),
        ),
        _ => None,
    }
}

pub(super) async fn retry(args: &RetryArgs, session: &Session<'_>) -> Result<(), Failure> {
    let (program, dry) = (session.program(), args.rehearsal.dry_run);
    let message = args.message.as_deref().map(checked).transpose()?;
    let held = find(&args.name, session).await?;
    if let Some(refusal) = refusal(&held.object, message.is_some(), program) {
        return Err(refusal);
    }
    let name = held.object.name_any();
    let id = uuid::Uuid::new_v4().to_string();
    let patch = json!({"spec": {
        "desiredState": "Working",
        "anotherRound": {"id": id, "message": message},
    }});
    let held = session.polecats(false).patch(&name, &patch, dry, program).await?;
    // A definition that does not know the field drops it without a word.
    if held.object.spec.another_round.as_ref().map(|a| a.id.as_str()) != Some(id.as_str()) {
        return Err(Failure::new(
            exit::FAILED,
            "the cluster's definition of Polecat is older than this program",
        )
        .hint(format!("update Gas Town in the cluster; see: {program} doctor")));
    }
    let said = match message {
        Some(_) => format!("polecat/{name} goes into another round with your word{}", dry.suffix()),
        None => format!("polecat/{name} tries again{}", dry.suffix()),
    };
    let block = format!("{said}\nwatch it: {program} polecat logs {name} -f");
    print_one(session.output, "polecat", &name, &held, &block)
}

pub(super) async fn tell(args: &TellArgs, session: &Session<'_>) -> Result<(), Failure> {
    let (program, dry) = (session.program(), args.rehearsal.dry_run);
    let message = checked(&args.message)?;
    let held = find(&args.name, session).await?;
    let name = held.object.name_any();
    let status = held.object.status.clone().unwrap_or_default();
    let not_now =
        |why: String| Failure::new(exit::REFUSED, why).hint(format!("{program} polecat retry {name} -m \"…\""));
    if status.phase != PolecatPhase::Working {
        return Err(not_now(format!("{name} is {:?}: nobody listens", status.phase)));
    }
    let pod = status.pod_name.unwrap_or_default();
    let pods = session.pods();
    let Some(found) = pods.get_opt(&pod).await? else {
        return Err(not_now(format!("{name}'s pod {pod} is not there: nobody listens")));
    };
    // What is told twice is told twice: a value that stays the same is no news in the pod.
    let before = found.annotations().get(labels::NUDGE).map(String::as_str);
    let text = match before == Some(message) {
        true => format!("{message}\n"),
        false => message.to_owned(),
    };
    if dry != crate::DryRun::Client {
        let params = PatchParams {
            dry_run: dry == crate::DryRun::Server,
            ..PatchParams::default()
        };
        let patch = json!({"metadata": {"annotations": {labels::NUDGE: text}}});
        let _: Pod = pods.patch(&pod, &params, &Patch::Merge(patch)).await?;
    }
    let said = format!(
        "polecat/{name} is told{}; a node passes it on within a minute or so",
        dry.suffix()
    );
    print_one(session.output, "polecat", &name, &held, &said)
}
