//! Gemini, `POST /v1beta/models/{model}:generateContent` and `:streamGenerateContent`: as clients speak it
//! and as upstreams do.
//!
//! | direction | request | answer | stream | error |
//! | --- | --- | --- | --- | --- |
//! | client to neutral | [`read_call()`] | | | |
//! | neutral to upstream | [`write_call()`] | | | |
//! | upstream to neutral | | [`read_reply`] | [`StreamReader`] | [`read_error()`] |
//! | neutral to client | | [`write_reply`] | [`StreamWriter`] | [`write_error()`] |
//!
//! A fragment of a stream has the shape of a whole answer, so one machine reads both and one writes both.

mod array;
mod error;
mod finish;
mod fragment;
mod frames;
mod ground;
mod hosted;
mod machine;
mod partial;
mod prepare;
mod read_call;
mod read_content;
mod read_part;
mod read_tool;
mod reply;
mod said;
mod schema;
mod shape;
mod signature;
mod spelling;
mod stream_read;
mod stream_write;
#[cfg(test)]
mod tests;
mod think;
mod traits;
mod turn;
mod unsent;
mod usage;
mod wire;
mod words;
mod write_call;
mod write_tool;

use trunkline_core::Dialect;

const DIALECT: Dialect = Dialect::GeminiGenerate;

pub use array::Array;
pub use error::{read_error, write_error};
pub use hosted::count_for_vertex;
pub use read_call::{read_call, read_counted};
pub use reply::{read_reply, write_reply};
pub use stream_read::StreamReader;
pub use stream_write::StreamWriter;
pub use write_call::write_call;

pub(crate) use prepare::must_inline;
pub(crate) use spelling::SPELLING;
pub(crate) use usage::read as read_usage;
