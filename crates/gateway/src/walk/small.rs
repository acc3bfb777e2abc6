//! Calls that are no conversation, to an upstream that speaks another form of them: read, written, asked in as
//! many requests as the target wants, put together, and written for the client.

use super::answer::{Answered, Content, collect, stream_headers};
use super::dispatch::{backoff, send};
use super::failure::{Failure, broken, nobody_left, refused, unfit, unreadable};
use super::forward;
use super::plan::Plan;
use super::predict;
use super::settle::{Ledger, Outcome, WARNINGS, warnings};
use super::translate::{context, fetch_limits, on_unsupported};
use super::verdict::{Again, Mishap};
use crate::fleet::gate::Place;
use crate::fleet::worker::Worker;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use smallvec::SmallVec;
use std::sync::Arc;
use trunkline_core::{
    Dialect, Fault, FaultKind, ImageReply, Kind, Losses, Model, OnUnsupported, PictureData, Surface, Usage,
};
use trunkline_dialect::rope::Rope;
use trunkline_dialect::{embed, image, replicate::WAIT, rerank, speech, surface, transcript};
use trunkline_upstream::{UpstreamError, media};

/// Most requests under way at once for one call.
const TOGETHER: usize = 8;
/// Most requests one call is split into.
const MOST: usize = 2048;

/// Where Amazon says how many tokens a model took that does not say so itself.
const AMAZON_TOKENS: &str = "x-amzn-bedrock-input-token-count";

/// Gets the answer to a call from `worker`, which speaks `to`.
pub(super) async fn call(
    ledger: &mut Ledger,
    plan: &Plan,
    worker: &Arc<Worker>,
    to: Dialect,
) -> Result<Answered, Failure> {
    match (ledger.endpoint.dialect, to) {
        (Dialect::Surface(from), Dialect::Surface(to)) => {
            let to = surface::of_model(to, worker.name_for(plan.model.as_str()));
            match to.kind() {
                Kind::Embed => vectors(ledger, plan, worker, from, to).await,
                Kind::Rerank => ranking(ledger, plan, worker, from, to).await,
                Kind::Image => Box::pin(pictures(ledger, plan, worker, from, to)).await,
                Kind::Speak => Box::pin(speech(ledger, plan, worker, from, to)).await,
                Kind::Transcribe => Box::pin(transcript(ledger, plan, worker, from, to)).await,
                // No others have codecs, and so a passage.
                Kind::Generate | Kind::Count | Kind::Moderate => Err(refused(nobody_left())),
            }
        }
        // Conversations go another way.
        (_, _) => Err(refused(nobody_left())),
    }
}

async fn vectors(
    ledger: &mut Ledger,
    plan: &Plan,
    worker: &Arc<Worker>,
    from: Surface,
    to: Surface,
) -> Result<Answered, Failure> {
    let mut call = embed::read_call(from, &plan.question.body.joined()).map_err(refused)?;
    call.model = Model::new(plan.asked.as_str());
    let mut losses = Losses::default();
    let target = embed::Target {
        model: worker.name_for(plan.model.as_str()),
        habits: embed::habits(worker.provider.as_deref()),
    };
    let bodies = embed::write_call(to, &call, target, &mut losses).map_err(unfit)?;
    let (setting, told, answers) = asked(ledger, plan, worker, to, bodies, &losses).await?;
    let replies = answers.iter().map(|body| embed::read_reply(to, body)).collect::<Result<Vec<_>, _>>();
    let reply = replies.and_then(|replies| embed::merge(&call, replies)).map_err(unreadable)?;
    let mut reply = reply;
    if reply.usage.is_none() {
        reply.usage =
            told.tokens.map(|tokens| Box::new(Usage { input_total: Some(tokens), ..Usage::default() }));
    }
    ledger.usage.clone_from(&reply.usage);
    shown(plan, &mut reply.model);
    let out = embed::write_reply(&call, &reply, ledger.id.as_str()).map_err(unreadable)?;
    Ok(answered(told.headers, &losses, setting, out))
}

