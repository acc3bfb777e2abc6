//! What a request asks, read off its bytes as an upstream of each dialect would read it.

mod mistral;
mod replicate;

pub(super) use mistral::mistral;
pub(super) use replicate::replicate_predictions;

use super::node::Node;
use super::story::{Asked, Bit, Choice, Offered, Who};

/// What a request says that is nobody's turn; the pieces say whose they are.
type Pieces = Result<Vec<(Who, Bit)>, String>;

pub(super) fn openai_chat(body: &str) -> Result<Asked, String> {
    let body = Node::read(body)?;
    let mut asked = Asked {
        tools: each_function(body)?,
        choice: body.text("tool_choice").and_then(|word| forced(&word, "required")),
        schema: body.get("response_format.json_schema.schema").map(Node::value),
        thinks: body.get("reasoning_effort").or(body.get("chat_template_kwargs")).is_some(),
        stream: Some(body.get("stream").is_some_and(|on| on.raw() == "true")),
        most: body.count("max_completion_tokens").or(body.count("max_tokens")),
        temperature: body.get("temperature").map(|number| number.raw().to_owned()),
        stop: texts(body, "stop"),
        marks: body.raw().matches("prompt_cache_breakpoint").count(),
        ..Asked::default()
    };
    if asked.stream == Some(true)
        && body.get("stream_options.include_usage").is_none_or(|on| on.raw() != "true")
    {
        return Err("a stream without usage is asked for".into());
    }
    for message in body.each("messages") {
        let role = message.text("role").ok_or("a message without a role")?;
        let who = if role == "assistant" { Who::Model } else { Who::User };
        match role.as_str() {
            "system" | "developer" => asked.system.push_str(&words_of(message.need("content")?)),
            "tool" => {
                let text = words_of(message.need("content")?);
                asked.said.push((who, Bit::Result { id: message.text("tool_call_id"), text }));
            }
            _ => {
                let thought = message.text("reasoning_content").filter(|text| !text.is_empty());
                asked.said.extend(thought.map(|text| (who, Bit::Thought(text))));
                if let Some(content) = message.get("content") {
                    asked.said.extend(parts(who, content, openai_part)?);
                }
                for call in message.each("tool_calls") {
                    asked.said.push((who, string_call(call, "id")?));
                }
            }
        }
        asked
            .proofs
            .extend(message.each("thinking_blocks").iter().filter_map(|block| block.text("signature")));
    }
    Ok(asked)
}

fn openai_part(part: Node<'_>) -> Result<Bit, String> {
    match part.text("type").as_deref() {
        Some("text") => Ok(Bit::Words(part.text("text").unwrap_or_default())),
        Some("image_url") => inline(part.text("image_url.url"), image),
        Some("file") => inline(part.text("file.file_data"), document),
        _ => Err(unknown(part)),
    }
}

pub(super) fn openai_responses(body: &str) -> Result<Asked, String> {
    let body = Node::read(body)?;
    let mut asked = Asked {
        system: body.text("instructions").unwrap_or_default(),
        tools: body
            .each("tools")
            .into_iter()
            .map(|tool| offered(tool, "", "parameters"))
            .collect::<Result<_, _>>()?,
        choice: body.text("tool_choice").and_then(|word| forced(&word, "required")),
        schema: body.get("text.format.schema").map(Node::value),
        thinks: body.get("reasoning.effort").is_some(),
        stream: Some(body.get("stream").is_some_and(|on| on.raw() == "true")),
        most: body.count("max_output_tokens"),
        temperature: body.get("temperature").map(|number| number.raw().to_owned()),
        marks: body.raw().matches("prompt_cache_breakpoint").count(),
        ..Asked::default()
    };
    if let Some(text) = body.text("input") {
        asked.said.push((Who::User, Bit::Words(text)));
    }
    for item in body.each("input") {
        match item.text("type").as_deref().unwrap_or("message") {
            "message" => {
                let content = item.need("content")?;
                match item.text("role").as_deref() {
                    Some("system" | "developer") => asked.system.push_str(&words_of(content)),
                    Some("assistant") => asked.said.extend(parts(Who::Model, content, responses_part)?),
                    _ => asked.said.extend(parts(Who::User, content, responses_part)?),
                }
            }
            "function_call" => {
                let (name, arguments) = (item.text("name"), item.text("arguments"));
                let (name, arguments) = (name.unwrap_or_default(), arguments.unwrap_or_default());
                asked.said.push((Who::Model, Bit::Call { id: item.text("call_id"), name, arguments }));
            }
            "function_call_output" => {
                let text = words_of(item.need("output")?);
                asked.said.push((Who::User, Bit::Result { id: item.text("call_id"), text }));
            }
            "reasoning" => {
                let words: String =
                    item.each("summary").iter().filter_map(|part| part.text("text")).collect();
                asked.said.push((Who::Model, Bit::Thought(words)));
                asked.proofs.extend(item.text("encrypted_content"));
            }
            _ => return Err(unknown(item)),
        }
    }
    Ok(asked)
}

