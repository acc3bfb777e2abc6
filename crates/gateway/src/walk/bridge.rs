//! The answer to a translated call, brought back into the client's dialect.

use super::answer::{Answered, Content, Patience, Turn, collect, is_stream, prime, stream_headers};
use super::dispatch::send;
use super::failure::{Failure, broken, refused, unreadable};
use super::fan;
use super::forward;
use super::plan::Plan;
use super::predict::{self, Job};
use super::relay::{Flow, Leg, Teller, Translate, too_deep, too_many_calls};
use super::settle::{Ledger, WARNINGS, warnings};
use super::translate::Audience;
use super::verdict::Keys;
use crate::fleet::gate::Place;
use crate::fleet::worker::Worker;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use smallvec::SmallVec;
use std::sync::Arc;
use trunkline_core::{
    Dialect, Event, Extra, Fault, Fold, ItemKind, Losses, OnUnsupported, Open, Reply, unfold,
};
use trunkline_dialect::nesting::Nesting;
use trunkline_dialect::rope::Rope;
use trunkline_dialect::{StreamReader, StreamWriter, Written, read_reply_of, write_reply};
use trunkline_upstream::Answer;

/// A call in another dialect, and what is needed to bring its answer back.
pub(super) struct Translation {
    pub(super) to: Dialect,
    pub(super) written: Written,
    pub(super) losses: Losses,
    /// Whether the client is told of them.
    pub(super) on_unsupported: OnUnsupported,
    pub(super) context: trunkline_dialect::Context,
    /// What of the call the answer repeats.
    pub(super) echo: Extra,
    /// Who hears the answer.
    pub(super) audience: Audience,
}

/// Asks, and brings back what comes.
pub(super) async fn translate(
    ledger: &mut Ledger,
    plan: &Plan,
    worker: &Arc<Worker>,
    mut translation: Translation,
) -> Result<Answered, Failure> {
    let answers = answers(ledger, plan, worker, &mut translation).await?;
    let to = translation.to;
    let are_streams = |answers: &Answers| answers.iter().all(|(answer, _)| is_stream(to, &answer.head));
    if !plan.question.stream || !are_streams(&answers) {
        return whole(ledger, plan, worker, translation, answers).await;
    }
    let patience = Patience::of(plan, worker);
    let keys = Keys::behind(worker, plan.question.caller_keys.meant_for(worker));
    let audience = translation.audience;
    let (mut flow, headers) = begin(ledger, plan, worker, translation, answers).map_err(refused)?;
    let primed = prime(&mut flow, ledger, patience, keys).await?;
    let content = match audience {
        Audience::Client => Content::Flow { flow, primed: Some(primed), idle: patience.idle },
        Audience::Loop => {
            let (events, rest) = (flow.overheard(), Some((flow, patience.idle)));
            Content::Turn(Box::new(Turn { to, service_tier: None, events, rest }))
        }
    };
    Ok(Answered { status: StatusCode::OK, headers, content })
}

/// What came back of each leg, begun but not read.
type Answers = SmallVec<[(Answer, Option<Job>); 1]>;

async fn answers(
    ledger: &mut Ledger,
    plan: &Plan,
    worker: &Arc<Worker>,
    translation: &mut Translation,
) -> Result<Answers, Failure> {
    let Translation { to, written, .. } = translation;
    let (body, extra) = (Rope::from(std::mem::take(&mut written.body)), &written.headers);
    let legs = usize::try_from(written.fan_out.max(1)).unwrap_or(1);
    let mut answers = Answers::new();
    if legs == 1 {
        answers.push(ask(ledger, plan, worker, *to, &body, extra, 0).await?);
        return Ok(answers);
    }
    ledger.places.extend((1..legs).map(|_| Place::beside(&worker.load)));
    ledger.count_legs(legs);
    let shared = &*ledger;
    let sends = (0..legs).map(|leg| ask(shared, plan, worker, *to, &body, extra, leg));
    for answer in futures_util::future::join_all(sends).await {
        answers.push(answer?);
    }
    Ok(answers)
}

