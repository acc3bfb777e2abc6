//! What an answer says, read off its bytes as a client of each dialect would read it, by the grammar that
//! client's library holds it to: order, indexes, one terminal event, usage once.

use super::node::Node;
use super::story::{Counts, Done, Said, Told};
use super::wire::{Frame, frames, lines, sse};

/// How a stream ended, and what it had said until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    Whole(Told),
    Failed { said: Vec<Said>, trouble: Trouble },
}

/// An error as its client can tell it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) word: String,
    pub(super) message: String,
}

/// An answer while it is collected.
#[derive(Debug, Default)]
struct Collected {
    said: Vec<Said>,
    done: Option<Done>,
    counts: Option<Counts>,
    trouble: Option<Trouble>,
    /// The last event of the dialect has come.
    ended: bool,
}

impl Collected {
    fn thought(&mut self, text: &str) {
        match self.said.last_mut() {
            Some(Said::Thought(before)) => before.push_str(text),
            _ if text.is_empty() => {}
            _ => self.said.push(Said::Thought(text.to_owned())),
        }
    }

    fn words(&mut self, text: &str) {
        match self.said.last_mut() {
            Some(Said::Words(before)) => before.push_str(text),
            _ if text.is_empty() => {}
            _ => self.said.push(Said::Words(text.to_owned())),
        }
    }

    fn call(&mut self, id: Option<String>, name: Option<String>, arguments: &str) -> Result<(), String> {
        let id = id.filter(|id| !id.is_empty()).ok_or("a call without an id")?;
        let name = name.filter(|name| !name.is_empty()).ok_or("a call without a name")?;
        self.said.push(Said::Call { id, name, arguments: arguments.to_owned() });
        Ok(())
    }

    fn calls(&self) -> usize {
        self.said.iter().filter(|said| matches!(said, Said::Call { .. })).count()
    }

    /// More arguments of the call that came as number `at`.
    fn arguments(&mut self, at: usize, more: &str) -> Result<(), String> {
        let mut calls = self.said.iter_mut().filter_map(|said| match said {
            Said::Call { arguments, .. } => Some(arguments),
            _ => None,
        });
        calls.nth(at).map(|arguments| arguments.push_str(more)).ok_or(format!("no call {at} is open"))
    }

    fn usage(&mut self, counts: Counts) -> Result<(), String> {
        match self.counts.replace(counts) {
            Some(_) => Err("usage is told twice".into()),
            None => Ok(()),
        }
    }

    fn finish(&mut self, done: Done) -> Result<(), String> {
        match self.done.replace(done) {
            Some(_) => Err("the answer finishes twice".into()),
            None => Ok(()),
        }
    }

    fn fail(&mut self, trouble: Trouble) {
        self.trouble = Some(trouble);
        self.ended = true;
    }

    /// Nothing may follow the end.
    fn going_on(&self, event: &str) -> Result<(), String> {
        if self.ended { Err(format!("after the end comes {event}")) } else { Ok(()) }
    }

    fn heard(self) -> Result<Heard, String> {
        match (self.trouble, self.ended) {
            (Some(trouble), _) => Ok(Heard::Failed { said: self.said, trouble }),
            (None, false) => Err("the stream just stops".into()),
            (None, true) => Ok(Heard::Whole(Told {
                said: self.said,
                done: self.done.ok_or("no finish reason")?,
                counts: self.counts,
            })),
        }
    }

    fn whole(self) -> Result<Told, String> {
        match (Self { ended: true, ..self }).heard()? {
            Heard::Whole(told) => Ok(told),
            Heard::Failed { trouble, .. } => Err(format!("{trouble:?}")),
        }
    }
}

fn unexpected<T>(what: &str, node: Node<'_>) -> Result<T, String> {
    Err(format!("{what}: {}", node.raw()))
}

fn done(word: Option<&str>, stop: &str, calls: &str) -> Result<Done, String> {
    match word {
        Some(word) if word == calls => Ok(Done::Calls),
        Some(word) if word == stop => Ok(Done::Stop),
        other => Err(format!("finish reason {other:?}")),
    }
}

