//! Who is left out before a strategy picks: what cannot serve a request, and what is elsewhere.

use crate::client::{Ask, post};
use crate::pools::{answering, asked_of, asking, backend, config, pool, to};
use crate::rig::{CHAT, MESSAGES, Rig, Speech};
use serde_json::{Value, json};
use trunkline_gateway::config::{MemberSpec, ModelFacts, RouteSpec, Strategy, WorkerSpec};
use trunkline_testkit::script::Upstream;

/// Why each backend was left out, as `explain` tells.
pub(crate) async fn left_out(rig: &Rig, ask: &Ask) -> Vec<(String, Option<String>)> {
    let explained = rig.ask(&ask.clone().at("/admin/v1/explain")).await.json();
    let considered = explained["candidates"].as_array().unwrap_or_else(|| panic!("{explained}")).iter();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    considered.map(|one| (text(&one["worker"]).unwrap(), text(&one["filtered"]))).collect()
}

fn chat(content: &Value, more: &Value) -> Ask {
    let mut body = json!({"model": "p", "messages": [{"role": "user", "content": content}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post(CHAT.path, body.to_string())
}

/// A first backend whose model is known to lack everything, and a second of which nothing is known.
async fn unequal(speech: Speech) -> (Rig, [Upstream; 2]) {
    let upstreams = [answering(speech).await, answering(speech).await];
    let [first, second] = &upstreams;
    let provider = if speech.path == MESSAGES.path { "anthropic" } else { "openai" };
    let workers =
        vec![backend("plain", provider, first, "plain-1"), backend("able", provider, second, "able-1")];
    let pool = pool("p", Strategy::Priority, true, &[("plain", 1), ("able", 1)]);
    let mut settings = config(workers, vec![pool], vec![]);
    let facts = ModelFacts {
        context: Some(2000),
        cannot: ["vision", "audio_in", "pdf", "tools", "schema"].map(str::to_owned).into(),
        ..ModelFacts::default()
    };
    settings.catalog.models.insert(format!("{provider}/plain-1"), facts);
    (Rig::start(settings).await, upstreams)
}

#[tokio::test]
async fn what_cannot_serve_a_request_is_put_aside() {
    let (rig, [plain, able]) = unequal(CHAT).await;
    let none = json!({});
    let picture = json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]);
    let schema = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}});
    let tools = json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]});
    for (ask, reason, word) in [
        (chat(&picture, &none), "images", "sees no pictures"),
        (chat(&json!("Hi"), &tools), "tools", "calls no tools"),
        (chat(&json!("Hi"), &schema), "schema", "answers by no schema"),
        (chat(&json!("word ".repeat(4000)), &none), "context_window", "takes 2000 tokens"),
    ] {
        let before = (asked_of(&plain).len(), asked_of(&able).len());
        let answer = rig.ask(&ask).await;
        assert_eq!(answer.status, 200, "{reason}: {}", answer.text());
        assert_eq!((asked_of(&plain).len(), asked_of(&able).len()), (before.0, before.1 + 1), "{reason}");
        let why = left_out(&rig, &ask).await;
        assert_eq!(why[0].0, "plain");
        assert!(why[0].1.as_ref().unwrap().contains(word), "{reason}: {why:?}");
        assert_eq!(why[1], ("able".to_owned(), None), "{reason}");
        let labels = ["worker=\"plain\"", &format!("reason=\"{reason}\"")];
        let counted = rig.metric("trunkline_candidates_put_aside_total", &labels).await;
        assert!((counted - 1.0).abs() < 1e-9, "{reason}: {counted}");
    }
    assert_eq!(rig.ask(&asking("p")).await.status, 200);
    assert_eq!(asked_of(&plain), ["plain-1"], "what it can do it does");
}

/// Where a codec has a way around what a model lacks, that is no reason.
#[tokio::test]
async fn what_is_made_up_for_is_no_reason() {
    let (rig, [plain, able]) = unequal(MESSAGES).await;
    let schema = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}});
    let answer = rig.ask(&chat(&json!("Hi"), &schema)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!((asked_of(&plain).len(), asked_of(&able).len()), (1, 0));
}

