//! Answers on their way: who goes away when, and what the others notice of it.

use crate::client::{Line, events, post};
use crate::rig::{
    ALL, CHAT, COMPLETIONS, MESSAGES, RESPONSES, Rig, STREAMING, Speech, pieces, settings, until,
};
use bytes::Bytes;
use std::time::{Duration, Instant};
use trunkline_testkit::engine::{Engine, EngineConfig};
use trunkline_testkit::script::{Head, Reply, Then, Upstream};

/// How soon an upstream must learn that the client is gone. The promise is 100 ms; a machine under load is
/// given more.
const SOON: Duration = Duration::from_millis(500);

/// The beginning of a stream, then nothing.
fn stalled(speech: &Speech) -> Reply {
    Reply::events(pieces(&speech.stream[..2]), Duration::ZERO).then(Then::Hang)
}

/// Half a whole answer, then nothing.
fn stalled_half(speech: &Speech) -> Reply {
    Reply { then: Then::Hang, ..Reply::half(speech.reply) }
}

#[tokio::test]
async fn trap48_a_client_that_leaves_ends_the_work_upstream() {
    let streams = STREAMING.map(|speech| ("mid-stream", speech, true, stalled(&speech)));
    let unary = ALL.map(|speech| ("before the head", speech, false, Reply::hang()));
    let halves = ALL.map(|speech| ("mid-body", speech, false, stalled_half(&speech)));
    let heads = STREAMING.map(|speech| ("before the first event", speech, true, Reply::head_then_hang()));
    for (what, speech, streams, reply) in streams.into_iter().chain(unary).chain(halves).chain(heads) {
        let what = format!("{} {what}", speech.path);
        let upstream = Upstream::replying([reply]).await.unwrap();
        let rig = Rig::start(settings([speech.worker(upstream.url())])).await;
        let mut line = Line::open(rig.address()).await;
        if what.ends_with("mid-stream") {
            let mut head = line.begin(&speech.ask(streams)).await;
            assert_eq!(head.status, 200, "{what}");
            line.see(&mut head, "hel").await;
        } else {
            line.write(&speech.ask(streams).bytes()).await.unwrap();
            until(&what, async || upstream.requests().len() == 1).await;
        }
        assert_eq!(rig.workers().await[0]["load"], 1, "{what}");
        assert!((rig.metric("trunkline_in_flight_requests", &[]).await - 1.0).abs() < 0.1, "{what}");
        let left = Instant::now();
        drop(line);
        let aborted = tokio::time::timeout(SOON, upstream.aborted()).await.expect(&what);
        assert!(aborted.at.saturating_duration_since(left) < SOON, "{what}");
        rig.at_rest().await;
        let line = rig.access_line("end=client_gone").await;
        assert!(line.contains("status=499"), "{what}: {line}");
    }
}

#[tokio::test]
async fn a_slow_client_holds_back_the_upstream() {
    const PIECE: usize = 256 << 10;
    const PIECES: usize = 256;
    // Sockets on the way hold some megabytes each; a gateway that read ahead would have taken all 64.
    const MOST: usize = 40 << 20;
    let mut event = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"".to_vec();
    event.resize(PIECE - 7, b'x');
    event.extend_from_slice(b"\"}}]}\n\n");
    let stream = Reply::events(vec![Bytes::from(event); PIECES], Duration::ZERO);
    let body = vec![(Duration::ZERO, Bytes::from(vec![b' '; PIECE])); PIECES];
    let whole = Reply { pieces: body, ..CHAT.answer(false) };
    for (what, streams, reply) in [("a stream", true, stream), ("a whole answer", false, whole)] {
        let upstream = Upstream::replying([reply]).await.unwrap();
        let rig = Rig::start(settings([CHAT.worker(upstream.url())])).await;
        let mut line = Line::open(rig.address()).await;
        let mut head = line.begin(&CHAT.ask(streams)).await;
        line.piece(&mut head).await.unwrap();
        // Long enough to move everything many times over, were nobody held back.
        tokio::time::sleep(Duration::from_millis(400)).await;
        drop(line);
        let sent = upstream.aborted().await.pieces_sent * PIECE;
        assert!(sent < MOST, "{what}: the upstream could send {sent} bytes to a client that reads nothing");
        rig.at_rest().await;
    }
}

