//! Requests for upstreams.

use super::{engine, owner, read, target, write};
use crate::codec::Vendor;
use serde_json::{Value, json};
use trunkline_core::{
    Audio, CacheKind, CacheMark, Call, Dialect, Document, DocumentSource, ExtraField, FaultKind, Image,
    Instruction, Item, ItemKind, Json, MediaSource, Message, Model, Number, OriginRole, OutputFormat, Part,
    PartKind, ReasoningItem, ReasoningMode, Role, ServerTool, Tool, ToolCall, ToolCallKind, ToolChoice,
    ToolKind, ToolResult,
};

fn call() -> Call {
    Call::new(Dialect::AnthropicMessages, Model::new("claude"))
}

fn said(role: Role, parts: Vec<Part>) -> Item {
    Item::new(ItemKind::Message(Message { role, name: None, id: None, parts }))
}

fn called(id: &str, name: &str) -> Item {
    Item::new(ItemKind::ToolCall(ToolCall {
        call_id: id.into(),
        item_id: None,
        kind: ToolCallKind::Function,
        name: name.into(),
        arguments: "{\"n\":1.0}".into(),
        signature: None,
        cache: None,
    }))
}

fn result(id: &str, parts: Vec<Part>, is_error: Option<bool>) -> Item {
    Item::new(ItemKind::ToolResult(ToolResult {
        call_id: id.into(),
        name: None,
        parts,
        is_error,
        cache: None,
    }))
}

fn function(name: &str) -> Tool {
    Tool::new(ToolKind::Function {
        name: name.into(),
        description: None,
        schema: Some(Json::object()),
        strict: None,
    })
}

fn png() -> Part {
    let source = MediaSource::Base64 { mime: "image/png".into(), data: "aGk=".into() };
    Part::new(PartKind::Image(Image { source, detail: None }))
}

fn document(source: DocumentSource, title: Option<&str>) -> Part {
    let title = title.map(Into::into);
    Part::new(PartKind::Document(Document { source, title, context: None, citations: None }))
}

fn marked(text: &str, ttl: Option<&str>) -> Part {
    let mark = CacheMark { kind: CacheKind::Ephemeral, ttl: ttl.map(Into::into) };
    Part { cache: Some(mark), ..Part::text(text) }
}

#[test]
fn golden_everything_goes_back_out() {
    let call = read(include_str!("everything.json")).unwrap();
    for (name, target) in
        [("owner", owner()), ("engine", engine()), ("reasoning", target("o4-mini", Vendor::Owner))]
    {
        let (body, losses) = write(&call, &target).unwrap();
        insta::assert_snapshot!(
            name,
            format!("{}\n{losses:#?}", serde_json::to_string_pretty(&body).unwrap())
        );
    }
}

