//! `run`: the agent's container. Starts the agent, keeps what it writes, and ends everything it started.

mod agent;
mod courier;
mod watch;

use std::{fs, io::Write as _, os::unix::process::ExitStatusExt as _, process::ExitStatus, sync::Arc, time::Duration};

use gastown_wire::exit;
use nix::sys::signal::Signal;
use tokio::{
    signal::unix::{Signal as SignalStream, SignalKind, signal},
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::{
    link::{Ended, FromCourier, FromRun},
    processes,
    setup::Pod,
};
use agent::{Agent, StartError};
use courier::Courier;
use watch::{Noticed, Watch};

/// Courier pushes until ten minutes after the end; a little longer, and it is not coming.
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
    let end = match Agent::start(&pod, &command) {
        Ok(agent) => {
            tracing::info!(
                "started {} (round {}, attempt {})",
                name_of(&command),
                pod.orders.round,
                pod.orders.attempt
            );
            attend(&pod, agent, &mut courier, &mut term).await
        }
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
            return BROKEN;
        }
    };
    match end {
        End::Agent(ended) => deliver(ended, &mut courier).await,
        End::Fenced => {
            tracing::warn!("a newer attempt holds the record: the agent was ended");
            exit::FENCED
        }
        End::Alone => {
            tracing::error!("courier did not come back: the agent was ended");
            BROKEN
        }
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

/// Stays with the agent until it ended and so did everything it started.
async fn attend(pod: &Pod, mut agent: Agent, courier: &mut Courier, term: &mut SignalStream) -> End {
    let watch = Arc::new(Mutex::new(Watch::of(pod, &agent)));
    let interval = Duration::from_millis(pod.orders.pace.push_interval_ms.max(50));
    let (mut noticed, ticker) = watch::keep_looking(Arc::clone(&watch), interval);
    let mut orphans = signal(SignalKind::child()).ok();
    let mut stopping: Option<Instant> = None;
    let mut end = None;
    let status = loop {
        let grace_over = stopping.unwrap_or_else(Instant::now);
        tokio::select! {
            status = agent.ended() => break status.ok(),
            () = child_signal(&mut orphans) => {
                // While a look is under way its commands are ours to await; the look buries afterwards.
                if let Ok(_quiet) = watch.try_lock() {
                    processes::reap_orphans(Some(agent.pid));
                }
            }
            Some(what) = noticed.recv() => courier.say(what.into()).await,
            word = courier.word() => match word {
                Some(FromCourier::Nudge { text }) => nudge(pod, &text),
                Some(FromCourier::Go | FromCourier::Delivered) => {}
                Some(FromCourier::Stop) => { end = Some(End::Fenced); break None }
                None => { end = Some(End::Alone); break None }
            },
            _ = term.recv(), if stopping.is_none() => {
                let grace = Duration::from_secs(pod.orders.pace.agent_grace_s);
                tracing::info!("told to stop: the agent has {} s", grace.as_secs());
                processes::signal_group(agent.pid, Signal::SIGTERM);
                stopping = Some(Instant::now() + grace);
            }
            () = tokio::time::sleep_until(grace_over), if stopping.is_some() => break None,
        }
    };
    ticker.abort();
    let _ = ticker.await;
    let (killed, left) = processes::kill_all().await;
    if killed > 0 {
        tracing::info!("ended {killed} processes the agent had left behind");
    }
    if left > 0 {
        tracing::warn!("{left} processes cannot be killed (in the kernel)");
    }
    let status = match status {
        Some(status) => Some(status),
        None => timeout(Duration::from_secs(5), agent.ended())
            .await
            .ok()
            .and_then(Result::ok),
    };
    agent.drain().await;
    match end {
        Some(end) => end,
        None => End::Agent(last_look(&watch, status, stopping.is_some()).await),
    }
}

/// The word about the agent's end, with the workspace as nobody will change it any more.
async fn last_look(watch: &Mutex<Watch>, status: Option<ExitStatus>, stopped: bool) -> Ended {
    let exit = status.map(|s| s.code().unwrap_or_else(|| 128 + s.signal().unwrap_or(0)));
    let mut ended = Ended {
        exit,
        stopped,
        ..Ended::default()
    };
    match watch.lock().await.last().await {
        Ok(look) => {
            ended.dirty = look.dirty;
            ended.branch = look.branch;
        }
        Err(error) => {
            // Unreadable is not clean: what cannot be looked at was not left in order.
            tracing::error!("the workspace cannot be read: {error}");
            ended.dirty = 1;
            ended.detail = format!("the workspace cannot be read: {error}")
                .chars()
                .take(400)
                .collect();
        }
    }
    let how = exit.map_or_else(
        || "was killed".to_owned(),
        |code| format!("ended with exit code {code}"),
    );
    tracing::info!(
        "the agent {how}; {} uncommitted files; on {}",
        ended.dirty,
        ended.branch
    );
    ended
}

/// Tells courier, and waits until it says that the outcome stands.
async fn deliver(ended: Ended, courier: &mut Courier) -> i32 {
    courier.say(FromRun::Ended(ended)).await;
    let heard = timeout(DELIVERY, async {
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

/// Leaves a message where the agent was told to look.
fn nudge(pod: &Pod, text: &str) {
    tracing::info!("nudged: {text}");
    let page = pod.shared("nudges.md");
    let written = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&page)
        .and_then(|mut file| writeln!(file, "{text}\n"));
    if let Err(error) = written {
        tracing::warn!("{}: {error}", page.display());
    }
}

async fn child_signal(stream: &mut Option<SignalStream>) {
    if let Some(stream) = stream
        && stream.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}

impl From<Noticed> for FromRun {
    fn from(noticed: Noticed) -> Self {
        match noticed {
            Noticed::Activity => Self::Activity,
            Noticed::Progress => Self::Progress,
        }
    }
}
