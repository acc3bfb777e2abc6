//! How deep the JSON of an upstream's answer is nested, told while it arrives.
//!
//! Readers here do not recurse, but what they hand on verbatim (arguments, schemas, fields nobody knows) reaches
//! clients whose parsers do. So depth is bounded before anything is read, whatever the dialect; in streams for each
//! event by itself.

use crate::framing::Framing;
use trunkline_core::Dialect;

/// Bytes of a message of Amazon's event stream that say how long it and its headers are.
const LENGTHS: u32 = 8;
/// Bytes of the checksum behind those, and of the one behind the message.
const CHECKSUM: usize = 4;

/// An answer is nested deeper than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nested deeper than {limit} levels")]
pub struct TooDeep {
    limit: usize,
}

/// Follows one answer, whole or streamed.
#[derive(Debug)]
pub struct Nesting {
    limit: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Whether the line has nothing in it yet.
    at_start: bool,
    /// Whether an empty line ends an event; not in one text, nor in an array that is a stream. Unknown before its
    /// first byte.
    ends: Option<bool>,
    frame: Option<Frame>,
}

/// Where in a message of Amazon's event stream.
#[derive(Debug, Default)]
struct Frame {
    lengths: u64,
    seen: u32,
    /// What is left of the headers, of the payload, and of what is behind it.
    left: [usize; 3],
}

impl Nesting {
    /// For a whole answer of at most `limit` levels.
    #[must_use]
    pub fn whole(limit: usize) -> Self {
        let ends = Some(false);
        Self { limit, depth: 0, in_string: false, escaped: false, at_start: true, ends, frame: None }
    }

    /// For a stream in `dialect` whose events have at most `limit` levels each.
    #[must_use]
    pub fn stream(dialect: Dialect, limit: usize) -> Self {
        // Replicate's events hold bare text, in which brackets mean nothing.
        let limit = if dialect == Dialect::ReplicatePredictions { usize::MAX } else { limit };
        let frame = (Framing::of(dialect) == Framing::EventStream).then(Frame::default);
        Self { frame, ends: None, ..Self::whole(limit) }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// When they open one level too many.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), TooDeep> {
        match self.frame.take() {
            None => self.json(bytes),
            Some(mut frame) => {
                let done = self.messages(&mut frame, bytes);
                self.frame = Some(frame);
                done
            }
        }
    }

    /// JSON, alone or in the lines of a stream. A line ends a text, which cannot hold one; an event ends with the levels
    /// that it left open.
    fn json(&mut self, mut bytes: &[u8]) -> Result<(), TooDeep> {
        loop {
            if self.in_string && !self.escaped {
                let end = memchr::memchr3(b'"', b'\\', b'\n', bytes).unwrap_or(bytes.len());
                bytes = bytes.split_at(end).1;
            }
            let Some((&byte, rest)) = bytes.split_first() else { return Ok(()) };
            bytes = rest;
            if !byte.is_ascii_whitespace() {
                self.ends.get_or_insert(byte != b'[');
            }
            if byte == b'\n' {
                if std::mem::replace(&mut self.at_start, true) && self.ends == Some(true) {
                    self.depth = 0;
                }
                (self.in_string, self.escaped) = (false, false);
                continue;
            }
            self.at_start &= byte == b'\r';
            if std::mem::take(&mut self.escaped) {
                continue;
            }
            match (self.in_string, byte) {
                (true, b'\\') => self.escaped = true,
                (_, b'"') => self.in_string = !self.in_string,
                (false, b'{' | b'[') => {
                    self.depth += 1;
                    if self.depth > self.limit {
                        return Err(TooDeep { limit: self.limit });
                    }
                }
                (false, b'}' | b']') => self.depth = self.depth.saturating_sub(1),
                (true | false, _) => {}
            }
        }
    }

    fn messages(&mut self, frame: &mut Frame, mut bytes: &[u8]) -> Result<(), TooDeep> {
        while let Some((&byte, rest)) = bytes.split_first() {
            if frame.seen < LENGTHS {
                frame.lengths = frame.lengths << 8 | u64::from(byte);
                frame.seen += 1;
                bytes = rest;
                if frame.seen == LENGTHS {
                    frame.begin();
                }
                continue;
            }
            let [headers, payload, behind] = &mut frame.left;
            let (left, is_json) = match (*headers, *payload) {
                (1.., _) => (headers, false),
                (0, 1..) => (payload, true),
                (0, 0) => (behind, false),
            };
            let (now, later) = bytes.split_at((*left).min(bytes.len()));
            *left -= now.len();
            bytes = later;
            if is_json {
                self.json(now)?;
            }
            if frame.left == [0; 3] {
                *frame = Frame::default();
                (self.depth, self.in_string, self.escaped) = (0, false, false);
            }
        }
        Ok(())
    }
}

