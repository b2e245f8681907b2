//! `notify` against a hook and a mail server of this machine: what they get, and what is said where they get nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use gastown_harness::notify::notify;
use gastown_testkit::sink::Sink;
use gastown_wire::{
    Channel, NotifyOrders, NotifyOutcome, NotifyReport, ORDERS_ENV, Orders, Report, TERMINATION_ENV, exit,
};
use std::fs;
use tempfile::TempDir;

const TEXT: &str = "Convoy cv is complete: 2/2 landed (a \"batch\" & <!channel>).\nLook: kubectl gt convoy status cv";

fn orders(channel: Channel, secret: &TempDir, keys: &[(&str, &str)]) -> NotifyOrders {
    for (key, value) in keys {
        fs::write(secret.path().join(key), value).unwrap();
    }
    NotifyOrders {
        version: 1,
        id: "work.cv.1".into(),
        channel,
        url: None,
        secret_dir: secret.path().display().to_string(),
        subject: "Convoy cv is complete".into(),
        text: TEXT.into(),
    }
}

/// What became of it, and in which words; no secret in them.
async fn told(orders: &NotifyOrders) -> (NotifyOutcome, String) {
    let report = notify(orders).await;
    assert!(!report.detail.contains("s3cret"), "{}", report.detail);
    (report.outcome, report.detail)
}

fn config(reason: &str) -> NotifyOutcome {
    NotifyOutcome::Config { reason: reason.into() }
}

#[tokio::test]
async fn a_hook_gets_what_slack_takes_under_a_name_by_which_it_is_known_again() {
    let (hook, secret) = (Sink::hook(&[]), TempDir::new().unwrap());
    let url = format!("http://{}/services/s3cret?a=\"b\"", hook.addr());
    let slack = orders(Channel::Slack, &secret, &[("slack-url", &format!("{url}\n"))]);
    assert_eq!(told(&slack).await, (NotifyOutcome::Sent, String::new()));
    let by_spec = NotifyOrders {
        url: Some(url),
        channel: Channel::Webhook,
        ..slack
    };
    assert_eq!(told(&by_spec).await.0, NotifyOutcome::Sent);
    for request in hook.heard() {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /services/s3cret?a="), "{head}");
        for line in ["Content-Type: application/json", "Idempotency-Key: work.cv.1"] {
            assert!(head.contains(line), "{head}");
        }
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body.as_object().unwrap().len(), 1, "Slack takes no other field");
        assert_eq!(
            body["text"],
            TEXT.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
        );
    }
    assert_eq!(hook.heard().len(), 2);
}

#[tokio::test]
async fn what_a_hook_answers_decides_whether_it_is_worth_another_try() {
    let (hook, secret) = (Sink::hook(&[503, 429, 404, 302]), TempDir::new().unwrap());
    let url = format!("http://{}/s3cret", hook.addr());
    let orders = orders(Channel::Webhook, &secret, &[("webhook-url", &url)]);
    for (outcome, words) in [
        (NotifyOutcome::Unreachable, "answers 503"),
        (NotifyOutcome::Unreachable, "answers 429"),
        (NotifyOutcome::Refused, "answers 404"),
        (NotifyOutcome::Refused, "leads elsewhere"),
        (NotifyOutcome::Sent, ""),
    ] {
        let (found, said) = told(&orders).await;
        assert_eq!(found, outcome);
        assert!(said.contains(words), "{said}");
    }
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_named_and_never_shown() {
    let empty = TempDir::new().unwrap();
    assert_eq!(
        told(&orders(Channel::Slack, &empty, &[])).await.0,
        config("SecretMissing")
    );
    let other = TempDir::new().unwrap();
    let lacking = orders(Channel::Slack, &other, &[("webhook-url", "https://h/s3cret")]);
    let (outcome, said) = told(&lacking).await;
    assert_eq!(
        (outcome, said.as_str()),
        (config("KeyMissing"), "lacks the key slack-url")
    );
    for (channel, keys, words) in [
        (
            Channel::Webhook,
            &[("webhook-url", "s3cret")][..],
            "webhook-url is no http",
        ),
        (
            Channel::Webhook,
            &[("webhook-url", "https://h/a\nurl = s3cret")],
            "more than one line",
        ),
        (
            Channel::Email,
            &[
                ("smtp-url", "https://s3cret"),
                ("email-from", "a@b"),
                ("email-to", "c@d"),
            ],
            "smtps://host:465",
        ),
        (
            Channel::Email,
            &[("smtp-url", "smtp://h"), ("email-from", "s3cret"), ("email-to", "c@d")],
            "name@host",
        ),
    ] {
        let secret = TempDir::new().unwrap();
        let (outcome, said) = told(&orders(channel, &secret, keys)).await;
        assert_eq!(outcome, config("AddressInvalid"), "{said}");
        assert!(said.contains(words), "{said}");
    }
    // A port that was free a moment ago, and a name that is none.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for url in [
        format!("http://{free}/s3cret"),
        "http://no-such-host.invalid/s3cret".into(),
    ] {
        let secret = TempDir::new().unwrap();
        let (outcome, said) = told(&orders(Channel::Webhook, &secret, &[("webhook-url", &url)])).await;
        assert_eq!(outcome, NotifyOutcome::Unreachable, "{said}");
    }
}

