//! OpenAI Chat Completions.

use super::{Meta, data, openai_finish, openai_usage};
use crate::brain::answer::{Choice, Counts, Finish, Piece};
use crate::brain::ask::Ask;
use serde_json::{Map, Value, json};

/// `chat.completion`.
pub(crate) fn whole(meta: &Meta, choices: &[Choice], counts: Counts) -> Value {
    let choices = choices.iter().enumerate().map(|(index, choice)| {
        let calls = choice.calls().into_iter().map(|(id, name, arguments)| {
            let function = json!({"name": name, "arguments": arguments});
            json!({"id": format!("call_{id}"), "type": "function", "function": function})
        });
        let calls = calls.collect::<Vec<_>>();
        let text = choice.text();
        let content = if text.is_empty() && !calls.is_empty() { Value::Null } else { text.into() };
        let role = json!("assistant");
        let mut message = Map::from_iter([("role".to_owned(), role), ("content".to_owned(), content)]);
        if !calls.is_empty() {
            message.insert("tool_calls".to_owned(), calls.into());
        }
        let thought = choice.thought();
        if let Some(key) = meta.habits.reasoning_key.filter(|_| !thought.is_empty()) {
            message.insert(key.to_owned(), thought.into());
        }
        json!({
            "index": index,
            "message": message,
            "logprobs": null,
            "finish_reason": openai_finish(&choice.finish),
        })
    });
    json!({
        "id": format!("chatcmpl-{}", meta.id),
        "object": "chat.completion",
        "created": meta.created,
        "model": meta.model,
        "choices": choices.collect::<Vec<_>>(),
        "usage": openai_usage(counts),
    })
}

/// `chat.completion.chunk`s.
#[derive(Debug)]
pub(crate) struct Stream {
    meta: Meta,
    wants_usage: bool,
    /// Tool calls begun, by choice.
    calls: Vec<usize>,
}

impl Stream {
    pub(crate) fn new(meta: Meta, ask: &Ask) -> Self {
        Self { meta, wants_usage: ask.wants_usage, calls: vec![0; ask.answers] }
    }

    pub(crate) fn begin(&self) -> String {
        let roles = 0..self.calls.len();
        roles.map(|choice| self.chunk(choice, &json!({"role": "assistant", "content": ""}), None)).collect()
    }

    pub(crate) fn piece(&mut self, choice: usize, piece: &Piece) -> String {
        let begun = self.calls.get_mut(choice);
        let delta = match piece {
            Piece::Think(text) => match self.meta.habits.reasoning_key {
                Some(key) => json!({key: text}),
                None => return String::new(),
            },
            Piece::Text(text) => json!({"content": text}),
            Piece::Call { id, name } => {
                let index = begun.map_or(0, |begun| std::mem::replace(begun, *begun + 1));
                let (id, function) = (format!("call_{id}"), json!({"name": name, "arguments": ""}));
                json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]})
            }
            Piece::Arguments(part) => {
                let index = begun.map_or(0, |begun| begun.saturating_sub(1));
                json!({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
            }
        };
        self.chunk(choice, &delta, None)
    }

    pub(crate) fn close(&self, choice: usize, finish: &Finish) -> String {
        self.chunk(choice, &json!({}), Some(openai_finish(finish)))
    }

    pub(crate) fn end(&self, counts: Counts) -> String {
        let usage = if self.wants_usage {
            data(&self.envelope(json!([]), Some(openai_usage(counts))))
        } else {
            String::new()
        };
        usage + "data: [DONE]\n\n"
    }

    fn chunk(&self, choice: usize, delta: &Value, finish: Option<&str>) -> String {
        let usage = (self.wants_usage && self.meta.habits.null_usage).then_some(Value::Null);
        let choices = json!([{"index": choice, "delta": delta, "logprobs": null, "finish_reason": finish}]);
        data(&self.envelope(choices, usage))
    }

    fn envelope(&self, choices: Value, usage: Option<Value>) -> Value {
        let mut chunk = Map::from_iter([
            ("id".to_owned(), format!("chatcmpl-{}", self.meta.id).into()),
            ("object".to_owned(), "chat.completion.chunk".into()),
            ("created".to_owned(), self.meta.created.into()),
            ("model".to_owned(), self.meta.model.as_str().into()),
            ("choices".to_owned(), choices),
        ]);
        if let Some(usage) = usage {
            chunk.insert("usage".to_owned(), usage);
        }
        Value::Object(chunk)
    }
}
