//! Different dialects on the two sides: what was said arrives.

mod failures;
mod gemini;
mod providers;
mod replicate;
mod responses;
mod small;

use crate::client::{Answer, Event, post};
use crate::rig::{CHAT, MESSAGES, Rig, cloud, engine, settings};
use serde_json::{Value, json};
use std::time::Duration;
use trunkline_dialect::anthropic_messages::VERSIONS;
use trunkline_testkit::cloud::{Cloud, CloudConfig, Provider};
use trunkline_testkit::engine::{Engine, EngineConfig, Flavour};
use trunkline_testkit::script::{Reply, Upstream};

const CLAUDE: &str = "claude-haiku-4-5";

/// A gateway in front of a simulated Anthropic.
async fn claude() -> (Cloud, Rig) {
    let account = Cloud::start(Provider::Anthropic, CloudConfig::new(Provider::Anthropic)).await.unwrap();
    let rig = Rig::start(settings([cloud(account.url(), "anthropic", CLAUDE, Some("sk-test"))])).await;
    (account, rig)
}

/// A gateway in front of a simulated engine that speaks OpenAI alone.
async fn generic() -> (Engine, Rig) {
    let config = EngineConfig {
        flavour: Flavour::Generic,
        models: vec!["m".to_owned()],
        time_scale: 0.0,
        record: 100,
        ..EngineConfig::default()
    };
    let simulated = Engine::start(config).await.unwrap();
    let rig = Rig::start(settings([engine(simulated.url(), "m")])).await;
    (simulated, rig)
}

