//! What an agent is told. One text, here; a Rig may bring its own.

use std::fmt::Write as _;

/// The text where the Rig brings none.
const TEMPLATE: &str = "\
{task}

---
You work alone and unattended in a checkout of the repository, on branch `{branch}`, which started from `{base}`.{bead}
Nobody can answer questions: decide, and say in the commit message what you decided.
When you are done: run the project's tests if there are any, then `git add` and `git commit` everything on `{branch}`, leaving no \
uncommitted files. Do not push, fetch, or open a pull request: commits are carried to the remote and landed for you.{evidence}
";

/// What is filled in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// The task.
    pub task: &'a str,
    /// The work branch.
    pub branch: &'a str,
    /// The branch it started from.
    pub base: &'a str,
    /// The bead, where there is one.
    pub bead: Option<&'a str>,
    /// Why the work came back, as Markdown.
    pub evidence: Option<&'a str>,
    /// The conversation is there: what was said before need not be said again.
    pub goes_on: bool,
    /// Work of an earlier attempt is in the checkout.
    pub interrupted: bool,
}

/// The prompt.
#[must_use]
pub fn text(template: Option<&str>, facts: Facts<'_>) -> String {
    if facts.goes_on {
        return on(facts);
    }
    let evidence = facts.evidence.map(|page| format!("\n\n{page}")).unwrap_or_default();
    let bead = match (template, facts.bead) {
        (None, Some(bead)) => format!(" The task is issue {bead}."),
        (_, bead) => bead.unwrap_or_default().to_owned(),
    };
    let template = template.unwrap_or(TEMPLATE);
    let tells_evidence = template.contains("{evidence}");
    let mut text = fill(
        template,
        &[
            ("{task}", facts.task.trim_end()),
            ("{branch}", facts.branch),
            ("{base}", facts.base),
            ("{bead}", &bead),
            ("{evidence}", &evidence),
        ],
    );
    // Without it nobody could know what to do better.
    if !tells_evidence {
        text.push_str(&evidence);
    }
    if facts.interrupted && facts.evidence.is_none() {
        text.push_str(
            "\nAn earlier attempt was interrupted: look at `git status` and `git log` first, and go on from there.\n",
        );
    }
    text
}

/// To an agent that remembers.
fn on(facts: Facts<'_>) -> String {
    let branch = facts.branch;
    let Some(page) = facts.evidence else {
        return format!(
            "You were interrupted. A command that was running has no result: look at `git status` and `git log` first, then go on \
             with the task. As before: finish by committing everything on `{branch}`, and do not push.\n"
        );
    };
    let mut text = String::from("Your work came back. Nobody has changed your checkout since you committed.\n\n");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{page}");
    let _ = writeln!(
        text,
        "As before: finish by committing everything on `{branch}`, and do not push."
    );
    text
}

/// Fills placeholders in one pass: what is filled in is not looked at again.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        match values.iter().find(|(name, _)| tail.starts_with(name)) {
            Some((name, value)) => {
                out.push_str(value);
                rest = tail.get(name.len()..).unwrap_or_default();
            }
            None => {
                out.push('{');
                rest = tail.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts<'static> {
        Facts {
            task: "Add {branch} to $(x) {nothing}\n",
            branch: "polecat/nux",
            base: "main",
            ..Facts::default()
        }
    }

    #[test]
    fn a_task_is_told_as_it_is_with_where_and_how() {
        let text = text(
            None,
            Facts {
                bead: Some("mp-1"),
                ..facts()
            },
        );
        assert!(text.starts_with("Add {branch} to $(x) {nothing}\n\n---\n"), "{text}");
        for part in [
            "branch `polecat/nux`",
            "started from `main`",
            "issue mp-1",
            "git commit",
            "Do not push",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(!text.contains("interrupted"));
        let again = super::text(
            None,
            Facts {
                interrupted: true,
                ..facts()
            },
        );
        assert!(again.contains("was interrupted"));
    }

    #[test]
    fn a_hand_back_is_told_with_its_evidence_to_old_and_new_conversations() {
        for goes_on in [false, true] {
            let text = text(
                None,
                Facts {
                    evidence: Some("# Round 2\nred: {task}"),
                    goes_on,
                    ..facts()
                },
            );
            assert!(text.contains("# Round 2\nred: {task}"), "{text}");
            assert_eq!(
                text.contains("Add {branch}"),
                !goes_on,
                "who remembers is not told again"
            );
        }
        assert!(
            text(
                None,
                Facts {
                    goes_on: true,
                    ..facts()
                }
            )
            .contains("git status")
        );
    }

    #[test]
    fn evidence_is_told_also_where_a_rigs_text_has_no_place_for_it() {
        let returned = Facts {
            evidence: Some("# Round 2\nred"),
            ..facts()
        };
        let own = text(Some("Do {task}."), returned);
        assert!(
            own.ends_with("Do Add {branch} to $(x) {nothing}.\n\n# Round 2\nred"),
            "{own}"
        );
        assert_eq!(text(Some("{evidence}!"), returned), "\n\n# Round 2\nred!", "once");
    }

    #[test]
    fn a_rig_brings_its_own_text() {
        let own = text(Some("{task} on {branch} from {base} ({bead}) {x} {evidence}"), facts());
        assert_eq!(own, "Add {branch} to $(x) {nothing} on polecat/nux from main () {x} ");
    }
}
