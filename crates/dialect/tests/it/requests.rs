//! What an upstream receives (C01 to C20, C46, C47, C62 to C64).

use crate::chain::{AM_OC, CLAUDE, OC_AM, OC_OC, Pair, Sent, compatible, owner};
use serde_json::{Value, json};
use trunkline_core::Dialect::{AnthropicMessages, OllamaChat, OpenaiResponses};
use trunkline_core::{Dialect, FaultKind, Losses, OnUnsupported};
use trunkline_dialect::{Target, UserIds, Vendor, read_call, write_call};
use trunkline_dialect::{inline, needs_inlining};

const PNG: &str = "data:image/png;base64,iVBORw0KGgo=";

/// A chat call with these messages and further members.
fn chat(messages: Value, more: Value) -> String {
    let mut body = json!({"model": "m", "messages": messages});
    let members = body.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    body.to_string()
}

fn hi() -> Value {
    json!([{"role": "user", "content": "hi"}])
}

/// What Claude receives for a chat call.
fn claude(messages: Value, more: Value) -> Sent {
    claude_of(CLAUDE, messages, more)
}

fn claude_of(model: &str, messages: Value, more: Value) -> Sent {
    OC_AM.send(chat(messages, more), &owner(model)).unwrap()
}

/// The conversation with every text block as plain text, which says the same.
fn turns(sent: &Sent) -> Vec<(String, Vec<String>)> {
    let block = |block: &Value| match block["type"].as_str().unwrap() {
        "text" => block["text"].as_str().unwrap().to_owned(),
        "tool_use" => format!("call {}", block["id"].as_str().unwrap()),
        "tool_result" => format!("result {}", block["tool_use_id"].as_str().unwrap()),
        other => other.to_owned(),
    };
    let turn = |turn: &Value| {
        let blocks = turn["content"].as_array().unwrap().iter().map(block).collect();
        (turn["role"].as_str().unwrap().to_owned(), blocks)
    };
    sent.body["messages"].as_array().unwrap().iter().map(turn).collect()
}

fn turn(role: &str, blocks: &[&str]) -> (String, Vec<String>) {
    (role.to_owned(), blocks.iter().map(|block| (*block).to_owned()).collect())
}

fn function(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}})
}

fn called(calls: &[(&str, &str, &str)]) -> Value {
    let calls = calls.iter().map(
        |(id, name, arguments)| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}),
    );
    json!({"role": "assistant", "content": null, "tool_calls": calls.collect::<Vec<_>>()})
}

#[test]
fn c01_system_stands_above_and_max_tokens_is_filled_in() {
    let body = chat(
        json!([{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]),
        json!({}),
    );
    let target = Target { default_max_tokens: Some(777), ..owner(CLAUDE) };
    let sent = OC_AM.send(body, &target).unwrap();
    assert_eq!(sent.body["system"], json!([{"type": "text", "text": "be brief"}]));
    assert_eq!(turns(&sent), [turn("user", &["hi"])]);
    assert_eq!((&sent.body["max_tokens"], &sent.body["model"]), (&json!(777), &json!(CLAUDE)));
    assert_eq!(sent.lost(), ["max_tokens invented"]);
    insta::assert_snapshot!(sent.report());
}

#[test]
fn c02_a_later_system_message_stays_in_order() {
    let messages = || {
        json!([
            {"role": "system", "content": "first"},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "system", "content": "second"},
            {"role": "user", "content": "c"},
        ])
    };
    for (model, role, text, lost) in [
        ("claude-opus-4-8", "system", "second", None),
        (CLAUDE, "user", "<system>second</system>", Some("messages[3] degraded")),
    ] {
        let sent = claude_of(model, messages(), json!({"max_tokens": 9}));
        assert_eq!(sent.body["system"], json!([{"type": "text", "text": "first"}]), "{model}");
        let said: Vec<_> = turns(&sent)
            .into_iter()
            .flat_map(|(role, blocks)| blocks.into_iter().map(move |block| (role.clone(), block)))
            .collect();
        assert_eq!(said[2], (role.to_owned(), text.to_owned()), "{model}");
        assert_eq!(said[3], ("user".to_owned(), "c".to_owned()), "{model}");
        assert_eq!(sent.lost(), lost.into_iter().collect::<Vec<_>>(), "{model}");
    }
}

