//! What is told of a call is told in its client's own words: every path leads to something that the client
//! wrote, in its own list, and nothing is told twice.

use crate::chain::{CLAUDE, Pair, compatible, list, owner};
use serde_json::{Value, json};
use std::collections::HashSet;
use trunkline_core::Dialect::{
    self, AnthropicMessages, BedrockConverse, CohereChat, GeminiGenerate, OllamaChat, OllamaGenerate,
    OpenaiChat, OpenaiCompletions, OpenaiResponses,
};
use trunkline_core::{Action, Loss};
use trunkline_dialect::Target;

const PNG: &str = "iVBORw0KGgo=";

/// Everybody that can be translated for, each with as much of its dialect as targets are known to lack. Neighbours of
/// one role stand in messages of their own, where a count that goes by roles would join them.
fn clients() -> [(Dialect, Value); 8] {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
        "additionalProperties": false});
    let mark = json!({"type": "ephemeral"});
    let url = format!("data:image/png;base64,{PNG}");
    let function = |name: &str| json!({"name": name, "description": "x", "parameters": schema});
    let chat_tool = |name: &str| json!({"type": "function", "function": function(name)});
    let called =
        |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let block = |text: &str| json!({"type": "text", "text": text, "cache_control": mark});
    [
        (
            OpenaiChat,
            json!({"model": "m", "seed": 1, "logit_bias": {"5": 1}, "logprobs": true, "top_logprobs": 2, "n": 1,
            "presence_penalty": 0.5, "frequency_penalty": 0.5, "stop": ["x"], "user": "u", "verbosity": "low",
            "metadata": {"a": "b"}, "service_tier": "flex", "store": true, "prompt_cache_key": "k",
            "parallel_tool_calls": false, "reasoning_effort": "high", "max_completion_tokens": 4000,
            "prediction": {"type": "content", "content": "x"}, "web_search_options": {}, "own_field": 1,
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "description": "d",
                "strict": true, "schema": schema}},
            "tools": [chat_tool("f"), chat_tool("g")],
            "messages": [
                {"role": "system", "content": [block("Be brief.")], "name": "s"},
                {"role": "developer", "content": "Be kind."},
                {"role": "user", "name": "u", "content": [{"type": "text", "text": "go"},
                    {"type": "image_url", "image_url": {"url": url, "detail": "low"}}]},
                {"role": "assistant", "content": "I will."},
                {"role": "assistant", "content": null, "tool_calls": [called("a"), called("b")]},
                {"role": "tool", "tool_call_id": "a", "content": "fine"},
                {"role": "tool", "tool_call_id": "b", "content": [block("fine")]},
                {"role": "system", "content": "Amid."},
                {"role": "user", "content": [block("go on")], "name": "last"}]}),
        ),
        (
            OpenaiCompletions,
            json!({"model": "m", "prompt": "x", "suffix": "y", "seed": 1, "logprobs": 2, "echo": true, "best_of": 1,
            "logit_bias": {"5": 1}, "presence_penalty": 0.5, "frequency_penalty": 0.5, "user": "u"}),
        ),
        (
            OpenaiResponses,
            json!({"model": "m", "store": false, "instructions": "Be brief.",
            "include": ["reasoning.encrypted_content", "web_search_call.action.sources"], "user": "u",
            "reasoning": {"effort": "high", "summary": "auto"}, "parallel_tool_calls": false, "truncation": "auto",
            "prompt_cache_key": "k", "metadata": {"a": "b"}, "service_tier": "flex", "max_output_tokens": 4000,
            "max_tool_calls": 3, "top_logprobs": 2, "safety_identifier": "s", "own_field": 1,
            "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "x", "description": "d",
                "strict": true, "schema": schema}},
            "tools": [{"type": "function", "name": "f", "parameters": schema, "strict": true},
                {"type": "function", "name": "g", "parameters": schema, "strict": false}],
            "input": [
                {"role": "developer", "content": "Be kind."},
                {"role": "user", "content": [{"type": "input_text", "text": "go"},
                    {"type": "input_image", "image_url": url, "detail": "low"}]},
                {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}],
                    "encrypted_content": "gAAA"},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I will.",
                    "annotations": []}]},
                {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "a", "output": "fine"},
                {"role": "developer", "content": "Amid."},
                {"role": "user", "content": "go on"}]}),
        ),
        (
            AnthropicMessages,
            json!({"model": "m", "max_tokens": 4000, "top_k": 5, "thinking": {"type": "enabled", "budget_tokens": 2000},
            "metadata": {"user_id": "u"}, "stop_sequences": ["x"], "service_tier": "auto",
            "system": [{"type": "text", "text": "Be brief."}, block("Be kind.")], "own_field": 1,
            "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
            "output_config": {"format": {"type": "json_schema", "schema": schema}},
            "tools": [{"name": "f", "description": "x", "input_schema": schema},
                {"name": "g", "description": "x", "input_schema": schema, "cache_control": mark}],
            "messages": [
                {"role": "user", "content": [block("go"), {"type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": PNG}}]},
                {"role": "assistant", "content": "I will."},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "Zm9y"},
                    {"type": "thinking", "thinking": "so", "signature": "Z2Vk"},
                    {"type": "redacted_thinking", "data": "YQ=="},
                    {"type": "tool_use", "id": "a", "name": "f", "input": {}, "cache_control": mark},
                    {"type": "tool_use", "id": "b", "name": "g", "input": {}}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "fine", "cache_control": mark},
                    {"type": "tool_result", "tool_use_id": "b", "is_error": true, "content": "broken"}]},
                {"role": "user", "content": [block("go on")]}]}),
        ),
        (
            GeminiGenerate,
            json!({"systemInstruction": {"parts": [{"text": "Be brief."}]}, "labels": {"a": "b"},
            "safetySettings": [], "toolConfig": {"functionCallingConfig": {"mode": "AUTO"},
                "retrievalConfig": {"languageCode": "de"}},
            "generationConfig": {"seed": 1, "topK": 3, "presencePenalty": 0.5, "frequencyPenalty": 0.5,
                "responseLogprobs": true, "logprobs": 2, "candidateCount": 1, "stopSequences": ["x"],
                "maxOutputTokens": 4000, "mediaResolution": "MEDIA_RESOLUTION_LOW", "enableAffectiveDialog": true,
                "thinkingConfig": {"includeThoughts": true, "thinkingBudget": 2000, "ownField": 1}},
            "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": schema},
                {"name": "g", "parametersJsonSchema": schema}]}],
            "contents": [
                {"role": "user", "parts": [{"text": "go"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}]},
                {"role": "model", "parts": [{"text": "I will."}]},
                {"role": "model", "parts": [{"text": "hm", "thought": true},
                    {"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": "Zm9y"}]},
                {"role": "user", "parts": [{"functionResponse": {"id": "a", "name": "f",
                    "response": {"result": "fine"}}}]},
                {"role": "user", "parts": [{"text": "go on"}]}]}),
        ),
        (
            OllamaChat,
            json!({"model": "m", "think": "high", "keep_alive": "5m", "format": schema, "own_field": 1,
            "options": {"seed": 1, "top_k": 3, "min_p": 0.1, "num_ctx": 9, "mirostat": 1, "stop": ["x"],
                "repeat_penalty": 1.1, "presence_penalty": 0.5, "frequency_penalty": 0.5, "num_predict": 4000},
            "tools": [chat_tool("f")],
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "go", "images": [PNG]},
                {"role": "assistant", "content": "I will.", "thinking": "hm"},
                {"role": "assistant", "content": "", "tool_calls": [{"id": "a", "function": {"name": "f",
                    "arguments": {}}}]},
                {"role": "tool", "tool_name": "f", "tool_call_id": "a", "content": "fine"},
                {"role": "system", "content": "Amid."},
                {"role": "user", "content": "go on"}]}),
        ),
        (
            OllamaGenerate,
            json!({"model": "m", "prompt": "x", "system": "Be brief.", "images": [PNG], "keep_alive": "5m",
            "suffix": "y", "options": {"seed": 1, "top_k": 3, "num_ctx": 9, "repeat_penalty": 1.1}}),
        ),
        (
            BedrockConverse,
            json!({"system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}], "requestMetadata": {"a": "b"},
            "inferenceConfig": {"maxTokens": 4000, "temperature": 0.5, "topP": 0.9, "stopSequences": ["x"],
                "ownField": 1},
            "additionalModelRequestFields": {"top_k": 5, "thinking": {"type": "enabled", "budget_tokens": 2000},
                "own_field": 1},
            "performanceConfig": {"latency": "optimized"}, "serviceTier": {"type": "flex"},
            "toolConfig": {"tools": [
                {"toolSpec": {"name": "f", "description": "x", "inputSchema": {"json": schema}}},
                {"toolSpec": {"name": "g", "description": "x", "inputSchema": {"json": schema}}},
                {"cachePoint": {"type": "default"}}]},
            "messages": [
                {"role": "user", "content": [{"text": "go"}, {"cachePoint": {"type": "default"}},
                    {"image": {"format": "png", "source": {"bytes": PNG}}}]},
                {"role": "assistant", "content": [{"text": "I will."}]},
                {"role": "assistant", "content": [
                    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "Zm9y"}}},
                    {"reasoningContent": {"reasoningText": {"text": "so", "signature": "Z2Vk"}}},
                    {"toolUse": {"toolUseId": "a", "name": "f", "input": {}}}]},
                {"role": "user", "content": [{"toolResult": {"toolUseId": "a", "status": "error",
                    "content": [{"text": "broken"}]}}]},
                {"role": "user", "content": [{"text": "go on"}]}]}),
        ),
    ]
}