// --- OpenAI Chat --------------------------------------------------------------------------------------

pub(super) fn openai_chat(body: &str) -> Result<Told, String> {
    let body = Node::read(body)?;
    let choices = body.each("choices");
    let [choice] = choices.as_slice() else { return unexpected("choices", body) };
    let message = choice.need("message")?;
    let mut out = Collected::default();
    if !body.is("object", "chat.completion")
        || !message.is("role", "assistant")
        || choice.count("index") != Some(0)
    {
        return unexpected("head", body);
    }
    out.thought(&message.text("reasoning_content").unwrap_or_default());
    out.words(&message.text("content").unwrap_or_default());
    for call in message.each("tool_calls") {
        let arguments = call.text("function.arguments").ok_or("arguments are no text")?;
        out.call(call.text("id"), call.text("function.name"), &arguments)?;
    }
    out.finish(done(choice.text("finish_reason").as_deref(), "stop", "tool_calls")?)?;
    out.usage(openai_counts(body.need("usage")?)?)?;
    out.whole()
}

fn openai_counts(usage: Node<'_>) -> Result<Counts, String> {
    let need = |path: &str| usage.count(path).ok_or(format!("no {path} in {}", usage.raw()));
    let (input, output) = (need("prompt_tokens")?, need("completion_tokens")?);
    if need("total_tokens")? != input + output {
        return unexpected("total", usage);
    }
    Ok(Counts {
        input,
        output,
        read: usage.count("prompt_tokens_details.cached_tokens").unwrap_or(0),
        written: usage.count("prompt_tokens_details.cache_write_tokens").unwrap_or(0),
    })
}

pub(super) fn openai_chat_stream(bytes: &[u8]) -> Result<Heard, String> {
    let mut out = Collected::default();
    let mut head: Option<[Option<String>; 3]> = None;
    let mut role = false;
    for (_, data) in sse(bytes)? {
        out.going_on(&data)?;
        if data == "[DONE]" {
            out.ended = true;
            continue;
        }
        let chunk = Node::read(&data)?;
        if chunk.get("error").is_some() {
            out.fail(openai_error(&data)?);
            continue;
        }
        let own = [chunk.text("id"), chunk.text("model"), chunk.get("created").map(|at| at.raw().to_owned())];
        if !chunk.is("object", "chat.completion.chunk") || head.get_or_insert(own.clone()) != &own {
            return unexpected("head", chunk);
        }
        if let Some(usage) = chunk.get("usage") {
            if !chunk.each("choices").is_empty() {
                return unexpected("usage beside choices", chunk);
            }
            out.usage(openai_counts(usage)?)?;
        }
        for choice in chunk.each("choices") {
            let delta = choice.need("delta")?;
            if out.done.is_some() || choice.count("index") != Some(0) {
                return unexpected("a choice", chunk);
            }
            if delta.get("role").is_some() && std::mem::replace(&mut role, true) {
                return unexpected("a second role", chunk);
            }
            out.thought(&delta.text("reasoning_content").unwrap_or_default());
            out.words(&delta.text("content").unwrap_or_default());
            for call in delta.each("tool_calls") {
                let at = call.count("index").ok_or("a call without an index")?;
                let at = usize::try_from(at).map_err(|error| error.to_string())?;
                if at == out.calls() {
                    out.call(call.text("id"), call.text("function.name"), "")?;
                }
                out.arguments(at, &call.text("function.arguments").unwrap_or_default())?;
            }
            if let Some(word) = choice.text("finish_reason") {
                out.finish(done(Some(&word), "stop", "tool_calls")?)?;
            }
        }
    }
    if out.trouble.is_none() && !role { Err("no role".into()) } else { out.heard() }
}

