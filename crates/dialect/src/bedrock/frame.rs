//! Amazon's event stream, `application/vnd.amazon.eventstream`: bytes in, messages out, and back.
//!
//! A message is `total length, headers length, CRC-32 of these eight bytes, headers, payload, CRC-32 of all
//! before`, integers big-endian. An upstream may cut it anywhere, so an unfinished message waits here, and
//! nothing of it is believed before its checksums are right.

use crc32fast::Hasher;

/// Both lengths and their checksum.
const PRELUDE: usize = 12;
/// A checksum.
const CRC: usize = 4;
/// Longest headers, which is what Amazon's own clients take.
const MOST_HEADERS: usize = 128 << 10;
/// The type of a header that holds text; ours hold nothing else.
const STRING: u8 = 7;

/// One message, as far as it says what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub kind: Kind<'a>,
    pub payload: &'a [u8],
}

/// What a message is, by its headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// `:event-type`
    Event(&'a str),
    /// `:exception-type`
    Exception(&'a str),
    /// `:error-code` and `:error-message`
    Error(&'a str, &'a str),
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("upstream sent an event over {limit} bytes; raise `limits.event_bytes` if you trust it")]
    TooLong { limit: usize },
    #[error("upstream sent an event whose lengths contradict each other")]
    Lengths,
    #[error("upstream sent an event with a wrong checksum")]
    Checksum,
    #[error("upstream sent an event whose headers cannot be read")]
    Headers,
}

/// Splits a stream into messages.
#[derive(Debug)]
pub(super) struct Messages {
    /// The unfinished message.
    held: Vec<u8>,
    limit: usize,
}

impl Messages {
    /// Messages may be up to `limit` bytes long.
    pub(super) fn new(limit: usize) -> Self {
        Self { held: Vec::new(), limit }
    }

    /// Takes the next bytes and hands every message they complete to `each`.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Message<'_>)) -> Result<(), Broken> {
        while !bytes.is_empty() {
            let total = if self.held.is_empty() { self.total(bytes)? } else { None };
            if let Some((message, rest)) = total.and_then(|total| bytes.split_at_checked(total)) {
                each(message_of(message)?);
                bytes = rest;
                continue;
            }
            let goal = self.total(&self.held)?.unwrap_or(PRELUDE);
            let (more, rest) = bytes.split_at(bytes.len().min(goal.saturating_sub(self.held.len())));
            self.held.extend_from_slice(more);
            bytes = rest;
            if self.total(&self.held)?.is_some_and(|total| total == self.held.len()) {
                each(message_of(&self.held)?);
                self.held.clear();
            }
        }
        Ok(())
    }

    /// How long the message at the start of `bytes` is; `None` before its prelude is there.
    fn total(&self, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        let Some((prelude, _)) = bytes.split_at_checked(PRELUDE) else { return Ok(None) };
        let (total, headers) = lengths(prelude);
        if u32_at(prelude, 8) != crc32fast::hash(prelude.get(..8).unwrap_or_default()) {
            return Err(Broken::Checksum);
        }
        if headers > MOST_HEADERS || total < PRELUDE + headers + CRC {
            return Err(Broken::Lengths);
        }
        if total > self.limit {
            return Err(Broken::TooLong { limit: self.limit });
        }
        Ok(Some(total))
    }
}

fn lengths(prelude: &[u8]) -> (usize, usize) {
    let length = |at| usize::try_from(u32_at(prelude, at)).unwrap_or(usize::MAX);
    (length(0), length(4))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|four| <[u8; 4]>::try_from(four).ok());
    u32::from_be_bytes(four.unwrap_or_default())
}

/// A whole message whose prelude has been checked.
fn message_of(bytes: &[u8]) -> Result<Message<'_>, Broken> {
    let (before, crc) = bytes.split_at_checked(bytes.len().saturating_sub(CRC)).ok_or(Broken::Lengths)?;
    if u32_at(crc, 0) != crc32fast::hash(before) {
        return Err(Broken::Checksum);
    }
    let (_, length) = lengths(bytes);
    let (headers, payload) =
        before.get(PRELUDE..).and_then(|rest| rest.split_at_checked(length)).ok_or(Broken::Lengths)?;
    let kind = kind_of(headers).ok_or(Broken::Headers)?;
    Ok(Message { kind, payload })
}

fn kind_of(mut bytes: &[u8]) -> Option<Kind<'_>> {
    let (mut kind, mut event, mut exception, mut code, mut message) = ("event", "", "", "", "");
    while !bytes.is_empty() {
        let (name, value, rest) = header(bytes)?;
        match name {
            b":message-type" => kind = value,
            b":event-type" => event = value,
            b":exception-type" => exception = value,
            b":error-code" => code = value,
            b":error-message" => message = value,
            _ => {}
        }
        bytes = rest;
    }
    match kind {
        "exception" => Some(Kind::Exception(exception)),
        "error" => Some(Kind::Error(code, message)),
        _ => Some(Kind::Event(event)),
    }
}

