//! The heads of HTTP/1.1 answers without sockets: where one ends, what it says, and how its body will end
//! (RFC 9112, sections 4 to 6).
//!
//! Sans-IO, so that one property stands for every network: however the bytes are cut, the same head and
//! errors come out.

use crate::framing::{Body, NotHttp};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, response};
use std::mem::MaybeUninit;

/// Most header fields of an answer.
const MOST_HEADERS: usize = 128;
/// Longest head.
const LONGEST_HEAD: usize = 256 << 10;

/// The head of an answer, read.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) parts: response::Parts,
    pub(crate) body: Body,
    /// Whether the connection can serve again afterwards.
    pub(crate) keep_alive: bool,
}

/// The beginning of an answer, gathered until its head is whole.
#[derive(Debug, Default)]
pub(crate) struct Beginning {
    bytes: Vec<u8>,
    /// How many of them were there when they were last parsed.
    parsed: usize,
    /// Length of the interim answers so far.
    interim: usize,
}

impl Beginning {
    /// Takes the next bytes: the head once it is whole, and what came behind it.
    ///
    /// However small the pieces are, all parsing together takes time in proportion to the head's length.
    pub(crate) fn push<'b>(&'b mut self, more: &'b [u8]) -> Result<Option<(Head, &'b [u8])>, NotHttp> {
        // Heads nearly always arrive whole; then nothing is kept.
        let is_first = self.bytes.is_empty();
        let more = if is_first { without_empty_lines(more) } else { more };
        if !is_first {
            let before = self.bytes.len();
            self.bytes.extend_from_slice(more);
            // Garbage is found out early although only an empty line can end a head.
            let is_due = self.bytes.len() >= self.parsed.saturating_mul(2);
            if !is_due && !has_empty_line(&self.bytes, before) {
                return self.checked().map(|()| None);
            }
        }
        let all: &[u8] = if is_first { more } else { &self.bytes };
        let (skipped, found) = read_head(all)?;
        self.interim += skipped;
        if self.interim > LONGEST_HEAD {
            return Err(NotHttp("the interim answers are too long"));
        }
        if let Some((head, length)) = found {
            let all: &'b [u8] = if is_first { more } else { &self.bytes };
            return Ok(Some((head, all.get(skipped + length..).unwrap_or_default())));
        }
        if is_first {
            self.bytes.extend_from_slice(more.get(skipped..).unwrap_or_default());
        } else {
            self.bytes.drain(..skipped);
        }
        self.parsed = self.bytes.len();
        self.checked().map(|()| None)
    }

    /// Whether nothing of an answer has come.
    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.interim == 0
    }

    fn checked(&self) -> Result<(), NotHttp> {
        if self.bytes.len() > LONGEST_HEAD { Err(TOO_LONG) } else { Ok(()) }
    }
}

const TOO_LONG: NotHttp = NotHttp("the answer's head is too long");

/// Line ends before a status line mean nothing.
fn without_empty_lines(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

/// Whether an empty line ends at `from` or later.
fn has_empty_line(bytes: &[u8], from: usize) -> bool {
    let end = |line: &[u8]| line.starts_with(b"\n\n") || line.starts_with(b"\n\r\n");
    (from.saturating_sub(2)..bytes.len()).any(|at| bytes.get(at..).is_some_and(end))
}

/// Reads the head at the start of `bytes`, if it is there whole: the head and its length. Interim answers
/// (1xx) are skipped; how much that was comes first.
fn read_head(bytes: &[u8]) -> Result<(usize, Option<(Head, usize)>), NotHttp> {
    let mut skipped = 0;
    loop {
        let rest = bytes.get(skipped..).unwrap_or_default();
        // Not set to anything beforehand, which would cost more than reading the head.
        let mut fields = [const { MaybeUninit::uninit() }; MOST_HEADERS];
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let length = match config.parse_response_with_uninit_headers(&mut parsed, rest, &mut fields) {
            Ok(httparse::Status::Complete(length)) if length > LONGEST_HEAD => return Err(TOO_LONG),
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok((skipped, None)),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(NotHttp("the answer has too many header fields"));
            }
            Err(_) => return Err(NotHttp("the answer's head is malformed")),
        };
        let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or(NotHttp("the answer has no valid status"))?;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(NotHttp("the answer switches protocols, which nobody asked for"));
        }
        if status.is_informational() {
            skipped += length;
            continue;
        }
        let is_11 = parsed.version == Some(1);
        let mut headers = headers(rest.get(..length).unwrap_or_default(), parsed.headers)?;
        let (body, length_is_sound) = body_of(status, &headers)?;
        if headers.contains_key(TRANSFER_ENCODING) {
            // It does not count then (RFC 9112, 6.3), and must not be believed further on.
            headers.remove(CONTENT_LENGTH);
        }
        // HTTP/1.0 does not know transfer codings (RFC 9112, 6.1).
        let is_sound = length_is_sound && (is_11 || !headers.contains_key(TRANSFER_ENCODING));
        let keep_alive = is_sound && body != Body::UntilClose && persists(is_11, &headers);
        let mut response = http::Response::new(());
        *response.status_mut() = status;
        *response.version_mut() = if is_11 { Version::HTTP_11 } else { Version::HTTP_10 };
        *response.headers_mut() = headers;
        let (parts, ()) = response.into_parts();
        return Ok((skipped, Some((Head { parts, body, keep_alive }, length))));
    }
}

