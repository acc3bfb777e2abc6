//! Cohere, `POST /v2/chat`, for upstreams alone: OpenAI's shape with words of its own, plans beside tool
//! calls, citations with offsets, and a stream of typed events.
//!
//! [`write_call()`], [`read_reply()`], [`StreamReader`], [`read_error()`]. Whole answers and streams are
//! read by one machine. Wire format: Cohere's API reference, version 2.

mod citation;
mod error;
mod machine;
mod message;
mod settings;
mod stream_read;
mod turns;
mod usage;
mod write_call;
mod write_tools;

pub use error::{read_error, write_error};
pub use machine::read_reply;
pub use stream_read::StreamReader;
pub use write_call::write_call;

use trunkline_core::Dialect;

/// The dialect of this codec.
const OURS: Dialect = Dialect::CohereChat;

#[cfg(test)]
mod tests;
