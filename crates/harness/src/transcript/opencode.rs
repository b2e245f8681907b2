//! opencode's `json`: a tool is told when it ends, and there is no last line. That it waits to try again is told on its error
//! output, by a plugin that it finds in its home.

use gastown_wire::Tokens;
use serde_json::Value;

use super::{Event, Spent, Word, brief, limit, micros, of_status};

/// What was read so far.
#[derive(Clone, Debug, Default)]
pub struct Opencode {
    session: Option<String>,
    spent: Spent,
    /// Why the newest step ended.
    reason: Option<String>,
    failure: Option<Failure>,
    /// A permission was refused: the run stops there and exits 0.
    refused: Option<String>,
    /// What it waits for is too far off.
    over: Option<Word>,
    stderr: String,
}

#[derive(Clone, Debug)]
struct Failure {
    status: u64,
    retry_after: Option<i64>,
    words: String,
}

impl Opencode {
    pub(super) fn has_begun(&self) -> bool {
        self.session.is_some()
    }

    pub(super) fn error_line(&mut self, line: &str, now: i64) -> Vec<Event> {
        if let Some(status) = serde_json::from_str::<Value>(line)
            .ok()
            .filter(|event| event["type"] == "session.status")
        {
            return self.waits(&status["properties"], now);
        }
        if line.contains("permission requested") && line.contains("rejecting") {
            self.refused = Some(brief(line));
        }
        if !line.trim().is_empty() {
            self.stderr = brief(line);
        }
        vec![Event::Notes(line.to_owned())]
    }

    /// It was told to try again, and says when. What that first told of is the conversation: others come out of it.
    fn waits(&mut self, properties: &Value, now: i64) -> Vec<Event> {
        let mut events = Vec::new();
        if self.session.is_none() {
            events.extend(self.named(&properties["sessionID"]));
        }
        let status = &properties["status"];
        let Some(next) = status["next"].as_i64() else {
            return events;
        };
        let words = brief(status["message"].as_str().unwrap_or_default());
        let wait = (next + 999) / 1000 - now;
        events.push(Event::Retries(format!(
            "{} s, then it tries again: {words}",
            wait.max(0)
        )));
        // Each wait is told by itself, and there are five at most: none of them is waited for in vain.
        if let Some(wait) = limit::parks_for(Some(wait), now, now) {
            self.over = of_status(429, &words, Some(wait), now);
            events.push(Event::Over);
        }
        events
    }

    fn named(&mut self, session: &Value) -> Option<Event> {
        let session = session.as_str().filter(|name| self.session.as_deref() != Some(name))?;
        self.session = Some(session.to_owned());
        Some(Event::Session(session.to_owned()))
    }

    pub(super) fn line(&mut self, line: &str) -> Vec<Event> {
        let Ok(value) = serde_json::from_str::<Value>(line) else {
            return vec![Event::Notes(line.to_owned())];
        };
        let mut events: Vec<Event> = self.named(&value["sessionID"]).into_iter().collect();
        let part = &value["part"];
        match value["type"].as_str().unwrap_or_default() {
            "text" => events.extend(part["text"].as_str().map(|text| Event::Says(text.to_owned()))),
            "tool_use" => events.extend(tool(part)),
            "step_start" => self.failure = None,
            "step_finish" => {
                self.reason = part["reason"].as_str().map(str::to_owned);
                self.failure = None;
                self.spent = self.spent.plus(spent(part));
                events.push(Event::Spent(self.spent));
            }
            "error" => {
                let failure = failure(&value["error"]);
                events.push(Event::Ends(format!("the turn failed: {}", failure.words)));
                self.failure = Some(failure);
            }
            _ => {}
        }
        events
    }

    pub(super) fn word(&self, exit: i32, now: i64) -> Word {
        self.last_word(exit, now).unless_known(self.over.as_ref())
    }

    fn last_word(&self, exit: i32, now: i64) -> Word {
        if let Some(failure) = &self.failure {
            let known = of_status(failure.status, &failure.words, failure.retry_after, now);
            return known.unwrap_or_else(|| Word::Failure(failure.words.clone()));
        }
        if let Some(refused) = &self.refused {
            return Word::Failure(refused.clone());
        }
        match (exit, self.reason.as_deref()) {
            (0, Some("stop")) => Word::Success,
            (0, Some(reason)) => Word::Failure(format!("it ended in the middle of its work ({})", brief(reason))),
            _ if !self.stderr.is_empty() => Word::Failure(self.stderr.clone()),
            _ => Word::Failure("it ended without having finished a step".to_owned()),
        }
    }
}

fn spent(part: &Value) -> Spent {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let tokens = &part["tokens"];
    Spent {
        tokens: Tokens {
            input: number(&tokens["input"]) + number(&tokens["cache"]["read"]) + number(&tokens["cache"]["write"]),
            output: number(&tokens["output"]) + number(&tokens["reasoning"]),
        },
        // It says 0 for models whose price it does not know.
        micros: part["cost"].as_f64().map(micros).filter(|m| *m > 0),
    }
}

fn failure(error: &Value) -> Failure {
    let data = &error["data"];
    let name = error["name"].as_str().unwrap_or("error");
    let words = data["message"].as_str().unwrap_or_default();
    let header = |name: &str| data["responseHeaders"][name].as_str();
    Failure {
        status: data["statusCode"].as_u64().unwrap_or(0),
        retry_after: header("retry-after")
            .and_then(|s| s.parse().ok())
            .or_else(|| limit::named(words)),
        words: format!("{name}: {}", brief(words)),
    }
}

fn tool(part: &Value) -> Vec<Event> {
    let state = &part["state"];
    let name = part["tool"].as_str().unwrap_or("tool");
    let input = &state["input"];
    let text = |key: &str| input[key].as_str();
    let did = match (name, text("command"), text("filePath")) {
        ("bash", Some(command), _) => Event::Runs(format!("$ {command}")),
        ("edit" | "write" | "patch" | "multiedit", _, Some(file)) => Event::Edits(file.to_owned()),
        (_, _, Some(file)) => Event::Runs(format!("{name} {file}")),
        _ => {
            let about = ["pattern", "query", "url", "description"].iter().find_map(|k| text(k));
            Event::Runs(
                format!("{name} {}", brief(about.unwrap_or_default()))
                    .trim_end()
                    .to_owned(),
            )
        }
    };
    let mut events = vec![did];
    if state["status"] == "error" {
        events.push(Event::Ends(format!(
            "failed: {}",
            brief(state["error"].as_str().unwrap_or_default())
        )));
    } else if let Some(code) = state["metadata"]["exit"].as_i64().filter(|code| *code != 0) {
        events.push(Event::Ends(format!(
            "exit code {code}: {}",
            brief(state["output"].as_str().unwrap_or_default())
        )));
    }
    events
}
