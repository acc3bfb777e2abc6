//! What answers cost: told to the client, the log and the metrics, and never invented.

use crate::client::Ask;
use crate::rig::{CHAT, MESSAGES, Rig, STREAMING, Speech, cloud, engine, settings};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use trunkline_gateway::config::WorkerSpec;
use trunkline_testkit::script::{Reply, Upstream};

const HEADER: &str = "x-trunkline-cost-usd";

async fn answering(speech: Speech) -> Upstream {
    Upstream::directed(move |request, _| speech.answer(request.json()["stream"] == true)).await.unwrap()
}

fn asking(speech: Speech, model: &str, stream: bool) -> Ask {
    let Value::Object(mut body) = serde_json::from_str(&format!("{{{}}}", speech.prompt)).unwrap() else {
        panic!("a prompt is fields")
    };
    body.insert("model".to_owned(), json!(model));
    body.insert("stream".to_owned(), json!(stream));
    crate::client::post(speech.path, Value::Object(body).to_string())
}

/// Every way an answer of three tokens in and two out may come.
#[tokio::test]
async fn every_answer_is_priced_by_who_gave_it() {
    type Account = fn(String, &str) -> WorkerSpec;
    let openai: Account = |url, model| cloud(url, "openai", model, Some("k"));
    let anthropic: Account = |url, model| cloud(url, "anthropic", model, Some("k"));
    let own: Account = |url, model| engine(url, model);
    for (what, account, from, to, model, stream, cost) in [
        // 3 x 2.5 + 2 x 10 millionths.
        ("passed", openai, CHAT, CHAT, "gpt-4o", false, Some("0.0000275")),
        ("translated", openai, MESSAGES, CHAT, "gpt-4o", false, Some("0.0000275")),
        // 3 x 3 + 2 x 15 millionths.
        ("passed", anthropic, MESSAGES, MESSAGES, "claude-sonnet-4-5", false, Some("0.000039")),
        ("passed as a stream", anthropic, MESSAGES, MESSAGES, "claude-sonnet-4-5", true, Some("0.000039")),
        ("translated as a stream", anthropic, CHAT, MESSAGES, "claude-sonnet-4-5", true, Some("0.000039")),
        ("of a model without a price", openai, CHAT, CHAT, "gpt-of-nobody", false, None),
        ("of an engine", own, CHAT, CHAT, "gpt-4o", false, None),
    ] {
        let upstream = answering(to).await;
        let rig = Rig::start(settings([account(upstream.url(), model)])).await;
        let answer = rig.ask(&asking(from, model, stream)).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        // A stream has begun before anybody knows.
        assert_eq!(answer.header(HEADER), cost.filter(|_| !stream).unwrap_or_default(), "{what}");
        let line = rig.access_line("endpoint=").await;
        let logged = line.split(" cost_usd=").nth(1).map(|rest| rest.split(' ').next().unwrap());
        assert_eq!(logged, cost, "{what}: {line}");
        let booked = rig.metric("trunkline_cost_usd_total", &[&format!("model=\"{model}\"")]).await;
        let told: f64 = cost.map_or(0.0, |cost| cost.parse().unwrap());
        assert!((booked - told).abs() < 1e-12, "{what}: {booked}");
        let unpriced = rig.metric("trunkline_unpriced_requests_total", &["provider=\"openai\""]).await;
        let is_unpriced = what == "of a model without a price";
        assert_eq!(unpriced > 0.5, is_unpriced, "{what}: {unpriced}");
    }
}

#[tokio::test]
async fn an_error_costs_nothing() {
    let upstream =
        Upstream::directed(|_, _| Reply::json(400, r#"{"error":{"message":"no"}}"#)).await.unwrap();
    let rig = Rig::start(settings([cloud(upstream.url(), "openai", "gpt-4o", Some("k"))])).await;
    let answer = rig.ask(&asking(CHAT, "gpt-4o", false)).await;
    assert_eq!((answer.status, answer.header(HEADER)), (400, ""));
    assert!(!rig.access_line("endpoint=").await.contains("cost_usd"));
    let booked = rig.get("/metrics").await;
    assert!(!booked.text().contains("trunkline_cost_usd_total{"), "{}", booked.text());
    assert!(!booked.text().contains("trunkline_unpriced_requests_total{"), "{}", booked.text());
}

/// What a provider says it took beats no price, and the tier it served in beats the standard one.
#[tokio::test]
async fn what_the_provider_says_counts() {
    let with = |more: Value| {
        let mut reply: Value = serde_json::from_str(CHAT.reply).unwrap();
        for (key, value) in more.as_object().unwrap() {
            reply[key] = value.clone();
        }
        reply.to_string()
    };
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "cost": 0.125});
    for (provider, model, more, cost) in [
        ("openrouter", "vendor/of-nobody", json!({"usage": usage}), "0.125"),
        // 3 x 4.25 + 2 x 17 millionths.
        ("openai", "gpt-4o", json!({"service_tier": "priority"}), "0.00004675"),
    ] {
        let reply = with(more);
        let upstream = Upstream::directed(move |_, _| Reply::json(200, reply.clone())).await.unwrap();
        let rig = Rig::start(settings([cloud(upstream.url(), provider, model, Some("k"))])).await;
        let answer = rig.ask(&asking(CHAT, model, false)).await;
        assert_eq!(answer.header(HEADER), cost, "{provider}: {}", answer.text());
    }
}

