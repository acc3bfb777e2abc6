//! Requests for providers that speak the dialect in their own way.

use super::{read, target, write};
use crate::codec::{Target, Vendor};
use crate::profile::named;
use crate::restore::JSON_TOOL;
use serde_json::{Value, json};
use trunkline_core::{Effort, Event, FaultKind, Losses, Reasoning, ReasoningMode};

fn at(provider: &str, model: &'static str) -> Target<'static> {
    target(model, Vendor::Provider(named(provider)))
}

/// The body written for `provider`, and what was lost on the way.
fn sent(provider: &str, model: &'static str, body: &Value) -> (Value, Vec<String>) {
    let mut body = body.clone();
    body["model"] = json!("any");
    write(&read(&body.to_string()).unwrap(), &at(provider, model)).unwrap()
}

fn hi() -> Value {
    json!([{"role": "user", "content": "hi"}])
}

fn function() -> Value {
    json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": true}}])
}

/// A conversation with a tool call answered, then more of the user.
fn used_tools() -> Value {
    json!([
        {"role": "developer", "content": "be brief", "name": "ops"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "bob"},
        {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
            {"id": "call_0123456789abcdef", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "call_0123456789abcdef", "content": "one"},
        {"role": "user", "content": "go on"},
    ])
}

#[test]
fn mistral_takes_its_own_words_and_ids() {
    let body = json!({"messages": used_tools(), "tools": function(), "tool_choice": "required", "seed": 7,
        "max_completion_tokens": 9, "user": "u", "metadata": {"k": "v"}, "temperature": 1.8,
        "safe_prompt": true, "made_up": 1, "stream": true});
    let (written, losses) = sent("mistral", "mistral-small-latest", &body);
    let messages = written["messages"].as_array().unwrap();
    let roles: Vec<_> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "assistant", "user"]);
    let id = messages[2]["tool_calls"][0]["id"].as_str().unwrap();
    assert!(id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    assert_eq!(messages[3]["tool_call_id"], id, "the result follows its call");
    assert_eq!(
        messages[2]["content"],
        json!([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}])
    );
    assert!(messages.iter().all(|message| message.get("name").is_none()), "{written}");
    for (field, value) in [
        ("tool_choice", json!("any")),
        ("random_seed", json!(7)),
        ("max_tokens", json!(9)),
        ("temperature", json!(1.5)),
        ("metadata", json!({"k": "v", "user": "u"})),
        ("safe_prompt", json!(true)),
        ("stream", json!(true)),
    ] {
        assert_eq!(written[field], value, "{field}");
    }
    for absent in ["seed", "max_completion_tokens", "user", "made_up", "stream_options"] {
        assert!(written.get(absent).is_none(), "{absent}");
    }
    assert_eq!(
        losses,
        [
            "messages[0].name dropped",
            "messages[1].name dropped",
            "messages invented",
            "temperature degraded",
            "made_up dropped"
        ]
    );
}

#[test]
fn an_answer_begun_for_the_model_is_marked_where_that_is_wanted() {
    let begun = json!({"messages": [hi()[0], {"role": "assistant", "content": "So"}]});
    let empty = json!({"messages": [hi()[0], {"role": "assistant", "content": ""}, hi()[0]]});
    assert_eq!(sent("mistral", "m", &begun).0["messages"][1]["prefix"], true);
    assert_eq!(sent("groq", "m", &begun).0["messages"][1].get("prefix"), None);
    let (written, losses) = sent("perplexity", "sonar", &begun);
    assert_eq!(written["messages"][2], json!({"role": "user", "content": "Go on."}));
    assert_eq!(losses, ["messages invented"]);
    assert_eq!(sent("mistral", "m", &empty).0["messages"].as_array().unwrap().len(), 2);
}

