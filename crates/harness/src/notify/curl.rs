//! One run of curl. All it is told it reads from a configuration on its standard input.

use std::{io, path::PathBuf, process::Stdio, time::Duration};

use tokio::{io::AsyncWriteExt as _, time::timeout};

use super::NotifyError;
use crate::{access, files};

/// For all of it; curl itself gives up sooner.
const LONGEST: Duration = Duration::from_secs(100);

/// Lines of a configuration.
#[derive(Debug)]
pub(super) struct Config(String);

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Of the program; see its manual's list.
    pub(super) exit: i32,
    /// Of the server: the last one it gave; 0 for none.
    pub(super) code: u32,
}

impl Config {
    pub(super) fn to(url: &str) -> Self {
        let mut config = Self("silent\ngloboff\nconnect-timeout = 20\nmax-time = 90\n".to_owned());
        config.set("url", url);
        config.set("output", "/dev/null");
        config.set("write-out", "%{response_code}");
        config
    }

    /// A line. In quotes curl knows backslashes and quotes, and nothing else that could be in here.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let value: String = value.chars().filter(|c| !c.is_control()).collect();
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        self.0.push_str(&format!("{name} = \"{value}\"\n"));
    }

    pub(super) fn flag(&mut self, name: &str) {
        self.0.push_str(name);
        self.0.push('\n');
    }

    /// Sends a content, which `option` takes from a file.
    pub(super) async fn run(mut self, option: &str, mark: &str, content: &[u8]) -> Result<Answer, NotifyError> {
        let message = written("message", content)?;
        self.set(option, &format!("{mark}{}", message.display()));
        // A bundle that is not there is met by curl where it matters: over TLS.
        let authorities = match access::trusted() {
            Ok(Some(authorities)) => Some(written("authorities", authorities.as_bytes())?),
            Ok(None) | Err(_) => None,
        };
        if let Some(authorities) = &authorities {
            self.set("cacert", &authorities.display().to_string());
        }
        let answer = timeout(LONGEST, ask(&self.0)).await;
        for file in std::iter::once(message).chain(authorities) {
            // In a pod of its own it goes with the pod.
            let _ = files::remove(&file);
        }
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Err(NotifyError::CurlMissing),
            Ok(Err(error)) => Err(NotifyError::Unreachable(format!(
                "curl cannot be run: {}",
                error.kind()
            ))),
            Err(_) => Err(NotifyError::Unreachable("curl does not come to an end".into())),
        }
    }
}

/// A file for one run, at home, where nobody else reads it.
fn written(name: &str, content: &[u8]) -> Result<PathBuf, NotifyError> {
    let ours = |_| NotifyError::Unreachable("the message cannot be written in the pod".into());
    let home = std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from);
    let file = files::beside(&home.join(name)).map_err(ours)?;
    files::replace(&file, content, 0o600).map_err(ours)?;
    Ok(file)
}

async fn ask(config: &str) -> io::Result<Answer> {
    #[expect(clippy::disallowed_types, reason = "the one place where curl is run")]
    let mut curl = tokio::process::Command::new("curl");
    let mut child = curl
        // No file of the machine's adds to it.
        .args(["-q", "--config", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(config.as_bytes()).await?;
    }
    let output = child.wait_with_output().await?;
    let code = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(0);
    Ok(Answer {
        exit: output.status.code().unwrap_or(-1),
        code,
    })
}

impl Answer {
    /// What curl itself could not do, in our own words: its own may hold the address.
    pub(super) fn fault(self) -> Result<(), NotifyError> {
        let unreachable = |what: &str| Err(NotifyError::Unreachable(what.to_owned()));
        let wrong = |what| Err(NotifyError::NotConfigured(what));
        match self.exit {
            0 => Ok(()),
            1 | 3 | 4 => Err(NotifyError::AddressInvalid {
                key: "the address",
                what: "is none that curl can speak to",
            }),
            5 => unreachable("the name of the proxy is not known"),
            6 => unreachable("its host name is not known: is the address right, and may pods ask for names?"),
            7 => unreachable("nobody accepts connections there: is the address right, and may pods reach it?"),
            28 => unreachable("it does not answer in time: may pods reach it?"),
            35 => unreachable("it does not speak TLS"),
            51 | 60 | 77 | 83 => wrong(
                "its certificate is not trusted here: name the authority in the Rig's podTemplate.caBundleConfigMapRef",
            ),
            64 => wrong("the mail server offers no TLS, and a password is not sent without"),
            67 => wrong("the mail server refuses smtp-username or smtp-password"),
            exit => Err(NotifyError::Unreachable(format!("curl ends with exit code {exit}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_add_a_line_or_end_its_quotes() {
        let mut config = Config(String::new());
        config.set("url", "https://h/\"\nurl = \"file:///etc/passwd\\");
        assert_eq!(config.0, "url = \"https://h/\\\"url = \\\"file:///etc/passwd\\\\\"\n");
    }

    #[test]
    fn faults_are_told_apart() {
        for (exit, wanted) in [
            (3, "AddressInvalid"),
            (6, "Unreachable"),
            (28, "Unreachable"),
            (60, "NotConfigured"),
            (67, "NotConfigured"),
            (99, "Unreachable"),
        ] {
            let error = Answer { exit, code: 0 }.fault().unwrap_err();
            assert!(format!("{error:?}").starts_with(wanted), "{exit}: {error:?}");
        }
        assert!(Answer { exit: 0, code: 0 }.fault().is_ok());
    }
}