/// Values share one copy of the head's bytes.
fn headers(head: &[u8], fields: &[httparse::Header<'_>]) -> Result<HeaderMap, NotHttp> {
    let shared = Bytes::copy_from_slice(head);
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| NotHttp("a header's name is malformed"))?;
        let from = field.value.as_ptr().addr().saturating_sub(head.as_ptr().addr());
        let value = shared.slice(from..from + field.value.len());
        let value =
            HeaderValue::from_maybe_shared(value).map_err(|_| NotHttp("a header's value is malformed"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// How the body ends, and whether that was said soundly.
fn body_of(status: StatusCode, headers: &HeaderMap) -> Result<(Body, bool), NotHttp> {
    if status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
        return Ok((Body::Over, true));
    }
    if let Some(codings) = headers.get_all(TRANSFER_ENCODING).iter().next_back() {
        let last = codings.to_str().ok().and_then(|list| list.rsplit(',').next()).unwrap_or_default().trim();
        if last.eq_ignore_ascii_case("chunked") {
            // Both framings at once may be an attempt to smuggle: believed, but the connection is not reused.
            return Ok((Body::Size { value: 0, digits: 0, line: 0 }, !headers.contains_key(CONTENT_LENGTH)));
        }
        return Ok((Body::UntilClose, false));
    }
    let mut length: Option<u64> = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for part in value.to_str().unwrap_or("-").split(',') {
            // Digits alone: `parse` would take a sign too, and another reader would not.
            let digits = Some(part.trim()).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
            let this = digits.and_then(|digits| digits.parse().ok());
            let this = this.ok_or(NotHttp("the answer's content-length is malformed"))?;
            if length.is_some_and(|length| length != this) {
                return Err(NotHttp("the answer has two content-lengths"));
            }
            length = Some(this);
        }
    }
    Ok(match length {
        Some(0) => (Body::Over, true),
        Some(left) => (Body::Length { left }, true),
        None => (Body::UntilClose, false),
    })
}

fn persists(is_11: bool, headers: &HeaderMap) -> bool {
    let says = |token: &str| {
        let lists = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
        lists.flat_map(|list| list.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
    };
    if is_11 { !says("close") } else { says("keep-alive") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: Body = Body::Size { value: 0, digits: 0, line: 0 };

    #[test]
    fn heads() {
        for (what, head, want) in [
            (
                "plain",
                "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n",
                Ok((200, Body::Length { left: 3 }, true)),
            ),
            (
                "chunked",
                "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, Chunked\r\n\r\n",
                Ok((200, CHUNKED, true)),
            ),
            (
                "close",
                "HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 0\r\n\r\n",
                Ok((200, Body::Over, false)),
            ),
            ("no length", "HTTP/1.1 200 OK\r\n\r\n", Ok((200, Body::UntilClose, false))),
            (
                "old",
                "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n",
                Ok((200, Body::Length { left: 1 }, false)),
            ),
            (
                "interim",
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
                Ok((204, Body::Over, true)),
            ),
            (
                "both framings",
                "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
                Ok((200, CHUNKED, false)),
            ),
            (
                "two lengths",
                "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
                Err("the answer has two content-lengths"),
            ),
            (
                "bad length",
                "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
                Err("the answer's content-length is malformed"),
            ),
            (
                "signed length",
                "HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\n",
                Err("the answer's content-length is malformed"),
            ),
            (
                "a list of one length",
                "HTTP/1.1 200 OK\r\ncontent-length: 1, 1\r\ncontent-length: 1\r\n\r\n",
                Ok((200, Body::Length { left: 1 }, true)),
            ),
            (
                "chunks in HTTP/1.0",
                "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n",
                Ok((200, CHUNKED, false)),
            ),
            (
                "a coding that hides the end",
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, x\r\ncontent-length: 1\r\n\r\n",
                Ok((200, Body::UntilClose, false)),
            ),
            (
                "another protocol",
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
                Err("the answer switches protocols, which nobody asked for"),
            ),
            (
                "a name with a space behind it",
                "HTTP/1.1 200 OK\r\ncontent-length : 1\r\n\r\n",
                Err("the answer's head is malformed"),
            ),
            (
                "a folded line",
                "HTTP/1.1 200 OK\r\nx: y\r\n content-length: 1\r\n\r\n",
                Err("the answer's head is malformed"),
            ),
            ("not http", "SSH-2.0-OpenSSH\r\n\r\n", Err("the answer's head is malformed")),
        ] {
            let read = |pieces: &[&[u8]]| {
                let mut beginning = Beginning::default();
                for (nth, piece) in pieces.iter().enumerate() {
                    if let Some((head, rest)) = beginning.push(piece)? {
                        assert_eq!((nth + 1, rest), (pieces.len(), &b""[..]), "{what}");
                        return Ok((head.parts.status.as_u16(), head.body, head.keep_alive));
                    }
                }
                panic!("{what}: no head in {pieces:?}");
            };
            let want = want.map_err(NotHttp);
            assert_eq!(read(&[head.as_bytes()]), want, "{what}");
            for cut in 0..head.len() {
                let (a, b) = head.as_bytes().split_at(cut);
                assert_eq!(read(&[a, b]), want, "{what}, cut at {cut}");
            }
            let bytes: Vec<_> = head.as_bytes().chunks(1).collect();
            assert_eq!(read(&bytes), want, "{what}, byte by byte");
        }
    }

    #[test]
    fn a_head_byte_by_byte_is_not_parsed_for_each() {
        let filler = "x: y\r\n".repeat(100) + "y: " + &"y".repeat(LONGEST_HEAD - 1000);
        for (what, start, end, want) in [
            ("a long head", "HTTP/1.1 200 OK\r\n", "\r\n\r\n", Ok(())),
            ("a longer head", "HTTP/1.1 200 OK\r\nz: z\r\n", "y".repeat(1000).as_str(), Err(TOO_LONG)),
            ("empty lines first", "\r\n\n\r\nHTTP/1.1 200 OK\r\n", "\r\n\r\n", Ok(())),
        ] {
            let mut beginning = Beginning::default();
            let mut parses = 0;
            let mut last = 0;
            let head = format!("{start}{filler}{end}");
            let result = head.as_bytes().chunks(1).try_for_each(|byte| {
                beginning.push(byte)?;
                parses += u32::from(beginning.parsed != last);
                last = beginning.parsed;
                Ok(())
            });
            assert_eq!(result, want, "{what}");
            assert!(parses <= LONGEST_HEAD.ilog2() + 1, "{what}: {parses}");
            assert_eq!(Beginning::default().push(head.as_bytes()).map(drop), want, "{what}, at once");
        }
    }

    #[test]
    fn interim_answers_end_somewhere() {
        let interim = b"HTTP/1.1 102 Processing\r\n\r\n";
        let mut beginning = Beginning::default();
        let error = (0..LONGEST_HEAD).find_map(|_| {
            let error = beginning.push(interim).err();
            assert!(beginning.bytes.is_empty(), "they are not kept");
            error
        });
        assert_eq!(error, Some(NotHttp("the interim answers are too long")));
    }

    #[test]
    fn header_values_are_the_answers_own() {
        let bytes = b"HTTP/1.1 200 OK\r\nX-One:  a b \r\nset-cookie: 1\r\nset-cookie: 2\r\n\r\n";
        let mut beginning = Beginning::default();
        let (head, _) = beginning.push(bytes).unwrap().unwrap();
        assert_eq!(head.parts.headers["x-one"], "a b");
        assert_eq!(head.parts.headers.get_all("set-cookie").iter().count(), 2);
    }
}
