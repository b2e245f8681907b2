//! What is for a terminal and for nothing else: questions, colour, progress, a page that is drawn again. util-linux' `script` is
//! the terminal.

use crate::objects::busy;
use crate::scene::{Scene, Told};

/// Types words and then a line at a terminal, as long as the scene's tests wait. What is shown is on stdout.
async fn at_a_terminal(scene: &Scene, answer: &str, line: &str) -> Told {
    let typed = format!("printf '{answer}' | TERM=xterm script --quiet --return --command '{line}' /dev/null");
    scene.run(&typed).await
}

fn has_terminals() -> bool {
    let there = std::path::Path::new("/usr/bin/script").exists();
    if !there {
        eprintln!("SKIPPED: no terminal without script (Debian: bsdutils)");
    }
    there
}

async fn wanted(scene: &Scene, name: &str) -> String {
    let told = scene.run(&format!("kubectl gt polecat status {name} -o json")).await;
    let polecat: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    polecat["spec"]["desiredState"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn nuke_asks_whoever_can_answer() {
    if !has_terminals() {
        return;
    }
    let scene = busy().await;
    for (answer, code, state) in [("n\\n", 4, "Working"), ("\\n", 4, "Working"), ("y\\n", 0, "Terminated")] {
        let told = at_a_terminal(&scene, answer, "kubectl gt polecat nuke capable").await;
        assert!(told.stdout.contains("end polecat capable?"), "{}", told.stdout);
        assert_eq!(told.code, code, "{answer}: {}", told.stdout);
        assert_eq!(wanted(&scene, "capable").await, state, "{answer}");
    }
    let told = at_a_terminal(&scene, "", "kubectl gt polecat nuke rictus --force").await;
    assert!(told.code == 0 && !told.stdout.contains("?"), "{}", told.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn colour_and_progress_are_for_terminals() {
    if !has_terminals() {
        return;
    }
    let scene = busy().await;
    let list = "kubectl gt polecat list";
    let coloured = at_a_terminal(&scene, "", list).await.stdout;
    assert!(coloured.contains("\u{1b}[33mWorking\u{1b}[0m"), "{coloured}");
    for plain in [
        scene.run(list).await.stdout,
        at_a_terminal(&scene, "", &format!("NO_COLOR=1 {list}")).await.stdout,
        at_a_terminal(&scene, "", &format!("{list} -o json")).await.stdout,
    ] {
        assert!(plain.contains("Working") && !plain.contains('\u{1b}'), "{plain}");
    }
    let wait = "kubectl gt convoy wait cv-one --timeout 1s";
    let told = at_a_terminal(&scene, "", wait).await;
    assert_eq!(told.code, 5, "{}", told.stdout);
    assert!(
        told.stdout.lines().any(|l| l.starts_with("cv-one: ")),
        "{}",
        told.stdout
    );
    assert!(!scene.run(wait).await.stderr.lines().any(|l| l.starts_with("cv-one: ")));
    let top = "timeout 3 kubectl gt top --watch --interval 10s";
    let page = at_a_terminal(&scene, "", top).await.stdout;
    assert!(
        page.starts_with("\u{1b}[H\u{1b}[2J") && page.contains("furiosa"),
        "{page}"
    );
    assert!(!scene.run(top).await.stdout.contains('\u{1b}'));
}
