//! OpenAI Chat Completions, `POST /v1/chat/completions`: the dialect most clients and nearly every
//! engine speak, the latter with extensions and mistakes of their own.
//!
//! Client side: [`read_call`], [`write_reply`], [`StreamWriter`], [`write_error`]. Upstream side:
//! [`write_call`], [`read_reply`], [`StreamReader`], [`read_error`]. A whole answer is read by the same
//! machine as a streamed one, so the two cannot disagree. Wire format: the OpenAI API reference, chat
//! section, and what engines and providers really send.

mod chunk;
mod citations;
mod error;
mod finish;
mod machine;
mod read_reply;
mod stream_read;
mod stream_write;
mod think;
mod tool_read;
mod usage;
mod write_reply;


pub use error::{read_error, write_error};
pub use read_reply::{read_reply, read_reply_as};
pub use stream_read::StreamReader;
pub use stream_write::StreamWriter;
pub use think::ThinkTags;
pub use write_reply::write_reply;

use trunkline_core::Dialect;

/// The dialect of this codec.
const OURS: Dialect = Dialect::OpenaiChat;

/// The code of faults about content the target could not show to the model.
const UNSUPPORTED_CONTENT: &str = "unsupported_content";

use crate::codec::{Target, Written};
use trunkline_core::{Call, Fault, Losses};
pub fn read_call(_b: &[u8], _l: &mut Losses) -> Result<Call, Fault> { todo!() }
pub fn write_call(_c: &Call, _t: &Target<'_>, _l: &mut Losses) -> Result<Written, Fault> { todo!() }
