//! The wire form of an answer, streamed or whole, borrowed from the bytes it came in.
//!
//! Upstreams stretch the documented types (`content` as a list or null, counts as floats, objects
//! where strings belong), so every field takes whatever JSON comes and keeps what it understands:
//! one odd extension must not cost a client its answer.

use crate::json;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// A `chat.completion.chunk`, or a whole `chat.completion` (whose choices say `message`).
#[derive(Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(super) id: Str<'a>,
    #[serde(borrow, default)]
    pub(super) model: Str<'a>,
    #[serde(default)]
    pub(super) created: Count,
    #[serde(borrow)]
    pub(super) choices: Option<Few<Choice<'a>>>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) service_tier: Str<'a>,
    #[serde(borrow)]
    pub(super) x_groq: Option<Groq<'a>>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    /// `error` on older engines, which send the fault itself as the payload.
    #[serde(borrow, default)]
    pub(super) object: Str<'a>,
}

impl<'a> Chunk<'a> {
    /// Reads one; `None` when `data` is anything but an object of this form.
    pub(super) fn read(data: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(data).ok()?;
        // Serde would read a list as the fields in order.
        text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()
    }
}

/// Groq's own part of a chunk.
#[derive(Deserialize)]
pub(super) struct Groq<'a> {
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    pub(super) index: Count,
    /// Perplexity sends both; the delta is the step. Boxed, as moving what was read from field to field costs
    /// more than a place on the heap.
    #[serde(borrow)]
    pub(super) delta: Option<Box<Words<'a>>>,
    #[serde(borrow)]
    pub(super) message: Option<Box<Words<'a>>>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Str<'a>,
    /// The stop text that was hit: vLLM and SGLang; a number there is a token id.
    #[serde(borrow, default)]
    pub(super) stop_reason: Str<'a>,
    #[serde(borrow, default)]
    pub(super) matched_stop: Str<'a>,
    #[serde(borrow)]
    pub(super) logprobs: Option<&'a RawValue>,
    /// Moonshot.
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
}

/// What a delta or message says.
#[derive(Deserialize)]
pub(super) struct Words<'a> {
    #[serde(borrow, default)]
    pub(super) content: Content<'a>,
    #[serde(borrow, default)]
    pub(super) reasoning_content: Content<'a>,
    #[serde(borrow, default)]
    pub(super) reasoning: Content<'a>,
    #[serde(borrow)]
    pub(super) thinking_blocks: Option<Vec<Block<'a>>>,
    #[serde(borrow, default)]
    pub(super) refusal: Str<'a>,
    #[serde(borrow)]
    pub(super) annotations: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub(super) tool_calls: Option<Box<Few<Call<'a>>>>,
    #[serde(borrow)]
    pub(super) function_call: Option<Box<Function<'a>>>,
    #[serde(borrow)]
    pub(super) audio: Option<&'a RawValue>,
}

/// One entry of `thinking_blocks`, and one part of a content list.
#[derive(Deserialize)]
pub(super) struct Block<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Str<'a>,
    #[serde(borrow, default)]
    pub(super) text: Str<'a>,
    #[serde(borrow, default)]
    pub(super) refusal: Str<'a>,
    /// A string, or a list of text parts (Mistral). Left unread: reading it here would make the type
    /// recursive, and the depth of an answer is the upstream's choice.
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) signature: Str<'a>,
    #[serde(borrow, default)]
    pub(super) data: Str<'a>,
}

impl<'a> Block<'a> {
    /// The text of a thinking block.
    pub(super) fn thought(&self) -> Option<Cow<'a, str>> {
        #[derive(Deserialize)]
        struct Plain<'p> {
            #[serde(borrow, default)]
            text: Str<'p>,
        }
        let raw = self.thinking?;
        let text = match json::array(raw) {
            None => json::string(raw)?,
            Some(parts) => {
                let plain =
                    parts.iter().filter_map(|part| serde_json::from_str::<Plain<'_>>(part.get()).ok());
                Cow::Owned(plain.filter_map(|part| part.text.0).collect())
            }
        };
        Some(text).filter(|text| !text.is_empty())
    }
}

