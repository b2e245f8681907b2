//! retry, tell, diff, top, doctor.

use crate::objects::{busy, landed, pod, polecat, rig, with_condition};
use crate::scene::{NAMESPACE, Scene};
use crate::transcript;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt};
use serde_json::json;
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn retry() {
    let scene = busy().await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt polecat retry slit",
                "kubectl gt polecat retry slit -m 'look at lib/' -o name",
                "kubectl gt polecat retry capable",
                "kubectl gt polecat retry my-project/capable -m 'keep the old flag' --dry-run=server",
                "kubectl gt polecat retry my-project/capable -m 'keep the old flag'",
                "kubectl gt polecat retry capable -m '--bare' -o json | grep -e message -e desiredState",
                "kubectl gt polecat retry furiosa",
                "kubectl gt polecat retry nux -m more",
                "kubectl gt polecat retry nobody",
                "kubectl gt polecat retry slit -m ' '",
                "kubectl gt polecat retry slit -m \"$(head -c 5000 /dev/zero | tr '\\0' x)\"",
            ])
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tell() {
    let scene = busy().await;
    let pods: Api<Pod> = Api::namespaced(scene.client.clone(), NAMESPACE);
    let told = async || {
        pods.get("polecat-furiosa")
            .await
            .unwrap()
            .annotations()
            .get("gastown.io/nudge")
            .cloned()
    };
    scene.put(polecat("dag", "my-project", "mp-30", "Working")).await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt polecat tell furiosa hello --dry-run=client",
                "kubectl gt polecat tell my-project/furiosa 'The fixture is in tests/data'",
                "kubectl gt polecat tell furiosa -o name 'The fixture is in tests/data'",
                "kubectl gt polecat tell slit hello",
                "kubectl gt polecat tell dag hello",
                "kubectl gt polecat tell furiosa",
                "kubectl gt polecat tell furiosa ''",
            ])
            .await
    );
    // Told twice, it is news twice.
    assert_eq!(told().await.as_deref(), Some("The fixture is in tests/data\n"));
}

/// A cluster whose definition of Polecat is older drops the wish without a word: that is said.
#[tokio::test(flavor = "multi_thread")]
async fn retry_on_an_older_cluster() {
    let scene = busy().await;
    if scene.real {
        return;
    }
    scene.forget("Polecat", "anotherRound").await;
    let told = scene.run("kubectl gt polecat retry slit").await;
    assert_eq!(told.code, 1);
    assert!(told.stderr.contains("older than this program"), "{}", told.stderr);
    let doctor = scene.run("kubectl gt doctor").await;
    assert!(
        doctor.stdout.contains("Polecat has no .spec.anotherRound"),
        "{}",
        doctor.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn top() {
    let scene = busy().await;
    let mut costly = polecat("toast", "my-project", "mp-31", "Working");
    costly["status"]["tokens"] = json!({"input": 1_234_567, "output": 8_901});
    costly["status"]["costUSD"] = json!("0.4321");
    scene.put_strange(costly).await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt top | sed 's/ [0-9]*[smhd]  / [age]  /'",
                "kubectl gt top --all -o name",
                "kubectl gt top --rig nowhere",
                "kubectl gt top --rig my-project -A -o wide | head -1",
                "kubectl gt top -n gastown-workers -o json",
                "timeout 1 kubectl gt top --watch --interval 10s -o name; echo $?",
            ])
            .await
    );
    let told = scene.run("kubectl gt top -o json").await;
    let rows: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    let costs: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .filter(|r| !r["costUSD"].is_null())
        .collect();
    assert_eq!(costs.len(), 1, "{rows}");
    assert_eq!(costs[0]["inputTokens"], 1_234_567);
}