fn responses_part(part: Node<'_>) -> Result<Bit, String> {
    match part.text("type").as_deref() {
        Some("input_text" | "output_text") => Ok(Bit::Words(part.text("text").unwrap_or_default())),
        Some("input_image") => inline(part.text("image_url"), image),
        Some("input_file") => inline(part.text("file_data"), document),
        _ => Err(unknown(part)),
    }
}

pub(super) fn anthropic_messages(body: &str) -> Result<Asked, String> {
    let body = Node::read(body)?;
    let mut asked = Asked {
        system: body.get("system").map(words_of).unwrap_or_default(),
        tools: body
            .each("tools")
            .into_iter()
            .map(|tool| offered(tool, "", "input_schema"))
            .collect::<Result<_, _>>()?,
        choice: body.text("tool_choice.type").and_then(|word| forced(&word, "any")),
        schema: body.get("output_config.format.schema").map(Node::value),
        thinks: body.text("thinking.type").is_some_and(|word| word != "disabled"),
        stream: Some(body.get("stream").is_some_and(|on| on.raw() == "true")),
        most: Some(body.count("max_tokens").ok_or("no max_tokens")?),
        temperature: body.get("temperature").map(|number| number.raw().to_owned()),
        stop: texts(body, "stop_sequences"),
        marks: body.raw().matches("cache_control").count(),
        ..Asked::default()
    };
    for message in body.each("messages") {
        let who = turn(message.text("role"), "assistant")?;
        let content = message.need("content")?;
        asked.proofs.extend(content.list().iter().filter_map(|block| block.text("signature")));
        asked.said.extend(parts(who, content, anthropic_block)?);
    }
    alternates(
        &body.each("messages").iter().map(|turn| turn.text("role").unwrap_or_default()).collect::<Vec<_>>(),
    )?;
    Ok(asked)
}

fn anthropic_block(block: Node<'_>) -> Result<Bit, String> {
    let source = || Some((block.text("source.media_type")?, block.text("source.data")?));
    match block.text("type").as_deref() {
        Some("text") => Ok(Bit::Words(block.text("text").unwrap_or_default())),
        Some("thinking") => Ok(Bit::Thought(block.text("thinking").unwrap_or_default())),
        Some("image") => source().map(image).ok_or_else(|| unknown(block)),
        Some("document") => source().map(document).ok_or_else(|| unknown(block)),
        Some("tool_use") => Ok(Bit::Call {
            id: block.text("id"),
            name: block.text("name").unwrap_or_default(),
            arguments: block.need("input")?.raw().to_owned(),
        }),
        Some("tool_result") => {
            let text = block.get("content").map(words_of).unwrap_or_default();
            Ok(Bit::Result { id: block.text("tool_use_id"), text })
        }
        _ => Err(unknown(block)),
    }
}

