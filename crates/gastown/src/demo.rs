//! `demo`: the whole system on a small real repository, with eight tasks and a scripted stand-in for the model.

use crate::place::{Place, replace};
use crate::story::Story;
use crate::town::{Plan, Town};
use clap::Args;
use futures::{Stream, StreamExt};
use gastown_api::{
    AgentConfig, AgentKind, Convoy, ConvoyPhase, ConvoySpec, Polecat, Refinery, Rig, RigSettings, RigSpec, names,
};
use gastown_git::{Git, Oid, RefName, Repo};
use k8s_openapi::api::core::v1::{ConfigMap, Event, LocalObjectReference};
use kube::api::{ObjectMeta, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use kubectl_gt::{Access, Cluster, DEFAULT_NAMESPACE, Failure, SlingArgs, Slung, exit, sling};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Arguments of demo.
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Folder of the run; it holds parts.git, made by demo/make-repo.sh.
    #[arg(long, default_value = ".demo")]
    dir: PathBuf,
    /// Folder with tasks and agent.
    #[arg(long, default_value = "demo")]
    from: PathBuf,
    /// What the test suite said of main before the start, for the record.
    #[arg(long, default_value = "")]
    baseline: String,
    /// Leave the town up when all has landed, until Ctrl-C.
    #[arg(long, env = "KEEP")]
    keep: Option<String>,
    /// Run pods without isolation, as where the system allows none.
    #[arg(long)]
    unconfined: bool,
    /// Longest run. Seconds.
    #[arg(long, default_value = "300")]
    timeout: u64,
}

const RIG: &str = "parts";
const CONVOY: &str = "cv-demo";
const AGENT: &str = "demo-agent";
const AT_ONCE: i32 = 5;
/// Whose pod is lost: the one whose agent thinks for long with a file uncommitted.
const VICTIM: &str = "pa-2";
const RED: &str = "pa-4";
const CLASH: [&str; 2] = ["pa-7", "pa-8"];

pub(crate) async fn run(args: DemoArgs) -> Result<(), Failure> {
    let story = Story::start();
    let dir = args.dir.canonicalize().map_err(|e| {
        Failure::new(exit::USAGE, format!("{}: {e}", args.dir.display()))
            .hint("run make demo: it makes the repository first")
    })?;
    let place = Place::at(dir.join("town"));
    if place.data.exists() {
        std::fs::remove_dir_all(&place.data)?;
    }
    let unconfined = args.unconfined || gastown_node::probe_isolation().await.is_err();
    let bare = dir.join("parts.git");
    let town = Town::start(Plan {
        place,
        unconfined,
        repositories: vec![bare.clone()],
    })
    .await?;
    let mut demo = Demo::new(&args, town, story, bare).await?;
    let told = tokio::time::timeout(Duration::from_secs(args.timeout), demo.tell()).await;
    let result = match told {
        Ok(Ok(())) => demo.conclude(&dir).await,
        Ok(Err(e)) => Err(e),
        Err(_) => Err(Failure::new(
            exit::TIMED_OUT,
            format!("not everything landed within {} s", args.timeout),
        )
        .hint(demo.whereabouts())),
    };
    if args.keep.as_ref().is_some_and(|k| !k.is_empty() && k != "0") {
        println!(
            "\nThe town stays up until Ctrl-C:  export KUBECONFIG={}",
            dir.join("town/kubeconfig").display()
        );
        // Interrupted or not, what follows is the end.
        let _ = tokio::signal::ctrl_c().await;
    }
    demo.town.stop().await;
    result
}

/// What has been seen so far.
struct Demo {
    town: Town,
    story: Story,
    cluster: Cluster,
    repo: Repo,
    start: Oid,
    from: PathBuf,
    baseline: String,
    polecats: BTreeMap<String, Polecat>,
    told: BTreeSet<String>,
    lost: BTreeSet<String>,
    restored: bool,
}

/// Something the town did.
enum Sight {
    Polecat(Box<Polecat>),
    Convoy(Box<Convoy>),
    Event(Box<Event>),
}

