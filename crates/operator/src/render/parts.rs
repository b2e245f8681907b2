//! What every pod of ours is made of.

use super::trust;
use gastown_api::{PodTemplate, labels};
use gastown_rules::PodCommon;
use gastown_wire as wire;
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, DownwardAPIVolumeFile, DownwardAPIVolumeSource,
    EmptyDirVolumeSource, EnvVar, EnvVarSource, HostPathVolumeSource, ObjectFieldSelector,
    PersistentVolumeClaimVolumeSource, Pod, PodSecurityContext, PodSpec, ResourceRequirements, SeccompProfile,
    SecretVolumeSource, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;

/// The user and group of every container, where the rig names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodUser {
    /// This one.
    Id(i64),
    /// Whom the cluster names: OpenShift gives each namespace a range of its own and admits no other.
    Unnamed,
}

impl Default for PodUser {
    fn default() -> Self {
        Self::Id(65532)
    }
}

impl std::str::FromStr for PodUser {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(id) if id > 0 => Ok(Self::Id(id)),
            _ if text == "none" => Ok(Self::Unnamed),
            _ => Err("write a user ID above 0, or none where the cluster names one (OpenShift)".into()),
        }
    }
}

/// The program of the containers that speak git, as the harness image has it.
const HARNESS: &str = "gastown-harness";
/// Bounds of the emptyDirs: agent code fills its own volume, never the node's disk.
pub(super) const WORK_SIZE: &str = "10Gi";
const SMALL_SIZE: &str = "256Mi";

pub(super) fn managed_by() -> BTreeMap<String, String> {
    BTreeMap::from([(labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_VALUE.to_owned())])
}

/// A variable with a plain value.
pub(super) fn env(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value.into()),
        ..EnvVar::default()
    }
}

/// A word of a command as it stands: a kubelet would expand `$(NAME)` and halve `$$`.
pub(super) fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

/// What every container that reads orders is given.
pub(super) fn orders_env(orders: &wire::Orders, home: &str) -> Result<Vec<EnvVar>, serde_json::Error> {
    let uid = EnvVarSource {
        field_ref: Some(ObjectFieldSelector {
            field_path: "metadata.uid".into(),
            ..ObjectFieldSelector::default()
        }),
        ..EnvVarSource::default()
    };
    Ok(vec![
        env(wire::ORDERS_ENV, orders.to_env()?),
        EnvVar {
            name: wire::POD_UID_ENV.into(),
            value_from: Some(uid),
            ..EnvVar::default()
        },
        // Said, not assumed: a node without mount namespaces rewrites paths where it finds them.
        env(wire::TERMINATION_ENV, wire::TERMINATION_PATH),
        env("HOME", home),
    ])
}

pub(super) fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        ..VolumeMount::default()
    }
}

pub(super) fn read_only(name: &str, path: &str) -> VolumeMount {
    VolumeMount {
        read_only: Some(true),
        ..mount(name, path)
    }
}

pub(super) fn empty_dir(name: &str, size: &str) -> Volume {
    Volume {
        name: name.into(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity(size.into())),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    }
}

pub(super) fn small_dir(name: &str) -> Volume {
    empty_dir(name, SMALL_SIZE)
}