#[tokio::test(flavor = "multi_thread")]
async fn top_counts_the_attempt_that_is_under_way() {
    let scene = Scene::new().await;
    if scene.real {
        eprintln!("skipped: without a node nobody has a log");
        return;
    }
    let mut spender = polecat("spender", "my-project", "mp-31", "Working");
    spender["status"]["tokens"] = json!({"input": 1_234_567, "output": 8_901});
    spender["status"]["costUSD"] = json!("0.4321");
    scene.put_strange(spender).await;
    scene
        .put_strange(polecat("silent", "my-project", "mp-32", "Working"))
        .await;
    let told = scene.run("kubectl gt top -o json").await;
    let rows: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(
        (&rows[0]["polecat"], &rows[0]["inputTokens"]),
        (&json!("silent"), &json!(null))
    );
    assert_eq!(
        (&rows[1]["inputTokens"], &rows[1]["outputTokens"], &rows[1]["costUSD"]),
        (&json!(1_235_567), &json!(9_000), &json!("0.50"))
    );
    let told = scene.run("kubectl gt top").await;
    assert!(
        told.stdout.contains("1.2M   9.0k   0.50   Do mp-31."),
        "{}",
        told.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor() {
    let scene = Scene::new().await;
    if scene.real {
        eprintln!("skipped: a real server's version and rights are its own");
        return;
    }
    let versionless = "sed 's/Kubernetes v[^ ]*/Kubernetes [version]/'";
    let mut sick = rig("my-project");
    sick["spec"]["gitSecretRef"] = json!({"name": "git-creds"});
    sick["spec"]["claudeCredsSecretRef"] = json!({"name": "claude-creds"});
    sick["spec"]["apiKeySecretRef"] = json!({"name": "anthropic-api-key", "key": "ANTHROPIC_API_KEY"});
    sick["spec"].as_object_mut().unwrap().remove("testCommand");
    let before = scene.tell(&[&format!("kubectl gt doctor | {versionless}")]).await;
    scene.put(sick).await;
    let ill = scene
        .tell(&[
            &format!("kubectl gt doctor | {versionless}"),
            "kubectl gt doctor -o name",
        ])
        .await;
    // Everything is mended.
    for (name, data) in [
        ("git-creds", json!({"ssh-privatekey": "a2V5"})),
        ("claude-creds", json!({".credentials.json": "e30="})),
        ("anthropic-api-key", json!({"ANTHROPIC_API_KEY": "a2V5"})),
    ] {
        scene
            .put(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}, "data": data}))
            .await;
    }
    scene.put(crate::objects::refinery("my-project")).await;
    scene
        .edit_rig("my-project", json!({"spec": {"testCommand": "make test"}}))
        .await;
    scene.lead().await;
    let well = scene
        .tell(&[
            &format!("kubectl gt doctor | {versionless}"),
            "kubectl gt doctor > /dev/null",
        ])
        .await;
    transcript!(format!("{before}{ill}{well}"));
}

/// What is not committed lies in a repository of its own, which takes nothing: nobody is held up, and everybody is told.
#[tokio::test(flavor = "multi_thread")]
async fn trouble_with_the_record_repository() {
    let scene = Scene::new().await;
    scene.put(rig("my-project")).await;
    scene.put(crate::objects::refinery("my-project")).await;
    let why = "work goes on without what record.gitURL keeps, uncommitted files and conversations: the credential may read and not write: \
        give its deploy key or token write access to this repository";
    let mut told = landed("nux", "my-project", "mp-1");
    let kept = json!({
        "type": "ContentKept", "status": "False", "reason": "CredentialReadOnly", "message": why,
        "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
    });
    told["status"]["conditions"].as_array_mut().unwrap().push(kept);
    told["status"]["lastActivity"] = json!("2026-01-01T00:00:00Z");
    scene.put(told).await;
    let ill = [
        "kubectl gt polecat status nux | grep -e ContentKept -e Next",
        "kubectl gt doctor --rig my-project | grep -A2 'record repository'",
    ];
    let before = scene.tell(&ill).await;
    // A later one kept everything.
    let mut well = landed("slit", "my-project", "mp-2");
    well["status"]["lastActivity"] = json!("2026-01-02T00:00:00Z");
    scene.put(well).await;
    let after = scene.tell(&[ill[1]]).await;
    transcript!(format!("{before}{after}"));
}

