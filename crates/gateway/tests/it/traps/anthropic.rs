//! What Anthropic's client libraries trip over.

use super::{Server, answered, asking, busy, chat_alone, chunk, framed, google, heard, look, streamed};
use crate::client::{Event, post};
use crate::rig::{CHAT, MESSAGES, Rig, cloud, settings};
use serde_json::{Value, json};
use std::time::Duration;
use trunkline_core::Secret;
use trunkline_testkit::script::{Reply, Upstream};

/// A whole chat answer with this message and usage.
fn chat(message: &Value, usage: &Value) -> Reply {
    let body = json!({"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
    Reply::json(200, body.to_string())
}

fn plain(text: &str) -> Value {
    json!({"role": "assistant", "content": text})
}

#[tokio::test]
async fn trap24_every_event_has_its_name_and_its_data() {
    let servers: [(Server, String); 3] = [
        (|url| CHAT.worker(url), CHAT.stream.concat()),
        (|url| MESSAGES.worker(url), MESSAGES.stream.concat()),
        (google, "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"hello\"}]},\"finishReason\":\"STOP\",\"index\":0}]}\n\n".to_owned()),
    ];
    for (worker, stream) in servers {
        let answer = answered(worker, Reply::events([stream], Duration::ZERO), &MESSAGES.ask(true)).await;
        for block in answer.text().trim_end().split("\n\n") {
            let (name, data) = block.split_once('\n').unwrap();
            let (name, data) = (name.strip_prefix("event: ").unwrap(), data.strip_prefix("data: ").unwrap());
            assert_eq!(serde_json::from_str::<Value>(data).unwrap()["type"], name, "{block}");
        }
    }
}

#[tokio::test]
async fn trap25_the_start_is_first_and_blocks_stand_one_behind_the_other() {
    let events: Vec<_> = busy(MESSAGES).await.iter().map(Event::json).collect();
    assert_eq!(events[0]["type"], "message_start");
    let (mut open, mut begun) = (None, Vec::new());
    for event in &events[1..] {
        let index = event["index"].as_u64();
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!((open, index), (None, Some(begun.len() as u64)), "{event}");
                open = index;
                begun.push(event["content_block"]["type"].as_str().unwrap());
            }
            "content_block_delta" => assert!(open.is_some() && open == index, "{event}"),
            "content_block_stop" => {
                assert!(open.is_some() && open == index, "{event}");
                open = None;
            }
            "message_start" => panic!("a second start: {event}"),
            _ => assert_eq!(open, None, "{event}"),
        }
    }
    assert_eq!(begun, ["thinking", "text", "tool_use", "tool_use"]);
    assert_eq!(events.last().unwrap()["type"], "message_stop");
}

#[tokio::test]
async fn trap26_errors_have_anthropics_shape_and_a_status_of_their_own() {
    let servers: [Server; 3] = [chat_alone, |url| cloud(url, "openai", "m", None), google];
    for streams in [false, true] {
        for (status, want) in
            [(400, 400), (401, 401), (404, 404), (429, 429), (500, 500), (503, 503), (200, 502)]
        {
            for (server, worker) in servers.iter().enumerate() {
                for body in [r#"{"error":{"message":"busy","type":"server_error"}}"#, r#"{"error":"busy"}"#] {
                    let answer = answered(worker, Reply::json(status, body), &MESSAGES.ask(streams)).await;
                    let what =
                        format!("{status} {body} of server {server}, stream {streams}: {}", answer.text());
                    assert_eq!(answer.status, want, "{what}");
                    let body = answer.json();
                    assert_eq!(body["type"], "error", "{what}");
                    assert!(
                        body["error"]["type"].is_string() && body["error"]["message"].is_string(),
                        "{what}"
                    );
                    assert!(body["request_id"].is_string() && body["error"].get("code").is_none(), "{what}");
                }
            }
        }
    }
}