#[test]
fn conversations_take_the_form_each_demands() {
    let (written, losses) = sent("deepseek", "deepseek-chat", &json!({"messages": used_tools()}));
    assert_eq!(written["messages"][1]["content"], "a\nb", "strings alone");
    assert_eq!(written["messages"][2]["reasoning_content"], "hm");
    assert_eq!(written["messages"][2]["content"], "");
    assert!(losses.is_empty(), "{losses:?}");
    let mut forgot = used_tools();
    forgot[2].as_object_mut().unwrap().remove("reasoning_content");
    let (written, _) = sent("deepseek", "deepseek-reasoner", &json!({"messages": forgot}));
    assert_eq!(written["messages"][2]["reasoning_content"], " ", "demanded behind every call");
    let (written, _) = sent("groq", "m", &json!({"messages": used_tools()}));
    assert_eq!(written["messages"][2].get("content"), None, "no nulls");
    assert_eq!(written["messages"][2]["reasoning"], "hm");
    let talk = json!([
        {"role": "system", "content": "s"}, hi()[0], {"role": "user", "content": "again"},
        {"role": "assistant", "content": "yes"}, {"role": "system", "content": "be short"}, hi()[0]]);
    let (written, losses) = sent("perplexity", "sonar", &json!({"messages": talk}));
    let said: Vec<_> =
        written["messages"].as_array().unwrap().iter().map(|m| (&m["role"], &m["content"])).collect();
    assert_eq!(
        json!(said),
        json!([["system", "s"], ["user", "hi\nagain"], ["assistant", "yes"], ["user", "be short\nhi"]])
    );
    assert_eq!(losses, ["messages degraded"]);
}

#[test]
fn what_no_model_of_a_provider_sees_is_refused_before_anything_is_sent() {
    let png = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}});
    let pdf = json!({"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}});
    let wav = json!({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}});
    for (provider, part, refused) in [
        ("deepseek", &png, true),
        ("ai21", &png, true),
        ("groq", &png, false),
        ("groq", &pdf, true),
        ("groq", &wav, true),
        ("mistral", &pdf, false),
        ("mistral", &wav, false),
        ("openrouter", &pdf, false),
    ] {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": [part]}]});
        let written = write(&read(&body.to_string()).unwrap(), &at(provider, "m"));
        let fault = written.err().map(|fault| (fault.kind, fault.param));
        let want = refused.then(|| (FaultKind::Unsupported, Some("messages[0].content[0]".to_owned())));
        assert_eq!(fault, want, "{provider} {part}");
    }
    let body = json!({"messages": [{"role": "user", "content": [pdf]}]});
    let (written, _) = sent("mistral", "m", &body);
    let url = json!({"type": "document_url", "document_url": "data:application/pdf;base64,aGk=", "document_name": "a.pdf"});
    assert_eq!(written["messages"][0]["content"], json!([url]));
}

#[test]
fn schemas_are_kept_by_other_means() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    let body = json!({"messages": hi(), "response_format": format});
    let (written, losses) = sent("deepseek", "deepseek-chat", &body);
    assert_eq!(written["response_format"], json!({"type": "json_object"}));
    let told = written["messages"][0]["content"].as_str().unwrap();
    assert!(told.contains(&schema.to_string()) && written["messages"][0]["role"] == "system", "{told}");
    assert_eq!(losses, ["response_format emulated"]);

    let (written, losses) = sent("groq", "llama-3.3-70b", &body);
    assert_eq!(
        (&written["tools"][0]["function"]["parameters"], losses),
        (&schema, vec!["response_format emulated".into()])
    );
    assert_eq!(written["tool_choice"]["function"]["name"], JSON_TOOL);
    assert_eq!(sent("groq", "openai/gpt-oss-20b", &body).0["response_format"]["type"], "json_schema");
    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    assert_eq!(sent("groq", "openai/gpt-oss-20b", &streamed).1, ["response_format emulated"]);
    let mut with_tools = body.clone();
    with_tools["tools"] = function();
    let (written, losses) = sent("groq", "llama-3.3-70b", &with_tools);
    assert_eq!(written["tools"].as_array().unwrap().len(), 1, "the client's own stay callable");
    assert_eq!((written["messages"][0]["role"].as_str(), losses.len()), (Some("system"), 1));

    let object = json!({"messages": hi(), "response_format": {"type": "json_object"}});
    assert_eq!(sent("perplexity", "sonar", &object).0["response_format"]["type"], "json_schema");
    assert_eq!(sent("deepseek", "deepseek-chat", &object).1, ["response_format invented"]);
}

