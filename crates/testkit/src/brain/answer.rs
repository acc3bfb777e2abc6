//! Decides what the simulated model says: the same seed and request give the same answer, on every
//! machine, and the answer shows that the request arrived (it quotes the question or the tool result).

use super::ask::{Ask, Force, Format, Offer, Role};
use super::demand::Demand;
use super::{schema, words};
use serde_json::json;

/// Letters per token of JSON.
const FRAGMENT: usize = 6;

/// One of the answers to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// What is generated, in order; each piece is one token.
    pub(crate) pieces: Vec<Piece>,
    pub(crate) finish: Finish,
}

/// One generated token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Think(String),
    Text(String),
    /// A tool call begins.
    Call {
        id: String,
        name: String,
    },
    /// A fragment of the arguments of the last call begun.
    Arguments(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    /// Cut by this stop string, which is not part of the text.
    StopString(String),
    Length,
    Calls,
    /// The model would not go on; what it said so far stands.
    Refused,
}

/// Token counts of one exchange.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) prompt: usize,
    /// Part of the prompt: what a cache served.
    pub(crate) cached: usize,
    /// Part of the prompt: what was put into a cache the client pays for.
    pub(crate) written: usize,
    pub(crate) output: usize,
    pub(crate) reasoning: usize,
}

impl Choice {
    /// The visible text.
    pub(crate) fn text(&self) -> String {
        self.pieces
            .iter()
            .filter_map(|piece| if let Piece::Text(text) = piece { Some(text.as_str()) } else { None })
            .collect()
    }

    /// The reasoning text.
    pub(crate) fn thought(&self) -> String {
        self.pieces
            .iter()
            .filter_map(|piece| if let Piece::Think(text) = piece { Some(text.as_str()) } else { None })
            .collect()
    }

    /// Id, name and arguments of every tool call.
    pub(crate) fn calls(&self) -> Vec<(String, String, String)> {
        let mut calls: Vec<(String, String, String)> = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Call { id, name } => calls.push((id.clone(), name.clone(), String::new())),
                Piece::Arguments(part) => {
                    if let Some((_, _, arguments)) = calls.last_mut() {
                        arguments.push_str(part);
                    }
                }
                Piece::Think(_) | Piece::Text(_) => {}
            }
        }
        calls
    }
}

/// Token counts of `choices` as answers to a prompt of `prompt` tokens.
pub(crate) fn count(choices: &[Choice], prompt: usize, cached: usize) -> Counts {
    let pieces = || choices.iter().flat_map(|choice| &choice.pieces);
    let reasoning = pieces().filter(|piece| matches!(piece, Piece::Think(_))).count();
    Counts { prompt, cached, written: 0, output: pieces().count(), reasoning }
}

/// Token ids of the prompt, laid out as a chat template would: histories share prefixes.
pub(crate) fn prompt(ask: &Ask) -> Vec<u64> {
    let mut tokens = Vec::new();
    for tool in &ask.tools {
        tokens.extend(words::tokenize(&tool.name));
        tokens.extend(words::tokenize(&tool.schema.to_string()));
    }
    for turn in &ask.turns {
        // Begin of turn, role, end of turn: what templates spend on every message.
        let role = words::mix(words::HASH_START, turn.role as u64);
        tokens.extend([0, role]);
        tokens.extend(words::tokenize(&turn.text));
        tokens.push(1);
    }
    tokens
}

/// The answers to `ask`.
pub(crate) fn answers(ask: &Ask, seed: u64) -> Vec<Choice> {
    let said =
        prompt(ask).iter().fold(words::mix(words::HASH_START, seed), |hash, token| words::mix(hash, *token));
    (0..ask.answers as u64)
        .map(|nth| one(ask, &mut fastrand::Rng::with_seed(words::mix(said, nth))))
        .collect()
}