#[test]
fn c03_developer_is_system() {
    let call = |role: &str| {
        claude(
            json!([{"role": role, "content": "x"}, {"role": "user", "content": "y"}]),
            json!({"max_tokens": 9}),
        )
    };
    assert_eq!(call("developer").text, call("system").text);
}

#[test]
fn c04_the_newer_limit_wins() {
    let sent = claude(hi(), json!({"max_completion_tokens": 77, "max_tokens": 50}));
    assert_eq!(sent.body["max_tokens"], 77);
    assert_eq!(sent.lost(), ["max_tokens dropped"]);
}

#[test]
fn c05_stop_texts() {
    for (stop, want, lost) in
        [(json!("END"), json!(["END"]), vec![]), (json!(["\n", "X"]), json!(["X"]), vec!["stop dropped"])]
    {
        let sent = claude(hi(), json!({"max_tokens": 9, "stop": stop}));
        assert_eq!(sent.body["stop_sequences"], want);
        assert_eq!(sent.lost(), lost);
    }
}

#[test]
fn c06_strict_tools_one_call_at_least_and_at_most() {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let tool = json!({"type": "function", "function":
        {"name": "weather", "description": "looks", "parameters": schema, "strict": true}});
    let sent = claude(
        hi(),
        json!({"max_tokens": 9, "tools": [tool], "tool_choice": "required", "parallel_tool_calls": false}),
    );
    assert_eq!(sent.body["tool_choice"], json!({"type": "any", "disable_parallel_tool_use": true}));
    assert_eq!(
        sent.body["tools"],
        json!([{"name": "weather", "description": "looks", "input_schema": schema, "strict": true}])
    );
    assert_eq!(sent.lost(), Vec::<String>::new());
}

#[test]
fn c07_one_call_at_a_time_without_a_choice() {
    for (choice, want) in [
        (Value::Null, json!({"type": "auto", "disable_parallel_tool_use": true})),
        (json!("none"), json!({"type": "none"})),
    ] {
        let sent = claude(
            hi(),
            json!({"max_tokens": 9, "tools": [function("f")], "tool_choice": choice, "parallel_tool_calls": false}),
        );
        assert_eq!(sent.body["tool_choice"], want);
    }
}

#[test]
fn c08_a_long_dotted_name_is_one_name_everywhere_and_comes_back() {
    let name = format!("files.{}", "read".repeat(40));
    let sent = claude(
        json!([{"role": "user", "content": "hi"}, called(&[("a", &name, "{}")]),
            {"role": "tool", "tool_call_id": "a", "content": "ok"}]),
        json!({"max_tokens": 9, "tools": [function(&name)],
            "tool_choice": {"type": "function", "function": {"name": name}}}),
    );
    let sane = sent.body["tools"][0]["name"].as_str().unwrap();
    assert!(sane.len() <= 128 && sane.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{sane}");
    assert_eq!(sent.body["tool_choice"]["name"], sane);
    assert_eq!(sent.body["messages"][1]["content"][0]["name"], sane);
    let answer = json!({"type": "message", "id": "msg_1", "role": "assistant", "model": CLAUDE,
        "content": [{"type": "tool_use", "id": "b", "name": sane, "input": {}}],
        "stop_reason": "tool_use", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}});
    let (whole, _) = OC_AM.answer(answer.to_string(), &sent.restore).unwrap();
    let whole: Value = serde_json::from_str(&whole).unwrap();
    assert_eq!(whole["choices"][0]["message"]["tool_calls"][0]["function"]["name"], name);
}

