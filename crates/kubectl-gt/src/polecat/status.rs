//! polecat status: why it is where it is, and what to type next.

use super::find;
use crate::Failure;
use crate::output::{Block, print_one, since, span};
use crate::session::Session;
use gastown_api::conditions::{self, CONTENT_KEPT, DEGRADED, MERGED, PROGRESSING};
use gastown_api::{DesiredState, Polecat, PolecatPhase, PolecatStatus};
use jiff::Timestamp;
use kube::ResourceExt;

/// Most lines of a test's output that are shown.
const EVIDENCE_LINES: usize = 20;

pub(super) async fn run(word: &str, session: &Session<'_>) -> Result<(), Failure> {
    let held = find(word, session).await?;
    let name = held.object.name_any();
    let block = block(&held.object, session.program(), Timestamp::now());
    print_one(session.output, "polecat", &name, &held, block.text())
}

fn block(polecat: &Polecat, program: &str, now: Timestamp) -> Block {
    let s = polecat.status.clone().unwrap_or_default();
    let mut block = Block::default();
    block.line("Name", polecat.name_any());
    block.line("Rig", &polecat.spec.rig);
    block.line("Bead", polecat.spec.bead_id.as_deref().unwrap_or("-"));
    block.some("Task", task_line(polecat));
    block.line("Phase", format!("{:?}", s.phase));
    block.line(
        "Message",
        s.message
            .as_deref()
            .unwrap_or("the operator has not looked at it yet; is it running?"),
    );
    block.some("Since", s.last_activity.as_ref().map(|t| since(t.0, now)));
    block.line(
        "Round",
        format!("{} (attempt {})", s.round.unwrap_or(1), s.attempt.unwrap_or(0)),
    );
    block.some("Tally", tally(&s));
    block.some(
        "Next try",
        s.retry_after.as_ref().and_then(|t| {
            let seconds = t.0.duration_since(now).as_secs();
            (seconds > 0).then(|| format!("in {}", span(seconds)))
        }),
    );
    block.some("Agent", agent(&s));
    block.line("Pod", s.pod_name.as_deref().unwrap_or("-"));
    block.line("Branch", s.branch.as_deref().unwrap_or("-"));
    block.line("Commit", s.commit.as_deref().unwrap_or("-"));
    block.line("Landed", s.merged_commit.as_deref().unwrap_or("not yet"));
    for c in &s.conditions {
        block.line(&c.type_, format!("{:<6}{:<20} {}", c.status, c.reason, c.message));
    }
    for round in &s.rounds {
        block.line(
            &format!("Round {}", round.round),
            format!("{} {}: {}", round.outcome, round.reason, round.message),
        );
        let Some(evidence) = &round.evidence else { continue };
        for line in evidence.summary.lines().take(EVIDENCE_LINES) {
            block.line("", format!("| {line}"));
        }
        if !evidence.paths.is_empty() {
            block.line("", format!("conflicts in {}", evidence.paths.join(", ")));
        }
    }
    let next = next(polecat, program).into_iter();
    for next in next.chain(mend_content(polecat, program)) {
        block.line("Next", next);
    }
    block
}

/// The first line of the task.
pub(crate) fn task_line(polecat: &Polecat) -> Option<String> {
    let spec = &polecat.spec;
    let text = spec
        .task
        .as_ref()
        .and_then(|t| t.description.as_deref())
        .or(spec.task_description.as_deref())?;
    let line = text.trim().lines().next()?;
    let short: String = line.chars().take(72).collect();
    let more = short.len() < text.trim().len();
    Some(format!("{}{}", short, if more { " …" } else { "" }))
}

