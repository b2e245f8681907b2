//! With the agent from its start to its end: what it hears, when it is ended, and what its end comes to.

use std::{fs, io::Write as _, os::unix::process::ExitStatusExt as _, process::ExitStatus, sync::Arc, time::Duration};

use gastown_wire::{CredentialProblem, Tokens, Transcript};
use nix::sys::signal::Signal;
use tokio::{
    signal::unix::{Signal as SignalStream, SignalKind, signal},
    sync::Mutex,
    time::{Instant, sleep_until, timeout},
};

use super::{
    End,
    agent::{Agent, Environment, StartError},
    courier::Courier,
    home,
    scribe::Desk,
    tab::Tab,
    talk::Talk,
    watch::{self, Watch},
};
use crate::{
    link::{Ended, FromCourier, Said},
    processes, prompt,
    setup::Pod,
    transcript::{Event, Word},
};

/// A conversation that is under way is packed at most this often.
const PACKED: Duration = Duration::from_secs(5);
/// Between SIGINT, after which an agent ends its own tools, and SIGTERM.
const INTERRUPTED: Duration = Duration::from_secs(5);
/// What a look under way gets to end by itself. It takes a moment where nothing is wrong.
const LOOK: Duration = Duration::from_secs(10);

/// One run of the agent.
pub(super) struct Run<'a> {
    pub(super) pod: &'a Pod,
    pub(super) env: Environment,
    pub(super) talk: Talk,
    pub(super) tab: Tab,
}

/// Why an agent is being ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// The pod goes.
    Pod,
    /// It has spent what it may.
    Budget,
    /// Nothing was seen of it for too long.
    Idle,
    /// It would only wait.
    Over,
}

/// An agent that is being ended.
#[derive(Clone, Copy, Debug)]
struct Stopping {
    why: Why,
    /// SIGTERM is due then, where it was interrupted first.
    term_at: Option<Instant>,
    kill_at: Instant,
}

