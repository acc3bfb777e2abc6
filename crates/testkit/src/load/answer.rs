//! Reads HTTP/1.1 responses as they arrive, without I/O: bytes in, body slices out, done or not.

use std::io;

/// Longest head or chunk-size line taken, in bytes.
const LINE_LIMIT: usize = 64 << 10;

/// The state of one response being read; reusable for the next one on the same connection.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Status code, once the head is in.
    pub(super) status: u16,
    /// Whether the connection serves another request.
    pub(super) keep_alive: bool,
    stage: Stage,
    /// Unfinished head or line.
    line: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Head,
    Length(usize),
    ChunkSize,
    ChunkData(usize),
    ChunkEnd,
    Trailer,
    UntilClose,
    Done,
}

impl Answer {
    /// Takes the next bytes; hands every piece of body to `each`. Whether the response is complete.
    ///
    /// # Errors
    /// When the bytes are no HTTP/1.1 response.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) -> io::Result<bool> {
        loop {
            match self.stage {
                Stage::Done => return Ok(true),
                Stage::UntilClose => {
                    each(bytes);
                    return Ok(false);
                }
                Stage::Length(left) => {
                    let (left, rest) = take(bytes, left, &mut each);
                    (bytes, self.stage) = (rest, if left == 0 { Stage::Done } else { Stage::Length(left) });
                    if left > 0 {
                        return Ok(false);
                    }
                }
                Stage::ChunkData(left) => {
                    let (left, rest) = take(bytes, left, &mut each);
                    (bytes, self.stage) =
                        (rest, if left == 0 { Stage::ChunkEnd } else { Stage::ChunkData(left) });
                    if left > 0 {
                        return Ok(false);
                    }
                }
                Stage::Head | Stage::ChunkSize | Stage::ChunkEnd | Stage::Trailer => {
                    let end = if self.stage == Stage::Head { b"\r\n\r\n".as_slice() } else { b"\r\n" };
                    let Some(rest) = self.take_line(bytes, end)? else { return Ok(false) };
                    bytes = rest;
                    let line = std::mem::take(&mut self.line);
                    self.stage = self.after_line(&line)?;
                    self.line = line;
                    self.line.clear();
                }
            }
        }
    }

    /// The peer closed: whether that completes the response.
    pub(super) fn close(&self) -> bool {
        self.stage == Stage::UntilClose
    }

    /// Ready for the next response.
    pub(super) fn reset(&mut self) {
        self.stage = Stage::Head;
        self.line.clear();
    }

    /// Collects bytes up to and including `end`; what follows it, or `None` while it has not come.
    fn take_line<'b>(&mut self, bytes: &'b [u8], end: &[u8]) -> io::Result<Option<&'b [u8]>> {
        let had = self.line.len();
        // `end` may straddle the seam.
        let from = had.saturating_sub(end.len() - 1);
        let room = (LINE_LIMIT + end.len()).saturating_sub(had).min(bytes.len());
        self.line.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        match memchr::memmem::find(self.line.get(from..).unwrap_or_default(), end) {
            Some(at) => {
                self.line.truncate(from + at + end.len());
                Ok(bytes.get(self.line.len() - had..))
            }
            None if self.line.len() > LINE_LIMIT => Err(bad("head or chunk line too long")),
            None => Ok(None),
        }
    }

    fn after_line(&mut self, line: &[u8]) -> io::Result<Stage> {
        match self.stage {
            Stage::Head => self.head(line),
            Stage::ChunkSize => {
                let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
                let digits = std::str::from_utf8(digits).map_err(|_| bad("chunk size"))?;
                let size = usize::from_str_radix(digits, 16).map_err(|_| bad("chunk size"))?;
                Ok(if size == 0 { Stage::Trailer } else { Stage::ChunkData(size) })
            }
            Stage::ChunkEnd => Ok(Stage::ChunkSize),
            Stage::Trailer => Ok(if line == b"\r\n" { Stage::Done } else { Stage::Trailer }),
            // These have no lines.
            Stage::Length(_) | Stage::ChunkData(_) | Stage::UntilClose | Stage::Done => Ok(self.stage),
        }
    }

    fn head(&mut self, head: &[u8]) -> io::Result<Stage> {
        let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
        let status = status.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        self.status = status.ok_or_else(|| bad("not an HTTP/1 status line"))?;
        self.keep_alive = first.starts_with(b"HTTP/1.1");
        let mut stage = Stage::UntilClose;
        for line in lines {
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            let (name, value) = line.split_at(colon);
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            if name.eq_ignore_ascii_case(b"content-length") {
                let length = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
                let length = length.ok_or_else(|| bad("content-length"))?;
                stage = if length == 0 { Stage::Done } else { Stage::Length(length) };
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                stage = Stage::ChunkSize;
            } else if name.eq_ignore_ascii_case(b"connection") && value.eq_ignore_ascii_case(b"close") {
                self.keep_alive = false;
            }
        }
        match self.status {
            // An interim response; the real one follows.
            100..200 => Ok(Stage::Head),
            204 | 304 => Ok(Stage::Done),
            _ => {
                self.keep_alive &= stage != Stage::UntilClose;
                Ok(stage)
            }
        }
    }
}

