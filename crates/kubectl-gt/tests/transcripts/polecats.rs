//! polecat.

use crate::objects::{busy, landed, polecat, rig, with_condition};
use crate::scene::Scene;
use crate::transcript;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn list() {
    let scene = busy().await;
    let mut elsewhere = polecat("ace", "other", "ot-1", "Idle");
    elsewhere["metadata"]["namespace"] = json!("gastown-workers");
    scene.put(elsewhere).await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt polecat list",
                "kubectl gt polecats ls my-project -o wide",
                "kubectl gt polecat list nowhere",
                "kubectl gt polecat list -A",
                "kubectl gt polecat list -A -o name",
                "kubectl gt polecat list -n gastown-workers -o json",
                "kubectl gt polecat list -n gastown-workers -o yaml",
                "kubectl gt polecat list nowhere -o json",
            ])
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn status() {
    let scene = busy().await;
    let mut back = with_condition(
        polecat("coma", "my-project", "mp-13", "Idle"),
        "Ready",
        "HandedBack",
        "sent back for round 2",
    );
    back["status"]["round"] = json!(2);
    back["status"]["failures"] = json!(1);
    back["status"]["rounds"] = json!([{
        "round": 1, "outcome": "HandedBack", "reason": "TestFailed", "message": "red twice, the second time alone",
        "evidence": {"kind": "TestFailed", "summary": "not ok clamp\u{1b}[31m\nexpected '5'\n", "testCommand": "make test"},
    }]);
    scene.put(back).await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt polecat status my-project/furiosa",
                "kubectl gt polecat status slit",
                "kubectl gt polecat status nux",
                "kubectl gt polecat status coma",
                "kubectl gt polecat status polecat/coma -o name",
                "kubectl gt polecat status nobody",
                "kubectl gt polecat status other/furiosa",
                "kubectl gt polecat status furiosa -n gastown-workers",
            ])
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn logs() {
    let scene = busy().await;
    if scene.real {
        eprintln!("skipped: a bare API server has no kubelet that keeps logs");
        return;
    }
    scene.put(polecat("gone", "my-project", "mp-14", "Done")).await;
    scene.put(json!({
        "apiVersion": "gastown.gastown.io/v1alpha1", "kind": "Polecat", "metadata": {"name": "new", "namespace": "gastown-system"},
        "spec": {"rig": "my-project", "desiredState": "Working"},
    })).await;
    let mut second = polecat("dag", "my-project", "mp-15", "Done");
    second["status"]["attempt"] = json!(2);
    second["status"]["podName"] = json!("polecat-dag-2-x");
    scene.put(second).await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt polecat logs my-project/nux",
                "kubectl gt polecat logs nux -f -c courier",
                "kubectl gt polecat logs nux --tail 1",
                "kubectl gt polecat logs nux --raw --tail 2 | od -c | head -2",
                "kubectl gt polecat logs nux --tail 2 -o json",
                "kubectl gt polecat logs nux --tail 2 -o yaml",
                "kubectl gt polecat logs nux -o name",
                "kubectl gt polecat logs nux --previous",
                "kubectl gt polecat logs dag --previous --tail 3",
                "kubectl gt polecat logs dag --raw",
                "kubectl gt polecat logs dag --attempt 1 --tail 3",
                "kubectl gt polecat logs dag --attempt 3",
                "kubectl gt polecat logs gone",
                "kubectl gt polecat logs new",
                "kubectl gt polecat logs nobody",
                "kubectl gt polecat logs nux --since yesterday",
            ])
            .await
    );
}

/// The pod is gone, and the record has the conversation: it is read from the repository, with the person's own git.
#[tokio::test(flavor = "multi_thread")]
async fn logs_from_the_record() {
    let scene = busy().await;
    if scene.real {
        eprintln!("skipped: a bare API server has no kubelet that keeps logs");
        return;
    }
    let repository = scene.dir.path().join("r");
    let mut files = rig("my-files");
    files["spec"]["gitURL"] = json!(repository.display().to_string());
    scene.put(files).await;
    scene.put(polecat("gone", "my-files", "mp-14", "Done")).await;
    let bare = scene.tell(&[
        "kubectl gt polecat logs gone",
        "git init -q --bare r",
        "kubectl gt polecat logs gone",
    ]);
    let bare = bare.await;
    let session = concat!(
        r#"{"type":"user","message":{"content":"Fix the flag."}}"#,
        "\n",
        r#"{"type":"assistant","message":{"content":[{"type":"text","text":"On \u001b[31mit."},{"type":"tool_use","name":"Bash","input":{"command":"make test"}}]}}"#,
        "\n",
    );
    keep(&scene, ".claude/projects/-workspace-repo/s.jsonl", session).await;
    let claude = scene
        .tell(&[
            "kubectl gt polecat logs gone",
            "kubectl gt polecat logs gone -f --tail 1",
            "kubectl gt polecat logs gone --tail 1 -o json",
            "kubectl gt polecat logs gone --raw",
            "kubectl gt polecat logs gone -c courier",
            "kubectl gt polecat logs gone --remote /nowhere",
        ])
        .await;
    keep(&scene, ".local/share/opencode/opencode.db", "SQLite").await;
    let opencode = scene.tell(&["kubectl gt polecat logs gone"]).await;
    transcript!(format!("{bare}{claude}{opencode}"));
}

