//! Transcripts with a real kubectl, named by `KUBECTL`. Without one they are skipped, and say so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![expect(
    clippy::disallowed_types,
    reason = "this test runs kubectl, which is what it is about"
)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use common::Town;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use gastown_apiserver::{Identity, LogError, LogRequest, LogStream, PodLogs};
use tokio_util::sync::CancellationToken;

struct Kubectl {
    program: PathBuf,
    home: tempfile::TempDir,
}

impl Kubectl {
    fn command(&self, args: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(args.split_whitespace().map(|a| a.trim_matches('\'')))
            .env_clear()
            .env("HOME", self.home.path())
            .env("KUBECONFIG", self.home.path().join("kubeconfig"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &str, input: &str) -> Output {
        let mut child = self.command(args).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Runs `args` with `input` and wants success and each of `expected` in what it prints.
    fn says(&self, args: &str, input: &str, expected: &[&str]) {
        let output = self.run(args, input);
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "kubectl {args}\n{text}");
        for part in expected {
            assert!(text.contains(part), "kubectl {args}: no {part:?} in\n{text}");
        }
    }

    fn fails(&self, args: &str, expected: &str) {
        let output = self.run(args, "");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && text.contains(expected),
            "kubectl {args}: no {expected:?} in\n{text}"
        );
    }
}

struct Lines;

impl PodLogs for Lines {
    fn logs(&self, _: LogRequest) -> BoxFuture<'static, Result<LogStream, LogError>> {
        async { Ok(futures::stream::iter([Ok(Bytes::from("from the pod\n"))]).boxed()) }.boxed()
    }
}

const EVENT: &str = r#"
apiVersion: v1
kind: Event
metadata: {name: worker.1, namespace: default}
involvedObject: {apiVersion: v1, kind: Pod, name: worker, namespace: default}
reason: Tested
message: just so
type: Normal
"#;

const MANIFEST: &str = r#"
apiVersion: things.example.org/v1alpha1
kind: Gadget
metadata: {name: one}
spec: {size: 3}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: "1"}
---
apiVersion: v1
kind: Pod
metadata: {name: worker}
spec: {containers: [{name: main, image: "x:1", env: [{name: A, value: b}]}]}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_works_as_its_users_expect() {
    let Some(program) = std::env::var_os("KUBECTL").filter(|p| Path::new(p).exists()) else {
        eprintln!("SKIPPED: no kubectl transcripts, set KUBECTL to a kubectl binary to run them");
        return;
    };
    let town = Town::new().await;
    town.server.set_logs(Arc::new(Lines));
    let stop = CancellationToken::new();
    let serving = town
        .server
        .serve(
            "127.0.0.1:0".parse().unwrap(),
            Identity::create().unwrap(),
            stop.clone(),
        )
        .await
        .unwrap();
    let kubectl = Kubectl {
        program: program.into(),
        home: tempfile::tempdir().unwrap(),
    };
    std::fs::write(kubectl.home.path().join("kubeconfig"), serving.kubeconfig("default")).unwrap();
    tokio::task::spawn_blocking(move || transcript(&kubectl)).await.unwrap();
    stop.cancel();
}

