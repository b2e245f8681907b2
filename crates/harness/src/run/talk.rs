//! The agent's conversation: found or put back before it starts, packed while it works.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use gastown_wire::{RecordLevel, Transcript};

use super::agent::Environment;
use crate::{
    conversation::{self, Conversation, Head},
    files,
    setup::Pod,
    transcript::line::Secrets,
};

/// Longest an agent may take to move a conversation to another folder.
const MOVE: Duration = Duration::from_secs(120);

/// Where the conversation lies, and what it is called.
#[derive(Clone, Debug)]
pub(super) struct Talk {
    home: PathBuf,
    packed: PathBuf,
    cwd: String,
    names: Vec<String>,
    kind: String,
    transcript: Transcript,
    program: String,
    /// Packed and carried.
    pub(super) kept: bool,
    pub(super) session: String,
    /// What was packed last: stamps of its parts.
    stamps: Vec<Option<Stamp>>,
}

type Stamp = (std::time::SystemTime, u64);

impl Talk {
    pub(super) fn of(pod: &Pod) -> Self {
        let o = &pod.orders;
        let workspace = fs::canonicalize(pod.workspace()).unwrap_or_else(|_| pod.workspace());
        Self {
            home: PathBuf::from(&o.paths.home),
            packed: pod.shared(conversation::FILE),
            cwd: workspace.display().to_string(),
            names: o.agent.conversation.clone(),
            kind: o.agent.kind.clone(),
            transcript: o.agent.transcript,
            program: o.agent.command.first().cloned().unwrap_or_default(),
            kept: o.record == RecordLevel::Conversation && !o.agent.conversation.is_empty(),
            session: o.subject.uid.clone(),
            stamps: Vec::new(),
        }
    }

    /// Where its parts lie below home.
    fn parts(&self) -> Vec<String> {
        let folded: String = self
            .cwd
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        self.names
            .iter()
            .map(|name| name.replace("{cwd}", &folded).replace("{session}", &self.session))
            .collect()
    }

    fn session_file(&self) -> PathBuf {
        self.home.join(".gastown/session")
    }

    /// The name the agent gave it.
    pub(super) fn named(&mut self, session: &str) {
        if self.session != session && !session.is_empty() {
            session.clone_into(&mut self.session);
            if let Err(error) = files::replace(&self.session_file(), session.as_bytes(), 0o600) {
                tracing::warn!("the session's name cannot be kept: {error}");
            }
        }
    }

    /// Whether there is one that can go on: from before this container started again, or from an earlier attempt.
    pub(super) async fn find(&mut self, env: &Environment) -> bool {
        if self.names.is_empty() {
            return false;
        }
        if let Ok(session) = fs::read_to_string(self.session_file()) {
            self.session = session;
        }
        if self.is_there() {
            return true;
        }
        let talk = match conversation::read(&self.packed) {
            Ok(bytes) => bytes
                .and_then(|b| Conversation::unpack(&b))
                .filter(|t| t.head.agent == self.kind),
            Err(error) => {
                tracing::warn!("the earlier conversation cannot be read: {error}");
                None
            }
        };
        let Some(talk) = talk else { return false };
        let old_cwd = talk.head.cwd.clone();
        self.named(&talk.head.session);
        if let Err(error) = self.unpack(talk) {
            tracing::warn!("the earlier conversation cannot be put back: {error}");
            return false;
        }
        if self.transcript == Transcript::Opencode && old_cwd != self.cwd {
            // It would work in the old folder, and never end.
            return self.move_here(&old_cwd, env).await;
        }
        self.is_there()
    }

    fn is_there(&self) -> bool {
        self.parts().first().is_some_and(|p| self.home.join(p).is_file())
    }

    fn unpack(&self, talk: Conversation) -> io::Result<()> {
        // The same names here: the folder in them may be another one.
        for (name, bytes) in self.parts().iter().zip(talk.parts) {
            if !conversation::is_below(name) {
                return Err(io::Error::other("its session has no plain name"));
            }
            let path = self.home.join(name);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            files::replace(&path, &bytes, 0o600)?;
        }
        Ok(())
    }

    /// Forgets it: the agent could not go on with it.
    pub(super) fn forget(&self) {
        for part in self.parts().iter().filter(|p| conversation::is_below(p)) {
            // What stays is found to be in use by the agent, which says so.
            let _ = files::remove(&self.home.join(part));
        }
        let _ = files::remove(&self.session_file());
    }