#[tokio::test]
async fn nobody_is_put_aside_unless_another_remains() {
    let upstreams = [answering(CHAT).await, answering(CHAT).await];
    let [first, second] = &upstreams;
    let workers = vec![backend("a", "openai", first, "one"), backend("b", "openai", second, "two")];
    let pool = pool("p", Strategy::Priority, true, &[("a", 1), ("b", 1)]);
    let mut settings = config(workers, vec![pool], vec![]);
    for model in ["openai/one", "openai/two"] {
        let facts = ModelFacts { cannot: vec!["tools".into()], ..ModelFacts::default() };
        settings.catalog.models.insert(model.into(), facts);
    }
    let rig = Rig::start(settings).await;
    let tools = json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]});
    let ask = chat(&json!("Hi"), &tools);
    assert_eq!(rig.ask(&ask).await.status, 200);
    assert_eq!((asked_of(first).len(), asked_of(second).len()), (1, 0), "the strategy decides");
    assert!(left_out(&rig, &ask).await[0].1.is_none());
}

/// Two backends for one model, one of them in Europe.
async fn two_regions(routes: Vec<RouteSpec>, region: Option<&str>) -> (Rig, [Upstream; 2]) {
    let upstreams = [answering(CHAT).await, answering(CHAT).await];
    let place = |spec: WorkerSpec, region: &str| WorkerSpec { region: Some(region.to_owned()), ..spec };
    let workers = vec![
        place(backend("there", "openai", &upstreams[0], "gpt-4o"), "us"),
        place(backend("here", "openai", &upstreams[1], "gpt-4o"), "EU"),
    ];
    let mut outer = pool("p", Strategy::Priority, true, &[("inner", 1)]);
    outer.region = region.map(str::to_owned);
    let inner = pool("inner", Strategy::Priority, true, &[("there", 1), ("here", 1)]);
    (Rig::start(config(workers, vec![outer, inner], routes)).await, upstreams)
}

#[tokio::test]
async fn a_region_is_demanded_by_header_route_and_pool() {
    let route = |region: &str| vec![RouteSpec { region: Some(region.to_owned()), ..to("p") }];
    for (what, routes, of_pool, header, want) in [
        ("nobody", vec![], None, None, Ok("there")),
        ("the client", vec![], None, Some("eu"), Ok("here")),
        ("the route", route("eu"), None, None, Ok("here")),
        ("the pool around", vec![], Some("eu"), None, Ok("here")),
        ("all of them", route("EU"), Some("eu"), Some("Eu"), Ok("here")),
        ("the client, what nobody is", vec![], None, Some("mars"), Err((400, "`mars`"))),
        ("the client, what the route is not", route("eu"), None, Some("us"), Err((503, "`eu`"))),
        ("the route, what nobody is", route("mars"), None, None, Err((503, "`mars`"))),
        ("the pool, what nobody is", vec![], Some("mars"), None, Err((503, "`mars`"))),
    ] {
        let (rig, [there, here]) = two_regions(routes, of_pool).await;
        let mut ask = asking("p");
        if let Some(region) = header {
            ask = ask.header("x-trunkline-region", region);
        }
        let answer = rig.ask(&ask).await;
        let asked =
            [("there", &there), ("here", &here)].into_iter().filter(|(_, at)| !asked_of(at).is_empty());
        let asked: Vec<_> = asked.map(|(name, _)| name).collect();
        match want {
            Ok(name) => {
                assert_eq!((answer.status, asked), (200, vec![name]), "{what}: {}", answer.text());
                let why =
                    left_out(&rig, &ask).await.into_iter().find(|(worker, _)| worker != name).unwrap().1;
                let is_elsewhere = why.is_some_and(|why| why.starts_with("is not in region"));
                assert_eq!(is_elsewhere, name == "here", "{what}");
            }
            Err((status, named)) => {
                assert_eq!((answer.status, asked), (status, vec![]), "{what}: {}", answer.text());
                assert_eq!(answer.json()["error"]["code"], "region_not_available", "{what}");
                assert!(answer.text().contains(named), "{what}: {}", answer.text());
            }
        }
    }
}

/// A demanded region outlasts failover: who is elsewhere is not asked even when nobody else is left.
#[tokio::test]
async fn a_demanded_region_is_never_left() {
    let (there, here) = (answering(CHAT).await, crate::pools::failing(503).await);
    let mut workers =
        vec![backend("here", "openai", &here, "gpt-4o"), backend("there", "openai", &there, "gpt-4o")];
    workers[0].region = Some("eu".into());
    let mut pool = pool("p", Strategy::Priority, true, &[("here", 1), ("there", 1)]);
    pool.backends.push(MemberSpec { model: Some("gpt-4o-mini".into()), ..MemberSpec::new("there".into()) });
    let rig = Rig::start(config(workers, vec![pool], vec![])).await;
    let answer = rig.ask(&asking("p").header("x-trunkline-region", "eu")).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(asked_of(&there).len(), 0);
}