/// An attempt whose upstream has counted, and whose answer nobody got, is paid for like the one that follows it.
#[tokio::test]
async fn what_was_billed_and_lost_is_part_of_the_cost() {
    let half = MESSAGES.stream[0];
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"no\"}}\n\n";
    let (claude, gpt) = (("anthropic", "claude-sonnet-4-5"), ("openai", "gpt-4o"));
    for (what, (provider, model), from, to, stream, lost, cost) in [
        // (3 x 3 + 1 x 15) + (3 x 3 + 2 x 15) millionths.
        ("translated, cut", claude, CHAT, MESSAGES, true, Reply::cut_after([half]), "0.000063"),
        ("passed, cut", claude, MESSAGES, MESSAGES, true, Reply::cut_after([half]), "0.000063"),
        (
            "passed, an error",
            claude,
            MESSAGES,
            MESSAGES,
            true,
            Reply::events([half, error], Duration::ZERO),
            "0.000063",
        ),
        ("nothing was counted", gpt, CHAT, CHAT, false, Reply::json(200, "<html>"), "0.0000275"),
    ] {
        let first = Arc::new(AtomicBool::new(true));
        let upstream = async || {
            let (first, lost) = (Arc::clone(&first), lost.clone());
            let upstream = Upstream::directed(move |request, _| match first.swap(false, Relaxed) {
                true => lost.clone(),
                false => to.answer(request.json()["stream"] == true),
            });
            upstream.await.unwrap()
        };
        let upstreams = [upstream().await, upstream().await];
        let accounts = upstreams.each_ref().map(|u| cloud(u.url(), provider, model, Some("k")));
        let rig = Rig::start(settings(accounts)).await;
        let answer = rig.ask(&asking(from, model, stream)).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        assert_eq!(answer.header(HEADER), if stream { "" } else { cost }, "{what}");
        let line = rig.access_line("endpoint=").await;
        assert!(line.contains(&format!(" cost_usd={cost}")), "{what}: {line}");
        let booked = rig.metric("trunkline_cost_usd_total", &[]).await;
        assert!((booked - cost.parse::<f64>().unwrap()).abs() < 1e-12, "{what}: {booked}");
    }
}

/// An error is not free when its upstream has counted.
#[tokio::test]
async fn an_answer_that_nobody_got_costs_what_was_counted() {
    let many = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
    for (provider, model, from, stream, lost, cost) in [
        // 3 x 3 + 1 x 15 millionths, twice.
        ("anthropic", "claude-sonnet-4-5", CHAT, true, Reply::cut_after([MESSAGES.stream[0]]), "0.000048"),
        // 3 x 2.5 + 2 x 10 millionths, once: it would be as long again.
        ("openai", "gpt-4o", MESSAGES, false, Reply::json(200, many), "0.0000275"),
    ] {
        let upstream = Upstream::directed(move |_, _| lost.clone()).await.unwrap();
        let mut config = settings([cloud(upstream.url(), provider, model, Some("k"))]);
        (config.retry.attempts, config.limits.tool_calls) = (2, 1);
        let rig = Rig::start(config).await;
        let answer = rig.ask(&asking(from, model, stream)).await;
        assert_eq!((answer.status, answer.header(HEADER)), (502, cost), "{provider}: {}", answer.text());
        let line = rig.access_line("endpoint=").await;
        assert!(line.contains(&format!(" cost_usd={cost}")), "{provider}: {line}");
    }
}

/// The same counts cost the same, whatever the client speaks, whole and streamed.
#[tokio::test]
async fn c105_a_call_costs_the_same_in_every_clients_dialect() {
    let usage = r#"data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
    for (provider, model, cost) in [
        // 3 x 2.5 + 2 x 10 and 3 x 3 + 2 x 15 millionths.
        ("openai", "gpt-4o", "0.0000275"),
        ("anthropic", "claude-sonnet-4-5", "0.000039"),
    ] {
        for (from, stream) in STREAMING.into_iter().flat_map(|from| [(from, false), (from, true)]) {
            let what = format!("{} to {provider}, stream: {stream}", from.path);
            let upstream = Upstream::directed(move |request, _| {
                let to = STREAMING.into_iter().find(|speech| speech.path == request.path()).unwrap();
                // Such streams tell what was used to those alone who ask for it.
                if request.json()["stream_options"]["include_usage"] != true || !stream {
                    return to.answer(stream);
                }
                let [begin, content, end] = to.stream;
                let end = end.replace("data: [DONE]", &format!("{usage}\n\ndata: [DONE]"));
                Reply::events([begin, content, &end].map(str::to_owned), Duration::ZERO)
            });
            let upstream = upstream.await.unwrap();
            let rig = Rig::start(settings([cloud(upstream.url(), provider, model, Some("k"))])).await;
            let answer = rig.ask(&asking(from, model, stream)).await;
            assert_eq!(answer.status, 200, "{what}: {}", answer.text());
            let line = rig.access_line("endpoint=").await;
            assert!(line.contains(&format!(" cost_usd={cost}")), "{what}: {line}");
            assert!(line.contains(" input_tokens=3 output_tokens=2 "), "{what}: {line}");
            let booked = rig.metric("trunkline_cost_usd_total", &[]).await;
            assert!((booked - cost.parse::<f64>().unwrap()).abs() < 1e-12, "{what}: {booked}");
        }
    }
}

