//! docs/CLI_REFERENCE.md, from what clap knows.

use crate::exit;
use clap::{Arg, Command};
use std::fmt::Write;

const HEAD: &str = "<!-- Generated from crates/kubectl-gt by `make generate`. Do not edit. -->
# kubectl gt

`gastown` has every verb, too; there `.` is the rig of the current checkout. Data goes to stdout and nothing else does; notes,
progress and errors go to stderr, progress only to a terminal. Colour is for terminals (`NO_COLOR` and `CLICOLOR_FORCE` are heeded). A pipe that
nobody reads any more is success.

The namespace is that of `-n`, else the kubeconfig context's, else `gastown-system`. Writes take `--dry-run=client` (nothing is sent) and
`--dry-run=server` (checked by the server, not kept).

";

/// What `-o json` and `-o yaml` print, where it is no object of the cluster.
const OUTPUT: &str = "## Output

| `-o` | What |
|---|---|
| `table` | columns, or a block of lines, for people |
| `wide` | more columns |
| `json`, `yaml` | for machines, as below |
| `name` | `kind/name`, a line each |

Any other value is a usage error. `json` and `yaml` of a list is an array, also when it is empty; of one object the object as the cluster has it
(`apiVersion`, `kind`, `metadata` without `managedFields`, `spec`, `status`), with fields that are newer than this program. Some commands have documents of their own:

| Command | `-o json` |
|---|---|
| `sling` | one bead: its Polecat; several: an array of Polecats |
| `rig`, `polecat`, `convoy`, `refinery`, `witness`, `beadstore` and their verbs | the object, or an array of objects for `list` |
| `polecat logs` | one object a line as it comes (`yaml`: the items of one sequence): `polecat`, `pod`, `container`, `line`; `name`: the pod |
| `polecat diff` | `polecat`, `branch`, `base`, `commit`, `files[]`, `patch` (not with `--name-only`), `truncated` |
| `top` | array of `namespace`, `polecat`, `rig`, `bead`, `phase`, `active`, `agent`, `model`, `round`, `attempt`, `since`, `inputTokens`, `outputTokens`, `costUSD`, `task`, `message`; what is not known is null |
| `doctor` | array of `name`, `verdict` (`ok`, `warn`, `fail`), `message`, `fix` (where there is one); `name`: those that fail |
| `auth sync` | `secret`, `namespace`, `action` (`created`, `updated`, `unchanged`), `dryRun`, `bytes`, `expiresAt`, `files[]` (`path`, `key`, `bytes`), `skipped[]` (`path`, `why`) |
| `auth status` | `secret`, `namespace`, `login` (`oauth`, `token`, `apiKey`, `opencode`, `settings`, `unreadable`), `expiresAt`, `expired`, `odd` (what in it is not as its agent writes it), `holdsRefreshToken`, `lastSync`, `ageSeconds`, `files[]` (`path`, `bytes`) |
| `version` | `client` (`name`, `version`, `api`), `operator` (`image`) or null |

";

/// What `auth sync` takes, and how it is kept.
const SECRETS: &str = "## What auth sync uploads

| `--agent` | Secret | Files, where they are |
|---|---|---|
| `claude-code` | `claude-creds` | of `~/.claude` (`$CLAUDE_CONFIG_DIR`, `--claude-dir`): `.credentials.json`, `settings.json`, `settings.local.json`, `CLAUDE.md`, `plugins/*.json`, and all in `skills`, `agents`, `commands`, `hooks` |
| `opencode` | `opencode-creds` | of `~/.config/opencode`: `opencode.json`, `opencode.jsonc`, `AGENTS.md`, and all in `skills`, `agents`, `commands`, `plugins` (and their singulars); `~/.local/share/opencode/auth.json` |
| `aider` | `aider-creds` | `~/.aider.conf.yml`, `~/.aider.model.settings.yml`, `~/.aider.model.metadata.json`; `~/.env` with `--with-env` only |

Never history, projects, todos, caches, shell snapshots, `.git` or `node_modules`. A symbolic link is followed within the agent's own folder; one that leads
outside is skipped and named, and so are sockets, pipes, files that cannot be read, and paths that fit no key. A Secret holds 1 MiB: what is
too much is refused before anything is sent, with the largest files named.

