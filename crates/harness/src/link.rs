//! The line between `run` and `courier`: JSON lines over loopback, opened with a one-use key.
//!
//! ```text
//! run ── Hello{key} ─────────────▶ courier     first line; anything else closes the line
//! run ◀── Go ──────────────────── courier     the agent may start
//! run ── Activity, Progress ─────▶ courier     while it runs
//! run ◀── Nudge, Stop ─────────── courier
//! run ── Ended ──────────────────▶ courier     after every process of the agent is dead
//! run ◀── Delivered ───────────── courier     the outcome stands; run may exit 0
//! ```

use std::{io, net::Ipv4Addr, path::Path};

use gastown_wire::{CredentialProblem, Tokens};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::mpsc,
};

use crate::files;

/// No line is longer: the agent's side is not trusted to be short. Bytes.
const LINE_LIMIT: u64 = 64 * 1024;

/// What `run` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "camelCase")]
pub enum FromRun {
    /// The first line.
    Hello {
        /// From the link file.
        key: String,
    },
    /// The agent printed something or used the processor.
    Activity,
    /// Refs of the agent's repository moved or files changed.
    Progress,
    /// The agent ended and so did all it started.
    Ended(Ended),
}

/// How the agent ended, and what the workspace looked like after the last process was gone. A word of the
/// agent's side: courier proves from its own repository what can be proven.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ended {
    /// Exit code; 128 + n for signal n; none where it never started.
    pub exit: Option<i32>,
    /// The program that was not found or not executable.
    pub missing: Option<String>,
    /// It was told to stop because the pod is going.
    pub stopped: bool,
    /// What its stream says, where that is more than its exit code.
    pub said: Said,
    /// Tokens, where it tells.
    pub tokens: Option<Tokens>,
    /// Millionths of a dollar, where it reckons them.
    pub cost_micros: Option<u64>,
    /// Uncommitted files.
    pub dirty: u32,
    /// The branch that was checked out; empty when detached.
    pub branch: String,
    /// For people.
    pub detail: String,
}

/// What an agent's stream says of its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Said {
    /// Nothing that its exit code does not say.
    #[default]
    Nothing,
    /// It failed, whatever its exit code.
    Failure,
    /// The provider takes no more until then. Seconds since 1970.
    Limit(i64),
    /// It cannot prove who pays.
    Credential(CredentialProblem),
    /// What it may spend is spent.
    Budget,
}

/// What `courier` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "camelCase")]
pub enum FromCourier {
    /// Courier holds the record; the agent may start.
    Go,
    /// A message for the agent.
    Nudge {
        /// Its text.
        text: String,
    },
    /// A newer attempt holds the record: end the agent now.
    Stop,
    /// The outcome stands.
    Delivered,
}

/// Content of the link file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Port on 127.0.0.1.
    pub port: u16,
    /// Valid for one connection.
    pub key: String,
}

impl Invitation {
    /// A fresh key for a port.
    #[must_use]
    pub fn new(port: u16) -> Self {
        Self {
            port,
            key: uuid::Uuid::new_v4().simple().to_string(),
        }
    }

    /// Leaves the invitation where `run` looks for it.
    ///
    /// # Errors
    /// When the shared folder cannot be written.
    pub fn post(&self, path: &Path) -> io::Result<()> {
        files::replace(path, &serde_json::to_vec(self)?, 0o600)
    }

    /// Reads the invitation if there is one. It stays: who removed it could remove the one after it, posted
    /// meanwhile, or die before saying the key, and no other would ever come. Its key opens the door once.
    ///
    /// # Errors
    /// When it is there but cannot be read.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// One end of the line: words of type `In` arrive on a channel that closes when the line does.
#[derive(Debug)]
pub struct Line<In> {
    words: mpsc::Receiver<In>,
    writer: OwnedWriteHalf,
}

impl<In: DeserializeOwned + Send + 'static> Line<In> {
    /// Starts reading a connected stream.
    #[must_use]
    pub fn over(stream: TcpStream) -> Self {
        // Words are tiny and each one matters now.
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        let (send, words) = mpsc::channel(64);
        tokio::spawn(read_words(reader, send));
        Self { words, writer }
    }

    /// The next word; `None` when the line is gone.
    pub async fn next(&mut self) -> Option<In> {
        self.words.recv().await
    }

    /// Sends a word.
    ///
    /// # Errors
    /// When the line is gone.
    pub async fn say(&mut self, word: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(word)?;
        text.push(b'\n');
        self.writer.write_all(&text).await
    }
}

impl Line<FromCourier> {
    /// Accepts an invitation: connects and says the key.
    ///
    /// # Errors
    /// When nobody listens there any more.
    pub async fn join(invitation: &Invitation) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, invitation.port)).await?;
        let mut line = Self::over(stream);
        line.say(&FromRun::Hello {
            key: invitation.key.clone(),
        })
        .await?;
        Ok(line)
    }
}

/// Reads until the end, or until something that is no word.
async fn read_words<In: DeserializeOwned>(reader: OwnedReadHalf, send: mpsc::Sender<In>) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LINE_LIMIT).read_until(b'\n', &mut line).await {
            Ok(n) if n > 0 && line.ends_with(b"\n") => {}
            _ => return,
        }
        let Ok(word) = serde_json::from_slice(&line) else {
            return;
        };
        if send.send(word).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn pair() -> (Line<FromRun>, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Line::over(listener.accept().await.unwrap().0), stream)
    }

    #[tokio::test]
    async fn words_arrive_in_order_and_the_end_is_seen() {
        let (mut courier, stream) = pair().await;
        let mut run: Line<FromCourier> = Line::over(stream);
        let ended = Ended {
            exit: Some(3),
            detail: "line one\nline \"two\" 🦀".into(),
            ..Ended::default()
        };
        run.say(&FromRun::Activity).await.unwrap();
        run.say(&FromRun::Ended(ended.clone())).await.unwrap();
        drop(run);
        assert_eq!(courier.next().await, Some(FromRun::Activity));
        assert_eq!(courier.next().await, Some(FromRun::Ended(ended)));
        assert_eq!(courier.next().await, None);
    }

    #[tokio::test]
    async fn a_line_that_is_no_word_or_has_no_end_closes_the_line() {
        let (mut courier, mut stream) = pair().await;
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert_eq!(courier.next().await, None);

        let (mut courier, mut stream) = pair().await;
        let endless = vec![b'x'; LINE_LIMIT as usize + 10];
        // The other side may hang up before all of it is written.
        let _ = stream.write_all(&endless).await;
        assert_eq!(courier.next().await, None);
    }

    #[test]
    fn an_invitation_is_there_for_whoever_comes_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("link");
        assert_eq!(Invitation::read(&path).unwrap(), None);
        for port in [4711, 4712] {
            let invitation = Invitation::new(port);
            invitation.post(&path).unwrap();
            for _ in 0..2 {
                assert_eq!(Invitation::read(&path).unwrap().as_ref(), Some(&invitation));
            }
        }
    }
}