pub(super) fn openai_error(body: &str) -> Result<Trouble, String> {
    let body = Node::read(body)?;
    let message = body.text("error.message").ok_or("no error.message")?;
    let kind = body.text("error.type").ok_or("no error.type")?;
    Ok(Trouble { word: body.text("error.code").unwrap_or(kind), message })
}

// --- OpenAI Completions -------------------------------------------------------------------------------

pub(super) fn openai_completions(body: &str) -> Result<Told, String> {
    let body = Node::read(body)?;
    let choices = body.each("choices");
    let [choice] = choices.as_slice() else { return unexpected("choices", body) };
    let mut out = Collected::default();
    if !body.is("object", "text_completion") || choice.count("index") != Some(0) {
        return unexpected("head", body);
    }
    out.words(&choice.text("text").ok_or("no text")?);
    out.finish(done(choice.text("finish_reason").as_deref(), "stop", "")?)?;
    out.usage(openai_counts(body.need("usage")?)?)?;
    out.whole()
}

pub(super) fn openai_completions_stream(bytes: &[u8]) -> Result<Heard, String> {
    let mut out = Collected::default();
    for (_, data) in sse(bytes)? {
        out.going_on(&data)?;
        if data == "[DONE]" {
            out.ended = true;
            continue;
        }
        let chunk = Node::read(&data)?;
        if chunk.get("error").is_some() {
            out.fail(openai_error(&data)?);
            continue;
        }
        if !chunk.is("object", "text_completion") {
            return unexpected("head", chunk);
        }
        if let Some(usage) = chunk.get("usage") {
            out.usage(openai_counts(usage)?)?;
        }
        for choice in chunk.each("choices") {
            out.words(&choice.text("text").ok_or("no text")?);
            if let Some(word) = choice.text("finish_reason") {
                out.finish(done(Some(&word), "stop", "")?)?;
            }
        }
    }
    out.heard()
}

// --- OpenAI Responses ---------------------------------------------------------------------------------

pub(super) fn openai_responses(body: &str) -> Result<Told, String> {
    response(Node::read(body)?)
}

fn response(body: Node<'_>) -> Result<Told, String> {
    let mut out = Collected::default();
    if !body.is("object", "response") || !body.is("status", "completed") {
        return unexpected("head", body);
    }
    for item in body.each("output") {
        item.text("id").ok_or("an item without an id")?;
        match item.text("type").as_deref() {
            Some("reasoning") => {
                for part in item.each("summary").into_iter().chain(item.each("content")) {
                    out.thought(&part.text("text").unwrap_or_default());
                }
            }
            Some("message") if item.is("role", "assistant") => {
                for part in item.each("content") {
                    if !part.is("type", "output_text") || part.get("annotations").is_none() {
                        return unexpected("a part", part);
                    }
                    out.words(&part.text("text").unwrap_or_default());
                }
            }
            Some("function_call") => {
                let arguments = item.text("arguments").ok_or("arguments are no text")?;
                out.call(item.text("call_id"), item.text("name"), &arguments)?;
            }
            _ => return unexpected("an item", item),
        }
    }
    out.finish(if out.calls() > 0 { Done::Calls } else { Done::Stop })?;
    if let Some(usage) = body.get("usage") {
        out.usage(responses_counts(usage)?)?;
    }
    out.whole()
}

fn responses_counts(usage: Node<'_>) -> Result<Counts, String> {
    let need = |path: &str| usage.count(path).ok_or(format!("no {path} in {}", usage.raw()));
    let (input, output) = (need("input_tokens")?, need("output_tokens")?);
    if need("total_tokens")? != input + output {
        return unexpected("total", usage);
    }
    need("output_tokens_details.reasoning_tokens")?;
    let written = usage.count("input_tokens_details.cache_write_tokens").unwrap_or(0);
    Ok(Counts { input, output, read: need("input_tokens_details.cached_tokens")?, written })
}

