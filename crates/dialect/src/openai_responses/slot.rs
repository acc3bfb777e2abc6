//! One output item while it is read: what of it has been handed out.

use super::{OURS, annotations};
use crate::codec::MOST_TRACKED;
use crate::json::{Fields, array, string};
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{Delta, Event, Json, Open, ToolCallKind};

/// Hands out events and part numbers.
pub(super) struct Out<'o> {
    pub(super) next_part: &'o mut u32,
    pub(super) each: &'o mut dyn FnMut(Event<'_>),
}

impl Out<'_> {
    /// Opens a part and gives its number.
    pub(super) fn open(&mut self, open: Open<'_>) -> u32 {
        let part = *self.next_part;
        *self.next_part = part.wrapping_add(1);
        (self.each)(Event::Open { part, choice: 0, open });
        part
    }

    fn delta(&mut self, part: u32, delta: Delta<'_>) {
        (self.each)(Event::Delta { part, delta });
    }

    pub(super) fn close(&mut self, part: u32) {
        (self.each)(Event::Close { part });
    }
}

/// One output item.
#[derive(Debug)]
pub(super) enum Slot {
    Message(Message),
    Thoughts(Thoughts),
    Call(Call),
    /// Nothing more is to come of it.
    Done,
}

impl Slot {
    /// Closes what is open of it.
    pub(super) fn close(self, out: &mut Out<'_>) {
        match self {
            Self::Message(message) => message.close(out),
            Self::Thoughts(Thoughts { part: Some((part, _)), .. }) | Self::Call(Call { part, .. }) => {
                out.close(part)
            }
            Self::Thoughts(Thoughts { part: None, .. }) | Self::Done => {}
        }
    }
}

/// A message: its parts, of which the last may be open.
#[derive(Debug, Default)]
pub(super) struct Message {
    words: Vec<Words>,
}

/// One part of a message.
#[derive(Debug)]
struct Words {
    /// Its `content_index`.
    index: u64,
    part: u32,
    refusal: bool,
    open: bool,
    /// Bytes of text handed out.
    said: usize,
    cited: usize,
    weighed: bool,
    /// Scalar values of text before it.
    before: u64,
}

impl Message {
    /// More text of a part.
    pub(super) fn say(
        &mut self,
        index: u64,
        refusal: bool,
        text: Cow<'_, str>,
        scalars: &mut u64,
        out: &mut Out<'_>,
    ) {
        if text.is_empty() {
            return;
        }
        let Some(words) = self.words(index, refusal, *scalars, out) else { return };
        words.said += text.len();
        if !words.refusal {
            *scalars += annotations::scalars(&text);
        }
        out.delta(words.part, Delta::Text(text));
    }

    /// Log probabilities of the text just handed out.
    pub(super) fn weigh(&mut self, index: u64, logprobs: Option<&RawValue>, out: &mut Out<'_>) {
        let Some(list) = logprobs.map(RawValue::get).filter(|list| list.starts_with('[')) else { return };
        let Some(words) = self.words.iter_mut().find(|words| words.index == index) else { return };
        if list.trim_start_matches('[').trim() == "]" {
            return;
        }
        words.weighed = true;
        // The neutral model keeps them by what they belong to.
        if let Ok(raw) = Json::parse(&["{\"content\":", list, "}"].concat()) {
            (out.each)(Event::Logprobs { choice: 0, dialect: OURS, raw });
        }
    }

    pub(super) fn cite(&mut self, index: u64, annotation: &RawValue, scalars: u64, out: &mut Out<'_>) {
        let Some(words) = self.words(index, false, scalars, out) else { return };
        words.cited += 1;
        let citation = annotations::read(annotation, words.before);
        out.delta(words.part, Delta::Citation(Box::new(citation)));
    }

    /// The open part at `index`; opening one closes the one before it. `None` when it is closed already.
    fn words(&mut self, index: u64, refusal: bool, before: u64, out: &mut Out<'_>) -> Option<&mut Words> {
        let known = self.words.iter().position(|words| words.index == index);
        if known.is_none() {
            if self.words.len() >= MOST_TRACKED {
                return None;
            }
            self.hush(out);
            let part = out.open(if refusal { Open::Refusal } else { Open::Text });
            let (open, said, cited, weighed) = (true, 0, 0, false);
            self.words.push(Words { index, part, refusal, open, said, cited, weighed, before });
        }
        let at = known.unwrap_or(self.words.len() - 1);
        self.words.get_mut(at).filter(|words| words.open)
    }

    fn hush(&mut self, out: &mut Out<'_>) {
        if let Some(last) = self.words.last_mut().filter(|last| last.open) {
            last.open = false;
            out.close(last.part);
        }
    }

    fn close(mut self, out: &mut Out<'_>) {
        self.hush(out);
    }

