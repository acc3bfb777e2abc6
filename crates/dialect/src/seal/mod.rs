//! Reasoning state on its way through a client that did not ask for it.
//!
//! Providers hand out opaque proofs of what their models thought, and want them back. A client of another
//! dialect gets them sealed: it can neither read nor forge them, and whoever it sends them to can tell
//! that they are not its own. What comes back is opened and goes to the family that made it, and to no
//! other.
//!
//! A sealed text is `tl2.` and URL-safe base64 of nonce and ciphertext (XChaCha20-Poly1305). The nonce is an
//! HMAC of the plain text under a key of its own, so that equal state seals equally, which keeps prompt
//! caches warm, and no randomness is needed.

mod rider;

pub(crate) use rider::Riders;

use crate::codec::{has_call_state, has_thought_state, keeps};
use crate::place::{Place, positions};
use crate::rope::Rope;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{Key as CipherKey, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::borrow::Cow;
use trunkline_core::{Call, Delta, Dialect, Event, Item, ItemKind, Losses, Open, ReasoningItem, Reply};

/// How sealed texts begin.
const PREFIX: &str = "tl2.";
/// Stands between a tool call's id and its sealed state, for clients whose dialect has no field for it.
const IN_ID: &str = "__sealed__";
/// Stands between the kind and the rest of an item's id that was made here, for clients whose dialect demands
/// one: providers refuse ids of items they never made.
const MINTED: &str = "_tlk_";
/// What stands in a body that carries something sealed: as it is; a signature that Anthropic's clients got for
/// thoughts without any; behind an id; both ways in which it is put into fields that hold bytes; and an item's id
/// that was made here.
const MARKS: [&[u8]; 6] =
    [b"\"tl2.", b"\"tl1.", IN_ID.as_bytes(), b"\"dGwyL", b"\"dGV4dDp0bDIu", MINTED.as_bytes()];
/// Bytes of a nonce.
const NONCE: usize = 24;
/// Longest sealed text that is looked at; real ones have some kilobytes.
const LONGEST: usize = 4 << 20;

/// Opaque state of one provider.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct State {
    /// Whose it is, by the name of its dialect.
    #[serde(rename = "d")]
    dialect: String,
    /// Proof of visible thoughts, or state behind a tool call.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Thoughts only the provider can read.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<String>,
    /// Thoughts withheld.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub redacted: Option<String>,
    /// Bytes of the thoughts it belongs to, where it rides on a tool call.
    #[serde(rename = "n", default, skip_serializing_if = "is_zero")]
    len: usize,
    /// Whether it stood behind the words that the client is shown behind it.
    #[serde(rename = "b", default, skip_serializing_if = "std::ops::Not::not")]
    behind: bool,
    /// State of thoughts before the call that carries this.
    #[serde(rename = "t", default, skip_serializing_if = "Vec::is_empty")]
    thoughts: Vec<State>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl State {
    /// Nothing yet of `dialect`'s.
    #[must_use]
    pub fn of(dialect: Dialect) -> Self {
        Self { dialect: dialect.name().to_owned(), ..Self::default() }
    }

    /// Whose it is.
    #[must_use]
    pub fn stamp(&self) -> Option<Dialect> {
        Dialect::ALL.into_iter().find(|dialect| dialect.name() == self.dialect)
    }
}

/// What seals and opens; the secret never leaves the gateway.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    cipher: [u8; 32],
    nonce: [u8; 32],
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    /// The key made of `secret`.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self { cipher: derive(secret, b"seal: cipher"), nonce: derive(secret, b"seal: nonce") }
    }

    /// Seals `state`.
    #[must_use]
    pub fn seal(&self, state: &State) -> String {
        let plain = serde_json::to_vec(state).unwrap_or_default();
        let digest = derive(&self.nonce, &plain);
        let nonce = digest.first_chunk::<NONCE>().copied().unwrap_or_default();
        // Encrypting fails for gigabytes only; then nothing is worth carrying.
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), plain.as_slice()).unwrap_or_default();
        let mut out = PREFIX.to_owned();
        URL_SAFE_NO_PAD.encode_string([nonce.as_slice(), &sealed].concat(), &mut out);
        out
    }

    /// Opens `sealed`; `None` when it is not ours or was changed.
    #[must_use]
    pub fn open(&self, sealed: &str) -> Option<State> {
        let text = sealed.strip_prefix(PREFIX).filter(|text| text.len() <= LONGEST)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, rest) = bytes.split_first_chunk::<NONCE>()?;
        let plain = self.cipher().decrypt(&XNonce::from(*nonce), rest).ok()?;
        serde_json::from_slice(&plain).ok()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&CipherKey::from(self.cipher))
    }
}