/// The items as their deltas built them must be the ones the last event shows.
pub(super) fn openai_responses_stream(bytes: &[u8]) -> Result<Heard, String> {
    let mut out = Collected::default();
    let mut whole = None;
    let mut open: Vec<(u64, String)> = Vec::new();
    for (at, (name, data)) in sse(bytes)?.into_iter().enumerate() {
        out.going_on(&data)?;
        let event = Node::read(&data)?;
        let kind = event.text("type").ok_or("an event without a type")?;
        let number = event.count("sequence_number");
        if name.as_deref() != Some(kind.as_str()) || number != u64::try_from(at).ok() {
            return unexpected("an event's head", event);
        }
        let expected = match at {
            0 => "response.created",
            1 => "response.in_progress",
            _ => kind.as_str(),
        };
        if kind != expected && kind != "error" && kind != "response.failed" {
            return unexpected("out of order", event);
        }
        let text = || event.text("delta").ok_or("a delta without text");
        match kind.as_str() {
            "response.output_item.added" => {
                let item = event.need("item")?;
                let at = event.count("output_index").ok_or("no output_index")?;
                let seen = u64::try_from(open.len()).unwrap_or(u64::MAX);
                if at != seen {
                    return unexpected("output_index", event);
                }
                open.push((at, item.text("id").ok_or("an item without an id")?));
                if item.is("type", "function_call") {
                    out.call(item.text("call_id"), item.text("name"), "")?;
                }
            }
            "response.output_text.delta" => out.words(&text()?),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                out.thought(&text()?)
            }
            "response.function_call_arguments.delta" => out.arguments(out.calls() - 1, &text()?)?,
            "response.completed" => {
                out.ended = true;
                whole = Some(response(event.need("response")?)?);
            }
            "error" => {
                let word = event.text("code").or(event.text("error.code")).unwrap_or_default();
                let message = event.text("message").or(event.text("error.message")).unwrap_or_default();
                out.fail(Trouble { word, message });
            }
            "response.failed" => {
                let word = event.text("response.error.code").ok_or("no code")?;
                let message = event.text("response.error.message").ok_or("no message")?;
                out.fail(Trouble { word, message });
            }
            _ => {}
        }
        if let Some(item) = event.text("item_id")
            && !open.contains(&(event.count("output_index").ok_or("no output_index")?, item))
        {
            return unexpected("an item that is not open", event);
        }
    }
    match whole {
        Some(whole) if whole.said == out.said => Ok(Heard::Whole(whole)),
        Some(whole) => Err(format!("deltas say {:?}, the end says {:?}", out.said, whole.said)),
        None => out.heard(),
    }
}

// --- Anthropic Messages -------------------------------------------------------------------------------

pub(super) fn anthropic_messages(body: &str) -> Result<Told, String> {
    let body = Node::read(body)?;
    let mut out = Collected::default();
    if !body.is("type", "message") || !body.is("role", "assistant") || body.raw().contains(r#""text":"""#) {
        return unexpected("head", body);
    }
    for block in body.each("content") {
        match block.text("type").as_deref() {
            Some("thinking") => {
                block.text("signature").ok_or("thoughts without a signature")?;
                out.thought(&block.text("thinking").ok_or("no thinking")?);
            }
            Some("text") => out.words(&block.text("text").ok_or("no text")?),
            Some("tool_use") => out.call(block.text("id"), block.text("name"), block.need("input")?.raw())?,
            _ => return unexpected("a block", block),
        }
    }
    out.finish(done(body.text("stop_reason").as_deref(), "end_turn", "tool_use")?)?;
    out.usage(anthropic_counts(body.need("usage")?)?)?;
    out.whole()
}

fn anthropic_counts(usage: Node<'_>) -> Result<Counts, String> {
    let need = |path: &str| usage.count(path).ok_or(format!("no {path} in {}", usage.raw()));
    let read = usage.count("cache_read_input_tokens").unwrap_or(0);
    let written = usage.count("cache_creation_input_tokens").unwrap_or(0);
    Ok(Counts {
        input: need("input_tokens")? + read + written,
        output: need("output_tokens")?,
        read,
        written,
    })
}

