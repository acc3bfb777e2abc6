//! What every client trips over.

use super::{Server, answered, asking, chat_alone, google, heard, look, streamed};
use crate::rig::{CHAT, MESSAGES, RESPONSES, Rig, cloud, settings};
use serde_json::{Value, json};
use std::time::Duration;
use trunkline_testkit::script::{Reply, Upstream};

/// Every spelling of server-sent events at once: a mark, a comment, all line ends, data in two lines and without a
/// blank, an event of another name, characters of several bytes, and no blank line at the end.
const ODD: &str = concat!(
    "\u{feff}: hello\n\n",
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\r\n",
    "data: \"delta\":{\"role\":\"assistant\",\"content\":\"é\"},\"finish_reason\":null}]}\r\n\r\n",
    "id: 7\nretry: 9\ndata:{\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"🌧 \"},\"finish_reason\":null}]}\n\n",
    ": still here\r\r",
    "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"語\"},\"finish_reason\":\"stop\"}]}\r\r",
    "data: [DONE]",
);

#[tokio::test]
async fn trap46_events_are_read_however_they_are_spelled_and_cut() {
    let text = |events: &[crate::client::Event]| -> String {
        events.iter().filter_map(|event| event.json()["delta"]["text"].as_str().map(str::to_owned)).collect()
    };
    let whole = streamed(|url| CHAT.worker(url), ODD, &MESSAGES.ask(true)).await;
    assert_eq!(
        (text(&whole).as_str(), whole.last().unwrap().name.as_str()),
        ("é🌧 語", "message_stop"),
        "{whole:?}"
    );
    let reply = Reply::events([ODD], Duration::ZERO).drip(Duration::ZERO);
    let cut = answered(|url| CHAT.worker(url), reply, &MESSAGES.ask(true)).await.events();
    assert_eq!(
        (text(&cut).as_str(), cut.last().unwrap().name.as_str()),
        ("é🌧 語", "message_stop"),
        "{cut:?}"
    );
}

#[tokio::test]
async fn trap47_numbers_keep_their_spelling() {
    const SEED: &str = "9223372036854775807";
    let body = format!(
        r#"{{"model":"m","seed":{SEED},"temperature":0.70,"tools":[{{"type":"function","function":{{"name":"look","parameters":{{"type":"object","properties":{{"n":{{"type":"number","minimum":1.0,"maximum":12345678901234567890}}}}}}}}}}],"messages":[{{"role":"user","content":"go"}},{{"role":"assistant","content":null,"tool_calls":[{{"id":"a","type":"function","function":{{"name":"look","arguments":"{{\"n\":1.0,\"k\":1,\"b\":12345678901234567890}}"}}}}]}},{{"role":"tool","tool_call_id":"a","content":"r"}}]}}"#
    );
    let reply = r#"{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"look","args":{"n":1.0,"k":1,"b":12345678901234567890}}}]},"finishReason":"STOP","index":0}]}"#;
    let called = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"tool_use","id":"toolu_1","name":"look","input":{"n":1.0,"k":1,"b":12345678901234567890}}],"stop_reason":"tool_use","usage":{"input_tokens":3,"output_tokens":9}}"#;
    let mistral: Server = |url| cloud(url, "mistral", "m", None);
    let told_back = CHAT.reply.replace(
        r#""content":"hello""#,
        r#""content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"look","arguments":"{\"n\":1.0,\"k\":1,\"b\":12345678901234567890}"}}]"#,
    );
    let servers: [(Server, String); 3] =
        [(google, reply.to_owned()), (|url| MESSAGES.worker(url), called.to_owned()), (mistral, told_back)];
    for (worker, reply) in servers {
        let upstream = Upstream::replying([Reply::json(200, reply)]).await.unwrap();
        let worker = worker(upstream.url());
        let takes_sampling = worker.provider.as_deref() == Some("mistral");
        let rig = Rig::start(settings([worker])).await;
        let answer = rig.post(CHAT.path, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let told = String::from_utf8(upstream.requests().pop().unwrap().body.to_vec()).unwrap();
        // Arguments are a text in one of the dialects.
        let told = told.replace('\\', "");
        for number in ["\"minimum\":1.0", r#""n":1.0,"k":1,"b":12345678901234567890"#] {
            assert!(told.contains(number), "{number} in {told}");
        }
        let sampling = [format!("\"random_seed\":{SEED}"), "\"temperature\":0.70".to_owned()];
        assert!(!takes_sampling || sampling.iter().all(|setting| told.contains(setting)), "{told}");
        let answer = answer.json();
        assert!(answer["created"].is_u64(), "{answer}");
        assert_eq!(
            answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"],
            r#"{"n":1.0,"k":1,"b":12345678901234567890}"#
        );
    }
    // Seconds with a fraction, as some servers send them.
    let fraction = CHAT.reply.replace("\"created\":1,", "\"created\":1.5,");
    let responses = answered(chat_alone, Reply::json(200, fraction), &RESPONSES.ask(false)).await.json();
    assert!(responses["created_at"].is_u64(), "{responses}");
}