/// A tool call or a fragment of one.
#[derive(Deserialize, Default)]
pub(super) struct Call<'a> {
    #[serde(default)]
    pub(super) index: Count,
    #[serde(borrow, default)]
    pub(super) id: Str<'a>,
    #[serde(borrow)]
    pub(super) function: Option<Function<'a>>,
    #[serde(borrow)]
    pub(super) custom: Option<Box<Custom<'a>>>,
}

#[derive(Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow, default)]
    pub(super) name: Str<'a>,
    /// A string; some upstreams send the object itself.
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Custom<'a> {
    #[serde(borrow, default)]
    pub(super) name: Str<'a>,
    #[serde(borrow, default)]
    pub(super) input: Str<'a>,
}

/// A list that nearly always holds one element, which then costs no allocation.
pub(super) struct Few<T> {
    first: Option<T>,
    rest: Vec<T>,
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self { first: None, rest: Vec::new() }
    }
}

impl<T> Few<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = std::iter::Chain<std::option::IntoIter<T>, std::vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.rest)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Walk<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Walk<T> {
            type Value = Few<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let first = seq.next_element()?;
                let mut rest = Vec::new();
                while let Some(next) = seq.next_element()? {
                    rest.push(next);
                }
                Ok(Few { first, rest })
            }
        }
        d.deserialize_seq(Walk(PhantomData))
    }
}

/// A string; anything else reads as none.
#[derive(Default)]
pub(super) struct Str<'a>(pub(super) Option<Cow<'a, str>>);

impl<'a> Str<'a> {
    /// The text, unless there is none or it is empty.
    pub(super) fn filled(self) -> Option<Cow<'a, str>> {
        self.0.filter(|text| !text.is_empty())
    }
}

/// A whole number from 0; anything else reads as none.
#[derive(Default, Clone, Copy)]
pub(super) struct Count(pub(super) Option<u64>);

/// Text, or parts of it.
#[derive(Default)]
pub(super) enum Content<'a> {
    #[default]
    None,
    Text(Cow<'a, str>),
    Parts(Vec<Block<'a>>),
}

impl<'a> Content<'a> {
    /// All its text; parts are joined.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::None => None,
            Self::Text(text) => Some(text),
            Self::Parts(parts) => {
                let mut texts = parts.into_iter().filter_map(|part| part.text.0);
                let first = texts.next()?;
                Some(texts.fold(first, |all, more| Cow::Owned(all.into_owned() + &more)))
            }
        }
        .filter(|text| !text.is_empty())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Any).map(|any| match any {
            Found::Text(text) => Self(Some(text)),
            Found::Parts(_) | Found::Count(_) | Found::Other => Self(None),
        })
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Any).map(|any| match any {
            Found::Count(count) => Self(Some(count)),
            Found::Parts(_) | Found::Text(_) | Found::Other => Self(None),
        })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Any).map(|any| match any {
            Found::Text(text) => Self::Text(text),
            Found::Parts(parts) => Self::Parts(parts),
            Found::Count(_) | Found::Other => Self::None,
        })
    }
}

/// What [`Any`] found.
enum Found<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<Block<'a>>),
    Count(u64),
    Other,
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Found::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Found::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Self::Value, E> {
        Ok(Found::Count(n))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Self::Value, E> {
        Ok(u64::try_from(n).map_or(Found::Other, Found::Count))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Self::Value, E> {
        // 2^53: above it an f64 no longer names one integer.
        let whole = n.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&n);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and in range, checked on the line above"
        )]
        Ok(if whole { Found::Count(n as u64) } else { Found::Other })
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Found::Other)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Found::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut parts = Vec::new();
        while let Some(Lenient(part)) = seq.next_element()? {
            parts.extend(part);
        }
        Ok(Found::Parts(parts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Found::Other)
    }
}

/// An element of a list that should hold objects.
struct Lenient<'a>(Option<Block<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Lenient<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(d)?;
        Ok(Self(raw.get().starts_with('{').then(|| serde_json::from_str(raw.get()).ok()).flatten()))
    }
}
