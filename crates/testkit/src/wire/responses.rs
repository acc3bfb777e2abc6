//! OpenAI Responses: an answer is a list of items, streamed as events numbered without gaps, each item
//! closed before the next one opens.

use super::{Meta, named, seal};
use crate::brain::answer::{Choice, Counts, Finish, Piece};
use crate::brain::ask::text;
use crate::brain::demand::CRASHED;
use serde_json::{Map, Value, json};

/// What encrypted state begins with.
const SEALED: &str = "gAAAAA";

/// A completed `response`.
pub(crate) fn whole(meta: &Meta, choices: &[Choice], counts: Counts) -> Value {
    let Some(choice) = choices.first() else { return envelope(meta, &[], "completed", None) };
    let mut stream = Stream::new(meta.clone());
    for piece in &choice.pieces {
        stream.piece(piece);
    }
    stream.close(&choice.finish);
    stream.response(counts)
}

/// A response as events.
#[derive(Debug)]
pub(crate) struct Stream {
    meta: Meta,
    sequence: u64,
    /// Items closed, as they stand in the final response.
    items: Vec<Value>,
    open: Option<Item>,
    finish: Finish,
}

/// The item being written.
#[derive(Debug)]
struct Item {
    kind: Kind,
    /// Text, thought or arguments so far.
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Message,
    Reasoning,
    Call { id: String, name: String },
}

impl Stream {
    pub(crate) fn new(meta: Meta) -> Self {
        Self { meta, sequence: 0, items: Vec::new(), open: None, finish: Finish::Stop }
    }

    pub(crate) fn begin(&mut self) -> String {
        let response = envelope(&self.meta, &[], "in_progress", None);
        self.event("response.created", json!({"response": response}))
            + &self.event("response.in_progress", json!({"response": response}))
    }

    pub(crate) fn piece(&mut self, piece: &Piece) -> String {
        match piece {
            Piece::Think(text) => self.enter(Kind::Reasoning) + &self.push(text),
            Piece::Text(text) => self.enter(Kind::Message) + &self.push(text),
            Piece::Call { id, name } => self.enter(Kind::Call { id: id.clone(), name: name.clone() }),
            Piece::Arguments(part) => self.push(part),
        }
    }

    pub(crate) fn close(&mut self, finish: &Finish) -> String {
        self.finish = finish.clone();
        self.leave()
    }

    pub(crate) fn end(&mut self, counts: Counts) -> String {
        let response = self.response(counts);
        let name = format!("response.{}", text(&response, "status"));
        self.event(&name, json!({"response": response}))
    }

    fn response(&self, counts: Counts) -> Value {
        let reason = match self.finish {
            Finish::Stop | Finish::StopString(_) | Finish::Calls => None,
            Finish::Length => Some("max_output_tokens"),
            Finish::Refused => Some("content_filter"),
        };
        let status = if reason.is_some() { "incomplete" } else { "completed" };
        let mut response = envelope(&self.meta, &self.items, status, Some(counts));
        if let Some(details) = response.get_mut("incomplete_details") {
            *details = reason.map_or(Value::Null, |reason| json!({"reason": reason}));
        }
        response
    }

    pub(crate) fn fail(&mut self) -> String {
        let mut response = envelope(&self.meta, &self.items, "failed", None);
        if let Some(error) = response.get_mut("error") {
            *error = json!({"code": "server_error", "message": CRASHED});
        }
        self.event("response.failed", json!({"response": response}))
    }

    fn enter(&mut self, kind: Kind) -> String {
        if self.open.as_ref().is_some_and(|item| item.kind == kind) {
            return String::new();
        }
        let left = self.leave();
        let item = Item { kind, text: String::new() };
        let shape = self.shape(&item, "in_progress");
        let part = self.part(&item);
        self.open = Some(item);
        let added = self
            .event("response.output_item.added", json!({"output_index": self.items.len(), "item": shape}));
        let part = part.map(|(name, part)| self.part_event(name, "added", part)).unwrap_or_default();
        left + &added + &part
    }

    fn push(&mut self, delta: &str) -> String {
        let shows_thought = self.shows_thought();
        let Some(item) = self.open.as_mut() else { return String::new() };
        item.text.push_str(delta);
        let mut fields = Map::from_iter([("delta".to_owned(), json!(delta))]);
        let name = match &item.kind {
            Kind::Message => {
                fields.insert("logprobs".to_owned(), json!([]));
                "response.output_text.delta"
            }
            Kind::Reasoning if shows_thought => "response.reasoning_text.delta",
            Kind::Reasoning => "response.reasoning_summary_text.delta",
            Kind::Call { .. } => "response.function_call_arguments.delta",
        };
        self.item_event(name, fields)
    }

    fn leave(&mut self) -> String {
        let Some(item) = self.open.as_ref() else { return String::new() };
        let (text, shape, part) = (item.text.clone(), self.shape(item, "completed"), self.part(item));
        let (name, fields) = match &item.kind {
            Kind::Message => ("response.output_text.done", json!({"text": text, "logprobs": []})),
            Kind::Reasoning if self.shows_thought() => {
                ("response.reasoning_text.done", json!({"text": text}))
            }
            Kind::Reasoning => ("response.reasoning_summary_text.done", json!({"text": text})),
            Kind::Call { name, .. } => {
                ("response.function_call_arguments.done", json!({"arguments": text, "name": name}))
            }
        };
        let mut events = self.item_event(name, object(fields));
        if let Some((name, part)) = part {
            events.push_str(&self.part_event(name, "done", part));
        }
        self.open = None;
        let index = self.items.len();
        self.items.push(shape.clone());
        events + &self.event("response.output_item.done", json!({"output_index": index, "item": shape}))
    }

