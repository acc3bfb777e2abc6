//! Blocks that only this dialect understands: whole in an answer, and in a stream one member of them grows.

use crate::json::{Fields, Writer, array, string};
use serde_json::value::RawValue;
use trunkline_core::{Dialect, Json};

const DIALECT: Dialect = Dialect::BedrockConverse;

/// The member of a block that a stream sends in pieces.
pub(super) fn growing(native_type: &str) -> Option<&'static str> {
    match native_type {
        "toolUse" => Some("input"),
        "toolResult" => Some("content"),
        "image" => Some("source"),
        _ => None,
    }
}

/// One block on its way to being whole.
#[derive(Debug)]
pub(super) struct Held {
    native_type: &'static str,
    start: Json,
    /// The pieces of what grows: text of `input`, lists of `content`, the last `source`.
    pieces: Vec<String>,
    bytes: usize,
}

impl Held {
    /// A block that begins with these members.
    pub(super) fn new(native_type: &'static str, start: &RawValue) -> Self {
        Self { native_type, start: Json::from_raw(start), pieces: Vec::new(), bytes: 0 }
    }

    /// Takes the next piece; `false` when the block is over `limit` bytes.
    pub(super) fn grow(&mut self, piece: &str, limit: usize) -> bool {
        self.bytes = self.bytes.saturating_add(piece.len());
        if self.bytes > limit {
            return false;
        }
        self.pieces.push(piece.to_owned());
        true
    }

    /// Its kind, and the block as an unstreamed answer would have held it.
    pub(super) fn whole(self) -> (&'static str, Json) {
        let mut out = Vec::new();
        Writer::new(&mut out).object(|w| {
            w.key(self.native_type).object(|w| {
                w.members(&self.start);
                let key = growing(self.native_type).unwrap_or_default();
                match self.native_type {
                    "toolUse" => {
                        let text = self.pieces.concat();
                        let input = Json::parse(&text).unwrap_or_else(|_| Json::string(&text));
                        w.key(key).raw(if text.is_empty() { "{}" } else { input.as_str() });
                    }
                    "toolResult" => w.key(key).array(|w| {
                        for piece in &self.pieces {
                            let list = serde_json::from_str(piece).ok().and_then(array);
                            list.unwrap_or_default().into_iter().for_each(|raw| w.raw(raw.get()));
                        }
                    }),
                    _ => {
                        let source = self.pieces.last().and_then(|piece| {
                            let mut image = Fields::read(serde_json::from_str(piece).ok()?, "").ok()?;
                            image.json("source")
                        });
                        w.opt_json(key, source.as_ref());
                    }
                }
            });
        });
        let text = String::from_utf8(out).unwrap_or_default();
        (self.native_type, Json::parse(&text).unwrap_or_else(|_| Json::object()))
    }
}

/// How a whole block is streamed: its kind, the members it begins with, and the piece that makes it whole.
pub(super) fn split(raw: &Json) -> Option<(&'static str, Json, String)> {
    let mut outer = Fields::read(raw.raw(), "").ok()?;
    let kinds = ["toolUse", "toolResult", "image"].into_iter();
    let (kind, mut inner) = kinds.filter_map(|kind| Some((kind, outer.object(kind).ok()??))).next()?;
    let grown = inner.raw(growing(kind)?);
    let start = crate::json::object_of(&inner.rest(DIALECT), DIALECT).unwrap_or_else(Json::object);
    let mut piece = Vec::new();
    let mut w = Writer::new(&mut piece);
    match (kind, grown) {
        ("toolUse", grown) => {
            let text = grown.map_or("{}", RawValue::get);
            // Input that was no JSON was kept as a string.
            let text = grown.and_then(string).map_or(text.to_owned(), Into::into);
            w.object(|w| w.key("input").string(&text));
        }
        ("image", Some(grown)) => w.object(|w| w.key("source").raw(grown.get())),
        (_, grown) => w.raw(grown.map_or("[]", RawValue::get)),
    }
    Some((kind, start, String::from_utf8(piece).ok()?))
}
