//! What a polecat works with: Polecat over Rig over defaults, and every problem with its fix.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use common::*;
use gastown_api as api;
use gastown_api::{AgentConfig, AgentKind, KubernetesSpec, PolecatPhase, SecretKeyRef, SecretReference};
use gastown_rules::{PolecatPod, PolecatRow, RigRow, Town};

/// The pod that is made for a polecat of a rig.
fn made(town: Town, rig: impl FnOnce(&mut RigRow), polecat: impl FnOnce(&mut PolecatRow)) -> PolecatPod {
    let mut scene = Scene::of(town);
    scene.rig("parts", |r| {
        r.spec.git_url = "https://example.org/parts.git".into();
        rig(r);
    });
    scene.polecat("nux", polecat);
    scene.pod_made()
}

fn problem(change: impl FnOnce(&mut PolecatRow)) -> (String, String) {
    let mut scene = Scene::of(Town::default());
    scene.rig("parts", |r| r.spec.git_url = "https://example.org/parts.git".into());
    scene.polecat("nux", change);
    scene.later(5);
    scene.settle();
    let status = scene.status("nux");
    assert_eq!(status.phase, PolecatPhase::Stuck, "{:?}", status.message);
    assert!(scene.plan().actions.iter().all(|a| a.key().name != "nux"), "said once");
    (
        condition(&status.conditions, "Degraded").1.to_owned(),
        status.message.clone().unwrap(),
    )
}

fn of_rig_none(r: &mut RigRow) {
    r.spec.agent = None;
    r.spec.agent_config = None;
}

#[test]
fn what_is_wrong_is_a_condition_that_names_the_fix() {
    let kubernetes = |change: fn(&mut KubernetesSpec)| {
        move |p: &mut PolecatRow| change(p.spec.kubernetes.get_or_insert_with(Default::default))
    };
    type Problem = (&'static str, Box<dyn FnOnce(&mut PolecatRow)>, &'static str);
    let cases: Vec<Problem> = vec![
        ("RigNotFound", Box::new(|p| p.spec.rig = "no-such".into()), "create it"),
        ("RigNotFound", Box::new(|p| p.spec.rig = String::new()), "spec.rig"),
        (
            "MissingRepository",
            Box::new(|p| p.spec.rig = "standalone".into()),
            "gitRepository",
        ),
        (
            "LocalRepository",
            Box::new(kubernetes(|k| k.git_repository = Some("/srv/x.git".into()))),
            "https or ssh",
        ),
        (
            "LocalRepository",
            Box::new(kubernetes(|k| k.git_repository = Some("file:///srv/x.git".into()))),
            "https or ssh",
        ),
        (
            "InvalidBranch",
            Box::new(kubernetes(|k| k.work_branch = Some("a..b".into()))),
            "letters",
        ),
        (
            "InvalidBranch",
            Box::new(kubernetes(|k| k.git_branch = Some("-x".into()))),
            "letters",
        ),
        (
            "InvalidBranch",
            Box::new(kubernetes(|k| k.work_branch = Some("main".into()))),
            "workBranch",
        ),
        (
            "LocalModeNeedsOneMachine",
            Box::new(|p| p.spec.execution_mode = Some(api::ExecutionMode::Local)),
            "gastown up",
        ),
        (
            "MissingTask",
            Box::new(|p| {
                p.spec.agent = Some(AgentKind::Aider);
                p.spec.bead_id = None;
                p.spec.task_description = Some("  ".into());
            }),
            "spec.task.description",
        ),
    ];
    for (code, change, fix) in cases {
        let (reason, message) = problem(change);
        assert_eq!(reason, code);
        assert!(message.contains(fix), "{code}: {message}");
    }
}

#[test]
fn a_custom_agent_needs_its_command_and_takes_the_rigs() {
    let mut scene = Scene::of(Town {
        one_machine: true,
        ..Town::default()
    });
    scene.rig("parts", |r| r.spec.agent_config = None);
    scene.polecat("nux", |_| ());
    scene.settle();
    assert_eq!(
        condition(&scene.status("nux").conditions, "Degraded").1,
        "MissingAgentCommand"
    );
    // Mended on the Rig: nobody touches the Polecat.
    scene.rig("parts", |_| ());
    scene.settle();
    assert_eq!(scene.status("nux").phase, PolecatPhase::Working);
    assert_eq!(condition(&scene.status("nux").conditions, "Degraded").0, "False");
}

