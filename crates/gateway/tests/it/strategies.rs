//! Pools that go by limits, and those that keep each caller with one of their members.

use crate::client::{Answer, Ask, post};
use crate::pools::{answering, asked_of, asking, backend, config, failing, pool, to};
use crate::rig::{CHAT, Rig};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use trunkline_gateway::config::{MemberSpec, PoolSpec, RouteSpec, StickyBy, Strategy, WorkerSpec};
use trunkline_testkit::script::{Reply, Upstream};

fn limited(spec: WorkerSpec, rpm: Option<u64>, tpm: Option<u64>) -> WorkerSpec {
    WorkerSpec { rpm, tpm, ..spec }
}

/// An upstream that answers chats and says each time what is left of its limits.
async fn saying(remaining: &'static str) -> Upstream {
    Upstream::directed(move |request, _| match request.path() {
        "/v1/models" => Reply::json(404, "{}"),
        _ => CHAT
            .answer(false)
            .header("x-ratelimit-limit-requests", "100")
            .header("x-ratelimit-remaining-requests", remaining)
            .header("x-ratelimit-reset-requests", "1h"),
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn limits_share_out_and_then_refuse() {
    let (a, b) = (answering(CHAT).await, answering(CHAT).await);
    let workers = vec![
        limited(backend("a", "openai", &a, "gpt-4o"), Some(6), None),
        limited(backend("b", "openai", &b, "gpt-4o"), Some(2), None),
    ];
    let rig =
        Rig::start(config(workers, vec![pool("p", Strategy::Usage, true, &[("a", 1), ("b", 1)])], vec![]))
            .await;
    for _ in 0..8 {
        assert_eq!(rig.ask(&asking("p")).await.status, 200);
    }
    assert_eq!((asked_of(&a).len(), asked_of(&b).len()), (6, 2), "by the share of each one's own");
    let refused = rig.ask(&asking("p")).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert_eq!(refused.json()["error"]["code"], "upstream_limits_reached");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((55..=65).contains(&wait), "{wait}");
    assert_eq!((asked_of(&a).len(), asked_of(&b).len()), (6, 2), "nobody was asked");
    let explained = rig.ask(&asking("p").at("/admin/v1/explain")).await;
    assert!(explained.text().contains("has no room in its limits for"), "{}", explained.text());
}

/// Whatever the strategy: the first of a chain has limits, and what is over them goes to the second.
#[tokio::test]
async fn tokens_count_when_they_are_known_and_what_is_over_goes_to_the_next() {
    let (a, b) = (answering(CHAT).await, answering(CHAT).await);
    // An answer is held for 500 tokens and turns out to be 5 with its prompt.
    let workers = vec![
        limited(backend("a", "openai", &a, "gpt-4o"), None, Some(530)),
        backend("b", "openai", &b, "gpt-4o"),
    ];
    let chain = pool("p", Strategy::Priority, false, &[("a", 1), ("b", 1)]);
    let rig = Rig::start(config(workers, vec![chain], vec![])).await;
    for _ in 0..7 {
        assert_eq!(rig.ask(&asking("p")).await.status, 200);
        rig.at_rest().await;
    }
    assert_eq!((asked_of(&a).len(), asked_of(&b).len()), (5, 2));
}

/// A request that is under way is held for: another one finds no room meanwhile.
#[tokio::test]
async fn an_estimate_is_held_while_an_answer_is_on_its_way() {
    let slow = Upstream::directed(|request, _| match request.path() {
        "/v1/models" => Reply::json(404, "{}"),
        _ => CHAT.answer(false).after(Duration::from_millis(700)),
    })
    .await
    .unwrap();
    let workers = vec![limited(backend("a", "openai", &slow, "gpt-4o"), None, Some(600))];
    let rig = Rig::start(config(workers, vec![pool("p", Strategy::Usage, true, &[("a", 1)])], vec![])).await;
    let ask = asking("p");
    let (one, other) = tokio::join!(rig.ask(&ask), rig.ask(&ask));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 429]);
    assert_eq!(rig.ask(&ask).await.status, 200, "what it held for is free again");
}

#[tokio::test]
async fn what_upstreams_say_of_their_limits_decides() {
    let (scarce, ample) = (saying("20").await, saying("90").await);
    let workers =
        vec![backend("scarce", "openai", &scarce, "gpt-4o"), backend("ample", "openai", &ample, "gpt-4o")];
    let pool = pool("p", Strategy::Usage, true, &[("scarce", 1), ("ample", 1)]);
    let rig = Rig::start(config(workers, vec![pool], vec![])).await;
    for _ in 0..10 {
        assert_eq!(rig.ask(&asking("p")).await.status, 200);
    }
    // Of neither anything is known at first; each is asked once at most before it has said so.
    assert!(asked_of(&scarce).len() <= 1 && asked_of(&ample).len() >= 9);
}

fn of_user(user: &str) -> Ask {
    let messages = json!([{"role": "user", "content": "Hi"}]);
    post(CHAT.path, json!({"model": "p", "user": user, "messages": messages}).to_string())
}

fn experiment(by: Option<StickyBy>) -> PoolSpec {
    let member = |label: &str, weight, model: &str| MemberSpec {
        label: Some(label.to_owned()),
        weight,
        model: Some(model.to_owned()),
        ..MemberSpec::new("a".to_owned())
    };
    let members = vec![member("old", 3, "gpt-4o"), member("new", 1, "gpt-4.1")];
    PoolSpec { strategy: Strategy::Ab, sticky: by, ..PoolSpec::new("p".to_owned(), members) }
}

/// Two models of one backend are compared: every user always gets the same one, about one in four the new one, and the
/// answer, the log and the metrics say which.
#[tokio::test]
async fn an_experiment_is_sticky_and_says_which_variant_answered() {
    let a = answering(CHAT).await;
    let rig =
        Rig::start(config(vec![backend("a", "openai", &a, "gpt-4o")], vec![experiment(None)], vec![])).await;
    let mut variants = BTreeMap::new();
    for round in 0..2 {
        for user in 0..40 {
            let answer = rig.ask(&of_user(&format!("user-{user}"))).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let variant = answer.header("x-trunkline-variant").to_owned();
            let model = asked_of(&a).pop().unwrap();
            assert_eq!(model, if variant == "old" { "gpt-4o" } else { "gpt-4.1" });
            let first = variants.entry(user).or_insert_with(|| variant.clone());
            assert_eq!(*first, variant, "round {round}, user {user}");
        }
    }
    let new = variants.values().filter(|variant| *variant == "new").count();
    assert!((4..=18).contains(&new), "{new} of 40");
    rig.at_rest().await;
    for (variant, users) in [("new", new), ("old", 40 - new)] {
        let labels = [&*format!("variant=\"{variant}\""), "pool=\"p\"", "outcome=\"ok\""];
        let counted = rig.metric("trunkline_variant_requests_total", &labels).await;
        assert!((counted - 2.0 * users as f64).abs() < 0.5, "{variant}: {counted}");
    }
    let line = rig.access_line("variant=new").await;
    assert!(line.contains("worker=a variant=new"), "{line}");
}

#[tokio::test]
async fn callers_are_told_apart_by_what_the_pool_says() {
    let a = answering(CHAT).await;
    for (what, by, ask) in [
        (
            "a header",
            StickyBy::Header("x-team".to_owned()),
            (|caller| asking("p").header("x-team", caller)) as fn(&str) -> Ask,
        ),
        ("a key", StickyBy::Key, |caller| asking("p").header("authorization", &format!("Bearer {caller}"))),
        ("a session", StickyBy::Session, |caller| asking("p").header("x-session-id", caller)),
    ] {
        let workers = vec![backend("a", "openai", &a, "gpt-4o")];
        let rig = Rig::start(config(workers, vec![experiment(Some(by))], vec![])).await;
        let mut variants = Vec::new();
        for caller in 0..24 {
            let ask = ask(&format!("caller-{caller}"));
            let (one, again) = (rig.ask(&ask).await, rig.ask(&ask).await);
            let [one, again] = [&one, &again].map(|answer| answer.header("x-trunkline-variant").to_owned());
            assert_eq!(one, again, "{what}: {caller}");
            variants.push(one);
        }
        variants.sort_unstable();
        variants.dedup();
        assert_eq!(variants, ["new", "old"], "{what}: callers differ");
    }
}

/// The conversation stays where its beginning is, also when it has gone on; another backend takes over when that one
/// fails.
#[tokio::test]
async fn a_conversation_stays_with_its_backend() {
    let upstreams = [answering(CHAT).await, answering(CHAT).await];
    let [a, b] = &upstreams;
    let workers = vec![backend("a", "openai", a, "gpt-4o"), backend("b", "openai", b, "gpt-4o")];
    let pool = pool("p", Strategy::Sticky, true, &[("a", 1), ("b", 9)]);
    let rig = Rig::start(config(workers, vec![pool], vec![])).await;
    let counts = || upstreams.each_ref().map(|upstream| asked_of(upstream).len());
    let mut of_first = 0;
    for n in 0..32 {
        let before = counts();
        let mut turns = vec![json!({"role": "user", "content": format!("Question {n}")})];
        for _ in 0..3 {
            let body = json!({"model": "p", "messages": turns});
            assert_eq!(rig.ask(&post(CHAT.path, body.to_string())).await.status, 200);
            turns.push(json!({"role": "assistant", "content": "hello"}));
            turns.push(json!({"role": "user", "content": "Go on"}));
        }
        let got = [0, 1].map(|at| counts()[at] - before[at]);
        assert!(got == [3, 0] || got == [0, 3], "{got:?}");
        of_first += usize::from(got == [3, 0]);
    }
    assert!((7..=25).contains(&of_first), "evenly, whatever the weights: {of_first}");
    assert_eq!(rig.ask(&asking("p")).await.header("x-trunkline-variant"), "", "it is no experiment");
}

/// A client may name the route and, among those who may answer, the backend; the answer says who it was.
#[tokio::test]
async fn clients_choose_and_are_told_who_answered() {
    let (a, b, c) = (failing(500).await, answering(CHAT).await, answering(CHAT).await);
    let workers = vec![
        backend("a", "openai", &a, "gpt-4o"),
        backend("b", "openai", &b, "gpt-4o"),
        backend("c", "openai", &c, "gpt-4o"),
    ];
    let pool = pool("p", Strategy::Priority, true, &[("a", 1), ("b", 1)]);
    let routes =
        vec![to("p"), RouteSpec { name: "aside".to_owned(), path: Some("/never".to_owned()), ..to("c") }];
    let rig = Rig::start(config(workers, vec![pool], routes)).await;
    let told = |answer: &Answer| {
        let names = ["backend", "provider", "route", "attempts", "fallbacks"];
        names.map(|name| answer.header(&format!("x-trunkline-{name}")).to_owned()).join(" ")
    };
    for (what, headers, status, want) in [
        ("as configured", &[][..], 200, "b openai to p 2 1"),
        ("by another route", &[("x-trunkline-route", "aside")], 200, "c openai aside 1 0"),
        ("by another backend", &[("x-trunkline-backend", "b")], 200, "b openai to p 1 0"),
        (
            "without others",
            &[("x-trunkline-fallbacks", "off"), ("x-trunkline-num-retries", "0")],
            500,
            "    ",
        ),
        ("by one that fails", &[("x-trunkline-backend", "a"), ("x-trunkline-num-retries", "0")], 500, "    "),
        ("by one that may not answer", &[("x-trunkline-backend", "c")], 400, "    "),
        ("by no route", &[("x-trunkline-route", "nowhere")], 400, "    "),
        ("by no word", &[("x-trunkline-fallbacks", "perhaps")], 400, "    "),
    ] {
        let ask = headers.iter().fold(asking("gpt-4o"), |ask, (name, value)| ask.header(name, value));
        let answer = rig.ask(&ask).await;
        assert_eq!((answer.status, &*told(&answer)), (status, want), "{what}: {}", answer.text());
    }
    let unknown = rig.ask(&asking("gpt-4o").header("x-trunkline-backend", "c")).await;
    assert_eq!(unknown.json()["error"]["code"], "unknown_backend");
    assert!(unknown.text().contains("there are: a, b"), "{}", unknown.text());
}
