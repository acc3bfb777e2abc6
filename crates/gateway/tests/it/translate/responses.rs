//! Clients of the Responses endpoint in front of servers that speak something else.

use super::{CLAUDE, claude, ok};
use crate::client::Event;
use crate::rig::{CHAT, MESSAGES, RESPONSES, Rig, cloud, engine, settings};
use serde_json::{Value, json};
use std::time::Duration;
use trunkline_gateway::config::ModelCard;
use trunkline_testkit::script::{Reply, Upstream};

/// The response a stream ends in, whose items must be those the stream told of.
fn last(stream: &[Event]) -> Value {
    let events: Vec<_> = stream.iter().map(Event::json).collect();
    for (n, (event, framed)) in events.iter().zip(stream).enumerate() {
        assert_eq!(
            (&event["sequence_number"], event["type"].as_str()),
            (&json!(n), Some(framed.name.as_str()))
        );
    }
    let done: Vec<_> = events
        .iter()
        .filter(|e| e["type"] == "response.output_item.done")
        .map(|e| e["item"].clone())
        .collect();
    let last = events.last().unwrap()["response"].clone();
    assert_eq!(last["output"], json!(done));
    assert_eq!(last["id"], events[0]["response"]["id"]);
    last
}

#[tokio::test]
async fn a_responses_client_talks_to_anthropic() {
    let (account, rig) = claude().await;
    let mut body = json!({"model": CLAUDE, "max_output_tokens": 40, "instructions": "Be brief.", "metadata": {"team": "x"},
        "input": "Tell me of the sea."});
    let whole = ok(rig.post(RESPONSES.path, &body.to_string()).await).json();
    assert_eq!((&whole["object"], &whole["model"]), (&json!("response"), &json!(CLAUDE)));
    assert!(whole["id"].as_str().unwrap().starts_with("resp_"), "{whole}");
    for key in ["instructions", "metadata", "max_output_tokens"] {
        assert_eq!(whole[key], body[key], "the answer repeats {key}");
    }
    let text = whole["output"][0]["content"][0]["text"].as_str().unwrap();
    assert!(!text.is_empty() && whole["usage"]["input_tokens"].as_u64().unwrap() > 0, "{whole}");
    let heard = account.requests().pop().unwrap();
    assert_eq!(heard.path(), MESSAGES.path);
    let heard = heard.json();
    assert_eq!(heard["max_tokens"], 40);
    assert!(heard["system"].to_string().contains("Be brief."), "{heard}");

    body["stream"] = json!(true);
    let stream = ok(rig.post(RESPONSES.path, &body.to_string()).await).events();
    let streamed = last(&stream);
    assert_eq!(streamed["status"], whole["status"]);
    assert_eq!(streamed["output"][0]["content"], whole["output"][0]["content"]);
    assert_eq!(streamed["usage"], whole["usage"]);
    assert_eq!((&streamed["instructions"], &streamed["tools"]), (&whole["instructions"], &json!([])));
    rig.at_rest().await;
    assert!(rig.metric("trunkline_tokens_total", &["direction=\"output\""]).await > 0.0);
}

