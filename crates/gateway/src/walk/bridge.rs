//! The answer to a translated call, brought back into the client's dialect.

use super::answer::{Answered, Content, collect, is_stream, prime, stream_headers};
use super::dispatch::send;
use super::failure::{Failure, broken, is_retryable, refused};
use super::fan;
use super::forward;
use super::plan::Plan;
use super::predict::{self, Job};
use super::relay::{Flow, Leg, Translate, too_many_calls};
use super::settle::{Ledger, Outcome, WARNINGS, warnings};
use crate::fleet::worker::Worker;
use http::{HeaderValue, StatusCode, header};
use smallvec::SmallVec;
use std::sync::Arc;
use trunkline_core::{
    Dialect, Extra, Fault, Fold, ItemKind, LoadGuard, Losses, OnUnsupported, Reply, unfold,
};
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
}

pub(super) async fn translate(
    ledger: &mut Ledger,
    plan: &Plan,
    worker: &Arc<Worker>,
    translation: Translation,
) -> Result<Answered, Failure> {
    let Translation { to, written, losses, on_unsupported, context, echo } = translation;
    let Written { body, headers: extra, restore, fan_out } = written;
    let body = Rope::from(body);
    let legs = usize::try_from(fan_out.max(1)).unwrap_or(1);
    let mut answers: SmallVec<[(Answer, Option<Job>); 1]> = SmallVec::new();
    if legs == 1 {
        answers.push(ask(ledger, plan, worker, to, &body, &extra, 0).await?);
    } else {
        let load = Arc::clone(&worker.load);
        ledger.guards.extend((1..legs).map(|_| LoadGuard::new(&load)));
        let shared = &*ledger;
        let sends = (0..legs).map(|leg| ask(shared, plan, worker, to, &body, &extra, leg));
        for answer in futures_util::future::join_all(sends).await {
            answers.push(answer?);
        }
    }
    let idle = plan.question.snapshot.config.timeouts.idle;
    let limits = &plan.question.snapshot.config.limits;
    let dialect = ledger.endpoint.dialect;
    let first_head = answers.first().map(|(answer, _)| answer.head.headers.clone()).unwrap_or_default();
    let mut headers = forward::translated_headers(&first_head);
    if let Some(warnings) = warnings(&losses, on_unsupported) {
        headers.insert(WARNINGS, warnings);
    }
    if context.array {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let streams = plan.question.stream;
    if streams && answers.iter().all(|(answer, _)| is_stream(to, &answer.head)) {
        let mut legs = SmallVec::new();
        for (answer, job) in answers {
            let reader = StreamReader::of(worker.profile(), to, limits.event_bytes).map_err(refused)?;
            legs.push(Leg { body: Some(answer.body), reader, restore: restore.clone(), job, tally: None });
        }
        let mut writer = StreamWriter::new(dialect, context).map_err(refused)?;
        writer.echo(echo);
        let heartbeat = plan.question.snapshot.config.timeouts.heartbeat;
        let translate = Translate::new(legs, writer, limits, heartbeat);
        let mut flow = Flow::Translate(Box::new(translate));
        let primed = Some(prime(&mut flow, ledger, idle).await?);
        let content = Content::Flow { flow, primed, idle };
        return Ok(Answered { status: StatusCode::OK, headers: stream_headers(dialect, headers), content });
    }
    let mut losses = losses;
    if streams != answers.iter().any(|(answer, _)| is_stream(to, &answer.head)) {
        let how = if streams { "the answer came whole" } else { "the answer came as a stream" };
        let mut more = Losses::default();
        more.emulated("stream", how);
        ledger.lost_more(&more, to.name());
        more.into_iter().for_each(|loss| losses.push(loss));
        if let Some(warnings) = warnings(&losses, on_unsupported) {
            headers.insert(WARNINGS, warnings);
        }
    }
    let mut replies = Vec::with_capacity(answers.len());
    for (answer, mut job) in answers {
        let was_stream = is_stream(to, &answer.head);
        let bytes = collect(answer.body, idle, limits.reply_bytes).await.map_err(|error| broken(&error))?;
        if let Some(job) = &mut job {
            job.over();
        }
        let reply = if was_stream {
            let reader = StreamReader::of(worker.profile(), to, limits.event_bytes);
            reader.and_then(|reader| fold(ledger, reader, &bytes))
        } else {
            read_reply_of(worker.profile(), to, &bytes)
        };
        let mut reply = reply.and_then(|reply| few_calls(reply, limits.tool_calls)).map_err(|fault| {
            let retry = is_retryable(&fault);
            Failure { outcome: Some(Outcome::Failed("unreadable")), retry, wait: None, last: Err(fault) }
        })?;
        restore.reply(&mut reply);
        replies.push(reply);
    }
    let mut reply = fan::merge(replies).unwrap_or_default();
    ledger.usage.clone_from(&reply.usage);
    let finish = reply.choices.first().and_then(|choice| choice.finish.as_ref());
    ledger.finish = finish.map(|f| f.native.as_ref().map_or("done", |(_, native)| native.as_str()).into());
    if streams {
        let mut writer = StreamWriter::new(dialect, context).map_err(refused)?;
        writer.echo(echo);
        let mut out = Vec::new();
        unfold(&reply, |event| writer.write(event, &mut out));
        ledger.lost_more(writer.losses(), dialect.name());
        return Ok(Answered {
            status: StatusCode::OK,
            headers: stream_headers(dialect, headers),
            content: Content::Whole(out.into()),
        });
    }
    reply.extra.extend(echo);
    let mut more = Losses::default();
    let out = write_reply(dialect, &reply, &context, &mut more).map_err(refused)?;
    ledger.lost_more(&more, dialect.name());
    more.into_iter().for_each(|loss| losses.push(loss));
    if let Some(warnings) = warnings(&losses, on_unsupported) {
        headers.insert(WARNINGS, warnings);
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

fn few_calls(reply: Reply, most: usize) -> Result<Reply, Fault> {
    let items = reply.choices.iter().flat_map(|choice| &choice.items);
    let calls = items.filter(|item| matches!(item.kind, ItemKind::ToolCall(_))).count();
    if calls > most { Err(too_many_calls()) } else { Ok(reply) }
}
