//! Gemini's `generateContent`: parts instead of deltas, tool arguments as whole objects, a finish reason
//! that does not tell calls from text, and signatures that a client must bring back.

use super::{Meta, seal};
use crate::brain::answer::{Choice, Counts, Finish, Piece};
use crate::brain::ask::{self, Ask, BadAsk, Force, Format, Offer, Role, Turn, list, text};
use crate::brain::demand::CRASHED;
use serde_json::{Map, Value, json};

/// What clients send in the place of a signature they do not have.
const PLACEHOLDER: &[u8] = b"skip_thought_signature_validator";

/// How answers look; decided by path, model and request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) framing: Framing,
    pub(crate) thinks: bool,
    /// Thoughts are parts of the answer, not only counted.
    pub(crate) shows_thoughts: bool,
    /// Calls have ids and answers have signatures: generation 3 and later.
    pub(crate) signs: bool,
}

/// How a stream is cut into responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `alt=sse`.
    Events,
    /// One JSON array that grows.
    Array,
}

impl Framing {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Events => "text/event-stream",
            Self::Array => "application/json; charset=UTF-8",
        }
    }
}

/// Reads a request whose names are in camel case and whose `model` is the one in the path.
pub(crate) fn read(form: Form, body: &Value) -> Result<Ask, BadAsk> {
    let mut turns = Vec::new();
    if let Some(system) = body.get("systemInstruction") {
        turns.push(Turn { role: Role::System, text: plain(system) });
    }
    turns.extend(list(body, "contents").into_iter().flatten().flat_map(content));
    let none = Value::Null;
    let config = body.get("generationConfig").unwrap_or(&none);
    let calling = body.pointer("/toolConfig/functionCallingConfig").unwrap_or(&none);
    let allowed: Vec<_> =
        list(calling, "allowedFunctionNames").into_iter().flatten().filter_map(Value::as_str).collect();
    let declared = list(body, "tools").into_iter().flatten().filter_map(|t| list(t, "functionDeclarations"));
    let offers = declared.flatten().filter_map(|declaration| {
        let schema = ["parametersJsonSchema", "parameters"].iter().find_map(|key| declaration.get(key));
        let schema = schema.map(plain_schema).unwrap_or_default();
        Some(Offer { name: declaration.get("name")?.as_str()?.to_owned(), schema })
    });
    let answers = ask::limit(config, &["candidateCount"])?.unwrap_or(1);
    Ok(Ask {
        model: text(body, "model").to_owned(),
        turns,
        tools: offers.filter(|o| allowed.is_empty() || allowed.contains(&o.name.as_str())).collect(),
        choice: match text(calling, "mode") {
            "ANY" => Force::Any,
            "NONE" => Force::Never,
            _ => Force::Auto,
        },
        limit: ask::limit(config, &["maxOutputTokens"])?,
        stops: ask::stops(config.get("stopSequences")),
        answers,
        thinks: form.thinks,
        format: match text(config, "responseMimeType") {
            "application/json" => {
                let schema = ["responseJsonSchema", "responseSchema"].iter().find_map(|key| config.get(key));
                Format::Json(schema.map_or_else(ask::any_object, plain_schema))
            }
            _ => Format::Prose,
        },
        ..Ask::default()
    })
}

/// A content's turns: every function response is one of its own.
fn content(content: &Value) -> Vec<Turn> {
    let parts = || list(content, "parts").into_iter().flatten();
    let results = parts().filter_map(|part| {
        let response = part.pointer("/functionResponse/response")?;
        let told = ["result", "content", "output"].iter().find_map(|key| response.get(key)?.as_str());
        Some(Turn { role: Role::Tool, text: told.map_or_else(|| response.to_string(), str::to_owned) })
    });
    let mut turns: Vec<_> = results.collect();
    let calls = parts().filter_map(|part| part.get("functionCall")).map(Value::to_string);
    let said = plain(content) + &calls.collect::<String>();
    if !said.is_empty() {
        let role = if text(content, "role") == "model" { Role::Assistant } else { Role::User };
        turns.push(Turn { role, text: said });
    }
    turns
}

