//! Calls, their results and thoughts as parts.

use super::DIALECT;
use super::prepare::Prepare;
use super::wire::{Body, Wire};
use crate::arguments::{INPUT, RAW, object_of, wrapped};
use crate::json::Writer;
use crate::place::Place;
use std::borrow::Cow;
use trunkline_core::{
    Extra, Fault, FaultKind, Item, ItemKind, Json, Part, PartKind, ReasoningItem, ToolCall, ToolCallKind,
    ToolResult,
};

/// Gateways without a field for a call's signature put it behind the id.
const IN_ID: &str = "__thought__";

/// A call. What it was signed with goes back in its own field, wherever the client kept it.
pub(super) fn call<'c>(
    prepare: &mut Prepare<'c, '_>,
    call: &'c ToolCall,
    place: Place<'c>,
) -> Result<Wire<'c>, Fault> {
    if let Some(mark) = &call.cache {
        prepare.losses.hint(place.mark(mark), "target has no cache marks");
    }
    let args = match (call.kind, object_of(&call.arguments)) {
        (ToolCallKind::Custom, _) => Cow::Owned(wrapped(INPUT, &call.arguments)),
        (ToolCallKind::Function, Some(args)) => Cow::Borrowed(args),
        (ToolCallKind::Function, None) if prepare.target.strict_arguments => {
            let path = place.to_string();
            let what = format!("{path} calls {:?} with arguments that are not a JSON object", call.name);
            let fault = Fault::new(FaultKind::InvalidRequest, what).at(path);
            return Err(fault.code("invalid_tool_arguments"));
        }
        (ToolCallKind::Function, None) => {
            let why = "tool arguments are not a JSON object; sent as _raw";
            prepare.losses.degraded(place.to_string(), why);
            Cow::Owned(wrapped(RAW, &call.arguments))
        }
    };
    let (_, in_id) = split_id(&call.call_id);
    let signature = call.signature.as_deref().or(in_id).filter(|signature| !signature.is_empty());
    Ok(Wire {
        signature: signature.map(Cow::Borrowed),
        ..Wire::new(Body::Call {
            id: wire_id(prepare, &call.call_id),
            name: prepare.names.target(&call.name),
            args,
        })
    })
}

/// An id and the signature behind it, if any.
fn split_id(id: &str) -> (&str, Option<&str>) {
    match id.split_once(IN_ID) {
        Some((id, signature)) => (id, Some(signature)),
        None => (id, None),
    }
}

/// The id, for models that take one.
fn wire_id<'c>(prepare: &Prepare<'_, '_>, id: &'c str) -> Option<Cow<'c, str>> {
    prepare.traits.call_ids.then(|| Cow::Borrowed(split_id(id).0))
}

/// A result of a call of the function `name`, and media that cannot stand inside it.
pub(super) fn response<'c>(
    prepare: &mut Prepare<'c, '_>,
    result: &'c ToolResult,
    name: &'c str,
    extra: Option<&'c Extra>,
    place: Place<'c>,
) -> Result<Vec<Wire<'c>>, Fault> {
    if let Some(mark) = &result.cache {
        prepare.losses.hint(place.mark(mark), "target has no cache marks");
    }
    let failed = result.is_error == Some(true);
    let is_json = |part: &Part| matches!(part.kind, PartKind::Json(_));
    let value = result.parts.iter().position(is_json);
    let mut parts = Vec::with_capacity(result.parts.len());
    for (at, part) in result.parts.iter().enumerate().filter(|(at, _)| Some(*at) != value) {
        prepare.part(part, place.part(at), &mut parts)?;
    }
    // Nothing but media may stand in the parts of a response.
    let (words, mut media): (Vec<_>, Vec<_>) =
        parts.into_iter().partition(|part| matches!(part.body, Body::Text(_)));
    let words = joined(&words);
    let response = match value.and_then(|at| result.parts.get(at)).map(|part| &part.kind) {
        Some(PartKind::Json(json)) => structured(json, &words, failed),
        Some(_) | None => answered(words, failed),
    };
    let mut beside = Vec::new();
    if !prepare.traits.result_media && !media.is_empty() {
        prepare.losses.degraded(place.to_string(), "media of a tool result is sent beside it");
        beside = std::mem::take(&mut media);
    }
    let body = Body::Response {
        id: wire_id(prepare, &result.call_id),
        name: prepare.names.target(name),
        response,
        parts: media,
    };
    let mut out = vec![Wire { extra, ..Wire::new(body) }];
    out.extend(beside);
    Ok(out)
}

