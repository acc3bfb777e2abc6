//! Parts of a streamed answer one after the other, for clients that take one block at a time while upstreams
//! interleave them. The part that is open flows at once; what others say meanwhile waits until it is closed.
//! Text and thoughts that stay empty never show.

use trunkline_core::{Delta, Event, Open};

/// Puts the parts of the first choice in a row; events of others are the caller's to hold back.
#[derive(Debug, Default)]
pub(crate) struct Serial {
    /// Parts not yet handed on whole, in the order they were opened.
    parts: Vec<Part>,
    /// The part that is open.
    live: Option<u32>,
}

#[derive(Debug)]
struct Part {
    number: u32,
    open: Open<'static>,
    /// What it said while another part was open.
    waiting: Vec<Delta<'static>>,
    closed: bool,
}

type Each<'e> = &'e mut dyn FnMut(Event<'_>);

impl Serial {
    /// Takes the next event and hands on what may be said now.
    pub(crate) fn push(&mut self, event: Event<'_>, each: Each<'_>) {
        match event {
            Event::Open { part, open, .. } => self.open(part, open.into_owned(), each),
            Event::Delta { part, delta } => self.delta(part, delta, each),
            Event::Close { part } => self.close(part, each),
            Event::Finish { .. } | Event::End => {
                self.close_all(each);
                each(event);
            }
            Event::Start { .. }
            | Event::Logprobs { .. }
            | Event::Usage(_)
            | Event::Ping
            | Event::Error(_) => each(event),
        }
    }

    fn open(&mut self, number: u32, open: Open<'static>, each: Each<'_>) {
        let part = Part { number, open, waiting: Vec::new(), closed: false };
        if self.live.is_none() && !may_stay_empty(&part.open) {
            self.begin(&part, each);
        }
        self.parts.push(part);
    }

    fn begin(&mut self, part: &Part, each: Each<'_>) {
        self.live = Some(part.number);
        each(Event::Open { part: part.number, choice: 0, open: part.open.clone() });
    }

    fn delta(&mut self, number: u32, delta: Delta<'_>, each: Each<'_>) {
        if matches!(&delta, Delta::Text(text) | Delta::Arguments(text) if text.is_empty()) {
            return;
        }
        if self.live == Some(number) {
            return each(Event::Delta { part: number, delta });
        }
        let Some(at) = self.parts.iter().position(|part| part.number == number) else { return };
        if self.live.is_none() {
            let part = self.parts.remove(at);
            self.begin(&part, each);
            self.parts.insert(at, part);
            each(Event::Delta { part: number, delta });
        } else if let Some(part) = self.parts.get_mut(at) {
            wait(&mut part.waiting, delta);
        }
    }

    fn close(&mut self, number: u32, each: Each<'_>) {
        let Some(at) = self.parts.iter().position(|part| part.number == number) else { return };
        if let Some(part) = self.parts.get_mut(at) {
            part.closed = true;
        }
        if self.live == Some(number) {
            self.parts.remove(at);
            self.live = None;
            each(Event::Close { part: number });
        }
        self.advance(each);
    }

    fn close_all(&mut self, each: Each<'_>) {
        while let Some(number) = self.live.or_else(|| self.parts.first().map(|part| part.number)) {
            self.close(number, each);
        }
    }

    /// Hands on what waited, in the order the parts were opened, up to one that is not complete.
    fn advance(&mut self, each: Each<'_>) {
        let mut at = 0;
        while self.live.is_none() && at < self.parts.len() {
            let mut part = self.parts.remove(at);
            if part.waiting.is_empty() && may_stay_empty(&part.open) {
                if !part.closed {
                    self.parts.insert(at, part);
                    at += 1;
                }
                continue;
            }
            self.begin(&part, each);
            for delta in std::mem::take(&mut part.waiting) {
                each(Event::Delta { part: part.number, delta });
            }
            if part.closed {
                self.live = None;
                each(Event::Close { part: part.number });
            } else {
                self.parts.insert(at, part);
            }
        }
    }
}

fn may_stay_empty(open: &Open<'_>) -> bool {
    match open {
        Open::Text | Open::Refusal | Open::Reasoning => true,
        Open::Redacted { .. } | Open::ToolCall { .. } | Open::Native { .. } => false,
    }
}

/// Keeps a step; words of one kind are kept together.
fn wait(waiting: &mut Vec<Delta<'static>>, delta: Delta<'_>) {
    match (waiting.last_mut(), delta) {
        (Some(Delta::Text(before)), Delta::Text(more))
        | (Some(Delta::Arguments(before)), Delta::Arguments(more)) => before.to_mut().push_str(&more),
        (_, delta) => waiting.push(delta.into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use trunkline_core::ToolCallKind;

    fn tool(part: u32) -> Event<'static> {
        let open = Open::ToolCall { call_id: "c".into(), name: "f".into(), kind: ToolCallKind::Function };
        Event::Open { part, choice: 0, open }
    }

    fn text(part: u32) -> Event<'static> {
        Event::Open { part, choice: 0, open: Open::Text }
    }

    fn say(part: u32, words: &str) -> Event<'static> {
        Event::Delta { part, delta: Delta::Text(words.to_owned().into()) }
    }

    /// What is handed on, short: `+1 1:a -1`.
    fn row(events: Vec<Event<'_>>) -> String {
        let (mut serial, mut out) = (Serial::default(), Vec::new());
        for event in events {
            serial.push(event, &mut |event| {
                out.push(if let Event::Open { part, .. } = event {
                    format!("+{part}")
                } else if let Event::Delta { part, delta: Delta::Text(text) } = event {
                    format!("{part}:{text}")
                } else if let Event::Close { part } = event {
                    format!("-{part}")
                } else {
                    format!("{event:?}")
                });
            });
        }
        out.join(" ")
    }

    #[test]
    fn parts_wait_for_each_other() {
        for (events, want) in [
            (
                vec![
                    text(1),
                    say(1, "a"),
                    tool(2),
                    say(2, "x"),
                    say(1, "b"),
                    Event::Close { part: 1 },
                    say(2, "y"),
                    Event::Close { part: 2 },
                ],
                "+1 1:a 1:b -1 +2 2:x 2:y -2",
            ),
            (vec![text(1), tool(2), Event::Close { part: 1 }, Event::End], "+2 -2 End"),
            (vec![text(1), say(1, ""), Event::Close { part: 1 }, Event::End], "End"),
            (
                vec![tool(1), tool(2), say(2, "x"), say(2, "y"), Event::Close { part: 2 }, Event::End],
                "+1 -1 +2 2:xy -2 End",
            ),
            (vec![say(9, "lost"), Event::Close { part: 9 }, Event::Ping], "Ping"),
        ] {
            assert_eq!(row(events), want);
        }
    }

    proptest! {
        #[test]
        fn nothing_overlaps_and_nothing_is_lost(steps in proptest::collection::vec((0u32..4, 0u8..4), 0..40)) {
            let (mut events, mut open, mut said) = (Vec::new(), [false; 4], [0usize; 4]);
            for (part, step) in steps {
                let at = part as usize;
                match step {
                    0 if !open[at] && said[at] == 0 => {
                        events.push(if part % 2 == 0 { text(part) } else { tool(part) });
                        open[at] = true;
                    }
                    3 if open[at] && said[at] > 0 => {
                        events.push(Event::Close { part });
                        open[at] = false;
                    }
                    _ if open[at] => {
                        events.push(say(part, "w"));
                        said[at] += 1;
                    }
                    _ => {}
                }
            }
            events.push(Event::End);
            let row = row(events);
            let mut live = None;
            for word in row.split(' ') {
                match word.split_at(1) {
                    ("+", part) => { prop_assert_eq!(live, None, "{}", row); live = Some(part); }
                    ("-", part) => { prop_assert_eq!(live, Some(part), "{}", row); live = None; }
                    _ => {}
                }
            }
            prop_assert_eq!(row.matches('w').count(), said.iter().sum::<usize>(), "{}", row);
        }
    }
}
