//! What of an answer Bedrock's clients have no form for, in the same words streamed or whole.

use trunkline_core::{Action, Class, Loss};

/// Another choice than the first.
pub(super) fn choice(index: u32) -> Loss {
    let path = format!("choices[{index}]");
    Loss { path: path.into(), ..dropped("", "a Bedrock answer is one message") }
}

/// Log probabilities.
pub(super) fn logprobs() -> Loss {
    Loss { class: Class::Performance, ..dropped("logprobs", "a Bedrock answer has no log probabilities") }
}

/// Tool arguments that are no object.
pub(super) fn input() -> Loss {
    let reason = "the model's arguments are not a JSON object; shown as _raw";
    Loss { action: Action::Degraded, ..dropped("content.toolUse.input", reason) }
}

/// Tool arguments that flowed as an object and turned out to be none.
pub(super) fn broken_input(block: u64) -> Loss {
    let reason = "the model's arguments are not valid JSON; passed on as they are";
    let path = format!("content[{block}].toolUse.input");
    Loss { action: Action::Degraded, path: path.into(), ..dropped("", reason) }
}

/// State behind a tool call.
pub(super) fn state() -> Loss {
    dropped("content.toolUse", "a tool call has no place for its provider's state")
}

/// A block of another provider's.
pub(super) fn block() -> Loss {
    dropped("content", "only the dialect that made this block can show it")
}

/// A citation in another dialect's form.
pub(super) fn citation() -> Loss {
    dropped("content.citations", "only the dialect that made them can show them")
}

fn dropped(path: &'static str, reason: &'static str) -> Loss {
    Loss { path: path.into(), action: Action::Dropped, class: Class::Behaviour, reason: reason.into() }
}
