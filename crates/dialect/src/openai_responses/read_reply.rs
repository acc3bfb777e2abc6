//! A whole answer, read by the machine that reads streamed ones.

use super::machine::Machine;
use super::{OURS, error};
use crate::codec::upstream;
use crate::json::Fields;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_core::{Fault, Fold, Reply};

/// Reads a whole answer.
///
/// # Errors
/// [`trunkline_core::FaultKind::Upstream`] when `body` is no response; the upstream's own fault when the body
/// is one in spite of its status.
pub fn read_reply(body: &[u8]) -> Result<Reply, Fault> {
    let not_ours = || upstream("upstream's answer is not a response");
    let raw: &RawValue = serde_json::from_slice(body).map_err(|_| not_ours())?;
    let mut fields = Fields::read(raw, "").map_err(|_| not_ours())?;
    let output = fields.look("output");
    if output.is_none() && fields.look("error").is_some() {
        return Err(error::read(body));
    }
    if !output.is_some_and(|output| output.get().starts_with('[')) {
        return Err(not_ours());
    }
    let mut fold = Fold::default();
    Machine::default().whole(&mut fields, &mut |event| fold.push(event));
    let mut reply = fold.finish()?;
    fields.raw("object");
    reply.service_tier = fields.raw("service_tier").and_then(crate::json::string).map(Cow::into_owned);
    reply.extra = fields.rest(OURS);
    Ok(reply)
}
