//! An agent on a bench: the orders that the rules make for it, a model, a town, and what was seen.

use std::{
    cell::Cell,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use gastown_api::{AgentConfig, AgentKind, Budget, ModelProvider, Provider, SecretKeyRef, SecretReference};
pub(crate) use gastown_testkit::agents::{WORK, Who};
use gastown_testkit::{
    agents, build,
    model::{Model, Turn},
};
use gastown_wire::{CourierReport, Evidence, RecordLevel};

use crate::town::{Pod, Town, children};

/// A key that must be found in no log.
pub(crate) const KEY: &str = "sk-scripted-3c1f0e7a9b";
/// What the work is.
pub(crate) const TASK: &str = "Write AGENT.md, as the house rules say.";
/// One agent, one town, one model.
pub(crate) struct Bench {
    pub(crate) who: Who,
    pub(crate) town: Town,
    pub(crate) model: Model,
    /// Changes to what the Polecat says.
    pub(crate) config: AgentConfig,
    /// Keys of a Secret with a login, where it pays by one.
    pub(crate) login: Option<Vec<(&'static str, String)>>,
    pub(crate) keyless: bool,
    pub(crate) budget: Option<Budget>,
    case: &'static str,
    programs: PathBuf,
    since: Instant,
    /// Of the newest pod: to its first request, and most memory of the agent and all below it in MB.
    measured: Cell<Option<(Option<Duration>, u64)>>,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    /// None: the agent is not here, which is said.
    pub(crate) fn of(who: Who, case: &'static str, turns: Vec<Turn>) -> Option<Self> {
        let programs = who.fetched(case)?;
        let (runtime, model) = agents::model(turns);
        Some(Self {
            who,
            town: Town::new(),
            model,
            config: AgentConfig::default(),
            login: None,
            keyless: false,
            budget: None,
            case,
            programs,
            since: Instant::now(),
            measured: Cell::new(None),
            runtime,
        })
    }

    /// A variable of the agent.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let var = serde_json::from_value(serde_json::json!({"name": name, "value": value})).unwrap();
        self.config.env.push(var);
    }

    /// A pod as the rules make it, on this machine.
    pub(crate) fn pod(&self, round: u32, attempt: u32) -> Pod {
        let mut rig = build::rig("parts").row();
        let mut polecat = build::polecat("nux").of("parts").row();
        let claude = self.who == Who::Claude;
        rig.spec.agent = Some(match self.who {
            Who::Claude => AgentKind::ClaudeCode,
            Who::Opencode => AgentKind::Opencode,
            Who::Aider => AgentKind::Aider,
        });
        rig.spec.agent_config = Some(AgentConfig {
            provider: Some(if claude { Provider::Anthropic } else { Provider::Litellm }),
            model: Some(if claude { "sonnet" } else { "scripted" }.into()),
            model_provider: Some(ModelProvider {
                endpoint: Some(self.model.url()),
                api_key_secret_ref: (self.login.is_none()).then(|| SecretKeyRef {
                    name: "model".into(),
                    key: "key".into(),
                }),
            }),
            ..self.config.clone()
        });
        if self.login.is_some() {
            rig.spec.claude_creds_secret_ref = Some(SecretReference { name: "login".into() });
        }
        if self.who == Who::Aider {
            // What it does for models it knows.
            let config = rig.spec.agent_config.as_mut().unwrap();
            config.args = vec!["--edit-format".into(), "diff".into()];
        }
        polecat.spec.budget = self.budget.clone();
        polecat.spec.task_description = Some(TASK.into());
        let made = build::pod_of(rig, polecat).expect("the rules make a pod");
        let mut pod = self.town.attempt(round, attempt, "");
        pod.orders.agent = made.orders.agent;
        pod.orders.task = made.orders.task;
        pod.orders.record = RecordLevel::Conversation;
        pod.orders.pace.max_idle_s = made.orders.pace.max_idle_s;
        for var in made.env {
            pod.env.push((var.name, var.value.unwrap_or_default()));
        }
        if let Some((_, _, variable)) = made.common.credentials.api_key.filter(|_| !self.keyless) {
            pod.env.push((variable, KEY.into()));
        }
        let path = std::env::var("PATH").unwrap();
        pod.env
            .push(("PATH".into(), format!("{}:{path}", self.programs.display())));
        if let Some(login) = &self.login {
            let folder = pod.path("settings");
            fs::create_dir(&folder).unwrap();
            for (key, value) in login {
                fs::write(folder.join(key), value).unwrap();
            }
            fs::write(folder.join("CLAUDE.md"), "House rule seventeen: be brief.").unwrap();
            let skill = gastown_wire::settings_key("skills/my_skill/SKILL.md").unwrap();
            fs::write(
                folder.join(skill),
                "---\nname: my_skill\ndescription: paints parts blue\n---\nPaint.\n",
            )
            .unwrap();
            pod.orders.paths.settings = folder.display().to_string();
        }
        pod
    }

    /// Runs a pod to its end.
    pub(crate) fn run(&self, pod: &Pod) -> CourierReport {
        let began = Instant::now();
        let before = self.model.asked().len();
        let up = pod.cloned().up();
        let mut peak = 0;
        let deadline = Instant::now() + Duration::from_secs(400);
        while !ended(up.run.id()) {
            assert!(Instant::now() < deadline, "it does not end\n{}", pod.logs());
            peak = peak.max(memory_below(up.run.id()));
            std::thread::sleep(Duration::from_millis(50));
        }
        let report = up.report();
        let first = self.model.asked().get(before).map(|asked| asked.at - began);
        self.measured.set(Some((first, peak)));
        self.leaks(pod);
        report
    }

    /// No log and no ref holds the key.
    fn leaks(&self, pod: &Pod) {
        assert!(!pod.logs().contains(KEY), "the key is in a log");
        let raw = fs::read(pod.path("shared/raw.log")).unwrap_or_default();
        assert!(
            !String::from_utf8_lossy(&raw).contains(KEY),
            "the key is in the raw stream"
        );
    }

    /// The line about a case: how long it took; where a pod was run to its end, when the newest asked first and what it held.
    pub(crate) fn told(&self, seen: &str) {
        let (first, peak) = match self.measured.get() {
            Some((first, peak)) => (
                first.map_or("no request".into(), |f| format!("asks {:.1} s", f.as_secs_f32())),
                format!("{peak} MB"),
            ),
            None => (String::new(), String::new()),
        };
        println!(
            "{:<12} {:<16} ok  {:>5.1} s  {first:<10} {peak:>7}  {seen}",
            self.who.name(),
            self.case,
            self.since.elapsed().as_secs_f32()
        );
    }

    /// Whether the model was told something, in requests from the given one on.
    pub(crate) fn heard(&self, from: usize, words: &str) -> bool {
        self.model
            .asked()
            .iter()
            .skip(from)
            .any(|asked| asked.text().contains(words))
    }

    pub(crate) fn evidence(commit: &str) -> Evidence {
        Evidence {
            summary: "not ok: AGENT.md wants a heading".into(),
            commit: Some(commit.into()),
            ..Evidence::default()
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // The model's task must end before its runtime.
        let _guard = self.runtime.enter();
    }
}

/// Whether a process has ended; it is a zombie until somebody waits for it.
fn ended(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_none_or(|(_, tail)| tail.trim_start().starts_with('Z'))
}

/// Memory of all processes below one. MB.
fn memory_below(pid: u32) -> u64 {
    children(pid)
        .into_iter()
        .map(|child| memory(child) + memory_below(child))
        .sum()
}

/// Its share of the pages it has: an agent that forks for a tool would count twice by what is resident.
fn memory(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0)
        / 1024
}
