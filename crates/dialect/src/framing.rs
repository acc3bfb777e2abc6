//! Where one event of a stream ends and the next begins, by how a dialect puts them on the wire.
//!
//! What passes untouched is handed on in whole events, so that a stream that breaks off in the middle of
//! one can still be given an error its client will read.

use bytes::{Bytes, BytesMut};
use trunkline_core::Dialect;

/// How the events of a stream are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events: a blank line behind each.
    ServerSent,
    /// One JSON object per line.
    Lines,
    /// Amazon's event stream: each message says its length.
    EventStream,
}

/// Blank lines, in the three ways a stream may spell them.
const BLANK: [&[u8]; 3] = [b"\n\n", b"\r\n\r\n", b"\r\r"];
/// Bytes of the longest of them.
const LONGEST_BLANK: usize = 4;
/// Most bytes held back for the end of an event; a longer one is handed on as it comes.
const LONGEST_HELD: usize = 1 << 20;

impl Framing {
    /// How streams of `dialect` are framed.
    #[must_use]
    pub const fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::OpenaiChat
            | Dialect::OpenaiCompletions
            | Dialect::OpenaiResponses
            | Dialect::AnthropicMessages
            | Dialect::GeminiGenerate
            | Dialect::CohereChat
            | Dialect::ReplicatePredictions
            | Dialect::Surface(_) => Self::ServerSent,
            Dialect::OllamaChat | Dialect::OllamaGenerate => Self::Lines,
            Dialect::BedrockConverse => Self::EventStream,
        }
    }

    /// The media type of such a stream.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::ServerSent => "text/event-stream; charset=utf-8",
            Self::Lines => "application/x-ndjson",
            Self::EventStream => "application/vnd.amazon.eventstream",
        }
    }

    /// Whether a media type says that a stream like this follows; parameters do not matter.
    #[must_use]
    pub fn is_announced_by(self, media_type: &str) -> bool {
        let essence = |kind: &'static str| kind.split(';').next().unwrap_or_default().trim();
        media_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .eq_ignore_ascii_case(essence(self.media_type()))
    }

    /// What separates an event cut in two from what is said after it.
    #[must_use]
    pub const fn gap(self) -> &'static [u8] {
        match self {
            Self::ServerSent => b"\n\n",
            Self::Lines => b"\n",
            // Behind half a message nothing can be read.
            Self::EventStream => b"",
        }
    }
}

/// Collects the bytes of a stream into whole events.
#[derive(Debug)]
pub struct Whole {
    framing: Framing,
    /// The beginning of an event whose end has not come.
    held: BytesMut,
    /// Bytes to come of a message that was too long to be held.
    passing: usize,
    /// Whether what was handed on last ends inside an event that was too long to be held.
    torn: bool,
}

impl Whole {
    /// For a stream that has not begun.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Self { framing, held: BytesMut::new(), passing: 0, torn: false }
    }

    /// Whether what was handed on last ends inside an event.
    #[must_use]
    pub const fn is_torn(&self) -> bool {
        self.torn
    }

    /// Of what is held and `data`, everything up to the end of the last whole event; the rest is held.
    pub fn push(&mut self, data: Bytes) -> Option<Bytes> {
        if self.held.is_empty()
            && self.passing == 0
            && self.framing == Framing::ServerSent
            && ends_blank(&data)
        {
            self.torn = false;
            return Some(data);
        }
        // What was held was searched when it came: only an end that reaches into the new bytes is news.
        let searched = self.held.len();
        self.held.extend_from_slice(&data);
        let end = match self.framing {
            Framing::ServerSent => {
                let from = searched.saturating_sub(LONGEST_BLANK - 1);
                let new = self.held.get(from..).unwrap_or_default();
                let ends =
                    BLANK.iter().filter_map(|blank| Some(memchr::memmem::rfind(new, blank)? + blank.len()));
                ends.max().map(|end| from + end)
            }
            Framing::Lines => {
                let new = self.held.get(searched..).unwrap_or_default();
                memchr::memrchr(b'\n', new).map(|end| searched + end + 1)
            }
            Framing::EventStream => self.messages(),
        };
        match end {
            Some(end) => {
                self.torn = self.passing > 0;
                Some(self.held.split_to(end).freeze())
            }
            None if self.held.len() > LONGEST_HELD => {
                self.torn = true;
                if self.framing == Framing::EventStream {
                    self.passing = length(&self.held).saturating_sub(self.held.len());
                }
                Some(self.held.split().freeze())
            }
            None => None,
        }
    }

    /// What is held, at the end of the stream.
    pub fn rest(&mut self) -> Option<Bytes> {
        (!self.held.is_empty()).then(|| self.held.split().freeze())
    }

    /// Where the last whole message ends; the bytes before it that belong to one already begun count.
    fn messages(&mut self) -> Option<usize> {
        let mut end = self.passing.min(self.held.len());
        self.passing -= end;
        if self.passing > 0 {
            return Some(end);
        }
        while let Some(rest) = self.held.get(end..).filter(|rest| rest.len() >= 4) {
            let length = length(rest);
            if length > rest.len() {
                break;
            }
            // A length of nothing is no message: whoever reads it will say so.
            end += length.max(4);
        }
        (end > 0).then_some(end.min(self.held.len()))
    }
}

