//! A whole answer that passes untouched and is too large, or too urgent, to be held.

use super::{Step, broke_off};
use bytes::Bytes;
use http::{HeaderMap, header};
use std::collections::VecDeque;
use std::task::{Context, Poll, ready};
use trunkline_core::{Dialect, Kind};
use trunkline_dialect::tap::{Pictures, TAIL, Tapped, tap_reply};
use trunkline_upstream::AnswerBody;

/// An answer whose bytes pass as they come. Its beginning and its end are kept for the books: usage stands in either.
#[derive(Debug)]
pub(crate) struct Copy {
    body: AnswerBody,
    start: Bytes,
    tail: VecDeque<Bytes>,
    /// Bytes in `tail`.
    kept: usize,
    /// Bytes that are yet to come, where the upstream said how many there are.
    left: Option<u64>,
    /// Of an answer that is pictures.
    pictures: Option<Box<Pictures>>,
    ended: bool,
}

impl Copy {
    /// What follows `start`, which was read already, of an answer of this `kind` with these `headers`.
    pub(crate) fn new(body: AnswerBody, headers: &HeaderMap, kind: Kind, start: Bytes) -> Self {
        let length =
            headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let left = length.map(|length| length.saturating_sub(start.len() as u64));
        let near = start.slice(start.len().saturating_sub(TAIL)..);
        let mut pictures = (kind == Kind::Image).then(Box::<Pictures>::default);
        if let Some(pictures) = &mut pictures {
            pictures.see(&start);
        }
        Self { body, kept: near.len(), tail: [near].into(), start, left, pictures, ended: false }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        Poll::Ready(match ready!(self.body.poll_data(cx)) {
            Some(Ok(data)) => {
                self.keep(data.clone());
                if let Some(pictures) = &mut self.pictures {
                    pictures.see(&data);
                }
                self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                Step::Data(data)
            }
            Some(Err(error)) => Step::Failed(broke_off(Some(&error))),
            None => {
                self.ended = true;
                Step::End
            }
        })
    }

    /// Keeps pieces from the end on, as long as what follows them is too short to hold what is looked for.
    fn keep(&mut self, data: Bytes) {
        self.kept += data.len();
        self.tail.push_back(data);
        while let Some(first) = self.tail.front().filter(|first| self.kept - first.len() >= TAIL) {
            self.kept -= first.len();
            self.tail.pop_front();
        }
    }

    /// Whether all has been handed out. Nobody asks for more of an answer whose length is known.
    pub(super) fn is_complete(&self) -> bool {
        self.left == Some(0)
    }

    /// What the answer says of itself, as far as it has come.
    pub(super) fn tapped(&self, dialect: Dialect) -> Tapped {
        let tapped = self.told(dialect);
        match self.pictures.as_ref().filter(|_| self.ended || self.is_complete()) {
            Some(pictures) => Tapped { usage: pictures.counted(tapped.usage), ..tapped },
            None => tapped,
        }
    }

    fn told(&self, dialect: Dialect) -> Tapped {
        let pieces: Vec<Bytes> = self.tail.iter().cloned().collect();
        let at_end = tap_reply(dialect, &pieces);
        if at_end.usage.is_some() || self.start.is_empty() {
            return at_end;
        }
        let at_start = tap_reply(dialect, std::slice::from_ref(&self.start));
        Tapped { usage: at_start.usage, finish: at_end.finish.or(at_start.finish), ..at_end }
    }
}
