//! Same-dialect traffic: the request with what is ours put right in its bytes, the answer as it comes.

use super::accept::is_json;
use super::answer::{Answered, Content, HELD, Patience, is_stream, join, next, prime, stream_headers};
use super::failure::{Failure, broken, unreadable};
use super::forward;
use super::plan::Plan;
use super::relay::{Copy, Dress, Flow, LastUsage, Splice};
use super::settle::{Ledger, Outcome};
use super::translate::{context, on_unsupported};
use super::verdict::{Keys, Mishap};
use crate::config::ForceUsage;
use crate::fleet::worker::Worker;
use crate::prices::is_paid;
use bytes::Bytes;
use http::{HeaderValue, header, response};
use smallvec::SmallVec;
use std::ops::Range;
use trunkline_core::{Dialect, Event, Fault, FaultKind, Kind, OnUnsupported, Surface, unfold};
use trunkline_dialect::embed;
use trunkline_dialect::framing::Framing;
use trunkline_dialect::gemini::Array;
use trunkline_dialect::openai_completions::prompts;
use trunkline_dialect::profile::{Ignored, Parameter, Rest, Unknown, misreads};
use trunkline_dialect::rename::Rename;
use trunkline_dialect::rope::Rope;
use trunkline_dialect::seal::may_carry;
use trunkline_dialect::stream_usage;
use trunkline_dialect::surface::{self, answers_freely};
use trunkline_dialect::tap::{Pictures, StreamTap, tap_reply};
use trunkline_dialect::{StreamReader, StreamWriter, read_reply, speaks};
use trunkline_upstream::Answer;

/// The client's body with the fields that are ours put right.
pub(super) fn body(plan: &Plan, worker: &Worker, dialect: Dialect) -> Rope {
    let scanned = &plan.question.scanned;
    let mut edits: SmallVec<[_; 2]> = SmallVec::new();
    edits.extend(ask_for_usage(plan, worker, dialect));
    let name = worker.name_for(plan.model.as_str());
    if scanned.model.is_none() && plan.question.form.is_none() {
        // Left out, as a route allows.
        let mut field = b"\"model\":".to_vec();
        trunkline_dialect::json::escape(&mut field, name);
        if scanned.has_members {
            field.push(b',');
        }
        edits.push((scanned.inside..scanned.inside, field.into()));
    }
    if name != plan.asked.as_str()
        && let Some((_, range)) = scanned.model.as_ref().filter(|(_, range)| !range.is_empty())
    {
        let mut text = Vec::with_capacity(name.len() + 2);
        match plan.question.form {
            Some(_) => text.extend_from_slice(name.as_bytes()),
            None => trunkline_dialect::json::escape(&mut text, name),
        }
        edits.push((range.clone(), text.into()));
    }
    edits.sort_unstable_by_key(|(range, _)| range.start);
    if edits.is_empty() { plan.question.body.clone() } else { plan.question.body.splice(&edits) }
}

/// Whether `worker`'s provider would refuse or misread the client's own bytes, though it speaks the dialect.
///
/// # Errors
/// See [`on_unsupported`].
pub(super) fn is_misread(plan: &Plan, worker: &Worker, dialect: Dialect) -> Result<bool, Fault> {
    // What was sealed here for a client of this dialect came from a worker that speaks another one.
    let question = &plan.question;
    if question.snapshot.is_mixed && speaks(dialect) && may_carry(&question.body) {
        return Ok(true);
    }
    if dialect == Dialect::Surface(Surface::OpenaiEmbeddings) {
        let habits = embed::habits(worker.provider.as_deref());
        return Ok(habits.deviates() && habits.misread(&question.body.joined()));
    }
    let profile = worker.profile();
    if dialect != Dialect::OpenaiChat || profile.unknown == Unknown::Passed {
        return Ok(false);
    }
    let ignored = match on_unsupported(plan)? {
        OnUnsupported::Reject => Ignored::Trouble,
        OnUnsupported::Warn | OnUnsupported::Drop => Ignored::Fine,
    };
    let model = worker.name_for(plan.model.as_str());
    Ok(misreads(profile, model, &plan.question.body.joined(), ignored).is_some())
}

