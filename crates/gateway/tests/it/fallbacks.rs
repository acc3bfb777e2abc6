//! Fallbacks by class of failure: where a request goes on that those it was meant for have failed.

use crate::client::{Answer, Ask, post};
use crate::pools::{answering, asked_of, backend, config, failing, pool, substituted};
use crate::rig::{CHAT, MESSAGES, Rig, Speech, cloud};
use serde_json::json;
use trunkline_gateway::config::{Config, Fallbacks, ModelFacts, Strategy, WorkerSpec};
use trunkline_testkit::script::{Reply, Upstream};

fn list(targets: &[&str]) -> Vec<String> {
    targets.iter().map(|target| (*target).to_owned()).collect()
}

fn asking(speech: Speech, model: &str, text: &str, stream: bool) -> Ask {
    let body = json!({"model": model, "stream": stream, "max_tokens": 10, "messages": [{"role": "user", "content": text}]});
    post(speech.path, body.to_string())
}

/// An upstream that refuses prompts by what they say, in its owner's words, and answers all others.
async fn particular(speech: Speech) -> Upstream {
    let directed = Upstream::directed(move |request, _| {
        let refused = |code: &str, why: &str| {
            let said = if speech.is_messages() {
                json!({"type": "error", "error": {"type": "invalid_request_error", "message": why}})
            } else {
                json!({"error": {"type": "invalid_request_error", "code": code, "message": why}})
            };
            Reply::json(400, said.to_string())
        };
        let body = request.json();
        match body["messages"][0]["content"].to_string() {
            text if text.contains("long") => {
                refused("context_length_exceeded", "prompt is too long: 9 tokens > 8 maximum")
            }
            text if text.contains("wicked") => {
                refused("content_policy_violation", "Output blocked by content filtering policy")
            }
            text if text.contains("broken") => Reply::json(503, r#"{"error":{"message":"no","type":"x"}}"#),
            text if text.contains("bad") => refused("x", "no such thing"),
            _ => speech.answer(body["stream"] == true),
        }
    });
    directed.await.unwrap()
}

/// Four models of one account each, of which the first has a fallback for every class.
async fn four(speech: Speech) -> (Config, Vec<Upstream>) {
    let provider = if speech.is_messages() { "anthropic" } else { "openai" };
    let mut upstreams = vec![particular(speech).await];
    for _ in 0..3 {
        upstreams.push(answering(speech).await);
    }
    let names = ["first", "large", "lenient", "other"];
    let workers =
        names.iter().zip(&upstreams).map(|(name, at)| backend(name, provider, at, &format!("{name}-model")));
    let pools = names.map(|name| pool(&format!("{name}-pool"), Strategy::Priority, true, &[(name, 1)]));
    let mut settings = config(workers.collect(), pools.into(), vec![]);
    settings.retry.attempts = 1;
    let fallbacks = Fallbacks {
        context_window: list(&["large-pool"]),
        content_policy: list(&["lenient-pool"]),
        default: list(&["other-pool"]),
    };
    settings.fallbacks.insert("first-pool".into(), fallbacks);
    (settings, upstreams)
}

#[tokio::test]
async fn each_class_of_failure_has_targets_of_its_own() {
    for (client, upstream) in [(CHAT, CHAT), (MESSAGES, MESSAGES), (MESSAGES, CHAT)] {
        let (settings, upstreams) = four(upstream).await;
        let rig = Rig::start(settings).await;
        for stream in [false, true] {
            for (text, want) in
                [("Hi", "first"), ("long", "large"), ("wicked", "lenient"), ("broken", "other"), ("bad", "")]
            {
                // Only OpenAI has a code for it that is one and the same.
                if text == "wicked" && upstream.is_messages() {
                    continue;
                }
                let what = format!("{text} from {} to {} stream {stream}", client.path, upstream.path);
                let before: Vec<_> = upstreams.iter().map(|at| asked_of(at).len()).collect();
                let answer = rig.ask(&asking(client, "first-pool", text, stream)).await;
                let asked = upstreams.iter().zip(before).map(|(at, before)| asked_of(at).len() - before);
                let asked: Vec<_> = asked.collect();
                let is_of = |name: &str| usize::from(want == name);
                assert_eq!(asked, [1, is_of("large"), is_of("lenient"), is_of("other")], "{what}");
                if want.is_empty() {
                    assert_eq!(answer.status, 400, "{what}: {}", answer.text());
                    continue;
                }
                assert_eq!(answer.status, 200, "{what}: {}", answer.text());
                assert!(answer.text().contains("hello"), "{what}: {}", answer.text());
                // Who asks for a pool is told which model answers.
                let model = format!("{want}-model");
                assert_eq!(substituted(&answer), Some(model.as_str()), "{what}");
            }
        }
        for class in ["context_window", "default"] {
            let labels = ["model=\"(pool first-pool)\"", &format!("class=\"{class}\"")];
            let counted = rig.metric("trunkline_fallbacks_total", &labels).await;
            assert!((counted - 2.0).abs() < 1e-9, "{class}: {counted}");
        }
        rig.at_rest().await;
    }
}

/// Who is asked for a model rather than a pool has fallbacks by its name, or else by the star; they may be models.
#[tokio::test]
async fn models_and_everything_else_have_fallbacks() {
    let (broken, good) = (failing(503).await, answering(CHAT).await);
    let account = |name: &str, url: String, provider: &str, model: &str| WorkerSpec {
        name: Some(name.into()),
        ..cloud(url, provider, model, Some("k"))
    };
    let workers = vec![
        account("a", broken.url(), "openai", "m"),
        account("b", broken.url(), "groq", "n"),
        account("c", good.url(), "openai", "o"),
    ];
    let mut settings = config(workers, vec![], vec![]);
    settings.retry.attempts = 1;
    settings.aliases.insert("short".into(), "n".into());
    let to = |targets: &[&str]| Fallbacks { default: list(targets), ..Fallbacks::default() };
    settings.fallbacks = [("m".to_owned(), to(&["n", "nobody", "o"])), ("*".to_owned(), to(&["o"]))].into();
    let rig = Rig::start(settings).await;
    let ask = async |model: &str, headers: &[(&str, &str)]| -> Answer {
        let ask = asking(CHAT, model, "Hi", false);
        let ask = headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
        rig.ask(&ask).await
    };
    for (model, headers, asked, want) in [
        ("m", &[][..], vec!["m", "n"], Some("o")),
        ("n", &[], vec!["n"], Some("o")),
        ("short", &[], vec!["n"], Some("o")),
        ("m", &[("x-provider", "openai")], vec!["m"], None),
        ("m", &[("x-trunkline-num-retries", "0")], vec!["m"], None),
        ("m", &[("x-trunkline-num-retries", "1")], vec!["m", "n"], None),
    ] {
        let before = asked_of(&broken).len();
        let answer = ask(model, headers).await;
        assert_eq!(asked_of(&broken)[before..], asked, "{model} {headers:?}");
        assert_eq!(answer.status, if want.is_some() { 200 } else { 503 }, "{model} {headers:?}");
        assert_eq!(substituted(&answer), want, "{model} {headers:?}");
    }
}

/// A prompt that is known to be too long for all of a pool goes to who takes it, unasked; so does one for a pool of
/// which nobody is ready.
#[tokio::test]
async fn what_is_known_beforehand_is_not_tried() {
    let (mut settings, upstreams) = four(CHAT).await;
    for (model, context) in [("openai/first-model", 500), ("openai/large-model", 9000)] {
        let facts = ModelFacts { context: Some(context), ..ModelFacts::default() };
        settings.catalog.models.insert(model.into(), facts);
    }
    let large = settings.fallbacks.get_mut("first-pool").unwrap();
    large.context_window = list(&["first-pool", "large-pool"]);
    let rig = Rig::start(settings).await;
    let ask = asking(CHAT, "first-pool", &"word ".repeat(900), false);
    let answer = rig.ask(&ask).await;
    assert_eq!((answer.status, substituted(&answer)), (200, Some("large-model")), "{}", answer.text());
    assert_eq!(upstreams.iter().map(|at| asked_of(at).len()).collect::<Vec<_>>(), [0, 1, 0, 0]);
    let explained = rig.ask(&ask.at("/admin/v1/explain")).await.json();
    assert_eq!((&explained["pool"], &explained["choice"]), (&json!("large-pool"), &json!("large")));

    let snapshot = rig.shared().fleet.snapshot();
    // A worker that is not probed would be given another chance whenever its task wakes; this one is not.
    snapshot.workers[0].load.set_health(trunkline_core::Health::Draining);
    let answer = rig.ask(&asking(CHAT, "first-pool", "Hi", false)).await;
    assert_eq!((answer.status, substituted(&answer)), (200, Some("other-model")), "{}", answer.text());
}

/// A region that was demanded holds for fallbacks, too, and what nobody could be asked for says what was wrong first.
#[tokio::test]
async fn a_demanded_region_holds_for_fallbacks() {
    let (mut settings, upstreams) = four(CHAT).await;
    for (worker, region) in settings.workers.iter_mut().zip(["eu", "us", "eu", "us"]) {
        worker.region = Some(region.into());
    }
    let fallbacks = settings.fallbacks.get_mut("first-pool").unwrap();
    fallbacks.default = list(&["other-pool", "lenient-pool"]);
    settings.pools[0].region = Some("EU".into());
    let rig = Rig::start(settings).await;
    for (text, status) in [("long", 400), ("broken", 200)] {
        let answer = rig.ask(&asking(CHAT, "first-pool", text, false)).await;
        assert_eq!(answer.status, status, "{text}: {}", answer.text());
    }
    assert_eq!(upstreams.iter().map(|at| asked_of(at).len()).collect::<Vec<_>>(), [2, 0, 1, 0]);
}
