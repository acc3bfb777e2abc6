//! The mock and the load generator, against each other.

use crate::client::{get, post};
use serde_json::{Value, json};
use std::time::Duration;
use trunkline_testkit::load::{self, Mode, Plan, Report};
use trunkline_testkit::mock::{Mock, MockConfig, Pacing, Says};

fn plan(mock: &Mock, mode: Mode, body: &Value) -> Plan {
    Plan {
        mode,
        target: mock.addresses()[0],
        body: body.to_string().into_bytes(),
        connections: 4,
        warm: Duration::from_millis(50),
        window: Duration::from_millis(250),
        cpu: vec![("mock".to_owned(), vec![std::process::id()])],
        ..Plan::default()
    }
}

async fn run(plan: Plan) -> Report {
    tokio::task::spawn_blocking(move || load::run(plan)).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_mock_speaks_both_dialects() {
    let mock = Mock::start(&MockConfig {
        addresses: vec!["127.0.0.1:0".parse().unwrap(); 2],
        ..MockConfig::default()
    })
    .unwrap();
    mock.pace(Pacing { chunks: 3, ..Pacing::default() });
    for url in mock.urls() {
        let chat = post(&url, "/v1/chat/completions", &json!({"stream": false})).await.json().await;
        assert_eq!(chat["object"], "chat.completion");
        let message = post(&url, "/v1/messages", &json!({})).await.json().await;
        assert_eq!(message["type"], "message");
        assert_eq!(get(&url, "/v1/models").await.json().await["data"][0]["id"], "mock-model");
        let events = post(&url, "/v1/chat/completions", &json!({"stream": true})).await.events().await;
        assert_eq!((events.len(), events[7 - 1].data.as_str()), (7, "[DONE]"));
        assert!(events[1].json()["choices"][0]["delta"]["content"].as_str().unwrap().starts_with("t=0"));
        let events = post(&url, "/v1/messages", &json!({"stream": true})).await.events().await;
        let names: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
        assert_eq!((names.len(), names[0], names[8]), (9, "message_start", "message_stop"));
        assert_eq!(get(&url, "/nothing").await.status, 404);
    }
    let counters = get(&mock.urls()[0], "/ctl?chunks=1&burst=2&delay_ms=0.5").await.json().await;
    assert_eq!((&counters["requests"], &counters["streams"]), (&json!(12), &json!(4)));
    let events = post(&mock.urls()[1], "/v1/chat/completions", &json!({"stream": true})).await.events().await;
    assert_eq!(events.len(), 5);
}

#[tokio::test]
async fn the_mock_says_what_it_is_told_to_in_any_dialect() {
    let event = |text: &str| format!("data: {text}\n\n").into_bytes();
    let says = Says {
        whole: br#"{"a":1}"#.to_vec(),
        stream_type: "text/event-stream".to_owned(),
        stream: ["first", "more", "more", "last"].map(event).to_vec(),
    };
    let pacing = Pacing { chunks: 3, ..Pacing::default() };
    let mock = Mock::start(&MockConfig { says: Some(says), pacing, ..MockConfig::default() }).unwrap();
    let url = mock.urls().pop().unwrap();
    assert_eq!(post(&url, "/model/m/converse", &json!({"k": 1})).await.json().await, json!({"a": 1}));
    for (path, body) in
        [("/any", json!({"stream": true})), ("/v1beta/models/m:streamGenerateContent", json!({"k": 1}))]
    {
        let events = post(&url, path, &body).await.events().await;
        let said: Vec<_> = events.iter().map(|event| event.data.as_str()).collect();
        assert_eq!(said, ["first", "more", "more", "more", "last"], "{path}");
    }
}

#[tokio::test]
async fn a_stream_broken_off_is_counted() {
    let mock = Mock::start(&MockConfig::default()).unwrap();
    mock.pace(Pacing { delay: Duration::from_secs(60), ..Pacing::default() });
    let streaming = post(&mock.urls()[0], "/v1/messages", &json!({"stream": true})).await;
    assert_eq!(mock.counters().open_streams, 1);
    drop(streaming);
    // Two counters, raised and lowered one after the other.
    while mock.counters().broken == 0 || mock.counters().open_streams > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(mock.counters().broken, 1);
}

#[tokio::test]
async fn a_closed_loop_measures() {
    let mock = Mock::start(&MockConfig::default()).unwrap();
    let report = run(plan(&mock, Mode::Closed, &json!({"messages": ["SESS00 UNIQ000000"]}))).await;
    assert!(report.seen.ok > 100 && report.seen.failed == 0, "{}", report.to_json());
    let json = report.to_json();
    assert_eq!(json["statuses"]["200"], report.seen.ok);
    assert_eq!(json["latency_us"]["n"], report.seen.ok);
    let quantiles =
        ["p50", "p90", "p99", "p999", "max"].map(|name| json["latency_us"][name].as_f64().unwrap());
    assert!(quantiles[0] > 0.0 && quantiles.is_sorted(), "{quantiles:?}");
    assert!(json["cpu_us"]["mock"]["user"].is_number() && json["cpu_us"]["self"]["system"].is_number());
    assert!(mock.counters().requests >= report.seen.ok);
}

#[tokio::test]
async fn a_constant_rate_is_kept_and_stalls_are_charged() {
    let mock = Mock::start(&MockConfig::default()).unwrap();
    let report = run(plan(&mock, Mode::Rate(400.0), &json!({}))).await;
    assert!((60..=140).contains(&report.seen.ok), "{}", report.to_json());
    // One connection answering every 50 ms cannot keep up: latency grows with the backlog.
    mock.pace(Pacing { latency: Duration::from_millis(50), ..Pacing::default() });
    let report = run(Plan { connections: 1, ..plan(&mock, Mode::Rate(400.0), &json!({})) }).await;
    assert!(report.seen.latency.max() > Duration::from_millis(100), "{}", report.to_json());
    assert!(report.to_json()["backlog"].as_u64().unwrap() > 10);
}

#[tokio::test]
async fn streams_are_followed_event_by_event() {
    let mock = Mock::start(&MockConfig::default()).unwrap();
    for path in ["/v1/chat/completions", "/v1/messages"] {
        let plan = Plan { path: path.to_owned(), ..plan(&mock, Mode::Streams, &json!({"stream": true})) };
        let json = run(plan).await.to_json();
        assert!(json["ok"].as_u64().unwrap() > 10 && json["short"] == 0 && json["skewed"] == 0, "{json}");
        assert!(
            json["one_way_us"]["n"].as_u64().unwrap() > 640
                && json["first_event_us"]["n"].as_u64().unwrap() > 10,
            "{json}"
        );
    }
    let json = run(plan(&mock, Mode::Streams, &json!({}))).await.to_json();
    assert_eq!(
        (&json["short"], &json["events"]),
        (&json["ok"], &json!(0)),
        "no stream at all is a short one"
    );
}

#[tokio::test]
async fn held_streams_stay_open() {
    let mock = Mock::start(&MockConfig::default()).unwrap();
    mock.pace(Pacing { chunks: 10_000, delay: Duration::from_millis(10), ..Pacing::default() });
    let report =
        run(Plan { connections: 50, ..plan(&mock, Mode::Hold(1000.0), &json!({"stream": true})) }).await;
    assert_eq!((report.alive, report.seen.failed, report.seen.ok), (50, 0, 0));
    assert!(report.seen.events > 500, "{}", report.to_json());
}

#[tokio::test]
async fn failures_and_mistakes_are_reported() {
    let mock = Mock::start(&MockConfig::default()).unwrap();
    let missing =
        run(Plan { path: "/nothing".to_owned(), ..plan(&mock, Mode::Closed, &json!({})) }).await.to_json();
    assert_eq!((&missing["ok"], &missing["refused"]), (&json!(0), &missing["statuses"]["404"]));
    let gone = plan(&mock, Mode::Closed, &json!({}));
    mock.stop();
    assert!(run(gone).await.seen.failed > 0);
    for bad in [
        Plan { target: "10.0.0.1:80".parse().unwrap(), ..Plan::default() },
        Plan { mode: Mode::Rate(0.0), ..Plan::default() },
    ] {
        assert!(load::run(bad).is_err());
    }
}
