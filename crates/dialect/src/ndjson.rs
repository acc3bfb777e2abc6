//! Newline-delimited JSON, as Ollama streams it: bytes in, lines out.
//!
//! An upstream may cut a line anywhere, even inside a UTF-8 character, so the unfinished tail waits here
//! and nothing is read before its newline arrives. No I/O and no clock.

/// An upstream sent more in one line than `limit` allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("upstream sent a line over {limit} bytes; raise `limits.event_bytes` if you trust it")]
pub(crate) struct LineTooLong {
    limit: usize,
}

/// Splits a stream into lines.
#[derive(Debug)]
pub(crate) struct Lines {
    tail: Vec<u8>,
    limit: usize,
}

impl Lines {
    /// Lines may be up to `limit` bytes long.
    pub(crate) fn new(limit: usize) -> Self {
        Self { tail: Vec::new(), limit }
    }

    /// Takes the next bytes and hands every line they complete, blank ones left out, to `each`.
    ///
    /// # Errors
    /// When one line is over the limit; the stream is useless from there on.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), LineTooLong> {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (head, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            self.check(head)?;
            if self.tail.is_empty() {
                line(head, &mut each);
            } else {
                self.tail.extend_from_slice(head);
                line(&self.tail, &mut each);
                self.tail.clear();
            }
        }
        self.check(bytes)?;
        self.tail.extend_from_slice(bytes);
        Ok(())
    }

    /// The stream is over: hands out a last line that had no newline behind it.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(&[u8])) {
        line(&std::mem::take(&mut self.tail), &mut each);
    }

    fn check(&self, more: &[u8]) -> Result<(), LineTooLong> {
        let within = self.tail.len() + more.len() <= self.limit;
        if within { Ok(()) } else { Err(LineTooLong { limit: self.limit }) }
    }
}

fn line(bytes: &[u8], each: &mut impl FnMut(&[u8])) {
    let bytes = bytes.trim_ascii();
    if !bytes.is_empty() {
        each(bytes);
    }
}

/// Ends the line of JSON written to `out` from byte `from`.
///
/// Clients of this framing split at whatever Unicode calls a line end, so those inside strings are escaped;
/// between tokens JSON has none but CR and LF, for which a space does.
pub(crate) fn end_line(out: &mut Vec<u8>, from: usize) {
    crate::sse::one_line(out, from);
    let written = out.get(from..).unwrap_or_default();
    if memchr::memchr2(0xc2, 0xe2, written).is_some()
        && let Ok(text) = std::str::from_utf8(written)
        && text.contains(['\u{85}', '\u{2028}', '\u{2029}'])
    {
        let escaped =
            text.replace('\u{85}', "\\u0085").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
        out.truncate(from);
        out.extend_from_slice(escaped.as_bytes());
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Seen = (Vec<String>, Result<(), LineTooLong>);

    fn split(pieces: &[&[u8]], limit: usize) -> Seen {
        let mut lines = Lines::new(limit);
        let mut seen = Vec::new();
        let mut keep = |line: &[u8]| seen.push(String::from_utf8_lossy(line).into_owned());
        let result = pieces.iter().try_for_each(|piece| lines.push(piece, &mut keep));
        if result.is_ok() {
            lines.finish(&mut keep);
        }
        (seen, result)
    }

    #[test]
    fn lines_as_upstreams_end_them() {
        for (bytes, want) in [
            ("a\nb\n", vec!["a", "b"]),
            ("a\r\n\r\n\nb", vec!["a", "b"]),
            ("", vec![]),
            ("a\u{2028}b\n", vec!["a\u{2028}b"]),
        ] {
            assert_eq!(split(&[bytes.as_bytes()], 100).0, want, "{bytes:?}");
        }
        assert!(split(&[b"0123456789", b"0\n"], 10).1.is_err());
        assert!(split(&[b"01234567890\n"], 10).1.is_err());
    }

    #[test]
    fn what_clients_take_for_a_line_end_is_escaped() {
        let mut out = b"before\n".to_vec();
        let from = out.len();
        out.extend_from_slice("{\"a\":\n\"x\u{2028}y\u{2029}z\u{85}é\"}".as_bytes());
        end_line(&mut out, from);
        assert_eq!(String::from_utf8(out).unwrap(), "before\n{\"a\": \"x\\u2028y\\u2029z\\u0085é\"}\n");
    }

    proptest! {
        #[test]
        fn chunking_never_matters(
            text in "[a é\r\n]{0,60}",
            at in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<_> = at.iter().map(|i| i.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(split(&pieces, 12), split(&[bytes], 12));
        }
    }
}
