//! Routes that go by what a request says of itself.

use crate::client::{Ask, post};
use crate::pools::{answering, asked_of, backend, config, to};
use crate::rig::{CHAT, MESSAGES, Rig};
use serde_json::{Value, json};
use trunkline_gateway::config::{RouteSpec, WhenSpec, WindowSpec};

fn when(condition: Value) -> RouteSpec {
    RouteSpec { when: Some(WhenSpec(condition)), ..to("special") }
}

/// A chat, with these fields in addition.
fn chat(more: Value) -> Ask {
    post(CHAT.path, body(more))
}

fn body(more: Value) -> String {
    let mut body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body.to_string()
}

#[tokio::test]
async fn routes_take_what_they_are_meant_for() {
    let (special, usual) = (answering(CHAT).await, answering(CHAT).await);
    let picture = json!([{"role": "user", "content": [
        {"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]);
    let tool = json!({"tools": [{"type": "function", "function": {"name": "f"}}]});
    let closed = WindowSpec { days: vec!["mon".into()], ..WindowSpec::default() };
    let cases: Vec<(&str, RouteSpec, Ask, bool)> = vec![
        (
            "metadata",
            when(json!({"metadata.plan": "paid"})),
            chat(json!({"metadata": {"plan": "paid"}})),
            true,
        ),
        (
            "other metadata",
            when(json!({"metadata.plan": "paid"})),
            chat(json!({"metadata": {"plan": "free"}})),
            false,
        ),
        ("no metadata", when(json!({"metadata.plan": "paid"})), chat(json!({})), false),
        (
            "metadata in a header",
            when(json!({"metadata.plan": {"$in": ["paid"]}})),
            chat(json!({"metadata": {"plan": "free"}})).header("x-trunkline-metadata", r#"{"plan":"paid"}"#),
            true,
        ),
        (
            "a parameter",
            when(json!({"params.temperature": {"$gt": 0.5}})),
            chat(json!({"temperature": 1})),
            true,
        ),
        (
            "a lower one",
            when(json!({"params.temperature": {"$gt": 0.5}})),
            chat(json!({"temperature": 0})),
            false,
        ),
        ("the model", when(json!({"params.model": {"$regex": "^gpt"}})), chat(json!({})), true),
        ("a stream", when(json!({"params.stream": true})), chat(json!({"stream": true})), true),
        ("no stream", when(json!({"params.stream": false})), chat(json!({})), true),
        ("the path", when(json!({"url.path": CHAT.path})), chat(json!({})), true),
        (
            "a header",
            when(json!({"headers.x-team": {"$ne": "red"}})),
            chat(json!({})).header("x-team", "red"),
            false,
        ),
        (
            "a parameter of the address",
            RouteSpec { query: [("tier".to_owned(), "a b".to_owned())].into(), ..to("special") },
            chat(json!({})).at("/v1/chat/completions?x=1&tier=a%20b"),
            true,
        ),
        (
            "another",
            RouteSpec { query: [("tier".to_owned(), "a".to_owned())].into(), ..to("special") },
            chat(json!({})).at("/v1/chat/completions?tier=b"),
            false,
        ),
        (
            "the dialect",
            RouteSpec { dialects: vec!["openai-chat".into()], ..to("special") },
            chat(json!({})),
            true,
        ),
        (
            "another dialect",
            RouteSpec { dialects: vec!["openai-chat".into()], ..to("special") },
            post(MESSAGES.path, body(json!({"max_tokens": 9}))),
            false,
        ),
        (
            "a short prompt",
            RouteSpec { min_prompt_tokens: Some(50), ..to("special") },
            chat(json!({})),
            false,
        ),
        (
            "a long one",
            RouteSpec { min_prompt_tokens: Some(50), max_prompt_tokens: Some(1000), ..to("special") },
            chat(json!({"messages": [{"role": "user", "content": "word ".repeat(100)}]})),
            true,
        ),
        (
            "a picture",
            RouteSpec { has_image: Some(true), ..to("special") },
            chat(json!({"messages": picture})),
            true,
        ),
        ("no picture", RouteSpec { has_image: Some(true), ..to("special") }, chat(json!({})), false),
        ("none wanted", RouteSpec { has_image: Some(false), ..to("special") }, chat(json!({})), true),
        ("tools", RouteSpec { has_tools: Some(true), ..to("special") }, chat(tool.clone()), true),
        ("no tools", RouteSpec { has_tools: Some(true), ..to("special") }, chat(json!({"tools": []})), false),
        ("nobody is drawn", RouteSpec { percent: 0.0, ..to("special") }, chat(json!({})), false),
        (
            "always open",
            RouteSpec { during: Some(WindowSpec::default()), ..to("special") },
            chat(json!({})),
            true,
        ),
        (
            "never open",
            RouteSpec {
                during: Some(closed),
                when: Some(WhenSpec(json!({"params.none": 1}))),
                ..to("special")
            },
            chat(json!({})),
            false,
        ),
    ];
    for (what, route, ask, is_special) in cases {
        let workers = vec![
            backend("special", "openai", &special, "gpt-4o"),
            backend("usual", "openai", &usual, "gpt-4o"),
        ];
        let last = RouteSpec { priority: 100, ..to("usual") };
        let rig = Rig::start(config(workers, vec![], vec![route, last])).await;
        let before = asked_of(&special).len();
        let answer = rig.ask(&ask).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        assert_eq!(asked_of(&special).len() - before == 1, is_special, "{what}");
    }
}

#[tokio::test]
async fn a_share_of_what_fits_is_drawn() {
    let (special, usual) = (answering(CHAT).await, answering(CHAT).await);
    let workers =
        vec![backend("special", "openai", &special, "gpt-4o"), backend("usual", "openai", &usual, "gpt-4o")];
    let routes = vec![RouteSpec { percent: 30.0, ..to("special") }, to("usual")];
    let rig = Rig::start(config(workers, vec![], routes)).await;
    for _ in 0..200 {
        assert_eq!(rig.ask(&chat(json!({}))).await.status, 200);
    }
    let drawn = asked_of(&special).len();
    assert!((25..=100).contains(&drawn), "{drawn} of 200");
    assert_eq!(drawn + asked_of(&usual).len(), 200);
}
