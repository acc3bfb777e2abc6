//! Cohere's chat, version 2: content in blocks, a plan before tool calls, events that carry fragments of
//! the message they build.

use super::{Meta, named};
use crate::brain::answer::{Choice, Counts, Finish, Piece};
use crate::brain::ask::{self, Ask, BadAsk, Force, Format, Role, Turn, flag, list, plain, text};
use crate::brain::demand::CRASHED;
use serde_json::{Map, Value, json};

/// What the model says ahead of its calls when it does not think aloud.
const PLAN: &str = "I will use the tools I was given.";

/// Reads a request.
pub(crate) fn read(body: &Value) -> Result<Ask, BadAsk> {
    let turns = list(body, "messages").into_iter().flatten().map(|message| {
        let calls = message.get("tool_calls").map(Value::to_string).unwrap_or_default();
        let results = list(message, "content").into_iter().flatten();
        let documents = results.filter_map(|block| block.pointer("/document/data")).map(told);
        let said = plain(message.get("content")) + &documents.collect::<String>() + &calls;
        Turn { role: ask::role(text(message, "role")).unwrap_or(Role::User), text: said }
    });
    let tools = list(body, "tools").into_iter().flatten();
    let format = body.get("response_format");
    Ok(Ask {
        model: text(body, "model").to_owned(),
        turns: turns.collect(),
        tools: tools.filter_map(|tool| ask::offer(tool.get("function")?, "parameters")).collect(),
        choice: match text(body, "tool_choice") {
            "REQUIRED" => Force::Any,
            "NONE" => Force::Never,
            _ => Force::Auto,
        },
        limit: ask::limit(body, &["max_tokens"])?,
        stops: ask::stops(body.get("stop_sequences")),
        answers: 1,
        thinks: body.pointer("/thinking/type").and_then(Value::as_str) == Some("enabled"),
        format: match format.map(|format| text(format, "type")) {
            Some("json_object") => {
                let schema = format.and_then(|format| format.get("json_schema"));
                Format::Json(schema.cloned().unwrap_or_else(ask::any_object))
            }
            Some(_) | None => Format::Prose,
        },
        streams: flag(body, "stream"),
        ..Ask::default()
    })
}

/// What a document in a tool result says.
fn told(data: &Value) -> String {
    data.as_str().map_or_else(|| data.to_string(), str::to_owned)
}

/// A whole answer.
pub(crate) fn whole(meta: &Meta, choices: &[Choice], counts: Counts) -> Value {
    let choice = choices.first();
    let mut content = Vec::new();
    for (kind, said) in [("thinking", choice.map(Choice::thought)), ("text", choice.map(Choice::text))] {
        if let Some(said) = said.filter(|said| !said.is_empty()) {
            content.push(json!({"type": kind, kind: said}));
        }
    }
    let calls = choice.map(Choice::calls).unwrap_or_default();
    let mut message = Map::from_iter([("role".to_owned(), "assistant".into())]);
    if !content.is_empty() {
        message.insert("content".to_owned(), content.into());
    }
    if !calls.is_empty() {
        let calls = calls.into_iter().map(|(id, name, arguments)| call(&id, &name, &arguments));
        message.insert("tool_plan".to_owned(), PLAN.into());
        message.insert("tool_calls".to_owned(), calls.collect::<Vec<_>>().into());
    }
    let reason = finish(choice.map_or(&Finish::Stop, |choice| &choice.finish));
    json!({"id": meta.id, "finish_reason": reason, "message": message, "usage": usage(counts)})
}

/// An answer as events.
#[derive(Debug)]
pub(crate) struct Stream {
    meta: Meta,
    /// Of the next content block, or of the call being written.
    index: usize,
    open: Open,
    planned: bool,
    finish: Finish,
}

/// What is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    None,
    Content(&'static str),
    Call,
}

impl Stream {
    pub(crate) fn new(meta: Meta) -> Self {
        Self { meta, index: 0, open: Open::None, planned: false, finish: Finish::Stop }
    }

    pub(crate) fn begin(&self) -> String {
        let message =
            json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []});
        named(&json!({"type": "message-start", "id": self.meta.id, "delta": {"message": message}}))
    }

    pub(crate) fn piece(&mut self, piece: &Piece) -> String {
        match piece {
            Piece::Think(thought) => self.content("thinking", thought),
            Piece::Text(said) => self.content("text", said),
            Piece::Call { id, name } => {
                let before = self.leave() + &self.plan();
                self.open = Open::Call;
                before + &self.event("tool-call-start", &json!({"tool_calls": call(id, name, "")}))
            }
            Piece::Arguments(part) => {
                self.event("tool-call-delta", &json!({"tool_calls": {"function": {"arguments": part}}}))
            }
        }
    }

    pub(crate) fn close(&mut self, finish: &Finish) -> String {
        self.finish = finish.clone();
        self.leave()
    }

    /// Failures come as an end.
    pub(crate) fn fail(&self) -> String {
        named(&json!({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": CRASHED}}))
    }

    pub(crate) fn end(&self, counts: Counts) -> String {
        let delta = json!({"finish_reason": finish(&self.finish), "usage": usage(counts)});
        named(&json!({"type": "message-end", "delta": delta}))
    }

    fn content(&mut self, kind: &'static str, said: &str) -> String {
        let mut before = String::new();
        if self.open != Open::Content(kind) {
            before = self.leave();
            self.open = Open::Content(kind);
            before += &self.event("content-start", &json!({"content": {"type": kind, kind: ""}}));
        }
        before + &self.event("content-delta", &json!({"content": {kind: said}}))
    }

    /// Ahead of the first call; calls are counted from 0 whatever came before.
    fn plan(&mut self) -> String {
        if std::mem::replace(&mut self.planned, true) {
            return String::new();
        }
        self.index = 0;
        named(&json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": PLAN}}}))
    }

    fn leave(&mut self) -> String {
        let name = match self.open {
            Open::None => return String::new(),
            Open::Content(_) => "content-end",
            Open::Call => "tool-call-end",
        };
        let end = named(&json!({"type": name, "index": self.index}));
        (self.index, self.open) = (self.index + 1, Open::None);
        end
    }

    fn event(&self, name: &str, message: &Value) -> String {
        named(&json!({"type": name, "index": self.index, "delta": {"message": message}}))
    }
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    let function = json!({"name": name, "arguments": arguments});
    json!({"id": format!("{name}_{id}"), "type": "function", "function": function})
}

fn finish(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop => "COMPLETE",
        Finish::StopString(_) => "STOP_SEQUENCE",
        Finish::Length => "MAX_TOKENS",
        Finish::Calls => "TOOL_CALL",
        Finish::Refused => "ERROR_TOXIC",
    }
}

/// What is billed and what was counted; the vendor sends both as floats.
fn usage(counts: Counts) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    let (input, output, cached) = (counts.prompt as f64, counts.output as f64, counts.cached as f64);
    json!({
        "billed_units": {"input_tokens": input, "output_tokens": output},
        "tokens": {"input_tokens": input, "output_tokens": output},
        "cached_tokens": cached,
    })
}
