//! Real traffic, bent: a seeded mutator flips, cuts, repeats and plants, and everything that parses
//! foreign bytes must keep its promises on what comes out. No panic, no output out of proportion, and
//! the same result however the bytes are cut. A failure names its round, which makes it again.

use crate::chain::{CLAUDE, EVENT_BYTES, PAIRS, Pair, compatible, context, idle, read_stream};
use crate::corpus::{CHAT_CALL, CLAUDE_REPLY, ENGINE_REPLY, MESSAGES_CALL};
use crate::streams::{ends, upstream_stream};
use serde_json::Value;
use trunkline_core::{Dialect, Losses};
use trunkline_dialect::scan::{Scan, ScanError, Scanned};
use trunkline_dialect::sse::Events;
use trunkline_dialect::tap::{StreamTap, Tapped};
use trunkline_dialect::{read_call, read_error, read_reply, write_call};

const ROUNDS: u64 = 1500;

/// What mutations plant: the tokens these formats turn on, and numbers and escapes that are trouble.
const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    "\\u",
    "\\ud83d",
    "\\u0000",
    ",",
    ":",
    "null",
    "true",
    "-1",
    "1e999",
    "18446744073709551616",
    "\n\n",
    "\r\n\r\n",
    "\r",
    "data: ",
    "data: [DONE]\n\n",
    "event: error\n",
    ": ",
    "\u{feff}",
    "é",
    "🌧",
    "\u{2028}",
    "\"error\":{\"message\":\"m\"},",
    "\"type\":\"error\",",
    "\"index\":7,",
    "\"choices\":[{}],",
    "\"content\":null,",
    "\"tool_calls\":[{}],",
    "\"content_block\":{},",
    "\"delta\":{},",
    "<think>",
    "\"usage\":{},",
    "\"finish_reason\":\"stop\",",
];

/// What takes the place of a value: every type, and the words that decide how its neighbours are read.
const VALUES: &[&str] = &[
    "null",
    "true",
    "-1",
    "0",
    "1.5",
    "1e30",
    "18446744073709551615",
    "\"\"",
    "\"x\"",
    "[]",
    "{}",
    "[null]",
    "[[]]",
    "[{}]",
    "{\"type\":\"text\",\"text\":\"t\"}",
    "\"text\"",
    "\"thinking\"",
    "\"tool_use\"",
    "\"tool_result\"",
    "\"image\"",
    "\"system\"",
    "\"assistant\"",
    "\"user\"",
    "\"stop\"",
    "\"length\"",
    "\"message_stop\"",
    "\"content_block_delta\"",
    "\"input_json_delta\"",
    "\"{\\\"a\\\":1.0}\"",
    "\"data:,x\"",
    "\"\\u0000\\ud83d\\ude00\"",
];

