//! The loop agents live in: a streamed answer asks for three tools at once, the client sends the results
//! back, the model answers. Played by three client dialects against four kinds of upstream, all at once.

use super::json::{at, list, text, with};
use super::scenes::{CHAT, MESSAGES, ms, said};
use super::screen::Screen;
use super::world::{ALONE, CLAUDE, GEMINI, NOVA, World};
use crate::table::aligned;
use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

const QUESTION: &str = "Ask get_weather, get_time and get_tide about Lisbon";
/// Each tool and what it returns.
const TOOLS: [(&str, &str); 3] =
    [("get_weather", "17 degrees and clear"), ("get_time", "five past nine"), ("get_tide", "high at noon")];
/// One model of each kind of upstream.
const MODELS: [&str; 4] = [ALONE, CLAUDE, GEMINI, NOVA];

/// A client, by what it speaks.
#[derive(Debug, Clone, Copy)]
enum Caller {
    Chat,
    Messages,
    Gemini,
}

/// A tool call as the client sees it.
#[derive(Debug)]
struct Call {
    id: String,
    name: String,
    arguments: Value,
}

/// What became of one conversation.
struct Outcome {
    calls: Vec<Call>,
    answer: String,
    took: Duration,
}

/// Plays it.
///
/// # Errors
/// When a conversation did not go as it should.
pub(super) async fn play(world: &World, screen: &mut Screen<impl Write>) -> anyhow::Result<()> {
    screen.question(QUESTION)?;
    let mut header = vec![String::new()];
    for model in MODELS {
        let member = world.members.iter().find(|member| member.models.iter().any(|known| known == model));
        let member = member.with_context(|| format!("nobody serves {model}"))?;
        header.push(format!("{} ({})", member.name, member.kind));
    }
    let pairs = Caller::ALL.into_iter().flat_map(|caller| MODELS.map(|model| (caller, model)));
    let outcomes = futures_util::future::try_join_all(pairs.map(async |(caller, model)| {
        caller.converse(world, model).await.with_context(|| format!("{} to {model}", caller.name()))
    }));
    let outcomes = outcomes.await?;
    let shown = outcomes.first().context("nobody asked")?;
    let calls: Vec<_> = shown.calls.iter().map(|call| format!("{}({})", call.name, call.arguments)).collect();
    screen.line(&calls.join("  "))?;
    screen.beginning(&shown.answer)?;

    let mut rows = vec![row(header)?];
    for (caller, outcomes) in Caller::ALL.into_iter().zip(outcomes.chunks(MODELS.len())) {
        let cells = outcomes.iter().map(|outcome| format!("3 calls, {}", ms(outcome.took)));
        rows.push(row([caller.name().to_owned()].into_iter().chain(cells).collect())?);
    }
    screen.block(&aligned(3, &rows))?;
    Ok(())
}

fn row(cells: Vec<String>) -> anyhow::Result<[String; 5]> {
    cells.try_into().ok().context("a row of another length")
}

impl Caller {
    const ALL: [Self; 3] = [Self::Chat, Self::Messages, Self::Gemini];

    fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Messages => "messages",
            Self::Gemini => "generateContent",
        }
    }

    /// Both turns; the first one streamed.
    async fn converse(self, world: &World, model: &str) -> anyhow::Result<Outcome> {
        let (name, began) = (self.name(), tokio::time::Instant::now());
        let question = self.question(model);
        let (path, body) = self.streamed(model, question.clone());
        let id = format!("demo-{name}-{model}");
        let streamed = world.client.stream(&path, &id, &body, |_| Ok(true)).await?;
        let events: Vec<Value> =
            streamed.events.iter().filter_map(|(_, data)| serde_json::from_str(data).ok()).collect();
        let (reason, expected) = self.finish();
        ensure!(
            events.iter().any(|event| text(event, reason) == expected),
            "the stream does not end with {expected}: {events:?}"
        );

        let turn = self.turn(&events);
        let calls = self.calls(&turn);
        let asked: Vec<_> = calls.iter().map(|call| call.name.as_str()).collect();
        ensure!(asked == TOOLS.map(|(tool, _)| tool), "not the three calls asked for: {turn}");
        let lisbon = json!({"city": "Lisbon"});
        ensure!(calls.iter().all(|call| call.arguments == lisbon), "not the arguments asked for: {turn}");

        let turns = self.turns();
        let mut history = list(&question, &format!("/{turns}")).to_vec();
        history.push(turn);
        history.extend(self.results(&calls));
        let body = with(question, json!({turns: history}));
        let id = format!("demo-{name}-{model}-results");
        let (answer, _) = world.client.ask(&self.path(model), &id, &body).await?;
        let answer = said(&answer, self.answer())?.to_owned();
        let results = TOOLS.map(|(_, result)| result).join("; ");
        ensure!(answer.contains(&results), "the results did not arrive: {answer}");
        Ok(Outcome { calls, answer, took: began.elapsed() })
    }

    fn path(self, model: &str) -> String {
        match self {
            Self::Chat => CHAT.to_owned(),
            Self::Messages => MESSAGES.to_owned(),
            Self::Gemini => format!("/v1beta/models/{model}:generateContent"),
        }
    }

    /// Where and how a stream is asked for.
    fn streamed(self, model: &str, body: Value) -> (String, Value) {
        match self {
            Self::Chat | Self::Messages => (self.path(model), with(body, json!({"stream": true}))),
            Self::Gemini => (format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"), body),
        }
    }

    /// The field that holds the conversation.
    fn turns(self) -> &'static str {
        match self {
            Self::Chat | Self::Messages => "messages",
            Self::Gemini => "contents",
        }
    }

    /// The request of the first turn.
    fn question(self, model: &str) -> Value {
        let schema =
            json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
        let tools = TOOLS.map(|(name, _)| match self {
            Self::Chat => json!({"type": "function", "function": {"name": name, "parameters": schema}}),
            Self::Messages => json!({"name": name, "input_schema": schema}),
            Self::Gemini => json!({"name": name, "parametersJsonSchema": schema}),
        });
        let asked = json!([{"role": "user", "content": QUESTION}]);
        match self {
            Self::Chat => json!({"model": model, "messages": asked, "tools": tools}),
            Self::Messages => json!({"model": model, "messages": asked, "tools": tools, "max_tokens": 400}),
            Self::Gemini => json!({
                "contents": [{"role": "user", "parts": [{"text": QUESTION}]}],
                "tools": [{"functionDeclarations": tools}],
            }),
        }
    }

    /// Where a stream says why it ended, and what it says when tools are wanted.
    fn finish(self) -> (&'static str, &'static str) {
        match self {
            Self::Chat => ("/choices/0/finish_reason", "tool_calls"),
            Self::Messages => ("/delta/stop_reason", "tool_use"),
            Self::Gemini => ("/candidates/0/finishReason", "STOP"),
        }
    }

    /// The model's turn, put together from its stream as a client would.
    fn turn(self, events: &[Value]) -> Value {
        match self {
            Self::Chat => chat_turn(events),
            Self::Messages => messages_turn(events),
            Self::Gemini => {
                let parts = events.iter().flat_map(|event| list(event, "/candidates/0/content/parts"));
                json!({"role": "model", "parts": parts.collect::<Vec<_>>()})
            }
        }
    }

    fn calls(self, turn: &Value) -> Vec<Call> {
        let call = |part: &Value, id: &str, name: &str, arguments: Value| Call {
            id: text(part, id).to_owned(),
            name: text(part, name).to_owned(),
            arguments,
        };
        match self {
            Self::Chat => list(turn, "/tool_calls")
                .iter()
                .map(|part| call(part, "/id", "/function/name", parsed(text(part, "/function/arguments"))))
                .collect(),
            Self::Messages => list(turn, "/content")
                .iter()
                .filter(|block| text(block, "/type") == "tool_use")
                .map(|block| call(block, "/id", "/name", at(block, "/input").clone()))
                .collect(),
            Self::Gemini => list(turn, "/parts")
                .iter()
                .filter_map(|part| part.get("functionCall"))
                .map(|part| call(part, "/id", "/name", at(part, "/args").clone()))
                .collect(),
        }
    }

    /// The turns that bring the results.
    fn results(self, calls: &[Call]) -> Vec<Value> {
        let told = calls.iter().zip(TOOLS.map(|(_, result)| result));
        match self {
            Self::Chat => told
                .map(|(call, result)| json!({"role": "tool", "tool_call_id": call.id, "content": result}))
                .collect(),
            Self::Messages => {
                let results = told.map(|(call, result)| {
                    json!({"type": "tool_result", "tool_use_id": call.id, "content": result})
                });
                vec![json!({"role": "user", "content": results.collect::<Vec<_>>()})]
            }
            Self::Gemini => {
                let results = told.map(|(call, result)| {
                    let response = json!({"name": call.name, "response": {"result": result}});
                    // Models before the third generation give their calls no ids.
                    let id = if call.id.is_empty() { json!({}) } else { json!({"id": call.id}) };
                    json!({"functionResponse": with(response, id)})
                });
                vec![json!({"role": "user", "parts": results.collect::<Vec<_>>()})]
            }
        }
    }

    /// Where the text of a whole answer stands.
    fn answer(self) -> &'static str {
        match self {
            Self::Chat => "/choices/0/message/content",
            Self::Messages => "/content/0/text",
            Self::Gemini => "/candidates/0/content/parts/0/text",
        }
    }
}

