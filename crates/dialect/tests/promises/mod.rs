//! What every codec promises of any bytes at all: it reads them or refuses them, makes no more of them than a
//! bound allows, says the same however they were cut, and ends every stream once. The tests break real traffic
//! and come here; the fuzzers come here with whatever they find.

use trunkline_core::{Dialect, Event, Losses};
use trunkline_dialect::framing::{Framing, Whole};
use trunkline_dialect::names::{Alphabet, Names};
use trunkline_dialect::restore::Restore;
use trunkline_dialect::scan::{Scan, ScanError, Scanned};
use trunkline_dialect::seal::{Key, Sealer, unseal};
use trunkline_dialect::tap::{StreamTap, Tapped};
use trunkline_dialect::{
    Context, StreamReader, StreamWriter, Target, UserIds, Vendor, read_call, read_error, read_reply, reads,
    write_call, write_error, write_reply, writes,
};

/// Largest stream event.
const EVENT_BYTES: usize = 1 << 20;

/// Dialects that clients speak.
pub(crate) fn clients() -> Vec<Dialect> {
    Dialect::CONVERSATIONS.into_iter().filter(|dialect| reads(*dialect)).collect()
}

/// Dialects that upstreams speak.
pub(crate) fn upstreams() -> Vec<Dialect> {
    Dialect::CONVERSATIONS.into_iter().filter(|dialect| writes(*dialect)).collect()
}

/// What a translation may at most make of `input` bytes: escapes grow sixfold, and some dialects surround each
/// token with a frame that repeats all of the answer's outer fields.
fn bound(input: usize) -> usize {
    16_384 + 1_500 * input
}

fn key() -> Key {
    Key::new(&[7; 32])
}

fn context() -> Context {
    Context {
        id: "id-1".into(),
        request_id: "req-1".into(),
        created: 1_700_000_000,
        model: None,
        include_usage: true,
        array: false,
        seal: [7; 32],
    }
}

fn targets() -> [Target<'static>; 2] {
    let target = |model, vendor| Target {
        model,
        vendor,
        default_max_tokens: None,
        user_ids: UserIds::Opaque,
        strict_arguments: false,
        anthropic_version: "2023-06-01",
    };
    [target("claude-sonnet-4-5", Vendor::Owner), target("gemini-3-pro", Vendor::Compatible)]
}

fn restore(client: Dialect, upstream: Dialect) -> Restore {
    let mut restore = Restore::new(Names::new(Alphabet::OPENAI_NAME), false, Vec::new());
    restore.sealer = Some(Sealer { key: key(), client, upstream, wanted: true });
    restore
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Box<serde_json::value::RawValue>>(bytes).is_ok()
}

/// A request; whether it could be read.
pub(crate) fn request(client: Dialect, upstream: Dialect, body: &[u8]) -> bool {
    let mut losses = Losses::default();
    let mut call = match read_call(client, body, &mut losses) {
        Ok(call) => call,
        Err(fault) => {
            assert!(!fault.message.is_empty() && fault.message.len() <= 2048 + 2 * body.len());
            assert!(is_json(&write_error(client, &fault, "req-1")), "{client}");
            return false;
        }
    };
    unseal(&mut call, &key(), &mut losses);
    for target in targets() {
        match write_call(upstream, &call, &target, &mut losses) {
            Ok(written) => {
                assert!(written.body.len() <= bound(body.len()), "{client} to {upstream}");
                assert!(is_json(&written.body), "{client} to {upstream}: {}", text(&written.body));
            }
            Err(fault) => {
                assert!(fault.message.len() <= 2048 + 2 * body.len(), "{client} to {upstream}");
            }
        }
    }
    let header = losses.header(4096);
    assert!(header.len() <= 4096 && header.is_ascii(), "{header}");
    true
}

/// A whole answer, and the same bytes as an error; whether the answer could be read.
pub(crate) fn answer(client: Dialect, upstream: Dialect, status: u16, body: &[u8]) -> bool {
    let fault = read_error(upstream, status, body);
    assert!(!fault.message.is_empty() && fault.message.len() < 9000, "{upstream}: {}", fault.message);
    assert!(is_json(&write_error(client, &fault, "req-1")), "{client}");
    let Ok(mut reply) = read_reply(upstream, body) else { return false };
    restore(client, upstream).reply(&mut reply);
    let mut losses = Losses::default();
    let Ok(out) = write_reply(client, &reply, &context(), &mut losses) else { return true };
    assert!(is_json(&out), "{upstream} to {client}: {}", text(&out));
    assert!(out.len() <= bound(body.len()), "{upstream} to {client}");
    true
}

