//! Reads what the books need from an answer that passes through untouched: usage, finish reason,
//! when content began, how many events there were, whether the end came.
//!
//! The tap never changes, delays or copies the stream. It looks at each line for a few quoted keys (a
//! quote inside a JSON string is always escaped, so `"usage"` cannot be matched in text) and parses only
//! the events that have one. A line cut by the network waits here, up to a limit; one longer than that
//! is passed over.

use crate::anthropic_messages::Counts;
use crate::codec::{StreamReader, read_reply};
use crate::{json, openai_chat, openai_responses, surface};
use bytes::Bytes;
use memchr::memmem::{self, Finder};
use serde::Deserialize;
use serde_json::value::RawValue;
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
/// How much of the end of a whole answer is searched for usage.
const TAIL: usize = 32 << 10;
/// How much of an answer's end is searched first.
const NEAR: usize = 512;

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
    let tail: &[u8] = if let [only] = pieces {
        only.get(only.len().saturating_sub(TAIL)..).unwrap_or_default()
    } else {
        joined = pieces.concat();
        joined.get(joined.len().saturating_sub(TAIL)..).unwrap_or_default()
    };
    let mut tapped = Tapped { ended: true, ..Tapped::default() };
    if let Some(raw) = last_value(tail, &USAGE).and_then(object_at) {
        let usage = match dialect {
            Dialect::AnthropicMessages => Counts::default().take(raw),
            Dialect::OpenaiResponses => openai_responses::read_usage(raw),
            Dialect::OpenaiChat | Dialect::OpenaiCompletions => {
                openai_chat::counts(raw.get()).map(|counts| counts.usage)
            }
            Dialect::GeminiGenerate
            | Dialect::OllamaChat
            | Dialect::OllamaGenerate
            | Dialect::BedrockConverse
            | Dialect::CohereChat
            | Dialect::ReplicatePredictions
            | Dialect::Surface(_) => None,
        };
        let tier = last_value(tail, &SERVICE_TIER).and_then(first_value::<Cow<'_, str>>);
        tapped.usage = usage.and_then(|usage| billed(usage, tier));
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

/// The bytes behind the last `key` and its colon.
pub(crate) fn value_after<'a>(tail: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    last_value(tail, &Finder::new(key))
}

/// The same for a key that is ready to be looked for. Going forward to the last of them is faster than going
/// backward, which the processor's wide registers do not help with.
///
/// What the books need stands near the end, where it is looked for first: searching forwards is much faster.
fn last_value<'a>(tail: &'a [u8], key: &Finder<'_>) -> Option<&'a [u8]> {
    let near = tail.get(tail.len().saturating_sub(NEAR)..).unwrap_or_default();
    let (tail, at) = match key.find_iter(near).last() {
        Some(at) => (near, at),
        None => (tail, key.find_iter(tail).last()?),
    };
    let rest = tail.get(at + key.needle().len()..)?.trim_ascii_start();
    rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start)
}

/// The object that `bytes` begin with, as it stands.
fn object_at(bytes: &[u8]) -> Option<&RawValue> {
    bytes.starts_with(b"{").then(|| json::first(bytes)).flatten()
}

/// The value at the start of `bytes`, whatever follows it.
pub(crate) fn first_value<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    serde_json::Deserializer::from_slice(bytes).into_iter().next()?.ok()
}

/// Whether `data` has the key with a value other than `null`.
fn says(data: &[u8], key: &Finder<'_>) -> bool {
    let Some(at) = key.find(data) else { return false };
    let rest = data.get(at + key.needle().len()..).unwrap_or_default().trim_ascii_start();
    let value = rest.strip_prefix(b":").unwrap_or(rest).trim_ascii_start();
    !value.starts_with(b"null")
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

#[derive(Deserialize)]
struct OpenaiChunk<'a> {
    #[serde(borrow, default)]
    choices: Vec<OpenaiChoice<'a>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    service_tier: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    x_groq: Option<Groq<'a>>,
    #[serde(default)]
    error: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct OpenaiChoice<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Groq<'a> {
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ResponsesEvent<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    response: Option<ResponsesBody<'a>>,
}

