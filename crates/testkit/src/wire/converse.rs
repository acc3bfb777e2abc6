//! Bedrock's Converse: unions of one member each, streamed as binary frames; usage leaves out what the
//! cache served and comes after the end of the message.

use super::messages;
use crate::brain::answer::{Choice, Counts, Finish, Piece};
use crate::brain::ask::{
    self, Ask, BadAsk, Caching, Force, Format, Offer, Role, Turn, flag, list, plain, text,
};
use crate::brain::demand::CRASHED;
use crate::frame;
use serde_json::{Map, Value, json};

/// What a token takes in the latency reported, in milliseconds.
const TOKEN_MS: usize = 7;

/// The letters that streamed payloads are padded with, so that their length tells nothing.
const PADDING: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// How answers look; decided by model and request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) streams: bool,
    /// Thoughts are signed, as Claude's are.
    pub(crate) signs: bool,
    /// The stop sequence was asked for by `additionalModelResponseFieldPaths`.
    pub(crate) tells_stop: bool,
}

/// Reads a request with the model's id from the path as `modelId`.
pub(crate) fn read(form: Form, body: &Value) -> Result<Ask, BadAsk> {
    let mut turns = Vec::new();
    if let Some(system) = body.get("system") {
        turns.push(Turn { role: Role::System, text: plain(Some(system)) });
    }
    for message in list(body, "messages").into_iter().flatten() {
        let role = ask::role(text(message, "role")).unwrap_or(Role::User);
        let blocks = list(message, "content").into_iter().flatten();
        let results = blocks.clone().filter_map(|block| block.get("toolResult"));
        turns.extend(results.map(|result| Turn { role: Role::Tool, text: told(result) }));
        let calls = blocks.filter_map(|block| block.get("toolUse")).map(Value::to_string);
        let said = plain(message.get("content")) + &calls.collect::<String>();
        if !said.is_empty() {
            turns.push(Turn { role, text: said });
        }
    }
    let none = Value::Null;
    let config = body.get("inferenceConfig").unwrap_or(&none);
    let extra = body.get("additionalModelRequestFields").unwrap_or(&none);
    let tools = body.pointer("/toolConfig/tools").and_then(Value::as_array).into_iter().flatten();
    let offers = tools.filter_map(|tool| {
        let tool = tool.get("toolSpec")?;
        let schema = tool.pointer("/inputSchema/json").cloned().unwrap_or_default();
        Some(Offer { name: tool.get("name")?.as_str()?.to_owned(), schema })
    });
    let choice = body.pointer("/toolConfig/toolChoice").unwrap_or(&none);
    let thinking = extra.pointer("/thinking/type").or_else(|| extra.pointer("/reasoningConfig/type"));
    let schema = body.pointer("/outputConfig/textFormat/structure/jsonSchema/schema").and_then(Value::as_str);
    Ok(Ask {
        model: text(body, "modelId").to_owned(),
        turns,
        tools: offers.collect(),
        choice: match choice.pointer("/tool/name").and_then(Value::as_str) {
            Some(name) => Force::Named(name.to_owned()),
            None if choice.get("any").is_some() => Force::Any,
            None => Force::Auto,
        },
        one_tool_only: extra.get("tool_choice").is_some_and(|c| flag(c, "disable_parallel_tool_use")),
        limit: ask::limit(config, &["maxTokens"])?,
        stops: ask::stops(config.get("stopSequences")),
        answers: 1,
        thinks: thinking.and_then(Value::as_str).is_some_and(|kind| kind != "disabled")
            || extra.get("reasoning_effort").is_some(),
        // The schema is text within the JSON.
        format: match schema.and_then(|schema| serde_json::from_str(schema).ok()) {
            Some(schema) => Format::Json(schema),
            None => Format::Prose,
        },
        caching: if cache_points(body) > 0 { Caching::Marked } else { Caching::Unmarked },
        streams: form.streams,
        ..Ask::default()
    })
}

/// What a tool result says.
fn told(result: &Value) -> String {
    let blocks = list(result, "content").into_iter().flatten();
    blocks
        .map(|block| match block.get("json") {
            Some(json) => json.to_string(),
            None => text(block, "text").to_owned(),
        })
        .collect()
}

/// How many cache points a request has.
pub(crate) fn cache_points(body: &Value) -> usize {
    let tools = body.pointer("/toolConfig/tools").and_then(Value::as_array);
    let messages = list(body, "messages").into_iter().flatten().filter_map(|m| list(m, "content"));
    let blocks = messages.chain(tools).chain(list(body, "system")).flatten();
    blocks.filter(|block| block.get("cachePoint").is_some()).count()
}

/// A whole answer.
pub(crate) fn whole(form: Form, choices: &[Choice], counts: Counts) -> Value {
    let choice = choices.first();
    let mut content = Vec::new();
    let thought = choice.map(Choice::thought).unwrap_or_default();
    if !thought.is_empty() {
        let mut said = json!({"text": thought});
        if let Some(fields) = said.as_object_mut().filter(|_| form.signs) {
            fields.insert("signature".to_owned(), messages::signature(&thought).into());
        }
        content.push(json!({"reasoningContent": {"reasoningText": said}}));
    }
    let said = choice.map(Choice::text).unwrap_or_default();
    if !said.is_empty() {
        content.push(json!({"text": said}));
    }
    for (id, name, arguments) in choice.map(Choice::calls).unwrap_or_default() {
        // Arguments cut by the token limit are no JSON; the vendor shows an empty input then.
        let input: Value = serde_json::from_str(&arguments).unwrap_or_else(|_| json!({}));
        content
            .push(json!({"toolUse": {"toolUseId": format!("tooluse_{id}"), "name": name, "input": input}}));
    }
    let mut answer = ending(form, choice.map_or(&Finish::Stop, |choice| &choice.finish));
    answer.extend(bill(counts));
    answer.insert("output".to_owned(), json!({"message": {"role": "assistant", "content": content}}));
    Value::Object(answer)
}