pub(super) fn anthropic_messages_stream(bytes: &[u8]) -> Result<Heard, String> {
    let mut out = Collected::default();
    let (mut begun, mut blocks, mut open) = (false, 0, None::<String>);
    for (name, data) in sse(bytes)? {
        out.going_on(&data)?;
        let event = Node::read(&data)?;
        let kind = event.text("type").ok_or("an event without a type")?;
        if name.as_deref() != Some(kind.as_str())
            || (!begun && !["message_start", "error", "ping"].contains(&kind.as_str()))
        {
            return unexpected("an event's head", event);
        }
        let index = event.count("index");
        match kind.as_str() {
            "message_start" if !begun => {
                begun = true;
                event.need("message.usage")?;
            }
            "ping" => {}
            "content_block_start" if open.is_none() && index == Some(blocks) => {
                let block = event.need("content_block")?;
                open = block.text("type");
                if block.is("type", "tool_use") {
                    out.call(block.text("id"), block.text("name"), "")?;
                }
            }
            "content_block_delta" if open.is_some() && index == Some(blocks) => {
                let delta = event.need("delta")?;
                match (open.as_deref(), delta.text("type").as_deref()) {
                    (Some("text"), Some("text_delta")) => out.words(&delta.text("text").ok_or("no text")?),
                    (Some("thinking"), Some("thinking_delta")) => {
                        out.thought(&delta.text("thinking").ok_or("no text")?)
                    }
                    (Some("thinking"), Some("signature_delta")) => {}
                    (Some("tool_use"), Some("input_json_delta")) => {
                        out.arguments(out.calls() - 1, &delta.text("partial_json").ok_or("no text")?)?;
                    }
                    _ => return unexpected("a delta", event),
                }
            }
            "content_block_stop" if open.is_some() && index == Some(blocks) => {
                open = None;
                blocks += 1;
            }
            "message_delta" if open.is_none() => {
                out.finish(done(event.text("delta.stop_reason").as_deref(), "end_turn", "tool_use")?)?;
                out.usage(anthropic_counts(event.need("usage")?)?)?;
            }
            "message_stop" => out.ended = true,
            "error" => out.fail(anthropic_error(&data)?),
            _ => return unexpected("out of order", event),
        }
    }
    // An input that nothing was said about is an empty object.
    for said in &mut out.said {
        if let Said::Call { arguments, .. } = said
            && arguments.is_empty()
        {
            arguments.push_str("{}");
        }
    }
    out.heard()
}

pub(super) fn anthropic_error(body: &str) -> Result<Trouble, String> {
    let body = Node::read(body)?;
    let (word, message) = (body.text("error.type"), body.text("error.message"));
    if !body.is("type", "error") {
        return unexpected("type", body);
    }
    Ok(Trouble { word: word.ok_or("no error.type")?, message: message.ok_or("no error.message")? })
}

// --- Gemini -------------------------------------------------------------------------------------------

pub(super) fn gemini_generate(body: &str) -> Result<Told, String> {
    let mut out = Collected::default();
    fragment(Node::read(body)?, &mut out)?;
    out.whole()
}

fn fragment(body: Node<'_>, out: &mut Collected) -> Result<(), String> {
    body.text("responseId").ok_or("no responseId")?;
    body.text("modelVersion").ok_or("no modelVersion")?;
    for candidate in body.each("candidates") {
        for part in candidate.each("content.parts") {
            if let Some(call) = part.get("functionCall") {
                out.call(call.text("id"), call.text("name"), call.get("args").map_or("{}", Node::raw))?;
            } else if part.get("thought").is_some_and(|on| on.raw() == "true") {
                out.thought(&part.text("text").ok_or("no text")?);
            } else {
                out.words(&part.text("text").ok_or("no text")?);
            }
        }
        if let Some(word) = candidate.text("finishReason") {
            done(Some(&word), "STOP", "")?;
            out.finish(if out.calls() > 0 { Done::Calls } else { Done::Stop })?;
        }
    }
    if let Some(usage) = body.get("usageMetadata") {
        let need = |path: &str| usage.count(path).ok_or(format!("no {path} in {}", usage.raw()));
        let (input, total) = (need("promptTokenCount")?, need("totalTokenCount")?);
        let output = need("candidatesTokenCount")? + usage.count("thoughtsTokenCount").unwrap_or(0);
        if total != input + output {
            return unexpected("total", usage);
        }
        let read = usage.count("cachedContentTokenCount").unwrap_or(0);
        out.usage(Counts { input, output, read, written: 0 })?;
    }
    Ok(())
}