#[tokio::test]
async fn a_mail_server_gets_a_mail_and_no_password_without_tls() {
    let (server, secret) = (Sink::mail(), TempDir::new().unwrap());
    let smtp = format!("smtp://{}", server.addr());
    let keys = [
        ("smtp-url", smtp.as_str()),
        ("email-from", "gt@example.com"),
        ("email-to", "a@example.com, b@example.com"),
    ];
    let mut orders = orders(Channel::Email, &secret, &keys);
    orders.text.push_str("\n.\nafter a lonely dot");
    assert_eq!(told(&orders).await, (NotifyOutcome::Sent, String::new()));
    let mail = server.heard().remove(0);
    for line in [
        "MAIL FROM:<gt@example.com>",
        "RCPT TO:<b@example.com>",
        "Subject: Convoy cv is complete",
        "<!channel>",
    ] {
        assert!(mail.contains(line), "{line} in {mail}");
    }
    assert!(mail.contains("after a lonely dot"), "{mail}");

    fs::write(secret.path().join("email-to"), "nobody@example.com").unwrap();
    let (outcome, said) = told(&orders).await;
    assert_eq!(outcome, NotifyOutcome::Refused, "{said}");
    assert!(said.contains("answers 550"), "{said}");

    fs::write(secret.path().join("smtp-password"), "s3cret").unwrap();
    assert_eq!(told(&orders).await.0, config("KeyMissing"));
    fs::write(secret.path().join("smtp-username"), "gt").unwrap();
    let (outcome, said) = told(&orders).await;
    assert_eq!(outcome, config("NotConfigured"), "{said}");
    assert!(said.contains("no TLS"), "{said}");
    assert_eq!(server.heard().len(), 1);
}

/// As its pod starts it.
fn program(orders: &NotifyOrders, home: &TempDir, path: &str, env: &[(&str, &str)]) -> (i32, NotifyOutcome) {
    let message = home.path().join("..message");
    #[expect(clippy::disallowed_types, reason = "the program under test is a process")]
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_gastown-harness"))
        .arg("notify")
        .env(ORDERS_ENV, Orders::Notify(Box::new(orders.clone())).to_env().unwrap())
        .env(TERMINATION_ENV, &message)
        .env("HOME", home.path())
        .env("PATH", path)
        .envs(env.iter().copied())
        .output()
        .unwrap();
    let report = NotifyReport::decode(&fs::read_to_string(&message).unwrap()).unwrap();
    (out.status.code().unwrap(), report.outcome)
}

fn left_in(dir: &TempDir) -> usize {
    fs::read_dir(dir.path()).unwrap().count()
}

#[test]
fn the_program_leaves_a_report_and_its_exit_code_says_the_same() {
    let (hook, secret) = (Sink::hook(&[200, 500]), TempDir::new().unwrap());
    let url = format!("http://{}/", hook.addr());
    let orders = orders(Channel::Webhook, &secret, &[("webhook-url", &url)]);
    let start = |path: &str| program(&orders, &secret, path, &[]);
    let path = std::env::var("PATH").unwrap();
    assert_eq!(start(&path), (0, NotifyOutcome::Sent));
    assert_eq!(start(&path), (exit::TRANSIENT, NotifyOutcome::Unreachable));
    assert_eq!(start("/nowhere"), (exit::CONFIG, config("CurlMissing")));
    assert_eq!(left_in(&secret), 2, "nothing of the message is left behind");
}

/// Of the house or everybody's: neither a hook of one's own nor Slack is lost.
#[test]
fn the_rigs_authorities_come_on_top() {
    let (bin, secret) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let at = |name: &str| bin.path().join(name).display().to_string();
    let curl = format!(
        "#!/bin/sh\ncat \"$(sed -n 's/^cacert = \"\\(.*\\)\"$/\\1/p')\" > {}\nprintf 200\n",
        at("seen")
    );
    fs::write(at("curl"), curl).unwrap();
    fs::set_permissions(at("curl"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(at("ca.crt"), "the rig's own\n").unwrap();
    let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap());
    let orders = orders(
        Channel::Webhook,
        &secret,
        &[("webhook-url", "https://hook.example.com/")],
    );
    let told = program(&orders, &secret, &path, &[("GIT_SSL_CAINFO", &at("ca.crt"))]);
    assert_eq!(told, (0, NotifyOutcome::Sent));
    let seen = fs::read_to_string(at("seen")).unwrap();
    let everybodys = fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();
    assert!(seen.starts_with(&everybodys) && seen.trim_end().ends_with("\nthe rig's own"));
    assert_eq!(left_in(&secret), 2);
}
