//! Completions: words from clap, names from the cluster.
//!
//! A shell's script calls this program back; kubectl calls `kubectl_complete-gt` on the PATH, which is this program by
//! another name (a link) or a script that calls its `__complete`, and reads cobra's protocol: a candidate a line, with a
//! tab before its description, then `:` and a directive.

use crate::globals::Globals;
use crate::held::Shelf;
use crate::output::write_out;
use crate::{Access, Cluster, Failure, exit};
use clap::ValueEnum;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::Shells;
use gastown_api::{Convoy, Polecat, Rig};
use kube::ResourceExt;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

/// A person waits with a finger on the key.
const PATIENCE: Duration = Duration::from_secs(2);
/// The variable by which a shell's script calls back.
pub const CALLBACK: &str = "GASTOWN_COMPLETE";
/// By this name kubectl asks a plugin for completions.
pub const KUBECTL_NAME: &str = "kubectl_complete-gt";
/// cobra: complete no file names.
const NO_FILES: u8 = 4;

static ACCESS: OnceLock<Access> = OnceLock::new();

/// Tells completions how the program that runs is reached: its kubeconfig and its rig.
pub fn complete_with(access: Access) {
    let _ = ACCESS.set(access);
}

/// Shells, and kubectl.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// For ~/.bashrc.
    Bash,
    /// For ~/.zshrc.
    Zsh,
    /// For ~/.config/fish/completions.
    Fish,
    /// For rc.elv.
    Elvish,
    /// For $PROFILE.
    Powershell,
    /// A file named kubectl_complete-gt for the PATH: then kubectl completes `kubectl gt` by itself.
    Kubectl,
}

/// Prints the script of a shell for a program.
///
/// # Errors
/// When stdout cannot be written.
pub fn print_script(shell: Shell, program: &str) -> Result<(), Failure> {
    let name = match shell {
        Shell::Kubectl => {
            return write_out(&format!(
                "#!/bin/sh\n# Save as {KUBECTL_NAME} on the PATH, executable.\nexec {program} __complete \"$@\"\n"
            ));
        }
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
        Shell::Elvish => "elvish",
        Shell::Powershell => "powershell",
    };
    let wrong = |e: &dyn std::fmt::Display| Failure::new(exit::FAILED, format!("no completions for {name}: {e}"));
    let shells = Shells::builtins();
    let completer = shells.completer(name).ok_or_else(|| wrong(&"not known"))?;
    let mut script = Vec::new();
    completer
        .write_registration(CALLBACK, program, program, program, &mut script)
        .map_err(|e| wrong(&e))?;
    write_out(&String::from_utf8_lossy(&script))
}

/// Answers kubectl: words after the program's name, the last one being typed.
///
/// # Errors
/// When stdout cannot be written.
pub fn answer_kubectl(command: &mut clap::Command, words: Vec<OsString>) -> Result<(), Failure> {
    let mut all = vec![OsString::from(command.get_name())];
    all.extend(words);
    let at = all.len().saturating_sub(1);
    let here = std::env::current_dir().ok();
    let found = clap_complete::engine::complete(command, all, at, here.as_deref()).unwrap_or_default();
    let mut text = String::new();
    for candidate in found.iter().filter(|c| !c.is_hide_set()) {
        text.push_str(&candidate.get_value().to_string_lossy());
        if let Some(help) = candidate.get_help() {
            let help = help.to_string();
            text.push_str(&format!("\t{}", help.lines().next().unwrap_or_default()));
        }
        text.push('\n');
    }
    text.push_str(&format!(":{NO_FILES}\n"));
    write_out(&text)
}

/// Whether kubectl asks, by the name the program was called.
#[must_use]
pub fn is_kubectls(name: Option<&OsStr>) -> bool {
    name.map(Path::new)
        .and_then(Path::file_stem)
        .is_some_and(|stem| stem == KUBECTL_NAME)
}