#[test]
fn c09_results_stand_first_in_the_order_of_the_calls() {
    let sent = claude(
        json!([
            {"role": "user", "content": "hi"},
            called(&[("a", "f", "{}"), ("b", "f", "{\"n\":1.0}")]),
            {"role": "tool", "tool_call_id": "b", "content": "two"},
            {"role": "tool", "tool_call_id": "a", "content": "one"},
            {"role": "user", "content": "and?"},
        ]),
        json!({"max_tokens": 9, "tools": [function("f")]}),
    );
    assert_eq!(
        turns(&sent),
        [
            turn("user", &["hi"]),
            turn("assistant", &["call a", "call b"]),
            turn("user", &["result a", "result b", "and?"])
        ]
    );
    assert!(sent.text.contains(r#""input":{"n":1.0}"#), "{}", sent.text);
    assert_eq!(sent.lost(), Vec::<String>::new());
    insta::assert_snapshot!(sent.report());
}

#[test]
fn c10_images_inline_by_address_and_fetched() {
    let url = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
    let body = chat(
        json!([{"role": "user", "content": [url(PNG), url("https://x/a.jpg"), url("http://x/b.jpg")]}]),
        json!({"max_tokens": 9}),
    );
    let fault = OC_AM.send(&body, &owner(CLAUDE)).unwrap_err();
    assert_eq!(
        (fault.kind, fault.param.as_deref()),
        (FaultKind::Unsupported, Some("messages[0].content[2]"))
    );

    let mut losses = Losses::default();
    let mut call = read_call(Dialect::OpenaiChat, body.as_bytes(), &mut losses).unwrap();
    assert_eq!(needs_inlining(Dialect::AnthropicMessages, &call), ["http://x/b.jpg"]);
    inline(&mut call, "http://x/b.jpg", "image/jpeg", "/9j/");
    let written = write_call(Dialect::AnthropicMessages, &call, &owner(CLAUDE), &mut losses).unwrap();
    let body: Value = serde_json::from_slice(&written.body).unwrap();
    let sources: Vec<_> =
        body["messages"][0]["content"].as_array().unwrap().iter().map(|block| &block["source"]).collect();
    assert_eq!(
        sources,
        [
            &json!({"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}),
            &json!({"type": "url", "url": "https://x/a.jpg"}),
            &json!({"type": "base64", "media_type": "image/jpeg", "data": "/9j/"}),
        ]
    );
}

#[test]
fn c11_a_pdf_is_a_document_with_its_name() {
    let sent = claude(
        json!([{"role": "user", "content": [{"type": "file", "file":
            {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}]}]),
        json!({"max_tokens": 9}),
    );
    assert_eq!(
        sent.body["messages"][0]["content"],
        json!([{"type": "document", "title": "a.pdf",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}])
    );
}

#[test]
fn c12_sound_is_refused_by_name() {
    let body = chat(
        json!([{"role": "user", "content": [{"type": "text", "text": "listen"},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]}]),
        json!({"max_tokens": 9}),
    );
    let fault = OC_AM.send(body, &owner(CLAUDE)).unwrap_err();
    assert_eq!(
        (fault.kind, fault.code.as_deref(), fault.param.as_deref()),
        (FaultKind::Unsupported, Some("unsupported_content"), Some("messages[0].content[1]"))
    );
}

#[test]
fn c13_schemas_within_what_claude_enforces() {
    let schema = json!({"type": "object", "required": ["n"], "properties":
        {"n": {"type": "integer", "minimum": 1}, "u": {"oneOf": [{"type": "string"}, {"type": "null"}]}}});
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "out", "strict": true, "schema": schema}});
    let sent = claude(hi(), json!({"max_tokens": 9, "response_format": format}));
    let wanted = &sent.body["output_config"]["format"];
    assert_eq!(wanted["type"], "json_schema");
    assert_eq!(wanted["schema"]["additionalProperties"], false);
    assert_eq!(
        wanted["schema"]["properties"]["n"],
        json!({"type": "integer", "description": "(minimum: 1)"})
    );
    assert_eq!(wanted["schema"]["properties"]["u"], json!({"anyOf": [{"type": "string"}, {"type": "null"}]}));
    assert_eq!(sent.lost(), ["response_format.json_schema.schema degraded"]);

    let sent =
        claude_of("claude-3-5-haiku-latest", hi(), json!({"max_tokens": 9, "response_format": format}));
    assert_eq!(sent.body["tool_choice"], json!({"type": "tool", "name": "json_tool_call"}));
    assert_eq!(sent.body["tools"][0]["name"], "json_tool_call");
    let answer = r#"{"type":"message","id":"msg_1","role":"assistant","model":"c","content":[{"type":"tool_use","id":"t","name":"json_tool_call","input":{"n":1.0}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}"#;
    let (whole, _) = OC_AM.answer(answer, &sent.restore).unwrap();
    let whole: Value = serde_json::from_str(&whole).unwrap();
    assert_eq!(whole["choices"][0]["message"]["content"], r#"{"n":1.0}"#);
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");
    assert_eq!(whole["choices"][0]["message"].get("tool_calls"), None);
}

#[test]
fn c14_effort_is_a_budget_or_a_level() {
    let more = json!({"max_tokens": 8000, "reasoning_effort": "high", "temperature": 0.2});
    let sent = claude(hi(), more.clone());
    assert_eq!(sent.body["thinking"], json!({"type": "enabled", "budget_tokens": 4096}));
    assert_eq!(sent.body.get("temperature"), None);
    assert_eq!(sent.lost(), ["temperature dropped"]);
    let sent = claude_of("claude-opus-4-7", hi(), more);
    assert_eq!(sent.body["thinking"], json!({"type": "adaptive", "display": "summarized"}));
    assert_eq!(sent.body["output_config"]["effort"], "high");
}

#[test]
fn c15_a_budget_fits_below_the_limit() {
    for (max, budget, lost) in [(1000, None, vec!["reasoning_effort dropped"]), (3000, Some(2999), vec![])] {
        let sent = claude(hi(), json!({"max_tokens": max, "reasoning_effort": "high"}));
        assert_eq!(sent.body["thinking"]["budget_tokens"].as_u64(), budget);
        assert_eq!(
            (sent.body["max_tokens"].as_u64(), sent.lost()),
            (Some(max), lost.iter().map(ToString::to_string).collect())
        );
    }
}

#[test]
fn c16_the_new_version_takes_no_sampling() {
    let target = Target { anthropic_version: "2026-10-21", ..owner(CLAUDE) };
    let sent = OC_AM.send(chat(hi(), json!({"max_tokens": 9, "temperature": 0.2})), &target).unwrap();
    assert_eq!((sent.body.get("temperature"), sent.lost()), (None, vec!["temperature dropped".to_owned()]));
    assert_eq!(sent.losses.refused(OnUnsupported::Warn), None);
    let refused = sent.losses.refused(OnUnsupported::Reject).unwrap();
    assert_eq!(refused.path, "temperature");
}

#[test]
fn c17_an_address_is_no_user_id() {
    let body = chat(hi(), json!({"max_tokens": 9, "user": "alice@x.y"}));
    let sent = OC_AM.send(&body, &owner(CLAUDE)).unwrap();
    assert_eq!((sent.body.get("metadata"), sent.lost()), (None, vec!["user dropped".to_owned()]));
    let sent = OC_AM.send(&body, &Target { user_ids: UserIds::Hash, ..owner(CLAUDE) }).unwrap();
    let id = sent.body["metadata"]["user_id"].as_str().unwrap();
    assert!(id.len() == 64 && !sent.text.contains("alice"), "{id}");
}

#[test]
fn c18_n_is_as_many_calls() {
    let sent = claude(hi(), json!({"max_tokens": 9, "n": 3}));
    assert_eq!((sent.fan_out, sent.body.get("n")), (3, None));
    assert_eq!(sent.lost(), ["n emulated"]);
    let sent = OC_OC.send(chat(hi(), json!({"n": 3})), &owner("gpt-4o")).unwrap();
    assert_eq!((sent.fan_out, &sent.body["n"]), (1, &json!(3)));
}

#[test]
fn c19_tool_history_without_tools() {
    let sent = claude(
        json!([{"role": "user", "content": "hi"}, called(&[("a", "f", "{}")]),
            {"role": "tool", "tool_call_id": "a", "content": "ok"}, {"role": "tool", "tool_call_id": "zz", "content": "lost"}]),
        json!({"max_tokens": 9}),
    );
    assert_eq!(sent.body["tools"].as_array().unwrap().len(), 1);
    assert_eq!(sent.body["tool_choice"], json!({"type": "none"}));
    assert_eq!(turns(&sent)[2], turn("user", &["result a", "[tool result for zz] lost"]));
    assert_eq!(sent.lost(), ["messages[3] degraded", "tools invented"]);
}

#[test]
fn c20_cache_marks_become_anthropics_and_the_last_four_stay() {
    let part = |n: usize| json!({"type": "text", "text": format!("p{n}"), "prompt_cache_breakpoint": {"mode": "explicit"}});
    let parts = |count: usize| json!([{"role": "user", "content": (0..count).map(part).collect::<Vec<_>>()}]);
    let sent = claude(parts(1), json!({"max_tokens": 9}));
    assert_eq!(sent.body["messages"][0]["content"][0]["cache_control"], json!({"type": "ephemeral"}));
    let sent = claude(parts(5), json!({"max_tokens": 9}));
    let marked = sent.body["messages"][0]["content"].as_array().unwrap();
    let marked: Vec<_> = marked.iter().map(|block| block.get("cache_control").is_some()).collect();
    assert_eq!(marked, [false, true, true, true, true]);
    assert_eq!(sent.lost(), ["messages[0].content[0].cache_control dropped"]);
}

/// Results of one turn lose their media to one message, which has to say whose they are.
#[test]
fn media_of_parallel_results_keep_their_calls() {
    let data = "iVBORw0KGgo=";
    let image =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}});
    let pdf = json!({"type": "document", "title": "b.pdf",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}});
    let call = |id: &str, name: &str| json!({"type": "tool_use", "id": id, "name": name, "input": {}});
    let result =
        |id: &str, content: Value| json!({"type": "tool_result", "tool_use_id": id, "content": content});
    let body = |calls: Value, results: Value| {
        json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"},
            {"role": "assistant", "content": calls}, {"role": "user", "content": results}]})
        .to_string()
    };
    let many = body(
        json!([call("c1", "photo"), call("c2", "scan"), call("c3", "say")]),
        json!([
            result("c2", json!([pdf])),
            result("c1", json!([{"type": "text", "text": "two"}, image, image])),
            result("c3", json!("words")),
        ]),
    );
    let sent = AM_OC.send(&many, &compatible("m")).unwrap();
    let shown = json!({"type": "image_url", "image_url": {"url": PNG}});
    let file = json!({"type": "file",
        "file": {"filename": "b.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}});
    let says = |text: &str| json!({"type": "text", "text": text});
    assert_eq!(
        sent.body["messages"][5],
        json!({"role": "user", "content": [
            says("Result of scan (c2):"), file, says("Result of photo (c1):"), shown, shown]})
    );
    let one = body(json!([call("c1", "photo")]), json!([result("c1", json!([image]))]));
    let sent = AM_OC.send(&one, &compatible("m")).unwrap();
    assert_eq!(sent.body["messages"][3]["content"], json!([shown]), "nothing to tell apart");

    let responses = Pair { client: AnthropicMessages, upstream: OpenaiResponses };
    let sent = responses.send(&many, &owner("gpt-5.2")).unwrap();
    assert_eq!(sent.body["input"][5]["output"][1]["type"], "input_image", "it stands in its own result");

    let pictures = body(
        json!([call("c1", "photo"), call("c2", "scan")]),
        json!([result("c1", json!([image])), result("c2", json!([image]))]),
    );
    let ollama = Pair { client: AnthropicMessages, upstream: OllamaChat };
    for (body, content) in [(&pictures, "Pictures in order: photo (c1), scan (c2)"), (&one, "")] {
        let sent = ollama.send(body, &compatible("m")).unwrap();
        let last = sent.body["messages"].as_array().unwrap().last().unwrap();
        assert_eq!((&last["role"], &last["content"]), (&json!("user"), &json!(content)));
    }
}

#[test]
fn c46_a_failed_result_with_an_image_and_a_budget() {
    let body = json!({
        "model": "m", "max_tokens": 9000,
        "system": [{"type": "text", "text": "be brief"}, {"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral"}}],
        "thinking": {"type": "enabled", "budget_tokens": 5000},
        "tools": [{"name": "shot", "input_schema": {"type": "object", "properties": {}}}],
        "messages": [
            {"role": "user", "content": "look"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "shot", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "is_error": true, "content": [
                {"type": "text", "text": "half a picture"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}]}]}
        ]
    });
    for target in [owner("gpt-5"), compatible("qwen3-32b")] {
        let sent = AM_OC.send(body.to_string(), &target).unwrap();
        assert_eq!(sent.body["reasoning_effort"], "high");
        let messages = sent.body["messages"].as_array().unwrap();
        let roles: Vec<_> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
        assert_eq!(roles, ["system", "user", "assistant", "tool", "user"]);
        assert_eq!(
            (&messages[3]["tool_call_id"], &messages[3]["content"]),
            (&json!("toolu_1"), &json!("Error: half a picture"))
        );
        assert_eq!(messages[4]["content"], json!([{"type": "image_url", "image_url": {"url": PNG}}]));
        match target.vendor {
            Vendor::Owner => insta::assert_snapshot!("c46_owner", sent.report()),
            Vendor::Compatible | Vendor::Provider(_) => {
                insta::assert_snapshot!("c46_compatible", sent.report())
            }
        }
    }
}

