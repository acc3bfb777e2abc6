//! Stage 6: the answer to the client, as it comes. The client's reads drive the upstream's: nothing here
//! runs by itself, and dropping the relay aborts the upstream.

mod copy;
mod translate;

pub(crate) use copy::Copy;
pub(crate) use translate::{Leg, Teller, Translate};

use super::answer::{Answered, Content, in_words};
use super::form;
use super::settle::{Ledger, price, refuse, stamp};
use super::verdict::Mishap;
use crate::body::{Body, BrokenOff, Streaming};
use bytes::Bytes;
use http::Response;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use trunkline_core::{Event, Fault, FaultKind, Kind, Usage};
use trunkline_dialect::framing::{Framing, Whole};
use trunkline_dialect::gemini::Array;
use trunkline_dialect::nesting::TooDeep;
use trunkline_dialect::rename::Rename;
use trunkline_dialect::stream_usage;
use trunkline_dialect::tap::StreamTap;
use trunkline_dialect::write_stream_error;
use trunkline_upstream::{AnswerBody, UpstreamError};

/// Makes the client's answer.
pub(crate) fn respond(mut ledger: Ledger, answered: Answered) -> Response<Body> {
    let Answered { status, headers, content } = answered;
    ledger.answers(status.as_u16());
    let mut response = match content {
        Content::Whole(bytes) => {
            ledger.sent(bytes.len());
            ledger.done();
            let mut response = Response::new(Body::from(bytes));
            *response.headers_mut() = headers;
            stamp(response.headers_mut(), &ledger);
            price(response.headers_mut(), &mut ledger);
            response
        }
        Content::Turn(_) => {
            // Loops join their turns before they answer.
            let fault = Fault::new(FaultKind::Internal, "a turn of a tool loop was not joined to its answer");
            return refuse(ledger, &fault);
        }
        Content::Flow { flow, primed, idle } => {
            let mut headers = headers;
            stamp(&mut headers, &ledger);
            // Bare sound says nothing of its cost: what is known of that is known now.
            if matches!(flow, Flow::Copy(_)) && ledger.endpoint.dialect.kind() == Kind::Speak {
                price(&mut headers, &mut ledger);
            }
            let relay = Relay { primed, flow, idle, timer: None, last: Instant::now(), ledger: Some(ledger) };
            let mut response = Response::new(Body::Stream(Streaming::Relay(Box::new(relay))));
            *response.headers_mut() = headers;
            response
        }
    };
    *response.status_mut() = status;
    response
}

/// An answer on its way.
#[derive(Debug)]
pub struct Relay {
    /// What was read before the answer was committed to.
    primed: Option<Bytes>,
    flow: Flow,
    idle: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    last: Instant,
    /// Taken when the answer is over, which closes the books.
    ledger: Option<Ledger>,
}

/// Where an answer's bytes come from, and what is done with them.
#[derive(Debug)]
pub(crate) enum Flow {
    /// A stream that passes untouched.
    Splice(Box<Splice>),
    /// A whole answer that passes untouched, too large to be held.
    Copy(Box<Copy>),
    /// A stream that is translated.
    Translate(Box<Translate>),
}

/// What a flow gave.
#[derive(Debug)]
pub(crate) enum Step {
    /// Bytes for the client.
    Data(Bytes),
    /// The upstream failed.
    Failed(Fault),
    /// All is said.
    End,
}

impl Step {
    /// Whether nothing follows.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::End)
    }
}

impl Relay {
    /// The next bytes for the client.
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        let Some(ledger) = &mut self.ledger else { return Poll::Ready(None) };
        if let Some(primed) = self.primed.take() {
            ledger.sent(primed.len());
            self.close_complete();
            return Poll::Ready(Some(Ok(primed)));
        }
        let step = match self.flow.poll(cx, ledger) {
            Poll::Ready(step) => step,
            Poll::Pending => {
                // One timer for the whole answer: it is only set anew when it fires too early.
                // Bytes that give the client nothing are signs of life all the same.
                let end = self.last.max(ledger.heard.unwrap_or(self.last)) + self.idle;
                loop {
                    let wake = self.flow.next_beat(self.last).map_or(end, |beat| beat.min(end));
                    let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(wake)));
                    if timer.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    let now = Instant::now();
                    if end <= now {
                        break Step::Failed(silent(self.idle));
                    }
                    if wake > now {
                        timer.as_mut().reset(wake);
                    } else if let Some(beat) = self.flow.beat(now) {
                        ledger.sent(beat.len());
                        return Poll::Ready(Some(Ok(beat)));
                    }
                }
            }
        };
        match step {
            Step::Data(bytes) => {
                self.last = Instant::now();
                ledger.sent(bytes.len());
                self.close_complete();
                Poll::Ready(Some(Ok(bytes)))
            }
            Step::End => {
                if self.flow.broke_inside() {
                    ledger.blame(Mishap::ErrorInside, None);
                }
                ledger.done();
                self.close();
                Poll::Ready(None)
            }
            Step::Failed(fault) => {
                ledger.cut(&fault);
                tracing::warn!(request_id = %ledger.id, reason = %fault.message, "an answer broke off");
                let told = self.flow.tell(&fault, ledger);
                if let Some(told) = &told {
                    ledger.sent(told.len());
                }
                self.close();
                // A whole answer has no place for an error; closing the connection is all that is left.
                Poll::Ready(Some(told.ok_or(BrokenOff)))
            }
        }
    }
}

