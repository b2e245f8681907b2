//! Claude Code's `stream-json`. A `result` need not come last, or at all; its `subtype` lies.

use gastown_wire::claude::{acts, results};
use gastown_wire::{CredentialProblem, Tokens};
use serde_json::Value;

use super::{Event, Spent, Word, brief, limit, micros, of_status};

/// What was read so far.
#[derive(Clone, Debug, Default)]
pub struct Claude {
    session: Option<String>,
    /// Of turns that are over.
    settled: Spent,
    /// Of the requests of this turn; the newest message may be told in several lines.
    turn: Tokens,
    message: (String, Tokens),
    result: Option<Outcome>,
    /// Seconds since 1970.
    resets: Option<i64>,
    /// The provider refused for a limit that is not the user's own.
    refused: bool,
    /// Known before its end.
    over: Option<Word>,
    stderr: String,
}

/// A key that was refused so often is not mended by asking again, which Claude Code does for minutes. Once may be the provider's slip.
const REFUSALS: u64 = 2;

#[derive(Clone, Debug)]
struct Outcome {
    error: bool,
    status: u64,
    subtype: String,
    text: String,
}

impl Claude {
    pub(super) fn has_begun(&self) -> bool {
        self.session.is_some()
    }

    pub(super) fn error_line(&mut self, line: &str) -> Vec<Event> {
        self.stderr = brief(line);
        vec![Event::Notes(line.to_owned())]
    }