    /// The item as it stands; its parts stay out while it is in progress.
    fn shape(&self, item: &Item, status: &str) -> Value {
        let id = self.item_id(&item.kind);
        let parts: Vec<_> =
            self.part(item).filter(|_| status == "completed").into_iter().map(|(_, part)| part).collect();
        match &item.kind {
            Kind::Message => {
                json!({"id": id, "type": "message", "role": "assistant", "status": status, "content": parts})
            }
            Kind::Reasoning if self.shows_thought() => {
                json!({"id": id, "type": "reasoning", "summary": [], "content": parts, "status": status})
            }
            Kind::Reasoning => {
                let mut shape = json!({"id": id, "type": "reasoning", "summary": parts});
                if let Some(fields) = shape.as_object_mut().filter(|_| self.meta.habits.seals_reasoning) {
                    fields.insert("encrypted_content".to_owned(), sealed(&id).into());
                }
                shape
            }
            Kind::Call { id: call, name } => json!({
                "id": id, "type": "function_call", "call_id": format!("call_{call}"), "name": name,
                "arguments": item.text, "status": status,
            }),
        }
    }

    /// The item's one part with the family of events that frames it.
    fn part(&self, item: &Item) -> Option<(&'static str, Value)> {
        match &item.kind {
            Kind::Message => Some((
                "response.content_part",
                json!({"type": "output_text", "text": item.text, "annotations": [], "logprobs": []}),
            )),
            Kind::Reasoning if self.shows_thought() => {
                Some(("response.content_part", json!({"type": "reasoning_text", "text": item.text})))
            }
            Kind::Reasoning => {
                Some(("response.reasoning_summary_part", json!({"type": "summary_text", "text": item.text})))
            }
            Kind::Call { .. } => None,
        }
    }

    /// Engines show the thought itself, the vendor a summary of it.
    fn shows_thought(&self) -> bool {
        self.meta.habits.reasoning_key.is_some()
    }

    fn item_id(&self, kind: &Kind) -> String {
        let prefix = match kind {
            Kind::Message => "msg",
            Kind::Reasoning => "rs",
            Kind::Call { .. } => "fc",
        };
        format!("{prefix}_{}{:02}", self.meta.id, self.items.len())
    }

    fn part_event(&mut self, family: &str, stage: &str, part: Value) -> String {
        self.item_event(&format!("{family}.{stage}"), Map::from_iter([("part".to_owned(), part)]))
    }

    /// An event about the open item.
    fn item_event(&mut self, name: &str, mut fields: Map<String, Value>) -> String {
        let Some(item) = self.open.as_ref() else { return String::new() };
        fields.insert("item_id".to_owned(), self.item_id(&item.kind).into());
        fields.insert("output_index".to_owned(), self.items.len().into());
        if name.starts_with("response.reasoning_summary") {
            fields.insert("summary_index".to_owned(), 0.into());
        } else if !matches!(item.kind, Kind::Call { .. }) {
            fields.insert("content_index".to_owned(), 0.into());
        }
        self.event(name, Value::Object(fields))
    }

    fn event(&mut self, name: &str, fields: Value) -> String {
        let mut fields = object(fields);
        fields.insert("type".to_owned(), name.into());
        fields.insert("sequence_number".to_owned(), self.sequence.into());
        self.sequence += 1;
        named(&Value::Object(fields))
    }
}

/// The state of reasoning item `id`, for a client to keep.
fn sealed(id: &str) -> String {
    format!("{SEALED}{}", seal::seal(id, id))
}

/// Whether `content` is the state of reasoning item `id`.
pub(crate) fn is_sealed(content: &str, id: &str) -> bool {
    let sealed = content.strip_prefix(SEALED).and_then(seal::bytes);
    sealed.is_some_and(|bytes| seal::is_seal(&bytes, id))
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(fields) = value { fields } else { Map::new() }
}

/// The response object around `items`; without counts it is still in progress.
fn envelope(meta: &Meta, items: &[Value], status: &str, counts: Option<Counts>) -> Value {
    let usage = counts.map(|counts| {
        json!({
            "input_tokens": counts.prompt,
            "input_tokens_details": {"cached_tokens": counts.cached},
            "output_tokens": counts.output,
            "output_tokens_details": {"reasoning_tokens": counts.reasoning},
            "total_tokens": counts.prompt + counts.output,
        })
    });
    let mut envelope = json!({
        "id": format!("resp_{}", meta.id),
        "object": "response",
        "created_at": meta.created,
        "status": status,
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "metadata": {},
        "model": meta.model,
        "output": items,
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "store": true,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage,
    });
    if let Some(fields) = envelope.as_object_mut() {
        fields.extend(meta.echoed.clone());
    }
    envelope
}
