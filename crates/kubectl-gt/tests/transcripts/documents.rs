//! What the documents tell a person to type works. A command is run here, with whatever else its page says before it;
//! or by `one_machine`, where its block brings a town up; or it stands word for word in a script that CI runs; or no
//! machine of ours can run it, and it is listed with the reason.

use crate::auth;
use crate::day_two::repository;
use crate::objects::{busy, convoy, landed, pod, polecat, refinery, with_condition, witness};
use crate::scene::{NAMESPACE, Scene, Told};
use futures::StreamExt;
use gastown_api::{Polecat, Refinery, Rig};
use gastown_testkit::documents::{Block, blocks, top};
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Scripts that CI runs.
const SCRIPTS: [&str; 2] = [".ci/run", "e2e/install/run.sh"];

/// What is run nowhere, and why.
const NOWHERE: &[(&str, &str)] = &[
    (
        "make images",
        "release builds and a registry's base image: CI makes the same with PROFILE=quick",
    ),
    ("make images PROFILE=quick", "with all four images named in .ci/run"),
    (
        "make images IMAGES=\"polecat-agent-opencode polecat-agent-aider\"",
        "aider's comes from PyPI for minutes",
    ),
    (
        "make images-load CONTAINERD_ADDRESS=/run/containerd/containerd.sock",
        "into the images of this machine's node",
    ),
    (
        "make images-test ; make images-reproduce",
        "the first in .ci/run; the second builds all once more",
    ),
    (
        "make helm kubectl-gt-install",
        "installs into the home of whoever runs it",
    ),
    ("make kubectl-gt-install", "likewise"),
    ("export KUBECONFIG=~/.kube/config", "a cluster of the reader's"),
    (
        "make e2e BACKEND=kubeconfig E2E_HELM=\"--set image.registry=registry.example.com/gastown\"",
        "likewise, and a registry; the backend is played by hand",
    ),
    (
        "ssh-keyscan -p 2222 git.example.com > known_hosts",
        "a git server of the reader's",
    ),
    (
        "kubectl logs deployment/gastown-operator-controller-manager --namespace gastown-system",
        "an operator in a pod: only a node has its logs",
    ),
];

/// What an environment of a reader has.
const ENVIRONMENT: &str = "export TOKEN=t0ken ANTHROPIC_API_KEY=sk-ant-api03-key; ";

/// The real git, to which the repository that the pages name is one of this machine.
const GIT: &str = r#"#!/bin/sh
for word in "$@"; do
  shift
  [ "$word" != git@github.com:org/repo.git ] || word='DIR/r'
  set -- "$@" "$word"
