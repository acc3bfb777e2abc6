//! A request for an upstream: everything that may refuse is planned first, then the body is written.

use super::turns::Planner;
use super::{OURS, settings, write_tools};
use crate::codec::{self, Target, Written};
use crate::json::Writer;
use crate::names::{Alphabet, Names};
use crate::restore::{self, Restore};
use crate::stop::Stops;
use trunkline_core::{Call, Fault, Losses};

/// Writes a request body for `target`. What it cannot take goes into `losses`.
///
/// # Errors
/// [`FaultKind::Unsupported`](trunkline_core::FaultKind::Unsupported) naming the part that the model would not see.
pub fn write_call(call: &Call, target: &Target<'_>, losses: &mut Losses) -> Result<Written, Fault> {
    let mut names = Names::new(Alphabet::COHERE_NAME).letter_first();
    let tools = write_tools::plan(call, &mut names, losses)?;
    let plan = Planner::new(call, settings::thinks(call), &mut names, losses).plan()?;
    let fan_out = codec::fan_out(call, losses)?;

    let mut body = Vec::with_capacity(4096);
    Writer::new(&mut body).object(|w| {
        w.key("model").string(target.model);
        w.key("messages").array(|w| plan.messages.iter().for_each(|message| message.write(w)));
        if !plan.documents.is_empty() {
            w.key("documents").array(|w| plan.documents.iter().for_each(|document| document.write(w)));
        }
        write_tools::write(w, &tools);
        settings::write(w, call, losses);
        w.extra(&call.extra, OURS);
    });
    let free_text = restore::free_text(call, &mut names);
    let mut restore = Restore::new(names, false, free_text);
    restore.stops = Stops::new(call.sampling.stop.iter().skip(settings::MOST_STOPS).cloned());
    Ok(Written { body, headers: Vec::new(), restore, fan_out })
}
