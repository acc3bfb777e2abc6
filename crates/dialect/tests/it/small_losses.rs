//! Losses that change an answer so little that they are easily forgotten: each is told all the same.

use crate::chain::{CLAUDE, Pair, compatible, owner};
use serde_json::{Value, json};
use trunkline_core::Dialect::{
    self, AnthropicMessages, BedrockConverse, CohereChat, GeminiGenerate, OllamaChat, OpenaiChat,
    OpenaiResponses, ReplicatePredictions,
};
use trunkline_dialect::Target;

fn lost(client: Dialect, upstream: Dialect, body: &Value, target: &Target<'_>) -> Vec<String> {
    Pair { client, upstream }.send(body.to_string(), target).unwrap().lost()
}

/// A Messages call of one user message with these blocks, and more members.
fn messages(content: Value, more: Value) -> Value {
    let mut body =
        json!({"model": "m", "max_tokens": 9000, "messages": [{"role": "user", "content": content}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[test]
fn an_hour_in_the_cache_that_becomes_less() {
    for (ttl, told) in [("1h", true), ("5m", false)] {
        let mark = json!({"type": "ephemeral", "ttl": ttl});
        let body = messages(json!([{"type": "text", "text": "x", "cache_control": mark}]), json!({}));
        for upstream in [OpenaiChat, OpenaiResponses] {
            let lost = lost(AnthropicMessages, upstream, &body, &owner("gpt-5-mini"));
            let path = "messages[0].content[0].cache_control dropped".to_owned();
            assert_eq!(lost.contains(&path), told, "{ttl} to {upstream}: {lost:?}");
        }
    }
}

/// One tool may be called many times over.
#[test]
fn one_call_at_a_time_that_cannot_be_promised() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let function = json!({"type": "function", "function": {"name": "f", "parameters": schema}});
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": [function],
        "parallel_tool_calls": false});
    let tool = json!({"name": "f", "input_schema": schema});
    let claude = messages(
        json!("x"),
        json!({"tools": [tool], "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}}),
    );
    for (upstream, model) in [
        (GeminiGenerate, "gemini-3-pro-preview"),
        (OllamaChat, "m"),
        (CohereChat, "command-a"),
        (BedrockConverse, "amazon.nova-pro-v1:0"),
    ] {
        for (client, body, path) in [
            (OpenaiChat, &chat, "parallel_tool_calls"),
            (AnthropicMessages, &claude, "tool_choice.disable_parallel_tool_use"),
        ] {
            let lost = lost(client, upstream, body, &compatible(model));
            assert!(lost.contains(&format!("{path} dropped")), "{client} to {upstream}: {lost:?}");
        }
    }
}

#[test]
fn a_way_to_think_that_the_target_has_no_word_for() {
    let adaptive = json!({"thinking": {"type": "adaptive"}});
    let with_effort = json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}});
    for (upstream, target, told) in [
        (OpenaiChat, owner("gpt-5-mini"), "thinking degraded"),
        (OpenaiChat, compatible("qwen3-32b"), "thinking degraded"),
        (OpenaiResponses, owner("gpt-5-mini"), "thinking degraded"),
        (OpenaiChat, owner("gpt-4o"), "thinking dropped"),
        (OpenaiResponses, owner("gpt-4o"), "thinking dropped"),
    ] {
        let told = told.to_owned();
        let lost =
            |more: &Value| lost(AnthropicMessages, upstream, &messages(json!("x"), more.clone()), &target);
        let times = lost(&adaptive).iter().filter(|lost| **lost == told).count();
        assert_eq!(times, 1, "{upstream} {}: {:?}", target.model, lost(&adaptive));
        assert!(!lost(&json!({})).contains(&told), "{upstream} {}", target.model);
        assert!(!lost(&with_effort).contains(&told), "an effort says as much: {upstream} {}", target.model);
    }
    let ollama = json!({"model": "m", "think": true, "messages": [{"role": "user", "content": "x"}]});
    let lost = lost(OllamaChat, OpenaiChat, &ollama, &owner("gpt-5-mini"));
    assert!(lost.contains(&"think degraded".to_owned()), "{lost:?}");
}

#[test]
fn a_document_that_becomes_words() {
    let text = json!({"type": "document", "title": "Tariff", "context": "Caveat",
        "source": {"type": "text", "media_type": "text/plain", "data": "words"}});
    let parts = json!({"type": "document", "title": "Tariff", "context": "Caveat",
        "source": {"type": "content", "content": [{"type": "text", "text": "words"}]}});
    for document in [text, parts] {
        let body = messages(json!([{"type": "text", "text": "x"}, document]), json!({}));
        for (upstream, model) in [
            (OpenaiChat, "m"),
            (OpenaiResponses, "m"),
            (GeminiGenerate, "gemini-2.5-pro"),
            (OllamaChat, "m"),
            (CohereChat, "command-a"),
            (ReplicatePredictions, "meta/llama"),
        ] {
            let sent = Pair { client: AnthropicMessages, upstream }
                .send(body.to_string(), &compatible(model))
                .unwrap();
            let times = sent.lost().iter().filter(|lost| *lost == "messages[0].content[1] degraded").count();
            assert_eq!(times, 1, "{upstream}: {:?}", sent.lost());
            let said = ["Tariff", "Caveat", "words"].map(|word| sent.text.find(word).unwrap_or_default());
            assert!(said.is_sorted() && said[0] > 0, "{upstream} is told what it is: {}", sent.text);
        }
        let kept = lost(AnthropicMessages, AnthropicMessages, &body, &owner(CLAUDE));
        assert_eq!(kept, [""; 0], "where documents are taken");
    }
}

/// A name that every answer gives back as it was is not lost; see `docs/conformance.md`.
#[test]
fn a_name_that_comes_back_is_no_loss() {
    let name = "files.read/2";
    let function = json!({"type": "function", "function": {"name": name,
        "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}});
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}],
        "tools": [function]});
    for (upstream, model) in [
        (AnthropicMessages, CLAUDE),
        (GeminiGenerate, "gemini-2.5-pro"),
        (BedrockConverse, "amazon.nova-pro-v1:0"),
        (CohereChat, "command-a"),
    ] {
        let sent = Pair { client: OpenaiChat, upstream }.send(body.to_string(), &compatible(model)).unwrap();
        assert_eq!(sent.lost(), [""; 0], "{upstream}");
        assert!(!sent.text.contains(name), "{upstream}: {}", sent.text);
    }
}