impl Demo {
    async fn new(args: &DemoArgs, town: Town, story: Story, bare: PathBuf) -> Result<Self, Failure> {
        let failed = |e: &dyn std::fmt::Display| Failure::new(exit::FAILED, e.to_string());
        let git = Git::probe().await.map_err(|e| failed(&e))?;
        let repo = git.open(&bare).await.map_err(|e| failed(&e))?;
        let start = repo.rev_parse("refs/heads/main").await.map_err(|e| failed(&e))?;
        let start = start.ok_or_else(|| failed(&"parts.git has no main"))?;
        let cluster = Cluster {
            client: town.client.clone(),
            namespace: DEFAULT_NAMESPACE.to_owned(),
        };
        Ok(Self {
            town,
            story,
            cluster,
            repo,
            start,
            from: args.from.clone(),
            baseline: args.baseline.clone(),
            polecats: BTreeMap::new(),
            told: BTreeSet::new(),
            lost: BTreeSet::new(),
            restored: false,
        })
    }

    /// From the first line to the last landing.
    async fn tell(&mut self) -> Result<(), Failure> {
        self.story.line(
            "up",
            &format!(
                "Kubernetes API on {}, node ready; pods: {}",
                self.town.serving.addr, self.town.isolation
            ),
        );
        self.make_rig().await?;
        let sights = sights(&self.cluster);
        let mut sights = std::pin::pin!(sights);
        self.sling_all().await?;
        let mut look = tokio::time::interval(Duration::from_millis(100));
        loop {
            tokio::select! {
                Some(sight) = sights.next() => if self.see(sight) { return Ok(()) },
                _ = look.tick(), if self.lost.is_empty() => self.lose_when_ripe().await?,
                failure = self.town.broken() => return Err(failure),
            }
        }
    }

