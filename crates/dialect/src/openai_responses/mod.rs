//! OpenAI Responses, `POST /v1/responses`: a conversation as a list of items, an answer as another.
//!
//! Client side: [`read_call()`], [`write_reply()`], [`StreamWriter`]. Upstream side: [`write_call()`],
//! [`read_reply()`], [`StreamReader`]. Each way a whole answer and a streamed one go through the same
//! machine, so the two cannot disagree. Nothing is kept here between calls: what names stored state is
//! read, and only an upstream of this dialect can resolve it. Wire format: the OpenAI API reference,
//! responses section.

mod annotations;
mod error;
mod finish;
mod live;
mod machine;
mod parameters;
mod read_call;
mod read_items;
mod read_parts;
mod read_reply;
mod read_tools;
mod replay;
mod response;
mod served;
mod slot;
mod spelling;
mod stream_read;
mod stream_write;
mod usage;
mod write_call;
mod write_items;
mod write_parts;
mod write_reply;
mod write_tools;

pub use error::write_stream_error;
pub use read_call::read_call;
pub use read_reply::read_reply;
pub use replay::replay_served;
pub use response::echo;
pub use stream_read::StreamReader;
pub use stream_write::StreamWriter;
pub use write_call::write_call;
pub use write_reply::write_reply;

pub(crate) use spelling::SPELLING;
pub(crate) use usage::read as read_usage;

use trunkline_core::Dialect;

/// The dialect of this codec.
const OURS: Dialect = Dialect::OpenaiResponses;

#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "a test looks at the few kinds it made")]
mod tests;
