//! Every client dialect against every upstream dialect: a request, a whole answer and streams, each read and
//! written as the gateway does it. A new dialect comes by itself, as soon as it has its fixtures.

mod fixtures;
mod large;
pub mod table;

pub use fixtures::{Answer, PIECES, reply, request, stream};
pub use large::large_request;

use std::hint::black_box;
use trunkline_core::{Dialect, Fault, Losses};
use trunkline_dialect::restore::Restore;
use trunkline_dialect::seal::{Key, Sealer};
use trunkline_dialect::{
    Context, StreamReader, StreamWriter, Target, UserIds, Vendor, Written, read_call, read_reply, reads,
    write_call, write_reply, writes,
};

/// Longest event taken; far beyond any here.
const EVENT_LIMIT: usize = 1 << 20;

/// What answers to clients of another dialect are sealed with.
const SECRET: [u8; 32] = [7; 32];

/// A client's dialect and an upstream's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// What the client speaks.
    pub client: Dialect,
    /// What the upstream speaks.
    pub upstream: Dialect,
}

impl Pair {
    /// The pair that others are compared with.
    pub const BASE: Self = Self { client: Dialect::OpenaiChat, upstream: Dialect::AnthropicMessages };

    /// Every pair that can be translated, by clients.
    pub fn all() -> impl Iterator<Item = Self> {
        clients().flat_map(|client| upstreams().map(move |upstream| Self { client, upstream }))
    }

    /// What the upstream gets for the client's `body`, ready for its answer.
    ///
    /// # Errors
    /// Those of the codecs.
    pub fn call(self, body: &[u8], key: Key) -> Result<Written, Fault> {
        let mut losses = Losses::default();
        let call = read_call(self.client, body, &mut losses)?;
        let mut written = write_call(self.upstream, &call, &target(self.upstream), &mut losses)?;
        written.restore.sealer =
            Some(Sealer { key, client: self.client, upstream: self.upstream, wanted: true });
        Ok(written)
    }

    /// What the client gets for the upstream's whole answer.
    ///
    /// # Errors
    /// Those of the codecs.
    pub fn reply(self, body: &[u8], restore: &Restore) -> Result<Vec<u8>, Fault> {
        let mut reply = read_reply(self.upstream, body)?;
        restore.reply(&mut reply);
        write_reply(self.client, &reply, &context(), &mut Losses::default())
    }

    /// Bytes that the client gets for the upstream's stream, which comes in these reads.
    ///
    /// # Errors
    /// Those of the codecs.
    pub fn stream(self, reads: &[Vec<u8>], mut restore: Restore) -> Result<usize, Fault> {
        let mut reader = StreamReader::new(self.upstream, EVENT_LIMIT)?;
        let mut writer = StreamWriter::new(self.client, context())?;
        let (mut out, mut sent) = (Vec::new(), 0);
        for read in reads {
            reader.push(read, &mut |event| restore.push(event, &mut |event| writer.write(event, &mut out)));
            sent += black_box(&out).len();
            out.clear();
        }
        reader.close(&mut |event| restore.push(event, &mut |event| writer.write(event, &mut out)));
        Ok(sent + out.len())
    }
}

/// The dialects that clients are translated from.
pub fn clients() -> impl Iterator<Item = Dialect> {
    Dialect::CONVERSATIONS.into_iter().filter(|dialect| reads(*dialect))
}

/// The dialects that upstreams are translated for.
pub fn upstreams() -> impl Iterator<Item = Dialect> {
    Dialect::CONVERSATIONS.into_iter().filter(|dialect| writes(*dialect))
}

/// Whether `dialect` has tool calls. A prompt, and what is made of one, has none.
#[must_use]
pub const fn has_tools(dialect: Dialect) -> bool {
    !matches!(dialect, Dialect::OpenaiCompletions | Dialect::OllamaGenerate | Dialect::ReplicatePredictions)
}

/// The gateway's key, which it makes once.
#[must_use]
pub fn key() -> Key {
    Key::new(&SECRET)
}

/// The target of a call in `dialect`: a model that thinks, where the dialect's codec looks at its name.
#[must_use]
pub fn target(dialect: Dialect) -> Target<'static> {
    let model = match dialect {
        Dialect::OpenaiResponses => "gpt-5",
        Dialect::AnthropicMessages => "claude-sonnet-4-5",
        Dialect::GeminiGenerate => "gemini-2.5-pro",
        Dialect::BedrockConverse => "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        Dialect::CohereChat => "command-a-reasoning-08-2025",
        Dialect::ReplicatePredictions => "meta/meta-llama-3-70b-instruct",
        Dialect::OpenaiChat
        | Dialect::OpenaiCompletions
        | Dialect::OllamaChat
        | Dialect::OllamaGenerate
        | Dialect::Surface(_) => "qwen3-32b",
    };
    Target {
        model,
        vendor: Vendor::Compatible,
        default_max_tokens: None,
        user_ids: UserIds::Opaque,
        strict_arguments: false,
        anthropic_version: "2023-06-01",
    }
}

/// What is around an answer, the same each time.
#[must_use]
pub fn context() -> Context {
    Context {
        id: "bench".to_owned(),
        created: 1_790_000_000,
        model: None,
        include_usage: true,
        request_id: "req-1".into(),
        array: false,
        seal: SECRET,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_carries_the_whole_answer() {
        for pair in Pair::all() {
            let restore = pair.call(&request(pair.client), key()).unwrap().restore;
            let whole = String::from_utf8(pair.reply(&reply(pair.upstream), &restore).unwrap()).unwrap();
            assert!(whole.contains("listening"), "{pair:?}: {whole}");
            for answer in [Answer::Text, Answer::ToolCall] {
                let Some(reads) = stream(pair.upstream, answer) else { continue };
                let sent = pair.stream(&reads, restore.clone()).unwrap();
                let lost = answer == Answer::ToolCall && !has_tools(pair.client);
                assert!(sent > PIECES * 60 || lost, "{pair:?} {answer:?}: {sent} bytes");
            }
        }
    }
}