#[test]
fn which_agent_runs() {
    let claude = |k: &mut KubernetesSpec| k.claude_creds_secret_ref = Some(SecretReference { name: "c".into() });
    let key = SecretKeyRef {
        name: "k".into(),
        key: "key".into(),
    };
    let pod = |rig: &dyn Fn(&mut RigRow), polecat: &dyn Fn(&mut PolecatRow)| {
        made(
            Town::default(),
            |r| {
                of_rig_none(r);
                rig(r);
            },
            polecat,
        )
    };
    let none = |_: &mut RigRow| ();
    assert_eq!(
        pod(&none, &|_| ()).orders.agent.kind,
        "opencode",
        "nobody says anything"
    );
    let with = pod(&none, &|p| {
        claude(p.spec.kubernetes.get_or_insert_with(Default::default))
    });
    assert_eq!(
        (with.orders.agent.kind.as_str(), with.container.as_str()),
        ("claude-code", "claude")
    );
    let with = pod(&|r| r.spec.api_key_secret_ref = Some(key.clone()), &|_| ());
    assert_eq!(with.orders.agent.kind, "claude-code", "the Rig names an Anthropic key");
    assert_eq!(
        with.common.credentials.api_key,
        Some(("k".into(), "key".into(), "ANTHROPIC_API_KEY".into()))
    );
    let with = pod(&|r| r.spec.agent = Some(AgentKind::Aider), &|_| ());
    assert_eq!(with.orders.agent.kind, "aider", "the Rig's default");
    let with = pod(&|r| r.spec.agent = Some(AgentKind::Aider), &|p| {
        p.spec.agent = Some(AgentKind::ClaudeCode)
    });
    assert_eq!(with.orders.agent.kind, "claude-code", "the Polecat's word");
}

#[test]
fn the_polecat_over_the_rig_over_the_default() {
    let pod = made(Town::default(), of_rig_none, |p| p.spec.kubernetes = None);
    assert_eq!(pod.image, "polecat-agent");
    assert_eq!(pod.common.deadline, Some(3600));
    assert_eq!(pod.orders.work_branch, "feature/mp-nux");
    assert_eq!(
        (pod.orders.remote.url.as_str(), pod.orders.remote.branch.as_str()),
        ("https://example.org/parts.git", "main")
    );
    assert!(pod.resources.unwrap().requests.is_some(), "v0.4.2's requests");
    let rig = |r: &mut RigRow| {
        r.spec.image = Some("rig:1".into());
        r.spec.target_branch = Some("trunk".into());
        r.spec.active_deadline_seconds = Some(60);
        r.spec.push_interval_seconds = Some(2);
        r.spec.stuck_threshold = Some("5m".into());
        r.spec.record = Some(api::RecordSpec {
            level: Some(api::RecordLevel::Work),
            git_url: None,
        });
        r.spec.git_secret_ref = Some(SecretReference { name: "rig-git".into() });
    };
    let pod = made(Town::default(), rig, |_| ());
    assert_eq!((pod.image.as_str(), pod.common.deadline), ("rig:1", Some(60)));
    assert_eq!(pod.orders.remote.branch, "trunk");
    assert_eq!(
        (pod.orders.pace.push_interval_ms, pod.orders.pace.stuck_after_s),
        (2000, 300)
    );
    assert_eq!(pod.orders.record, gastown_wire::RecordLevel::Work);
    assert_eq!(pod.common.credentials.git.as_deref(), Some("rig-git"));
    let pod = made(Town::default(), rig, |p| {
        p.spec.bead_id = None;
        p.spec.kubernetes = Some(Box::new(KubernetesSpec {
            git_repository: Some("git@example.org:own.git".into()),
            git_branch: Some("dev".into()),
            git_secret_ref: Some(SecretReference { name: "own".into() }),
            image: Some("own:1".into()),
            active_deadline_seconds: Some(5),
            ..Default::default()
        }));
    });
    assert_eq!((pod.image.as_str(), pod.common.deadline), ("own:1", Some(5)));
    assert_eq!(
        (pod.orders.remote.url.as_str(), pod.orders.remote.branch.as_str()),
        ("git@example.org:own.git", "dev")
    );
    assert_eq!(pod.common.credentials.git.as_deref(), Some("own"));
    assert_eq!(pod.orders.work_branch, "polecat/nux");
}

#[test]
fn an_agent_with_an_image_of_its_own_gets_that_where_nobody_names_one() {
    let image = |agent: AgentKind, rig: Option<&str>| {
        let town = Town {
            agent_images: [("opencode".to_owned(), "polecat-agent:opencode".to_owned())].into(),
            ..Town::default()
        };
        let of = |r: &mut RigRow| {
            of_rig_none(r);
            r.spec.image = rig.map(str::to_owned);
        };
        made(town, of, |p| p.spec.agent = Some(agent)).image
    };
    assert_eq!(image(AgentKind::Opencode, None), "polecat-agent:opencode");
    assert_eq!(image(AgentKind::ClaudeCode, None), "polecat-agent");
    assert_eq!(image(AgentKind::Aider, None), "polecat-agent");
    assert_eq!(image(AgentKind::Opencode, Some("rig:1")), "rig:1");
}