#[test]
fn c37_openai_reasoning_models_refuse_sampling() {
    let call = read(r#"{"model":"x","messages":[{"role":"user","content":"a"}],"max_tokens":10,"temperature":0.3,"stop":"x"}"#).unwrap();
    let (body, losses) = write(&call, &target("o4-mini", Vendor::Owner)).unwrap();
    assert_eq!(
        body,
        json!({"model": "o4-mini", "messages": [{"role": "user", "content": "a"}], "max_completion_tokens": 10})
    );
    assert_eq!(losses, ["stop emulated", "temperature dropped"]);
    let resting = Call {
        reasoning: trunkline_core::Reasoning {
            effort: Some(trunkline_core::Effort::None),
            ..Default::default()
        },
        ..call.clone()
    };
    let (body, losses) = write(&resting, &target("gpt-5.1", Vendor::Owner)).unwrap();
    assert_eq!((&body["temperature"], &body["reasoning_effort"]), (&json!(0.3), &json!("none")));
    assert_eq!(losses, ["stop emulated"]);
    let (body, losses) = write(&call, &owner()).unwrap();
    assert_eq!((&body["max_tokens"], &body["stop"], losses.len()), (&json!(10), &json!(["x"]), 0));
}

#[test]
fn c46_anthropic_shaped_history() {
    let call = Call {
        instructions: vec![Instruction {
            origin: OriginRole::System,
            name: None,
            parts: vec![Part::text("a"), Part::text("b")],
        }],
        items: vec![
            said(Role::User, vec![Part::text("hi")]),
            Item::new(ItemKind::Reasoning(ReasoningItem {
                text: vec!["hm".into()],
                signature: Some("s".into()),
                stamp: Some(Dialect::AnthropicMessages),
                ..ReasoningItem::default()
            })),
            said(Role::Assistant, vec![Part::text("calling")]),
            called("toolu_1", "f"),
            called("toolu_2", "f"),
            result("toolu_2", vec![Part::text("bad"), png()], Some(true)),
            result("toolu_1", vec![Part::text("x"), Part::text("y")], None),
            said(Role::User, vec![Part::text("and?")]),
        ],
        tools: vec![function("f")],
        reasoning: trunkline_core::Reasoning {
            mode: Some(ReasoningMode::Enabled),
            budget_tokens: Some(5000),
            ..Default::default()
        },
        ..call()
    };
    let (body, losses) = write(&call, &engine()).unwrap();
    assert_eq!(body["reasoning_effort"], "high");
    assert_eq!(
        body["messages"],
        json!([
            {"role": "system", "content": "a\nb"},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "reasoning_content": "hm", "content": "calling", "tool_calls": [
                {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": "{\"n\":1.0}"}},
                {"id": "toolu_2", "type": "function", "function": {"name": "f", "arguments": "{\"n\":1.0}"}}
            ]},
            {"role": "tool", "tool_call_id": "toolu_2", "content": "Error: bad"},
            {"role": "tool", "tool_call_id": "toolu_1", "content": "x\ny"},
            {"role": "user", "content": [
                {"type": "text", "text": "Result of f (toolu_2):"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]},
            {"role": "user", "content": "and?"}
        ])
    );
    let retold = |thinking| {
        let result = ["messages[2].content[0] emulated", "messages[2].content[0] degraded"];
        [&["messages[1].content[0] dropped"], &result[..], &[thinking]].concat()
    };
    assert_eq!(losses, retold("thinking degraded"));
    let (body, losses) = write(&call, &owner()).unwrap();
    assert_eq!(body["messages"][2].get("reasoning_content"), None);
    assert_eq!(losses, retold("thinking dropped"));
}

#[test]
fn c47_choices_and_parallel_calls() {
    let base = Call {
        items: vec![said(Role::User, vec![Part::text("a")])],
        tools: vec![function("f"), function("g")],
        tool_choice: Some(ToolChoice::Required),
        parallel_tool_calls: Some(false),
        sampling: trunkline_core::Sampling { top_k: Number::parse("40"), ..Default::default() },
        ..call()
    };
    let (body, losses) = write(&base, &owner()).unwrap();
    assert_eq!((&body["tool_choice"], &body["parallel_tool_calls"]), (&json!("required"), &json!(false)));
    assert_eq!(losses, ["top_k dropped"]);
    let (body, losses) = write(&base, &engine()).unwrap();
    assert_eq!((&body["top_k"], losses.len()), (&json!(40), 0));
    let allowed =
        ToolChoice::Allowed { mode: trunkline_core::AllowedMode::Required, names: vec!["g".into()] };
    let allowed = Call { tool_choice: Some(allowed), ..base.clone() };
    let (body, losses) = write(&allowed, &engine()).unwrap();
    assert_eq!((body["tools"].as_array().unwrap().len(), &body["tool_choice"]), (1, &json!("required")));
    assert_eq!(losses, ["tool_choice emulated"]);
    let (body, _) = write(&allowed, &owner()).unwrap();
    assert_eq!(
        body["tool_choice"]["allowed_tools"]["tools"],
        json!([{"type": "function", "function": {"name": "g"}}])
    );
    let none = Call { tools: Vec::new(), ..base };
    let (body, losses) = write(&none, &engine()).unwrap();
    assert!(body.get("tool_choice").is_none() && body.get("parallel_tool_calls").is_none(), "{body}");
    assert_eq!(losses, ["tool_choice dropped"]);
}

#[test]
fn c08_long_names_are_rewritten_everywhere_and_restored() {
    let long = "files.read.".repeat(8);
    let base = Call {
        items: vec![
            said(Role::User, vec![Part::text("a")]),
            called(&"i".repeat(70), &long),
            result(&"i".repeat(70), vec![], None),
        ],
        tools: vec![function(&long)],
        tool_choice: Some(ToolChoice::Named { name: long.clone(), custom: false }),
        ..call()
    };
    let mut losses = trunkline_core::Losses::default();
    let written = crate::openai_chat::write_call(&base, &owner(), &mut losses).unwrap();
    let body: Value = serde_json::from_slice(&written.body).unwrap();
    let name = body["tools"][0]["function"]["name"].as_str().unwrap();
    assert!(name.len() <= 64 && name.starts_with("files_read_"), "{name}");
    assert_eq!(body["tool_choice"]["function"]["name"], name);
    assert_eq!(body["messages"][1]["tool_calls"][0]["function"]["name"], name);
    assert_eq!(written.restore.names.original(name), long);
    let id = body["messages"][1]["tool_calls"][0]["id"].as_str().unwrap();
    assert!(id.len() <= 64, "{id}");
    assert_eq!(body["messages"][2]["tool_call_id"], id);
}

#[test]
fn orphans_are_put_right() {
    let base = Call {
        items: vec![
            result("lost", vec![Part::text("x")], None),
            called("a", "f"),
            called("b", "f"),
            result("b", vec![], None),
            said(Role::User, vec![Part::text("go on")]),
        ],
        ..call()
    };
    let (body, losses) = write(&base, &engine()).unwrap();
    assert_eq!(body["messages"][0], json!({"role": "user", "content": "[tool result for lost] x"}));
    assert_eq!(body["messages"][2], json!({"role": "tool", "tool_call_id": "b", "content": ""}));
    assert_eq!(
        body["messages"][3],
        json!({"role": "tool", "tool_call_id": "a", "content": "Error: no result provided"})
    );
    assert_eq!(body["messages"][4], json!({"role": "user", "content": "go on"}));
    assert_eq!(losses, ["messages[0].content[0] degraded", "messages[1].content[0] invented"]);
}

#[test]
fn words_after_a_call_are_sent_before_it() {
    let base = Call {
        items: vec![
            said(Role::Assistant, vec![Part::text("a")]),
            called("x", "f"),
            said(Role::Assistant, vec![Part::text("b")]),
            result("x", vec![Part::text("r")], None),
        ],
        ..call()
    };
    let (body, losses) = write(&base, &engine()).unwrap();
    assert_eq!(body["messages"][0]["content"], "a\nb");
    assert_eq!(losses, ["messages[0] degraded"]);
}

#[test]
fn what_the_model_would_not_see_is_a_fault() {
    let by_url = |url: &str| DocumentSource::Media(MediaSource::Url(url.into()));
    let user = |parts| vec![said(Role::User, parts)];
    let image = |source| Part::new(PartKind::Image(Image { source, detail: None }));
    let unknown = PartKind::Unknown { dialect: Dialect::AnthropicMessages, raw: Json::object() };
    let server = ItemKind::ServerTool(ServerTool {
        dialect: Dialect::AnthropicMessages,
        native_type: "server_tool_use".into(),
        raw: Json::object(),
    });
    for (name, items, path) in [
        (
            "url document",
            user(vec![Part::text("a"), document(by_url("https://x"), None)]),
            "messages[0].content[1]",
        ),
        (
            "file of another provider",
            user(vec![document(DocumentSource::Media(MediaSource::File("f".into())), None)]),
            "messages[0].content[0]",
        ),
        ("image by file id", user(vec![image(MediaSource::File("f".into()))]), "messages[0].content[0]"),
        ("gs image", user(vec![image(MediaSource::Url("gs://b/x".into()))]), "messages[0].content[0]"),
        ("unknown part", user(vec![Part::new(unknown)]), "messages[0].content[0]"),
        (
            "server tool block",
            vec![said(Role::User, vec![Part::text("a")]), Item::new(server)],
            "messages[1].content[0]",
        ),
        ("stored item", vec![Item::new(ItemKind::Reference("x".into()))], "messages[0].content[0]"),
        (
            "in a tool result",
            vec![
                called("a", "f"),
                result("a", vec![Part::text("t"), image(MediaSource::File("f".into()))], None),
            ],
            "messages[1].content[0].content[1]",
        ),
    ] {
        let fault = write(&Call { items, ..call() }, &owner()).unwrap_err();
        assert_eq!(
            (fault.kind, fault.param.as_deref(), fault.code.as_deref()),
            (FaultKind::Unsupported, Some(path), Some("unsupported_content")),
            "{name}"
        );
    }
    let raw = Json::parse(r#"{"type":"web_search_20250305"}"#).unwrap();
    let kind = ToolKind::Server {
        dialect: Dialect::AnthropicMessages,
        native_type: "web_search_20250305".into(),
        name: None,
        raw,
    };
    let tools = vec![function("f"), Tool::new(kind)];
    let fault = write(&Call { tools, ..call() }, &engine()).unwrap_err();
    assert_eq!((fault.kind, fault.param.as_deref()), (FaultKind::Unsupported, Some("tools[1]")));
}

#[test]
fn paths_are_the_clients() {
    let call = read(r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"assistant","content":"a","reasoning":"r","tool_calls":[{"id":"x","function":{"name":"f"}}]},{"role":"tool","tool_call_id":"x","content":"t"},{"role":"user","content":[{"type":"text","text":"b"},{"type":"video_url","video_url":{"url":"https://v"}}]}]}"#).unwrap();
    assert_eq!(write(&call, &owner()).unwrap_err().param.as_deref(), Some("messages[3].content[1]"));
    assert!(write(&call, &engine()).is_ok());
}

