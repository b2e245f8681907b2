//! Who follows a page: the tools, the files and the cluster that it speaks of, and an operator at work.

use crate::auth;
use crate::day_two::repository;
use crate::objects::{busy, convoy, landed, pod, polecat, refinery, rig, with_condition, witness};
use crate::scene::{NAMESPACE, Scene, Told};
use futures::StreamExt;
use gastown_api::{Polecat, Refinery, Rig};
use gastown_testkit::documents::top;
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What an environment of a reader has.
const ENVIRONMENT: &str =
    "export TOKEN=t0ken ANTHROPIC_API_KEY=sk-ant-api03-key CLAUDE_CODE_OAUTH_TOKEN=sk-ant-oat01-token; ";

/// The real git, to which the repositories that the pages and the rig name are one of this machine.
const GIT: &str = r#"#!/bin/sh
for word in "$@"; do
  shift
  case $word in git@github.com:org/repo.git | https://github.com/org/my-project.git) word='DIR/r' ;; esac
  set -- "$@" "$word"
done
PATH=${PATH#*:} exec git "$@"
"#;

/// What a reader has who follows a page: the tools, the files that it names, and a cluster where work is under way,
/// or, where the page begins with a rig, nothing yet.
pub async fn reader(from_nothing: bool, kubectl: Option<&Path>) -> Scene {
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
    let helm = top().join("target/helm");
    if helm.exists() {
        std::os::unix::fs::symlink(helm, home.join("bin/helm")).unwrap();
    }
    if let Some(kubectl) = kubectl {
        let script = format!(
            "#!/bin/sh\n[ \"$1\" != gt ] || {{ shift; exec kubectl-gt \"$@\"; }}\nexec '{}' \"$@\"\n",
            kubectl.display()
        );
        executable(&home.join("bin/kubectl"), &script);
    }
    // For what a sentence speaks of: a second rig, and a pod whose agent began twice.
    if !from_nothing {
        scene.put(rig("parts")).await;
        scene.put(pod("polecat-rictus")).await;
    }
    scene
}

fn executable(path: &Path, script: &str) {
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What this machine lacks for it.
pub async fn lack(scene: &Scene, command: &str, kubectl: bool) -> Option<&'static str> {
    let plain = command.contains("kubectl ") && !command.starts_with("kubectl gt");
    let keygen = command.starts_with("ssh-keygen ");
    if command.starts_with("helm ") && scene.run("command -v helm").await.code != 0 {
        return Some("make helm builds it");
    }
    if plain && !kubectl {
        return Some("set KUBECTL to a kubectl binary to run it");
    }
    (keygen && scene.run("command -v ssh-keygen").await.code != 0).then_some("OpenSSH's client is not installed")
}

/// The real kubectl, where it was built.
pub fn kubectl() -> Option<PathBuf> {
    std::env::var_os("KUBECTL").map(PathBuf::from).filter(|p| p.exists())
}

/// What comes of a command of a page, with all that the page takes for granted.
pub async fn typed_by_a_reader(scene: &Scene, command: &str) -> Told {
    before(scene, command).await;
    with_an_operator(scene, command).await
}

/// A command that does not do what its page says.
pub fn fault(page: &str, command: &str, told: &Told) -> String {
    format!(
        "{page}: {command}\nends with {}\n{}{}",
        told.code, told.stdout, told.stderr
    )
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
    if command.contains(" auth status") {
        scene.run("kubectl gt auth sync").await;
    }
    if command.contains(" polecat diff ") {
        let mut pushed = furiosa("Working");
        pushed["branch"] = json!("feature/mp-40");
        status(scene, "furiosa", pushed).await;
    }
    if command.contains("git push origin --delete refs/gastown/") {
        let record = "git init -q --bare o.git && cd r && git remote add origin ../o.git && git push -q origin main:";
        let told = scene
            .run(&format!("{record}{}", command.rsplit(' ').next().unwrap()))
            .await;
        assert_eq!(told.code, 0, "{}", told.stderr);
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
