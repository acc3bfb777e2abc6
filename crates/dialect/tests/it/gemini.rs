//! Gemini on either side of the other dialects.

use crate::chain::{
    CLAUDE, EVENT_BYTES, Pair, chunks, compatible, context, frames, idle, list, owner, payloads, read_stream,
    told,
};
use crate::corpus::{CLAUDE_REPLY, CLAUDE_STREAM, ENGINE_REPLY};
use serde_json::{Value, json};
use trunkline_core::Dialect::{AnthropicMessages, GeminiGenerate, OpenaiChat};
use trunkline_core::{Action, Class, Delta, Dialect, Event, FaultKind, ItemKind, OnUnsupported};
use trunkline_dialect::{
    Context, StreamReader, StreamWriter, read_error, read_reply, write_error, write_stream_error,
};

const OC_GG: Pair = Pair { client: OpenaiChat, upstream: GeminiGenerate };
const AM_GG: Pair = Pair { client: AnthropicMessages, upstream: GeminiGenerate };
const GG_OC: Pair = Pair { client: GeminiGenerate, upstream: OpenaiChat };
const GG_AM: Pair = Pair { client: GeminiGenerate, upstream: AnthropicMessages };

const FLASH: &str = "gemini-2.5-flash";
const PRO: &str = "gemini-3-pro-preview";

/// A call without an id, thoughts, a signature.
const REPLY: &str = r#"{"candidates":[{"content":{"parts":[{"text":"hm","thought":true},{"text":"Let me see."},{"functionCall":{"name":"weather","args":{"city":"Köln","n":12345678901234567890}},"thoughtSignature":"U0lH"}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":18,"cachedContentTokenCount":5,"candidatesTokenCount":6,"thoughtsTokenCount":4,"totalTokenCount":28},"modelVersion":"gemini-3-pro","responseId":"r1"}"#;

fn events(payloads: &[&str]) -> String {
    payloads.iter().map(|payload| format!("data: {payload}\r\n\r\n")).collect()
}

#[test]
fn c21_a_conversation_has_geminis_roles() {
    let sent = OC_GG
        .send(
            r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]}"#,
            &owner(FLASH),
        )
        .unwrap();
    assert_eq!(
        sent.body,
        json!({
            "systemInstruction": {"parts": [{"text": "s"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "a"}]},
                {"role": "model", "parts": [{"text": "b"}]},
                {"role": "user", "parts": [{"text": "c"}]},
            ],
        })
    );
    assert_eq!(sent.lost(), Vec::<String>::new());
}

#[test]
fn c22_c23_a_tool_loop_reaches_gemini() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","content":null,"tool_calls":[{"id":"a__thought__U0lH","type":"function","function":{"name":"f","arguments":"{\"n\":1.0}"}}]},{"role":"tool","tool_call_id":"a__thought__U0lH","content":"sunny"}]}"#;
    let sent = OC_GG.send(body, &owner(PRO)).unwrap();
    assert_eq!(
        sent.body["contents"][1]["parts"],
        json!([{"functionCall": {"id": "a", "name": "f", "args": {"n": 1.0}}, "thoughtSignature": "U0lH"}])
    );
    assert_eq!(
        sent.body["contents"][2]["parts"],
        json!([{"functionResponse": {"id": "a", "name": "f", "response": {"result": "sunny"}}}])
    );
    assert!(sent.text.contains("1.0"));
}

