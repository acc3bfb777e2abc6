//! Conversation state that a provider keeps. This build keeps none of its own, so a call that continues
//! such state, or begins with what is kept, can only go where it is kept: to a target that speaks the client's
//! dialect.

use crate::place::{Place, UNSUPPORTED_CONTENT, positions};
use trunkline_core::{Call, Dialect, Fault, FaultKind, ItemKind};

/// Refuses a call that names state which no target of `dialect` can resolve.
///
/// # Errors
/// [`FaultKind::Unsupported`] naming the field.
pub(crate) fn refuse(dialect: Dialect, call: &Call) -> Result<(), Fault> {
    if call.cache.resource.is_some() && dialect != Dialect::GeminiGenerate {
        let what = "names content that its provider keeps; send that content in the call itself";
        return Err(unresolved("cachedContent", what, UNSUPPORTED_CONTENT));
    }
    if dialect == Dialect::OpenaiResponses {
        return Ok(());
    }
    if call.prompt_template.is_some() {
        let what = "is kept by its provider; send its text instead";
        return Err(unresolved("prompt", what, UNSUPPORTED_CONTENT));
    }
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

#[cfg(test)]
mod tests {
    use crate::codec::{Vendor, read_call, write_call};
    use crate::testing::target;
    use serde_json::json;
    use trunkline_core::{Dialect, FaultKind, Losses};

    #[test]
    fn what_a_provider_keeps_goes_to_no_other_dialect() {
        let gemini = json!({"contents": [{"parts": [{"text": "hi"}]}], "cachedContent": "cachedContents/1"});
        let prompt = json!({"model": "m", "input": "hi", "prompt": {"id": "pmpt_1"}});
        for (client, body, path) in
            [(Dialect::GeminiGenerate, gemini, "cachedContent"), (Dialect::OpenaiResponses, prompt, "prompt")]
        {
            let call = read_call(client, body.to_string().as_bytes(), &mut Losses::default()).expect("reads");
            for dialect in [
                Dialect::OpenaiChat,
                Dialect::OpenaiResponses,
                Dialect::AnthropicMessages,
                Dialect::GeminiGenerate,
                Dialect::BedrockConverse,
                Dialect::CohereChat,
                Dialect::OllamaChat,
                Dialect::ReplicatePredictions,
            ] {
                let target = target("m", Vendor::Compatible);
                match write_call(dialect, &call, &target, &mut Losses::default()) {
                    Ok(written) => {
                        assert_eq!(dialect, client, "{path}");
                        let body = String::from_utf8(written.body).expect("text");
                        assert!(body.contains(path), "{body}");
                    }
                    Err(fault) => {
                        assert_ne!(dialect, client, "{fault:?}");
                        let found = (fault.kind, fault.param.as_deref());
                        assert_eq!(found, (FaultKind::Unsupported, Some(path)), "{dialect:?}");
                    }
                }
            }
        }
    }
}
