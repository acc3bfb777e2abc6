//! Requests written for models of every generation.

use super::super::turn::PLACEHOLDER;
use super::{
    OLD, SECOND, THIRD, attempt, foreign, function, own, result, say, says, sent, thoughts, use_tool,
};
use serde_json::{Value, json};
use trunkline_core::{
    AllowedMode, Audio, Dialect, Document, DocumentSource, FaultKind, Image, Instruction, ItemKind, Json,
    MediaSource, Number, OriginRole, OutputFormat, Part, PartKind, Role, Tool, ToolChoice, ToolKind,
};

fn user(text: &str) -> Vec<trunkline_core::Item> {
    vec![say(Role::User, text)]
}

fn image(source: MediaSource) -> Part {
    Part::new(PartKind::Image(Image { source, detail: None }))
}

fn png() -> Part {
    image(MediaSource::Base64 { mime: "image/png".into(), data: "aGk=".into() })
}

#[test]
fn c21_roles_and_instructions() {
    let mut call = foreign(vec![
        say(Role::User, "a"),
        say(Role::Assistant, "b"),
        say(Role::System, "mid"),
        say(Role::User, "c"),
    ]);
    let parts = vec![Part::text("s")];
    call.instructions.push(Instruction { origin: OriginRole::System, name: None, parts });
    let (body, losses) = sent(&call, SECOND);
    assert_eq!(
        body,
        json!({
            "systemInstruction": {"parts": [{"text": "s"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "a"}]},
                {"role": "model", "parts": [{"text": "b"}]},
                {"role": "user", "parts": [{"text": "<system>mid</system>"}, {"text": "c"}]},
            ],
        })
    );
    assert_eq!(losses, ["messages[3] degraded"]);
}