async fn ranking(
    ledger: &mut Ledger,
    plan: &Plan,
    worker: &Arc<Worker>,
    from: Surface,
    to: Surface,
) -> Result<Answered, Failure> {
    let mut call = rerank::read_call(from, &plan.question.body.joined()).map_err(refused)?;
    call.model = Model::new(plan.asked.as_str());
    let mut losses = Losses::default();
    let name = worker.name_for(plan.model.as_str());
    let bodies = rerank::write_call(to, &call, name, &mut losses).map_err(unfit)?;
    if worker.path(to.into(), name, false).is_none() {
        return Err(unfit(unplaced()));
    }
    let (setting, told, answers) = asked(ledger, plan, worker, to, bodies, &losses).await?;
    let replies = answers.iter().map(|body| rerank::read_reply(to, body)).collect::<Result<Vec<_>, _>>();
    let mut reply = replies.and_then(|replies| rerank::merge(to, &call, replies)).map_err(unreadable)?;
    ledger.usage.clone_from(&reply.usage);
    shown(plan, &mut reply.model);
    let out = rerank::write_reply(&call, &reply, ledger.id.as_str()).map_err(refused)?;
    Ok(answered(told.headers, &losses, setting, out))
}

async fn pictures(
    ledger: &mut Ledger,
    plan: &Plan,
    worker: &Arc<Worker>,
    from: Surface,
    to: Surface,
) -> Result<Answered, Failure> {
    let (kind, body) = whole_body(plan).await?;
    let mut call = image::read_call(from, kind, &body).map_err(refused)?;
    drop(body);
    call.model = Model::new(plan.asked.as_str());
    let mut losses = Losses::default();
    let name = worker.name_for(plan.model.as_str());
    let bodies = image::write_call(to, &call, name, &mut losses).map_err(unfit)?;
    let limits = fetch_limits(&plan.question.snapshot.config.translate);
    if limits.is_none() && image::gives_addresses(to) && image::wants_bytes(&call) {
        return Err(unfit(unfetched()));
    }
    let (setting, told, answers) = asked(ledger, plan, worker, to, bodies, &losses).await?;
    let replies = answers.iter().map(|body| image::read_reply(to, body)).collect::<Result<Vec<_>, _>>();
    let mut reply = image::merge(replies.map_err(unmade)?);
    ledger.usage.clone_from(&reply.usage);
    if let Some(limits) = limits.filter(|_| image::wants_bytes(&call)) {
        bring(ledger, limits, &mut reply).await?;
    }
    let out = image::write_reply(&call, &reply, context(ledger, plan, false).created);
    let mut answered = answered(told.headers, &losses, setting, out);
    if call.stream {
        answered.headers.remove(header::CONTENT_TYPE);
        answered.headers = stream_headers(ledger.endpoint.dialect, answered.headers);
    }
    Ok(answered)
}

async fn speech(
    ledger: &mut Ledger,
    plan: &Plan,
    worker: &Arc<Worker>,
    from: Surface,
    to: Surface,
) -> Result<Answered, Failure> {
    let mut call = speech::read_call(from, &plan.question.body.joined()).map_err(refused)?;
    call.model = Model::new(plan.asked.as_str());
    let mut losses = Losses::default();
    let name = worker.name_for(plan.model.as_str());
    let body = speech::write_call(to, &call, name, &mut losses).map_err(unfit)?;
    let (setting, told, answers) = asked(ledger, plan, worker, to, vec![body], &losses).await?;
    let answer = answers.first().map(Bytes::as_ref).unwrap_or_default();
    let reply = speech::read_reply(to, &call, answer).map_err(unreadable)?;
    ledger.usage.clone_from(&reply.usage);
    let (kind, out) = speech::write_reply(&call, reply);
    let mut answered = answered(told.headers, &losses, setting, out);
    // Made of what this build knows, not of what an upstream said.
    if let Ok(kind) = HeaderValue::from_str(&kind) {
        answered.headers.insert(header::CONTENT_TYPE, kind);
    }
    Ok(answered)
}

