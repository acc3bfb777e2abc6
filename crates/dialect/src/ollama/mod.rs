//! Ollama, `POST /api/chat` and, for clients alone, `POST /api/generate`: newline-delimited JSON, tool
//! arguments as objects, images as bare base64, times in nanoseconds.
//!
//! Client side: [`read_call()`], [`read_generate()`], [`write_reply()`], [`StreamWriter`], [`write_error()`].
//! Upstream side: [`write_call()`], [`read_reply()`], [`StreamReader`], [`read_error()`]. A whole answer is
//! a stream's last line with everything in it, so one machine reads both. Wire format: Ollama's API
//! document, and what its servers and client libraries really send.

mod answer;
mod error;
mod finish;
mod image;
mod line;
mod machine;
mod message;
mod read_call;
mod read_messages;
mod settings;
mod spelling;
mod stream_write;
mod time;
mod turns;
mod usage;
mod write_call;
mod write_settings;
mod write_tools;

pub use answer::{Shape, write_reply};
pub use error::{read_error, write_error};
pub use machine::{StreamReader, read_reply};
pub use read_call::{read_call, read_generate};
pub use stream_write::StreamWriter;
pub use write_call::write_call;

pub(crate) use spelling::{GENERATE_SPELLING, SPELLING};

use trunkline_core::Dialect;

/// The dialect of this codec.
const OURS: Dialect = Dialect::OllamaChat;

/// The dialects whose settings this codec shares.
const FAMILY: [Dialect; 2] = [OURS, Dialect::OllamaGenerate];

/// What a request that does not say `stream` asks for.
pub const STREAMS_BY_DEFAULT: bool = true;

#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "a test looks at the few kinds it made")]
mod tests;