impl Frame {
    /// Both lengths are known. Nonsense ends where it begins; whoever reads the message refuses it.
    fn begin(&mut self) {
        let [total, headers] =
            [self.lengths >> 32, self.lengths & u64::from(u32::MAX)].map(|n| usize::try_from(n).unwrap_or(0));
        let payload = total.saturating_sub(headers).saturating_sub(LENGTHS as usize + 2 * CHECKSUM);
        self.left = [CHECKSUM.saturating_add(headers), payload, CHECKSUM];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_fine(dialect: Dialect, pieces: &[&[u8]], limit: usize) -> bool {
        let mut nesting = Nesting::stream(dialect, limit);
        pieces.iter().all(|piece| nesting.push(piece).is_ok())
    }

    /// A message of Amazon's event stream; its checksums are of no matter here, but that they look like JSON.
    fn message(payload: &str) -> Vec<u8> {
        let headers = b"[[[[\"";
        let total = u32::try_from(16 + headers.len() + payload.len()).unwrap();
        let lengths = [total.to_be_bytes(), u32::try_from(headers.len()).unwrap().to_be_bytes()];
        [lengths.as_flattened(), b"[\"[[", headers, payload.as_bytes(), b"{{\"["].concat()
    }

    #[test]
    fn levels_count_where_they_are_levels() {
        use Dialect::{BedrockConverse, OllamaChat, OpenaiChat, ReplicatePredictions};
        for (dialect, text, deepest) in [
            (OpenaiChat, r#"data: {"a":[{"b":{}}]}"#, 4),
            (OpenaiChat, r#"data: {"a":"[[[[[[\"[[[[["}"#, 1),
            (OpenaiChat, r#"data: {"a":"\\","b":[[]]}"#, 3),
            (OpenaiChat, "data: {\"a\":[[\n\ndata: {\"b\":[]}\n\n", 3),
            (OpenaiChat, ": \"\n\ndata: {\"b\":\"[[[[[[\"}\n\n", 1),
            (OpenaiChat, "data: {\"a\":\ndata: [[]]}\n\n", 3),
            (OllamaChat, "{\"a\":[]}\n{\"a\":[[]]}\n", 3),
            (ReplicatePredictions, "data: [[[[[[[[\n\n", 0),
        ] {
            assert!(is_fine(dialect, &[text.as_bytes()], deepest), "{text}");
            assert!(deepest == 0 || !is_fine(dialect, &[text.as_bytes()], deepest - 1), "{text}");
        }
        // Empty lines hide nothing where they end nothing.
        for text in ["{\"a\":[\n\n[\n\n]]}", "[\n\n{\"a\":\n\n[]}]"] {
            assert!(Nesting::whole(3).push(text.as_bytes()).is_ok(), "{text}");
            assert!(Nesting::whole(2).push(text.as_bytes()).is_err(), "{text}");
        }
        assert!(!is_fine(Dialect::GeminiGenerate, &[b"[{\"a\":\n\n[\n\n{}]}]"], 3));
        let messages = [message(r#"{"a":[]}"#), message(r#"{"a":[[]]}"#)].concat();
        assert!(is_fine(BedrockConverse, &[&messages], 3));
        assert!(!is_fine(BedrockConverse, &[&messages], 2));
    }

    proptest! {
        #[test]
        fn chunking_never_matters(text in "[\\[{\\]}\"\\\\a\r\n]{0,60}", at: prop::sample::Index, limit in 0_usize..6) {
            let framed = message(&text);
            for (dialect, bytes) in
                [(Dialect::OpenaiChat, text.as_bytes()), (Dialect::BedrockConverse, framed.as_slice())]
            {
                let (a, b) = bytes.split_at(at.index(bytes.len() + 1));
                prop_assert_eq!(is_fine(dialect, &[a, b], limit), is_fine(dialect, &[bytes], limit), "{}", dialect);
            }
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            for dialect in Dialect::ALL {
                is_fine(dialect, &[&bytes], 3);
            }
        }
    }
}