impl Run<'_> {
    /// Starts it: a new conversation, or the one that is there.
    pub(super) fn start(&mut self, command: &[String], goes_on: bool, desk: &Desk) -> Result<Agent, StartError> {
        let o = &self.pod.orders;
        let setting = |what| move |source| StartError::Setting { what, source };
        let task = fs::read(self.pod.task_file()).map_err(setting("there is no task file"))?;
        let evidence = fs::read_to_string(self.pod.evidence_file())
            .ok()
            .filter(|_| o.evidence.is_some());
        let prompt = prompt::text(
            o.agent.prompt_template.as_deref(),
            prompt::Facts {
                task: &String::from_utf8_lossy(&task),
                branch: &o.work_branch,
                base: &o.remote.branch,
                bead: o.subject.bead.as_deref(),
                evidence: evidence.as_deref(),
                goes_on,
                interrupted: o.attempt > 1,
            },
        );
        crate::files::replace(&self.pod.prompt_file(), prompt.as_bytes(), 0o644)
            .map_err(setting("the prompt cannot be written"))?;
        self.tab.next_run();
        let more = if goes_on { &o.agent.resume } else { &o.agent.start };
        let known = o.agent.transcript != Transcript::Text;
        let words: Vec<String> = command
            .iter()
            .chain(more)
            .map(|w| if known { self.filled(w) } else { w.clone() })
            .collect();
        let agent = Agent::start(self.pod, &words, &self.env, &prompt, desk)?;
        tracing::info!(
            "started {} (round {}, attempt {}){}",
            command.first().map_or("(no command)", String::as_str),
            o.round,
            o.attempt,
            if goes_on { "; its conversation goes on" } else { "" }
        );
        Ok(agent)
    }

    fn filled(&self, word: &str) -> String {
        word.replace("{session}", &self.talk.session)
            .replace("{home}", &self.pod.orders.paths.home)
            .replace("{prompt}", &self.pod.prompt_file().display().to_string())
    }

    /// Stays with the agent until it ended and so did everything it started.
    pub(super) async fn attend(
        &mut self,
        mut agent: Agent,
        desk: &Desk,
        courier: &mut Courier,
        term: &mut SignalStream,
    ) -> End {
        let pace = &self.pod.orders.pace;
        let watch = Arc::new(Mutex::new(Watch::of(self.pod, &agent)));
        let interval = Duration::from_millis(pace.push_interval_ms.max(50));
        let (mut noticed, ticker) = watch::keep_looking(Arc::clone(&watch), interval);
        let mut orphans = signal(SignalKind::child()).ok();
        let mut events = agent.take_events();
        let mut packing = tokio::time::interval(interval.max(PACKED));
        let patience = pace.max_idle_s.map(Duration::from_secs);
        let mut last_sign = Instant::now();
        let mut stopping: Option<Stopping> = None;
        let mut end = None;
        let status = loop {
            let idle_at = patience.map(|p| last_sign + p).filter(|_| stopping.is_none());
            tokio::select! {
                status = agent.ended() => break status.ok(),
                () = child_signal(&mut orphans) => {
                    // While a look is under way its commands are ours to await; the look buries afterwards.
                    if let Ok(_quiet) = watch.try_lock() {
                        processes::reap_orphans(Some(agent.pid));
                    }
                }
                Some(what) = noticed.recv() => {
                    last_sign = Instant::now();
                    courier.say(what.into()).await;
                }
                Some(event) = events.recv() => match event {
                    Event::Session(name) => self.talk.named(&name),
                    Event::Spent(spent) => {
                        self.tab.set(spent);
                        if stopping.is_none() && self.tab.is_over() {
                            tracing::warn!("what may be spent is spent: the agent is ended");
                            stopping = Some(self.stop(&agent, Why::Budget));
                        }
                    }
                    // What it heard meanwhile it answers before it ends.
                    Event::TurnOver => agent.hear_no_more(),
                    Event::Over if stopping.is_none() => {
                        tracing::warn!("it would only wait for its model: the agent is ended");
                        stopping = Some(self.stop(&agent, Why::Over));
                    }
                    _ => {}
                },
                _ = packing.tick() => self.talk.pack(&desk.secrets()),
                word = courier.word() => match word {
                    Some(FromCourier::Nudge { text }) => nudge(self.pod, &agent, &text),
                    Some(FromCourier::Go | FromCourier::Delivered) => {}
                    Some(FromCourier::Stop) => { end = Some(End::Fenced); break None }
                    None => { end = Some(End::Alone); break None }
                },
                _ = term.recv(), if stopping.is_none_or(|s| s.why != Why::Pod) => {
                    tracing::info!("told to stop: the agent has {} s", pace.agent_grace_s);
                    stopping = Some(self.stop(&agent, Why::Pod));
                }
                () = at(idle_at) => {
                    tracing::error!("nothing was seen of the agent for {} s: it is ended", patience.unwrap_or_default().as_secs());
                    stopping = Some(self.stop(&agent, Why::Idle));
                }
                () = at(stopping.and_then(|s| s.term_at)) => {
                    processes::signal_group(agent.pid, Signal::SIGTERM);
                    stopping = stopping.map(|s| Stopping { term_at: None, ..s });
                }
                () = at(stopping.map(|s| s.kill_at)) => break None,
            }
        };
        // A look under way may end: git killed in the middle of it leaves the lock of its ref, and the last look could keep nothing.
        let quiet = timeout(LOOK, watch.lock()).await;
        ticker.abort();
        drop(quiet);
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
        while let Ok(event) = events.try_recv() {
            match event {
                Event::Session(name) => self.talk.named(&name),
                Event::Spent(spent) => self.tab.set(spent),
                _ => {}
            }
        }
        self.talk.pack(&desk.secrets());
        match end {
            Some(end) => end,
            None => End::Agent(self.last_look(&watch, desk, status, stopping.map(|s| s.why)).await),
        }
    }

    /// Begins to end it. SIGINT first where that ends its tools too.
    fn stop(&self, agent: &Agent, why: Why) -> Stopping {
        let grace = Duration::from_secs(self.pod.orders.pace.agent_grace_s);
        let interrupt = self.pod.orders.agent.interrupt;
        processes::signal_group(agent.pid, if interrupt { Signal::SIGINT } else { Signal::SIGTERM });
        Stopping {
            why,
            term_at: interrupt.then(|| Instant::now() + INTERRUPTED.min(grace / 2)),
            kill_at: Instant::now() + grace,
        }
    }

    /// The word about the agent's end, with the workspace as nobody will change it any more.
    async fn last_look(
        &self,
        watch: &Mutex<Watch>,
        desk: &Desk,
        status: Option<ExitStatus>,
        why: Option<Why>,
    ) -> Ended {
        let exit = status.map(|s| s.code().unwrap_or_else(|| 128 + s.signal().unwrap_or(0)));
        let spent = self.tab.total();
        let mut ended = Ended {
            exit,
            stopped: why == Some(Why::Pod),
            tokens: Some(spent.tokens).filter(|t| *t != Tokens::default()),
            cost_micros: spent.micros.filter(|m| *m > 0),
            ..Ended::default()
        };
        let word = match why {
            Some(Why::Budget) => Word::Budget,
            Some(Why::Idle) => Word::Failure(format!(
                "nothing was seen of it for {} s: no output, no work, no running command",
                self.pod.orders.pace.max_idle_s.unwrap_or_default()
            )),
            Some(Why::Pod | Why::Over) | None => desk.word(exit.unwrap_or(137)),
        };
        (ended.said, ended.detail) = match word {
            Word::Success => (Said::Nothing, String::new()),
            // A program of the user's own says it by its exit code.
            Word::Failure(words) if words.is_empty() => (Said::Nothing, words),
            Word::Failure(words) => (Said::Failure, words),
            Word::Limit(until) => (Said::Limit(until), String::new()),
            // A login that ran out under way is refused like any other: it says itself which it was.
            Word::Credential(problem, words) => match home::lacks_credential(self.pod, &self.env) {
                Some((CredentialProblem::Expired, _)) => (Said::Credential(CredentialProblem::Expired), words),
                _ => (Said::Credential(problem), words),
            },
            Word::Budget => (Said::Budget, String::new()),
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
                ended.detail = format!("the workspace cannot be read: {error}");
            }
        }
        ended.detail = desk.secrets().hide(&ended.detail).chars().take(400).collect();
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
}

/// Says it to an agent that listens, and leaves it where any agent was told to look.
fn nudge(pod: &Pod, agent: &Agent, text: &str) {
    let heard = agent.hear(text);
    tracing::info!(
        "nudged{}: {}",
        if heard { ", in its conversation" } else { "" },
        crate::transcript::line::clean(text)
    );
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

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
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
