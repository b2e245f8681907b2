//! Whoever is named is told: a hook and a mail server of this machine hear it, each once.

use crate::checkout::{Checkout, NAMESPACE, until};
use gastown_api::{Convoy, ConvoyPhase, Polecat, PolecatPhase, Witness, conditions};
use gastown_testkit::sink::Sink;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};

/// Condition Notified: status, reason, message.
fn notified(all: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition]) -> (String, String, String) {
    let found = conditions::get(all, conditions::NOTIFIED).cloned();
    found.map(|c| (c.status, c.reason, c.message)).unwrap_or_default()
}

/// The rig's Witness; the operator makes it some moment after the rig.
fn witness(checkout: &Checkout) -> Witness {
    until("the rig's Witness", || {
        checkout.ask(async |client| {
            let api: Api<Witness> = Api::namespaced(client, NAMESPACE);
            api.get_opt("parts-witness").await.unwrap()
        })
    })
}

fn escalates_to(checkout: &Checkout, spec: Value) {
    witness(checkout);
    checkout.ask(async |client| {
        let api: Api<Witness> = Api::namespaced(client, NAMESPACE);
        let patch = Patch::Merge(json!({ "spec": spec }));
        api.patch("parts-witness", &PatchParams::default(), &patch)
            .await
            .unwrap();
    });
}

fn convoy(checkout: &Checkout, name: &str) -> Convoy {
    checkout.ask(async |client| {
        let api: Api<Convoy> = Api::namespaced(client, NAMESPACE);
        api.get(name).await.unwrap()
    })
}

/// A convoy of one bead whose polecat lands it.
fn completes(checkout: &Checkout, name: &str, target: &str) {
    let bead = format!("mp-{name}");
    let args = ["convoy", "create", "A batch", &bead, "--name", name, "--notify", target];
    checkout.gastown(&args).ok();
    let agent = format!("echo {name} > {name}; git add --all; git commit --quiet -m {name}");
    let args = [
        "sling",
        &bead,
        ".",
        "-m",
        "x",
        "--name",
        name,
        "--agent-command",
        &agent,
    ];
    checkout.gastown(&args).ok();
    checkout.lands(name);
}

#[test]
fn convoys_and_witnesses_tell_hooks_and_mailboxes_once() {
    let checkout = Checkout::up();
    let (hook, slack, mail) = (Sink::hook(&[503]), Sink::hook(&[]), Sink::mail());
    checkout.rig(json!({ "retry": { "limit": 0 } }));
    escalates_to(
        &checkout,
        json!({ "escalationTarget": "slack", "healthCheckInterval": "1s" }),
    );

    // Nobody has made the Secret: it is said which, and with which keys.
    checkout.sling("fails", "echo I give up; exit 3");
    checkout.polecat("fails", |p| {
        p.status.as_ref().is_some_and(|s| s.phase == PolecatPhase::Stuck)
    });
    let why = until("word of the missing Secret", || {
        let (_, reason, message) = notified(&witness(&checkout).status?.conditions);
        (reason == "SecretMissing").then_some(message)
    });
    assert!(
        why.contains("kubectl create secret generic gastown-notify -n gastown-system --from-literal=slack-url=…"),
        "{why}"
    );
    checkout.secret(
        "gastown-notify",
        json!({
            "slack-url": format!("http://{}/services/s3cret", slack.addr()),
            "smtp-url": format!("smtp://{}", mail.addr()),
            "email-from": "gt@example.com",
            "email-to": "max@example.com",
        }),
    );
    // An edit is a try now.
    escalates_to(&checkout, json!({ "stuckThreshold": "14m" }));
    until("the escalation", || {
        let (status, reason, _) = notified(&witness(&checkout).status?.conditions);
        (status == "True" && reason == "Sent").then_some(())
    });

    completes(&checkout, "posted", &format!("http://{}/hook", hook.addr()));
    completes(&checkout, "mailed", "email");
    for name in ["mailed", "posted"] {
        until(&format!("the notice of {name}"), || {
            let status = convoy(&checkout, name).status?;
            assert_ne!(notified(&status.conditions).1, "Refused");
            (notified(&status.conditions).1 == "Sent" && status.phase == ConvoyPhase::Complete).then_some(())
        });
    }
    let text = checkout.gastown(&["convoy", "status", "posted"]).ok();
    assert!(
        text.contains("Notified:") && text.contains("accepted by the receiver at try 2"),
        "{text}"
    );

    assert_eq!(slack.heard().len(), 1, "{:?}", slack.heard());
    for word in [
        "1 polecat needs somebody",
        "fails (AgentFailed)",
        "exit code 3",
        "gastown polecat retry fails",
    ] {
        assert!(slack.heard()[0].contains(word), "{word} in {:?}", slack.heard());
    }
    // A hook that was away was asked again, under the same name.
    let posts = hook.heard();
    assert_eq!(posts.len(), 2, "{posts:?}");
    let key = |post: &str| {
        post.lines()
            .find(|l| l.starts_with("Idempotency-Key"))
            .map(str::to_owned)
    };
    assert!(
        key(&posts[0]).is_some() && key(&posts[0]) == key(&posts[1]),
        "{posts:?}"
    );
    assert!(posts[1].contains("Convoy posted is complete: 1/1 landed"), "{posts:?}");
    assert_eq!(mail.heard().len(), 1);
    assert!(
        mail.heard()[0].contains("Subject: Convoy mailed is complete"),
        "{:?}",
        mail.heard()
    );
    // Invariant 9: no address is anywhere but in the Secret.
    let everything = checkout.gastown(&["witness", "status", ".", "-o", "json"]).ok();
    let log = std::fs::read_to_string(checkout.data().join("up.log")).unwrap_or_default();
    assert!(!everything.contains("s3cret") && !log.contains("s3cret"));
    until("the end of their pods", || {
        checkout
            .live_pods()
            .iter()
            .all(|p| !p.starts_with("notify-"))
            .then_some(())
    });
}

/// Behind the walls of a pod, too, an agent whose model thinks for long counts as active.
#[test]
fn a_model_that_thinks_for_long_is_waited_for() {
    let checkout = Checkout::up();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut call, _) = listener.accept().unwrap();
        // What is left unread would reset the connection at its end.
        let _request = call.read(&mut [0; 4096]).unwrap();
        call.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        for _ in 0..20 {
            call.write_all(b": ping\n\n").unwrap();
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
    });
    let agent = format!(
        "curl --silent --fail --output /dev/null http://{addr}/ && echo thought > thought && git add --all && git commit --quiet -m thought"
    );
    let spec = json!({
        "rig": "parts", "desiredState": "Working", "taskDescription": "think", "maxIdleSeconds": 4, "agent": "custom",
        "agentConfig": {"command": ["/bin/sh", "-c", agent]}, "retry": {"limit": 0},
    });
    checkout.ask(async |client| {
        let api: Api<Polecat> = Api::namespaced(client, NAMESPACE);
        let polecat = Polecat::new("thinks", serde_json::from_value(spec).unwrap());
        api.create(&PostParams::default(), &polecat).await.unwrap();
    });
    checkout.lands("thinks");
}
