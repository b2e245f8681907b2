//! A polecat's pod: clone, the agent, courier.

use super::parts::{self, PodUser};
use gastown_rules::PolecatPod;
use gastown_wire as wire;
use k8s_openapi::api::core::v1::{
    Container, EnvVar, EnvVarSource, ExecAction, Pod, PodSpec, Probe, SecretKeySelector, Volume, VolumeMount,
};

/// SIGTERM to SIGKILL: the agent's grace, the snapshot, the last push.
const GRACE_SECONDS: i64 = 120;
/// Where a long task text is mounted.
const TEXTS: &str = "/gastown/texts";
/// Where an agent's configuration is mounted.
const CONFIG: &str = "/gastown/agent-config";

pub(super) fn pod(p: &PolecatPod, user: PodUser) -> Result<Pod, serde_json::Error> {
    let paths = &p.orders.paths;
    let mut orders = p.orders.clone();
    // The pod's own: courier must be done before its node ends it.
    orders.pace.deadline_s = p.common.deadline.and_then(|s| u64::try_from(s).ok());
    let orders = wire::Orders::Polecat(Box::new(orders));
    let env = parts::orders_env(&orders, &paths.home)?;
    let work = parent(&paths.workspace);
    let mut clone_mounts = vec![
        parts::mount("workspace", &work),
        parts::mount("home", &paths.home),
        parts::mount("shared", &paths.shared),
        // clone fetches into courier's repository, so that courier does not fetch it all again.
        parts::mount("courier", &paths.courier),
        parts::mount("clone-tmp", "/tmp"),
    ];
    let mut courier_mounts = vec![
        parts::read_only("workspace", &work),
        parts::mount("shared", &paths.shared),
        parts::mount("courier", &paths.courier),
        parts::read_only("pod-info", &paths.pod_info),
        parts::mount("clone-tmp", "/tmp"),
    ];
    clone_mounts.extend(parts::remote_mounts(&p.common, &p.orders.remote));
    courier_mounts.extend(parts::remote_mounts(&p.common, &p.orders.remote));
    if p.texts.is_some() {
        clone_mounts.push(parts::read_only("texts", TEXTS));
    }
    let image = &p.common.harness_image;
    let clone = parts::harness("clone", "clone", image, env.clone(), clone_mounts);
    let mut courier = parts::harness("courier", "courier", image, env.clone(), courier_mounts);
    courier.readiness_probe = Some(Probe {
        exec: Some(ExecAction {
            command: Some(vec!["gastown-harness".into(), "ready".into()]),
        }),
        period_seconds: Some(p.probe_seconds),
        timeout_seconds: Some(5),
        ..Probe::default()
    });
    let spec = PodSpec {
        restart_policy: Some("OnFailure".into()),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        init_containers: Some(vec![clone]),
        containers: vec![agent(p, env), courier],
        volumes: Some(volumes(p)),
        ..PodSpec::default()
    };
    Ok(parts::pod(&p.common, user, spec))
}

fn parent(path: &str) -> String {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/workspace".to_owned(),
        Some((parent, _)) => parent.to_owned(),
    }
}

fn volumes(p: &PolecatPod) -> Vec<Volume> {
    let mut volumes = vec![
        parts::empty_dir("workspace", parts::WORK_SIZE),
        parts::empty_dir("home", parts::WORK_SIZE),
        parts::small_dir("shared"),
        parts::empty_dir("courier", parts::WORK_SIZE),
        parts::empty_dir("tmp", parts::WORK_SIZE),
        // Not the agent's /tmp: what a container with a credential writes there is not for the agent to see or plant.
        parts::small_dir("clone-tmp"),
        parts::pod_info("pod-info"),
    ];
    volumes.extend(parts::remote_volumes(&p.common));
    if let Some(texts) = &p.texts {
        volumes.push(parts::config_map("texts", texts));
    }
    if let Some(secret) = &p.common.credentials.claude {
        volumes.push(parts::secret("claude", secret));
    }
    if let Some(map) = &p.config_map {
        volumes.push(parts::programs("agent-config", map));
    }
    volumes
}

/// The agent's container: model credential only, never the remote's.
fn agent(p: &PolecatPod, mut env: Vec<EnvVar>) -> Container {
    let paths = &p.orders.paths;
    let mut mounts: Vec<VolumeMount> = vec![
        parts::mount("workspace", &parent(&paths.workspace)),
        parts::mount("home", &paths.home),
        parts::mount("shared", &paths.shared),
        parts::mount("tmp", "/tmp"),
    ];
    let credentials = &p.common.credentials;
    if credentials.claude.is_some() {
        mounts.push(parts::read_only("claude", &paths.settings));
    }
    if p.config_map.is_some() {
        mounts.push(parts::read_only("agent-config", CONFIG));
    }
    if let Some((secret, key, variable)) = &credentials.api_key {
        env.push(EnvVar {
            name: variable.clone(),
            value_from: Some(EnvVarSource {
                secret_key_ref: Some(SecretKeySelector {
                    name: secret.clone(),
                    key: key.clone(),
                    optional: Some(true),
                }),
                ..EnvVarSource::default()
            }),
            ..EnvVar::default()
        });
    }
    env.extend(p.env.iter().cloned());
    let read_only_root = p
        .common
        .template
        .as_ref()
        .and_then(|t| t.read_only_root_filesystem)
        .unwrap_or(true);
    Container {
        name: p.container.clone(),
        image: Some(p.image.clone()),
        command: Some(vec![format!("{}/bin/gastown-harness", paths.shared), "run".into()]),
        env: Some(env),
        volume_mounts: Some(mounts),
        resources: Some(p.resources.clone().unwrap_or_else(|| {
            parts::resources(
                &[("cpu", "500m"), ("memory", "1Gi")],
                &[("cpu", "2"), ("memory", "4Gi")],
            )
        })),
        security_context: Some(parts::locked(read_only_root)),
        ..Container::default()
    }
}