#[test]
fn documents_go_as_files_or_text() {
    let pdf = MediaSource::Base64 { mime: "application/pdf".into(), data: "aGk=".into() };
    let parts = vec![
        document(DocumentSource::Media(pdf), Some("a.pdf")),
        document(DocumentSource::Text("plain".into()), Some("notes")),
        document(DocumentSource::Parts(vec![Part::text("one"), png()]), None),
    ];
    let (body, losses) = write(&Call { items: vec![said(Role::User, parts)], ..call() }, &owner()).unwrap();
    assert_eq!(
        body["messages"][0]["content"],
        json!([
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}},
            {"type": "text", "text": "notes\n\nplain"},
            {"type": "text", "text": "one"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
        ])
    );
    assert_eq!(losses, ["messages[0].content[1] degraded", "messages[0].content[2] degraded"]);
}

/// A refusal and earlier audio are members of their message, where nothing may stand beside them.
#[test]
fn what_a_member_of_a_message_cannot_keep_is_told() {
    let odd = |kind: PartKind| Part {
        extra: vec![ExtraField {
            dialect: Dialect::GeminiGenerate,
            key: "odd".into(),
            value: Json::string("x"),
        }],
        ..Part::new(kind)
    };
    let spoken = Audio { source: MediaSource::File("audio_1".into()), format: None, transcript: None };
    let parts = vec![odd(PartKind::Refusal("no".into())), odd(PartKind::Audio(spoken))];
    let base =
        Call { items: vec![said(Role::User, vec![Part::text("a")]), said(Role::Assistant, parts)], ..call() };
    let (body, losses) = write(&base, &owner()).unwrap();
    let said = &body["messages"][1];
    assert_eq!((&said["refusal"], &said["audio"]["id"]), (&json!("no"), &json!("audio_1")));
    assert_eq!(losses, ["messages[1].content[0].odd dropped", "messages[1].content[1].odd dropped"]);
}