#[test]
fn the_rigs_setup_is_for_the_rigs_agent() {
    let pod = made(Town::default(), |_| (), |p| p.spec.agent = Some(AgentKind::ClaudeCode));
    assert_eq!(pod.orders.agent.command[0], "claude", "not the Rig's ./agent.sh");
    let pod = made(
        Town::default(),
        |_| (),
        |p| {
            p.spec.agent_config = Some(Box::new(AgentConfig {
                args: vec!["--fast".into()],
                ..Default::default()
            }));
        },
    );
    assert_eq!(pod.orders.agent.command, ["./agent.sh", "--fast"]);
    let pod = made(Town::default(), of_rig_none, |p| {
        p.spec.agent = Some(AgentKind::ClaudeCode);
        p.spec.agent_config = Some(Box::new(AgentConfig {
            model: Some("opus".into()),
            ..Default::default()
        }));
    });
    let model = pod
        .env
        .iter()
        .find(|v| v.name == "ANTHROPIC_MODEL")
        .and_then(|v| v.value.as_deref());
    assert_eq!(model, Some("opus"));
}

#[test]
fn a_polecat_with_a_credential_of_its_own_gets_no_other() {
    let pod = made(
        Town::default(),
        |r| {
            of_rig_none(r);
            r.spec.api_key_secret_ref = Some(SecretKeyRef {
                name: "rigs".into(),
                key: "k".into(),
            });
        },
        |p| {
            p.spec.kubernetes = Some(Box::new(KubernetesSpec {
                claude_creds_secret_ref: Some(SecretReference { name: "mine".into() }),
                ..Default::default()
            }));
        },
    );
    assert_eq!(pod.common.credentials.claude.as_deref(), Some("mine"));
    assert_eq!(pod.common.credentials.api_key, None);
}

#[test]
fn the_task_of_either_readme_and_the_bead_alone() {
    let task = |change: fn(&mut PolecatRow)| match made(Town::default(), |_| (), change).orders.task {
        gastown_wire::Text::Inline(text) => text,
        gastown_wire::Text::File(path) => path,
    };
    assert_eq!(task(|_| ()), "mend it");
    assert_eq!(
        task(|p| p.spec.task = Some(api::Task {
            description: Some("$(rm) 'x'\n🚗".into())
        })),
        "$(rm) 'x'\n🚗"
    );
    assert!(task(|p| p.spec.task_description = None).contains("mp-nux"));
    let of_bead = |change: fn(&mut PolecatRow)| made(Town::default(), |_| (), change).orders.task_of_bead;
    assert!(!of_bead(|_| ()), "what a person said is the task");
    assert!(
        of_bead(|p| p.spec.task_description = None),
        "its pod looks up what the bead says"
    );
}

#[test]
fn labels_are_legal_and_nothing_is_lost() {
    let long = "b".repeat(80);
    let pod = made(Town::default(), |_| (), |p| p.spec.bead_id = Some("b".repeat(80)));
    assert_eq!(pod.common.labels.get("gastown.io/bead"), None);
    assert_eq!(pod.common.annotations["gastown.io/bead"], long);
    assert_eq!(pod.common.labels["gastown.io/role"], "polecat");
    assert_eq!(pod.common.annotations["gastown.io/attempt"], "1");
}

#[test]
fn an_agent_may_be_idle_as_long_as_it_says() {
    let idle = |agent, seconds: Option<i32>| {
        let pod = made(
            Town::default(),
            |_| (),
            |p| {
                p.spec.agent = agent;
                p.spec.max_idle_seconds = seconds;
            },
        );
        pod.orders.pace.max_idle_s
    };
    assert_eq!(idle(None, None), None, "a program of the user's own");
    assert_eq!(idle(None, Some(60)), Some(60));
    assert_eq!(idle(Some(AgentKind::Aider), None), Some(1800));
    assert_eq!(idle(Some(AgentKind::Aider), Some(60)), Some(60));
}

#[test]
fn a_path_is_mounted_from_the_host_on_one_machine() {
    let pod = made(
        Town {
            one_machine: true,
            ..Town::default()
        },
        |r| r.spec.git_url = "file:///srv/p.git".into(),
        |_| (),
    );
    assert_eq!(pod.common.local_remote.as_deref(), Some("/srv/p.git"));
    assert_eq!(pod.resources, None);
}

#[test]
fn a_pod_knows_which_of_its_variables_a_secret_fills() {
    let env = serde_json::json!([
        {"name": "PART", "value": "blue"},
        {"name": "PLACE", "valueFrom": {"secretKeyRef": {"name": "places", "key": "a"}}},
        {"name": "SHIFT", "valueFrom": {"configMapKeyRef": {"name": "shifts", "key": "a"}}},
    ]);
    let pod = made(Town::default(), of_rig_none, |p| {
        let config = p.spec.agent_config.get_or_insert_default();
        config.env = serde_json::from_value(env.clone()).unwrap();
    });
    assert_eq!(pod.orders.agent.secret, ["PLACE"]);
}
