//! A request for an upstream: everything that may refuse is planned first, then the body is written.

use super::turns::Planner;
use super::{message, write_settings, write_tools};
use crate::codec::{self, Target, Written};
use crate::json::Writer;
use crate::names::{Alphabet, Names};
use crate::restore::{self, Restore};
use trunkline_core::{Call, Fault, Losses};

/// Writes a request body for `target`. What it cannot take goes into `losses`.
///
/// # Errors
/// [`FaultKind::Unsupported`](trunkline_core::FaultKind::Unsupported) naming the part that the model would not see.
pub fn write_call(call: &Call, target: &Target<'_>, losses: &mut Losses) -> Result<Written, Fault> {
    // Servers take any name; chat templates and the parsers behind them do not.
    let mut names = Names::new(Alphabet::OPENAI_NAME);
    let tools = write_tools::plan(call, &mut names, losses)?;
    let messages = Planner::new(call, target, &mut names, losses).plan()?;
    let fan_out = codec::fan_out(call, losses)?;

    let mut body = Vec::with_capacity(4096);
    Writer::new(&mut body).object(|w| {
        w.key("model").string(target.model);
        w.key("messages").array(|w| messages.iter().for_each(|message| message.write(w)));
        write_tools::write(w, &tools);
        write_settings::write(w, call, target.model, losses);
        for field in message::own(&call.extra) {
            w.member(&field.key).raw(field.value.as_str());
        }
    });
    let free_text = restore::free_text(call, &mut names);
    Ok(Written { body, headers: Vec::new(), restore: Restore::new(names, false, free_text), fan_out })
}