fn tally(s: &PolecatStatus) -> Option<String> {
    let parts: Vec<String> = [(s.failures, "failed"), (s.lost, "lost")]
        .into_iter()
        .filter_map(|(n, what)| {
            n.filter(|n| *n > 0)
                .map(|n| format!("{n} attempt(s) {what} in this round"))
        })
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn agent(s: &PolecatStatus) -> Option<String> {
    let agent = s.agent.as_deref()?;
    let model = s
        .agent_model
        .as_deref()
        .map(|m| format!(", model {m}"))
        .unwrap_or_default();
    let image = s
        .agent_image
        .as_deref()
        .map(|i| format!(", image {i}"))
        .unwrap_or_default();
    Some(format!("{agent}{model}{image}"))
}

/// What to type where what is not committed is not kept. It holds up no work, so it comes last.
fn mend_content(polecat: &Polecat, program: &str) -> Option<String> {
    let all = &polecat.status.as_ref()?.conditions;
    let is_kept = conditions::get(all, CONTENT_KEPT).is_none_or(|c| c.status != "False");
    (!is_kept).then(|| format!("{program} doctor --rig {}", polecat.spec.rig))
}

/// What to type next, most useful first.
pub(super) fn next(polecat: &Polecat, program: &str) -> Vec<String> {
    let name = polecat.name_any();
    let rig = &polecat.spec.rig;
    let s = polecat.status.clone().unwrap_or_default();
    if conditions::is_true(&s.conditions, MERGED) {
        return Vec::new();
    }
    match s.phase {
        PolecatPhase::Working => vec![
            format!("{program} polecat logs {name} -f"),
            format!("{program} polecat tell {name} \"…\""),
        ],
        PolecatPhase::Done => vec![
            format!("{program} refinery queue {rig}"),
            format!("{program} polecat diff {name}"),
        ],
        PolecatPhase::Terminated => vec![format!("{program} polecat retry {name}")],
        PolecatPhase::Idle if polecat.spec.desired_state == DesiredState::Idle => {
            vec![format!("{program} polecat retry {name}")]
        }
        PolecatPhase::Idle => {
            let queued = conditions::get(&s.conditions, PROGRESSING).is_some_and(|c| c.reason == "Queued");
            if s.message.is_none() {
                vec![format!("{program} doctor")]
            } else if queued {
                vec![
                    format!("{program} top --rig {rig}"),
                    format!("{program} rig status {rig}"),
                ]
            } else {
                Vec::new()
            }
        }
        PolecatPhase::Stuck => {
            let reason = conditions::get(&s.conditions, DEGRADED)
                .map(|c| c.reason.as_str())
                .unwrap_or_default();
            stuck(reason, &name, polecat, program)
        }
    }
}

/// What mends each reason to be stuck.
fn stuck(reason: &str, name: &str, polecat: &Polecat, program: &str) -> Vec<String> {
    let rig = &polecat.spec.rig;
    let retry = format!("{program} polecat retry {name}");
    let with_word = format!("{program} polecat retry {name} -m \"what to do differently\"");
    let logs = format!("{program} polecat logs {name}");
    match reason {
        "RigNotFound" => vec![format!("{program} rig create {rig} --git-url URL --prefix ab")],
        "CredentialMissing" | "CredentialRefused" => vec![format!("{program} doctor --rig {rig}"), retry],
        "RemoteRefused" | "RepositoryNotFound" | "HostKeyUnknown" | "PushRejected" | "PushFailed" => {
            vec![format!("{program} doctor --rig {rig}"), retry]
        }
        "BranchTaken" => vec![format!(
            "{program} sling {} {rig} --again --name ANOTHER",
            polecat.spec.bead_id.as_deref().unwrap_or("BEAD")
        )],
        "MissingTask" => vec![with_word],
        "NoChange" | "DirtyTree" | "WrongBranch" | "AgentFailed" | "RoundsExhausted" => vec![logs, with_word],
        "ImagePullFailed" | "Unschedulable" | "NotStarted" | "PodRefused" | "MissingAgentCommand" => {
            let pod = polecat.status.as_ref().and_then(|s| s.pod_name.clone());
            let describe = pod.map(|pod| format!("kubectl describe pod {pod}"));
            describe.into_iter().chain([retry]).collect()
        }
        _ => vec![logs, retry],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stuck_for(reason: &str) -> Vec<String> {
        let polecat: Polecat = serde_json::from_value(json!({
            "apiVersion": "gastown.gastown.io/v1alpha1", "kind": "Polecat", "metadata": {"name": "nux"},
            "spec": {"rig": "athena", "desiredState": "Working", "beadID": "at-1"},
            "status": {"phase": "Stuck", "podName": "polecat-nux", "conditions": [{
                "type": "Degraded", "status": "True", "reason": reason, "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z",
            }]},
        }))
        .unwrap();
        next(&polecat, "kubectl gt")
    }

    #[test]
    fn whoever_is_stuck_is_told_what_to_type() {
        let text: String = [
            "RigNotFound",
            "CredentialMissing",
            "BranchTaken",
            "MissingTask",
            "NoChange",
            "ImagePullFailed",
            "OOMKilled",
        ]
        .iter()
        .map(|reason| format!("{reason}\n  {}\n", stuck_for(reason).join("\n  ")))
        .collect();
        insta::assert_snapshot!(text, @r#"
        RigNotFound
          kubectl gt rig create athena --git-url URL --prefix ab
        CredentialMissing
          kubectl gt doctor --rig athena
          kubectl gt polecat retry nux
        BranchTaken
          kubectl gt sling at-1 athena --again --name ANOTHER
        MissingTask
          kubectl gt polecat retry nux -m "what to do differently"
        NoChange
          kubectl gt polecat logs nux
          kubectl gt polecat retry nux -m "what to do differently"
        ImagePullFailed
          kubectl describe pod polecat-nux
          kubectl gt polecat retry nux
        OOMKilled
          kubectl gt polecat logs nux
          kubectl gt polecat retry nux
        "#);
    }
}