/// A refusal names the part and says what it is.
#[tokio::test]
async fn media_that_nobody_fetches_is_named() {
    let upstream = Upstream::directed(|_, _| CHAT.answer(false)).await.unwrap();
    let mut config = settings([cloud(upstream.url(), "gemini", "m", Some("k"))]);
    config.translate.fetch_media = false;
    let rig = Rig::start(config).await;
    let document = json!({"type": "document", "source": {"type": "url", "url": "https://x.example/a.pdf"}});
    let image = json!({"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}});
    for (part, what) in [(document, "a document"), (image, "an image")] {
        let body = json!({"model": "m", "max_tokens": 9, "messages": [
            {"role": "user", "content": [{"type": "text", "text": "x"}, part]}]});
        let answer = rig.post(MESSAGES.path, &body.to_string()).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        let told = format!("messages[0].content[1] holds {what} by address");
        assert!(answer.text().contains(&told), "{}", answer.text());
    }
    assert!(upstream.requests().is_empty(), "nothing is sent");
}

fn ok(answer: Answer) -> Answer {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "description": "Looks something up.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}})
}

fn anthropic_tool(name: &str) -> Value {
    json!({"name": name, "description": "Looks something up.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}})
}

/// Text and tool calls of a chat stream, put together, with its finish reason.
fn fold_chat(stream: &[Event], choice: u64) -> (String, Vec<(String, String, String)>, String) {
    let (mut text, mut tools, mut finish) =
        (String::new(), Vec::<(String, String, String)>::new(), String::new());
    for chunk in stream.iter().map(Event::json) {
        let Some(choice) = chunk["choices"].as_array().into_iter().flatten().find(|c| c["index"] == choice)
        else {
            continue;
        };
        text += choice["delta"]["content"].as_str().unwrap_or_default();
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let at = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            if at == tools.len() {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                tools.push((text(&call["id"]), text(&call["function"]["name"]), String::new()));
            }
            tools[at].2 += call["function"]["arguments"].as_str().unwrap_or_default();
        }
        finish += choice["finish_reason"].as_str().unwrap_or_default();
    }
    (text, tools, finish)
}

/// The same of a Messages stream.
fn fold_messages(stream: &[Event]) -> (String, Vec<(String, String, String)>, String) {
    let (mut text, mut tools, mut finish) =
        (String::new(), Vec::<(String, String, String)>::new(), String::new());
    for event in stream {
        let body = event.json();
        assert_eq!(body["type"], event.name, "{body}");
        let delta = &body["delta"];
        text += delta["text"].as_str().unwrap_or_default();
        if body["content_block"]["type"] == "tool_use" {
            let text = |key: &str| body["content_block"][key].as_str().unwrap().to_owned();
            tools.push((text("id"), text("name"), String::new()));
        }
        if let Some(json) = delta["partial_json"].as_str() {
            tools.last_mut().unwrap().2 += json;
        }
        finish += delta["stop_reason"].as_str().unwrap_or_default();
    }
    (text, tools, finish)
}

#[tokio::test]
async fn a_chat_client_talks_to_anthropic() {
    let (account, rig) = claude().await;
    let mut body = json!({"model": CLAUDE, "max_tokens": 40, "temperature": 0.5, "messages": [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Tell me of the sea."}]});
    let whole = ok(rig.post(CHAT.path, &body.to_string()).await);
    let reply = whole.json();
    let text = reply["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    assert_eq!((&reply["object"], &reply["model"]), (&json!("chat.completion"), &json!(CLAUDE)));
    assert!(!text.is_empty() && reply["usage"]["prompt_tokens"].as_u64().unwrap() > 0, "{reply}");
    let heard = account.requests().pop().unwrap();
    assert_eq!((heard.path(), heard.header("x-api-key")), ("/v1/messages", Some("sk-test")));
    assert!(heard.header("anthropic-version").is_some() && heard.header("authorization").is_none());
    let heard = heard.json();
    assert_eq!((&heard["max_tokens"], &heard["temperature"]), (&json!(40), &json!(0.5)));
    assert!(heard["system"].to_string().contains("Be brief."), "{heard}");

    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    let stream = ok(rig.post(CHAT.path, &body.to_string()).await);
    assert_eq!(stream.header("content-type"), "text/event-stream; charset=utf-8");
    let events = stream.events();
    assert_eq!(events.last().unwrap().data, "[DONE]");
    let (streamed, tools, finish) = fold_chat(&events, 0);
    assert_eq!((streamed, tools.len()), (text, 0), "both say the same");
    assert_eq!(finish, reply["choices"][0]["finish_reason"].as_str().unwrap());
    let usage = &events[events.len() - 2].json()["usage"];
    assert_eq!(usage["completion_tokens"], reply["usage"]["completion_tokens"], "{usage}");
    rig.at_rest().await;
    assert!(rig.metric("trunkline_tokens_total", &["direction=\"output\""]).await > 0.0);
}

/// Whoever answers for Anthropic must speak the version that was asked for.
#[tokio::test]
async fn c51_x_api_key_wins_and_an_unknown_version_is_refused() {
    let (simulated, rig) = generic().await;
    let ask = || post(MESSAGES.path, MESSAGES.body("m", false));
    for version in VERSIONS {
        ok(rig.ask(&ask().header("anthropic-version", version)).await);
    }
    ok(rig.ask(&ask()).await);
    let heard = simulated.requests().len();
    for version in ["2019-01-01", "", "latest"] {
        let answer = rig.ask(&ask().header("anthropic-version", version)).await;
        assert_eq!(answer.status, 400, "{version:?}");
        let body = answer.json();
        assert_eq!(body["error"]["type"], "invalid_request_error", "{body}");
        assert!(MESSAGES.error(&body).contains("anthropic-version is not one of 2023-01-01"), "{body}");
    }
    assert_eq!(simulated.requests().len(), heard, "nothing is sent");

    let upstream = Upstream::replying([Reply::json(200, MESSAGES.reply)]).await.unwrap();
    let rig = Rig::start(settings([cloud(upstream.url(), "anthropic", "m", None)])).await;
    let both = ask().header("authorization", "Bearer sk-ant-other").header("x-api-key", "sk-ant-mine");
    // Untouched bytes are the upstream's to judge.
    ok(rig.ask(&both.header("anthropic-version", "2031-01-01")).await);
    let heard = upstream.requests().pop().unwrap();
    assert_eq!((heard.header("x-api-key"), heard.header("authorization")), (Some("sk-ant-mine"), None));
    assert_eq!(heard.header("anthropic-version"), Some("2031-01-01"));
}

#[tokio::test]
async fn a_messages_client_talks_to_an_engine() {
    let (simulated, rig) = generic().await;
    let mut body = json!({"model": "m", "max_tokens": 40, "system": "Be brief.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Tell me of the sea."}]}]});
    let whole = ok(rig.post(MESSAGES.path, &body.to_string()).await).json();
    assert_eq!(
        (&whole["type"], &whole["role"], &whole["model"]),
        (&json!("message"), &json!("assistant"), &json!("m"))
    );
    let text = whole["content"][0]["text"].as_str().unwrap().to_owned();
    assert!(!text.is_empty() && whole["usage"]["output_tokens"].as_u64().unwrap() > 0, "{whole}");
    let heard = simulated.requests().pop().unwrap();
    assert_eq!(heard.path(), CHAT.path);
    let heard = heard.json();
    assert_eq!(
        (&heard["messages"][0]["role"], &heard["messages"][0]["content"]),
        (&json!("system"), &json!("Be brief."))
    );

    body["stream"] = json!(true);
    let stream = ok(rig.post(MESSAGES.path, &body.to_string()).await).events();
    let names: Vec<_> =
        stream.iter().map(|event| event.name.as_str()).filter(|name| *name != "ping").collect();
    assert_eq!((names[0], names[1]), ("message_start", "content_block_start"));
    assert_eq!(names[names.len() - 3..], ["content_block_stop", "message_delta", "message_stop"]);
    let (streamed, _, finish) = fold_messages(&stream);
    assert_eq!((streamed.as_str(), finish.as_str()), (text.as_str(), whole["stop_reason"].as_str().unwrap()));
    rig.at_rest().await;
}

#[tokio::test]
async fn tools_are_called_across_dialects() {
    let (_account, rig) = claude().await;
    for streams in [false, true] {
        let body = json!({"model": CLAUDE, "max_tokens": 200, "stream": streams, "tools": [tool("get_weather")],
            "tool_choice": "required", "messages": [{"role": "user", "content": "What is the weather in Berlin?"}]});
        let answer = ok(rig.post(CHAT.path, &body.to_string()).await);
        let (tools, finish) = if streams {
            let (_, tools, finish) = fold_chat(&answer.events(), 0);
            (tools, finish)
        } else {
            let choice = answer.json()["choices"][0].clone();
            let call = &choice["message"]["tool_calls"][0];
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let call =
                (text(&call["id"]), text(&call["function"]["name"]), text(&call["function"]["arguments"]));
            (vec![call], text(&choice["finish_reason"]))
        };
        assert_eq!((tools[0].1.as_str(), finish.as_str()), ("get_weather", "tool_calls"), "stream {streams}");
        let arguments: Value = serde_json::from_str(&tools[0].2).unwrap();
        assert!(arguments["city"].is_string(), "{arguments}");
        let next = json!({"model": CLAUDE, "max_tokens": 200, "stream": streams, "tools": [tool("get_weather")],
            "messages": [{"role": "user", "content": "What is the weather in Berlin?"},
                {"role": "assistant", "content": null, "tool_calls": [{"id": tools[0].0, "type": "function",
                    "function": {"name": "get_weather", "arguments": tools[0].2}}]},
                {"role": "tool", "tool_call_id": tools[0].0, "content": "Sunny."}]});
        ok(rig.post(CHAT.path, &next.to_string()).await);
    }

    let (_engine, rig) = generic().await;
    for streams in [false, true] {
        let body = json!({"model": "m", "max_tokens": 200, "stream": streams, "tools": [anthropic_tool("get_weather")],
            "tool_choice": {"type": "any"}, "messages": [{"role": "user", "content": "What is the weather in Berlin?"}]});
        let answer = ok(rig.post(MESSAGES.path, &body.to_string()).await);
        let (name, input, finish) = if streams {
            let (_, tools, finish) = fold_messages(&answer.events());
            (tools[0].1.clone(), serde_json::from_str(&tools[0].2).unwrap(), finish)
        } else {
            let reply = answer.json();
            let block = reply["content"].as_array().unwrap().iter().find(|block| block["type"] == "tool_use");
            let block = block.unwrap().clone();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&block["name"]), block["input"].clone(), text(&reply["stop_reason"]))
        };
        assert_eq!((name.as_str(), finish.as_str()), ("get_weather", "tool_use"), "stream {streams}");
        assert!(input["city"].is_string(), "{input}");
    }
}

/// Two tools called at once, as Anthropic says it.
const TWO_TOOLS: [&str; 2] = [
    r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Both."},{"type":"tool_use","id":"toolu_1","name":"a","input":{"x":1}},{"type":"tool_use","id":"toolu_2","name":"b","input":{"y":[2,3]}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":9}}"#,
    concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        "event: ping\ndata: {\"type\": \"ping\"}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Both.\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"a\",\"input\":{}}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"x\\\":\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"1}\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_2\",\"name\":\"b\",\"input\":{}}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"y\\\":[2,3]}\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":2}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ),
];

