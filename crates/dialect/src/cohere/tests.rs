//! What this codec promises, case by case. The other side of each translation is the neutral model.

use super::{StreamReader, read_error, read_reply};
use crate::codec::Vendor;
use crate::testing::{Contract, a_cut_is_told, chunking_never_matters, list, target};
use proptest::prelude::*;
use serde_json::{Value, json};
use trunkline_core::{
    Call, Dialect, Event, Fault, FaultKind, FinishReason, Fold, ItemKind, Losses, PartKind, Reply,
};

fn write_as(client: Dialect, body: &Value) -> Result<(Value, Vec<String>), Fault> {
    let target = target("command-a", Vendor::Owner);
    let mut losses = Losses::default();
    let call: Call = crate::read_call(client, body.to_string().as_bytes(), &mut losses)?;
    let written = crate::write_call(Dialect::CohereChat, &call, &target, &mut losses)?;
    Ok((serde_json::from_slice(&written.body).expect("the body is JSON"), list(&losses)))
}

fn write(body: &Value) -> Result<(Value, Vec<String>), Fault> {
    write_as(Dialect::OpenaiChat, body)
}

fn function(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
}

#[test]
fn c40_openai_to_cohere() {
    let (written, lost) = write(&json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [
                {"type": "text", "text": "what"},
                {"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "low"}}]},
            {"role": "assistant", "content": "", "reasoning_content": "I will look", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1.0}"}},
                {"id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"}],
        "tools": [function("f"), function("g")],
        "tool_choice": {"type": "function", "function": {"name": "g"}},
        "top_p": 0.9, "top_k": 3, "stop": ["a", "b"], "seed": 7, "max_tokens": 5, "temperature": 0.10,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        "logit_bias": {"1": 1}, "user": "u", "stream": true
    }))
    .unwrap();
    assert_eq!(
        written,
        json!({
            "model": "command-a",
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": [
                    {"type": "text", "text": "what"},
                    {"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "low"}}]},
                {"role": "assistant", "tool_plan": "I will look", "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1.0}"}},
                    {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
                {"role": "tool", "tool_call_id": "c2", "content": "Error: no result provided"}],
            "tools": [function("g")],
            "tool_choice": "REQUIRED",
            "stream": true, "max_tokens": 5, "temperature": 0.10, "p": 0.9, "k": 3, "seed": 7,
            "stop_sequences": ["a", "b"],
            "response_format": {"type": "json_object", "json_schema": {"type": "object"}}
        })
    );
    assert_eq!(lost, ["tool_choice emulated", "messages[2] invented", "logit_bias dropped", "user dropped"]);
}

#[test]
fn tool_choices() {
    let strict = json!({"type": "function", "function": {"name": "f", "strict": true}});
    for (choice, tools, want, offered) in [
        (json!("auto"), json!([function("f")]), json!(null), 1),
        (json!("none"), json!([function("f")]), json!("NONE"), 1),
        (json!("required"), json!([strict]), json!("REQUIRED"), 1),
        (
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}}),
            json!([function("f"), function("g")]),
            json!("REQUIRED"),
            1,
        ),
    ] {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "a"}], "tools": tools, "tool_choice": choice});
        let (written, _) = write(&body).unwrap();
        assert_eq!(written["tool_choice"], want, "{body}");
        assert_eq!(written["tools"].as_array().unwrap().len(), offered, "{body}");
        assert_eq!(written["strict_tools"] == true, choice == "required", "{body}");
    }
}

#[test]
fn thinking_levels_are_budgets() {
    for (effort, want) in [
        ("none", json!({"type": "disabled"})),
        ("low", json!({"type": "enabled", "token_budget": 1024})),
        ("medium", json!({"type": "enabled", "token_budget": 2048})),
        ("high", json!({"type": "enabled", "token_budget": 4096})),
        ("ultra", json!({"type": "enabled"})),
    ] {
        let body = json!({"model": "m", "reasoning_effort": effort, "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b", "reasoning_content": "hm"},
            {"role": "user", "content": "c"}]});
        let (written, _) = write(&body).unwrap();
        assert_eq!(written["thinking"], want);
        let turn = json!([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "b"}]);
        let want = if effort == "none" { json!("b") } else { turn };
        assert_eq!(written["messages"][1]["content"], want, "{effort}");
    }
}