pub(super) fn gemini_generate(body: &str) -> Result<Asked, String> {
    let body = Node::read(body)?;
    let settings = body.get("generationConfig");
    let setting = |path: &str| settings.and_then(|settings| settings.get(path));
    let functions: Vec<_> =
        body.each("tools").iter().flat_map(|tool| tool.each("functionDeclarations")).collect();
    let mut asked = Asked {
        system: body.get("systemInstruction.parts").map(words_of).unwrap_or_default(),
        tools: functions
            .into_iter()
            .map(|tool| offered(tool, "", "parametersJsonSchema"))
            .collect::<Result<_, _>>()?,
        choice: body.text("toolConfig.functionCallingConfig.mode").and_then(|word| forced(&word, "ANY")),
        schema: setting("responseJsonSchema").map(Node::value),
        thinks: setting("thinkingConfig").is_some_and(|config| config.get("includeThoughts").is_some()),
        most: setting("maxOutputTokens").and_then(|number| number.raw().parse().ok()),
        temperature: setting("temperature").map(|number| number.raw().to_owned()),
        stop: settings.map(|settings| texts(settings, "stopSequences")).unwrap_or_default(),
        ..Asked::default()
    };
    for content in body.each("contents") {
        let who = turn(content.text("role"), "model")?;
        let parts = content.need("parts")?;
        asked.proofs.extend(parts.list().iter().filter_map(|part| part.text("thoughtSignature")));
        asked.said.extend(self::parts(who, parts, gemini_part)?);
    }
    alternates(
        &body.each("contents").iter().map(|turn| turn.text("role").unwrap_or_default()).collect::<Vec<_>>(),
    )?;
    Ok(asked)
}

fn gemini_part(part: Node<'_>) -> Result<Bit, String> {
    if let Some(call) = part.get("functionCall") {
        let arguments = call.get("args").map_or("{}", Node::raw).to_owned();
        return Ok(Bit::Call { id: call.text("id"), name: call.text("name").unwrap_or_default(), arguments });
    }
    if let Some(result) = part.get("functionResponse") {
        let text = result.text("response.result").ok_or_else(|| unknown(part))?;
        return Ok(Bit::Result { id: result.text("id"), text });
    }
    if let Some(data) = part.get("inlineData") {
        let (mime, bytes) =
            (data.text("mimeType").unwrap_or_default(), data.text("data").unwrap_or_default());
        return Ok(if mime.starts_with("image/") { image((mime, bytes)) } else { document((mime, bytes)) });
    }
    let text = part.text("text").ok_or_else(|| unknown(part))?;
    Ok(if part.get("thought").is_some_and(|on| on.raw() == "true") {
        Bit::Thought(text)
    } else {
        Bit::Words(text)
    })
}

pub(super) fn ollama_chat(body: &str) -> Result<Asked, String> {
    let body = Node::read(body)?;
    let mut asked = Asked {
        tools: each_function(body)?,
        schema: body.get("format").map(Node::value),
        thinks: body.get("think").is_some_and(|word| word.raw() != "false"),
        // Said or not, these servers stream unless told otherwise.
        stream: Some(body.get("stream").is_none_or(|on| on.raw() == "true")),
        most: body.count("options.num_predict"),
        temperature: body.get("options.temperature").map(|number| number.raw().to_owned()),
        stop: body.get("options").map(|options| texts(options, "stop")).unwrap_or_default(),
        ..Asked::default()
    };
    for message in body.each("messages") {
        let role = message.text("role").ok_or("a message without a role")?;
        let who = if role == "assistant" { Who::Model } else { Who::User };
        let text = message.text("content").unwrap_or_default();
        match role.as_str() {
            "system" => asked.system.push_str(&text),
            "tool" => asked.said.push((who, Bit::Result { id: message.text("tool_call_id"), text })),
            _ => {
                let thought = message.text("thinking").filter(|text| !text.is_empty());
                asked.said.extend(thought.map(|text| (who, Bit::Thought(text))));
                let images = message.each("images").into_iter().filter_map(Node::string);
                asked.said.extend(images.map(|data| (who, image(("image/png".into(), data)))));
                asked.said.extend((!text.is_empty()).then_some((who, Bit::Words(text))));
                for call in message.each("tool_calls") {
                    let arguments = call.need("function.arguments")?.raw().to_owned();
                    let name = call.text("function.name").unwrap_or_default();
                    asked.said.push((who, Bit::Call { id: call.text("id"), name, arguments }));
                }
            }
        }
    }
    Ok(asked)
}

