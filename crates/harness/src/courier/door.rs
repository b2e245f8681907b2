//! Courier's ear: a loopback port that one holder of the current key may join.

use std::{io, net::Ipv4Addr, path::PathBuf, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::link::{FromRun, Invitation, Line};

/// How long a caller gets to say its key.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Accepts callers in a task of its own, so that nobody who waits for one can lose it half way.
#[derive(Debug)]
pub(crate) struct Door {
    lines: mpsc::Receiver<Line<FromRun>>,
    invite: mpsc::Sender<()>,
}

impl Door {
    /// Listens and posts the first invitation.
    pub(crate) async fn open(link_file: PathBuf) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let invitation = Invitation::new(listener.local_addr()?.port());
        invitation.post(&link_file)?;
        let (send, lines) = mpsc::channel(1);
        let (invite, invites) = mpsc::channel(1);
        let keeper = Keeper {
            listener,
            link_file,
            key: Some(invitation.key),
        };
        tokio::spawn(keeper.keep(invites, send));
        Ok(Self { lines, invite })
    }

    /// Posts a fresh invitation: the old key is void.
    pub(crate) async fn invite(&self) {
        // The keeper lives as long as this side does.
        let _ = self.invite.send(()).await;
    }

    /// The next caller who knew the key.
    pub(crate) async fn caller(&mut self) -> Line<FromRun> {
        match self.lines.recv().await {
            Some(line) => line,
            // The keeper ends only with us; waiting for ever leaves the caller to its own deadline.
            None => std::future::pending().await,
        }
    }
}

struct Keeper {
    listener: TcpListener,
    link_file: PathBuf,
    key: Option<String>,
}

impl Keeper {
    async fn keep(mut self, mut invites: mpsc::Receiver<()>, send: mpsc::Sender<Line<FromRun>>) {
        loop {
            tokio::select! {
                invite = invites.recv() => match invite {
                    Some(()) => self.renew(),
                    None => return,
                },
                caller = self.listener.accept() => {
                    let Ok((stream, _)) = caller else { continue };
                    if let Some(line) = self.admit(stream).await
                        && send.send(line).await.is_err()
                    {
                        return;
                    }
                }
            }
        }
    }

    fn renew(&mut self) {
        let posted = self.listener.local_addr().and_then(|address| {
            let invitation = Invitation::new(address.port());
            invitation.post(&self.link_file)?;
            Ok(invitation.key)
        });
        match posted {
            Ok(key) => self.key = Some(key),
            Err(error) => {
                tracing::error!("no invitation can be left for the agent's container: {error}")
            }
        }
    }

    /// A key opens the door once.
    async fn admit(&mut self, stream: TcpStream) -> Option<Line<FromRun>> {
        let mut line = Line::over(stream);
        let said = tokio::time::timeout(HANDSHAKE, line.next()).await.ok()??;
        match said {
            FromRun::Hello { key } if self.key.as_ref() == Some(&key) => {
                self.key = None;
                Some(line)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::FromCourier;

    #[tokio::test]
    async fn a_key_opens_the_door_once_and_a_fresh_one_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("link");
        let mut door = Door::open(file.clone()).await.unwrap();
        let invitation = Invitation::read(&file).unwrap().unwrap();

        let forged = Invitation {
            key: "guess".into(),
            ..invitation.clone()
        };
        let mut refused = Line::<FromCourier>::join(&forged).await.unwrap();
        assert_eq!(refused.next().await, None);

        let mut run = Line::<FromCourier>::join(&invitation).await.unwrap();
        let mut courier = door.caller().await;
        courier.say(&FromCourier::Go).await.unwrap();
        assert_eq!(run.next().await, Some(FromCourier::Go));

        let mut again = Line::<FromCourier>::join(&invitation).await.unwrap();
        assert_eq!(again.next().await, None, "a key is used up");

        door.invite().await;
        let fresh = loop {
            match Invitation::read(&file).unwrap() {
                Some(fresh) if fresh != invitation => break fresh,
                _ => tokio::task::yield_now().await,
            }
        };
        let _run = Line::<FromCourier>::join(&fresh).await.unwrap();
        door.caller().await;
    }
}
