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
        Self::at(
            pod.link_file(),
            Duration::from_secs(pod.orders.pace.stuck_after_s.max(60)),
        )
    }

    fn at(link_file: PathBuf, patience: Duration) -> Self {
        let (send, words) = mpsc::channel(16);
        let (say, said) = mpsc::channel(16);
        let keeper = Keeper {
            link_file,
            patience,
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
        let mut deadline = Instant::now() + FIRST;
        while let Some(line) = self.join(deadline, &mut said).await {
            let mut heard = false;
            if self.talk(line, &send, &mut said, &mut heard).await.is_none() {
                return;
            }
            if heard {
                tracing::warn!("courier went away; waiting for it to come back");
                deadline = Instant::now() + self.patience;
            } else {
                // Nobody's line, or its key is used up: the invitation may be there for long.
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Passes words on until the line is gone; `None` when nobody waits for words any more.
    async fn talk(
        &mut self,
        mut line: Line<FromCourier>,
        send: &mpsc::Sender<FromCourier>,
        said: &mut mpsc::Receiver<FromRun>,
        heard: &mut bool,
    ) -> Option<()> {
        if let Some(last) = &self.last_word
            && line.say(last).await.is_err()
        {
            return Some(());
        }
        loop {
            tokio::select! {
                word = line.next() => match word {
                    Some(word) => {
                        *heard = true;
                        send.send(word).await.ok()?;
                    }
                    None => return Some(()),
                },
                word = said.recv() => {
                    let word = word?;
                    self.remember(&word);
                    if line.say(&word).await.is_err() {
                        return Some(());
                    }
                }
            }
        }
    }

    /// Waits for an invitation and accepts it.
    async fn join(&mut self, deadline: Instant, said: &mut mpsc::Receiver<FromRun>) -> Option<Line<FromCourier>> {
        while Instant::now() < deadline {
            match Invitation::read(&self.link_file) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::courier::Door;

    #[tokio::test]
    async fn who_dies_with_the_invitation_in_hand_keeps_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("link");
        let mut door = Door::open(file.clone()).await.unwrap();
        // The first run's container dies before it has said the key.
        Invitation::read(&file).unwrap().unwrap();
        let mut run = Courier::at(file, FIRST);
        door.caller().await.say(&FromCourier::Go).await.unwrap();
        assert_eq!(run.word().await, Some(FromCourier::Go));
    }

    #[tokio::test]
    async fn a_used_key_is_passed_over_until_a_fresh_one_comes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("link");
        let mut door = Door::open(file.clone()).await.unwrap();
        let used = Line::join(&Invitation::read(&file).unwrap().unwrap()).await.unwrap();
        drop((used, door.caller().await));
        let mut run = Courier::at(file, FIRST);
        door.invite().await;
        door.caller().await.say(&FromCourier::Go).await.unwrap();
        assert_eq!(run.word().await, Some(FromCourier::Go));
    }
}
