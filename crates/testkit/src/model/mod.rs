//! A scripted model: an endpoint that real coding agents believe in. Anthropic Messages and OpenAI Chat Completions,
//! streamed and plain, with tool calls and faults. What it says is decided before; what it is asked is kept.
//!
//! A conversation is scripted as turns: [`Turn::Shell`] asks the agent's shell tool to run a command, [`Turn::Say`] ends
//! the turn. Requests without tools (titles, commit messages) are answered beside the script. How far a conversation is
//! says the request itself, by what it holds since the newest words of the user: so a conversation that is resumed goes
//! on with its next script, and parallel ones do not disturb each other.

mod fault;
mod speak;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Request as HttpRequest, State},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use tokio::{net::TcpListener, task::JoinHandle};

pub use fault::Fault;

/// Largest request that is read. Bytes.
const LARGEST: usize = 64 * 1024 * 1024;
/// What each answer claims to have used.
pub const USAGE: (u64, u64) = (100, 20);

/// What the model does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Calls the shell tool.
    Shell(String),
    /// Says something and ends the turn. An agent without tools finds its edits in it.
    Say(String),
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Path and query.
    pub path: String,
    /// The credential, with its header's name.
    pub credential: String,
    /// The body.
    pub body: Value,
    /// When.
    pub at: Instant,
}

impl Asked {
    /// All text in it, for looking whether something was said.
    #[must_use]
    pub fn text(&self) -> String {
        self.body["messages"].to_string() + &self.body["system"].to_string()
    }

    /// Whether it belongs to the work: titles and the like offer no tool.
    #[must_use]
    pub fn offers_tools(&self) -> bool {
        self.body["tools"].as_array().is_some_and(|t| !t.is_empty())
    }
}

#[derive(Debug, Default)]
struct Script {
    /// One a prompt of the user, in order; the last one stays.
    turns: VecDeque<Vec<Turn>>,
    /// For requests without tools.
    aside: String,
    /// For the next requests, one each; then none.
    faults: VecDeque<Fault>,
    /// For all requests after those.
    always: Option<Fault>,
    asked: Vec<Asked>,
}

/// A model that listens.
#[derive(Debug)]
pub struct Model {
    /// Where.
    pub addr: SocketAddr,
    script: Arc<Mutex<Script>>,
    task: JoinHandle<()>,
}

impl Drop for Model {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Model {
    /// Listens on loopback and answers each prompt with these turns.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(turns: Vec<Turn>) -> io::Result<Self> {
        Self::bind(SocketAddr::from(([127, 0, 0, 1], 0)), turns).await
    }

    /// Listens anywhere: on a bridge, for pods.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn bind(addr: SocketAddr, turns: Vec<Turn>) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let script = Arc::new(Mutex::new(Script {
            turns: VecDeque::from([turns]),
            aside: "A title".into(),
            ..Script::default()
        }));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&script));
        let task = tokio::spawn(async move {
            // It ends with the process or by Drop.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { addr, script, task })
    }

    /// Base URL without `/v1`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        lock(&self.script)
    }

    /// From now on every prompt is answered with these turns, whatever came before: agents differ in what a conversation
    /// still holds after its end was lost.
    pub fn instead(&self, turns: Vec<Turn>) {
        self.script().turns = VecDeque::from([turns]);
    }

    /// The next prompt in a conversation is answered with these turns.
    pub fn then(&self, turns: Vec<Turn>) {
        self.script().turns.push_back(turns);
    }

    /// What requests without tools are answered.
    pub fn aside(&self, text: &str) {
        text.clone_into(&mut self.script().aside);
    }

    /// The next request fails so.
    pub fn fail_once(&self, fault: Fault) {
        self.script().faults.push_back(fault);
    }

    /// Every request fails so, until told otherwise.
    pub fn fail(&self, fault: Option<Fault>) {
        self.script().always = fault;
    }

    /// Everything asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.script().asked.clone()
    }
}

fn lock(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request.
async fn answer(State(script): State<Arc<Mutex<Script>>>, request: HttpRequest) -> Response {
    let path = request.uri().to_string();
    if request.method() != "POST" {
        return Json(json!({"object": "list", "data": [{"id": "scripted", "object": "model"}]})).into_response();
    }
    let credential = ["x-api-key", "authorization"].iter().find_map(|name| {
        let value = request.headers().get(*name)?.to_str().ok()?;
        Some(format!("{name}: {value}"))
    });
    let body = axum::body::to_bytes(request.into_body(), LARGEST).await;
    let body: Value = serde_json::from_slice(&body.unwrap_or_else(|_| Bytes::new())).unwrap_or_default();
    if path.contains("count_tokens") {
        return Json(json!({"input_tokens": 10})).into_response();
    }
    let asked = Asked {
        path,
        credential: credential.unwrap_or_default(),
        body,
        at: Instant::now(),
    };
    let (fault, turn) = {
        let mut script = lock(&script);
        script.asked.push(asked.clone());
        let fault = script.faults.pop_front().or_else(|| script.always.clone());
        (fault, next_turn(&script, &asked))
    };
    let said = speak::Said::of(&asked, turn);
    match (fault, said) {
        (Some(fault), said) => fault.answer(said).await,
        (None, Some(said)) => said.answer(),
        (None, None) => axum::http::StatusCode::NOT_FOUND.into_response(),
    }
}

/// What comes next in the conversation that a request holds.
fn next_turn(script: &Script, asked: &Asked) -> Turn {
    let aside = || Turn::Say(script.aside.clone());
    let messages = asked.body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    // Several messages of the user in a row are one prompt.
    let follows = |at: usize| at > 0 && messages.get(at - 1).is_some_and(is_prompt);
    let prompts = (0..messages.len()).filter(|at| messages.get(*at).is_some_and(is_prompt) && !follows(*at));
    let prompts = prompts.count().max(1);
    let newest = messages.iter().rposition(is_prompt).unwrap_or(0);
    let since = messages.get(newest..).unwrap_or_default();
    let done = since.iter().filter(|m| is_tool_result(m)).count();
    let turns = script.turns.get(prompts - 1).or_else(|| script.turns.back());
    let shell = speak::shell_tool(&asked.body);
    match turns.and_then(|turns| turns.get(done).or_else(|| turns.last())) {
        // What is asked beside the work, by agents that have tools.
        Some(_) if shell.is_none() && turns.is_some_and(|t| matches!(t.first(), Some(Turn::Shell(_)))) => aside(),
        Some(turn) => turn.clone(),
        None => aside(),
    }
}

fn blocks(message: &Value) -> impl Iterator<Item = &Value> {
    message["content"].as_array().into_iter().flatten()
}

fn is_tool_result(message: &Value) -> bool {
    message["role"] == "tool" || blocks(message).any(|b| b["type"] == "tool_result")
}

/// Words of the user, not a tool's.
fn is_prompt(message: &Value) -> bool {
    message["role"] == "user" && !is_tool_result(message)
}