/// Flags of the line being completed that say which cluster is meant.
fn globals() -> Globals {
    let words: Vec<String> = std::env::args().collect();
    let value = |flags: &[&str]| {
        words.iter().enumerate().find_map(|(i, word)| {
            flags.iter().find_map(|flag| match word.strip_prefix(flag) {
                Some("") => words.get(i + 1).cloned(),
                Some(rest) => rest.strip_prefix('=').map(str::to_owned),
                None => None,
            })
        })
    };
    Globals {
        namespace: value(&["-n", "--namespace"]),
        context: value(&["--context"]),
        kubeconfig: value(&["--kubeconfig"]).map(Into::into),
        ..Globals::default()
    }
}

/// Asks the cluster, on a runtime of its own: the caller may be within one. Nobody there: no names.
fn ask<F, Fut>(question: F) -> Vec<CompletionCandidate>
where
    F: FnOnce(Cluster) -> Fut + Send + 'static,
    Fut: Future<Output = Vec<CompletionCandidate>>,
{
    let asking = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .ok()?;
        runtime.block_on(async {
            let asked = async {
                let access = ACCESS.get().cloned().unwrap_or_default();
                let cluster = access.connect(&globals()).await.ok()?;
                Some(question(cluster).await)
            };
            tokio::time::timeout(PATIENCE, asked).await.ok().flatten()
        })
    });
    asking.join().ok().flatten().unwrap_or_default()
}

fn matching(current: &OsStr, names: impl IntoIterator<Item = (String, String)>) -> Vec<CompletionCandidate> {
    let begun = current.to_string_lossy().into_owned();
    names
        .into_iter()
        .filter(|(name, _)| name.starts_with(&begun))
        .map(|(name, about)| CompletionCandidate::new(name).help((!about.is_empty()).then(|| about.into())))
        .collect()
}

/// Names of rigs.
pub(crate) fn rigs(current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_owned();
    ask(move |cluster| async move {
        let all = Shelf::<Rig>::cluster(&cluster.client)
            .list(None)
            .await
            .unwrap_or_default();
        matching(
            &current,
            all.iter().map(|r| (r.object.name_any(), r.object.spec.git_url.clone())),
        )
    })
}

/// Names of polecats; once a rig and a slash are typed, with them.
pub(crate) fn polecats(current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_owned();
    ask(move |cluster| async move {
        let shelf = Shelf::<Polecat>::within(&cluster.client, Some(&cluster.namespace));
        let all = shelf.list(None).await.unwrap_or_default();
        let with_rig = current.to_string_lossy().contains('/');
        matching(
            &current,
            all.iter().map(|p| {
                let (name, rig) = (p.object.name_any(), &p.object.spec.rig);
                let phase = p.object.status.as_ref().map(|s| s.phase).unwrap_or_default();
                let about = format!("{phase:?} {}", p.object.spec.bead_id.as_deref().unwrap_or_default());
                (
                    if with_rig { format!("{rig}/{name}") } else { name },
                    about.trim().to_owned(),
                )
            }),
        )
    })
}

/// Names of convoys.
pub(crate) fn convoys(current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_owned();
    ask(move |cluster| async move {
        let shelf = Shelf::<Convoy>::within(&cluster.client, Some(&cluster.namespace));
        let all = shelf.list(None).await.unwrap_or_default();
        matching(
            &current,
            all.iter()
                .map(|c| (c.object.name_any(), c.object.spec.description.clone())),
        )
    })
}

/// Themes.
pub(crate) fn themes(current: &OsStr) -> Vec<CompletionCandidate> {
    let themes = gastown_api::themes::THEMES.iter();
    matching(
        current,
        themes.map(|t| {
            (
                t.name.to_owned(),
                t.names.iter().take(3).copied().collect::<Vec<_>>().join(" "),
            )
        }),
    )
}

/// Agents.
pub(crate) fn agents(current: &OsStr) -> Vec<CompletionCandidate> {
    let agents = ["claude-code", "opencode", "aider", "custom"];
    matching(current, agents.map(|a| (a.to_owned(), String::new())))
}
