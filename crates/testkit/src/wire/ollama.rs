//! Ollama's own endpoints, `/api/chat` and `/api/generate`: newline-delimited JSON unless asked
//! otherwise, times in nanoseconds, tool arguments as objects and whole, tool calls without ids.

use super::Meta;
use crate::brain::answer::{Choice, Counts, Finish, Piece};
use crate::brain::ask::{self, Ask, BadAsk, Format, Role, Turn, flag, list, plain, text};
use serde_json::{Map, Value, json};

/// What a token takes in the times reported, in nanoseconds.
const TOKEN_NS: usize = 7_000_000;

/// Which of the two endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Chat,
    Generate,
}

/// Reads a request to `endpoint`.
pub(crate) fn read(endpoint: Endpoint, body: &Value) -> Result<Ask, BadAsk> {
    let mut turns = Vec::new();
    match endpoint {
        Endpoint::Chat => {
            let messages =
                list(body, "messages").ok_or_else(|| BadAsk::new("messages", "messages is required"))?;
            for message in messages {
                let role = ask::role(text(message, "role")).unwrap_or(Role::User);
                let calls = message.get("tool_calls").map(Value::to_string).unwrap_or_default();
                turns.push(Turn { role, text: plain(message.get("content")) + &calls });
            }
        }
        Endpoint::Generate => {
            let system = text(body, "system");
            if !system.is_empty() {
                turns.push(Turn { role: Role::System, text: system.to_owned() });
            }
            turns.push(Turn { role: Role::User, text: text(body, "prompt").to_owned() });
        }
    }
    let tools = list(body, "tools").into_iter().flatten();
    let options = body.get("options").unwrap_or(&Value::Null);
    // -1 and -2 mean "no limit" and "fill the context".
    let limit = options.get("num_predict").and_then(Value::as_u64).filter(|limit| *limit > 0);
    Ok(Ask {
        model: text(body, "model").to_owned(),
        turns,
        tools: tools.filter_map(|tool| ask::offer(tool.get("function")?, "parameters")).collect(),
        limit: limit.and_then(|limit| usize::try_from(limit).ok()),
        stops: ask::stops(options.get("stop")),
        answers: 1,
        // true, or "low", "medium", "high".
        thinks: flag(body, "think") || !text(body, "think").is_empty(),
        format: match body.get("format") {
            Some(Value::String(name)) if name == "json" => Format::Json(ask::any_object()),
            Some(Value::Object(schema)) => Format::Json(Value::Object(schema.clone())),
            Some(_) | None => Format::Prose,
        },
        streams: body.get("stream") != Some(&Value::Bool(false)),
        ..Ask::default()
    })
}

/// The whole answer: the last line of the stream, with everything in it.
pub(crate) fn whole(endpoint: Endpoint, meta: &Meta, choices: &[Choice], counts: Counts) -> Value {
    let Some(choice) = choices.first() else { return Value::Null };
    let calls = choice.calls().into_iter().map(|(_, name, arguments)| call(&name, &arguments));
    let last = ending(&choice.finish, counts);
    line(endpoint, meta, &choice.text(), &choice.thought(), &calls.collect::<Vec<_>>(), last)
}

/// The answer as lines.
#[derive(Debug)]
pub(crate) struct Stream {
    endpoint: Endpoint,
    meta: Meta,
    /// The tool call whose arguments are coming.
    open: Option<(String, String)>,
    finish: Finish,
}

impl Stream {
    pub(crate) fn new(endpoint: Endpoint, meta: Meta) -> Self {
        Self { endpoint, meta, open: None, finish: Finish::Stop }
    }

    pub(crate) fn piece(&mut self, piece: &Piece) -> String {
        match piece {
            Piece::Think(thought) => self.line("", thought, &[]),
            Piece::Text(text) => self.line(text, "", &[]),
            Piece::Call { name, .. } => {
                let before = self.flush();
                self.open = Some((name.clone(), String::new()));
                before
            }
            Piece::Arguments(part) => {
                if let Some((_, arguments)) = self.open.as_mut() {
                    arguments.push_str(part);
                }
                String::new()
            }
        }
    }

    pub(crate) fn close(&mut self, finish: &Finish) -> String {
        self.finish = finish.clone();
        self.flush()
    }

    pub(crate) fn end(&self, counts: Counts) -> String {
        let last = line(self.endpoint, &self.meta, "", "", &[], ending(&self.finish, counts));
        format!("{last}\n")
    }

    fn flush(&mut self) -> String {
        let Some((name, arguments)) = self.open.take() else { return String::new() };
        self.line("", "", &[call(&name, &arguments)])
    }

    fn line(&self, text: &str, thought: &str, calls: &[Value]) -> String {
        let going_on = Map::from_iter([("done".to_owned(), false.into())]);
        format!("{}\n", line(self.endpoint, &self.meta, text, thought, calls, going_on))
    }
}

fn line(
    endpoint: Endpoint,
    meta: &Meta,
    text: &str,
    thought: &str,
    calls: &[Value],
    mut rest: Map<String, Value>,
) -> Value {
    rest.insert("model".to_owned(), meta.model.as_str().into());
    rest.insert("created_at".to_owned(), rfc3339(meta.created).into());
    let mut message = Map::new();
    if !thought.is_empty() {
        message.insert("thinking".to_owned(), thought.into());
    }
    match endpoint {
        Endpoint::Chat => {
            message.insert("role".to_owned(), "assistant".into());
            message.insert("content".to_owned(), text.into());
            if !calls.is_empty() {
                message.insert("tool_calls".to_owned(), calls.into());
            }
            rest.insert("message".to_owned(), message.into());
        }
        Endpoint::Generate => {
            rest.extend(message);
            rest.insert("response".to_owned(), text.into());
        }
    }
    Value::Object(rest)
}

fn call(name: &str, arguments: &str) -> Value {
    let arguments: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
    json!({"function": {"name": name, "arguments": arguments}})
}

fn ending(finish: &Finish, counts: Counts) -> Map<String, Value> {
    let reason = match finish {
        Finish::Stop | Finish::StopString(_) | Finish::Calls | Finish::Refused => "stop",
        Finish::Length => "length",
    };
    let (prompt_ns, output_ns) = (counts.prompt * TOKEN_NS / 50, counts.output * TOKEN_NS);
    let fields = json!({
        "done": true, "done_reason": reason,
        "total_duration": TOKEN_NS + prompt_ns + output_ns, "load_duration": TOKEN_NS,
        "prompt_eval_count": counts.prompt, "prompt_eval_duration": prompt_ns,
        "eval_count": counts.output, "eval_duration": output_ns,
    });
    if let Value::Object(fields) = fields { fields } else { Map::new() }
}

/// `seconds` since the Unix epoch as a UTC timestamp; proleptic Gregorian, by counting 400-year eras
/// that begin on 1 March.
fn rfc3339(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days from 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_790_000_000, "2026-09-21T14:13:20Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), date);
        }
    }
}
