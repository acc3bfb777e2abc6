//! Stage 5: picks a worker, sends, waits for the answer to begin; tries again elsewhere while nothing has
//! reached the client. Retries, credentials and the choice between splicing and translating are here and
//! nowhere else.

use super::failure::{Failure, broken, error_answer, is_retryable, nobody_left, refused, unanswered};
use super::fan;
use super::forward;
use super::plan::Plan;
use super::relay::{Flow, Leg, Splice, Step, Translate};
use super::settle::{Ledger, Outcome, WARNINGS, warnings};
use super::translate::{Parsed, context};
use crate::fleet::reach::Contact;
use crate::fleet::worker::Worker;
use crate::snapshot::{Passage, passage};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, response};
use serde::de::IgnoredAny;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use trunkline_core::{Dialect, Event, Fault, FaultKind, Fold, LoadGuard, Losses, Prompt, WorkerId, unfold};
use trunkline_dialect::rename::Rename;
use trunkline_dialect::rope::Rope;
use trunkline_dialect::scan::Scanned;
use trunkline_dialect::tap::{StreamTap, tap_reply};
use trunkline_dialect::{StreamReader, StreamWriter, Written, read_reply, speaks, write_reply};
use trunkline_route::{Backoff, Policy};
use trunkline_upstream::{Answer, AnswerBody, UpstreamError};

/// An answer that is ready to be relayed.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
}

/// The body of an answer.
pub(crate) enum Content {
    /// All of it.
    Whole(Bytes),
    /// Its beginning, and where the rest comes from.
    Flow { flow: Flow, primed: Option<Bytes>, idle: Duration },
}

/// Whole answers up to this size are held until they are complete, so that one that breaks off can still
/// become a proper error or be asked for elsewhere.
const HELD: usize = 256 << 10;

/// Gets an answer.
///
/// # Errors
/// What the last attempt came to, or that there was nobody to attempt it on.
pub(crate) async fn dispatch(ledger: &mut Ledger, plan: Plan) -> Result<Answered, Fault> {
    let retry = &plan.question.snapshot.config.retry;
    let backoff = Backoff {
        attempts: retry.attempts,
        initial: retry.initial_backoff,
        max: retry.max_backoff,
        multiplier: retry.multiplier,
        jitter: retry.jitter,
    };
    let lane = &plan.lane;
    let mut tried: SmallVec<[WorkerId; 2]> = SmallVec::new();
    let mut parsed = None;
    let mut done = 0;
    loop {
        let pick = |tried: &[WorkerId]| {
            lane.policy.pick(&Prompt::default(), &lane.candidates, tried, fastrand::u64(..))
        };
        let candidate = pick(&tried).or_else(|| pick(&[])).ok_or_else(nobody_left)?;
        let worker = lane.workers.get(candidate.slot).ok_or_else(nobody_left)?;
        ledger.guards.push(LoadGuard::new(&candidate.load));
        ledger.attempts(&worker.id);
        done += 1;
        let failure = match attempt(ledger, &plan, worker, &mut parsed).await {
            Ok(answered) => {
                ledger.attempted(Some(Outcome::Status(answered.status.as_u16())));
                return Ok(answered);
            }
            Err(failure) => failure,
        };
        ledger.attempted(failure.outcome);
        tried.push(worker.id.clone());
        let same_worker = !Policy::has_other(&lane.candidates, &tried);
        let delay = backoff.delay(done, failure.wait, same_worker, fastrand::f64());
        match delay.filter(|_| failure.retry) {
            // An error that is streamed keeps counting as load until it is over.
            None => return failure.last,
            Some(delay) => {
                ledger.guards.clear();
                tracing::debug!(request_id = %ledger.id, worker = %worker.id, ?delay, "attempt failed, trying again");
                tokio::time::sleep(delay).await;
            }
        }
    }
}

