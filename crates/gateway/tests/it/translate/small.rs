//! Clients of Ollama's endpoints and of legacy Completions, and upstreams that speak Cohere's dialect.

use super::ok;
use crate::client::events;
use crate::rig::{CHAT, COMPLETIONS, MESSAGES, Rig, cloud, engine, settings};
use serde_json::{Value, json};
use std::time::Duration;
use trunkline_gateway::config::{RuntimeName, WorkerSpec};
use trunkline_testkit::script::{Reply, Upstream};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn c60_ollama_clients_get_lines_unless_they_say_otherwise() {
    for server in [CHAT, MESSAGES] {
        let upstream = Upstream::directed(move |request, _| server.answer(request.json()["stream"] == true));
        let upstream = upstream.await.unwrap();
        let rig = Rig::start(settings([server.worker(upstream.url())])).await;
        for (path, prompt) in [("/api/chat", CHAT.prompt), ("/api/generate", COMPLETIONS.prompt)] {
            let said = |line: &Value| {
                let text = if path == "/api/chat" { &line["message"]["content"] } else { &line["response"] };
                text.as_str().unwrap().to_owned()
            };
            let answer = ok(rig.post(path, &format!("{{\"model\":\"m\",{prompt}}}")).await);
            assert_eq!(answer.header("content-type"), "application/x-ndjson", "{path} of {}", server.path);
            let lines = lines(answer.text());
            assert_eq!(lines.iter().map(said).collect::<String>(), "hello");
            let last = lines.last().unwrap();
            assert_eq!((&last["done"], &last["done_reason"]), (&json!(true), &json!("stop")));
            // The other server's script counts nothing in a stream.
            assert!(last["eval_count"] == 2 || !server.is_messages(), "{last}");

            let answer = ok(rig.post(path, &format!("{{\"model\":\"m\",\"stream\":false,{prompt}}}")).await);
            assert_eq!(answer.header("content-type"), "application/json");
            let whole = answer.json();
            assert_eq!(
                (said(&whole).as_str(), &whole["done"], &whole["prompt_eval_count"]),
                ("hello", &json!(true), &json!(3))
            );
        }
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn c79_ollama_clients_are_told_errors_in_their_shape() {
    let upstream = Upstream::directed(|_, _| Reply::overloaded()).await.unwrap();
    let mut config = settings([MESSAGES.worker(upstream.url())]);
    config.retry.attempts = 1;
    let rig = Rig::start(config).await;
    let answer = rig.post("/api/chat", &format!("{{\"model\":\"m\",{}}}", CHAT.prompt)).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.json()["error"].is_string(), "{}", answer.text());
    rig.at_rest().await;
}

#[tokio::test]
async fn completions_clients_reach_conversations() {
    let upstream = Upstream::directed(|request, _| MESSAGES.answer(request.json()["stream"] == true));
    let upstream = upstream.await.unwrap();
    let rig = Rig::start(settings([MESSAGES.worker(upstream.url())])).await;
    let whole = ok(rig.ask(&COMPLETIONS.ask(false)).await).json();
    assert_eq!(
        (&whole["object"], &whole["choices"][0]["text"]),
        (&json!("text_completion"), &json!("hello"))
    );
    assert_eq!(whole["usage"]["total_tokens"], 5);
    let answer = ok(rig.ask(&COMPLETIONS.ask(true)).await);
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    let said = |event: &crate::client::Event| {
        event.json()["choices"][0]["text"].as_str().unwrap_or_default().to_owned()
    };
    let chunks = events(answer.text().replace("data: [DONE]\n\n", "").as_bytes());
    assert_eq!(chunks.iter().map(said).collect::<String>(), "hello");

    let before = upstream.requests().len();
    let answer = rig.post(COMPLETIONS.path, r#"{"model":"m","prompt":["a","b"]}"#).await;
    assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!("prompt")));
    assert_eq!(upstream.requests().len(), before);
    rig.at_rest().await;
}

#[tokio::test]
async fn c40_cohere_answers_openai_clients() {
    const WHOLE: &str = r#"{"id":"r","finish_reason":"COMPLETE","message":{"role":"assistant","content":[{"type":"text","text":"hello"}]},"usage":{"tokens":{"input_tokens":3,"output_tokens":2}}}"#;
    const STREAM: [&str; 3] = [
        "event: message-start\ndata: {\"id\":\"r\",\"type\":\"message-start\",\"delta\":{\"message\":{\"role\":\"assistant\"}}}\n\n",
        "event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"hello\"}}}}\n\n",
        "event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"COMPLETE\",\"usage\":{\"tokens\":{\"input_tokens\":3,\"output_tokens\":2}}}}\n\n",
    ];
    let upstream = Upstream::directed(|request, _| match request.json()["stream"] == true {
        true => Reply::events(STREAM, std::time::Duration::ZERO),
        false => Reply::json(200, WHOLE),
    });
    let upstream = upstream.await.unwrap();
    let rig = Rig::start(settings([cloud(upstream.url(), "cohere", "m", None)])).await;
    let whole = ok(rig.ask(&CHAT.ask(false)).await).json();
    assert_eq!(
        (&whole["choices"][0]["message"]["content"], &whole["usage"]["total_tokens"]),
        (&json!("hello"), &json!(5))
    );
    let answer = ok(rig.ask(&CHAT.ask(true)).await);
    assert!(answer.text().contains("\"content\":\"hello\"") && answer.text().ends_with("data: [DONE]\n\n"));
    assert!(upstream.requests().iter().all(|request| request.path() == "/v2/chat"));
    rig.at_rest().await;
}

/// What an Ollama server says to `/api/generate` passes, as a stream and whole, and is counted.
#[tokio::test]
async fn generate_passes_to_servers_of_its_own_kind() {
    let line = |text: &str, end: &str| {
        format!(r#"{{"model":"m","created_at":"2026-01-01T00:00:00Z","response":"{text}","done":{end}}}"#)
    };
    let end = r#"true,"done_reason":"stop","prompt_eval_count":3,"eval_count":2"#;
    let stream = format!("{}\n{}\n{}\n", line("hel", "false"), line("lo", "false"), line("", end));
    let whole = line("hello", end);
    let (streamed, said) = (stream.clone(), whole.clone());
    let upstream = Upstream::directed(move |request, _| match request.json()["stream"] == false {
        true => Reply::json(200, said.clone()),
        false => Reply::stream("application/x-ndjson", [streamed.clone()], Duration::ZERO),
    });
    let upstream = upstream.await.unwrap();
    let worker = WorkerSpec { runtime: Some(RuntimeName::Ollama), ..engine(upstream.url(), "m") };
    let rig = Rig::start(settings([worker])).await;
    for (streams, want) in [("", &stream), (r#","stream":false"#, &whole)] {
        let body = format!(r#"{{"model":"m","prompt":"hi","keep_alive":7{streams}}}"#);
        let answer = ok(rig.post("/api/generate", &body).await);
        assert_eq!(answer.text(), want);
        let line = rig.access_line("end=done").await;
        assert!(line.contains("input_tokens=3 output_tokens=2") && line.contains("finish=stop"), "{line}");
        rig.at_rest().await;
    }
    assert!(upstream.requests().iter().filter(|request| request.path() == "/api/generate").count() == 2);
}