/// Hands up to `left` bytes to `each`; how many are still to come, and what follows.
fn take<'b>(bytes: &'b [u8], left: usize, each: &mut impl FnMut(&[u8])) -> (usize, &'b [u8]) {
    let (data, rest) = bytes.split_at(left.min(bytes.len()));
    if !data.is_empty() {
        each(data);
    }
    (left - data.len(), rest)
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Splits a body into lines for counting events; keeps the unfinished one.
#[derive(Debug, Default)]
pub(super) struct Lines {
    tail: Vec<u8>,
}

impl Lines {
    /// Hands every line completed by `bytes` to `each`, without its line end.
    pub(super) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !part.ends_with(b"\n") {
                self.tail.extend_from_slice(part);
            } else if self.tail.is_empty() {
                each(part.trim_ascii_end());
            } else {
                self.tail.extend_from_slice(part);
                each(self.tail.trim_ascii_end());
                self.tail.clear();
            }
        }
    }

    pub(super) fn reset(&mut self) {
        self.tail.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &[u8], step: usize) -> (io::Result<bool>, Vec<u8>, u16, bool) {
        let (mut answer, mut body, mut done) = (Answer::default(), Vec::new(), Ok(false));
        for part in wire.chunks(step) {
            done = answer.push(part, |data| body.extend_from_slice(data));
            if done.is_err() {
                break;
            }
        }
        (done, body, answer.status, answer.keep_alive)
    }

    #[test]
    fn chunking_never_matters() {
        for (wire, expected) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..], (true, &b"hello"[..], 200, true)),
            (b"HTTP/1.1 204 No Content\r\n\r\n", (true, b"", 204, true)),
            (b"HTTP/1.1 500 No\r\ncontent-length: 0\r\nConnection: close\r\n\r\n", (true, b"", 500, false)),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                  3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nt: v\r\n\r\n",
                (true, b"abcde", 200, true),
            ),
            (
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
                (false, b"abc", 200, true),
            ),
            (
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
                (true, b"x", 200, true),
            ),
            (b"HTTP/1.0 200 OK\r\n\r\nuntil close", (false, b"until close", 200, false)),
        ] {
            for step in 1..=wire.len() {
                let (done, body, status, keep) = read(wire, step);
                let found = (done.unwrap(), body.as_slice(), status, keep);
                assert_eq!(found, expected, "{} by {step}", String::from_utf8_lossy(wire));
            }
        }
        assert!(read(b"SSH-2.0\r\n\r\n", 100).0.is_err());
        assert!(read(&[b'x'; LINE_LIMIT + 100], 1000).0.is_err());
    }

    #[test]
    fn lines_are_whole() {
        for step in 1..12 {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for part in b"data: a\r\n\ndata: b\n".chunks(step) {
                lines.push(part, |line| found.push(line.to_vec()));
            }
            assert_eq!(found, [&b"data: a"[..], b"", b"data: b"], "by {step}");
        }
    }
}