fn one(ask: &Ask, dice: &mut fastrand::Rng) -> Choice {
    if Demand::of(ask) == Some(Demand::Refusal) {
        let said = words::split_words("I cannot help with that.").into_iter().map(Piece::Text);
        return Choice { pieces: said.collect(), finish: Finish::Refused };
    }
    let asked = ask.turns.iter().rev().find(|turn| turn.role == Role::User);
    let question = asked.map_or("", |turn| turn.text.as_str());
    let results = results(ask);
    let tools = if results.is_empty() { wanted_tools(ask, question) } else { Vec::new() };
    let mut pieces = if ask.thinks { thought(question, dice) } else { Vec::new() };
    if tools.is_empty() {
        pieces.extend(text(ask, question, &results, dice).into_iter().map(Piece::Text));
    }
    for tool in &tools {
        let id = format!("{:024x}", u128::from(dice.u64(..)) << 32 | u128::from(dice.u32(..)));
        pieces.push(Piece::Call { id, name: tool.name.clone() });
        // A tool without a schema still takes an object.
        let arguments =
            if tool.schema.is_object() { schema::example(&tool.schema, question) } else { json!({}) };
        pieces.extend(words::fragments(&arguments.to_string(), FRAGMENT).into_iter().map(Piece::Arguments));
    }
    shape(ask, pieces, !tools.is_empty(), dice)
}

/// What tools just returned, in the order it was told.
fn results(ask: &Ask) -> Vec<&str> {
    let before = ask.turns.iter().rposition(|turn| turn.role != Role::Tool).map_or(0, |at| at + 1);
    ask.turns.iter().skip(before).map(|turn| turn.text.trim()).collect()
}

fn thought(question: &str, dice: &mut fastrand::Rng) -> Vec<Piece> {
    let mut thought = words::split_words(&format!("The request is about {}.", gist(question)));
    thought.extend(words::prose(dice, 8));
    thought.into_iter().map(Piece::Think).collect()
}

/// The words of an answer that calls no tool; `results` is what tools just returned.
fn text(ask: &Ask, question: &str, results: &[&str], dice: &mut fastrand::Rng) -> Vec<String> {
    if let Format::Json(schema) = &ask.format {
        return words::fragments(&schema::example(schema, question).to_string(), FRAGMENT);
    }
    let opening = match results {
        [] => format!("You asked about {}.", gist(question)),
        [result] => format!("The tool answered: {result}."),
        [..] => format!("The tools answered: {}.", results.join("; ")),
    };
    let mut text = if ask.echo { words::split_words(question) } else { Vec::new() };
    text.extend(words::split_words(&opening));
    let count = dice.usize(12..36);
    text.extend(words::prose(dice, count));
    text
}

/// Applies stop strings, then the limit, as an engine's sampler does.
fn shape(ask: &Ask, mut pieces: Vec<Piece>, calls: bool, dice: &mut fastrand::Rng) -> Choice {
    if let Some(limit) = ask.limit.filter(|limit| ask.ignore_eos && !calls && pieces.len() < *limit) {
        let missing = limit - pieces.len();
        pieces.extend(words::prose(dice, missing).into_iter().map(Piece::Text));
        return Choice { pieces, finish: Finish::Length };
    }
    let mut finish = if calls { Finish::Calls } else { Finish::Stop };
    if let Some(stop) = cut_at_stop(&mut pieces, &ask.stops) {
        finish = Finish::StopString(stop);
    }
    if let Some(limit) = ask.limit.filter(|limit| *limit < pieces.len()) {
        pieces.truncate(limit);
        finish = Finish::Length;
    }
    Choice { pieces, finish }
}

/// Ends the text before the first stop string in it; the stop string found.
fn cut_at_stop(pieces: &mut Vec<Piece>, stops: &[String]) -> Option<String> {
    let whole: String = pieces
        .iter()
        .filter_map(|p| if let Piece::Text(text) = p { Some(text.as_str()) } else { None })
        .collect();
    let found = stops.iter().filter(|stop| !stop.is_empty());
    let (end, stop) = found.filter_map(|stop| Some((whole.find(stop.as_str())?, stop))).min()?;
    let mut left = end;
    pieces.retain_mut(|piece| {
        let Piece::Text(text) = piece else { return true };
        // `end` is where a match begins, so it falls between characters.
        let keep = left.min(text.len());
        left -= keep;
        text.truncate(keep);
        keep > 0
    });
    Some(stop.clone())
}

fn wanted_tools<'a>(ask: &'a Ask, question: &str) -> Vec<&'a Offer> {
    let mentioned = |tool: &&Offer| question.contains(&tool.name);
    let mut wanted: Vec<_> = match &ask.choice {
        Force::Never => Vec::new(),
        Force::Named(name) => ask.tools.iter().filter(|tool| tool.name == *name).take(1).collect(),
        Force::Auto => ask.tools.iter().filter(mentioned).collect(),
        Force::Any => {
            let named: Vec<_> = ask.tools.iter().filter(mentioned).collect();
            if named.is_empty() { ask.tools.iter().take(1).collect() } else { named }
        }
    };
    if ask.one_tool_only {
        wanted.truncate(1);
    }
    wanted
}

