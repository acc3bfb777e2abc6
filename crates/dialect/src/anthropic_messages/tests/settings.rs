//! Settings: what is sent upstream for what clients of other dialects ask beside the conversation.

use super::{attempt, foreign, function, list, result, say, sent, target, use_tool};
use crate::codec::{Target, UserIds, Vendor};
use serde_json::{Value, json};
use trunkline_core::{
    AllowedMode, Dialect, Effort, ExtraField, FaultKind, ItemKind, Json, Number, OnUnsupported, OutputFormat,
    Role, Tool, ToolChoice, ToolKind,
};

#[test]
fn c05_blank_stop_texts_are_dropped() {
    let mut call = foreign(vec![say(Role::User, "a")]);
    call.sampling.stop = vec!["\n".into(), "X".into()];
    let (body, losses) = sent(&call, &target("claude-sonnet-4-5"));
    assert_eq!(body["stop_sequences"], json!(["X"]));
    assert_eq!(losses, ["stop dropped"]);
}

#[test]
fn c06_c07_tool_choice() {
    let tool = Tool::new(ToolKind::Function {
        name: "f".into(),
        description: None,
        schema: Some(Json::parse(r#"{"type":"object","properties":{"a":{"minimum":1.0}}}"#).unwrap()),
        strict: Some(true),
    });
    let allowed = |mode| ToolChoice::Allowed { mode, names: vec!["f".into()] };
    for (choice, parallel, want) in [
        (Some(ToolChoice::Required), Some(false), json!({"type": "any", "disable_parallel_tool_use": true})),
        (None, Some(false), json!({"type": "auto", "disable_parallel_tool_use": true})),
        (Some(ToolChoice::None), Some(false), json!({"type": "none"})),
        (Some(ToolChoice::Auto), Some(true), json!({"type": "auto"})),
        (None, None, Value::Null),
        (
            Some(ToolChoice::Named { name: "f".into(), custom: false }),
            None,
            json!({"type": "tool", "name": "f"}),
        ),
        (Some(allowed(AllowedMode::Required)), None, json!({"type": "any"})),
        (Some(allowed(AllowedMode::Auto)), None, json!({"type": "auto"})),
    ] {
        let mut call = foreign(vec![say(Role::User, "a")]);
        call.tools = vec![tool.clone(), function("g")];
        call.tool_choice = choice.clone();
        call.parallel_tool_calls = parallel;
        let (body, _) = sent(&call, &target("claude-sonnet-4-5"));
        assert_eq!(body["tool_choice"], want, "{choice:?}");
        let first = &body["tools"][0];
        assert_eq!((&first["strict"], &first["input_schema"]["type"]), (&json!(true), &json!("object")));
        let filtered = matches!(choice, Some(ToolChoice::Allowed { .. }));
        assert_eq!(body["tools"].as_array().unwrap().len(), if filtered { 1 } else { 2 }, "{choice:?}");
    }
}

#[test]
fn c13_structured_output_by_schema_or_by_tool() {
    let schema = r#"{"type":"object","properties":{"n":{"oneOf":[{"type":"integer","minimum":1}]}}}"#;
    let mut call = foreign(vec![say(Role::User, "a")]);
    call.output.format = OutputFormat::JsonSchema {
        name: Some("n".into()),
        description: None,
        schema: Json::parse(schema).unwrap(),
        strict: Some(true),
    };
    let (body, losses) = sent(&call, &target("claude-sonnet-4-5"));
    assert_eq!(
        body["output_config"]["format"],
        json!({"type": "json_schema", "schema": {
            "type": "object", "additionalProperties": false,
            "properties": {"n": {"anyOf": [{"type": "integer", "description": "(minimum: 1)"}]}}}})
    );
    assert_eq!(losses, ["response_format.json_schema.schema degraded"]);

    let (written, body, losses) = attempt(&call, &target("claude-3-5-sonnet-20241022")).unwrap();
    assert_eq!(body["tool_choice"], json!({"type": "tool", "name": "json_tool_call"}));
    assert_eq!(body["tools"][0]["input_schema"], serde_json::from_str::<Value>(schema).unwrap());
    assert!(written.restore.json_tool && body.get("output_config").is_none());
    assert_eq!(list(&losses), ["response_format emulated"]);

    call.tools.push(function("f"));
    call.reasoning.effort = Some(Effort::High);
    let (body, losses) = sent(&call, &target("claude-3-7-sonnet"));
    assert_eq!((&body["tool_choice"], body.get("thinking")), (&json!({"type": "any"}), None));
    assert_eq!(losses, ["response_format emulated", "reasoning_effort dropped"]);

    call.output.format = OutputFormat::JsonObject;
    let (body, losses) = sent(&call, &target("claude-opus-4-8"));
    assert_eq!(body["system"][0]["text"], "Answer with one JSON object and nothing else.");
    assert_eq!(losses, ["response_format emulated"]);
}

#[test]
fn c14_thinking_excludes_sampling_and_forced_choice() {
    let mut call = foreign(vec![say(Role::User, "a"), say(Role::Assistant, "so ")]);
    call.limits.max_output_tokens = Some(8000);
    call.tools.push(function("f"));
    call.tool_choice = Some(ToolChoice::Required);
    call.reasoning.effort = Some(Effort::High);
    call.sampling.temperature = Number::parse("0.2");
    call.sampling.top_p = Number::parse("0.96");
    call.sampling.top_k = Number::parse("5");
    let (body, losses) = sent(&call, &target("claude-sonnet-4-5"));
    assert_eq!(body["thinking"], json!({"type": "enabled", "budget_tokens": 4096}));
    assert_eq!((&body["tool_choice"], &body["top_p"]), (&json!({"type": "auto"}), &json!(0.96)));
    assert_eq!((body.get("temperature"), body.get("top_k")), (None, None));
    assert_eq!(body["messages"].as_array().unwrap().len(), 1);
    assert_eq!(
        losses,
        ["tool_choice degraded", "messages[1] dropped", "temperature dropped", "top_k dropped"]
    );

    let (body, _) = sent(&call, &target("claude-opus-4-7"));
    assert_eq!(body["thinking"], json!({"type": "adaptive", "display": "summarized"}));
    assert_eq!(body["output_config"], json!({"effort": "high"}));
}

#[test]
fn thinking_waits_while_unsigned_calls_are_answered() {
    let mut call = foreign(vec![say(Role::User, "a"), use_tool("1", "f", "{}"), result("1", "r")]);
    call.limits.max_output_tokens = Some(8000);
    call.tools.push(function("f"));
    call.reasoning.effort = Some(Effort::High);
    let (body, losses) = sent(&call, &target("claude-sonnet-4-5"));
    assert_eq!((body.get("thinking"), losses), (None, vec!["reasoning_effort dropped".to_owned()]));
    let (body, losses) = sent(&call, &target("claude-opus-4-7"));
    assert_eq!((body["thinking"]["type"].as_str(), losses.len()), (Some("adaptive"), 0));
}

#[test]
fn c16_sampling_ends_with_the_new_version_and_the_new_models() {
    let mut call = foreign(vec![say(Role::User, "a")]);
    call.sampling.temperature = Number::parse("0.2");
    for (model, version, kept) in [
        ("claude-sonnet-4-5", "2023-06-01", true),
        ("claude-sonnet-4-5", "2026-10-21", false),
        ("claude-sonnet-4-5", "bedrock-2023-05-31", true),
        ("claude-opus-4-7", "2023-06-01", false),
    ] {
        let to = Target { anthropic_version: version, ..target(model) };
        let (written, body, losses) = attempt(&call, &to).unwrap();
        assert_eq!(body.get("temperature").is_some(), kept, "{model} {version}");
        assert_eq!(written.headers, [("anthropic-version", version.to_owned())]);
        let refused = losses.refused(OnUnsupported::Reject).map(|loss| loss.path.as_ref());
        assert_eq!(refused, (!kept).then_some("temperature"), "{model} {version}");
    }
    call.sampling.temperature = Number::parse("1.7");
    call.sampling.top_p = Number::parse("0.5");
    let (body, losses) = sent(&call, &target("claude-sonnet-4-5"));
    assert_eq!((&body["temperature"], body.get("top_p")), (&json!(1), None));
    assert_eq!(losses, ["top_p dropped", "temperature degraded"]);
}

#[test]
fn c17_the_user_policy_is_the_targets() {
    let mut call = foreign(vec![say(Role::User, "a")]);
    call.identity.user = Some("alice@x.y".into());
    let (body, losses) = sent(&call, &target("claude-sonnet-4-5"));
    assert_eq!((body.get("metadata"), losses), (None, vec!["user dropped".to_owned()]));
    let to = Target { user_ids: UserIds::Hash, ..target("claude-sonnet-4-5") };
    let (body, losses) = sent(&call, &to);
    assert_eq!((body["metadata"]["user_id"].as_str().map(str::len), losses.len()), (Some(64), 0));
}

#[test]
fn c18_several_answers_are_several_calls() {
    let mut call = foreign(vec![say(Role::User, "a")]);
    call.sampling.n = Some(3);
    let (written, body, losses) = attempt(&call, &target("claude-sonnet-4-5")).unwrap();
    assert_eq!((written.fan_out, body.get("n")), (3, None));
    assert_eq!(list(&losses), ["n emulated"]);
}

#[test]
fn c19_tool_history_without_tools() {
    let call = foreign(vec![say(Role::User, "a"), use_tool("1", "f", "{}"), result("1", "r")]);
    let (body, losses) = sent(&call, &target("claude-sonnet-4-5"));
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    assert_eq!((&body["tool_choice"], losses), (&json!({"type": "none"}), vec!["tools invented".to_owned()]));
}

#[test]
fn settings_without_a_field_are_losses_in_the_clients_spelling() {
    let mut call = foreign(vec![say(Role::User, "a")]);
    let ItemKind::Message(message) = &mut call.items[0].kind else { panic!("a message") };
    message.name = Some("bob".into());
    call.sampling.seed = Number::parse("1");
    call.sampling.presence_penalty = Number::parse("1");
    call.sampling.logit_bias = Some(Json::object());
    call.sampling.logprobs = Some(true);
    call.output.verbosity = Some("low".into());
    call.output.modalities = vec!["text".into(), "audio".into()];
    call.prediction = Some(Json::object());
    call.web_search = Some(Json::parse(r#"{"user_location":{"approximate":{"city":"Oslo"}}}"#).unwrap());
    call.tools.push(Tool::new(ToolKind::Custom {
        name: "patch".into(),
        description: Some("patches".into()),
        format: Some(
            Json::parse(r#"{"type":"grammar","grammar":{"syntax":"lark","definition":"start: /x/"}}"#)
                .unwrap(),
        ),
    }));
    let (body, losses) = sent(&call, &target("claude-sonnet-4-5"));
    assert_eq!(
        losses,
        [
            "presence_penalty dropped",
            "seed dropped",
            "logit_bias dropped",
            "logprobs dropped",
            "modalities dropped",
            "verbosity dropped",
            "prediction dropped",
            "messages[0].name dropped",
            "tools[0] emulated",
            "web_search_options emulated"
        ]
    );
    assert_eq!(body["tools"][1]["user_location"], json!({"type": "approximate", "city": "Oslo"}));
    assert_eq!(
        body["tools"][0]["description"],
        "patches\n\nThe input must follow this lark grammar:\nstart: /x/"
    );
    let to = Target { vendor: Vendor::Compatible, ..target("claude-sonnet-4-5") };
    assert!(sent(&call, &to).1.contains(&"web_search_options dropped".to_owned()));
}

#[test]
fn unknown_fields_go_back_to_their_own_dialect_only() {
    let field = |dialect, value: &str| ExtraField {
        dialect,
        key: "novel".into(),
        value: Json::parse(value).unwrap(),
    };
    for (dialect, value, want) in [
        (
            Dialect::OpenaiChat,
            "1",
            vec!["novel dropped", "messages[0].novel dropped", "tools[0].novel dropped"],
        ),
        (Dialect::OpenaiChat, "null", vec![]),
        (Dialect::AnthropicMessages, "1", vec![]),
    ] {
        let mut call = foreign(vec![say(Role::User, "a")]);
        call.dialect = dialect;
        call.tools.push(function("f"));
        call.extra.push(field(dialect, value));
        call.items[0].extra.push(field(dialect, value));
        call.tools[0].extra.push(field(dialect, value));
        let (body, losses) = sent(&call, &target("claude-sonnet-4-5"));
        assert_eq!(losses, want, "{dialect} {value}");
        let kept = (dialect == Dialect::AnthropicMessages).then(|| json!(1));
        for object in [&body, &body["messages"][0], &body["tools"][0]] {
            assert_eq!(object.get("novel"), kept.as_ref(), "{dialect} {value}");
        }
    }
}

#[test]
fn a_tool_of_another_provider_is_refused() {
    let mut call = foreign(vec![say(Role::User, "a")]);
    call.tools.push(Tool::new(ToolKind::Server {
        dialect: Dialect::OpenaiResponses,
        native_type: "file_search".into(),
        name: None,
        raw: Json::object(),
    }));
    let fault = attempt(&call, &target("claude-sonnet-4-5")).unwrap_err();
    assert_eq!((fault.kind, fault.param.as_deref()), (FaultKind::Unsupported, Some("tools[0]")));
}
