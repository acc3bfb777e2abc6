//! Different dialects on the two sides, and something goes wrong: it is told, or somebody else does better.

use super::{fold_chat, ok};
use crate::client::{Line, events, post};
use crate::rig::{CHAT, EMBEDDINGS, MESSAGES, Rig, Speech, pieces, settings};
use serde_json::{Value, json};
use std::time::Duration;
use trunkline_core::OnUnsupported;
use trunkline_gateway::config::WorkerSpec;
use trunkline_testkit::script::{Reply, Then, Upstream};

/// Checks that a translated stream ends with an error in the client's dialect.
fn assert_ends_with_error(client: &Speech, stream: &[u8], what: &str) {
    let events = events(stream);
    let last = events.last().unwrap();
    assert_eq!(last.name, if client.is_messages() { "error" } else { "" }, "{what}");
    assert!(!client.error(&last.json()).is_empty(), "{what}");
    assert_eq!(last.json()["request_id"].is_string(), client.is_messages(), "{what}");
    assert!(!String::from_utf8_lossy(stream).contains("[DONE]"), "{what}");
}

/// `spec` in front of all others.
fn first(spec: WorkerSpec) -> WorkerSpec {
    WorkerSpec { priority: 90, ..spec }
}

/// Arguments that an upstream nested `levels` deep, as whole answer and as stream.
fn nested(server: &Speech, levels: usize) -> [Reply; 2] {
    let input = format!("{}{}", "{\"a\":".repeat(levels), "1") + &"}".repeat(levels);
    let (whole, event) = if server.is_messages() {
        let block = format!(r#"{{"type":"tool_use","id":"t","name":"f","input":{input}}}"#);
        let event = format!(
            "event: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{block}}}\n\n"
        );
        (server.reply.replace(r#"{"type":"text","text":"hello"}"#, &block), event)
    } else {
        let delta = format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"x","more":{input}}}}}]}}"#);
        (
            server.reply.replace(r#""content":"hello""#, &format!(r#""content":"hello","more":{input}"#)),
            format!("data: {delta}\n\n"),
        )
    };
    let stream = [server.stream[0], &event, server.stream[2]];
    [Reply::json(200, whole), Reply::events(pieces(&stream), Duration::ZERO)]
}

#[tokio::test]
async fn an_answer_without_a_bottom_is_an_error_by_name() {
    for (client, server) in [(CHAT, MESSAGES), (MESSAGES, CHAT)] {
        for (levels, is_fine) in [(60, true), (200, false), (100_000, false)] {
            let [whole, stream] = nested(&server, levels);
            for (streams, reply) in [(false, whole), (true, stream)] {
                let upstream = Upstream::replying([reply]).await.unwrap();
                let mut config = settings([server.worker(upstream.url())]);
                config.retry.attempts = 1;
                let rig = Rig::start(config).await;
                let answer = rig.ask(&client.ask(streams)).await;
                let what = format!("{} levels {levels} stream {streams}", client.path);
                let text = answer.text();
                assert_eq!(text.contains("limits.reply_depth"), !is_fine, "{what}: {text:.300}");
                if is_fine {
                    assert_eq!(answer.status, 200, "{what}: {text:.300}");
                } else if answer.status == 200 {
                    assert_ends_with_error(&client, &answer.body, &what);
                } else {
                    assert_eq!(answer.status, 502, "{what}: {text:.300}");
                    client.error(&answer.json());
                }
                assert!(text.len() < 8 << 10, "{what}");
                rig.at_rest().await;
            }
        }
    }
}

