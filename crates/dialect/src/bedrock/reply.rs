//! Whole answers, both ways.

use super::block::{Block, BlockKind, is_readable, shown_id};
use super::finish::{self, Held};
use super::usage::{self, Metrics, Tier};
use super::{error, lost, read_turn};
use crate::arguments::{INPUT, RAW, object_of, wrapped};
use crate::codec::Context;
use crate::json::{Fields, Writer};
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use trunkline_core::{
    Choice, Dialect, ExtraField, Fault, FaultKind, Finish, Item, ItemKind, Json, Losses, Origin, Part,
    PartKind, Reply, ServerTool, ToolCall, ToolCallKind,
};

const DIALECT: Dialect = Dialect::BedrockConverse;

/// What the model says beside the message, such as the stop text it hit.
const ADDITIONAL: &str = "additionalModelResponseFields";

/// Reads a whole answer.
///
/// # Errors
/// [`FaultKind::Upstream`] when the body is not a Converse answer; the upstream's own fault when it is an
/// error under a good status.
pub fn read_reply(body: &[u8]) -> Result<Reply, Fault> {
    let fields = Fields::body(body).map_err(nonsense)?;
    if !fields.has("output") && (fields.has("__type") || fields.has("message")) {
        return Err(error::read_error(200, body));
    }
    read(fields).map_err(nonsense)
}

/// An answer's fault is the upstream's, not the client's.
fn nonsense(fault: Fault) -> Fault {
    let at = fault.param.map(|path| format!(" (at {path})")).unwrap_or_default();
    let message = format!("upstream's answer is not a Converse answer{at}");
    Fault { origin: Origin::Upstream(200), ..Fault::new(FaultKind::Upstream, message) }
}

fn read(mut fields: Fields<'_>) -> Result<Reply, Fault> {
    let mut output = fields.object("output")?.ok_or_else(|| fields.missing("output"))?;
    let mut message = output.object("message")?.ok_or_else(|| output.missing("message"))?;
    let items = read_turn::answer(&mut message)?;
    let called = items.iter().any(|item| matches!(item.kind, ItemKind::ToolCall(_)));
    let additional = fields.raw(ADDITIONAL);
    let stop = fields.string("stopReason")?;
    let metrics: Option<Metrics> = loose(&mut fields, "metrics");
    let tier: Option<Tier> = loose(&mut fields, "serviceTier");
    let service_tier = tier.as_ref().and_then(|tier| tier.name.clone());
    let usage = usage::read(fields.raw("usage"), metrics, tier);
    let finish = stop.map(|native| finish::read(&native, additional, called));
    let mut extra = fields.rest(DIALECT);
    extra.extend(additional.map(|raw| ExtraField {
        dialect: DIALECT,
        key: ADDITIONAL.into(),
        value: Json::from_raw(raw),
    }));
    Ok(Reply {
        choices: vec![Choice { index: 0, items, finish, logprobs: None }],
        usage,
        service_tier,
        extra,
        ..Reply::default()
    })
}

/// An inner object that says nothing when it is not of the form we know.
fn loose<T: DeserializeOwned>(fields: &mut Fields<'_>, key: &str) -> Option<T> {
    serde_json::from_str(fields.raw(key)?.get()).ok()
}

/// Writes a whole answer. Bedrock's is one message; what else there is goes into `losses`.
#[must_use]
pub fn write_reply(reply: &Reply, _: &Context, losses: &mut Losses) -> Vec<u8> {
    for choice in reply.choices.iter().filter(|choice| choice.index != 0) {
        losses.push(lost::choice(choice.index));
    }
    let choice = reply.choices.iter().find(|choice| choice.index == 0);
    if choice.is_some_and(|choice| choice.logprobs.is_some()) {
        losses.push(lost::logprobs());
    }
    let mut blocks = Blocks { losses, held: Held::default(), done: Vec::new() };
    for item in choice.into_iter().flat_map(|choice| &choice.items) {
        blocks.item(item);
    }
    let finish = choice.and_then(|choice| choice.finish.as_ref());
    let mut out = Vec::with_capacity(512);
    Writer::new(&mut out).object(|w| {
        w.key("output").object(|w| {
            w.key("message").object(|w| {
                w.key("role").string("assistant");
                w.key("content").array(|w| blocks.done.iter().for_each(|block| block.write(w)));
            });
        });
        w.key("stopReason").string(finish::reason(finish, blocks.held));
        if !reply.extra.iter().any(|field| field.dialect == DIALECT && &*field.key == ADDITIONAL) {
            write_additional(w, finish);
        }
        usage::write(w, reply.usage.as_deref(), reply.service_tier.as_deref());
        w.extra(&reply.extra, DIALECT);
    });
    out
}

