//! The same door for streams: what reads one, what writes one.

use super::{Context, untranslated};
use crate::profile::Profile;
use crate::{
    anthropic_messages, bedrock, cohere, gemini, ollama, openai_chat, openai_completions, openai_responses,
    replicate,
};
use trunkline_core::{Dialect, Event, Extra, Fault, Losses};

/// Upstream to neutral, streaming: bytes in, events out.
#[derive(Debug)]
pub enum StreamReader {
    /// OpenAI Chat chunks.
    OpenaiChat(openai_chat::StreamReader),
    /// OpenAI Responses events.
    OpenaiResponses(openai_responses::StreamReader),
    /// Anthropic Messages events.
    AnthropicMessages(anthropic_messages::StreamReader),
    /// Gemini fragments.
    GeminiGenerate(gemini::StreamReader),
    /// Bedrock ConverseStream messages.
    BedrockConverse(bedrock::StreamReader),
    /// Ollama lines.
    Ollama(ollama::StreamReader),
    /// Cohere events.
    Cohere(cohere::StreamReader),
    /// Replicate's output events.
    Replicate(replicate::StreamReader),
}

impl StreamReader {
    /// Reads `dialect`; one event may be up to `event_bytes` long.
    ///
    /// # Errors
    /// [`trunkline_core::FaultKind::Unsupported`] without a codec.
    pub fn new(dialect: Dialect, event_bytes: usize) -> Result<Self, Fault> {
        match dialect {
            Dialect::OpenaiChat => Ok(Self::OpenaiChat(openai_chat::StreamReader::new(event_bytes))),
            Dialect::AnthropicMessages => {
                Ok(Self::AnthropicMessages(anthropic_messages::StreamReader::new(event_bytes)))
            }
            Dialect::OpenaiCompletions => Err(untranslated(dialect)),
            Dialect::OpenaiResponses => {
                Ok(Self::OpenaiResponses(openai_responses::StreamReader::new(event_bytes)))
            }
            Dialect::GeminiGenerate => Ok(Self::GeminiGenerate(gemini::StreamReader::new(event_bytes))),
            Dialect::OllamaChat | Dialect::OllamaGenerate => {
                Ok(Self::Ollama(ollama::StreamReader::new(event_bytes)))
            }
            Dialect::BedrockConverse => Ok(Self::BedrockConverse(bedrock::StreamReader::new(event_bytes))),
            Dialect::CohereChat => Ok(Self::Cohere(cohere::StreamReader::new(event_bytes))),
            Dialect::ReplicatePredictions => Ok(Self::Replicate(replicate::StreamReader::new(event_bytes))),
            Dialect::Surface(_) => Err(untranslated(dialect)),
        }
    }

    /// The same, for an upstream with this profile.
    ///
    /// # Errors
    /// See [`StreamReader::new`].
    pub fn of(profile: &Profile, dialect: Dialect, event_bytes: usize) -> Result<Self, Fault> {
        if dialect == Dialect::OpenaiChat {
            let reader = openai_chat::StreamReader::with_think_tags(event_bytes, profile.think);
            return Ok(Self::OpenaiChat(reader));
        }
        Self::new(dialect, event_bytes)
    }

    /// Takes the next bytes. After `End` or `Error` was handed out, nothing more is.
    pub fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(Event<'_>)) {
        match self {
            Self::OpenaiChat(reader) => reader.push(bytes, each),
            Self::OpenaiResponses(reader) => reader.push(bytes, each),
            Self::AnthropicMessages(reader) => reader.push(bytes, each),
            Self::GeminiGenerate(reader) => reader.push(bytes, each),
            Self::BedrockConverse(reader) => reader.push(bytes, each),
            Self::Ollama(reader) => reader.push(bytes, each),
            Self::Cohere(reader) => reader.push(bytes, each),
            Self::Replicate(reader) => reader.push(bytes, each),
        }
    }

    /// The upstream closed the stream: hands out what was held back, and an `Error` if it closed early.
    pub fn close(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        match self {
            Self::OpenaiChat(reader) => reader.close(each),
            Self::OpenaiResponses(reader) => reader.close(each),
            Self::AnthropicMessages(reader) => reader.close(each),
            Self::GeminiGenerate(reader) => reader.close(each),
            Self::BedrockConverse(reader) => reader.close(each),
            Self::Ollama(reader) => reader.close(each),
            Self::Cohere(reader) => reader.close(each),
            Self::Replicate(reader) => reader.close(each),
        }
    }
}