/// What shows the client the name it asked for, where that is wanted and another was sent.
fn echo(plan: &Plan, worker: &Worker, dialect: Dialect) -> Option<Rename> {
    let asked = plan.asked.as_str();
    let renamed = plan.question.snapshot.config.echo_alias && worker.name_for(plan.model.as_str()) != asked;
    renamed.then(|| Rename::new(dialect, asked))
}

/// The edit that asks `worker` for the usage of a stream whose client does not.
fn ask_for_usage(plan: &Plan, worker: &Worker, dialect: Dialect) -> Option<(Range<usize>, Bytes)> {
    let question = &plan.question;
    if !question.stream || !matches!(dialect, Dialect::OpenaiChat | Dialect::OpenaiCompletions) {
        return None;
    }
    let model = worker.name_for(plan.model.as_str());
    let is_wanted = match question.snapshot.config.translate.force_include_usage {
        ForceUsage::Paid => is_paid(&question.snapshot.catalog, worker, model),
        ForceUsage::Always => true,
        ForceUsage::Never => false,
    };
    // Those that do not take the parameter send their counts in any case.
    let takes_it = || worker.profile().sheet(model, Rest::Unasked).takes(Parameter::StreamOptions);
    (is_wanted && takes_it()).then(|| stream_usage::ask(&question.body, &question.scanned)).flatten()
}

/// What came back, whole or streamed.
pub(super) async fn answer(
    ledger: &mut Ledger,
    plan: &Plan,
    worker: &Worker,
    answer: Answer,
) -> Result<Answered, Failure> {
    let dialect = ledger.endpoint.dialect;
    let rename = echo(plan, worker, dialect);
    // Small calls ask for a stream in ways of their own, which the upstream has understood.
    let is_small = dialect.kind() != Kind::Generate;
    if is_stream(dialect, &answer.head) && (plan.question.stream || is_small) {
        ledger.stream = true;
        splice_stream(ledger, plan, worker, answer, rename).await
    } else if dialect.kind() == Kind::Speak && !answers_json(&answer.head) {
        Ok(sound(plan, answer))
    } else {
        splice_whole(ledger, plan, answer, rename).await
    }
}

/// Whether an answer says that it is JSON.
fn answers_json(head: &response::Parts) -> bool {
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(is_json)
}

/// Sound, which is played while it comes.
fn sound(plan: &Plan, answer: Answer) -> Answered {
    let Answer { head, body } = answer;
    let idle = plan.question.snapshot.config.timeouts.idle;
    let flow = Flow::Copy(Box::new(Copy::new(body, &head.headers, Kind::Speak, Bytes::new())));
    let content = Content::Flow { flow, primed: None, idle };
    Answered { status: head.status, headers: head.headers, content }
}

