//! How a scenario and its agents speak: agents know git, so they ask this server for refs of a path that is a word.
//!
//! `say WORD` tells the scenario; `await WORD` ends when the scenario has raised the word. Works wherever pods reach
//! this process, however they are isolated.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// How long one question is held open; who asks asks again.
const HELD: Duration = Duration::from_secs(10);

/// Shell functions of an agent.
const WORDS: &str = r#"say() { git ls-remote "$SIGNPOST/say/$1" > /dev/null 2>&1 || true; }
await() { until git ls-remote "$SIGNPOST/await/$1" > /dev/null 2>&1; do sleep 0.1; done; }
"#;

#[derive(Default)]
struct Board {
    said: HashSet<String>,
    raised: HashSet<String>,
}

/// The server, and what was said.
#[derive(Clone)]
pub(crate) struct Signpost {
    address: SocketAddr,
    board: Arc<(Mutex<Board>, Condvar)>,
}

impl Signpost {
    /// Serves until this process ends.
    pub(crate) fn serve(host: IpAddr) -> Self {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let signpost = Self {
            address: listener.local_addr().unwrap(),
            board: Arc::default(),
        };
        let board = signpost.board.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let board = board.clone();
                // One that asks badly or leaves is no matter of ours.
                std::thread::spawn(move || answer(&stream, &board));
            }
        });
        signpost
    }

    /// What an agent's script begins with: words are of that scene alone.
    pub(crate) fn words(&self, scene: &str) -> String {
        format!("SIGNPOST=http://{}/{scene}\n{WORDS}", self.address)
    }

    /// Whether an agent has said that word.
    pub(crate) fn was_said(&self, scene: &str, word: &str) -> bool {
        self.board.0.lock().unwrap().said.contains(&format!("{scene}/{word}"))
    }

    /// Lets whoever awaits that word go on.
    pub(crate) fn raise(&self, scene: &str, word: &str) {
        self.board.0.lock().unwrap().raised.insert(format!("{scene}/{word}"));
        self.board.1.notify_all();
    }
}

/// `GET /SCENE/say|await/WORD/info/refs?...`
fn answer(stream: &TcpStream, board: &(Mutex<Board>, Condvar)) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    for line in lines.by_ref() {
        if line.ok()?.is_empty() {
            break;
        }
    }
    // After the refs git asks for HEAD, which there is none of.
    let path = first.split_whitespace().nth(1)?.split_once("/info/refs").map(|p| p.0);
    let path = path.unwrap_or_default().to_owned();
    let mut parts = path.trim_start_matches('/').split('/');
    let (scene, verb, word) = (
        parts.next()?,
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let word = format!("{scene}/{word}");
    let mut held = board.0.lock().ok()?;
    let yes = match verb {
        "say" => {
            held.said.insert(word);
            true
        }
        "await" => {
            let waited = board.1.wait_timeout_while(held, HELD, |b| !b.raised.contains(&word));
            held = waited.ok()?.0;
            held.raised.contains(&word)
        }
        _ => false,
    };
    drop(held);
    let (status, body) = match yes {
        true => ("200 OK", format!("{}\trefs/heads/yes\n", "1".repeat(40))),
        false => ("404 Not Found", String::new()),
    };
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .ok()
}