/// Checks the last event of a stream that broke off.
fn assert_error_event(speech: &Speech, stream: &[u8], what: &str) {
    let events = events(stream);
    let last = events.last().unwrap_or_else(|| panic!("{what}: no event"));
    let body = last.json();
    if speech.path == RESPONSES.path {
        assert_eq!((last.name.as_str(), &body["type"]), ("error", &"error".into()), "{what}: {body}");
        assert!(body["code"].is_string() && body["message"].is_string(), "{what}: {body}");
    } else {
        assert_eq!(last.name, if speech.is_messages() { "error" } else { "" }, "{what}");
        assert!(!speech.error(&body).is_empty(), "{what}");
    }
    let text = String::from_utf8_lossy(stream);
    assert!(text.ends_with("\n\n") && !text.contains("[DONE]"), "{what}: {text}");
    let others = &events[..events.len() - 1];
    assert!(others.iter().all(|event| event.json().is_object()), "{what}: a broken event in {text}");
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_an_error_in_its_dialect() {
    let half = |speech: &Speech| Bytes::from(speech.stream[2].split_at(20).0);
    for speech in STREAMING {
        for (what, then, partial, class) in [
            ("cut", Then::Cut, false, "upstream"),
            ("reset", Then::Reset, false, "upstream"),
            ("ended cleanly, but early", Then::End, false, "upstream"),
            ("closed cleanly, but early", Then::Close, false, "upstream"),
            ("went silent", Then::Hang, false, "timeout"),
            ("cut inside an event", Then::Cut, true, "upstream"),
            ("ended inside an event", Then::End, true, "upstream"),
            ("went silent inside an event", Then::Hang, true, "timeout"),
        ] {
            let what = format!("{} {what}", speech.path);
            let mut parts = pieces(&speech.stream[..2]);
            parts.extend(partial.then(|| half(&speech)));
            // The last part must be on its way before the end, or a reset takes it along.
            let reply = Reply::events(parts, Duration::from_millis(2)).then(then);
            let upstream = Upstream::replying([reply]).await.unwrap();
            let mut config = settings([speech.worker(upstream.url())]);
            config.timeouts.idle = Duration::from_millis(if then == Then::Hang { 150 } else { 5000 });
            let rig = Rig::start(config).await;
            let mut line = Line::open(rig.address()).await;
            let answer = line.ask(&speech.ask(true)).await;
            assert_eq!(answer.status, 200, "{what}");
            let begin = speech.stream[..2].concat();
            assert!(answer.text().starts_with(&begin), "{what}: {}", answer.text());
            assert_error_event(&speech, &answer.body, &what);
            rig.at_rest().await;
            let line = rig.access_line("attempts=").await;
            assert!(line.contains(&format!(" end={class} ")), "{what}: {line}");
            let errors = rig.metric("trunkline_request_errors_total", &[&format!("error=\"{class}\"")]).await;
            assert!((errors - 1.0).abs() < 0.1, "{what}");
            assert_eq!(upstream.requests().len(), 1, "{what}: nothing is tried again after the first byte");
        }
    }
}

#[tokio::test]
async fn a_stream_without_its_last_blank_line_is_complete() {
    for speech in STREAMING {
        let text = speech.stream.concat();
        let cut = text.strip_suffix('\n').unwrap().to_owned();
        let upstream = Upstream::replying([Reply::events([cut.clone()], Duration::ZERO)]).await.unwrap();
        let rig = Rig::start(settings([speech.worker(upstream.url())])).await;
        let answer = rig.ask(&speech.ask(true)).await;
        assert_eq!(answer.text(), cut, "{}", speech.path);
        assert!(rig.access_line("attempts=").await.contains("end=done"), "{}", speech.path);
    }
}

#[tokio::test]
async fn a_finish_reason_alone_is_not_the_end_where_more_must_come() {
    let [begin, content, end] = CHAT.stream;
    let finish = end.split_once("data: [DONE]").unwrap().0;
    let second = finish.replace("\"index\":0", "\"index\":1");
    let [first_block, text, last] = MESSAGES.stream;
    let delivered = last.split_once("event: message_stop").unwrap().0;
    let two = CHAT.body("m", true).replacen('{', "{\"n\":2,", 1);
    let [.., piece, bare] = COMPLETIONS.stream;
    let over = bare.split_once("data: [DONE]").unwrap().0;
    let other = over.replace("\"index\":0", "\"index\":1");
    let prompts = COMPLETIONS.body("m", true).replacen("\"hi\"", "[\"hi\",\"ho\"]", 1);
    for (what, speech, body, stream, whole) in [
        (
            "messages without a stop",
            MESSAGES,
            MESSAGES.body("m", true),
            [first_block, text, delivered].concat(),
            false,
        ),
        ("one choice, no [DONE]", CHAT, CHAT.body("m", true), [begin, content, finish].concat(), true),
        ("one of two choices", CHAT, two.clone(), [begin, content, finish].concat(), false),
        ("two choices", CHAT, two, [begin, content, finish, &second].concat(), true),
        ("one of two prompts", COMPLETIONS, prompts.clone(), [piece, over].concat(), false),
        ("two prompts", COMPLETIONS, prompts, [piece, over, &other].concat(), true),
    ] {
        let upstream = Upstream::replying([Reply::events([stream.clone()], Duration::ZERO)]).await.unwrap();
        let rig = Rig::start(settings([speech.worker(upstream.url())])).await;
        let answer = rig.post(speech.path, &body).await;
        assert!(answer.text().starts_with(&stream), "{what}: {}", answer.text());
        if whole {
            assert_eq!(answer.text(), stream, "{what}");
        } else {
            assert_error_event(&speech, &answer.body, what);
        }
        let end = if whole { " end=done " } else { " end=upstream " };
        assert!(rig.access_line("attempts=").await.contains(end), "{what}");
    }
}

#[tokio::test]
async fn what_a_cut_answer_has_used_is_in_the_books() {
    let start =
        MESSAGES.stream[0].replace("\"input_tokens\":3", "\"input_tokens\":3,\"cache_read_input_tokens\":4");
    for (what, client, then) in [
        ("cut", MESSAGES, Then::Cut),
        ("client gone", MESSAGES, Then::Hang),
        ("cut, translated", CHAT, Then::Cut),
        ("client gone, translated", CHAT, Then::Hang),
    ] {
        let reply = Reply::events(pieces(&[&start, MESSAGES.stream[1]]), Duration::ZERO).then(then);
        let upstream = Upstream::replying([reply]).await.unwrap();
        let rig = Rig::start(settings([MESSAGES.worker(upstream.url())])).await;
        let mut line = Line::open(rig.address()).await;
        let mut head = line.begin(&client.ask(true)).await;
        line.see(&mut head, "hello").await;
        if then == Then::Cut {
            line.rest(&mut head).await.unwrap();
        }
        drop(line);
        rig.at_rest().await;
        let line = rig.access_line("attempts=").await;
        assert!(line.contains(" input_tokens=7 output_tokens=1 cached_tokens=4 "), "{what}: {line}");
    }
}

#[tokio::test]
async fn c100_an_abandoned_stream_is_in_the_books_with_an_estimate() {
    for (client, worker) in [(CHAT, CHAT), (RESPONSES, RESPONSES), (MESSAGES, MESSAGES), (MESSAGES, CHAT)] {
        let [begin, content, _] = worker.stream;
        let more = content.replace("hello", "last");
        let reply = Reply::events(pieces(&[begin, content, content, content, &more]), Duration::ZERO);
        let upstream = Upstream::replying([reply.then(Then::Hang)]).await.unwrap();
        let rig = Rig::start(settings([worker.worker(upstream.url())])).await;
        let mut line = Line::open(rig.address()).await;
        let mut head = line.begin(&client.ask(true)).await;
        line.see(&mut head, "last").await;
        drop(line);
        upstream.aborted().await;
        rig.at_rest().await;
        let line = rig.access_line("end=client_gone").await;
        let what = format!("{} from {}: {line}", client.path, worker.path);
        assert!(line.contains("status=499"), "{what}");
        assert!(line.contains(" output_tokens=4 ") && line.contains(" estimated=true"), "{what}");
    }
}

#[tokio::test]
async fn half_an_answer_is_an_error_or_asked_for_elsewhere() {
    for speech in ALL {
        let broken = Upstream::directed(move |_, _| Reply::half(speech.reply)).await.unwrap();
        let mut config = settings([speech.worker(broken.url())]);
        config.retry.attempts = 1;
        let rig = Rig::start(config).await;
        let answer = rig.ask(&speech.ask(false)).await;
        assert_eq!(answer.status, 502, "{}: {}", speech.path, answer.text());
        let message = speech.error(&answer.json());
        assert!(message.contains("broke off"), "{}: {message}", speech.path);
        rig.at_rest().await;

        let whole = Upstream::directed(move |_, _| speech.answer(false)).await.unwrap();
        let mut first = speech.worker(broken.url());
        first.priority = 90;
        let rig = Rig::start(settings([first, speech.worker(whole.url())])).await;
        let answer = rig.ask(&speech.ask(false)).await;
        assert_eq!((answer.status, answer.text()), (200, speech.reply), "{}", speech.path);
        assert_eq!((broken.requests().len(), whole.requests().len()), (2, 1), "{}", speech.path);
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn half_of_a_long_answer_ends_the_connection() {
    // Its beginning is with the client already, so nothing but a broken connection can tell.
    let body = Bytes::from(vec![b' '; 2 << 20]);
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    let head = Head::Length { status: 200, headers, missing: 1000 };
    let reply = Reply { head, pieces: vec![(Duration::ZERO, body)], then: Then::Cut, after: Duration::ZERO };
    let upstream = Upstream::replying([reply]).await.unwrap();
    let rig = Rig::start(settings([CHAT.worker(upstream.url())])).await;
    let answer = Line::open(rig.address()).await.try_ask(&CHAT.ask(false)).await;
    assert!(answer.is_err(), "a cut answer must not look complete");
    rig.at_rest().await;
    assert!(rig.access_line("attempts=").await.contains(" end=upstream "));
}

#[tokio::test]
async fn an_error_inside_a_stream_passes_as_it_was_said() {
    let chat = "data: {\"error\":{\"message\":\"out of memory\",\"type\":\"server_error\",\"x\":1.0}}\n\n";
    let messages = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
    for (speech, said) in [(CHAT, chat), (MESSAGES, messages)] {
        let text = speech.stream[..2].concat() + said;
        let upstream = Upstream::replying([Reply::events([text.clone()], Duration::ZERO)]).await.unwrap();
        let mut config = settings([speech.worker(upstream.url())]);
        config.retry.attempts = 1;
        let rig = Rig::start(config).await;
        assert_eq!(rig.ask(&speech.ask(true)).await.text(), text, "{}", speech.path);
        rig.at_rest().await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_between_attempts_ends_them() {
    let upstream = Upstream::directed(|_, _| Reply::json(503, "{}")).await.unwrap();
    let mut config = settings([CHAT.worker(upstream.url())]);
    config.retry.initial_backoff = Duration::from_millis(400);
    config.retry.jitter = 0.0;
    let rig = Rig::start(config).await;
    let mut line = Line::open(rig.address()).await;
    line.write(&CHAT.ask(false).bytes()).await.unwrap();
    until("the first attempt failed", async || rig.metric("trunkline_attempts_total", &[]).await > 0.5).await;
    drop(line);
    rig.at_rest().await;
    // Longer than the pause before the next attempt.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(upstream.requests().len(), 1);
    assert!(rig.access_line("attempts=").await.contains(" end=client_gone "));
}

#[tokio::test]
async fn workers_that_speak_http2_are_treated_alike() {
    let config = EngineConfig { models: vec!["m".to_owned()], max_running: 64, ..EngineConfig::default() };
    let engine = Engine::start(config).await.unwrap();
    let mut config = settings([CHAT.worker(engine.url())]);
    config.upstream.http2_prior_knowledge = true;
    config.retry.attempts = 1;
    let rig = Rig::start(config).await;
    let body =
        |most: u32| format!("{{\"model\":\"m\",\"stream\":true,\"max_tokens\":{most},{}}}", CHAT.prompt);
    let short = post(CHAT.path, body(3));
    for answer in futures_util::future::join_all((0..10).map(|_| rig.ask(&short))).await {
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    }
    rig.at_rest().await;
    assert!(rig.shared().counts.open() <= 2, "they share a connection: {}", rig.shared().counts.open());

    // Long enough for both to be cut in the middle.
    let long = post(CHAT.path, body(2000));
    let mut lines = Vec::new();
    for _ in 0..2 {
        let mut line = Line::open(rig.address()).await;
        let mut head = line.begin(&long).await;
        line.see(&mut head, "\"content\":\"").await;
        lines.push((line, head));
    }
    until("both run", async || engine.stats().running == 2).await;
    let (mut line, mut head) = lines.pop().unwrap();
    let left = Instant::now();
    drop(lines);
    until("one is aborted", async || engine.stats().running == 1).await;
    assert!(left.elapsed() < SOON, "{:?}", left.elapsed());
    engine.stop();
    let rest = line.rest(&mut head).await.unwrap();
    assert_error_event(&CHAT, &rest, "the engine is gone");
    rig.at_rest().await;
}

#[tokio::test]
async fn every_leg_of_a_call_that_was_split_is_aborted() {
    let stalled = || Reply::events(pieces(&MESSAGES.stream[..2]), Duration::ZERO).then(Then::Hang);
    let upstream = Upstream::directed(move |_, _| stalled()).await.unwrap();
    let rig = Rig::start(settings([MESSAGES.worker(upstream.url())])).await;
    let body = format!("{{\"model\":\"m\",\"n\":3,\"stream\":true,{}}}", CHAT.prompt);
    let mut line = Line::open(rig.address()).await;
    let mut head = line.begin(&post(CHAT.path, body)).await;
    line.see(&mut head, "hello").await;
    assert_eq!((upstream.requests().len(), &rig.workers().await[0]["load"]), (3, &3.into()));
    drop(line);
    until("all three are aborted", async || upstream.aborts().len() == 3).await;
    rig.at_rest().await;
}
