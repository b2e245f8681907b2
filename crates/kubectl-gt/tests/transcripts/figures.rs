//! How fast it is: figures, no verdicts. `cargo test --release -p kubectl-gt --test transcripts -- --ignored --nocapture figures`

use crate::objects::{polecat, rig};
use crate::scene::Scene;
use gastown_api::Polecat;
use kube::Api;
use kube::api::PostParams;
use std::process::Stdio;
use std::time::{Duration, Instant};

const RUNS: usize = 21;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// From the start of the program to the moment it reaches for the server.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures; nothing is judged"]
async fn figures() {
    let door = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("https://{}", door.local_addr().unwrap());
    let scene = Scene::new().await;
    let mut before = Vec::new();
    for _ in 0..RUNS {
        let begun = Instant::now();
        let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_kubectl-gt"))
            .args(["polecat", "list", "--server", &server])
            .env("KUBECONFIG", scene.dir.path().join("kubeconfig"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let knock = door.accept().await.unwrap();
        before.push(begun.elapsed());
        drop(knock);
        child.kill().await.unwrap();
    }
    scene.put(rig("my-project")).await;
    let polecats: Api<Polecat> = Api::namespaced(scene.client.clone(), crate::scene::NAMESPACE);
    for n in 0..1000 {
        let object = polecat(&format!("furiosa-{n}"), "my-project", &format!("mp-{n}"), "Working");
        let typed: Polecat = serde_json::from_value(object).unwrap();
        polecats.create(&PostParams::default(), &typed).await.unwrap();
    }
    let mut lists = Vec::new();
    for _ in 0..RUNS {
        let begun = Instant::now();
        let told = scene.run("kubectl gt polecat list | wc -l").await;
        lists.push(begun.elapsed());
        assert_eq!(told.stdout.trim(), "1001");
    }
    println!(
        "start to first request, median of {RUNS}: {:?} (budget 10 ms)",
        median(before)
    );
    println!(
        "list of 1,000 polecats, median of {RUNS}: {:?} (budget 0.3 s)",
        median(lists)
    );
}
