//! Requests: read from clients, written for upstreams.

use super::{engine, owner, read, target, thinker, write};
use crate::codec::Vendor;
use serde_json::{Value, json};
use trunkline_core::{
    AllowedMode, Call, Dialect, Effort, FaultKind, Instruction, ItemKind, Json, Model, OriginRole,
    OutputFormat, Part, PartKind, Reasoning, ReasoningItem, ReasoningMode, Role, ToolChoice, ToolKind,
};

/// What an agent sends in its second turn.
pub(super) fn agent_call() -> Value {
    json!({"model": "gpt-5", "instructions": "Be brief.", "store": false, "stream": true,
        "include": ["reasoning.encrypted_content"], "prompt_cache_key": "k", "parallel_tool_calls": false,
        "reasoning": {"effort": "high", "summary": "auto"}, "text": {"verbosity": "low"},
        "max_output_tokens": 77, "client_metadata": {"a": "b"}, "metadata": {"team": "x"},
        "service_tier": "flex", "truncation": "auto", "max_tool_calls": 3, "safety_identifier": "s",
        "tools": [
            {"type": "function", "name": "look", "description": "looks", "strict": true,
                "parameters": {"type": "object", "properties": {"n": {"type": "integer", "maximum": 12345678901234567890u64}}}},
            {"type": "custom", "name": "apply_patch",
                "format": {"type": "grammar", "syntax": "lark", "definition": "start: WORD"}},
            {"type": "web_search"}],
        "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [
            {"type": "function", "name": "look"}, {"type": "custom", "name": "apply_patch"}]},
        "input": agent_items()})
}

