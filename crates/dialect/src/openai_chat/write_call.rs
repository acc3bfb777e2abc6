//! A request for an upstream: everything that may refuse is planned first, then the body is written.

use super::turns::Planner;
use super::{parameters, write_messages, write_tools};
use crate::codec::{Target, Vendor, Written};
use crate::json::Writer;
use crate::names::{Alphabet, Names};
use crate::place;
use crate::restore::{self, Restore};
use trunkline_core::{Call, Fault, FaultKind, Losses};

/// Writes a request body for `target`. What it cannot take goes into `losses`.
///
/// # Errors
/// [`FaultKind::Unsupported`] naming the part that the model would not see.
pub fn write_call(call: &Call, target: &Target<'_>, losses: &mut Losses) -> Result<Written, Fault> {
    if call.prompt_template.is_some() {
        let message = "prompt is kept by its provider, which the chosen target is not; send its text instead";
        let fault = Fault::new(FaultKind::Unsupported, message);
        return Err(fault.at("prompt").code(crate::place::UNSUPPORTED_CONTENT));
    }
    let mut names = Names::new(Alphabet::OPENAI_NAME);
    let mut ids = Names::new(Alphabet::OPENAI_ID);
    let tools = write_tools::plan(call, target, &mut names, losses)?;
    let positions = place::positions(call);
    let planner =
        Planner { call, positions, target, names: &mut names, ids: &mut ids, losses, turns: Vec::new() };
    let turns = planner.plan()?;

    let mut body = Vec::with_capacity(4096);
    Writer::new(&mut body).object(|w| {
        w.key("model").string(target.model);
        w.key("messages");
        write_messages::write(w, &turns, target.vendor);
        write_tools::write(w, &tools, call, target, &mut names, losses);
        parameters::write(w, call, target, losses);
    });
    let free_text = match target.vendor {
        Vendor::Owner => Vec::new(),
        Vendor::Compatible => restore::free_text(call, &mut names),
    };
    let restore = Restore::new(names, false, free_text);
    Ok(Written { body, headers: Vec::new(), restore, fan_out: 1 })
}