/// A stream, whole and cut at `cuts`; whether it ended well.
pub(crate) fn stream(client: Dialect, upstream: Dialect, bytes: &[u8], cuts: &[usize]) -> bool {
    let pieces = cut(bytes, cuts);
    let whole = events(upstream, &[bytes]);
    assert_eq!(events(upstream, &pieces), whole, "{upstream} however it is cut");
    let mut restore = restore(client, upstream);
    let Ok(mut writer) = StreamWriter::new(client, context()) else { return false };
    let (mut out, mut parts) = (Vec::new(), Parts::default());
    read(upstream, &pieces, &mut |event| {
        parts.see(&event);
        restore.push(event, &mut |event| writer.write(event, &mut out));
    });
    assert_eq!(parts.ends, 1, "{upstream} ends once");
    assert!(out.len() <= bound(bytes.len()), "{upstream} to {client}: {} of {}", out.len(), bytes.len());
    // Nothing is said behind the end.
    let before = out.len();
    writer.write(Event::End, &mut out);
    assert_eq!(out.len(), before, "{client} ends once");
    splice(upstream, bytes, &pieces);
    whole.last().is_some_and(|last| last == "End")
}

/// What passes untouched is the same bytes, and seen the same, however it is cut.
fn splice(dialect: Dialect, bytes: &[u8], pieces: &[&[u8]]) {
    let mut whole = Whole::new(Framing::of(dialect));
    let mut passed = Vec::new();
    for piece in pieces {
        passed.extend(whole.push(bytes::Bytes::copy_from_slice(piece)).into_iter().flatten());
    }
    passed.extend(whole.rest().into_iter().flatten());
    assert_eq!(passed, bytes, "{dialect}");
    assert_eq!(tapped(dialect, pieces), tapped(dialect, &[bytes]), "{dialect}");
}

fn tapped(dialect: Dialect, pieces: &[&[u8]]) -> (u32, Tapped) {
    let mut tap = StreamTap::new(dialect, 1);
    let count = pieces.iter().map(|piece| tap.see(piece).events).sum();
    (count, tap.tapped)
}

/// A body's scan; whether it is one that routing takes.
pub(crate) fn scan(bytes: &[u8], cuts: &[usize]) -> bool {
    let whole = scanned(&[bytes]);
    assert_eq!(scanned(&cut(bytes, cuts)), whole);
    match whole {
        Ok(_) => assert!(is_json(bytes), "{}", text(bytes)),
        Err(
            ScanError::Syntax { .. }
            | ScanError::Empty
            | ScanError::Truncated { .. }
            | ScanError::NotUtf8 { .. },
        ) => assert!(!is_json(bytes), "{}", text(bytes)),
        Err(
            ScanError::NotAnObject
            | ScanError::TooDeep { .. }
            | ScanError::Duplicate { .. }
            | ScanError::WrongType { .. },
        ) => return false,
    }
    is_json(bytes)
}

fn scanned(pieces: &[&[u8]]) -> Result<Scanned, ScanError> {
    let mut scan = Scan::new(64);
    for piece in pieces {
        scan.push(piece)?;
    }
    scan.finish()
}

fn read(dialect: Dialect, pieces: &[&[u8]], each: &mut dyn FnMut(Event<'_>)) {
    let Ok(mut reader) = StreamReader::new(dialect, EVENT_BYTES) else { return };
    for piece in pieces {
        reader.push(piece, &mut *each);
    }
    reader.close(&mut *each);
}

fn events(dialect: Dialect, pieces: &[&[u8]]) -> Vec<String> {
    let mut out = Vec::new();
    read(dialect, pieces, &mut |event| out.push(format!("{event:?}")));
    out
}

/// The pieces of `bytes` between `cuts`, which need not be in order or in reach.
fn cut<'b>(bytes: &'b [u8], cuts: &[usize]) -> Vec<&'b [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|at| at % (bytes.len() + 1)).chain([0, bytes.len()]).collect();
    cuts.sort_unstable();
    cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..2000).unwrap_or(bytes)).into_owned()
}

/// Parts are opened once, grow only while open and, in a stream that ends well, are all closed.
#[derive(Default)]
struct Parts {
    open: Vec<u32>,
    seen: std::collections::HashSet<u32>,
    ends: usize,
}

impl Parts {
    fn see(&mut self, event: &Event<'_>) {
        assert_eq!(self.ends, 0, "{event:?} behind the end");
        match event {
            Event::Open { part, .. } => {
                assert!(self.seen.insert(*part), "part {part} opened twice");
                self.open.push(*part);
            }
            Event::Delta { part, .. } => assert!(self.open.contains(part), "part {part} grew shut"),
            Event::Close { part } => {
                assert!(self.open.contains(part), "part {part} closed twice");
                self.open.retain(|other| other != part);
            }
            Event::End => {
                assert!(self.open.is_empty(), "{:?} left open", self.open);
                self.ends += 1;
            }
            Event::Error(_) => self.ends += 1,
            Event::Start { .. }
            | Event::Logprobs { .. }
            | Event::Usage(_)
            | Event::Finish { .. }
            | Event::Ping => {}
        }
    }
}