/// A generator of numbers that is the same everywhere (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    /// The throws of round `round`.
    pub(crate) fn of(round: u64) -> Self {
        let mut dice = Self(round.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        dice.throw();
        dice
    }

    fn throw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below `end`, or 0 when there is nothing below.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap().max(1);
        usize::try_from(self.throw() % end).unwrap()
    }

    /// A stretch of `bytes`, at most `longest` long.
    fn stretch(&mut self, bytes: &[u8], longest: usize) -> std::ops::Range<usize> {
        let from = self.below(bytes.len() + 1);
        from..bytes.len().min(from + self.below(longest))
    }

    /// `seed`, bent in one to four places.
    pub(crate) fn mutate(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(4) {
            match self.below(6) {
                0 if !bytes.is_empty() => {
                    let at = self.below(bytes.len());
                    bytes[at] ^= 1 << self.below(8);
                }
                1 => bytes.truncate(self.below(bytes.len() + 1)),
                2 => {
                    let stretch = self.stretch(&bytes, 64);
                    bytes.drain(stretch);
                }
                3 => {
                    let again = bytes[self.stretch(&bytes, 200)].to_vec();
                    let at = self.below(bytes.len() + 1);
                    bytes.splice(at..at, again);
                }
                4 => {
                    let (from, to) = (self.stretch(&bytes, 32), self.below(bytes.len() + 1));
                    let moved: Vec<_> = bytes.drain(from).collect();
                    let to = to.min(bytes.len());
                    bytes.splice(to..to, moved);
                }
                _ => {
                    let token = TOKENS[self.below(TOKENS.len())];
                    let at = self.below(bytes.len() + 1);
                    bytes.splice(at..at, token.bytes());
                }
            }
        }
        bytes
    }

    /// `json` with one to three of its values replaced, so that it still is JSON.
    pub(crate) fn graft(&mut self, json: &str) -> String {
        let mut tree: Value = serde_json::from_str(json).unwrap();
        for _ in 0..=self.below(3) {
            let mut paths = Vec::new();
            list_paths(&tree, "", &mut paths);
            // An empty object has nothing to replace.
            let Some(path) = paths.get(self.below(paths.len())) else { break };
            let value = VALUES[self.below(VALUES.len())];
            *tree.pointer_mut(path).unwrap() = serde_json::from_str(value).unwrap();
        }
        tree.to_string()
    }

    /// A body, bent as bytes or as a tree.
    pub(crate) fn bend(&mut self, seed: &str) -> Vec<u8> {
        if self.below(2) == 0 { self.mutate(seed.as_bytes()) } else { self.graft(seed).into_bytes() }
    }

    /// A stream, bent as bytes or in the values of one event.
    fn bend_stream(&mut self, stream: &str) -> Vec<u8> {
        if self.below(2) == 0 {
            return self.mutate(stream.as_bytes());
        }
        let mut lines: Vec<_> = stream.lines().map(str::to_owned).collect();
        let payloads: Vec<_> = (0..lines.len()).filter(|at| lines[*at].starts_with("data: {")).collect();
        let line = &mut lines[payloads[self.below(payloads.len())]];
        *line = format!("data: {}", self.graft(&line["data: ".len()..]));
        (lines.join("\n") + "\n").into_bytes()
    }

    /// The bytes in up to nine pieces.
    fn pieces<'b>(&mut self, bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let mut cuts: Vec<_> = (0..self.below(9)).map(|_| self.below(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect()
    }
}