async fn transcript(
    ledger: &mut Ledger,
    plan: &Plan,
    worker: &Arc<Worker>,
    from: Surface,
    to: Surface,
) -> Result<Answered, Failure> {
    let (kind, body) = whole_body(plan).await?;
    let mut call = transcript::read_call(from, kind, &body).map_err(refused)?;
    drop(body);
    call.model = Model::new(plan.asked.as_str());
    let mut losses = Losses::default();
    let name = worker.name_for(plan.model.as_str());
    let body = transcript::write_call(to, &call, name, &mut losses).map_err(unfit)?;
    let (setting, told, answers) = asked(ledger, plan, worker, to, vec![body], &losses).await?;
    let answer = answers.first().map(Bytes::as_ref).unwrap_or_default();
    let reply = transcript::read_reply(to, answer).map_err(unreadable)?;
    ledger.usage.clone_from(&reply.usage);
    let (kind, out) = transcript::write_reply(&call, &reply);
    let mut answered = answered(told.headers, &losses, setting, out);
    answered.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(answered)
}

/// The body's type and all of it, for a target that is sent something else: of a form also what has not arrived yet.
async fn whole_body(plan: &Plan) -> Result<(&str, Bytes), Failure> {
    let question = &plan.question;
    match &question.form {
        None => Ok(("application/json", question.body.joined())),
        Some(form) => {
            let whole = form.whole(&question.body).await.map_err(refused)?;
            Ok((form.content_type.to_str().unwrap_or_default(), whole))
        }
    }
}

/// The failure when an answer holds no picture: it is no answer, or none is made of what was asked for.
fn unmade(fault: Fault) -> Failure {
    if image::is_blocked(&fault) {
        return Failure::of(Mishap::ContentPolicy, Outcome::Failed("content_policy"), Err(fault));
    }
    unreadable(fault)
}

/// The fault when a provider ranks, but not for this account of it.
fn unplaced() -> Fault {
    let message = "this model's provider ranks documents for projects alone, and the account that it is asked with names \
                   none; ask for a model of another provider";
    Fault::new(FaultKind::Unsupported, message).at("model").code("dialect_not_supported")
}

fn unfetched() -> Fault {
    let message = "response_format asks for pictures themselves, of which the model's provider gives the addresses, \
                   and the gateway may not fetch them (`translate.fetch_media`); ask for url";
    Fault::new(FaultKind::Unsupported, message).at("response_format").code("unsupported_parameter")
}

/// Puts pictures themselves in place of their addresses.
async fn bring(ledger: &Ledger, limits: media::Limits, reply: &mut ImageReply) -> Result<(), Failure> {
    let local = &ledger.local;
    let fetches = reply.pictures.iter_mut().map(async |picture| {
        let PictureData::Url(url) = &picture.data else { return Ok(()) };
        let fetched = media::fetch(&local.shared.connector, &local.pool, url, limits).await?;
        picture.data = PictureData::Base64(fetched.base64);
        picture.mime = Some(fetched.mime);
        Ok(())
    });
    futures_util::future::try_join_all(fetches).await.map(drop).map_err(|error: media::MediaError| {
        let message = format!("a picture that was made could not be brought: {error}");
        unreadable(Fault::new(FaultKind::Upstream, message))
    })
}

/// Books `losses`, unless the operator refuses one of them.
fn admit(
    ledger: &mut Ledger,
    plan: &Plan,
    worker: &Worker,
    losses: &Losses,
    to: Surface,
) -> Result<OnUnsupported, Fault> {
    let setting = on_unsupported(plan)?;
    embed::check(losses, setting)?;
    ledger.lost(losses, to.name(), worker.owner());
    Ok(setting)
}

/// Shows the client the name it asked for, where that is wanted.
fn shown(plan: &Plan, model: &mut Option<String>) {
    if plan.question.snapshot.config.echo_alias {
        *model = Some(plan.asked.as_str().to_owned());
    }
}

/// What the heads of answers said.
#[derive(Default)]
struct Told {
    headers: HeaderMap,
    tokens: Option<u64>,
}

/// Sends all `bodies`, if the operator lets their `losses` pass: whether the client is told of these, and what came back.
async fn asked(
    ledger: &mut Ledger,
    plan: &Plan,
    worker: &Arc<Worker>,
    to: Surface,
    bodies: Vec<Vec<u8>>,
    losses: &Losses,
) -> Result<(OnUnsupported, Told, Vec<Bytes>), Failure> {
    let setting = admit(ledger, plan, worker, losses, to).map_err(unfit)?;
    let mut told = Told::default();
    let answers = exchange(ledger, plan, worker, to, bodies, &mut told).await?;
    Ok((setting, told, answers))
}