async fn attempt(
    ledger: &mut Ledger,
    plan: &Plan,
    worker: &Arc<Worker>,
    parsed: &mut Option<Parsed>,
) -> Result<Answered, Failure> {
    let dialect = ledger.endpoint.dialect;
    match passage(dialect, worker) {
        Passage::Splice => {
            let body = splice(plan, worker, dialect);
            let answer = send(ledger, plan, worker, dialect, &body, &[], 0).await?;
            let rename = echo(plan, worker, dialect);
            if is_stream(&answer.head) && plan.question.scanned.stream {
                splice_stream(ledger, plan, answer, rename).await
            } else {
                splice_whole(ledger, plan, answer, rename).await
            }
        }
        Passage::Translate(to) => {
            if parsed.is_none() {
                *parsed = Some(Parsed::read(dialect, &plan.question.body).map_err(refused)?);
            }
            let Some(parsed) = parsed.as_mut() else { return Err(refused(nobody_left())) };
            let (written, losses) = parsed.write(ledger, plan, worker, to).await.map_err(refused)?;
            ledger.lost(&losses, to.name());
            let context = context(ledger, plan, parsed.include_usage());
            translate(ledger, plan, worker, Translation { to, written, losses, context }).await
        }
        // `plan` only offers workers with a passage.
        Passage::Closed => Err(refused(nobody_left())),
    }
}

/// The client's body with the fields that are ours put right.
fn splice(plan: &Plan, worker: &Worker, dialect: Dialect) -> Rope {
    let scanned = &plan.question.scanned;
    let mut edits: SmallVec<[_; 2]> = SmallVec::new();
    let config = &plan.question.snapshot.config;
    let streams_usage = matches!(dialect, Dialect::OpenaiChat | Dialect::OpenaiCompletions);
    if scanned.stream && config.translate.force_include_usage && streams_usage {
        edits.extend(ask_for_usage(&plan.question.body, scanned));
    }
    let name = worker.name_for(plan.model.as_str());
    if name != plan.asked.as_str()
        && let Some((_, range)) = &scanned.model
    {
        let mut text = Vec::with_capacity(name.len() + 2);
        trunkline_dialect::json::escape(&mut text, name);
        edits.push((range.clone(), text.into()));
    }
    edits.sort_unstable_by_key(|(range, _)| range.start);
    if edits.is_empty() { plan.question.body.clone() } else { plan.question.body.splice(&edits) }
}

/// What shows the client the name it asked for, where that is wanted and another was sent.
fn echo(plan: &Plan, worker: &Worker, dialect: Dialect) -> Option<Rename> {
    let asked = plan.asked.as_str();
    let renamed = plan.question.snapshot.config.echo_alias && worker.name_for(plan.model.as_str()) != asked;
    renamed.then(|| Rename::new(dialect, asked))
}

