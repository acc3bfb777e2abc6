//! What an answer says, read off its bytes as a client of each dialect would read it, by the grammar that
//! client's library holds it to: order, indexes, one terminal event, usage once.

mod anthropic;
mod bedrock;
mod gemini;
mod ollama;
mod openai;
mod responses;

pub(super) use anthropic::*;
pub(super) use bedrock::*;
pub(super) use gemini::*;
pub(super) use ollama::*;
pub(super) use openai::*;
pub(super) use responses::*;

use super::node::Node;
use super::story::{Counts, Done, Said, Told};

/// How a stream ended, and what it had said until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    Whole(Told),
    Failed { said: Vec<Said>, trouble: Trouble },
}

/// An error as its client can tell it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) word: String,
    pub(super) message: String,
}

/// An answer while it is collected.
#[derive(Debug, Default)]
struct Collected {
    said: Vec<Said>,
    done: Option<Done>,
    counts: Option<Counts>,
    trouble: Option<Trouble>,
    /// The last event of the dialect has come.
    ended: bool,
}

impl Collected {
    fn thought(&mut self, text: &str) {
        match self.said.last_mut() {
            Some(Said::Thought(before)) => before.push_str(text),
            _ if text.is_empty() => {}
            _ => self.said.push(Said::Thought(text.to_owned())),
        }
    }

    fn words(&mut self, text: &str) {
        match self.said.last_mut() {
            Some(Said::Words(before)) => before.push_str(text),
            _ if text.is_empty() => {}
            _ => self.said.push(Said::Words(text.to_owned())),
        }
    }

    fn call(&mut self, id: Option<String>, name: Option<String>, arguments: &str) -> Result<(), String> {
        let id = id.filter(|id| !id.is_empty()).ok_or("a call without an id")?;
        let name = name.filter(|name| !name.is_empty()).ok_or("a call without a name")?;
        self.said.push(Said::Call { id, name, arguments: arguments.to_owned() });
        Ok(())
    }

    fn calls(&self) -> usize {
        self.said.iter().filter(|said| matches!(said, Said::Call { .. })).count()
    }

    /// More arguments of the call that came as number `at`.
    fn arguments(&mut self, at: usize, more: &str) -> Result<(), String> {
        let mut calls = self.said.iter_mut().filter_map(|said| match said {
            Said::Call { arguments, .. } => Some(arguments),
            _ => None,
        });
        calls.nth(at).map(|arguments| arguments.push_str(more)).ok_or(format!("no call {at} is open"))
    }

    fn usage(&mut self, counts: Counts) -> Result<(), String> {
        match self.counts.replace(counts) {
            Some(_) => Err("usage is told twice".into()),
            None => Ok(()),
        }
    }

    fn finish(&mut self, done: Done) -> Result<(), String> {
        match self.done.replace(done) {
            Some(_) => Err("the answer finishes twice".into()),
            None => Ok(()),
        }
    }

    fn fail(&mut self, trouble: Trouble) {
        self.trouble = Some(trouble);
        self.ended = true;
    }

    /// Nothing may follow the end.
    fn going_on(&self, event: &str) -> Result<(), String> {
        if self.ended { Err(format!("after the end comes {event}")) } else { Ok(()) }
    }

    fn heard(self) -> Result<Heard, String> {
        match (self.trouble, self.ended) {
            (Some(trouble), _) => Ok(Heard::Failed { said: self.said, trouble }),
            (None, false) => Err("the stream just stops".into()),
            (None, true) => Ok(Heard::Whole(Told {
                said: self.said,
                done: self.done.ok_or("no finish reason")?,
                counts: self.counts,
            })),
        }
    }

    fn whole(self) -> Result<Told, String> {
        match (Self { ended: true, ..self }).heard()? {
            Heard::Whole(told) => Ok(told),
            Heard::Failed { trouble, .. } => Err(format!("{trouble:?}")),
        }
    }
}

fn unexpected<T>(what: &str, node: Node<'_>) -> Result<T, String> {
    Err(format!("{what}: {}", node.raw()))
}

fn done(word: Option<&str>, stop: &str, calls: &str) -> Result<Done, String> {
    match word {
        Some(word) if word == calls => Ok(Done::Calls),
        Some(word) if word == stop => Ok(Done::Stop),
        other => Err(format!("finish reason {other:?}")),
    }
}