/// Sends all `bodies`, a few at once, and collects their answers in order. Of several, each that fails is tried
/// again by itself, so that what the others have cost is not paid twice; one that fails for good fails them all:
/// nobody wants half of the vectors.
async fn exchange(
    ledger: &mut Ledger,
    plan: &Plan,
    worker: &Arc<Worker>,
    to: Surface,
    bodies: Vec<Vec<u8>>,
    told: &mut Told,
) -> Result<Vec<Bytes>, Failure> {
    if bodies.len() > MOST {
        let message = format!(
            "this model's provider takes so few texts at once that the call would be {} requests; send at most {MOST} \
             texts",
            bodies.len()
        );
        return Err(refused(Fault::new(FaultKind::InvalidRequest, message).code("too_many_texts")));
    }
    let is_split = bodies.len() > 1;
    let beside = (1..bodies.len().min(TOGETHER)).map_while(|_| Place::free(worker));
    ledger.places.extend(beside);
    let at_once = ledger.places.len().max(1);
    ledger.count_legs(bodies.len());
    let config = &plan.question.snapshot.config;
    let (idle, most) = (config.timeouts.idle, config.limits.reply_bytes);
    let shared = &*ledger;
    let backoff = backoff(&config.retry);
    let is_job = to.owner() == Dialect::ReplicatePredictions;
    let wait = is_job.then(|| (WAIT.0, WAIT.1.to_owned()));
    let accept = surface::accepts(to).map(|kind| (header::ACCEPT.as_str(), kind.to_owned()));
    let extra: &[_] = &wait.into_iter().chain(accept).collect::<SmallVec<[_; 1]>>();
    let once = |leg: usize, body: Rope| async move {
        let mut answer = send(shared, plan, worker, to.into(), &body, extra, leg).await?;
        if is_job {
            (answer, _) = Box::pin(predict::follow(shared, plan, worker, answer)).await?;
        }
        let whole = collect(answer.body, idle, most).await.map_err(|error| broken(&error))?;
        Ok::<_, Failure>((answer.head.headers, whole))
    };
    let (once, backoff) = (&once, &backoff);
    let ask = |(leg, body): (usize, Vec<u8>)| async move {
        let body = Rope::from(body);
        let mut done = 0;
        loop {
            let failure = match once(leg, body.clone()).await {
                Err(failure) if is_split => failure,
                other => return other,
            };
            done += 1;
            let delay = backoff.delay(done, failure.wait, true, fastrand::f64());
            let Some(delay) = delay.filter(|_| failure.again == Again::Everyone) else {
                return Err(Failure { again: failure.again.min(Again::Others), ..failure });
            };
            tokio::time::sleep(delay).await;
        }
    };
    let mut answers = Vec::with_capacity(bodies.len());
    let mut left = most;
    let mut rest = bodies.into_iter().enumerate();
    loop {
        let some: Vec<_> = rest.by_ref().take(at_once).map(ask).collect();
        if some.is_empty() {
            return Ok(answers);
        }
        for (headers, body) in futures_util::future::try_join_all(some).await? {
            let tokens =
                headers.get(AMAZON_TOKENS).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
            told.tokens = tokens.map(|more| told.tokens.unwrap_or(0).saturating_add(more)).or(told.tokens);
            if answers.is_empty() {
                told.headers = forward::translated_headers(&headers);
            }
            left = left.checked_sub(body.len()).ok_or_else(|| broken(&UpstreamError::TooLarge(most)))?;
            answers.push(body);
        }
    }
}

fn answered(mut headers: HeaderMap, losses: &Losses, setting: OnUnsupported, body: Vec<u8>) -> Answered {
    if let Some(warnings) = warnings(losses, setting) {
        headers.insert(WARNINGS, warnings);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Answered { status: StatusCode::OK, headers, content: Content::Whole(body.into()) }
}
