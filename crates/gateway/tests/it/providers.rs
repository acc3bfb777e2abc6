//! Whose model answers: said by `X-Provider`, by the model's name before a slash, or by neither.

use crate::client::{Answer, Ask, post};
use crate::rig::{CHAT, MESSAGES, Rig, Speech, cloud, engine, settings};
use serde_json::{Value, json};
use trunkline_gateway::config::{Config, ModelCard, WorkerSpec};
use trunkline_testkit::script::{Reply, Upstream};

/// An upstream that lists `models` and answers as `speech` does.
async fn listing(speech: Speech, models: &'static [&'static str]) -> Upstream {
    Upstream::directed(move |request, _| {
        if request.path() == "/v1/models" {
            let list: Vec<Value> = models.iter().map(|id| json!({"id": id, "object": "model"})).collect();
            return Reply::json(200, json!({"object": "list", "data": list, "has_more": false}).to_string());
        }
        speech.answer(false)
    })
    .await
    .unwrap()
}

/// An account whose models are found out.
fn account(upstream: &Upstream, provider: &str) -> WorkerSpec {
    WorkerSpec {
        provider: Some(provider.to_owned()),
        api_key: Some(trunkline_core::Secret::new("k")),
        ..WorkerSpec::new(upstream.url())
    }
}

fn asking(model: &str, headers: &[(&str, &str)]) -> Ask {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]}).to_string();
    headers.iter().fold(post(CHAT.path, body.as_str()), |ask, (name, value)| ask.header(name, value))
}

/// The models that `upstream` was asked for.
fn asked_of(upstream: &Upstream) -> Vec<String> {
    let asked = upstream.requests().into_iter().filter(|request| request.body.len() > 2);
    asked.map(|request| request.json()["model"].as_str().unwrap().to_owned()).collect()
}

fn error(answer: &Answer) -> (u16, String, String) {
    let body = answer.json();
    let text = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
    (answer.status, text("code"), text("message"))
}

/// OpenAI, a reseller of everything, and an engine with a model that looks like OpenAI's.
struct World {
    openai: Upstream,
    reseller: Upstream,
    engine: Upstream,
    rig: Rig,
}

async fn world() -> World {
    let openai = listing(CHAT, &["gpt-4o"]).await;
    let reseller = listing(CHAT, &["openai/gpt-4o", "openai/gpt-oss-120b", "gpt-4o"]).await;
    let own = listing(CHAT, &["openai/gpt-oss-120b"]).await;
    let engine = WorkerSpec { models: vec![], ..engine(own.url(), "") };
    let rig =
        Rig::start(settings([account(&openai, "openai"), account(&reseller, "openrouter"), engine])).await;
    crate::rig::until("all models are known", async || {
        rig.shared().fleet.snapshot().workers.iter().all(|worker| !worker.models.is_empty())
    })
    .await;
    World { openai, reseller, engine: own, rig }
}

#[tokio::test]
async fn the_provider_is_the_one_that_was_named() {
    for (model, headers, of) in [
        ("openai/gpt-4o", &[][..], ("openai", "gpt-4o")),
        ("OpenAI/gpt-4o", &[], ("openai", "gpt-4o")),
        ("openai/gpt-new", &[], ("openai", "gpt-new")),
        ("openrouter/openai/gpt-4o", &[], ("openrouter", "openai/gpt-4o")),
        // What an engine serves goes by its whole name.
        ("openai/gpt-oss-120b", &[], ("engine", "openai/gpt-oss-120b")),
        ("openai/gpt-oss-120b", &[("x-provider", "openrouter")], ("openrouter", "openai/gpt-oss-120b")),
        ("openai/gpt-4o", &[("x-provider", "openrouter")], ("openrouter", "openai/gpt-4o")),
        ("openrouter/openai/gpt-4o", &[("x-provider", "openrouter")], ("openrouter", "openai/gpt-4o")),
        ("gpt-4o", &[("x-provider", "OpenAI")], ("openai", "gpt-4o")),
        ("gpt-4o", &[("x-provider", "openrouter")], ("openrouter", "gpt-4o")),
        ("openai/gpt-4o", &[("x-provider", "openai")], ("openai", "gpt-4o")),
        ("anything", &[("x-provider", "openai")], ("openai", "anything")),
        ("gpt-4o", &[("x-provider", " ")], ("openai", "gpt-4o")),
    ] {
        let World { openai, reseller, engine, rig } = world().await;
        let answer = rig.ask(&asking(model, headers)).await;
        assert_eq!(answer.status, 200, "{model} {headers:?}: {}", answer.text());
        let all = [("openai", &openai), ("openrouter", &reseller), ("engine", &engine)];
        let mut asked = all.map(|(name, upstream)| (name, asked_of(upstream)));
        asked.sort_by_key(|(_, models)| models.is_empty());
        let [(name, models), rest @ ..] = asked;
        assert!(rest.iter().all(|(_, models)| models.is_empty()), "{model} {headers:?}");
        assert_eq!((name, models), (of.0, vec![of.1.to_owned()]), "{model} {headers:?}");
        for upstream in [&openai, &reseller, &engine] {
            let told = upstream.requests();
            assert!(told.iter().all(|request| request.header("x-provider").is_none()), "the header left");
        }
    }
}

