//! Amazon Bedrock Converse, `POST /model/{modelId}/converse` and `/converse-stream`: as clients speak it and
//! as upstreams do.
//!
//! | direction | request | answer | stream | error |
//! | --- | --- | --- | --- | --- |
//! | client to neutral | [`read_call()`] | | | |
//! | neutral to upstream | [`write_call()`] | | | |
//!
//! One form stands in front of models of many makers, which take different things (`family.rs`), and a turn
//! must be just so; writing therefore plans first and cannot fail once it writes.

mod block;
mod family;
mod formats;
mod frame;
mod metadata;
mod opaque;
mod prepare;
mod read_call;
mod read_part;
mod read_tool;
mod read_turn;
mod reasoning;
mod spelling;
#[cfg(test)]
mod tests;
mod turn;
mod unsent;
mod write_call;
mod write_tool;

pub use read_call::read_call;
pub use write_call::write_call;

pub(crate) use spelling::SPELLING;
