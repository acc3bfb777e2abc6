//! OpenAI's legacy Completions, `POST /v1/completions`, for clients alone: a prompt becomes a conversation
//! of one message. Upstreams that speak it are spliced; towards others, what only bare text completion can
//! do is refused.

mod answer;
mod read_call;
mod spelling;
mod stream_write;

pub use answer::write_reply;
pub use read_call::{prompts, read_call};
pub use stream_write::StreamWriter;

pub(crate) use spelling::SPELLING;

use trunkline_core::Dialect;

/// The dialect of this codec.
const OURS: Dialect = Dialect::OpenaiCompletions;

#[cfg(test)]
mod tests;
