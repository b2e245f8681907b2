//! The pod that tells somebody outside.

use super::parts::{self, PodUser};
use gastown_rules::NotifyPod;
use gastown_wire as wire;
use k8s_openapi::api::core::v1::{Pod, PodSpec};

/// Home of a container that has none of its own; the message of a mail lies there while it is sent.
const HOME: &str = "/gastown/home";

pub(super) fn pod(p: &NotifyPod, user: PodUser) -> Result<Pod, serde_json::Error> {
    let orders = wire::Orders::Notify(Box::new(p.orders.clone()));
    let env = parts::orders_env(&orders, HOME)?;
    let mut mounts = vec![parts::mount("home", HOME)];
    let mut volumes = vec![parts::small_dir("home")];
    if let Some(secret) = &p.secret {
        mounts.push(parts::read_only("notify", &p.orders.secret_dir));
        volumes.push(parts::secret("notify", secret));
    }
    let spec = PodSpec {
        restart_policy: Some("Never".into()),
        termination_grace_period_seconds: Some(5),
        containers: vec![parts::harness("notify", "notify", &p.common.harness_image, env, mounts)],
        volumes: Some(volumes),
        ..PodSpec::default()
    };
    Ok(parts::pod(&p.common, user, spec))
}
