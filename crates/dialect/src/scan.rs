//! One pass over a request body that proves it is JSON and finds the few top-level fields routing
//! needs, while the bytes still arrive and without building anything.
//!
//! A body is one JSON object (RFC 8259). Long strings, which is what prompts are, are skipped in blocks;
//! everything else goes through a small automaton. Nothing is decided before [`Scan::finish`]: a field
//! may come last. Duplicates of the fields the gateway owns are refused, because an upstream might read
//! the other one.

mod error;
mod field;
mod number;

pub use error::ScanError;

use crate::json;
use field::{Field, OWNED, PREAMBLE};
use number::Num;
use std::borrow::Cow;
use std::ops::Range;

/// Deepest nesting the automaton can remember.
pub const DEEPEST: usize = 128;

/// Longest model name accepted, bytes as written.
const LONGEST_MODEL: usize = 512;
/// Longest top-level key that can be one of ours, escapes included.
const LONGEST_KEY: usize = 128;

/// What routing learns from a body. Ranges are byte offsets into it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scanned {
    /// `model`: its text, and where the value stands, quotes included.
    pub model: Option<(String, Range<usize>)>,
    /// `stream`; `None` when it is not said or null.
    pub stream: Option<bool>,
    /// `n`: how many answers are asked for, where it is a whole number.
    pub choices: Option<u32>,
    /// `stream_options`, verbatim range; it may hold `null`.
    pub stream_options: Option<Range<usize>>,
    /// The prompt (`messages`, `prompt`, `input` or `contents`): its key and range.
    pub prompt: Option<(&'static str, Range<usize>)>,
    /// What a model reads before the prompt, in the order in which it does: tools, and what the system says. Of a field
    /// that stands there twice, the last.
    pub preamble: [Option<Range<usize>>; 2],
    /// Whether the prompt is there but holds nothing (`[]` or `""`).
    pub prompt_is_empty: bool,
    /// Just behind the opening brace, where a field can be inserted.
    pub inside: usize,
    /// Whether the object has any member, so that an inserted one needs a comma.
    pub has_members: bool,
}

impl Scanned {
    /// Where everything stands that a model reads, in the order in which it does.
    pub fn read_by_model(&self) -> impl Iterator<Item = Range<usize>> {
        let prompt = self.prompt.as_ref().map(|(_, range)| range);
        self.preamble.iter().flatten().chain(prompt).cloned()
    }
}

/// The automaton. Feed it with [`Scan::push`], end with [`Scan::finish`].
#[derive(Debug)]
pub struct Scan {
    state: State,
    /// One bit per open container, lowest is the innermost: 1 for an object.
    kinds: u128,
    depth: usize,
    limit: usize,
    /// Offset of the first byte of the next chunk.
    base: usize,
    /// Unfinished UTF-8 sequence at the end of the last chunk.
    utf8: ([u8; 4], usize),
    /// Raw bytes of the top-level key or small value being read.
    held: Vec<u8>,
    field: Field,
    /// The value being read is of the wrong type, if it turns out to be one at all.
    wrong: Option<ScanError>,
    value_at: usize,
    /// One bit per field of [`OWNED`] met so far.
    seen: u8,
    found: Scanned,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the body's opening brace.
    Start,
    /// A value must come.
    Value,
    /// Just behind `[`.
    FirstElement,
    /// Just behind `{`.
    FirstKey,
    /// Behind a comma in an object.
    Key,
    Colon,
    /// Behind a value.
    After,
    Str {
        key: bool,
    },
    Escape {
        key: bool,
    },
    Hex {
        key: bool,
        left: u8,
    },
    Num(Num),
    Word {
        rest: &'static [u8],
    },
    Done,
}