#[tokio::test]
async fn trap50_headers_that_come_twice_arrive_twice_or_joined() {
    let upstream = Upstream::replying([MESSAGES.answer(false).header("x-own", "a").header("x-own", "b")]);
    let upstream = upstream.await.unwrap();
    let rig = Rig::start(settings([MESSAGES.worker(upstream.url())])).await;
    let ask = MESSAGES
        .ask(false)
        .header("Anthropic-Beta", "one-2025-01-01")
        .header("anthropic-beta", "two-2025-01-01,three-2025-01-01");
    let answer = rig.ask(&ask).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = upstream.requests().pop().unwrap();
    let betas: Vec<_> = told
        .headers
        .get_all("anthropic-beta")
        .iter()
        .flat_map(|value| value.to_str().unwrap().split(','))
        .map(str::trim)
        .collect();
    assert_eq!(betas, ["one-2025-01-01", "two-2025-01-01", "three-2025-01-01"]);
    let own: Vec<_> = answer.headers.get_all("x-own").iter().collect();
    assert_eq!(own, ["a", "b"], "two headers stay two");
}

#[tokio::test]
async fn trap56_a_strict_schema_is_kept_or_refused_or_said_to_be_lost() {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false});
    let format = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": schema}}});
    let ask = |model: &str| {
        let mut format = format.clone();
        format["model"] = json!(model);
        asking(CHAT, &format)
    };
    // An older Claude has no such setting: a tool that it must call stands in for it.
    let claude = |url: String| cloud(url, "anthropic", "claude-3-5-haiku-latest", Some("sk-ant-x"));
    let (told, warned) = heard(claude, MESSAGES.answer(false), &ask("claude-3-5-haiku-latest")).await;
    assert!(told["tools"][0]["input_schema"].to_string().contains("city"), "{told}");
    assert_eq!(told["tool_choice"]["type"], "tool", "{told}");
    assert!(warned.contains("response_format emulated"), "{warned}");

    let replicate = |url: String| cloud(url, "replicate", "meta/llama-3", Some("k"));
    let done = Reply::json(201, r#"{"id":"p1","status":"succeeded","output":["{}"]}"#);
    let (told, warned) = heard(replicate, done, &ask("meta/llama-3")).await;
    assert!(told["input"].to_string().contains("city"), "the model is told in words: {told}");
    assert!(warned.contains("response_format emulated"), "{warned}");
    // A tool's schema is no different.
    let mut tools = look(CHAT);
    tools[0]["function"]["strict"] = json!(true);
    let (told, warned) = heard(
        |url| cloud(url, "mistral", "mistral-large-latest", Some("k")),
        CHAT.answer(false),
        &asking(CHAT, &json!({"model": "mistral-large-latest", "tools": tools})),
    )
    .await;
    let kept = told["tools"][0]["function"]["strict"] == Value::Bool(true);
    assert!(kept || warned.contains("strict"), "{warned}: {told}");
}
