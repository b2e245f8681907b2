//! sling.

use crate::objects::{busy, landed, polecat, rig, with_condition};
use crate::scene::Scene;
use crate::transcript;
use gastown_api::Polecat;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::path::PathBuf;

#[tokio::test(flavor = "multi_thread")]
async fn as_the_readmes_print_it() {
    let scene = Scene::new().await;
    scene.put(rig("my-project")).await;
    scene.put(rig("athena")).await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt sling issue-123 my-project --name furiosa -n gastown-system",
                "kubectl gt sling at-1234 athena --name furiosa-two",
                "kubectl gt sling at-1235 athena --theme mad-max",
                "kubectl gt sling at-1235 athena --theme mad-max",
                "kubectl gt sling at-1235 athena --theme minerals --again",
                "kubectl gt sling at-1236 athena --git-secret git-creds -o json",
                "kubectl gt polecat list",
            ])
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_from_everywhere() {
    let scene = Scene::new().await;
    scene.put(rig("my-project")).await;
    std::fs::write(scene.dir.path().join("task.md"), "Do this.\n\nThen that.\n").unwrap();
    transcript!(
        scene
            .tell(&[
                "kubectl gt sling my-project -m 'Add a --version flag' -o yaml",
                "kubectl gt sling my-project -m '--help is wrong' -o name",
                "kubectl gt sling mp-2 my-project -f task.md -o json",
                "printf 'from stdin' | kubectl gt sling mp-3 my-project --file - -o yaml",
                "printf '' | kubectl gt sling mp-4 my-project --file -",
                "kubectl gt sling mp-4 my-project -f nowhere.md",
                "kubectl gt sling mp-4 my-project -m x -f task.md",
                "head -c 300000 /dev/zero | tr '\\0' x | kubectl gt sling mp-4 my-project -f -",
                "kubectl gt sling my-project",
                "kubectl gt sling . -m x",
                "kubectl gt sling mp-4 nowhere",
                "kubectl gt sling mp-4 my-project --theme disco",
                "kubectl gt sling mp-4 my-project --agent cursor",
            ])
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_one() {
    let scene = Scene::new().await;
    scene.put(rig("my-project")).await;
    std::fs::write(scene.dir.path().join("agent.sh"), "#!/bin/sh\ncat\n").unwrap();
    transcript!(
        scene
            .tell(&[
                "kubectl gt sling mp-1 my-project --agent claude-code --model claude-sonnet-5 --image i:1 --priority -3 -o yaml",
                "kubectl gt sling mp-2 my-project --agent-command './agent.sh --fast' --dry-run=server -o yaml",
                "kubectl gt sling mp-3 my-project --agent-command 'true && echo done' --dry-run=client -o yaml",
                "kubectl gt polecat list -o name",
            ])
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_beads_in_one_call() {
    let scene = busy().await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt sling mp-1 mp-2 mp-1 mp-10 my-project",
                "kubectl gt sling mp-1 mp-2 my-project -o name",
                "kubectl gt sling mp-1 mp-2 my-project -o json | grep -c '\"kind\": \"Polecat\"'",
                "kubectl gt sling mp-5 mp-6 my-project --name one",
            ])
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_never_collide() {
    let scene = Scene::new().await;
    let mut minerals = rig("my-project");
    minerals["spec"]["settings"] = json!({"namepoolTheme": "minerals"});
    scene.put(minerals).await;
    let beads: Vec<String> = (1..=45).map(|n| format!("mp-{n}")).collect();
    let line = format!(
        "kubectl gt sling {} my-project -o name | sort | uniq | wc -l",
        beads.join(" ")
    );
    assert_eq!(scene.run(&line).await.stdout.trim(), "45");
    let list = scene.run("kubectl gt polecat list -o name").await.stdout;
    assert!(
        list.contains("polecat/pumice\n") && list.contains("polecat/obsidian-3\n"),
        "{list}"
    );
}

/// The README's quick start: the Secrets of the predecessor's names are taken where nobody names others.
#[tokio::test(flavor = "multi_thread")]
async fn the_quick_start() {
    let scene = Scene::new().await;
    crate::auth::claude(&scene);
    scene
        .put(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "git-creds", "namespace": crate::scene::NAMESPACE},
            "data": {"token": "dA=="},
        }))
        .await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt rig create my-project --git-url https://github.com/org/repo.git --prefix mp -n gastown-system",
                "kubectl gt auth sync -n gastown-system",
                "kubectl gt sling issue-123 my-project --name furiosa -n gastown-system -o yaml",
                "kubectl gt sling issue-124 my-project --agent opencode --git-secret mine -o yaml",
            ])
            .await
    );
}

