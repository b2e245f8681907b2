//! `run`: the agent's container. Starts the agent, keeps what it writes, and ends everything it started.

mod agent;
mod attend;
mod courier;
mod home;
mod scribe;
mod tab;
mod talk;
mod watch;

use std::{fs, time::Duration};

use gastown_wire::exit;
use tokio::{
    signal::unix::{Signal as SignalStream, SignalKind, signal},
    time::timeout,
};

use crate::{
    link::{Ended, FromCourier, FromRun, Said},
    processes,
    setup::Pod,
    transcript::line::Secrets,
};
use agent::StartError;
use attend::Run;
use courier::Courier;
use scribe::Desk;
use tab::Tab;
use talk::Talk;
use watch::Noticed;

/// Courier pushes for ten minutes after the end, or until the pod's own deadline; a little longer, and it is not coming.
const DELIVERY: Duration = Duration::from_secs(15 * 60);
/// Exit code when something of ours is broken; the kubelet starts the container again.
const BROKEN: i32 = 1;

/// How the agent's time ended.
enum End {
    /// It ended, or was ended because the pod is going.
    Agent(Ended),
    /// A newer attempt holds the record: everything is dead, nothing is to be told.
    Fenced,
    /// Courier is gone for good: nothing would carry the work.
    Alone,
}

/// Runs the agent to its end. Returns the exit code.
pub async fn run(pod: Pod, command: Vec<String>) -> i32 {
    if let Err(error) = processes::adopt_orphans() {
        tracing::error!("the kernel does not let this process adopt orphans: {error}");
        return BROKEN;
    }
    let Ok(mut term) = signal(SignalKind::terminate()) else {
        return BROKEN;
    };
    // Handled here, so that it is not ignored in the agent, which inherits what is ignored.
    let _interrupts = signal(SignalKind::interrupt()).ok();
    let command = match command.is_empty() {
        true => pod.orders.agent.command.clone(),
        false => command,
    };
    let mut courier = Courier::find(&pod);
    match invited(&mut courier, &mut term).await {
        Ok(()) => {}
        Err(code) => return code,
    }
    break_locks(&pod);
    match work(&pod, command, &mut courier, &mut term).await {
        Some(End::Agent(ended)) => deliver(ended, &mut courier, patience(&pod)).await,
        Some(End::Fenced) => {
            tracing::warn!("a newer attempt holds the record: the agent was ended");
            exit::FENCED
        }
        Some(End::Alone) => {
            tracing::error!("courier did not come back: the agent was ended");
            BROKEN
        }
        None => BROKEN,
    }
}

/// Makes everything ready, and stays with the agent to its end. None: something of ours is broken.
async fn work(pod: &Pod, command: Vec<String>, courier: &mut Courier, term: &mut SignalStream) -> Option<End> {
    let furnished = home::furnish(pod)
        .inspect_err(|e| tracing::error!("the agent's home cannot be furnished: {e}"))
        .ok()?;
    let mut env = agent::environment(pod, std::env::vars_os());
    for (name, value) in furnished.variables {
        env.insert(name.into(), value.into());
    }
    if let Some((problem, detail)) = home::lacks_credential(pod, &env) {
        tracing::error!("the agent cannot prove who pays ({problem:?}): it is not started");
        return Some(End::Agent(Ended {
            said: Said::Credential(problem),
            detail,
            branch: pod.orders.work_branch.clone(),
            ..Ended::default()
        }));
    }
    let pairs: Vec<(String, String)> = env
        .iter()
        .map(|(n, v)| (n.to_string_lossy().into_owned(), v.to_string_lossy().into_owned()))
        .collect();
    let secrets = Secrets::of(
        pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())),
        &pod.orders.agent.secret,
        furnished.secrets.iter().map(String::as_str),
    );
    let mut run = Run {
        pod,
        env,
        talk: Talk::of(pod),
        tab: Tab::open(pod),
    };
    leave_notes_out(pod);
    run.talk.quieten(&run.env).await;
    let mut goes_on = run.talk.find(&run.env).await;
    loop {
        let desk = Desk::of(pod, secrets.clone());
        let end = match run.start(&command, goes_on, &desk) {
            Ok(agent) => run.attend(agent, &desk, courier, term).await,
            Err(error @ StartError::Missing { .. }) => {
                tracing::error!("{error}");
                End::Agent(Ended {
                    missing: Some(name_of(&command).to_owned()),
                    detail: error.to_string(),
                    ..Ended::default()
                })
            }
            Err(error @ StartError::Setting { .. }) => {
                tracing::error!("{error}");
                return None;
            }
        };
        match &end {
            // A conversation that cannot go on must not end the work.
            End::Agent(ended) if goes_on && !desk.has_begun() && !ended.stopped && ended.said == Said::Failure => {
                tracing::warn!(
                    "the earlier conversation cannot go on ({}): a new one begins",
                    ended.detail
                );
                run.talk.forget();
                goes_on = false;
            }
            _ => return Some(end),
        }
    }
}

