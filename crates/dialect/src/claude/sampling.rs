//! How a Claude model may be told to draw its tokens.

use super::Traits;
use trunkline_core::{Losses, Number};

/// `temperature`, `top_p` and `top_k`, as far as they may be sent.
#[derive(Debug, Default)]
pub(crate) struct Sampling {
    pub temperature: Option<Number>,
    pub top_p: Option<Number>,
    pub top_k: Option<Number>,
}

/// What of the `wanted` settings a model with `traits` takes; `closed` says why it takes none, whatever
/// they are.
pub(crate) fn sampling(
    wanted: &trunkline_core::Sampling,
    traits: Traits,
    thinks: bool,
    closed: Option<&'static str>,
    losses: &mut Losses,
) -> Sampling {
    let (mut temperature, mut top_p, mut top_k) =
        (wanted.temperature.clone(), wanted.top_p.clone(), wanted.top_k.clone());
    let closed = closed.or((!traits.sampling).then_some("this model takes no sampling parameters"));
    let mut drop_if = |path: &'static str, number: &mut Option<Number>, reason: Option<&'static str>| {
        if let Some(reason) = reason.filter(|_| number.is_some()) {
            losses.dropped(path, reason);
            *number = None;
        }
    };
    for (path, number) in [("temperature", &mut temperature), ("top_p", &mut top_p), ("top_k", &mut top_k)] {
        drop_if(path, number, closed);
    }
    let thinking = "a model that thinks takes no other value";
    let is =
        |number: &Option<Number>, fits: fn(f64) -> bool| number.as_ref().is_none_or(|n| fits(n.as_f64()));
    drop_if(
        "temperature",
        &mut temperature,
        (thinks && !is(&wanted.temperature, |t| t == 1.0)).then_some(thinking),
    );
    drop_if(
        "top_p",
        &mut top_p,
        (thinks && !is(&wanted.top_p, |p| (0.95..=1.0).contains(&p))).then_some(thinking),
    );
    drop_if("top_k", &mut top_k, thinks.then_some("a model that thinks takes no top_k"));
    let both = temperature.is_some() && !traits.both_samplers;
    drop_if("top_p", &mut top_p, both.then_some("this model takes temperature or top_p, not both"));
    if !is(&temperature, |t| t <= 1.0) {
        losses.degraded("temperature", "1 is the highest the target takes");
        temperature = Some(Number::from(1));
    }
    Sampling { temperature, top_p, top_k }
}