/// JSON pointers to every value but the root.
fn list_paths(value: &Value, here: &str, out: &mut Vec<String>) {
    let mut child = |key: &str, value: &Value| {
        let path = format!("{here}/{}", key.replace('~', "~0").replace('/', "~1"));
        list_paths(value, &path, out);
        out.push(path);
    };
    match value {
        Value::Array(list) => list.iter().enumerate().for_each(|(at, value)| child(&at.to_string(), value)),
        Value::Object(object) => object.iter().for_each(|(key, value)| child(key, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What a translation may at most make of `input` bytes: escapes grow sixfold, frames surround each token.
fn bound(input: usize) -> usize {
    4096 + 640 * input.max(1)
}

#[test]
fn bent_calls_are_read_or_refused() {
    let mut read = 0;
    for round in 0..ROUNDS {
        let mut dice = Dice::of(round);
        for pair in PAIRS {
            let seed = if pair.client == Dialect::AnthropicMessages { MESSAGES_CALL } else { CHAT_CALL };
            let body = dice.bend(seed);
            // Straight through the codecs: carried JSON keeps escapes and numbers that no tree can hold.
            let mut losses = Losses::default();
            let written = read_call(pair.client, &body, &mut losses)
                .and_then(|call| write_call(pair.upstream, &call, &compatible(CLAUDE), &mut losses));
            match written {
                Ok(written) => {
                    read += 1;
                    assert!(written.body.len() <= bound(body.len()), "round {round}");
                    assert!(
                        is_json(&written.body),
                        "round {round}: {}",
                        String::from_utf8_lossy(&written.body)
                    );
                }
                Err(fault) => {
                    assert!(fault.message.len() <= 1024 + 2 * body.len(), "round {round}: {}", fault.message)
                }
            }
        }
    }
    assert!(read > ROUNDS / 4, "mutations that break everything prove nothing: {read}");
}

#[test]
fn bent_answers_and_errors_are_read_or_refused() {
    let mut read = 0;
    for round in 0..ROUNDS {
        let mut dice = Dice::of(round);
        for pair in PAIRS {
            let seed = if pair.upstream == Dialect::AnthropicMessages { CLAUDE_REPLY } else { ENGINE_REPLY };
            let body = dice.bend(seed);
            if let Ok((answer, _)) = pair.answer(&body, &idle()) {
                read += 1;
                assert!(answer.len() <= bound(body.len()), "round {round}");
                assert!(read_reply(pair.client, answer.as_bytes()).is_ok(), "round {round}: {answer}");
            }
            let status = u16::try_from(dice.below(600)).unwrap();
            let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"busy","code":"x"},"detail":[{"loc":["a",1],"msg":"b"}]}"#;
            let error = dice.bend(error);
            let fault = read_error(pair.upstream, status, &error);
            assert!(!fault.message.is_empty() && fault.message.len() < 9000, "round {round}");
            let _ = read_call(pair.client, &error, &mut Losses::default());
        }
    }
    assert!(read > ROUNDS / 4, "mutations that break everything prove nothing: {read}");
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Box<serde_json::value::RawValue>>(bytes).is_ok()
}

/// A stream's events as text, and how they end.
fn events(dialect: Dialect, pieces: &[&[u8]]) -> Vec<String> {
    let mut out = Vec::new();
    read_stream(dialect, pieces, |event| out.push(format!("{event:?}")));
    out
}

#[test]
fn bent_streams_end_once_however_they_are_cut() {
    let mut clean = 0;
    for round in 0..ROUNDS / 2 {
        let mut dice = Dice::of(round);
        for pair in PAIRS {
            let stream = dice.bend_stream(&upstream_stream(pair.upstream));
            let pieces = dice.pieces(&stream);
            let whole = events(pair.upstream, &[&stream]);
            assert_eq!(events(pair.upstream, &pieces), whole, "{pair:?} round {round}");
            let over = |event: &&String| event.as_str() == "End" || event.starts_with("Error(");
            assert_eq!(whole.iter().filter(over).count(), 1, "{pair:?} round {round}");
            assert!(whole.last().is_some_and(|event| over(&event)), "{pair:?} round {round}");
            check_parts(pair, &stream, round);

            let told = pair.stream(&pieces, &idle(), context());
            assert!(told.len() <= bound(stream.len()), "{pair:?} round {round}");
            let (good, bad) = ends(pair.client, &told);
            assert_eq!(good + bad, 1, "{pair:?} round {round}: {told}");
            clean += good;
        }
    }
    assert!(clean > 200, "mutations that break everything prove nothing: {clean}");
}

/// Parts are opened once, grow only while open and, in a stream that ends well, are all closed.
fn check_parts(pair: Pair, stream: &[u8], round: u64) {
    use trunkline_core::Event;
    let (mut open, mut seen) = (Vec::new(), std::collections::HashSet::new());
    read_stream(pair.upstream, &[stream], |event| match event {
        Event::Open { part, .. } => {
            assert!(seen.insert(part), "{pair:?} round {round}: part {part} opened twice");
            open.push(part);
        }
        Event::Delta { part, .. } => {
            assert!(open.contains(&part), "{pair:?} round {round}: part {part} grew shut")
        }
        Event::Close { part } => {
            assert!(open.contains(&part), "{pair:?} round {round}: part {part} closed twice");
            open.retain(|other| *other != part);
        }
        Event::End => assert!(open.is_empty(), "{pair:?} round {round}: {open:?} left open"),
        Event::Start { .. }
        | Event::Logprobs { .. }
        | Event::Usage(_)
        | Event::Finish { .. }
        | Event::Ping
        | Event::Error(_) => {}
    });
}

fn scan(pieces: &[&[u8]]) -> Result<Scanned, ScanError> {
    let mut scan = Scan::new(64);
    for piece in pieces {
        scan.push(piece)?;
    }
    scan.finish()
}

#[test]
fn bent_bodies_scan_the_same_however_they_are_cut() {
    let mut good = 0;
    for round in 0..ROUNDS {
        let mut dice = Dice::of(round);
        for seed in [CHAT_CALL, MESSAGES_CALL] {
            let body = dice.bend(seed);
            let pieces = dice.pieces(&body);
            let whole = scan(&[&body]);
            assert_eq!(scan(&pieces), whole, "round {round}");
            // What the scan lets through is JSON, and what is JSON it only refuses for a reason of its own.
            let json = is_json(&body);
            match whole {
                Ok(_) => assert!(json, "round {round}: {}", String::from_utf8_lossy(&body)),
                Err(
                    ScanError::Syntax { .. }
                    | ScanError::Empty
                    | ScanError::Truncated { .. }
                    | ScanError::NotUtf8 { .. },
                ) => {
                    assert!(!json, "round {round}: {}", String::from_utf8_lossy(&body));
                }
                Err(
                    ScanError::NotAnObject
                    | ScanError::TooDeep { .. }
                    | ScanError::Duplicate { .. }
                    | ScanError::WrongType { .. },
                ) => {}
            }
            good += u64::from(json);
        }
    }
    assert!(good > ROUNDS / 4, "mutations that break everything prove nothing: {good}");
}

/// An event's name and data.
type Framed = (Vec<u8>, Vec<u8>);

fn frames_of(pieces: &[&[u8]], limit: usize) -> (Vec<Framed>, bool) {
    let (mut events, mut out, mut failed) = (Events::new(limit), Vec::new(), false);
    for piece in pieces {
        failed |= events.push(piece, |event| out.push((event.name.to_vec(), event.data.to_vec()))).is_err();
        if failed {
            return (out, true);
        }
    }
    events.finish(|event| out.push((event.name.to_vec(), event.data.to_vec())));
    (out, failed)
}

fn tapped(dialect: Dialect, pieces: &[&[u8]]) -> (u32, Tapped) {
    let mut tap = StreamTap::new(dialect, 1);
    let count = pieces.iter().map(|piece| tap.see(piece).events).sum();
    (count, tap.tapped)
}

#[test]
fn bent_frames_and_taps_do_not_depend_on_cuts() {
    for round in 0..ROUNDS {
        let mut dice = Dice::of(round);
        for dialect in [Dialect::OpenaiChat, Dialect::AnthropicMessages] {
            let stream = dice.bend_stream(&upstream_stream(dialect));
            let pieces = dice.pieces(&stream);
            for limit in [EVENT_BYTES, 200] {
                assert_eq!(frames_of(&pieces, limit), frames_of(&[&stream], limit), "round {round}");
            }
            let (frames, _) = frames_of(&[&stream], EVENT_BYTES);
            assert!(frames.iter().map(|(name, data)| name.len() + data.len()).sum::<usize>() <= stream.len());
            assert_eq!(tapped(dialect, &pieces), tapped(dialect, &[&stream]), "round {round}");
        }
    }
}

/// JSON nested deeper than any stack, wherever JSON is carried: refused or passed on, never walked into.
#[test]
fn bottomless_json_does_not_exhaust_the_stack() {
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let call = format!(
        r#"{{"model":"m","max_tokens":9,"x":{deep},"metadata":{{"a":{deep}}},"messages":[{{"role":"user","content":"x","y":{deep}}}],"tools":[{{"name":"f","type":"function","function":{{"name":"f","parameters":{{"properties":{deep}}}}},"input_schema":{{"type":"object","items":{deep},"properties":{{"a":{deep}}}}}}}],"logit_bias":{{"a":{deep}}},"tool_choice":{{"type":"x","y":{deep}}}}}"#
    );
    let reply = format!(
        r#"{{"type":"message","id":"msg_1","model":"c","content":[{{"type":"x","y":{deep}}},{{"type":"text","text":"t","citations":[{{"a":{deep}}}]}},{{"type":"tool_use","id":"a","name":"f","input":{{"a":{deep}}}}}],"z":{deep},"choices":[{{"index":0,"message":{{"content":"x","annotations":[{{"a":{deep}}}],"audio":{{"a":{deep}}}}},"logprobs":{{"content":{deep}}},"finish_reason":"stop"}}],"usage":{{"a":{deep}}}}}"#
    );
    for pair in PAIRS {
        let mut losses = Losses::default();
        if let Ok(call) = read_call(pair.client, call.as_bytes(), &mut losses) {
            let _ = write_call(pair.upstream, &call, &compatible(CLAUDE), &mut losses);
        }
        assert!(read_call(pair.client, deep.as_bytes(), &mut losses).is_err());
        let (answer, _) = pair.answer(&reply, &idle()).unwrap();
        assert!(is_json(answer.as_bytes()), "{pair:?}");
        let chunk = reply.replace("\"message\":{", "\"delta\":{");
        let told = pair.relay(&format!("data: {chunk}\n\ndata: [DONE]\n\n"));
        assert!(told.ends_with("\n\n"), "{pair:?}");
    }
}