done
PATH=${PATH#*:} exec git "$@"
"#;

fn is_run_here(command: &str) -> bool {
    ["kubectl ", "ssh-keygen ", "PATH="]
        .iter()
        .any(|p| command.starts_with(p))
}

/// Whether a line of a script says just that.
fn stands_in_a_script(command: &str) -> bool {
    SCRIPTS.iter().any(|script| {
        let text = fs::read_to_string(top().join(script)).unwrap().replace("\\\n", " ");
        text.lines().any(|line| {
            let line: Vec<&str> = line.split_whitespace().collect();
            let line = line.join(" ");
            line.find(command).is_some_and(|at| {
                let rest = &line[at + command.len()..];
                let before = line[..at].chars().next_back();
                before.is_none_or(|c| c == ' ') && (rest.is_empty() || rest.starts_with(" >") || rest.starts_with(" |"))
            })
        })
    })
}

fn is_run_nowhere(command: &str) -> bool {
    NOWHERE.iter().any(|(listed, _)| *listed == command)
}

fn typed() -> impl Iterator<Item = Block> {
    blocks()
        .into_iter()
        .filter(|b| b.script.is_none() && !b.brings_a_town_up())
}

#[test]
fn every_command_is_run_somewhere_or_listed() {
    let commands: Vec<(String, String)> = typed()
        .flat_map(|b| b.commands.into_iter().map(move |c| (b.page.clone(), c)))
        .collect();
    let lost: Vec<String> = commands
        .iter()
        .filter(|(_, c)| !is_run_here(c) && !stands_in_a_script(c) && !is_run_nowhere(c))
        .map(|(page, command)| format!("{page}: {command}"))
        .collect();
    assert!(
        lost.is_empty(),
        "nothing runs these: put them into one of {SCRIPTS:?}, or into NOWHERE with a reason:\n{}",
        lost.join("\n")
    );
    for (listed, _) in NOWHERE {
        assert!(
            commands.iter().any(|(_, c)| c == listed),
            "no page has it any more: {listed}"
        );
        assert!(!stands_in_a_script(listed), "a script runs it now: {listed}");
    }
    assert!(commands.len() > 60, "{} commands", commands.len());
}

#[test]
fn a_command_stands_in_a_script_as_a_whole_or_not() {
    assert!(stands_in_a_script("make demo"));
    for part in [
        "make images",
        "make dem",
        "elm uninstall gastown-operator --namespace gastown-system",
        "make nothing",
    ] {
        assert!(!stands_in_a_script(part), "{part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_that_can_be_run_here_works() {
    let kubectl = std::env::var_os("KUBECTL").map(PathBuf::from).filter(|p| p.exists());
    let mut pages: Vec<(String, Vec<String>)> = Vec::new();
    for block in typed() {
        match pages.last_mut() {
            Some((page, commands)) if *page == block.page => commands.extend(block.commands),
            _ => pages.push((block.page, block.commands)),
        }
    }
    let (mut ran, mut wrong) = (0, Vec::new());
    for (page, commands) in pages {
        let runs = |c: &&String| is_run_here(c) && !stands_in_a_script(c) && !is_run_nowhere(c);
        let commands: Vec<&String> = commands.iter().filter(runs).collect();
        if commands.is_empty() {
            continue;
        }
        let scene = reader(commands.iter().any(|c| c.contains(" rig create ")), kubectl.as_deref()).await;
        if scene.real {
            eprintln!("skipped: documents are read on our own API server");
            return;
        }
        for command in commands {
            if let Some(lack) = lack(&scene, command, kubectl.is_some()).await {
                eprintln!("SKIPPED: {page}: {command}: {lack}");
                continue;
            }
            before(&scene, command).await;
            let told = with_an_operator(&scene, command).await;
            if told.code != 0 {
                wrong.push(format!(
                    "{page}: {command}\nends with {}\n{}{}",
                    told.code, told.stdout, told.stderr
                ));
            }
            ran += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ran > 25, "{ran} commands");
}

/// What a reader has who follows a page: the tools, the files that it names, and a cluster where work is under way,
/// or, where the page begins with a rig, nothing yet.
async fn reader(from_nothing: bool, kubectl: Option<&Path>) -> Scene {
    let scene = if from_nothing { Scene::new().await } else { busy().await };
    if scene.real {
        return scene;
    }
    scene.lead().await;
    auth::claude(&scene);
    let home = scene.dir.path();
    repository(home);
    executable(&home.join("bin/git"), &GIT.replace("DIR", &home.display().to_string()));
    // Where no kubectl is here to make it, it is there all the same; else it is made anew.
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "git-creds"}, "data": {"token": "dA=="}});
    scene.put(secret).await;
    fs::write(home.join("deploy-key"), "a key\n").unwrap();
    fs::copy(
        top().join("crates/harness/src/access/known_hosts"),
        home.join("known_hosts"),
    )
    .unwrap();
    if let Some(kubectl) = kubectl {
        let script = format!(
            "#!/bin/sh\n[ \"$1\" != gt ] || {{ shift; exec kubectl-gt \"$@\"; }}\nexec '{}' \"$@\"\n",
            kubectl.display()
        );
        executable(&home.join("bin/kubectl"), &script);
    }
    scene
}

fn executable(path: &Path, script: &str) {
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What this machine lacks for it.
async fn lack(scene: &Scene, command: &str, kubectl: bool) -> Option<&'static str> {
    let plain = command.starts_with("kubectl ") && !command.starts_with("kubectl gt ");
    let keygen = command.starts_with("ssh-keygen ");
    if plain && !kubectl {
        return Some("set KUBECTL to a kubectl binary to run it");
    }
    (keygen && scene.run("command -v ssh-keygen").await.code != 0).then_some("OpenSSH's client is not installed")
}

/// What has come about by the time that somebody types this.
async fn before(scene: &Scene, command: &str) {
    let furiosa = |phase| polecat("furiosa", "my-project", "mp-10", phase)["status"].clone();
    if command.contains(" polecat tell ") {
        status(scene, "furiosa", furiosa("Working")).await;
    }
    if command.contains(" polecat retry ") {
        let stuck = with_condition(
            json!({"status": furiosa("Stuck")}),
            "Degraded",
            "NoChange",
            "nothing was changed",
        );
        status(scene, "furiosa", stuck["status"].clone()).await;
    }
    if command.contains(" convoy wait cv-1234 ") {
        scene.put(convoy("cv-1234", "Complete", &["mp-12"], &["mp-12"])).await;
    }
    // Of two ways that a page offers for one object, the reader takes one.
    let words: Vec<&str> = command.split(' ').collect();
    if let ["kubectl", "create", "secret", _, name, ..] = words.as_slice() {
        for namespace in ["default", NAMESPACE] {
            let delete = format!("kubectl delete secret {name} --ignore-not-found -n {namespace}");
            scene.run(&delete).await;
        }
    }
}

async fn status(scene: &Scene, name: &str, status: Value) {
    let api: Api<Polecat> = Api::namespaced(scene.client.clone(), NAMESPACE);
    let patch = Patch::Merge(json!({ "status": status }));
    api.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
}

/// Runs it while an operator is at work, and lets that finish.
async fn with_an_operator(scene: &Scene, command: &str) -> Told {
    let line = format!("{ENVIRONMENT}{command}");
    let told = if command.contains(" --wait ") {
        tokio::select! {
            told = scene.run(&line) => told,
            () = operator(scene) => panic!("the watch ended"),
        }
    } else {
        scene.run(&line).await
    };
    operate(scene).await;
    told
}

async fn operator(scene: &Scene) {
    let polecats: Api<Polecat> = Api::all(scene.client.clone());
    let mut news = watcher(polecats, watcher::Config::default()).boxed();
    while news.next().await.is_some() {
        operate(scene).await;
    }
}

/// A rig has its children, and whatever is slung lands.
async fn operate(scene: &Scene) {
    let all = ListParams::default();
    let rigs: Api<Rig> = Api::all(scene.client.clone());
    let queues: Api<Refinery> = Api::namespaced(scene.client.clone(), NAMESPACE);
    for rig in rigs.list(&all).await.unwrap() {
        let name = rig.name_any();
        if queues.get_opt(&format!("{name}-refinery")).await.unwrap().is_none() {
            scene.put(refinery(&name)).await;
            scene.put(witness(&name)).await;
        }
    }
    let polecats: Api<Polecat> = Api::namespaced(scene.client.clone(), NAMESPACE);
    for new in polecats
        .list(&all)
        .await
        .unwrap()
        .items
        .into_iter()
        .filter(|p| p.status.is_none())
    {
        let name = new.name_any();
        scene.put(pod(&format!("polecat-{name}"))).await;
        let mut done = landed(&name, &new.spec.rig, "mp-40")["status"].take();
        // What the repository has there.
        let tips = scene.run("git -C r rev-parse main~1 feature/mp-40").await.stdout;
        for (field, tip) in ["base", "commit"].iter().zip(tips.lines()) {
            done[*field] = json!(tip);
        }
        status(scene, &name, done).await;
    }
}