#[test]
fn c22_results_are_objects() {
    for (text, response) in [
        ("sunny", json!({"result": "sunny"})),
        (r#"{"sky":"blue","n":1.0}"#, json!({"sky": "blue", "n": 1.0})),
        ("[1]", json!({"result": "[1]"})),
        ("", json!({"result": ""})),
    ] {
        let call = foreign(vec![say(Role::User, "x"), use_tool("a", "f", "{\"c\":1}"), result("a", text)]);
        let (body, _) = sent(&call, SECOND);
        assert_eq!(
            body["contents"][1],
            json!({"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"c": 1}}}]})
        );
        assert_eq!(
            body["contents"][2],
            json!({"role": "user", "parts": [{"functionResponse": {"name": "f", "response": response}}]}),
            "{text}"
        );
    }
}

#[test]
fn errors_and_media_of_results() {
    let mut failed = result("a", "no");
    let ItemKind::ToolResult(inner) = &mut failed.kind else { panic!() };
    inner.is_error = Some(true);
    inner.parts.push(png());
    let call = foreign(vec![say(Role::User, "x"), use_tool("a", "f", ""), failed]);
    let inline = json!({"inlineData": {"mimeType": "image/png", "data": "aGk="}});
    let (body, losses) = sent(&call, THIRD);
    assert_eq!(
        body["contents"][2]["parts"],
        json!([{"functionResponse": {"id": "a", "name": "f", "response": {"error": "no"}, "parts": [inline]}}])
    );
    assert_eq!(losses, ["messages[1] invented"]);
    let (body, losses) = sent(&call, SECOND);
    assert_eq!(
        body["contents"][2]["parts"],
        json!([{"functionResponse": {"name": "f", "response": {"error": "no"}}}, inline])
    );
    assert_eq!(losses, ["messages[2] degraded"]);
}

/// The parts of a response are media and nothing else; text beside a value stands beside it.
#[test]
fn results_of_values_and_words() {
    let value = |raw: &str| Part::new(PartKind::Json(Json::parse(raw).unwrap()));
    let inline = json!([{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]);
    for (name, parts, is_error, response, media) in [
        ("a value", vec![value(r#"{"n":1.0}"#)], None, json!({"n": 1.0}), Value::Null),
        (
            "a value and words",
            vec![value(r#"{"n":1.0}"#), Part::text("as of noon"), Part::text("local")],
            None,
            json!({"result": {"n": 1.0}, "text": "as of noon\nlocal"}),
            Value::Null,
        ),
        (
            "words, a value and a picture",
            vec![Part::text("as of noon"), value("[1]"), png()],
            Some(false),
            json!({"result": [1], "text": "as of noon"}),
            inline.clone(),
        ),
        (
            "a failure",
            vec![value(r#"{"code":7}"#), Part::text("try again")],
            Some(true),
            json!({"error": {"code": 7}, "text": "try again"}),
            Value::Null,
        ),
        (
            "several values",
            vec![value("1"), value("2")],
            None,
            json!({"result": 1, "text": "2"}),
            Value::Null,
        ),
        ("words and a picture", vec![Part::text("x"), png()], None, json!({"result": "x"}), inline),
    ] {
        let mut answered = result("a", "");
        let ItemKind::ToolResult(inner) = &mut answered.kind else { panic!() };
        (inner.parts, inner.is_error) = (parts, is_error);
        let call = foreign(vec![say(Role::User, "x"), use_tool("a", "f", ""), answered]);
        let (body, losses) = sent(&call, THIRD);
        let written = &body["contents"][2]["parts"][0]["functionResponse"];
        assert_eq!((&written["response"], &written["parts"]), (&response, &media), "{name}");
        assert_eq!(losses, ["messages[1] invented"], "{name}: the signature alone is made up");
    }
}

#[test]
fn c23_calls_are_signed_for_the_newest_models() {
    let signature =
        |body: &Value, part: usize| body["contents"][1]["parts"][part]["thoughtSignature"].clone();
    let history = |id: &str| {
        foreign(vec![
            say(Role::User, "x"),
            use_tool(id, "f", "{}"),
            use_tool("b", "f", "{}"),
            result(id, "1"),
            result("b", "2"),
        ])
    };
    let (body, losses) = sent(&history("a"), THIRD);
    assert_eq!((signature(&body, 0), signature(&body, 1)), (json!(PLACEHOLDER), Value::Null));
    assert_eq!(losses, ["messages[1] invented"]);

    let (body, losses) = sent(&history("a__thought__UmVhbA=="), THIRD);
    assert_eq!((signature(&body, 0), signature(&body, 1)), (json!("UmVhbA=="), Value::Null));
    assert_eq!(body["contents"][1]["parts"][0]["functionCall"]["id"], "a");
    assert_eq!(body["contents"][2]["parts"][0]["functionResponse"]["id"], "a");
    assert_eq!(losses, Vec::<String>::new());

    let (body, losses) = sent(&history("a"), SECOND);
    assert_eq!(signature(&body, 0), Value::Null);
    assert_eq!(body["contents"][1]["parts"][0]["functionCall"]["id"], Value::Null);
    assert_eq!(losses, Vec::<String>::new());
}

#[test]
fn state_goes_back_to_the_part_it_came_with() {
    let bare = |signature| thoughts("", Some(signature), Dialect::GeminiGenerate);
    let call = foreign(vec![
        say(Role::User, "x"),
        thoughts("hm", Some("S1"), Dialect::GeminiGenerate),
        say(Role::Assistant, "words"),
        bare("S2"),
        bare("S3"),
        use_tool("a", "f", "{}"),
        result("a", "1"),
    ]);
    let (body, losses) = sent(&call, THIRD);
    assert_eq!(
        body["contents"][1]["parts"],
        json!([
            {"text": "hm", "thought": true, "thoughtSignature": "S1"},
            {"text": "words", "thoughtSignature": "S2"},
            {"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": "S3"},
        ])
    );
    assert_eq!(losses, Vec::<String>::new());
}

#[test]
fn foreign_state_is_not_sent() {
    let call = foreign(vec![
        say(Role::User, "x"),
        thoughts("hm", Some("EqQB"), Dialect::AnthropicMessages),
        say(Role::Assistant, "y"),
        say(Role::User, "z"),
    ]);
    let (written, body, losses) = attempt(&call, THIRD).unwrap();
    assert_eq!(body["contents"][1]["parts"], json!([{"text": "y"}]));
    assert!(!String::from_utf8(written.body).unwrap().contains("EqQB"));
    assert_eq!(super::list(&losses), ["messages[1] dropped"]);
}

#[test]
fn c24_choices_become_modes() {
    let allowed = |mode| ToolChoice::Allowed { mode, names: vec!["f".into(), "g".into()] };
    for (choice, want) in [
        (ToolChoice::Auto, json!({"mode": "AUTO"})),
        (ToolChoice::None, json!({"mode": "NONE"})),
        (ToolChoice::Required, json!({"mode": "ANY"})),
        (
            ToolChoice::Named { name: "f".into(), custom: false },
            json!({"mode": "ANY", "allowedFunctionNames": ["f"]}),
        ),
        (allowed(AllowedMode::Auto), json!({"mode": "VALIDATED", "allowedFunctionNames": ["f", "g"]})),
        (allowed(AllowedMode::Required), json!({"mode": "ANY", "allowedFunctionNames": ["f", "g"]})),
    ] {
        let mut call = foreign(user("x"));
        call.tools = vec![function("f", None), function("g", None)];
        call.tool_choice = Some(choice.clone());
        let (body, losses) = sent(&call, SECOND);
        assert_eq!(body["toolConfig"]["functionCallingConfig"], want, "{choice:?}");
        assert_eq!(losses, Vec::<String>::new());
    }
}

#[test]
fn c25_schemas_by_generation() {
    let schema =
        r##"{"type":"object","properties":{"p":{"$ref":"#/$defs/P"}},"$defs":{"P":{"type":"string"}}}"##;
    let mut call = foreign(user("x"));
    call.output.format = OutputFormat::JsonSchema {
        name: Some("n".into()),
        description: None,
        schema: Json::parse(schema).unwrap(),
        strict: Some(true),
    };
    let (written, body, _) = attempt(&call, SECOND).unwrap();
    assert_eq!(body["generationConfig"]["responseMimeType"], "application/json");
    assert!(String::from_utf8(written.body).unwrap().contains(&format!("\"responseJsonSchema\":{schema}")));
    let (body, losses) = sent(&call, OLD);
    assert_eq!(
        body["generationConfig"],
        json!({
            "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT", "properties": {"p": {"type": "STRING"}}},
        })
    );
    assert_eq!(losses, Vec::<String>::new());
}

#[test]
fn c26_functions_without_arguments_have_no_parameters() {
    let mut call = foreign(user("x"));
    call.tools = vec![
        function("f", Some(r#"{"type":"object","properties":{}}"#)),
        function("g", Some(r#"{"type":"object","properties":{"a":{"type":"string"}}}"#)),
    ];
    let (body, _) = sent(&call, SECOND);
    assert_eq!(
        body["tools"],
        json!([{"functionDeclarations": [
            {"name": "f"},
            {"name": "g", "parametersJsonSchema": {"type": "object", "properties": {"a": {"type": "string"}}}},
        ]}])
    );
    let (body, _) = sent(&call, OLD);
    assert_eq!(
        body["tools"][0]["functionDeclarations"][1]["parameters"],
        json!({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}})
    );
}

#[test]
fn c28_sampling_has_its_fields() {
    let mut call = foreign(user("x"));
    call.sampling.n = Some(2);
    call.sampling.seed = Number::parse("7");
    call.sampling.presence_penalty = Number::parse("0.50");
    call.sampling.top_logprobs = Some(3);
    call.sampling.stop = (0..6).map(|n| n.to_string()).collect();
    let (written, body, losses) = attempt(&call, SECOND).unwrap();
    assert_eq!(
        body["generationConfig"],
        json!({
            "candidateCount": 2,
            "stopSequences": ["0", "1", "2", "3", "4"],
            "presencePenalty": 0.5,
            "seed": 7,
            "responseLogprobs": true,
            "logprobs": 3,
        })
    );
    assert!(String::from_utf8(written.body).unwrap().contains("\"presencePenalty\":0.50"));
    assert_eq!((written.fan_out, super::list(&losses)), (1, vec!["stop emulated".to_owned()]));
    call.sampling.stop.clear();
    call.sampling.seed = Number::parse("12345678901");
    assert_eq!(sent(&call, SECOND).1, ["seed dropped"]);
}

#[test]
fn c29_media_alone_gets_words_where_the_model_wants_them() {
    let call = foreign(vec![says(Role::User, vec![png()])]);
    let inline = json!({"inlineData": {"mimeType": "image/png", "data": "aGk="}});
    assert_eq!(sent(&call, OLD).0["contents"][0]["parts"], json!([inline, {"text": " "}]));
    assert_eq!(sent(&call, SECOND).0["contents"][0]["parts"], json!([inline]));
}

#[test]
fn c50_tools_of_other_providers_have_counterparts() {
    let search = Tool::new(ToolKind::Server {
        dialect: Dialect::AnthropicMessages,
        native_type: "web_search_20250305".into(),
        name: Some("web_search".into()),
        raw: Json::parse(r#"{"type":"web_search_20250305"}"#).unwrap(),
    });
    let mut call = foreign(user("x"));
    call.tools = vec![search.clone()];
    let (body, losses) = sent(&call, SECOND);
    assert_eq!(body["tools"], json!([{"googleSearch": {}}]));
    assert_eq!(losses, ["tools[0] emulated"]);

    call.tools.push(function("f", None));
    let (body, losses) = sent(&call, SECOND);
    assert_eq!(body["tools"], json!([{"functionDeclarations": [{"name": "f"}]}]));
    assert_eq!(losses, ["tools[0] emulated", "tools dropped"]);
    let (body, _) = sent(&call, THIRD);
    assert_eq!(body["tools"], json!([{"functionDeclarations": [{"name": "f"}]}, {"googleSearch": {}}]));
    assert_eq!(body["toolConfig"], json!({"includeServerSideToolInvocations": true}));

    let ToolKind::Server { native_type, .. } = &mut call.tools[0].kind else { panic!() };
    *native_type = "computer_20250124".into();
    let fault = attempt(&call, THIRD).unwrap_err();
    assert_eq!((fault.kind, fault.param.as_deref()), (FaultKind::Unsupported, Some("tools[0]")));
}

#[test]
fn content_the_model_would_not_see_is_refused() {
    let document = |mime: &str| {
        Part::new(PartKind::Document(Document {
            source: DocumentSource::Media(MediaSource::Base64 { mime: mime.into(), data: "aGk=".into() }),
            title: None,
            context: None,
            citations: None,
        }))
    };
    for (part, what) in [
        (image(MediaSource::Url("https://x/y.png".into())), "an address"),
        (image(MediaSource::File("file-1".into())), "a file id"),
        (document("application/zip"), "an archive"),
        (Part::new(PartKind::ToolReference("t".into())), "a tool reference"),
    ] {
        let call = foreign(vec![says(Role::User, vec![Part::text("see"), part])]);
        let fault = attempt(&call, THIRD).unwrap_err();
        assert_eq!(
            (fault.kind, fault.param.as_deref(), fault.code.as_deref()),
            (FaultKind::Unsupported, Some("messages[0].content[1]"), Some("unsupported_content")),
            "{what}"
        );
    }
    for part in [
        image(MediaSource::Url("https://www.youtube.com/watch?v=1".into())),
        image(MediaSource::Url("gs://b/y.png".into())),
        document("application/pdf"),
        Part::new(PartKind::Audio(Audio {
            source: MediaSource::Base64 { mime: "audio/wav".into(), data: "aGk=".into() },
            format: None,
            transcript: None,
        })),
    ] {
        assert!(attempt(&foreign(vec![says(Role::User, vec![part])]), THIRD).is_ok());
    }
}

#[test]
fn what_gemini_fetches_is_not_inlined() {
    for (url, inlined) in [
        ("https://x/y.png", true),
        ("http://x/y.png", true),
        ("https://youtu.be/1", false),
        ("https://generativelanguage.googleapis.com/v1beta/files/1", false),
        ("gs://b/y.png", false),
    ] {
        let call = foreign(vec![says(Role::User, vec![image(MediaSource::Url(url.into()))])]);
        let found = crate::needs_inlining(Dialect::GeminiGenerate, &call);
        assert_eq!(!found.is_empty(), inlined, "{url}");
    }
}

#[test]
fn orphans_and_gaps_are_filled() {
    let call = foreign(vec![
        say(Role::Assistant, "first"),
        use_tool("a", "f", "{}"),
        use_tool("b", "g", "{}"),
        result("b", "2"),
        result("gone", "?"),
        result("b", "again"),
    ]);
    let (body, losses) = sent(&call, SECOND);
    assert_eq!(body["contents"][0], json!({"role": "user", "parts": [{"text": "."}]}));
    assert_eq!(
        body["contents"][2]["parts"],
        json!([
            {"functionResponse": {"name": "f", "response": {"error": "no result provided"}}},
            {"functionResponse": {"name": "g", "response": {"result": "2"}}},
            {"text": "[tool result for b] {\"result\":\"again\"}"},
            {"text": "[tool result for gone] {\"result\":\"?\"}"},
        ])
    );
    assert_eq!(
        losses,
        ["messages[0] invented", "messages[0] invented", "messages[3] degraded", "messages[2] degraded"]
    );
}

#[test]
fn c64_arguments_that_are_no_object() {
    let call = foreign(vec![say(Role::User, "x"), use_tool("a", "f", "{oops"), result("a", "1")]);
    let (body, losses) = sent(&call, SECOND);
    assert_eq!(body["contents"][1]["parts"][0]["functionCall"]["args"], json!({"_raw": "{oops"}));
    assert_eq!(losses, ["messages[1] degraded"]);
    let strict = crate::Target { strict_arguments: true, ..super::target(SECOND) };
    let fault =
        crate::write_call(Dialect::GeminiGenerate, &call, &strict, &mut Default::default()).unwrap_err();
    assert_eq!(fault.code.as_deref(), Some("invalid_tool_arguments"));
}

#[test]
fn functions_and_json_together_need_a_forced_call_on_older_models() {
    let mut call = foreign(user("x"));
    call.tools = vec![function("f", None)];
    call.output.format = OutputFormat::JsonSchema {
        name: None,
        description: None,
        schema: Json::parse(r#"{"type":"object","properties":{"a":{"type":"string"}}}"#).unwrap(),
        strict: None,
    };
    let (written, body, losses) = attempt(&call, SECOND).unwrap();
    assert_eq!(body["tools"][0]["functionDeclarations"][1]["name"], "json_tool_call");
    assert_eq!(body["toolConfig"]["functionCallingConfig"], json!({"mode": "ANY"}));
    assert!(written.restore.json_tool && body.get("generationConfig").is_none());
    assert_eq!(super::list(&losses), ["response_format emulated"]);
    assert!(sent(&call, THIRD).0["generationConfig"]["responseJsonSchema"].is_object());
}

#[test]
fn names_fit_and_come_back() {
    let mut call = foreign(vec![say(Role::User, "x"), use_tool("a", "1 bad/name", "{}"), result("a", "1")]);
    call.tools = vec![function("1 bad/name", None), function("good.name:v-1", None)];
    call.tool_choice = Some(ToolChoice::Named { name: "1 bad/name".into(), custom: false });
    let (written, body, _) = attempt(&call, THIRD).unwrap();
    let name = body["tools"][0]["functionDeclarations"][0]["name"].as_str().unwrap();
    assert!(name.starts_with("_1_bad_name_"), "{name}");
    assert_eq!(body["tools"][0]["functionDeclarations"][1]["name"], "good.name:v-1");
    assert_eq!(body["contents"][1]["parts"][0]["functionCall"]["name"], name);
    assert_eq!(body["contents"][2]["parts"][0]["functionResponse"]["name"], name);
    assert_eq!(body["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"], json!([name]));
    assert_eq!(written.restore.names.original(name), "1 bad/name");
}

#[test]
fn settings_without_a_field_are_told() {
    let mut call = foreign(user("x"));
    call.sampling.logit_bias = Some(Json::object());
    call.identity.user = Some("u".into());
    call.prediction = Some(Json::object());
    call.parallel_tool_calls = Some(false);
    call.tools = vec![function("f", None), function("g", None)];
    call.service.tier = Some("default".into());
    let (body, losses) = sent(&call, SECOND);
    assert_eq!(
        losses,
        ["logit_bias dropped", "prediction dropped", "user dropped", "parallel_tool_calls dropped"]
    );
    assert_eq!(body["serviceTier"], "standard");
}

/// The names of settings are the client's own.
#[test]
fn losses_are_spelled_as_the_client_spells() {
    let call = own(
        r#"{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"seed":12345678901,"stopSequences":["1","2","3","4","5","6"],"thinkingConfig":{"thinkingBudget":5}}}"#,
    );
    assert_eq!(
        sent(&call, OLD).1,
        [
            "generationConfig.thinkingConfig dropped",
            "generationConfig.seed dropped",
            "generationConfig.stopSequences emulated",
        ]
    );
}

#[test]
fn golden_agent_request() {
    let mut call = foreign(vec![
        says(Role::User, vec![Part::text("what is in it?"), png()]),
        thoughts("look", Some("S"), Dialect::GeminiGenerate),
        use_tool("call_1", "read", r#"{"path":"/a","n":12345678901234567890}"#),
        use_tool("call_2", "read", r#"{"path":"/b"}"#),
        result("call_2", "{\"size\":1.0}"),
        result("call_1", "text"),
        say(Role::User, "go on"),
    ]);
    let parts = vec![Part::text("be brief")];
    call.instructions.push(Instruction { origin: OriginRole::Developer, name: None, parts });
    call.tools = vec![function("read", Some(r#"{"type":"object","properties":{"path":{"type":"string"}}}"#))];
    call.limits.max_output_tokens = Some(500);
    call.reasoning.effort = Some(trunkline_core::Effort::High);
    let (written, _, losses) = attempt(&call, THIRD).unwrap();
    let text = String::from_utf8(written.body).unwrap();
    insta::assert_snapshot!(format!("{text}\nlost: {:?}", super::list(&losses)));
}
