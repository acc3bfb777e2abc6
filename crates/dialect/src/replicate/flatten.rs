//! A conversation as one prompt, for models that know nothing else.

use super::OURS;
use crate::data_url::data_url;
use crate::place::{Place, positions};
use crate::unsent;
use trunkline_core::{
    Call, DocumentSource, Fault, ItemKind, Losses, MediaSource, Part, PartKind, Role, ToolResult,
};

const NO_MARKS: &str = "the target takes no cache marks";

/// What a prediction is made of.
#[derive(Debug, Default)]
pub(super) struct Flat {
    pub(super) system: String,
    pub(super) prompt: String,
    pub(super) image: Option<String>,
}

/// Flattens `call`. One message of the user is the prompt as it is; more are told apart by who speaks.
///
/// # Errors
/// [`trunkline_core::FaultKind::Unsupported`] naming the part that the model would not see.
pub(super) fn flatten(call: &Call, losses: &mut Losses) -> Result<Flat, Fault> {
    let mut flat = Flat::default();
    for (at, instruction) in call.instructions.iter().enumerate() {
        let place = Place::instruction(call, at);
        if instruction.name.is_some() {
            losses.dropped(place.field("name"), "the target takes no names");
        }
        let text = flat.words(&instruction.parts, place, losses)?;
        append(&mut flat.system, &text);
    }
    let positions = positions(call);
    let mut turns: Vec<(&str, String)> = Vec::new();
    for (at, item) in call.items.iter().enumerate() {
        let place = Place::item(call, &positions, at);
        match &item.kind {
            ItemKind::Message(message) => {
                if message.name.is_some() {
                    losses.dropped(place.field("name"), "the target takes no names");
                }
                let text = flat.words(&message.parts, place, losses)?;
                turns.push(match message.role {
                    Role::User => ("User", text),
                    Role::Assistant => ("Assistant", text),
                    Role::System | Role::Developer => ("System", text),
                });
            }
            ItemKind::ToolCall(tool) => {
                if let Some(mark) = &tool.cache {
                    losses.hint(place.mark(mark), NO_MARKS);
                }
                losses.degraded(place.to_string(), "a tool call is sent as text");
                turns.push(("Assistant", format!("[called {} with {}]", tool.name, tool.arguments)));
            }
            ItemKind::ToolResult(result) => {
                losses.degraded(place.to_string(), "a tool result is sent as text");
                turns.push(("User", flat.result(result, place, losses)?));
            }
            ItemKind::Reasoning(_) => {
                losses.hint(place.to_string(), "the target does not take reasoning back")
            }
            ItemKind::ServerTool(_) | ItemKind::Reference(_) | ItemKind::Unknown { .. } => {
                return Err(place.unsupported("an item of unknown type"));
            }
        }
    }
    flat.prompt = match turns.as_slice() {
        [("User", only)] => only.clone(),
        turns => transcript(turns, losses),
    };
    Ok(flat)
}

/// Who said what; the model goes on where the last word is its own, and answers otherwise.
fn transcript(turns: &[(&str, String)], losses: &mut Losses) -> String {
    losses.degraded("messages", "the conversation is sent as one prompt");
    let mut text = String::new();
    turns.iter().for_each(|(who, said)| append(&mut text, &format!("{who}: {said}")));
    if turns.last().is_none_or(|(who, _)| *who != "Assistant") {
        append(&mut text, "Assistant:");
    }
    text
}

fn append(text: &mut String, more: &str) {
    if !text.is_empty() {
        text.push_str("\n\n");
    }
    text.push_str(more);
}

impl Flat {
    fn result(
        &mut self,
        result: &ToolResult,
        place: Place<'_>,
        losses: &mut Losses,
    ) -> Result<String, Fault> {
        if let Some(mark) = &result.cache {
            losses.hint(place.mark(mark), NO_MARKS);
        }
        let failed = if result.is_error == Some(true) { "Error: " } else { "" };
        Ok(format!("[result] {failed}{}", self.words(&result.parts, place, losses)?))
    }

    /// The text of `parts`. One image goes beside the prompt.
    fn words(&mut self, parts: &[Part], place: Place<'_>, losses: &mut Losses) -> Result<String, Fault> {
        let mut words = Vec::with_capacity(parts.len());
        for (nth, part) in parts.iter().enumerate() {
            let place = place.part(nth);
            if let Some(mark) = &part.cache {
                losses.hint(place.mark(mark), NO_MARKS);
            }
            unsent::record_inner(&part.extra, &[OURS], &|| place.to_string(), losses);
            match &part.kind {
                PartKind::Text { text, .. } | PartKind::Refusal(text) => words.push(text.clone()),
                PartKind::Json(json) => words.push(json.as_str().to_owned()),
                PartKind::Image(image) => {
                    let url = match &image.source {
                        MediaSource::Base64 { mime, data } => data_url(mime, data),
                        MediaSource::Url(url) => url.clone(),
                        MediaSource::File(_) => return Err(place.unsupported("an image by file id")),
                    };
                    if self.image.replace(url).is_some() {
                        return Err(place.unsupported("more than one image"));
                    }
                }
                PartKind::Document(document) => {
                    losses.degraded(place.to_string(), "a document is sent as text");
                    words.extend(document.title.iter().chain(&document.context).cloned());
                    match &document.source {
                        DocumentSource::Text(text) => words.push(text.clone()),
                        DocumentSource::Parts(inner) => words.push(self.words(inner, place, losses)?),
                        DocumentSource::Media(_) => return Err(place.unsupported("a document")),
                    }
                }
                PartKind::CodeResult { output: words_of, .. }
                | PartKind::ExecutableCode { code: words_of, .. } => {
                    losses.degraded(place.to_string(), "code and its result are sent as text");
                    words.push(words_of.clone());
                }
                PartKind::Audio(_) => return Err(place.unsupported("audio")),
                PartKind::Video(_) => return Err(place.unsupported("video")),
                PartKind::SearchResult(_) | PartKind::ToolReference(_) | PartKind::Unknown { .. } => {
                    return Err(place.unsupported("a part of unknown type"));
                }
            }
        }
        Ok(words.join("\n"))
    }
}