fn agent_items() -> Value {
    json!([
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "rules"}]},
            {"role": "user", "id": "msg_1", "content": [
                {"type": "input_text", "text": "see"},
                {"type": "input_image", "image_url": "https://x/y.png", "detail": "high"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
                {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}],
                "encrypted_content": "sealed"},
            {"type": "message", "role": "assistant", "id": "msg_2", "status": "completed", "phase": "commentary",
                "content": [{"type": "output_text", "text": "I look.", "annotations": [
                    {"type": "url_citation", "url": "https://c", "title": "C", "start_index": 0, "end_index": 1}]}]},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": "{\"n\": 1.0}"},
            {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_2", "name": "apply_patch", "input": "*** Begin"},
            {"type": "function_call_output", "call_id": "call_1", "output": [
                {"type": "input_text", "text": "sunny"}, {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"}]},
            {"type": "custom_tool_call_output", "call_id": "call_2", "output": "done"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
            {"type": "brand_new", "x": 1}])
}

#[test]
fn what_an_agent_sends_lands_in_its_place() {
    let call = read(&agent_call()).unwrap();
    assert_eq!(call.instructions.len(), 2);
    assert_eq!(call.instructions[0].origin, OriginRole::Instructions);
    assert_eq!(call.instructions[1].origin, OriginRole::Developer);
    let kinds: Vec<_> = call
        .items
        .iter()
        .map(|item| match &item.kind {
            ItemKind::Message(message) => match message.role {
                Role::User => "user",
                Role::Assistant => "assistant",
                Role::System | Role::Developer => "operator",
            },
            ItemKind::Reasoning(_) => "reasoning",
            ItemKind::ToolCall(_) => "call",
            ItemKind::ToolResult(_) => "result",
            ItemKind::ServerTool(_) => "server",
            ItemKind::Reference(_) => "reference",
            ItemKind::Unknown { .. } => "unknown",
        })
        .collect();
    assert_eq!(
        kinds,
        ["user", "reasoning", "assistant", "call", "call", "result", "result", "server", "unknown"]
    );
    assert_eq!(call.reasoning.effort, Some(Effort::High));
    assert!(call.reasoning.include_encrypted && call.include.is_empty());
    assert_eq!(call.limits.max_output_tokens, Some(77));
    let ItemKind::Reasoning(thoughts) = &call.items[1].kind else { panic!("{:?}", call.items[1]) };
    assert_eq!(
        (thoughts.encrypted.as_deref(), thoughts.stamp, thoughts.summary.as_slice()),
        (Some("sealed"), Some(Dialect::OpenaiResponses), ["hm".to_owned()].as_slice())
    );
    let want =
        ToolChoice::Allowed { mode: AllowedMode::Required, names: vec!["look".into(), "apply_patch".into()] };
    assert_eq!(call.tool_choice, Some(want));
    // A grammar stands where the neutral model has it.
    let ToolKind::Custom { format: Some(format), .. } = &call.tools[1].kind else {
        panic!("{:?}", call.tools)
    };
    assert_eq!(
        format.to_value(),
        json!({"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: WORD"}})
    );
    assert_eq!(call.extra.iter().map(|field| &*field.key).collect::<Vec<_>>(), ["client_metadata"]);
}

/// What was read is written again with the same meaning, and read as the same call.
#[test]
fn c62_reading_and_writing_keep_the_meaning() {
    let call = read(&agent_call()).unwrap();
    let (body, lost) = write(&call, &thinker()).unwrap();
    assert_eq!(lost, Vec::<String>::new());
    assert_eq!(read(&body).unwrap(), call);
    let sent = agent_call();
    for key in ["tools", "tool_choice", "instructions", "reasoning", "text", "metadata", "client_metadata"] {
        assert_eq!(body[key], sent[key], "{key}");
    }
    assert_eq!(body["input"][4]["arguments"], "{\"n\": 1.0}");
    assert!(body.to_string().contains("12345678901234567890"));
}

#[test]
fn a_text_is_one_message() {
    let call = read(&json!({"model": "m", "input": "hi", "instructions": null})).unwrap();
    let (body, lost) = write(&call, &owner()).unwrap();
    assert_eq!(
        body,
        json!({"model": "gpt-4.1", "input": [{"type": "message", "role": "user", "content": "hi"}]})
    );
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn faults_name_the_path() {
    for (more, param) in [
        (json!({"input": 7}), "input"),
        (json!({"input": []}), "input"),
        (json!({}), "input"),
        (json!({"input": [{"role": "tool", "content": "x"}]}), "input[0].role"),
        (json!({"input": [{"role": "user"}]}), "input[0].content"),
        (json!({"input": [{"type": "function_call", "call_id": "a", "name": "f"}]}), "input[0].arguments"),
        (json!({"input": [{"type": "function_call_output", "output": "x"}]}), "input[0].call_id"),
        (json!({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}), "input[0].content[0]"),
        (json!({"input": "x", "text": {"format": {"type": "yaml"}}}), "text.format.type"),
        (json!({"input": "x", "tools": [{"type": "function"}]}), "tools[0].name"),
        (json!({"input": "x", "tool_choice": "maybe"}), "tool_choice"),
        (json!({"input": "x", "include": "all"}), "include"),
        (json!({"input": "x", "previous_response_id": "a", "conversation": "b"}), "previous_response_id"),
    ] {
        let mut body = json!({"model": "m"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let fault = read(&body).unwrap_err();
        assert_eq!((fault.kind, fault.param.as_deref()), (FaultKind::InvalidRequest, Some(param)), "{more}");
    }
    assert_eq!(read(&json!({"input": "x"})).unwrap_err().param.as_deref(), Some("model"));
}

#[test]
fn references_may_leave_their_type_out_and_continued_calls_their_input() {
    let call =
        read(&json!({"model": "m", "input": [{"id": "msg_1"}, {"type": "item_reference", "id": "b"}]}));
    let kinds: Vec<_> = call.unwrap().items.into_iter().map(|item| item.kind).collect();
    assert_eq!(kinds, [ItemKind::Reference("msg_1".into()), ItemKind::Reference("b".into())]);
    for body in [
        json!({"model": "m", "previous_response_id": "resp_1"}),
        json!({"model": "m", "conversation": {"id": "conv_1"}, "input": []}),
        json!({"model": "m", "prompt": {"id": "pmpt_1"}}),
    ] {
        let call = read(&body).unwrap();
        let (written, lost) = write(&call, &owner()).unwrap();
        assert!(lost.is_empty());
        for (key, value) in body.as_object().unwrap() {
            assert!(key == "model" || written[key] == *value, "{key} of {written}");
        }
    }
}

/// A call as clients of other dialects are read.
fn foreign() -> Call {
    let mut call = Call::new(Dialect::AnthropicMessages, Model::new("m"));
    let system = Instruction { origin: OriginRole::System, name: None, parts: vec![Part::text("sys")] };
    call.instructions.push(system);
    call.items = read(&json!({"model": "m", "input": [{"role": "user", "content": "hi"}]})).unwrap().items;
    call
}

#[test]
fn c48_only_state_of_our_own_goes_back() {
    let thoughts = |stamp| {
        ItemKind::Reasoning(ReasoningItem {
            text: vec!["hm".into()],
            signature: Some("proof".into()),
            stamp,
            ..ReasoningItem::default()
        })
    };
    for (stamp, target, sent, lost) in [
        (
            Some(Dialect::OpenaiResponses),
            thinker(),
            json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "proof"}),
            false,
        ),
        (Some(Dialect::AnthropicMessages), thinker(), Value::Null, true),
        (None, thinker(), Value::Null, true),
        (
            Some(Dialect::AnthropicMessages),
            engine(),
            json!({"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}),
            true,
        ),
    ] {
        let mut call = foreign();
        call.items.push(trunkline_core::Item::new(thoughts(stamp)));
        let (body, losses) = write(&call, &target).unwrap();
        assert_eq!(body["input"][2], sent, "{stamp:?} {}", target.model);
        assert_eq!(losses, if lost { vec!["messages[1].content[0] dropped".to_owned()] } else { vec![] });
    }
}

/// Clients of other dialects bring their conversation with them, and get their reasoning back to keep.
#[test]
fn other_clients_leave_nothing_behind() {
    let (body, _) = write(&foreign(), &thinker()).unwrap();
    assert_eq!(body["store"], false);
    assert_eq!(body["include"], json!(["reasoning.encrypted_content"]));
    assert_eq!(body["input"][0], json!({"type": "message", "role": "system", "content": "sys"}));
    let (body, _) = write(&foreign(), &owner()).unwrap();
    assert_eq!(body.get("include"), None);
}

#[test]
fn what_the_target_has_no_field_for_is_told() {
    let mut call = foreign();
    call.sampling.stop = vec!["END".into()];
    call.sampling.seed = Some(7.into());
    call.sampling.top_k = Some(4.into());
    call.sampling.n = Some(2);
    call.output.format = OutputFormat::Grammar { syntax: "lark".into(), definition: "x".into() };
    let mut losses = trunkline_core::Losses::default();
    let written = crate::write_call(Dialect::OpenaiResponses, &call, &thinker(), &mut losses).unwrap();
    assert_eq!(written.fan_out, 2);
    let lost: Vec<_> = losses.iter().map(|loss| loss.path.to_string()).collect();
    // Named as the client spelled them.
    assert_eq!(lost, ["n", "top_k", "seed", "stop_sequences", "output_config.format"]);
}

#[test]
fn c37_reasoning_models_refuse_sampling() {
    let body = json!({"model": "m", "input": "x", "temperature": 0.3, "top_p": 0.9, "top_logprobs": 2});
    let call = read(&body).unwrap();
    let (body, lost) = write(&call, &thinker()).unwrap();
    assert_eq!(lost, ["temperature dropped", "top_p dropped", "top_logprobs dropped"]);
    assert_eq!((body.get("temperature"), body.get("include")), (None, None));
    let (body, lost) = write(&call, &owner()).unwrap();
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!((&body["temperature"], &body["top_logprobs"]), (&json!(0.3), &json!(2)));
    assert_eq!(body["include"], json!(["message.output_text.logprobs"]));
}

#[test]
fn who_wants_no_thoughts_is_never_ignored_in_silence() {
    let off = Reasoning { mode: Some(ReasoningMode::Off), ..Reasoning::default() };
    let none = Reasoning { effort: Some(Effort::None), ..Reasoning::default() };
    let read = || read(&json!({"model": "m", "input": "x", "temperature": 0.3})).unwrap();
    for (model, vendor, want, lost) in [
        ("gpt-5.1", Vendor::Owner, json!({"effort": "none"}), None),
        ("gpt-5", Vendor::Owner, json!({"effort": "minimal"}), Some("degraded")),
        ("o3", Vendor::Owner, json!({"effort": "low"}), Some("degraded")),
        ("gpt-4.1", Vendor::Owner, Value::Null, None),
        ("gpt-oss", Vendor::Compatible, json!({"effort": "low"}), Some("degraded")),
    ] {
        for reasoning in [&off, &none] {
            let call = Call { reasoning: reasoning.clone(), ..read() };
            let (body, losses) = write(&call, &target(model, vendor)).unwrap();
            let found = losses.iter().find(|loss| loss.starts_with("reasoning"));
            let found = found.and_then(|loss| loss.split(' ').nth(1));
            assert_eq!((&body["reasoning"], found), (&want, lost), "{model} {losses:?}");
            let thinks = vendor == Vendor::Owner && lost.is_some();
            assert_eq!(body["temperature"].is_null(), thinks, "{model}: one that thinks takes none");
        }
    }
    for (reasoning, want) in [(&none, json!({"effort": "none"})), (&off, Value::Null)] {
        let call = Call { reasoning: reasoning.clone(), ..read() };
        let (body, losses) = write(&call, &target("qwen3", Vendor::Compatible)).unwrap();
        assert_eq!((&body["reasoning"], losses.is_empty()), (&want, !want.is_null()), "{losses:?}");
    }
}

#[test]
fn a_call_and_its_result_come_in_pairs() {
    let body = json!({"model": "m", "input": [
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": ""},
        {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "b", "output": "ok"},
        {"type": "function_call_output", "call_id": "c", "output": "late"}]});
    let (written, lost) = write(&read(&body).unwrap(), &owner()).unwrap();
    assert_eq!(
        written["input"],
        json!([
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "Error: no result provided"},
            {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "b", "output": "ok"},
            {"type": "message", "role": "user", "content": "[tool result for c] late"}])
    );
    assert_eq!(lost, ["input[0] invented", "input[3] degraded"]);
    // Where the conversation goes on from a stored one, the call stands there.
    let mut continued = body;
    continued["previous_response_id"] = json!("resp_1");
    let (written, _) = write(&read(&continued).unwrap(), &owner()).unwrap();
    assert_eq!(written["input"][4]["type"], "function_call_output");
}

#[test]
fn media_goes_by_its_own_member_and_what_nobody_would_see_is_refused() {
    let part = |kind: &str, more: Value| {
        let mut part = json!({"type": kind});
        part.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"model": "m", "input": [{"role": "user", "content": [part]}]})
    };
    for (kind, more) in [
        ("input_file", json!({"file_url": "https://x/a.pdf"})),
        ("input_file", json!({"file_id": "file_1"})),
        ("input_image", json!({"file_id": "file_1", "detail": "low"})),
    ] {
        let body = part(kind, more);
        let (written, lost) = write(&read(&body).unwrap(), &owner()).unwrap();
        assert_eq!(written["input"][0]["content"], body["input"][0]["content"]);
        assert!(lost.is_empty());
        // Another dialect's file ids mean nothing here.
        let mut call = read(&body).unwrap();
        call.dialect = Dialect::OpenaiChat;
        let refused = write(&call, &owner()).map_err(|fault| (fault.kind, fault.param));
        match body["input"][0]["content"][0].get("file_id") {
            Some(_) => {
                let param = Some("messages[0].content[0]".to_owned());
                assert_eq!(refused.unwrap_err(), (FaultKind::Unsupported, param));
            }
            None => assert!(refused.is_ok()),
        }
    }
    for (kind, place) in [
        (
            PartKind::Video(trunkline_core::Video {
                source: trunkline_core::MediaSource::Url("https://x/v.mp4".into()),
                meta: None,
            }),
            "input[0].content[0]",
        ),
        (PartKind::Unknown { dialect: Dialect::GeminiGenerate, raw: Json::object() }, "input[0].content[0]"),
    ] {
        let mut call = read(&json!({"model": "m", "input": "x"})).unwrap();
        let ItemKind::Message(message) = &mut call.items[0].kind else { panic!("no message") };
        message.parts = vec![Part::new(kind)];
        let fault = write(&call, &owner()).unwrap_err();
        assert_eq!((fault.kind, fault.param.as_deref()), (FaultKind::Unsupported, Some(place)));
    }
}

/// Leading operator messages are counted where they stood.
#[test]
fn places_count_what_was_hoisted() {
    let body = json!({"model": "m", "instructions": "i", "input": [
        {"role": "developer", "content": "d"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "computer_screenshot"}]}]});
    let call = read(&body).unwrap();
    let fault =
        crate::write_call(Dialect::OpenaiChat, &call, &engine(), &mut trunkline_core::Losses::default())
            .unwrap_err();
    assert_eq!(fault.param.as_deref(), Some("input[1].content[1]"));
    let mut call = call;
    call.instructions[1].parts = vec![Part::new(PartKind::Json(Json::object()))];
    call.instructions[1].parts[0].kind = PartKind::Video(trunkline_core::Video {
        source: trunkline_core::MediaSource::File("f".into()),
        meta: None,
    });
    let fault = write(&call, &owner()).unwrap_err();
    assert_eq!(fault.param.as_deref(), Some("input[0].content[0]"));
}