    async fn make_rig(&mut self) -> Result<(), Failure> {
        let agent = self.from.join("agent.sh");
        let script = std::fs::read_to_string(&agent).map_err(|e| {
            Failure::new(exit::USAGE, format!("{}: {e}", agent.display())).hint("run it from the source: make demo")
        })?;
        let maps: Api<ConfigMap> = Api::namespaced(self.cluster.client.clone(), DEFAULT_NAMESPACE);
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(AGENT.to_owned()),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([("agent.sh".to_owned(), script)])),
            ..ConfigMap::default()
        };
        maps.create(&PostParams::default(), &map).await?;
        let spec = RigSpec {
            git_url: self.repo.dir().to_string_lossy().into_owned(),
            beads_prefix: "pa".to_owned(),
            test_command: Some("./test.sh".to_owned()),
            agent: Some(AgentKind::Custom),
            agent_config: Some(AgentConfig {
                command: vec!["/bin/sh".to_owned(), "/gastown/agent-config/agent.sh".to_owned()],
                config_map_ref: Some(LocalObjectReference { name: AGENT.to_owned() }),
                ..AgentConfig::default()
            }),
            settings: Some(RigSettings {
                max_polecats: Some(AT_ONCE),
                namepool_theme: Some("mad-max".to_owned()),
            }),
            ..RigSpec::default()
        };
        let rigs: Api<Rig> = Api::all(self.cluster.client.clone());
        rigs.create(&PostParams::default(), &Rig::new(RIG, spec)).await?;
        self.story.line(
            "rig",
            &format!(
                "{RIG}: {}",
                if self.baseline.is_empty() {
                    "ready"
                } else {
                    &self.baseline
                }
            ),
        );
        Ok(())
    }

    async fn sling_all(&mut self) -> Result<(), Failure> {
        let access = Access {
            program: "gastown".to_owned(),
            ..Access::default()
        };
        let mut beads: Vec<String> = Vec::new();
        let mut names = Vec::new();
        for n in 1..=8 {
            let bead = format!("pa-{n}");
            let args = SlingArgs {
                words: vec![bead.clone(), RIG.to_owned()],
                file: Some(self.from.join(format!("tasks/{bead}.md"))),
                ..SlingArgs::default()
            };
            let slung = sling(&args, &self.cluster, &access).await?;
            names.extend(slung.iter().map(Slung::name));
            beads.push(bead);
        }
        self.story
            .line("sling", &format!("{} beads -> {}", beads.len(), names.join(" ")));
        let convoys: Api<Convoy> = Api::namespaced(self.cluster.client.clone(), DEFAULT_NAMESPACE);
        let spec = ConvoySpec {
            description: "the demo's eight".to_owned(),
            tracked_beads: beads,
            ..ConvoySpec::default()
        };
        convoys
            .create(&PostParams::default(), &Convoy::new(CONVOY, spec))
            .await?;
        Ok(())
    }

    /// Loses the victim's pod once two of its commits are on the remote and its uncommitted file is kept there too.
    async fn lose_when_ripe(&mut self) -> Result<(), Failure> {
        let Some(polecat) = self.by_bead(VICTIM).cloned() else {
            return Ok(());
        };
        let status = polecat.status.clone().unwrap_or_default();
        let (Some(branch), Some(pod)) = (status.branch, status.pod_name) else {
            return Ok(());
        };
        let failed = |e: &dyn std::fmt::Display| Failure::new(exit::FAILED, e.to_string());
        let Some(tip) = self
            .repo
            .rev_parse(&format!("refs/heads/{branch}"))
            .await
            .map_err(|e| failed(&e))?
        else {
            return Ok(());
        };
        let kept = gastown_wire::snapshot_ref(&polecat.uid().unwrap_or_default());
        let kept = RefName::parse(&kept).map_err(|e| failed(&e))?;
        let kept = self.repo.rev_parse(&format!("{kept}^")).await.map_err(|e| failed(&e))?;
        let commits = self
            .repo
            .count_commits(Some(&self.start), &tip)
            .await
            .map_err(|e| failed(&e))?;
        if commits < 2 || kept.as_ref() != Some(&tip) {
            return Ok(());
        }
        self.town
            .node
            .lose(DEFAULT_NAMESPACE, &pod)
            .await
            .map_err(|e| failed(&e))?;
        self.lost.insert(polecat.name_any());
        let text = format!(
            "{}'s pod, as by a dead node: processes killed, volumes gone, a file uncommitted",
            polecat.name_any()
        );
        self.story.line("LOST", &text);
        Ok(())
    }

    fn by_bead(&self, bead: &str) -> Option<&Polecat> {
        self.polecats.values().find(|p| p.spec.bead_id.as_deref() == Some(bead))
    }

    /// Takes a sight in; true when all has landed.
    fn see(&mut self, sight: Sight) -> bool {
        match sight {
            Sight::Polecat(polecat) => {
                self.polecats.insert(polecat.name_any(), *polecat);
                self.tell_running();
            }
            Sight::Event(event) => self.tell_event(&event),
            Sight::Convoy(convoy) => {
                let status = convoy.status.unwrap_or_default();
                if status.phase == ConvoyPhase::Complete {
                    self.story.line(
                        "convoy",
                        &format!("{CONVOY} complete, {}", status.progress.unwrap_or_default()),
                    );
                    return true;
                }
            }
        }
        false
    }

    fn tell_running(&mut self) {
        let count = |f: &dyn Fn(&Polecat) -> bool| self.polecats.values().filter(|p| f(p)).count();
        let running = count(&|p| p.status.as_ref().is_some_and(|s| s.pod_active == Some(true)));
        let begun = count(&|p| p.status.as_ref().is_some_and(|s| s.attempt.is_some()));
        if i32::try_from(begun).unwrap_or(i32::MAX) >= AT_ONCE && running > 0 && self.told.insert("running".to_owned())
        {
            let queued = self.polecats.len().saturating_sub(begun);
            self.story.line(
                "running",
                &format!("{begun} pods (maxPolecats {AT_ONCE}), {queued} queued"),
            );
        }
    }

    fn tell_event(&mut self, event: &Event) {
        let key = event.metadata.uid.clone().unwrap_or_else(|| event.name_any());
        if !self.told.insert(key) {
            return;
        }
        let (reason, message) = (
            event.reason.clone().unwrap_or_default(),
            event.message.clone().unwrap_or_default(),
        );
        let about = event.involved_object.name.clone().unwrap_or_default();
        let kind = event.involved_object.kind.as_deref().unwrap_or_default();
        let (label, text) = match (kind, reason.as_str()) {
            // Ours: told already as LOST.
            ("Polecat", "PodGone") if self.lost.contains(&about) => return,
            ("Polecat", "Resumed") if self.lost.contains(&about) => {
                self.restored |= message.contains("1 uncommitted file");
                ("resumed", format!("{about}, {message}"))
            }
            ("Polecat", "HandedBack") => ("back", format!("{about} {message}")),
            ("Refinery", "BatchTesting") => ("testing", message),
            ("Refinery", "BatchRed") => ("red", message),
            ("Refinery", "CulpritFound") => ("culprit", message),
            ("Refinery", "Landed" | "AlreadyOnTarget") => ("landed", message),
            ("Refinery", "Conflict") => ("conflict", message),
            (_, other) if event.type_.as_deref() == Some("Warning") && kind != "Refinery" && kind != "Pod" => {
                ("warning", format!("{about} {other}: {message}"))
            }
            _ => return,
        };
        self.story.line(label, &text);
    }

    /// Where everybody is, for a run that did not end.
    fn whereabouts(&self) -> String {
        let one = |p: &Polecat| {
            let s = p.status.clone().unwrap_or_default();
            format!("{} {:?} {}", p.name_any(), s.phase, s.message.unwrap_or_default())
        };
        self.polecats.values().map(one).collect::<Vec<_>>().join("; ")
    }

    /// Figures, the summary file, and whether what the demo is to show was shown.
    async fn conclude(&mut self, dir: &Path) -> Result<(), Failure> {
        let polecats: Api<Polecat> = Api::namespaced(self.cluster.client.clone(), DEFAULT_NAMESPACE);
        for polecat in polecats.list(&kube::api::ListParams::default()).await?.items {
            self.polecats.insert(polecat.name_any(), polecat);
        }
        let refineries: Api<Refinery> = Api::namespaced(self.cluster.client.clone(), DEFAULT_NAMESPACE);
        let queue = refineries
            .get(&names::refinery_name(RIG))
            .await?
            .status
            .unwrap_or_default();
        let landed = self
            .polecats
            .values()
            .filter(|p| p.status.as_ref().is_some_and(|s| s.merged_commit.is_some()))
            .count();
        let back: Vec<(String, String)> = self.polecats.values().flat_map(handed_back).collect();
        let slung = self.polecats.len();
        let work_lost = slung - landed + usize::from(!self.restored);
        let seconds = self.story.seconds();
        let lost = self.lost.len();
        let summary = json!({
            "slung": slung, "landed": landed, "pods_lost": lost, "sent_back": back.len(), "work_lost": work_lost,
            "test_runs": queue.test_runs, "seconds": (seconds * 10.0).round() / 10.0,
            "main_landings": queue.landings, "main_landings_green": queue.landings,
        });
        let text = serde_json::to_string_pretty(&summary).map_err(|e| Failure::new(exit::FAILED, e.to_string()))?;
        replace(&dir.join("summary.json"), format!("{text}\n").as_bytes(), 0o644)?;
        println!(
            "\n{slung} slung, {landed} landed, {lost} pod lost, {} sent back, {work_lost} work lost.   {} test runs.   {} landings, each tested.",
            back.len(),
            queue.test_runs,
            queue.landings
        );
        let was = |bead: &str, why: &str| back.iter().any(|(b, r)| b == bead && r == why);
        let missing = [
            (slung == 8 && landed == 8, "eight slung and eight landed"),
            (lost == 1, "exactly one pod lost"),
            (self.restored, "the lost pod's uncommitted file restored"),
            (was(RED, "TestFailed"), "the red change sent back with its failing test"),
            (
                CLASH.iter().any(|b| was(b, "Conflict")),
                "one of the two that clash sent back with the conflict",
            ),
        ];
        match missing.iter().find(|(shown, _)| !shown) {
            None => Ok(()),
            Some((_, what)) => Err(Failure::new(
                exit::FAILED,
                format!("this was to be seen and was not: {what}"),
            )),
        }
    }
}

