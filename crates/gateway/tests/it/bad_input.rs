//! Input nobody should send: every piece of it is answered, in the caller's dialect, with a word on what to
//! do, and costs neither a worker's slot nor the process.

use crate::client::{Ask, Line, get, post};
use crate::rig::{
    ALL, CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES, Rig, STREAMING, Speech, engine, settings,
};
use bytes::Bytes;
use std::time::Duration;
use trunkline_gateway::config::Config;
use trunkline_testkit::script::{Reply, Then, Upstream};

/// Limits that are reached quickly.
fn tight(config: &mut Config) {
    config.limits.body_bytes = 64 << 10;
    config.limits.head_bytes = 8 << 10;
    config.limits.headers = 40;
    config.timeouts.client_body = Duration::from_millis(300);
    config.retry.attempts = 1;
}

async fn serving(speech: Speech) -> (Upstream, Rig) {
    let upstream = Upstream::directed(move |request, _| speech.answer(request.json()["stream"] == true));
    let upstream = upstream.await.unwrap();
    let mut config = settings([speech.worker(upstream.url())]);
    tight(&mut config);
    let rig = Rig::start(config).await;
    (upstream, rig)
}

/// A request body of `speech` with `members` in front of what it always has.
fn body(speech: &Speech, members: &str) -> Vec<u8> {
    format!("{{{members}\"model\":\"m\",{}}}", speech.prompt).into_bytes()
}

fn nested(depth: usize) -> String {
    format!("\"x\":{}{},", "[".repeat(depth), "]".repeat(depth))
}

/// Bodies that are refused, each with the status and a word of the message.
fn refused(speech: &Speech) -> Vec<(&'static str, Vec<u8>, u16, &'static str)> {
    let text = |text: String| text.into_bytes();
    let prompt = speech.prompt;
    let mut cases = vec![
        ("nothing", Vec::new(), 400, "body is empty"),
        ("white space", b" \n ".to_vec(), 400, "body is empty"),
        (
            "a model that is no JSON",
            b"{\"model\": oops}".to_vec(),
            400,
            "not valid JSON: expected a value at byte 10",
        ),
        ("a form", b"model=m&prompt=hi".to_vec(), 400, "must be a JSON object"),
        ("an array", b"[]".to_vec(), 400, "must be a JSON object"),
        ("a text", b"\"hi\"".to_vec(), 400, "must be a JSON object"),
        ("a trailing comma", text(format!("{{\"model\":\"m\",{prompt},}}")), 400, "valid JSON"),
        ("single quotes", b"{'model':'m'}".to_vec(), 400, "valid JSON"),
        ("a second value", text(format!("{{\"model\":\"m\",{prompt}}} {{}}")), 400, "valid JSON"),
        ("a number no JSON has", body(speech, "\"x\":01,"), 400, "valid JSON"),
        ("a raw line break in a text", body(speech, "\"x\":\"a\nb\","), 400, "valid JSON"),
        ("truncated", text(format!("{{\"model\":\"m\",{prompt}")), 400, "cut off"),
        ("truncated in a text", b"{\"model\":\"m\",\"x\":\"abc".to_vec(), 400, "cut off"),
        ("no model", text(format!("{{{prompt}}}")), 400, "`model` is missing"),
        ("an empty model", text(format!("{{\"model\":\"\",{prompt}}}")), 400, "`model` is missing"),
        ("model null", text(format!("{{\"model\":null,{prompt}}}")), 400, "`model` is missing"),
        ("a numeric model", text(format!("{{\"model\":7,{prompt}}}")), 400, "`model` must be"),
        (
            "an object as model",
            text(format!("{{\"model\":{{\"id\":\"m\"}},{prompt}}}")),
            400,
            "`model` must be",
        ),
        (
            "a model as long as a letter",
            text(format!("{{\"model\":\"{}\",{prompt}}}", "m".repeat(4000))),
            400,
            "`model` must be",
        ),
        ("stream as text", body(speech, "\"stream\":\"yes\","), 400, "`stream` must be"),
        ("model twice", body(speech, "\"model\":\"m\","), 400, "`model` is given twice"),
        (
            "model twice, once escaped",
            body(speech, "\"mod\\u0065l\":\"other\","),
            400,
            "`model` is given twice",
        ),
        ("stream twice", body(speech, "\"stream\":true,\"stream\":false,"), 400, "`stream` is given twice"),
        (
            "stream twice, no first",
            body(speech, "\"stream\":false,\"stream\":true,"),
            400,
            "`stream` is given twice",
        ),
        ("the prompt twice", text(format!("{{\"model\":\"m\",{prompt},{prompt}}}")), 400, "is given twice"),
        ("200 levels", body(speech, &nested(200)), 400, "nested deeper than 128"),
        ("20,000 levels", body(speech, &nested(20_000)), 400, "nested deeper than 128"),
        ("too long", body(speech, &format!("\"x\":\"{}\",", "y".repeat(70 << 10))), 413, "over 65536 bytes"),
    ];
    let mut invalid = body(speech, "\"x\":\"?\",");
    let at = invalid.iter().position(|byte| *byte == b'?').unwrap();
    for (what, bytes) in [
        ("a stray byte", &b"\xff"[..]),
        ("a surrogate in UTF-8", b"\xed\xa0\x80"),
        ("an overlong slash", b"\xc0\xaf"),
        ("a cut character", b"\xe6\x9d"),
    ] {
        let mut body = invalid.clone();
        body.splice(at..=at, bytes.iter().copied());
        cases.push((what, body, 400, "UTF-8"));
    }
    invalid.clear();
    if [CHAT.path, MESSAGES.path].contains(&speech.path) {
        cases.push((
            "no messages at all",
            text("{\"model\":\"m\",\"messages\":[]}".into()),
            400,
            "`messages` is empty",
        ));
    }
    if [CHAT.path, MESSAGES.path, EMBEDDINGS.path].contains(&speech.path) {
        cases.push(("no prompt", text("{\"model\":\"m\"}".into()), 400, "is missing"));
    }
    cases
}

