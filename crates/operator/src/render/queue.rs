//! Pods of seconds: the merge queue's (candidate with its test, and land), and the one that reads issues.

use super::parts::{self, PodUser};
use gastown_rules::{BeadsPod, LandPod, PodCommon, TestPod};
use gastown_wire as wire;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

/// Home of a container that has none of its own.
const HOME: &str = "/gastown/home";

pub(super) fn test_pod(p: &TestPod, user: PodUser) -> Result<Pod, serde_json::Error> {
    let paths = &p.orders.paths;
    let orders = wire::Orders::Test(Box::new(p.orders.clone()));
    let work = paths
        .workspace
        .rsplit_once('/')
        .map_or("/workspace", |(parent, _)| parent)
        .to_owned();
    let mut mounts = vec![
        parts::mount("workspace", &work),
        parts::mount("courier", &paths.courier),
        parts::mount("candidate-tmp", "/tmp"),
    ];
    mounts.extend(parts::remote_mounts(&p.common, &p.orders.remote));
    let env = parts::orders_env(&orders, &paths.courier)?;
    let candidate = parts::harness("candidate", "candidate", &p.common.harness_image, env, mounts);
    let read_only_root = p
        .common
        .template
        .as_ref()
        .and_then(|t| t.read_only_root_filesystem)
        .unwrap_or(true);
    // The verdict is this container's exit code: nothing here holds a credential or a way to the remote.
    let test = Container {
        name: "test".into(),
        image: Some(p.image.clone()),
        command: Some(vec!["/bin/sh".into(), "-c".into(), parts::literal(&p.command)]),
        working_dir: Some(paths.workspace.clone()),
        env: Some(vec![parts::env("HOME", HOME), parts::env("CI", "true")]),
        volume_mounts: Some(vec![
            parts::mount("workspace", &work),
            parts::mount("home", HOME),
            parts::mount("tmp", "/tmp"),
        ]),
        resources: Some(p.resources.clone().unwrap_or_else(|| {
            parts::resources(
                &[("cpu", "500m"), ("memory", "1Gi")],
                &[("cpu", "2"), ("memory", "4Gi")],
            )
        })),
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        security_context: Some(parts::locked(read_only_root)),
        ..Container::default()
    };
    let mut volumes = vec![
        parts::empty_dir("workspace", parts::WORK_SIZE),
        parts::empty_dir("courier", parts::WORK_SIZE),
        parts::empty_dir("home", parts::WORK_SIZE),
        parts::empty_dir("tmp", parts::WORK_SIZE),
        parts::small_dir("candidate-tmp"),
    ];
    volumes.extend(parts::remote_volumes(&p.common));
    let spec = PodSpec {
        restart_policy: Some("Never".into()),
        termination_grace_period_seconds: Some(5),
        init_containers: Some(vec![candidate]),
        containers: vec![test],
        volumes: Some(volumes),
        ..PodSpec::default()
    };
    Ok(parts::pod(&p.common, user, spec))
}

pub(super) fn land_pod(p: &LandPod, user: PodUser) -> Result<Pod, serde_json::Error> {
    let orders = wire::Orders::Land(Box::new(p.orders.clone()));
    // A push under way is finished, not cut off.
    let step = Step {
        name: "land",
        grace: 30,
        paths: &p.orders.paths,
        remote: &p.orders.remote,
    };
    one_step(&p.common, &step, &orders, user)
}

pub(super) fn beads_pod(p: &BeadsPod, user: PodUser) -> Result<Pod, serde_json::Error> {
    let orders = wire::Orders::Beads(Box::new(p.orders.clone()));
    let step = Step {
        name: "beads",
        grace: 5,
        paths: &p.orders.paths,
        remote: &p.orders.remote,
    };
    one_step(&p.common, &step, &orders, user)
}

/// One step of the harness that speaks to the remote, with a volume for its repository.
struct Step<'a> {
    name: &'a str,
    grace: i64,
    paths: &'a wire::Paths,
    remote: &'a wire::RemoteOrders,
}

fn one_step(
    common: &PodCommon,
    step: &Step<'_>,
    orders: &wire::Orders,
    user: PodUser,
) -> Result<Pod, serde_json::Error> {
    let courier = &step.paths.courier;
    let mut mounts = vec![parts::mount("courier", courier), parts::mount("tmp", "/tmp")];
    mounts.extend(parts::remote_mounts(common, step.remote));
    let env = parts::orders_env(orders, courier)?;
    let mut volumes = vec![parts::empty_dir("courier", parts::WORK_SIZE), parts::small_dir("tmp")];
    volumes.extend(parts::remote_volumes(common));
    let spec = PodSpec {
        restart_policy: Some("Never".into()),
        termination_grace_period_seconds: Some(step.grace),
        containers: vec![parts::harness(step.name, step.name, &common.harness_image, env, mounts)],
        volumes: Some(volumes),
        ..PodSpec::default()
    };
    Ok(parts::pod(common, user, spec))
}