#[tokio::test]
async fn a_provider_of_another_dialect_is_translated_for() {
    let anthropic = listing(MESSAGES, &["claude-3-5-sonnet-20241022"]).await;
    let rig = Rig::start(settings([account(&anthropic, "anthropic")])).await;
    let ask = asking("claude-3-5-sonnet-20241022", &[("x-provider", "anthropic")]);
    let answer = rig.ask(&ask).await.json();
    assert_eq!(answer["choices"][0]["message"]["content"], "hello", "{answer}");
    assert_eq!(asked_of(&anthropic), ["claude-3-5-sonnet-20241022"]);
}

#[tokio::test]
async fn a_provider_that_is_not_here_or_lacks_the_model_is_an_error_that_says_so() {
    let openai = listing(CHAT, &["gpt-4o"]).await;
    let rig = Rig::start(settings([cloud(openai.url(), "openai", "gpt-4o", None)])).await;
    for (model, header, status, code, says) in [
        (
            "gpt-4o",
            "mistral",
            400,
            "unknown_provider",
            "`mistral`, of which there are no workers here; there are: openai",
        ),
        ("gpt-4o", "nobody", 400, "unknown_provider", "there are: openai"),
        // The operator wrote down what is wanted of it.
        ("gpt-5", "openai", 404, "model_not_found", "`gpt-5` is not served by `openai`"),
    ] {
        let (got, got_code, message) = error(&rig.ask(&asking(model, &[("x-provider", header)])).await);
        assert_eq!((got, got_code.as_str()), (status, code), "{message}");
        assert!(message.contains(says), "{message}");
    }
    let (status, _, message) = error(
        &rig.ask(&asking("gpt-4o", &[("x-provider", "openai"), ("x-trunkline-fallback", "maybe")])).await,
    );
    assert_eq!(status, 400, "{message}");
    assert!(message.contains("`x-trunkline-fallback` must be `true` or `false`"), "{message}");
    assert!(asked_of(&openai).is_empty());
}

/// Two accounts that serve one model, of which the first is out of order.
async fn broken_and_whole() -> (Upstream, Upstream, Config) {
    let broken = Upstream::directed(|_, _| Reply::json(503, "{}")).await.unwrap();
    let whole = listing(CHAT, &[]).await;
    let specs = [cloud(broken.url(), "groq", "m", None), cloud(whole.url(), "together", "m", None)];
    (broken, whole, settings(specs))
}

#[tokio::test]
async fn who_names_a_provider_gets_no_other_unless_it_says_so() {
    for (more, status, tried) in [
        (None, 503, 0),
        (Some(("x-trunkline-fallback", "false")), 503, 0),
        (Some(("x-trunkline-fallback", "true")), 200, 1),
    ] {
        let (broken, whole, config) = broken_and_whole().await;
        let rig = Rig::start(config).await;
        let headers: Vec<_> = [("x-provider", "groq")].into_iter().chain(more).collect();
        let answer = rig.ask(&asking("m", &headers)).await;
        assert_eq!(answer.status, status, "{more:?}: {}", answer.text());
        assert!(!asked_of(&broken).is_empty(), "{more:?}: the one that was named is asked first");
        assert_eq!(asked_of(&whole).len(), tried, "{more:?}");
    }
}

#[tokio::test]
async fn a_fallback_is_also_for_models_that_the_named_one_does_not_serve() {
    let (one, two) = (listing(CHAT, &[]).await, listing(CHAT, &[]).await);
    let rig =
        Rig::start(settings([cloud(one.url(), "groq", "m", None), cloud(two.url(), "together", "n", None)]))
            .await;
    for (fallback, status) in [("false", 404), ("true", 200)] {
        let ask = asking("n", &[("x-provider", "groq"), ("x-trunkline-fallback", fallback)]);
        assert_eq!(rig.ask(&ask).await.status, status, "{fallback}");
    }
    assert_eq!((asked_of(&one).len(), asked_of(&two).len()), (0, 1));
}

