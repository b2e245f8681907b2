//! The two wire formats.

use super::{Asked, Turn, USAGE};
use axum::{
    Json,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// Names agents give their shell.
const SHELLS: [&str; 4] = ["bash", "shell", "run_shell_command", "execute_command"];

/// The name of the shell tool that a request offers.
pub(super) fn shell_tool(body: &Value) -> Option<String> {
    let tools = body["tools"].as_array()?;
    tools.iter().find_map(|tool| {
        let name = tool["name"].as_str().or_else(|| tool["function"]["name"].as_str())?;
        SHELLS.contains(&name.to_lowercase().as_str()).then(|| name.to_owned())
    })
}

/// An answer in the asker's format.
#[derive(Clone, Debug)]
pub(super) struct Said {
    anthropic: bool,
    streamed: bool,
    model: Value,
    turn: Turn,
    tool: String,
}

impl Said {
    /// None: the path is no format of ours.
    pub(super) fn of(asked: &Asked, turn: Turn) -> Option<Self> {
        let anthropic = asked.path.contains("/messages");
        if !anthropic && !asked.path.contains("/chat/completions") {
            return None;
        }
        Some(Self {
            anthropic,
            streamed: asked.body["stream"] == true,
            model: asked.body["model"].clone(),
            turn,
            tool: shell_tool(&asked.body).unwrap_or_else(|| "bash".into()),
        })
    }

    pub(super) fn answer(&self) -> Response {
        if self.streamed {
            return ([(CONTENT_TYPE, "text/event-stream")], self.events().concat()).into_response();
        }
        Json(if self.anthropic {
            self.message(true)
        } else {
            self.completion()
        })
        .into_response()
    }

    /// The stream, an event an element.
    pub(super) fn events(&self) -> Vec<String> {
        if self.anthropic {
            self.anthropic_events()
        } else {
            self.openai_events()
        }
    }

    pub(super) fn is_anthropic(&self) -> bool {
        self.anthropic
    }

    fn arguments(command: &str) -> Value {
        json!({"command": command, "description": "do the task"})
    }

    fn block(&self) -> Value {
        match &self.turn {
            Turn::Shell(command) => json!({
                "type": "tool_use", "id": id("toolu"), "name": self.tool, "input": Self::arguments(command),
            }),
            Turn::Say(text) => json!({"type": "text", "text": text}),
        }
    }

    fn stop(&self) -> &'static str {
        match (&self.turn, self.anthropic) {
            (Turn::Shell(_), true) => "tool_use",
            (Turn::Say(_), true) => "end_turn",
            (Turn::Shell(_), false) => "tool_calls",
            (Turn::Say(_), false) => "stop",
        }
    }

    fn message(&self, whole: bool) -> Value {
        json!({
            "id": id("msg"), "type": "message", "role": "assistant", "model": self.model,
            "content": if whole { vec![self.block()] } else { vec![] },
            "stop_reason": whole.then(|| self.stop()), "stop_sequence": null,
            "usage": {"input_tokens": USAGE.0, "output_tokens": if whole { USAGE.1 } else { 1 }},
        })
    }

    fn anthropic_events(&self) -> Vec<String> {
        let event = |kind: &str, mut data: Value| {
            data["type"] = kind.into();
            format!("event: {kind}\ndata: {data}\n\n")
        };
        let (start, delta) = match (&self.turn, self.block()) {
            (Turn::Shell(command), mut block) => {
                block["input"] = json!({});
                let text = Self::arguments(command).to_string();
                (block, json!({"type": "input_json_delta", "partial_json": text}))
            }
            (Turn::Say(text), mut block) => {
                block["text"] = "".into();
                (block, json!({"type": "text_delta", "text": text}))
            }
        };
        vec![
            event("message_start", json!({"message": self.message(false)})),
            event("content_block_start", json!({"index": 0, "content_block": start})),
            event("content_block_delta", json!({"index": 0, "delta": delta})),
            event("content_block_stop", json!({"index": 0})),
            event(
                "message_delta",
                json!({"delta": {"stop_reason": self.stop(), "stop_sequence": null}, "usage": {"output_tokens": USAGE.1}}),
            ),
            event("message_stop", json!({})),
        ]
    }

    fn delta(&self) -> Value {
        match &self.turn {
            Turn::Shell(command) => json!({
                "role": "assistant", "content": null,
                "tool_calls": [{
                    "index": 0, "id": id("call"), "type": "function",
                    "function": {"name": self.tool, "arguments": Self::arguments(command).to_string()},
                }],
            }),
            Turn::Say(text) => json!({"role": "assistant", "content": text}),
        }
    }

    fn usage() -> Value {
        json!({"prompt_tokens": USAGE.0, "completion_tokens": USAGE.1, "total_tokens": USAGE.0 + USAGE.1})
    }

    fn completion(&self) -> Value {
        json!({
            "id": id("chat"), "object": "chat.completion", "created": 1, "model": self.model, "usage": Self::usage(),
            "choices": [{"index": 0, "message": self.delta(), "finish_reason": self.stop()}],
        })
    }

    fn openai_events(&self) -> Vec<String> {
        let id = id("chat");
        let chunk = |delta: Value, finish: Option<&str>| {
            let usage = if finish.is_some() { Self::usage() } else { Value::Null };
            let data = json!({
                "id": id, "object": "chat.completion.chunk", "created": 1, "model": self.model, "usage": usage,
                "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
            });
            format!("data: {data}\n\n")
        };
        vec![
            chunk(self.delta(), None),
            chunk(json!({}), Some(self.stop())),
            "data: [DONE]\n\n".to_owned(),
        ]
    }
}

/// Unlike any other.
fn id(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}_{n:012}")
}
