//! Stage 5: picks a worker, sends, waits for the answer to begin; tries again elsewhere while nothing has
//! reached the client. Retries, credentials and the choice between splicing and translating are here and
//! nowhere else.

use super::answer::{Answered, Content, Limit, until_begun};
use super::bridge::{Translation, translate};
use super::choice::{Left, Next};
use super::count;
use super::failure::{
    Failure, UPSTREAM_AUTH, error_answer, limits_told, nobody_left, refused, unanswered, unfit, unlent,
    unnameable, waited_no_longer,
};
use super::fallback::Chain;
use super::form::Form;
use super::forward;
use super::plan::Plan;
use super::predict;
use super::queue;
use super::settle::{Ledger, Outcome};
use super::small;
use super::splice;
use super::translate::{Audience, Parsed, context};
use super::verdict::{Again, Counts, Mishap};
use crate::config::{Class, Retry};
use crate::fleet::reach::Contact;
use crate::fleet::worker::Worker;
use crate::snapshot::{Lane, Passage, passage};
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use trunkline_core::{Candidate, Dialect, Fault, Kind};
use trunkline_dialect::rope::Rope;
use trunkline_route::Backoff;
use trunkline_upstream::{Answer, BodyHash, Unsigned, UpstreamError};

/// Where the official libraries say how often they asked already.
const RETRY_COUNT: HeaderName = HeaderName::from_static("x-stainless-retry-count");

/// When attempts are repeated.
pub(super) fn backoff(retry: &Retry) -> Backoff {
    Backoff {
        attempts: retry.attempts,
        initial: retry.initial_backoff,
        max: retry.max_backoff,
        multiplier: retry.multiplier,
        jitter: retry.jitter,
    }
}

/// The same for a client that asks again by itself: what it tried already counts, so that its attempts and ours add
/// up rather than multiply.
fn shared_backoff(plan: &Plan) -> Backoff {
    let backoff = backoff(&plan.question.snapshot.config.retry);
    let count =
        plan.question.head.headers.get(RETRY_COUNT).and_then(|count| count.to_str().ok()?.parse().ok());
    Backoff { attempts: backoff.attempts.saturating_sub(count.unwrap_or(0)).max(1), ..backoff }
}

/// Gets an answer.
///
/// # Errors
/// What the last attempt came to, or that there was nobody to attempt it on.
pub(crate) async fn dispatch(ledger: &mut Ledger, plan: &Plan) -> Result<Answered, Fault> {
    if plan.lane.is_estimated(ledger.endpoint.dialect) {
        return count::estimate(ledger, plan);
    }
    attempts(ledger, plan, &mut None).await
}

/// Gets the answer to one turn of a loop, which is [`Content::Turn`] unless the upstream refused it in the client's own
/// words.
///
/// # Errors
/// As [`dispatch`].
pub(crate) fn turn<'a>(
    ledger: &'a mut Ledger,
    plan: &'a Plan,
    parsed: &'a mut Option<Box<Parsed>>,
) -> BoxFuture<'a, Result<Answered, Fault>> {
    Box::pin(attempts(ledger, plan, parsed))
}

async fn attempts(
    ledger: &mut Ledger,
    plan: &Plan,
    parsed: &mut Option<Box<Parsed>>,
) -> Result<Answered, Fault> {
    let mut tries = Tries { chain: Chain::of(plan), last: None, done: 0 };
    let mut moved: Option<Arc<Lane>> = None;
    loop {
        let spent = match along(ledger, plan, moved.as_ref().unwrap_or(&plan.lane), &mut tries, parsed).await
        {
            Ok(answered) => return Ok(answered),
            Err(spent) => spent,
        };
        let is_over = plan.wishes.attempts.is_some_and(|most| tries.done >= most);
        let class = spent.class.filter(|_| !is_over);
        let Some(lane) = class.and_then(|class| tries.chain.next(ledger, class)) else { return spent.told };
        // Whoever was asked last is of the lane that is left.
        tries.last = Some(write_off(ledger, spent.told));
        ledger.planned(&plan.model, &lane);
        moved = Some(lane);
    }
}

/// What one request was tried with so far.
struct Tries<'p> {
    chain: Chain<'p>,
    /// What the last attempt came to.
    last: Option<Result<Answered, Fault>>,
    /// How many attempts there were.
    done: u32,
}

/// Nobody of a lane has answered.
struct Spent {
    /// What the client gets, where there is no other lane.
    told: Result<Answered, Fault>,
    /// Whose fallbacks it leads to.
    class: Option<Class>,
}

