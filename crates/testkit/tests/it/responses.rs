//! OpenAI's Responses API as the simulated provider serves it.

use crate::client::{Event, send};
use http::StatusCode;
use serde_json::{Value, json};
use trunkline_testkit::cloud::{Cloud, CloudConfig, Provider};

const KEY: &[(&str, &str)] = &[("authorization", "Bearer sk-test")];
const PLAIN: &str = "gpt-4o-mini";
const THINKER: &str = "gpt-5-mini";

async fn cloud() -> Cloud {
    Cloud::start(Provider::OpenAi, CloudConfig::new(Provider::OpenAi)).await.unwrap()
}

async fn respond(cloud: &Cloud, body: &Value) -> (StatusCode, Value) {
    let answer = send(&cloud.url(), "/v1/responses", KEY, body).await.unwrap();
    (answer.status, answer.json().await)
}

fn request(model: &str, more: Value) -> Value {
    let mut body = json!({"model": model, "input": "Tell me of lighthouses"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn tools() -> Value {
    let tool = |name: &str| {
        let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        json!({"type": "function", "name": name, "parameters": parameters})
    };
    json!([tool("get_rain"), tool("get_wind"), tool("get_tide")])
}

#[tokio::test]
async fn refusals_name_the_parameter() {
    let cloud = cloud().await;
    let input = |items: Value| json!({"input": items});
    let said = |part: Value| json!({"input": [{"role": "user", "content": [part]}]});
    let call = json!({"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"});
    let output = json!({"type": "function_call_output", "call_id": "c1", "output": "42"});
    let thought =
        |sealed: &str| json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": sealed});
    for (model, more, status, param, code) in [
        (PLAIN, json!({"messages": []}), 400, "messages", "unknown_parameter"),
        (PLAIN, json!({"max_output_tokens": 1}), 400, "max_output_tokens", "integer_below_min_value"),
        (
            PLAIN,
            json!({"previous_response_id": "resp_1"}),
            400,
            "previous_response_id",
            "previous_response_not_found",
        ),
        (PLAIN, json!({"stream_options": {}}), 400, "stream_options", ""),
        (PLAIN, json!({"reasoning": {"effort": "low"}}), 400, "reasoning.effort", "unsupported_parameter"),
        (PLAIN, json!({"include": ["reasoning.encrypted_content"]}), 400, "include", ""),
        (PLAIN, json!({"include": ["everything"]}), 400, "include[0]", "invalid_value"),
        (THINKER, json!({"temperature": 0.5}), 400, "temperature", "unsupported_parameter"),
        (
            PLAIN,
            json!({"tools": [{"type": "function", "function": {"name": "f"}}]}),
            400,
            "tools[0].name",
            "missing_required_parameter",
        ),
        (
            PLAIN,
            json!({"tools": [{"type": "function", "name": "a.b"}]}),
            400,
            "tools[0].name",
            "invalid_value",
        ),
        (PLAIN, json!({"tool_choice": {"type": "function", "name": "f"}}), 400, "tool_choice", ""),
        (
            PLAIN,
            json!({"text": {"format": {"type": "json_schema", "json_schema": {}}}}),
            400,
            "text.format.name",
            "missing_required_parameter",
        ),
        (PLAIN, input(json!([{"role": "tool", "content": "x"}])), 400, "input[0].role", "invalid_value"),
        (PLAIN, said(json!({"type": "text", "text": "x"})), 400, "input[0].content[0].type", "invalid_value"),
        (
            PLAIN,
            said(json!({"type": "output_text", "text": "x"})),
            400,
            "input[0].content[0].type",
            "invalid_value",
        ),
        (
            PLAIN,
            said(json!({"type": "input_image", "image_url": {"url": "x"}})),
            400,
            "input[0].content[0].image_url",
            "invalid_type",
        ),
        (
            PLAIN,
            input(json!([{"type": "function_call", "call_id": "c1", "name": "f", "arguments": {}}, output])),
            400,
            "input[0].arguments",
            "invalid_type",
        ),
        (PLAIN, input(json!([output])), 400, "input", ""),
        (PLAIN, input(json!([call])), 400, "input", ""),
        (PLAIN, input(json!([{"type": "item_reference", "id": "msg_1"}])), 404, "input", ""),
        (
            THINKER,
            input(json!([thought("gAAAAAnothing"), call, output])),
            400,
            "input",
            "invalid_encrypted_content",
        ),
    ] {
        let (found, answer) = respond(&cloud, &request(model, more.clone())).await;
        assert_eq!(found, status, "{more}");
        let error = &answer["error"];
        assert_eq!(
            (&error["param"], error["code"].as_str().unwrap_or_default()),
            (&json!(param), code),
            "{error}"
        );
    }
    let fine = input(json!([{"role": "user", "content": "hi"}, call, output]));
    assert_eq!(respond(&cloud, &request(PLAIN, fine)).await.0, 200);
}

#[tokio::test]
async fn a_tool_loop_without_storage_brings_reasoning_back() {
    let cloud = cloud().await;
    let stateless = |input: Value| {
        json!({"input": input, "tools": tools(), "store": false, "reasoning": {"effort": "low"},
            "include": ["reasoning.encrypted_content"]})
    };
    let question = json!({"role": "user", "content": "Use get_rain, get_wind and get_tide for Oslo"});
    let (_, first) = respond(&cloud, &request(THINKER, stateless(json!([question])))).await;
    let output = first["output"].as_array().unwrap().clone();
    let kinds: Vec<_> = output.iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["reasoning", "function_call", "function_call", "function_call"]);
    assert_eq!(
        (&first["tools"], &first["store"], &first["reasoning"]["effort"]),
        (&tools(), &json!(false), &json!("low"))
    );
    let mut input = vec![question];
    input.extend(output.iter().cloned());
    for call in &output[1..] {
        assert_eq!(call["arguments"], "{\"city\":\"Oslo\"}");
        input.push(
            json!({"type": "function_call_output", "call_id": call["call_id"], "output": "42 degrees"}),
        );
    }
    let (status, second) = respond(&cloud, &request(THINKER, stateless(json!(input)))).await;
    assert_eq!(status, 200, "{second}");
    assert!(
        second["output"][1]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("The tools answered: 42 degrees; 42 degrees; 42 degrees.")
    );
    type Change = fn(&mut Vec<Value>);
    let cases: [(Change, &str); 4] = [
        (|input| input[1]["id"] = json!("rs_other"), "could not be verified"),
        (
            |input| {
                input[1].as_object_mut().unwrap().remove("encrypted_content");
            },
            "Items are not persisted",
        ),
        (|input| input.swap(0, 1), "without its required following item"),
        (
            |input| {
                input.pop();
            },
            "No tool output found for function call call_",
        ),
    ];
    for (change, words) in cases {
        let mut changed = input.clone();
        change(&mut changed);
        let (status, answer) = respond(&cloud, &request(THINKER, stateless(json!(changed)))).await;
        assert!(
            status.is_client_error() && answer["error"]["message"].as_str().unwrap().contains(words),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn the_event_grammar_is_kept() {
    let cloud = cloud().await;
    let called = json!({"input": "Use get_rain and get_wind for Oslo", "tools": tools()});
    let sealed = json!({"reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"]});
    for (model, more) in [(PLAIN, json!({})), (PLAIN, called), (THINKER, sealed)] {
        let mut body = request(model, more);
        body["stream"] = json!(true);
        let events = send(&cloud.url(), "/v1/responses", KEY, &body).await.unwrap().events().await;
        let events: Vec<Value> = events.iter().map(Event::json).collect();
        let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(kinds[..2], ["response.created", "response.in_progress"]);
        assert!(events.iter().enumerate().all(|(at, event)| event["sequence_number"] == at));
        let last = &events[events.len() - 1]["response"];
        assert_eq!((*kinds.last().unwrap(), &last["status"]), ("response.completed", &json!("completed")));
        let named = |name: &str| events.iter().filter(|event| event["type"] == name).collect::<Vec<_>>();
        let (added, done) = (named("response.output_item.added"), named("response.output_item.done"));
        assert_eq!(added.len(), done.len());
        for (at, (added, done)) in added.iter().zip(&done).enumerate() {
            assert_eq!((&added["output_index"], &added["item"]["id"]), (&json!(at), &done["item"]["id"]));
            assert_eq!(done["item"], last["output"][at]);
            assert!(added["sequence_number"].as_u64() < done["sequence_number"].as_u64());
        }
        for (delta, done, whole) in [
            ("response.output_text.delta", "response.output_text.done", "text"),
            ("response.reasoning_summary_text.delta", "response.reasoning_summary_text.done", "text"),
            ("response.function_call_arguments.delta", "response.function_call_arguments.done", "arguments"),
        ] {
            let joined: String = named(delta).iter().map(|event| event["delta"].as_str().unwrap()).collect();
            let told: String = named(done).iter().map(|event| event[whole].as_str().unwrap()).collect();
            assert_eq!(joined, told, "{delta}");
        }
        let sealed = last["output"][0]["encrypted_content"].as_str().is_some();
        assert_eq!(sealed, model == THINKER);
    }
}
