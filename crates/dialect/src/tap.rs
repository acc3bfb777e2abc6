//! Reads what the books need from an answer that passes through untouched: usage, finish reason,
//! when content began, how many events there were, whether the end came.
//!
//! The tap never changes, delays or copies the stream. It looks at each line for a few quoted keys (a
//! quote inside a JSON string is always escaped, so `"usage"` cannot be matched in text) and parses only
//! the events that have one. A line cut by the network waits here, up to a limit; one longer than that
//! is passed over.

mod frames;
mod pictures;
mod search;

pub use pictures::Pictures;
pub(crate) use search::{first_value, value_after};

use crate::anthropic_messages::Counts;
use crate::codec::{StreamReader, read_reply};
use crate::json::{self, Cursor};
use crate::{openai_chat, openai_responses, surface};
use bytes::Bytes;
use frames::{MessagesEvent, OpenaiChunk, ResponsesEvent};
use memchr::memmem::{self, Finder};
use search::{last_value, object_at, says};
use std::borrow::Cow;
use std::sync::LazyLock;
use trunkline_core::{Dialect, Event, Finish, Usage};

/// What an answer turned out to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tapped {
    /// Token counts; boxed because most of a stream has none.
    pub usage: Option<Box<Usage>>,
    /// Why it ended, in the upstream's words.
    pub finish: Option<String>,
    /// Whether the dialect's last event was seen.
    pub ended: bool,
    /// Whether an error came inside the stream.
    pub failed: bool,
}

/// What one piece of a stream held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Events completed in it.
    pub events: u32,
    /// Whether any of them carried content.
    pub content: bool,
    /// How many of them did: about one token each.
    pub parts: u32,
}

/// Longest line kept while it is incomplete; data of interest is far shorter.
const LONGEST_LINE: usize = 256 << 10;
/// How much of a line that is passed over is looked at.
const START: usize = 256;
/// How much of the end of a whole answer is searched for usage first, in bytes.
pub const TAIL: usize = 32 << 10;

/// What every event is searched for; preparing a search costs more than searching an event.
static FINISH_REASON: Key = LazyLock::new(|| Finder::new(b"\"finish_reason\""));
static STOP_REASON: Key = LazyLock::new(|| Finder::new(b"\"stop_reason\""));
static STATUS: Key = LazyLock::new(|| Finder::new(b"\"status\""));
static SERVICE_TIER: Key = LazyLock::new(|| Finder::new(b"\"service_tier\""));
static USAGE: Key = LazyLock::new(|| Finder::new(b"\"usage\""));
static ERROR: Key = LazyLock::new(|| Finder::new(b"\"error\""));
static RESPONSE: Key = LazyLock::new(|| Finder::new(b"\"response\""));
static MESSAGE_STOP: Key = LazyLock::new(|| Finder::new(b"\"message_stop\""));
type Key = LazyLock<Finder<'static>>;

/// A tap on a stream. The dialects most traffic comes in are searched for what matters; the others are read by
/// their codec, which costs more and needs nothing of its own.
#[derive(Debug)]
pub struct StreamTap {
    dialect: Dialect,
    codec: Option<Box<StreamReader>>,
    line: Vec<u8>,
    skipping: bool,
    has_content: bool,
    /// How many answers the client asked for.
    choices: u32,
    /// One bit per answer whose finish reason was seen. Who asks for more than fit must send `[DONE]`.
    finished: u128,
    /// What Anthropic's events said of usage, which takes two of them.
    counts: Counts,
    /// What was found so far.
    pub tapped: Tapped,
}

impl StreamTap {
    /// Listens to a stream in `dialect` that answers a request for this many `choices`.
    #[must_use]
    pub fn new(dialect: Dialect, choices: u32) -> Self {
        let searched = matches!(
            dialect,
            Dialect::OpenaiChat
                | Dialect::OpenaiCompletions
                | Dialect::Surface(_)
                | Dialect::OpenaiResponses
                | Dialect::AnthropicMessages
        );
        let codec = || StreamReader::new(dialect, LONGEST_LINE).ok().map(Box::new);
        Self {
            dialect,
            codec: if searched { None } else { codec() },
            line: Vec::new(),
            skipping: false,
            has_content: false,
            choices: choices.max(1),
            finished: 0,
            counts: Counts::default(),
            tapped: Tapped::default(),
        }
    }