/// Whether `text` looks sealed, by whomever.
#[must_use]
pub fn is_sealed(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// Seals what an answer says to a client of another dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealer {
    /// What seals.
    pub key: Key,
    /// What the client speaks.
    pub client: Dialect,
    /// What the upstream speaks.
    pub upstream: Dialect,
    /// Whether the client asked for thoughts, and so does not take the first of an answer for its text.
    pub wanted: bool,
}

/// An id for an item of an answer, of the kind that `prefix` tells.
pub(crate) fn mint(prefix: &str, rest: &str) -> String {
    [prefix, MINTED, rest].concat()
}

/// Whether an item's id was made by [`mint`].
pub(crate) fn is_minted(id: &str) -> bool {
    id.contains(MINTED)
}

/// Whether `body` may hold something sealed, so that a target which speaks the client's own dialect must not
/// get it as it is: it would take the seal for a proof of its own, the id of a call for one that is too long,
/// and that of an item for one it lost.
#[must_use]
pub fn may_carry(body: &Rope) -> bool {
    MARKS.iter().any(|mark| body.holds(mark))
}

impl Sealer {
    /// Whether the head of a tool call must wait for the state behind it, which comes next.
    pub(crate) fn keeps_heads(&self) -> bool {
        has_call_state(self.upstream) && !has_call_state(self.client)
    }

    /// Whether state of thoughts rides on the calls behind them.
    pub(crate) fn rides(&self) -> bool {
        !has_thought_state(self.client)
    }

    /// The id for a call with `signature` behind it and `thoughts` before it; `None` where its own will do.
    pub(crate) fn id(&self, call_id: &str, signature: Option<&str>, thoughts: Vec<State>) -> Option<String> {
        if signature.is_none() && thoughts.is_empty() {
            return None;
        }
        let signature = signature.map(str::to_owned);
        let state = State { signature, thoughts, ..State::of(self.upstream) };
        Some(into_id(call_id, &self.key.seal(&state)))
    }

    /// The event as the client should see it.
    #[must_use]
    pub fn event<'e>(&self, event: Event<'e>) -> Event<'e> {
        match event {
            Event::Delta { part, delta: Delta::Signature { proof, stamp: Some(stamp) } }
                if !keeps(self.client, stamp) =>
            {
                let state = State { signature: Some(proof.into_owned()), ..State::of(stamp) };
                let proof = Cow::Owned(self.key.seal(&state));
                Event::Delta { part, delta: Delta::Signature { proof, stamp: Some(self.client) } }
            }
            Event::Open { part, choice, open: Open::Redacted { data, stamp: Some(stamp) } }
                if !keeps(self.client, stamp) =>
            {
                let state = State { redacted: Some(data.into_owned()), ..State::of(stamp) };
                let data = Cow::Owned(self.key.seal(&state));
                Event::Open { part, choice, open: Open::Redacted { data, stamp: Some(self.client) } }
            }
            other @ (Event::Start { .. }
            | Event::Open { .. }
            | Event::Delta { .. }
            | Event::Close { .. }
            | Event::Logprobs { .. }
            | Event::Usage(_)
            | Event::Finish { .. }
            | Event::Ping
            | Event::Error(_)
            | Event::End) => other,
        }
    }

    /// The whole answer as the client should see it.
    pub fn reply(&self, reply: &mut Reply) {
        let mut riders = Riders::default();
        for choice in &mut reply.choices {
            if self.wanted {
                self.lead(&mut choice.items);
            }
            choice.items.retain_mut(|item| self.item(choice.index, item, &mut riders));
        }
    }

    /// An item of an answer; whether the client sees anything of it.
    fn item(&self, choice: u32, item: &mut Item, riders: &mut Riders) -> bool {
        match &mut item.kind {
            ItemKind::Reasoning(thoughts) if self.rides() => return riders.take_item(choice, thoughts),
            ItemKind::Reasoning(thoughts) => self.thoughts(thoughts, false),
            ItemKind::ToolCall(call) => {
                let signature = if self.keeps_heads() { call.signature.take() } else { None };
                if let Some(id) = self.id(&call.call_id, signature.as_deref(), riders.board(choice)) {
                    call.call_id = id;
                }
            }
            ItemKind::Message(_)
            | ItemKind::ToolResult(_)
            | ItemKind::ServerTool(_)
            | ItemKind::Reference(_)
            | ItemKind::Unknown { .. } => {}
        }
        true
    }

    /// Shows a proof without words ahead of the words that it ends: many a client that asked for thoughts takes
    /// the last of an answer for its text.
    fn lead(&self, items: &mut [Item]) {
        let [.., words, proof] = items else { return };
        let (ItemKind::Message(_), ItemKind::Reasoning(thoughts)) = (&words.kind, &mut proof.kind) else {
            return;
        };
        let is_silent = thoughts.text.iter().chain(&thoughts.summary).all(String::is_empty);
        let is_kept = thoughts.stamp.is_none_or(|stamp| keeps(self.client, stamp));
        if is_silent && !is_kept && !self.rides() {
            self.thoughts(thoughts, true);
            std::mem::swap(words, proof);
        }
    }

    fn thoughts(&self, thoughts: &mut ReasoningItem, behind: bool) {
        let Some(stamp) = thoughts.stamp.filter(|stamp| !keeps(self.client, *stamp)) else { return };
        let withheld = thoughts.redacted.is_some();
        let state = State {
            signature: thoughts.signature.take(),
            encrypted: thoughts.encrypted.take(),
            redacted: thoughts.redacted.take(),
            ..State::of(stamp)
        };
        if state == State::of(stamp) {
            return;
        }
        let sealed = Some(self.key.seal(&State { behind, ..state }));
        if withheld {
            thoughts.redacted = sealed;
        } else {
            thoughts.signature = sealed;
        }
        thoughts.stamp = Some(self.client);
    }
}

