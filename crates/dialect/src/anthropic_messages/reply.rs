//! Whole answers, both ways.

use super::block::{Block, BlockKind, Marks, is_readable, write_all};
use super::finish::{self, Details, FinishFrame, Held};
use super::read_part::Parts;
use super::said::shown_id;
use super::seal::Seal;
use super::usage::{self, Counts};
use super::{error, lost, read_turn};
use crate::arguments::{self, object_of, wrapped};
use crate::codec::Context;
use crate::json::{Fields, Writer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{
    Choice, Dialect, Fault, FaultKind, Item, ItemKind, Losses, Message, Origin, Part, PartKind,
    ReasoningItem, Reply, Role, ServerTool, ToolCall, ToolCallKind,
};

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// Reads a whole answer.
///
/// # Errors
/// [`FaultKind::Upstream`] when the body is not an Anthropic message; the upstream's own fault when it
/// is an error under a good status.
pub fn read_reply(body: &[u8]) -> Result<Reply, Fault> {
    let mut fields = Fields::body(body).map_err(nonsense)?;
    if fields.string("type").map_err(nonsense)?.as_deref() == Some("error") {
        return Err(error::read_error(200, body));
    }
    read(fields).map_err(nonsense)
}

/// An answer's fault is the upstream's, not the client's.
pub(super) fn nonsense(fault: Fault) -> Fault {
    let at = fault.param.map(|path| format!(" (at {path})")).unwrap_or_default();
    Fault {
        origin: Origin::Upstream(200),
        ..Fault::new(FaultKind::Upstream, format!("upstream's answer is not an Anthropic message{at}"))
    }
}

fn read(mut fields: Fields<'_>) -> Result<Reply, Fault> {
    fields.string("role")?;
    let content = fields.array("content")?.ok_or_else(|| fields.missing("content"))?;
    let mut items = Vec::new();
    for (at, raw) in content.into_iter().enumerate() {
        read_block(raw, format!("content[{at}]"), &mut items)?;
    }
    let details = match fields.object("stop_details")? {
        Some(mut details) => Some(Details { explanation: details.string("explanation")?.map(Into::into) }),
        None => None,
    };
    let frame = FinishFrame {
        stop_reason: fields.string("stop_reason")?.map(Into::into),
        stop_sequence: fields.string("stop_sequence")?.map(Into::into),
        stop_details: details,
    };
    Ok(Reply {
        id: fields.string("id")?.map(Into::into),
        model: fields.string("model")?.map(Into::into),
        usage: fields.raw("usage").and_then(|raw| Counts::default().take(raw)).map(Box::new),
        choices: vec![Choice { index: 0, items, finish: frame.finish(), logprobs: None }],
        extra: fields.rest(DIALECT),
        ..Reply::default()
    })
}

fn read_block(raw: &RawValue, path: String, items: &mut Vec<Item>) -> Result<(), Fault> {
    let mut fields = Fields::read(raw, path.as_str())?;
    let native_type = fields.need_string("type")?;
    if native_type == "text" {
        let part = Parts::new(&mut Losses::default()).part(raw, path)?;
        if let Some(Item { kind: ItemKind::Message(message), .. }) = items.last_mut() {
            message.parts.push(part);
        } else {
            let message = Message { role: Role::Assistant, name: None, id: None, parts: vec![part] };
            items.push(Item::new(ItemKind::Message(message)));
        }
        return Ok(());
    }
    let mut item = read_turn::block(&native_type, raw, fields, &mut Losses::default())?;
    if let ItemKind::Unknown { dialect, raw } = item.kind {
        item.kind = ItemKind::ServerTool(ServerTool { dialect, native_type: native_type.into(), raw });
    }
    items.push(item);
    Ok(())
}

/// Writes a whole answer. Anthropic's has one choice; what else there is goes into `losses`.
#[must_use]
pub fn write_reply(reply: &Reply, context: &Context, losses: &mut Losses) -> Vec<u8> {
    for choice in reply.choices.iter().filter(|choice| choice.index != 0) {
        losses.push(lost::choice(choice.index));
    }
    let choice = reply.choices.iter().find(|choice| choice.index == 0);
    if choice.is_some_and(|choice| choice.logprobs.is_some()) {
        losses.push(lost::logprobs());
    }
    let model = context.model.as_deref().or(reply.model.as_deref()).unwrap_or_default();
    let mut blocks = Blocks { context, model, losses, held: Held::default(), done: Vec::new() };
    for item in choice.into_iter().flat_map(|choice| &choice.items) {
        blocks.item(item);
    }
    let mut out = Vec::with_capacity(512);
    Writer::new(&mut out).object(|w| {
        write_head(w, reply.id.as_deref(), model, context);
        write_all(&blocks.done, w.key("content"), &mut Marks::default());
        finish::write(w, choice.and_then(|choice| choice.finish.as_ref()), blocks.held);
        usage::write(w, reply.usage.as_deref());
        w.extra(&reply.extra, DIALECT);
    });
    out
}

/// What a message begins with, whole or streamed. Clients expect ids of Anthropic's form.
pub(super) fn write_head(w: &mut Writer<'_>, upstream_id: Option<&str>, model: &str, context: &Context) {
    w.key("id");
    match upstream_id.filter(|id| id.starts_with("msg_")) {
        Some(id) => w.string(id),
        None => {
            let own = context.id.strip_prefix("msg_").unwrap_or(&context.id);
            let own: String = own.chars().filter(char::is_ascii_alphanumeric).collect();
            w.string(&format!("msg_{own}"));
        }
    }
    w.key("type").string("message");
    w.key("role").string("assistant");
    w.key("model").string(model);
}

/// Content blocks of an answer under construction.
struct Blocks<'r, 'l> {
    context: &'r Context,
    model: &'r str,
    losses: &'l mut Losses,
    held: Held,
    done: Vec<Block<'r>>,
}

impl<'r> Blocks<'r, '_> {
    fn item(&mut self, item: &'r Item) {
        let kind = match &item.kind {
            ItemKind::Message(message) => return message.parts.iter().for_each(|part| self.part(part)),
            ItemKind::ToolCall(call) => self.tool_use(call),
            ItemKind::Reasoning(thoughts) => match self.thoughts(thoughts) {
                Some(kind) => kind,
                None => return,
            },
            ItemKind::ServerTool(ServerTool { dialect: DIALECT, raw, .. })
            | ItemKind::Unknown { dialect: DIALECT, raw } => BlockKind::Native(raw),
            ItemKind::ServerTool(_)
            | ItemKind::Unknown { .. }
            | ItemKind::ToolResult(_)
            | ItemKind::Reference(_) => {
                self.losses.push(lost::block());
                return;
            }
        };
        self.done.push(Block { kind, mark: None, extra: Some(&item.extra) });
    }

    fn part(&mut self, part: &'r Part) {
        let kind = match &part.kind {
            PartKind::Text { text, citations } => {
                if text.is_empty() {
                    return;
                }
                let kept: Vec<_> = citations.iter().filter(|citation| is_readable(citation)).collect();
                if kept.len() < citations.len() {
                    self.losses.push(lost::citation());
                }
                BlockKind::Text { text: text.into(), citations: kept }
            }
            PartKind::Refusal(text) => {
                if text.is_empty() {
                    return;
                }
                self.held.refusal = true;
                BlockKind::Text { text: text.into(), citations: Vec::new() }
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
            | PartKind::Unknown { .. } => {
                self.losses.dropped("content", "an Anthropic answer has no block for this");
                return;
            }
        };
        self.done.push(Block { kind, mark: None, extra: Some(&part.extra) });
    }

    fn tool_use(&mut self, call: &'r ToolCall) -> BlockKind<'r> {
        self.held.tool_use = true;
        let input = match (call.kind, object_of(&call.arguments)) {
            (ToolCallKind::Custom, _) => Cow::Owned(wrapped(arguments::INPUT, &call.arguments)),
            (ToolCallKind::Function, Some(input)) => Cow::Borrowed(input),
            (ToolCallKind::Function, None) => {
                self.losses.push(lost::input());
                Cow::Owned(wrapped(arguments::RAW, &call.arguments))
            }
        };
        BlockKind::ToolUse { id: shown_id(&call.call_id), name: Cow::Borrowed(&call.name), input }
    }

    /// Thoughts as one block; without words or proof of them there is nothing to show.
    fn thoughts(&mut self, thoughts: &'r ReasoningItem) -> Option<BlockKind<'r>> {
        let ours = thoughts.stamp == Some(DIALECT);
        if let Some(data) = &thoughts.redacted {
            if !ours {
                self.losses.push(lost::withheld());
            }
            return ours.then_some(BlockKind::Redacted(data));
        }
        let signature = thoughts.signature.as_deref().filter(|signature| ours && !signature.is_empty());
        let text = match (thoughts.text.as_slice(), thoughts.summary.as_slice()) {
            ([only], []) => Cow::Borrowed(only.as_str()),
            (text, summary) => Cow::Owned([text, summary].concat().concat()),
        };
        if text.is_empty() && signature.is_none() {
            return None;
        }
        let signature = signature.map_or_else(
            || {
                let mut seal = Seal::new(&self.context.seal, self.model);
                seal.text(&text);
                Cow::Owned(seal.finish())
            },
            Cow::Borrowed,
        );
        Some(BlockKind::Thinking { text, signature })
    }
}
