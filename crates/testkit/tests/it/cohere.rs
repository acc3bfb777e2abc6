//! The simulated Cohere API.

use crate::client::{Answer, Event, send};
use serde_json::{Value, json};
use trunkline_testkit::cloud::{Cloud, CloudConfig, Provider};

const KEY: &[(&str, &str)] = &[("authorization", "Bearer sk-test")];

async fn cloud() -> Cloud {
    Cloud::start(Provider::Cohere, CloudConfig::new(Provider::Cohere)).await.unwrap()
}

async fn chat(cloud: &Cloud, body: &Value) -> Answer {
    send(&cloud.url(), "/v2/chat", KEY, body).await.unwrap()
}

fn request(more: Value) -> Value {
    let said = json!([{"role": "user", "content": "Tell me of lighthouses"}]);
    let mut body = json!({"model": "command-a-03-2025", "messages": said});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn tools() -> Value {
    let tool = |name: &str| {
        let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        json!({"type": "function", "function": {"name": name, "parameters": parameters}})
    };
    json!([tool("get_rain"), tool("get_wind"), tool("get_tide")])
}

#[tokio::test]
async fn refusals_name_the_field() {
    let cloud = cloud().await;
    let user = json!({"role": "user", "content": "hi"});
    let called = json!({"role": "assistant", "tool_calls": [{"id": "c1", "type": "function",
        "function": {"name": "f", "arguments": "{}"}}]});
    let silent = json!({"role": "assistant", "content": "", "tool_calls": called["tool_calls"]});
    let result = json!({"role": "tool", "tool_call_id": "c1", "content": "42"});
    for (more, status, words) in [
        (json!({"top_p": 0.5}), 422, "parameter 'top_p' is not a valid field"),
        (json!({"n": 2}), 422, "parameter 'n'"),
        (json!({"model": "command-0"}), 404, "model 'command-0' not found"),
        (json!({"messages": []}), 400, "messages must not be empty"),
        (json!({"messages": [{"role": "developer", "content": "x"}]}), 400, "messages[0].role"),
        (
            json!({"messages": [{"role": "user", "content": ""}]}),
            400,
            "messages[0] must have non-empty content",
        ),
        (json!({"messages": [user, silent, result]}), 400, "messages[1] must have non-empty content"),
        (json!({"messages": [user, called, user]}), 400, "before the results of tool calls c1"),
        (json!({"messages": [user, result]}), 400, "messages[1].tool_call_id 'c1'"),
        (json!({"messages": [user, {"role": "assistant", "content": "x"}]}), 400, "the last message"),
        (json!({"temperature": 1.5}), 400, "temperature must be between"),
        (json!({"p": 1}), 400, "p must be between"),
        (json!({"stop_sequences": ["1", "2", "3", "4", "5", "6"]}), 400, "stop_sequences"),
        (json!({"tools": [{"function": {"name": "a-b"}}]}), 400, "tools[0].function.name"),
        (
            json!({"tools": [{"function": {"name": "f", "parameters": {}}}]}),
            400,
            "tools[0].function.parameters",
        ),
        (json!({"tools": tools(), "tool_choice": "required"}), 400, "tool_choice must be one of"),
        (json!({"tool_choice": "REQUIRED"}), 400, "tool_choice requires tools"),
    ] {
        let answer = chat(&cloud, &request(more.clone())).await;
        assert_eq!(answer.status, status, "{more}");
        let error = answer.json().await;
        assert!(
            error["id"].is_string() && error["message"].as_str().unwrap().contains(words),
            "{words}: {error}"
        );
    }
    for headers in [&[][..], &[("authorization", "Bearer no")]] {
        assert_eq!(send(&cloud.url(), "/v2/chat", headers, &request(json!({}))).await.unwrap().status, 401);
    }
    assert_eq!(chat(&cloud, &request(json!({"messages": [user, called, result]}))).await.status, 200);
    let models = send(&cloud.url(), "/v1/models", KEY, &Value::Null).await.unwrap().json().await;
    assert_eq!(models["models"][0]["name"], "command-a-03-2025");
}

#[tokio::test]
async fn streams_fold_to_the_whole_answer() {
    let cloud = cloud().await;
    let question = json!([{"role": "user", "content": "Use get_rain, get_wind and get_tide for Oslo"}]);
    let called = json!({"messages": question, "tools": tools(), "thinking": {"type": "enabled"}});
    for more in [json!({}), called, json!({"max_tokens": 3}), json!({"stop_sequences": ["me of"]})] {
        let mut body = request(more);
        let whole = chat(&cloud, &body).await.json().await;
        body["stream"] = json!(true);
        let events = chat(&cloud, &body).await.events().await;
        let events: Vec<Value> = events.iter().map(Event::json).collect();
        let mut message = json!({"role": "assistant"});
        let (mut content, mut calls): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
        let append = |to: &mut Value, more: &Value| {
            *to = json!(to.as_str().unwrap_or_default().to_owned() + more.as_str().unwrap());
        };
        for event in &events {
            let at = event["index"].as_u64().unwrap_or_default() as usize;
            let delta = &event["delta"]["message"];
            match event["type"].as_str().unwrap() {
                "content-start" => content.push(delta["content"].clone()),
                "content-delta" => {
                    for (kind, more) in delta["content"].as_object().unwrap() {
                        append(&mut content[at][kind], more);
                    }
                }
                "tool-plan-delta" => append(&mut message["tool_plan"], &delta["tool_plan"]),
                "tool-call-start" => calls.push(delta["tool_calls"].clone()),
                "tool-call-delta" => {
                    append(
                        &mut calls[at]["function"]["arguments"],
                        &delta["tool_calls"]["function"]["arguments"],
                    );
                }
                _ => {}
            }
        }
        for (key, list) in [("content", content), ("tool_calls", calls)] {
            if !list.is_empty() {
                message[key] = list.into();
            }
        }
        assert_eq!(message, whole["message"]);
        let last = &events[events.len() - 1];
        assert_eq!((&events[0]["type"], &last["type"]), (&json!("message-start"), &json!("message-end")));
        assert_eq!(
            (&last["delta"]["finish_reason"], &last["delta"]["usage"]),
            (&whole["finish_reason"], &whole["usage"])
        );
    }
}

#[tokio::test]
async fn unhappy_paths_are_told_in_the_dialect() {
    let cloud = cloud().await;
    let asked = |demand: &str, stream: bool| {
        let said = json!([{"role": "user", "content": format!("simulate:{demand}")}]);
        request(json!({"messages": said, "stream": stream}))
    };
    for (demand, status) in [("rate-limit", 429), ("overload", 503), ("crash", 500)] {
        let answer = chat(&cloud, &asked(demand, true)).await;
        assert_eq!(answer.status, status, "{demand}");
        assert!(answer.json().await["message"].is_string());
    }
    let events = chat(&cloud, &asked("break", true)).await.events().await;
    let last = events.last().unwrap().json();
    assert_eq!((&last["type"], &last["delta"]["finish_reason"]), (&json!("message-end"), &json!("ERROR")));
    let refused = chat(&cloud, &asked("refusal", false)).await.json().await;
    assert_eq!(refused["finish_reason"], "ERROR_TOXIC");
}