#[tokio::test]
async fn errors_keep_their_meaning() {
    let anthropic =
        |kind: &str| json!({"type": "error", "error": {"type": kind, "message": "as told"}}).to_string();
    let openai = |kind: &str| {
        json!({"error": {"type": kind, "message": "as told", "param": null, "code": null}}).to_string()
    };
    for (status, from_anthropic, want_chat, from_openai, want_messages) in [
        (400, "invalid_request_error", 400, "invalid_request_error", (400, "invalid_request_error")),
        (403, "permission_error", 403, "permission_error", (403, "permission_error")),
        (404, "not_found_error", 404, "invalid_request_error", (404, "not_found_error")),
        (413, "request_too_large", 413, "invalid_request_error", (413, "request_too_large")),
        (429, "rate_limit_error", 429, "requests", (429, "rate_limit_error")),
        (500, "api_error", 500, "server_error", (500, "api_error")),
        (503, "api_error", 503, "server_error", (503, "overloaded_error")),
        (529, "overloaded_error", 503, "server_error", (529, "overloaded_error")),
    ] {
        for streams in [false, true] {
            for (client, server, reply, want) in [
                (CHAT, MESSAGES, anthropic(from_anthropic), (want_chat, "")),
                (MESSAGES, CHAT, openai(from_openai), want_messages),
            ] {
                let upstream = Upstream::replying([Reply::json(status, reply).header("retry-after", "7")])
                    .await
                    .unwrap();
                let mut config = settings([server.worker(upstream.url())]);
                config.retry.attempts = 1;
                let rig = Rig::start(config).await;
                let answer = rig.ask(&client.ask(streams)).await;
                let what = format!("{status} to {} stream {streams}: {}", client.path, answer.text());
                assert_eq!(answer.status, want.0, "{what}");
                assert!(client.error(&answer.json()).contains("as told"), "{what}");
                assert!(want.1.is_empty() || answer.json()["error"]["type"] == want.1, "{what}");
                assert_eq!(answer.header("retry-after"), "7", "{what}");
                rig.at_rest().await;
            }
        }
    }
}

/// The end of a stream, without what says that it is complete.
fn unfinished(server: &Speech) -> &'static str {
    let last = if server.is_messages() { "event: message_stop" } else { "data: " };
    server.stream[2].split_once(last).unwrap().0
}

#[tokio::test]
async fn a_translated_stream_that_breaks_off_says_so() {
    let said = [
        (
            MESSAGES,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n",
        ),
        (CHAT, "data: {\"error\":{\"message\":\"busy\",\"type\":\"server_error\"}}\n\n"),
    ];
    for (client, (server, error)) in [CHAT, MESSAGES].into_iter().zip(said) {
        for (what, then, more) in [
            ("cut", Then::Cut, ""),
            ("reset", Then::Reset, ""),
            ("ended early", Then::End, ""),
            ("silent", Then::Hang, ""),
            ("cut inside an event", Then::Cut, &server.stream[2][..20]),
            ("ended inside an event", Then::End, &server.stream[2][..20]),
            ("ended before its last event", Then::End, unfinished(&server)),
            ("said so itself", Then::End, error),
        ] {
            let what = format!("{} {what}", client.path);
            let mut parts = pieces(&server.stream[..2]);
            parts.extend((!more.is_empty()).then(|| more.into()));
            let reply = Reply::events(parts, Duration::from_millis(2)).then(then);
            let upstream = Upstream::replying([reply]).await.unwrap();
            let mut config = settings([server.worker(upstream.url())]);
            config.timeouts.idle = Duration::from_millis(if then == Then::Hang { 150 } else { 5000 });
            let rig = Rig::start(config).await;
            let answer = ok(rig.ask(&client.ask(true)).await);
            assert!(answer.text().contains("hello"), "{what}: {}", answer.text());
            assert_ends_with_error(&client, &answer.body, &what);
            assert_eq!(upstream.requests().len(), 1, "{what}");
            rig.at_rest().await;
        }
    }
}

