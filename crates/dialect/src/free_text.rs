//! The text of a free-text tool call from a target that knows functions only. There the tool is a
//! function of one string, so its input comes as `{"input":"…"}`, cut anywhere into fragments, and the
//! client wants the text itself as it flows.

use crate::json::{self, Fields};
use std::borrow::Cow;
use trunkline_core::Json;

/// The schema of a free-text tool where only functions are known.
pub(crate) const SCHEMA: &str =
    r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#;

/// What a free-text tool does and how its text must look, which only words can still say.
pub(crate) fn describe<'c>(description: Option<&'c str>, format: Option<&Json>) -> Option<Cow<'c, str>> {
    let grammar = format.and_then(|format| {
        let mut fields = Fields::read(format.raw(), "").ok()?;
        let mut inner = fields.object("grammar").ok().flatten().unwrap_or(fields);
        let syntax = inner.string("syntax").ok()??;
        let definition = inner.string("definition").ok()??;
        Some(format!("The input must follow this {syntax} grammar:\n{definition}"))
    });
    match (description, grammar) {
        (description, None) => description.map(Cow::Borrowed),
        (None, Some(grammar)) => Some(grammar.into()),
        (Some(description), Some(grammar)) => Some(format!("{description}\n\n{grammar}").into()),
    }
}

/// The arguments that stand for free text there.
pub(crate) fn arguments(text: &str) -> String {
    let mut out = b"{\"input\":".to_vec();
    json::escape(&mut out, text);
    out.push(b'}');
    String::from_utf8_lossy(&out).into_owned()
}

/// One call's input on its way back to free text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FreeText {
    stage: Stage,
    /// What cannot be understood before more comes: the object's head, or an escape cut in two.
    held: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    /// Before the text.
    #[default]
    Head,
    Text,
    /// Behind it, where nothing counts.
    Tail,
    /// The target did not keep to the form; what it said instead is all there is to show.
    Verbatim,
}

/// What an escape at the start of a text means.
enum Escape {
    /// These words, and how many bytes it took.
    Char(char, usize),
    /// It is cut short.
    Unfinished,
}

impl FreeText {
    /// The text of a whole input.
    pub(crate) fn whole(input: &str) -> String {
        Self::default().push(input)
    }

    /// The text that the next fragment adds.
    pub(crate) fn push(&mut self, more: &str) -> String {
        self.held.push_str(more);
        let held = std::mem::take(&mut self.held);
        match self.stage {
            Stage::Head => self.head(held),
            Stage::Text => self.text(&held),
            Stage::Tail => String::new(),
            Stage::Verbatim => held,
        }
    }

    fn head(&mut self, held: String) -> String {
        let mut rest = held.as_str();
        for token in ["{", "\"input\"", ":", "\""] {
            rest = rest.trim_start();
            match rest.strip_prefix(token) {
                Some(after) => rest = after,
                None if token.starts_with(rest) => {
                    self.held = held;
                    return String::new();
                }
                None if rest.starts_with('}') && token == "\"input\"" => {
                    self.stage = Stage::Tail;
                    return String::new();
                }
                None => {
                    self.stage = Stage::Verbatim;
                    return held;
                }
            }
        }
        self.stage = Stage::Text;
        self.text(rest)
    }

    fn text(&mut self, mut rest: &str) -> String {
        let mut out = String::with_capacity(rest.len());
        while let Some(at) = rest.find(['"', '\\']) {
            let (words, special) = rest.split_at(at);
            out.push_str(words);
            if special.starts_with('"') {
                self.stage = Stage::Tail;
                return out;
            }
            match escape(special) {
                Escape::Char(c, length) => {
                    out.push(c);
                    rest = special.get(length..).unwrap_or_default();
                }
                Escape::Unfinished => {
                    self.held.push_str(special);
                    return out;
                }
            }
        }
        out.push_str(rest);
        out
    }
}