/// Where the rig keeps conversations apart from the code, they are read there.
#[tokio::test(flavor = "multi_thread")]
async fn logs_from_the_record_repository() {
    let scene = busy().await;
    if scene.real {
        eprintln!("skipped: a bare API server has no kubelet that keeps logs");
        return;
    }
    assert_eq!(
        scene.run("git init -q --bare code && git init -q --bare r").await.code,
        0
    );
    let at = |name: &str| scene.dir.path().join(name).display().to_string();
    let mut apart = rig("apart");
    apart["spec"]["gitURL"] = json!(at("code"));
    apart["spec"]["record"] = json!({"gitURL": at("r")});
    scene.put(apart).await;
    scene.put(polecat("gone", "apart", "mp-14", "Done")).await;
    let session = r#"{"type":"user","message":{"content":"Fix the flag."}}"#;
    keep(&scene, ".claude/projects/-workspace-repo/s.jsonl", session).await;

    let told = scene.run("kubectl gt polecat logs gone").await;
    assert_eq!(told.code, 0, "{}", told.stderr);
    assert!(told.stdout.contains("Fix the flag."), "{}", told.stdout);
    let place = format!("that {} keeps", at("r"));
    assert!(told.stderr.contains(&place), "{}", told.stderr);

    let rigs: kube::Api<gastown_api::Rig> = kube::Api::all(scene.client.clone());
    let patch = Patch::Merge(json!({"spec": {"record": null}}));
    rigs.patch("apart", &PatchParams::default(), &patch).await.unwrap();
    let told = scene.run("kubectl gt polecat logs gone").await;
    assert_eq!(told.code, 3, "{}", told.stdout);
    let place = format!("{} keeps no conversation", at("code"));
    assert!(told.stderr.contains(&place), "{}", told.stderr);
}

/// Nothing but commits is taken beside the code: the polecat says so, and so does doctor, until one keeps everything.
#[tokio::test(flavor = "multi_thread")]
async fn content_that_the_codes_own_server_refuses() {
    let scene = busy().await;
    let mut told = landed("dag", "my-project", "mp-15");
    let kept = json!({
        "type": "ContentKept", "status": "False", "reason": "ContentRefused", "message": "work goes on: the server takes none of it",
        "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
    });
    told["status"]["conditions"].as_array_mut().unwrap().push(kept);
    told["status"]["lastActivity"] = json!("2026-01-01T00:00:00Z");
    scene.put(told).await;
    let status = scene.run("kubectl gt polecat status dag").await.stdout;
    assert!(status.contains("ContentRefused"), "{status}");
    let doctor = scene.run("kubectl gt doctor --rig my-project -o json").await.stdout;
    let checks: serde_json::Value = serde_json::from_str(&doctor).unwrap();
    let check = checks
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["name"] == "rig my-project record");
    let check = check.unwrap_or_else(|| panic!("{doctor}"));
    assert_eq!(check["verdict"], "warn");
    assert!(
        check["message"].as_str().unwrap().starts_with("ContentRefused"),
        "{check}"
    );
    assert!(check["fix"].as_str().unwrap().contains("The git remote"), "{check}");
}

/// Puts a conversation of one part where courier would.
async fn keep(scene: &Scene, name: &str, content: &str) {
    use gastown_wire::conversation::{Conversation, Head};
    let talk = Conversation {
        head: Head {
            parts: vec![(name.to_owned(), 0)],
            ..Head::default()
        },
        parts: vec![content.as_bytes().to_vec()],
    };
    std::fs::write(scene.dir.path().join("packed"), talk.pack()).unwrap();
    let api: kube::Api<gastown_api::Polecat> = kube::Api::namespaced(scene.client.clone(), "gastown-system");
    let uid = api.get("gone").await.unwrap().metadata.uid.unwrap();
    let told = scene
        .run(&format!(
            "set -e; cd r; export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b; \
             blob=$(git hash-object -w ../packed); tree=$(printf '100644 blob %s\\tconversation\\n' $blob | git mktree); \
             git update-ref {} $(git commit-tree -m conversation $tree)",
            gastown_wire::conversation_ref(&uid)
        ))
        .await;
    assert_eq!(told.code, 0, "{}", told.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn nuke() {
    let scene = busy().await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt polecat nuke my-project/furiosa --dry-run=client",
                "kubectl gt polecat nuke my-project/furiosa",
                "kubectl gt polecat nuke slit --force --dry-run=server",
                "kubectl gt polecat nuke slit --force -o name",
                "kubectl gt polecat nuke slit --force",
                "kubectl gt polecat list -o name",
            ])
            .await
    );
}

/// A newer operator may write what this program does not know.
#[tokio::test(flavor = "multi_thread")]
async fn one_object_that_cannot_be_read_spoils_no_list() {
    let scene = Scene::new().await;
    scene.put(rig("my-project")).await;
    scene.put(polecat("furiosa", "my-project", "mp-1", "Working")).await;
    let crds: kube::Api<CustomResourceDefinition> = kube::Api::all(scene.client.clone());
    let mut newer = gastown_api::crds()
        .into_iter()
        .find(|c| c.spec.names.kind == "Polecat")
        .unwrap();
    let schema = newer.spec.versions[0]
        .schema
        .as_mut()
        .unwrap()
        .open_api_v3_schema
        .as_mut()
        .unwrap();
    let status = schema.properties.as_mut().unwrap().get_mut("status").unwrap();
    status.properties.as_mut().unwrap().get_mut("phase").unwrap().enum_ = None;
    let patch = Patch::Merge(json!({"spec": newer.spec}));
    let name = "polecats.gastown.gastown.io";
    crds.patch(name, &PatchParams::default(), &patch).await.unwrap();
    scene
        .put_strange(polecat("nux", "my-project", "mp-2", "Dreaming"))
        .await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt polecat list",
                "kubectl gt polecat list -o name",
                "kubectl gt polecat status nux"
            ])
            .await
    );
}
