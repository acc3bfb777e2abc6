//! What the client is told of all turns: one answer, in which parts are numbered on.

use bytes::Bytes;
use serde_json::{Value, json};
use std::borrow::Cow;
use trunkline_core::{Delta, Dialect, Event, Extra, Json, Losses, Open};
use trunkline_dialect::Context;
use trunkline_dialect::names::{Alphabet, Names};
use trunkline_dialect::openai_responses::StreamWriter;
use trunkline_dialect::restore::Restore;
use trunkline_dialect::seal::Sealer;

/// The dialect of the client, and of the items that it is told of.
const CLIENT: Dialect = Dialect::OpenaiResponses;

/// Tells the client.
#[derive(Debug)]
pub(super) struct Voice {
    writer: StreamWriter,
    /// Seals what of a turn only its upstream can read.
    seal: Restore,
    out: Vec<u8>,
    /// Number of the first part of this turn.
    base: u32,
    /// Number of the next part that is ours.
    next: u32,
}

impl Voice {
    /// For a client that wants a stream, or one that wants the whole.
    pub(super) fn new(context: Context, echo: Extra, streams: bool) -> Self {
        let writer = if streams {
            let mut writer = StreamWriter::new(context);
            writer.echo(echo);
            writer
        } else {
            StreamWriter::quiet(context, None, echo)
        };
        let seal = Restore::new(Names::new(Alphabet::OPENAI_NAME), false, Vec::new());
        Self { writer, seal, out: Vec::new(), base: 0, next: 0 }
    }

    /// What follows is what an upstream says.
    pub(super) fn turn(&mut self, sealer: Sealer, service_tier: Option<String>) {
        self.seal.sealer = Some(sealer);
        self.writer.served_by(service_tier);
        self.base = self.next;
    }

    /// The client's number of a part of this turn.
    pub(super) fn part(&mut self, part: u32) -> u32 {
        let number = self.base.wrapping_add(part);
        self.next = self.next.max(number.wrapping_add(1));
        number
    }

    pub(super) fn say(&mut self, event: Event<'_>) {
        let Self { writer, seal, out, .. } = self;
        seal.push(event, &mut |event| writer.write(event, out));
    }

    /// Opens an item of a server's, with what is known of it.
    pub(super) fn open(&mut self, part: u32, native_type: &'static str, head: &Value) {
        let open =
            Open::Native { dialect: CLIENT, native_type: Cow::Borrowed(native_type), raw: Json::from(head) };
        self.say(Event::Open { part, choice: 0, open });
    }

    /// Closes it with what came of it; with nothing, where nothing did.
    pub(super) fn close(&mut self, part: u32, outcome: Option<Json>) {
        if let Some(outcome) = outcome {
            self.say(Event::Delta { part, delta: Delta::Native(outcome) });
        }
        self.say(Event::Close { part });
    }

    /// An item of ours, from its beginning to its end.
    pub(super) fn item(&mut self, native_type: &'static str, head: &Value, arguments: &str, outcome: Json) {
        self.base = self.next;
        let part = self.part(0);
        self.open(part, native_type, head);
        self.say(Event::Delta { part, delta: Delta::Arguments(Cow::Borrowed(arguments)) });
        self.close(part, Some(outcome));
        self.base = self.next;
    }

    /// A question whether a tool may run.
    pub(super) fn ask(&mut self, id: &str, label: &str, tool: &str, arguments: &str) {
        let item = json!({"type": "mcp_approval_request", "id": id, "server_label": label, "name": tool,
            "arguments": arguments});
        let part = self.next;
        self.next = self.next.wrapping_add(1);
        self.open(part, "mcp_approval_request", &item);
        self.close(part, None);
    }

    /// What is to be sent by now.
    pub(super) fn drain(&mut self) -> Bytes {
        std::mem::take(&mut self.out).into()
    }

    /// The whole answer, when all is said.
    pub(super) fn whole(&self) -> Bytes {
        self.writer.whole().into()
    }

    pub(super) fn losses(&self) -> &Losses {
        self.writer.losses()
    }
}