#[test]
fn an_emulated_schema_comes_back_as_text() {
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}});
    let call = read(&json!({"model": "m", "messages": hi(), "response_format": format}).to_string()).unwrap();
    let written =
        super::super::write_call(&call, &at("groq", "llama-3.3-70b"), &mut Losses::default()).unwrap();
    let called = json!({"id": "1", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
        "role": "assistant", "content": null,
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": JSON_TOOL, "arguments": "{\"a\":1}"}}]}}]});
    let mut reply = super::super::read_reply(called.to_string().as_bytes()).unwrap();
    written.restore.reply(&mut reply);
    let answer = super::super::write_reply(&reply, &super::context(), &mut Losses::default());
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "{\"a\":1}");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
}

#[test]
fn effort_is_asked_for_in_each_ones_words() {
    for (provider, model, effort, want) in [
        ("deepseek", "deepseek-chat", "none", json!({"thinking": {"type": "disabled"}})),
        ("deepseek", "deepseek-chat", "low", json!({"thinking": {"type": "enabled"}})),
        (
            "deepseek",
            "deepseek-chat",
            "max",
            json!({"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
        ),
        (
            "deepseek",
            "deepseek-chat",
            "high",
            json!({"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
        ),
        ("openrouter", "m", "low", json!({"reasoning": {"effort": "low"}})),
        ("groq", "m", "low", json!({"reasoning_effort": "low"})),
        ("ai21", "jamba-large", "low", json!({})),
        ("azure-openai", "my-deployment", "low", json!({"reasoning_effort": "low"})),
    ] {
        let (written, losses) = sent(provider, model, &json!({"messages": hi(), "reasoning_effort": effort}));
        let mut fields = written.as_object().unwrap().clone();
        fields.retain(|key, _| key != "model" && key != "messages");
        assert_eq!(Value::Object(fields), want, "{provider} {effort}");
        let lost = match (provider, effort) {
            ("ai21", _) => vec!["reasoning_effort dropped"],
            ("deepseek", "low" | "max") => vec!["reasoning_effort degraded"],
            _ => vec![],
        };
        assert_eq!(losses, lost, "{provider} {effort}");
    }
}

/// However the client said that it wants no thoughts: by effort, by a switch, by a budget of none.
#[test]
fn who_wants_no_thoughts_is_never_ignored_in_silence() {
    let off = Reasoning { mode: Some(ReasoningMode::Off), ..Reasoning::default() };
    let none = Reasoning { effort: Some(Effort::None), ..Reasoning::default() };
    let zero = Reasoning { budget_tokens: Some(0), ..Reasoning::default() };
    let both = Reasoning { effort: Some(Effort::None), ..off.clone() };
    for (provider, model, want, lost) in [
        ("openai", "gpt-5.1", Some("none"), None),
        ("openai", "gpt-5-mini", Some("minimal"), Some("degraded")),
        ("azure-openai", "o4-mini", Some("low"), Some("degraded")),
        ("openai", "gpt-4o", None, None),
        ("groq", "openai/gpt-oss-20b", Some("low"), Some("degraded")),
    ] {
        for reasoning in [&off, &none, &zero, &both] {
            let mut call =
                read(&json!({"model": "m", "messages": hi(), "temperature": 0.5}).to_string()).unwrap();
            call.reasoning = reasoning.clone();
            let (written, losses) = write(&call, &at(provider, model)).unwrap();
            assert_eq!(written["reasoning_effort"].as_str(), want, "{model} {reasoning:?}");
            // The client's dialect has one word for all of them.
            let found: Vec<_> = losses.iter().filter(|loss| loss.starts_with("reasoning_effort")).collect();
            assert_eq!(found.first().and_then(|loss| loss.split(' ').nth(1)), lost, "{model} {losses:?}");
            let thinks = provider != "groq" && lost.is_some();
            assert_eq!(written["temperature"].is_null(), thinks, "{model}: one that thinks takes none");
        }
    }
    // Whether a model of this name takes the word is the client's knowledge, not ours.
    for (reasoning, want) in [(&none, Some("none")), (&off, None)] {
        let mut call = read(&json!({"model": "m", "messages": hi()}).to_string()).unwrap();
        call.reasoning = reasoning.clone();
        let (written, losses) = write(&call, &at("groq", "llama-3.3-70b")).unwrap();
        assert_eq!((written["reasoning_effort"].as_str(), losses.is_empty()), (want, want.is_some()));
    }
}

/// A wish to think that says nothing of how much is a switch where there is one.
#[test]
fn who_wants_thoughts_is_told_where_nobody_can_be_asked() {
    use ReasoningMode::{Adaptive, Enabled};
    for (provider, model, mode, want, lost) in [
        ("deepseek", "deepseek-chat", Enabled, json!({"thinking": {"type": "enabled"}}), None),
        ("deepseek", "deepseek-chat", Adaptive, json!({}), Some("thinking degraded")),
        ("openrouter", "x/y", Enabled, json!({"reasoning": {"enabled": true}}), None),
        ("openrouter", "x/y", Adaptive, json!({}), Some("thinking degraded")),
        ("openai", "gpt-5-mini", Enabled, json!({}), Some("thinking degraded")),
        ("openai", "gpt-4o", Adaptive, json!({}), Some("thinking dropped")),
    ] {
        let mut call = read(&json!({"model": "m", "messages": hi()}).to_string()).unwrap();
        call.reasoning.mode = Some(mode);
        let (written, losses) = write(&call, &at(provider, model)).unwrap();
        let mut fields = written.as_object().unwrap().clone();
        fields.retain(|key, _| key != "model" && key != "messages");
        assert_eq!(
            (Value::Object(fields), losses.first().map(String::as_str)),
            (want, lost),
            "{provider} {model}"
        );
    }
}

#[test]
fn limits_of_single_parameters() {
    let stops = json!(["1", "2", "3", "4", "5"]);
    let (written, losses) = sent(
        "groq",
        "m",
        &json!({"messages": hi(), "stop": stops, "max_tokens": 5, "n": 3,
        "service_tier": "priority"}),
    );
    assert_eq!(
        (&written["stop"], &written["max_completion_tokens"]),
        (&json!(["1", "2", "3", "4"]), &json!(5))
    );
    assert_eq!(losses, ["n emulated", "stop emulated", "service_tier dropped"]);
    let (written, losses) = sent(
        "perplexity",
        "sonar",
        &json!({"messages": hi(), "presence_penalty": 1, "frequency_penalty": 1}),
    );
    assert_eq!((written.get("frequency_penalty"), losses.len()), (None, 1));
    let (written, _) = sent("together", "m", &json!({"messages": hi(), "logprobs": true, "top_logprobs": 3}));
    assert_eq!((&written["logprobs"], written.get("top_logprobs")), (&json!(3), None));
    let named = json!({"type": "function", "function": {"name": "f"}});
    let tools = json!([function()[0], {"type": "function", "function": {"name": "g"}}]);
    let (written, losses) =
        sent("ai21", "m", &json!({"messages": hi(), "tools": tools, "tool_choice": named}));
    assert_eq!(
        (written["tools"].as_array().unwrap().len(), &written["tool_choice"]),
        (1, &json!("required"))
    );
    assert_eq!(losses, ["tool_choice emulated"]);
    let (written, _) = sent("xai", "grok-3", &json!({"messages": hi(), "tools": function()}));
    assert_eq!(written["tools"][0]["function"].get("strict"), None);
}

#[test]
fn thoughts_in_tags_are_set_apart_for_providers_that_leave_them_in_the_text() {
    let profile = named("perplexity");
    let chunk = |text: &str| {
        format!("data: {}\n\n", json!({"id": "1", "choices": [{"index": 0, "delta": {"content": text}}]}))
    };
    let stream = [chunk("<thi"), chunk("nk>hm</think>yes")].concat();
    let dialect = trunkline_core::Dialect::OpenaiChat;
    for (profile, opened) in [(profile, 2), (named("groq"), 1)] {
        let mut reader = crate::StreamReader::of(profile, dialect, 1 << 20).unwrap();
        let mut parts = 0;
        reader.push(stream.as_bytes(), &mut |event| parts += u32::from(matches!(event, Event::Open { .. })));
        assert_eq!(parts, opened, "{}", profile.id);
    }
}

#[test]
fn a_function_without_parameters_says_so_where_they_are_demanded() {
    let body = json!({"messages": hi(), "tools": [{"type": "function", "function": {"name": "f"}}]});
    for (provider, want) in [("mistral", json!({"type": "object", "properties": {}})), ("groq", Value::Null)]
    {
        let (written, losses) = sent(provider, "m", &body);
        assert_eq!(written["tools"][0]["function"]["parameters"], want, "{provider}");
        assert!(losses.is_empty(), "{provider} {losses:?}");
    }
}
