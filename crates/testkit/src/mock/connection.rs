//! One keep-alive connection of the mock.

use super::canned::{self, Script};
use super::{Pacing, Shared};
use crate::clock;
use memchr::memmem;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Room for a request before the buffer grows.
const BUFFER: usize = 16 << 10;

/// Serves requests until the peer leaves.
pub(super) async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let _open = Counted::new(&shared.connections);
    // An error is the peer's end of the conversation; there is nobody to tell.
    let _ = converse(&mut stream, &shared).await;
}

async fn converse(stream: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    let mut unread = Vec::with_capacity(BUFFER);
    let mut out = Vec::new();
    loop {
        let Some((head_len, total)) = receive(stream, &mut unread, shared).await? else { return Ok(()) };
        let (head, body) = unread.get(..total).unwrap_or_default().split_at(head_len);
        let target = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let canned = &shared.canned;
        let is_control = target.starts_with(b"/ctl");
        if !is_control {
            shared.requests.fetch_add(1, Relaxed);
        }
        let streams = body.len() > 2 && wants_stream(body);
        let said = canned.said.as_ref().filter(|_| body.len() > 2);
        let (whole, script) = match target {
            // Some dialects ask for streams in the path.
            _ if said.is_some() && (streams || memmem::find(target, b"stream").is_some()) => {
                (None, said.map(|(_, script)| script))
            }
            _ if said.is_some() => (said.map(|(whole, _)| whole), None),
            b"/v1/chat/completions" if streams => (None, Some(&canned.chat_stream)),
            b"/v1/messages" if streams => (None, Some(&canned.messages_stream)),
            b"/v1/chat/completions" => (Some(&canned.chat), None),
            b"/v1/messages" => (Some(&canned.messages), None),
            b"/v1/models" => (Some(&canned.models), None),
            b"/health" | b"/health_generate" | b"/ready" => (Some(&canned.health), None),
            b"/server_info" | b"/get_server_info" | b"/model_info" | b"/get_model_info" => {
                (Some(&canned.info), None)
            }
            _ => (Some(&canned.not_found), None),
        };
        let control = is_control.then(|| {
            let query = target.split(|byte| *byte == b'?').nth(1).unwrap_or_default();
            let counters = shared.control(&String::from_utf8_lossy(query));
            canned::answer("200 OK", &serde_json::from_str(&counters).unwrap_or_default())
        });
        discard(&mut unread, total);
        if let Some(control) = control {
            stream.write_all(&control).await?;
        } else if let Some(script) = script {
            stream_out(stream, script, shared, &mut unread, &mut out).await?;
        } else if let Some(whole) = whole {
            let latency = shared.pacing.read().latency;
            if !latency.is_zero() {
                rest(stream, latency, &mut unread).await?;
            }
            stream.write_all(whole).await?;
        }
    }
}

async fn stream_out(
    stream: &mut TcpStream,
    script: &Script,
    shared: &Shared,
    unread: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    shared.streams.fetch_add(1, Relaxed);
    let _open = Counted::new(&shared.open_streams);
    let told = tell(stream, script, shared.pacing.read(), unread, out).await;
    if told.is_err() {
        shared.broken.fetch_add(1, Relaxed);
    }
    told
}

async fn tell(
    stream: &mut TcpStream,
    script: &Script,
    pacing: Pacing,
    unread: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    rest(stream, pacing.ttft, unread).await?;
    out.clear();
    out.extend_from_slice(&script.opening);
    let mut left = pacing.chunks;
    while left > 0 {
        let burst = pacing.burst.min(left);
        let stamp = clock::stamp();
        for _ in 0..burst {
            let from = out.len();
            out.extend_from_slice(&script.chunk);
            let at = script.stamp_at.map(|at| from + at);
            if let Some(digits) = at.and_then(|at| out.get_mut(at..at + clock::DIGITS)) {
                clock::write_digits(stamp, digits);
            }
        }
        stream.write_all(out).await?;
        out.clear();
        left -= burst;
        rest(stream, pacing.delay, unread).await?;
    }
    // Holds the opening too when there are no chunks at all.
    out.extend_from_slice(&script.closing);
    stream.write_all(out).await
}