#[test]
fn c47_any_becomes_required_and_top_k_is_named() {
    let body = json!({"model": "m", "max_tokens": 9, "top_k": 5, "messages": hi(),
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": true}});
    let sent = AM_OC.send(body.to_string(), &owner("gpt-4o")).unwrap();
    assert_eq!(
        (&sent.body["tool_choice"], &sent.body["parallel_tool_calls"], sent.body.get("top_k")),
        (&json!("required"), &json!(false), None)
    );
    assert_eq!(sent.lost(), ["top_k dropped"]);
    let sent = AM_OC.send(body.to_string(), &compatible("qwen3-32b")).unwrap();
    assert_eq!((&sent.body["top_k"], sent.lost()), (&json!(5), vec![]));
}

/// Agents bring all their tools with every turn. How long that may take is the benchmarks' to say.
#[test]
fn c106_two_hundred_tools_and_a_megabyte_of_schema_arrive() {
    let words = "x".repeat(5300);
    let tool = |n: usize| {
        let properties =
            json!({"a": {"type": "string", "description": words}, "b": {"type": "number", "enum": [1.0, n]}});
        let schema = json!({"type": "object", "properties": properties, "required": ["a"]});
        json!({"type": "function", "function": {"name": format!("tool.{n}"), "description": "d", "parameters": schema}})
    };
    let tools: Vec<_> = (0..200).map(tool).collect();
    let call = json!({"id": "c1", "type": "function", "function": {"name": "tool.199", "arguments": "{\"a\":\"y\"}"}});
    let body = json!({"model": "m", "max_tokens": 99, "tools": tools, "messages": [
        {"role": "user", "content": "hi"}, {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "ok"}]})
    .to_string();
    assert!(body.len() > 1 << 20);
    let has_tools =
        |dialect: &Dialect| trunkline_dialect::writes(*dialect) && *dialect != Dialect::ReplicatePredictions;
    for upstream in Dialect::CONVERSATIONS.into_iter().filter(has_tools) {
        let sent = Pair { client: Dialect::OpenaiChat, upstream }
            .send(&body, &compatible("gemini-2.5-pro"))
            .unwrap();
        let lost: Vec<_> = sent.losses.iter().filter(|loss| loss.path.starts_with("tools")).collect();
        assert!(lost.is_empty(), "{upstream}: {lost:?}");
        assert_eq!(sent.text.matches(words.as_str()).count(), 200, "{upstream}");
        // Every tool keeps its own numbers, and its name where that may have a dot.
        for n in [0, 57, 199] {
            let name = sent.restore.names.original(&name_of(&sent.body, n)).to_owned();
            assert_eq!(name, format!("tool.{n}"), "{upstream}");
            assert!(sent.text.contains(&format!("[1.0,{n}]")), "{upstream}");
        }
    }
}

/// What the target calls its tool number `at`.
fn name_of(body: &Value, at: usize) -> String {
    let paths = ["/tools", "/tools/0/functionDeclarations", "/toolConfig/tools"];
    let lists = paths.iter().filter_map(|path| body.pointer(path)?.as_array());
    let tool = lists.filter_map(|list| list.get(at)).next_back().unwrap();
    let names = ["/name", "/function/name", "/toolSpec/name"];
    names.iter().find_map(|path| tool.pointer(path)?.as_str()).unwrap().to_owned()
}

#[test]
fn c62_what_a_codec_does_not_know_survives_it_verbatim() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"\u00e9"}],"new":{"big":12345678901234567890,"one":1.0, "sp":  [ 1 ]},"temperature":1.0,"seed":9007199254740993}"#;
    let sent = OC_OC.send(body, &compatible("qwen3-32b")).unwrap();
    for piece in [
        r#"{"big":12345678901234567890,"one":1.0, "sp":  [ 1 ]}"#,
        r#""temperature":1.0"#,
        "9007199254740993",
    ] {
        assert!(sent.text.contains(piece), "{piece}: {}", sent.text);
    }
    assert_eq!((&sent.body["model"], sent.lost()), (&json!("qwen3-32b"), vec![]));
}