#[tokio::test]
async fn its_tools_are_called_and_answered() {
    let (_account, rig) = claude().await;
    let tools = json!([{"type": "function", "name": "get_weather", "description": "Looks something up.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}]);
    for streams in [false, true] {
        let mut input = json!([{"role": "user", "content": "What is the weather in Berlin?"}]);
        let body = json!({"model": CLAUDE, "max_output_tokens": 200, "stream": streams, "tools": tools,
            "tool_choice": "required", "input": input});
        let answer = ok(rig.post(RESPONSES.path, &body.to_string()).await);
        let response = if streams { last(&answer.events()) } else { answer.json() };
        assert_eq!(response["status"], "completed", "{response}");
        let items = response["output"].as_array().unwrap();
        let call = items.iter().find(|item| item["type"] == "function_call").unwrap();
        assert_eq!(call["name"], "get_weather");
        let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
        assert!(arguments["city"].is_string(), "{arguments}");

        // The whole answer goes back as it came, as client libraries do it.
        let list = input.as_array_mut().unwrap();
        list.extend(items.iter().cloned());
        list.push(json!({"type": "function_call_output", "call_id": call["call_id"], "output": "Sunny."}));
        let body = json!({"model": CLAUDE, "max_output_tokens": 200, "stream": streams, "tools": tools, "input": input});
        ok(rig.post(RESPONSES.path, &body.to_string()).await);
    }
}

#[tokio::test]
async fn c53_stored_state_is_refused_before_anything_is_sent() {
    let (account, rig) = claude().await;
    for (more, param, code) in [
        (json!({"previous_response_id": "resp_1"}), "previous_response_id", "previous_response_not_found"),
        (json!({"conversation": "conv_1"}), "conversation", "conversation_not_found"),
        (json!({"background": true}), "background", "background_requires_storage"),
    ] {
        let mut body = json!({"model": CLAUDE, "input": "hi"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = rig.post(RESPONSES.path, &body.to_string()).await;
        assert_eq!(answer.status, 400, "{param}");
        let error = answer.json()["error"].clone();
        assert_eq!((&error["param"], &error["code"]), (&json!(param), &json!(code)));
        assert!(error["message"].as_str().unwrap().contains("keeps no stored state"), "{error}");
    }
    assert!(account.requests().is_empty());
    rig.at_rest().await;
}

/// Where the upstream speaks the dialect itself, its state is its own business.
#[tokio::test]
async fn stored_state_passes_where_it_is_kept() {
    let upstream = Upstream::replying([Reply::json(200, RESPONSES.reply)]).await.unwrap();
    let rig = Rig::start(settings([RESPONSES.worker(upstream.url())])).await;
    let body = r#"{"model":"m","previous_response_id":"resp_1","input":[{"id":"msg_1"}]}"#;
    ok(rig.post(RESPONSES.path, body).await);
    assert_eq!(upstream.requests().pop().unwrap().json()["previous_response_id"], "resp_1");
    rig.at_rest().await;
}

/// An upstream that hangs up in the middle gives a response that failed, never one that looks complete.
#[tokio::test]
async fn c99_a_cut_stream_fails() {
    let upstream =
        Upstream::directed(|_, _| Reply::events([MESSAGES.stream[0], MESSAGES.stream[1]], Duration::ZERO))
            .await
            .unwrap();
    let mut config = settings([MESSAGES.worker(upstream.url())]);
    config.retry.attempts = 1;
    let rig = Rig::start(config).await;
    let stream = rig.ask(&RESPONSES.ask(true)).await.events();
    let failed = stream.last().unwrap();
    assert_eq!(failed.name, "response.failed");
    let response = failed.json()["response"].clone();
    assert_eq!((&response["status"], &response["error"]["code"]), (&json!("failed"), &json!("upstream_cut")));
    assert_eq!(response["output"][0]["content"][0]["text"], "hello");
    rig.at_rest().await;
}

#[tokio::test]
async fn errors_keep_status_meaning_and_patience() {
    let body =
        json!({"type": "error", "error": {"type": "rate_limit_error", "message": "as told"}}).to_string();
    let upstream = Upstream::replying([Reply::json(429, body).header("retry-after", "7")]).await.unwrap();
    let mut config = settings([MESSAGES.worker(upstream.url())]);
    config.retry.attempts = 1;
    let rig = Rig::start(config).await;
    let answer = rig.ask(&RESPONSES.ask(false)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, "7"));
    assert!(RESPONSES.error(&answer.json()).contains("as told"));
    rig.at_rest().await;
}

/// An engine that has a chat and answers as FastAPI does to whatever it has not.
async fn chat_alone() -> Upstream {
    Upstream::directed(|request, _| {
        let body = request.json();
        match request.path() {
            path if path != CHAT.path => Reply::json(404, r#"{"detail":"Not Found"}"#),
            _ if body["model"] == "gone" => {
                Reply::json(404, r#"{"error":{"message":"no such model","code":"model_not_found"}}"#)
            }
            _ => CHAT.answer(body["stream"] == true),
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn an_engine_without_responses_is_asked_for_a_chat() {
    let upstream = chat_alone().await;
    let rig = Rig::start(settings([engine(upstream.url(), "m")])).await;
    for (round, stream) in [(1, false), (2, false), (3, true)] {
        let body = json!({"model": "m", "input": "hi", "stream": stream});
        let answer = ok(rig.post(RESPONSES.path, &body.to_string()).await);
        let response = if stream { last(&answer.events()) } else { answer.json() };
        assert_eq!(response["output"][0]["content"][0]["text"], "hello", "{response}");
        let asked = upstream.requests();
        let in_vain = asked.iter().filter(|request| request.path() == RESPONSES.path).count();
        assert_eq!(in_vain, 1, "round {round}: it is asked once, and then known not to have them");
    }
    let explained = rig.post("/admin/v1/explain?endpoint=responses", r#"{"model":"m"}"#).await.json();
    assert_eq!(explained["candidates"][0]["passage"], "translate to openai-chat", "{explained}");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_not_taken_for_a_lack_of_responses() {
    let upstream = chat_alone().await;
    let mut spec = engine(upstream.url(), "m");
    spec.models.push(ModelCard::Name("gone".to_owned()));
    let rig = Rig::start(settings([spec])).await;
    let ask = async |body: Value| rig.post(RESPONSES.path, &body.to_string()).await;
    let gone = ask(json!({"model": "gone", "input": "hi"})).await;
    assert_eq!(gone.status, 404, "{}", gone.text());
    // A chat keeps nothing to go on from, and that is what the client is told.
    let stored = ask(json!({"model": "m", "input": "hi", "previous_response_id": "resp_1"})).await;
    assert_eq!((stored.status, &stored.json()["error"]["param"]), (400, &json!("previous_response_id")));
    let again = ask(json!({"model": "gone", "input": "hi"})).await;
    let asked = upstream.requests().iter().filter(|request| request.path() == RESPONSES.path).count();
    assert_eq!((again.status, asked), (404, 3), "nothing was learned of these");
}

#[tokio::test]
async fn an_answer_names_the_model_also_where_its_provider_does_not() {
    let reply = r#"{"output":{"message":{"role":"assistant","content":[{"text":"hello"}]}},"stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5},"metrics":{"latencyMs":1}}"#;
    let upstream = Upstream::directed(move |_, _| Reply::json(200, reply)).await.unwrap();
    let model = "amazon.nova-pro-v1:0";
    let rig = Rig::start(settings([cloud(upstream.url(), "bedrock", model, Some("k"))])).await;
    for stream in [false, true] {
        let body = json!({"model": model, "input": "hi", "stream": stream});
        let answer = ok(rig.post(RESPONSES.path, &body.to_string()).await);
        let response = if stream { last(&answer.events()) } else { answer.json() };
        assert_eq!(response["model"], model, "{response}");
        for (speech, at) in [(CHAT, "/model"), (MESSAGES, if stream { "/message/model" } else { "/model" })] {
            let ask = format!(r#"{{"model":"{model}","stream":{stream},{}}}"#, speech.prompt);
            let answer = ok(rig.post(speech.path, &ask).await);
            let first = if stream { answer.events()[0].json() } else { answer.json() };
            assert_eq!(first.pointer(at), Some(&json!(model)), "{first}");
        }
    }
}