/// The length a message begins with.
fn length(message: &[u8]) -> usize {
    message.first_chunk().map_or(0, |length| u32::from_be_bytes(*length) as usize)
}

fn ends_blank(data: &[u8]) -> bool {
    data.ends_with(b"\n\n") || data.ends_with(b"\r\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len() + 4).unwrap();
        [&length.to_be_bytes(), payload].concat()
    }

    fn stream(framing: Framing, events: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (Vec::new(), vec![0]);
        for event in events {
            match framing {
                Framing::ServerSent => bytes.extend([b"data: ", event.as_slice(), b"\n\n"].concat()),
                Framing::Lines => bytes.extend([event.as_slice(), b"\n"].concat()),
                Framing::EventStream => bytes.extend(message(event)),
            }
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    proptest! {
        #[test]
        fn lines_may_end_in_any_way(
            pieces in proptest::collection::vec("(data: [a-z]{0,5}|\n|\r\n|\n\n|\r){0,4}", 0..8),
        ) {
            let (mut whole, mut out) = (Whole::new(Framing::ServerSent), Vec::new());
            for piece in &pieces {
                if let Some(events) = whole.push(Bytes::copy_from_slice(piece.as_bytes())) {
                    out.extend_from_slice(&events);
                    prop_assert!(BLANK.iter().any(|blank| out.ends_with(blank)));
                }
            }
            out.extend_from_slice(&whole.rest().unwrap_or_default());
            prop_assert_eq!(out, pieces.concat().into_bytes());
        }

        #[test]
        fn whole_events_and_nothing_lost(
            events in proptest::collection::vec(proptest::collection::vec(b'a'..b'e', 0..40), 0..12),
            cuts in proptest::collection::vec(1usize..30, 1..40),
            kind in 0usize..3,
        ) {
            let framing = [Framing::ServerSent, Framing::Lines, Framing::EventStream][kind];
            let (bytes, ends) = stream(framing, &events);
            let (mut whole, mut out, mut at) = (Whole::new(framing), Vec::new(), 0);
            for cut in cuts.iter().cycle() {
                if at >= bytes.len() {
                    break;
                }
                let piece = &bytes[at..(at + cut).min(bytes.len())];
                at += piece.len();
                if let Some(events) = whole.push(Bytes::copy_from_slice(piece)) {
                    out.extend_from_slice(&events);
                    prop_assert!(ends.contains(&out.len()), "{framing:?} cut at {}", out.len());
                    prop_assert!(!whole.is_torn());
                }
            }
            prop_assert_eq!(whole.rest(), None);
            prop_assert_eq!(out, bytes);
        }
    }

    #[test]
    fn what_is_too_long_to_be_held_passes_as_it_comes() {
        for framing in [Framing::ServerSent, Framing::Lines, Framing::EventStream] {
            let (bytes, _) = stream(framing, &[vec![b'x'; 3 * LONGEST_HELD], vec![b'y'; 10]]);
            let (mut whole, mut out, mut torn) = (Whole::new(framing), Vec::new(), 0);
            for piece in bytes.chunks(64 << 10) {
                if let Some(events) = whole.push(Bytes::copy_from_slice(piece)) {
                    out.extend_from_slice(&events);
                    torn += usize::from(whole.is_torn());
                }
            }
            assert_eq!(out, bytes, "{framing:?}");
            assert!(torn > 0 && !whole.is_torn(), "{framing:?}");
        }
    }

    #[test]
    fn media_types() {
        for (framing, kind, is) in [
            (Framing::ServerSent, "text/event-stream", true),
            (Framing::ServerSent, " Text/Event-Stream; charset=utf-8", true),
            (Framing::ServerSent, "application/json", false),
            (Framing::Lines, "application/x-ndjson", true),
            (Framing::EventStream, "application/vnd.amazon.eventstream", true),
        ] {
            assert_eq!(framing.is_announced_by(kind), is, "{kind}");
        }
    }
}
