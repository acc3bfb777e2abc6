//! Pools and routes: who answers, what it is asked for, and who does when it fails.

use crate::client::{Answer, Ask, post};
use crate::rig::{CHAT, MESSAGES, Rig, Speech, settings};
use serde_json::{Value, json};
use trunkline_core::Secret;
use trunkline_gateway::config::{
    Config, ContentRule, CostSpec, MemberSpec, ModelCard, PoolSpec, RouteSpec, Strategy, Unpriced, WorkerSpec,
};
use trunkline_testkit::script::{Reply, Upstream};

/// A backend with a default model.
pub(crate) fn backend(name: &str, provider: &str, upstream: &Upstream, default: &str) -> WorkerSpec {
    WorkerSpec {
        name: Some(name.to_owned()),
        provider: Some(provider.to_owned()),
        api_key: Some(Secret::new(format!("key-of-{name}"))),
        default_model: Some(default.to_owned()),
        ..WorkerSpec::new(upstream.url())
    }
}

pub(crate) async fn answering(speech: Speech) -> Upstream {
    Upstream::directed(move |request, _| {
        if request.path() == "/v1/models" {
            return Reply::json(404, "{}");
        }
        speech.answer(request.json()["stream"] == true)
    })
    .await
    .unwrap()
}

pub(crate) async fn failing(status: u16) -> Upstream {
    Upstream::directed(move |request, _| match request.path() {
        "/v1/models" => Reply::json(404, "{}"),
        _ => Reply::json(status, r#"{"error":{"message":"no","type":"server_error"}}"#),
    })
    .await
    .unwrap()
}

pub(crate) fn pool(name: &str, strategy: Strategy, fallback: bool, members: &[(&str, u32)]) -> PoolSpec {
    let member =
        |(name, weight): &(&str, u32)| MemberSpec { weight: *weight, ..MemberSpec::new((*name).to_owned()) };
    let backends = members.iter().map(member).collect();
    PoolSpec { strategy, fallback, ..PoolSpec::new(name.to_owned(), backends) }
}

pub(crate) fn to(backend: &str) -> RouteSpec {
    RouteSpec { name: format!("to {backend}"), backend: backend.to_owned(), ..RouteSpec::default() }
}

pub(crate) fn asking(model: &str) -> Ask {
    post(
        CHAT.path,
        json!({"model": model, "messages": [{"role": "user", "content": "Hi there"}]}).to_string(),
    )
}

/// The models that `upstream` was asked for.
pub(crate) fn asked_of(upstream: &Upstream) -> Vec<String> {
    let asked = upstream.requests().into_iter().filter(|request| request.body.len() > 2);
    asked.map(|request| request.json()["model"].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn substituted(answer: &Answer) -> Option<&str> {
    answer.headers.get("x-trunkline-model-substituted").map(|value| value.to_str().unwrap())
}

pub(crate) fn config(workers: Vec<WorkerSpec>, pools: Vec<PoolSpec>, routes: Vec<RouteSpec>) -> Config {
    Config { pools, routes, ..settings(workers) }
}

#[tokio::test]
async fn another_provider_answers_with_its_own_model_when_the_first_fails() {
    for stream in [false, true] {
        let (openai, anthropic) = (failing(503).await, answering(MESSAGES).await);
        let workers = vec![
            backend("openai-backend", "openai", &openai, "gpt-4o"),
            backend("anthropic-backend", "anthropic", &anthropic, "claude-3-5-sonnet-20241022"),
        ];
        let pool =
            pool("llm-pool", Strategy::Priority, true, &[("openai-backend", 70), ("anthropic-backend", 30)]);
        let route =
            RouteSpec { path: Some(CHAT.path.to_owned()), methods: vec!["POST".into()], ..to("llm-pool") };
        let rig = Rig::start(config(workers, vec![pool], vec![route])).await;
        let body =
            json!({"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]});
        let answer = rig.ask(&post(CHAT.path, body.to_string())).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().contains("hello"), "{}", answer.text());
        assert_eq!(substituted(&answer), Some("claude-3-5-sonnet-20241022"));
        assert_eq!(asked_of(&openai), ["gpt-4o"]);
        assert_eq!(asked_of(&anthropic), ["claude-3-5-sonnet-20241022"]);
        let told = &anthropic.requests().pop().unwrap();
        assert_eq!(told.header("x-api-key"), Some("key-of-anthropic-backend"));
        let line = rig.access_line("anthropic-backend:200").await;
        assert!(line.contains("attempts=openai-backend:503,anthropic-backend:200"), "{line}");
    }
}

#[tokio::test]
async fn without_fallback_whoever_was_chosen_answers_alone() {
    let (openai, other) = (failing(503).await, answering(CHAT).await);
    let mut first = backend("first", "openai", &openai, "gpt-4o");
    first.max_retries = Some(1);
    let workers = vec![first, backend("second", "openai", &other, "gpt-4o")];
    let pool = pool("p", Strategy::Priority, false, &[("first", 1), ("second", 1)]);
    let rig = Rig::start(config(workers, vec![pool], vec![to("p")])).await;
    let answer = rig.ask(&asking("gpt-4o")).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!((asked_of(&openai).len(), asked_of(&other).len()), (2, 0));
}

#[tokio::test]
async fn weights_share_out_and_none_takes_out() {
    let (a, b, c) = (answering(CHAT).await, answering(CHAT).await, answering(CHAT).await);
    let workers = vec![
        backend("a", "openai", &a, "gpt-4o"),
        backend("b", "openai", &b, "gpt-4o"),
        backend("c", "openai", &c, "gpt-4o"),
    ];
    let pool = pool("p", Strategy::RoundRobin, true, &[("a", 3), ("b", 1), ("c", 0)]);
    let rig = Rig::start(config(workers, vec![pool], vec![])).await;
    for _ in 0..8 {
        assert_eq!(rig.ask(&asking("p")).await.status, 200);
    }
    assert_eq!([&a, &b, &c].map(|upstream| asked_of(upstream).len()), [6, 2, 0]);
}

#[tokio::test]
async fn the_cheapest_is_asked_and_who_has_no_price_comes_last() {
    let upstreams = [answering(CHAT).await, answering(CHAT).await, answering(CHAT).await];
    let [free, dear, cheap] = &upstreams;
    let priced = |spec: WorkerSpec, prices: &[&str]| {
        let prices = prices.iter().map(|price| (*price).to_owned()).collect();
        WorkerSpec { prices, ..spec }
    };
    let workers = vec![
        backend("unpriced", "openai", free, "of-nobody"),
        priced(backend("dear", "openai", dear, "gpt-4o"), &["input 5", "output 15"]),
        priced(backend("cheap", "openai", cheap, "gpt-4o"), &["input 4", "output 15"]),
    ];
    let members = [("unpriced", 1), ("dear", 9), ("cheap", 1)];
    let rig = Rig::start(config(workers, vec![pool("p", Strategy::Cost, true, &members)], vec![])).await;
    for _ in 0..3 {
        assert_eq!(rig.ask(&asking("p")).await.status, 200);
    }
    assert_eq!(upstreams.each_ref().map(|upstream| asked_of(upstream).len()), [0, 0, 3]);
}

/// What a pool does not want to pay is asked in no case.
#[tokio::test]
async fn who_takes_too_much_is_left_out() {
    let upstreams = [answering(CHAT).await, answering(CHAT).await];
    let [unpriced, priced] = &upstreams;
    let workers = || {
        // 500 tokens of an answer are a cent, and the prompt is next to nothing.
        let prices = vec!["input 0.1".to_owned(), "output 20".to_owned()];
        vec![
            backend("unpriced", "openai", unpriced, "of-nobody"),
            WorkerSpec { prices, ..backend("priced", "openai", priced, "gpt-4o") },
        ]
    };
    let members = [("unpriced", 1), ("priced", 1)];
    for (max_price, policy, want) in [
        (None, Unpriced::Last, Some("priced")),
        (Some(0.011), Unpriced::Last, Some("priced")),
        (Some(0.009), Unpriced::Last, Some("unpriced")),
        (Some(0.009), Unpriced::Skip, None),
        (None, Unpriced::Skip, Some("priced")),
    ] {
        let cost = CostSpec { max_price, unpriced: policy };
        let pool = PoolSpec { cost, ..pool("p", Strategy::Cost, true, &members) };
        let rig = Rig::start(config(workers(), vec![pool], vec![])).await;
        let answer = rig.ask(&asking("p")).await;
        let explained = rig.ask(&asking("p").at("/admin/v1/explain")).await.json();
        assert_eq!(explained["choice"].as_str(), want, "{cost:?}: {explained}");
        if want.is_none() {
            assert_eq!(answer.status, 400, "{cost:?}: {}", answer.text());
            assert_eq!(answer.json()["error"]["code"], "price_limit_exceeded");
            let why: Vec<_> =
                explained["candidates"].as_array().unwrap().iter().map(|c| &c["filtered"]).collect();
            assert_eq!(why, ["has no known price", "takes more for this than `cost.max_price`"]);
        }
    }
    assert_eq!(upstreams.each_ref().map(|upstream| asked_of(upstream).len()), [1, 3]);
}

#[tokio::test]
async fn a_pool_can_be_asked_for_by_name_and_by_alias() {
    let upstream = answering(CHAT).await;
    let workers = vec![backend("a", "openai", &upstream, "gpt-4o")];
    let mut settings = config(workers, vec![pool("smart", Strategy::Priority, false, &[("a", 1)])], vec![]);
    settings.aliases.insert("best".into(), "smart".into());
    let rig = Rig::start(settings).await;
    for name in ["smart", "best"] {
        let answer = rig.ask(&asking(name)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(asked_of(&upstream), ["gpt-4o", "gpt-4o"]);
    let list = rig.get("/v1/models").await.json();
    let ids: Vec<&str> = list["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&"smart"), "{ids:?}");
}

#[tokio::test]
async fn members_are_asked_for_what_they_are_said_to_have() {
    let (always, mapped) = (answering(CHAT).await, answering(CHAT).await);
    let mut second = backend("mapped", "openai", &mapped, "x");
    second.models = vec![ModelCard::Name("gpt-4.1-nano".into())];
    let workers = vec![backend("always", "openai", &always, "x"), second];
    let named = MemberSpec { model: Some("gpt-4o-mini".into()), ..MemberSpec::new("always".into()) };
    let map = [("small".to_owned(), "gpt-4.1-nano".to_owned())];
    let map = MemberSpec { model_map: map.into(), ..MemberSpec::new("mapped".into()) };
    let pools = vec![PoolSpec::new("one".into(), vec![named]), PoolSpec::new("two".into(), vec![map])];
    let routes = vec![
        RouteSpec { models: vec!["tiny".into()], ..to("one") },
        RouteSpec { models: vec!["sm*".into()], ..to("two") },
    ];
    let rig = Rig::start(config(workers, pools, routes)).await;
    for model in ["tiny", "small"] {
        let answer = rig.ask(&asking(model)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(substituted(&answer), None, "the operator meant it");
    }
    // Nobody stands in where that was not allowed.
    let answer = rig.ask(&asking("smaller")).await;
    let body = answer.json();
    assert_eq!((answer.status, body["error"]["code"].as_str()), (404, Some("model_not_found")), "{body}");
    assert_eq!(
        (asked_of(&always), asked_of(&mapped)),
        (vec!["gpt-4o-mini".into()], vec!["gpt-4.1-nano".into()])
    );
}

#[tokio::test]
async fn routes_look_at_what_a_request_is() {
    let upstreams =
        [answering(CHAT).await, answering(CHAT).await, answering(CHAT).await, answering(CHAT).await];
    let names = ["plain", "header", "content", "pattern"];
    let workers = names
        .iter()
        .zip(&upstreams)
        .map(|(name, upstream)| backend(name, "openai", upstream, "gpt-4o"))
        .collect();
    let routes = vec![
        RouteSpec { priority: 200, path: Some("/v1/chat/*".into()), ..to("plain") },
        RouteSpec { headers: [("x-team".to_owned(), "red".to_owned())].into(), ..to("header") },
        RouteSpec { content: Some(ContentRule::Contains("SECRET plan".into())), ..to("content") },
        RouteSpec { content: Some(ContentRule::Regex("^[0-9]+$".into())), ..to("pattern") },
    ];
    let rig = Rig::start(config(workers, vec![], routes)).await;
    let saying =
        |text: &str| json!({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}).to_string();
    let asks = [
        ("plain", post(CHAT.path, saying("hello"))),
        ("header", post(CHAT.path, saying("hello")).header("x-team", "red")),
        ("plain", post(CHAT.path, saying("hello")).header("x-team", "blue")),
        ("content", post(CHAT.path, saying("my \"secret plan\""))),
        ("pattern", post(CHAT.path, saying("12345"))),
    ];
    let mut want = [0; 4];
    for (to, ask) in asks {
        let answer = rig.ask(&ask).await;
        assert_eq!(answer.status, 200, "{to}: {}", answer.text());
        want[names.iter().position(|name| *name == to).unwrap()] += 1;
        let got = upstreams.each_ref().map(|upstream| asked_of(upstream).len());
        assert_eq!(got, want, "{to}");
        let explained = rig.ask(&ask.at("/admin/v1/explain")).await.json();
        assert_eq!(explained["route"], format!("to {to}"), "{explained}");
        assert_eq!(explained["choice"], to, "{explained}");
    }
    // Whoever says who is to answer is taken at their word.
    let answer = rig.ask(&asking("gpt-4o").header("x-provider", "pattern")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(asked_of(&upstreams[3]).len(), 2);
}

#[tokio::test]
async fn a_model_left_out_is_the_backends_own() {
    let upstream = answering(CHAT).await;
    let workers = vec![backend("a", "openai", &upstream, "gpt-4o")];
    let rig = Rig::start(config(workers, vec![], vec![to("a")])).await;
    let body = json!({"messages": [{"role": "user", "content": "hi"}]}).to_string();
    let answer = rig.ask(&post(CHAT.path, body.as_str())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(asked_of(&upstream), ["gpt-4o"]);
}

#[tokio::test]
async fn accounts_of_one_provider_are_told_apart_by_their_names() {
    let upstream = answering(CHAT).await;
    let mut one = backend("one", "openai", &upstream, "gpt-4o");
    one.organization = Some("org-1".into());
    let workers = vec![one, backend("two", "openai", &upstream, "gpt-4o")];
    let pool = pool("p", Strategy::RoundRobin, true, &[("one", 1), ("two", 1)]);
    let rig = Rig::start(config(workers, vec![pool], vec![])).await;
    for _ in 0..2 {
        assert_eq!(rig.ask(&asking("p")).await.status, 200);
    }
    let asked: Vec<_> = upstream.requests().into_iter().filter(|request| request.body.len() > 2).collect();
    let told: Vec<_> =
        asked.iter().map(|r| (r.header("authorization"), r.header("openai-organization"))).collect();
    assert_eq!(told, [(Some("Bearer key-of-one"), Some("org-1")), (Some("Bearer key-of-two"), None)]);
    let ids: Vec<Value> = rig.workers().await.into_iter().map(|worker| worker["id"].clone()).collect();
    assert_eq!(ids, ["one", "two"]);
}

#[tokio::test]
async fn a_pool_without_a_model_says_what_to_set() {
    let openai = answering(CHAT).await;
    let plain = WorkerSpec { default_model: None, ..backend("one", "openai", &openai, "") };
    let mut config =
        config(vec![plain], vec![pool("both", Strategy::Priority, true, &[("one", 1)])], vec![to("both")]);
    config.aliases.insert("fast".to_owned(), "both".to_owned());
    let rig = Rig::start(config).await;
    let what = "of which no backend has a `default_model`; set one, or ask for a model by its name";
    for (body, way) in [
        (CHAT.body("fast", false), "`fast` is an alias of the pool `both`"),
        (CHAT.body("both", false), "`both` is a pool"),
        (format!("{{{}}}", CHAT.prompt), "`model` is missing, and the way leads to `both`"),
    ] {
        let answer = rig.ask(&post(CHAT.path, body)).await;
        assert_eq!(answer.status, 404, "{}", answer.text());
        assert_eq!(CHAT.error(&answer.json()), format!("{way}, {what}"));
    }
}