#[tokio::test]
async fn explain_sees_the_header() {
    let World { rig, openai, .. } = world().await;
    let body = json!({"model": "openai/gpt-4o", "messages": []}).to_string();
    let explained = rig.post("/admin/v1/explain", &body).await.json();
    assert_eq!((&explained["asked"], &explained["model"]), (&json!("openai/gpt-4o"), &json!("gpt-4o")));
    let candidates = explained["candidates"].as_array().unwrap();
    let urls: Vec<_> = candidates.iter().map(|candidate| candidate["url"].as_str().unwrap()).collect();
    assert_eq!(urls, [openai.url()], "{explained}");
    let ask = post("/admin/v1/explain", body.as_str()).header("x-provider", "mistral");
    assert_eq!(rig.ask(&ask).await.json()["error"]["code"], "unknown_provider");
}

#[tokio::test]
async fn models_are_shown_under_the_names_they_can_be_asked_by() {
    let World { rig, .. } = world().await;
    let shown = rig.get("/v1/models/openai/gpt-4o").await;
    assert_eq!(shown.json()["owned_by"], "openai", "{}", shown.text());
    assert_eq!(rig.get("/v1/models/mistral/gpt-4o").await.status, 404);
}

#[tokio::test]
async fn engines_are_named_by_what_they_are() {
    let upstream = listing(CHAT, &[]).await;
    let spec = WorkerSpec {
        runtime: Some(trunkline_gateway::config::RuntimeName::Ollama),
        models: vec![ModelCard::Name("qwen3".to_owned())],
        ..WorkerSpec::new(upstream.url())
    };
    let rig = Rig::start(settings([spec])).await;
    for (model, headers) in [("qwen3", &[("x-provider", "ollama")][..]), ("ollama/qwen3", &[])] {
        let answer = rig.ask(&asking(model, headers)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(asked_of(&upstream), ["qwen3", "qwen3"]);
}

#[tokio::test]
async fn an_engine_that_lists_nothing_is_not_said_to_have_whatever_is_asked_about() {
    let silent = Upstream::directed(|_, _| Reply::json(404, "{}")).await.unwrap();
    let spec = WorkerSpec { models: vec![], ..engine(silent.url(), "") };
    let rig = Rig::start_unready(settings([spec])).await;
    let shown = rig.get("/v1/models/llama4").await;
    assert_eq!(shown.status, 404, "{}", shown.text());
}

/// Without its own list, a provider's models are those of the catalogue, each by a name that leads to it.
#[tokio::test]
async fn what_a_provider_does_not_list_the_catalogue_does() {
    let silent = Upstream::directed(|_, _| Reply::json(404, "{}")).await.unwrap();
    let other = Upstream::directed(|_, _| Reply::json(404, "{}")).await.unwrap();
    let rig = Rig::start(settings([account(&silent, "openai"), account(&other, "groq")])).await;
    let listed = rig.get("/v1/models").await.json();
    let models: Vec<_> =
        listed["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    for known in ["gpt-4o", "text-embedding-3-small", "groq/llama-3.3-70b-versatile"] {
        assert!(models.contains(&known), "{known} is not among {models:?}");
    }
    assert!(!models.iter().any(|model| model.contains("claude")), "nobody here has these: {models:?}");
    for model in &models {
        let shown = rig.get(&format!("/v1/models/{model}")).await;
        assert_eq!(shown.status, 200, "{model} is listed: {}", shown.text());
        let owner = listed["data"].as_array().unwrap().iter().find(|one| one["id"] == **model).unwrap();
        assert_eq!(shown.json()["owned_by"], owner["owned_by"], "{model}");
    }
}

#[tokio::test]
async fn moderations_without_a_model_are_of_the_usual_one() {
    const PATH: &str = "/v1/moderations";
    let openai =
        Upstream::directed(|_, _| Reply::json(200, r#"{"id":"m","model":"x","results":[]}"#)).await.unwrap();
    let rig = Rig::start(settings([cloud(openai.url(), "openai", "omni-moderation-latest", None)])).await;
    let answer = rig.post(PATH, r#"{"input":"words"}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(asked_of(&openai), ["omni-moderation-latest"]);
    let rig = Rig::start(settings([cloud(openai.url(), "openai", "gpt-4o", None)])).await;
    let (status, code, message) = error(&rig.post(PATH, r#"{"input":"words"}"#).await);
    assert_eq!((status, code.as_str()), (400, "missing_required_parameter"));
    assert!(
        message.starts_with("`model` is missing, and `omni-moderation-latest`, which is meant then, is not"),
        "{message}"
    );
}
