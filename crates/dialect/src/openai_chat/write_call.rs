//! A request for an upstream: everything that may refuse is planned first, then the body is written.

use super::format::Format;
use super::parameters::{self, Aside};
use super::shape::shape;
use super::turns::Planner;
use super::{write_messages, write_tools};
use crate::codec::{Target, Written};
use crate::json::Writer;
use crate::names::{Alphabet, Names};
use crate::openai::least_effort;
use crate::place;
use crate::profile::{Parameter, Rest};
use crate::restore::{self, Restore};
use crate::stop::Stops;
use trunkline_core::{Call, Fault, Losses};

/// Writes a request body for `target`. What it cannot take goes into `losses`.
///
/// # Errors
/// [`FaultKind::Unsupported`](trunkline_core::FaultKind::Unsupported) naming the part that the model would not see.
pub fn write_call(call: &Call, target: &Target<'_>, losses: &mut Losses) -> Result<Written, Fault> {
    let profile = target.vendor.profile();
    // One that cannot be asked not to reason refuses what all that reason do.
    let rests =
        call.reasoning.is_off() && !matches!(least_effort(target.model), Some(least) if least != "none");
    let rest = if rests { Rest::Asked } else { Rest::Unasked };
    let sheet = profile.sheet(target.model, rest);
    let aside = Aside::plan(call, profile, sheet, losses)?;
    let mut names = Names::new(Alphabet::OPENAI_NAME);
    let mut ids = Names::new(profile.ids);
    let mut format = Format::plan(call, profile, sheet, losses);
    let tools = write_tools::plan(call, sheet, profile, &format, &mut names, losses)?;
    let planner = Planner {
        call,
        positions: place::positions(call),
        target,
        profile,
        told: format.instruction.take(),
        names: &mut names,
        ids: &mut ids,
        losses,
        turns: Vec::new(),
    };
    let mut turns = planner.plan()?;
    shape(&mut turns, profile, losses);

    let mut body = Vec::with_capacity(4096);
    Writer::new(&mut body).object(|w| {
        w.key("model").string(target.model);
        w.key("messages");
        write_messages::write(w, &turns, profile, sheet);
        write_tools::write(w, &tools, call, sheet, profile, &mut names, losses);
        parameters::write(w, call, target, sheet, &format, losses);
    });
    let has_free_text = sheet.takes(Parameter::CustomTools);
    let free_text = if has_free_text { Vec::new() } else { restore::free_text(call, &mut names) };
    let mut restore = Restore::new(names, format.tool.is_some(), free_text);
    restore.stops = Stops::new(aside.stops);
    Ok(Written { body, headers: aside.headers, restore, fan_out: aside.copies })
}