/// Beads and reasons of the rounds that came back.
fn handed_back(polecat: &Polecat) -> Vec<(String, String)> {
    let bead = polecat.spec.bead_id.clone().unwrap_or_default();
    let rounds = polecat.status.as_ref().map(|s| s.rounds.clone()).unwrap_or_default();
    rounds
        .into_iter()
        .filter(|r| r.outcome == "HandedBack")
        .map(|r| (bead.clone(), r.reason))
        .collect()
}

/// All that the town does, as it does it.
fn sights(cluster: &Cluster) -> impl Stream<Item = Sight> + use<> {
    let config = watcher::Config::default();
    let client = || cluster.client.clone();
    let polecats: Api<Polecat> = Api::namespaced(client(), DEFAULT_NAMESPACE);
    let convoys: Api<Convoy> = Api::namespaced(client(), DEFAULT_NAMESPACE);
    let events: Api<Event> = Api::namespaced(client(), DEFAULT_NAMESPACE);
    let polecats = watcher(polecats, config.clone()).default_backoff().applied_objects();
    let convoys = watcher(convoys, config.clone()).default_backoff().applied_objects();
    let events = watcher(events, config).default_backoff().applied_objects();
    futures::stream::select(
        futures::stream::select(
            polecats.filter_map(async |p| p.ok().map(|p| Sight::Polecat(Box::new(p)))),
            convoys.filter_map(async |c| c.ok().map(|c| Sight::Convoy(Box::new(c)))),
        ),
        events.filter_map(async |e| e.ok().map(|e| Sight::Event(Box::new(e)))),
    )
    .boxed()
}