/// What the agent leaves for itself in the workspace is not work: git is told not to see it.
fn leave_notes_out(pod: &Pod) {
    let notes = &pod.orders.agent.notes;
    if notes.is_empty() {
        return;
    }
    let info = pod.workspace().join(".git/info");
    let file = info.join("exclude");
    let told = fs::read_to_string(&file).unwrap_or_default();
    let missing: Vec<&str> = notes
        .iter()
        .map(String::as_str)
        .filter(|n| !told.lines().any(|l| l == *n))
        .collect();
    if missing.is_empty() {
        return;
    }
    let text = format!("{}{}\n", told, missing.join("\n"));
    if let Err(error) = fs::create_dir_all(&info).and_then(|()| crate::files::replace(&file, text.as_bytes(), 0o644)) {
        tracing::warn!("{}: {error}", file.display());
    }
}

/// The agent, or a look of ours, may have been killed in the middle of a git command; nothing of them is left now.
fn break_locks(pod: &Pod) {
    match gastown_git::break_locks(&pod.workspace().join(".git")) {
        Ok(broken) if broken.is_empty() => {}
        Ok(broken) => tracing::info!("broke the locks of a git that was killed: {broken:?}"),
        Err(error) => tracing::warn!("the locks of a git that was killed stay: {error}"),
    }
}

fn name_of(command: &[String]) -> &str {
    command.first().map_or("(no command)", String::as_str)
}

/// Waits for courier's word that the agent may start.
async fn invited(courier: &mut Courier, term: &mut SignalStream) -> Result<(), i32> {
    tracing::info!("waiting for courier");
    loop {
        let word = tokio::select! {
            word = courier.word() => word,
            _ = term.recv() => {
                tracing::info!("told to stop before the agent started");
                return Err(0);
            }
        };
        match word {
            Some(FromCourier::Go) => return Ok(()),
            Some(FromCourier::Delivered) => return Err(0),
            Some(FromCourier::Stop) => return Err(exit::FENCED),
            Some(FromCourier::Nudge { .. }) => {}
            None => {
                tracing::error!("courier did not answer");
                return Err(BROKEN);
            }
        }
    }
}

/// How long courier may bring the work home. No pod lives longer than its deadline from now.
fn patience(pod: &Pod) -> Duration {
    DELIVERY.max(Duration::from_secs(pod.orders.pace.deadline_s.unwrap_or(0)))
}

/// Tells courier, and waits until it says that the outcome stands.
async fn deliver(ended: Ended, courier: &mut Courier, patience: Duration) -> i32 {
    courier.say(FromRun::Ended(ended)).await;
    let heard = timeout(patience, async {
        loop {
            match courier.word().await {
                Some(FromCourier::Delivered) => return 0,
                Some(FromCourier::Stop) => return exit::FENCED,
                Some(FromCourier::Go | FromCourier::Nudge { .. }) => {}
                None => return BROKEN,
            }
        }
    });
    match heard.await {
        Ok(code) => code,
        Err(_) => {
            tracing::error!("courier did not say that the work is safe");
            BROKEN
        }
    }
}

impl From<Noticed> for FromRun {
    fn from(noticed: Noticed) -> Self {
        match noticed {
            Noticed::Activity => Self::Activity,
            Noticed::Progress => Self::Progress,
        }
    }
}