/// Writes which stop text was hit, where it is known.
pub(super) fn write_additional(w: &mut Writer<'_>, finish: Option<&Finish>) {
    if let Some(text) = finish.and_then(|finish| finish.stop_sequence.as_deref()) {
        w.key(ADDITIONAL).object(|w| w.key("stop_sequence").string(text));
    }
}

/// Content blocks of an answer under construction.
struct Blocks<'r, 'l> {
    losses: &'l mut Losses,
    held: Held,
    done: Vec<Block<'r>>,
}

impl<'r> Blocks<'r, '_> {
    fn item(&mut self, item: &'r Item) {
        let kind = match &item.kind {
            ItemKind::Message(message) => return message.parts.iter().for_each(|part| self.part(part)),
            ItemKind::ToolCall(call) => self.tool_use(call),
            ItemKind::Reasoning(thoughts) => {
                if let Some(data) = &thoughts.redacted {
                    BlockKind::Redacted(data.into())
                } else {
                    let text = [thoughts.text.as_slice(), &thoughts.summary].concat().concat();
                    let signature = thoughts.signature.as_deref().or(thoughts.encrypted.as_deref());
                    let signature = signature.filter(|proof| !proof.is_empty());
                    if text.is_empty() && signature.is_none() {
                        return;
                    }
                    BlockKind::Reasoning { text: text.into(), signature }
                }
            }
            ItemKind::ServerTool(ServerTool { dialect: DIALECT, raw, .. })
            | ItemKind::Unknown { dialect: DIALECT, raw } => BlockKind::Native(raw),
            ItemKind::ServerTool(_)
            | ItemKind::Unknown { .. }
            | ItemKind::ToolResult(_)
            | ItemKind::Reference(_) => {
                self.losses.push_once(lost::block());
                return;
            }
        };
        self.done.push(Block::new(kind));
    }

    fn part(&mut self, part: &'r Part) {
        let kind = match &part.kind {
            PartKind::Text { text, citations } => {
                let kept: Vec<_> = citations.iter().filter(|citation| is_readable(citation)).collect();
                if kept.len() < citations.len() {
                    self.losses.push_once(lost::citation());
                }
                match (text.is_empty(), kept.is_empty()) {
                    (true, true) => return,
                    (false, true) => BlockKind::Text(text.into()),
                    (_, false) => BlockKind::Cited { text, citations: kept },
                }
            }
            PartKind::Refusal(text) if text.is_empty() => return,
            PartKind::Refusal(text) => {
                self.held.refusal = true;
                BlockKind::Text(text.into())
            }
            PartKind::Unknown { dialect: DIALECT, raw } => BlockKind::Native(raw),
            PartKind::Image(_)
            | PartKind::Audio(_)
            | PartKind::Video(_)
            | PartKind::Document(_)
            | PartKind::SearchResult(_)
            | PartKind::ToolReference(_)
            | PartKind::ExecutableCode { .. }
            | PartKind::CodeResult { .. }
            | PartKind::Json(_)
            | PartKind::Unknown { .. } => return self.losses.push_once(lost::block()),
        };
        self.done.push(Block::new(kind));
    }

    fn tool_use(&mut self, call: &'r ToolCall) -> BlockKind<'r> {
        self.held.tool_use = true;
        if call.signature.is_some() {
            self.losses.push_once(lost::state());
        }
        let input = match (call.kind, object_of(&call.arguments)) {
            (ToolCallKind::Custom, _) => Cow::Owned(wrapped(INPUT, &call.arguments)),
            (ToolCallKind::Function, Some(input)) => Cow::Borrowed(input),
            (ToolCallKind::Function, None) => {
                self.losses.push_once(lost::input());
                Cow::Owned(wrapped(RAW, &call.arguments))
            }
        };
        BlockKind::ToolUse { id: shown_id(&call.call_id), name: Cow::Borrowed(&call.name), input }
    }
}