impl Scan {
    /// Refuses nesting over `depth` levels, at most [`DEEPEST`].
    #[must_use]
    pub fn new(depth: usize) -> Self {
        Self {
            state: State::Start,
            kinds: 0,
            depth: 0,
            limit: depth.min(DEEPEST),
            base: 0,
            utf8: ([0; 4], 0),
            held: Vec::new(),
            field: Field::Other,
            wrong: None,
            value_at: 0,
            seen: 0,
            found: Scanned::default(),
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// As soon as the bytes cannot be the body of an acceptable request.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), ScanError> {
        if let Err(error) = self.check_utf8(chunk) {
            // What is wrong first is reported, however the body was cut.
            if let ScanError::NotUtf8 { at } = error {
                let before = (at + 1).saturating_sub(self.base).min(chunk.len());
                self.walk(chunk.get(..before).unwrap_or_default())?;
            }
            return Err(error);
        }
        self.walk(chunk)?;
        self.base += chunk.len();
        Ok(())
    }

    /// The body is complete.
    ///
    /// # Errors
    /// When it is not one whole object.
    pub fn finish(self) -> Result<Scanned, ScanError> {
        if self.state == State::Done && self.utf8.1 == 0 {
            Ok(self.found)
        } else if self.state == State::Start {
            Err(ScanError::Empty)
        } else {
            Err(ScanError::Truncated { at: self.base })
        }
    }

    fn walk(&mut self, chunk: &[u8]) -> Result<(), ScanError> {
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            if let State::Str { key } = self.state {
                let rest = chunk.get(at..).unwrap_or_default();
                let plain = json::plain(rest);
                if self.depth == 1 {
                    self.hold(rest.get(..plain).unwrap_or_default(), key);
                }
                at += plain;
                let Some(&special) = chunk.get(at) else { break };
                // Code has an escape every few bytes; those that are whole need no automaton.
                if let Some(escape @ [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't']) =
                    chunk.get(at..at + 2)
                {
                    self.hold(escape, key);
                    at += 2;
                    continue;
                }
                match special {
                    b'"' => self.string_end(self.base + at + 1, key)?,
                    b'\\' => self.state = State::Escape { key },
                    _ => return Err(self.syntax(at, "control character in a string")),
                }
                if special == b'\\' {
                    self.hold(b"\\", key);
                }
                at += 1;
                continue;
            }
            self.step(byte, at)?;
            at += 1;
        }
        Ok(())
    }

    fn check_utf8(&mut self, chunk: &[u8]) -> Result<(), ScanError> {
        let (held, len) = &mut self.utf8;
        let mut from = 0;
        while *len > 0 {
            let Some(&byte) = chunk.get(from) else { return Ok(()) };
            from += 1;
            if let Some(slot) = held.get_mut(*len) {
                *slot = byte;
            }
            *len += 1;
            match std::str::from_utf8(held.get(..*len).unwrap_or_default()) {
                Ok(_) => *len = 0,
                Err(e) if e.error_len().is_none() && *len < 4 => {}
                Err(_) => return Err(ScanError::NotUtf8 { at: (self.base + from).saturating_sub(*len) }),
            }
        }
        let rest = chunk.get(from..).unwrap_or_default();
        if let Err(e) = std::str::from_utf8(rest) {
            if e.error_len().is_some() {
                return Err(ScanError::NotUtf8 { at: self.base + from + e.valid_up_to() });
            }
            let tail = rest.get(e.valid_up_to()..).unwrap_or_default();
            for (slot, byte) in held.iter_mut().zip(tail) {
                *slot = *byte;
            }
            *len = tail.len();
        }
        Ok(())
    }

