//! One generation request: read, seated, answered whole or token by token.

use super::Inner;
use super::run::Seat;
use crate::brain::answer::{self, Choice, Counts};
use crate::brain::demand::Demand;
use crate::brain::words;
use crate::serve::{self, Body};
use crate::wire::{Habits, Meta, Stream, Wire};
use futures_util::stream;
use http::{Response, StatusCode};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The answer to `body`, in the dialect of `wire`.
pub(super) async fn answer(engine: &Arc<Inner>, wire: Wire, body: &Value) -> Response<Body> {
    let refuse = |status, message: &str, param| match wire {
        // Engines answer Messages clients in the Messages shape.
        Wire::Messages => serve::json(status, &crate::cloud::anthropic_error(status, message, "")),
        Wire::Ollama(_) => super::ollama::refuse(status, message),
        Wire::Chat
        | Wire::Completion
        | Wire::Responses
        | Wire::Generate
        | Wire::Gemini(_)
        | Wire::Converse(_)
        | Wire::Cohere => engine.refuse(status, message, param),
    };
    let ask = match wire.read(body) {
        Ok(ask) => ask,
        Err(bad) => return refuse(StatusCode::BAD_REQUEST, &bad.message, Some(bad.param)),
    };
    let known = engine.config.models.contains(&ask.model);
    if engine.config.flavour.checks_model() && !known {
        let missing = if matches!(wire, Wire::Ollama(_)) {
            super::ollama::missing(&ask.model)
        } else {
            format!("The model `{}` does not exist.", ask.model)
        };
        return refuse(StatusCode::NOT_FOUND, &missing, Some("model"));
    }
    let demand = Demand::of(&ask);
    if let Some((status, message)) = demand.and_then(|demand| demand.failure(ask.streams)) {
        return refuse(status, message, None);
    }
    let prompt = answer::prompt(&ask);
    let context = engine.config.kv_tokens;
    let wanted = prompt.len() + ask.limit.unwrap_or(1);
    if wanted > context {
        let long = format!(
            "This model's maximum context length is {context} tokens. However, you requested {wanted} tokens \
             ({} in the messages, {} in the completion). Please reduce the length.",
            prompt.len(),
            wanted - prompt.len()
        );
        return refuse(StatusCode::BAD_REQUEST, &long, None);
    }
    let choices = answer::answers(&ask, engine.config.seed);
    let serial = engine.serial.fetch_add(1, Ordering::Relaxed);
    let meta = Meta {
        id: format!("{:016x}{serial:08x}", words::mix(words::HASH_START, serial ^ engine.config.seed)),
        model: if known { ask.model.clone() } else { engine.model().to_owned() },
        created: super::now_s(),
        echoed: ask.echoed.clone(),
        habits: Habits {
            reasoning_key: Some(engine.config.flavour.reasoning_key()),
            null_usage: false,
            seals_reasoning: false,
        },
    };
    let lengths: Vec<_> = choices.iter().map(|choice| choice.pieces.len()).collect();
    let mut seat = engine.runner.enter(&prompt, &lengths);
    if ask.streams {
        let breaks_after = (demand == Some(Demand::Break)).then(|| lengths.iter().sum::<usize>().div_ceil(2));
        let told = vec![0; choices.len()];
        let stream = wire.stream(meta, &ask);
        let telling = Telling { seat, stream, choices, told, breaks_after, prompt: prompt.len() };
        return serve::stream(
            wire.content_type(),
            stream::unfold(telling, |mut telling| async move {
                let piece = telling.next().await?;
                Some((piece, telling))
            }),
        );
    }
    while seat.token().await.is_some() {}
    seat.finish();
    let counts = answer::count(&choices, prompt.len(), seat.cached());
    serve::json(StatusCode::OK, &wire.whole(&meta, &choices, counts))
}

/// A streamed answer on its way; it owns the seat, so a dropped body frees it.
struct Telling {
    seat: Seat,
    stream: Stream,
    choices: Vec<Choice>,
    /// Tokens delivered, by choice.
    told: Vec<usize>,
    /// Tokens after which the answer fails, when that was demanded.
    breaks_after: Option<usize>,
    prompt: usize,
}

impl Telling {
    /// What the next token adds to the stream; `None` after its end.
    async fn next(&mut self) -> Option<Vec<u8>> {
        if self.seat.is_over() {
            return None;
        }
        let Some(nth) = self.seat.token().await else {
            self.seat.finish();
            return Some(self.stream.end(answer::count(&self.choices, self.prompt, self.seat.cached())));
        };
        let mut text = Vec::new();
        if self.told.iter().all(|told| *told == 0) {
            let counts = Counts { prompt: self.prompt, cached: self.seat.cached(), ..Counts::default() };
            text.extend(self.stream.begin(counts));
        }
        let (told, choice) = (self.told.get_mut(nth)?, self.choices.get(nth)?);
        if let Some(piece) = choice.pieces.get(*told) {
            text.extend(self.stream.piece(nth, piece));
        }
        *told += 1;
        // An answer stopped at its first letter still took one token to find out.
        if *told == choice.pieces.len().max(1) {
            text.extend(self.stream.close(nth, &choice.finish));
        }
        if self.breaks_after.is_some_and(|limit| self.told.iter().sum::<usize>() >= limit) {
            self.seat.finish();
            text.extend(self.stream.fail());
        }
        Some(text)
    }
}