pub(super) fn bedrock_converse(body: &str) -> Result<Asked, String> {
    let body = Node::read(body)?;
    let more = body.get("additionalModelRequestFields");
    let tools = body.each("toolConfig.tools");
    let forced_any = body.get("toolConfig.toolChoice.any").is_some();
    let mut asked = Asked {
        system: body.get("system").map(words_of).unwrap_or_default(),
        tools: tools
            .iter()
            .filter_map(|tool| tool.get("toolSpec"))
            .map(|tool| offered(tool, "", "inputSchema.json"))
            .collect::<Result<_, _>>()?,
        choice: forced_any.then_some(Choice::Forced),
        schema: body
            .text("outputConfig.textFormat.structure.jsonSchema.schema")
            .and_then(|text| serde_json::from_str(&text).ok()),
        thinks: more.is_some_and(|more| more.is("thinking.type", "enabled")),
        most: body.count("inferenceConfig.maxTokens"),
        temperature: body.get("inferenceConfig.temperature").map(|number| number.raw().to_owned()),
        stop: body.get("inferenceConfig").map(|config| texts(config, "stopSequences")).unwrap_or_default(),
        marks: body.raw().matches("cachePoint").count(),
        ..Asked::default()
    };
    for message in body.each("messages") {
        let who = turn(message.text("role"), "assistant")?;
        for block in message.each("content").into_iter().filter(|block| block.get("cachePoint").is_none()) {
            asked.proofs.extend(block.text("reasoningContent.reasoningText.signature"));
            asked.said.push((who, bedrock_block(block)?));
        }
    }
    alternates(
        &body.each("messages").iter().map(|turn| turn.text("role").unwrap_or_default()).collect::<Vec<_>>(),
    )?;
    Ok(asked)
}

fn bedrock_block(block: Node<'_>) -> Result<Bit, String> {
    if let Some(text) = block.text("text") {
        return Ok(Bit::Words(text));
    }
    if let Some(thought) = block.get("reasoningContent.reasoningText") {
        return Ok(Bit::Thought(thought.text("text").unwrap_or_default()));
    }
    if let Some(picture) = block.get("image") {
        let mime = format!("image/{}", picture.text("format").unwrap_or_default());
        return Ok(image((mime, picture.text("source.bytes").unwrap_or_default())));
    }
    if let Some(file) = block.get("document") {
        let mime = format!("application/{}", file.text("format").unwrap_or_default());
        return Ok(document((mime, file.text("source.bytes").unwrap_or_default())));
    }
    if let Some(call) = block.get("toolUse") {
        let arguments = call.need("input")?.raw().to_owned();
        let name = call.text("name").unwrap_or_default();
        return Ok(Bit::Call { id: call.text("toolUseId"), name, arguments });
    }
    let result = block.get("toolResult").ok_or_else(|| unknown(block))?;
    let text = words_of(result.need("content")?);
    Ok(Bit::Result { id: result.text("toolUseId"), text })
}

pub(super) fn cohere_chat(body: &str) -> Result<Asked, String> {
    let body = Node::read(body)?;
    let mut asked = Asked {
        tools: each_function(body)?,
        choice: body.text("tool_choice").and_then(|word| forced(&word, "REQUIRED")),
        schema: body.get("response_format.json_schema").map(Node::value),
        thinks: body.is("thinking.type", "enabled"),
        stream: Some(body.need("stream")?.raw() == "true"),
        most: body.count("max_tokens"),
        temperature: body.get("temperature").map(|number| number.raw().to_owned()),
        stop: texts(body, "stop_sequences"),
        ..Asked::default()
    };
    for message in body.each("messages") {
        let role = message.text("role").ok_or("a message without a role")?;
        let who = if role == "assistant" { Who::Model } else { Who::User };
        match role.as_str() {
            "system" => asked.system.push_str(&words_of(message.need("content")?)),
            "tool" => {
                let text = words_of(message.need("content")?);
                asked.said.push((who, Bit::Result { id: message.text("tool_call_id"), text }));
            }
            _ => {
                // What was said beside calls stands as their plan.
                asked.said.extend(message.text("tool_plan").map(|text| (who, Bit::Words(text))));
                if let Some(content) = message.get("content") {
                    asked.said.extend(parts(who, content, cohere_part)?);
                }
                for call in message.each("tool_calls") {
                    asked.said.push((who, string_call(call, "id")?));
                }
            }
        }
    }
    Ok(asked)
}