    /// Looks at the next bytes.
    pub fn see(&mut self, bytes: &[u8]) -> Seen {
        let mut seen = Seen::default();
        if let Some(codec) = &mut self.codec {
            codec.push(bytes, &mut |event| note(event, &mut self.tapped, &mut seen));
            return seen;
        }
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (head, tail) = rest.split_at(end);
            rest = tail.get(1..).unwrap_or_default();
            if std::mem::take(&mut self.skipping) {
                self.line.clear();
                seen.events += 1;
            } else if self.line.is_empty() {
                self.line_done(head, &mut seen);
            } else {
                self.line.extend_from_slice(head);
                let line = std::mem::take(&mut self.line);
                self.line_done(&line, &mut seen);
                self.line = line;
                self.line.clear();
            }
        }
        if self.line.len() + rest.len() > LONGEST_LINE {
            self.skipping = true;
            // The last event of Responses repeats the whole answer; its beginning is enough to know it.
            let start: Vec<u8> = self.line.iter().chain(rest).take(START).copied().collect();
            self.tapped.ended |= self.dialect == Dialect::OpenaiResponses && ends_responses(&start);
            self.line = Vec::new();
        } else if !self.skipping {
            self.line.extend_from_slice(rest);
        }
        seen
    }

    /// The upstream closed the stream: looks at a last line that has no end. Whether all was said.
    ///
    /// The dialects' last events must have come. Only in OpenAI's older ones many engines never send
    /// `[DONE]`; a finish reason of every answer that was asked for says as much.
    pub fn close(&mut self) -> bool {
        if let Some(codec) = &mut self.codec {
            let over = self.tapped.ended || self.tapped.failed;
            if !over {
                // A stream that closed early is an error to its codec, and is not one the upstream reported.
                let mut last = Tapped::default();
                codec.close(&mut |event| note(event, &mut last, &mut Seen::default()));
                self.tapped.ended = last.ended;
                self.tapped.usage = last.usage.or(self.tapped.usage.take());
                self.tapped.finish = last.finish.or(self.tapped.finish.take());
            }
            return self.tapped.ended || over;
        }
        let line = std::mem::take(&mut self.line);
        self.line_done(&line, &mut Seen::default());
        let all_said = self.tapped.ended || self.tapped.failed;
        match self.dialect {
            // Their last events have many names; whether the stream was cut is for HTTP to say.
            Dialect::Surface(_) => true,
            Dialect::OpenaiChat | Dialect::OpenaiCompletions => {
                all_said || self.finished.count_ones() >= self.choices
            }
            Dialect::OpenaiResponses
            | Dialect::AnthropicMessages
            | Dialect::GeminiGenerate
            | Dialect::OllamaChat
            | Dialect::OllamaGenerate
            | Dialect::BedrockConverse
            | Dialect::CohereChat
            | Dialect::ReplicatePredictions => all_said,
        }
    }

    fn line_done(&mut self, line: &[u8], seen: &mut Seen) {
        let Some(data) = line.strip_prefix(b"data:") else { return };
        let data = data.trim_ascii();
        if data.is_empty() {
            return;
        }
        seen.events += 1;
        if carries_content(self.dialect, data) {
            self.has_content = true;
            seen.parts += 1;
        }
        seen.content |= self.has_content;
        match self.dialect {
            Dialect::OpenaiChat | Dialect::OpenaiCompletions => self.openai(data),
            Dialect::Surface(surface) => {
                self.tapped.usage = surface::usage(surface, data).or(self.tapped.usage.take());
            }
            Dialect::OpenaiResponses => self.responses(data),
            Dialect::AnthropicMessages => self.messages(data),
            Dialect::GeminiGenerate
            | Dialect::OllamaChat
            | Dialect::OllamaGenerate
            | Dialect::BedrockConverse
            | Dialect::CohereChat
            | Dialect::ReplicatePredictions => {}
        }
    }

    fn openai(&mut self, data: &[u8]) {
        if data == b"[DONE]" {
            self.tapped.ended = true;
        } else if says(data, &FINISH_REASON) || says(data, &USAGE) || says(data, &ERROR) {
            let Ok(chunk) = serde_json::from_slice::<OpenaiChunk<'_>>(data) else { return };
            self.tapped.failed |= chunk.error.is_some();
            for choice in chunk.choices {
                if let Some(reason) = choice.finish_reason {
                    self.finished |= 1u128.checked_shl(choice.index.unwrap_or(0)).unwrap_or(0);
                    self.tapped.finish = Some(reason.into_owned());
                }
            }
            let usage = chunk.usage.or(chunk.x_groq.and_then(|groq| groq.usage));
            if let Some(usage) = usage.and_then(|raw| openai_chat::counts(raw.get())) {
                self.tapped.usage = billed(usage.usage, chunk.service_tier);
            }
        }
    }

    fn responses(&mut self, data: &[u8]) {
        if !(says(data, &RESPONSE) || says(data, &ERROR)) {
            return;
        }
        let Ok(event) = serde_json::from_slice::<ResponsesEvent<'_>>(data) else { return };
        match event.kind.as_ref() {
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.tapped.ended = true;
                self.tapped.failed |= event.kind == "response.failed";
                if let Some(response) = event.response {
                    self.tapped.finish = response.status.map(Cow::into_owned);
                    let usage = response.usage.and_then(openai_responses::read_usage);
                    self.tapped.usage = usage.and_then(|usage| billed(usage, response.service_tier));
                }
            }
            "error" => {
                self.tapped.ended = true;
                self.tapped.failed = true;
            }
            _ => {}
        }
    }

    fn messages(&mut self, data: &[u8]) {
        if !(says(data, &USAGE) || says(data, &MESSAGE_STOP) || says(data, &ERROR)) {
            return;
        }
        let Ok(event) = serde_json::from_slice::<MessagesEvent<'_>>(data) else { return };
        match event.kind.as_ref() {
            "message_stop" => self.tapped.ended = true,
            "error" => {
                self.tapped.ended = true;
                self.tapped.failed = true;
            }
            "message_start" | "message_delta" => {
                if let Some(reason) = event.delta.and_then(|delta| delta.stop_reason) {
                    self.tapped.finish = Some(reason.into_owned());
                }
                let usage = event.usage.or(event.message.and_then(|message| message.usage));
                if let Some(usage) = usage.and_then(|raw| self.counts.take(raw)) {
                    self.tapped.usage = billed(usage, None);
                }
            }
            _ => {}
        }
    }
}