impl Relay {
    /// Closes the books of an answer whose last byte was handed out, where that is known: nobody asks for more then.
    fn close_complete(&mut self) {
        if self.flow.is_complete() {
            if let Some(ledger) = &mut self.ledger {
                ledger.done();
            }
            self.close();
        }
    }

    /// Closes the books, with what the answer said of itself so far.
    fn close(&mut self) {
        if let Some(mut ledger) = self.ledger.take() {
            self.flow.account(&mut ledger);
        }
    }
}

impl Drop for Relay {
    /// The client is gone; what its answer has used is used.
    fn drop(&mut self) {
        self.close();
    }
}

pub(crate) fn silent(idle: Duration) -> Fault {
    let message = format!("the upstream went silent for {} in the middle of its answer", in_words(idle));
    Fault::new(FaultKind::Timeout, message).code("upstream_idle_timeout")
}

/// The fault when an answer breaks off.
pub(crate) fn broke_off(error: Option<&UpstreamError>) -> Fault {
    let message = match error {
        // An upstream may begin to answer before it has the whole request, which then does not come.
        Some(UpstreamError::Upload(error)) => return form::fault(error),
        Some(UpstreamError::IdleTimeout(idle)) => return silent(*idle),
        Some(UpstreamError::TooLarge(_)) => {
            let message = "the upstream's answer is larger than `limits.reply_bytes` of this gateway";
            return Fault::new(FaultKind::Upstream, message).code("upstream_too_large");
        }
        Some(_) => "the upstream's answer broke off in the middle",
        None => "the upstream closed the stream before its end",
    };
    Fault::new(FaultKind::Upstream, message).code("upstream_cut")
}

/// The fault when an answer calls more tools than it may.
pub(super) fn too_many_calls() -> Fault {
    let message = "the upstream's answer has more tool calls than `limits.tool_calls` of this gateway";
    Fault::new(FaultKind::Upstream, message).code("too_many_tool_calls")
}

/// The fault when an answer is nested deeper than it may be.
pub(super) fn too_deep(_: TooDeep) -> Fault {
    let message = "the upstream's answer is nested deeper than `limits.reply_depth` of this gateway";
    Fault::new(FaultKind::Upstream, message).code("reply_too_deep")
}

impl Flow {
    /// What comes next.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, ledger: &mut Ledger) -> Poll<Step> {
        match self {
            Self::Splice(splice) => splice.poll(cx, ledger),
            Self::Translate(translate) => translate.poll(cx, ledger),
            Self::Copy(copy) => copy.poll(cx),
        }
    }

    /// Whether all of it was handed out, where that is known before its end is asked for.
    fn is_complete(&self) -> bool {
        matches!(self, Self::Copy(copy) if copy.is_complete())
    }

    /// When the client should hear of us, if it got nothing since `last`.
    pub(super) fn next_beat(&self, last: Instant) -> Option<Instant> {
        let Self::Translate(translate) = self else { return None };
        translate.next_beat(last)
    }

    /// A sign of life, in dialects that have one.
    pub(super) fn beat(&mut self, now: Instant) -> Option<Bytes> {
        let Self::Translate(translate) = self else { return None };
        translate.beat(now)
    }

    /// What the upstream counted of an answer that nobody gets; it counts no more for whoever gets the rest.
    pub(super) fn used(&mut self) -> Option<Box<Usage>> {
        match self {
            Self::Splice(splice) => splice.tap.tapped.usage.take(),
            Self::Copy(_) => None,
            Self::Translate(translate) => translate.used(),
        }
    }

    /// What a loop was told since it asked last.
    pub(crate) fn overheard(&mut self) -> Vec<Event<'static>> {
        match self {
            Self::Splice(_) | Self::Copy(_) => Vec::new(),
            Self::Translate(translate) => translate.overheard(),
        }
    }

    /// Tells the books what the answer said of its usage and finish, however far it came.
    pub(crate) fn account(&mut self, ledger: &mut Ledger) {
        let tapped = match self {
            Self::Splice(splice) => std::mem::take(&mut splice.tap.tapped),
            Self::Copy(copy) => copy.tapped(ledger.endpoint.dialect),
            Self::Translate(translate) => return translate.account(ledger),
        };
        ledger.usage = tapped.usage;
        ledger.finish = tapped.finish.map(Into::into);
    }

    /// Whether part of the answer itself has come, so that it can no longer be asked for elsewhere, or its end.
    pub(crate) fn has_begun(&self) -> bool {
        match self {
            Self::Splice(splice) => splice.has_content || splice.tap.tapped.failed || splice.tap.tapped.ended,
            Self::Copy(_) => true,
            Self::Translate(translate) => translate.has_content(),
        }
    }

    /// Whether an upstream whose stream passes untouched reported a failure in place of content.
    pub(crate) fn has_failed(&self) -> bool {
        match self {
            Self::Splice(splice) => splice.tap.tapped.failed && !splice.has_content,
            Self::Copy(_) | Self::Translate(_) => false,
        }
    }

    /// Whether such an upstream reported a failure behind content.
    fn broke_inside(&self) -> bool {
        matches!(self, Self::Splice(splice) if splice.tap.tapped.failed && splice.has_content)
    }

    /// How a client in the middle of the answer is told that it failed.
    fn tell(&mut self, fault: &Fault, ledger: &Ledger) -> Option<Bytes> {
        match self {
            Self::Splice(splice) => {
                if let Some(array) = &mut splice.dress.array {
                    let mut out = Vec::new();
                    array.fail(fault, ledger.id.as_str(), &mut out);
                    return Some(out.into());
                }
                let told = write_stream_error(ledger.endpoint.dialect, fault, ledger.id.as_str());
                let gap = if splice.events.is_torn() { splice.framing.gap() } else { b"" };
                Some([gap, &told].concat().into())
            }
            Self::Copy(_) => None,
            Self::Translate(translate) => Some(translate.tell(fault)),
        }
    }
}

