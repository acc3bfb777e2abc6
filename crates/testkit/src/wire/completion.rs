//! OpenAI Completions, the endpoint without roles. Reasoning and tools do not exist on it.

use super::{Meta, data, openai_finish, openai_usage};
use crate::brain::answer::{Choice, Counts, Finish, Piece};
use crate::brain::ask::Ask;
use serde_json::{Value, json};

/// `text_completion`.
pub(crate) fn whole(meta: &Meta, choices: &[Choice], counts: Counts) -> Value {
    let choices = choices.iter().enumerate();
    let choices =
        choices.map(|(index, choice)| one(index, &choice.text(), Some(openai_finish(&choice.finish))));
    let mut answer = envelope(meta, &choices.collect());
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("usage".to_owned(), openai_usage(counts));
    }
    answer
}

/// `text_completion` chunks.
#[derive(Debug)]
pub(crate) struct Stream {
    meta: Meta,
    wants_usage: bool,
}

impl Stream {
    pub(crate) fn new(meta: Meta, ask: &Ask) -> Self {
        Self { meta, wants_usage: ask.wants_usage }
    }

    pub(crate) fn piece(&self, choice: usize, piece: &Piece) -> String {
        match piece {
            Piece::Text(text) => data(&envelope(&self.meta, &vec![one(choice, text, None)])),
            Piece::Think(_) | Piece::Call { .. } | Piece::Arguments(_) => String::new(),
        }
    }

    pub(crate) fn close(&self, choice: usize, finish: &Finish) -> String {
        data(&envelope(&self.meta, &vec![one(choice, "", Some(openai_finish(finish)))]))
    }

    pub(crate) fn end(&self, counts: Counts) -> String {
        let mut last = envelope(&self.meta, &Vec::new());
        match last.as_object_mut().filter(|_| self.wants_usage) {
            Some(fields) => fields.insert("usage".to_owned(), openai_usage(counts)),
            None => return "data: [DONE]\n\n".to_owned(),
        };
        data(&last) + "data: [DONE]\n\n"
    }
}

fn one(index: usize, text: &str, finish: Option<&str>) -> Value {
    json!({"index": index, "text": text, "logprobs": null, "finish_reason": finish})
}

fn envelope(meta: &Meta, choices: &Vec<Value>) -> Value {
    json!({
        "id": format!("cmpl-{}", meta.id),
        "object": "text_completion",
        "created": meta.created,
        "model": meta.model,
        "choices": choices,
    })
}
