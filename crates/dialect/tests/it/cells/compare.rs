//! What is compared, and as what two things count as the same.

use super::node::Node;
use super::story::{self, Asked, Bit, Who};
use trunkline_core::{Action, Losses};

pub(super) fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: &T, want: &T) -> Result<(), String> {
    if got == want { Ok(()) } else { Err(format!("{what}:\n   got {got:?}\n  want {want:?}")) }
}

/// Turns with the calls numbered: ids may differ as long as each result finds its call.
pub(super) fn numbered(said: &[(Who, Bit)]) -> Vec<(Who, Bit)> {
    let mut calls: Vec<Option<String>> = Vec::new();
    let mut results = 0;
    said.iter()
        .map(|(who, bit)| {
            let bit = match bit {
                Bit::Call { id, name, arguments } => {
                    calls.push(id.clone().filter(|id| !id.is_empty()));
                    let id = Some((calls.len() - 1).to_string());
                    Bit::Call { id, name: name.clone(), arguments: arguments.clone() }
                }
                Bit::Result { id, text } => {
                    let by_id =
                        id.as_ref().and_then(|id| calls.iter().rposition(|call| call.as_ref() == Some(id)));
                    let id = id.as_deref().filter(|id| !id.is_empty()).map_or(Some(results), |_| by_id);
                    results += 1;
                    Bit::Result { id: id.map(|at| at.to_string()), text: text.clone() }
                }
                other => other.clone(),
            };
            (*who, bit)
        })
        .collect()
}

/// Where both sides have ids, they are the client's.
pub(super) fn kept_ids(got: &Asked, want: &Asked) -> bool {
    let ids = |asked: &Asked| -> Vec<_> {
        let ids = asked.said.iter().map(|(_, bit)| match bit {
            Bit::Call { id, .. } => id.clone(),
            _ => None,
        });
        ids.flatten().collect()
    };
    let (got, want) = (ids(got), ids(want));
    got.is_empty() || want.is_empty() || got == want
}

/// What a setting says arrives, or a loss tells that it does not.
pub(super) fn held_or_told(got: &Asked, want: &Asked, losses: &Losses) -> Result<(), String> {
    let told = |words: &[&str]| {
        let named = |text: &str| words.iter().any(|word| text.to_lowercase().contains(word));
        losses.iter().any(|loss| named(&loss.path) || named(&loss.reason))
    };
    let forces = |asked: &Asked| asked.choice == Some(story::Choice::Forced);
    for (what, held, words) in [
        ("limit", got.most == want.most, &["max"][..]),
        ("temperature", got.temperature == want.temperature, &["temperature"]),
        ("stop texts", got.stop == want.stop, &["stop"]),
        ("choice", forces(got) == forces(want), &["choice", "functioncallingconfig"]),
        ("schema", got.schema == want.schema, &["schema", "format"]),
        ("thinking", got.thinks == want.thinks, &["reasoning", "think"]),
        ("cache marks", got.marks == want.marks, &["cache"]),
    ] {
        if !held && !told(words) {
            return Err(format!(
                "{what} neither held nor told:\n   got {got:?}\n  want {want:?}\n  {losses:?}"
            ));
        }
    }
    Ok(())
}

/// What is dropped or changed is named as the client wrote it.
pub(super) fn names_the_request(request: Node<'_>, losses: &Losses) -> Result<(), String> {
    for loss in losses.iter().filter(|loss| matches!(loss.action, Action::Dropped | Action::Degraded)) {
        if at(request, &loss.path).is_none() {
            return Err(format!("the loss {loss:?} names nothing of {}", request.raw()));
        }
    }
    Ok(())
}

/// The value at a path like `messages[0].content`.
pub(super) fn at<'a>(request: Node<'a>, path: &str) -> Option<Node<'a>> {
    request.get(&path.replace('[', ".").replace(']', ""))
}
