//! Server-sent events: bytes in, events out.
//!
//! An upstream may cut the stream anywhere, even inside a UTF-8 character or between CR and LF, so an
//! unfinished line waits here. No I/O and no clock: what feeds the bytes decides. Format:
//! WHATWG HTML, section 9.2.6 (lines end in LF, CR or CRLF and nothing else; one leading BOM; comments
//! start with a colon), plus what upstreams really do: a last event without its blank line.

/// One event. Both are empty for nothing but a comment-only block, which is never handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// The `event:` field; empty when not given.
    pub name: &'a [u8],
    /// The `data:` lines, joined by LF.
    pub data: &'a [u8],
}

/// An upstream sent more in one event than `limit` allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("upstream sent an event over {limit} bytes; raise `limits.event_bytes` if you trust it")]
pub struct EventTooLong {
    limit: usize,
}

impl EventTooLong {
    /// For streams in other framings.
    pub(crate) const fn over(limit: usize) -> Self {
        Self { limit }
    }
}

/// Puts the JSON written to `out` from byte `from` on one line. JSON that is carried verbatim may be laid
/// out over several, which would end an event's data; between tokens a space says the same.
pub(crate) fn one_line(out: &mut [u8], from: usize) {
    let written = out.get_mut(from..).unwrap_or_default();
    if memchr::memchr2(b'\n', b'\r', written).is_some() {
        for byte in written.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')) {
            *byte = b' ';
        }
    }
}

/// Splits a stream into events.
#[derive(Debug)]
pub struct Events {
    /// The unfinished line.
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    /// Whether a `data:` field was seen, which tells an empty event from none.
    has_data: bool,
    /// The last byte was CR: a LF right after it belongs to the same line end.
    after_cr: bool,
    at_start: bool,
    limit: usize,
}

impl Events {
    /// Events may be up to `limit` bytes long.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            line: Vec::new(),
            name: Vec::new(),
            data: Vec::new(),
            has_data: false,
            after_cr: false,
            at_start: true,
            limit,
        }
    }

    /// Takes the next bytes and hands every event they complete to `each`.
    ///
    /// # Errors
    /// When one event is over the limit; the stream is useless from there on.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Event<'_>)) -> Result<(), EventTooLong> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr)
                && let Some(rest) = bytes.strip_prefix(b"\n")
            {
                bytes = rest;
                continue;
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) else {
                self.grow(bytes)?;
                break;
            };
            let (head, tail) = bytes.split_at(end);
            self.after_cr = tail.first() == Some(&b'\r');
            bytes = tail.get(1..).unwrap_or_default();
            if self.line.is_empty() {
                self.check(head)?;
                self.line_done(head, &mut each);
            } else {
                self.grow(head)?;
                let line = std::mem::take(&mut self.line);
                self.line_done(&line, &mut each);
                self.line = line;
                self.line.clear();
            }
        }
        Ok(())
    }

    /// The stream is over: hands out a last event that had no blank line behind it.
    pub fn finish(&mut self, mut each: impl FnMut(Event<'_>)) {
        let line = std::mem::take(&mut self.line);
        self.line_done(&line, &mut each);
        self.line_done(b"", &mut each);
    }

    fn grow(&mut self, more: &[u8]) -> Result<(), EventTooLong> {
        self.check(more)?;
        self.line.extend_from_slice(more);
        Ok(())
    }

    /// Whether the event stays within the limit with `more` in its current line.
    fn check(&self, more: &[u8]) -> Result<(), EventTooLong> {
        let within = self.line.len() + self.data.len() + more.len() <= self.limit;
        if within { Ok(()) } else { Err(EventTooLong { limit: self.limit }) }
    }

    fn line_done(&mut self, line: &[u8], each: &mut impl FnMut(Event<'_>)) {
        let mut line = line;
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            if self.has_data || !self.name.is_empty() {
                each(Event { name: &self.name, data: &self.data });
            }
            self.name.clear();
            self.data.clear();
            self.has_data = false;
            return;
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => {
                let (field, rest) = line.split_at(colon);
                let value = rest.get(1..).unwrap_or_default();
                (field, value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &b""[..]),
        };
        match field {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            // Comments have an empty field name; `id` and `retry` mean nothing to us.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Seen = (Vec<(String, String)>, Result<(), EventTooLong>);

    fn split(chunks: &[&[u8]], limit: usize) -> Seen {
        let mut events = Events::new(limit);
        let mut seen = Vec::new();
        let mut keep = |e: Event<'_>| {
            seen.push((
                String::from_utf8_lossy(e.name).into_owned(),
                String::from_utf8_lossy(e.data).into_owned(),
            ));
        };
        let result = chunks.iter().try_for_each(|chunk| events.push(chunk, &mut keep));
        if result.is_ok() {
            events.finish(&mut keep);
        }
        (seen, result)
    }

    #[test]
    fn what_upstreams_send() {
        for (what, bytes, want) in [
            ("plain", "data: a\n\ndata: b\n\n", vec![("", "a"), ("", "b")]),
            ("named, crlf", "event: x\r\ndata: a\r\n\r\n", vec![("x", "a")]),
            ("bare cr", "data: a\r\rdata: b\r\r", vec![("", "a"), ("", "b")]),
            ("no space", "data:a\n\n", vec![("", "a")]),
            ("many lines", "data: a\ndata: b\n\n", vec![("", "a\nb")]),
            ("comments", ": keep-alive\n\ndata: a\n\n", vec![("", "a")]),
            ("bom", "\u{feff}data: a\n\n", vec![("", "a")]),
            ("no last blank line", "data: a", vec![("", "a")]),
            ("U+2028 is not a line end", "data: a\u{2028}b\n\n", vec![("", "a\u{2028}b")]),
            ("empty data", "data\n\n", vec![("", "")]),
        ] {
            let want: Vec<_> = want.into_iter().map(|(n, d)| (n.to_owned(), d.to_owned())).collect();
            assert_eq!(split(&[bytes.as_bytes()], 100), (want, Ok(())), "{what}");
        }
    }

    #[test]
    fn an_event_over_the_limit_is_an_error() {
        let long = format!("data: {}\n\n", "x".repeat(200));
        assert!(split(&[long.as_bytes()], 100).1.is_err());
        let many = "data: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n".repeat(5);
        assert!(split(&[many.as_bytes()], 100).1.is_err());
    }

    proptest! {
        #[test]
        fn chunking_never_matters(
            text in "(data: |event: |:|[aé\u{2028}]|\r|\n|\r\n|\n\n){0,40}",
            at in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<_> = at.iter().map(|i| i.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(split(&chunks, 16), split(&[bytes], 16));
        }
    }
}