/// An answer in which `usage` stands before or behind `length` bytes of text.
fn long(length: usize, is_first: bool) -> String {
    let usage = r#""usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}"#;
    let text = "y".repeat(length);
    let choices = format!(
        r#""choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}]"#
    );
    let (first, second) = if is_first { (usage, choices.as_str()) } else { (choices.as_str(), usage) };
    format!(r#"{{"id":"c","object":"chat.completion","model":"gpt-4o",{first},{second}}}"#)
}

/// However long an answer is, wherever its usage stands and however it comes: its end is its end, and it is paid for.
#[tokio::test]
async fn long_answers_are_delivered_and_paid_for() {
    for (length, piece) in
        [(1, 7), (60_000, 60_000), (262_000, 9_000), (270_000, 100_000), (2_000_000, 70_000)]
    {
        for is_first in [false, true] {
            for is_chunked in [false, true] {
                let body = long(length, is_first);
                let (whole, pieces) = (body.clone(), piece.min(body.len()));
                let upstream = Upstream::directed(move |_, _| match is_chunked {
                    true => {
                        let pieces: Vec<Vec<u8>> = whole.as_bytes().chunks(pieces).map(Into::into).collect();
                        Reply::stream("application/json", pieces, Duration::ZERO)
                    }
                    false => Reply::json(200, whole.clone()),
                });
                let upstream = upstream.await.unwrap();
                let rig = Rig::start(settings([cloud(upstream.url(), "openai", "gpt-4o", Some("k"))])).await;
                let answer = rig.ask(&asking(CHAT, "gpt-4o", false)).await;
                let what = format!("{length}, usage first: {is_first}, chunked: {is_chunked}");
                assert!(answer.status == 200 && answer.text() == body, "{what}");
                let line = rig.access_line("endpoint=").await;
                assert!(line.contains("status=200 end=done"), "{what}: {line}");
                assert!(line.contains("cost_usd=0.0000275"), "{what}: {line}");
            }
        }
    }
}

/// Half of what was used is not what was used, and what nobody can have used is not believed; either is unknown, not zero.
#[tokio::test]
async fn what_is_half_told_or_absurd_has_no_known_cost() {
    for (what, usage, tokens) in [
        ("the prompt alone", json!({"prompt_tokens": 3}), (3.0, 0.0)),
        ("the answer alone", json!({"completion_tokens": 2}), (0.0, 2.0)),
        ("less than nothing", json!({"prompt_tokens": -3, "completion_tokens": 2}), (0.0, 2.0)),
        (
            "a thousand million and one",
            json!({"prompt_tokens": 1_000_000_001_u64, "completion_tokens": 2}),
            (0.0, 0.0),
        ),
        (
            "more from the cache than there was",
            json!({"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 9}}),
            (0.0, 0.0),
        ),
    ] {
        let mut reply: Value = serde_json::from_str(CHAT.reply).unwrap();
        reply["usage"] = usage;
        for from in [CHAT, MESSAGES] {
            let what = format!("{what}, {}", from.path);
            let body = reply.to_string();
            let upstream = Upstream::directed(move |_, _| Reply::json(200, body.clone())).await.unwrap();
            let rig = Rig::start(settings([cloud(upstream.url(), "openai", "gpt-4o", Some("k"))])).await;
            let answer = rig.ask(&asking(from, "gpt-4o", false)).await;
            assert_eq!((answer.status, answer.header(HEADER)), (200, ""), "{what}: {}", answer.text());
            assert!(!rig.access_line("endpoint=").await.contains("cost_usd"), "{what}");
            assert_eq!(rig.metric("trunkline_unpriced_requests_total", &[]).await, 1.0, "{what}");
            let counted = async |direction: &str| {
                rig.metric("trunkline_tokens_total", &[&format!("direction=\"{direction}\"")]).await
            };
            assert_eq!((counted("input").await, counted("output").await), tokens, "{what}");
        }
    }
}

/// Eight times 0.0000275 is 0.00022, and not 0.00021999999999999998.
#[tokio::test]
async fn sums_of_costs_are_exact() {
    let upstream = answering(CHAT).await;
    let rig = Rig::start(settings([cloud(upstream.url(), "openai", "gpt-4o", Some("k"))])).await;
    for _ in 0..8 {
        assert_eq!(rig.ask(&asking(CHAT, "gpt-4o", false)).await.header(HEADER), "0.0000275");
    }
    let metrics = rig.get("/metrics").await.text().to_owned();
    let sum = r#"trunkline_cost_usd_total{model="gpt-4o",provider="openai"} 0.00022"#;
    assert!(metrics.lines().any(|line| line == sum), "{metrics}");
}