/// Whatever of thoughts and failures the target is not told as such is told as lost.
#[test]
fn thoughts_and_failures_that_cannot_be_said_are_told_as_lost() {
    let shown = json!({"type": "thinking", "thinking": "hm", "signature": "c2ln"});
    let withheld = json!({"type": "redacted_thinking", "data": "cmVk"});
    let (on, off) = (json!({"type": "enabled", "budget_tokens": 2000}), json!({"type": "disabled"}));
    for (thought, thinking, is_said) in
        [(&shown, &on, true), (&shown, &off, false), (&withheld, &on, false), (&withheld, &off, false)]
    {
        let body = json!({"model": "m", "max_tokens": 9000, "thinking": thinking, "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [thought, {"type": "text", "text": "b"}]},
            {"role": "user", "content": "c"}]});
        let (written, lost) = write_as(Dialect::AnthropicMessages, &body).unwrap();
        assert_eq!(written["messages"][1].to_string().contains("\"hm\""), is_said, "{written}");
        let is_told = lost.iter().all(|loss| loss == "messages[1].content[0] dropped");
        assert!(is_told && !lost.is_empty(), "{thinking} {thought}: {lost:?}");
    }
    let plain = json!({"model": "m", "reasoning_effort": "none", "messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "reasoning_content": "hm"},
        {"role": "user", "content": "c"}]});
    let (written, lost) = write(&plain).unwrap();
    assert_eq!(
        (&written["messages"][1]["content"], lost),
        (&json!("b"), vec!["messages[1] dropped".to_owned()])
    );

    let call = json!({"type": "tool_use", "id": "t1", "name": "f", "input": {}});
    let failed = json!({"type": "tool_result", "tool_use_id": "t1", "is_error": true, "content": "broken"});
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "go"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "I look"}, call]},
        {"role": "user", "content": [failed]}]});
    let (written, lost) = write_as(Dialect::AnthropicMessages, &body).unwrap();
    assert_eq!(written["messages"][1]["tool_plan"], "I look", "a plan of calls is said as one");
    assert!(written["messages"][2].to_string().contains("Error:"), "{written}");
    assert_eq!(lost, ["messages[2].content[0] emulated"]);
}

#[test]
fn documents_to_cite_stand_beside_the_conversation() {
    let (written, lost) = write_as(
        Dialect::AnthropicMessages,
        &json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [
            {"type": "document", "title": "T", "citations": {"enabled": true}, "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
            {"type": "text", "text": "what"}]}]}),
    )
    .unwrap();
    assert_eq!(written["documents"], json!([{"id": "doc_0", "data": {"title": "T", "text": "words"}}]));
    assert_eq!(written["messages"], json!([{"role": "user", "content": "what"}]));
    assert_eq!(lost, ["messages[0].content[0] degraded"]);
}

#[test]
fn what_the_model_would_not_see_is_refused() {
    for part in [
        json!({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}),
        json!({"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk="}}),
    ] {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": [part]}]});
        let fault = write(&body).unwrap_err();
        let want = (FaultKind::Unsupported, Some("messages[0].content[0]"));
        assert_eq!((fault.kind, fault.param.as_deref()), want, "{body}");
    }
}

#[test]
fn a_result_without_its_call_is_text() {
    let body = json!({"model": "m", "messages": [{"role": "tool", "tool_call_id": "x", "content": "sunny"}]});
    let (written, lost) = write(&body).unwrap();
    assert_eq!(
        written["messages"],
        json!([{"role": "user", "content": [{"type": "text", "text": "[tool result for x]"}, {"type": "text", "text": "sunny"}]}])
    );
    assert_eq!(lost, ["messages[0] degraded"]);
}