#[test]
fn cache_marks_are_openais_own() {
    let base = Call {
        instructions: vec![Instruction {
            origin: OriginRole::Developer,
            name: None,
            parts: vec![Part::text("a"), marked("b", Some("1h"))],
        }],
        items: vec![said(Role::User, vec![marked("c", Some("5m"))])],
        ..call()
    };
    let (body, losses) = write(&base, &owner()).unwrap();
    assert_eq!(
        body["messages"],
        json!([
            {"role": "developer", "content": [
                {"type": "text", "text": "a"},
                {"type": "text", "text": "b", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}
            ]},
            {"role": "user", "content": [
                {"type": "text", "text": "c", "prompt_cache_breakpoint": {"mode": "explicit"}}
            ]}
        ])
    );
    assert_eq!(losses, ["system[1].cache_control dropped"], "an hour is not to be had");
    let (body, losses) = write(&base, &engine()).unwrap();
    assert_eq!(
        body["messages"],
        json!([{"role": "system", "content": "a\nb"}, {"role": "user", "content": "c"}])
    );
    assert_eq!(losses, ["system[1].cache_control dropped", "messages[0].content[0].cache_control dropped"]);
}

#[test]
fn parameters_by_target() {
    let mut base = call();
    base.items = vec![said(Role::User, vec![Part::text("a")])];
    base.stream.on = true;
    base.reasoning.mode = Some(ReasoningMode::Off);
    base.service.tier = Some("standard_only".into());
    base.identity.metadata = Some(Json::parse(r#"{"user_id":"u1"}"#).unwrap());
    base.output.format = OutputFormat::JsonSchema {
        name: None,
        description: None,
        schema: Json::parse(r#"{"b":1.0,"a":2}"#).unwrap(),
        strict: None,
    };
    base.extra =
        vec![ExtraField { dialect: Dialect::AnthropicMessages, key: "betas".into(), value: Json::object() }];
    base.safety =
        vec![ExtraField { dialect: Dialect::AnthropicMessages, key: "guard".into(), value: Json::object() }];
    let mut losses = trunkline_core::Losses::default();
    let written = crate::openai_chat::write_call(&base, &engine(), &mut losses).unwrap();
    let body = String::from_utf8(written.body).unwrap();
    assert_eq!(
        body,
        r#"{"model":"qwen3","messages":[{"role":"user","content":"a"}],"response_format":{"type":"json_schema","json_schema":{"name":"response","schema":{"b":1.0,"a":2}}},"chat_template_kwargs":{"enable_thinking":false},"service_tier":"default","user":"u1","stream":true,"stream_options":{"include_usage":true}}"#
    );
    assert_eq!(
        losses.refused(trunkline_core::OnUnsupported::Warn).map(|loss| loss.path.as_ref()),
        Some("guard")
    );
    let (body, _) = write(&base, &target("gpt-5", Vendor::Owner)).unwrap();
    assert!(body.get("chat_template_kwargs").is_none(), "{body}");
}

#[test]
fn free_text_tools_are_functions_to_engines() {
    let call = read(r#"{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"x","type":"custom","custom":{"name":"g","input":"a \"b\""}}]},{"role":"tool","tool_call_id":"x","content":"t"}],"tools":[{"type":"custom","custom":{"name":"g","format":{"type":"text"}}}]}"#).unwrap();
    let (body, losses) = write(&call, &engine()).unwrap();
    assert_eq!(body["tools"][0]["function"]["parameters"]["required"], json!(["input"]));
    let made = &body["messages"][0]["tool_calls"][0]["function"];
    assert_eq!(made, &json!({"name": "g", "arguments": "{\"input\":\"a \\\"b\\\"\"}"}));
    assert_eq!(losses, ["tools[0] degraded"]);
    let (body, losses) = write(&call, &owner()).unwrap();
    assert_eq!(body["tools"][0]["custom"], json!({"name": "g", "format": {"type": "text"}}));
    assert_eq!(body["messages"][0]["tool_calls"][0]["custom"], json!({"name": "g", "input": "a \"b\""}));
    assert!(losses.is_empty(), "{losses:?}");
}

#[test]
fn the_grammar_of_a_free_text_tool_is_told_in_words() {
    let format = json!({"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: WORD"}});
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [
        {"type": "custom", "custom": {"name": "g", "description": "Says a word.", "format": format}}]});
    let call = read(&body.to_string()).unwrap();
    for target in [engine(), target("mistral-small", Vendor::Provider(crate::profile::named("mistral")))] {
        let (body, losses) = write(&call, &target).unwrap();
        let told = "Says a word.\n\nThe input must follow this lark grammar:\nstart: WORD";
        assert_eq!(body["tools"][0]["function"]["description"], told);
        assert_eq!(losses, ["tools[0] degraded"]);
    }
}