/// The beginning of the question, to show that it was read.
fn gist(question: &str) -> String {
    let words: Vec<_> = question.split_whitespace().take(12).collect();
    if words.is_empty() { "nothing in particular".to_owned() } else { format!("“{}”", words.join(" ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brain::ask::{self, Turn};

    fn asked(more: serde_json::Value) -> Ask {
        let mut body =
            json!({"model": "m", "messages": [{"role": "user", "content": "Tell me of lighthouses"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ask::chat(&body).unwrap()
    }

    #[test]
    fn seed_and_prompt_decide() {
        let ask = asked(json!({"n": 2}));
        let first = answers(&ask, 1);
        assert_eq!(first, answers(&ask, 1));
        assert_ne!(first, answers(&ask, 2));
        assert_ne!(first[0], first[1]);
        assert!(first[0].text().contains("Tell me of lighthouses"));
        assert_eq!(first[0].finish, Finish::Stop);
    }

    #[test]
    fn limits_and_stops_cut() {
        let limited = &answers(&asked(json!({"max_tokens": 3})), 1)[0];
        assert_eq!((limited.pieces.len(), &limited.finish), (3, &Finish::Length));
        let filled = &answers(&asked(json!({"max_tokens": 300, "ignore_eos": true})), 1)[0];
        assert_eq!((filled.pieces.len(), &filled.finish), (300, &Finish::Length));
        let stopped = &answers(&asked(json!({"stop": ["light", "me of"]})), 1)[0];
        assert_eq!(stopped.finish, Finish::StopString("me of".into()));
        assert_eq!(stopped.text(), "You asked about “Tell ");
    }

    #[test]
    fn tools_are_called_when_named_or_forced() {
        let tools = json!([
            {"type": "function", "function": {
                "name": "get_time",
                "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}},
            }},
            {"type": "function", "function": {"name": "get_rain"}},
        ]);
        for (text, choice, expected) in [
            ("hello", json!("auto"), vec![]),
            ("use get_rain now", json!("auto"), vec!["get_rain"]),
            ("get_time and get_rain", json!("auto"), vec!["get_time", "get_rain"]),
            ("get_time and get_rain", json!("none"), vec![]),
            ("hello", json!("required"), vec!["get_time"]),
            ("hello", json!({"type": "function", "function": {"name": "get_rain"}}), vec!["get_rain"]),
        ] {
            let messages = json!([{"role": "user", "content": text}]);
            let ask = asked(json!({"tools": tools, "tool_choice": choice, "messages": messages}));
            let choice = &answers(&ask, 1)[0];
            let calls = choice.calls();
            assert_eq!(calls.iter().map(|call| call.1.as_str()).collect::<Vec<_>>(), expected, "{text}");
            assert!(
                calls
                    .iter()
                    .all(|call| serde_json::from_str::<serde_json::Value>(&call.2).unwrap().is_object())
            );
            assert_eq!(choice.finish, if expected.is_empty() { Finish::Stop } else { Finish::Calls });
        }
    }

    #[test]
    fn tool_results_are_quoted() {
        let mut ask = asked(json!({"tools": [{"function": {"name": "Tell"}}]}));
        ask.turns.push(Turn { role: Role::Tool, text: "42 degrees".into() });
        assert!(answers(&ask, 1)[0].text().contains("The tool answered: 42 degrees."));
        ask.turns.push(Turn { role: Role::Tool, text: "noon".into() });
        assert!(answers(&ask, 1)[0].text().contains("The tools answered: 42 degrees; noon."));
    }

    #[test]
    fn thoughts_come_first_and_are_counted() {
        let choices = answers(&asked(json!({"reasoning_effort": "high"})), 1);
        assert!(
            matches!(choices[0].pieces[0], Piece::Think(_)) && choices[0].thought().contains("lighthouses")
        );
        let counts = count(&choices, 10, 4);
        assert!(counts.reasoning > 8 && counts.output > counts.reasoning);
    }
}