/// Waits for `time`, with an eye on the peer: its leaving is an error.
async fn rest(stream: &mut TcpStream, time: Duration, unread: &mut Vec<u8>) -> io::Result<()> {
    if time.is_zero() {
        return Ok(());
    }
    let sleep = tokio::time::sleep(time);
    tokio::pin!(sleep);
    loop {
        tokio::select! {
            () = &mut sleep => return Ok(()),
            read = stream.read_buf(unread) => {
                if read? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
}

/// Reads until a whole request is in; lengths of its head and of all of it. `None` when the peer is done.
async fn receive(
    stream: &mut TcpStream,
    unread: &mut Vec<u8>,
    shared: &Shared,
) -> io::Result<Option<(usize, usize)>> {
    let mut head: Option<(usize, Framing)> = None;
    let mut searched = 0;
    loop {
        if head.is_none() {
            let from = unread.get(searched..).unwrap_or_default();
            if let Some(at) = memmem::find(from, b"\r\n\r\n") {
                let end = searched + at + 4;
                head = Some((end, Framing::of(unread.get(..end).unwrap_or_default())));
            }
            searched = unread.len().saturating_sub(3);
        }
        if let Some((head_len, framing)) = head {
            let total = match framing {
                Framing::Length(length) => Some(head_len + length),
                Framing::Chunked => chunked_end(unread, head_len),
            };
            if let Some(total) = total {
                if unread.len() >= total {
                    shared.bytes_in.fetch_add(total as u64, Relaxed);
                    return Ok(Some((head_len, total)));
                }
                unread.reserve(total - unread.len());
            }
        }
        if stream.read_buf(unread).await? == 0 {
            return Ok(None);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

impl Framing {
    fn of(head: &[u8]) -> Self {
        for line in head.split(|byte| *byte == b'\n') {
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            let (name, value) = line.split_at(colon);
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            if name.eq_ignore_ascii_case(b"content-length") {
                let length = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
                return Self::Length(length.unwrap_or_default());
            }
            if name.eq_ignore_ascii_case(b"transfer-encoding") && value.eq_ignore_ascii_case(b"chunked") {
                return Self::Chunked;
            }
        }
        Self::Length(0)
    }
}

/// Where a chunked body without trailers ends; `None` while it has not.
fn chunked_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let rest = bytes.get(at..)?;
        let line_end = memmem::find(rest, b"\r\n")?;
        let size = rest.get(..line_end)?.split(|byte| *byte == b';').next().unwrap_or_default();
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?.trim(), 16).ok()?;
        at = at.checked_add(line_end + 2)?.checked_add(size)?.checked_add(2)?;
        if size == 0 {
            return (bytes.len() >= at).then_some(at);
        }
    }
}

/// Whether the body says `"stream": true`, white space aside.
fn wants_stream(body: &[u8]) -> bool {
    const KEY: &[u8] = b"\"stream\"";
    memmem::find_iter(body, KEY).any(|at| {
        let after = body.get(at + KEY.len()..).unwrap_or_default().trim_ascii_start();
        after.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"true"))
    })
}

fn discard(unread: &mut Vec<u8>, count: usize) {
    if unread.len() == count {
        unread.clear();
    } else {
        unread.drain(..count);
    }
}

/// Counts something that is open, for as long as it is.
struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    fn new(counter: &'a AtomicU64) -> Self {
        counter.fetch_add(1, Relaxed);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_told_by_their_key() {
        for (body, streams) in [
            (r#"{"stream":true}"#, true),
            ("{\"stream\" : \n true}", true),
            (r#"{"stream":false}"#, false),
            (r#"{"text":"\"stream\" is true"}"#, false),
            (r#"{"stream_options":{"include_usage":true}}"#, false),
        ] {
            assert_eq!(wants_stream(body.as_bytes()), streams, "{body}");
        }
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        assert_eq!(Framing::of(b"POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\n"), Framing::Length(12));
        assert_eq!(Framing::of(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Framing::Length(0));
        assert_eq!(Framing::of(b"POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n"), Framing::Chunked);
        let body = b"3\r\nabc\r\nA;x\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(chunked_end(body, 0), Some(body.len()));
        assert_eq!(chunked_end(&body[..body.len() - 1], 0), None);
    }
}