/// The text of a content, thoughts left out.
fn plain(content: &Value) -> String {
    let parts = list(content, "parts").into_iter().flatten();
    parts.filter(|part| !ask::flag(part, "thought")).map(|part| text(part, "text")).collect()
}

/// A schema with its types in lower case, as JSON Schema spells them.
fn plain_schema(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let plain = fields.iter().map(|(key, value)| {
                let kind = value.as_str().filter(|_| key == "type");
                (key.clone(), kind.map_or_else(|| plain_schema(value), |kind| kind.to_lowercase().into()))
            });
            Value::Object(plain.collect())
        }
        Value::Array(list) => list.iter().map(plain_schema).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => schema.clone(),
    }
}

/// A whole `GenerateContentResponse`.
pub(crate) fn whole(form: Form, meta: &Meta, choices: &[Choice], counts: Counts) -> Value {
    let candidates = choices.iter().enumerate().map(|(index, choice)| {
        let mut parts = Vec::new();
        let thought = choice.thought();
        if form.shows_thoughts && !thought.is_empty() {
            parts.push(json!({"text": thought, "thought": true}));
        }
        let said = choice.text();
        if !said.is_empty() {
            parts.push(json!({"text": said}));
        }
        let calls = choice.calls();
        let whole: Vec<_> = calls
            .iter()
            .enumerate()
            .filter_map(|(nth, (id, name, arguments))| call(form, id, name, arguments, nth == 0))
            .collect();
        let malformed = whole.len() < calls.len();
        parts.extend(whole);
        if let Some(last) = parts.last_mut().filter(|_| form.signs && calls.is_empty())
            && let Some(fields) = last.as_object_mut()
        {
            fields.insert("thoughtSignature".to_owned(), signature(&meta.id, "").into());
        }
        let mut candidate = ending(&choice.finish, malformed);
        candidate.insert("content".to_owned(), json!({"parts": parts, "role": "model"}));
        candidate.insert("index".to_owned(), index.into());
        Value::Object(candidate)
    });
    response(meta, candidates.collect(), counts)
}

/// An answer as responses that are fragments of it.
#[derive(Debug)]
pub(crate) struct Stream {
    form: Form,
    meta: Meta,
    /// Of the prompt, and of the output so far.
    counts: Counts,
    candidates: Vec<Candidate>,
    begun: bool,
}

/// One of the answers being written.
#[derive(Debug, Clone, Default)]
struct Candidate {
    /// The call whose arguments are coming: id, name, arguments.
    open: Option<(String, String, String)>,
    called: bool,
    malformed: bool,
}

impl Stream {
    pub(crate) fn new(form: Form, meta: Meta, ask: &Ask) -> Self {
        let candidates = vec![Candidate::default(); ask.answers];
        Self { form, meta, counts: Counts::default(), candidates, begun: false }
    }

    /// Nothing is sent ahead of the first token.
    pub(crate) fn begin(&mut self, counts: Counts) -> String {
        self.counts = counts;
        String::new()
    }

    pub(crate) fn piece(&mut self, choice: usize, piece: &Piece) -> String {
        self.counts.output += 1;
        match piece {
            Piece::Think(thought) => {
                self.counts.reasoning += 1;
                if !self.form.shows_thoughts {
                    return String::new();
                }
                self.parts(choice, &[json!({"text": thought, "thought": true})])
            }
            Piece::Text(said) => self.parts(choice, &[json!({"text": said})]),
            Piece::Call { id, name } => {
                let before = self.flush(choice);
                if let Some(candidate) = self.candidates.get_mut(choice) {
                    candidate.open = Some((id.clone(), name.clone(), String::new()));
                }
                before
            }
            Piece::Arguments(part) => {
                let open = self.candidates.get_mut(choice).and_then(|candidate| candidate.open.as_mut());
                if let Some((_, _, arguments)) = open {
                    arguments.push_str(part);
                }
                String::new()
            }
        }
    }

