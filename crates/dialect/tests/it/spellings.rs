//! What is wrong with a call, or lost of it, is named as its client spells it.

use crate::chain::{CLAUDE, Pair, compatible, context, list, owner};
use serde_json::json;
use trunkline_core::Dialect::{
    AnthropicMessages, BedrockConverse, CohereChat, GeminiGenerate, OllamaChat, OllamaGenerate, OpenaiChat,
    OpenaiCompletions, OpenaiResponses,
};
use trunkline_core::{Choice, Dialect, FaultKind, Item, ItemKind, Losses, ReasoningItem, Reply};
use trunkline_dialect::{read_call, write_reply};

#[test]
fn whole_numbers_are_asked_for_by_name() {
    let said = r#""messages":[{"role":"user","content":"x"}]"#;
    let bedrock =
        r#"{"messages":[{"role":"user","content":[{"text":"x"}]}],"inferenceConfig":{"maxTokens":N}}"#;
    let gemini = r#"{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"KEY":N}}"#;
    for (dialect, body, field) in [
        (OpenaiChat, format!(r#"{{"model":"m",{said},"max_tokens":N}}"#), "max_tokens"),
        (OpenaiChat, format!(r#"{{"model":"m",{said},"max_completion_tokens":N}}"#), "max_completion_tokens"),
        (OpenaiChat, format!(r#"{{"model":"m",{said},"n":N}}"#), "n"),
        (OpenaiCompletions, r#"{"model":"m","prompt":"x","n":N}"#.to_owned(), "n"),
        (
            OpenaiResponses,
            r#"{"model":"m","input":"x","max_output_tokens":N}"#.to_owned(),
            "max_output_tokens",
        ),
        (AnthropicMessages, format!(r#"{{"model":"m",{said},"max_tokens":N}}"#), "max_tokens"),
        (
            AnthropicMessages,
            format!(
                r#"{{"model":"m",{said},"max_tokens":9,"thinking":{{"type":"enabled","budget_tokens":N}}}}"#
            ),
            "thinking.budget_tokens",
        ),
        (GeminiGenerate, gemini.replace("KEY", "maxOutputTokens"), "generationConfig.maxOutputTokens"),
        (GeminiGenerate, gemini.replace("KEY", "candidateCount"), "generationConfig.candidateCount"),
        (BedrockConverse, bedrock.to_owned(), "inferenceConfig.maxTokens"),
    ] {
        for number in ["-5", "0", "1.5", "-0.5"] {
            let body = body.replace('N', number);
            let fault = read_call(dialect, body.as_bytes(), &mut Losses::default()).unwrap_err();
            assert_eq!(
                (fault.kind, fault.param.as_deref()),
                (FaultKind::InvalidRequest, Some(field)),
                "{body}"
            );
            assert_eq!(fault.message, format!("{field} must be a whole number of at least 1, not {number}"));
        }
        for number in ["1", "8.0"] {
            let body = body.replace('N', number);
            read_call(dialect, body.as_bytes(), &mut Losses::default()).unwrap();
        }
    }
}

/// Ollama's clients say that there is no limit with a negative number; half a token is nobody's limit.
#[test]
fn ollamas_limit_may_be_open() {
    let read = |number: &str| {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}],
            "options": {"num_predict": 7}})
        .to_string()
        .replace('7', number);
        read_call(OllamaChat, body.as_bytes(), &mut Losses::default())
    };
    for (number, limit) in [("-1", None), ("-2", None), ("9", Some(9))] {
        assert_eq!(read(number).unwrap().limits.max_output_tokens, limit, "{number}");
    }
    for number in ["1.5", "-0.5", "\"9\""] {
        let fault = read(number).unwrap_err();
        assert_eq!(fault.param.as_deref(), Some("options.num_predict"), "{number}");
        assert!(fault.message.contains("must be a whole number, not"), "{}", fault.message);
    }
}

fn lost(client: Dialect, upstream: Dialect, body: &serde_json::Value, model: &str) -> Vec<String> {
    Pair { client, upstream }.send(body.to_string(), &compatible(model)).unwrap().lost()
}

const PNG: &str = "data:image/png;base64,iVBORw0KGgo=";

#[test]
fn an_images_detail_is_found_where_the_client_wrote_it() {
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "x"},
        {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}]}]});
    let responses = json!({"model": "m", "input": [{"role": "user", "content": [{"type": "input_text", "text": "x"},
        {"type": "input_image", "image_url": PNG, "detail": "low"}]}]});
    for (upstream, model) in [
        (AnthropicMessages, CLAUDE),
        (GeminiGenerate, "gemini-2.5-pro"),
        (OllamaChat, "m"),
        (BedrockConverse, "amazon.nova-pro-v1:0"),
    ] {
        for (client, body, path) in [
            (OpenaiChat, &chat, "messages[0].content[1].image_url.detail"),
            (OpenaiResponses, &responses, "input[0].content[1].detail"),
        ] {
            let lost = lost(client, upstream, body, model);
            assert!(lost.contains(&format!("{path} dropped")), "{client} to {upstream}: {lost:?}");
        }
    }
}

