//! The framings of a streamed answer: server-sent events, or where nobody asked for those, one JSON array
//! that arrives element by element. An answer that is no stream at all is an array of one.

use crate::sse::{EventTooLong, Events};

/// Splits a stream into payloads, in the framing its first byte tells.
#[derive(Debug)]
pub(super) struct Frames {
    framing: Framing,
    limit: usize,
}

#[derive(Debug)]
enum Framing {
    Unknown,
    Sse(Events),
    Json(Elements),
}

impl Frames {
    /// Payloads may be up to `limit` bytes long.
    pub(super) fn new(limit: usize) -> Self {
        Self { framing: Framing::Unknown, limit }
    }

    /// Takes the next bytes and hands every payload they complete to `each`.
    ///
    /// # Errors
    /// When one payload is over the limit; the stream is useless from there on.
    pub(super) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), EventTooLong> {
        if matches!(self.framing, Framing::Unknown) {
            let Some(first) = bytes.trim_ascii_start().first() else { return Ok(()) };
            self.framing = match first {
                b'[' | b'{' => Framing::Json(Elements::default()),
                _ => Framing::Sse(Events::new(self.limit)),
            };
        }
        match &mut self.framing {
            Framing::Sse(events) => events.push(bytes, |event| each(event.data.trim_ascii())),
            Framing::Json(elements) => elements.push(bytes, self.limit, each),
            Framing::Unknown => Ok(()),
        }
    }

    /// The stream is over: hands out a last event that had no blank line behind it.
    pub(super) fn finish(&mut self, mut each: impl FnMut(&[u8])) {
        match &mut self.framing {
            Framing::Sse(events) => events.finish(|event| each(event.data.trim_ascii())),
            // An element that is cut in two says nothing.
            Framing::Json(_) | Framing::Unknown => {}
        }
    }
}

/// The objects of an array, without building any of them.
#[derive(Debug, Default)]
struct Elements {
    element: Vec<u8>,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Elements {
    fn push(&mut self, bytes: &[u8], limit: usize, mut each: impl FnMut(&[u8])) -> Result<(), EventTooLong> {
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            if self.element.is_empty() {
                if *first == b'{' {
                    self.depth = 0;
                } else {
                    // What is no object is no answer; its reader says so.
                    if !matches!(first, b'[' | b']' | b',') && !first.is_ascii_whitespace() {
                        each(&[*first]);
                    }
                    rest = rest.get(1..).unwrap_or_default();
                    continue;
                }
            }
            let end = self.end(rest);
            let (head, tail) = rest.split_at(end.unwrap_or(rest.len()));
            if self.element.len() + head.len() > limit {
                return Err(EventTooLong::over(limit));
            }
            self.element.extend_from_slice(head);
            rest = tail;
            if end.is_some() {
                each(&self.element);
                self.element.clear();
            }
        }
        Ok(())
    }

    /// Where behind the start of `bytes` the element ends, if it does.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(pieces: &[&[u8]], limit: usize) -> (Vec<String>, bool) {
        let mut frames = Frames::new(limit);
        let mut seen = Vec::new();
        let mut keep = |data: &[u8]| seen.push(String::from_utf8_lossy(data).into_owned());
        let whole = pieces.iter().all(|piece| frames.push(piece, &mut keep).is_ok());
        frames.finish(&mut keep);
        (seen, whole)
    }

    #[test]
    fn c90_every_framing_gives_the_same_payloads() {
        let want = vec![r#"{"a":"]}\"é"}"#.to_owned(), r#"{"b":[{}]}"#.to_owned()];
        for text in [
            "data: {\"a\":\"]}\\\"é\"}\r\n\r\ndata: {\"b\":[{}]}\r\n\r\n",
            "[{\"a\":\"]}\\\"é\"}\n,\r\n{\"b\":[{}]}\n]",
            "\n {\"a\":\"]}\\\"é\"}{\"b\":[{}]}",
        ] {
            assert_eq!(split(&[text.as_bytes()], 100), (want.clone(), true), "{text}");
        }
        assert!(!split(&[b"[{\"a\":\"0123456789\"}]"], 10).1);
    }

    proptest! {
        #[test]
        fn chunking_never_matters(
            text in "\\[?(\\{|\\}|\"|\\\\|,|[aé]){0,30}",
            at in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<_> = at.iter().map(|i| i.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(split(&pieces, 100), split(&[bytes], 100));
        }
    }
}
