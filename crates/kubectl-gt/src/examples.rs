//! Examples, as `--help` prints them. Each is run by a test, against a cluster with rig my-project and a few polecats.

use clap::Command;

pub(crate) const SLING: &str = r#"Examples:
  # A bead: its task is what .beads/*.jsonl of this checkout says, or of the rig's repository
  kubectl gt sling mp-123 my-project

  # In plain words, and wait until it is on main
  kubectl gt sling my-project -m "Add a --version flag" --wait --timeout 30m

  # Many beads in one call
  kubectl gt sling mp-1 mp-2 mp-3 my-project

  # A long task from stdin; for scripts, the polecat's name
  echo "Rewrite the parser" | kubectl gt sling mp-7 my-project --file - -o name

  # Another agent, a name of one's own, and block until its pod runs
  kubectl gt sling mp-8 my-project --agent claude-code --model claude-sonnet-5 --name furiosa-two --wait-ready --timeout 5m"#;

pub(crate) const RIG_LIST: &str = r#"Examples:
  kubectl gt rig list
  kubectl gt rig list -o json"#;

pub(crate) const RIG_STATUS: &str = r#"Examples:
  kubectl gt rig status my-project
  kubectl gt rig status my-project -o yaml"#;

pub(crate) const RIG_CREATE: &str = r#"Examples:
  # The least that is needed
  kubectl gt rig create my-other --git-url https://github.com/org/repo.git --prefix mo

  # With what its polecats inherit
  kubectl gt rig create my-third --git-url git@github.com:org/repo.git --prefix mt --test-command "make test" --git-secret git-creds --claude-creds claude-creds --agent claude-code --theme wasteland --max-polecats 20

  # See the object first
  kubectl gt rig create my-fourth --git-url https://github.com/org/repo.git --prefix mf --dry-run=client -o yaml"#;

pub(crate) const RIG_PAUSE: &str = r#"Examples:
  kubectl gt rig pause my-project"#;

pub(crate) const RIG_RESUME: &str = r#"Examples:
  kubectl gt rig resume my-project"#;

pub(crate) const POLECAT_LIST: &str = r#"Examples:
  kubectl gt polecat list
  kubectl gt polecat list my-project -o wide
  kubectl gt polecat list -A -o json"#;

pub(crate) const POLECAT_STATUS: &str = r#"Examples:
  kubectl gt polecat status my-project/furiosa
  kubectl gt polecat status furiosa -o json"#;

pub(crate) const POLECAT_LOGS: &str = r#"Examples:
  # Until its work is done, over restarts and attempts
  kubectl gt polecat logs my-project/furiosa -f

  # What courier carried
  kubectl gt polecat logs furiosa -c courier --tail 20

  # For scripts: an object a line
  kubectl gt polecat logs furiosa --since 1h -o json"#;

pub(crate) const POLECAT_DIFF: &str = r#"Examples:
  kubectl gt polecat diff my-files/toast
  kubectl gt polecat diff toast --name-only"#;

pub(crate) const POLECAT_RETRY: &str = r#"Examples:
  # Stuck, and what was wrong is mended
  kubectl gt polecat retry slit

  # Done or stuck, and something has to be different
  kubectl gt polecat retry capable -m "Keep the old flag as an alias"

  # See the change first
  kubectl gt polecat retry rictus --dry-run=server -o yaml"#;

pub(crate) const POLECAT_TELL: &str = r#"Examples:
  kubectl gt polecat tell furiosa "The fixture is in tests/data""#;

pub(crate) const TOP: &str = r#"Examples:
  kubectl gt top
  kubectl gt top --rig my-project -o wide
  kubectl gt top -A -o json

  # Until Ctrl-C
  kubectl gt top --watch"#;

pub(crate) const DOCTOR: &str = r#"Examples:
  kubectl gt doctor
  kubectl gt doctor --rig my-project -o json"#;

pub(crate) const POLECAT_NUKE: &str = r#"Examples:
  kubectl gt polecat nuke my-project/nux
  kubectl gt polecat nuke my-project/nux --force"#;

pub(crate) const CONVOY_LIST: &str = r#"Examples:
  kubectl gt convoy list
  kubectl gt convoy list -A -o yaml"#;

pub(crate) const CONVOY_STATUS: &str = r#"Examples:
  kubectl gt convoy status cv-one"#;

pub(crate) const CONVOY_CREATE: &str = r#"Examples:
  # Polecats are made for its beads, five at once
  kubectl gt convoy create "Release 1.2" mp-1 mp-2 mp-3 --rig my-project --parallelism 5

  # Only counted: somebody else slings them
  kubectl gt convoy create "Watched" mp-4 mp-5"#;

pub(crate) const CONVOY_WAIT: &str = r#"Examples:
  kubectl gt convoy wait cv-done --timeout 2h"#;

pub(crate) const REFINERY_LIST: &str = r#"Examples:
  kubectl gt refinery list -A"#;

pub(crate) const REFINERY_QUEUE: &str = r#"Examples:
  kubectl gt refinery queue my-project"#;

pub(crate) const REFINERY_PAUSE: &str = r#"Examples:
  kubectl gt refinery pause my-project"#;

pub(crate) const REFINERY_RESUME: &str = r#"Examples:
  kubectl gt refinery resume my-project"#;

pub(crate) const WITNESS_LIST: &str = r#"Examples:
  kubectl gt witness list"#;

pub(crate) const WITNESS_STATUS: &str = r#"Examples:
  kubectl gt witness status my-project"#;

pub(crate) const BEADSTORE_LIST: &str = r#"Examples:
  kubectl gt beadstore list"#;

pub(crate) const BEADSTORE_STATUS: &str = r#"Examples:
  kubectl gt beadstore status my-project-beads"#;

pub(crate) const AUTH_SYNC: &str = r#"Examples:
  # See what would be uploaded
  kubectl gt auth sync --dry-run

  # ~/.claude as Secret claude-creds; again when its login is over: only what changed is written
  kubectl gt auth sync -n gastown-system

  # A token that lasts, as `claude setup-token` makes it, in place of the login
  CLAUDE_CODE_OAUTH_TOKEN=sk-ant-oat01-example kubectl gt auth sync --token-from-env

  # opencode's settings and login
  kubectl gt auth sync --agent opencode

  # An API key, from the environment and never from the command line
  ANTHROPIC_API_KEY=sk-ant-api03-example kubectl gt auth sync --api-key-from-env"#;

pub(crate) const AUTH_STATUS: &str = r#"Examples:
  kubectl gt auth status
  kubectl gt auth status -o json"#;

pub(crate) const VERSION: &str = r#"Examples:
  kubectl gt version
  kubectl gt version --client -o json"#;

pub(crate) const COMPLETION: &str = r#"Examples:
  # For `kubectl gt`: kubectl asks this file
  kubectl gt completion kubectl > kubectl_complete-gt && chmod +x kubectl_complete-gt

  # For `kubectl-gt` itself
  kubectl gt completion bash"#;

/// Words of a program whose examples say another name.
const NAME: &str = "kubectl gt";

/// The command with its examples as another program says them.
#[must_use]
pub fn spoken_as(program: &str, command: Command) -> Command {
    let help = command.get_after_help().map(|h| h.to_string().replace(NAME, program));
    let mut command = match help {
        Some(help) => command.after_help(help),
        None => command,
    };
    let names: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(name, |c| spoken_as(program, c));
    }
    command
}
