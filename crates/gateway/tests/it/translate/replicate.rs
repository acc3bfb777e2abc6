//! Predictions: made with one request, read with others, called off when nobody waits any more.

use super::ok;
use crate::client::{self, post};
use crate::rig::{Rig, cloud, settings, until};
use serde_json::{Value, json};
use std::time::Duration;
use trunkline_testkit::cloud::{Cloud, CloudConfig, Provider};
use trunkline_testkit::script::{Reply, Upstream};

const LLAMA: &str = "meta/meta-llama-3-70b-instruct";

async fn account(first: Duration, token: Duration) -> (Cloud, Rig) {
    let config =
        CloudConfig { first_delay: first, token_delay: token, ..CloudConfig::new(Provider::Replicate) };
    let account = Cloud::start(Provider::Replicate, config).await.unwrap();
    let rig = Rig::start(settings([cloud(account.url(), "replicate", LLAMA, Some("sk-test"))])).await;
    (account, rig)
}

fn ask(stream: bool) -> String {
    json!({"model": LLAMA, "stream": stream, "messages": [{"role": "user", "content": "Tell me a story."}]})
        .to_string()
}

fn paths(account: &Cloud) -> Vec<String> {
    account.requests().iter().map(|request| format!("{} {}", request.method, request.path())).collect()
}

#[tokio::test]
async fn a_call_is_a_prediction_and_its_output_the_answer() {
    let (account, rig) = account(Duration::ZERO, Duration::ZERO).await;
    let whole = ok(rig.post("/v1/chat/completions", &ask(false)).await).json();
    let text = whole["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    assert!(!text.is_empty() && whole["choices"][0]["finish_reason"] == "stop", "{whole}");
    assert!(whole["usage"]["completion_tokens"].as_u64().unwrap() > 0);
    assert_eq!(paths(&account), [format!("POST /v1/models/{LLAMA}/predictions")]);
    assert_eq!(account.requests()[0].header("prefer"), Some("wait=10"));

    let streamed = ok(rig.post("/v1/chat/completions", &ask(true)).await);
    let said: String = streamed
        .text()
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        .filter_map(|chunk| Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned()))
        .collect();
    assert_eq!(said, text, "the stream says what the answer says");
    assert!(streamed.text().ends_with("data: [DONE]\n\n"));
    let of_messages = json!({"model": LLAMA, "max_tokens": 500, "messages": [{"role": "user", "content": "Tell me a story."}]});
    let message = ok(rig.post("/v1/messages", &of_messages.to_string()).await).json();
    assert_eq!(message["content"][0]["text"], text.as_str());
    rig.at_rest().await;
    assert!(!paths(&account).iter().any(|path| path.ends_with("/cancel")), "{:?}", paths(&account));
}

/// A Replicate that answers in the order of `statuses`, the last over and over.
async fn scripted(statuses: &'static [&'static str], patience: Duration) -> (Upstream, Rig) {
    let upstream = Upstream::directed(move |_, nth| {
        let status = statuses.get(nth).or(statuses.last()).unwrap();
        let body = json!({"id": "p1", "status": status, "output": ["he", "llo"], "error": "no room"});
        Reply::json(if nth == 0 { 201 } else { 200 }, body.to_string())
    });
    let upstream = upstream.await.unwrap();
    let mut config = settings([cloud(upstream.url(), "replicate", LLAMA, Some("k"))]);
    config.retry.attempts = 1;
    config.timeouts.first_byte = patience;
    (upstream, Rig::start(config).await)
}

#[tokio::test]
async fn predictions_are_looked_at_until_they_are_over() {
    for stream in [false, true] {
        let (upstream, rig) =
            scripted(&["starting", "processing", "succeeded"], Duration::from_secs(60)).await;
        let answer = ok(rig.post("/v1/chat/completions", &ask(stream)).await);
        assert!(answer.text().contains("hello"), "{}", answer.text());
        let warned = answer.headers.get("x-trunkline-warnings").map(|value| value.to_str().unwrap());
        assert_eq!(warned, stream.then_some("stream emulated (the answer came whole)"));
        let requests = upstream.requests();
        let asked: Vec<_> = requests.iter().map(|r| (r.method.as_str(), r.path())).collect();
        let look = ("GET", "/v1/predictions/p1");
        assert_eq!(asked[1..], [look, look]);
        assert!(requests.iter().all(|request| request.header("authorization") == Some("Bearer k")));
        rig.at_rest().await;
        assert_eq!(upstream.requests().len(), 3, "one that is over is not called off");
    }
}

