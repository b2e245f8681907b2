//! convoy.

use crate::objects::{busy, convoy};
use crate::transcript;

#[tokio::test(flavor = "multi_thread")]
async fn convoys() {
    let scene = busy().await;
    scene.put(convoy("cv-bad", "Failed", &["mp-11"], &[])).await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt convoy list",
                "kubectl gt convoy list -o wide",
                "kubectl gt convoys list -A -o name",
                "kubectl gt convoy status cv-one",
                "kubectl gt convoy status cv-bad",
                "kubectl gt convoy status cv-done -o yaml",
                "kubectl gt convoy status cv-none",
                "kubectl gt convoy create \"Release\" mp-1 mp-2",
                "kubectl gt convoy create \"Release\" mp-1 mp-2 --rig my-project --parallelism 2 --name cv-rel --notify https://hooks.example.com/x -o yaml",
                "kubectl gt convoy create \"Release\" mp-1 --rig my-project --name cv-told --notify slack --notify-secret our-channel -o yaml",
                "kubectl gt convoy create \"Release\" mp-1 --name cv-rel",
                "kubectl gt convoy create \"Release\"",
                "kubectl gt convoy create \"Release\" mp-1 --name cv-dry --dry-run=server",
                "kubectl gt convoy wait cv-done",
                "kubectl gt convoy wait cv-done -o name",
                "kubectl gt convoy wait cv-bad",
                "kubectl gt convoy wait cv-one --timeout 1s",
                "kubectl gt convoy wait cv-none",
                "kubectl gt convoy list -n gastown-workers",
            ])
            .await
    );
}