/// Gives up what an attempt came to that another one follows.
fn write_off(ledger: &mut Ledger, mut told: Result<Answered, Fault>) -> Result<Answered, Fault> {
    if let Ok(Answered { content: Content::Flow { flow, .. }, .. }) = &mut told {
        ledger.usage = flow.used();
    }
    ledger.write_off();
    ledger.places.clear();
    ledger.allotted = None;
    told
}

/// Tries the workers of one lane.
async fn along(
    ledger: &mut Ledger,
    plan: &Plan,
    lane: &Arc<Lane>,
    tries: &mut Tries<'_>,
    parsed: &mut Option<Box<Parsed>>,
) -> Result<Answered, Spent> {
    let mut left = Left::of(plan, lane);
    let mut done = 0;
    let mut class = Some(Class::Default);
    loop {
        let now = Instant::now();
        let (candidate, worker, place) = match left.next(now) {
            Next::Free(candidate, worker, place) => (candidate, worker, place),
            Next::Nobody => {
                return Err(Spent {
                    told: tries.last.take().unwrap_or_else(|| Err(left.nobody(now))),
                    class,
                });
            }
            // Boxed, so that calls that find a place do not carry the room for it.
            Next::Full(workers) => match Box::pin(queue::wait(ledger, plan, &workers)).await {
                Ok((worker, mut place)) => {
                    place.reads(plan.prompt.tokens);
                    let is_open = |_: &&Candidate| place.enter(Instant::now().into_std());
                    match left.candidate(worker).filter(|waited| waited.may_serve()).filter(is_open) {
                        Some(candidate) => (candidate, worker, place),
                        None => continue,
                    }
                }
                Err(fault) => return Err(Spent { told: tries.last.take().unwrap_or(Err(fault)), class }),
            },
        };
        let now = Instant::now();
        let Ok(allotted) = left.allot(candidate, now) else { continue };
        ledger.allotted = allotted;
        ledger.places.push(place);
        ledger.attempts(candidate, now);
        done += 1;
        tries.done += 1;
        let failure = match attempt(ledger, plan, worker, parsed).await {
            Ok(mut answered) => {
                tell(&mut answered.headers, ledger, plan, worker);
                ledger.attempted(Some(Outcome::Status(answered.status.as_u16())));
                return Ok(answered);
            }
            Err(failure) => failure,
        };
        ledger.attempted(failure.outcome);
        if let Some(mishap) = failure.mishap {
            ledger.failed(mishap, failure.wait);
        }
        let shared = shared_backoff(plan);
        left.failed(worker, failure.again_within(shared.max));
        let now = Instant::now();
        let same_worker = !left.has_other(now);
        let own = worker.spec.max_retries.filter(|_| same_worker).map(|retries| retries.saturating_add(1));
        let most = own.unwrap_or(shared.attempts);
        let attempts = plan.wishes.attempts.map_or(most, |wished| wished.min(most));
        let delay = Backoff { attempts, ..shared }.delay(done, failure.wait, same_worker, fastrand::f64());
        let is_spent = plan.question.form.as_ref().is_some_and(Form::is_spent);
        class = failure.class().filter(|_| !is_spent);
        let leaves = class.is_some_and(|class| tries.chain.leaves(class));
        // What was refused unasked says nothing of why those that were asked failed.
        let told = if failure.outcome.is_some() { None } else { tries.last.take() }.unwrap_or(failure.last);
        match delay.filter(|_| left.is_anyone(now) && !is_spent && !leaves) {
            // An error that is streamed keeps counting as load until it is over.
            None => return Err(Spent { told, class }),
            Some(delay) => {
                tries.last = Some(write_off(ledger, told));
                tracing::debug!(request_id = %ledger.id, worker = %worker.id, ?delay, "attempt failed, trying again");
                tokio::time::sleep(delay).await;
            }
        }
    }
}

/// The model that answers in place of the one that was asked for.
const SUBSTITUTED: HeaderName = HeaderName::from_static("x-trunkline-model-substituted");

/// The variant of an experiment that answers.
const VARIANT: HeaderName = HeaderName::from_static("x-trunkline-variant");

/// Who answers, whose it is, by which route it came, how often anybody was asked, and how often somebody else than
/// before.
const BACKEND: HeaderName = HeaderName::from_static("x-trunkline-backend");
const PROVIDER: HeaderName = HeaderName::from_static("x-trunkline-provider");
const ROUTE: HeaderName = HeaderName::from_static("x-trunkline-route");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-trunkline-attempts");
const FALLBACKS: HeaderName = HeaderName::from_static("x-trunkline-fallbacks");