/// The first header: its name, its value when that is text, and what follows.
fn header(bytes: &[u8]) -> Option<(&[u8], &str, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let (kind, rest) = rest.split_first()?;
    let (length, rest) = match kind {
        0 | 1 => (0, rest),
        2 => (1, rest),
        3 => (2, rest),
        4 => (4, rest),
        5 | 8 => (8, rest),
        9 => (16, rest),
        6 | 7 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    let text = if *kind == STRING { std::str::from_utf8(value).ok()? } else { "" };
    Some((name, text, rest))
}

/// Appends the event `name` with the payload that `fill` appends.
pub(super) fn write_event(out: &mut Vec<u8>, name: &str, fill: impl FnOnce(&mut Vec<u8>)) {
    let headers = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    write(out, &headers, fill);
}

/// Appends the exception `name` with the payload that `fill` appends.
pub(super) fn write_exception(out: &mut Vec<u8>, name: &str, fill: impl FnOnce(&mut Vec<u8>)) {
    let headers =
        [(":exception-type", name), (":content-type", "application/json"), (":message-type", "exception")];
    write(out, &headers, fill);
}

fn write(out: &mut Vec<u8>, headers: &[(&str, &str)], fill: impl FnOnce(&mut Vec<u8>)) {
    let from = out.len();
    out.extend_from_slice(&[0; PRELUDE]);
    for (name, value) in headers {
        // Names and values are ours and short.
        out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(name.as_bytes());
        out.push(STRING);
        out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    let headers = out.len() - from - PRELUDE;
    fill(out);
    let total = out.len() - from + CRC;
    let mut prelude = [0; PRELUDE];
    let be = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    for (at, byte) in prelude.iter_mut().zip(be(total).into_iter().chain(be(headers))) {
        *at = byte;
    }
    let crc = crc32fast::hash(prelude.get(..8).unwrap_or_default());
    for (at, byte) in prelude.iter_mut().skip(8).zip(crc.to_be_bytes()) {
        *at = byte;
    }
    if let Some(place) = out.get_mut(from..from + PRELUDE) {
        place.copy_from_slice(&prelude);
    }
    let mut hasher = Hasher::new();
    hasher.update(out.get(from..).unwrap_or_default());
    out.extend_from_slice(&hasher.finalize().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Made with botocore.
    const EVENT: &str = "0000007a00000051ca2c46650b3a6576656e742d7479706507000b6d65737361676553746f700d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b2273746f70526561736f6e223a22656e645f7475726e227d5fbf09fc";
    const EXCEPTION: &str = "0000008300000061a9d144e50f3a657863657074696f6e2d747970650700137468726f74746c696e67457863657074696f6e0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d74797065070009657863657074696f6e7b226d657373616765223a22736c6f77227d9350311c";

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    fn written() -> Vec<u8> {
        let mut out = Vec::new();
        write_event(&mut out, "messageStop", |out| out.extend_from_slice(br#"{"stopReason":"end_turn"}"#));
        write_exception(&mut out, "throttlingException", |out| {
            out.extend_from_slice(br#"{"message":"slow"}"#);
        });
        out
    }

    /// Messages and how it ended, as text.
    fn read(pieces: &[&[u8]], limit: usize) -> Vec<String> {
        let (mut messages, mut seen) = (Messages::new(limit), Vec::new());
        for piece in pieces {
            let each = |message: Message<'_>| {
                seen.push(format!("{:?} {}", message.kind, String::from_utf8_lossy(message.payload)));
            };
            if let Err(broken) = messages.push(piece, each) {
                seen.push(format!("{broken:?}"));
                break;
            }
        }
        seen
    }

    #[test]
    fn c92_known_answers_are_met_both_ways() {
        assert_eq!(written(), [unhex(EVENT), unhex(EXCEPTION)].concat());
        assert_eq!(
            read(&[&written()], 1 << 20),
            [
                r#"Event("messageStop") {"stopReason":"end_turn"}"#,
                r#"Exception("throttlingException") {"message":"slow"}"#
            ]
        );
    }

    #[test]
    fn c94_c104_a_cut_anywhere_never_matters() {
        let bytes = written();
        let whole = read(&[&bytes], 1 << 20);
        for at in 0..=bytes.len() {
            let (a, b) = bytes.split_at(at);
            assert_eq!(read(&[a, b], 1 << 20), whole, "cut at {at}");
        }
        assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>(), 1 << 20), whole);
    }

    #[test]
    fn a_flipped_bit_is_never_believed() {
        let good = unhex(EVENT);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            let seen = read(&[&bad], 1 << 20);
            let refused = ["Checksum", "Lengths", "TooLong { limit: 1048576 }"];
            assert!(seen.len() == 1 && refused.contains(&seen[0].as_str()), "byte {at}: {seen:?}");
        }
    }

    #[test]
    fn long_messages_are_refused_by_their_prelude() {
        assert_eq!(read(&[&unhex(EVENT)[..12]], 121), ["TooLong { limit: 121 }"]);
        assert_eq!(read(&[&unhex(EVENT)], 122).len(), 1);
    }

    #[test]
    fn headers_of_every_type_are_stepped_over() {
        let mut headers: Vec<u8> = Vec::new();
        for (kind, value) in [
            (0, vec![]),
            (1, vec![]),
            (2, vec![1]),
            (3, vec![1; 2]),
            (4, vec![1; 4]),
            (5, vec![1; 8]),
            (6, vec![0, 1, 9]),
            (8, vec![1; 8]),
            (9, vec![1; 16]),
        ] {
            headers.extend([1, b'x', kind]);
            headers.extend(value);
        }
        headers.extend(b"\x0b:event-type\x07\x00\x04ping");
        assert_eq!(kind_of(&headers), Some(Kind::Event("ping")));
        assert_eq!(kind_of(&[1, b'x', 99]), None);
        assert_eq!(kind_of(&headers[..headers.len() - 1]), None);
    }

    proptest! {
        #[test]
        fn garbage_is_the_same_garbage_however_it_is_cut(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
            at in any::<prop::sample::Index>(),
        ) {
            let bytes = [written(), bytes].concat();
            let (a, b) = bytes.split_at(at.index(bytes.len() + 1));
            prop_assert_eq!(read(&[a, b], 1 << 20), read(&[&bytes], 1 << 20));
        }
    }
}