/// What of the headers of `answers` holds for the client, and what it is told of losses.
fn headers_of(answers: &Answers, translation: &Translation) -> HeaderMap {
    let first = answers.first().map(|(answer, _)| &answer.head.headers);
    let mut headers = first.map(forward::translated_headers).unwrap_or_default();
    warn(&mut headers, translation);
    if translation.context.array {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    headers
}

fn warn(headers: &mut HeaderMap, translation: &Translation) {
    if let Some(warnings) = warnings(&translation.losses, translation.on_unsupported) {
        headers.insert(WARNINGS, warnings);
    }
}

/// A stream of streams.
fn begin(
    ledger: &Ledger,
    plan: &Plan,
    worker: &Worker,
    translation: Translation,
    answers: Answers,
) -> Result<(Flow, HeaderMap), Fault> {
    let (limits, dialect) = (&plan.question.snapshot.config.limits, ledger.endpoint.dialect);
    let headers = stream_headers(dialect, headers_of(&answers, &translation));
    let Translation { to, written, context, echo, audience, .. } = translation;
    let mut legs = SmallVec::new();
    for (answer, job) in answers {
        let reader = StreamReader::of(worker.profile(), to, limits.event_bytes)?;
        let restore = written.restore.clone();
        let nesting = Nesting::stream(to, limits.reply_depth);
        legs.push(Leg { body: Some(answer.body), reader, nesting, restore, job, tally: None });
    }
    let teller = match audience {
        Audience::Client => {
            let mut writer = StreamWriter::new(dialect, context)?;
            writer.echo(echo);
            Teller::Client(writer)
        }
        Audience::Loop => Teller::Loop(Vec::new()),
    };
    let heartbeat = plan.question.snapshot.config.timeouts.heartbeat;
    Ok((Flow::Translate(Box::new(Translate::new(legs, teller, limits, heartbeat))), headers))
}

/// An answer of which at least one side is whole.
async fn whole(
    ledger: &mut Ledger,
    plan: &Plan,
    worker: &Worker,
    mut translation: Translation,
    answers: Answers,
) -> Result<Answered, Failure> {
    let config = &plan.question.snapshot.config;
    let (idle, limits) = (config.timeouts.idle, &config.limits);
    let (to, streams) = (translation.to, plan.question.stream);
    if streams != answers.iter().any(|(answer, _)| is_stream(to, &answer.head)) {
        let how = if streams { "the answer came whole" } else { "the answer came as a stream" };
        let mut more = Losses::default();
        more.emulated("stream", how);
        ledger.lost_more(&more, to.name());
        more.into_iter().for_each(|loss| translation.losses.push(loss));
    }
    let headers = headers_of(&answers, &translation);
    let mut replies = Vec::with_capacity(answers.len());
    for (answer, mut job) in answers {
        let was_stream = is_stream(to, &answer.head);
        let bytes = collect(answer.body, idle, limits.reply_bytes).await.map_err(|error| broken(&error))?;
        if let Some(job) = &mut job {
            job.over();
        }
        let nesting = if was_stream {
            Nesting::stream(to, limits.reply_depth).push(&bytes)
        } else {
            Nesting::whole(limits.reply_depth).push(&bytes)
        };
        nesting.map_err(|deep| unreadable(too_deep(deep)))?;
        let reply = if was_stream {
            let reader = StreamReader::of(worker.profile(), to, limits.event_bytes);
            reader.and_then(|reader| fold(ledger, reader, &bytes))
        } else {
            read_reply_of(worker.profile(), to, &bytes)
        };
        let mut reply = reply.map_err(unreadable)?;
        // Whatever becomes of the answer, this much was counted.
        match (&mut ledger.usage, &reply.usage) {
            (Some(sum), Some(usage)) => sum.add(usage),
            (sum @ None, usage) => sum.clone_from(usage),
            (Some(_), None) => {}
        }
        if has_more_calls(&reply, limits.tool_calls) {
            return Err(unreadable(too_many_calls()));
        }
        translation.written.restore.reply(&mut reply);
        replies.push(reply);
    }
    let reply = fan::merge(replies).unwrap_or_default();
    let finish = reply.choices.first().and_then(|choice| choice.finish.as_ref());
    ledger.finish = finish.map(|f| f.native.as_ref().map_or("done", |(_, native)| native.as_str()).into());
    if translation.audience == Audience::Loop {
        return Ok(as_turn(to, reply, headers));
    }
    let write = if streams { as_stream } else { as_whole };
    write(ledger, translation, reply, headers).map_err(refused)
}

/// A whole answer for a loop, which hears the same of a streamed one.
fn as_turn(to: Dialect, mut reply: Reply, headers: HeaderMap) -> Answered {
    let mut events = Vec::new();
    // A whole answer holds log probabilities beside its text, a stream while the text flows.
    let mut logprobs = reply.choices.first_mut().and_then(|choice| choice.logprobs.take());
    let mut in_text = false;
    unfold(&reply, |event| {
        if let Event::Open { open, .. } = &event {
            in_text = matches!(open, Open::Text);
        }
        if in_text
            && matches!(event, Event::Close { .. })
            && let Some((dialect, raw)) = logprobs.take()
        {
            events.push(Event::Logprobs { choice: 0, dialect, raw });
        }
        events.push(event.into_owned());
    });
    let turn = Turn { to, service_tier: reply.service_tier, events, rest: None };
    Answered { status: StatusCode::OK, headers, content: Content::Turn(Box::new(turn)) }
}

/// A whole answer for a client that wants a stream.
fn as_stream(
    ledger: &mut Ledger,
    translation: Translation,
    reply: Reply,
    headers: HeaderMap,
) -> Result<Answered, Fault> {
    let dialect = ledger.endpoint.dialect;
    let mut writer = StreamWriter::new(dialect, translation.context)?;
    writer.echo(translation.echo);
    let mut out = Vec::new();
    unfold(&reply, |event| writer.write(event, &mut out));
    ledger.lost_more(writer.losses(), dialect.name());
    let headers = stream_headers(dialect, headers);
    Ok(Answered { status: StatusCode::OK, headers, content: Content::Whole(out.into()) })
}

/// A whole answer for a client that wants one.
fn as_whole(
    ledger: &mut Ledger,
    mut translation: Translation,
    mut reply: Reply,
    mut headers: HeaderMap,
) -> Result<Answered, Fault> {
    let dialect = ledger.endpoint.dialect;
    reply.extra.append(&mut translation.echo);
    let mut more = Losses::default();
    let out = write_reply(dialect, &reply, &translation.context, &mut more)?;
    ledger.lost_more(&more, dialect.name());
    if more.iter().next().is_some() {
        more.into_iter().for_each(|loss| translation.losses.push(loss));
        warn(&mut headers, &translation);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(Answered { status: StatusCode::OK, headers, content: Content::Whole(out.into()) })
}

/// Sends a call and gets to its answer, which may not be what comes back first.
async fn ask(
    ledger: &Ledger,
    plan: &Plan,
    worker: &Arc<Worker>,
    to: Dialect,
    body: &Rope,
    extra: &[(&'static str, String)],
    leg: usize,
) -> Result<(Answer, Option<Job>), Failure> {
    let answer = send(ledger, plan, worker, to, body, extra, leg).await?;
    if to == Dialect::ReplicatePredictions {
        // Boxed, so that calls of other dialects do not carry the room for it.
        return Box::pin(predict::follow(ledger, plan, worker, answer)).await;
    }
    Ok((answer, None))
}

/// Folds a stream that came although none was asked for.
fn fold(ledger: &mut Ledger, mut reader: StreamReader, bytes: &[u8]) -> Result<Reply, Fault> {
    let mut fold = Fold::default();
    reader.push(bytes, &mut |event| fold.push(event));
    if !fold.is_over() {
        reader.close(&mut |event| fold.push(event));
    }
    ledger.lost_more(fold.losses(), ledger.endpoint.dialect.name());
    fold.finish()
}

fn has_more_calls(reply: &Reply, most: usize) -> bool {
    let items = reply.choices.iter().flat_map(|choice| &choice.items);
    items.filter(|item| matches!(item.kind, ItemKind::ToolCall(_))).count() > most
}
