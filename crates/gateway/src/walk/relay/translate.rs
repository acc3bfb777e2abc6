//! A stream that is translated, from one upstream or, where `n` is fanned out, several.

use super::super::fan::Merge;
use super::super::predict::{Job, Tally};
use super::super::settle::Ledger;
use super::{Step, broke_off, too_deep, too_many_calls};
use crate::config::Limits;
use bytes::Bytes;
use smallvec::SmallVec;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use trunkline_core::{Event, Fault, FaultKind, Open, Usage};
use trunkline_dialect::nesting::Nesting;
use trunkline_dialect::restore::Restore;
use trunkline_dialect::{StreamReader, StreamWriter};
use trunkline_upstream::{AnswerBody, UpstreamError};

/// A stream that is translated.
#[derive(Debug)]
pub(crate) struct Translate {
    legs: SmallVec<[Leg; 1]>,
    merge: Merge,
    teller: Teller,
    out: Vec<u8>,
    /// How many of the events that a loop has not taken it was called for.
    heard: usize,
    has_content: bool,
    failed: Option<Fault>,
    /// Bytes the upstreams may still send. What the client's dialect makes the writer hold back is part of
    /// them, so this bounds memory, too.
    left: usize,
    /// Tool calls the answer may still have.
    calls: usize,
    /// How often a silent upstream is made up for; `None` for never.
    heartbeat: Option<Duration>,
    beaten: Option<Instant>,
}

/// Who is told what comes.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "what holds it is in a box of its own")]
pub(crate) enum Teller {
    /// The client, in its dialect.
    Client(StreamWriter),
    /// A loop, which takes what was said after each step.
    Loop(Vec<Event<'static>>),
}

impl Teller {
    fn tell(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Client(writer) => writer.write(event, out),
            Self::Loop(events) => events.push(event.into_owned()),
        }
    }
}

/// One upstream stream of a translated answer.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) body: Option<AnswerBody>,
    pub(crate) reader: StreamReader,
    pub(crate) nesting: Nesting,
    pub(crate) restore: Restore,
    /// What is called off when the client leaves.
    pub(crate) job: Option<Job>,
    /// What its end waits for.
    pub(crate) tally: Option<Tally>,
}

impl Leg {
    /// Whether nothing more will come of it.
    fn is_spent(&self) -> bool {
        self.body.is_none() && self.tally.is_none()
    }
}

impl Translate {
    /// Brings `legs` together, within `limits` for all of them. While they say nothing, the client gets a sign of
    /// life at each `heartbeat`; never, if that is zero.
    pub(crate) fn new(
        legs: SmallVec<[Leg; 1]>,
        teller: Teller,
        limits: &Limits,
        heartbeat: Duration,
    ) -> Self {
        Self {
            merge: Merge::new(legs.len()),
            legs,
            teller,
            out: Vec::new(),
            heard: 0,
            has_content: false,
            failed: None,
            left: limits.reply_bytes,
            calls: limits.tool_calls,
            heartbeat: (!heartbeat.is_zero()).then_some(heartbeat),
            beaten: None,
        }
    }

    /// Whether part of the answer itself has come.
    pub(super) fn has_content(&self) -> bool {
        self.has_content
    }

    /// When the client should hear of us, if it got nothing since `last`.
    pub(super) fn next_beat(&self, last: Instant) -> Option<Instant> {
        let heartbeat = self.heartbeat?;
        Some(self.beaten.map_or(last, |beaten| beaten.max(last)) + heartbeat)
    }

    /// A sign of life, in dialects that have one.
    pub(super) fn beat(&mut self, now: Instant) -> Option<Bytes> {
        let mut out = Vec::new();
        self.teller.tell(Event::Ping, &mut out);
        if out.is_empty() {
            self.heartbeat = None;
            return None;
        }
        self.beaten = Some(now);
        Some(out.into())
    }