A login goes without its refresh token (why: [AGENTS](AGENTS.md#who-pays)): `auth sync` says until when it holds, and one that is over is refused: run the agent
once, which refreshes it. `--token-from-env` uploads a long-lived token in its place, with the same settings.

A Secret's key cannot hold a `/`. So in a key every byte of the path but letters, digits, `-` and `.` is written as its two hexadecimal digits between
underscores (`skills/my_skill/SKILL.md` is `skills_2F_my_5F_skill_2F_SKILL.md`); the pod writes the file back where it belongs, below `~/.claude`, or below the home
where the path begins with `~/`. The annotation `gastown.io/last-sync` says when; other annotations and labels of the Secret stay. A Secret that `auth sync` did not make is
left alone without `--force`. Whoever syncs twice writes once: only what changed is written.

";

/// The whole page.
#[must_use]
pub fn reference(command: &mut Command) -> String {
    command.build();
    let mut text = HEAD.to_owned();
    text.push_str("## Exit codes\n\n| Code | Meaning |\n|---|---|\n");
    for (code, meaning) in exit::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {code} | {meaning} |");
    }
    text.push('\n');
    text.push_str(OUTPUT);
    text.push_str(SECRETS);
    text.push_str("## Flags of every command\n\n");
    arguments(command.get_arguments().filter(|a| a.is_global_set()), &mut text);
    for sub in visible(command) {
        page(sub, "kubectl gt", &mut text);
    }
    format!("{}\n", text.trim_end())
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|c| !c.is_hide_set() && c.get_name() != "help")
}

fn page(command: &Command, above: &str, text: &mut String) {
    let name = format!("{above} {}", command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    if command.has_subcommands() {
        let _ = writeln!(text, "\n## {name}\n\n{about}");
    } else {
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim().trim_start_matches("Usage:").trim();
        let _ = writeln!(text, "\n### {name}\n\n{about}\n\n```\n{usage}\n```\n");
        let own = command
            .get_arguments()
            .filter(|a| !a.is_global_set() && a.get_id() != "help");
        arguments(own, text);
        if let Some(examples) = command.get_after_help() {
            let lines: Vec<String> = examples
                .to_string()
                .lines()
                .skip(1)
                .map(|l| l.trim_start_matches("  ").to_owned())
                .collect();
            let _ = writeln!(text, "\n```sh\n{}\n```", lines.join("\n"));
        }
    }
    for sub in visible(command) {
        page(sub, &name, text);
    }
}

fn arguments<'a>(all: impl Iterator<Item = &'a Arg>, text: &mut String) {
    let mut rows = String::new();
    for argument in all {
        let about = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let default: Vec<String> = argument
            .get_default_values()
            .iter()
            .map(|v| v.to_string_lossy().into_owned())
            .collect();
        let takes = argument.get_action().takes_values();
        let default = if default.is_empty() || !takes || argument.is_hide_default_value_set() {
            String::new()
        } else {
            format!(" Default: {}.", default.join(" "))
        };
        let _ = writeln!(rows, "| {} | {about}{default} |", spelled(argument).replace('|', "\\|"));
    }
    if !rows.is_empty() {
        let _ = write!(text, "| Argument | Meaning |\n|---|---|\n{rows}");
    }
}

/// `-n`, `--namespace <NAMESPACE>`.
fn spelled(argument: &Arg) -> String {
    let values: Vec<String> = match (argument.get_action().takes_values(), argument.get_value_names()) {
        (false, _) => Vec::new(),
        (true, Some(names)) => names.iter().map(|n| format!("<{n}>")).collect(),
        (true, None) => vec![format!("<{}>", argument.get_id().as_str().to_uppercase())],
    };
    let mut words: Vec<String> = Vec::new();
    words.extend(argument.get_short().map(|s| format!("`-{s}`")));
    words.extend(
        argument
            .get_long()
            .map(|l| format!("`--{}`", [vec![l.to_owned()], values.clone()].concat().join(" "))),
    );
    words.extend(
        argument
            .get_visible_aliases()
            .into_iter()
            .flatten()
            .map(|a| format!("`--{a}`")),
    );
    if words.is_empty() {
        words.push(format!("`{}`", values.join(" ")));
    }
    words.join(", ")
}
