//! `gastown-harness`: one static binary for every container of a Gas Town pod.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gastown_harness::{
    beads, candidate, clone, courier, land, last_words, notify, ready, run,
    setup::{self, Pod, SetupError},
};
use gastown_wire::{
    BeadsOrders, BeadsOutcome, BeadsReport, CandidateOutcome, CandidateReport, CloneOutcome, CloneReport, LandOrders,
    LandOutcome, LandReport, NotifyOrders, NotifyOutcome, NotifyReport, Orders, Report, TestOrders, VERSION, exit,
};
use tokio::signal::unix::{SignalKind, signal};

/// Exit code of a step that was told to stop, as a shell would say it of SIGTERM.
const STOPPED: i32 = 143;

#[derive(Parser)]
#[command(
    name = "gastown-harness",
    version,
    about = "Runs inside the pods that the Gas Town operator makes."
)]
struct Arguments {
    #[command(subcommand)]
    step: Step,
}

#[derive(Subcommand)]
enum Step {
    /// Take the attempt and make the workspace (init container of a polecat).
    Clone,
    /// Start the agent and keep what it writes.
    Run {
        /// Program and arguments, after `--`; the orders' command when there are none.
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Carry the agent's commits to the remote, judge the end, report.
    Courier,
    /// Readiness probe: exit 0 if something happened lately.
    Ready,
    /// Build a candidate of the merge queue.
    Candidate,
    /// Push a candidate that was tested.
    Land,
    /// Read the repository's issues.
    Beads,
    /// Tell somebody outside.
    Notify,
    /// Print the version.
    Version,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("GASTOWN_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        // A log is read beside the agent's own: no colours, no second time stamp.
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .with_writer(std::io::stderr)
        .init();
    // Pods are counted by the hundred: one thread is enough and half the memory.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("the system gives no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(step(Arguments::parse().step));
    // A blocked write to a pipe that nobody reads must not keep the container alive.
    runtime.shutdown_background();
    code
}

async fn step(step: Step) -> ExitCode {
    match step {
        Step::Version => {
            use std::io::Write as _;
            // Nobody reading is no failure.
            let _ = writeln!(
                std::io::stdout(),
                "gastown-harness {} (orders and reports {VERSION})",
                env!("CARGO_PKG_VERSION")
            );
            ExitCode::SUCCESS
        }
        Step::Clone => match pod("clone") {
            Ok(pod) => unless_stopped(clone::run(pod)).await,
            Err(error) => refuse(&error, Some(&bad_clone_orders(&error))),
        },
        Step::Run { command } => match pod("run") {
            Ok(pod) => code(run::run(pod, command).await),
            Err(error) => refuse(&error, None::<&CloneReport>),
        },
        Step::Courier => match pod("courier") {
            Ok(pod) => code(courier::run(pod, courier::Patience::default()).await),
            Err(error) => refuse(&error, None::<&CloneReport>),
        },
        Step::Ready => match pod("ready").map(|pod| ready::is_ready(&pod)) {
            Ok(Ok(true)) => ExitCode::SUCCESS,
            Ok(Ok(false)) => complain("nothing happened for longer than stuckThreshold"),
            Ok(Err(error)) => complain(&format!("courier has not started: {error}")),
            Err(error) => refuse(&error, None::<&CloneReport>),
        },
        Step::Candidate => match test_orders() {
            Ok(orders) => unless_stopped(candidate::run(orders)).await,
            Err(error) => refuse(&error, Some(&bad_test_orders(&error))),
        },
        Step::Land => match land_orders() {
            Ok(orders) => unless_stopped(land::run(orders)).await,
            Err(error) => refuse(&error, Some(&bad_land_orders(&error))),
        },
        Step::Beads => match beads_orders() {
            Ok(orders) => unless_stopped(beads::run(orders)).await,
            Err(error) => refuse(&error, Some(&bad_beads_orders(&error))),
        },
        Step::Notify => match notify_orders() {
            Ok(orders) => unless_stopped(notify::run(orders)).await,
            Err(error) => refuse(&error, Some(&bad_notify_orders(&error))),
        },
    }
}

/// Steps that hold nothing worth waiting for end as soon as they are told to, and their git with them. The first process
/// of a container must say so itself: a signal it does not handle has no effect on it, and the pod would stay for its
/// whole grace. What was pushed or not is found out by whoever comes next.
async fn unless_stopped(work: impl Future<Output = i32>) -> ExitCode {
    let Ok(mut term) = signal(SignalKind::terminate()) else {
        return code(work.await);
    };
    tokio::select! {
        done = work => code(done),
        _ = term.recv() => {
            tracing::info!("told to stop");
            code(STOPPED)
        }
    }
}

fn pod(step: &'static str) -> Result<Pod, SetupError> {
    Pod::from_orders(setup::orders()?, step)
}

fn test_orders() -> Result<TestOrders, SetupError> {
    match setup::orders()? {
        Orders::Test(orders) => Ok(*orders),
        other => Err(wrong("candidate", "test", &other)),
    }
}

fn land_orders() -> Result<LandOrders, SetupError> {
    match setup::orders()? {
        Orders::Land(orders) => Ok(*orders),
        other => Err(wrong("land", "land", &other)),
    }
}

fn beads_orders() -> Result<BeadsOrders, SetupError> {
    match setup::orders()? {
        Orders::Beads(orders) => Ok(*orders),
        other => Err(wrong("beads", "beads", &other)),
    }
}

fn notify_orders() -> Result<NotifyOrders, SetupError> {
    match setup::orders()? {
        Orders::Notify(orders) => Ok(*orders),
        other => Err(wrong("notify", "notify", &other)),
    }
}

fn wrong(step: &'static str, wanted: &'static str, orders: &Orders) -> SetupError {
    SetupError::WrongStep {
        step,
        wanted,
        found: setup::step_name(orders),
    }
}

/// Says what is wrong with the orders, in the log and in the report.
fn refuse(error: &SetupError, report: Option<&impl Report>) -> ExitCode {
    tracing::error!("{error}");
    if let Some(report) = report
        && let Err(error) = last_words::leave(&setup::termination_path(), report)
    {
        tracing::error!("the report cannot be written: {error}");
    }
    code(exit::CONFIG)
}

fn complain(why: &str) -> ExitCode {
    tracing::warn!("{why}");
    ExitCode::FAILURE
}

fn code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

const BAD_ORDERS: &str = "BadOrders";

fn bad_clone_orders(error: &SetupError) -> CloneReport {
    CloneReport {
        version: VERSION,
        attempt: 0,
        outcome: CloneOutcome::Config {
            reason: BAD_ORDERS.into(),
        },
        detail: error.to_string(),
        content: None,
    }
}

fn bad_test_orders(error: &SetupError) -> CandidateReport {
    CandidateReport {
        version: VERSION,
        outcome: CandidateOutcome::Config {
            reason: BAD_ORDERS.into(),
        },
        base: String::new(),
        included: Vec::new(),
        conflicts: Vec::new(),
        empty: Vec::new(),
        detail: error.to_string(),
    }
}

fn bad_land_orders(error: &SetupError) -> LandReport {
    LandReport {
        version: VERSION,
        outcome: LandOutcome::Config {
            reason: BAD_ORDERS.into(),
        },
        commit: String::new(),
        detail: error.to_string(),
    }
}

fn bad_beads_orders(error: &SetupError) -> BeadsReport {
    BeadsReport {
        version: VERSION,
        outcome: BeadsOutcome::Config {
            reason: BAD_ORDERS.into(),
        },
        commit: String::new(),
        detail: error.to_string(),
        ranked: Vec::new(),
    }
}

fn bad_notify_orders(error: &SetupError) -> NotifyReport {
    NotifyReport {
        version: VERSION,
        outcome: NotifyOutcome::Config {
            reason: BAD_ORDERS.into(),
        },
        detail: error.to_string(),
    }
}