/// Optional: a missing Secret is found out in the pod, so that the operator needs no right to read it.
/// The mode lets the pod's own group read it and nobody else.
pub(super) fn secret(name: &str, secret: &str) -> Volume {
    Volume {
        name: name.into(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.into()),
            optional: Some(true),
            default_mode: Some(0o440),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

pub(super) fn config_map(name: &str, map: &str) -> Volume {
    Volume {
        name: name.into(),
        config_map: Some(ConfigMapVolumeSource {
            name: map.into(),
            optional: Some(true),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// Like [`config_map`], but what is in it may be run: agents bring their programs this way.
pub(super) fn programs(name: &str, map: &str) -> Volume {
    let mut volume = config_map(name, map);
    if let Some(source) = volume.config_map.as_mut() {
        source.default_mode = Some(0o555);
    }
    volume
}

/// The pod's annotations as a file: how a nudge gets in.
pub(super) fn pod_info(name: &str) -> Volume {
    let file = DownwardAPIVolumeFile {
        path: wire::ANNOTATIONS_FILE.into(),
        field_ref: Some(ObjectFieldSelector {
            field_path: "metadata.annotations".into(),
            ..ObjectFieldSelector::default()
        }),
        ..DownwardAPIVolumeFile::default()
    };
    Volume {
        name: name.into(),
        downward_api: Some(DownwardAPIVolumeSource {
            items: Some(vec![file]),
            ..DownwardAPIVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// Mounts by which a container may talk to the remote; paths as the orders name them.
pub(super) fn remote_mounts(common: &PodCommon, remote: &wire::RemoteOrders) -> Vec<VolumeMount> {
    let mut mounts = Vec::new();
    if let (Some(_), Some(dir)) = (&common.credentials.git, &remote.secret_dir) {
        mounts.push(read_only("git", dir));
    }
    if let (Some(_), Some(file)) = (&common.credentials.known_hosts, &remote.known_hosts) {
        let dir = file.rsplit_once('/').map_or("/gastown/known-hosts", |(dir, _)| dir);
        mounts.push(read_only("known-hosts", dir));
    }
    if let Some(path) = &common.local_remote {
        mounts.push(mount("remote", path));
    }
    if let Some(path) = &common.local_content {
        mounts.push(mount("content", path));
    }
    mounts
}

/// The volumes behind [`remote_mounts`].
pub(super) fn remote_volumes(common: &PodCommon) -> Vec<Volume> {
    let mut volumes = Vec::new();
    if let Some(name) = &common.credentials.git {
        volumes.push(secret("git", name));
    }
    if let Some(name) = &common.credentials.known_hosts {
        volumes.push(config_map("known-hosts", name));
    }
    for (name, path) in [("remote", &common.local_remote), ("content", &common.local_content)] {
        volumes.extend(path.as_ref().map(|path| Volume {
            name: name.into(),
            host_path: Some(HostPathVolumeSource {
                path: path.clone(),
                type_: Some("Directory".into()),
            }),
            ..Volume::default()
        }));
    }
    volumes
}

/// A container that runs a step of the harness.
pub(super) fn harness(name: &str, step: &str, image: &str, env: Vec<EnvVar>, mounts: Vec<VolumeMount>) -> Container {
    Container {
        name: name.into(),
        image: Some(image.into()),
        command: Some(vec![HARNESS.into(), step.into()]),
        env: Some(env),
        volume_mounts: Some(mounts),
        resources: Some(resources(&[("cpu", "50m"), ("memory", "64Mi")], &[("memory", "1Gi")])),
        security_context: Some(locked(true)),
        ..Container::default()
    }
}

pub(super) fn resources(requests: &[(&str, &str)], limits: &[(&str, &str)]) -> ResourceRequirements {
    let map = |list: &[(&str, &str)]| {
        Some(
            list.iter()
                .map(|(k, v)| ((*k).to_owned(), Quantity((*v).to_owned())))
                .collect::<BTreeMap<_, _>>(),
        )
    };
    ResourceRequirements {
        requests: map(requests),
        limits: map(limits),
        ..ResourceRequirements::default()
    }
}

/// No privilege, no capability; the root filesystem read-only where asked.
pub(super) fn locked(read_only_root: bool) -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(read_only_root),
        run_as_non_root: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".into()]),
            add: None,
        }),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".into(),
            localhost_profile: None,
        }),
        ..SecurityContext::default()
    }
}

/// The pod around its containers, with the rig's template laid over.
pub(super) fn pod(common: &PodCommon, user: PodUser, spec: PodSpec) -> Pod {
    let template = common.template.clone().unwrap_or_default();
    let user = template.run_as_user.or(match user {
        PodUser::Id(id) => Some(id),
        PodUser::Unnamed => None,
    });
    let mut spec = PodSpec {
        active_deadline_seconds: common.deadline,
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: user,
            run_as_group: user,
            fs_group: user,
            fs_group_change_policy: Some("OnRootMismatch".into()),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        ..spec
    };
    if common.annotations.contains_key(labels::PASSWD) {
        name_user(&mut spec);
    }
    overlay(&mut spec, &template);
    let mut labels = template.labels.unwrap_or_default();
    labels.extend(common.labels.clone());
    let mut annotations = template.annotations.unwrap_or_default();
    annotations.extend(common.annotations.clone());
    let (kind, name, uid) = &common.owner;
    Pod {
        metadata: ObjectMeta {
            name: Some(common.key.name.clone()),
            namespace: Some(common.key.namespace.clone()),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: Some(vec![super::owner_reference(*kind, name, &uid.0)]),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    }
}

/// Gives the user a name in the containers that speak git, also on a read-only root: a file of an annotation's text lies
/// over theirs. The agent's and the test's image keep the users they have.
fn name_user(spec: &mut PodSpec) {
    const NAME: &str = "passwd";
    let file = DownwardAPIVolumeFile {
        path: NAME.into(),
        field_ref: Some(ObjectFieldSelector {
            field_path: format!("metadata.annotations['{}']", labels::PASSWD),
            ..ObjectFieldSelector::default()
        }),
        ..DownwardAPIVolumeFile::default()
    };
    spec.volumes.get_or_insert_default().push(Volume {
        name: NAME.into(),
        downward_api: Some(DownwardAPIVolumeSource {
            items: Some(vec![file]),
            ..DownwardAPIVolumeSource::default()
        }),
        ..Volume::default()
    });
    for container in containers(spec).filter(|c| is_harness(c)) {
        container.volume_mounts.get_or_insert_default().push(VolumeMount {
            sub_path: Some(NAME.into()),
            ..read_only(NAME, "/etc/passwd")
        });
    }
}

fn overlay(spec: &mut PodSpec, template: &PodTemplate) {
    spec.node_selector = template.node_selector.clone();
    spec.tolerations = template.tolerations.clone();
    spec.image_pull_secrets = template.image_pull_secrets.clone();
    spec.priority_class_name = template.priority_class_name.clone();
    spec.runtime_class_name = template.runtime_class_name.clone();
    let mut volumes = Vec::new();
    let mut mounts = Vec::new();
    for cache in template.cache_volumes.iter().flatten() {
        let name = format!("cache-{}", cache.name);
        mounts.push(mount(&name, &cache.mount_path));
        volumes.push(match &cache.claim_name {
            Some(claim) => Volume {
                name,
                persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                    claim_name: claim.clone(),
                    read_only: None,
                }),
                ..Volume::default()
            },
            None => empty_dir(&name, WORK_SIZE),
        });
    }
    spec.volumes.get_or_insert_default().extend(volumes);
    for container in containers(spec) {
        add(container, &mounts, template.env.as_deref().unwrap_or_default());
    }
    if let Some(map) = &template.ca_bundle_config_map_ref {
        trust::lay_over(spec, &map.name);
    }
}

/// All containers, in the order they start.
pub(super) fn containers(spec: &mut PodSpec) -> impl Iterator<Item = &mut Container> {
    let steps = spec.init_containers.iter_mut().flatten();
    steps.chain(spec.containers.iter_mut())
}

/// Whether a container runs a step of the harness, in the harness's image.
pub(super) fn is_harness(container: &Container) -> bool {
    container
        .command
        .iter()
        .flatten()
        .next()
        .is_some_and(|word| word == HARNESS)
}

/// Mounts and variables for a container that has some. What it says itself wins.
pub(super) fn add(container: &mut Container, mounts: &[VolumeMount], variables: &[EnvVar]) {
    container
        .volume_mounts
        .get_or_insert_default()
        .extend(mounts.iter().cloned());
    let env = container.env.get_or_insert_default();
    let held: Vec<String> = env.iter().map(|e| e.name.clone()).collect();
    env.extend(variables.iter().filter(|v| !held.contains(&v.name)).cloned());
}