pub(super) fn gemini_generate_stream(bytes: &[u8]) -> Result<Heard, String> {
    let mut out = Collected::default();
    for (name, data) in sse(bytes)? {
        let event = Node::read(&data)?;
        if out.done.is_some() || out.ended || name.is_some() {
            return unexpected("after the end, or named", event);
        }
        match event.get("error") {
            Some(_) => out.fail(gemini_error(&data)?),
            None => fragment(event, &mut out)?,
        }
    }
    out.ended = out.ended || out.done.is_some();
    out.heard()
}

pub(super) fn gemini_error(body: &str) -> Result<Trouble, String> {
    let body = Node::read(body)?;
    body.count("error.code").ok_or("no error.code")?;
    let word = body.text("error.status").ok_or("no error.status")?;
    Ok(Trouble { word, message: body.text("error.message").ok_or("no error.message")? })
}

// --- Ollama -------------------------------------------------------------------------------------------

pub(super) fn ollama_chat(body: &str) -> Result<Told, String> {
    let mut out = Collected::default();
    line(Node::read(body)?, "message", &mut out)?;
    out.whole()
}

pub(super) fn ollama_chat_stream(bytes: &[u8]) -> Result<Heard, String> {
    ollama_lines(bytes, "message")
}

pub(super) fn ollama_generate(body: &str) -> Result<Told, String> {
    let mut out = Collected::default();
    line(Node::read(body)?, "", &mut out)?;
    out.whole()
}

pub(super) fn ollama_generate_stream(bytes: &[u8]) -> Result<Heard, String> {
    ollama_lines(bytes, "")
}

fn ollama_lines(bytes: &[u8], inside: &str) -> Result<Heard, String> {
    let mut out = Collected::default();
    for text in lines(bytes)? {
        out.going_on(&text)?;
        let event = Node::read(&text)?;
        match event.get("error") {
            Some(_) => out.fail(ollama_error(&text)?),
            None => line(event, inside, &mut out)?,
        }
    }
    out.heard()
}

fn line(body: Node<'_>, inside: &str, out: &mut Collected) -> Result<(), String> {
    let message = if inside.is_empty() { body } else { body.need(inside)? };
    body.text("model").ok_or("no model")?;
    body.text("created_at").ok_or("no created_at")?;
    out.thought(&message.text("thinking").unwrap_or_default());
    out.words(&message.text(if inside.is_empty() { "response" } else { "content" }).ok_or("no words")?);
    for call in message.each("tool_calls") {
        out.call(call.text("id"), call.text("function.name"), call.need("function.arguments")?.raw())?;
    }
    if body.need("done")?.raw() == "true" {
        out.ended = true;
        let calls = if out.calls() > 0 { Done::Calls } else { Done::Stop };
        done(body.text("done_reason").as_deref(), "stop", "")?;
        out.finish(calls)?;
        let counts = (body.count("prompt_eval_count"), body.count("eval_count"));
        if let (Some(input), Some(output)) = counts {
            out.usage(Counts { input, output, ..Counts::default() })?;
        }
    }
    Ok(())
}

/// These clients have nothing but the words, and the status of a whole answer.
pub(super) fn ollama_error(body: &str) -> Result<Trouble, String> {
    let message = Node::read(body)?.text("error").ok_or("no error")?;
    Ok(Trouble { word: String::new(), message })
}