/// A stream that passes untouched. Only whole events are handed on, so that an upstream that breaks off
/// in the middle of one leaves a stream to which an error can still be added.
#[derive(Debug)]
pub(crate) struct Splice {
    body: AnswerBody,
    tap: StreamTap,
    has_content: bool,
    events: Whole,
    framing: Framing,
    dress: Dress,
}

/// What is changed of a stream that passes, for its client.
#[derive(Debug)]
pub(crate) struct Dress {
    /// What becomes of the usage it ends with.
    pub(crate) usage: LastUsage,
    /// Shows the client another name for the model.
    pub(crate) rename: Option<Box<Rename>>,
    /// Makes one array of it, for clients that want that.
    pub(crate) array: Option<Box<Array>>,
}

/// What becomes of the usage that a stream ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastUsage {
    /// It is the client's, if it comes.
    Passed,
    /// The gateway asked for it and the client did not.
    Cut,
}

impl Dress {
    /// What a client is handed of whole events, before they are made an array.
    fn events(&self, events: Bytes) -> Bytes {
        let events = match self.usage {
            LastUsage::Cut => stream_usage::cut(events),
            LastUsage::Passed => events,
        };
        match &self.rename {
            Some(rename) => rename.events(events),
            None => events,
        }
    }
}

impl Splice {
    pub(crate) fn new(body: AnswerBody, framing: Framing, tap: StreamTap, dress: Dress) -> Self {
        Self { body, tap, has_content: false, events: Whole::new(framing), framing, dress }
    }

    /// What a client is handed of whole events.
    fn hand(&mut self, events: Bytes) -> Step {
        let events = self.dress.events(events);
        let Some(array) = &mut self.dress.array else { return Step::Data(events) };
        let mut out = Vec::with_capacity(events.len());
        match array.push(&events, &mut out) {
            Ok(()) => Step::Data(out.into()),
            Err(error) => {
                Step::Failed(Fault::new(FaultKind::Upstream, error.to_string()).code("event_too_long"))
            }
        }
    }

    /// The end of a stream that ended well; `None` when there is nothing more to say.
    fn ending(&mut self) -> Option<Step> {
        // A last event may have no blank line behind it.
        let rest = self.events.rest().map(|rest| self.dress.events(rest)).filter(|rest| !rest.is_empty());
        let Some(mut array) = self.dress.array.take() else { return rest.map(Step::Data) };
        let mut out = Vec::new();
        if let Some(rest) = rest
            && let Err(error) = array.push(&rest, &mut out)
        {
            return Some(Step::Failed(Fault::new(FaultKind::Upstream, error.to_string())));
        }
        array.end(&mut out);
        Some(Step::Data(out.into()))
    }

    fn poll(&mut self, cx: &mut Context<'_>, ledger: &mut Ledger) -> Poll<Step> {
        loop {
            let step = match std::task::ready!(self.body.poll_data(cx)) {
                Some(Ok(data)) => {
                    let seen = self.tap.see(&data);
                    if seen.content {
                        self.has_content = true;
                        ledger.events += u64::from(seen.parts);
                        ledger.content(Instant::now());
                    }
                    let Some(events) = self.events.push(data) else { continue };
                    match self.hand(events) {
                        // Comments and the like are no elements.
                        Step::Data(bytes) if bytes.is_empty() => continue,
                        step @ (Step::Data(_) | Step::Failed(_) | Step::End) => step,
                    }
                }
                Some(Err(error)) => Step::Failed(broke_off(Some(&error))),
                None => {
                    let is_whole = self.tap.close();
                    if is_whole && let Some(ending) = self.ending() {
                        return Poll::Ready(ending);
                    }
                    if is_whole { Step::End } else { Step::Failed(broke_off(None)) }
                }
            };
            return Poll::Ready(step);
        }
    }
}
