//! Providers that speak OpenAI's chat in their own way: what each receives of one client's request (C38, C39,
//! C41 to C43).

use crate::chain::{OC_OC, Sent, compatible};
use serde_json::{Value, json};
use trunkline_core::{Fault, FaultKind, OnUnsupported};
use trunkline_dialect::profile::named;
use trunkline_dialect::{Target, Vendor};

fn at(provider: &str, model: &str, members: &Value) -> Sent {
    try_at(provider, model, members).unwrap()
}

fn try_at(provider: &str, model: &str, members: &Value) -> Result<Sent, Fault> {
    let mut body = json!({"model": "any", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let target = Target { vendor: Vendor::Provider(named(provider)), ..compatible(model) };
    OC_OC.send(body.to_string(), &target)
}

fn function() -> Value {
    json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": true}}])
}

/// Two calls with ids of another provider, and their results.
fn used_tools() -> Value {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{\"n\": 1.0}"}});
    json!([
        {"role": "user", "content": "hi", "name": "bob"},
        {"role": "assistant", "content": null, "tool_calls": [call("toolu_01ABCdefGHIjkl"), call("toolu_01ABCdefGHIjkm")]},
        {"role": "tool", "tool_call_id": "toolu_01ABCdefGHIjkl", "content": "one"},
        {"role": "tool", "tool_call_id": "toolu_01ABCdefGHIjkm", "content": "two"},
    ])
}

#[test]
fn c38_mistral_gets_its_own_words_and_ids_of_nine() {
    let members = json!({"messages": used_tools(), "tools": function(), "tool_choice": "required", "seed": 7,
        "max_completion_tokens": 9, "user": "u"});
    let sent = at("mistral", "mistral-small-latest", &members);
    for (field, value) in [("random_seed", json!(7)), ("max_tokens", json!(9)), ("tool_choice", json!("any"))]
    {
        assert_eq!(sent.body[field], value, "{field}");
    }
    for absent in ["seed", "max_completion_tokens", "user"] {
        assert_eq!(sent.body.get(absent), None, "{absent}");
    }
    let messages = sent.body["messages"].as_array().unwrap();
    let calls: Vec<_> =
        messages[1]["tool_calls"].as_array().unwrap().iter().map(|call| &call["id"]).collect();
    assert_ne!(calls[0], calls[1]);
    for (call, (result, text)) in calls.iter().zip([(&messages[2], "one"), (&messages[3], "two")]) {
        let id = call.as_str().unwrap();
        assert!(id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
        assert_eq!((&result["tool_call_id"], &result["content"]), (*call, &json!(text)));
    }
}

#[test]
fn c39_groq_gets_no_names_no_nulls_and_no_log_probabilities() {
    let members = json!({"messages": used_tools(), "logprobs": true, "top_logprobs": 2, "temperature": null});
    let sent = at("groq", "llama-3.3-70b", &members);
    assert!(!sent.text.contains("null") && !sent.text.contains("\"name\":\"bob\""), "{}", sent.text);
    assert_eq!((sent.body.get("logprobs"), sent.body.get("top_logprobs")), (None, None));
    for path in ["messages[0].name dropped", "logprobs dropped"] {
        assert!(sent.lost().contains(&path.to_owned()), "{path}: {:?}", sent.lost());
    }
    // Streamed, no model of Groq's keeps to a schema by itself, and the client is told.
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}});
    let sent = at("groq", "llama-3.3-70b", &json!({"response_format": format, "stream": true}));
    assert_eq!(sent.lost(), ["response_format emulated"]);
    assert!(sent.restore.json_tool);
}

#[test]
fn c41_deepseeks_history_has_reasoning_behind_every_call() {
    let blank = at("deepseek", "deepseek-reasoner", &json!({"messages": used_tools()}));
    assert_eq!(blank.body["messages"][1]["reasoning_content"], " ");
    let mut thought = used_tools();
    thought[1]["reasoning_content"] = json!("I look it up.");
    let passed = at("deepseek", "deepseek-reasoner", &json!({"messages": thought}));
    assert_eq!(passed.body["messages"][1]["reasoning_content"], "I look it up.");
}

#[test]
fn c42_grok_gets_no_strict_tools_stops_or_penalties() {
    let members = json!({"tools": function(), "stop": ["END"], "frequency_penalty": 0.5,
        "web_search_options": {}});
    let sent = at("xai", "grok-4", &members);
    assert_eq!(sent.body["tools"][0]["function"].get("strict"), None);
    for (field, path) in [
        ("stop", "stop"),
        ("frequency_penalty", "frequency_penalty"),
        ("web_search_options", "web_search_options"),
    ] {
        assert_eq!(sent.body.get(field), None, "{field}");
        assert!(sent.losses.iter().any(|loss| loss.path == path), "{field}: {:?}", sent.lost());
    }
    let older = at("xai", "grok-3", &members);
    assert_eq!(older.body["stop"], json!(["END"]));
}

/// Tools are part of what is asked, so that nobody is left to wait for calls that cannot come; a seed is a wish.
#[test]
fn c43_perplexity_calls_no_tools_and_takes_no_seed() {
    let sent = at("perplexity", "sonar", &json!({"seed": 7}));
    assert_eq!((sent.body.get("seed"), sent.lost()), (None, vec!["seed dropped".to_owned()]));
    assert_eq!(sent.losses.refused(OnUnsupported::Warn), None);
    let refused = sent.losses.refused(OnUnsupported::Reject).map(|loss| loss.path.as_ref());
    assert_eq!(refused, Some("seed"));

    let custom = json!([{"type": "custom", "custom": {"name": "c"}}]);
    for tools in [function(), custom] {
        let fault = try_at("perplexity", "sonar", &json!({"tools": tools})).unwrap_err();
        assert_eq!((fault.kind, fault.param.as_deref()), (FaultKind::Unsupported, Some("tools")));
        assert_eq!(fault.code.as_deref(), Some("unsupported_tool"));
        let forbidden = at("perplexity", "sonar", &json!({"tools": tools, "tool_choice": "none"}));
        assert_eq!((forbidden.body.get("tools"), forbidden.lost()), (None, vec!["tools dropped".to_owned()]));
        let none = at("perplexity", "sonar", &json!({"tools": []}));
        assert_eq!((none.body.get("tools"), none.lost()), (None, vec![]));
    }
}
