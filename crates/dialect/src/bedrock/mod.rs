//! Amazon Bedrock Converse, `POST /model/{modelId}/converse` and `/converse-stream`: as clients speak it and
//! as upstreams do.
//!
//! | direction | request | answer | stream | error |
//! | --- | --- | --- | --- | --- |
//! | client to neutral | [`read_call()`] | | | |
//! | neutral to upstream | [`write_call()`] | | | |
//! | upstream to neutral | | [`read_reply`] | [`StreamReader`] | [`read_error()`] |
//! | neutral to client | | [`write_reply`] | [`StreamWriter`] | [`write_error()`] |
//!
//! One form stands in front of models of many makers, which take different things (`family.rs`), and a turn
//! must be just so; writing therefore plans first and cannot fail once it writes.

mod betas;
mod block;
mod error;
mod family;
mod finish;
mod formats;
mod frame;
mod held;
mod lost;
mod machine;
mod metadata;
mod opaque;
mod prepare;
mod read_call;
mod read_part;
mod read_tool;
mod read_turn;
mod reasoning;
mod reply;
mod spelling;
mod stream_read;
mod stream_write;
#[cfg(test)]
mod tests;
mod turn;
mod unsent;
mod usage;
mod write_call;
mod write_tool;

pub use error::{class, read_error, write_error, write_stream_error};
pub use read_call::read_call;
pub use reply::{read_reply, write_reply};
pub use stream_read::StreamReader;
pub use stream_write::StreamWriter;
pub use write_call::write_call;

pub(crate) use spelling::SPELLING;
