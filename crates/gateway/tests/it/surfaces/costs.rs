//! What calls that are no conversation cost: in the log, in the metrics and, where it is known in time, in the header;
//! to the last digit, by what each of them is sold by.

use super::{TRANSCRIBE, field, file, form, upload};
use crate::client::{Ask, post};
use crate::rig::{Rig, cloud, engine, settings};
use serde_json::json;
use std::time::Duration;
use trunkline_testkit::script::{Reply, Upstream};

const HEADER: &str = "x-trunkline-cost-usd";
const SPEECH: &str = "/v1/audio/speech";
const IMAGES: &str = "/v1/images/generations";
const TOKENS: &str = r#""usage":{"input_tokens":14,"input_tokens_details":{"text_tokens":10,"image_tokens":4},"output_tokens":45,"total_tokens":59}"#;

/// What is asked of whom, what it answers, and what that costs.
struct Case {
    what: &'static str,
    provider: &'static str,
    model: &'static str,
    ask: Ask,
    reply: Reply,
    cost: Option<&'static str>,
    /// Whether the cost is known when the answer begins.
    head: bool,
    /// What the line in the log counts.
    counts: &'static str,
}

fn speak(model: &str, format: &str) -> Ask {
    let body = json!({"model": model, "input": "h\u{e9}llo", "voice": "coral", "stream_format": format});
    post(SPEECH, body.to_string())
}

fn draw(model: &str, more: &str) -> Ask {
    post(IMAGES, format!("{{\"model\":\"{model}\",\"prompt\":\"the sea\"{more}}}"))
}

fn listen(model: &str, more: &[Vec<u8>]) -> Ask {
    upload(TRANSCRIBE, form(&[&[field("model", model), file("file", b"abc")], more].concat()))
}

fn events(events: &[&str]) -> Reply {
    Reply::events(events.iter().map(|data| format!("data: {data}\n\n")), Duration::ZERO)
}

