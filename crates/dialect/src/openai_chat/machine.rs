//! Chunks to events. One machine reads streamed and whole answers, so both mean the same.
//!
//! What upstreams do differently from the documents is settled here: several kinds of words in one
//! delta, tool fragments without an index or with one that starts over, usage anywhere, words after
//! the finish, a finish that says `stop` behind tool calls. Finishes and usage wait for the end.

use super::chunk::{Call, Choice, Chunk, Content, Words};
use super::think::{ThinkSplit, ThinkTags, Voice};
use super::tool_read::Tools;
use super::{OURS, error, finish, usage};
use crate::codec::{MOST_TRACKED, closed_early, too_many, upstream};
use crate::json::Fields;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{Citation, Delta, Event, Fault, FaultKind, FinishReason, Json, OffsetUnit, Open, Usage};

/// Where one answer's reading stands.
#[derive(Debug, Default)]
pub(super) struct Machine {
    think: ThinkTags,
    started: bool,
    over: bool,
    next_part: u32,
    answers: Vec<Answer>,
    /// The last usage object seen; some upstreams send one with every token, so it is only read once.
    usage: String,
    /// The tier that came with it.
    tier: Option<String>,
    /// Makes call ids for upstreams that give none.
    id: String,
}

/// Hands out events and part numbers.
pub(super) struct Out<'o> {
    next_part: &'o mut u32,
    pub(super) each: &'o mut dyn FnMut(Event<'_>),
}

impl Out<'_> {
    /// Opens a part and gives its number.
    pub(super) fn open(&mut self, choice: u32, open: Open<'_>) -> u32 {
        let part = *self.next_part;
        *self.next_part = part.wrapping_add(1);
        (self.each)(Event::Open { part, choice, open });
        part
    }

    pub(super) fn delta(&mut self, part: u32, delta: Delta<'_>) {
        (self.each)(Event::Delta { part, delta });
    }

    pub(super) fn close(&mut self, part: u32) {
        (self.each)(Event::Close { part });
    }
}