/// Nothing leaves that the target is known to refuse, and what was put in its place is told.
#[test]
fn emptiness_is_said_in_words() {
    let ask = |messages: Value| write(&json!({"model": "m", "messages": messages})).unwrap();
    let user = |words: &str| json!({"role": "user", "content": words});
    let said = json!({"role": "assistant", "content": "b"});
    for (name, messages, want, told) in [
        ("alone", json!([user("")]), json!([user(".")]), &["messages[0] invented"][..]),
        ("behind words", json!([user("a"), user("")]), json!([user("a")]), &["messages[1] dropped"]),
        ("before words", json!([user(""), user("a")]), json!([user("a")]), &["messages[0] dropped"]),
        (
            "several",
            json!([user(""), said, user(""), user("")]),
            json!([user("."), said, user(".")]),
            &["messages[0] invented", "messages[2] dropped", "messages[3] invented"],
        ),
        (
            "an empty part",
            json!([{"role": "user", "content": [{"type": "text", "text": ""}]}]),
            json!([user(".")]),
            &["messages[0] invented"],
        ),
        (
            "an empty instruction",
            json!([{"role": "system", "content": ""}, user("a")]),
            json!([user("a")]),
            &["messages[0] dropped"],
        ),
    ] {
        let (written, lost) = ask(messages);
        assert_eq!((&written["messages"], lost), (&want, told.iter().map(|&t| t.into()).collect()), "{name}");
    }

    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let calls = json!({"role": "assistant", "tool_calls": [call("c1"), call("c2")]});
    let result = |id: &str, words: &str| json!({"role": "tool", "tool_call_id": id, "content": words});
    let (written, lost) = ask(json!([user("a"), calls, result("c2", ""), result("c1", "x"), user("")]));
    let want = json!([user("a"), calls, result("c2", "(no output)"), result("c1", "x")]);
    assert_eq!(written["messages"], want, "results stay in the caller's order");
    assert_eq!(lost, ["messages[2] invented", "messages[4] dropped"]);

    let (written, lost) =
        ask(json!([user("a"), calls, result("c1", "x"), result("c1", "y"), result("c2", "z")]));
    let roles: Vec<_> = written["messages"].as_array().unwrap().iter().map(|m| &m["role"]).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "tool", "user"], "nobody speaks before the results");
    assert_eq!(lost, ["messages[3] degraded"]);
}

#[test]
fn parameters_say_that_they_are_an_object() {
    for (schema, want, told) in [
        (json!({}), json!({"type": "object", "properties": {}}), "invented"),
        (json!({"type": "object"}), json!({"type": "object"}), ""),
        (
            json!({"properties": {"a": {}}, "required": ["a"]}),
            json!({"type": "object", "properties": {"a": {}}, "required": ["a"]}),
            "invented",
        ),
        (json!({"type": ["object", "null"]}), json!({"type": "object", "properties": {}}), "degraded"),
    ] {
        let tool = json!({"type": "function", "function": {"name": "f", "parameters": schema}});
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "a"}], "tools": [tool]});
        let (written, lost) = write(&body).unwrap();
        assert_eq!(written["tools"][0]["function"]["parameters"], want, "{schema}");
        let told: Vec<_> = (!told.is_empty()).then(|| format!("tools[0] {told}")).into_iter().collect();
        assert_eq!(lost, told, "{schema}");
    }
}

#[test]
fn names_are_written_as_the_target_spells_them() {
    let tools = ["get-weather", "2fast", "plain_1"].map(function);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "a"}], "tools": tools});
    let (written, lost) = write(&body).unwrap();
    for tool in written["tools"].as_array().unwrap() {
        let name = tool["function"]["name"].as_str().unwrap();
        let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        assert!(is_plain && !name.starts_with(|c: char| c.is_ascii_digit()), "{name}");
    }
    assert_eq!(written["tools"][2]["function"]["name"], "plain_1");
    assert_eq!(lost, [""; 0], "names are restored in the answer");
}

fn sse(payloads: &[&str]) -> Vec<u8> {
    let event = |payload: &&str| {
        let value: Value = serde_json::from_str(payload).unwrap();
        format!("event: {}\ndata: {payload}\n\n", value["type"].as_str().unwrap_or_default()).into_bytes()
    };
    payloads.iter().flat_map(event).collect()
}

