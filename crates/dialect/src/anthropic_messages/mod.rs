//! Anthropic Messages, `POST /v1/messages`: as clients speak it and as upstreams do.
//!
//! | direction | request | answer | stream | error |
//! | --- | --- | --- | --- | --- |
//! | client to neutral | [`read_call()`] | | | |
//! | neutral to upstream | [`write_call()`] | | | |
//! | upstream to neutral | | [`read_reply`] | [`StreamReader`] | [`read_error()`] |
//! | neutral to client | | [`write_reply`] | [`StreamWriter`] | [`write_error()`] |
//!
//! Anthropic wants more order than other dialects (alternating turns, results before words, blocks that
//! never overlap) and refuses what it does not know; writing therefore plans first and cannot fail once
//! it writes.

mod block;
mod error;
mod finish;
mod frame;
mod hosted;
mod lost;
mod prepare;
mod read_call;
mod read_part;
mod read_tool;
mod read_turn;
mod reply;
mod said;
mod seal;
mod spelling;
mod stream_read;
mod stream_write;
#[cfg(test)]
mod tests;
mod turn;
mod unsent;
mod usage;
mod wire;
mod write_call;
mod write_tool;

pub use error::{read_error, write_error};
pub use hosted::{count_for_vertex, for_vertex};
pub use read_call::{read_call, read_counted};
pub use reply::{read_reply, write_reply};
pub use stream_read::StreamReader;
pub use stream_write::StreamWriter;
pub use write_call::write_call;

pub(crate) use spelling::SPELLING;
pub(crate) use usage::Counts;

/// The versions of the API that are spoken here, as the header `anthropic-version` names them.
pub const VERSIONS: [&str; 3] = ["2023-01-01", "2023-06-01", "2026-10-21"];