#[tokio::test]
async fn trap27_thoughts_are_sealed_and_go_back_to_nobody_elses_model() {
    let message = json!({"role": "assistant", "reasoning_content": "hm", "content": "hello"});
    let engine = Upstream::directed(move |_, _| chat(&message, &json!({}))).await.unwrap();
    let claude = Upstream::directed(|_, _| MESSAGES.answer(false)).await.unwrap();
    let workers =
        [CHAT.worker(engine.url()), cloud(claude.url(), "anthropic", "claude-sonnet-4-5", Some("sk-ant-x"))];
    let rig = Rig::start(settings(workers)).await;
    let whole = rig.ask(&MESSAGES.ask(false)).await.json();
    let thought = &whole["content"][0];
    assert_eq!((&thought["type"], &thought["thinking"]), (&json!("thinking"), &json!("hm")), "{whole}");
    assert!(thought["signature"].as_str().unwrap().starts_with("tl1."), "{whole}");
    let again = |model: &str, blocks: &Value| {
        let messages = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": blocks},
            {"role": "user", "content": "go on"}]);
        post(MESSAGES.path, json!({"model": model, "max_tokens": 64, "messages": messages}).to_string())
    };
    // Ours is no proof for Claude, who gets the words alone.
    assert_eq!(rig.ask(&again("claude-sonnet-4-5", &whole["content"])).await.status, 200);
    let told = claude.requests().pop().unwrap().json();
    assert_eq!(told["messages"][1]["content"], json!([{"type": "text", "text": "hello"}]), "{told}");
    // Claude's own goes back to the byte.
    let own = json!([{"type": "thinking", "thinking": "hm  é", "signature": "c2ln"}, {"type": "text", "text": "hello"}]);
    assert_eq!(rig.ask(&again("claude-sonnet-4-5", &own)).await.status, 200);
    assert_eq!(claude.requests().pop().unwrap().json()["messages"][1]["content"], own);
    // And streamed, no thought is without one.
    let events = busy(MESSAGES).await;
    let signed = events.iter().filter(|event| event.json()["delta"]["type"] == "signature_delta");
    assert_eq!(
        signed.filter(|event| !event.json()["delta"]["signature"].as_str().unwrap().is_empty()).count(),
        1
    );
}

#[tokio::test]
async fn trap28_the_key_is_taken_from_either_header() {
    let upstream = Upstream::directed(|_, _| CHAT.answer(false)).await.unwrap();
    let mut config = settings([CHAT.worker(upstream.url())]);
    config.auth.api_key = Some(Secret::new("gw-key-0123456789"));
    let rig = Rig::start(config).await;
    for (name, value, want) in [
        ("x-api-key", "gw-key-0123456789", 200),
        ("authorization", "Bearer gw-key-0123456789", 200),
        ("x-api-key", "gw-key-9876543210", 401),
        ("authorization", "Bearer gw-key-9876543210", 401),
    ] {
        let answer = rig.ask(&MESSAGES.ask(false).header(name, value)).await;
        assert_eq!(answer.status, want, "{name}: {value}");
        assert!(want == 200 || answer.json()["error"]["type"] == "authentication_error", "{}", answer.text());
    }
}

#[tokio::test]
async fn trap29_counts_in_the_delta_are_totals() {
    let events = busy(MESSAGES).await;
    let usage = |name: &str| -> Vec<Value> {
        let of = events.iter().filter(|event| event.name == name).map(Event::json);
        of.map(|event| event.pointer("/message/usage").or(event.get("usage")).unwrap().clone()).collect()
    };
    let start = &usage("message_start")[0];
    assert!(start["input_tokens"].is_u64() && start["output_tokens"].is_u64(), "{start}");
    let deltas = usage("message_delta");
    assert_eq!(deltas.iter().map(|usage| usage["output_tokens"].as_u64().unwrap()).collect::<Vec<_>>(), [20]);
    assert_eq!(deltas[0]["input_tokens"], 40, "{deltas:?}");
    // An upstream that says nothing of it.
    let silent = streamed(|url| CHAT.worker(url), &CHAT.stream.concat(), &MESSAGES.ask(true)).await;
    let delta = silent.iter().find(|event| event.name == "message_delta").unwrap().json();
    assert!(delta["usage"]["output_tokens"].is_u64(), "{delta}");
}

#[tokio::test]
async fn trap30_input_is_an_object_and_ids_are_plain() {
    let called = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "functions.look:0/é", "type": "function", "function": {"name": "look", "arguments": "{\"x\":1.0}"}},
        {"id": "functions.look:1/é", "type": "function", "function": {"name": "look", "arguments": ""}}]});
    let upstream = Upstream::directed(move |_, _| chat(&called, &json!({}))).await.unwrap();
    let rig = Rig::start(settings([CHAT.worker(upstream.url())])).await;
    let whole = rig.ask(&asking(MESSAGES, &json!({"tools": look(MESSAGES)}))).await;
    assert!(whole.text().contains(r#""input":{"x":1.0}"#), "{}", whole.text());
    let blocks = whole.json()["content"].clone();
    assert_eq!(blocks[1]["input"], json!({}));
    let ids: Vec<_> = (0..2).map(|n| blocks[n]["id"].as_str().unwrap().to_owned()).collect();
    let plain =
        |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    assert!(ids[0] != ids[1] && ids.iter().all(|id| plain(id)), "{ids:?}");
    // They pair up when they come back.
    let results: Vec<_> =
        ids.iter().map(|id| json!({"type": "tool_result", "tool_use_id": id, "content": "seen"})).collect();
    let messages = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": blocks},
        {"role": "user", "content": results}]);
    let again = rig.ask(&asking(MESSAGES, &json!({"tools": look(MESSAGES), "messages": messages}))).await;
    assert_eq!(again.status, 200, "{}", again.text());
    let told = upstream.requests().pop().unwrap().json();
    for n in 0..2 {
        assert_eq!(
            told["messages"][1]["tool_calls"][n]["id"],
            told["messages"][2 + n]["tool_call_id"],
            "{told}"
        );
    }
}

