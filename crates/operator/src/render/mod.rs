//! Blueprints to API objects. Adds no opinion: what a pod may hold is decided, how it is spelled is here.

mod notify;
mod parts;
mod polecat;
mod queue;
mod trust;

use gastown_rules::{Blueprint, Kind};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::DynamicObject;
use serde_json::{Value, json};

pub use parts::PodUser;

/// The object a blueprint stands for.
pub(crate) fn object(blueprint: &Blueprint, user: PodUser) -> Result<DynamicObject, serde_json::Error> {
    let value = match blueprint {
        Blueprint::PolecatPod(_)
        | Blueprint::TestPod(_)
        | Blueprint::LandPod(_)
        | Blueprint::BeadsPod(_)
        | Blueprint::NotifyPod(_) => pod_manifest(blueprint, user)?,
        Blueprint::Witness { key, owner, spec } => json!({
            "apiVersion": api_version(), "kind": "Witness",
            "metadata": child(&key.namespace, &key.name, &owner.0, &owner.1.0)?, "spec": spec,
        }),
        Blueprint::Refinery { key, owner, spec } => json!({
            "apiVersion": api_version(), "kind": "Refinery",
            "metadata": child(&key.namespace, &key.name, &owner.0, &owner.1.0)?, "spec": spec,
        }),
        Blueprint::Polecat(p) => json!({
            "apiVersion": api_version(), "kind": "Polecat",
            "metadata": ObjectMeta {
                name: Some(p.key.name.clone()),
                namespace: Some(p.key.namespace.clone()),
                labels: Some(p.labels.clone()),
                ..ObjectMeta::default()
            },
            "spec": p.spec,
        }),
        Blueprint::Texts(t) => {
            let mut map = serde_json::to_value(ConfigMap {
                metadata: ObjectMeta {
                    name: Some(t.key.name.clone()),
                    namespace: Some(t.key.namespace.clone()),
                    labels: Some(parts::managed_by()),
                    owner_references: Some(vec![owner_reference(Kind::Polecat, &t.owner.0, &t.owner.1.0)]),
                    ..ObjectMeta::default()
                },
                data: Some(t.texts.clone()),
                immutable: Some(true),
                ..ConfigMap::default()
            })?;
            typed(&mut map, "v1", "ConfigMap");
            map
        }
    };
    serde_json::from_value(value)
}

/// The pod a blueprint stands for.
///
/// # Errors
/// When the orders cannot be written as JSON, or the blueprint is not a pod's.
pub fn pod_manifest(blueprint: &Blueprint, user: PodUser) -> Result<Value, serde_json::Error> {
    let pod: Pod = match blueprint {
        Blueprint::PolecatPod(p) => polecat::pod(p, user)?,
        Blueprint::TestPod(p) => queue::test_pod(p, user)?,
        Blueprint::LandPod(p) => queue::land_pod(p, user)?,
        Blueprint::BeadsPod(p) => queue::beads_pod(p, user)?,
        Blueprint::NotifyPod(p) => notify::pod(p, user)?,
        _ => return Err(serde::de::Error::custom("not a pod")),
    };
    let mut value = serde_json::to_value(pod)?;
    typed(&mut value, "v1", "Pod");
    Ok(value)
}

fn typed(value: &mut Value, api_version: &str, kind: &str) {
    if let Value::Object(map) = value {
        map.insert("apiVersion".into(), api_version.into());
        map.insert("kind".into(), kind.into());
    }
}

fn api_version() -> String {
    format!("{}/{}", gastown_api::GROUP, gastown_api::VERSION)
}

fn child(namespace: &str, name: &str, rig: &str, uid: &str) -> Result<Value, serde_json::Error> {
    let mut labels = parts::managed_by();
    if gastown_api::labels::legal_label_value(rig) {
        labels.insert(gastown_api::labels::RIG_OWNER.into(), rig.to_owned());
    }
    serde_json::to_value(ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some(labels),
        owner_references: Some(vec![owner_reference(Kind::Rig, rig, uid)]),
        ..ObjectMeta::default()
    })
}

