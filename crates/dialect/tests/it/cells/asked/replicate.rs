//! Replicate predictions.

use super::{Pieces, image, inline, known};
use crate::cells::node::Node;
use crate::cells::story::{Asked, Bit, Who};
use serde_json::Value;

/// A prompt taken apart again: one word of the user, or who said what.
pub(in crate::cells) fn replicate_predictions(body: &str) -> Result<Asked, String> {
    let body = Node::read(body)?;
    known(body, &["version", "stream", "input"])?;
    let input = body.need("input")?;
    let (system, schema) = told_form(input.text("system_prompt").unwrap_or_default());
    let picture = input.text("image").map(|url| inline(Some(url), image)).transpose()?;
    let mut said: Vec<_> = picture.into_iter().map(|picture| (Who::User, picture)).collect();
    let prompt = input.text("prompt").ok_or("no prompt")?;
    match prompt.strip_prefix("User: ") {
        None => said.push((Who::User, Bit::Words(prompt))),
        Some(_) => said.extend(transcript(&prompt)?),
    }
    Ok(Asked {
        system,
        said,
        schema,
        stream: Some(body.get("stream").is_some_and(|on| on.raw() == "true")),
        most: input.count("max_tokens"),
        temperature: input.get("temperature").map(|number| number.raw().to_owned()),
        stop: input.text("stop_sequences").iter().flat_map(|all| all.split(',')).map(str::to_owned).collect(),
        ..Asked::default()
    })
}

/// What the model is told beside the form of its answer, and that form.
fn told_form(system: String) -> (String, Option<Value>) {
    match system.split_once("Answer with one JSON object and nothing else.") {
        None => (system, None),
        Some((words, form)) => {
            let schema = form.split_once('\n').and_then(|(_, schema)| serde_json::from_str(schema).ok());
            (words.trim_end().to_owned(), schema)
        }
    }
}

/// Turns of a transcript that leaves the last word to the model.
fn transcript(prompt: &str) -> Pieces {
    let turns = prompt.strip_suffix("\n\nAssistant:").ok_or("the model is not asked to go on")?;
    let turn = |turn: &str| {
        let (who, text) = turn.split_once(": ").ok_or(format!("nobody says {turn}"))?;
        let who = match who {
            "User" => Who::User,
            "Assistant" => Who::Model,
            other => return Err(format!("a turn of {other}")),
        };
        let call =
            text.strip_prefix("[called ").and_then(|call| call.strip_suffix(']')?.split_once(" with "));
        Ok(match (call, text.strip_prefix("[result] ")) {
            (Some((name, arguments)), _) => {
                (who, Bit::Call { id: None, name: name.to_owned(), arguments: arguments.to_owned() })
            }
            (None, Some(text)) => (who, Bit::Result { id: None, text: text.to_owned() }),
            (None, None) => (who, Bit::Words(text.to_owned())),
        })
    };
    turns.split("\n\n").map(turn).collect()
}
