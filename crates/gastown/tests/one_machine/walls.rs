//! What an agent can see and touch. Where the system allows no isolation these tests say so and prove the least.

use crate::checkout::{Checkout, NAMESPACE, isolated, until};
use gastown_api::Rig;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

/// Looks for everything that is none of an agent's business; each thing it finds is a line of a file it commits.
fn spy(checkout: &Checkout) -> String {
    let home = checkout.path("home").join("secret");
    let data = checkout.data();
    let bare = checkout.bare();
    // Two slashes: no path of the pod, which a node without mount namespaces would rewrite.
    format!(
        r#"found() {{ echo "$1" >> found; }}
touch found
test ! -e '/{home}' || found 'the home of who started the town'
test ! -e '/{data}/kubeconfig' || found 'the key of the API'
test ! -e '/{data}/identity' || found 'the certificate of the API'
test ! -e '/{data}/node' || found 'other pods'
test ! -d '/{bare}/refs' || found 'the repository'
test ! -e /gastown/courier/repo.git || found 'the volume of courier'
! git push --quiet '/{bare}' HEAD:refs/heads/stolen 2> /dev/null || found 'a way to push'
! git push --quiet origin HEAD:refs/heads/stolen 2> /dev/null || found 'a remote'
! env | grep -i -E 'token|secret|kubeconfig' || found 'a secret'
for p in /proc/[0-9]*; do
  if tr '\0' ' ' < $p/cmdline 2> /dev/null | grep -q '^[^ ]*gastown up '; then found 'the process of the town'; break; fi
done
git add found; git commit --quiet -m spied"#,
        home = home.display(),
        data = data.display(),
        bare = bare.display(),
    )
}

#[test]
fn an_agent_sees_its_workspace_and_nothing_else() {
    if !isolated() {
        eprintln!("SKIPPED: this system allows no isolation of pods");
        return;
    }
    let checkout = Checkout::up();
    std::fs::write(checkout.path("home").join("secret"), "hunter2").unwrap();
    checkout.sling("spy", &spy(&checkout));
    checkout.lands("spy");
    assert_eq!(checkout.on_main("found"), "");
    assert_ne!(
        checkout
            .try_git(&checkout.bare(), &["rev-parse", "--verify", "stolen"])
            .code,
        0
    );
    // Its own logs are all that it leaves on the town's disk.
    assert!(!checkout.path("home").join(".gitconfig").exists());
}

#[test]
fn the_spy_would_find_what_is_there() {
    let checkout = Checkout::up_unconfined();
    std::fs::write(checkout.path("home").join("secret"), "hunter2").unwrap();
    checkout.sling("spy", &spy(&checkout));
    checkout.lands("spy");
    let found = checkout.on_main("found");
    for thing in [
        "the home",
        "the key",
        "other pods",
        "the repository",
        "a way to push",
        "the process",
    ] {
        assert!(found.contains(thing), "{thing} is not in {found}");
    }
}

/// A node that cannot hide anything still lands the task, unchanged to the byte, and leaves no process.
#[test]
fn without_isolation_a_task_lands_as_it_was_given_and_its_daemons_die() {
    let checkout = Checkout::up_unconfined();
    let sleeper = format!("sleep 2{}", std::process::id());
    let task = format!(
        "put it into /tmp/cache, /workspace/repo and \"/gastown/home\" {}",
        "/".repeat(32 * 1024)
    );
    let agent = format!(
        "cat > task; cmp task \"$GASTOWN_TASK_FILE\"
         (setsid nohup {sleeper} > /dev/null 2>&1 &)
         (trap '' TERM HUP INT; {sleeper}) > /dev/null 2>&1 &
         git add task; git commit --quiet -m task"
    );
    let file = checkout.path("task");
    std::fs::write(&file, &task).unwrap();
    let file = file.to_str().unwrap();
    let words = [
        "sling",
        ".",
        "--file",
        file,
        "--name",
        "free",
        "--agent-command",
        &agent,
    ];
    checkout.gastown(&words).ok();
    checkout.lands("free");
    assert_eq!(checkout.on_main("task"), task);
    until("the end of the daemons", || {
        (checkout.processes(&sleeper) == 0).then_some(())
    });
}

/// With volumes mounted and with paths rewritten: agent and test trust the rig's authorities beside this machine's.
#[test]
fn a_rigs_own_authorities_come_on_top() {
    let looks = r#"set -e
for file in "$SSL_CERT_FILE" "$GIT_SSL_CAINFO" "$REQUESTS_CA_BUNDLE"; do
  tail -n 2 "$file" | grep -q "the rig's own"
  system=/etc/ssl/certs/ca-certificates.crt
  test ! -e $system || head -c "$(wc -c < $system)" "$file" | cmp - $system
done
grep -q "the rig's own" "$NODE_EXTRA_CA_CERTS""#;
    for checkout in [Checkout::up(), Checkout::up_unconfined()] {
        checkout.ask(async |client| {
            let bundle = json!({ "metadata": { "name": "ca" }, "data": { "ca.crt": "the rig's own\n" } });
            let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
            let bundle = serde_json::from_value(bundle).unwrap();
            maps.create(&PostParams::default(), &bundle).await.unwrap();
            let named = json!({ "spec": { "podTemplate": { "caBundleConfigMapRef": { "name": "ca" } } } });
            let rigs: Api<Rig> = Api::all(client);
            rigs.patch("parts", &PatchParams::default(), &Patch::Merge(&named))
                .await
                .unwrap();
        });
        let agent =
            format!("cat > test.sh <<'END'\n#!/bin/sh\n{looks}\nEND\n./test.sh; git commit --quiet --all -m trusts");
        checkout.sling("trusts", &agent);
        checkout.lands("trusts");
    }
}