/// Tells the client who answers where pools or routes chose, of a model that it did not ask for, and of which experiment
/// it is part.
fn tell(headers: &mut HeaderMap, ledger: &Ledger, plan: &Plan, worker: &Worker) {
    let is_routed = plan.pool.is_some() || plan.route.is_some();
    if is_routed {
        let (attempts, fallbacks) = ledger.attempts_made();
        headers.insert(ATTEMPTS, attempts.into());
        headers.insert(FALLBACKS, fallbacks.into());
    }
    let mut say = |name: HeaderName, what: Option<&str>| {
        if let Some(value) = what.and_then(|what| HeaderValue::from_str(what).ok()) {
            headers.insert(name, value);
        }
    };
    if is_routed {
        say(BACKEND, Some(worker.id.as_str()));
        say(PROVIDER, Some(worker.owner()));
        say(ROUTE, plan.route.as_deref().filter(|route| !route.is_empty()));
    }
    say(SUBSTITUTED, worker.stand_in().filter(|model| *model != plan.model.as_str()));
    say(VARIANT, ledger.variant().map(|variant| &**variant));
}

async fn attempt(
    ledger: &mut Ledger,
    plan: &Plan,
    worker: &Arc<Worker>,
    parsed: &mut Option<Box<Parsed>>,
) -> Result<Answered, Failure> {
    let dialect = ledger.endpoint.dialect;
    let mut passage = passage(dialect, worker);
    if parsed.as_ref().is_some_and(|parsed| parsed.audience == Audience::Loop) {
        passage = retold(passage, dialect, worker);
    } else if passage == Passage::Splice && splice::is_misread(plan, worker, dialect).map_err(refused)? {
        passage = Passage::Translate(dialect);
    }
    match passage {
        Passage::Splice => {
            let body = splice::body(plan, worker, dialect);
            let answer = match send(ledger, plan, worker, dialect, &body, &[], 0).await {
                Ok(answer) => answer,
                Err(failure) if may_lack(dialect, worker, &failure) => {
                    return Box::pin(instead(ledger, plan, worker, parsed, failure)).await;
                }
                Err(failure) => return Err(failure),
            };
            splice::answer(ledger, plan, worker, answer).await
        }
        Passage::Translate(to) if to.kind() != Kind::Generate => small::call(ledger, plan, worker, to).await,
        // Boxed, so that calls that pass untouched do not carry the room for it.
        Passage::Translate(to) => Box::pin(converse(ledger, plan, worker, to, parsed)).await,
        // `plan` only offers workers with a passage, and nobody is asked for an estimate.
        Passage::Estimate | Passage::Closed => Err(refused(nobody_left())),
    }
}

/// How a turn of a loop goes to a worker that speaks the client's dialect: its bytes are not the client's any more. An
/// engine may not have Responses, but has chats.
fn retold(passage: Passage, dialect: Dialect, worker: &Worker) -> Passage {
    match passage {
        Passage::Splice if !worker.is_external() && worker.dialects.contains(&Dialect::OpenaiChat) => {
            Passage::Translate(Dialect::OpenaiChat)
        }
        Passage::Splice => Passage::Translate(dialect),
        other @ (Passage::Translate(_) | Passage::Estimate | Passage::Closed) => other,
    }
}

/// Whether `failure` may mean that an engine does not have Responses: not all that are compatible with OpenAI do.
fn may_lack(dialect: Dialect, worker: &Worker, failure: &Failure) -> bool {
    let is_unknown = matches!(failure.outcome, Some(Outcome::Status(404 | 405 | 501)));
    is_unknown
        && dialect == Dialect::OpenaiResponses
        && !worker.is_external()
        && worker.dialects.contains(&Dialect::OpenaiChat)
}

/// Asks an engine that may not have Responses for a chat; what does that is not asked for Responses again.
async fn instead(
    ledger: &mut Ledger,
    plan: &Plan,
    worker: &Arc<Worker>,
    parsed: &mut Option<Box<Parsed>>,
    failure: Failure,
) -> Result<Answered, Failure> {
    match converse(ledger, plan, worker, Dialect::OpenaiChat, parsed).await {
        Ok(answered) => {
            worker.reach.found_responses(false);
            tracing::info!(worker = %worker.id, "has no Responses; they are translated into chats");
            Ok(answered)
        }
        // It was not asked: what cannot be said in a chat says more than that there are no Responses.
        Err(refused) if refused.outcome.is_none() => Err(refused),
        // It knows the model as little there.
        Err(_) => Err(failure),
    }
}

