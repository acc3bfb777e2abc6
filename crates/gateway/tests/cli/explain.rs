//! `trunkline explain`, against simulated engines.

use crate::{Run, file, trunkline};
use serde_json::Value;
use trunkline_testkit::engine::{Engine, EngineConfig, Flavour};

async fn engine(flavour: Flavour) -> Engine {
    Engine::start(EngineConfig { flavour, models: vec!["llama3".to_owned()], ..EngineConfig::default() })
        .await
        .unwrap()
}

/// Runs the binary without holding up the engines.
async fn explained(arguments: Vec<String>) -> Run {
    let run = move || {
        let mut all = vec!["explain"];
        all.extend(arguments.iter().map(String::as_str));
        trunkline(&all)
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test]
async fn the_choice_and_its_reasons_are_shown() {
    let (one, two) = (engine(Flavour::Sglang).await, engine(Flavour::Vllm).await);
    let launch =
        format!("--policy power_of_two --model-alias fast=llama3 --worker-urls {} {}", one.url(), two.url());
    let run = explained(words(&format!("--model fast --stream {launch}"))).await;
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(
        lines[..3],
        ["model   llama3, asked for as fast", "client  openai-chat, streamed", "policy  power_of_two"]
    );
    assert_eq!(words(lines[4]).join(" "), "WORKER URL MODEL STATE PRIORITY IN FLIGHT PASSAGE SCORE VERDICT");
    assert_eq!(lines.len(), 7, "{}", run.out);
    for (line, engine) in lines[5..].iter().zip([&one, &two]) {
        let words = words(line);
        assert_eq!(
            words[1..8],
            [engine.url().as_str(), "llama3", "ready", "50", "0", "splice", "1.00"],
            "{line}"
        );
    }
    let ending = |end: &str| lines.iter().filter(|line| line.ends_with(end)).count();
    assert_eq!((ending("  chosen"), ending("  could be chosen")), (1, 1), "{}", run.out);

    let run = explained(words(&format!("--model llama3 --endpoint messages --json {launch}"))).await;
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    let explanation: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(
        (&explanation["dialect"], &explanation["stream"]),
        (&"anthropic-messages".into(), &false.into())
    );
    assert_eq!(explanation["candidates"][1]["passage"], "translate to openai-chat");
    let candidates = explanation["candidates"].as_array().unwrap();
    assert!(candidates.iter().any(|c| c["worker"] == explanation["choice"]), "{explanation}");
}

#[tokio::test]
async fn a_body_says_the_rest() {
    let one = engine(Flavour::Sglang).await;
    let body = file("body.json", r#"{"messages":[],"model":"llama3","stream":true}"#);
    let run = explained(words(&format!("--body {body} --worker-urls {}", one.url()))).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.out.starts_with("model   llama3\nclient  openai-chat, streamed\n"), "{}", run.out);
    std::fs::write(&body, "{\"model\": ").unwrap();
    let run = explained(words(&format!("--body {body} --worker-urls {}", one.url()))).await;
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{run:?}");
    assert!(run.err.starts_with("trunkline: body "), "{}", run.err);
    std::fs::remove_file(body).unwrap();
}

#[tokio::test]
async fn without_a_choice_the_fault_is_told() {
    let one = engine(Flavour::Sglang).await;
    let run = explained(words(&format!("--model llama4 --worker-urls {}", one.url()))).await;
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{run:?}");
    assert_eq!(run.err, "trunkline: model `llama4` is not served here; did you mean `llama3`?\n");

    let run = explained(words(&format!("--model llama3 --endpoint chats --worker-urls {}", one.url()))).await;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.contains("endpoint is unknown; it may be chat, completions"), "{}", run.err);
}

#[tokio::test]
async fn a_model_nobody_is_known_to_serve_is_told_apart() {
    let (one, gone) = (engine(Flavour::Sglang).await, engine(Flavour::Sglang).await);
    let away = gone.url();
    gone.stop();
    let run = explained(words(&format!("--model llama4 --worker-urls {} {away}", one.url()))).await;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(
        run.err.contains("no worker is known to serve model `llama4`; 1 worker has not said yet what"),
        "{}",
        run.err
    );
    assert!(run.err.contains("did you mean `llama3`?"), "{}", run.err);
}

#[tokio::test]
async fn a_worker_that_does_not_answer_is_shown_as_such() {
    let gone = engine(Flavour::Sglang).await;
    let config = file("gone.yaml", &format!("workers:\n  - url: {}\n    models: [llama3]\n", gone.url()));
    gone.stop();
    let run = explained(words(&format!("--model llama3 --config {config}"))).await;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.out.contains("out: is pending, does not answer: "), "{}", run.out);
    assert_eq!(run.err, "trunkline: model `llama3` has 1 worker, of which none is ready; see GET /workers\n");
    std::fs::remove_file(config).unwrap();
}
