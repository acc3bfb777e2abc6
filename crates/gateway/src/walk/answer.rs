//! An answer that is ready to be relayed, and how far one is read before it is.

use super::failure::Failure;
use super::plan::Plan;
use super::relay::{Flow, Step, silent};
use super::settle::{Ledger, Outcome};
use super::verdict::{CALLERS_TIME, Keys, Mishap};
use crate::fleet::worker::Worker;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header, response};
use smallvec::SmallVec;
use std::future::poll_fn;
use std::time::Duration;
use tokio::time::Instant;
use trunkline_core::{Dialect, Event, Fault, FaultKind};
use trunkline_dialect::framing::Framing;
use trunkline_upstream::{AnswerBody, UpstreamError};

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
    /// One turn of a loop, for the loop alone.
    Turn(Box<Turn>),
    /// Its beginning, and where the rest comes from.
    Flow { flow: Flow, primed: Option<Bytes>, idle: Duration },
}

/// What one turn of a loop was answered with.
pub(crate) struct Turn {
    /// What the upstream speaks.
    pub(crate) to: Dialect,
    /// The tier that serves it, where a whole answer says so.
    pub(crate) service_tier: Option<String>,
    /// What it said so far.
    pub(crate) events: Vec<Event<'static>>,
    /// Where the rest comes from, and how long it may be silent; `None` when that was all.
    pub(crate) rest: Option<(Flow, Duration)>,
}

/// What is held of an answer at most before it is committed to.
pub(super) const HELD: usize = 256 << 10;

/// How long an answer may take to say something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Between two pieces.
    pub(super) idle: Duration,
    /// Until its content.
    content: Limit,
    /// Until the client has to hear of it, content or not; zero for as long as it takes.
    heartbeat: Duration,
}

impl Patience {
    pub(super) fn of(plan: &Plan, worker: &Worker) -> Self {
        let timeouts = &plan.question.snapshot.config.timeouts;
        let content = until_begun(plan, worker);
        Self { idle: timeouts.idle, content, heartbeat: timeouts.heartbeat }
    }
}

/// How long something may take, and who says so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) time: Duration,
    /// The caller, who gives less than the operator: nothing is wrong with a worker that takes longer.
    pub(super) is_callers: bool,
}

/// How long an answer of `worker` may take to begin: until its head, and from there until the content of a stream.
pub(super) fn until_begun(plan: &Plan, worker: &Worker) -> Limit {
    let usual = plan.question.snapshot.config.timeouts.first_byte;
    let operators = worker.spec.timeout.unwrap_or(usual);
    let time = plan.wishes.timeout.unwrap_or(operators);
    Limit { time, is_callers: time < operators }
}

/// A time as clients are told of it.
pub(super) fn in_words(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis().max(1))
    } else {
        format!("{} s", time.as_secs_f64())
    }
}

/// Reads until the answer's content has begun. A failure before that can still be tried elsewhere; but a client that
/// can be given anything is not left without for longer than one heartbeat.
pub(super) async fn prime(
    flow: &mut Flow,
    ledger: &mut Ledger,
    patience: Patience,
    keys: Keys,
) -> Result<Bytes, Failure> {
    let failed = |flow: &mut Flow, ledger: &mut Ledger, class: &'static str, fault: Fault| {
        ledger.usage = flow.used();
        let (mishap, wait) = (Mishap::of_stream(&fault, keys), fault.retry_after);
        Failure { wait, ..Failure::of(mishap, Outcome::Failed(class), Err(fault)) }
    };
    let mut ready = BytesMut::new();
    let began = Instant::now();
    let content = began + patience.content.time;
    let mut due = (!patience.heartbeat.is_zero()).then(|| began + patience.heartbeat);
    let (mut last, mut is_overdue) = (began, false);
    loop {
        let end = content.min(last + patience.idle);
        let wake = due.map_or(end, |due| due.min(end));
        let step = tokio::time::timeout_at(wake, poll_fn(|cx| flow.poll(cx, ledger))).await;
        match step {
            Ok(Step::Data(data)) if ready.is_empty() && flow.has_begun() => return Ok(data),
            Ok(Step::Data(data)) => {
                ready.extend_from_slice(&data);
                last = Instant::now();
                if flow.has_begun() || is_overdue || ready.len() > HELD {
                    return Ok(ready.freeze());
                }
            }
            // The next poll of the flow says so again.
            Ok(Step::End) => return Ok(ready.freeze()),
            Ok(Step::Failed(fault)) => return Err(failed(flow, ledger, "cut", fault)),
            Err(_) if wake < end => {
                if let Some(beat) = flow.beat(Instant::now()) {
                    ready.extend_from_slice(&beat);
                }
                if !ready.is_empty() {
                    return Ok(ready.freeze());
                }
                // Whatever comes is handed on at once.
                (due, is_overdue) = (None, true);
            }
            // Bytes that give the client nothing, such as keep-alive comments, are signs of life all the same.
            Err(_) if end < content && ledger.heard.is_some_and(|heard| heard > last) => {
                last = ledger.heard.unwrap_or(last);
            }
            Err(_) if end < content => {
                return Err(failed(flow, ledger, "idle_timeout", silent(patience.idle)));
            }
            Err(_) => {
                let Limit { time, is_callers } = patience.content;
                let message = format!("the upstream's answer had no content after {}", in_words(time));
                let (class, code) = if is_callers {
                    (CALLERS_TIME, CALLERS_TIME)
                } else {
                    ("content_timeout", "upstream_content_timeout")
                };
                let fault = Fault::new(FaultKind::Timeout, message).code(code);
                return Err(failed(flow, ledger, class, fault));
            }
        }
    }
}

/// Headers of a stream: no proxy on the way may hold it back, whatever the upstream said.
pub(crate) fn stream_headers(dialect: Dialect, mut headers: HeaderMap) -> HeaderMap {
    headers.remove(header::CONTENT_LENGTH);
    headers
        .entry(header::CONTENT_TYPE)
        .or_insert(HeaderValue::from_static(Framing::of(dialect).media_type()));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    headers
}

pub(super) async fn next(body: &mut AnswerBody, idle: Duration) -> Result<Option<Bytes>, UpstreamError> {
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

pub(super) fn join(pieces: &[Bytes], size: usize) -> Bytes {
    if let [only] = pieces {
        return only.clone();
    }
    let mut all = BytesMut::with_capacity(size);
    pieces.iter().for_each(|piece| all.extend_from_slice(piece));
    all.freeze()
}

/// Whether an upstream that speaks `dialect` streams its answer.
pub(super) fn is_stream(dialect: Dialect, head: &response::Parts) -> bool {
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    Framing::of(dialect).is_announced_by(kind.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_never_told_as_none() {
        for (micros, words) in [(1, "1 ms"), (50_000, "50 ms"), (1_000_000, "1 s"), (1_500_000, "1.5 s")] {
            assert_eq!(in_words(Duration::from_micros(micros)), words);
        }
    }
}