/// A controlling owner: the garbage collector cleans up with the operator gone.
pub(crate) fn owner_reference(kind: Kind, name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: api_version(),
        kind: format!("{kind:?}"),
        name: name.to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gastown_rules::{BeadsPod, Credentials, Key, LandPod, NotifyPod, PodCommon, PolecatPod, TestPod, Uid};
    use gastown_wire as wire;

    fn common(name: &str, owner: Kind) -> PodCommon {
        PodCommon {
            key: Key::new(Kind::Pod, "town", name),
            owner: (owner, "owner".into(), Uid("owner-uid".into())),
            labels: [("gastown.io/role".to_owned(), "x".to_owned())].into(),
            annotations: [("gastown.io/rig".to_owned(), "parts".to_owned())].into(),
            harness_image: "harness:1".into(),
            credentials: Credentials {
                git: Some("git-secret".into()),
                known_hosts: Some("hosts".into()),
                claude: None,
                api_key: None,
            },
            deadline: Some(3600),
            template: None,
            local_remote: None,
            local_content: None,
        }
    }

    fn paths() -> wire::Paths {
        wire::Paths {
            workspace: "/workspace/repo".into(),
            home: "/gastown/home".into(),
            shared: "/gastown/shared".into(),
            courier: "/gastown/courier".into(),
            pod_info: "/gastown/pod".into(),
            settings: String::new(),
        }
    }

    fn remote() -> wire::RemoteOrders {
        wire::RemoteOrders {
            url: "https://example.com/parts.git".into(),
            branch: "main".into(),
            secret_dir: Some("/gastown/git".into()),
            known_hosts: Some("/gastown/known-hosts/known_hosts".into()),
        }
    }

    fn polecat_pod() -> PolecatPod {
        let mut common = common("polecat-nux", Kind::Polecat);
        common.credentials.claude = Some("claude-creds".into());
        common.credentials.api_key = Some(("keys".into(), "anthropic".into(), "ANTHROPIC_API_KEY".into()));
        PolecatPod {
            common,
            orders: wire::PolecatOrders {
                version: 1,
                remote: remote(),
                paths: wire::Paths {
                    settings: "/gastown/claude".into(),
                    ..paths()
                },
                ..wire::PolecatOrders::default()
            },
            container: "claude".into(),
            image: "agent:1".into(),
            env: Vec::new(),
            config_map: Some("config".into()),
            resources: None,
            texts: Some("texts".into()),
            probe_seconds: 10,
        }
    }

    fn test_pod() -> TestPod {
        TestPod {
            common: common("test-parts-1-2-1", Kind::Refinery),
            orders: wire::TestOrders {
                version: 1,
                remote: remote(),
                paths: paths(),
                ..wire::TestOrders::default()
            },
            image: "agent:1".into(),
            command: "make test".into(),
            resources: None,
        }
    }

    fn land_pod() -> LandPod {
        LandPod {
            common: common("land-parts-1-1", Kind::Refinery),
            orders: wire::LandOrders {
                version: 1,
                remote: remote(),
                paths: paths(),
                ..wire::LandOrders::default()
            },
        }
    }

    fn containers(pod: &Value) -> Vec<&Value> {
        let list = |name: &str| pod["spec"][name].as_array().into_iter().flatten();
        list("initContainers").chain(list("containers")).collect()
    }

    #[test]
    fn the_pods_are_spelled_like_this() {
        let beads = BeadsPod {
            common: common("beads-parts-0a1b2c3d", Kind::BeadStore),
            orders: wire::BeadsOrders {
                version: 1,
                remote: remote(),
                paths: paths(),
                ..wire::BeadsOrders::default()
            },
        };
        insta::assert_json_snapshot!(
            "polecat",
            pod_manifest(&Blueprint::PolecatPod(polecat_pod()), PodUser::default()).unwrap()
        );
        insta::assert_json_snapshot!(
            "test",
            pod_manifest(&Blueprint::TestPod(test_pod()), PodUser::default()).unwrap()
        );
        insta::assert_json_snapshot!(
            "land",
            pod_manifest(&Blueprint::LandPod(land_pod()), PodUser::default()).unwrap()
        );
        insta::assert_json_snapshot!(
            "beads",
            pod_manifest(&Blueprint::BeadsPod(beads), PodUser::default()).unwrap()
        );
        let mut common = common("notify-cv-1", Kind::Convoy);
        common.credentials = Credentials::default();
        let notify = NotifyPod {
            common,
            orders: wire::NotifyOrders {
                version: 1,
                id: "town.cv.1".into(),
                channel: wire::Channel::Slack,
                secret_dir: "/gastown/notify".into(),
                text: "Convoy cv is complete".into(),
                ..wire::NotifyOrders::default()
            },
            secret: Some("gastown-notify".into()),
        };
        insta::assert_json_snapshot!(
            "notify",
            pod_manifest(&Blueprint::NotifyPod(notify), PodUser::default()).unwrap()
        );
    }

    /// Invariant 9: who runs agent code mounts no git credential, and who holds one runs no agent code.
    #[test]
    fn the_agent_sees_no_git_credential_and_courier_no_model_credential() {
        let mut blueprint = polecat_pod();
        blueprint.common.local_remote = Some("/srv/parts.git".into());
        let pod = pod_manifest(&Blueprint::PolecatPod(blueprint), PodUser::default()).unwrap();
        for container in containers(&pod) {
            let name = container["name"].as_str().unwrap();
            let mounts: Vec<&str> = container["volumeMounts"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|m| m["name"].as_str())
                .collect();
            let env: Vec<&str> = container["env"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|e| e["name"].as_str())
                .collect();
            let speaks_git = mounts.contains(&"git") || mounts.contains(&"remote") || mounts.contains(&"courier");
            let knows_model = mounts.contains(&"claude") || env.contains(&"ANTHROPIC_API_KEY");
            assert_eq!(speaks_git, name != "claude", "{name} mounts {mounts:?}");
            assert_eq!(
                knows_model,
                name == "claude",
                "{name} mounts {mounts:?} and has {env:?}"
            );
        }
        assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    }

    #[test]
    fn a_user_that_no_image_knows_has_a_name_where_git_is_spoken() {
        let mut blueprint = polecat_pod();
        let entry = "gastown:x:1000660000:0::/gastown/home:/sbin/nologin\n";
        blueprint
            .common
            .annotations
            .insert(gastown_api::labels::PASSWD.into(), entry.into());
        let pod = pod_manifest(&Blueprint::PolecatPod(blueprint), PodUser::default()).unwrap();
        for container in containers(&pod) {
            let mounts = container["volumeMounts"].as_array().unwrap();
            let named = mounts
                .iter()
                .any(|m| m["mountPath"] == "/etc/passwd" && m["subPath"] == "passwd" && m["readOnly"] == true);
            assert_eq!(named, container["name"] != "claude", "{}", container["name"]);
        }
    }

    #[test]
    fn every_container_is_locked_down() {
        let pod = pod_manifest(&Blueprint::PolecatPod(polecat_pod()), PodUser::default()).unwrap();
        for container in containers(&pod) {
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false);
            assert_eq!(security["runAsNonRoot"], true);
            assert_eq!(security["readOnlyRootFilesystem"], true);
            assert_eq!(security["capabilities"]["drop"][0], "ALL");
        }
        for volume in pod["spec"]["volumes"].as_array().unwrap() {
            if let Some(empty) = volume.get("emptyDir") {
                assert!(empty.get("sizeLimit").is_some(), "{volume} is bounded");
            }
        }
    }

    /// What OpenShift's restricted-v2 admits: the range's own user and group, because none is named.
    #[test]
    fn where_the_cluster_names_users_we_name_none() {
        let mut blueprint = polecat_pod();
        let pod = pod_manifest(&Blueprint::PolecatPod(blueprint.clone()), PodUser::Unnamed).unwrap();
        let security = pod["spec"]["securityContext"].as_object().unwrap();
        let named: Vec<&String> = security.keys().collect();
        assert_eq!(named, ["fsGroupChangePolicy", "runAsNonRoot", "seccompProfile"]);
        for container in containers(&pod) {
            let security = container["securityContext"].as_object().unwrap();
            assert!(!security.contains_key("runAsUser") && !security.contains_key("runAsGroup"));
            assert_eq!(security["runAsNonRoot"], true);
        }
        blueprint.common.template = Some(gastown_api::PodTemplate {
            run_as_user: Some(1000),
            ..gastown_api::PodTemplate::default()
        });
        let pod = pod_manifest(&Blueprint::PolecatPod(blueprint), PodUser::Unnamed).unwrap();
        assert_eq!(pod["spec"]["securityContext"]["runAsUser"], 1000, "a rig may name one");
    }

    #[test]
    fn the_rigs_template_is_laid_over_and_the_containers_own_words_win() {
        let mut blueprint = polecat_pod();
        blueprint.env = vec![parts::env("HTTPS_PROXY", "mine")];
        blueprint.common.template = Some(gastown_api::PodTemplate {
            env: Some(vec![parts::env("HTTPS_PROXY", "rig"), parts::env("NO_PROXY", "local")]),
            run_as_user: Some(1000),
            priority_class_name: Some("low".into()),
            labels: Some(
                [
                    ("team".to_owned(), "x".to_owned()),
                    ("gastown.io/role".to_owned(), "forged".to_owned()),
                ]
                .into(),
            ),
            ..gastown_api::PodTemplate::default()
        });
        let pod = pod_manifest(&Blueprint::PolecatPod(blueprint), PodUser::default()).unwrap();
        assert_eq!(pod["metadata"]["labels"]["team"], "x");
        assert_eq!(
            pod["metadata"]["labels"]["gastown.io/role"], "x",
            "ours are not overridden"
        );
        assert_eq!(pod["spec"]["securityContext"]["fsGroup"], 1000);
        assert_eq!(pod["spec"]["priorityClassName"], "low");
        let agent = containers(&pod).into_iter().find(|c| c["name"] == "claude").unwrap();
        let value = |name: &str| {
            let all = agent["env"].as_array().unwrap();
            let found: Vec<_> = all.iter().filter(|e| e["name"] == name).collect();
            assert_eq!(found.len(), 1, "{name}");
            found[0]["value"].clone()
        };
        assert_eq!(
            (value("HTTPS_PROXY"), value("NO_PROXY")),
            ("mine".into(), "local".into())
        );
    }

    /// A container's variables and mounts, and a pod's volumes, that have to do with whom it trusts.
    fn trust(blueprint: &Blueprint) -> Value {
        let pod = pod_manifest(blueprint, PodUser::default()).unwrap();
        let of = |list: &Value, words: &[&str]| -> Vec<Value> {
            let all = list.as_array().into_iter().flatten();
            let about = |item: &&Value| words.iter().any(|w| item["name"].as_str().unwrap().contains(w));
            all.filter(about).cloned().collect()
        };
        let volumes = ["ca-bundle", "authorities"];
        let containers: serde_json::Map<String, Value> = containers(&pod)
            .into_iter()
            .map(|c| {
                let env = of(&c["env"], &["CERT", "SSL", "CA_BUNDLE", "AUTHORITIES"]);
                let mounts = of(&c["volumeMounts"], &volumes);
                let told = json!({ "env": env, "mounts": mounts });
                (c["name"].as_str().unwrap().to_owned(), told)
            })
            .collect();
        json!({ "containers": containers, "volumes": of(&pod["spec"]["volumes"], &volumes) })
    }

    /// Neither a private forge nor a public registry is lost: the harness adds up by itself, for others its first step does.
    #[test]
    fn a_rigs_own_authorities_come_on_top() {
        let template = gastown_api::PodTemplate {
            ca_bundle_config_map_ref: Some(k8s_openapi::api::core::v1::LocalObjectReference { name: "citadel".into() }),
            ..gastown_api::PodTemplate::default()
        };
        let (mut polecat, mut test, mut land) = (polecat_pod(), test_pod(), land_pod());
        for common in [&mut polecat.common, &mut test.common, &mut land.common] {
            common.template = Some(template.clone());
        }
        insta::assert_json_snapshot!(
            "trust",
            json!({
                "polecat": trust(&Blueprint::PolecatPod(polecat.clone())),
                "test": trust(&Blueprint::TestPod(test)),
                "land": trust(&Blueprint::LandPod(land)),
            })
        );
        let nothing = trust(&Blueprint::PolecatPod(polecat_pod()));
        assert_eq!(nothing["volumes"], json!([]), "{nothing}");
        // Who says outright whom to trust is believed.
        polecat.env = vec![parts::env("SSL_CERT_FILE", "/mine")];
        let told = trust(&Blueprint::PolecatPod(polecat));
        let agent = told["containers"]["claude"]["env"].as_array().unwrap();
        let files: Vec<_> = agent.iter().filter(|e| e["name"] == "SSL_CERT_FILE").collect();
        assert_eq!(files, [&json!({ "name": "SSL_CERT_FILE", "value": "/mine" })]);
    }

    /// What courier may wait for a remote that is away is bounded by what ends its pod.
    #[test]
    fn courier_knows_its_pods_deadline() {
        let pod = pod_manifest(&Blueprint::PolecatPod(polecat_pod()), PodUser::default()).unwrap();
        for container in containers(&pod) {
            let mut env = container["env"].as_array().unwrap().iter();
            let orders = env.find(|e| e["name"] == wire::ORDERS_ENV).unwrap();
            let orders: wire::Orders = serde_json::from_str(orders["value"].as_str().unwrap()).unwrap();
            let wire::Orders::Polecat(orders) = orders else {
                panic!()
            };
            assert_eq!(orders.pace.deadline_s, pod["spec"]["activeDeadlineSeconds"].as_u64());
        }
    }
}