#[derive(Deserialize)]
struct ResponsesBody<'a> {
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    service_tier: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct MessagesEvent<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Option<MessagesStart<'a>>,
    #[serde(borrow, default)]
    delta: Option<MessagesDelta<'a>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct MessagesStart<'a> {
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct MessagesDelta<'a> {
    #[serde(borrow, default)]
    stop_reason: Option<Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHAT: &str = concat!(
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
        ": keep-alive\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"say \\\"usage\\\":\"},\"finish_reason\":null}]}\n\n",
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\": \"stop\"}]}\r\n\r\n",
        "data: {\"choices\":[],\"usage\": {\"prompt_tokens\":9,\"completion_tokens\":4,\"prompt_tokens_details\":{\"cached_tokens\":3}}}\n\n",
        "data: [DONE]\n\n",
    );
    const MESSAGES: &str = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5,\"cache_read_input_tokens\":4,\"output_tokens\":1}}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":7}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    );

    fn tap(dialect: Dialect, chunks: &[&[u8]]) -> (Tapped, u32) {
        let mut tap = StreamTap::new(dialect, 1);
        let events = chunks.iter().map(|chunk| tap.see(chunk).events).sum();
        (tap.tapped, events)
    }

    #[test]
    fn streams() {
        let (chat, events) = tap(Dialect::OpenaiChat, &[CHAT.as_bytes()]);
        let usage = chat.usage.unwrap();
        assert_eq!((usage.input_total, usage.output_total, usage.cache_read), (Some(9), Some(4), Some(3)));
        assert_eq!((chat.finish.as_deref(), chat.ended, chat.failed, events), (Some("stop"), true, false, 5));

        let (messages, _) = tap(Dialect::AnthropicMessages, &[MESSAGES.as_bytes()]);
        let usage = messages.usage.unwrap();
        assert_eq!((usage.input_total, usage.output_total, usage.cache_read), (Some(9), Some(7), Some(4)));
        assert_eq!((messages.finish.as_deref(), messages.ended), (Some("end_turn"), true));
    }

    #[test]
    fn content_begins_with_the_first_words() {
        let mut tap = StreamTap::new(Dialect::OpenaiChat, 1);
        let first = CHAT.find("\n\n").unwrap() + 2;
        assert!(!tap.see(&CHAT.as_bytes()[..first]).content);
        assert!(tap.see(&CHAT.as_bytes()[first..]).content);
    }

    #[test]
    fn a_stream_that_fails_or_stops_early_has_no_end() {
        let (cut, _) = tap(Dialect::OpenaiChat, &[&CHAT.as_bytes()[..200]]);
        assert!(!cut.ended && !cut.failed);
        let (failed, _) = tap(Dialect::OpenaiChat, &[b"data: {\"error\":{\"message\":\"x\"}}\n\n"]);
        assert!(failed.failed);
    }

    #[test]
    fn a_stream_is_whole_when_its_dialect_says_so() {
        let done = "data: [DONE]";
        let end = |index: u32| {
            format!(
                "data: {{\"choices\":[{{\"index\":{index},\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n"
            )
        };
        let (first, last) = (end(0), end(1));
        let (chat, messages) = (Dialect::OpenaiChat, Dialect::AnthropicMessages);
        let stop = MESSAGES.find("event: message_stop").unwrap();
        for (what, dialect, choices, stream, whole) in [
            ("nothing", chat, 1, String::new(), false),
            ("the only finish", chat, 1, first.clone(), true),
            ("one finish of two", chat, 2, first.clone(), false),
            ("one finish of two, twice", chat, 2, first.repeat(2), false),
            ("both", chat, 2, format!("{last}{first}"), true),
            ("one finish of two, and done", chat, 2, format!("{first}{done}\n\n"), true),
            ("done without a line end", chat, 2, format!("{first}{done}"), true),
            ("more than can be told apart", chat, 200, (0..200).map(end).collect(), false),
            ("completions", Dialect::OpenaiCompletions, 2, first.clone(), false),
            ("no stop", messages, 1, MESSAGES[..stop].to_owned(), false),
            ("half a stop", messages, 1, MESSAGES[..MESSAGES.len() - 6].to_owned(), false),
            ("stop without a line end", messages, 1, MESSAGES.trim_end().to_owned(), true),
            ("stop", messages, 1, MESSAGES.to_owned(), true),
        ] {
            let mut tap = StreamTap::new(dialect, choices);
            tap.see(stream.as_bytes());
            assert_eq!(tap.close(), whole, "{what}");
            assert_eq!(tap.close(), whole, "{what}, asked again");
        }
    }

    #[test]
    fn whole_answers() {
        let body = Bytes::from_static(
            b"{\"choices\":[{\"message\":{\"content\":\"\\\"usage\\\"\"},\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2},\"x\":1}",
        );
        let tapped = tap_reply(Dialect::OpenaiChat, &[body.slice(..30), body.slice(30..)]);
        let usage = tapped.usage.unwrap();
        assert_eq!((usage.input_total, usage.output_total), (Some(1), Some(2)));
        assert_eq!(tapped.finish.as_deref(), Some("length"));
        assert_eq!(tap_reply(Dialect::OpenaiChat, &[Bytes::from_static(b"<html>")]).usage, None);
    }

    /// What a call costs must not depend on whether its answer was translated.
    #[test]
    fn usage_has_all_that_prices_depend_on() {
        let stream = |event: &str| format!("data: {event}\n\n");
        let chat = r#"{"choices":[],"service_tier":"flex","usage":{"prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":{"audio_tokens":30},"completion_tokens_details":{"audio_tokens":5},"cost":0.25}}"#;
        let responses = r#"{"type":"response.completed","response":{"status":"completed","service_tier":"priority","usage":{"input_tokens":100,"output_tokens":20,"input_tokens_details":{"cache_write_tokens":9,"cache_write_tokens_details":{"ttl_30m_tokens":4,"ttl_12h_tokens":5}}}}}"#;
        let start = r#"{"type":"message_start","message":{"usage":{"input_tokens":90,"cache_creation_input_tokens":10,"cache_creation":{"ephemeral_5m_input_tokens":4,"ephemeral_1h_input_tokens":6},"service_tier":"batch","inference_geo":"us","output_tokens":1}}}"#;
        let delta = r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":20,"speed":"fast","server_tool_use":{"web_search_requests":2}}}"#;
        let of = |dialect, text: String| *tap(dialect, &[text.as_bytes()]).0.usage.unwrap();

        let whole = |dialect, text: &str| {
            *tap_reply(dialect, &[Bytes::copy_from_slice(text.as_bytes())]).usage.unwrap()
        };
        for usage in [of(Dialect::OpenaiChat, stream(chat)), whole(Dialect::OpenaiChat, chat)] {
            assert_eq!((usage.input_audio, usage.output_audio), (Some(30), Some(5)));
            assert_eq!((usage.tier.as_deref(), usage.native), (Some("flex"), None));
            assert_eq!(usage.reported_cost_usd.unwrap().as_str(), "0.25");
        }
        for usage in
            [of(Dialect::OpenaiResponses, stream(responses)), whole(Dialect::OpenaiResponses, responses)]
        {
            assert_eq!((usage.cache_write_30m, usage.cache_write_12h), (Some(4), Some(5)));
            assert_eq!(usage.tier.as_deref(), Some("priority"));
        }
        // What vendors added to OpenAI's form.
        let deepseek = r#"{"choices":[],"usage":{"prompt_tokens":9,"prompt_cache_hit_tokens":4}}"#;
        assert_eq!(of(Dialect::OpenaiChat, stream(deepseek)).cache_read, Some(4));
        let xai = r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":18,"completion_tokens_details":{"reasoning_tokens":7}}}"#;
        assert_eq!(of(Dialect::OpenaiChat, stream(xai)).output_total, Some(9));

        let usage = of(Dialect::AnthropicMessages, stream(start) + &stream(delta));
        assert_eq!(
            (usage.input_total, usage.output_total, usage.web_search_requests),
            (Some(100), Some(20), Some(2))
        );
        assert_eq!(
            (usage.cache_write_5m, usage.cache_write_1h, usage.cache_write_other),
            (Some(4), Some(6), None)
        );
        let words = (usage.tier.as_deref(), usage.region.as_deref(), usage.speed.as_deref());
        assert_eq!(words, (Some("batch"), Some("us"), Some("fast")));
        let usage = whole(Dialect::AnthropicMessages, start);
        assert_eq!((usage.input_total, usage.tier.as_deref()), (Some(100), Some("batch")));
    }

    #[test]
    fn an_endless_line_is_passed_over_in_bounded_memory() {
        let mut tap = StreamTap::new(Dialect::OpenaiChat, 1);
        for _ in 0..100 {
            tap.see(&[b'x'; 64 << 10]);
        }
        assert!(tap.line.capacity() <= 2 * LONGEST_LINE);
        tap.see(b"\n\ndata: [DONE]\n\n");
        assert!(tap.tapped.ended);
    }

    #[test]
    fn the_end_of_responses_may_be_longer_than_a_line_that_is_kept() {
        let mut tap = StreamTap::new(Dialect::OpenaiResponses, 1);
        tap.see(b"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"x\":\"");
        tap.see(&vec![b'x'; 2 * LONGEST_LINE]);
        tap.see(b"\"}}\n\n");
        assert!(tap.tapped.ended && !tap.tapped.failed);
    }

    proptest! {
        #[test]
        fn chunking_never_matters(at in proptest::collection::vec(any::<prop::sample::Index>(), 0..6)) {
            for (dialect, text) in [(Dialect::OpenaiChat, CHAT), (Dialect::AnthropicMessages, MESSAGES)] {
                let mut cuts: Vec<_> = at.iter().map(|i| i.index(text.len() + 1)).collect();
                cuts.extend([0, text.len()]);
                cuts.sort_unstable();
                let chunks: Vec<_> = cuts.windows(2).map(|w| &text.as_bytes()[w[0]..w[1]]).collect();
                prop_assert_eq!(tap(dialect, &chunks), tap(dialect, &[text.as_bytes()]));
            }
        }
    }
}