fn transcript(kubectl: &Kubectl) {
    let changed = MANIFEST.replace("size: 3", "size: 5").replace("x:1", "x:2");
    kubectl.says("api-resources", "", &["gadgets", "configmaps", "networkpolicies"]);
    kubectl.says(
        "apply -f -",
        MANIFEST,
        &["gadget.things.example.org/one created", "pod/worker created"],
    );
    kubectl.says(
        "apply -f -",
        MANIFEST,
        &["one unchanged", "settings unchanged", "pod/worker unchanged"],
    );
    kubectl.says(
        "apply --dry-run=server -f -",
        &changed,
        &["one configured (server dry run)"],
    );
    kubectl.says("get gd one -o jsonpath={.spec.size}", "", &["3"]);
    kubectl.says(
        "apply -f -",
        &changed,
        &["one configured", "settings unchanged", "pod/worker configured"],
    );
    kubectl.says("get gd,po -o wide", "", &["SIZE", "one", "worker", "Pending", "NODE"]);
    kubectl.says("get toys -o json", "", &["\"size\": 5"]);
    kubectl.says("get cm settings -o yaml", "", &["a: \"1\""]);
    kubectl.says("describe gd one", "", &["Colour:  red", "Events:"]);
    kubectl.says("describe pod worker", "", &["Image:", "x:2", "QoS Class:"]);
    kubectl.says("label gd one team=parts", "", &["labeled"]);
    kubectl.says("get gd -l team=parts -o name", "", &["gadget.things.example.org/one"]);
    kubectl.says("annotate cm settings note=hi", "", &["annotated"]);
    kubectl.says("patch gd one --type=merge -p {\"spec\":{\"size\":7}}", "", &["patched"]);
    kubectl.says(
        "patch gd one --type=json -p [{\"op\":\"replace\",\"path\":\"/spec/colour\",\"value\":\"blue\"}]",
        "",
        &["patched"],
    );
    kubectl.says(
        "patch pod worker -p {\"spec\":{\"containers\":[{\"name\":\"main\",\"image\":\"x:3\"}]}}",
        "",
        &["patched"],
    );
    kubectl.says(
        "get pod worker -o jsonpath={.spec.containers[0].env[0].value}",
        "",
        &["b"],
    );
    kubectl.fails(
        "patch gd one --type=merge -p {\"spec\":{\"size\":1}}",
        "a gadget never shrinks",
    );
    kubectl.says("create configmap made --from-literal=x=y", "", &["created"]);
    kubectl.says("create secret generic key --from-literal=token=foo", "", &["created"]);
    kubectl.says("get secret key -o jsonpath={.data.token}", "", &["Zm9v"]);
    kubectl.says("create namespace team", "", &["created"]);
    kubectl.says("explain gadget.spec", "", &["size", "-required-"]);
    kubectl.says(
        "explain pod.spec.restartPolicy",
        "",
        &["Restart policy for all containers"],
    );
    kubectl.says("auth can-i create pods", "", &["yes"]);
    kubectl.says("auth can-i '*' '*'", "", &["yes"]);
    kubectl.says("explain gadget --recursive", "", &["colour", "twin"]);
    kubectl.says("events", "", &["No events found"]);
    kubectl.says("create -f -", EVENT, &["event/worker.1 created"]);
    kubectl.says("events --for pod/worker", "", &["Tested", "just so"]);
    kubectl.fails("top pod", "Metrics API not available");
    kubectl.says("logs -f worker", "", &["from the pod"]);
    kubectl.says(
        "wait --for=jsonpath={.status.phase}=Pending pod/worker --timeout=10s",
        "",
        &["condition met"],
    );
    watch(kubectl);
    kubectl.says("delete pod worker", "", &["deleted"]);
    kubectl.says("wait --for=delete pod/worker --timeout=10s", "", &[]);
    kubectl.says("delete ns team", "", &["deleted"]);
    kubectl.says("delete gd --all", "", &["deleted"]);
    kubectl.fails("get gd one", "gadgets.things.example.org \"one\" not found");
    kubectl.fails("get services", "doesn't have a resource type");
}

/// `get -w` prints what is there, and then what changes.
fn watch(kubectl: &Kubectl) {
    let mut child = kubectl.command("get gd one -w --no-headers").spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.starts_with("one") && first.contains('7'), "{first}");
    kubectl.says(
        "patch gd one --subresource=status --type=merge -p {\"status\":{\"state\":\"busy\"}}",
        "",
        &["patched"],
    );
    let second = lines.next().unwrap().unwrap();
    assert!(second.contains("busy"), "{second}");
    child.kill().unwrap();
    child.wait().unwrap();
}
