//! A request for an upstream: everything that may refuse is planned first, then the body is written.

use super::write_items::Planner;
use super::{parameters, write_tools};
use crate::codec::{Target, Vendor, Written, fan_out};
use crate::json::Writer;
use crate::names::{Alphabet, Names};
use crate::place::Place;
use crate::restore::{self, Restore};
use trunkline_core::{Call, Fault, Losses, OriginRole};

/// Writes a request body for `target`. What it cannot take goes into `losses`.
///
/// # Errors
/// [`trunkline_core::FaultKind::Unsupported`] naming the part that the model would not see.
pub fn write_call(call: &Call, target: &Target<'_>, losses: &mut Losses) -> Result<Written, Fault> {
    let mut names = Names::new(Alphabet::OPENAI_NAME);
    let mut ids = Names::new(Alphabet::OPENAI_ID);
    let tools = write_tools::plan(call, target, &mut names, losses)?;
    let instructions = instructions(call)?;
    let items = Planner::new(call, target, &mut names, &mut ids, losses).plan()?;
    let fan_out = fan_out(call, losses)?;

    let mut body = Vec::with_capacity(4096);
    Writer::new(&mut body).object(|w| {
        w.key("model").string(target.model);
        w.opt_string("instructions", instructions.as_deref());
        w.key("input").array(|w| items.iter().for_each(|item| item.write(w)));
        write_tools::write(w, &tools, call, target, &mut names, losses);
        parameters::write(w, call, target, losses);
    });
    let free_text = match target.vendor {
        Vendor::Owner => Vec::new(),
        Vendor::Compatible | Vendor::Provider(_) => restore::free_text(call, &mut names),
    };
    Ok(Written { body, headers: Vec::new(), restore: Restore::new(names, false, free_text), fan_out })
}

/// The instructions that stood in a field of their own, which is one text here.
fn instructions(call: &Call) -> Result<Option<String>, Fault> {
    let mut all: Option<String> = None;
    for (at, instruction) in call.instructions.iter().enumerate() {
        if instruction.origin != OriginRole::Instructions {
            continue;
        }
        for (n, part) in instruction.parts.iter().enumerate() {
            let place = Place::instruction(call, at).part(n);
            let text = part.as_text().ok_or_else(|| place.unsupported("more than text in an instruction"))?;
            match &mut all {
                Some(all) => {
                    all.push('\n');
                    all.push_str(text);
                }
                None => all = Some(text.to_owned()),
            }
        }
    }
    Ok(all)
}