#[tokio::test]
async fn c78_predictions_that_come_to_nothing_are_errors() {
    let (_upstream, rig) = scripted(&["starting", "failed"], Duration::from_secs(60)).await;
    let answer = rig.post("/v1/chat/completions", &ask(false)).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(answer.text().contains("no room"), "{}", answer.text());
    // One that is never over is given up and called off.
    let (upstream, rig) = scripted(&["starting"], Duration::from_secs(1)).await;
    let answer = rig.post("/v1/chat/completions", &ask(false)).await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    let cancelled = || upstream.requests().iter().any(|r| r.path() == "/v1/predictions/p1/cancel");
    until("the prediction is called off", async || cancelled()).await;
    let (_account, rig) = account(Duration::ZERO, Duration::ZERO).await;
    let demand = |what: &str, stream: bool| ask(stream).replace("Tell me a story.", what);
    let limited = rig.post("/v1/chat/completions", &demand("simulate:rate-limit", false)).await;
    assert_eq!(limited.status, 429, "{}", limited.text());
    // A stream that breaks off does not end as if all were said.
    let cut = rig.post("/v1/chat/completions", &demand("simulate:break", true)).await;
    assert!(cut.text().contains("\"error\"") && !cut.text().contains("[DONE]"), "{}", cut.text());
}

#[tokio::test]
async fn a_client_that_leaves_calls_the_prediction_off() {
    // Far longer than the test takes.
    let (account, rig) = account(Duration::ZERO, Duration::from_secs(60)).await;
    let (asked, address) = (post("/v1/chat/completions", ask(true)), rig.address());
    let waiting = tokio::task::spawn(async move { client::ask(address, &asked).await });
    until("the stream is read", async || paths(&account).iter().any(|path| path.ends_with("/stream"))).await;
    waiting.abort();
    let cancelled = || paths(&account).iter().any(|path| path.ends_with("/cancel"));
    until("the prediction is called off", async || cancelled()).await;
    rig.at_rest().await;

    let (upstream, rig) = scripted(&["starting"], Duration::from_secs(600)).await;
    let (asked, address) = (post("/v1/chat/completions", ask(false)), rig.address());
    let waiting = tokio::task::spawn(async move { client::ask(address, &asked).await });
    until("the prediction is looked at", async || upstream.requests().len() > 1).await;
    waiting.abort();
    let cancelled = || upstream.requests().iter().any(|r| r.path() == "/v1/predictions/p1/cancel");
    until("the prediction is called off", async || cancelled()).await;
    rig.at_rest().await;
}

#[tokio::test]
async fn a_client_that_leaves_while_the_prediction_is_made_leaves_nothing_running() {
    // How the one who makes it answers when nobody waits any more, and whether that is to be called off.
    for (status, called_off) in [("processing", true), ("succeeded", false)] {
        let upstream = Upstream::directed(move |_, nth| {
            let body = json!({"id": "p1", "status": status, "output": "hello"}).to_string();
            let delay = if nth == 0 { Duration::from_millis(300) } else { Duration::ZERO };
            Reply::json(201, body).after(delay)
        });
        let upstream = upstream.await.unwrap();
        let rig = Rig::start(settings([cloud(upstream.url(), "replicate", LLAMA, Some("k"))])).await;
        let (asked, address) = (post("/v1/chat/completions", ask(false)), rig.address());
        let waiting = tokio::task::spawn(async move { client::ask(address, &asked).await });
        until("the prediction is asked for", async || upstream.requests().len() == 1).await;
        waiting.abort();
        rig.at_rest().await;
        if called_off {
            until("the prediction is called off", async || upstream.requests().len() == 2).await;
            let last = upstream.requests().pop().unwrap();
            assert_eq!((last.method.as_str(), last.path()), ("POST", "/v1/predictions/p1/cancel"));
            assert_eq!((last.header("authorization"), last.header("prefer")), (Some("Bearer k"), None));
        } else {
            // Whoever came later has been answered, and so the first would have been called off by now.
            ok(rig.post("/v1/chat/completions", &ask(false)).await);
            tokio::time::sleep(Duration::from_millis(400)).await;
            assert!(upstream.requests().iter().all(|request| !request.path().ends_with("/cancel")));
        }
    }
}

