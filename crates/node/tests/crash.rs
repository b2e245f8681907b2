//! A node that is killed leaves nothing running. Runs itself again as the node, so it has a `main`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![cfg_attr(test, allow(dead_code, reason = "the other tests use the rest of `town`"))]

mod town;

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use gastown_node::Isolation;
use serde_json::json;
use town::*;

fn main() {
    gastown_node::launcher_main();
    let args: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match args.get(1).map(String::as_str) {
        Some("node") => runtime.block_on(node(isolation(&args[2]))),
        // What test runners ask for before they run anything.
        Some("--list") => println!("crash: test"),
        _ => {
            for name in ["unconfined", "namespaces"] {
                if runtime.block_on(available(isolation(name))) {
                    killed(name);
                    println!("test crash::{name} ... ok");
                }
            }
        }
    }
}

fn isolation(name: &str) -> Isolation {
    match name {
        "namespaces" => Isolation::Namespaces,
        _ => Isolation::Unconfined,
    }
}

/// A town with one pod whose processes hold a named pipe open.
async fn node(isolation: Isolation) {
    let town = Town::start(isolation).await;
    let pipe = town.shared().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    println!("{}", pipe.display());
    // One child leaves the process group, and no process listens.
    let script =
        "trap '' TERM; exec 3>/shared/pipe; setsid sh -c 'trap \"\" TERM; sleep 1000' & echo up >&3; sleep 1000";
    town.pod("p", json!({
        "volumes": [{ "name": "s", "hostPath": { "path": town.shared() } }],
        "containers": [sh_with("main", script, json!({ "volumeMounts": [{ "name": "s", "mountPath": "/shared" }] }))],
    })).await;
    std::future::pending::<()>().await;
}

fn killed(name: &str) {
    #[expect(clippy::disallowed_types, reason = "the test kills it")]
    let mut node = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["node", name])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut path = String::new();
    BufReader::new(node.stdout.as_mut().unwrap())
        .read_line(&mut path)
        .unwrap();
    let path = std::path::PathBuf::from(path.trim());
    // Opens when the container does; ends when nobody holds it any more.
    let mut pipe = std::fs::File::open(&path).unwrap();
    let mut word = [0; 3];
    pipe.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"up\n");
    node.kill().unwrap();
    node.wait().unwrap();
    let mut rest = Vec::new();
    pipe.read_to_end(&mut rest).unwrap();
    // What the killed node could not remove.
    let _ = std::fs::remove_dir_all(path.parent().unwrap().parent().unwrap());
}
