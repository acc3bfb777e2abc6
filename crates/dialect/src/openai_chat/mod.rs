//! OpenAI Chat Completions, `POST /v1/chat/completions`: the dialect most clients and nearly every
//! engine speak, the latter with extensions and mistakes of their own.
//!
//! Client side: [`read_call()`], [`write_reply()`], [`StreamWriter`], [`write_error()`]. Upstream
//! side: [`write_call()`], [`read_reply()`], [`StreamReader`], [`read_error()`]. A whole answer is read
//! by the same machine as a streamed one, so the two cannot disagree. Wire format: the OpenAI API
//! reference, chat section, and what engines and providers really send.

mod chunk;
mod citations;
mod error;
mod finish;
mod format;
mod machine;
mod parameters;
mod read_call;
mod read_messages;
mod read_parts;
mod read_reply;
mod read_tools;
mod shape;
mod spelling;
mod stream_read;
mod stream_write;
mod think;
mod tool_read;
mod turns;
mod usage;
mod write_call;
mod write_messages;
mod write_parts;
mod write_reply;
mod write_tools;

pub use error::{read_error, write_error};
pub use read_call::read_call;
pub use read_reply::{read_reply, read_reply_as};
pub use stream_read::StreamReader;
pub use stream_write::StreamWriter;
pub use think::ThinkTags;
pub use write_call::write_call;
pub use write_reply::write_reply;

pub(crate) use spelling::SPELLING;
pub(crate) use usage::counts;

use trunkline_core::Dialect;

/// The dialect of this codec.
const OURS: Dialect = Dialect::OpenaiChat;

#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "a test looks at the few kinds it made")]
mod tests;