/// A checkout of the rig's repository, with an export of beads in it.
pub fn checkout(scene: &Scene, url: &str) -> PathBuf {
    let top = scene.dir.path().join("checkout");
    std::fs::create_dir_all(top.join(".git")).unwrap();
    std::fs::create_dir_all(top.join(".beads")).unwrap();
    std::fs::create_dir_all(top.join("src")).unwrap();
    std::fs::write(top.join(".git/config"), format!("[remote \"origin\"]\n\turl = {url}\n")).unwrap();
    let beads = r#"{"id":"mp-1","title":"Add a flag","description":"--version prints it.","acceptance_criteria":"- tested","priority":0,"status":"open"}
{"_type":"issue","id":"mp-2","title":"Old","status":"closed","priority":4}
{"_type":"memory","id":"m-1","title":"no work"}
"#;
    std::fs::write(top.join(".beads/issues.jsonl"), beads).unwrap();
    top
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bead_brings_its_text_from_the_checkout() {
    let scene = Scene::new().await;
    scene.put(rig("my-project")).await;
    let top = checkout(&scene, "git@github.com:org/my-project.git");
    transcript!(
        scene
            .tell_in(
                &top.join("src"),
                &[
                    "kubectl gt sling mp-1 my-project -o yaml",
                    "kubectl gt sling mp-2 my-project",
                    "kubectl gt sling mp-2 my-project --again -o yaml",
                    "kubectl gt sling mp-3 my-project",
                    "kubectl gt sling mp-4 my-project -m 'in other words' --dry-run=server -o yaml",
                    "echo '<<<<<<< broken' >> ../.beads/issues.jsonl; kubectl gt sling mp-1 my-project --again -o name",
                ]
            )
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_repositorys_beads_are_not_taken() {
    let scene = Scene::new().await;
    scene.put(rig("my-project")).await;
    let top = checkout(&scene, "git@github.com:org/another.git");
    let told = scene.run_in(&top, "kubectl gt sling mp-1 my-project -o json").await;
    assert_eq!(told.code, 0);
    assert!(!told.stdout.contains("Add a flag"), "{}", told.stdout);
}

/// Outside of any checkout the rig's repository is asked, with the person's own git.
#[tokio::test(flavor = "multi_thread")]
async fn a_bead_brings_its_text_from_the_remote() {
    let scene = Scene::new().await;
    let top = checkout(&scene, "unused");
    std::fs::remove_dir_all(top.join(".git")).unwrap();
    let push = "git init -q --bare -b trunk ../parts.git && git init -q -b trunk && git add -A \
        && git -c user.name=N -c user.email=n@example.com commit -q -m beads && git push -q ../parts.git trunk && rm -rf .git";
    assert_eq!(scene.run_in(&top, push).await.code, 0);
    let mut parts = rig("parts");
    parts["spec"]["gitURL"] = json!(scene.dir.path().join("parts.git"));
    parts["spec"]["targetBranch"] = json!("trunk");
    scene.put(parts).await;
    let mut empty = rig("elsewhere");
    empty["spec"]["gitURL"] = json!(scene.dir.path().join("parts.git"));
    scene.put(empty).await;
    scene.put(rig("far")).await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt sling mp-1 parts -o yaml",
                "kubectl gt sling mp-2 parts",
                "kubectl gt sling mp-3 parts -o name",
                "kubectl gt sling mp-1 elsewhere -o name",
                "kubectl gt sling mp-1 far -o yaml",
                "kubectl gt sling mp-2 far -m 'in other words' -o name",
            ])
            .await
    );
}

/// A repository whose bead says "Pushed", and a checkout of it in which somebody has written "Only here" since.
async fn written_on(scene: &Scene) -> PathBuf {
    let top = scene.dir.path().join("desk");
    std::fs::create_dir_all(top.join(".beads")).unwrap();
    let say = |title: &str| {
        let bead = format!("{{\"id\":\"mp-1\",\"title\":\"{title}\",\"status\":\"open\"}}\n");
        std::fs::write(top.join(".beads/issues.jsonl"), bead).unwrap();
    };
    say("Pushed");
    let push = "git init -q --bare -b main ../parts.git && git init -q -b main && git add -A \
        && git -c user.name=N -c user.email=n@example.com commit -q -m beads \
        && git remote add origin \"$(cd ../parts.git && pwd)\" && git push -q origin main && git clone -q \"$(git remote get-url origin)\" ../second \
        && git init -q ../other && git -C ../other remote add origin /elsewhere.git && mkdir ../plain";
    let told = scene.run_in(&top, push).await;
    assert_eq!(told.code, 0, "{}", told.stderr);
    say("Only here");
    top
}

