//! What all of OpenAI's dialects share: cache marks, and what its models take.

use crate::codec::Target;
use crate::json::{Fields, Writer};
use crate::place::Place;
use std::borrow::Cow;
use trunkline_core::{CacheKind, CacheMark, Effort, Fault, Losses, Reasoning};

/// Why a way to think is lost that has no counterpart.
pub(crate) const NO_MODE: &str = "the target has no such mode; the model thinks as it does by itself";

/// An OpenAI cache breakpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark<'c> {
    ttl: Option<&'c str>,
}

impl Mark<'_> {
    /// Writes the member of a part that says it.
    pub(crate) fn write(self, w: &mut Writer<'_>) {
        w.key("prompt_cache_breakpoint").object(|w| {
            w.key("mode").string("explicit");
            w.opt_string("ttl", self.ttl);
        });
    }
}

/// A cache mark on a part, tool or message: OpenAI's, or Anthropic's as many clients send it here too.
pub(crate) fn read_cache(fields: &mut Fields<'_>) -> Result<Option<CacheMark>, Fault> {
    let anthropic = fields.object("cache_control")?;
    let (kind, mark) = match fields.object("prompt_cache_breakpoint")? {
        Some(mark) => (CacheKind::Breakpoint, Some(mark)),
        None => (CacheKind::Ephemeral, anthropic),
    };
    let Some(mut mark) = mark else { return Ok(None) };
    Ok(Some(CacheMark { kind, ttl: mark.string("ttl")?.map(Cow::into_owned) }))
}

/// The mark as OpenAI takes it. Others keep their prefix caches by themselves.
pub(crate) fn mark<'c>(
    cache: Option<&'c CacheMark>,
    place: Place<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Option<Mark<'c>> {
    let cache = cache?;
    if !target.vendor.profile().cache_marks {
        losses.hint(place.mark(cache), "the target has no cache marks");
        return None;
    }
    let ttl = match (cache.kind, cache.ttl.as_deref()) {
        (CacheKind::Breakpoint, ttl) => ttl,
        // OpenAI's default outlives five minutes; half an hour is the nearest it has to one hour.
        (CacheKind::Ephemeral | CacheKind::Point, None | Some("5m")) => None,
        (CacheKind::Ephemeral | CacheKind::Point, Some("1h")) => {
            losses.hint(place.mark(cache), "cached for 30m, the nearest to 1h that the target has");
            Some("30m")
        }
        (CacheKind::Ephemeral | CacheKind::Point, ttl) => ttl,
    };
    Some(Mark { ttl })
}

/// Whether OpenAI's model of this name reasons: `o1`.., `gpt-5`.. but their chat and search variants,
/// every codex and deep-research model.
pub(crate) fn is_reasoning_model(model: &str) -> bool {
    let model = model.to_ascii_lowercase();
    let base = base(&model);
    if base.contains("codex") || base.contains("deep-research") {
        return true;
    }
    if base.contains("-chat") || base.contains("search") {
        return false;
    }
    generation(base, "o") >= Some((1, 0)) || generation(base, "gpt-") >= Some((5, 0))
}

/// The number behind `prefix` in a model's name, and the one behind its dot.
fn generation(base: &str, prefix: &str) -> Option<(u32, u32)> {
    let number = |text: &str| {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, rest) = text.split_at_checked(digits)?;
        Some((number.parse::<u32>().ok()?, rest.to_owned()))
    };
    let (major, rest) = number(base.strip_prefix(prefix)?)?;
    let bounded = rest.is_empty() || rest.starts_with(['-', '.', ':']);
    let minor = rest.strip_prefix('.').and_then(number).map_or(0, |(minor, _)| minor);
    bounded.then_some((major, minor))
}

/// The least effort a model takes, and so what comes nearest to not reasoning; `None` where its name does not
/// tell.
pub(crate) fn least_effort(model: &str) -> Option<&'static str> {
    let model = model.to_ascii_lowercase();
    if model.contains("gpt-oss") {
        return Some("low");
    }
    if !is_reasoning_model(&model) {
        return None;
    }
    let base = base(&model);
    let is_gpt = generation(base, "gpt-").is_some();
    Some(match generation(base, "gpt-") {
        _ if base.contains("deep-research") => "medium",
        _ if is_gpt && base.contains("-pro") => "high",
        _ if base.contains("codex") => "low",
        Some(generation) if generation >= (5, 1) => "none",
        Some(_) => "minimal",
        None => "low",
    })
}

