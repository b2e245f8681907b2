//! Agents are data: container, command, conversation, transcript, and how a model is named to them. Adding one is an
//! entry here and a contract test.

mod models;

use gastown_api::AgentKind;
use gastown_wire::{Input, Transcript};

pub(crate) use models::{Model, Speech};

/// How an agent is started where the user names no command.
#[derive(Debug)]
pub(crate) struct Agent {
    /// As `spec.agent` spells it.
    pub(crate) name: &'static str,
    /// Name of its container.
    pub(crate) container: &'static str,
    /// Program and flags for unattended work. Empty: the user names it.
    pub(crate) command: &'static [&'static str],
    /// More flags where its conversation is new; the session is the polecat's UID.
    pub(crate) start: &'static [&'static str],
    /// More flags where it goes on.
    pub(crate) resume: &'static [&'static str],
    /// What its input holds: never an argument, for a word of a command line has 128 KiB.
    pub(crate) input: Input,
    /// How what it prints is read.
    pub(crate) transcript: Transcript,
    /// Files of the conversation below its home.
    pub(crate) conversation: &'static [&'static str],
    /// Files it leaves in the workspace that are no work.
    pub(crate) notes: &'static [&'static str],
    /// Files that it finds in its home: paths below it, and their texts.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// SIGINT ends it and its tools; SIGTERM alone leaves tools behind.
    pub(crate) interrupt: bool,
    /// Flag that takes what may be spent, in dollars.
    pub(crate) budget_flag: Option<&'static str>,
    /// Ended after this long without a sign of life, where nobody says. Seconds.
    pub(crate) max_idle: Option<u64>,
    /// Environment it needs to stay unattended, quiet and bounded. The user's wins.
    pub(crate) env: &'static [(&'static str, &'static str)],
    /// How a model and where it is served are named to it.
    pub(crate) speech: fn(&Model<'_>) -> Result<Speech, String>,
}

static CLAUDE_CODE: Agent = Agent {
    name: "claude-code",
    container: "claude",
    command: &[
        "claude",
        "-p",
        "--dangerously-skip-permissions",
        "--input-format",
        "stream-json",
        "--output-format",
        "stream-json",
        "--verbose",
    ],
    start: &["--session-id", "{session}"],
    resume: &["--resume", "{session}"],
    input: Input::Stream,
    transcript: Transcript::Claude,
    conversation: &[".claude/projects/{cwd}/{session}.jsonl"],
    notes: &[],
    files: &[],
    interrupt: true,
    budget_flag: Some("--max-budget-usd"),
    max_idle: Some(1800),
    env: &[
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        // As root it works in a sandbox only; a pod is one.
        ("IS_SANDBOX", "1"),
        // About a minute of an endpoint that answers with errors, 5 minutes a try of one that does not answer.
        ("CLAUDE_CODE_MAX_RETRIES", "7"),
        ("API_TIMEOUT_MS", "300000"),
        // Unset it takes the dearest model with an API key.
        ("ANTHROPIC_MODEL", "sonnet"),
    ],
    speech: models::claude,
};

static OPENCODE: Agent = Agent {
    name: "opencode",
    container: "opencode",
    command: &["opencode", "run", "--format", "json"],
    start: &[],
    resume: &["--session", "{session}"],
    input: Input::Prompt,
    transcript: Transcript::Opencode,
    conversation: &[
        ".local/share/opencode/opencode.db",
        ".local/share/opencode/opencode.db-wal",
    ],
    notes: &[],
    files: &[(".config/opencode/plugins/gastown.js", include_str!("agents/waits.js"))],
    interrupt: false,
    budget_flag: None,
    max_idle: Some(1800),
    env: &[
        ("OPENCODE_DISABLE_AUTOUPDATE", "1"),
        ("OPENCODE_DISABLE_MODELS_FETCH", "1"),
    ],
    speech: models::opencode,
};

static AIDER: Agent = Agent {
    name: "aider",
    container: "aider",
    command: &[
        "aider",
        "--yes-always",
        "--no-check-update",
        "--analytics-disable",
        "--no-show-model-warnings",
        "--no-show-release-notes",
        "--no-gitignore",
        "--no-pretty",
        "--no-stream",
        "--no-suggest-shell-commands",
        "--timeout",
        "60",
        "--chat-history-file",
        "{home}/.aider.chat.history.md",
        "--input-history-file",
        "{home}/.aider.input.history",
        "--message-file",
        "{prompt}",
    ],
    start: &[],
    resume: &["--restore-chat-history"],
    input: Input::Nothing,
    transcript: Transcript::Aider,
    conversation: &[".aider.chat.history.md"],
    notes: &[".aider*"],
    files: &[],
    interrupt: false,
    budget_flag: None,
    max_idle: Some(1800),
    env: &[("LITELLM_LOCAL_MODEL_COST_MAP", "True")],
    speech: models::aider,
};

static CUSTOM: Agent = Agent {
    name: "custom",
    container: "agent",
    command: &[],
    start: &[],
    resume: &[],
    input: Input::Task,
    transcript: Transcript::Text,
    conversation: &[],
    notes: &[],
    files: &[],
    interrupt: false,
    budget_flag: None,
    max_idle: None,
    env: &[],
    speech: models::custom,
};

/// The entry of an agent.
pub(crate) fn agent(kind: AgentKind) -> &'static Agent {
    match kind {
        AgentKind::ClaudeCode => &CLAUDE_CODE,
        AgentKind::Opencode => &OPENCODE,
        AgentKind::Aider => &AIDER,
        AgentKind::Custom => &CUSTOM,
    }
}