/// Reads usage and finish reason from the end of a whole answer; `pieces` are its last bytes.
#[must_use]
pub fn tap_reply(dialect: Dialect, pieces: &[Bytes]) -> Tapped {
    match dialect {
        Dialect::OpenaiChat
        | Dialect::OpenaiCompletions
        | Dialect::OpenaiResponses
        | Dialect::AnthropicMessages => search_reply(dialect, pieces),
        Dialect::Surface(surface) => {
            let usage = surface::usage(surface, &pieces.concat());
            Tapped { usage, ended: true, ..Tapped::default() }
        }
        Dialect::GeminiGenerate
        | Dialect::OllamaChat
        | Dialect::OllamaGenerate
        | Dialect::BedrockConverse
        | Dialect::CohereChat
        | Dialect::ReplicatePredictions => {
            let reply = read_reply(dialect, &pieces.concat()).unwrap_or_default();
            let finish = reply.choices.into_iter().find_map(|choice| native(choice.finish?));
            Tapped { usage: reply.usage, finish, ended: true, failed: false }
        }
    }
}

fn search_reply(dialect: Dialect, pieces: &[Bytes]) -> Tapped {
    let joined;
    let all: &[u8] = if let [only] = pieces {
        only
    } else {
        joined = pieces.concat();
        &joined
    };
    let tail = all.get(all.len().saturating_sub(TAIL)..).unwrap_or_default();
    let mut tapped = Tapped { ended: true, ..Tapped::default() };
    let at_end = || last_value(tail, &USAGE).and_then(|object| usage_at(dialect, object)).filter(counts_any);
    // Where it does not stand, as it usually does, at the end, the answer's own members are gone through.
    let usage = at_end().or_else(|| usage_at(dialect, member(all, "usage")?.as_bytes()));
    if let Some(usage) = usage {
        let tier = last_value(tail, &SERVICE_TIER).and_then(first_value::<Cow<'_, str>>);
        tapped.usage = billed(usage, tier);
    }
    let key = match dialect {
        Dialect::AnthropicMessages => &STOP_REASON,
        Dialect::OpenaiResponses => &STATUS,
        Dialect::OpenaiChat | Dialect::OpenaiCompletions => &FINISH_REASON,
        Dialect::GeminiGenerate
        | Dialect::OllamaChat
        | Dialect::OllamaGenerate
        | Dialect::BedrockConverse
        | Dialect::CohereChat
        | Dialect::ReplicatePredictions
        | Dialect::Surface(_) => return tapped,
    };
    tapped.finish = last_value(tail, key).and_then(first_value::<String>);
    tapped
}

/// What the object that `bytes` begin with counts.
fn usage_at(dialect: Dialect, bytes: &[u8]) -> Option<Usage> {
    match dialect {
        Dialect::AnthropicMessages => object_at(bytes).and_then(|raw| Counts::default().take(raw)),
        Dialect::OpenaiResponses => object_at(bytes).and_then(openai_responses::read_usage),
        Dialect::OpenaiChat | Dialect::OpenaiCompletions => {
            json::text(bytes).and_then(openai_chat::counts).map(|counts| counts.usage)
        }
        Dialect::GeminiGenerate
        | Dialect::OllamaChat
        | Dialect::OllamaGenerate
        | Dialect::BedrockConverse
        | Dialect::CohereChat
        | Dialect::ReplicatePredictions
        | Dialect::Surface(_) => None,
    }
}

/// Whether it counts anything: something else may be called usage, too.
fn counts_any(usage: &Usage) -> bool {
    usage.input_total.is_some() || usage.output_total.is_some()
}

/// The value of the last member of this name of the object that `bytes` begin with, which may be cut.
fn member<'a>(bytes: &'a [u8], name: &str) -> Option<&'a str> {
    let mut found = None;
    // One that is cut ends early; what was found by then counts.
    let _ = Cursor::new(json::text(bytes)?).object(|key, value| {
        if key == name {
            found = value.value().or(found);
        }
    });
    found
}

