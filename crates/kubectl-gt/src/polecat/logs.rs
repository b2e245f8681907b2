//! polecat logs: what the agent prints, over restarts and attempts, also after a pod is gone where the node keeps it; else what
//! the record has.

use super::{find, kept};
use crate::output::{note, or_dash, printable, write_out};
use crate::session::Session;
use crate::{Failure, Output, complete, exit};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use futures::io::AsyncRead;
use futures::{AsyncBufReadExt, AsyncReadExt, io::BufReader};
use gastown_api::{DesiredState, Polecat, PolecatPhase, names};
use gastown_wire::{RAW_MARK, Tokens, spent};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::LogParams;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

/// Arguments of polecat logs.
#[derive(Args, Debug)]
pub struct LogArgs {
    /// NAME or RIG/NAME.
    #[arg(add = ArgValueCompleter::new(complete::polecats))]
    pub name: String,
    /// Go on until its work is done, over restarts and attempts.
    #[arg(short, long)]
    pub follow: bool,
    /// Container: the agent's by default; clone, courier.
    #[arg(short, long)]
    pub container: Option<String>,
    /// Only the last lines.
    #[arg(long)]
    pub tail: Option<i64>,
    /// Only what is newer: 90s, 5m, 1h30m.
    #[arg(long, value_parser = crate::wait::duration)]
    pub since: Option<Duration>,
    /// Of the container's run before; else of the attempt before.
    #[arg(short, long)]
    pub previous: bool,
    /// Of this attempt; else of the newest.
    #[arg(long, conflicts_with = "follow")]
    pub attempt: Option<u32>,
    /// Byte for byte: control characters, too, and the agent's own stream where the pod keeps it.
    #[arg(long)]
    pub raw: bool,
    /// Where to read the conversation when the pod is gone; else the rig's record.gitURL or gitURL, as this checkout spells it.
    #[arg(long, value_name = "URL")]
    pub remote: Option<String>,
}

/// Who keeps the agent's own stream.
const COURIER: &str = "courier";
/// How long a pod may take to start while somebody follows.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often it is looked whether the next attempt has begun.
const PAUSE: Duration = Duration::from_millis(300);
/// Longest line that is kept together. Bytes.
const LONGEST_LINE: u64 = 256 * 1024;

/// Lines of a log in which the last word about what was spent is looked for: one comes with each answer of the model.
const RECENT: i64 = 200;

/// One run of one container: what was printed once is not printed again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    pod: String,
    uid: Option<String>,
    restarts: i32,
}

pub(super) async fn run(args: LogArgs, session: &Session<'_>) -> Result<(), Failure> {
    let told = match args.follow {
        true => follow(&args, session).await,
        false => {
            let polecat = find(&args.name, session).await?.object;
            once(&args, &polecat, session).await.map_err(|e| match e.hint {
                Some(_) => e,
                None => e.hint(format!("{} polecat status {}", session.program(), polecat.name_any())),
            })
        }
    };
    match told {
        Err(gone) if gone.code == exit::NOT_FOUND && args.asks_for_all() => kept::print(&args, gone, session).await,
        told => told,
    }
}

impl LogArgs {
    /// Whether all that the agent said is asked for: a record knows no containers, runs and times.
    fn asks_for_all(&self) -> bool {
        self.container.is_none() && self.attempt.is_none() && self.since.is_none() && !self.previous
    }
}

/// The pod that is asked for.
fn pod_of(polecat: &Polecat, attempt: Option<u32>) -> Option<String> {
    match attempt {
        Some(n) => Some(names::polecat_pod(
            &polecat.name_any(),
            &polecat.uid().unwrap_or_default(),
            n,
        )),
        None => polecat.status.as_ref().and_then(|s| s.pod_name.clone()),
    }
}