const STREAM: [&str; 17] = [
    r#"{"id":"r1","type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}"#,
    r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"thinking","thinking":""}}}}"#,
    r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"thinking":"hm"}}}}"#,
    r#"{"type":"content-end","index":0}"#,
    r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"; look"}}}"#,
    r#"{"type":"content-start","index":1,"delta":{"message":{"content":{"type":"text","text":""}}}}"#,
    r#"{"type":"content-delta","index":1,"delta":{"message":{"content":{"text":"é is "}}}}"#,
    r#"{"type":"content-delta","index":1,"delta":{"message":{"content":{"text":"warm"}}}}"#,
    r#"{"type":"content-end","index":1}"#,
    r#"{"type":"citation-start","index":0,"delta":{"message":{"citations":{"start":5,"end":9,"text":"warm","content_index":1,"type":"TEXT_CONTENT","sources":[{"type":"document","id":"d","document":{"url":"https://x.example/","title":"X"}}]}}}}"#,
    r#"{"type":"citation-end","index":0}"#,
    r#"{"type":"debug","prompt":"x"}"#,
    r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"f_1","type":"function","function":{"name":"f","arguments":""}}}}}"#,
    r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{\"a\":"}}}}}"#,
    r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"1.0}"}}}}}"#,
    r#"{"type":"tool-call-end","index":0}"#,
    r#"{"type":"message-end","delta":{"finish_reason":"TOOL_CALL","usage":{"billed_units":{"input_tokens":3,"output_tokens":4},"tokens":{"input_tokens":12.0,"output_tokens":5.0},"cached_tokens":2}}}"#,
];

const WHOLE: &str = r#"{"id":"r1","finish_reason":"TOOL_CALL","message":{"role":"assistant","content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"é is warm"}],"tool_plan":"; look","citations":[{"start":5,"end":9,"text":"warm","content_index":1,"type":"TEXT_CONTENT","sources":[{"type":"document","id":"d","document":{"url":"https://x.example/","title":"X"}}]}],"tool_calls":[{"id":"f_1","type":"function","function":{"name":"f","arguments":"{\"a\":1.0}"}}]},"usage":{"billed_units":{"input_tokens":3,"output_tokens":4},"tokens":{"input_tokens":12.0,"output_tokens":5.0},"cached_tokens":2}}"#;

