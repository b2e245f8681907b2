//! auth sync.

use super::collect::{Found, Places, Skipped, Taken, collect};
use super::login;
use super::secret::{self, LAST_SYNC};
use super::{SyncArgs, Whose, home, size};
use crate::output::{note, print_one};
use crate::session::Session;
use crate::{DryRun, Failure, exit};
use gastown_wire::{LOGIN_KEYS, Login, OPENCODE_LOGINS, TOKEN_KEY, settings_key};
use jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// What all values of a Secret may have together. Bytes.
const LARGEST: usize = 1024 * 1024;
/// So many of the largest files are named where it is too much.
const NAMED: usize = 10;

/// What `-o json` says. Never a value.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    secret: &'a str,
    namespace: &'a str,
    /// `created`, `updated` or `unchanged`.
    action: &'static str,
    dry_run: bool,
    bytes: usize,
    /// Until when the login holds, where it says.
    expires_at: Option<Timestamp>,
    files: &'a [Taken],
    skipped: &'a [Skipped],
}

pub(super) async fn run(args: SyncArgs, session: &Session<'_>) -> Result<(), Failure> {
    let (found, name) = match &args.api_key_from_env {
        Some(variable) => (
            api_key(variable)?,
            args.secret.clone().unwrap_or_else(|| key_secret(variable)),
        ),
        None => {
            let name = args.secret.clone().unwrap_or_else(|| args.agent.secret().to_owned());
            (files(&args, session.program())?, name)
        }
    };
    if found.bytes() > LARGEST {
        return Err(too_large(&found));
    }
    let action = upload(&args, &name, &found, session).await?;
    for skipped in &found.skipped {
        note(format!("note: skipped {}: {}", skipped.path, skipped.why));
    }
    let report = Report {
        secret: &name,
        namespace: session.namespace(),
        action,
        dry_run: !args.rehearsal.dry_run.is_real(),
        bytes: found.bytes(),
        expires_at: login_in(&found).and_then(Result::ok).and_then(|l| login::expires(&l)),
        files: &found.taken,
        skipped: &found.skipped,
    };
    print_one(
        session.output,
        "secret",
        &name,
        &report,
        &told(&args, &report, session.program()),
    )
}

fn told(args: &SyncArgs, report: &Report<'_>, program: &str) -> String {
    let dry = args.rehearsal.dry_run;
    let mut text = format!(
        "secret/{} {}{}: {} file{}, {}",
        report.secret,
        report.action,
        dry.suffix(),
        report.files.len(),
        if report.files.len() == 1 { "" } else { "s" },
        size(report.bytes)
    );
    if !dry.is_real() {
        for file in report.files {
            text.push_str(&format!("\n  {:<9} {}", size(file.bytes), file.path));
        }
    } else if report.action == "created" {
        let flag = match (&args.api_key_from_env, args.agent) {
            (Some(variable), _) if variable == "ANTHROPIC_API_KEY" => format!("--api-key-secret {}", report.secret),
            (Some(variable), _) => format!("--api-key-secret {}/{variable}", report.secret),
            (None, Whose::ClaudeCode) => format!("--claude-creds {}", report.secret),
            (None, Whose::Opencode) => format!("--claude-creds {} --agent opencode", report.secret),
            (None, Whose::Aider) => format!("--claude-creds {} --agent aider", report.secret),
        };
        text.push_str(&format!("\nname it when a rig is made: {program} rig create … {flag}"));
    } else if report.action == "updated" {
        text.push_str("\npods that start from now on have it");
    }
    if let Some(until) = report.expires_at {
        text.push_str(&format!(
            "\nthe login holds until {until}: what refreshes it stays here. Then sync again; longer work wants {}",
            lasting(args.agent, program)
        ));
    }
    text
}

/// What to type for work that outlasts a login.
fn lasting(whose: Whose, program: &str) -> String {
    match whose {
        Whose::ClaudeCode => format!(
            "a token of `claude setup-token` ({program} auth sync --token-from-env) or an API key ({program} auth sync --api-key-from-env)"
        ),
        Whose::Opencode | Whose::Aider => format!("an API key ({program} auth sync --api-key-from-env VARIABLE)"),
    }
}