/// A tool call's id that carries `sealed` along.
fn into_id(id: &str, sealed: &str) -> String {
    // The dot of the prefix is not for every dialect's ids.
    let bare = sealed.strip_prefix(PREFIX).unwrap_or(sealed);
    [id, IN_ID, bare].concat()
}

/// An id without what it carries, and that.
fn from_id(id: &str) -> Option<(&str, String)> {
    let (own, bare) = id.split_once(IN_ID)?;
    Some((own, [PREFIX, bare].concat()))
}

/// Opens what a client brings back. State that was not sealed here is taken out, and told as lost: it can
/// be somebody else's, or forged.
pub fn unseal(call: &mut Call, key: &Key, losses: &mut Losses) {
    let carries = |item: &Item| match &item.kind {
        ItemKind::Reasoning(thoughts) => sealed_in(thoughts).is_some(),
        ItemKind::ToolCall(tool) => tool.call_id.contains(IN_ID),
        ItemKind::ToolResult(result) => result.call_id.contains(IN_ID),
        ItemKind::Message(_)
        | ItemKind::ServerTool(_)
        | ItemKind::Reference(_)
        | ItemKind::Unknown { .. } => false,
    };
    if !call.items.iter().any(carries) {
        return;
    }
    let positions = positions(call);
    let (mut forged, mut riders, mut behind) = (Vec::new(), Vec::new(), Vec::new());
    for (at, item) in call.items.iter_mut().enumerate() {
        let opened = match &mut item.kind {
            ItemKind::Reasoning(thoughts) => sealed_in(thoughts).map(|sealed| {
                let state = key.open(&sealed);
                restore(thoughts, state.as_ref());
                behind.extend(state.as_ref().filter(|state| state.behind).map(|_| at));
                state.is_some()
            }),
            ItemKind::ToolCall(tool) => {
                from_id(&tool.call_id).map(|(id, sealed)| (id.to_owned(), sealed)).map(|(id, sealed)| {
                    let state = key.open(&sealed);
                    tool.call_id = id;
                    let known = state.is_some();
                    if let Some(state) = state {
                        tool.signature = state.signature;
                        riders.push((at, state.thoughts));
                    }
                    known
                })
            }
            ItemKind::ToolResult(result) => {
                if let Some((id, _)) = from_id(&result.call_id) {
                    result.call_id = id.to_owned();
                }
                None
            }
            ItemKind::Message(_)
            | ItemKind::ServerTool(_)
            | ItemKind::Reference(_)
            | ItemKind::Unknown { .. } => None,
        };
        if opened == Some(false) {
            forged.push(at);
        }
    }
    for at in forged {
        let path = Place::item(call, &positions, at).to_string();
        losses.dropped(path, "its reasoning state was not sealed by this gateway, or was changed");
    }
    for at in behind {
        if let Some([proof, words]) = call.items.get_mut(at..=at + 1)
            && matches!(words.kind, ItemKind::Message(_))
        {
            std::mem::swap(proof, words);
        }
    }
    rider::alight(call, riders, losses);
}