fn events_of(pieces: &[&[u8]], each: &mut dyn FnMut(Event<'_>)) {
    let mut reader = StreamReader::new(1 << 16);
    pieces.iter().for_each(|piece| reader.push(piece, each));
    reader.close(each);
}

fn fold(bytes: &[u8]) -> Result<Reply, Fault> {
    let mut fold = Fold::default();
    events_of(&[bytes], &mut |event| fold.push(event));
    fold.finish()
}

#[test]
fn c103_the_stream_is_the_whole_answer() {
    let whole = read_reply(WHOLE.as_bytes()).unwrap();
    assert_eq!(fold(&sse(&STREAM)).unwrap(), whole);
    let choice = &whole.choices[0];
    assert_eq!(choice.finish.as_ref().unwrap().reason, FinishReason::ToolCalls);
    let usage = whole.usage.as_ref().unwrap();
    assert_eq!((usage.input_total, usage.output_total, usage.cache_read), (Some(12), Some(5), Some(2)));
    let ItemKind::Message(message) = &choice.items[1].kind else { panic!("{whole:?}") };
    let PartKind::Text { text, citations } = &message.parts[0].kind else { panic!("{message:?}") };
    let trunkline_core::Citation::Url { url, span, .. } = &citations[0] else { panic!("{citations:?}") };
    assert_eq!((text.as_str(), url.as_str(), span), ("é is warm", "https://x.example/", &Some((5, 9))));
    let ItemKind::ToolCall(call) = &choice.items[2].kind else { panic!("{whole:?}") };
    assert_eq!((call.call_id.as_str(), call.arguments.as_str()), ("f_1", r#"{"a":1.0}"#));
}

#[test]
fn reasons_to_finish() {
    for (word, reason) in [
        ("COMPLETE", FinishReason::Stop),
        ("STOP_SEQUENCE", FinishReason::StopSequence),
        ("MAX_TOKENS", FinishReason::Length),
        ("ERROR_TOXIC", FinishReason::ContentFilter),
        ("ODD", FinishReason::Other("ODD".into())),
    ] {
        let body =
            format!(r#"{{"finish_reason":"{word}","message":{{"content":[{{"type":"text","text":"a"}}]}}}}"#);
        let reply = read_reply(body.as_bytes()).unwrap();
        assert_eq!(reply.choices[0].finish.as_ref().unwrap().reason, reason, "{word}");
    }
}

#[test]
fn a_stream_given_up_is_an_error() {
    for (last, kind, message) in [
        (
            r#"{"type":"message-end","delta":{"finish_reason":"ERROR","error":"out of memory"}}"#,
            FaultKind::Upstream,
            "out of memory",
        ),
        (
            r#"{"type":"message-end","delta":{"finish_reason":"TIMEOUT"}}"#,
            FaultKind::Timeout,
            "upstream answered 504 without a readable error",
        ),
        (r#"{"message":"slow down"}"#, FaultKind::Upstream, "slow down"),
        (
            r#"{"type":"content-end"}"#,
            FaultKind::Upstream,
            "upstream closed the stream early, before a finish reason; try again",
        ),
    ] {
        let fault = fold(&sse(&[STREAM[0], STREAM[6], last])).unwrap_err();
        assert_eq!((fault.kind, fault.message.as_str()), (kind, message), "{last}");
    }
}

#[test]
fn c79_c80_errors() {
    for (status, body, kind, code, message) in [
        (429, r#"{"id":"x","message":"slow"}"#, FaultKind::RateLimit, None, "slow"),
        (401, r#"{"message":"no api key"}"#, FaultKind::Authentication, None, "no api key"),
        (422, r#"{"message":"bad role"}"#, FaultKind::InvalidRequest, None, "bad role"),
        (
            404,
            r#"{"message":"model 'x' not found"}"#,
            FaultKind::NotFound,
            Some("model_not_found"),
            "model 'x' not found",
        ),
        (
            400,
            r#"{"message":"too many tokens"}"#,
            FaultKind::InvalidRequest,
            Some("context_length_exceeded"),
            "too many tokens",
        ),
        (
            502,
            "<html>10.0.0.7</html>",
            FaultKind::Upstream,
            None,
            "upstream answered 502 without a readable error",
        ),
    ] {
        let fault = read_error(status, body.as_bytes());
        assert_eq!((fault.kind, fault.code.as_deref(), fault.message.as_str()), (kind, code, message));
    }
}

#[test]
fn c98_c99_c104_cuts() {
    let stream = sse(&STREAM);
    chunking_never_matters(&events_of, &stream);
    a_cut_is_told(&events_of, &stream);
}

fn check(bytes: &[u8]) -> Result<(), String> {
    let mut contract = Contract::default();
    events_of(&[bytes], &mut |event| contract.see(&event));
    contract.verdict()
}

proptest! {
    #[test]
    fn any_stream_keeps_the_contract(order in proptest::collection::vec(0..STREAM.len(), 0..24)) {
        let payloads: Vec<_> = order.into_iter().filter_map(|at| STREAM.get(at).copied()).collect();
        prop_assert_eq!(check(&sse(&payloads)), Ok(()));
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), status in any::<u16>()) {
        let _ = read_reply(&bytes);
        let _ = fold(&bytes);
        prop_assert!(!read_error(status, &bytes).message.is_empty());
    }

    /// Bodies that are almost right reach further than noise does.
    #[test]
    fn broken_json_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let stream = sse(&STREAM);
        for body in [WHOLE.as_bytes(), &stream] {
            let mut body = body.to_vec();
            let at = at.index(body.len());
            body[at] = byte;
            let _ = read_reply(&body);
            let _ = fold(&body);
        }
    }
}