/// Its operator was installed anew in another namespace: that one leaves the Rig's status alone until somebody hands it over.
#[tokio::test(flavor = "multi_thread")]
async fn doctor_on_a_rig_whose_operator_is_gone() {
    let scene = Scene::new().await;
    if scene.real {
        eprintln!("skipped: the lease would be there for the scenes that follow");
        return;
    }
    let mut left = rig("my-project");
    left["status"]["childNamespace"] = json!("old-town");
    scene.put(left).await;
    scene.put(rig("my-other")).await;
    let look = "kubectl gt doctor | grep -A1 'rig my-.* operator'";
    // While nobody runs at all there is nothing to hand over.
    let nobody_runs = scene.run(look).await;
    assert_eq!(nobody_runs.stdout, "");
    scene.lead().await;
    transcript!(scene.tell(&[look]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_on_remotes_and_branches() {
    let scene = Scene::new().await;
    scene.put(rig("my-project")).await;
    let mut queue = crate::objects::refinery("my-project");
    queue["status"]["conditions"] = json!([{
        "type": "Degraded", "status": "True", "reason": "PushRejected", "message": "main is protected: GH006",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]);
    scene.put(queue).await;
    let refused = polecat("slit", "my-project", "mp-1", "Stuck");
    scene
        .put(with_condition(
            refused,
            "Degraded",
            "HostKeyUnknown",
            "the host's key is not known",
        ))
        .await;
    // Another rig's queue cannot get through, and will try again; its address asks for a key, and none is named.
    let mut other = rig("my-other");
    other["spec"]["gitURL"] = json!("git@github.com:org/my-other.git");
    scene.put(other).await;
    let mut waits = crate::objects::refinery("my-other");
    waits["status"]["conditions"] = json!([{
        "type": "Progressing", "status": "False", "reason": "RemoteUnreachable", "message": "no answer",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]);
    scene.put(waits).await;
    let told = scene.run("kubectl gt doctor -o json").await;
    assert_eq!(told.code, 1);
    let checks: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    let of = |name: &str| {
        checks
            .as_array()
            .unwrap()
            .iter()
            .find(|c| c["name"] == name)
            .cloned()
            .unwrap()
    };
    assert_eq!(of("rig my-project remote")["verdict"], "fail");
    assert!(
        of("rig my-project remote")["message"]
            .as_str()
            .unwrap()
            .starts_with("HostKeyUnknown")
    );
    assert!(
        of("rig my-project branch")["fix"]
            .as_str()
            .unwrap()
            .contains("refinery resume my-project")
    );
    assert_eq!(of("rig my-project git secret")["verdict"], "warn");
    assert_eq!(of("rig my-other git secret")["verdict"], "fail");
    assert_eq!(of("rig my-other remote")["message"], "RemoteUnreachable: no answer");
}

/// A repository with a work branch, by git itself.
pub fn repository(folder: &Path) -> (String, String) {
    let script = "set -e; git init -q -b main r; cd r; git config user.email a@b; git config user.name a; \
        echo one > f; git add f; git commit -q -m one; git rev-parse HEAD; git switch -q -c feature/mp-40; \
        echo two >> f; echo new > g; git add .; git commit -q -m two; git rev-parse HEAD; git switch -q main; \
        echo other > h; git add .; git commit -q -m other";
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .current_dir(folder)
        .env("HOME", folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    (lines.next().unwrap().to_owned(), lines.next().unwrap().to_owned())
}

pub async fn with_files(scene: &Scene) {
    let (base, commit) = repository(scene.dir.path());
    let mut files = rig("my-files");
    files["spec"]["gitURL"] = json!(scene.dir.path().join("r").display().to_string());
    scene.put(files).await;
    let mut toast = polecat("toast", "my-files", "mp-40", "Done");
    toast["status"]["base"] = json!(base);
    toast["status"]["commit"] = json!(commit);
    scene.put(toast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn diff() {
    let scene = busy().await;
    with_files(&scene).await;
    scene.put(polecat("dag", "my-files", "mp-41", "Working")).await;
    let mut unknown = polecat("ace", "my-files", "mp-40", "Working");
    unknown["status"]["branch"] = json!("feature/mp-40");
    scene.put(unknown).await;
    let hashes = regex::Regex::new("[0-9a-f]{40}").unwrap();
    let text = scene
        .tell(&[
            "kubectl gt polecat diff my-files/toast",
            "kubectl gt polecat diff toast --name-only",
            "kubectl gt polecat diff toast --name-only -o json",
            "kubectl gt polecat diff toast -o name",
            "kubectl gt polecat diff ace --name-only",
            "cd r && kubectl gt polecat diff toast --name-only",
            "kubectl gt polecat diff dag 2>&1 | head -1 | cut -c1-60",
            "kubectl gt polecat diff toast --remote /nowhere 2>&1 | head -1 | cut -c1-60",
            "kubectl gt polecat diff nobody",
        ])
        .await;
    transcript!(hashes.replace_all(&text, "[commit]").into_owned());
    let left = scene
        .run("ls -d \"${TMPDIR:-/tmp}\"/kubectl-gt-* 2>/dev/null | wc -l")
        .await;
    assert!(left.code == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_at_work() {
    let scene = Scene::new().await;
    scene.put(rig("my-project")).await;
    scene.put(landed("nux", "my-project", "mp-1")).await;
    scene.put(pod("polecat-nux")).await;
    transcript!(scene.tell(&["kubectl gt top", "kubectl gt top -o json"]).await);
}