/// Neutral to client, streaming: events in, bytes out.
#[derive(Debug)]
pub enum StreamWriter {
    /// OpenAI Chat chunks.
    OpenaiChat(openai_chat::StreamWriter),
    /// OpenAI Responses events.
    OpenaiResponses(openai_responses::StreamWriter),
    /// Anthropic Messages events.
    AnthropicMessages(anthropic_messages::StreamWriter),
    /// Gemini fragments.
    GeminiGenerate(gemini::StreamWriter),
    /// Bedrock ConverseStream messages.
    BedrockConverse(bedrock::StreamWriter),
    /// Ollama lines.
    Ollama(ollama::StreamWriter),
    /// Legacy OpenAI Completions chunks.
    OpenaiCompletions(openai_completions::StreamWriter),
}

impl StreamWriter {
    /// Writes `dialect`.
    ///
    /// # Errors
    /// [`trunkline_core::FaultKind::Unsupported`] without a codec.
    pub fn new(dialect: Dialect, context: Context) -> Result<Self, Fault> {
        match dialect {
            Dialect::OpenaiChat => Ok(Self::OpenaiChat(openai_chat::StreamWriter::new(context))),
            Dialect::AnthropicMessages => {
                Ok(Self::AnthropicMessages(anthropic_messages::StreamWriter::new(context)))
            }
            Dialect::OpenaiCompletions => {
                Ok(Self::OpenaiCompletions(openai_completions::StreamWriter::new(context)))
            }
            Dialect::OpenaiResponses => {
                Ok(Self::OpenaiResponses(openai_responses::StreamWriter::new(context)))
            }
            Dialect::GeminiGenerate => Ok(Self::GeminiGenerate(gemini::StreamWriter::new(context))),
            Dialect::OllamaChat => Ok(Self::Ollama(ollama::StreamWriter::new(ollama::Shape::Chat, context))),
            Dialect::OllamaGenerate => {
                Ok(Self::Ollama(ollama::StreamWriter::new(ollama::Shape::Generate, context)))
            }
            Dialect::BedrockConverse => Ok(Self::BedrockConverse(bedrock::StreamWriter::new(context))),
            Dialect::CohereChat | Dialect::ReplicatePredictions => Err(untranslated(dialect)),
            Dialect::Surface(_) => Err(untranslated(dialect)),
        }
    }

    /// Members of the request that the answer repeats, as [`super::echo`] found them.
    pub fn echo(&mut self, said: Extra) {
        match self {
            Self::OpenaiResponses(writer) => writer.echo(said),
            Self::OpenaiChat(_)
            | Self::AnthropicMessages(_)
            | Self::Ollama(_)
            | Self::GeminiGenerate(_)
            | Self::BedrockConverse(_)
            | Self::OpenaiCompletions(_) => {}
        }
    }

    /// Appends what the client is to receive for `event`, complete events or nothing.
    pub fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match self {
            Self::OpenaiChat(writer) => writer.write(event, out),
            Self::OpenaiResponses(writer) => writer.write(event, out),
            Self::AnthropicMessages(writer) => writer.write(event, out),
            Self::GeminiGenerate(writer) => writer.write(event, out),
            Self::BedrockConverse(writer) => writer.write(event, out),
            Self::Ollama(writer) => writer.write(event, out),
            Self::OpenaiCompletions(writer) => writer.write(event, out),
        }
    }

    /// What of the answer so far the client's dialect has no form for: each thing once, and what
    /// [`super::write_reply`] would have recorded.
    #[must_use]
    pub fn losses(&self) -> &Losses {
        match self {
            Self::OpenaiChat(writer) => writer.losses(),
            Self::OpenaiResponses(writer) => writer.losses(),
            Self::AnthropicMessages(writer) => writer.losses(),
            Self::GeminiGenerate(writer) => writer.losses(),
            Self::BedrockConverse(writer) => writer.losses(),
            Self::Ollama(writer) => writer.losses(),
            Self::OpenaiCompletions(writer) => writer.losses(),
        }
    }
}