#[test]
fn c24_c26_c27_c28_settings_reach_gemini() {
    let sent = OC_GG
        .send(
            r#"{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}],"tool_choice":{"type":"function","function":{"name":"f"}},"reasoning_effort":"none","n":2,"seed":7,"presence_penalty":0.50,"logprobs":true,"top_logprobs":3,"stop":["END"],"max_completion_tokens":77}"#,
            &owner(FLASH),
        )
        .unwrap();
    assert_eq!(sent.body["tools"], json!([{"functionDeclarations": [{"name": "f"}]}]));
    assert_eq!(
        sent.body["toolConfig"],
        json!({"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}})
    );
    assert_eq!(
        sent.body["generationConfig"],
        json!({
            "candidateCount": 2, "maxOutputTokens": 77, "stopSequences": ["END"], "presencePenalty": 0.5,
            "seed": 7, "responseLogprobs": true, "logprobs": 3,
            "thinkingConfig": {"includeThoughts": false, "thinkingBudget": 0},
        })
    );
    assert_eq!((sent.lost(), sent.fan_out), (Vec::<String>::new(), 1));

    let third = OC_GG
        .send(
            r#"{"model":"m","messages":[{"role":"user","content":"x"}],"reasoning_effort":"none"}"#,
            &owner(PRO),
        )
        .unwrap();
    assert_eq!(
        third.body["generationConfig"]["thinkingConfig"],
        json!({"includeThoughts": false, "thinkingLevel": "low"})
    );
    assert_eq!(third.lost(), ["reasoning_effort degraded"]);
}

#[test]
fn c25_a_schema_reaches_gemini_as_it_is() {
    let schema =
        r##"{"type":"object","properties":{"p":{"$ref":"#/$defs/P"}},"$defs":{"P":{"minimum":1.0}}}"##;
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],"response_format":{{"type":"json_schema","json_schema":{{"name":"n","schema":{schema}}}}}}}"#
    );
    let sent = OC_GG.send(body, &owner(FLASH)).unwrap();
    assert!(sent.text.contains(&format!("\"responseJsonSchema\":{schema}")), "{}", sent.text);
}

#[test]
fn c50_claudes_search_becomes_googles() {
    let body = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}],"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":3},{"name":"f","input_schema":{"type":"object","properties":{"a":{"type":"string"}}}}]}"#;
    let third = AM_GG.send(body, &owner(PRO)).unwrap();
    assert_eq!(third.body["tools"][1], json!({"googleSearch": {}}));
    let second = AM_GG.send(body, &owner(FLASH)).unwrap();
    assert!(second.body["tools"].get(1).is_none());
    assert_eq!(second.losses.refused(OnUnsupported::Warn), None);
    assert_eq!(second.losses.refused(OnUnsupported::Reject).unwrap().path, "tools");
}

#[test]
fn c58_responses_by_name_find_their_calls() {
    let body = r#"{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{"a":1.0}}},{"functionCall":{"name":"f","args":{"a":2}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"result":"one"}}},{"functionResponse":{"name":"f","response":{"n":2}}}]}]}"#;
    let sent = GG_OC.send(body, &compatible("m")).unwrap();
    let messages = sent.body["messages"].as_array().unwrap();
    let ids: Vec<_> = messages[1]["tool_calls"].as_array().unwrap().iter().map(|call| &call["id"]).collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(messages[1]["tool_calls"][0]["function"]["arguments"], "{\"a\":1.0}");
    for (at, content) in [(0, "one"), (1, "{\"n\":2}")] {
        assert_eq!(messages[2 + at]["role"], "tool");
        assert_eq!(
            (&messages[2 + at]["tool_call_id"], &messages[2 + at]["content"]),
            (ids[at], &json!(content))
        );
    }
    let claude = GG_AM.send(body, &owner(CLAUDE)).unwrap();
    assert_eq!(claude.body["messages"][2]["content"][0]["type"], "tool_result");
}

#[test]
fn c59_safety_settings_are_refused_and_top_k_is_kept() {
    let body = r#"{"contents":[{"parts":[{"text":"x"}]}],"safetySettings":[{"category":"HARM_CATEGORY_HARASSMENT","threshold":"BLOCK_NONE"}],"generationConfig":{"topK":40}}"#;
    let sent = GG_AM.send(body, &owner(CLAUDE)).unwrap();
    assert_eq!(sent.body["top_k"], 40);
    let loss = sent.losses.iter().find(|loss| loss.path == "safetySettings").unwrap();
    assert_eq!((loss.class, loss.action), (Class::Safety, Action::Dropped));
    assert_eq!(sent.losses.refused(OnUnsupported::Warn), Some(loss));
}