    fn step(&mut self, byte: u8, at: usize) -> Result<(), ScanError> {
        let white = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match self.state {
            State::Start
            | State::Value
            | State::FirstElement
            | State::FirstKey
            | State::Key
            | State::Colon
            | State::After
                if white => {}
            State::Start => {
                if byte != b'{' {
                    return Err(ScanError::NotAnObject);
                }
                self.found.inside = self.base + at + 1;
                self.open(true)?;
            }
            State::FirstElement if byte == b']' => self.close(false, at)?,
            State::Value | State::FirstElement => self.value(byte, at)?,
            State::FirstKey if byte == b'}' => self.close(true, at)?,
            State::FirstKey | State::Key => {
                if byte != b'"' {
                    return Err(self.syntax(at, "expected a key in quotes"));
                }
                self.held.clear();
                self.state = State::Str { key: true };
            }
            State::Colon => {
                if byte != b':' {
                    return Err(self.syntax(at, "expected a colon"));
                }
                self.state = State::Value;
            }
            State::After => match (byte, self.kinds & 1 == 1) {
                (b',', true) => self.state = State::Key,
                (b',', false) => self.state = State::Value,
                (b'}', true) => self.close(true, at)?,
                (b']', false) => self.close(false, at)?,
                _ => return Err(self.syntax(at, "expected a comma or the end of the object or array")),
            },
            State::Escape { key } => {
                self.hold(&[byte], key);
                self.state = match byte {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => State::Str { key },
                    b'u' => State::Hex { key, left: 4 },
                    _ => return Err(self.syntax(at, "unknown escape in a string")),
                };
            }
            State::Hex { key, left } => {
                if !byte.is_ascii_hexdigit() {
                    return Err(self.syntax(at, "expected four hex digits after \\u"));
                }
                self.hold(&[byte], key);
                self.state = if left == 1 { State::Str { key } } else { State::Hex { key, left: left - 1 } };
            }
            State::Num(num) => match num.next(byte) {
                Some(next) => {
                    self.hold(&[byte], false);
                    self.state = State::Num(next);
                }
                None if num.may_end() => {
                    self.value_end(self.base + at)?;
                    return self.step(byte, at);
                }
                None => return Err(self.syntax(at, "malformed number")),
            },
            State::Word { rest } => {
                let (Some(wanted), more) = (rest.first(), rest.get(1..).unwrap_or_default()) else {
                    return Ok(());
                };
                if byte != *wanted {
                    return Err(self.syntax(at, "expected true, false or null"));
                }
                self.hold(&[byte], false);
                self.state = State::Word { rest: more };
                if more.is_empty() {
                    self.value_end(self.base + at + 1)?;
                }
            }
            State::Done => {
                if !white {
                    return Err(self.syntax(at, "something after the end of the object"));
                }
            }
            // `push` handles strings in blocks and never gets here with one.
            State::Str { .. } => {}
        }
        Ok(())
    }

    fn value(&mut self, byte: u8, at: usize) -> Result<(), ScanError> {
        if !matches!(byte, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') {
            return Err(self.syntax(at, "expected a value"));
        }
        if self.depth == 1 {
            self.value_at = self.base + at;
            self.held.clear();
            self.wrong = self.wants(byte).err();
            // A word may still turn out to be no JSON, which is what is wrong with it then.
            if !matches!(byte, b't' | b'f' | b'n')
                && let Some(wrong) = self.wrong.take()
            {
                return Err(wrong);
            }
        } else if matches!(self.field, Field::Prompt(_)) && self.held.is_empty() {
            // Any element makes the prompt more than empty.
            self.held.push(byte);
        }
        self.state = match byte {
            b'{' => return self.open(true),
            b'[' => return self.open(false),
            b'"' => State::Str { key: false },
            b'-' => State::Num(Num::Minus),
            b'0' => State::Num(Num::Zero),
            b'1'..=b'9' => State::Num(Num::Int),
            b't' => State::Word { rest: b"rue" },
            b'f' => State::Word { rest: b"alse" },
            _ => State::Word { rest: b"ull" },
        };
        if !matches!(byte, b'"') {
            self.hold(&[byte], false);
        }
        Ok(())
    }

    /// Refuses a value whose first byte cannot be of the type its field needs. `null` means "not said".
    fn wants(&self, byte: u8) -> Result<(), ScanError> {
        match self.field {
            Field::Model if byte != b'"' && byte != b'n' => {
                Err(ScanError::WrongType { key: "model", wanted: "a string" })
            }
            Field::Stream if !matches!(byte, b't' | b'f' | b'n') => {
                Err(ScanError::WrongType { key: "stream", wanted: "true or false" })
            }
            Field::Prompt("messages") if byte != b'[' => {
                Err(ScanError::WrongType { key: "messages", wanted: "an array" })
            }
            Field::Model
            | Field::Stream
            | Field::Choices
            | Field::StreamOptions
            | Field::Prompt(_)
            | Field::Preamble(_)
            | Field::Other => Ok(()),
        }
    }

    fn open(&mut self, object: bool) -> Result<(), ScanError> {
        if self.depth >= self.limit {
            return Err(ScanError::TooDeep { limit: self.limit });
        }
        self.depth += 1;
        self.kinds = self.kinds << 1 | u128::from(object);
        self.state = if object { State::FirstKey } else { State::FirstElement };
        Ok(())
    }