    pub(super) fn line(&mut self, line: &str) -> Vec<Event> {
        let Ok(value) = serde_json::from_str::<Value>(line) else {
            return vec![Event::Notes(line.to_owned())];
        };
        match value["type"].as_str().unwrap_or_default() {
            "system" => self.system(&value),
            "assistant" => self.assistant(&value),
            "user" => results(&value["message"]).into_iter().map(Event::from).collect(),
            "result" => self.ended(&value),
            "rate_limit_event" => {
                let info = &value["rate_limit_info"];
                if info["status"] == "rejected" {
                    self.resets = info["resetsAt"].as_i64();
                    self.refused = true;
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn system(&mut self, value: &Value) -> Vec<Event> {
        match value["subtype"].as_str().unwrap_or_default() {
            "init" => {
                let session = value["session_id"].as_str().unwrap_or_default().to_owned();
                let known = self.session.replace(session.clone()).is_some();
                let model = value["model"].as_str().unwrap_or("?");
                let version = value["claude_code_version"].as_str().unwrap_or("?");
                let mut events = vec![Event::Session(session)];
                if !known {
                    events.push(Event::Notes(format!("Claude Code {version}, model {model}")));
                }
                for server in value["mcp_servers"].as_array().into_iter().flatten() {
                    if server["status"] == "failed" {
                        let name = server["name"].as_str().unwrap_or("?");
                        events.push(Event::Notes(format!("MCP server {name} does not start")));
                    }
                }
                events
            }
            "api_retry" => self.retries(value),
            _ => Vec::new(),
        }
    }

    fn retries(&mut self, value: &Value) -> Vec<Event> {
        let number = |key: &str| value[key].as_u64().unwrap_or(0);
        let why = value["error"].as_str().unwrap_or("unknown");
        let status = number("error_status");
        let told = if status == 0 {
            String::new()
        } else {
            format!(" ({status})")
        };
        let mut events = vec![Event::Retries(format!(
            "the model's endpoint failed: {why}{told}; asked again in {} s ({} of {})",
            number("retry_delay_ms").div_ceil(1000),
            number("attempt"),
            number("max_retries")
        ))];
        if matches!(status, 401 | 403) && number("attempt") >= REFUSALS {
            let words = format!("{why} ({status})");
            self.over = Some(Word::Credential(CredentialProblem::Refused, words));
            events.push(Event::Over);
        }
        events
    }

    fn assistant(&mut self, value: &Value) -> Vec<Event> {
        let message = &value["message"];
        let mut events: Vec<Event> = acts(message).into_iter().map(Event::from).collect();
        let id = message["id"].as_str().unwrap_or_default();
        // One request is told in a line for each block, each with the whole use.
        if id != self.message.0 {
            self.turn = sum(self.turn, self.message.1);
            id.clone_into(&mut self.message.0);
        }
        self.message.1 = tokens(&message["usage"]);
        events.push(Event::Spent(self.spent()));
        events
    }

    fn spent(&self) -> Spent {
        Spent {
            tokens: sum(self.settled.tokens, sum(self.turn, self.message.1)),
            micros: self.settled.micros,
        }
    }

    fn ended(&mut self, value: &Value) -> Vec<Event> {
        let told = tokens(&value["usage"]);
        let counted = sum(self.turn, self.message.1);
        // A turn that failed is told as nothing.
        let turn = if told.total() >= counted.total() { told } else { counted };
        self.settled.tokens = sum(self.settled.tokens, turn);
        // Of the whole process, not of the turn.
        self.settled.micros = value["total_cost_usd"].as_f64().map(micros).or(self.settled.micros);
        (self.turn, self.message.1) = (Tokens::default(), Tokens::default());
        let outcome = Outcome {
            error: value["is_error"] == true,
            status: value["api_error_status"].as_u64().unwrap_or(0),
            subtype: value["subtype"].as_str().unwrap_or_default().to_owned(),
            text: value["result"].as_str().unwrap_or_default().to_owned(),
        };
        let mut events = vec![Event::Spent(self.settled)];
        if outcome.error {
            events.push(Event::Ends(format!("the turn failed: {}", outcome.words())));
        }
        self.result = Some(outcome);
        events.push(Event::TurnOver);
        events
    }

    pub(super) fn word(&self, exit: i32, now: i64) -> Word {
        self.last_word(exit, now).unless_known(self.over.as_ref())
    }

    fn last_word(&self, exit: i32, now: i64) -> Word {
        let Some(result) = &self.result else {
            let said = match self.stderr.as_str() {
                "" => "it ended without a result".to_owned(),
                words => words.to_owned(),
            };
            return credential(&said, 0, now).unwrap_or(Word::Failure(said));
        };
        if result.subtype == "error_max_budget_usd" {
            return Word::Budget;
        }
        if !result.error && exit == 0 && result.subtype == "success" {
            return Word::Success;
        }
        if let Some(resets) = self.resets.filter(|_| result.error) {
            return Word::Limit(resets);
        }
        let status = if self.refused { 429 } else { result.status };
        let words = result.words();
        credential(&words, status, now).unwrap_or(Word::Failure(words))
    }
}

impl Outcome {
    fn words(&self) -> String {
        if self.text.is_empty() {
            self.subtype.clone()
        } else {
            brief(&self.text)
        }
    }
}

/// Its words for a credential that is missing or refused; else what the status means.
fn credential(words: &str, status: u64, now: i64) -> Option<Word> {
    if words.contains("Not logged in") || words.contains("/login") {
        let problem = match status {
            401 | 403 => CredentialProblem::Refused,
            _ => CredentialProblem::Missing,
        };
        return Some(Word::Credential(problem, brief(words)));
    }
    if words.contains("Invalid API key") || words.contains("Failed to authenticate") {
        return Some(Word::Credential(CredentialProblem::Refused, brief(words)));
    }
    of_status(status, words, limit::named(words), now)
}

fn sum(a: Tokens, b: Tokens) -> Tokens {
    Tokens {
        input: a.input.saturating_add(b.input),
        output: a.output.saturating_add(b.output),
    }
}

fn tokens(usage: &Value) -> Tokens {
    let number = |key: &str| usage[key].as_u64().unwrap_or(0);
    Tokens {
        input: number("input_tokens") + number("cache_creation_input_tokens") + number("cache_read_input_tokens"),
        output: number("output_tokens"),
    }
}