impl Machine {
    pub(super) fn new(think: ThinkTags) -> Self {
        Self { think, ..Self::default() }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Takes one `data:` payload.
    pub(super) fn payload(&mut self, data: &[u8], each: &mut dyn FnMut(Event<'_>)) {
        if self.over || data.is_empty() {
            return;
        }
        if data == b"[DONE]" {
            return if self.started {
                self.end(each);
            } else {
                self.fail(upstream("upstream ended its stream without an answer"), each);
            };
        }
        match Chunk::read(data) {
            Some(chunk) if !is_error(&chunk) => self.chunk(chunk, each),
            Some(_) => self.fail(error::read_error(200, data), each),
            None => {
                self.fail(upstream("upstream sent a stream event that is not a chat completion chunk"), each)
            }
        }
    }

    /// Takes the last payload, which had no blank line behind it: what is cut in two says nothing.
    pub(super) fn tail(&mut self, data: &[u8], each: &mut dyn FnMut(Event<'_>)) {
        if data == b"[DONE]" || Chunk::read(data).is_some() {
            self.payload(data, each);
        }
    }

    /// Takes one chunk that is no error.
    pub(super) fn chunk(&mut self, chunk: Chunk<'_>, each: &mut dyn FnMut(Event<'_>)) {
        if chunk.usage.is_some() {
            self.tier = chunk.service_tier.0.map(Cow::into_owned).or(self.tier.take());
        }
        self.note_usage(chunk.usage.or(chunk.x_groq.and_then(|groq| groq.usage)));
        let choices = chunk.choices.unwrap_or_default();
        // Azure opens with a chunk of filter results that names neither id nor model.
        if !self.started && !choices.is_empty() {
            self.started = true;
            let id = chunk.id.filled();
            self.id = id.as_deref().unwrap_or_default().to_owned();
            each(Event::Start { id, model: chunk.model.filled(), created: chunk.created.0 });
        }
        for choice in choices {
            self.note_usage(choice.usage);
            let index = choice.index.0.and_then(|index| u32::try_from(index).ok()).unwrap_or(0);
            let known = self.answers.iter().position(|answer| answer.index == index);
            let at = known.unwrap_or(self.answers.len());
            if known.is_none() {
                if at >= MOST_TRACKED {
                    return self.fail(too_many("choices"), each);
                }
                self.answers.push(Answer { index, ..Answer::default() });
            }
            let mut out = Out { next_part: &mut self.next_part, each };
            if let Some(answer) = self.answers.get_mut(at) {
                answer.choice(choice, self.think, &self.id, &mut out);
            }
            if self.answers.iter().map(|answer| answer.tools.len()).sum::<usize>() > MOST_TRACKED {
                return self.fail(too_many("tool calls"), each);
            }
        }
    }

    /// The upstream closed the stream: it may forget `[DONE]`, but not a finish reason.
    pub(super) fn closed(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        if self.over {
            return;
        }
        if self.started && self.answers.iter().all(|answer| answer.finish.is_some()) {
            self.end(each);
        } else {
            self.fail(closed_early(), each);
        }
    }

    /// The answer is complete.
    pub(super) fn end(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        let mut failed = None;
        for answer in &mut self.answers {
            let mut out = Out { next_part: &mut self.next_part, each };
            answer.close(&mut out);
            let (word, matched) = answer.finish.take().unwrap_or_default();
            let finish = finish::read(&word, !answer.tools.is_empty(), matched);
            if finish.reason == FinishReason::Error {
                failed = Some(word);
            } else {
                each(Event::Finish { choice: answer.index, finish });
            }
        }
        match failed {
            Some(word) => {
                let overloaded = word == "insufficient_system_resource";
                let kind = if overloaded { FaultKind::Overloaded } else { FaultKind::Upstream };
                let message = format!("upstream gave up its answer: {word}");
                self.fail(Fault { kind, ..upstream(message) }, each);
            }
            None => {
                self.over = true;
                self.tell_usage(each);
                each(Event::End);
            }
        }
    }

    /// The answer is lost.
    pub(super) fn fail(&mut self, fault: Fault, each: &mut dyn FnMut(Event<'_>)) {
        self.over = true;
        self.tell_usage(each);
        each(Event::Error(fault));
    }

    fn note_usage(&mut self, usage: Option<&RawValue>) {
        if let Some(usage) = usage.filter(|usage| usage.get().starts_with('{')) {
            self.usage.clear();
            self.usage.push_str(usage.get());
        }
    }

    fn tell_usage(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        if let Some(usage) = usage::read(&self.usage) {
            each(Event::Usage(Box::new(Usage { tier: self.tier.take(), ..usage })));
        }
    }
}

/// Whether a payload is a fault inside a 200.
pub(super) fn is_error(chunk: &Chunk<'_>) -> bool {
    let empty = |raw: &&RawValue| matches!(raw.get(), "\"\"" | "{}" | "false" | "0");
    chunk.error.filter(|raw| !empty(raw)).is_some() || chunk.object.0.as_deref() == Some("error")
}

/// Where one of the answers (`n`) stands.
#[derive(Debug, Default)]
struct Answer {
    index: u32,
    /// The open part of words, if any.
    said: Option<(Said, u32)>,
    tools: Tools,
    audio: Option<u32>,
    think: ThinkSplit,
    /// Whether a delta or message was read.
    begun: bool,
    /// The finish reason as spelled, and the stop text that was hit.
    finish: Option<(String, Option<String>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Text,
    Refusal,
    Reasoning,
}

impl Answer {
    fn choice(&mut self, choice: Choice<'_>, think: ThinkTags, id: &str, out: &mut Out<'_>) {
        // Perplexity repeats the whole message so far beside each delta.
        let message = choice.message.filter(|_| !self.begun);
        if let Some(words) = choice.delta.or(message) {
            self.begun = true;
            self.words(words, think, id, out);
        }
        if let Some(raw) = choice.logprobs {
            let raw = Json::from_raw(raw);
            (out.each)(Event::Logprobs { choice: self.index, dialect: OURS, raw });
        }
        if let Some(word) = choice.finish_reason.filled() {
            let matched = choice.matched_stop.filled().or(choice.stop_reason.filled());
            self.finish = Some((word.into_owned(), matched.map(Cow::into_owned)));
            self.close(out);
        }
    }

    #[expect(clippy::boxed_local, reason = "it is taken apart where it stands, not moved once more")]
    fn words(&mut self, mut words: Box<Words<'_>>, think: ThinkTags, id: &str, out: &mut Out<'_>) {
        let blocks = words.thinking_blocks.unwrap_or_default();
        if blocks.iter().all(|block| block.thought().is_none()) {
            // The two fields are one text where both are sent.
            let other = std::mem::take(&mut words.reasoning);
            let text = std::mem::take(&mut words.reasoning_content).text().or_else(|| other.text());
            self.say(Said::Reasoning, text, out);
        }
        for (at, block) in blocks.into_iter().enumerate() {
            if at > 0 {
                self.hush(out);
            }
            if let Some(data) = block.data.0 {
                self.hush(out);
                let part = out.open(self.index, Open::Redacted { data, stamp: Some(OURS) });
                out.close(part);
                continue;
            }
            self.say(Said::Reasoning, block.thought(), out);
            if let Some(signature) = block.signature.filled() {
                self.sign(signature, out);
            }
        }
        match words.content {
            Content::Text(text) => match think {
                ThinkTags::Literal => self.say(Said::Text, Some(text), out),
                ThinkTags::Split => self.split(Some(&text), out),
            },
            Content::Parts(parts) => {
                for part in parts {
                    match part.kind.0.as_deref() {
                        Some("thinking") => self.say(Said::Reasoning, part.thought(), out),
                        Some("refusal") => self.say(Said::Refusal, part.refusal.0, out),
                        Some(_) | None => self.say(Said::Text, part.text.0, out),
                    }
                }
            }
            Content::None => {}
        }
        for raw in words.annotations.unwrap_or_default() {
            self.cite(raw, out);
        }
        self.say(Said::Refusal, words.refusal.0, out);
        if let Some(raw) = words.audio {
            let raw = Json::from_raw(raw);
            match self.audio {
                Some(part) => out.delta(part, Delta::Native(raw)),
                None => {
                    let native_type = Cow::Borrowed("audio");
                    self.audio = Some(out.open(self.index, Open::Native { dialect: OURS, native_type, raw }));
                }
            }
        }
        let legacy =
            words.function_call.map(|function| Call { function: Some(*function), ..Call::default() });
        for call in words.tool_calls.map(|calls| *calls).unwrap_or_default().into_iter().chain(legacy) {
            self.hush(out);
            self.tools.fragment(call, self.index, id, out);
        }
    }

    /// Words of one voice; another voice closes the part.
    fn say(&mut self, voice: Said, text: Option<Cow<'_, str>>, out: &mut Out<'_>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        let part = self.part_for(voice, out);
        out.delta(part, Delta::Text(text));
    }

    fn part_for(&mut self, voice: Said, out: &mut Out<'_>) -> u32 {
        if let Some((_, part)) = self.said.filter(|(open, _)| *open == voice) {
            return part;
        }
        self.hush(out);
        self.tools.close_complete(out);
        let open = match voice {
            Said::Text => Open::Text,
            Said::Refusal => Open::Refusal,
            Said::Reasoning => Open::Reasoning,
        };
        let part = out.open(self.index, open);
        self.said = Some((voice, part));
        part
    }

    /// Closes the open part of words.
    fn hush(&mut self, out: &mut Out<'_>) {
        if let Some((_, part)) = self.said.take() {
            out.close(part);
        }
    }

    /// A signature proves the thoughts before it, so it also ends them. Servers of this dialect pass on
    /// proofs of several providers without saying whose, so only one of this dialect may get it back.
    fn sign(&mut self, signature: Cow<'_, str>, out: &mut Out<'_>) {
        let part = self.part_for(Said::Reasoning, out);
        out.delta(part, Delta::Signature { proof: signature, stamp: Some(OURS) });
        self.hush(out);
    }

    fn split(&mut self, text: Option<&str>, out: &mut Out<'_>) {
        let mut think = std::mem::take(&mut self.think);
        let mut each = |voice, text: &str| {
            let voice = match voice {
                Voice::Reasoning => Said::Reasoning,
                Voice::Content => Said::Text,
            };
            self.say(voice, Some(Cow::Borrowed(text)), out);
        };
        match text {
            Some(text) => think.push(text, &mut each),
            None => think.finish(&mut each),
        }
        self.think = think;
    }

    fn cite(&mut self, raw: &RawValue, out: &mut Out<'_>) {
        let citation =
            url_citation(raw).unwrap_or_else(|| Citation::Native { dialect: OURS, raw: Json::from_raw(raw) });
        let part = self.part_for(Said::Text, out);
        out.delta(part, Delta::Citation(Box::new(citation)));
    }

    /// Closes every open part.
    fn close(&mut self, out: &mut Out<'_>) {
        self.split(None, out);
        self.hush(out);
        self.tools.close_all(self.index, out);
        if let Some(part) = self.audio.take() {
            out.close(part);
        }
    }
}

/// `{"type":"url_citation","url_citation":{url,title,start_index,end_index}}`.
fn url_citation(raw: &RawValue) -> Option<Citation> {
    let mut outer = Fields::read(raw, "").ok()?;
    let mut inner = outer.object("url_citation").ok()??;
    let start = inner.u64("start_index").ok().flatten();
    let end = inner.u64("end_index").ok().flatten();
    Some(Citation::Url {
        url: inner.string("url").ok()??.into_owned(),
        title: inner.string("title").ok().flatten().map(Cow::into_owned),
        span: start.zip(end),
        unit: OffsetUnit::Scalars,
        cited_text: None,
        encrypted_index: None,
    })
}
