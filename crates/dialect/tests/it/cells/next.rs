//! The request that goes on after an answer, as each client's library makes it: the answer as it came, and
//! a result for each of its calls.

use super::node::Node;
use super::story::RESULTS;
use serde_json::{Value, json};

/// The request with these entries behind the last of the list `name`.
fn append(request: &str, name: &str, entries: &[String]) -> Result<String, String> {
    let list = Node::read(request)?.need(name)?.raw();
    let open = list.strip_suffix(']').ok_or("no list")?;
    Ok(request.replacen(list, &format!("{open},{}]", entries.join(",")), 1))
}

/// One result for each call.
fn results(calls: &[Node<'_>], made: impl Fn(Node<'_>, &str) -> Value) -> Vec<String> {
    calls.iter().zip(RESULTS).map(|(call, text)| made(*call, text).to_string()).collect()
}

pub(super) fn chat(request: &str, answer: &str) -> Result<String, String> {
    let message = Node::read(answer)?.need("choices.0.message")?;
    let result = |call: Node<'_>, text: &str| json!({"role": "tool", "tool_call_id": call.text("id"), "content": text});
    let results = results(&message.each("tool_calls"), result);
    append(request, "messages", &[vec![message.raw().to_owned()], results].concat())
}

pub(super) fn responses(request: &str, answer: &str) -> Result<String, String> {
    let output = Node::read(answer)?.each("output");
    let calls: Vec<_> = output.iter().copied().filter(|item| item.is("type", "function_call")).collect();
    let result = |call: Node<'_>, text: &str| json!({"type": "function_call_output", "call_id": call.text("call_id"), "output": text});
    let said = output.iter().map(|item| item.raw().to_owned()).collect();
    let input = Node::read(request)?.need("input")?;
    let request = match input.string() {
        Some(text) => {
            request.replacen(input.raw(), &json!([{"role": "user", "content": text}]).to_string(), 1)
        }
        None => request.to_owned(),
    };
    append(&request, "input", &[said, results(&calls, result)].concat())
}

pub(super) fn messages(request: &str, answer: &str) -> Result<String, String> {
    let content = Node::read(answer)?.need("content")?;
    let calls: Vec<_> = content.list().into_iter().filter(|block| block.is("type", "tool_use")).collect();
    let result = |call: Node<'_>, text: &str| json!({"type": "tool_result", "tool_use_id": call.text("id"), "content": text});
    let said = format!(r#"{{"role":"assistant","content":{}}}"#, content.raw());
    let results = results(&calls, result).join(",");
    append(request, "messages", &[said, format!(r#"{{"role":"user","content":[{results}]}}"#)])
}

pub(super) fn gemini(request: &str, answer: &str) -> Result<String, String> {
    let content = Node::read(answer)?.need("candidates.0.content")?;
    let calls: Vec<_> = content.each("parts").iter().filter_map(|part| part.get("functionCall")).collect();
    let result = |call: Node<'_>, text: &str| json!({"functionResponse": {"id": call.text("id"), "name": call.text("name"), "response": {"result": text}}});
    let results = results(&calls, result).join(",");
    append(
        request,
        "contents",
        &[content.raw().to_owned(), format!(r#"{{"role":"user","parts":[{results}]}}"#)],
    )
}

pub(super) fn ollama(request: &str, answer: &str) -> Result<String, String> {
    let message = Node::read(answer)?.need("message")?;
    let result = |call: Node<'_>, text: &str| json!({"role": "tool", "tool_name": call.text("function.name"), "content": text});
    let results = results(&message.each("tool_calls"), result);
    append(request, "messages", &[vec![message.raw().to_owned()], results].concat())
}

pub(super) fn bedrock(request: &str, answer: &str) -> Result<String, String> {
    let message = Node::read(answer)?.need("output.message")?;
    let calls: Vec<_> = message.each("content").iter().filter_map(|block| block.get("toolUse")).collect();
    let result = |call: Node<'_>, text: &str| json!({"toolResult": {"toolUseId": call.text("toolUseId"), "content": [{"text": text}]}});
    let results = results(&calls, result).join(",");
    append(
        request,
        "messages",
        &[message.raw().to_owned(), format!(r#"{{"role":"user","content":[{results}]}}"#)],
    )
}