/// What the books need of `usage`: its tier, which OpenAI's dialects say beside it, and not its own object.
fn billed(usage: Usage, tier: Option<Cow<'_, str>>) -> Option<Box<Usage>> {
    let tier = usage.tier.or(tier.map(Cow::into_owned));
    Some(Box::new(Usage { tier, native: None, ..usage }))
}

/// Notes what an event says.
fn note(event: Event<'_>, tapped: &mut Tapped, seen: &mut Seen) {
    seen.content |= event.is_content();
    match event {
        Event::Start { .. } | Event::Open { .. } | Event::Close { .. } | Event::Ping => {}
        Event::Logprobs { .. } => seen.events += 1,
        Event::Delta { .. } => {
            seen.events += 1;
            seen.parts += 1;
        }
        Event::Usage(usage) => match &mut tapped.usage {
            Some(known) => known.update(*usage),
            None => tapped.usage = Some(usage),
        },
        Event::Finish { finish, .. } => tapped.finish = native(finish),
        Event::Error(_) => tapped.failed = true,
        Event::End => tapped.ended = true,
    }
}

/// Why an answer ended, in the upstream's words.
fn native(finish: Finish) -> Option<String> {
    finish.native.map(|(_, words)| words)
}

/// Whether the beginning of an event of Responses says that it is the last one.
fn ends_responses(start: &[u8]) -> bool {
    let kinds: [&[u8]; 2] = [b"\"response.completed\"", b"\"response.incomplete\""];
    kinds.iter().any(|kind| memmem::find(start, kind).is_some())
}

/// Whether an event carries part of the answer rather than its frame.
fn carries_content(dialect: Dialect, data: &[u8]) -> bool {
    let keys: &[&[u8]] = match dialect {
        Dialect::OpenaiChat => {
            &[b"\"content\"", b"\"reasoning_content\"", b"\"reasoning\"", b"\"tool_calls\"", b"\"refusal\""]
        }
        Dialect::OpenaiCompletions => &[b"\"text\""],
        Dialect::OpenaiResponses => return memmem::find(data, b".delta\"").is_some(),
        Dialect::AnthropicMessages => return memmem::find(data, b"\"content_block_delta\"").is_some(),
        Dialect::Surface(_) => return true,
        Dialect::GeminiGenerate
        | Dialect::OllamaChat
        | Dialect::OllamaGenerate
        | Dialect::BedrockConverse
        | Dialect::CohereChat
        | Dialect::ReplicatePredictions => return false,
    };
    keys.iter().any(|key| {
        let Some(at) = memmem::find(data, key) else { return false };
        let rest = data.get(at + key.len()..).unwrap_or_default().trim_ascii_start();
        let value = rest.strip_prefix(b":").unwrap_or(rest).trim_ascii_start();
        !(value.starts_with(b"null") || value.starts_with(b"\"\"") || value.starts_with(b"[]"))
    })
}

#[cfg(test)]
mod tests;