#[tokio::test]
async fn what_a_prediction_has_used_is_told_and_booked() {
    for stream in [false, true] {
        let (account, rig) = account(Duration::ZERO, Duration::ZERO).await;
        let mut body: Value = serde_json::from_str(&ask(stream)).unwrap();
        if stream {
            body["stream_options"] = json!({"include_usage": true});
        }
        let answer = ok(rig.post("/v1/chat/completions", &body.to_string()).await);
        let chunks = answer.text().lines().filter_map(|line| line.strip_prefix("data: "));
        let told = match stream {
            true => chunks.filter_map(|data| serde_json::from_str::<Value>(data).ok()).next_back().unwrap(),
            false => answer.json(),
        };
        let [input, output] = ["prompt_tokens", "completion_tokens"].map(|key| told["usage"][key].as_u64());
        let (input, output) = (input.unwrap(), output.unwrap());
        assert!(input > 0 && output > 0, "{told}");
        rig.at_rest().await;
        let line = rig.access_line("endpoint=").await;
        assert!(line.contains(&format!(" input_tokens={input} output_tokens={output} ")), "{line}");
        assert!(!line.contains("estimated"), "{line}");
        for (direction, count) in [("input", input), ("output", output)] {
            let label = format!("direction=\"{direction}\"");
            assert_eq!(rig.metric("trunkline_tokens_total", &[&label]).await, count as f64);
        }
        assert!(!paths(&account).iter().any(|path| path.ends_with("/cancel")));
    }
}

#[tokio::test]
async fn the_key_goes_to_the_provider_alone() {
    let elsewhere = Upstream::directed(|_, _| Reply::json(200, "{}")).await.unwrap();
    let stream = format!("{}/stolen", elsewhere.url());
    let body = json!({"id": "p1", "status": "succeeded", "output": "hello", "urls": {"stream": stream, "get": stream}});
    let starting = json!({"id": "p1", "status": "starting", "urls": {"stream": stream, "get": stream}});
    let upstream = Upstream::directed(move |_, nth| {
        Reply::json(200, if nth == 0 { starting.to_string() } else { body.to_string() })
    });
    let upstream = upstream.await.unwrap();
    let rig = Rig::start(settings([cloud(upstream.url(), "replicate", LLAMA, Some("k"))])).await;
    let answer = ok(rig.post("/v1/chat/completions", &ask(true)).await);
    assert!(answer.text().contains("hello"), "{}", answer.text());
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_version_names_its_model_and_a_name_cannot_leave_its_place() {
    let version = "0123456789abcdef".repeat(4);
    for (model, path) in [
        (format!("acme/tuned:{version}"), Some("/v1/predictions".to_owned())),
        ("acme/a b".to_owned(), Some("/v1/models/acme/a%20b/predictions".to_owned())),
        ("acme/a/b".to_owned(), Some("/v1/models/acme/a%2Fb/predictions".to_owned())),
        ("../x".to_owned(), None),
        ("acme/..".to_owned(), None),
        ("bare".to_owned(), None),
    ] {
        let body = json!({"id": "p1", "status": "succeeded", "output": "hello"}).to_string();
        let upstream = Upstream::directed(move |_, _| Reply::json(201, body.clone())).await.unwrap();
        let rig = Rig::start(settings([cloud(upstream.url(), "replicate", &model, Some("k"))])).await;
        let asked = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
        let answer = rig.post("/v1/chat/completions", &asked.to_string()).await;
        let requests = upstream.requests();
        assert_eq!(requests.first().map(|request| request.path().to_owned()), path, "{model}");
        assert_eq!(answer.status == 200, path.is_some(), "{model}: {}", answer.text());
        let said = requests.first().map_or(Value::Null, |request| request.json()["version"].clone());
        assert_eq!(said == version.as_str(), model.contains(':'), "{model}");
    }
}
