//! What OpenAI's client libraries trip over.

use super::{Server, answered, asking, busy, chat_alone, framed, google, heard, look, streamed};
use crate::client::{Event, post};
use crate::rig::{CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES, Rig, cloud, pieces, settings};
use serde_json::{Value, json};
use trunkline_gateway::config::WorkerSpec;
use trunkline_testkit::script::{Reply, Upstream};

/// A stream of Messages that fails behind its first words.
fn failing() -> String {
    MESSAGES.stream[..2].concat()
        + "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n"
}

#[tokio::test]
async fn trap10_only_a_chat_stream_fails_with_an_error_on_top() {
    let chat = streamed(|url| MESSAGES.worker(url), &failing(), &CHAT.ask(true)).await;
    let (last, before) = chat.split_last().unwrap();
    assert_eq!(last.json()["error"]["message"], "busy", "{last:?}");
    assert!(before.iter().all(|event| event.json().get("error").is_none()), "{before:?}");

    let responses = streamed(|url| MESSAGES.worker(url), &failing(), &RESPONSES.ask(true)).await;
    assert!(responses.iter().all(|event| event.json().get("error").is_none()), "{responses:?}");
    let last = responses.last().unwrap();
    assert_eq!(
        (last.name.as_str(), &last.json()["response"]["status"]),
        ("response.failed", &json!("failed"))
    );
    assert_eq!(last.json()["response"]["error"]["message"], "busy", "{last:?}");
}

#[tokio::test]
async fn trap11_one_id_of_our_own_from_created_to_the_end_whoever_answers() {
    let silent =
        Upstream::replying([Reply::cut_after(pieces(&["event: ping\ndata: {\"type\":\"ping\"}\n\n"]))]);
    let (silent, good) = (silent.await.unwrap(), Upstream::replying([MESSAGES.answer(true)]).await.unwrap());
    let first = WorkerSpec { priority: 90, ..MESSAGES.worker(silent.url()) };
    let rig = Rig::start(settings([first, MESSAGES.worker(good.url())])).await;
    let events = rig.ask(&RESPONSES.ask(true)).await.events();
    assert_eq!((silent.requests().len(), good.requests().len()), (1, 1), "both were asked");
    assert_eq!(events[0].name, "response.created");
    let ids: Vec<_> = events
        .iter()
        .filter_map(|event| event.json()["response"]["id"].as_str().map(str::to_owned))
        .collect();
    assert!(ids.len() > 2 && ids.iter().all(|id| id.starts_with("resp_") && *id == ids[0]), "{ids:?}");
    assert!(!events.iter().any(|event| event.data.contains("msg_1")), "{events:?}");
}

/// What OpenAI's library makes of a stream while it comes, with its assertions; the items at the end.
fn snapshot(events: &[Event]) -> Vec<Value> {
    let mut output: Vec<Value> = Vec::new();
    for event in events.iter().map(Event::json) {
        let at = event["output_index"].as_u64().map(|at| usize::try_from(at).unwrap());
        let part = event["content_index"].as_u64().map(|at| usize::try_from(at).unwrap());
        if let (Some(at), Some(id)) = (at, event["item_id"].as_str()) {
            assert_eq!(output[at]["id"], id, "{event}");
        }
        match event["type"].as_str().unwrap() {
            "response.output_item.added" => {
                assert_eq!(at, Some(output.len()), "indexes are dense: {event}");
                output.push(event["item"].clone());
            }
            "response.content_part.added" if output[at.unwrap()]["type"] == "message" => {
                let content = output[at.unwrap()]["content"].as_array_mut().unwrap();
                assert_eq!(part, Some(content.len()), "{event}");
                content.push(event["part"].clone());
            }
            "response.output_text.delta" => {
                let text = &mut output[at.unwrap()]["content"][part.unwrap()]["text"];
                *text = json!(text.as_str().unwrap().to_owned() + event["delta"].as_str().unwrap());
            }
            "response.function_call_arguments.delta" => {
                let text = &mut output[at.unwrap()]["arguments"];
                *text = json!(text.as_str().unwrap().to_owned() + event["delta"].as_str().unwrap());
            }
            "response.output_item.done" => {
                let (built, item) = (&output[at.unwrap()], &event["item"]);
                assert_eq!(built["id"], item["id"]);
                assert_eq!(
                    built["arguments"], item["arguments"],
                    "what was streamed is what is told at the end"
                );
                let text = |item: &Value| item["content"][0]["text"].clone();
                assert!(item["type"] != "message" || text(built) == text(item), "{built} is not {item}");
                output[at.unwrap()] = item.clone();
            }
            _ => {}
        }
    }
    output
}

