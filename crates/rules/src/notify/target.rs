//! Whom a spec names.

use crate::reason::Reason;
use gastown_wire::Channel;

/// Longest address. Bytes.
const LONGEST: usize = 2048;

/// Whoever is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Whoever reads events: the Mayor does.
    Event,
    /// Somebody outside of the cluster.
    Outside {
        /// How.
        channel: Channel,
        /// Where, if the spec says it; else a Secret does.
        url: Option<String>,
    },
}

impl Target {
    /// Reads a field of a spec.
    ///
    /// # Errors
    /// When it names nobody who could be told, with what to write instead.
    pub(crate) fn parse(text: &str, field: &str) -> Result<Self, Reason> {
        let text = text.trim();
        let outside = |channel| Ok(Self::Outside { channel, url: None });
        let word = text.to_ascii_lowercase();
        match word.as_str() {
            "mayor" | "mayor/" => return Ok(Self::Event),
            "slack" => return outside(Channel::Slack),
            "webhook" => return outside(Channel::Webhook),
            "email" => return outside(Channel::Email),
            _ => {}
        }
        if !word.starts_with("http://") && !word.starts_with("https://") {
            let shown: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
            return Err(Reason::new(
                "TargetUnknown",
                format!(
                    "{field} {shown:?} names nobody who can be told: write mayor, slack, webhook, email, or an https URL"
                ),
            ));
        }
        match fault(text) {
            None => Ok(Self::Outside {
                channel: Channel::Webhook,
                url: Some(text.to_owned()),
            }),
            Some(fault) => Err(Reason::new(
                "TargetInvalid",
                format!("{field} is no URL that can be posted to: {fault}"),
            )),
        }
    }
}

/// What is wrong with a URL. It is not shown: it may be as good as a password.
fn fault(url: &str) -> Option<&'static str> {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if url.len() > LONGEST {
        Some("it is longer than 2048 bytes")
    } else if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Some("it holds blanks or line breaks")
    } else if host.is_empty() || host.starts_with(':') {
        Some("it names no host")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_word_names() {
        let outside = |channel, url: Option<&str>| Target::Outside {
            channel,
            url: url.map(str::to_owned),
        };
        for (text, wanted) in [
            ("mayor", Target::Event),
            (" Mayor/ ", Target::Event),
            ("slack", outside(Channel::Slack, None)),
            ("EMAIL", outside(Channel::Email, None)),
            ("webhook", outside(Channel::Webhook, None)),
            ("https://h/x", outside(Channel::Webhook, Some("https://h/x"))),
            (
                "http://127.0.0.1:1/",
                outside(Channel::Webhook, Some("http://127.0.0.1:1/")),
            ),
        ] {
            assert_eq!(Target::parse(text, "x"), Ok(wanted), "{text}");
        }
        for (text, code, words) in [
            ("", "TargetUnknown", "spec.x \"\" names nobody"),
            ("deacon/", "TargetUnknown", "write mayor, slack"),
            ("me@example.com", "TargetUnknown", "email"),
            ("ftp://h", "TargetUnknown", "https URL"),
            ("https://", "TargetInvalid", "no host"),
            ("https://user:pw@/x", "TargetInvalid", "no host"),
            ("https://h/a b", "TargetInvalid", "blanks"),
        ] {
            let because = Target::parse(text, "spec.x").unwrap_err();
            assert_eq!(because.code, code, "{text}");
            assert!(
                because.message.contains(words) && !because.message.contains("pw"),
                "{because}"
            );
        }
        assert!(Target::parse(&format!("https://{}", "x".repeat(3000)), "x").is_err());
    }
}
