//! `run`'s end of the line: finds courier by its invitation, and finds it again after a restart.

use std::{path::PathBuf, time::Duration};

use tokio::{sync::mpsc, time::Instant};

use crate::{
    link::{FromCourier, FromRun, Invitation, Line},
    setup::Pod,
};

/// How often the invitation is looked for. It is a file: there is no event to wait for in every runtime.
const LOOK: Duration = Duration::from_millis(50);
/// Courier starts beside us, after its image is there.
const FIRST: Duration = Duration::from_secs(1800);

/// Words to and from courier. A task of its own keeps the line, so that waiting can be interrupted anywhere.
#[derive(Debug)]
pub(crate) struct Courier {
    words: mpsc::Receiver<FromCourier>,
    say: mpsc::Sender<FromRun>,
}

impl Courier {
    /// Starts looking for it.
    pub(crate) fn find(pod: &Pod) -> Self {
        let (send, words) = mpsc::channel(16);
        let (say, said) = mpsc::channel(16);
        let keeper = Keeper {
            link_file: pod.link_file(),
            patience: Duration::from_secs(pod.orders.pace.stuck_after_s.max(60)),
            last_word: None,
        };
        tokio::spawn(keeper.keep(send, said));
        Self { words, say }
    }

    /// The next word; `None` when courier did not come back.
    pub(crate) async fn word(&mut self) -> Option<FromCourier> {
        self.words.recv().await
    }

    /// Says a word. [`FromRun::Ended`] is repeated to a courier that comes back, anything else may be lost.
    pub(crate) async fn say(&self, word: FromRun) {
        // Whoever waits for a word learns that the line is gone for good.
        let _ = self.say.send(word).await;
    }
}

struct Keeper {
    link_file: PathBuf,
    patience: Duration,
    last_word: Option<FromRun>,
}

impl Keeper {
    async fn keep(mut self, send: mpsc::Sender<FromCourier>, mut said: mpsc::Receiver<FromRun>) {
        let mut patience = FIRST;
        while let Some(mut line) = self.join(patience, &mut said).await {
            patience = self.patience;
            if let Some(last) = &self.last_word
                && line.say(last).await.is_err()
            {
                continue;
            }
            loop {
                tokio::select! {
                    word = line.next() => match word {
                        Some(word) => if send.send(word).await.is_err() { return },
                        None => break,
                    },
                    word = said.recv() => match word {
                        Some(word) => {
                            self.remember(&word);
                            if line.say(&word).await.is_err() { break }
                        }
                        None => return,
                    },
                }
            }
            tracing::warn!("courier went away; waiting for it to come back");
        }
    }

    /// Waits for an invitation and takes it.
    async fn join(&mut self, patience: Duration, said: &mut mpsc::Receiver<FromRun>) -> Option<Line<FromCourier>> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            match Invitation::take(&self.link_file) {
                Ok(Some(invitation)) => match Line::join(&invitation).await {
                    Ok(line) => return Some(line),
                    // Left by a courier that is gone: the next one leaves its own.
                    Err(error) => tracing::debug!("an old invitation: {error}"),
                },
                Ok(None) => {}
                Err(error) => tracing::warn!("{}: {error}", self.link_file.display()),
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                word = said.recv() => self.remember(&word?),
            }
        }
        None
    }

    fn remember(&mut self, word: &FromRun) {
        if matches!(word, FromRun::Ended(_)) {
            self.last_word = Some(word.clone());
        }
    }
}