/// The rig's repository, with its checkout where that path says.
async fn parts(scene: &Scene, name: &str, local_path: Option<&str>) {
    let mut parts = rig(name);
    parts["spec"]["gitURL"] = json!(scene.dir.path().join("parts.git"));
    parts["spec"]["localPath"] = json!(local_path);
    scene.put(parts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bead_brings_its_text_from_the_local_path() {
    let scene = Scene::new().await;
    let top = written_on(&scene).await;
    parts(&scene, "local", top.to_str()).await;
    parts(&scene, "remote", None).await;
    for (folder, rig, title) in [
        (scene.dir.path().to_owned(), "local", "Only here"),
        (scene.dir.path().to_owned(), "remote", "Pushed"),
        (scene.dir.path().join("second"), "local", "Pushed"),
    ] {
        let sling = format!("kubectl gt sling mp-1 {rig} --again -o json");
        let told = scene.run_in(&folder, &sling).await;
        assert_eq!((told.code, told.stderr.as_str()), (0, ""), "{rig}");
        assert!(
            told.stdout.contains(title),
            "{rig} in {}: {}",
            folder.display(),
            told.stdout
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_path_of_another_machine_is_passed_over_and_said_so() {
    let scene = Scene::new().await;
    written_on(&scene).await;
    let at = |name: &str| scene.dir.path().join(name).display().to_string();
    for (rig, path, why) in [
        ("gone", at("nowhere"), "is not on this machine"),
        ("folder", at("plain"), "is no git checkout"),
        ("other", at("other"), "has no remote that is the rig's gitURL"),
        ("relative", "desk".to_owned(), "does not begin with /"),
    ] {
        parts(&scene, rig, Some(&path)).await;
        let told = scene.run(&format!("kubectl gt sling mp-1 {rig} -o json")).await;
        let line = format!("note: localPath of rig {rig}: {path} {why}: the beads are read from its repository\n");
        assert_eq!((told.code, told.stderr), (0, line));
        assert!(told.stdout.contains("Pushed"), "{rig}: {}", told.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rig_create_says_what_its_local_path_means() {
    let scene = Scene::new().await;
    let top = written_on(&scene).await;
    let create = |name: &str, path: &str| {
        let rig = format!("kubectl gt rig create {name} --git-url ../parts.git --prefix mp --test true");
        let url = scene.dir.path().join("parts.git");
        rig.replace("../parts.git", url.to_str().unwrap()) + &format!(" --local-path {path} -o json")
    };
    let told = scene.run_in(&top, &create("here", ".")).await;
    let here: Value = serde_json::from_str(&told.stdout).unwrap();
    let real = top.canonicalize().unwrap();
    assert_eq!(here["spec"]["localPath"], json!(real));
    let said = format!(
        "note: sling reads beads in {} first, where that is on its machine\n",
        real.display()
    );
    assert_eq!(told.stderr, said);
    let told = scene.run_in(&top, &create("nowhere", "/nowhere")).await;
    assert_eq!(
        (told.code, told.stderr.as_str()),
        (
            0,
            "warning: /nowhere is not on this machine: sling reads beads from the repository until it is a checkout of it\n"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting() {
    let scene = Scene::new().await;
    scene.put(rig("my-project")).await;
    scene.put(landed("nux", "my-project", "mp-1")).await;
    let why = "the agent ended without a change";
    let stuck = polecat("slit", "my-project", "mp-2", "Stuck");
    scene.put(with_condition(stuck, "Degraded", "NoChange", why)).await;
    scene.put(polecat("furiosa", "my-project", "mp-3", "Working")).await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt sling mp-1 my-project --wait",
                "kubectl gt sling mp-2 my-project --wait --timeout 60s",
                "kubectl gt sling mp-3 my-project --wait-ready --timeout 60s",
                "kubectl gt sling mp-3 my-project --wait --timeout 1s",
                "kubectl gt sling mp-3 my-project --wait --timeout 1s -o name",
                "kubectl gt sling mp-1 mp-2 my-project --wait --timeout 60s",
                "kubectl gt sling mp-1 mp-3 my-project --wait-ready --timeout 60s -o name",
                "kubectl gt sling mp-9 my-project --wait --timeout 0s",
                "kubectl gt sling mp-9 my-project --wait --timeout soon",
            ])
            .await
    );
}

/// What happens while somebody waits is seen by a watch.
#[tokio::test(flavor = "multi_thread")]
async fn a_landing_ends_the_wait() {
    let scene = Scene::new().await;
    scene.put(rig("my-project")).await;
    scene.put(polecat("furiosa", "my-project", "mp-3", "Working")).await;
    let polecats: Api<Polecat> = Api::namespaced(scene.client.clone(), crate::scene::NAMESPACE);
    let waiting = scene.run("kubectl gt sling mp-3 my-project --wait --timeout 100s");
    let landing = async {
        let status = landed("furiosa", "my-project", "mp-3")["status"].clone();
        let patch = Patch::Merge(json!({ "status": status }));
        polecats
            .patch_status("furiosa", &PatchParams::default(), &patch)
            .await
            .unwrap();
    };
    let (told, ()) = tokio::join!(waiting, landing);
    assert_eq!(
        (told.code, told.stderr.contains("has mp-3 already")),
        (0, true),
        "{}",
        told.stderr
    );
    assert!(
        told.stdout.starts_with("polecat/furiosa landed as 0123456789"),
        "{}",
        told.stdout
    );
}