/// A stream that passes untouched, committed to once its first bytes are there.
async fn splice_stream(
    ledger: &mut Ledger,
    plan: &Plan,
    worker: &Worker,
    answer: Answer,
    rename: Option<Rename>,
) -> Result<Answered, Failure> {
    let Answer { head, body } = answer;
    let dialect = ledger.endpoint.dialect;
    let patience = Patience::of(plan, worker);
    let keys = Keys::behind(worker, plan.question.caller_keys.meant_for(worker));
    let idle = patience.idle;
    let tap = StreamTap::new(dialect, choices(plan, dialect));
    let wants_array = plan.question.said.as_ref().is_some_and(|said| said.array);
    let array = wants_array.then(|| Box::new(Array::new(plan.question.snapshot.config.limits.event_bytes)));
    let asked = ask_for_usage(plan, worker, dialect);
    let usage = if asked.is_some() { LastUsage::Cut } else { LastUsage::Passed };
    let dress = Dress { usage, rename: rename.map(Box::new), array };
    let splice = Splice::new(body, Framing::of(dialect), tap, dress);
    let mut flow = Flow::Splice(Box::new(splice));
    let first = prime(&mut flow, ledger, patience, keys).await?;
    let mut headers = head.headers;
    if wants_array {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let headers = stream_headers(dialect, headers);
    if flow.has_failed() {
        // The first thing said was that it failed. If nobody else does better, the client gets it as said.
        let fault = first_fault(ledger.endpoint.dialect, &first);
        let mishap = fault.as_ref().map_or(Mishap::ErrorFirst, |fault| Mishap::of_fault(fault, keys));
        let wait = fault.and_then(|fault| fault.retry_after);
        let content = Content::Flow { flow, primed: Some(first), idle };
        let last = Ok(Answered { status: head.status, headers, content });
        return Err(Failure { wait, ..Failure::of(mishap, Outcome::Failed("stream_error"), last) });
    }
    let content = Content::Flow { flow, primed: Some(first), idle };
    Ok(Answered { status: head.status, headers, content })
}

/// How many answers the stream has. Each prompt of a Completions request gets as many as are asked for.
fn choices(plan: &Plan, dialect: Dialect) -> u32 {
    let scanned = &plan.question.scanned;
    let each = scanned.choices.unwrap_or(1);
    let Some((_, range)) = scanned.prompt.as_ref().filter(|_| dialect == Dialect::OpenaiCompletions) else {
        return each;
    };
    let prompts = prompts(&plan.question.body.slice(range.clone()));
    each.saturating_mul(u32::try_from(prompts).unwrap_or(u32::MAX))
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

/// Whether a body can be an answer: all dialects answer in JSON objects. What else comes with a good status is a
/// page of something that stands in between.
fn begins_object(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"{")
}

fn not_an_answer() -> Failure {
    let message = "the model's worker answered something that is no JSON object";
    unreadable(Fault::new(FaultKind::Upstream, message))
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
                if !begins_object(&whole) && !is_stream(dialect, &head) && !answers_freely(dialect) {
                    return Err(not_an_answer());
                }
                let whole = if let Some(rename) = rename { rename.reply(whole) } else { whole };
                return Ok(whole_answer(ledger, plan, head, whole, dialect));
            }
            Err(error) => return Err(broken(&error)),
        }
    }
    let start = join(&pieces, size);
    // One that begins with pages of white space is passed on as it is.
    if !begins_object(&start)
        && !start.trim_ascii_start().is_empty()
        && !is_stream(dialect, &head)
        && !answers_freely(dialect)
    {
        return Err(not_an_answer());
    }
    // A long transcript says at its beginning how long the sound was, and only its end is kept.
    if dialect.kind() == Kind::Transcribe {
        ledger.asked_for = surface::heard(&start).map(Box::new);
    }
    let flow = Flow::Copy(Box::new(Copy::new(body, &head.headers, dialect.kind(), start.clone())));
    let primed = Some(start);
    Ok(Answered { status: head.status, headers: head.headers, content: Content::Flow { flow, primed, idle } })
}

/// Whether the client of an OpenAI dialect asked for the usage of its stream.
fn shows_usage(plan: &Plan) -> bool {
    stream_usage::is_wanted(&plan.question.body, &plan.question.scanned)
}

fn whole_answer(
    ledger: &mut Ledger,
    plan: &Plan,
    head: response::Parts,
    whole: Bytes,
    dialect: Dialect,
) -> Answered {
    // A client that asked for a stream gets one, also from an upstream that answered in one piece.
    if plan.question.stream
        && speaks(dialect)
        && let Ok(reply) = read_reply(dialect, &whole)
        && let Ok(mut writer) = StreamWriter::new(dialect, context(ledger, plan, shows_usage(plan)))
    {
        writer.echo(reply.extra.clone());
        let mut out = Vec::new();
        unfold(&reply, |event| writer.write(event, &mut out));
        ledger.usage = reply.usage;
        let headers = stream_headers(dialect, forward::translated_headers(&head.headers));
        return Answered { status: head.status, headers, content: Content::Whole(out.into()) };
    }
    let tapped = tap_reply(dialect, std::slice::from_ref(&whole));
    ledger.usage = tapped.usage;
    if dialect.kind() == Kind::Image {
        let mut pictures = Pictures::default();
        pictures.see(&whole);
        ledger.usage = pictures.counted(ledger.usage.take());
    }
    ledger.finish = tapped.finish.map(Into::into);
    let mut headers = head.headers;
    headers.remove(header::CONTENT_LENGTH);
    Answered { status: head.status, headers, content: Content::Whole(whole) }
}