fn chat_turn(events: &[Value]) -> Value {
    let mut calls: Vec<Value> = Vec::new();
    for delta in events.iter().flat_map(|event| list(event, "/choices/0/delta/tool_calls")) {
        if at(delta, "/id").is_string() {
            calls.push(delta.clone());
        } else if let Some(Value::String(arguments)) =
            calls.last_mut().and_then(|call| call.pointer_mut("/function/arguments"))
        {
            arguments.push_str(text(delta, "/function/arguments"));
        }
    }
    for call in calls.iter_mut().filter_map(Value::as_object_mut) {
        call.remove("index");
    }
    json!({"role": "assistant", "content": null, "tool_calls": calls})
}

fn messages_turn(events: &[Value]) -> Value {
    let mut blocks: Vec<(Value, String)> = Vec::new();
    for event in events {
        match text(event, "/type") {
            "content_block_start" => blocks.push((at(event, "/content_block").clone(), String::new())),
            "content_block_delta" => {
                if let Some((_, input)) = blocks.last_mut() {
                    input.push_str(text(event, "/delta/partial_json"));
                }
            }
            _ => {}
        }
    }
    let blocks = blocks.into_iter().map(|(block, input)| match text(&block, "/type") {
        "tool_use" => with(block, json!({"input": parsed(&input)})),
        _ => block,
    });
    json!({"role": "assistant", "content": blocks.collect::<Vec<_>>()})
}

fn parsed(arguments: &str) -> Value {
    serde_json::from_str(arguments).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two calls in fragments as each dialect streams them, and what a client makes of them.
    #[test]
    fn streams_are_put_together() {
        let chat = [
            json!({"choices": [{"delta": {"tool_calls": [
                {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]}}]}),
            json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{\"x\":"}}]}}]}),
            json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}}]}),
            json!({"choices": [{"delta": {"tool_calls": [
                {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}]}}]}),
        ];
        let block = |id: &str, name: &str| {
            json!({"type": "content_block_start",
                "content_block": {"type": "tool_use", "id": id, "name": name, "input": {}}})
        };
        let piece = |json: &str| json!({"type": "content_block_delta", "delta": {"partial_json": json}});
        let messages = [block("a", "f"), piece("{\"x\":"), piece("1}"), block("b", "g"), piece("{}")];
        let part = |id: &str, name: &str, args: Value| json!({"candidates": [{"content": {"parts": [{"functionCall": {"id": id, "name": name, "args": args}}]}}]});
        let gemini = [part("a", "f", json!({"x": 1})), part("b", "g", json!({}))];
        for (caller, events) in
            [(Caller::Chat, &chat[..]), (Caller::Messages, &messages), (Caller::Gemini, &gemini)]
        {
            let calls = caller.calls(&caller.turn(events));
            let calls: Vec<_> =
                calls.iter().map(|c| (c.id.as_str(), c.name.as_str(), c.arguments.to_string())).collect();
            assert_eq!(
                calls,
                [("a", "f", "{\"x\":1}".to_owned()), ("b", "g", "{}".to_owned())],
                "{caller:?}"
            );
        }
    }
}