fn login_in(found: &Found) -> Option<Result<Login, String>> {
    let value = |key: &str| found.taken.iter().find(|t| t.key == key).map(|t| t.content.as_slice());
    login::among(value)
}

/// The agent's files; a login has to be among them.
fn files(args: &SyncArgs, program: &str) -> Result<Found, Failure> {
    let home = home()?;
    let claude = args
        .claude_dir
        .clone()
        .or_else(|| std::env::var_os("CLAUDE_CONFIG_DIR").map(Into::into))
        .unwrap_or_else(|| home.join(".claude"));
    if args.agent == Whose::ClaudeCode && !claude.is_dir() {
        return Err(
            Failure::new(exit::NOT_FOUND, format!("there is no folder {}", claude.display()))
                .hint("log in with Claude Code on this machine first, or name its folder: --claude-dir DIR"),
        );
    }
    let places = Places {
        home: &home,
        claude: claude.clone(),
        with_env: args.with_env,
    };
    let mut found = collect(args.agent, &places, &args.exclude);
    if args.settings_only {
        leave_logins(&mut found);
    }
    if args.token_from_env {
        return with_token(found, args.agent);
    }
    if found.taken.is_empty() {
        return Err(Failure::new(
            exit::NOT_FOUND,
            format!(
                "nothing of {} is on this machine",
                args.agent.secret().trim_end_matches("-creds")
            ),
        )
        .hint("is it set up for this user? an API key needs no files: --api-key-from-env"));
    }
    if args.agent == Whose::ClaudeCode && !args.settings_only {
        has_login(&found, &claude, program)?;
    }
    let agent = if args.agent == Whose::Opencode {
        "opencode"
    } else {
        "claude"
    };
    match login_in(&found) {
        Some(Ok(over)) if login::is_over(&over, Timestamp::now()) => {
            return Err(Failure::new(
                exit::FAILED,
                format!(
                    "the login here is over since {}; nothing was uploaded",
                    login::expires(&over).map(|t| t.to_string()).unwrap_or_default()
                ),
            )
            .hint(format!(
                "run {agent} once, which refreshes it, then this again; to last longer: {}",
                lasting(args.agent, program)
            )));
        }
        Some(Ok(Login { odd: Some(why), .. }) | Err(why)) => {
            note(format!("note: the login is not as {agent} writes it: {why}"));
        }
        _ => {}
    }
    Ok(found)
}

fn leave_logins(found: &mut Found) {
    let opencodes = settings_key(OPENCODE_LOGINS);
    found
        .taken
        .retain(|t| !LOGIN_KEYS.contains(&t.key.as_str()) && Some(&t.key) != opencodes.as_ref());
}

/// The files with a long-lived token in place of the login.
fn with_token(mut found: Found, whose: Whose) -> Result<Found, Failure> {
    if whose != Whose::ClaudeCode {
        return Err(Failure::new(exit::USAGE, "only Claude Code has long-lived tokens")
            .hint("other agents take an API key: --api-key-from-env VARIABLE"));
    }
    leave_logins(&mut found);
    found.taken.push(from_env(
        TOKEN_KEY,
        "`claude setup-token` makes one; then: read -rs CLAUDE_CODE_OAUTH_TOKEN && export CLAUDE_CODE_OAUTH_TOKEN",
    )?);
    Ok(found)
}

/// The login must be there.
fn has_login(found: &Found, claude: &Path, program: &str) -> Result<(), Failure> {
    if let Some(unread) = found.skipped.iter().find(|s| s.path == ".credentials.json") {
        return Err(Failure::new(
            exit::FAILED,
            format!(
                "the login {}: {}",
                claude.join(".credentials.json").display(),
                unread.why
            ),
        ));
    }
    if !found.taken.iter().any(|t| t.path == ".credentials.json") {
        return Err(Failure::new(
            exit::NOT_FOUND,
            format!(
                "{} has no .credentials.json. On macOS Claude Code keeps its login in the Keychain, not in a file",
                claude.display()
            ),
        )
        .hint(format!(
            "on macOS write it out: security find-generic-password -s 'Claude Code-credentials' -w > {0}/.credentials.json; \
             or use an API key: {program} auth sync --api-key-from-env; or settings alone: --settings-only",
            claude.display()
        )));
    }
    Ok(())
}