/// Asks `worker` in its own dialect.
async fn converse(
    ledger: &mut Ledger,
    plan: &Plan,
    worker: &Arc<Worker>,
    to: Dialect,
    parsed: &mut Option<Box<Parsed>>,
) -> Result<Answered, Failure> {
    let parsed = match parsed {
        Some(parsed) => parsed,
        None => {
            let (dialect, key) = (ledger.endpoint.dialect, &ledger.local.shared.key);
            let read = Parsed::read(dialect, plan, key).map_err(refused)?;
            parsed.insert(Box::new(read))
        }
    };
    let (written, losses) = parsed.write(ledger, plan, worker, to).await.map_err(unfit)?;
    ledger.lost(&losses, to.name(), worker.owner());
    let context = context(ledger, plan, parsed.include_usage());
    let (echo, on_unsupported, audience) = (parsed.echo.clone(), parsed.on_unsupported, parsed.audience);
    let translation = Translation { to, written, losses, on_unsupported, context, echo, audience };
    translate(ledger, plan, worker, translation).await
}

/// Sends a request, the `leg`th of those that together make one answer; an answer with an error status
/// becomes a [`Failure`].
pub(super) async fn send(
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
    let caller = question.caller_keys.meant_for(worker);
    let lent = forward::lent(worker, caller).await.map_err(|why| unlent(&why))?;
    let credential = forward::credential(worker, caller, lent.as_deref());
    let dialects = (ledger.endpoint.dialect, to);
    let name = worker.name_for(plan.model.as_str());
    let Some(path) = worker.path(to, name, question.stream) else {
        return Err(unfit(unnameable()));
    };
    let dressed = worker.dressed(to, body);
    let body = dressed.as_ref().unwrap_or(body);
    let signed = credential.signer.map(|signer| (signer, BodyHash::from(body)));
    let (pool, endpoint) = (&ledger.local.pool, worker.place(to, name));
    // Whoever takes no forms is sent what was made of this one.
    let form =
        question.form.as_ref().filter(|_| matches!(to, Dialect::Surface(surface) if surface.is_form()));
    // Made anew for every try: a signature is of one moment.
    let headers = || {
        let client = &question.head.headers;
        let mut headers = forward::request_headers(client, worker, dialects, credential, &ledger.id, extra);
        forward::tell_apart(&mut headers, leg);
        if let Some(form) = form {
            headers.insert(header::CONTENT_TYPE, form.content_type.clone());
        }
        if let Some((signer, body)) = signed {
            let unsigned = Unsigned { method: &Method::POST, to: endpoint, path: &path, body };
            signer.sign(unsigned, &mut headers, SystemTime::now());
        }
        headers
    };
    let Limit { time: first_byte, is_callers } = until_begun(plan, worker);
    let answer = match form {
        None if to.owner() == Dialect::ReplicatePredictions => {
            predict::make(ledger, worker, &path, headers(), body, config).await
        }
        None => pool.send(endpoint, Method::POST, &path, headers, body, first_byte).await,
        Some(form) => {
            let body = form.send(body);
            // Boxed, so that calls without forms do not carry the room for it.
            Box::pin(pool.send_streamed(endpoint, Method::POST, &path, headers, body, first_byte)).await
        }
    };
    match &answer {
        Ok(_) => worker.met(Contact::Answered, config),
        Err(error) => match Mishap::of_error(error).row().counts {
            Counts::Unreached => worker.met(Contact::Unreached, config),
            // Somebody is there, but slow or confused.
            Counts::Fault | Counts::Busy | Counts::Account | Counts::No => {}
        },
    }
    if let Ok(answer) = &answer
        && ledger.allotted.is_some()
    {
        let told = limits_told(&answer.head);
        worker.load.quota.told(told, Instant::now().into_std());
    }
    let mut answer = answer.map_err(|error| {
        if is_callers && matches!(error, UpstreamError::FirstByteTimeout(limit) if limit == first_byte) {
            waited_no_longer(ledger, worker, first_byte)
        } else {
            unanswered(ledger, worker, &error)
        }
    })?;
    forward::clean(&mut answer.head.headers, credential);
    if answer.head.status.is_success() {
        return Ok(answer);
    }
    let idle = config.timeouts.idle;
    let mut failure = error_answer(ledger, worker, to, credential, answer, idle).await;
    let is_refused = matches!(&failure.last, Err(fault) if fault.code.as_deref() == Some(UPSTREAM_AUTH));
    // It may have been called back before its time.
    if let (true, Some(lender), Some(lent)) = (is_refused, &worker.lender, &lent)
        && lender.give_up(lent)
    {
        failure.again = Again::Everyone;
        // Nor need anybody wait for others.
        failure.wait = Some(Duration::ZERO);
    }
    Err(failure)
}