#[tokio::test]
async fn trap12_parts_are_opened_before_their_deltas() {
    let events = busy(RESPONSES).await;
    let output = snapshot(&events);
    let kinds: Vec<_> = output.iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["reasoning", "message", "function_call", "function_call"]);
    assert_eq!(events.last().unwrap().json()["response"]["output"], json!(output));
}

#[tokio::test]
async fn trap13_fields_the_typed_events_need_are_there() {
    let events = busy(RESPONSES).await;
    let of = |kind: &str| -> Vec<Value> {
        let all = events.iter().map(Event::json).filter(|event| event["type"] == kind).collect::<Vec<_>>();
        assert!(!all.is_empty(), "no {kind}");
        all
    };
    for kind in ["response.output_text.delta", "response.output_text.done"] {
        assert!(of(kind).iter().all(|event| event["logprobs"] == json!([])), "{kind}");
    }
    for kind in ["response.content_part.added", "response.content_part.done"] {
        let mut parts = of(kind).into_iter().filter(|event| event["part"]["type"] == "output_text");
        assert!(parts.all(|event| event["part"]["annotations"] == json!([])), "{kind}");
    }
    assert!(of("response.function_call_arguments.done").iter().all(|event| event["name"] == "look"));
}

#[tokio::test]
async fn trap14_arguments_are_text_and_numbers_have_no_gaps() {
    let events = busy(RESPONSES).await;
    let numbers: Vec<_> =
        events.iter().map(|event| event.json()["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..).take(numbers.len()).collect::<Vec<_>>());
    let arguments = |items: &[Value]| -> Vec<String> {
        items.iter().filter_map(|item| item["arguments"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(arguments(&snapshot(&events)), ["{\"a\":1.0}", "{\"b\":2}"]);
    // An upstream whose arguments are an object.
    let called = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"tool_use","id":"toolu_1","name":"look","input":{"x":1.0}}],"stop_reason":"tool_use","usage":{"input_tokens":3,"output_tokens":9}}"#;
    let ask = asking(RESPONSES, &json!({"tools": look(RESPONSES)}));
    let whole = answered(|url| MESSAGES.worker(url), Reply::json(200, called), &ask).await.json();
    assert_eq!(arguments(whole["output"].as_array().unwrap()), ["{\"x\":1.0}"], "{whole}");
}

#[tokio::test]
async fn trap15_an_answer_that_waits_for_the_client_is_completed() {
    let last = busy(RESPONSES).await.pop().unwrap();
    assert_eq!(
        (last.name.as_str(), &last.json()["response"]["status"]),
        ("response.completed", &json!("completed"))
    );
    let calls = last.json()["response"]["output"].as_array().unwrap().clone();
    let calls = calls.iter().filter(|item| item["type"] == "function_call");
    assert_eq!(calls.map(|item| item["status"].as_str().unwrap()).collect::<Vec<_>>(), ["completed"; 2]);
}

#[tokio::test]
async fn trap16_errors_have_four_keys_whatever_the_upstream_said() {
    let bodies = [
        (400, "application/json", r#"{"error":"no such thing"}"#),
        (400, "text/plain", "no such thing"),
        (404, "text/html", "<html>no such thing</html>"),
        (422, "application/json", r#"{"detail":[{"loc":["body"],"msg":"no such thing"}]}"#),
        (429, "application/json", "{}"),
        (500, "application/json", ""),
    ];
    let servers: [Server; 4] = [|url| CHAT.worker(url), |url| MESSAGES.worker(url), chat_alone, google];
    for (status, kind, body) in bodies {
        for client in [CHAT, COMPLETIONS, RESPONSES] {
            for (server, worker) in servers.iter().enumerate() {
                let what = format!("{status} {body:?} of server {server} at {}", client.path);
                let answer = answered(worker, Reply::new(status, kind, body), &client.ask(false)).await;
                assert_eq!(answer.status / 100, status / 100, "{what}: {}", answer.text());
                assert!(answer.header("content-type").starts_with("application/json"), "{what}");
                assert_four_keys(&answer.json(), &what);
            }
        }
    }
    let own = answered(|url| EMBEDDINGS.worker(url), Reply::json(200, "{}"), &post(CHAT.path, "{")).await;
    assert_four_keys(&own.json(), "a fault of the client's");
}

fn assert_four_keys(body: &Value, what: &str) {
    let mut keys: Vec<_> = body["error"].as_object().unwrap().keys().cloned().collect();
    keys.sort_unstable();
    assert_eq!(keys, ["code", "message", "param", "type"], "{what}: {body}");
    assert!(body["error"]["message"].is_string() && body["error"]["type"].is_string(), "{what}: {body}");
}

/// An error and what it says of asking again: a client's library would else go by the status alone.
#[tokio::test]
async fn trap18_what_was_computed_or_cannot_be_mended_is_not_asked_for_again() {
    const SAID: &str = r#"{"error":{"message":"why","type":"server_error","param":null,"code":null}}"#;
    let half = || Reply::half(MESSAGES.reply);
    let chats = || Reply::half(CHAT.reply);
    let anthropic: Server = |url| MESSAGES.worker(url);
    let keyed: Server = |url| cloud(url, "deepseek", "m", Some("sk-stored"));
    for (what, worker, reply, status, again) in [
        ("an answer that broke off", anthropic, half(), 502, "false"),
        ("one that passes untouched", |url| CHAT.worker(url), chats(), 502, "false"),
        ("one that nobody can read", anthropic, Reply::json(200, r#"{"content":3}"#), 502, "false"),
        ("nothing came", anthropic, Reply::hang_up(), 502, ""),
        ("a request at fault", anthropic, Reply::json(400, SAID), 400, "false"),
        ("no room", anthropic, Reply::rate_limited(1), 429, ""),
        (
            "a server that says so",
            anthropic,
            Reply::json(500, SAID).header("x-should-retry", "true"),
            500,
            "true",
        ),
        (
            "one that says not to",
            anthropic,
            Reply::json(429, SAID).header("x-should-retry", "false"),
            429,
            "false",
        ),
        (
            "it in passing",
            |url| CHAT.worker(url),
            Reply::json(503, SAID).header("x-should-retry", "false"),
            503,
            "false",
        ),
        ("the caller's key", anthropic, Reply::json(401, SAID), 401, ""),
        ("the gateway's key", keyed, Reply::json(401, SAID), 502, "false"),
        ("the gateway's money", keyed, Reply::json(402, SAID), 429, "false"),
    ] as [(&str, Server, Reply, u16, &str); 12]
    {
        let answer = answered(worker, reply, &CHAT.ask(false)).await;
        assert_eq!(
            (answer.status, answer.header("x-should-retry")),
            (status, again),
            "{what}: {}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn trap18_attempts_of_a_client_and_of_the_gateway_add_up() {
    for (count, asked) in
        [(None, 3), (Some("0"), 3), (Some("1"), 2), (Some("2"), 1), (Some("9"), 1), (Some("x"), 3)]
    {
        let upstream = Upstream::directed(|_, _| Reply::rate_limited(0)).await.unwrap();
        let mut config = settings([CHAT.worker(upstream.url())]);
        config.retry.attempts = 3;
        let rig = Rig::start(config).await;
        let ask = CHAT.ask(false);
        let ask = count.map_or(ask.clone(), |count| ask.header("x-stainless-retry-count", count));
        assert_eq!(rig.ask(&ask).await.status, 429);
        assert_eq!(upstream.requests().len(), asked, "{count:?}");
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn trap18_every_attempt_shows_the_clients_key() {
    let bad = Upstream::directed(|_, _| Reply::bad_gateway()).await.unwrap();
    let good = Upstream::directed(|_, _| MESSAGES.answer(false)).await.unwrap();
    let first = WorkerSpec { priority: 90, ..CHAT.worker(bad.url()) };
    let rig = Rig::start(settings([first, MESSAGES.worker(good.url())])).await;
    let answer = rig.ask(&CHAT.ask(false).header("idempotency-key", "once")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    for upstream in [&bad, &good] {
        let keys: Vec<_> = upstream
            .requests()
            .iter()
            .map(|request| request.header("idempotency-key").map(str::to_owned))
            .collect();
        assert_eq!(keys, [Some("once".to_owned())]);
    }
}

#[tokio::test]
async fn trap19_usage_comes_last_and_only_when_asked_for() {
    let servers: [(Server, String); 2] = [
        (|url| MESSAGES.worker(url), MESSAGES.stream.concat()),
        (
            google,
            framed(
                &[
                    json!({"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
            "candidates": [{"content": {"role": "model", "parts": [{"text": "hello"}]}, "finishReason": "STOP", "index": 0}]}),
                ],
                "",
            ),
        ),
    ];
    for (worker, stream) in servers {
        for wanted in [true, false] {
            let ask = asking(CHAT, &json!({"stream": true, "stream_options": {"include_usage": wanted}}));
            let events = streamed(worker, &stream, &ask).await;
            let at = events.iter().position(|event| event.json()["usage"].is_object());
            assert_eq!(at, wanted.then(|| events.len() - 2), "{events:?}");
            assert_eq!(events.last().unwrap().data, "[DONE]");
            let told = &events[events.len() - 2].json();
            assert_eq!(told["choices"] == json!([]), wanted, "{told}");
            assert!(!wanted || told["usage"]["total_tokens"].as_u64().unwrap() > 0, "{told}");
        }
    }
}

#[tokio::test]
async fn trap20_streams_are_neither_kept_nor_packed_on_their_way() {
    for (client, server) in [(CHAT, CHAT), (CHAT, MESSAGES), (RESPONSES, MESSAGES), (MESSAGES, MESSAGES)] {
        let ask = client.ask(true).header("accept-encoding", "gzip, br");
        let upstream = Upstream::replying([server.answer(true)]).await.unwrap();
        let rig = Rig::start(settings([server.worker(upstream.url())])).await;
        let answer = rig.ask(&ask).await;
        let what = format!("{} of {}", client.path, server.path);
        assert!(answer.header("content-type").starts_with("text/event-stream"), "{what}");
        assert_eq!(answer.header("cache-control"), "no-cache", "{what}");
        assert_eq!(answer.header("x-accel-buffering"), "no", "{what}");
        assert_eq!(answer.header("content-encoding"), "", "{what}");
        let told = upstream.requests().pop().unwrap();
        assert!(told.header("accept-encoding").is_none_or(|value| value == "identity"), "{what}");
    }
}

/// The calls and thoughts of an earlier turn, as the items of a client.
fn turn(thought: &Value) -> Value {
    json!([{"role": "user", "content": "go"}, thought,
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": "{}", "status": "completed"},
        {"type": "function_call_output", "call_id": "call_1", "output": "seen"}])
}

#[tokio::test]
async fn trap22_a_thought_and_its_call_stay_together_or_both_lose_their_ids() {
    let openai = |url: String| cloud(url, "openai", "m", Some("sk-test"));
    let ask = |thought: &Value| {
        asking(RESPONSES, &json!({"input": turn(thought), "tools": look(RESPONSES), "store": false}))
    };
    let theirs = json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"});
    let (body, _) = heard(openai, RESPONSES.answer(false), &ask(&theirs)).await;
    assert_eq!(body["input"], turn(&theirs), "OpenAI's own pair goes back as it came");

    // A thought that somebody else had, made by this gateway.
    let called = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"thinking","thinking":"hm","signature":"c2ln"},{"type":"tool_use","id":"toolu_1","name":"look","input":{}}],"stop_reason":"tool_use","usage":{"input_tokens":3,"output_tokens":9}}"#;
    let claude = Upstream::replying([Reply::json(200, called)]).await.unwrap();
    let upstream = Upstream::replying([RESPONSES.answer(false)]).await.unwrap();
    let claude_worker = cloud(claude.url(), "anthropic", "claude", Some("sk-ant-x"));
    let rig = Rig::start(settings([claude_worker, openai(upstream.url())])).await;
    let first = json!({"model": "claude", "input": "go", "tools": look(RESPONSES), "store": false,
        "include": ["reasoning.encrypted_content"]});
    let whole = rig.post(RESPONSES.path, &first.to_string()).await.json();
    let items = whole["output"].as_array().unwrap();
    assert_eq!(items[0]["type"], "reasoning", "{whole}");
    let mut input = vec![json!({"role": "user", "content": "go"})];
    input.extend(items.iter().cloned());
    input.push(json!({"type": "function_call_output", "call_id": items[1]["call_id"], "output": "seen"}));
    let answer =
        rig.ask(&asking(RESPONSES, &json!({"input": input, "tools": look(RESPONSES), "store": false}))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = upstream.requests().pop().unwrap().json();
    let kinds: Vec<_> = body["input"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["type"].as_str().unwrap_or("message"))
        .collect();
    assert_eq!(kinds, ["message", "function_call", "function_call_output"], "{body}");
    assert!(body["input"][1].get("id").is_none(), "{body}");
    assert_eq!(body["input"][1]["call_id"], body["input"][2]["call_id"]);
}

#[tokio::test]
async fn trap22_no_provider_meets_ids_that_were_made_here() {
    let thought = json!({"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": "I look.",
            "reasoning_content": "hm", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]}}]});
    let elsewhere = Upstream::replying([Reply::json(200, thought.to_string())]).await.unwrap();
    let answers = [RESPONSES.answer(false), RESPONSES.answer(false)];
    let openai = Upstream::replying(answers).await.unwrap();
    let deepseek = cloud(elsewhere.url(), "deepseek", "thinker", None);
    let rig = Rig::start(settings([deepseek, cloud(openai.url(), "openai", "m", Some("sk-test"))])).await;
    let go = json!({"model": "thinker", "input": "go", "tools": look(RESPONSES), "store": false});
    let whole = rig.post(RESPONSES.path, &go.to_string()).await.json();
    let [thought, said, called] = whole["output"].as_array().unwrap().as_slice() else { panic!("{whole}") };
    let result = json!({"type": "function_call_output", "call_id": called["call_id"], "output": "seen"});
    let ask = |items: &[&Value]| asking(RESPONSES, &json!({"input": items, "store": false}));

    // No word of it is sealed, so the ids alone tell that OpenAI must not get these items as they are.
    let answer = rig.ask(&ask(&[thought, said, called, &result])).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = openai.requests().pop().unwrap().json();
    let items = body["input"].as_array().unwrap();
    let kinds: Vec<_> = items.iter().map(|item| &item["type"]).collect();
    assert_eq!(kinds, ["message", "function_call", "function_call_output"], "{body}");
    assert!(items.iter().all(|item| item.get("id").is_none()), "{body}");
    assert!(answer.header("x-trunkline-warnings").contains("input[0]"), "the thought is told as lost");

    // OpenAI's own thoughts, wherever they got an id of ours, are worth keeping without it.
    let sealed =
        json!({"type": "reasoning", "id": thought["id"], "summary": [], "encrypted_content": "gAAAA"});
    let answer = rig.ask(&ask(&[&sealed, called, &result])).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = openai.requests().pop().unwrap().json();
    let kept = json!({"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"});
    assert_eq!(body["input"][0], kept, "{body}");

    let reference = json!({"type": "item_reference", "id": said["id"]});
    let answer = rig.ask(&ask(&[&reference])).await;
    assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!("input[0]")));
    assert_eq!(openai.requests().len(), 2, "what cannot be found is not asked for");
}