    /// opencode fetches a package of its own version into an empty home at every start, from the public registry, and swallows signals
    /// meanwhile. What looks installed it leaves alone.
    pub(super) async fn quieten(&self, env: &Environment) {
        let folder = self.home.join(".config/opencode");
        if self.transcript != Transcript::Opencode || folder.join("package.json").exists() {
            return;
        }
        let version = match self.ask(env, &["--version"]).await {
            Ok(text) => String::from_utf8_lossy(&text).trim().to_owned(),
            Err(error) => return tracing::debug!("{} does not say its version: {error}", self.program),
        };
        let needs = serde_json::json!({"dependencies": {"@opencode-ai/plugin": version}});
        let lock = serde_json::json!({"lockfileVersion": 3, "packages": {"": needs}});
        let written = fs::create_dir_all(folder.join("node_modules"))
            .and_then(|()| files::replace(&folder.join("package.json"), needs.to_string().as_bytes(), 0o600))
            .and_then(|()| files::replace(&folder.join("package-lock.json"), lock.to_string().as_bytes(), 0o600));
        if let Err(error) = written {
            tracing::debug!("{}: {error}", folder.display());
        }
    }

    /// opencode: exported, its folder rewritten, imported.
    async fn move_here(&self, old_cwd: &str, env: &Environment) -> bool {
        let moved = async {
            let exported = self.ask(env, &["export", &self.session]).await?;
            let text = String::from_utf8(exported).map_err(io::Error::other)?;
            let path = self.home.join(".gastown/moved.json");
            files::replace(&path, text.replace(old_cwd, &self.cwd).as_bytes(), 0o600)?;
            for part in self.parts() {
                files::remove(&self.home.join(part))?;
            }
            self.ask(env, &["import", &path.display().to_string()]).await?;
            io::Result::Ok(())
        };
        match moved.await {
            Ok(()) => self.is_there(),
            Err(error) => {
                tracing::warn!("the earlier conversation cannot be moved here: {error}");
                self.forget();
                false
            }
        }
    }

    async fn ask(&self, env: &Environment, arguments: &[&str]) -> io::Result<Vec<u8>> {
        #[expect(clippy::disallowed_types, reason = "the agent moves its own conversation")]
        let mut ask = tokio::process::Command::new(&self.program);
        ask.args(arguments)
            .env_clear()
            .envs(env)
            .current_dir(&self.cwd)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(MOVE, ask.output())
            .await
            .map_err(io::Error::other)??;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(io::Error::other(format!("{} {arguments:?} failed", self.program))),
        }
    }

    /// Packs it for courier, if it has changed.
    pub(super) fn pack(&mut self, secrets: &Secrets) {
        // opencode names its session itself, in its first word: a conversation without that name could not be found again.
        let nameless = self.transcript == Transcript::Opencode && !self.session_file().is_file();
        if !self.kept || nameless {
            return;
        }
        let stamps = self.stamps_now();
        if stamps == self.stamps || stamps.first().is_none_or(Option::is_none) {
            return;
        }
        let mut talk = Conversation {
            head: Head {
                session: self.session.clone(),
                agent: self.kind.clone(),
                cwd: self.cwd.clone(),
                parts: Vec::new(),
            },
            parts: Vec::new(),
        };
        for name in self.parts() {
            let Ok(bytes) = fs::read(self.home.join(&name)) else {
                continue;
            };
            let bytes = match String::from_utf8(bytes) {
                Ok(text) => secrets.hide(&text).into_bytes(),
                Err(error) if secrets.are_in(error.as_bytes()) => {
                    tracing::warn!("the conversation holds a credential and is not kept");
                    self.stamps = stamps;
                    return;
                }
                Err(error) => error.into_bytes(),
            };
            talk.head.parts.push((name, bytes.len()));
            talk.parts.push(bytes);
        }
        // A database whose file changed meanwhile does not fit its log: the next look takes both.
        if self.stamps_now().first() != stamps.first() {
            return;
        }
        let packed = talk.pack();
        if packed.len() > conversation::LIMIT {
            tracing::warn!("the conversation is larger than is kept");
            self.stamps = stamps;
            return;
        }
        match files::replace(&self.packed, &packed, 0o644) {
            Ok(()) => self.stamps = stamps,
            Err(error) => tracing::warn!("the conversation cannot be kept: {error}"),
        }
    }

    fn stamps_now(&self) -> Vec<Option<Stamp>> {
        let stamp = |path: &Path| {
            let meta = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
            Some((meta.modified().ok()?, meta.len()))
        };
        self.parts().iter().map(|p| stamp(&self.home.join(p))).collect()
    }
}