#[tokio::test]
async fn trap48_a_client_that_leaves_a_translated_stream_ends_the_work() {
    for (client, server) in [(CHAT, MESSAGES), (MESSAGES, CHAT)] {
        let reply = Reply::events(pieces(&server.stream[..2]), Duration::ZERO).then(Then::Hang);
        let upstream = Upstream::replying([reply]).await.unwrap();
        let rig = Rig::start(settings([server.worker(upstream.url())])).await;
        let mut line = Line::open(rig.address()).await;
        let mut head = line.begin(&client.ask(true)).await;
        line.see(&mut head, "hello").await;
        drop(line);
        tokio::time::timeout(Duration::from_millis(500), upstream.aborted()).await.expect(client.path);
        rig.at_rest().await;
        assert!(rig.access_line("attempts=").await.contains(" end=client_gone "), "{}", client.path);
    }
}

#[tokio::test]
async fn c83_a_stream_without_content_yet_goes_elsewhere() {
    let busy = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
    for (what, reply) in [
        ("an error at once", Reply::events([busy], Duration::ZERO)),
        ("an error behind its start", Reply::events([MESSAGES.stream[0], busy], Duration::ZERO)),
        ("a cut behind its start", Reply::cut_after([MESSAGES.stream[0]])),
        ("an end behind its start", Reply::events([MESSAGES.stream[0]], Duration::ZERO)),
        ("a status", Reply::overloaded()),
    ] {
        // From one dialect to the same, and to the one the client itself speaks.
        for second in [MESSAGES, CHAT] {
            let bad = Upstream::replying([reply.clone()]).await.unwrap();
            let good = Upstream::directed(move |_, _| second.answer(true)).await.unwrap();
            let workers = [first(MESSAGES.worker(bad.url())), second.worker(good.url())];
            let rig = Rig::start(settings(workers)).await;
            let answer = ok(rig.ask(&CHAT.ask(true)).await);
            let what = format!("{what}, then {}", second.path);
            let (text, _, finish) = fold_chat(&answer.events(), 0);
            assert_eq!((text.as_str(), finish.as_str()), ("hello", "stop"), "{what}: {}", answer.text());
            assert!(!answer.text().contains("busy"), "{what}");
            let starts = answer
                .events()
                .iter()
                .filter(|e| e.json()["choices"][0]["delta"]["role"].is_string())
                .count();
            assert_eq!(starts, 1, "{what}: nothing of the first attempt is left: {}", answer.text());
            assert_eq!((bad.requests().len(), good.requests().len()), (1, 1), "{what}");
            rig.at_rest().await;
        }
    }
}

#[tokio::test]
async fn c18_one_choice_that_fails_fails_all() {
    let upstream =
        Upstream::directed(|_, nth| if nth == 1 { Reply::overloaded() } else { MESSAGES.answer(false) });
    let upstream = upstream.await.unwrap();
    let mut config = settings([MESSAGES.worker(upstream.url())]);
    config.retry.attempts = 1;
    let rig = Rig::start(config).await;
    let body = format!("{{\"model\":\"m\",\"n\":3,{}}}", CHAT.prompt);
    let answer = rig.post(CHAT.path, &body).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    CHAT.error(&answer.json());
    rig.at_rest().await;
}

#[tokio::test]
async fn c18_more_choices_than_anybody_needs_are_refused() {
    let upstream = Upstream::directed(|_, _| MESSAGES.answer(false)).await.unwrap();
    let rig = Rig::start(settings([MESSAGES.worker(upstream.url())])).await;
    for n in ["129", "4294967296", "18446744073709551615"] {
        let answer = rig.post(CHAT.path, &format!("{{\"model\":\"m\",\"n\":{n},{}}}", CHAT.prompt)).await;
        assert_eq!(answer.status, 400, "{n}: {}", answer.text());
        assert!(CHAT.error(&answer.json()).contains("128"), "{}", answer.text());
        assert_eq!(answer.json()["error"]["param"], "n");
    }
    assert!(upstream.requests().is_empty());
    rig.at_rest().await;
}

