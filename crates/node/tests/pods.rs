//! Pods from creation to their end, with and without namespaces.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod town;

use gastown_node::Isolation;
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;
use town::*;

/// Each scenario runs twice: in namespaces, and unconfined.
macro_rules! scenarios {
    ($($(#[$doc:meta])* async fn $name:ident($town:ident: &mut Town) $body:block)*) => {$(
        mod $name {
            use super::*;
            $(#[$doc])*
            async fn scenario($town: &mut Town) $body
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn namespaces() { both(Isolation::Namespaces).await }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn unconfined() { both(Isolation::Unconfined).await }
            async fn both(isolation: Isolation) {
                if available(isolation).await {
                    let mut town = Town::start(isolation).await;
                    scenario(&mut town).await;
                    if let Some(node) = town.node.take() {
                        node.shutdown(std::time::Duration::ZERO).await;
                    }
                }
            }
        }
    )*};
}

scenarios! {
    async fn init_containers_run_in_order_and_share_volumes(town: &mut Town) {
        let mount = json!({ "volumeMounts": [{ "name": "work", "mountPath": "/work" }] });
        let cwd = json!({ "volumeMounts": [{ "name": "work", "mountPath": "/work" }], "workingDir": "/work/sub" });
        town.pod("p", json!({
            "restartPolicy": "Never",
            "volumes": [{ "name": "work", "emptyDir": {} }],
            "initContainers": [
                sh_with("one", "echo 1 > /work/file", mount.clone()),
                sh_with("two", "echo 2 >> /work/file; echo from two", mount.clone()),
            ],
            "containers": [
                sh_with("main", "cat /work/file; echo 'no newline' | tr -d '\\n'", mount),
                sh_with("other", "pwd > /work/pwd; echo err >&2", cwd),
            ],
        })).await;
        let pod = town.until_phase("p", "Succeeded").await;
        assert_eq!(town.log("p", "main").await, "1\n2\nno newline");
        assert_eq!(town.log("p", "two").await, "from two\n");
        assert_eq!(town.log("p", "other").await, "err\n");
        for name in ["one", "two", "main", "other"] {
            let state = ended(&pod, name);
            assert_eq!((state.exit_code, state.reason.as_deref()), (0, Some("Completed")), "{name}");
            assert!(state.started_at.is_some() && state.finished_at.is_some());
        }
        let status = pod.status.unwrap();
        assert_eq!(status.pod_ip.as_deref(), Some("127.0.0.1"));
        assert!(status.start_time.is_some());
        assert_eq!(pod.spec.unwrap().node_name.as_deref(), Some("here"));
        let events: Api<Event> = Api::namespaced(town.client.clone(), "default");
        let told = events.list(&ListParams::default()).await.unwrap().items;
        let pulled: Vec<_> = told.iter().filter(|e| e.reason.as_deref() == Some("ImageNotPulled")).collect();
        assert_eq!(pulled.len(), 1, "one word a pod that nothing is pulled");
    }

    async fn environment_comes_from_everywhere(town: &mut Town) {
        town.create::<ConfigMap>(json!({ "metadata": { "name": "cm" }, "data": { "A": "a", "B": "b" } })).await;
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, "stringData": { "key": "hidden" } });
        let api: Api<kube::core::DynamicObject> = Api::namespaced_with(
            town.client.clone(), "default", &kube::core::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk("", "v1", "Secret")),
        );
        api.create(&Default::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
        town.pod("p", json!({
            "restartPolicy": "Never",
            "volumes": [
                { "name": "sec", "secret": { "secretName": "s", "defaultMode": 256 } },
                { "name": "cm", "configMap": { "name": "cm", "items": [{ "key": "B", "path": "deep/b" }] } },
                { "name": "none", "secret": { "secretName": "absent", "optional": true } },
            ],
            "containers": [{
                "name": "main", "image": "none",
                "command": ["/bin/sh", "-ec"],
                "args": ["echo $(X) $(NOPE) $FROM_A $S $POD $PRE_B; cat /sec/key /cm/deep/b; ls /none"],
                "envFrom": [{ "prefix": "PRE_", "configMapRef": { "name": "cm" } }],
                "env": [
                    { "name": "FROM_A", "valueFrom": { "configMapKeyRef": { "name": "cm", "key": "A" } } },
                    { "name": "X", "value": "x$(FROM_A)" },
                    { "name": "S", "valueFrom": { "secretKeyRef": { "name": "s", "key": "key" } } },
                    { "name": "GONE", "valueFrom": { "secretKeyRef": { "name": "s", "key": "no", "optional": true } } },
                    { "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
                ],
                "volumeMounts": [
                    { "name": "sec", "mountPath": "/sec", "readOnly": true },
                    { "name": "cm", "mountPath": "/cm" },
                    { "name": "none", "mountPath": "/none" },
                ],
            }],
        })).await;
        town.until_phase("p", "Succeeded").await;
        // $(NOPE) reaches the shell, which finds no such command and prints nothing for it.
        let log = town.log("p", "main").await;
        let lines: Vec<&str> = log.lines().filter(|l| !l.contains("NOPE")).collect();
        assert_eq!(lines, ["xa a hidden p b", "hiddenb"]);
    }

    async fn what_is_missing_is_said_and_waited_for(town: &mut Town) {
        town.pod("p", json!({
            "restartPolicy": "Never",
            "volumes": [{ "name": "cm", "configMap": { "name": "later" } }],
            "containers": [sh_with("main", "cat /cm/a", json!({ "volumeMounts": [{ "name": "cm", "mountPath": "/cm" }] }))],
        })).await;
        let pod = town.until("p", |p| waiting(p, "main").as_deref() == Some("CreateContainerConfigError")).await;
        let message = container(&pod, "main").state.clone().unwrap().waiting.unwrap().message.unwrap();
        assert!(message.contains("ConfigMap later not found"), "{message}");
        town.create::<ConfigMap>(json!({ "metadata": { "name": "later" }, "data": { "a": "now" } })).await;
        town.until_phase("p", "Succeeded").await;
        assert_eq!(town.log("p", "main").await, "now");
    }

    async fn a_failure_restarts_in_the_same_volume(town: &mut Town) {
        let script = "if test -e /w/been; then exit 0; fi; echo first; touch /w/been; exit 7";
        town.pod("p", json!({
            "restartPolicy": "OnFailure",
            "volumes": [{ "name": "w", "emptyDir": {} }],
            "containers": [sh_with("main", script, json!({ "volumeMounts": [{ "name": "w", "mountPath": "/w" }] }))],
        })).await;
        let pod = town.until_phase("p", "Succeeded").await;
        let status = container(&pod, "main");
        assert_eq!(status.restart_count, 1);
        let last = status.last_state.clone().unwrap().terminated.unwrap();
        assert_eq!((last.exit_code, last.reason.as_deref()), (7, Some("Error")));
        let query = gastown_node::LogQuery {
            namespace: "default".into(), pod: "p".into(), previous: true, ..Default::default()
        };
        assert_eq!(read(&town.logs(), query).await, "first\n");
    }

    async fn the_end_is_told_with_code_and_message(town: &mut Town) {
        town.pod("p", json!({
            "restartPolicy": "Never",
            "containers": [
                sh("written", "echo noise; printf done > /dev/termination-log; exit 3"),
                sh_with("printed", "echo the reason; exit 4", json!({ "terminationMessagePolicy": "FallbackToLogsOnError" })),
                sh_with("elsewhere", "printf x > /tmp/message", json!({ "terminationMessagePath": "/tmp/message" })),
                sh("killed", "kill -9 $$$$; exit 1"),
                { "name": "absent", "image": "none", "command": ["no-such-program-here"] },
            ],
        })).await;
        let pod = town.until_phase("p", "Failed").await;
        let said = |name: &str| {
            let state = ended(&pod, name);
            (state.exit_code, state.message.clone().unwrap_or_default())
        };
        assert_eq!(said("written"), (3, "done".to_owned()));
        assert_eq!(said("printed"), (4, "the reason\n".to_owned()));
        assert_eq!(said("elsewhere"), (0, "x".to_owned()));
        assert_eq!(ended(&pod, "absent").reason.as_deref(), Some("StartError"));
        assert_eq!(said("absent").0, 128);
        assert!(said("absent").1.contains("no-such-program-here"));
        if town.isolation == Isolation::Unconfined {
            // In a namespace the shell is PID 1, which not even itself can kill.
            assert_eq!(said("killed").0, 137);
        }
    }

    async fn deletion_asks_waits_and_keeps_the_logs(town: &mut Town) {
        let polite = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done";
        let pod = town.pod("p", json!({
            "terminationGracePeriodSeconds": 20,
            "volumes": [{ "name": "w", "emptyDir": {} }],
            "containers": [sh_with("main", polite, json!({ "volumeMounts": [{ "name": "w", "mountPath": "/w" }] }))],
        })).await;
        town.until_phase("p", "Running").await;
        let uid = pod.metadata.uid.unwrap();
        let log = town.data().join(format!("logs/default_p_{uid}/main/0.log"));
        until_file(&log, |text| text.contains("up")).await;
        assert!(town.data().join("pods").join(&uid).exists());
        town.delete("p").await;
        town.until_gone("p").await;
        assert!(!town.data().join("pods").join(&uid).exists(), "volumes go");
        assert_eq!(town.log("p", "main").await, "up\nbye\n");
    }

    async fn who_does_not_listen_is_killed_with_all_children(town: &mut Town) {
        let mut pipe = town.pipe();
        let deaf = "trap '' TERM; exec 3>/w/pipe; (trap '' TERM; sleep 1000) & setsid sleep 1000 & echo up >&3; sleep 1000";
        town.pod("p", json!({
            "terminationGracePeriodSeconds": 1,
            "volumes": [{ "name": "w", "hostPath": { "path": town.shared() } }],
            "containers": [sh_with("main", deaf, json!({ "volumeMounts": [{ "name": "w", "mountPath": "/w" }] }))],
        })).await;
        pipe.until_up().await;
        town.delete("p").await;
        town.until_gone("p").await;
        // Ends only when no process has it open any more.
        pipe.until_closed().await;
    }

    async fn readiness_follows_the_probe(town: &mut Town) {
        let probe = json!({
            "volumeMounts": [{ "name": "w", "mountPath": "/w" }],
            "readinessProbe": { "exec": { "command": ["test", "-e", "/w/ready"] }, "periodSeconds": 1, "failureThreshold": 1 },
        });
        let pod = town.pod("p", json!({
            "volumes": [{ "name": "w", "emptyDir": {} }],
            "containers": [sh_with("main", "sleep 1000", probe)],
        })).await;
        let pod = town.until("p", |p| phase_of(p) == "Running" && p.metadata.uid == pod.metadata.uid).await;
        assert!(!is_ready(&pod));
        let file = town.data().join("pods").join(pod.metadata.uid.unwrap()).join("volumes/w/ready");
        std::fs::write(&file, "").unwrap();
        town.until("p", is_ready).await;
        std::fs::remove_file(&file).unwrap();
        town.until("p", |p| !is_ready(p)).await;
    }

    async fn a_dead_container_is_restarted(town: &mut Town) {
        let probe = json!({
            "livenessProbe": { "exec": { "command": ["test", "!", "-e", "/w/dead"] }, "periodSeconds": 1, "failureThreshold": 1 },
            "volumeMounts": [{ "name": "w", "mountPath": "/w" }],
        });
        let script = "trap 'rm /w/dead; exit 1' TERM; touch /w/dead; while :; do sleep 0.1; done";
        town.pod("p", json!({
            "volumes": [{ "name": "w", "emptyDir": {} }],
            "containers": [sh_with("main", script, probe)],
        })).await;
        town.until("p", |p| p.status.as_ref().and_then(|s| s.container_statuses.as_ref())
            .is_some_and(|c| c[0].restart_count > 0)).await;
    }

    async fn annotations_reach_a_running_container(town: &mut Town) {
        let script = "until grep -q two /info/say; do sleep 0.05; done; cat /info/say /info/all";
        town.pod("p", json!({
            "restartPolicy": "Never",
            "volumes": [{ "name": "info", "downwardAPI": { "items": [
                { "path": "say", "fieldRef": { "fieldPath": "metadata.annotations['say']" } },
                { "path": "all", "fieldRef": { "fieldPath": "metadata.annotations" } },
            ] } }],
            "containers": [sh_with("main", script, json!({ "volumeMounts": [{ "name": "info", "mountPath": "/info" }] }))],
        })).await;
        town.until_phase("p", "Running").await;
        let patch = json!({ "metadata": { "annotations": { "say": "two" } } });
        town.pods().patch("p", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        town.until_phase("p", "Succeeded").await;
        assert_eq!(town.log("p", "main").await, "twosay=\"two\"");
    }

    async fn a_deadline_ends_the_pod(town: &mut Town) {
        town.pod("p", json!({
            "activeDeadlineSeconds": 1, "terminationGracePeriodSeconds": 0,
            "containers": [sh("main", "sleep 1000")],
        })).await;
        let pod = town.until_phase("p", "Failed").await;
        assert_eq!(pod.status.as_ref().unwrap().reason.as_deref(), Some("DeadlineExceeded"));
        assert_eq!(ended(&pod, "main").exit_code, 137);
    }

    async fn a_lost_pod_reports_nothing(town: &mut Town) {
        let mut pipe = town.pipe();
        // Whoever is lost has no time for a last word.
        let script = "trap 'echo said > /w/word' TERM; exec 3>/w/pipe; echo up >&3; while :; do sleep 0.1; done";
        let pod = town.pod("p", json!({
            "volumes": [{ "name": "w", "hostPath": { "path": town.shared() } }, { "name": "e", "emptyDir": {} }],
            "containers": [sh_with("main", script, json!({ "volumeMounts": [{ "name": "w", "mountPath": "/w" }] }))],
        })).await;
        town.until_phase("p", "Running").await;
        pipe.until_up().await;
        town.node.as_ref().unwrap().lose("default", "p").await.unwrap();
        pipe.until_closed().await;
        assert!(!town.shared().join("word").exists());
        assert!(town.pods().get_opt("p").await.unwrap().is_none());
        assert!(!town.data().join("pods").join(pod.metadata.uid.unwrap()).exists());
        let unknown = town.node.as_ref().unwrap().lose("default", "p").await;
        assert!(unknown.is_err());
    }

    async fn a_restart_of_the_node_is_a_reboot(town: &mut Town) {
        let mount = json!({ "volumeMounts": [{ "name": "w", "mountPath": "/w" }] });
        let pod = town.pod("p", json!({
            "restartPolicy": "OnFailure",
            "volumes": [{ "name": "w", "emptyDir": {} }],
            "initContainers": [sh_with("init", "echo init >> /w/log", mount.clone())],
            "containers": [
                sh_with("done", "echo done >> /w/log", mount.clone()),
                sh_with("main", "echo main >> /w/log; sleep 1000", mount),
            ],
        })).await;
        town.pod("never", json!({ "restartPolicy": "Never", "containers": [sh("main", "sleep 1000")] })).await;
        town.until_phase("never", "Running").await;
        town.until("p", |p| phase_of(p) == "Running" && container(p, "done").state.as_ref().is_some_and(|s| s.terminated.is_some())).await;
        let log = town.data().join("pods").join(pod.metadata.uid.unwrap()).join("volumes/w/log");
        until_file(&log, |text| text.contains("main")).await;
        town.node.take().unwrap().shutdown(std::time::Duration::ZERO).await;
        town.boot().await;
        let pod = town.until("p", |p| container(p, "main").restart_count == 1
            && container(p, "main").state.as_ref().is_some_and(|s| s.running.is_some())).await;
        let last = container(&pod, "main").last_state.clone().unwrap().terminated.unwrap();
        assert_eq!((last.exit_code, last.reason.as_deref()), (137, Some("ContainerStatusUnknown")));
        assert_eq!(container(&pod, "init").restart_count, 1);
        assert_eq!(container(&pod, "done").restart_count, 0, "what was finished stays finished");
        until_file(&log, |text| text.matches("main").count() == 2).await;
        let text = std::fs::read_to_string(&log).unwrap();
        assert_eq!((text.matches("init").count(), text.matches("done").count()), (2, 1));
        let never = town.until_phase("never", "Failed").await;
        assert_eq!(ended(&never, "main").exit_code, 137);
    }

    async fn a_quiet_pod_writes_nothing(town: &mut Town) {
        let probe = json!({
            "readinessProbe": { "exec": { "command": ["/bin/sh", "-c", "echo probed >> /w/probes"] }, "periodSeconds": 1 },
            "volumeMounts": [{ "name": "w", "mountPath": "/w" }],
        });
        town.pod("p", json!({
            "volumes": [{ "name": "w", "hostPath": { "path": town.shared() } }],
            "containers": [sh_with("main", "sleep 1000", probe)],
        })).await;
        let ready = town.until("p", is_ready).await;
        until_file(&town.shared().join("probes"), |text| text.lines().count() >= 3).await;
        let later = town.pods().get("p").await.unwrap();
        assert_eq!(later.metadata.resource_version, ready.metadata.resource_version);
    }

    async fn a_host_path_is_allowed_only_where_it_was_named(town: &mut Town) {
        std::fs::write(town.secret().join("x"), "secret").unwrap();
        std::os::unix::fs::symlink(town.secret(), town.shared().join("link")).unwrap();
        for (name, path) in [("direct", town.secret()), ("linked", town.shared().join("link"))] {
            town.pod(name, json!({
                "restartPolicy": "Never",
                "volumes": [{ "name": "h", "hostPath": { "path": path } }],
                "containers": [sh_with("main", "cat /h/x", json!({ "volumeMounts": [{ "name": "h", "mountPath": "/h" }] }))],
            })).await;
            let pod = town.until(name, |p| waiting(p, "main").as_deref() == Some("CreateContainerConfigError")).await;
            let message = container(&pod, "main").state.clone().unwrap().waiting.unwrap().message.unwrap();
            assert!(message.contains("not among those this node allows"), "{message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_sees_only_what_it_was_given() {
    if !available(Isolation::Namespaces).await {
        return;
    }
    let town = Town::start(Isolation::Namespaces).await;
    std::fs::write(town.secret().join("x"), "secret").unwrap();
    let secret = town.secret();
    let script = format!(
        "test ! -e {secret}; test ! -e {data}; test ! -e /etc/shadow; test ! -e \"$HIDDEN\"
         test ! -e /work; test ! -w /proc/sys/kernel/core_pattern; test -r /etc/passwd; id -u; id -un; test -w /tmp; echo $$$$; ls /proc | grep -c '^[0-9]'
         touch /ro/x 2>/dev/null && exit 9; touch /usr/bin/x 2>/dev/null && exit 8
         git init -q /w/repo && git -C /w/repo status --short && hostname",
        secret = secret.display(),
        data = town.data().display(),
    );
    town.pod(
        "p",
        json!({
            "restartPolicy": "Never",
            "securityContext": { "runAsUser": 65532, "fsGroup": 65532 },
            "volumes": [{ "name": "w", "emptyDir": {} }],
            "containers": [sh_with("main", &script, json!({ "volumeMounts": [
                { "name": "w", "mountPath": "/w" },
                { "name": "w", "mountPath": "/ro", "readOnly": true },
                { "name": "w", "mountPath": "/usr/share/not-there-before", "subPath": "s" },
            ], "env": [{ "name": "HIDDEN", "value": std::env::current_dir().unwrap() }] }))],
        }),
    )
    .await;
    let pod = town
        .until("p", |p| ["Succeeded", "Failed"].contains(&phase_of(p)))
        .await;
    let log = town.log("p", "main").await;
    assert_eq!(ended(&pod, "main").exit_code, 0, "{log}{pod:#?}");
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[..3], ["65532", "user", "1"], "{log}");
    assert!(
        lines[3].parse::<u32>().unwrap() < 6,
        "it sees its own processes only: {log}"
    );
    assert_eq!(lines[4], "p", "{log}");
    assert!(!std::path::Path::new("/usr/share/not-there-before").exists());
}