/// The edit that asks for usage in a stream; none where the client has said itself whether it wants it.
fn ask_for_usage(body: &Rope, scanned: &Scanned) -> Option<(Range<usize>, Bytes)> {
    let Some(range) = scanned.stream_options.clone() else {
        let field: &[u8] = br#""stream_options":{"include_usage":true},"#;
        return Some((scanned.inside..scanned.inside, Bytes::from_static(field)));
    };
    let options = body.slice(range.clone());
    if options.as_ref() == b"null" {
        return Some((range, Bytes::from_static(br#"{"include_usage":true}"#)));
    }
    let fields: BTreeMap<String, IgnoredAny> = serde_json::from_slice(&options).ok()?;
    if fields.contains_key("include_usage") {
        return None;
    }
    let field: &[u8] =
        if fields.is_empty() { br#""include_usage":true"# } else { br#""include_usage":true,"# };
    let inside = range.start + 1;
    Some((inside..inside, Bytes::from_static(field)))
}

/// Sends a request, the `leg`th of those that together make one answer; an answer with an error status
/// becomes a [`Failure`].
async fn send(
    ledger: &Ledger,
    plan: &Plan,
    worker: &Arc<Worker>,
    to: Dialect,
    body: &Rope,
    extra: &[(&'static str, String)],
    leg: usize,
) -> Result<Answer, Failure> {
    let question = &plan.question;
    let config = &question.snapshot.config;
    let credential = forward::credential(worker, question.caller_key.as_ref());
    let dialects = (ledger.endpoint.dialect, to);
    let headers = || {
        let client = &question.head.headers;
        let mut headers = forward::request_headers(client, worker, dialects, credential, &ledger.id, extra);
        forward::tell_apart(&mut headers, leg);
        headers
    };
    let name = worker.name_for(plan.model.as_str());
    let Some(path) = worker.path(to, name, question.scanned.stream) else {
        return Err(refused(nobody_left()));
    };
    let first_byte = config.timeouts.first_byte;
    let answer =
        ledger.local.pool.send(&worker.endpoint, Method::POST, &path, headers, body, first_byte).await;
    match &answer {
        Ok(_) => worker.met(Contact::Answered, config),
        Err(error) if error.is_unreached() => worker.met(Contact::Unreached, config),
        // Somebody is there, but slow or confused.
        Err(_) => {}
    }
    let mut answer = answer.map_err(|error| unanswered(ledger, worker, &error))?;
    forward::clean(&mut answer.head.headers, credential.is_ours);
    if answer.head.status.is_success() {
        return Ok(answer);
    }
    let idle = config.timeouts.idle;
    Err(error_answer(ledger, worker, to, credential, answer, idle).await)
}

fn is_stream(head: &response::Parts) -> bool {
    let kind =
        head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.trim_start().get(..17).is_some_and(|start| start.eq_ignore_ascii_case("text/event-stream"))
}

/// A stream that passes untouched, committed to once its first bytes are there.
async fn splice_stream(
    ledger: &mut Ledger,
    plan: &Plan,
    answer: Answer,
    rename: Option<Rename>,
) -> Result<Answered, Failure> {
    let Answer { head, body } = answer;
    let idle = plan.question.snapshot.config.timeouts.idle;
    let choices = plan.question.scanned.choices.unwrap_or(1);
    let tap = StreamTap::new(ledger.endpoint.dialect, choices);
    let mut flow = Flow::Splice(Box::new(Splice::new(body, tap, rename.map(Box::new))));
    let first = prime(&mut flow, ledger, idle).await?;
    if flow.has_failed() {
        // The first thing said was that it failed. If nobody else does better, the client gets it as said.
        let fault = first_fault(ledger.endpoint.dialect, &first);
        let (retry, wait) = fault.map_or((true, None), |fault| (is_retryable(&fault), fault.retry_after));
        let content = Content::Flow { flow, primed: Some(first), idle };
        let last = Ok(Answered { status: head.status, headers: stream_headers(head.headers), content });
        let outcome = Some(Outcome::Failed("stream_error"));
        return Err(Failure { outcome, retry, wait, last });
    }
    let content = Content::Flow { flow, primed: Some(first), idle };
    Ok(Answered { status: head.status, headers: stream_headers(head.headers), content })
}

/// What a stream that begins with an error says, where its dialect can be read.
fn first_fault(dialect: Dialect, first: &[u8]) -> Option<Fault> {
    let mut reader = StreamReader::new(dialect, first.len()).ok()?;
    let mut fault = None;
    reader.push(first, &mut |event| {
        if let Event::Error(error) = event {
            fault = Some(error);
        }
    });
    fault
}

/// Reads until the answer has really begun. A failure before that can still be tried elsewhere.
async fn prime(flow: &mut Flow, ledger: &mut Ledger, idle: Duration) -> Result<Bytes, Failure> {
    let mut ready = BytesMut::new();
    let mut last = Instant::now();
    loop {
        let step = tokio::time::timeout_at(last + idle, poll_fn(|cx| flow.poll(cx, ledger))).await;
        match step {
            Ok(Step::Data(data)) if ready.is_empty() && flow.has_content() => return Ok(data),
            Ok(Step::Data(data)) => {
                ready.extend_from_slice(&data);
                last = Instant::now();
                if flow.has_content() {
                    return Ok(ready.freeze());
                }
            }
            // The next poll of the flow says so again.
            Ok(Step::End) => return Ok(ready.freeze()),
            Ok(Step::Failed(fault)) => {
                let retry = is_retryable(&fault);
                return Err(Failure {
                    outcome: Some(Outcome::Failed("cut")),
                    retry,
                    wait: fault.retry_after,
                    last: Err(fault),
                });
            }
            // Bytes that give the client nothing, such as keep-alive comments, are signs of life all the same.
            Err(_) if ledger.heard.is_some_and(|heard| heard > last) => last = ledger.heard.unwrap_or(last),
            Err(_) => {
                let fault = Fault::new(
                    FaultKind::Timeout,
                    "the upstream's answer went silent before it really began",
                );
                return Err(Failure {
                    outcome: Some(Outcome::Failed("idle_timeout")),
                    retry: false,
                    wait: None,
                    last: Err(fault),
                });
            }
        }
    }
}

/// A whole answer that passes untouched.
async fn splice_whole(
    ledger: &mut Ledger,
    plan: &Plan,
    answer: Answer,
    rename: Option<Rename>,
) -> Result<Answered, Failure> {
    let dialect = ledger.endpoint.dialect;
    let Answer { head, mut body } = answer;
    let config = &plan.question.snapshot.config;
    let idle = config.timeouts.idle;
    // The name may stand at the very end.
    let held = if rename.is_some() { config.limits.reply_bytes } else { HELD };
    let mut pieces: SmallVec<[Bytes; 2]> = SmallVec::new();
    let mut size = 0;
    while size <= held {
        match next(&mut body, idle).await {
            Ok(Some(data)) => {
                size += data.len();
                pieces.push(data);
            }
            Ok(None) => {
                let whole = join(&pieces, size);
                let whole = if let Some(rename) = rename { rename.reply(whole) } else { whole };
                return Ok(whole_answer(ledger, plan, head, whole, dialect));
            }
            Err(error) => return Err(broken(&error)),
        }
    }
    let primed = Some(join(&pieces, size));
    let flow = Flow::Copy { body, tail: Vec::new() };
    Ok(Answered { status: head.status, headers: head.headers, content: Content::Flow { flow, primed, idle } })
}

fn whole_answer(
    ledger: &mut Ledger,
    plan: &Plan,
    head: response::Parts,
    whole: Bytes,
    dialect: Dialect,
) -> Answered {
    // A client that asked for a stream gets one, also from an upstream that answered in one piece.
    if plan.question.scanned.stream
        && speaks(dialect)
        && let Ok(reply) = read_reply(dialect, &whole)
        && let Ok(mut writer) = StreamWriter::new(dialect, context(ledger, plan, true))
    {
        let mut out = Vec::new();
        unfold(&reply, |event| writer.write(event, &mut out));
        ledger.usage = reply.usage;
        let headers = stream_headers(forward::translated_headers(&head.headers));
        return Answered { status: head.status, headers, content: Content::Whole(out.into()) };
    }
    let tapped = tap_reply(dialect, std::slice::from_ref(&whole));
    ledger.usage = tapped.usage;
    ledger.finish = tapped.finish.map(Into::into);
    let mut headers = head.headers;
    headers.remove(header::CONTENT_LENGTH);
    Answered { status: head.status, headers, content: Content::Whole(whole) }
}

/// A call in another dialect, and what is needed to bring its answer back.
struct Translation {
    to: Dialect,
    written: Written,
    losses: Losses,
    context: trunkline_dialect::Context,
}

async fn translate(
    ledger: &mut Ledger,
    plan: &Plan,
    worker: &Arc<Worker>,
    translation: Translation,
) -> Result<Answered, Failure> {
    let Translation { to, written, losses, context } = translation;
    let Written { body, headers: extra, restore, fan_out } = written;
    let body = Rope::from(body);
    let legs = usize::try_from(fan_out.max(1)).unwrap_or(1);
    let mut answers: SmallVec<[Answer; 1]> = SmallVec::new();
    if legs == 1 {
        answers.push(send(ledger, plan, worker, to, &body, &extra, 0).await?);
    } else {
        let load = Arc::clone(&worker.load);
        ledger.guards.extend((1..legs).map(|_| LoadGuard::new(&load)));
        let shared = &*ledger;
        let sends = (0..legs).map(|leg| send(shared, plan, worker, to, &body, &extra, leg));
        for answer in futures_util::future::join_all(sends).await {
            answers.push(answer?);
        }
    }
    let idle = plan.question.snapshot.config.timeouts.idle;
    let limits = &plan.question.snapshot.config.limits;
    let dialect = ledger.endpoint.dialect;
    let first_head = answers.first().map(|answer| answer.head.headers.clone()).unwrap_or_default();
    let mut headers = forward::translated_headers(&first_head);
    if let Some(warnings) = warnings(&losses) {
        headers.insert(WARNINGS, warnings);
    }
    let streams = plan.question.scanned.stream;
    if streams && answers.iter().all(|answer| is_stream(&answer.head)) {
        let mut legs = SmallVec::new();
        for answer in answers {
            let reader = StreamReader::new(to, limits.event_bytes).map_err(refused)?;
            legs.push(Leg { body: Some(answer.body), reader, restore: restore.clone() });
        }
        let writer = StreamWriter::new(dialect, context).map_err(refused)?;
        let mut flow = Flow::Translate(Box::new(Translate::new(legs, writer)));
        let primed = Some(prime(&mut flow, ledger, idle).await?);
        let content = Content::Flow { flow, primed, idle };
        return Ok(Answered { status: StatusCode::OK, headers: stream_headers(headers), content });
    }
    let mut replies = Vec::with_capacity(answers.len());
    for answer in answers {
        let was_stream = is_stream(&answer.head);
        let bytes = collect(answer.body, idle, limits.reply_bytes).await.map_err(|error| broken(&error))?;
        let reply =
            if was_stream { fold(ledger, to, &bytes, limits.event_bytes) } else { read_reply(to, &bytes) };
        let mut reply = reply.map_err(|fault| {
            let retry = is_retryable(&fault);
            Failure { outcome: Some(Outcome::Failed("unreadable")), retry, wait: None, last: Err(fault) }
        })?;
        restore.reply(&mut reply);
        replies.push(reply);
    }
    let reply = fan::merge(replies).unwrap_or_default();
    ledger.usage.clone_from(&reply.usage);
    let finish = reply.choices.first().and_then(|choice| choice.finish.as_ref());
    ledger.finish = finish.map(|f| f.native.as_ref().map_or("done", |(_, native)| native.as_str()).into());
    if streams {
        let mut writer = StreamWriter::new(dialect, context).map_err(refused)?;
        let mut out = Vec::new();
        unfold(&reply, |event| writer.write(event, &mut out));
        ledger.lost_more(writer.losses(), dialect.name());
        return Ok(Answered {
            status: StatusCode::OK,
            headers: stream_headers(headers),
            content: Content::Whole(out.into()),
        });
    }
    let mut more = Losses::default();
    let out = write_reply(dialect, &reply, &context, &mut more).map_err(refused)?;
    ledger.lost_more(&more, dialect.name());
    let mut losses = losses;
    more.into_iter().for_each(|loss| losses.push(loss));
    if let Some(warnings) = warnings(&losses) {
        headers.insert(WARNINGS, warnings);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(Answered { status: StatusCode::OK, headers, content: Content::Whole(out.into()) })
}

/// Folds a stream that came although none was asked for.
fn fold(
    ledger: &mut Ledger,
    dialect: Dialect,
    bytes: &[u8],
    event_bytes: usize,
) -> Result<trunkline_core::Reply, Fault> {
    let mut reader = StreamReader::new(dialect, event_bytes)?;
    let mut fold = Fold::default();
    reader.push(bytes, &mut |event| fold.push(event));
    if !fold.is_over() {
        reader.close(&mut |event| fold.push(event));
    }
    ledger.lost_more(fold.losses(), ledger.endpoint.dialect.name());
    fold.finish()
}

/// Headers of a stream: no proxy on the way may hold it back, whatever the upstream said.
fn stream_headers(mut headers: HeaderMap) -> HeaderMap {
    headers.remove(header::CONTENT_LENGTH);
    headers
        .entry(header::CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    headers
}

async fn next(body: &mut AnswerBody, idle: Duration) -> Result<Option<Bytes>, UpstreamError> {
    let data = tokio::time::timeout(idle, poll_fn(|cx| body.poll_data(cx))).await;
    data.unwrap_or(Some(Err(UpstreamError::IdleTimeout(idle)))).transpose()
}

pub(super) async fn collect(
    mut body: AnswerBody,
    idle: Duration,
    limit: usize,
) -> Result<Bytes, UpstreamError> {
    let mut pieces: SmallVec<[Bytes; 2]> = SmallVec::new();
    let mut size = 0;
    while let Some(data) = next(&mut body, idle).await? {
        size += data.len();
        if size > limit {
            return Err(UpstreamError::TooLarge(limit));
        }
        pieces.push(data);
    }
    Ok(join(&pieces, size))
}

fn join(pieces: &[Bytes], size: usize) -> Bytes {
    if let [only] = pieces {
        return only.clone();
    }
    let mut all = BytesMut::with_capacity(size);
    pieces.iter().for_each(|piece| all.extend_from_slice(piece));
    all.freeze()
}