fn cohere_part(part: Node<'_>) -> Result<Bit, String> {
    if part.is("type", "thinking") {
        return Ok(Bit::Thought(part.text("thinking").unwrap_or_default()));
    }
    openai_part(part)
}

/// No member but these: the provider refuses others.
fn known(node: Node<'_>, names: &[&str]) -> Result<(), String> {
    let others: Vec<_> = node.names().into_iter().filter(|name| !names.contains(&name.as_str())).collect();
    if others.is_empty() { Ok(()) } else { Err(format!("fields of somebody else: {others:?}")) }
}

/// A content that is a text or a list of parts.
fn parts(who: Who, content: Node<'_>, read: impl Fn(Node<'_>) -> Result<Bit, String>) -> Pieces {
    if let Some(text) = content.string() {
        return Ok(vec![(who, Bit::Words(text))]);
    }
    content.list().into_iter().map(|part| Ok((who, read(part)?))).collect()
}

/// The words of a content that holds nothing else.
fn words_of(content: Node<'_>) -> String {
    let parts = || content.list().iter().filter_map(|part| part.text("text")).collect();
    content.string().unwrap_or_else(parts)
}

fn texts(node: Node<'_>, path: &str) -> Vec<String> {
    let one = node.text(path).into_iter();
    one.chain(node.each(path).into_iter().filter_map(Node::string)).collect()
}

fn string_call(call: Node<'_>, id: &str) -> Result<Bit, String> {
    let arguments = call.text("function.arguments").ok_or_else(|| unknown(call))?;
    Ok(Bit::Call { id: call.text(id), name: call.text("function.name").unwrap_or_default(), arguments })
}

fn each_function(body: Node<'_>) -> Result<Vec<Offered>, String> {
    body.each("tools").into_iter().map(|tool| offered(tool, "function", "parameters")).collect()
}

fn offered(tool: Node<'_>, inside: &str, schema: &str) -> Result<Offered, String> {
    let tool = if inside.is_empty() { tool } else { tool.need(inside)? };
    let name = tool.text("name").ok_or_else(|| unknown(tool))?;
    Ok(Offered { name, description: tool.text("description"), schema: tool.need(schema)?.value() })
}

fn forced(word: &str, forcing: &str) -> Option<Choice> {
    if word == forcing { Some(Choice::Forced) } else { Some(Choice::Free) }
}

fn turn(role: Option<String>, model: &str) -> Result<Who, String> {
    match role {
        Some(role) if role == model => Ok(Who::Model),
        Some(role) if role == "user" => Ok(Who::User),
        other => Err(format!("a turn of {other:?}")),
    }
}

/// These providers refuse two turns of one side in a row, and conversations the model begins.
fn alternates(roles: &[String]) -> Result<(), String> {
    let good =
        roles.first().is_some_and(|role| role == "user") && roles.windows(2).all(|two| two[0] != two[1]);
    if good { Ok(()) } else { Err(format!("turns do not alternate: {roles:?}")) }
}

fn inline(url: Option<String>, made: impl Fn((String, String)) -> Bit) -> Result<Bit, String> {
    let url = url.ok_or("no data URL")?;
    let split = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    split.map(|(mime, data)| made((mime.to_owned(), data.to_owned()))).ok_or(format!("no data URL: {url}"))
}

fn image((mime, data): (String, String)) -> Bit {
    Bit::Image { mime, data }
}

fn document((mime, data): (String, String)) -> Bit {
    Bit::Document { mime, data }
}

fn unknown(node: Node<'_>) -> String {
    format!("not of this dialect: {}", node.raw())
}