fn newest_attempt(polecat: &Polecat) -> u32 {
    let attempt = polecat.status.as_ref().and_then(|s| s.attempt);
    attempt.and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

async fn once(args: &LogArgs, polecat: &Polecat, session: &Session<'_>) -> Result<(), Failure> {
    let name = polecat.name_any();
    let newest = newest_attempt(polecat);
    if let Some(n) = args.attempt.filter(|n| *n == 0 || *n > newest) {
        return Err(Failure::new(
            exit::NOT_FOUND,
            format!("{name} has had {newest} attempt(s): there is no attempt {n}"),
        ));
    }
    // A terminated or idle polecat's status names no pod any more; its attempts are known.
    let attempt = args
        .attempt
        .or_else(|| (newest > 0 && pod_of(polecat, None).is_none()).then_some(newest));
    let Some(pod) = pod_of(polecat, attempt) else {
        return Err(Failure::new(exit::FAILED, format!("{name} has had no pod yet")));
    };
    if session.output == Output::Name {
        return write_out(&format!("pod/{pod}\n"));
    }
    match print(args, polecat, &pod, args.previous, session).await {
        Ok(()) => Ok(()),
        // No run before in this pod: the attempt before is what is meant.
        Err(_) if args.previous && args.attempt.is_none() && newest > 1 => {
            let before = newest - 1;
            note(format!("note: attempt {before}, the one before"));
            let pod = pod_of(polecat, Some(before)).unwrap_or_default();
            print(args, polecat, &pod, false, session).await
        }
        Err(e) => Err(e),
    }
}

async fn follow(args: &LogArgs, session: &Session<'_>) -> Result<(), Failure> {
    let give_up = tokio::time::Instant::now() + PATIENCE;
    let mut printed: BTreeSet<Run> = BTreeSet::new();
    loop {
        let polecat = find(&args.name, session).await?.object;
        let goes_on = goes_on(&polecat);
        let mut trouble = Failure::new(exit::FAILED, format!("{} has had no pod yet", polecat.name_any()));
        if let Some(pod) = pod_of(&polecat, None) {
            let run = current_run(&pod, &container(args, &polecat), session).await?;
            if !printed.contains(&run) {
                if session.output.is_for_people() && printed.iter().any(|r| r.pod != run.pod) {
                    note(format!("--- attempt {}: pod {pod}", newest_attempt(&polecat)));
                }
                match print(args, &polecat, &pod, false, session).await {
                    Ok(()) => {
                        printed.insert(run);
                        continue;
                    }
                    Err(e) => trouble = e,
                }
            }
        }
        match (goes_on, printed.is_empty()) {
            (false, true) => {
                let hint = format!("{} polecat status {}", session.program(), polecat.name_any());
                return Err(if trouble.hint.is_none() {
                    trouble.hint(hint)
                } else {
                    trouble
                });
            }
            (false, false) => return Ok(()),
            (true, true) if tokio::time::Instant::now() > give_up => {
                let hint = format!("{} polecat status {}", session.program(), polecat.name_any());
                return Err(Failure::new(exit::TIMED_OUT, trouble.what).hint(hint));
            }
            (true, _) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Whether more may be printed than is there now.
fn goes_on(polecat: &Polecat) -> bool {
    let phase = polecat.status.as_ref().map(|s| s.phase).unwrap_or_default();
    polecat.spec.desired_state == DesiredState::Working && matches!(phase, PolecatPhase::Idle | PolecatPhase::Working)
}

/// The agent's container, where none is named.
fn container(args: &LogArgs, polecat: &Polecat) -> String {
    args.container.clone().unwrap_or_else(|| agents(polecat).to_owned())
}

/// The container that its agent runs in.
fn agents(polecat: &Polecat) -> &'static str {
    match polecat.status.as_ref().and_then(|s| s.agent.as_deref()) {
        Some("custom") => "agent",
        Some("opencode") => "opencode",
        Some("aider") => "aider",
        _ => "claude",
    }
}

/// What the agent that runs now says it has spent. None: it says nothing of that, or its log cannot be read.
pub(crate) async fn spent_now(polecat: &Polecat, session: &Session<'_>) -> Option<(Tokens, Option<u64>)> {
    let params = LogParams {
        container: Some(agents(polecat).to_owned()),
        tail_lines: Some(RECENT),
        ..LogParams::default()
    };
    let pods = session.pods_of(&polecat.namespace()?);
    let log = pods.logs(&pod_of(polecat, None)?, &params).await.ok()?;
    log.lines().rev().find_map(spent::read)
}

async fn current_run(pod: &str, container: &str, session: &Session<'_>) -> Result<Run, Failure> {
    let found: Option<Pod> = session.pods().get_opt(pod).await?;
    let status = found.as_ref().and_then(|p| p.status.clone()).unwrap_or_default();
    let all = status
        .container_statuses
        .into_iter()
        .chain(status.init_container_statuses);
    let restarts = all
        .flatten()
        .find(|c| c.name == container)
        .map_or(0, |c| c.restart_count);
    Ok(Run {
        pod: pod.to_owned(),
        uid: found.and_then(|p| p.metadata.uid),
        restarts,
    })
}

async fn print(
    args: &LogArgs,
    polecat: &Polecat,
    pod: &str,
    previous: bool,
    session: &Session<'_>,
) -> Result<(), Failure> {
    let params = LogParams {
        follow: args.follow,
        tail_lines: args.tail,
        since_seconds: args
            .since
            .map(|d| i64::try_from(d.as_secs().max(1)).unwrap_or(i64::MAX)),
        previous,
        ..LogParams::default()
    };
    // The agent's own stream is kept beside the readable one, where its agent has one.
    if args.raw && args.container.is_none() {
        let told = lines(args, polecat, pod, (COURIER, Some(RAW_MARK)), params.clone(), session).await;
        if matches!(told, Ok(n) if n > 0) {
            return Ok(());
        }
    }
    let container = container(args, polecat);
    lines(args, polecat, pod, (&container, None), params, session)
        .await
        .map(drop)
}

/// Prints a container's lines, all or those with a mark; how many.
async fn lines(
    args: &LogArgs,
    polecat: &Polecat,
    pod: &str,
    (container, mark): (&str, Option<&'static str>),
    mut params: LogParams,
    session: &Session<'_>,
) -> Result<usize, Failure> {
    params.container = Some(container.to_owned());
    let stream = match session.pods().log_stream(pod, &params).await {
        Ok(stream) => stream,
        Err(kube::Error::Api(s)) if s.code == 404 => return Err(gone(polecat, pod, session.program())),
        Err(kube::Error::Api(s)) if s.code == 400 => return Err(Failure::new(exit::FAILED, s.message)),
        Err(e) => return Err(e.into()),
    };
    let sheet = Sheet {
        polecat: polecat.name_any(),
        pod: pod.to_owned(),
        container: container.to_owned(),
        output: session.output,
        raw: args.raw,
        mark,
    };
    sheet.copy(stream).await
}

/// Why there is nothing to read, and what there is instead.
fn gone(polecat: &Polecat, pod: &str, program: &str) -> Failure {
    let name = polecat.name_any();
    let s = polecat.status.clone().unwrap_or_default();
    if s.phase == PolecatPhase::Working && s.pod_active != Some(true) {
        return Failure::new(exit::FAILED, format!("pod {pod} has not started yet"))
            .hint(format!("{program} polecat logs {name} -f waits for it"));
    }
    Failure::new(
        exit::NOT_FOUND,
        format!(
            "pod {pod} is gone, and a cluster forgets a pod's log with it; its work is on branch {}",
            or_dash(s.branch.as_ref())
        ),
    )
    .hint(format!(
        "{program} polecat diff {name}; to keep pods longer, set ttlSecondsAfterFinished on the rig, or collect logs in the cluster"
    ))
}

/// How lines are written.
pub(super) struct Sheet {
    polecat: String,
    pod: String,
    container: String,
    output: Output,
    raw: bool,
    /// Only lines that begin so, without it.
    mark: Option<&'static str>,
}

impl Sheet {
    /// For what the record has of its conversation.
    pub(super) fn of_record(args: &LogArgs, polecat: &Polecat, output: Output) -> Self {
        Self {
            polecat: polecat.name_any(),
            pod: pod_of(polecat, None).unwrap_or_default(),
            container: container(args, polecat),
            output,
            raw: args.raw,
            mark: None,
        }
    }

    /// Prints what comes; how many lines.
    pub(super) async fn copy(&self, stream: impl AsyncRead + Unpin) -> Result<usize, Failure> {
        let mut source = BufReader::new(stream);
        let (mut line, mut printed) = (Vec::new(), 0);
        loop {
            line.clear();
            let n = (&mut source).take(LONGEST_LINE).read_until(b'\n', &mut line).await?;
            if n == 0 {
                return Ok(printed);
            }
            let told = match self.mark {
                Some(mark) => line.strip_prefix(mark.as_bytes()),
                None => Some(line.as_slice()),
            };
            let Some(told) = told else { continue };
            printed += 1;
            if !self.write(told)? {
                return Ok(printed);
            }
        }
    }

    /// Writes a line; false when nobody reads any more.
    fn write(&self, line: &[u8]) -> Result<bool, Failure> {
        let bytes = match self.output {
            Output::Table | Output::Wide | Output::Name if self.raw => line.to_vec(),
            // What the agent printed may hold escape sequences; none reaches the reader's terminal.
            Output::Table | Output::Wide | Output::Name => printable(&String::from_utf8_lossy(line)).into_bytes(),
            Output::Json | Output::Yaml => self.record(line).into_bytes(),
        };
        let mut out = std::io::stdout().lock();
        match out.write_all(&bytes).and_then(|()| out.flush()) {
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
            other => other.map(|()| true).map_err(Failure::from),
        }
    }

    /// A line as a JSON object of its own; in YAML the items of one sequence.
    fn record(&self, line: &[u8]) -> String {
        let text = String::from_utf8_lossy(line);
        let value = json!({
            "polecat": self.polecat,
            "pod": self.pod,
            "container": self.container,
            "line": text.strip_suffix('\n').unwrap_or(&text),
        });
        match self.output {
            Output::Yaml => format!("- {value}\n"),
            _ => format!("{value}\n"),
        }
    }
}
