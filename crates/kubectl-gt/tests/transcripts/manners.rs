//! What holds for every command: exit codes, namespaces, who is not there, who stopped reading.

use crate::objects::busy;
use crate::scene::Scene;
use crate::transcript;

#[tokio::test(flavor = "multi_thread")]
async fn words_that_are_off() {
    let scene = Scene::new().await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt",
                "kubectl gt frobnicate",
                "kubectl gt rig list -o toml",
                "kubectl gt rig list --frobnicate",
                "kubectl gt polecat",
                "kubectl gt rig list -n 'No Such'",
                "kubectl gt rig list --context nowhere",
                "kubectl gt rig list --kubeconfig nowhere",
                "kubectl gt version --client",
                "kubectl gt version --client -o json",
            ])
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_that_are_not_there() {
    let scene = Scene::new().await;
    for line in [
        "kubectl gt rig list --server https://127.0.0.1:9",
        "KUBECONFIG=/nowhere kubectl gt rig list",
        "kubectl gt sling mp-1 my-project --server https://127.0.0.1:9 --timeout 30s",
    ] {
        let told = scene.run(line).await;
        assert_eq!((told.code, told.stdout.as_str()), (1, ""), "{line}: {}", told.stderr);
        assert!(
            told.stderr.starts_with("error: ") && told.stderr.contains("\nhint: "),
            "{line}: {}",
            told.stderr
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_wrong_is_refused() {
    let scene = Scene::new().await;
    let told = scene.run("kubectl gt rig list --token wrong").await;
    assert_eq!(told.code, 4, "{}", told.stderr);
    assert!(!told.stderr.contains("wrong\""), "{}", told.stderr);
}

/// `-n`, else the context's namespace, else gastown-system.
#[tokio::test(flavor = "multi_thread")]
async fn namespaces() {
    let scene = busy().await;
    let config = std::fs::read_to_string(scene.dir.path().join("kubeconfig")).unwrap();
    let other = config.replace(
        "    user: gastown\n",
        "    user: gastown\n    namespace: gastown-workers\n",
    );
    std::fs::write(scene.dir.path().join("other"), other).unwrap();
    let said = async |line: &str| {
        let told = scene.run(line).await;
        format!("{}{}", told.stdout, told.stderr)
    };
    assert!(said("kubectl gt polecat list -o name").await.contains("furiosa"));
    if !scene.real {
        let there = said("kubectl gt polecat list --kubeconfig other").await;
        assert!(there.contains("no polecats in namespace gastown-workers"), "{there}");
        let both = format!(
            "KUBECONFIG={0}/other:{0}/kubeconfig kubectl gt polecat list",
            scene.dir.path().display()
        );
        assert!(said(&both).await.contains("no polecats in namespace gastown-workers"));
    }
    let back = said("kubectl gt polecat list --kubeconfig other -n gastown-system -o name").await;
    assert!(back.contains("furiosa"), "{back}");
}

/// Whoever pipes into head has had enough, and that is no failure.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_any_more() {
    let scene = busy().await;
    for command in [
        "rig list -o json",
        "polecat list",
        "polecat logs nux",
        "--help",
        "completion bash",
    ] {
        if scene.real && command.contains("logs") {
            continue;
        }
        let line = format!("{{ kubectl gt {command}; echo $? >&3; }} 3>code | true; cat code");
        let told = scene.run(&line).await;
        assert_eq!((told.stdout.trim(), told.stderr.as_str()), ("0", ""), "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn colour_is_for_terminals() {
    let scene = busy().await;
    let escape = '\u{1b}';
    let said = async |line: &str| scene.run(line).await.stdout;
    assert!(!said("kubectl gt polecat list").await.contains(escape));
    assert!(
        said("CLICOLOR_FORCE=1 kubectl gt polecat list")
            .await
            .contains("\u{1b}[33mWorking\u{1b}[0m")
    );
    assert!(
        !said("NO_COLOR=1 CLICOLOR_FORCE=1 kubectl gt polecat list")
            .await
            .contains(escape)
    );
    assert!(
        !said("CLICOLOR_FORCE=1 kubectl gt polecat list -o json")
            .await
            .contains(escape)
    );
}

/// A cluster without our kinds is told from an object that is not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_gas_town() {
    let scene = Scene::new().await;
    if scene.real {
        return;
    }
    let crds: kube::Api<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> =
        kube::Api::all(scene.client.clone());
    crds.delete("rigs.gastown.gastown.io", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    transcript!(
        scene
            .tell(&[
                "kubectl gt rig list",
                "kubectl gt rig status x",
                "kubectl gt sling mp-1 x"
            ])
            .await
    );
}