#[tokio::test]
async fn trap31_what_was_cached_is_not_counted_twice() {
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 60}});
    let whole =
        answered(|url| CHAT.worker(url), chat(&plain("hello"), &usage), &MESSAGES.ask(false)).await.json();
    let want = |usage: &Value| (usage["input_tokens"].as_u64(), usage["cache_read_input_tokens"].as_u64());
    assert_eq!(want(&whole["usage"]), (Some(40), Some(60)), "{whole}");
    let events = busy(MESSAGES).await;
    let delta = events.iter().find(|event| event.name == "message_delta").unwrap().json();
    assert_eq!(want(&delta["usage"]), (Some(40), Some(60)), "{delta}");
}

#[tokio::test]
async fn trap41_empty_texts_and_blanks_behind_a_prefill_are_left_out() {
    let messages = json!([{"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "hi"}]},
        {"role": "assistant", "content": ""}, {"role": "user", "content": "go on"},
        {"role": "assistant", "content": "Once upon \n"}]);
    let claude = |url: String| cloud(url, "anthropic", "claude-sonnet-4-5", Some("sk-ant-x"));
    let ask = asking(CHAT, &json!({"model": "claude-sonnet-4-5", "messages": messages}));
    let (told, _) = heard(claude, MESSAGES.answer(false), &ask).await;
    let text = told["messages"].to_string();
    assert!(!text.contains(r#""text":"""#) && !text.contains(r#""content":"""#), "{told}");
    assert!(
        told["messages"].as_array().unwrap().iter().all(|message| message["content"] != json!([])),
        "{told}"
    );
    assert!(text.contains("Once upon\""), "{told}");
}

#[tokio::test]
async fn trap42_settings_that_exclude_each_other_are_not_sent_together() {
    let claude = |model: &'static str| move |url: String| cloud(url, "anthropic", model, Some("sk-ant-x"));
    let ask = |more: &Value| asking(CHAT, more);
    let both = json!({"model": "claude-opus-4-5", "temperature": 0.5, "top_p": 0.5});
    let (told, warned) = heard(claude("claude-opus-4-5"), MESSAGES.answer(false), &ask(&both)).await;
    assert!(told.get("temperature").is_none() || told.get("top_p").is_none(), "{told}");
    assert!(warned.contains("top_p dropped") || warned.contains("temperature dropped"), "{warned}");

    let thinking = json!({"model": "claude-sonnet-4-5", "reasoning_effort": "high", "temperature": 0.5, "max_tokens": 30000,
        "tools": look(CHAT), "tool_choice": "required"});
    let (told, warned) = heard(claude("claude-sonnet-4-5"), MESSAGES.answer(false), &ask(&thinking)).await;
    let forced = ["any", "tool"].iter().any(|kind| told["tool_choice"]["type"] == **kind);
    let thinks = told["thinking"]["type"] == "enabled";
    assert!(!(thinks && (forced || told.get("temperature").is_some())), "{told}");
    assert!(!warned.is_empty());
}

/// Kept beside the row it completes: a stream of one call leaves with the reason that makes an agent go on.
#[tokio::test]
async fn trap38_an_answer_with_calls_stops_for_tool_use() {
    let call = super::call(0, Some("call_a"), "{}");
    let stream = framed(&[chunk(&call, None), chunk(&json!({}), Some("stop"))], "data: [DONE]\n\n");
    let ask = asking(MESSAGES, &json!({"stream": true, "tools": look(MESSAGES)}));
    let events = streamed(|url| CHAT.worker(url), &stream, &ask).await;
    let delta = events.iter().find(|event| event.name == "message_delta").unwrap().json();
    assert_eq!(delta["delta"]["stop_reason"], "tool_use", "{delta}");
}