#[test]
fn engines_get_functions_for_free_text_tools() {
    let (body, lost) = write(&read(&agent_call()).unwrap(), &engine()).unwrap();
    assert_eq!(body["tools"][1]["parameters"]["properties"], json!({"input": {"type": "string"}}));
    let said = body["tools"][1]["description"].as_str().unwrap();
    assert!(said.contains("lark grammar") && said.contains("start: WORD"), "{said}");
    assert_eq!(body["input"][5]["arguments"], r#"{"input":"*** Begin"}"#);
    assert_eq!(body["input"][7]["type"], "function_call_output");
    assert_eq!(lost, ["tools[1] degraded"]);
}

/// Unsaid means strict to OpenAI's own clients, and not strict to all others.
#[test]
fn strictness_unsaid_keeps_its_meaning() {
    let schema = json!({"type": "object", "properties": {}});
    let body = json!({"model": "m", "input": "x", "tools": [{"type": "function", "name": "f", "parameters": schema}],
        "text": {"format": {"type": "json_schema", "name": "n", "schema": schema}}});
    let mut call = read(&body).unwrap();
    for (dialect, want) in [(Dialect::OpenaiResponses, None), (Dialect::OpenaiChat, Some(&json!(false)))] {
        call.dialect = dialect;
        let (body, _) = write(&call, &owner()).unwrap();
        assert_eq!(body["tools"][0].get("strict"), want, "{dialect}");
        assert_eq!(body["text"]["format"].get("strict"), want, "{dialect}");
    }
}