#[tokio::test]
async fn parallel_tool_calls_keep_apart() {
    let want = [("toolu_1", "a", json!({"x": 1})), ("toolu_2", "b", json!({"y": [2, 3]}))];
    for streams in [false, true] {
        let reply = if streams {
            // A byte at a time: no cut of the network may matter.
            Reply::events([TWO_TOOLS[1]], Duration::ZERO).drip(Duration::ZERO)
        } else {
            Reply::json(200, TWO_TOOLS[0])
        };
        let upstream = Upstream::replying([reply]).await.unwrap();
        let rig = Rig::start(settings([MESSAGES.worker(upstream.url())])).await;
        let body = json!({"model": "m", "stream": streams, "tools": [tool("a"), tool("b")],
            "messages": [{"role": "user", "content": "Both, please."}]});
        let answer = ok(rig.post(CHAT.path, &body.to_string()).await);
        let (text, tools, finish) = if streams {
            fold_chat(&answer.events(), 0)
        } else {
            let choice = answer.json()["choices"][0].clone();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let calls = choice["message"]["tool_calls"].as_array().unwrap();
            let calls = calls.iter().map(|call| {
                (text(&call["id"]), text(&call["function"]["name"]), text(&call["function"]["arguments"]))
            });
            (text(&choice["message"]["content"]), calls.collect(), text(&choice["finish_reason"]))
        };
        assert_eq!((text.as_str(), finish.as_str()), ("Both.", "tool_calls"), "stream {streams}");
        let tools: Vec<_> = tools
            .iter()
            .map(|(id, name, arguments)| {
                (id.as_str(), name.as_str(), serde_json::from_str(arguments).unwrap())
            })
            .collect();
        assert_eq!(tools, want, "stream {streams}");
    }
}