    pub(crate) fn close(&mut self, choice: usize, finish: &Finish) -> String {
        let flushed = self.flush(choice);
        let state = self.candidates.get(choice).cloned().unwrap_or_default();
        let mut candidate = ending(finish, state.malformed);
        // A signature that belongs to no call comes with an empty part of its own.
        if self.form.signs && !state.called {
            let part = json!({"text": "", "thoughtSignature": signature(&self.meta.id, "")});
            candidate.insert("content".to_owned(), json!({"parts": [part], "role": "model"}));
        }
        candidate.insert("index".to_owned(), choice.into());
        flushed + &self.fragment(Value::Object(candidate))
    }

    pub(crate) fn fail(&mut self) -> String {
        let error = json!({"error": {"code": 500, "message": CRASHED, "status": "INTERNAL"}});
        self.frame(&error) + self.end()
    }

    pub(crate) fn end(&self) -> &'static str {
        match self.form.framing {
            Framing::Events => "",
            Framing::Array => "\n]",
        }
    }

    /// The call that was open, now that its arguments are whole.
    fn flush(&mut self, choice: usize) -> String {
        let Some(candidate) = self.candidates.get_mut(choice) else { return String::new() };
        let Some((id, name, arguments)) = candidate.open.take() else { return String::new() };
        let first = !std::mem::replace(&mut candidate.called, true);
        match call(self.form, &id, &name, &arguments, first) {
            Some(part) => self.parts(choice, &[part]),
            None => {
                candidate.malformed = true;
                String::new()
            }
        }
    }

    fn parts(&mut self, choice: usize, parts: &[Value]) -> String {
        self.fragment(json!({"content": {"parts": parts, "role": "model"}, "index": choice}))
    }

    fn fragment(&mut self, candidate: Value) -> String {
        self.frame(&response(&self.meta, vec![candidate], self.counts))
    }

    fn frame(&mut self, response: &Value) -> String {
        let first = !std::mem::replace(&mut self.begun, true);
        match (self.form.framing, first) {
            (Framing::Events, _) => format!("data: {response}\r\n\r\n"),
            (Framing::Array, true) => format!("[{response}"),
            (Framing::Array, false) => format!("\n,\r\n{response}"),
        }
    }
}

/// The part of a call; `None` when its arguments were cut and are no JSON.
fn call(form: Form, id: &str, name: &str, arguments: &str, first: bool) -> Option<Value> {
    let arguments: Value = serde_json::from_str(arguments).ok()?;
    let mut call = json!({"name": name, "args": arguments});
    let mut part = Map::new();
    if form.signs {
        call.as_object_mut()?.insert("id".to_owned(), id.into());
        // One signature stands for a group of parallel calls.
        if first {
            part.insert("thoughtSignature".to_owned(), signature(id, name).into());
        }
    }
    part.insert("functionCall".to_owned(), call);
    Some(Value::Object(part))
}

/// A candidate's last words.
fn ending(finish: &Finish, malformed: bool) -> Map<String, Value> {
    let reason = match finish {
        _ if malformed => "MALFORMED_FUNCTION_CALL",
        Finish::Stop | Finish::StopString(_) | Finish::Calls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::Refused => "SAFETY",
    };
    let mut candidate = Map::from_iter([("finishReason".to_owned(), reason.into())]);
    if *finish == Finish::Refused {
        let category = "HARM_CATEGORY_DANGEROUS_CONTENT";
        let rating = json!([{"category": category, "probability": "HIGH", "blocked": true}]);
        candidate.insert("safetyRatings".to_owned(), rating);
    }
    candidate
}

fn response(meta: &Meta, candidates: Vec<Value>, counts: Counts) -> Value {
    json!({
        "candidates": candidates,
        "usageMetadata": usage(counts),
        "modelVersion": meta.model,
        "responseId": meta.id,
    })
}

