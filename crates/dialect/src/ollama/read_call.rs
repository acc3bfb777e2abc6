//! A client's request.

use super::{OURS, image, read_messages, settings};
use crate::json::{Fields, array, invalid};
use crate::place::UNSUPPORTED_CONTENT;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{
    Call, Dialect, Fault, FaultKind, Instruction, Item, ItemKind, Json, Losses, Message, Model, OriginRole,
    Part, Role, Tool, ToolKind,
};

/// Reads the body of `/api/chat`.
///
/// # Errors
/// [`FaultKind::InvalidRequest`] naming the JSON path at fault.
pub fn read_call(body: &[u8], losses: &mut Losses) -> Result<Call, Fault> {
    let mut fields = Fields::body(body)?;
    let mut call = Call::new(OURS, need_model(&mut fields)?);
    let messages = fields.array("messages")?.unwrap_or_default();
    if messages.is_empty() {
        return Err(nothing_to_answer("messages", "must hold at least one message"));
    }
    read_messages::read(&messages, &mut call, losses)?;
    for (at, raw) in fields.array("tools")?.unwrap_or_default().into_iter().enumerate() {
        call.tools.push(read_tool(raw, format!("tools[{at}]"))?);
    }
    settings::read(&mut fields, &mut call)?;
    call.extra = fields.rest(OURS);
    Ok(call)
}

/// Reads the body of `/api/generate`: a conversation of one message.
///
/// # Errors
/// [`FaultKind::InvalidRequest`] naming the JSON path at fault; [`FaultKind::Unsupported`] for what only a
/// server that completes bare text can take.
pub fn read_generate(body: &[u8], losses: &mut Losses) -> Result<Call, Fault> {
    let mut fields = Fields::body(body)?;
    let mut call = Call::new(Dialect::OllamaGenerate, need_model(&mut fields)?);
    let prompt = fields.string("prompt")?.unwrap_or_default();
    let mut parts = image::read(&mut fields)?;
    if prompt.is_empty() && parts.is_empty() {
        return Err(nothing_to_answer("prompt", "must not be empty"));
    }
    if !prompt.is_empty() {
        parts.push(Part::text(prompt));
    }
    let message = Message { role: Role::User, name: None, id: None, parts };
    call.items.push(Item::new(ItemKind::Message(message)));
    if let Some(system) = fields.string("system")?.filter(|system| !system.is_empty()) {
        let parts = vec![Part::text(system)];
        call.instructions.push(Instruction { origin: OriginRole::System, name: None, parts });
    }
    read_bare(&mut fields, losses)?;
    settings::read(&mut fields, &mut call)?;
    call.extra = fields.rest(Dialect::OllamaGenerate);
    Ok(call)
}

/// What says how a prompt becomes tokens, which is the target's own business in a conversation.
fn read_bare(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<(), Fault> {
    let bare = |key: &str, what: &str| {
        let message = format!("{key} {what}; the chosen target holds conversations only, so send /api/chat");
        Fault::new(FaultKind::Unsupported, message).at(key).code(UNSUPPORTED_CONTENT)
    };
    if fields.string("suffix")?.is_some_and(|suffix| !suffix.is_empty()) {
        return Err(bare("suffix", "asks for text to be filled in"));
    }
    if let Some(raw) = fields.raw("context")
        && array(raw).is_none_or(|tokens| !tokens.is_empty())
    {
        return Err(bare("context", "is an earlier conversation in the tokens of another model"));
    }
    if fields.array("tools")?.is_some_and(|tools| !tools.is_empty()) {
        return Err(bare("tools", "are for conversations, of which this endpoint has none"));
    }
    if fields.bool("raw")? == Some(true) {
        losses.dropped("raw", "the target applies its own template");
    }
    if fields.string("template")?.is_some_and(|template| !template.is_empty()) {
        losses.dropped("template", "the target applies its own template");
    }
    Ok(())
}

fn need_model(fields: &mut Fields<'_>) -> Result<Model, Fault> {
    let model = fields.need_string("model")?;
    if model.is_empty() {
        return Err(invalid("model", "must name a model; GET /api/tags lists them"));
    }
    Ok(Model::new(&*model))
}

/// Ollama loads or unloads the model then, which nobody else can.
fn nothing_to_answer(key: &str, what: &str) -> Fault {
    let what = format!("{what}; the model's target loads and unloads it by itself");
    invalid(key, what).code("missing_required_parameter")
}

fn read_tool(raw: &RawValue, path: String) -> Result<Tool, Fault> {
    let mut fields = Fields::read(raw, path)?;
    let native_type = fields.string("type")?.unwrap_or(Cow::Borrowed("function"));
    if native_type != "function" {
        let (native_type, raw) = (native_type.into_owned(), Json::from_raw(raw));
        let kind = ToolKind::Server { dialect: OURS, native_type, name: None, raw };
        return Ok(Tool::new(kind));
    }
    let mut function = fields.object("function")?.ok_or_else(|| fields.missing("function"))?;
    let name = function.need_string("name")?;
    if name.is_empty() {
        return Err(invalid(&function.path("name"), "must not be empty"));
    }
    let kind = ToolKind::Function {
        name: name.into_owned(),
        description: function.string("description")?.map(Cow::into_owned),
        schema: match function.raw("parameters") {
            Some(raw) if !raw.get().starts_with('{') => {
                return Err(function.wrong("parameters", "a JSON Schema object", raw));
            }
            raw => raw.map(Json::from_raw),
        },
        strict: function.bool("strict")?,
    };
    Ok(Tool { extra: fields.rest(OURS), ..Tool::new(kind) })
}
