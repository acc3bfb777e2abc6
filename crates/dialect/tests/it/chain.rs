//! One client, one upstream and the two codecs between them, as the gateway strings them together.

use serde_json::Value;
use std::fmt::Write as _;
use trunkline_core::Dialect::{AnthropicMessages, OpenaiChat};
use trunkline_core::{Dialect, Event, Fault, Fold, Losses, Reply, unfold};
use trunkline_dialect::names::{Alphabet, Names};
use trunkline_dialect::restore::Restore;
use trunkline_dialect::{
    Context, StreamReader, StreamWriter, Target, UserIds, Vendor, Written, read_call, read_reply, write_call,
    write_reply,
};

/// Largest stream event any test sends.
pub(crate) const EVENT_BYTES: usize = 1 << 20;

/// A pair of dialects: the client's and the upstream's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) client: Dialect,
    pub(crate) upstream: Dialect,
}

/// An OpenAI client in front of Anthropic.
pub(crate) const OC_AM: Pair = Pair { client: OpenaiChat, upstream: AnthropicMessages };
/// An Anthropic client in front of an OpenAI-dialect server.
pub(crate) const AM_OC: Pair = Pair { client: AnthropicMessages, upstream: OpenaiChat };
/// The same dialect on both sides, through the neutral model all the same.
pub(crate) const OC_OC: Pair = Pair { client: OpenaiChat, upstream: OpenaiChat };
/// See [`OC_OC`].
pub(crate) const AM_AM: Pair = Pair { client: AnthropicMessages, upstream: AnthropicMessages };

pub(crate) const PAIRS: [Pair; 4] = [OC_AM, AM_OC, OC_OC, AM_AM];

/// The dialect's owner.
pub(crate) fn owner(model: &str) -> Target<'_> {
    Target {
        model,
        vendor: Vendor::Owner,
        default_max_tokens: None,
        user_ids: UserIds::Opaque,
        strict_arguments: false,
        anthropic_version: "2023-06-01",
    }
}

/// An engine or provider that speaks the dialect.
pub(crate) fn compatible(model: &str) -> Target<'_> {
    Target { vendor: Vendor::Compatible, ..owner(model) }
}

/// A Claude that thinks within a budget and takes schemas.
pub(crate) const CLAUDE: &str = "claude-sonnet-4-5";

pub(crate) fn context() -> Context {
    Context {
        id: "chatcmpl-ours".into(),
        created: 1_700_000_000,
        model: None,
        include_usage: true,
        array: false,
        request_id: "req-1".into(),
        seal: [7; 32],
    }
}

/// What an upstream received.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) text: String,
    pub(crate) body: Value,
    pub(crate) losses: Losses,
    pub(crate) restore: Restore,
    pub(crate) fan_out: u32,
}

impl Sent {
    /// `path action` of each loss.
    pub(crate) fn lost(&self) -> Vec<String> {
        list(&self.losses)
    }

    /// The body and the losses, for a reviewer.
    pub(crate) fn report(&self) -> String {
        let mut out = serde_json::to_string_pretty(&self.body).unwrap();
        for loss in self.losses.iter() {
            write!(out, "\nlost: {} {} ({})", loss.path, loss.action.name(), loss.reason).unwrap();
        }
        out
    }
}

/// `path action` of each loss.
pub(crate) fn list(losses: &Losses) -> Vec<String> {
    losses.iter().map(|loss| format!("{} {}", loss.path, loss.action.name())).collect()
}

impl Pair {
    /// What `target` receives for a client's `body`.
    pub(crate) fn send(self, body: impl AsRef<[u8]>, target: &Target<'_>) -> Result<Sent, Fault> {
        let mut losses = Losses::default();
        let call = read_call(self.client, body.as_ref(), &mut losses)?;
        let Written { body, restore, fan_out, .. } = write_call(self.upstream, &call, target, &mut losses)?;
        let text = String::from_utf8(body).unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        Ok(Sent { text, body, losses, restore, fan_out })
    }

    /// The text of the whole answer a client gets for an upstream's, and what it lost.
    pub(crate) fn answer(self, body: impl AsRef<[u8]>, restore: &Restore) -> Result<(String, Losses), Fault> {
        let mut reply = read_reply(self.upstream, body.as_ref())?;
        restore.reply(&mut reply);
        let mut losses = Losses::default();
        let out = write_reply(self.client, &reply, &context(), &mut losses)?;
        Ok((String::from_utf8(out).unwrap(), losses))
    }

    /// The same as a tree, where the answer can be read and loses nothing.
    pub(crate) fn answer_whole(self, body: impl AsRef<[u8]>) -> Value {
        let (text, losses) = self.answer(body, &idle()).unwrap();
        assert_eq!(list(&losses), Vec::<String>::new());
        serde_json::from_str(&text).unwrap()
    }

    /// The bytes a client gets for an upstream's stream in these pieces.
    pub(crate) fn stream(self, pieces: &[&[u8]], restore: &Restore, context: Context) -> String {
        let mut restore = restore.clone();
        let mut writer = StreamWriter::new(self.client, context).unwrap();
        let mut out = Vec::new();
        read_stream(self.upstream, pieces, |event| {
            restore.push(event, &mut |event| writer.write(event, &mut out));
        });
        String::from_utf8(out).unwrap()
    }

    /// The same with nothing to restore, for one piece.
    pub(crate) fn relay(self, stream: &str) -> String {
        self.stream(&[stream.as_bytes()], &idle(), context())
    }
}

/// Hands the events of a stream in these pieces, closed behind the last, to `each`.
pub(crate) fn read_stream(dialect: Dialect, pieces: &[&[u8]], mut each: impl FnMut(Event<'_>)) {
    let mut reader = StreamReader::new(dialect, EVENT_BYTES).unwrap();
    for piece in pieces {
        reader.push(piece, &mut each);
    }
    reader.close(&mut each);
}

/// The reply a stream amounts to.
pub(crate) fn fold(dialect: Dialect, stream: &[u8]) -> Result<Reply, Fault> {
    let mut fold = Fold::default();
    read_stream(dialect, &[stream], |event| fold.push(event));
    fold.finish()
}

/// A reply as a client is streamed it.
pub(crate) fn told(dialect: Dialect, reply: &Reply) -> String {
    let mut writer = StreamWriter::new(dialect, context()).unwrap();
    let mut out = Vec::new();
    unfold(reply, |event| writer.write(event, &mut out));
    String::from_utf8(out).unwrap()
}

/// Nothing to restore.
pub(crate) fn idle() -> Restore {
    Restore::new(Names::new(Alphabet::OPENAI_NAME), false, Vec::new())
}

/// A stream's payloads, one chunk or event each; comments and `[DONE]` left out.
pub(crate) fn payloads(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}")))
        .collect()
}

/// An OpenAI stream: each payload an event, then `[DONE]`.
pub(crate) fn chunks(payloads: &[&str]) -> String {
    let mut out: String = payloads.iter().map(|payload| format!("data: {payload}\n\n")).collect();
    out.push_str("data: [DONE]\n\n");
    out
}

/// An Anthropic stream: each payload an event of its type.
pub(crate) fn frames(payloads: &[&str]) -> String {
    let frame = |payload: &&str| {
        let value: Value = serde_json::from_str(payload).unwrap();
        format!("event: {}\ndata: {payload}\n\n", value["type"].as_str().unwrap())
    };
    payloads.iter().map(frame).collect()
}
