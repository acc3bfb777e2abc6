//! Writing compact JSON, member by member.

use super::split;
use trunkline_core::{Dialect, Extra, Json, Number};

/// Emits compact JSON into a byte buffer; commas are its business.
#[derive(Debug)]
pub struct Writer<'o> {
    out: &'o mut Vec<u8>,
    /// Whether the next member or element needs a comma before it.
    comma: bool,
}

impl<'o> Writer<'o> {
    /// Appends to `out`.
    #[must_use]
    pub fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, comma: false }
    }

    /// Writes an object whose members `fill` writes.
    pub fn object(&mut self, fill: impl FnOnce(&mut Self)) {
        self.nest(b'{', b'}', fill);
    }

    /// Writes an array whose elements `fill` writes.
    pub fn array(&mut self, fill: impl FnOnce(&mut Self)) {
        self.nest(b'[', b']', fill);
    }

    /// Writes a member's key, which has nothing in it that must be escaped; its value must follow.
    pub fn key(&mut self, key: &'static str) -> &mut Self {
        self.separate();
        self.out.reserve(key.len() + 3);
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.comma = false;
        self
    }

    /// Writes a member's key that came from outside; its value must follow.
    pub fn member(&mut self, key: &str) -> &mut Self {
        self.separate();
        escape(self.out, key);
        self.out.push(b':');
        self.comma = false;
        self
    }

    /// Writes a string.
    pub fn string(&mut self, text: &str) {
        self.separate();
        escape(self.out, text);
    }

    /// Writes JSON that is already valid.
    pub fn raw(&mut self, json: &str) {
        self.separate();
        self.out.extend_from_slice(json.as_bytes());
    }

    /// Writes a whole number.
    pub fn u64(&mut self, n: u64) {
        self.raw(itoa::Buffer::new().format(n));
    }

    /// Writes `true` or `false`.
    pub fn bool(&mut self, yes: bool) {
        self.raw(if yes { "true" } else { "false" });
    }

    /// Writes `null`.
    pub fn null(&mut self) {
        self.raw("null");
    }

    /// Writes a string member, when there is one.
    pub fn opt_string(&mut self, key: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.key(key).string(text);
        }
    }

    /// Writes a number member, when there is one.
    pub fn opt_number(&mut self, key: &'static str, n: Option<&Number>) {
        if let Some(n) = n {
            self.key(key).raw(n.as_str());
        }
    }

    /// Writes a whole-number member, when there is one.
    pub fn opt_u64(&mut self, key: &'static str, n: Option<u64>) {
        if let Some(n) = n {
            self.key(key).u64(n);
        }
    }

    /// Writes a boolean member, when there is one.
    pub fn opt_bool(&mut self, key: &'static str, yes: Option<bool>) {
        if let Some(yes) = yes {
            self.key(key).bool(yes);
        }
    }

    /// Writes a carried member, when there is one.
    pub fn opt_json(&mut self, key: &'static str, json: Option<&Json>) {
        if let Some(json) = json {
            self.key(key).raw(json.as_str());
        }
    }

    /// Writes back what `dialect` itself sent and we did not understand.
    pub fn extra(&mut self, extra: &Extra, dialect: Dialect) {
        for field in extra.iter().filter(|field| field.dialect == dialect) {
            self.member(&field.key).raw(field.value.as_str());
        }
    }

    /// Writes the members of a carried object as members of this one.
    pub fn members(&mut self, object: &Json) {
        for (key, value) in split::members(object.as_str()).unwrap_or_default() {
            if let Some(value) = value {
                self.member(&key).raw(value.get());
            }
        }
    }

    fn nest(&mut self, open: u8, close: u8, fill: impl FnOnce(&mut Self)) {
        self.separate();
        self.out.push(open);
        self.comma = false;
        fill(self);
        self.out.push(close);
        self.comma = true;
    }

    fn separate(&mut self) {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = true;
    }
}

/// Appends `text` as a JSON string, quotes included.
pub fn escape(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (head, tail) = rest.split_at(plain(rest));
        out.extend_from_slice(head);
        let Some((byte, after)) = tail.split_first() else { break };
        let short = match byte {
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0x00..=0x1f => b'u',
            itself => *itself,
        };
        out.extend_from_slice(&[b'\\', short]);
        if short == b'u' {
            let hex = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
            out.extend_from_slice(&[b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
        }
        rest = after;
    }
    out.push(b'"');
}

/// How many bytes at the head of `text` stand in a JSON string as they are: no quote, backslash or control
/// character. Most strings are short; what goes on is looked at in blocks, which compile to vector code.
pub(crate) fn plain(text: &[u8]) -> usize {
    const SHORT: usize = 32;
    const BLOCK: usize = 64;
    let (start, more) = text.split_at_checked(SHORT).unwrap_or((text, &[]));
    let length = plain_words(start);
    if length < start.len() || more.is_empty() {
        return length;
    }
    let is_plain = |block: &&[u8]| !block.iter().fold(false, |any, byte| any | is_special(*byte));
    let blocks = more.chunks_exact(BLOCK).take_while(is_plain).count() * BLOCK;
    SHORT + blocks + plain_words(more.get(blocks..).unwrap_or_default())
}

const fn is_special(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < b' '
}

/// The same, by looking at eight bytes together.
fn plain_words(text: &[u8]) -> usize {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = EACH << 7;
    // The highest bit of every byte below `bound`, and of none before the first such byte.
    let below = |word: u64, bound: u8| word.wrapping_sub(EACH * u64::from(bound)) & !word;
    let equals = |word: u64, byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    let (words, tail) = text.as_chunks();
    for (at, bytes) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*bytes);
        let special = (below(word, b' ') | equals(word, b'"') | equals(word, b'\\')) & HIGH;
        if special != 0 {
            return at * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let special = tail.iter().position(|byte| is_special(*byte));
    text.len() - tail.len() + special.unwrap_or(tail.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn plain_text_is_found_whatever_its_length(length in 0_usize..400, end in "[\"\\\\\u{0}-\u{1f}]?", tail in "[a\"]{0,40}") {
            let text = format!("{}{end}{tail}", "é".repeat(length / 2));
            let want = text.bytes().position(is_special).unwrap_or(text.len());
            prop_assert_eq!(plain(text.as_bytes()), want);
        }

        #[test]
        fn escaped_text_reads_back(text in any::<String>()) {
            let mut out = Vec::new();
            escape(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }

        #[test]
        fn only_what_must_be_is_escaped(text in "([ -~é\u{7f}-\u{ff}🌧]{0,20}[\"\\\\\u{0}-\u{20}]{0,2}){0,4}") {
            let mut out = Vec::new();
            escape(&mut out, &text);
            prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
        }
    }
}
