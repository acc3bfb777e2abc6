//! What only OpenAI's form exists of: pictures, speech, transcripts, moderation.

use super::{KIND, TRANSCRIBE, account, field, file, form, ok, upload};
use crate::client::{Line, post};
use crate::rig::{Rig, cloud, engine, settings};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use trunkline_testkit::cloud::{Cloud, CloudConfig, Provider};
use trunkline_testkit::script::{Reply, Upstream};

/// Bytes that compress badly and hold no delimiter.
fn sound(length: usize) -> Vec<u8> {
    let mut dice = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| dice.u8(..)).take(length).collect()
}

#[tokio::test]
async fn pictures_and_moderation_pass_untouched() {
    let (openai, rig) = account(Provider::OpenAi, "gpt-image-1").await;
    let body = r#"{"model":"gpt-image-1", "prompt":"the sea","n":1}"#;
    let answer = ok(rig.post("/v1/images/generations", body).await);
    assert!(answer.json()["data"][0]["b64_json"].is_string(), "{}", answer.text());
    assert_eq!(openai.requests().pop().unwrap().body, body.as_bytes());
    let streamed = r#"{"model":"gpt-image-1","prompt":"the sea","stream":true,"partial_images":1}"#;
    let events = ok(rig.post("/v1/images/generations", streamed).await).events();
    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["image_generation.partial_image", "image_generation.completed"]);
    let judged = ok(rig.post("/v1/moderations", r#"{"model":"gpt-image-1","input":["harm","sea"]}"#).await);
    assert_eq!(judged.json()["results"][0]["flagged"], true);
    rig.at_rest().await;
    assert_eq!(rig.metric("trunkline_tokens_total", &["direction=\"output\""]).await, 544.0);
    let line = rig.access_line("endpoint=moderations").await;
    assert!(line.contains("status=200"), "{line}");
}

#[tokio::test]
async fn speech_comes_while_it_is_spoken() {
    let (_openai, rig) = account(Provider::OpenAi, "tts-1").await;
    let body = r#"{"model":"tts-1","input":"the open sea","voice":"alloy"}"#;
    let spoken = ok(rig.post("/v1/audio/speech", body).await);
    assert_eq!(spoken.header("content-type"), "audio/mpeg");
    assert_eq!(spoken.body.len() % (16 << 10), 0);
    assert!(!spoken.body.is_empty() && !spoken.body.starts_with(b"{"));
    assert_eq!(ok(rig.post("/v1/audio/speech", body).await).body, spoken.body);
    let events = body.replace("}", r#","stream_format":"sse"}"#);
    let events = ok(rig.post("/v1/audio/speech", &events).await).events();
    assert_eq!(events.last().unwrap().name, "speech.audio.done");
    let refused = rig.post("/v1/audio/speech", r#"{"model":"tts-1","input":"x"}"#).await;
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("voice")));

    // The first of it is there before the last has been made.
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::start(settings([engine(format!("http://{}", upstream.local_addr().unwrap()), "m")])).await;
    let mut client = TcpStream::connect(rig.address()).await.unwrap();
    let ask = post("/v1/audio/speech", r#"{"model":"m","input":"x","voice":"y"}"#);
    client.write_all(&ask.bytes()).await.unwrap();
    let (mut serving, _) = upstream.accept().await.unwrap();
    heard(&mut serving, b"\"voice\"").await;
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: audio/wav\r\ntransfer-encoding: chunked\r\n\r\n4\r\nRIFF\r\n";
    serving.write_all(head.as_bytes()).await.unwrap();
    heard(&mut client, b"RIFF").await;
    serving.write_all(b"4\r\nWAVE\r\n0\r\n\r\n").await.unwrap();
    heard(&mut client, b"WAVE").await;
}

#[tokio::test]
async fn pictures_that_are_streamed_come_as_they_are_drawn_and_end_as_they_ended() {
    let json = post(
        "/v1/images/generations",
        r#"{"model":"m","prompt":"the sea","stream":true,"partial_images":1}"#,
    );
    let edit = form(&[field("model", "m"), field("stream", "true"), file("image", b"abc")]);
    let (partial, done) = ("image_generation.partial_image", "image_generation.completed");
    let event = |name: &str| {
        let event = format!("event: {name}\ndata: {{\"type\":\"{name}\",\"b64_json\":\"aGk=\"}}\n\n");
        format!("{:x}\r\n{event}\r\n", event.len())
    };
    for (ask, asked) in [(json, &b"partial_images"[..]), (upload("/v1/images/edits", edit), b"--frontier--")]
    {
        for ends_well in [true, false] {
            let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let worker = engine(format!("http://{}", upstream.local_addr().unwrap()), "m");
            let rig = Rig::start(settings([worker])).await;
            let mut client = TcpStream::connect(rig.address()).await.unwrap();
            client.write_all(&ask.bytes()).await.unwrap();
            let (mut serving, _) = upstream.accept().await.unwrap();
            heard(&mut serving, asked).await;
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            serving.write_all(head.as_bytes()).await.unwrap();
            serving.write_all(event(partial).as_bytes()).await.unwrap();
            heard(&mut client, partial.as_bytes()).await;
            if ends_well {
                serving.write_all(format!("{}0\r\n\r\n", event(done)).as_bytes()).await.unwrap();
                let rest = heard(&mut client, b"\r\n0\r\n\r\n").await;
                let rest = String::from_utf8(rest).unwrap();
                assert!(rest.contains(done) && !rest.contains("error"), "{rest}");
            } else {
                drop(serving);
                heard(&mut client, b"\"error\"").await;
            }
        }
    }
}

/// Reads until `sought` has come.
async fn heard(stream: &mut TcpStream, sought: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while !all.windows(sought.len()).any(|window| window == sought) {
        let mut piece = vec![0; 64 << 10];
        let read = stream.read(&mut piece).await.unwrap();
        assert!(read > 0, "it ends before {}: {}", sought.escape_ascii(), all.escape_ascii());
        all.extend_from_slice(&piece[..read]);
    }
    all
}

#[tokio::test]
async fn forms_pass_untouched_wherever_the_model_stands() {
    let (openai, rig) = account(Provider::OpenAi, "whisper-1").await;
    let (model, other) = (field("model", "whisper-1"), field("response_format", "json"));
    for (what, size) in [("a word", 4_000), ("a speech", 3 << 20)] {
        let sound = file("file", &sound(size));
        for parts in [[model.clone(), other.clone(), sound.clone()], [sound, other.clone(), model.clone()]] {
            let body = form(&parts);
            for ask in
                [upload(TRANSCRIBE, body.clone()), upload(TRANSCRIBE, body.clone()).chunked(vec![700; 9])]
            {
                let answer = ok(rig.ask(&ask).await);
                assert!(answer.json()["text"].is_string(), "{what}: {}", answer.text());
                let heard = openai.requests().pop().unwrap();
                assert_eq!((heard.path(), heard.header("content-type")), (TRANSCRIBE, Some(KIND)));
                assert!(heard.body == body, "{what}: byte for byte");
            }
        }
    }
    let text = form(&[model.clone(), field("response_format", "text"), file("file", b"abc")]);
    let text = ok(rig.ask(&upload("/v1/audio/translations", text)).await);
    assert!(text.header("content-type").starts_with("text/plain") && !text.text().starts_with('{'));
    let streamed = form(&[file("file", b"abc"), field("stream", "true"), model.clone()]);
    let events = ok(rig.ask(&upload(TRANSCRIBE, streamed)).await).events();
    assert_eq!(events.last().unwrap().name, "transcript.text.done");
    for path in ["/v1/images/edits", "/v1/images/variations"] {
        let body = form(&[file("image", b"png"), field("prompt", "bluer"), model.clone()]);
        assert!(ok(rig.ask(&upload(path, body)).await).json()["data"].is_array());
    }
    rig.at_rest().await;
}

#[tokio::test]
async fn the_books_of_a_form_hold_what_the_client_sent() {
    let (_openai, rig) = account(Provider::OpenAi, "whisper-1").await;
    let (model, other) = (field("model", "whisper-1"), field("model", "nobody"));
    let speech = file("file", &sound(3 << 20));
    let (first, last) = (form(&[model.clone(), speech.clone()]), form(&[speech.clone(), model]));
    for (nth, body) in [first, last, form(&[speech, other])].into_iter().enumerate() {
        for chunks in [Vec::new(), vec![1 << 20; 2]] {
            let id = format!("form-{nth}-{}", chunks.len());
            let ask = upload(TRANSCRIBE, body.clone()).header("x-request-id", &id).chunked(chunks);
            let answer = rig.ask(&ask).await;
            assert_eq!(answer.status, if nth == 2 { 404 } else { 200 }, "{}", answer.text());
            let line = rig.access_line(&id).await;
            let bytes = body.len();
            assert!(line.contains(&format!(" bytes_in={bytes} ")), "{bytes} bytes: {line}");
        }
    }
    // What a client announced and did not send was not received.
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::start(settings([engine(format!("http://{}", upstream.local_addr().unwrap()), "m")])).await;
    let ask = upload(TRANSCRIBE, form(&[field("model", "m"), file("file", b"abc")])).bytes();
    let body = ask.len() - ask.windows(4).position(|end| end == b"\r\n\r\n").unwrap() - 4;
    let mut client = TcpStream::connect(rig.address()).await.unwrap();
    client.write_all(&ask[..ask.len() - 9]).await.unwrap();
    let (mut serving, _) = upstream.accept().await.unwrap();
    heard(&mut serving, b"abc").await;
    drop(client);
    let line = rig.access_line("endpoint=").await;
    assert!(line.contains(&format!(" bytes_in={} ", body - 9)), "{line}");
}

#[tokio::test]
async fn an_alias_is_put_right_in_a_form() {
    let config = CloudConfig { models: vec!["whisper-1".to_owned()], ..CloudConfig::new(Provider::OpenAi) };
    let openai = Cloud::start(Provider::OpenAi, config).await.unwrap();
    let mut config = settings([cloud(openai.url(), "openai", "whisper-1", Some("sk-test"))]);
    config.aliases.insert("ears".to_owned(), "whisper-1".to_owned());
    let rig = Rig::start(config).await;
    for size in [10, 2 << 20] {
        let sound = file("file", &sound(size));
        let (before, after) = (field("model", "ears"), field("model", "whisper-1"));
        ok(rig.ask(&upload(TRANSCRIBE, form(&[sound.clone(), before.clone()]))).await);
        assert!(openai.requests().pop().unwrap().body == form(&[sound.clone(), after.clone()]));
        ok(rig.ask(&upload(TRANSCRIBE, form(&[before, sound.clone()]))).await);
        assert!(openai.requests().pop().unwrap().body == form(&[after, sound]));
    }
}

/// The model's piece may be the one that no longer fits into memory, with more than a name's length behind it.
#[tokio::test]
async fn an_alias_is_put_right_where_memory_ends() {
    let config = CloudConfig { models: vec!["whisper-1".to_owned()], ..CloudConfig::new(Provider::OpenAi) };
    let openai = Cloud::start(Provider::OpenAi, config).await.unwrap();
    let mut config = settings([cloud(openai.url(), "openai", "whisper-1", Some("sk-test"))]);
    config.aliases.insert("ears".to_owned(), "whisper-1".to_owned());
    let rig = Rig::start(config).await;
    let sound = file("file", &sound((1 << 20) - 500));
    let prompt = field("prompt", &"x".repeat(2048));
    let ask = upload(TRANSCRIBE, form(&[sound.clone(), field("model", "ears"), prompt.clone()])).bytes();
    // All of the last parts, and so that they come in one piece.
    let (begun, last) = ask.split_at(ask.len() - 2500);
    let mut line = Line::open(rig.address()).await;
    line.write(begun).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    line.write(last).await.unwrap();
    assert_eq!(line.head().await.unwrap().status, 200);
    let heard = openai.requests().pop().unwrap().body;
    assert!(heard == form(&[sound, field("model", "whisper-1"), prompt]), "byte for byte but for the name");
}

#[tokio::test]
async fn forms_go_over_http2_as_well() {
    let config = CloudConfig { models: vec!["whisper-1".to_owned()], ..CloudConfig::new(Provider::OpenAi) };
    let openai = Cloud::start(Provider::OpenAi, config).await.unwrap();
    let mut config = settings([cloud(openai.url(), "openai", "whisper-1", Some("sk-test"))]);
    config.upstream.http2_prior_knowledge = true;
    let rig = Rig::start(config).await;
    let (model, sound) = (field("model", "whisper-1"), file("file", &sound(3 << 20)));
    for body in [form(&[model.clone(), sound.clone()]), form(&[sound, model])] {
        for ask in
            [upload(TRANSCRIBE, body.clone()), upload(TRANSCRIBE, body.clone()).chunked(vec![1 << 19; 3])]
        {
            ok(rig.ask(&ask).await);
            assert!(openai.requests().pop().unwrap().body == body, "byte for byte");
        }
    }
    // What turns out to be wrong on the way resets the stream and nothing else.
    let late = form(&[field("model", "whisper-1"), file("file", &[0; 3 << 20]), field("model", "x")]);
    let refused = rig.ask(&upload(TRANSCRIBE, late)).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    rig.at_rest().await;
}

#[tokio::test]
async fn an_upload_waits_for_its_upstream() {
    const ALL: usize = 64 << 20;
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::start(settings([engine(format!("http://{}", upstream.local_addr().unwrap()), "m")])).await;
    let head = format!(
        "POST {TRANSCRIBE} HTTP/1.1\r\nhost: gateway\r\ncontent-type: {KIND}\r\ncontent-length: {ALL}\r\n\r\n"
    );
    let mut client = TcpStream::connect(rig.address()).await.unwrap();
    let beginning = [head.into_bytes(), field("model", "m"), file("file", b"")].concat();
    client.write_all(&beginning).await.unwrap();
    let (mut serving, _) = upstream.accept().await.unwrap();
    let begun = heard(&mut serving, b"name=\"file\"").await;
    assert!(String::from_utf8_lossy(&begun).contains(&format!("content-length: {ALL}\r\n")));
    // Nobody reads on. What the client can still write is what sockets and one piece hold.
    let piece = vec![b'x'; 64 << 10];
    let mut written = 0;
    while let Ok(wrote) = tokio::time::timeout(Duration::from_millis(300), client.write(&piece)).await {
        written += wrote.unwrap();
        assert!(written < ALL / 2, "the gateway takes the file although its upstream does not");
    }
    // A client that leaves takes the upstream's request with it.
    drop(client);
    let mut rest = Vec::new();
    let _ = serving.read_to_end(&mut rest).await;
    assert!(rest.len() < ALL / 2);
    rig.at_rest().await;
}

#[tokio::test]
async fn a_form_is_tried_elsewhere_while_nobody_has_taken_what_is_to_come() {
    let closed: SocketAddr = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let good = Upstream::directed(|_, _| Reply::json(200, r#"{"text":"hello"}"#)).await.unwrap();
    let busy = Upstream::directed(|_, _| Reply::json(503, r#"{"error":{"message":"busy"}}"#)).await.unwrap();
    let large = form(&[field("model", "m"), file("file", &sound(5 << 20))]);
    let small = form(&[file("file", b"abc"), field("model", "m")]);
    for (what, first, body, status) in [
        ("nobody is there", format!("http://{closed}"), &large, 200),
        ("all of it is here", busy.url(), &small, 200),
        ("what came is gone", busy.url(), &large, 503),
    ] {
        let mut first = engine(first, "m");
        first.priority = 90;
        let rig = Rig::start(settings([first, engine(good.url(), "m")])).await;
        let answer = rig.ask(&upload(TRANSCRIBE, body.clone())).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        if status == 200 {
            assert!(good.requests().pop().unwrap().body == *body, "{what}");
        }
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn a_pause_between_attempts_is_not_the_clients() {
    let closed: SocketAddr = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let good = Upstream::directed(|_, _| Reply::json(200, r#"{"text":"hello"}"#)).await.unwrap();
    let mut first = engine(format!("http://{closed}"), "m");
    first.priority = 90;
    let mut config = settings([first, engine(good.url(), "m")]);
    config.retry.initial_backoff = Duration::from_millis(2500);
    config.retry.max_backoff = config.retry.initial_backoff;
    config.retry.jitter = 0.0;
    config.timeouts.client_body = Duration::from_secs(1);
    let rig = Rig::start(config).await;
    // So short that, over the pause, it would count as trickling in.
    let body = form(&[field("model", "m"), file("file", b"abc")]);
    let answer = ok(rig.ask(&upload(TRANSCRIBE, body.clone()).chunked(vec![100])).await);
    assert_eq!(answer.json()["text"], "hello");
    assert!(good.requests().pop().unwrap().body == body);
}

#[tokio::test]
async fn what_is_no_form_is_refused() {
    let (openai, rig) = account(Provider::OpenAi, "whisper-1").await;
    let model = field("model", "whisper-1");
    let late = form(&[model.clone(), file("file", &sound(3 << 20)), model.clone()]);
    for (ask, status, says) in [
        (post(TRANSCRIBE, "{}"), 415, "multipart/form-data"),
        (post(TRANSCRIBE, "x").bare(), 415, "multipart/form-data"),
        (upload(TRANSCRIBE, form(&[file("file", b"abc")])), 400, "`model` is missing"),
        (upload(TRANSCRIBE, b"nonsense".to_vec()), 400, "`model` is missing"),
        (upload(TRANSCRIBE, form(&[model.clone(), model.clone()])), 400, "given twice"),
        (upload(TRANSCRIBE, form(&[field("model", "nobody")])), 404, "`nobody`"),
        (upload(TRANSCRIBE, late), 400, "given twice"),
        (upload("/v1/images/generations", form(std::slice::from_ref(&model))), 415, "application/json"),
    ] {
        let answer = rig.ask(&ask).await;
        assert_eq!(answer.status, status, "{says}: {}", answer.text());
        let error: Value = answer.json();
        assert!(error["error"]["message"].as_str().unwrap().contains(says), "{error}");
    }
    assert!(openai.requests().iter().all(|heard| heard.method != "POST"), "none of it went on whole");
    rig.at_rest().await;

    let (_anthropic, rig) = account(Provider::Anthropic, "claude-haiku-4-5").await;
    let body = form(&[field("model", "claude-haiku-4-5"), file("file", b"abc")]);
    let none = rig.ask(&upload(TRANSCRIBE, body)).await;
    assert_eq!((none.status, &none.json()["error"]["code"]), (400, &json!("dialect_not_supported")));
}

#[tokio::test]
async fn a_form_over_the_limit_is_cut_off() {
    let upstream = Upstream::directed(|_, _| Reply::json(200, r#"{"text":"hello"}"#)).await.unwrap();
    let mut config = settings([engine(upstream.url(), "m")]);
    config.limits.body_bytes = 2 << 20;
    let rig = Rig::start(config).await;
    let body = form(&[field("model", "m"), file("file", &sound(3 << 20))]);
    for ask in [upload(TRANSCRIBE, body.clone()), upload(TRANSCRIBE, body).chunked(vec![1 << 20; 2])] {
        let answer = rig.ask(&ask).await;
        assert_eq!(answer.status, 413, "{}", answer.text());
        assert!(answer.text().contains("limits.body_bytes"), "{}", answer.text());
    }
    rig.at_rest().await;
}

/// An upstream may begin to answer before it has the whole form: what is wrong behind that is the client's all the
/// same.
#[tokio::test]
async fn what_is_wrong_behind_the_answers_beginning_is_the_clients_fault() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::start(settings([engine(format!("http://{}", upstream.local_addr().unwrap()), "m")])).await;
    let (model, sound) = (field("model", "m"), file("file", b"abc"));
    let ask = upload(TRANSCRIBE, form(&[model.clone(), sound, model.clone()])).bytes();
    let (begun, last) = ask.split_at(ask.len() - model.len());
    let mut line = Line::open(rig.address()).await;
    line.write(begun).await.unwrap();
    let (mut serving, _) = upstream.accept().await.unwrap();
    heard(&mut serving, b"abc").await;
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"text\":";
    serving.write_all(head).await.unwrap();
    // Nobody tells that the head has been read; too early, and this is a form refused before its answer.
    tokio::time::sleep(Duration::from_millis(200)).await;
    line.write(last).await.unwrap();
    let mut head = line.head().await.unwrap();
    let told = String::from_utf8(line.rest(&mut head).await.unwrap()).unwrap();
    assert_eq!(head.status, 400, "{told}");
    assert!(told.contains("given twice"), "{told}");
    rig.at_rest().await;
}