#[tokio::test]
async fn c18_several_choices_are_asked_for_one_by_one() {
    let (account, rig) = claude().await;
    let mut body = json!({"model": CLAUDE, "n": 3, "max_tokens": 30, "messages": [{"role": "user", "content": "Tell me of the sea."}]});
    let reply = ok(rig.post(CHAT.path, &body.to_string()).await).json();
    let choices = reply["choices"].as_array().unwrap();
    assert_eq!(choices.iter().map(|c| c["index"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(choices.iter().all(|c| !c["message"]["content"].as_str().unwrap().is_empty()), "{reply}");
    let asked = account.requests();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|request| request.json().get("n").is_none()));

    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    let events = ok(rig.post(CHAT.path, &body.to_string()).await).events();
    assert_eq!(events.last().unwrap().data, "[DONE]");
    for nth in 0..3 {
        let (text, _, finish) = fold_chat(&events, nth);
        let whole = &choices[usize::try_from(nth).unwrap()];
        assert_eq!(
            (Some(text.as_str()), Some(finish.as_str())),
            (whole["message"]["content"].as_str(), whole["finish_reason"].as_str())
        );
    }
    let ids: std::collections::BTreeSet<_> =
        events.iter().filter_map(|e| e.json()["id"].as_str().map(str::to_owned)).collect();
    assert_eq!(ids.len(), 1, "one answer, one id");
    let usage = &events[events.len() - 2].json()["usage"];
    assert_eq!(usage["completion_tokens"], reply["usage"]["completion_tokens"], "usage adds up");
    rig.at_rest().await;
    let counted = rig.metric("trunkline_tokens_total", &["direction=\"output\""]).await;
    let told = 2.0 * reply["usage"]["completion_tokens"].as_f64().unwrap();
    assert!((counted - told).abs() < 0.1, "the books hold the sum of all choices: {counted}, not {told}");
}

#[tokio::test]
async fn c101_an_answer_in_one_piece_becomes_the_stream_that_was_asked_for() {
    for (client, server) in [(CHAT, MESSAGES), (MESSAGES, CHAT), (CHAT, CHAT), (MESSAGES, MESSAGES)] {
        let upstream = Upstream::replying([server.answer(false)]).await.unwrap();
        let rig = Rig::start(settings([server.worker(upstream.url())])).await;
        let answer = ok(rig.ask(&client.ask(true)).await);
        let what = format!("{} of {}: {}", client.path, server.path, answer.text());
        assert!(answer.header("content-type").starts_with("text/event-stream"), "{what}");
        let (text, _, finish) = if client.is_messages() {
            fold_messages(&answer.events())
        } else {
            fold_chat(&answer.events(), 0)
        };
        assert_eq!(text, "hello", "{what}");
        assert_eq!(finish, if client.is_messages() { "end_turn" } else { "stop" }, "{what}");
        rig.at_rest().await;
    }
    // And the other way round: a stream nobody asked for becomes one answer.
    for (client, server) in [(CHAT, MESSAGES), (MESSAGES, CHAT)] {
        let upstream = Upstream::replying([server.answer(true)]).await.unwrap();
        let rig = Rig::start(settings([server.worker(upstream.url())])).await;
        let reply = ok(rig.ask(&client.ask(false)).await).json();
        let text = if client.is_messages() {
            &reply["content"][0]["text"]
        } else {
            &reply["choices"][0]["message"]["content"]
        };
        assert_eq!(text, "hello", "{reply}");
    }
}