    /// What a loop was told since it asked last.
    pub(super) fn overheard(&mut self) -> Vec<Event<'static>> {
        self.heard = 0;
        match &mut self.teller {
            Teller::Client(_) => Vec::new(),
            Teller::Loop(events) => std::mem::take(events),
        }
    }

    /// Tells the client that its answer failed.
    pub(super) fn tell(&mut self, fault: &Fault) -> Bytes {
        let mut out = Vec::new();
        self.teller.tell(Event::Error(fault.clone()), &mut out);
        out.into()
    }

    /// Tells the books what was used, and what the client's dialect could not say, however far the answer came.
    pub(super) fn account(&mut self, ledger: &mut Ledger) {
        ledger.usage = self.used();
        if let Teller::Client(writer) = &self.teller {
            ledger.lost_more(writer.losses(), ledger.endpoint.dialect.name());
        }
    }

    /// What all legs counted so far.
    pub(super) fn used(&mut self) -> Option<Box<Usage>> {
        let Self { legs, merge, .. } = self;
        for (at, leg) in legs.iter_mut().enumerate() {
            // A reader may hold counts back for the end.
            leg.reader.close(&mut |event| {
                if let Event::Usage(usage) = event {
                    merge.count(at, &usage);
                }
            });
        }
        merge.usage().map(Box::new)
    }

    /// What comes next.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, ledger: &mut Ledger) -> Poll<Step> {
        loop {
            if !self.out.is_empty() {
                let data = Bytes::copy_from_slice(&self.out);
                self.out.clear();
                return Poll::Ready(Step::Data(data));
            }
            if let Teller::Loop(events) = &self.teller
                && events.len() > self.heard
            {
                self.heard = events.len();
                return Poll::Ready(Step::Data(Bytes::new()));
            }
            if let Some(fault) = self.failed.take() {
                return Poll::Ready(Step::Failed(fault));
            }
            if self.merge.is_over() {
                return Poll::Ready(Step::End);
            }
            let mut progressed = false;
            for at in 0..self.legs.len() {
                progressed |= self.poll_leg(at, cx, ledger);
                if self.failed.is_some() {
                    break;
                }
            }
            if !progressed {
                if self.legs.iter().all(Leg::is_spent) && !self.merge.is_over() {
                    // Readers end every stream with `End` or `Error`; this guards against one that does not.
                    return Poll::Ready(Step::Failed(broke_off(None)));
                }
                return Poll::Pending;
            }
        }
    }

    /// Reads what one leg has; whether it had anything.
    fn poll_leg(&mut self, at: usize, cx: &mut Context<'_>, ledger: &mut Ledger) -> bool {
        let Self { legs, merge, teller, out, has_content, failed, left, calls, .. } = self;
        let Some(Leg { body: slot, reader, nesting, restore, job, tally }) = legs.get_mut(at) else {
            return false;
        };
        if let Some(waiting) = tally {
            let Poll::Ready(used) = waiting.poll(cx) else { return false };
            *tally = None;
            if let Some(used) = used {
                merge.count(at, &used);
                merge.event(at, Event::Usage(used), |event| teller.tell(event, out));
            }
            merge.event(at, Event::End, |event| teller.tell(event, out));
            return true;
        }
        let Some(body) = slot else { return false };
        let Poll::Ready(next) = body.poll_data(cx) else { return false };
        ledger.heard = Some(Instant::now());
        let mut ended = false;
        let mut content = false;
        let is_counted = job.is_none();
        let mut seen = |event: Event<'_>| {
            content |= event.is_content();
            match &event {
                Event::Usage(usage) => merge.count(at, usage),
                Event::Finish { finish, .. } => {
                    let native = finish.native.as_ref().map(|(_, native)| native.as_str());
                    ledger.finish = Some(native.unwrap_or("done").into());
                }
                Event::End => ended = true,
                Event::Delta { .. } => ledger.events += 1,
                Event::Open { open: Open::ToolCall { .. }, .. } => match calls.checked_sub(1) {
                    Some(rest) => *calls = rest,
                    None => drop(failed.get_or_insert_with(too_many_calls)),
                },
                Event::Start { .. }
                | Event::Open { .. }
                | Event::Close { .. }
                | Event::Logprobs { .. }
                | Event::Ping
                | Event::Error(_) => {}
            }
            if let Event::Error(fault) = event {
                failed.get_or_insert(fault);
            } else if failed.is_none() && (is_counted || !matches!(event, Event::End)) {
                merge.event(at, event, |event| teller.tell(event, out));
            }
        };
        let mut each = |event: Event<'_>| restore.push(event, &mut seen);
        match next {
            Some(Ok(data)) => match left.checked_sub(data.len()) {
                Some(rest) => {
                    *left = rest;
                    match nesting.push(&data) {
                        Ok(()) => reader.push(&data, &mut each),
                        Err(deep) => each(Event::Error(too_deep(deep))),
                    }
                }
                None => each(Event::Error(broke_off(Some(&UpstreamError::TooLarge(0))))),
            },
            Some(Err(error)) => each(Event::Error(broke_off(Some(&error)))),
            None => reader.close(&mut |event| {
                if let Event::Error(mut fault) = event {
                    if fault.kind == FaultKind::Upstream {
                        fault.code.get_or_insert("upstream_cut".into());
                    }
                    each(Event::Error(fault));
                } else {
                    each(event);
                }
            }),
        }
        if content {
            *has_content = true;
            ledger.content(Instant::now());
        }
        if ended && let Some(job) = job {
            let used = job.tally();
            *tally = failed.is_none().then_some(used);
        }
        // After the last event the rest of the body only matters for using its connection again.
        if ended && let Poll::Ready(None) = body.poll_data(cx) {
            *slot = None;
        } else if ended || failed.is_some() {
            *slot = None;
        }
        true
    }
}
