//! Conversations with an API server, played against ours and against the real kube-apiserver.
//!
//! ```text
//! conversations/*.yaml ─▶ play ─▶ answers ─▶ plain ─▶ compare ─▶ what differs, less differences.yaml
//! ```
//! `recorded/` holds the real server's answers, made plain. Ours is always held to them; the real one is
//! held to them too, where `REAL_KUBECONFIG` names one (`make differential`), so that a recording
//! cannot grow old unseen. With `DIFFERENTIAL_RECORD=1` that run writes them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod compare;
mod plain;
mod play;
mod script;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use gastown_apiserver::{ApiServer, LogError, LogRequest, LogStream, Options, PodLogs};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use compare::Known;
use play::{Answer, Past, Player};
use script::Conversation;

/// Conversations at a time: the real server waits for its controllers in many of them.
const AT_ONCE: usize = 12;

/// Changes of a kind that our server remembers here.
const HISTORY: usize = 512;

/// Serves logs like a node that has not run anything.
struct NoNode;

impl PodLogs for NoNode {
    fn logs(&self, request: LogRequest) -> BoxFuture<'static, Result<LogStream, LogError>> {
        async move { Err(LogError::NotFound(format!("no log of {}", request.pod))) }.boxed()
    }
}

/// Answers by the name of their conversation, `file: name`.
type Answers = BTreeMap<String, Vec<Answer>>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential")
}

/// The recording of one file of conversations.
fn recording(file: &str) -> PathBuf {
    folder().join("recorded").join(file).with_extension("json")
}

fn recorded(all: &[Conversation]) -> Answers {
    let files: std::collections::BTreeSet<&str> = all.iter().map(|c| c.file.as_str()).collect();
    let mut answers = Answers::new();
    for file in files {
        let text = std::fs::read_to_string(recording(file)).unwrap_or_else(|_| "{}".into());
        answers.extend(serde_json::from_str::<Answers>(&text).unwrap());
    }
    answers
}

async fn play_all(client: &Client, past: Past, all: &[Conversation]) -> Answers {
    let player = Player::prepare(client.clone(), past).await;
    let play = async |conversation: &Conversation| {
        let answers = player.play(conversation).await;
        (conversation.title.clone(), plain::make(answers))
    };
    let (alone, together): (Vec<_>, Vec<_>) = all.iter().partition(|c| c.forgets());
    let mut answers: Answers = futures::stream::iter(together)
        .map(play)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    for conversation in alone {
        answers.extend([play(conversation).await]);
    }
    answers
}

/// Fails with everything that differs and is not known, and with everything known that does not.
fn judge(whose: &str, all: &[Conversation], answers: &Answers, expected: &Answers, mut known: Known) {
    let mut report = String::new();
    let mut differing = 0;
    for conversation in all {
        let none = Vec::new();
        let found = known.compare(
            conversation,
            answers.get(&conversation.title).unwrap_or(&none),
            expected.get(&conversation.title).unwrap_or(&none),
        );
        differing += usize::from(!found.is_empty());
        for line in found {
            let _ = writeln!(report, "{line}");
        }
    }
    let idle = known.idle();
    println!(
        "{whose}: {} conversations, {} requests, {differing} differ",
        all.len(),
        all.iter().map(|c| c.steps.len()).sum::<usize>(),
    );
    assert!(report.is_empty(), "{whose} answers otherwise than recorded:\n{report}");
    assert!(
        idle.is_empty(),
        "known differences that no longer differ, strike them from differences.yaml: {idle:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_answers_as_the_real_one() {
    let all = script::load(&folder().join("conversations"));
    let options = Options {
        history: HISTORY,
        ..Options::default()
    };
    let server = ApiServer::open(options).unwrap();
    server.set_logs(Arc::new(NoNode));
    let client = server.client("default");
    // The first revisions of config maps are forgotten, as by a server that has been up for a while.
    let config_maps = "/api/v1/namespaces/default/configmaps";
    play::outgrow(&client, config_maps, serde_json::json!({}), HISTORY).await;
    let answers = play_all(&client, Past::Outgrown(HISTORY), &all).await;
    let known = Known::load(&folder().join("differences.yaml"));
    judge("ours", &all, &answers, &recorded(&all), known);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_one_answers_as_recorded() {
    let Some(kubeconfig) = std::env::var_os("REAL_KUBECONFIG").filter(|p| !p.is_empty()) else {
        eprintln!("SKIPPED: the recordings were not held against a real kube-apiserver; make differential does that");
        return;
    };
    let all = script::load(&folder().join("conversations"));
    let parsed = Kubeconfig::read_from(kubeconfig).unwrap();
    let mut config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
        .await
        .unwrap();
    // A 504 is an answer here.
    config.default_retry = false;
    let store = std::env::var("REAL_ETCD").ok().filter(|url| !url.is_empty());
    let store = store.map(|url| Client::try_from(Config::new(url.parse().unwrap())).unwrap());
    let answers = play_all(&Client::try_from(config).unwrap(), Past::Compacted(store), &all).await;
    if std::env::var_os("DIFFERENTIAL_RECORD").is_some_and(|v| !v.is_empty()) {
        record(&all, &answers);
    }
    judge("kube-apiserver", &all, &answers, &recorded(&all), Known::nothing());
}

fn record(all: &[Conversation], answers: &Answers) {
    let mut files: BTreeMap<&str, BTreeMap<&str, &Vec<Answer>>> = BTreeMap::new();
    for conversation in all {
        let told = files.entry(&conversation.file).or_default();
        told.insert(&conversation.title, &answers[&conversation.title]);
    }
    std::fs::create_dir_all(folder().join("recorded")).unwrap();
    for (file, told) in files {
        let mut text = serde_json::to_string_pretty(&told).unwrap();
        text.push('\n');
        std::fs::write(recording(file), text).unwrap();
    }
}
