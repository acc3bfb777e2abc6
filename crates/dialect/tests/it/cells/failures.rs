//! What goes wrong: errors upstreams answer with or break off with, and answers that just stop.

use super::clients::Kind;
use super::compare::same;
use super::node::Node;
use super::run::{Cell, Mode, Pair};
use super::story::Said;
use super::told::Heard;
use super::wire::{chunkings, section};
use std::time::Duration;
use trunkline_core::FaultKind;
use trunkline_dialect::restore::Restore;
use trunkline_dialect::{read_error, read_reply, write_error};

impl Pair {
    /// Errors keep their meaning, and an error inside a stream is its last word.
    pub(super) fn errors(&self, cell: &mut Cell) {
        let rows = section(self.upstream.answers, "errors").unwrap_or_default();
        for row in rows {
            let name = row.split(' ').next().unwrap_or_default();
            cell.case(name, self.error(row));
        }
        if self.mode == Mode::Unary {
            return;
        }
        let sent = self.request().and_then(|body| self.send(&body).map_err(|fault| format!("{fault:?}")));
        let (events, restore) = match (self.events("error"), sent) {
            (Ok(events), Ok((written, _))) => (events, written.restore),
            (events, sent) => return cell.case("stream", Err(format!("{events:?} {sent:?}"))),
        };
        for (name, pieces) in chunkings(&events) {
            let (bytes, _) = self.relay(&pieces, &restore);
            let heard = (self.client.stream)(&bytes).and_then(|heard| match heard {
                Heard::Whole(told) => Err(format!("a clean end: {told:?}")),
                Heard::Failed { said, trouble } => {
                    same("said", &said, &vec![Said::Words("Gr".into())])?;
                    same("message", &trouble.message.is_empty(), &false)?;
                    same("word", &trouble.word.as_str(), &self.client.broken)
                }
            });
            cell.case(name, heard.map_err(|why| format!("{why}\n{}", String::from_utf8_lossy(&bytes))));
        }
    }

    fn error(&self, row: &str) -> Result<(), String> {
        let mut fields = row.splitn(3, ' ');
        let mut field = || fields.next().ok_or("a row with too few fields");
        let (kind, status, body) = (Kind::parse(field()?)?, field()?, field()?);
        let status: u16 = status.parse().map_err(|_| "no status")?;
        let fault = read_error(self.upstream.dialect, status, body.as_bytes());
        same("class", &fault.kind, &kind.class())?;
        let wait = body.contains("retryDelay").then_some(Duration::from_secs(34));
        same("retry after", &fault.retry_after, &wait)?;
        let shown = write_error(self.client.dialect, &fault, "req-1");
        let shown = String::from_utf8(shown).map_err(|error| error.to_string())?;
        let trouble = (self.client.error)(&shown)?;
        same("word", &trouble.word.as_str(), &self.client.word(kind))
            .map_err(|why| format!("{why}\n{shown}"))?;
        // Agents of Anthropic's dialect look for a prompt too long by these words, whoever says it.
        let said = trouble.message.starts_with("prompt is too long") || trouble.message == own_words(body)?;
        same("message", &said, &true).map_err(|why| format!("{why}\n{shown}"))
    }

    /// What breaks off is never told as a whole answer.
    pub(super) fn cuts(&self, cell: &mut Cell) {
        match self.mode {
            Mode::Unary => {
                let Ok(body) = self.body() else { return };
                for eighth in 0..8 {
                    let cut = body.len() * eighth / 8;
                    cell.case(format!("{cut} bytes"), self.cut_body(&body.as_bytes()[..cut]));
                }
            }
            Mode::Stream => {
                let lines = section(self.upstream.answers, "thinking stream").unwrap_or_default();
                let finish = lines.iter().position(|line| line.contains(self.upstream.finish));
                let (Some(finish), Ok(events)) = (finish, self.events("thinking")) else {
                    return cell.case("stream", Err("it has no finish".into()));
                };
                let sent =
                    self.request().and_then(|body| self.send(&body).map_err(|fault| format!("{fault:?}")));
                let restore = match sent {
                    Ok((written, _)) => written.restore,
                    Err(why) => return cell.case("request", Err(why)),
                };
                for at in 0..events.len() {
                    // Between two events, and inside of one.
                    let half = events[at].len() / 2;
                    for cut in
                        [events[..at].to_vec(), [&events[..at], &[events[at][..half].to_vec()]].concat()]
                    {
                        cell.case(format!("event {at}"), self.cut_stream(&cut, &restore, at <= finish));
                    }
                }
            }
        }
    }

    fn cut_body(&self, body: &[u8]) -> Result<(), String> {
        let fault = read_reply(self.upstream.dialect, body).err().ok_or("it is taken for whole")?;
        same("class", &fault.kind, &FaultKind::Upstream)?;
        let shown = String::from_utf8(write_error(self.client.dialect, &fault, "req-1"));
        let trouble = (self.client.error)(&shown.map_err(|error| error.to_string())?)?;
        same("word", &trouble.word.as_str(), &self.client.cut)
    }

    fn cut_stream(&self, pieces: &[Vec<u8>], restore: &Restore, must_fail: bool) -> Result<(), String> {
        let (bytes, _) = self.relay(pieces, restore);
        let heard = (self.client.stream)(&bytes)
            .map_err(|why| format!("{why}\n{}", String::from_utf8_lossy(&bytes)))?;
        match heard {
            Heard::Whole(told) if must_fail => Err(format!("a clean end: {told:?}")),
            // Whatever was missing, the answer was not.
            Heard::Whole(told) => same("said", &told.said.is_empty(), &false),
            Heard::Failed { trouble, .. } => same("word", &trouble.word.as_str(), &self.client.broken),
        }
    }
}

/// What an upstream's error says to people, wherever its dialect puts that.
fn own_words(body: &str) -> Result<String, String> {
    let body = Node::read(body)?;
    let places = ["error.message", "message", "error", "detail"];
    places.into_iter().find_map(|path| body.text(path)).ok_or("an error without words".into())
}