#[test]
fn a_fifth_cache_mark_is_found_where_the_client_wrote_it() {
    let mark = json!({"type": "ephemeral"});
    let texts: Vec<_> =
        (0..5).map(|n| json!({"type": "text", "text": n.to_string(), "cache_control": mark})).collect();
    let messages = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": texts}]});
    let points =
        (0..5).flat_map(|n| [json!({"text": n.to_string()}), json!({"cachePoint": {"type": "default"}})]);
    let bedrock = json!({"messages": [{"role": "user", "content": points.collect::<Vec<_>>()}]});
    for (client, body, path) in [
        (OpenaiChat, &messages, "messages[0].content[0].cache_control dropped"),
        (AnthropicMessages, &messages, "messages[0].content[0].cache_control dropped"),
        (BedrockConverse, &bedrock, "messages[0].content[0] dropped"),
    ] {
        let sent =
            Pair { client, upstream: AnthropicMessages }.send(body.to_string(), &owner(CLAUDE)).unwrap();
        assert_eq!(sent.lost().iter().filter(|lost| *lost == path).count(), 1, "{client}: {:?}", sent.lost());
    }
}

/// Some clients' lists of tools hold lists of functions, or marks between them.
#[test]
fn a_tool_is_found_where_the_client_wrote_it() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let function = |name: &str| json!({"name": name, "parameters": schema});
    let odd = |name: &str| json!({"name": name, "parameters": schema, "odd": 1});
    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "x"}]}],
        "tools": [{"functionDeclarations": [function("f")]},
            {"function_declarations": [function("g"), odd("h")]}]});
    let spec = |name: &str| json!({"name": name, "inputSchema": {"json": schema}});
    let mut bent = spec("g");
    bent["odd"] = json!(1);
    let bedrock = json!({"messages": [{"role": "user", "content": [{"text": "x"}]}],
        "toolConfig": {"tools": [{"toolSpec": spec("f")}, {"cachePoint": {"type": "default"}}, {"toolSpec": bent}]}});
    let messages = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}],
        "tools": [{"name": "f", "input_schema": schema}, {"name": "g", "input_schema": schema, "odd": 1}]});
    for (client, body, path) in [
        (GeminiGenerate, &gemini, "tools[1].functionDeclarations[1].odd dropped"),
        (BedrockConverse, &bedrock, "toolConfig.tools[2].toolSpec.odd dropped"),
        (AnthropicMessages, &messages, "tools[1].odd dropped"),
    ] {
        for (upstream, model) in [
            (OpenaiChat, "m"),
            (OpenaiResponses, "m"),
            (AnthropicMessages, CLAUDE),
            (GeminiGenerate, "gemini-2.5-pro"),
            (OllamaChat, "m"),
            (BedrockConverse, "amazon.nova-pro-v1:0"),
            (CohereChat, "command-a"),
        ] {
            let lost = lost(client, upstream, body, model);
            assert_eq!(
                lost.contains(&path.to_owned()),
                client != upstream,
                "{client} to {upstream}: {lost:?}"
            );
        }
    }

    let own = json!({"contents": [{"role": "user", "parts": [{"text": "x"}]}],
        "tools": [{"functionDeclarations": [function("f")]}, {"googleMaps": {}}]});
    let pair = Pair { client: GeminiGenerate, upstream: OpenaiChat };
    let fault = pair.send(own.to_string(), &compatible("m")).map(|_| ()).unwrap_err();
    assert_eq!(fault.param.as_deref(), Some("tools[1].googleMaps"));
}

#[test]
fn a_replayed_items_status_is_no_loss() {
    let body = json!({"model": "m", "input": [{"role": "user", "content": "x"},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "y", "annotations": []}]},
        {"type": "function_call", "id": "fc_1", "call_id": "a", "name": "f", "arguments": "{}", "status": "completed"},
        {"type": "function_call_output", "call_id": "a", "output": "z", "status": "completed"}]});
    for (upstream, model) in [
        (OpenaiChat, "m"),
        (AnthropicMessages, CLAUDE),
        (GeminiGenerate, "gemini-2.5-pro"),
        (OllamaChat, "m"),
        (BedrockConverse, "amazon.nova-pro-v1:0"),
    ] {
        let lost = lost(OpenaiResponses, upstream, &body, model);
        assert!(!lost.iter().any(|lost| lost.contains("status")), "{upstream}: {lost:?}");
    }
}

#[test]
fn an_answers_losses_are_named_by_the_endpoint_that_gives_it() {
    let thoughts = ReasoningItem {
        text: vec!["hm".into()],
        signature: Some("c2ln".into()),
        stamp: Some(AnthropicMessages),
        ..ReasoningItem::default()
    };
    let items = vec![Item::new(ItemKind::Reasoning(thoughts))];
    let reply =
        Reply { choices: vec![Choice { index: 0, items, finish: None, logprobs: None }], ..Reply::default() };
    for (client, path) in [(OllamaChat, "message.thinking dropped"), (OllamaGenerate, "thinking dropped")] {
        let mut losses = Losses::default();
        write_reply(client, &reply, &context(), &mut losses).unwrap();
        assert_eq!(list(&losses), [path]);
    }
}