#[test]
fn a_place_is_named_as_geminis_clients_spell_it() {
    let body = r#"{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"text":"a"},{"functionCall":{"name":"f"}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}},{"text":"see"},{"inlineData":{"mimeType":"video/mp4","data":"aGk="}}]}]}"#;
    let fault = GG_AM.send(body, &owner(CLAUDE)).unwrap_err();
    assert_eq!((fault.kind, fault.param.as_deref()), (FaultKind::Unsupported, Some("contents[2].parts[2]")));
    let files = r#"{"contents":[{"parts":[{"fileData":{"mimeType":"image/png","fileUri":"https://generativelanguage.googleapis.com/v1beta/files/1"}}]}]}"#;
    for pair in [GG_OC, GG_AM] {
        let fault = pair.send(files, &owner(CLAUDE)).unwrap_err();
        assert_eq!(fault.param.as_deref(), Some("contents[0].parts[0]"), "{pair:?}");
    }
}

#[test]
fn c67_claudes_citations_are_placed_in_bytes() {
    let body = r#"{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"Grüße "},{"type":"text","text":"Köln","citations":[{"type":"web_search_result_location","url":"https://a","title":"A","encrypted_index":"E","cited_text":"c"}]}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let (text, _) = GG_AM.answer(body, &idle()).unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        answer["candidates"][0]["groundingMetadata"]["groundingSupports"],
        json!([{"segment": {"startIndex": 8, "endIndex": 13, "text": "Köln"}, "groundingChunkIndices": [0]}])
    );
}