fn upstreams() -> [(Dialect, Target<'static>); 11] {
    [
        (OpenaiChat, owner("gpt-5-mini")),
        (OpenaiChat, owner("gpt-4o-mini")),
        (OpenaiChat, compatible("m")),
        (OpenaiResponses, owner("gpt-5-mini")),
        (AnthropicMessages, owner(CLAUDE)),
        (GeminiGenerate, owner("gemini-2.5-flash")),
        (GeminiGenerate, owner("gemini-3-pro")),
        (BedrockConverse, owner("amazon.nova-pro-v1:0")),
        (BedrockConverse, owner("anthropic.claude-sonnet-4-5-v1:0")),
        (CohereChat, owner("command-a-reasoning-08-2025")),
        (OllamaChat, compatible("m")),
    ]
}

/// What stands at `path`, of members and numbers in brackets.
fn find<'v>(body: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(body, |here, step| {
        let (key, numbers) = step.split_once('[').map_or((step, ""), |(key, rest)| (key, rest));
        let numbers = numbers.split(['[', ']']).filter(|number| !number.is_empty());
        numbers.map(|number| number.parse::<usize>().ok()).try_fold(here.get(key)?, |list, at| list.get(at?))
    })
}

#[test]
fn every_loss_is_found_where_the_client_wrote_it_and_told_once() {
    let mut wrong = Vec::new();
    for (client, body) in clients() {
        for (upstream, target) in upstreams() {
            let what = format!("{client} to {upstream} {}", target.model);
            let sent = match (Pair { client, upstream }).send(body.to_string(), &target) {
                Ok(sent) => sent,
                // Content that the model would not see names its own place, too.
                Err(fault) => {
                    let path = fault.param.clone().unwrap_or_default();
                    if find(&body, &path).is_none() {
                        wrong.push(format!("{what}: {path} in {}", fault.message));
                    }
                    continue;
                }
            };
            let mut told = HashSet::new();
            for Loss { path, action, reason, .. } in sent.losses.iter() {
                // What had to be made up stands nowhere yet, but belongs to something that does.
                let is_there =
                    find(&body, path).is_some() || *action == Action::Invented && !path.contains('[');
                if !is_there {
                    wrong.push(format!("{what}: {path} is nowhere ({reason})"));
                }
                if !told.insert((path, action)) {
                    wrong.push(format!("{what}: {path} is {} twice ({reason})", action.name()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An answer that opens a conversation is no instruction of it.
#[test]
fn the_user_who_has_to_speak_first_is_missed_where_the_conversation_begins() {
    let answer = |content: Value| json!({"role": "assistant", "content": content});
    let chat =
        json!({"model": "m", "messages": [{"role": "system", "content": "Be brief."}, answer(json!("x"))]});
    let input = json!({"model": "m", "instructions": "Be brief.", "input": [{"role": "developer", "content": "y"},
        answer(json!("x"))]});
    let messages =
        json!({"model": "m", "max_tokens": 9, "system": "Be brief.", "messages": [answer(json!("x"))]});
    let converse = json!({"system": [{"text": "Be brief."}], "messages": [answer(json!([{"text": "x"}]))]});
    let contents = json!({"systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "model", "parts": [{"text": "x"}]}]});
    let ollama =
        json!({"model": "m", "messages": [{"role": "system", "content": "Be brief."}, answer(json!("x"))]});
    for (client, body, path) in [
        (OpenaiChat, chat, "messages[1]"),
        (OpenaiResponses, input, "input[1]"),
        (AnthropicMessages, messages, "messages[0]"),
        (BedrockConverse, converse, "messages[0]"),
        (GeminiGenerate, contents, "contents[0]"),
        (OllamaChat, ollama, "messages[1]"),
    ] {
        for (upstream, model) in [
            (AnthropicMessages, CLAUDE),
            (BedrockConverse, "amazon.nova-pro-v1:0"),
            (GeminiGenerate, "gemini-2.5-flash"),
        ] {
            let sent = Pair { client, upstream }.send(body.to_string(), &owner(model)).unwrap();
            let told = list(&sent.losses);
            assert!(told.contains(&format!("{path} invented")), "{client} to {upstream}: {told:?}");
        }
    }
}

/// Thoughts that Gemini signed come back with the call behind them; what sums them up for people it does not read.
#[test]
fn words_beside_geminis_own_state_are_no_loss() {
    let thought = |signature: &str| json!({"type": "thinking", "thinking": "hm", "signature": signature});
    let body = |block: Value| {
        json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "go"},
            {"role": "assistant", "content": [block, {"type": "text", "text": "x"}]},
            {"role": "user", "content": "go on"}]})
    };
    let pair = Pair { client: AnthropicMessages, upstream: GeminiGenerate };
    for signature in ["tl1.unproven", "EqQBsomebody"] {
        let sent = pair.send(body(thought(signature)).to_string(), &owner("gemini-3-pro")).unwrap();
        assert_eq!(
            sent.lost(),
            ["messages[1].content[0] dropped"],
            "{signature}: no state of Gemini's beside it"
        );
        let told = sent.losses.header(4096);
        assert!(told.contains("without a signature of Gemini's"), "{told}");
    }
}

/// Whoever asks for the state of thoughts gets it sealed, whatever it asks for besides.
#[test]
fn state_that_is_handed_out_is_not_told_as_dropped() {
    let body = |include: Value| json!({"model": "m", "store": false, "include": include, "input": "go", "max_output_tokens": 4000});
    for (upstream, model) in [
        (AnthropicMessages, CLAUDE),
        (BedrockConverse, "anthropic.claude-sonnet-4-5-v1:0"),
        (GeminiGenerate, "gemini-2.5-flash"),
    ] {
        let pair = Pair { client: OpenaiResponses, upstream };
        let lost = |include| pair.send(body(include).to_string(), &owner(model)).unwrap().lost();
        assert_eq!(lost(json!(["reasoning.encrypted_content"])), [""; 0], "{upstream}");
        let both = json!(["reasoning.encrypted_content", "web_search_call.action.sources"]);
        assert_eq!(lost(both), ["include dropped"], "{upstream}");
    }
}
