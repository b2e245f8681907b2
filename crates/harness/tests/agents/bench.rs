//! An agent on a bench: the orders that the rules make for it, a model, a town, and what was seen.

use std::{
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
    pub(crate) login: Option<String>,
    pub(crate) keyless: bool,
    pub(crate) budget: Option<Budget>,
    case: &'static str,
    programs: PathBuf,
    since: Instant,
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
            if !login.is_empty() {
                fs::write(folder.join(".credentials.json"), login).unwrap();
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
    pub(crate) fn run(&self, pod: &Pod) -> Seen {
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
        self.leaks(pod);
        Seen {
            report,
            peak,
            first,
            took: began.elapsed(),
        }
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

    /// The line about a case.
    pub(crate) fn told(&self, seen: &str) {
        println!(
            "{:<12} {:<22} ok  {:>5.1} s  {seen}",
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

/// What was seen of a run.
pub(crate) struct Seen {
    pub(crate) report: CourierReport,
    /// Most memory of the agent and all below it. MB.
    pub(crate) peak: u64,
    /// From the start of the pod to the first request.
    pub(crate) first: Option<Duration>,
    pub(crate) took: Duration,
}

impl Seen {
    pub(crate) fn figures(&self) -> String {
        let first = self.first.unwrap_or_default().as_secs_f32();
        format!(
            "first request after {first:.1} s, whole pod {:.1} s, peak {} MB",
            self.took.as_secs_f32(),
            self.peak
        )
    }
}

/// Whether a process has ended; it is a zombie until somebody waits for it.
fn ended(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_none_or(|(_, tail)| tail.trim_start().starts_with('Z'))
}

/// Resident memory of all processes below one. MB.
fn memory_below(pid: u32) -> u64 {
    children(pid)
        .into_iter()
        .map(|child| resident(child) + memory_below(child))
        .sum()
}

fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0)
        / 1024
}