/// What of a reasoning item is sealed.
fn sealed_in(thoughts: &ReasoningItem) -> Option<String> {
    let fields = [&thoughts.signature, &thoughts.encrypted, &thoughts.redacted];
    fields.into_iter().flatten().find(|text| is_sealed(text)).cloned()
}

fn restore(thoughts: &mut ReasoningItem, state: Option<&State>) {
    thoughts.stamp = state.and_then(State::stamp);
    // An id that came with the seal is one we made, unless the provider keeps its thoughts by id.
    thoughts.id = thoughts.id.take().filter(|_| thoughts.stamp == Some(Dialect::OpenaiResponses));
    thoughts.signature = state.and_then(|state| state.signature.clone());
    thoughts.encrypted = state.and_then(|state| state.encrypted.clone());
    thoughts.redacted = state.and_then(|state| state.redacted.clone());
}

fn derive(key: &[u8], text: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length, so there is always a state.
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(key) else { return [0; 32] };
    Mac::update(&mut mac, text);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use trunkline_core::{Model, ToolCall, ToolCallKind, ToolResult};

    fn key(byte: u8) -> Key {
        Key::new(&[byte; 32])
    }

    fn state(signature: &str) -> State {
        State { signature: Some(signature.to_owned()), ..State::of(Dialect::GeminiGenerate) }
    }

    proptest! {
        #[test]
        fn sealed_state_opens_with_its_key_alone(text in ".{0,200}", flip in any::<usize>()) {
            let sealed = key(1).seal(&state(&text));
            prop_assert!(is_sealed(&sealed));
            prop_assert!(text.len() < 8 || !sealed.contains(&text));
            prop_assert_eq!(key(1).open(&sealed), Some(state(&text)));
            prop_assert_eq!(&sealed, &key(1).seal(&state(&text)), "equal state seals equally");
            prop_assert_eq!(key(2).open(&sealed), None);
            let mut bent = sealed.into_bytes();
            let at = PREFIX.len() + flip % (bent.len() - PREFIX.len());
            bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
            prop_assert_eq!(key(1).open(&String::from_utf8(bent).unwrap()), None);
        }
    }

    #[test]
    fn what_a_client_brings_back_goes_to_its_family() {
        let sealed = key(1).seal(&state("proof"));
        let thoughts = |signature: &str| {
            Item::new(ItemKind::Reasoning(ReasoningItem {
                signature: Some(signature.to_owned()),
                stamp: Some(Dialect::OpenaiChat),
                ..ReasoningItem::default()
            }))
        };
        let tool = |id: String| {
            Item::new(ItemKind::ToolCall(ToolCall {
                call_id: id,
                item_id: None,
                kind: ToolCallKind::Function,
                name: "f".into(),
                arguments: "{}".into(),
                signature: None,
                cache: None,
            }))
        };
        let result = |id: String| {
            let result =
                ToolResult { call_id: id, name: None, parts: Vec::new(), is_error: None, cache: None };
            Item::new(ItemKind::ToolResult(result))
        };
        let id = into_id("call_1", &sealed);
        assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'), "{id}");
        let mut call = Call::new(Dialect::OpenaiChat, Model::new("m"));
        call.items =
            vec![thoughts(&sealed), thoughts("EqQB"), thoughts("tl2.AAAA"), tool(id.clone()), result(id)];
        let mut losses = Losses::default();
        unseal(&mut call, &key(1), &mut losses);
        let found: Vec<_> = call
            .items
            .iter()
            .map(|item| match &item.kind {
                ItemKind::Reasoning(r) => format!("{:?} {:?}", r.signature, r.stamp),
                ItemKind::ToolCall(t) => format!("{} {:?}", t.call_id, t.signature),
                ItemKind::ToolResult(r) => r.call_id.clone(),
                ItemKind::Message(_)
                | ItemKind::ServerTool(_)
                | ItemKind::Reference(_)
                | ItemKind::Unknown { .. } => String::new(),
            })
            .collect();
        assert_eq!(
            found,
            [
                "Some(\"proof\") Some(GeminiGenerate)",
                "Some(\"EqQB\") Some(OpenaiChat)",
                "None None",
                "call_1 Some(\"proof\")",
                "call_1"
            ]
        );
        assert_eq!(losses.len(), 1, "the one that is not ours");
    }
}
