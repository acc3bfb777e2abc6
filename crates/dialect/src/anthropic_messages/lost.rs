//! What of an answer Anthropic's clients have no form for, in the same words streamed or whole.

use trunkline_core::{Action, Class, Loss};

/// Another choice than the first.
pub(super) fn choice(index: u32) -> Loss {
    let path = format!("choices[{index}]");
    Loss { path: path.into(), ..dropped("", "an Anthropic answer has one choice") }
}

/// Log probabilities.
pub(super) fn logprobs() -> Loss {
    Loss { class: Class::Performance, ..dropped("logprobs", "an Anthropic answer has no log probabilities") }
}

/// Tool arguments that are no object.
pub(super) fn input() -> Loss {
    let reason = "the model's arguments are not a JSON object; shown as _raw";
    Loss { action: Action::Degraded, ..dropped("content.input", reason) }
}

/// Tool arguments that flowed as an object and turned out to be none.
pub(super) fn broken_input(block: u64) -> Loss {
    let reason = "the model's arguments are not valid JSON; passed on as they are";
    let path = format!("content[{block}].input");
    Loss { action: Action::Degraded, path: path.into(), ..dropped("", reason) }
}

/// A block of another provider's.
pub(super) fn block() -> Loss {
    dropped("content", "only the dialect that made this block can show it")
}

/// A citation in another dialect's form.
pub(super) fn citation() -> Loss {
    dropped("content.citations", "only the dialect that made them can show them")
}

/// Thoughts that another provider withheld.
pub(super) fn withheld() -> Loss {
    dropped("content", "only the provider that withheld these thoughts can read them")
}

fn dropped(path: &'static str, reason: &'static str) -> Loss {
    Loss { path: path.into(), action: Action::Dropped, class: Class::Behaviour, reason: reason.into() }
}