fn speech() -> Vec<Case> {
    let sound = || Reply::new(200, "audio/mpeg", &b"ID3"[..]);
    vec![
        Case {
            what: "five characters at 15 a million",
            provider: "openai",
            model: "tts-1",
            ask: speak("tts-1", "audio"),
            reply: sound(),
            cost: Some("0.000075"),
            head: true,
            counts: " characters=5 ",
        },
        Case {
            what: "five at 16, in another form",
            provider: "mistral",
            model: "voxtral-mini-tts-latest",
            ask: speak("voxtral-mini-tts-latest", "audio"),
            reply: Reply::json(200, r#"{"audio_data":"AQID"}"#),
            cost: Some("0.00008"),
            head: true,
            counts: " characters=5 ",
        },
        Case {
            what: "14 x 0.6 + 45 x 12 millionths",
            provider: "openai",
            model: "gpt-4o-mini-tts",
            ask: speak("gpt-4o-mini-tts", "sse"),
            reply: events(&[
                r#"{"type":"speech.audio.delta","audio":"AQID"}"#,
                r#"{"type":"speech.audio.done","usage":{"input_tokens":14,"output_tokens":45,"total_tokens":59}}"#,
            ]),
            cost: Some("0.0005484"),
            head: false,
            counts: " input_tokens=14 output_tokens=45 characters=5 ",
        },
        Case {
            what: "tokens that bare sound does not tell",
            provider: "openai",
            model: "gpt-4o-mini-tts",
            ask: speak("gpt-4o-mini-tts", "audio"),
            reply: sound(),
            cost: None,
            head: true,
            counts: " characters=5 ",
        },
        Case {
            what: "4 x 0.5 + 7 x 10 millionths",
            provider: "gemini",
            model: "gemini-2.5-flash-preview-tts",
            ask: speak("gemini-2.5-flash-preview-tts", "sse"),
            reply: Reply::json(
                200,
                r#"{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"audio/L16;rate=24000","data":"AQID"}}]}}],"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":7,"totalTokenCount":11}}"#,
            ),
            cost: Some("0.000072"),
            head: true,
            counts: " input_tokens=4 output_tokens=7 characters=5 ",
        },
    ]
}

fn transcripts() -> Vec<Case> {
    let verbose = |text: &str| {
        let body = format!("{{\"task\":\"transcribe\",\"duration\":8.470000267028809,\"text\":\"{text}\"}}");
        Reply::json(200, body)
    };
    let whisper = |what, reply, cost, head, counts| Case {
        what,
        provider: "openai",
        model: "whisper-1",
        ask: listen("whisper-1", &[]),
        reply,
        cost,
        head,
        counts,
    };
    let tokens = r#""usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":0,"audio_tokens":14},"output_tokens":45,"total_tokens":59}"#;
    vec![
        whisper(
            "9 x 0.0001",
            Reply::json(200, r#"{"text":"a","usage":{"type":"duration","seconds":9}}"#),
            Some("0.0009"),
            true,
            " audio_ms=9000 ",
        ),
        whisper("8.47 x 0.0001", verbose("a"), Some("0.000847"), true, " audio_ms=8470 "),
        whisper("the same, long", verbose(&"a ".repeat(300_000)), Some("0.000847"), false, " audio_ms=8470 "),
        whisper(
            "what plain text does not tell",
            Reply::new(200, "text/plain", "a \"duration\":3"),
            None,
            true,
            "",
        ),
        Case {
            what: "8.47 x 0.00003083",
            provider: "groq",
            model: "whisper-large-v3",
            ask: listen("whisper-large-v3", &[field("response_format", "verbose_json")]),
            reply: verbose("a"),
            cost: Some("0.0002611301"),
            head: true,
            counts: " audio_ms=8470 ",
        },
        Case {
            what: "203 x 0.00005, whatever tokens there were",
            provider: "mistral",
            model: "voxtral-mini-latest",
            ask: listen("voxtral-mini-latest", &[]),
            reply: Reply::json(
                200,
                r#"{"text":"a","usage":{"prompt_audio_seconds":203,"prompt_tokens":4,"total_tokens":49,"completion_tokens":45}}"#,
            ),
            cost: Some("0.01015"),
            head: true,
            counts: " input_tokens=4 output_tokens=45 audio_ms=203000 ",
        },
        Case {
            what: "14 x 2.5 + 45 x 10 millionths",
            provider: "openai",
            model: "gpt-4o-transcribe",
            ask: listen("gpt-4o-transcribe", &[]),
            reply: Reply::json(200, format!("{{\"text\":\"a\",{tokens}}}")),
            cost: Some("0.000485"),
            head: true,
            counts: " input_tokens=14 output_tokens=45 ",
        },
        Case {
            what: "the same, as a stream",
            provider: "openai",
            model: "gpt-4o-transcribe",
            ask: listen("gpt-4o-transcribe", &[field("stream", "true")]),
            reply: events(&[
                r#"{"type":"transcript.text.delta","delta":"a"}"#,
                &format!("{{\"type\":\"transcript.text.done\",\"text\":\"a\",{tokens}}}"),
            ]),
            cost: Some("0.000485"),
            head: false,
            counts: " input_tokens=14 output_tokens=45 ",
        },
    ]
}

fn pictures() -> Vec<Case> {
    let told =
        || Reply::json(200, format!("{{\"created\":1,\"data\":[{{\"b64_json\":\"AQID\"}}],{TOKENS}}}"));
    let data = |picture: &str, count| {
        Reply::json(200, format!("{{\"created\":1,\"data\":[{}]}}", vec![picture; count].join(",")))
    };
    let untold = |count| data(r#"{"url":"https://x/1","b64_json":null}"#, count);
    let files = |count, size| data(&format!("{{\"b64_json\":\"{}\"}}", "Q".repeat(size)), count);
    let case = |what, provider, model: &'static str, more, reply, cost, counts| Case {
        what,
        provider,
        model,
        ask: draw(model, more),
        reply,
        cost,
        head: true,
        counts,
    };
    vec![
        case(
            "10 x 5 + 4 x 10 + 45 x 40 millionths",
            "openai",
            "gpt-image-1",
            r#","quality":"low","size":"1024x1536""#,
            told(),
            Some("0.00189"),
            " input_tokens=14 output_tokens=45 images=1 ",
        ),
        Case {
            what: "the same, of a form",
            ask: upload(
                "/v1/images/edits",
                form(&[field("model", "gpt-image-1"), file("image", b"abc"), field("prompt", "a")]),
            ),
            counts: " input_tokens=14 output_tokens=45 images=1 ",
            ..case("", "openai", "gpt-image-1", "", told(), Some("0.00189"), "")
        },
        case(
            "2 x 0.016, by care and size",
            "openai",
            "gpt-image-1",
            r#","quality":"low","size":"1024x1536","n":2"#,
            untold(2),
            Some("0.032"),
            " images=2 ",
        ),
        case("of a size that nobody says", "openai", "gpt-image-1", "", untold(1), None, " images=1 "),
        case("3 x 0.02", "xai", "grok-imagine-image", r#","n":3"#, untold(3), Some("0.06"), " images=3 "),
        case("2 that came", "xai", "grok-imagine-image", r#","n":3"#, untold(2), Some("0.04"), " images=2 "),
        case("none that came", "xai", "grok-imagine-image", r#","n":3"#, untold(0), None, " images=0 "),
        Case {
            head: false,
            ..case(
                "2 that came and are large",
                "xai",
                "grok-imagine-image",
                r#","n":3"#,
                files(2, 1 << 20),
                Some("0.04"),
                " images=2 ",
            )
        },
        case(
            "0.04, by care and size",
            "xai",
            "grok-imagine-image-2.0",
            r#","quality":"low","size":"1024x1024""#,
            untold(1),
            Some("0.04"),
            " images=1 ",
        ),
        case("0.06 else", "xai", "grok-imagine-image-2.0", "", untold(1), Some("0.06"), " images=1 "),
        case(
            "0.02, in another form",
            "gemini",
            "imagen-3.0-fast-generate-001",
            "",
            Reply::json(200, r#"{"predictions":[{"mimeType":"image/png","bytesBase64Encoded":"AQID"}]}"#),
            Some("0.02"),
            " images=1 ",
        ),
    ]
}

fn others() -> Vec<Case> {
    let case = |what, provider, model, ask, reply: &str, cost, counts| Case {
        what,
        provider,
        model,
        ask,
        reply: Reply::json(200, reply.to_owned()),
        cost,
        head: true,
        counts,
    };
    let named = |path: &str, model: &str, more: &str| post(path, format!("{{\"model\":\"{model}\",{more}}}"));
    let rank = r#""query":"a","documents":["a","b"]"#;
    let cohere = r#"{"id":"r","results":[{"index":0,"relevance_score":0.5}],"meta":{"billed_units":{"search_units":2}}}"#;
    vec![
        case(
            "nothing",
            "openai",
            "omni-moderation-latest",
            named("/v1/moderations", "omni-moderation-latest", r#""input":"a""#),
            r#"{"id":"m","results":[{"flagged":false}]}"#,
            Some("0"),
            "",
        ),
        case(
            "moderation of which nobody knows",
            "mistral",
            "mistral-moderation-2603",
            named("/v1/moderations", "mistral-moderation-2603", r#""input":"a""#),
            r#"{"id":"m","results":[{"categories":{}}]}"#,
            None,
            "",
        ),
        case(
            "2 x 0.002",
            "cohere",
            "rerank-v3.5",
            named("/v2/rerank", "rerank-v3.5", rank),
            cohere,
            Some("0.004"),
            " search_units=2 ",
        ),
        case(
            "the same, for another form",
            "cohere",
            "rerank-v3.5",
            named("/v1/rerank", "rerank-v3.5", rank),
            cohere,
            Some("0.004"),
            " search_units=2 ",
        ),
        case(
            "9 x 0.1 millionths",
            "together",
            "Salesforce/Llama-Rank-V1",
            named("/v1/rerank", "Salesforce/Llama-Rank-V1", rank),
            r#"{"results":[{"index":0,"relevance_score":0.5}],"usage":{"prompt_tokens":9,"completion_tokens":0,"total_tokens":9}}"#,
            Some("0.0000009"),
            " input_tokens=9 ",
        ),
        case(
            "3 x 0.02 millionths",
            "openai",
            "text-embedding-3-small",
            named("/v1/embeddings", "text-embedding-3-small", r#""input":"a""#),
            r#"{"data":[{"embedding":[0.5],"index":0}],"usage":{"prompt_tokens":3,"total_tokens":3}}"#,
            Some("0.00000006"),
            " input_tokens=3 ",
        ),
    ]
}

async fn check(case: Case) {
    let Case { what, provider, model, ask, reply, cost, head, counts } = case;
    let what = format!("{provider} {model}: {what}");
    let upstream = Upstream::replying([reply]).await.unwrap();
    let rig = Rig::start(settings([cloud(upstream.url(), provider, model, Some("k"))])).await;
    let answer = rig.ask(&ask).await;
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    assert_eq!(answer.header(HEADER), cost.filter(|_| head).unwrap_or_default(), "{what}");
    let line = rig.access_line("endpoint=").await;
    let logged = line.split(" cost_usd=").nth(1).map(|rest| rest.split_ascii_whitespace().next().unwrap());
    assert_eq!(logged, cost, "{what}: {line}");
    assert!(line.contains(counts) && !line.contains(" estimated=true"), "{what}: {line}");
    let labels = [&*format!("model=\"{model}\""), &*format!("provider=\"{provider}\"")];
    let booked = rig.metric("trunkline_cost_usd_total", &labels).await;
    let told: f64 = cost.map_or(0.0, |cost| cost.parse().unwrap());
    assert!((booked - told).abs() < 1e-12, "{what}: {booked}");
    let unpriced = rig.metric("trunkline_unpriced_requests_total", &labels).await;
    assert_eq!(unpriced > 0.5, cost.is_none(), "{what}: {unpriced}");
    for (key, unit) in [
        ("characters", "character"),
        ("images", "image"),
        ("audio_ms", "audio_ms"),
        ("search_units", "search_unit"),
    ] {
        let said = counts.split(&format!("{key}=")).nth(1).and_then(|rest| rest.split(' ').next());
        let labels = [labels[0], &*format!("unit=\"{unit}\"")];
        let counted = rig.metric("trunkline_units_total", &labels).await;
        assert_eq!(counted, said.map_or(0.0, |said| said.parse().unwrap()), "{what}: {unit}");
    }
}

#[tokio::test]
async fn speech_costs_what_its_maker_sells_it_by() {
    for case in speech() {
        check(case).await;
    }
}

#[tokio::test]
async fn transcripts_cost_what_their_maker_sells_them_by() {
    for case in transcripts() {
        check(case).await;
    }
}

#[tokio::test]
async fn pictures_cost_what_their_maker_sells_them_by() {
    for case in pictures() {
        check(case).await;
    }
}

#[tokio::test]
async fn rankings_vectors_and_moderation_cost_what_their_maker_sells_them_by() {
    for case in others() {
        check(case).await;
    }
}

/// What was asked for is not paid for when it is refused, nor when nobody is paid.
#[tokio::test]
async fn what_was_not_made_and_what_is_ones_own_cost_nothing() {
    let refused = Reply::json(400, r#"{"error":{"message":"no"}}"#);
    let made = Reply::new(200, "audio/mpeg", &b"ID3"[..]);
    for (what, is_paid, reply, status) in
        [("refused", true, refused, 400), ("of one's own", false, made, 200)]
    {
        let upstream = Upstream::replying([reply]).await.unwrap();
        let url = upstream.url();
        let worker = if is_paid { cloud(url, "openai", "tts-1", Some("k")) } else { engine(url, "tts-1") };
        let rig = Rig::start(settings([worker])).await;
        let answer = rig.ask(&speak("tts-1", "audio")).await;
        assert_eq!((answer.status, answer.header(HEADER)), (status, ""), "{what}: {}", answer.text());
        let line = rig.access_line("endpoint=").await;
        assert!(!line.contains("cost_usd") && line.contains(" characters=5 ") != is_paid, "{what}: {line}");
        let metrics = rig.get("/metrics").await;
        for absent in ["trunkline_cost_usd_total{", "trunkline_unpriced_requests_total{"] {
            assert!(!metrics.text().contains(absent), "{what}: {}", metrics.text());
        }
    }
}