#[tokio::test]
async fn pairs_without_a_way_are_refused_in_the_callers_dialect() {
    for (client, server) in [(EMBEDDINGS, MESSAGES)] {
        let upstream = Upstream::directed(|_, _| Reply::json(200, "{}")).await.unwrap();
        let rig = Rig::start(settings([server.worker(upstream.url())])).await;
        let answer = rig.ask(&client.ask(false)).await;
        assert_eq!(answer.status, 400, "{}", client.path);
        assert_eq!(answer.header("x-trunkline-error-code"), "dialect_not_supported");
        let message = client.error(&answer.json());
        assert!(message.contains("anthropic-messages") && message.contains("`m`"), "{message}");
        assert_eq!(answer.json()["error"]["code"], "dialect_not_supported");
        assert!(upstream.requests().is_empty());
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_when_the_operator_wants_it() {
    let upstream = Upstream::directed(|_, _| MESSAGES.answer(false)).await.unwrap();
    let mut config = settings([MESSAGES.worker(upstream.url())]);
    config.translate.on_unsupported_param = OnUnsupported::Reject;
    let rig = Rig::start(config).await;
    let body = format!("{{\"model\":\"m\",\"seed\":7,{}}}", CHAT.prompt);
    let answer = rig.post(CHAT.path, &body).await;
    assert_eq!(answer.status, 400);
    assert!(CHAT.error(&answer.json()).contains("seed"));
    assert_eq!(answer.json()["error"]["param"], "seed");
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn an_upstream_that_answers_nonsense_is_an_upstream_error() {
    for (client, server) in [(CHAT, MESSAGES), (MESSAGES, CHAT)] {
        for (what, streams, reply) in [
            ("no JSON", false, Reply::json(200, "{")),
            ("another JSON", false, Reply::json(200, "[1]")),
            ("a page", false, Reply::new(200, "text/html", "<html>SECRET</html>")),
            ("half", false, Reply::half(server.reply)),
            ("no events", true, Reply::invalid_events()),
            ("20 MB in one line", true, Reply::long_line(20 << 20)),
            ("nothing", true, Reply::events(Vec::<&str>::new(), Duration::ZERO)),
            ("a page for a stream", true, Reply::new(200, "text/html", "<html>SECRET</html>")),
        ] {
            let what = format!("{} {what}", client.path);
            let upstream = Upstream::replying([reply]).await.unwrap();
            let mut config = settings([server.worker(upstream.url())]);
            config.retry.attempts = 1;
            let rig = Rig::start(config).await;
            let answer = rig.ask(&client.ask(streams)).await;
            assert_eq!(answer.status, 502, "{what}: {}", answer.text());
            let message = client.error(&answer.json());
            assert!(!message.contains("SECRET") && !message.is_empty(), "{what}: {message}");
            rig.at_rest().await;
        }
    }
}

#[tokio::test]
async fn a_client_body_that_cannot_be_read_names_the_field() {
    for (client, server, body, field) in [
        (CHAT, MESSAGES, r#"{"model":"m","messages":[{"role":"user","content":7}]}"#, "messages"),
        (CHAT, MESSAGES, r#"{"model":"m","messages":"hi"}"#, "messages"),
        (
            CHAT,
            MESSAGES,
            r#"{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":"hot"}"#,
            "temperature",
        ),
        (
            MESSAGES,
            CHAT,
            r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":7}]}"#,
            "messages",
        ),
        (
            MESSAGES,
            CHAT,
            r#"{"model":"m","max_tokens":"many","messages":[{"role":"user","content":"x"}]}"#,
            "max_tokens",
        ),
    ] {
        let upstream = Upstream::directed(|_, _| Reply::json(200, "{}")).await.unwrap();
        let rig = Rig::start(settings([server.worker(upstream.url())])).await;
        let answer = rig.ask(&post(client.path, body)).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        let message = client.error(&answer.json());
        assert!(message.contains(field), "{body}: {message}");
        assert!(upstream.requests().is_empty());
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn a_stream_may_not_be_longer_than_an_answer() {
    for (client, server) in [(CHAT, MESSAGES), (MESSAGES, CHAT)] {
        let mut parts = vec![server.stream[0]];
        parts.extend(vec![server.stream[1]; 200]);
        parts.push(server.stream[2]);
        let upstream = Upstream::replying([Reply::events(pieces(&parts), Duration::ZERO)]).await.unwrap();
        let mut config = settings([server.worker(upstream.url())]);
        config.limits.reply_bytes = 8 << 10;
        config.retry.attempts = 1;
        let rig = Rig::start(config).await;
        let mut line = Line::open(rig.address()).await;
        let mut head = line.begin(&client.ask(true)).await;
        let stream = line.rest(&mut head).await.unwrap();
        let text = String::from_utf8_lossy(&stream);
        if head.status == 200 {
            assert_ends_with_error(&client, &stream, client.path);
        }
        assert!(text.contains("larger than `limits.reply_bytes`"), "{text}");
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn an_answer_may_not_call_more_tools_than_the_operator_allows() {
    let call = |n: usize| json!({"index": n, "id": format!("c{n}"), "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let calls: Vec<_> = (0..3).map(call).collect();
    let whole = json!({"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
        "message": {"role": "assistant", "content": null, "tool_calls": calls}, "finish_reason": "tool_calls"}]})
    .to_string();
    let chunk = |call: &Value| {
        let delta = json!({"id": "c1", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": null}]});
        format!("data: {delta}\n\n")
    };
    let stream: Vec<_> = calls.iter().map(chunk).chain([CHAT.stream[2].to_owned()]).collect();
    for (streams, most) in [(false, 2), (false, 3), (true, 2), (true, 3)] {
        let (whole, stream) = (whole.clone(), stream.clone());
        let upstream = Upstream::directed(move |_, _| {
            if streams {
                let parts: Vec<_> = stream.iter().map(String::as_str).collect();
                Reply::events(pieces(&parts), Duration::ZERO)
            } else {
                Reply::json(200, whole.clone())
            }
        });
        let upstream = upstream.await.unwrap();
        let mut config = settings([CHAT.worker(upstream.url())]);
        (config.limits.tool_calls, config.retry.attempts) = (most, 1);
        let rig = Rig::start(config).await;
        let answer = rig.ask(&MESSAGES.ask(streams)).await;
        let text = answer.text();
        assert_eq!(text.contains("`limits.tool_calls`"), most == 2, "{streams} {most}: {text}");
        assert_eq!(text.contains("\"c2\""), most == 3, "{streams} {most}: {text}");
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn foreign_reasoning_state_comes_back_to_its_maker_and_to_nobody_else() {
    let reply = r#"{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello","reasoning_content":"hm","thinking_blocks":[{"type":"thinking","thinking":"hm","signature":"PROOF"}]},"finish_reason":"stop"}]}"#;
    let upstream = Upstream::directed(move |_, _| Reply::json(200, reply)).await.unwrap();
    let rig = Rig::start(settings([CHAT.worker(upstream.url())])).await;
    let answer = rig.ask(&MESSAGES.ask(false)).await;
    let thinking = answer.json()["content"][0].clone();
    assert_eq!(thinking["thinking"], "hm", "{}", answer.text());
    let sealed = thinking["signature"].as_str().unwrap().to_owned();
    assert!(sealed.starts_with("tl2.") && !answer.text().contains("PROOF"), "{sealed}");
    let mut forged = thinking.clone();
    forged["signature"] = json!(format!("{}AAAA", &sealed[..sealed.len() - 4]));
    for (block, lost) in [(thinking, false), (forged, true)] {
        let body = json!({
            "model": "m",
            "max_tokens": 64,
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": [block, {"type": "text", "text": "hello"}]},
                {"role": "user", "content": "and?"},
            ],
        });
        let answer = rig.ask(&post(MESSAGES.path, body.to_string())).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let told = answer.header("x-trunkline-warnings").contains("not sealed by this gateway");
        assert_eq!(told, lost, "{}", answer.header("x-trunkline-warnings"));
        let sent = upstream.requests().pop().unwrap();
        assert!(!sent.json().to_string().contains("tl2."), "what is sealed for clients never goes upstream");
    }
}
