//! Conversation state that a provider keeps. This build keeps none of its own, so a call that continues
//! such state can only go where it is kept: to a target that speaks the client's dialect.

use crate::place::{Place, UNSUPPORTED_CONTENT, positions};
use trunkline_core::{Call, Fault, FaultKind, ItemKind};

/// Refuses a call that names state nobody here can resolve.
///
/// # Errors
/// [`FaultKind::Unsupported`] naming the field.
pub(crate) fn refuse(call: &Call) -> Result<(), Fault> {
    let state = &call.state;
    if state.previous_response_id.is_some() {
        let what = "names a stored response; send the earlier items in the call itself";
        return Err(unresolved("previous_response_id", what, "previous_response_not_found"));
    }
    if state.conversation.is_some() {
        let what = "names a stored conversation; send its items in the call itself";
        return Err(unresolved("conversation", what, "conversation_not_found"));
    }
    if state.background == Some(true) {
        let what = "asks for an answer to be kept and fetched later; leave it out";
        return Err(unresolved("background", what, "background_requires_storage"));
    }
    if let Some(at) = call.items.iter().position(|item| matches!(item.kind, ItemKind::Reference(_))) {
        let path = Place::item(call, &positions(call), at).to_string();
        let what = "refers to a stored item; send the item itself";
        return Err(unresolved(&path, what, UNSUPPORTED_CONTENT));
    }
    Ok(())
}

fn unresolved(path: &str, what: &str, code: &'static str) -> Fault {
    let message =
        format!("{path} {what}: this build keeps no stored state, and the chosen target has none of it");
    Fault::new(FaultKind::Unsupported, message).at(path).code(code)
}
