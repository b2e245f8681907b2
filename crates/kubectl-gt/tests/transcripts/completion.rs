//! Completions: as kubectl asks, and as a shell's script does.

use crate::objects::busy;
use crate::transcript;

#[tokio::test(flavor = "multi_thread")]
async fn as_kubectl_asks() {
    let scene = busy().await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt __complete ''",
                "kubectl gt __complete polecat st",
                "kubectl gt __complete polecat status ''",
                "kubectl gt __complete polecat status my-project/f",
                "kubectl gt __complete polecat list m",
                "kubectl gt __complete convoy status ''",
                "kubectl gt __complete rig status ''",
                "kubectl gt __complete rig create x --theme ''",
                "kubectl gt __complete sling mp-1 my-project --agent c",
                "kubectl gt __complete polecat logs --",
                "kubectl gt __complete polecat status -n gastown-workers ''",
                "kubectl gt __complete polecat status --kubeconfig nowhere ''",
            ])
            .await
    );
}

/// kubectl runs `kubectl_complete-gt` from the PATH: a link to the plugin, or the script it prints.
#[tokio::test(flavor = "multi_thread")]
async fn by_the_name_kubectl_looks_for() {
    let scene = busy().await;
    let link = "ln -s \"$(command -v kubectl-gt)\" kubectl_complete-gt && ./kubectl_complete-gt convoy status cv-o";
    let script = "rm kubectl_complete-gt; kubectl gt completion kubectl > kubectl_complete-gt && chmod +x kubectl_complete-gt && ./kubectl_complete-gt convoy status cv-o";
    for line in [link, script] {
        let told = scene.run(line).await;
        assert_eq!(
            (told.stdout.as_str(), told.code),
            ("cv-one\tBatch cv-one\n:4\n", 0),
            "{}",
            told.stderr
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_of_shells_call_back() {
    let scene = busy().await;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let told = scene.run(&format!("kubectl gt completion {shell}")).await;
        assert!(
            told.code == 0 && told.stdout.contains("GASTOWN_COMPLETE"),
            "{shell}: {}",
            told.stdout
        );
    }
    let line =
        "GASTOWN_COMPLETE=bash _CLAP_COMPLETE_INDEX=3 _CLAP_IFS='\n' kubectl-gt -- kubectl-gt polecat status fur";
    assert_eq!(scene.run(line).await.stdout.trim(), "furiosa");
    let told = scene.run("kubectl gt completion tcsh").await;
    assert_eq!(told.code, 2);
}