/// The effort that asks `model` not to reason, or to do so as little as it can.
pub(crate) fn resting_effort(
    reasoning: &Reasoning,
    model: &str,
    losses: &mut Losses,
) -> Option<&'static str> {
    let path = if reasoning.effort == Some(Effort::None) { "reasoning_effort" } else { "reasoning" };
    match least_effort(model) {
        None if reasoning.effort == Some(Effort::None) => Some("none"),
        None => {
            // Models that do not reason refuse the word, and they are many.
            losses.hint(path, "whether this model of the target can be asked not to reason is not known");
            None
        }
        Some("none") => Some("none"),
        Some(least) => {
            losses.degraded(path, "the model always reasons; it is asked to do so as little as it can");
            Some(least)
        }
    }
}

/// `asked`, or the next effort above it that `model` takes, where its name tells.
pub(crate) fn taken_effort<'a>(
    asked: &'a str,
    model: &str,
    path: &'static str,
    losses: &mut Losses,
) -> &'a str {
    const RISING: [&str; 5] = ["none", "minimal", "low", "medium", "high"];
    let rank = |effort: &str| RISING.iter().position(|known| *known == effort);
    let least = match least_effort(model) {
        // Who can leave reasoning be altogether has nothing between that and a little of it.
        Some("none") => "low",
        Some(least) => least,
        None => return asked,
    };
    if asked == "none" || rank(asked).is_none_or(|rank_asked| Some(rank_asked) >= rank(least)) {
        return asked;
    }
    losses.degraded(path, "the model takes no effort as low; the next that it takes is sent");
    least
}

/// A model's name in lower case without its maker and what it was tuned to.
fn base(model: &str) -> &str {
    let base = model.rsplit('/').next().unwrap_or(model);
    base.strip_prefix("ft:").unwrap_or(base)
}

/// The effort that stands for a budget of thinking tokens.
pub(crate) const fn bucket(tokens: u64) -> &'static str {
    match tokens {
        4096.. => "high",
        2048.. => "medium",
        1024.. => "low",
        _ => "minimal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openai_reasoning_models_by_name() {
        for (model, reasons) in [
            ("o1", true),
            ("o4-mini-2025-04-16", true),
            ("gpt-5", true),
            ("gpt-5.1-mini", true),
            ("gpt-6", true),
            ("ft:o4-mini:acme::x", true),
            ("gpt-5-codex", true),
            ("o3-deep-research", true),
            ("openai/gpt-5", true),
            ("gpt-oss-120b", false),
            ("gpt-5-chat-latest", false),
            ("gpt-5-search-api", false),
            ("gpt-4o", false),
            ("gpt-4.1", false),
            ("omni-moderation", false),
            ("chatgpt-4o-latest", false),
            ("o0", false),
        ] {
            assert_eq!(is_reasoning_model(model), reasons, "{model}");
        }
    }

    #[test]
    fn what_a_model_takes_for_not_reasoning() {
        for (model, least) in [
            ("gpt-5.1", Some("none")),
            ("gpt-5.2-2025-12-11", Some("none")),
            ("openai/gpt-5.10-mini", Some("none")),
            ("gpt-6", Some("none")),
            ("gpt-5", Some("minimal")),
            ("gpt-5-nano-2025-08-07", Some("minimal")),
            ("gpt-5-pro", Some("high")),
            ("gpt-5.2-pro", Some("high")),
            ("gpt-5.1-codex", Some("low")),
            ("o3", Some("low")),
            ("o3-pro", Some("low")),
            ("ft:o4-mini:acme::x", Some("low")),
            ("o3-deep-research", Some("medium")),
            ("GPT-OSS-120b", Some("low")),
            ("gpt-4o", None),
            ("gpt-5-chat-latest", None),
            ("my-deployment", None),
        ] {
            assert_eq!(least_effort(model), least, "{model}");
        }
    }

    #[test]
    fn an_effort_too_low_for_a_model_is_raised_and_told() {
        for (model, asked, taken) in [
            ("gpt-5", "minimal", "minimal"),
            ("gpt-5.1", "minimal", "low"),
            ("gpt-5.1", "none", "none"),
            ("o3", "minimal", "low"),
            ("o3", "high", "high"),
            ("gpt-5-pro", "low", "high"),
            ("gpt-5", "xhigh", "xhigh"),
            ("my-deployment", "minimal", "minimal"),
        ] {
            let mut losses = Losses::default();
            assert_eq!(taken_effort(asked, model, "reasoning_effort", &mut losses), taken, "{model} {asked}");
            assert_eq!(losses.iter().count(), usize::from(asked != taken), "{model} {asked}");
        }
    }

    #[test]
    fn c46_budgets_become_efforts() {
        for (tokens, effort) in [
            (0, "minimal"),
            (1023, "minimal"),
            (1024, "low"),
            (2048, "medium"),
            (4095, "medium"),
            (4096, "high"),
            (5000, "high"),
        ] {
            assert_eq!(bucket(tokens), effort, "{tokens}");
        }
    }
}