#[test]
fn c68_a_gemini_answer_for_other_clients() {
    let openai = OC_GG.answer_whole(REPLY);
    let choice = &openai["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["reasoning_content"], "hm");
    assert_eq!(choice["message"]["content"], "Let me see.");
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!((&call["id"], &call["function"]["name"]), (&json!("call_r1_0_0"), &json!("weather")));
    assert_eq!(call["function"]["arguments"], r#"{"city":"Köln","n":12345678901234567890}"#);
    assert_eq!(openai["usage"]["prompt_tokens"], 18);
    assert_eq!(openai["usage"]["completion_tokens"], 10);
    assert_eq!(openai["usage"]["prompt_tokens_details"]["cached_tokens"], 5);

    let claude: Value = serde_json::from_str(&AM_GG.answer(REPLY, &idle()).unwrap().0).unwrap();
    assert_eq!(claude["stop_reason"], "tool_use");
    let kinds: Vec<_> = claude["content"].as_array().unwrap().iter().map(|block| &block["type"]).collect();
    assert_eq!(kinds, ["thinking", "text", "tool_use"]);
    assert_eq!(claude["usage"]["input_tokens"], 13);

    let reply = read_reply(GeminiGenerate, REPLY.as_bytes()).unwrap();
    let signed = reply.choices[0].items.iter().any(|item| match &item.kind {
        ItemKind::ToolCall(call) => call.signature.as_deref() == Some("U0lH"),
        _ => false,
    });
    assert!(signed, "the signature is kept with its call");
}

#[test]
fn c69_a_blocked_prompt_is_a_filtered_answer() {
    let body = r#"{"promptFeedback":{"blockReason":"SAFETY"},"modelVersion":"m","responseId":"r"}"#;
    let openai = OC_GG.answer_whole(body);
    assert_eq!(openai["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(openai["choices"][0]["message"]["content"], "");
    let claude = AM_GG.answer_whole(body);
    assert_eq!((&claude["stop_reason"], &claude["content"]), (&json!("refusal"), &json!([])));
}

#[test]
fn c70_grounding_becomes_annotations_in_scalars() {
    let body = r#"{"candidates":[{"content":{"parts":[{"text":"Grüße aus Köln"}]},"finishReason":"STOP","groundingMetadata":{"groundingChunks":[{"web":{"uri":"https://a","title":"A"}}],"groundingSupports":[{"segment":{"startIndex":12,"endIndex":17,"text":"Köln"},"groundingChunkIndices":[0]}]}}]}"#;
    let citation = json!({"url": "https://a", "title": "A", "start_index": 10, "end_index": 14});
    let openai = OC_GG.answer_whole(body);
    assert_eq!(
        openai["choices"][0]["message"]["annotations"],
        json!([{"type": "url_citation", "url_citation": citation}])
    );
    let stream = OC_GG.relay(&events(&[body]));
    let told: Vec<_> = payloads(&stream)
        .iter()
        .filter_map(|chunk| chunk.pointer("/choices/0/delta/annotations/0/url_citation").cloned())
        .collect();
    assert_eq!(told, [citation]);
}

#[test]
fn c74_other_answers_for_gemini_clients() {
    for (pair, body) in [(GG_OC, ENGINE_REPLY), (GG_AM, CLAUDE_REPLY)] {
        let (text, _) = pair.answer(body, &idle()).unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        let candidate = &answer["candidates"][0];
        assert_eq!(candidate["content"]["role"], "model");
        assert!(candidate["finishReason"].is_string() && answer["usageMetadata"]["totalTokenCount"].is_u64());
        for part in candidate["content"]["parts"].as_array().unwrap() {
            let known = ["text", "functionCall"].iter().filter(|key| part.get(**key).is_some()).count();
            assert_eq!(known, 1, "{part}");
            assert!(part.get("functionCall").is_none_or(|call| call["args"].is_object()), "{part}");
        }
        let read = read_reply(GeminiGenerate, text.as_bytes()).unwrap();
        let upstream = read_reply(pair.upstream, body.as_bytes()).unwrap();
        let totals = |reply: &trunkline_core::Reply| {
            let usage = reply.usage.clone().unwrap();
            (usage.input_total, usage.output_total, usage.cache_read)
        };
        assert_eq!(totals(&read), totals(&upstream), "{pair:?}");
    }
}

#[test]
fn c79_errors_keep_their_meaning() {
    for (client, status, body, pointer, want) in [
        (
            GeminiGenerate,
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}"#,
            "/error/status",
            "RESOURCE_EXHAUSTED",
        ),
        (
            GeminiGenerate,
            503,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#,
            "/error/status",
            "UNAVAILABLE",
        ),
        (
            OpenaiChat,
            429,
            r#"{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}"#,
            "/error/type",
            "rate_limit_error",
        ),
        (
            AnthropicMessages,
            403,
            r#"{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}"#,
            "/error/type",
            "permission_error",
        ),
    ] {
        let upstream = if client == GeminiGenerate { AnthropicMessages } else { GeminiGenerate };
        let fault = read_error(upstream, status, body.as_bytes());
        let written: Value = serde_json::from_slice(&write_error(client, &fault, "req-1")).unwrap();
        assert_eq!(written.pointer(pointer).unwrap(), want, "{body}");
    }
    let fault = read_error(AnthropicMessages, 502, b"<html>edge</html>");
    let event = String::from_utf8(write_stream_error(GeminiGenerate, &fault, "req-1")).unwrap();
    assert_eq!(payloads(&event)[0]["error"]["code"], 502);
    assert!(!event.contains("edge"), "c80");
}

#[test]
fn c90_fragments_of_arguments_become_one_call() {
    let stream = chunks(&[
        r#"{"id":"chatcmpl-1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"hi"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1.0}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#,
    ]);
    let relayed = GG_OC.relay(&stream);
    let got = payloads(&relayed);
    assert_eq!(got.len(), 3, "{relayed}");
    assert_eq!(got[0]["candidates"][0]["content"]["parts"], json!([{"text": "hi"}]));
    assert_eq!(
        got[1]["candidates"][0]["content"]["parts"],
        json!([{"functionCall": {"id": "a", "name": "f", "args": {"x": 1.0}}}])
    );
    assert_eq!(got[2]["candidates"][0]["finishReason"], "STOP");
    assert_eq!(got[2]["usageMetadata"]["totalTokenCount"], 5);
    assert!(got[..2].iter().all(|fragment| fragment.get("usageMetadata").is_none()));

    let array = Context { array: true, ..context() };
    let whole: Vec<Value> =
        serde_json::from_str(&GG_OC.stream(&[stream.as_bytes()], &idle(), array.clone())).unwrap();
    assert_eq!(whole, got);
    let cut: Vec<Value> =
        serde_json::from_str(&GG_OC.stream(&[&stream.as_bytes()[..200]], &idle(), array)).unwrap();
    assert!(cut.last().unwrap()["error"]["message"].is_string(), "c99");
}

#[test]
fn c93_a_gemini_stream_for_other_clients() {
    let stream = events(&[
        r#"{"candidates":[{"content":{"parts":[{"text":"hm","thought":true}]}}],"usageMetadata":{"promptTokenCount":9},"responseId":"r1"}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"so"},{"functionCall":{"name":"f","args":{"a":1.0}}}]}}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":90}}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"","thoughtSignature":"U0lH"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":4,"totalTokenCount":13}}"#,
    ]);
    let mut proofs = Vec::new();
    read_stream(GeminiGenerate, &[stream.as_bytes()], |event| {
        if let Event::Delta { part, delta: Delta::Signature { proof, stamp } } = event {
            proofs.push((part, proof.into_owned(), stamp));
        }
    });
    assert_eq!(proofs, [(2, "U0lH".to_owned(), Some(GeminiGenerate))], "it belongs to the call");

    let got = payloads(&OC_GG.relay(&stream));
    let deltas: Vec<_> = got.iter().filter_map(|chunk| chunk.pointer("/choices/0/delta")).collect();
    assert!(deltas.iter().any(|delta| delta["reasoning_content"] == "hm"));
    assert!(deltas.iter().any(|delta| delta["content"] == "so"));
    let usages: Vec<_> = got.iter().filter(|chunk| chunk["usage"].is_object()).collect();
    assert_eq!(usages.len(), 1);
    assert_eq!(usages[0]["usage"]["completion_tokens"], 4);
    assert!(OC_GG.relay(&stream).ends_with("data: [DONE]\n\n"));
    let claude = AM_GG.relay(&stream);
    assert!(claude.contains("\"stop_reason\":\"tool_use\"") && claude.contains("message_stop"));
}

#[test]
fn c99_an_early_end_is_an_error_for_everyone() {
    let stream = events(&[r#"{"candidates":[{"content":{"parts":[{"text":"half"}]}}]}"#]);
    assert!(!OC_GG.relay(&stream).contains("[DONE]"));
    assert!(!AM_GG.relay(&stream).contains("message_stop"));
    for (pair, cut) in [
        (GG_AM, frames(&CLAUDE_STREAM[..CLAUDE_STREAM.len() / 2])),
        (GG_OC, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n".to_owned()),
    ] {
        let last = payloads(&pair.relay(&cut)).pop().unwrap();
        assert!(last["error"]["status"].is_string(), "{pair:?}: {last}");
    }
}

/// The stream to a Gemini client amounts to the whole answer it would have got.
#[test]
fn c103_streams_and_answers_agree() {
    for (upstream, body) in
        [(OpenaiChat, ENGINE_REPLY), (AnthropicMessages, CLAUDE_REPLY), (GeminiGenerate, REPLY)]
    {
        let reply = read_reply(upstream, body.as_bytes()).unwrap();
        let pair = Pair { client: GeminiGenerate, upstream };
        let (whole, _) = pair.answer(body, &idle()).unwrap();
        let streamed = crate::chain::fold(GeminiGenerate, told(GeminiGenerate, &reply).as_bytes()).unwrap();
        assert_eq!(streamed, read_reply(GeminiGenerate, whole.as_bytes()).unwrap(), "{upstream}");
    }
}

#[test]
fn c104_chunking_never_matters() {
    let stream = frames(CLAUDE_STREAM);
    let claude = stream.as_bytes();
    let whole = GG_AM.stream(&[claude], &idle(), context());
    for at in (0..claude.len()).step_by(7) {
        let (a, b) = claude.split_at(at);
        assert_eq!(GG_AM.stream(&[a, b], &idle(), context()), whole, "cut at {at}");
    }
}

/// A client that takes a comment or a sentinel for broken JSON gets neither.
#[test]
fn gemini_streams_hold_nothing_but_fragments() {
    let stream = frames(&[
        r#"{"type":"message_start","message":{"id":"msg_1","model":"c","usage":{"input_tokens":3}}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#,
        r#"{"type":"message_stop"}"#,
    ]);
    let relayed = GG_AM.relay(&stream);
    let lines = relayed.lines().filter(|line| !line.is_empty());
    assert!(lines.clone().all(|line| line.starts_with("data: {")), "{relayed}");
    assert_eq!(lines.count(), 2);
    assert!(StreamReader::new(GeminiGenerate, EVENT_BYTES).is_ok());
    let writer = StreamWriter::new(GeminiGenerate, context()).unwrap();
    assert_eq!(list(writer.losses()), Vec::<String>::new());
    assert!(trunkline_dialect::speaks(Dialect::GeminiGenerate));
}
