//! Probes: is a container started, ready, alive?

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::container::Inside;

/// What probes found.
pub(crate) enum Finding {
    /// Readiness changed; a container without a readiness probe is ready once it has started.
    Ready(bool),
    /// A probe failed once, for people.
    Failed(String),
    /// The container must be restarted.
    Dead(String),
}

/// Probes one run until it is dropped.
pub(crate) async fn watch(container: Container, inside: Arc<Inside>, tell: impl Fn(Finding) + Clone) {
    if let Some(probe) = &container.startup_probe {
        let timing = Timing::of(probe);
        tokio::time::sleep(timing.delay).await;
        let mut failures = 0;
        while let Err(why) = check(probe, timing.timeout, &container, &inside).await {
            failures += 1;
            tell(Finding::Failed(format!("Startup probe failed: {why}")));
            if failures >= timing.failures {
                return tell(Finding::Dead(format!("failed startup probe: {why}")));
            }
            tokio::time::sleep(timing.period).await;
        }
    }
    let readiness = async {
        match &container.readiness_probe {
            Some(probe) => ready(probe, &container, &inside, &tell).await,
            None => tell(Finding::Ready(true)),
        }
    };
    let liveness = async {
        if let Some(probe) = &container.liveness_probe {
            alive(probe, &container, &inside, &tell).await;
        }
    };
    tokio::join!(readiness, liveness);
}

async fn ready(probe: &Probe, container: &Container, inside: &Inside, tell: &impl Fn(Finding)) {
    let timing = Timing::of(probe);
    tokio::time::sleep(timing.delay).await;
    let (mut is_ready, mut run) = (false, 0);
    // Until a container is first ready it is looked at more often, as a kubelet may.
    let mut eager = Some(EAGER);
    loop {
        let result = check(probe, timing.timeout, container, inside).await;
        // Counts in the direction that would change what is.
        run = if result.is_ok() == is_ready { 0 } else { run + 1 };
        let needed = if is_ready { timing.failures } else { timing.successes };
        if run >= needed {
            is_ready = !is_ready;
            run = 0;
            eager = None;
            tell(Finding::Ready(is_ready));
            if let Err(why) = result {
                tell(Finding::Failed(format!("Readiness probe failed: {why}")));
            }
        }
        let pause = eager.map_or(timing.period, |e| e.min(timing.period));
        eager = eager.map(|e| e * 2);
        tokio::time::sleep(pause).await;
    }
}

/// The first pause between two readiness probes, doubling up to the period.
const EAGER: Duration = Duration::from_millis(200);

async fn alive(probe: &Probe, container: &Container, inside: &Inside, tell: &impl Fn(Finding)) {
    let timing = Timing::of(probe);
    tokio::time::sleep(timing.delay).await;
    let mut failures = 0;
    loop {
        match check(probe, timing.timeout, container, inside).await {
            Ok(()) => failures = 0,
            Err(why) => {
                failures += 1;
                tell(Finding::Failed(format!("Liveness probe failed: {why}")));
                if failures >= timing.failures {
                    return tell(Finding::Dead(format!("failed liveness probe: {why}")));
                }
            }
        }
        tokio::time::sleep(timing.period).await;
    }
}

struct Timing {
    delay: Duration,
    period: Duration,
    timeout: Duration,
    failures: i32,
    successes: i32,
}

impl Timing {
    fn of(probe: &Probe) -> Self {
        let seconds = |value: Option<i32>, default: u64, least: u64| {
            let value = value.and_then(|v| u64::try_from(v).ok());
            Duration::from_secs(value.unwrap_or(default).max(least))
        };
        Self {
            delay: seconds(probe.initial_delay_seconds, 0, 0),
            period: seconds(probe.period_seconds, 10, 1),
            timeout: seconds(probe.timeout_seconds, 1, 1),
            failures: probe.failure_threshold.unwrap_or(3).max(1),
            successes: probe.success_threshold.unwrap_or(1).max(1),
        }
    }
}

async fn check(probe: &Probe, timeout: Duration, container: &Container, inside: &Inside) -> Result<(), String> {
    if let Some(exec) = &probe.exec {
        return execute(exec.command.as_deref().unwrap_or_default(), timeout, inside).await;
    }
    let network = async {
        if let Some(http) = &probe.http_get {
            http_get(http, port(&http.port, container)?).await
        } else if let Some(tcp) = &probe.tcp_socket {
            connect(tcp.host.as_deref(), port(&tcp.port, container)?)
                .await
                .map(|_| ())
        } else {
            Err("this node probes by exec, httpGet and tcpSocket".to_owned())
        }
    };
    let timed = tokio::time::timeout(timeout, network).await;
    timed.unwrap_or_else(|_| Err(format!("timed out after {timeout:?}")))
}