#[tokio::test]
async fn bad_bodies_are_refused_in_the_callers_dialect() {
    for speech in ALL {
        let (upstream, rig) = serving(speech).await;
        for (what, body, status, says) in refused(&speech) {
            let what = format!("{} {what}", speech.path);
            let whole = post(speech.path, body.clone());
            let chunks = vec![body.len() / 3, 1, body.len() / 3];
            for ask in [whole.clone(), whole.chunked(if body.is_empty() { vec![1] } else { chunks })] {
                let answer = rig.ask(&ask).await;
                assert_eq!(answer.status, status, "{what}: {}", answer.text());
                assert_eq!(answer.header("content-type"), "application/json", "{what}");
                assert!(!answer.header("x-request-id").is_empty(), "{what}");
                let message = speech.error(&answer.json());
                assert!(message.contains(says), "{what}: {message}");
            }
        }
        assert!(upstream.requests().is_empty(), "{}: none of it goes upstream", speech.path);
        assert_eq!(rig.ask(&speech.ask(false)).await.status, 200, "{} still serves", speech.path);
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn what_is_merely_strange_passes() {
    for speech in ALL {
        let (upstream, rig) = serving(speech).await;
        for (what, body) in [
            ("unknown fields twice", body(&speech, "\"x\":1,\"x\":2,")),
            ("100 levels", body(&speech, &nested(100))),
            ("a lone surrogate escape", body(&speech, "\"x\":\"\\ud800\",")),
            ("a null byte escape", body(&speech, "\"x\":\"\\u0000\",")),
            ("a field called model inside", body(&speech, "\"x\":{\"model\":7},")),
        ] {
            let answer = rig.ask(&post(speech.path, body.clone())).await;
            assert_eq!(answer.status, 200, "{} {what}: {}", speech.path, answer.text());
            assert_eq!(upstream.requests().last().unwrap().body, body, "{} {what}", speech.path);
        }
    }
}

/// Ollama reads JSON out of any body, and what is written for it sends none of the right type.
#[tokio::test]
async fn ollamas_paths_take_any_content_type() {
    let upstream = Upstream::directed(|request, _| match request.path() {
        "/v1/embeddings" => EMBEDDINGS.answer(false),
        _ => CHAT.answer(false),
    });
    let upstream = upstream.await.unwrap();
    let rig = Rig::start(settings([engine(upstream.url(), "m")])).await;
    for (path, body) in [
        ("/api/chat", r#"{"model":"m","stream":false,"messages":[{"role":"user","content":"hi"}]}"#),
        ("/api/generate", r#"{"model":"m","stream":false,"prompt":"hi"}"#),
        ("/api/embed", r#"{"model":"m","input":"hi"}"#),
        ("/api/embeddings", r#"{"model":"m","prompt":"hi"}"#),
        ("/api/show", r#"{"model":"m"}"#),
    ] {
        let bare = || post(path, body).bare();
        for ask in [
            bare(),
            bare().header("content-type", "application/x-www-form-urlencoded"),
            bare().header("content-type", "text/plain"),
            bare().header("content-type", ""),
        ] {
            let answer = rig.ask(&ask).await;
            assert_eq!(answer.status, 200, "{path} {ask:?}: {}", answer.text());
        }
        let broken = rig.ask(&post(path, "model=m").bare()).await;
        assert_eq!(broken.status, 400, "{path}: {}", broken.text());
    }
}

#[tokio::test]
async fn wrong_content_types_are_refused() {
    for speech in ALL {
        let (upstream, rig) = serving(speech).await;
        let with =
            |kind: &str| post(speech.path, speech.body("m", false)).bare().header("content-type", kind);
        for kind in
            ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "nonsense"]
        {
            let answer = rig.ask(&with(kind)).await;
            assert_eq!(answer.status, 415, "{} {kind}", speech.path);
            let message = speech.error(&answer.json());
            assert!(message.contains("application/json"), "{message}");
        }
        let gzip = rig.ask(&speech.ask(false).header("content-encoding", "gzip")).await;
        assert_eq!(gzip.status, 415, "{}", speech.path);
        assert!(speech.error(&gzip.json()).contains("uncompressed"), "{}", gzip.text());
        assert!(upstream.requests().is_empty());
        for ask in [
            speech.ask(false).header("content-encoding", "identity"),
            with("application/json; charset=utf-8"),
            with("Application/JSON"),
            with("application/vnd.x+json"),
            post(speech.path, speech.body("m", false)).bare(),
        ] {
            assert_eq!(rig.ask(&ask).await.status, 200, "{} {ask:?}", speech.path);
        }
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_read() {
    for speech in ALL {
        let (_upstream, rig) = serving(speech).await;
        let mut line = Line::open(rig.address()).await;
        let head =
            format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000000\r\n\r\n", speech.path);
        line.write(head.as_bytes()).await.unwrap();
        let mut head = line.head().await.unwrap();
        assert_eq!(head.status, 413, "{}", speech.path);
        let told = line.rest(&mut head).await.unwrap();
        let message = speech.error(&serde_json::from_slice(&told).unwrap());
        assert!(message.contains("limits.body_bytes"), "{message}");

        // Without a length it is noticed while it comes.
        let mut line = Line::open(rig.address()).await;
        let head = format!("POST {} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", speech.path);
        line.write(head.as_bytes()).await.unwrap();
        line.write(b"4\r\n{\"x\"\r\n2\r\n:\"\r\n").await.unwrap();
        let chunk = format!("1000\r\n{}\r\n", "y".repeat(4096));
        for _ in 0..17 {
            line.write(chunk.as_bytes()).await.unwrap();
        }
        let mut head = line.head().await.unwrap();
        assert_eq!(head.status, 413, "{}", speech.path);
        speech.error(&serde_json::from_slice(&line.rest(&mut head).await.unwrap()).unwrap());
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn a_client_that_stops_sending_is_not_waited_for() {
    for speech in ALL {
        let (upstream, rig) = serving(speech).await;
        let mut line = Line::open(rig.address()).await;
        let head =
            format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{\"model\":", speech.path);
        line.write(head.as_bytes()).await.unwrap();
        let mut head = line.head().await.unwrap();
        assert_eq!(head.status, 400, "{}", speech.path);
        let message = speech.error(&serde_json::from_slice(&line.rest(&mut head).await.unwrap()).unwrap());
        assert!(message.contains("send it faster"), "{message}");
        rig.at_rest().await;

        // Gone in the middle of its body: nobody is left to answer, and nothing is left behind.
        let mut line = Line::open(rig.address()).await;
        line.write(
            format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{", speech.path).as_bytes(),
        )
        .await
        .unwrap();
        crate::rig::until("it arrived", async || rig.shared().metrics.in_flight.get() == 1).await;
        drop(line);
        rig.at_rest().await;
        assert!(upstream.requests().is_empty());
    }
}

#[tokio::test]
async fn header_bombs_are_refused() {
    for speech in ALL {
        let (upstream, rig) = serving(speech).await;
        let many = |count: usize| {
            (0..count).fold(speech.ask(false), |ask, nth| ask.header(&format!("x-{nth}"), "y"))
        };
        let large = |bytes: usize| speech.ask(false).header("x-large", &"y".repeat(bytes));
        for (what, ask, says) in [
            ("one too many", many(41), "over 40 header fields"),
            ("twice as many", many(77), "over 40 header fields"),
            ("a large one", large(9 << 10), "over 8192 bytes"),
            ("a very large one", large(200 << 10), "over 8192 bytes"),
        ] {
            let answer = rig.ask(&ask).await;
            assert_eq!(answer.status, 431, "{} {what}", speech.path);
            let message = speech.error(&answer.json());
            assert!(message.contains(says), "{} {what}: {message}", speech.path);
        }
        assert!(upstream.requests().is_empty());
        // Beyond what is worth reading the answer is bare, but it is an answer.
        for (what, ask) in
            [("a hundred", many(100)), ("ten thousand", many(10_000)), ("two megabytes", large(2 << 20))]
        {
            let mut line = Line::open(rig.address()).await;
            // The gateway may close before all of it is sent.
            let _ = line.write(&ask.bytes()).await;
            let status = line.head().await.map(|head| head.status);
            assert!(matches!(status, Ok(431) | Err(_)), "{} {what}: {status:?}", speech.path);
        }
        assert_eq!(rig.ask(&speech.ask(false)).await.status, 200, "{} still serves", speech.path);
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn trap51_unknown_paths_and_wrong_methods_are_answered_in_the_paths_dialect() {
    let (_upstream, rig) = serving(CHAT).await;
    for (method, path, speech, status, says) in [
        ("GET", "/", CHAT, 404, "does not exist"),
        ("POST", "/v1/chat/completion", CHAT, 404, "GET /v1/capabilities"),
        ("POST", "/v1/chat/completions/", CHAT, 404, "does not exist"),
        ("POST", "/v1/messages/x", MESSAGES, 404, "does not exist"),
        ("POST", "/v2/responses", RESPONSES, 404, "does not exist"),
        ("GET", "/v1/chat/completions", CHAT, 405, "POST only"),
        ("PUT", "/v1/completions", COMPLETIONS, 405, "POST only"),
        ("DELETE", "/v1/embeddings", EMBEDDINGS, 405, "POST only"),
        ("GET", "/v1/responses", RESPONSES, 405, "POST only"),
        ("GET", "/v1/messages", MESSAGES, 405, "POST only"),
        ("DELETE", "/v1/models", CHAT, 405, "does not take DELETE"),
        ("PUT", "/workers", CHAT, 405, "does not take PUT"),
        ("POST", "/health", CHAT, 405, "does not take POST"),
    ] {
        let answer = rig.ask(&post(path, "{}").method(method)).await;
        assert_eq!(answer.status, status, "{method} {path}");
        let message = speech.error(&answer.json());
        assert!(message.contains(says), "{method} {path}: {message}");
        assert!(!answer.header("x-request-id").is_empty(), "{method} {path}");
        assert_eq!(answer.headers.contains_key("allow"), status == 405, "{method} {path}");
    }
    let anthropic = get("/nowhere").header("anthropic-version", "2023-06-01");
    MESSAGES.error(&rig.ask(&anthropic).await.json());
    // A query does not make another endpoint of it.
    let beta = post("/v1/messages?beta=true", MESSAGES.body("unknown", false));
    assert_eq!(rig.ask(&beta).await.status, 404);
    assert!(MESSAGES.error(&rig.ask(&beta).await.json()).contains("`unknown`"));
}

#[tokio::test]
async fn what_is_not_http_is_survived() {
    let (_upstream, rig) = serving(CHAT).await;
    for (what, bytes) in [
        ("TLS", &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..]),
        ("noise", b"\x00\x01\x02\xff\xfe\r\n\r\n"),
        ("a broken preface", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"),
        ("a bad length", b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n"),
        ("two lengths", b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}"),
        ("a bad chunk", b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
        ("half a head", b"POST /v1/chat/completions HTTP/1.1\r\nhost"),
        ("nothing", b""),
    ] {
        let mut line = Line::open(rig.address()).await;
        line.write(bytes).await.unwrap();
        if let Ok(Ok(head)) = tokio::time::timeout(Duration::from_millis(30), line.head()).await {
            assert_eq!(head.status, 400, "{what}");
        }
        drop(line);
        assert_eq!(rig.ask(&CHAT.ask(false)).await.status, 200, "after {what}");
    }
    rig.at_rest().await;
}

/// A reply, and whether the gateway may pass it on instead of refusing it.
struct Nonsense {
    what: &'static str,
    reply: fn() -> Reply,
    status: u16,
}

#[tokio::test]
async fn upstreams_that_answer_nonsense_cost_nothing() {
    let nonsense = [
        Nonsense { what: "garbage", reply: Reply::garbage, status: 502 },
        Nonsense { what: "hang up", reply: Reply::hang_up, status: 502 },
        Nonsense { what: "reset", reply: Reply::reset, status: 502 },
        Nonsense { what: "a page", reply: Reply::bad_gateway, status: 502 },
        Nonsense {
            what: "a page that says all is well",
            reply: || Reply::new(200, "text/html", "<html>welcome</html>"),
            status: 502,
        },
        Nonsense {
            what: "a page that claims to be JSON",
            reply: || Reply::new(200, "application/json", "<html>welcome</html>"),
            status: 502,
        },
        Nonsense { what: "hang", reply: Reply::hang, status: 504 },
        Nonsense { what: "hang after the head", reply: Reply::head_then_hang, status: 504 },
        Nonsense {
            what: "half a head",
            reply: || Reply::raw("HTTP/1.1 200 OK\r\ncontent-ty", Then::Cut),
            status: 502,
        },
        Nonsense {
            what: "two lengths",
            reply: || {
                Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}", Then::Cut)
            },
            status: 502,
        },
        Nonsense {
            what: "a huge head",
            reply: || Reply::raw(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1 << 20)), Then::Cut),
            status: 502,
        },
        Nonsense {
            what: "a bad chunk",
            reply: || Reply::raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", Then::Cut),
            status: 502,
        },
    ];
    for speech in ALL {
        for streams in [false, true] {
            if streams && speech.stream[0].is_empty() {
                continue;
            }
            for Nonsense { what, reply, status } in &nonsense {
                let what = format!("{} stream {streams}: {what}", speech.path);
                let reply = *reply;
                let upstream = Upstream::directed(move |_, _| reply()).await.unwrap();
                let mut config = settings([speech.worker(upstream.url())]);
                tight(&mut config);
                let patience = Duration::from_millis(if *status == 504 { 80 } else { 5000 });
                (config.timeouts.first_byte, config.timeouts.idle) = (patience, patience);
                let rig = Rig::start(config).await;
                let answer = rig.ask(&speech.ask(streams)).await;
                assert_eq!(answer.status, *status, "{what}: {}", answer.text());
                speech.error(&answer.json());
                rig.at_rest().await;
            }
        }
    }
}

#[tokio::test]
async fn redirections_are_not_followed() {
    for speech in ALL {
        for status in [301, 302, 307, 308] {
            let elsewhere = Upstream::directed(|_, _| Reply::json(200, "{}")).await.unwrap();
            let page =
                Reply::new(status, "text/html", "<html>moved</html>").header("location", &elsewhere.url());
            let upstream = Upstream::replying([page]).await.unwrap();
            let rig = Rig::start(settings([speech.worker(upstream.url())])).await;
            let answer = rig.ask(&speech.ask(false)).await;
            assert_eq!((answer.status, answer.header("location")), (502, ""), "{} {status}", speech.path);
            speech.error(&answer.json());
            assert!(elsewhere.requests().is_empty(), "a key might go with it");
        }
    }
}

#[tokio::test]
async fn nonsense_inside_a_stream_passes_untouched_and_ends_with_an_error() {
    for speech in STREAMING {
        for (what, reply) in [
            ("invalid events", Reply::invalid_events()),
            ("10 MB in one line", Reply::long_line(10 << 20)),
            ("10 MB that never end", Reply::events([Bytes::from(vec![b'x'; 10 << 20])], Duration::ZERO)),
            ("null bytes", Reply::events([vec![0u8; 1000]], Duration::ZERO)),
            ("an empty stream", Reply::events(["\n\n"], Duration::ZERO)),
        ] {
            let sent: Vec<u8> = reply.pieces.iter().flat_map(|(_, piece)| piece.to_vec()).collect();
            let upstream = Upstream::replying([reply]).await.unwrap();
            let mut config = settings([speech.worker(upstream.url())]);
            tight(&mut config);
            let rig = Rig::start(config).await;
            let answer = rig.ask(&speech.ask(true)).await;
            let what = format!("{} {what}", speech.path);
            if answer.status == 200 {
                assert!(answer.body.starts_with(&sent) || !sent.ends_with(b"\n\n"), "{what}");
                let last = answer.events().pop().unwrap().json();
                assert!(last["error"].is_object() || last["type"] == "error", "{what}: {last}");
            } else {
                assert_eq!(answer.status, 502, "{what}");
                speech.error(&answer.json());
            }
            rig.at_rest().await;
        }
    }
}

#[tokio::test]
async fn many_bad_requests_on_one_connection_leave_it_usable() {
    let (_upstream, rig) = serving(CHAT).await;
    let mut line = Line::open(rig.address()).await;
    for nth in 0..100 {
        let bad: Ask = post(CHAT.path, if nth % 2 == 0 { "{" } else { "[]" });
        assert_eq!(line.ask(&bad).await.status, 400);
        assert_eq!(line.ask(&CHAT.ask(false)).await.status, 200);
    }
    rig.at_rest().await;
    assert!((rig.metric("trunkline_request_errors_total", &["invalid_request"]).await - 100.0).abs() < 0.1);
}