    /// Hands out what of the whole item was not, and closes it.
    pub(super) fn finish(mut self, fields: &mut Fields<'_>, scalars: &mut u64, out: &mut Out<'_>) {
        let parts = fields.raw("content").and_then(array).unwrap_or_default();
        for (index, raw) in (0..).zip(parts) {
            let Ok(mut part) = Fields::read(raw, "") else { continue };
            match part.raw("type").and_then(string).as_deref() {
                Some("output_text" | "text") => {
                    let text = part.raw("text").and_then(string).unwrap_or_default();
                    self.rest(index, false, &text, scalars, out);
                    let cited = self.at(index).map_or(0, |words| words.cited);
                    let cites = part.raw("annotations").and_then(array).unwrap_or_default();
                    for annotation in cites.into_iter().skip(cited) {
                        self.cite(index, annotation, *scalars, out);
                    }
                    if self.at(index).is_some_and(|words| !words.weighed) {
                        self.weigh(index, part.raw("logprobs"), out);
                    }
                }
                Some("refusal") => {
                    let text = part.raw("refusal").and_then(string).unwrap_or_default();
                    self.rest(index, true, &text, scalars, out);
                }
                Some(native_type) => {
                    let native_type = Cow::Borrowed(native_type);
                    self.hush(out);
                    let part =
                        out.open(Open::Native { dialect: OURS, native_type, raw: Json::from_raw(raw) });
                    out.close(part);
                }
                None => {}
            }
        }
        self.hush(out);
    }

    /// The rest of a text of which the beginning was handed out.
    fn rest(&mut self, index: u64, refusal: bool, text: &str, scalars: &mut u64, out: &mut Out<'_>) {
        let said = self.at(index).map_or(0, |words| words.said);
        let rest = text.get(said..).unwrap_or_default();
        self.say(index, refusal, Cow::Borrowed(rest), scalars, out);
    }

    fn at(&self, index: u64) -> Option<&Words> {
        self.words.iter().find(|words| words.index == index)
    }
}

/// A reasoning item. It holds summaries or the thoughts themselves; whichever comes first is handed out.
#[derive(Debug, Default)]
pub(super) struct Thoughts {
    /// The open part, and the summary or content that was said last.
    part: Option<(u32, (bool, u64))>,
}

impl Thoughts {
    /// More of one summary (`true`) or text (`false`), by its index.
    pub(super) fn say(&mut self, from: (bool, u64), text: Cow<'_, str>, out: &mut Out<'_>) {
        if text.is_empty() {
            return;
        }
        match self.part {
            Some((_, (summary, _))) if summary != from.0 => return,
            // Paragraphs.
            Some((part, last)) if last != from => out.delta(part, Delta::Text(Cow::Borrowed("\n\n"))),
            Some(_) | None => {}
        }
        let part = self.open(out);
        self.part = Some((part, from));
        out.delta(part, Delta::Text(text));
    }

    /// Hands out what of the whole item was not, and closes it.
    pub(super) fn finish(mut self, fields: &mut Fields<'_>, out: &mut Out<'_>) {
        if self.part.is_none() {
            for (summary, key) in [(true, "summary"), (false, "content")] {
                let list = fields.raw(key).and_then(array).unwrap_or_default();
                for (index, raw) in (0..).zip(list) {
                    let text =
                        Fields::read(raw, "").ok().and_then(|mut part| part.raw("text").and_then(string));
                    self.say((summary, index), text.unwrap_or_default(), out);
                }
            }
        }
        let state = fields.raw("encrypted_content").and_then(string).filter(|state| !state.is_empty());
        if let Some(proof) = state {
            let part = self.open(out);
            out.delta(part, Delta::Signature { proof, stamp: Some(OURS) });
        }
        if let Some((part, _)) = self.part {
            out.close(part);
        }
    }

    fn open(&mut self, out: &mut Out<'_>) -> u32 {
        self.part.get_or_insert_with(|| (out.open(Open::Reasoning), (true, 0))).0
    }
}

/// A call.
#[derive(Debug)]
pub(super) struct Call {
    part: u32,
    kind: ToolCallKind,
    /// Bytes of input handed out.
    said: usize,
}

impl Call {
    /// Opens it, when its item says what is called.
    pub(super) fn open(fields: &mut Fields<'_>, kind: ToolCallKind, out: &mut Out<'_>) -> Option<Self> {
        let mut text = |key: &str| fields.raw(key).and_then(string).filter(|text| !text.is_empty());
        let (call_id, id) = (text("call_id"), text("id"));
        let call_id = call_id.or(id)?;
        let name = text("name")?;
        Some(Self { part: out.open(Open::ToolCall { call_id, name, kind }), kind, said: 0 })
    }

    /// More of its input.
    pub(super) fn grow(&mut self, more: Cow<'_, str>, out: &mut Out<'_>) {
        if !more.is_empty() {
            self.said += more.len();
            out.delta(self.part, Delta::Arguments(more));
        }
    }

    /// Hands out what of the whole item was not, and closes it.
    pub(super) fn finish(mut self, fields: &mut Fields<'_>, out: &mut Out<'_>) {
        let key = match self.kind {
            ToolCallKind::Function => "arguments",
            ToolCallKind::Custom => "input",
        };
        let input = fields.raw(key).and_then(string).unwrap_or_default();
        let rest = input.get(self.said..).unwrap_or_default().to_owned();
        self.grow(Cow::Owned(rest), out);
        out.close(self.part);
    }
}