/// An answer as frames.
#[derive(Debug)]
pub(crate) struct Stream {
    form: Form,
    index: usize,
    open: Open,
    thought: String,
    finish: Finish,
    frames: usize,
}

/// The block being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    None,
    Reasoning,
    Text,
    ToolUse,
}

impl Stream {
    pub(crate) fn new(form: Form) -> Self {
        Self { form, index: 0, open: Open::None, thought: String::new(), finish: Finish::Stop, frames: 0 }
    }

    pub(crate) fn begin(&mut self) -> Vec<u8> {
        self.event("messageStart", json!({"role": "assistant"}))
    }

    pub(crate) fn piece(&mut self, piece: &Piece) -> Vec<u8> {
        match piece {
            Piece::Think(thought) => {
                self.thought.push_str(thought);
                let left = self.enter(Open::Reasoning);
                [left, self.delta(json!({"reasoningContent": {"text": thought}}))].concat()
            }
            Piece::Text(said) => {
                let left = self.enter(Open::Text);
                [left, self.delta(json!({"text": said}))].concat()
            }
            Piece::Call { id, name } => {
                let left = self.leave();
                self.open = Open::ToolUse;
                let start = json!({"toolUse": {"toolUseId": format!("tooluse_{id}"), "name": name}});
                let start = json!({"contentBlockIndex": self.index, "start": start});
                [left, self.event("contentBlockStart", start)].concat()
            }
            Piece::Arguments(part) => self.delta(json!({"toolUse": {"input": part}})),
        }
    }

    pub(crate) fn close(&mut self, finish: &Finish) -> Vec<u8> {
        self.finish = finish.clone();
        self.leave()
    }

    pub(crate) fn fail(&self) -> Vec<u8> {
        frame::exception("internalServerException", &json!({"message": CRASHED}))
    }

    pub(crate) fn end(&mut self, counts: Counts) -> Vec<u8> {
        let stop = ending(self.form, &self.finish);
        let stop = self.event("messageStop", Value::Object(stop));
        [stop, self.event("metadata", Value::Object(bill(counts)))].concat()
    }

    /// Only tool use has a start; other blocks begin with their first delta.
    fn enter(&mut self, kind: Open) -> Vec<u8> {
        if self.open == kind {
            return Vec::new();
        }
        let left = self.leave();
        self.open = kind;
        left
    }

    fn leave(&mut self) -> Vec<u8> {
        let sign = match self.open {
            Open::None => return Vec::new(),
            Open::Reasoning if self.form.signs => {
                let signature = messages::signature(&self.thought);
                self.delta(json!({"reasoningContent": {"signature": signature}}))
            }
            Open::Reasoning | Open::Text | Open::ToolUse => Vec::new(),
        };
        let stop = self.event("contentBlockStop", json!({"contentBlockIndex": self.index}));
        (self.index, self.open) = (self.index + 1, Open::None);
        [sign, stop].concat()
    }

    fn delta(&mut self, delta: Value) -> Vec<u8> {
        self.event("contentBlockDelta", json!({"contentBlockIndex": self.index, "delta": delta}))
    }

    fn event(&mut self, name: &str, mut payload: Value) -> Vec<u8> {
        self.frames += 1;
        let padding = PADDING.get(..self.frames * 7 % PADDING.len()).unwrap_or_default();
        if let Some(fields) = payload.as_object_mut() {
            fields.insert("p".to_owned(), padding.into());
        }
        frame::event(name, &payload)
    }
}

/// `stopReason`, and the model's own stop sequence where it was asked for.
fn ending(form: Form, finish: &Finish) -> Map<String, Value> {
    let (reason, stop) = match finish {
        Finish::Stop => ("end_turn", None),
        Finish::StopString(stop) => ("stop_sequence", Some(stop)),
        Finish::Length => ("max_tokens", None),
        Finish::Calls => ("tool_use", None),
        Finish::Refused => ("content_filtered", None),
    };
    let mut ending = Map::from_iter([("stopReason".to_owned(), reason.into())]);
    if form.tells_stop {
        ending.insert("additionalModelResponseFields".to_owned(), json!({"stop_sequence": stop}));
    }
    ending
}

/// `usage` and `metrics`.
fn bill(counts: Counts) -> Map<String, Value> {
    let usage = json!({
        "inputTokens": counts.prompt - counts.cached - counts.written,
        "outputTokens": counts.output,
        "totalTokens": counts.prompt + counts.output,
        "cacheReadInputTokens": counts.cached,
        "cacheWriteInputTokens": counts.written,
    });
    let metrics = json!({"latencyMs": TOKEN_MS * (counts.output + 1)});
    Map::from_iter([("usage".to_owned(), usage), ("metrics".to_owned(), metrics)])
}
