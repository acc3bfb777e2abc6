//! SGLang's own `/generate`: text or token ids in, and a stream whose every event repeats the whole
//! text so far.

use super::{Meta, data};
use crate::brain::answer::{Choice, Counts, Finish, Piece};
use crate::brain::ask::{self, Ask, BadAsk, Role, Turn, flag, list};
use serde_json::{Value, json};

/// Reads a request; a list of prompts is not simulated.
pub(crate) fn read(body: &Value) -> Result<Ask, BadAsk> {
    let prompt = match (body.get("text"), list(body, "input_ids")) {
        (Some(Value::String(prompt)), _) => prompt.clone(),
        (_, Some(ids)) if ids.iter().all(Value::is_number) => {
            // One word per id: the prompt is as long as the list.
            ids.iter().map(Value::to_string).collect::<Vec<_>>().join(" ")
        }
        _ => return Err(BadAsk::new("text", "either text or input_ids should be provided")),
    };
    let sampling = body.get("sampling_params").unwrap_or(&Value::Null);
    Ok(Ask {
        model: ask::text(body, "model").to_owned(),
        turns: vec![Turn { role: Role::User, text: prompt }],
        limit: Some(ask::limit(sampling, &["max_new_tokens"])?.unwrap_or(128)),
        stops: ask::stops(sampling.get("stop")),
        ignore_eos: flag(sampling, "ignore_eos"),
        answers: 1,
        streams: flag(body, "stream"),
        ..Ask::default()
    })
}

/// The whole answer.
pub(crate) fn whole(meta: &Meta, choices: &[Choice], counts: Counts) -> Value {
    let Some(choice) = choices.first() else { return Value::Null };
    state(meta, &choice.text(), counts, Some(&choice.finish))
}

/// The answer as events.
#[derive(Debug)]
pub(crate) struct Stream {
    meta: Meta,
    text: String,
    counts: Counts,
}

impl Stream {
    pub(crate) fn new(meta: Meta) -> Self {
        Self { meta, text: String::new(), counts: Counts::default() }
    }

    pub(crate) fn begin(&mut self, counts: Counts) -> String {
        self.counts = counts;
        String::new()
    }

    pub(crate) fn piece(&mut self, piece: &Piece) -> String {
        self.counts.output += 1;
        match piece {
            Piece::Text(text) => self.text.push_str(text),
            Piece::Think(_) | Piece::Call { .. } | Piece::Arguments(_) => {}
        }
        data(&state(&self.meta, &self.text, self.counts, None))
    }

    pub(crate) fn close(&self, finish: &Finish) -> String {
        data(&state(&self.meta, &self.text, self.counts, Some(finish))) + "data: [DONE]\n\n"
    }
}

fn state(meta: &Meta, text: &str, counts: Counts, finish: Option<&Finish>) -> Value {
    let reason = finish.map(|finish| match finish {
        Finish::Stop | Finish::Calls => json!({"type": "stop", "matched": 2}),
        Finish::StopString(stop) => json!({"type": "stop", "matched": stop}),
        Finish::Refused => json!({"type": "abort", "message": "refused"}),
        Finish::Length => json!({"type": "length", "length": counts.output}),
    });
    json!({
        "text": text,
        "output_ids": (0..counts.output).collect::<Vec<_>>(),
        "meta_info": {
            "id": meta.id, "finish_reason": reason, "prompt_tokens": counts.prompt,
            "completion_tokens": counts.output, "cached_tokens": counts.cached, "weight_version": "default",
        },
    })
}