/// Runs a command where the container is, in a process group that a timeout ends.
async fn execute(command: &[String], timeout: Duration, inside: &Inside) -> Result<(), String> {
    let mut child = enter(inside, command)?
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| format!("cannot run it: {e}"))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let stdout = child.stdout.take();
    let finished = async {
        let mut said = Vec::new();
        if let Some(stdout) = stdout {
            // A probe's word is for people; its exit code decides.
            let _ = stdout.take(1024).read_to_end(&mut said).await;
        }
        let status = child.wait().await.map_err(|e| e.to_string())?;
        if status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&said);
        let code = status.code().unwrap_or(-1);
        Err(format!("exit code {code}: {}", said.trim()))
    };
    let timed = tokio::time::timeout(timeout, finished).await;
    timed.unwrap_or_else(|_| {
        if let Some(group) = group {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        Err(format!("timed out after {timeout:?}"))
    })
}

/// A command that runs inside the namespaces of a container, or beside an unconfined one.
#[expect(clippy::disallowed_types, reason = "a node runs processes")]
fn enter(inside: &Inside, command: &[String]) -> Result<tokio::process::Command, String> {
    let Some((program, args)) = command.split_first() else {
        return Err("it has no command".to_owned());
    };
    let mut entered = if inside.record.own_pid_namespace {
        let nsenter = nsenter().ok_or("nsenter (util-linux) is not installed")?;
        let mut entered = tokio::process::Command::new(nsenter);
        entered
            .arg("--target")
            .arg(inside.record.main.pid.to_string())
            .args(["--user", "--mount", "--pid", "--ipc", "--uts"])
            .args(["--preserve-credentials", "--"])
            // The folder is one of the container, so it is entered inside.
            .args(["/bin/sh", "-c", "cd \"$0\" && exec \"$@\""])
            .arg(&inside.workdir)
            .arg(program)
            .args(args);
        entered
    } else {
        let mut entered = tokio::process::Command::new(inside.rewriter.rewrite(program));
        entered
            .args(args.iter().map(|a| inside.rewriter.rewrite(a)))
            .current_dir(&inside.workdir);
        entered
    };
    entered
        .env_clear()
        .envs(inside.env.iter().map(|(k, v)| (k, v)))
        .process_group(0);
    Ok(entered)
}

/// Where `nsenter` is on this host.
pub(crate) fn nsenter() -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/bin".into(), "/bin".into(), "/usr/sbin".into()])
        .map(|dir| dir.join("nsenter"))
        .find(|path| path.is_file())
}

fn port(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => container
            .ports
            .iter()
            .flatten()
            .find(|p| p.name.as_deref() == Some(name))
            .map(|p| p.container_port),
    };
    number
        .and_then(|n| u16::try_from(n).ok())
        .ok_or_else(|| "it names no port of the container".to_owned())
}

async fn connect(host: Option<&str>, port: u16) -> Result<TcpStream, String> {
    let host = host.unwrap_or(crate::status::ADDRESS);
    let connected = TcpStream::connect((host, port)).await;
    connected.map_err(|e| format!("{host}:{port}: {e}"))
}

async fn http_get(action: &HTTPGetAction, port: u16) -> Result<(), String> {
    if action.scheme.as_deref() == Some("HTTPS") {
        return Err("this node probes by plain HTTP".to_owned());
    }
    let host = action.host.as_deref();
    let mut stream = connect(host, port).await?;
    let path = action.path.as_deref().unwrap_or("/");
    let mut request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n", host.unwrap_or("localhost"));
    for header in action.http_headers.iter().flatten() {
        request.push_str(&format!("{}: {}\r\n", header.name, header.value));
    }
    request.push_str("\r\n");
    let sent = stream.write_all(request.as_bytes()).await;
    sent.map_err(|e| e.to_string())?;
    let mut answer = Vec::new();
    let mut head = stream.take(64);
    let read = head.read_to_end(&mut answer).await;
    read.map_err(|e| e.to_string())?;
    let answer = String::from_utf8_lossy(&answer);
    let code: Option<u16> = answer.split_ascii_whitespace().nth(1).and_then(|c| c.parse().ok());
    match code {
        Some(200..400) => Ok(()),
        Some(code) => Err(format!("HTTP status {code}")),
        None => Err("no HTTP answer".to_owned()),
    }
}