/// The prompt includes what the cache served; candidates leave out thoughts.
fn usage(counts: Counts) -> Value {
    let mut usage = Map::from_iter([
        ("promptTokenCount".to_owned(), counts.prompt.into()),
        ("candidatesTokenCount".to_owned(), (counts.output - counts.reasoning).into()),
        ("totalTokenCount".to_owned(), (counts.prompt + counts.output).into()),
        ("promptTokensDetails".to_owned(), json!([{"modality": "TEXT", "tokenCount": counts.prompt}])),
    ]);
    for (name, count) in
        [("cachedContentTokenCount", counts.cached), ("thoughtsTokenCount", counts.reasoning)]
    {
        if count > 0 {
            usage.insert(name.to_owned(), count.into());
        }
    }
    Value::Object(usage)
}

/// What a client must bring back with a call of function `name`, or with text when there is no name.
///
pub(crate) fn signature(id: &str, name: &str) -> String {
    seal::seal(id, name)
}

/// Whether `signature` is one of ours for `name`, or says that there is none to bring.
pub(crate) fn vouches(signature: &str, name: &str) -> bool {
    let Some(bytes) = seal::bytes(signature) else { return false };
    if bytes == PLACEHOLDER || signature.as_bytes() == PLACEHOLDER {
        return true;
    }
    seal::is_seal(&bytes, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_vouch_for_their_call_alone() {
        let genuine = signature("c1", "get_rain");
        let altered = genuine.replacen(genuine.chars().next().unwrap(), "z", 1);
        for (given, name, fine) in [
            (genuine.as_str(), "get_rain", true),
            (&genuine, "get_time", false),
            (&genuine, "", false),
            (&altered, "get_rain", false),
            (&signature("m1", ""), "", true),
            ("c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=", "get_rain", true),
            ("skip_thought_signature_validator", "get_rain", true),
            ("AAAA", "get_rain", false),
            ("not base64!", "get_rain", false),
        ] {
            assert_eq!(vouches(given, name), fine, "{given} {name}");
        }
    }

    #[test]
    fn requests_are_read() {
        let body = json!({
            "systemInstruction": {"parts": [{"text": "s"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "hi"}]},
                {"role": "model", "parts": [{"text": "hm", "thought": true}, {"text": "well"}]},
                {"role": "user", "parts": [
                    {"functionResponse": {"name": "f", "response": {"result": "42"}}},
                    {"functionResponse": {"name": "f", "response": {"x": 1}}},
                ]},
            ],
            "tools": [{"functionDeclarations": [
                {"name": "f", "parameters": {"type": "OBJECT", "properties": {"type": {"type": "STRING"}}}},
                {"name": "g", "parametersJsonSchema": {"type": "object"}},
            ]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
            "generationConfig": {"maxOutputTokens": 7, "stopSequences": ["x"], "candidateCount": 2},
        });
        let form = Form { framing: Framing::Events, thinks: true, shows_thoughts: false, signs: true };
        let ask = read(form, &body).unwrap();
        let said: Vec<_> = ask.turns.iter().map(|turn| (turn.role, turn.text.as_str())).collect();
        let expected = [
            (Role::System, "s"),
            (Role::User, "hi"),
            (Role::Assistant, "well"),
            (Role::Tool, "42"),
            (Role::Tool, "{\"x\":1}"),
        ];
        assert_eq!(said, expected);
        assert_eq!((ask.tools.len(), ask.tools[0].name.as_str(), &ask.choice), (1, "f", &Force::Any));
        assert_eq!(ask.tools[0].schema["properties"]["type"], json!({"type": "string"}));
        assert_eq!((ask.limit, ask.stops, ask.answers), (Some(7), vec!["x".to_owned()], 2));
    }

    #[test]
    fn counts_leave_thoughts_out_of_candidates() {
        let counts = Counts { prompt: 10, cached: 4, written: 0, output: 7, reasoning: 2 };
        let told = usage(counts);
        for (key, value) in [
            ("promptTokenCount", 10),
            ("cachedContentTokenCount", 4),
            ("candidatesTokenCount", 5),
            ("thoughtsTokenCount", 2),
            ("totalTokenCount", 17),
        ] {
            assert_eq!(told[key], value, "{key}");
        }
    }
}