    fn close(&mut self, object: bool, at: usize) -> Result<(), ScanError> {
        debug_assert_eq!(self.kinds & 1 == 1, object, "the states keep brackets matched");
        self.kinds >>= 1;
        self.depth -= 1;
        if self.depth == 0 {
            self.state = State::Done;
            return Ok(());
        }
        self.value_end(self.base + at + 1)
    }

    fn string_end(&mut self, end: usize, key: bool) -> Result<(), ScanError> {
        if !key {
            return self.value_end(end);
        }
        self.state = State::Colon;
        if self.depth == 1 {
            self.found.has_members = true;
            self.field = self.name_field()?;
        }
        Ok(())
    }

    /// Which field the key just read names. One of ours may stand once, whatever its value: `null` does
    /// not undo what an upstream reads later.
    fn name_field(&mut self) -> Result<Field, ScanError> {
        let key = unescaped(&self.held);
        for (nth, (name, field)) in OWNED.iter().enumerate() {
            if key == *name {
                let bit = 1 << nth;
                if self.seen & bit != 0 {
                    return Err(ScanError::Duplicate { key: name });
                }
                self.seen |= bit;
                return Ok(*field);
            }
        }
        let beside = PREAMBLE.iter().find(|(name, _)| key == *name);
        Ok(beside.map_or(Field::Other, |(_, place)| Field::Preamble(*place)))
    }

    fn value_end(&mut self, end: usize) -> Result<(), ScanError> {
        self.state = State::After;
        if self.depth != 1 {
            return Ok(());
        }
        if let Some(wrong) = self.wrong.take() {
            return Err(wrong);
        }
        let range = self.value_at..end;
        let null = self.held == b"null";
        match self.field {
            Field::Model if !null => {
                if self.held.len() > LONGEST_MODEL {
                    return Err(ScanError::WrongType { key: "model", wanted: "a name of at most 512 bytes" });
                }
                self.found.model = Some((unescaped(&self.held).into_owned(), range));
            }
            Field::Stream => self.found.stream = (self.held != b"null").then_some(self.held == b"true"),
            Field::Choices => {
                self.found.choices = std::str::from_utf8(&self.held).ok().and_then(|n| n.parse().ok());
            }
            Field::StreamOptions => self.found.stream_options = Some(range),
            Field::Prompt(key) if !null => {
                self.found.prompt_is_empty = self.held.is_empty();
                self.found.prompt = Some((key, range));
            }
            Field::Preamble(place) => {
                if let Some(part) = self.found.preamble.get_mut(place) {
                    *part = Some(range);
                }
            }
            Field::Model | Field::Prompt(_) | Field::Other => {}
        }
        self.field = Field::Other;
        Ok(())
    }

    /// Keeps what a later decision needs: keys and small values at the top level.
    fn hold(&mut self, bytes: &[u8], key: bool) {
        let limit = match (key, self.field) {
            (true, _) if self.depth == 1 => LONGEST_KEY,
            (true, _) | (false, Field::Other | Field::Preamble(_) | Field::StreamOptions) => return,
            (false, Field::Model | Field::Stream | Field::Choices) if self.depth == 1 => LONGEST_MODEL + 1,
            // Enough to tell `null` from an empty prompt from one with something in it.
            (false, Field::Prompt(_)) if self.depth == 1 => 5,
            (false, Field::Model | Field::Stream | Field::Choices | Field::Prompt(_)) => return,
        };
        let room = limit.saturating_sub(self.held.len());
        self.held.extend(bytes.iter().take(room));
    }

    const fn syntax(&self, at: usize, what: &'static str) -> ScanError {
        ScanError::Syntax { at: self.base + at, what }
    }
}

/// The text of a raw JSON string body (without its quotes). It was checked on the way; one that was
/// cut short at its length limit reads as nothing, which no field of ours is named.
fn unescaped(raw: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(raw) {
        Ok(text) if !raw.contains(&b'\\') => Cow::Borrowed(text),
        Ok(text) => Cow::Owned(serde_json::from_str(&format!("\"{text}\"")).unwrap_or_default()),
        Err(_) => Cow::Borrowed(""),
    }
}

#[cfg(test)]
mod tests;
