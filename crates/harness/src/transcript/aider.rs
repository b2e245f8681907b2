//! aider's text. It exits 0 whatever happened; what happened is in the words.

use gastown_wire::{CredentialProblem, Tokens};

use super::{Event, SOME_TIME, Spent, Word, brief, limit, micros};

/// How a limit begins.
const LIMIT: &str = "litellm.RateLimitError";
/// A limit's words are not longer. Bytes.
const LONGEST: usize = 4096;

/// What was read so far.
#[derive(Clone, Debug, Default)]
pub struct Aider {
    spent: Spent,
    failure: Option<Failure>,
    /// A limit's words so far: its lines are broken at 80 characters, and aider's own words end them.
    words: Option<String>,
    /// When the first limit came that no answer came after.
    limited: Option<i64>,
    /// What it waits for is too far off.
    over: Option<Word>,
}

#[derive(Clone, Debug)]
enum Failure {
    Credential(String),
    /// With the wait that the provider names. Seconds.
    Limit(Option<i64>),
    Other(String),
}

impl Aider {
    pub(super) fn line(&mut self, line: &str, now: i64) -> Vec<Event> {
        let text = line.trim();
        if let Some(words) = self.words.take().filter(|w| w.len() < LONGEST && !is_its_own(text)) {
            return self.limits(format!("{words} {text}"), text);
        }
        if let Some(rest) = text.strip_prefix("Tokens: ") {
            // The model answered: what went wrong before is over.
            (self.failure, self.limited) = (None, None);
            self.spent = self.spent.plus(spent(rest));
            return vec![Event::Spent(self.spent)];
        }
        if let Some(file) = text.strip_prefix("Applied edit to ") {
            return vec![Event::Edits(file.to_owned())];
        }
        if let Some(rest) = text.strip_prefix("Commit ") {
            return vec![Event::Notes(format!("commit {rest}"))];
        }
        if text.starts_with("Retrying in ") {
            return self.retries(text, now);
        }
        // What aider adds to an error says less than the error did.
        let added = text.starts_with("The API provider ") && self.failure.is_some();
        if text.starts_with(LIMIT) {
            return self.limits(text.to_owned(), text);
        }
        if let Some(failure) = failure(text).filter(|_| !added) {
            let said = brief(text);
            self.failure = Some(failure);
            return vec![Event::Ends(said)];
        }
        vec![Event::Says(line.to_owned())]
    }

    /// A limit, as far as its words have come; the newest line of them is shown.
    fn limits(&mut self, words: String, line: &str) -> Vec<Event> {
        self.failure = failure(&words);
        self.words = Some(words);
        vec![Event::Ends(brief(line))]
    }

    /// It tries again, after a limit perhaps. Only here that counts: an answer may quote an error, but not go on like this.
    fn retries(&mut self, text: &str, now: i64) -> Vec<Event> {
        let mut events = vec![Event::Retries(text.to_owned())];
        if let Some(Failure::Limit(wait)) = self.failure {
            let since = *self.limited.get_or_insert(now);
            if let Some(wait) = limit::parks_for(wait, since, now) {
                self.over = Some(Word::Limit(now + wait));
                events.push(Event::Over);
            }
        }
        events
    }

    pub(super) fn word(&self, exit: i32, now: i64) -> Word {
        self.last_word(exit, now).unless_known(self.over.as_ref())
    }

    fn last_word(&self, exit: i32, now: i64) -> Word {
        match &self.failure {
            Some(Failure::Credential(words)) => Word::Credential(CredentialProblem::Refused, words.clone()),
            Some(Failure::Limit(wait)) => Word::Limit(now + wait.unwrap_or(SOME_TIME)),
            Some(Failure::Other(words)) => Word::Failure(words.clone()),
            None if exit == 0 && self.spent.tokens.total() > 0 => Word::Success,
            None if exit == 0 => Word::Failure("it ended without an answer of the model".to_owned()),
            None => Word::Failure(String::new()),
        }
    }
}

/// What aider adds to an error, or does next.
fn is_its_own(text: &str) -> bool {
    ["The API provider ", "Retrying in ", "Tokens: "]
        .iter()
        .any(|own| text.starts_with(own))
}

fn failure(text: &str) -> Option<Failure> {
    let words = brief(text);
    if text.contains("litellm.AuthenticationError") || text.contains("litellm.PermissionDeniedError") {
        return Some(Failure::Credential(words));
    }
    if text.contains(LIMIT) {
        return Some(if text.contains("insufficient_quota") {
            Failure::Credential(words)
        } else {
            Failure::Limit(limit::named(text))
        });
    }
    let raised = text
        .strip_prefix("litellm.")
        .and_then(|rest| rest.split_once(':'))
        .is_some_and(|(name, _)| name.ends_with("Error") || name == "Timeout");
    let given_up = text.starts_with("Only 3 reflections allowed") || text.starts_with("The API provider ");
    (raised || given_up).then_some(Failure::Other(words))
}

/// `1.2k sent, 345 received. Cost: $0.0021 message, $0.0043 session.`
fn spent(text: &str) -> Spent {
    let before = |word: &str| {
        let (head, _) = text.split_once(word)?;
        count(head.rsplit([' ', ',']).find(|part| !part.is_empty())?)
    };
    let cost = text
        .split_once("Cost: $")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse::<f64>().ok());
    let cached = before("cache hit").unwrap_or(0) + before("cache write").unwrap_or(0);
    Spent {
        tokens: Tokens {
            input: before("sent").unwrap_or(0) + cached,
            output: before("received").unwrap_or(0),
        },
        micros: cost.map(micros),
    }
}

/// `345`, `1.2k`, `3M`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounded and not negative"
)]
fn count(text: &str) -> Option<u64> {
    let (number, factor) = match text.as_bytes().last()? {
        b'k' => (text.strip_suffix('k')?, 1e3),
        b'M' => (text.strip_suffix('M')?, 1e6),
        _ => (text, 1.0),
    };
    let value: f64 = number.replace(',', "").parse().ok()?;
    Some((value.clamp(0.0, 1e12) * factor).round() as u64)
}