/// The one key, from the environment: never from the command line, where others see it.
fn api_key(variable: &str) -> Result<Found, Failure> {
    if !is_variable(variable) {
        return Err(Failure::new(
            exit::USAGE,
            format!("'{variable}' is no name of a variable"),
        ));
    }
    if variable == TOKEN_KEY {
        return Err(Failure::new(
            exit::USAGE,
            format!("{variable} is no API key, and would be refused as one"),
        )
        .hint("a token goes in place of the login: --token-from-env"));
    }
    let mut found = Found::default();
    found.taken.push(from_env(
        variable,
        &format!("read -rs {variable} && export {variable}"),
    )?);
    Ok(found)
}

/// A secret under its variable's name, which is a legal key as it is.
fn from_env(variable: &str, hint: &str) -> Result<Taken, Failure> {
    let value = std::env::var(variable).unwrap_or_default();
    let value = value.trim();
    if value.is_empty() {
        return Err(
            Failure::new(exit::USAGE, format!("the variable {variable} is not set, or empty")).hint(hint.to_owned()),
        );
    }
    Ok(Taken {
        path: variable.to_owned(),
        key: variable.to_owned(),
        bytes: value.len(),
        content: value.as_bytes().to_vec(),
    })
}

fn is_variable(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// `ANTHROPIC_API_KEY` is in `anthropic-api-key`.
fn key_secret(variable: &str) -> String {
    gastown_api::names::legalized(variable)
}

fn too_large(found: &Found) -> Failure {
    let mut largest: Vec<&Taken> = found.taken.iter().collect();
    largest.sort_by_key(|t| std::cmp::Reverse(t.bytes));
    let lines: Vec<String> = largest
        .iter()
        .take(NAMED)
        .map(|t| format!("  {:<9} {}", size(t.bytes), t.path))
        .collect();
    Failure::new(
        exit::FAILED,
        format!(
            "{} are too much for a Secret, which holds 1 MiB; nothing was uploaded. The largest:\n{}",
            size(found.bytes()),
            lines.join("\n")
        ),
    )
    .hint("leave some out: --exclude skills/NAME")
}

async fn upload(args: &SyncArgs, name: &str, found: &Found, session: &Session<'_>) -> Result<&'static str, Failure> {
    let dry = args.rehearsal.dry_run;
    let values: BTreeMap<String, Vec<u8>> = found.taken.iter().map(|t| (t.key.clone(), t.content.clone())).collect();
    let api = secret::secrets(session);
    let held = match (dry, api.get_opt(name).await) {
        (_, Ok(held)) => held,
        // Nothing is sent in a rehearsal: that nobody answers is no obstacle.
        (DryRun::Client, Err(_)) => None,
        (_, Err(e)) => return Err(e.into()),
    };
    let now = Timestamp::now();
    let Some(mut held) = held else {
        let mut fresh = secret::fresh(name);
        secret::fill(&mut fresh, &values, now)?;
        if dry != DryRun::Client {
            api.create(&dry.post(), &fresh).await?;
        }
        return Ok("created");
    };
    if !args.force && !held.annotations().contains_key(LAST_SYNC) {
        return Err(Failure::new(
            exit::REFUSED,
            format!("there is a secret {name} that auth sync did not make"),
        )
        .hint("choose another name with --secret, or replace what it holds with --force"));
    }
    // What is there is compared, not only what was noted of it: somebody may have edited it.
    if !args.force && secret::hash(&secret::values(&held)) == secret::hash(&values) {
        return Ok("unchanged");
    }
    // Its resourceVersion stays in it: whoever wrote meanwhile is not overwritten.
    secret::fill(&mut held, &values, now)?;
    if dry != DryRun::Client {
        match api.replace(name, &dry.post(), &held).await {
            Err(kube::Error::Api(s)) if s.code == 409 => {
                return Err(Failure::new(
                    exit::REFUSED,
                    format!("somebody else wrote secret {name} at the same moment"),
                )
                .hint("try again"));
            }
            done => done?,
        };
    }
    Ok("updated")
}