#[test]
fn c64_arguments_that_are_no_json() {
    let body = chat(
        json!([{"role": "user", "content": "hi"}, called(&[("a", "f", "{\"x\": ")]),
            {"role": "tool", "tool_call_id": "a", "content": "ok"}]),
        json!({"max_tokens": 9, "tools": [function("f")]}),
    );
    let sent = OC_AM.send(&body, &owner(CLAUDE)).unwrap();
    assert_eq!(sent.body["messages"][1]["content"][0]["input"], json!({"_raw": "{\"x\": "}));
    assert_eq!(sent.lost(), ["messages[1] degraded"]);
    let fault = OC_AM.send(&body, &Target { strict_arguments: true, ..owner(CLAUDE) }).unwrap_err();
    assert_eq!(
        (fault.kind, fault.param.as_deref(), fault.code.as_deref()),
        (FaultKind::InvalidRequest, Some("messages[1]"), Some("invalid_tool_arguments"))
    );
}

/// Both writers name a message by its place in the client's own list, however it was read.
#[test]
fn losses_name_the_clients_own_messages() {
    let chat = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "thinking_blocks": [
            {"type": "thinking", "thinking": "t", "signature": "c2ln"}, {"type": "redacted_thinking", "data": "ZA=="}],
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "r"},
        {"role": "user", "name": "bob", "content": "x"},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]},
    ]});
    let fault = OC_AM.send(chat.to_string(), &owner(CLAUDE)).unwrap_err();
    assert_eq!(fault.param.as_deref(), Some("messages[5].content[0]"));
    let messages = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "b"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "c"}, {"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "r"}, {"type": "text", "text": "d"},
            {"type": "container_upload", "file_id": "f"}]},
    ]});
    let fault = AM_OC.send(messages.to_string(), &owner("gpt-4o")).unwrap_err();
    assert_eq!(fault.param.as_deref(), Some("messages[3].content[2]"));
}