/// Text as a response, which is an object: itself, when it is one.
fn answered(text: String, failed: bool) -> Cow<'static, str> {
    match (failed, object_of(&text).filter(|_| !text.trim().is_empty())) {
        (true, _) => wrapped("error", &text).into(),
        (false, Some(object)) => object.to_owned().into(),
        (false, None) => wrapped("result", &text).into(),
    }
}

/// A value as a response: itself, when it is an object that nothing is said beside.
fn structured<'c>(value: &'c Json, words: &str, failed: bool) -> Cow<'c, str> {
    if !failed && words.is_empty() && value.is_object() {
        return Cow::Borrowed(value.as_str());
    }
    let mut out = Vec::new();
    Writer::new(&mut out).object(|w| {
        w.key(if failed { "error" } else { "result" }).raw(value.as_str());
        w.opt_string("text", Some(words).filter(|words| !words.is_empty()));
    });
    String::from_utf8(out).unwrap_or_default().into()
}

/// What stands in for a result that never came.
pub(super) fn no_response<'c>(prepare: &mut Prepare<'c, '_>, id: &'c str, name: &'c str) -> Wire<'c> {
    Wire::new(Body::Response {
        id: wire_id(prepare, id),
        name: prepare.names.target(name),
        response: wrapped("error", "no result provided").into(),
        parts: Vec::new(),
    })
}

/// Thoughts go back only to the provider that had them.
pub(super) fn thoughts(thoughts: &ReasoningItem) -> Option<Wire<'_>> {
    if thoughts.stamp != Some(DIALECT) {
        return None;
    }
    let state = [&thoughts.signature, &thoughts.encrypted, &thoughts.redacted];
    let signature = state.into_iter().flatten().map(String::as_str).find(|state| !state.is_empty());
    let text = match thoughts.text.as_slice() {
        [only] => Cow::Borrowed(only.as_str()),
        many => Cow::Owned(many.concat()),
    };
    // Without words it is the state behind an answer, which is no thought to Gemini.
    let body = match (text.is_empty(), signature) {
        (true, None) => return None,
        (true, Some(_)) => Body::Text(text),
        (false, _) => Body::Thought(text),
    };
    Some(Wire { signature: signature.map(Cow::Borrowed), ..Wire::new(body) })
}

/// Whether an item carries state that Gemini made.
pub(super) fn proves(item: &Item) -> bool {
    match &item.kind {
        // No other provider has state behind calls.
        ItemKind::ToolCall(call) => call.signature.is_some(),
        ItemKind::Reasoning(thoughts) => thoughts.stamp == Some(DIALECT) && !is_unproven(thoughts),
        ItemKind::Message(_)
        | ItemKind::ToolResult(_)
        | ItemKind::ServerTool(_)
        | ItemKind::Reference(_)
        | ItemKind::Unknown { .. } => false,
    }
}

/// Whether thoughts are words alone.
pub(super) fn is_unproven(thoughts: &ReasoningItem) -> bool {
    [&thoughts.signature, &thoughts.encrypted, &thoughts.redacted].into_iter().all(Option::is_none)
}

/// The texts of parts, one below the other.
pub(super) fn joined(parts: &[Wire<'_>]) -> String {
    let texts = parts
        .iter()
        .filter_map(|part| if let Body::Text(text) = &part.body { Some(text.as_ref()) } else { None });
    texts.collect::<Vec<_>>().join("\n")
}