// --- Bedrock ------------------------------------------------------------------------------------------

pub(super) fn bedrock_converse(body: &str) -> Result<Told, String> {
    let body = Node::read(body)?;
    let mut out = Collected::default();
    if !body.is("output.message.role", "assistant") {
        return unexpected("head", body);
    }
    for block in body.each("output.message.content") {
        if let Some(thought) = block.get("reasoningContent.reasoningText") {
            out.thought(&thought.text("text").ok_or("no text")?);
        } else if block.get("reasoningContent.redactedContent").is_some() {
            // Nothing to show.
        } else if let Some(call) = block.get("toolUse") {
            out.call(call.text("toolUseId"), call.text("name"), call.need("input")?.raw())?;
        } else {
            out.words(&block.text("text").ok_or_else(|| format!("a block: {}", block.raw()))?);
        }
    }
    out.finish(done(body.text("stopReason").as_deref(), "end_turn", "tool_use")?)?;
    out.usage(bedrock_counts(body)?)?;
    out.whole()
}

fn bedrock_counts(body: Node<'_>) -> Result<Counts, String> {
    let usage = body.need("usage")?;
    body.need("metrics.latencyMs")?;
    let need = |path: &str| usage.count(path).ok_or(format!("no {path} in {}", usage.raw()));
    let read = usage.count("cacheReadInputTokens").unwrap_or(0);
    let written = usage.count("cacheWriteInputTokens").unwrap_or(0);
    let (input, output) = (need("inputTokens")? + read + written, need("outputTokens")?);
    if need("totalTokens")? != input + output {
        return unexpected("total", usage);
    }
    Ok(Counts { input, output, read, written })
}

pub(super) fn bedrock_converse_stream(bytes: &[u8]) -> Result<Heard, String> {
    let mut out = Collected::default();
    let (mut begun, mut block, mut open) = (false, 0, false);
    for Frame { kind, payload, is_exception } in frames(bytes)? {
        out.going_on(&payload)?;
        let event = Node::read(&payload)?;
        if is_exception {
            out.fail(Trouble { word: kind, message: event.text("message").ok_or("no message")? });
            continue;
        }
        if !begun && kind != "messageStart" {
            return unexpected("before the start", event);
        }
        let index = event.count("contentBlockIndex");
        match kind.as_str() {
            "messageStart" if !begun && event.is("role", "assistant") => begun = true,
            "contentBlockStart" if !open && index == Some(block) => {
                let call = event.need("start.toolUse")?;
                open = true;
                out.call(call.text("toolUseId"), call.text("name"), "")?;
            }
            "contentBlockDelta" if index == Some(block) => {
                let delta = event.need("delta")?;
                open = true;
                if let Some(more) = delta.text("toolUse.input") {
                    out.arguments(out.calls() - 1, &more)?;
                } else if let Some(thought) = delta.get("reasoningContent") {
                    out.thought(&thought.text("text").unwrap_or_default());
                } else {
                    out.words(&delta.text("text").ok_or("no text")?);
                }
            }
            "contentBlockStop" if open && index == Some(block) => {
                open = false;
                block += 1;
            }
            "messageStop" if !open => {
                out.finish(done(event.text("stopReason").as_deref(), "end_turn", "tool_use")?)?;
            }
            "metadata" if out.done.is_some() => {
                out.usage(bedrock_counts(event)?)?;
                out.ended = true;
            }
            _ => return unexpected("out of order", event),
        }
    }
    for said in &mut out.said {
        if let Said::Call { arguments, .. } = said
            && arguments.is_empty()
        {
            arguments.push_str("{}");
        }
    }
    out.heard()
}

/// What kind it is stands in a header, which the gateway writes.
pub(super) fn bedrock_error(body: &str) -> Result<Trouble, String> {
    let body = Node::read(body)?;
    let message = body.text("message").ok_or("no message")?;
    Ok(Trouble { word: body.text("__type").unwrap_or_default(), message })
}