/// Reads the escape that `text` begins with.
fn escape(text: &str) -> Escape {
    let Some(kind) = text.chars().nth(1) else { return Escape::Unfinished };
    let plain = match kind {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'u' => return unicode(text),
        other => other,
    };
    Escape::Char(plain, 1 + kind.len_utf8())
}

/// Reads `\uXXXX`, or two of them that are one character.
fn unicode(text: &str) -> Escape {
    const LENGTH: usize = 6;
    if text.len() < LENGTH {
        return Escape::Unfinished;
    }
    let unit = |at: usize| text.get(at + 2..at + LENGTH).and_then(|hex| u16::from_str_radix(hex, 16).ok());
    let Some(first) = unit(0) else { return Escape::Char(char::REPLACEMENT_CHARACTER, 2) };
    if !(0xD800..0xDC00).contains(&first) {
        let c = char::from_u32(u32::from(first)).unwrap_or(char::REPLACEMENT_CHARACTER);
        return Escape::Char(c, LENGTH);
    }
    let second = text.get(LENGTH..).unwrap_or_default();
    if second.len() < LENGTH && (second.starts_with("\\u") || "\\u".starts_with(second)) {
        return Escape::Unfinished;
    }
    let pair = unit(LENGTH).filter(|_| second.starts_with("\\u"));
    match pair.and_then(|second| char::decode_utf16([first, second]).next()?.ok()) {
        Some(c) => Escape::Char(c, 2 * LENGTH),
        None => Escape::Char(char::REPLACEMENT_CHARACTER, LENGTH),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn other_forms_are_shown_as_they_are() {
        for (input, want) in [
            (r#"{"input":"*** Begin\n\"x\" \u00e9\ud83d\ude00"}"#, "*** Begin\n\"x\" é😀"),
            (" { \"input\" : \"a\" , \"more\": 1 } ", "a"),
            (r#"{"input":"cut \"off"#, "cut \"off"),
            (r#"{"input":"\ud83d\u0041"}"#, "\u{fffd}A"),
            (r#"{"input":"\uzzzz"}"#, "\u{fffd}zzzz"),
            ("{}", ""),
            ("", ""),
            (r#"{"inp"#, ""),
            (r#"{"patch":"a"}"#, r#"{"patch":"a"}"#),
            (r#"{"input":7}"#, r#"{"input":7}"#),
            ("*** Begin", "*** Begin"),
        ] {
            assert_eq!(FreeText::whole(input), want, "{input}");
        }
    }

    proptest! {
        #[test]
        fn text_comes_back_however_it_is_cut(
            text in any::<String>(),
            ascii in any::<bool>(),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut input = serde_json::json!({ "input": text }).to_string();
            if ascii {
                let units = |c: char| -> String {
                    c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
                };
                input = input.chars().map(|c| if c.is_ascii() { c.to_string() } else { units(c) }).collect();
            }
            let letters: Vec<char> = input.chars().collect();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(letters.len())).collect();
            cuts.extend([0, letters.len()]);
            cuts.sort_unstable();
            let mut reading = FreeText::default();
            let pieces = cuts.windows(2).map(|cut| letters[cut[0]..cut[1]].iter().collect::<String>());
            let got: String = pieces.map(|piece| reading.push(&piece)).collect();
            prop_assert_eq!(got, text);
        }

        #[test]
        fn garbage_never_panics_and_cuts_never_matter(input in "[{}\"a-z:\\\\u0-9é ]{0,30}", at in any::<prop::sample::Index>()) {
            let letters: Vec<char> = input.chars().collect();
            let (a, b) = letters.split_at(at.index(letters.len() + 1));
            let mut reading = FreeText::default();
            let mut got = reading.push(&a.iter().collect::<String>());
            got.push_str(&reading.push(&b.iter().collect::<String>()));
            prop_assert_eq!(got, FreeText::whole(&input));
        }
    }
}
