//! Replicate predictions, for upstreams alone: a job is made of a prompt, and its output is read when it is done
//! or as it comes.
//!
//! [`write_call()`], [`Prediction`], [`read_reply()`], [`StreamReader`], [`read_error()`]. Whoever sends calls
//! follows the job: it polls until the prediction is over, or reads the stream the prediction names. Models take
//! inputs of their own; written here is what Replicate's language models have in common. Wire format: Replicate's
//! HTTP API reference.

mod flatten;
mod prediction;
mod stream_read;
mod write_call;

pub(crate) use prediction::read_output;
pub use prediction::{Prediction, read_error, read_reply};
pub use stream_read::StreamReader;
pub use write_call::{WAIT, write_call};

use trunkline_core::Dialect;

/// The dialect of this codec.
const OURS: Dialect = Dialect::ReplicatePredictions;

/// The version a model's name ends with, where it names one (`owner/name:64 hex digits`).
#[must_use]
pub fn version(model: &str) -> Option<&str> {
    let (_, version) = model.split_once(':')?;
    (version.len() == 64 && version.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(version)
}

#[cfg(test)]
mod tests;
