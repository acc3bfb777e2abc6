//! What a Claude model takes, by its name.
//!
//! Anthropic refuses parameters a model does not know with a 400, so the writer must know before it
//! sends. Model names carry their generation (`claude-sonnet-4-5-20250929`, `us.anthropic.claude-…`,
//! `claude-opus-4-1@20250805`), which is all a request needs; a model newer than this table is treated
//! like the newest it knows.

use crate::codec::{Target, Vendor};

/// What one model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traits {
    /// How it is asked to think.
    pub thinks: Thinks,
    /// It thinks whether asked or not.
    pub always_thinks: bool,
    /// `output_config.effort`.
    pub effort: bool,
    /// The effort level `xhigh`.
    pub xhigh: bool,
    /// The effort level `max`.
    pub max: bool,
    /// `temperature`, `top_p` and `top_k`.
    pub sampling: bool,
    /// `temperature` and `top_p` in one request.
    pub both_samplers: bool,
    /// Messages of role `system` in the middle of the conversation.
    pub mid_system: bool,
    /// `output_config.format` with a JSON schema.
    pub schema: bool,
    /// A last assistant message that the answer continues.
    pub prefill: bool,
}

/// How a model is asked to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thinks {
    /// Not at all.
    Never,
    /// `thinking.type: enabled` with a token budget.
    Budget,
    /// Budget or adaptive, as one likes.
    Either,
    /// `thinking.type: adaptive` only.
    Adaptive,
}

impl Traits {
    /// What servers that merely speak the dialect are sure to take: the oldest forms.
    const COMPATIBLE: Self = Self {
        thinks: Thinks::Budget,
        always_thinks: false,
        effort: false,
        xhigh: false,
        max: false,
        sampling: true,
        both_samplers: true,
        mid_system: false,
        schema: false,
        prefill: true,
    };

    /// The traits of the model at `target`.
    pub(crate) fn of(target: &Target<'_>) -> Self {
        let name = target.model.to_ascii_lowercase();
        match (name.find("claude"), target.vendor) {
            (Some(at), _) => Self::claude(name.get(at..).unwrap_or_default()),
            (None, Vendor::Owner) => Self::claude(&name),
            (None, Vendor::Compatible | Vendor::Provider(_)) => Self::COMPATIBLE,
        }
    }

    fn claude(name: &str) -> Self {
        let generation = generation(name).unwrap_or((u8::MAX, 0));
        Self {
            thinks: match generation {
                (..3, _) | (3, ..7) => Thinks::Never,
                (3, _) | (4, ..6) => Thinks::Budget,
                (4, 6) => Thinks::Either,
                (4.., _) => Thinks::Adaptive,
            },
            always_thinks: name.contains("fable") || name.contains("mythos"),
            effort: generation >= (4, 5),
            xhigh: generation >= (4, 7),
            max: generation >= (4, 6),
            sampling: generation < (4, 7),
            both_samplers: generation < (4, 1),
            mid_system: generation >= (4, 8),
            schema: generation >= (4, 5),
            prefill: generation < (4, 6),
        }
    }
}

/// Major and minor number: the first one- or two-digit number of the name and the one right after it.
fn generation(name: &str) -> Option<(u8, u8)> {
    let name = name.split([':', '@']).next().unwrap_or(name);
    let small = |word: &str| (word.len() <= 2).then(|| word.parse::<u8>().ok()).flatten();
    let mut words = name.split(['-', '.', '_', '/']).skip_while(|word| small(word).is_none());
    let major = small(words.next()?)?;
    Some((major, words.next().and_then(small).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::UserIds;

    fn target(model: &str, vendor: Vendor) -> Target<'_> {
        Target {
            model,
            vendor,
            default_max_tokens: None,
            user_ids: UserIds::Opaque,
            strict_arguments: false,
            anthropic_version: "2023-06-01",
        }
    }

    #[test]
    fn generations_are_read_from_names() {
        for (name, want) in [
            ("claude-3-5-sonnet-20241022", Some((3, 5))),
            ("claude-3-haiku-20240307", Some((3, 0))),
            ("claude-sonnet-4-20250514", Some((4, 0))),
            ("claude-sonnet-4-5-20250929", Some((4, 5))),
            ("claude-opus-4-1@20250805", Some((4, 1))),
            ("claude-sonnet-4-5-20250929-v1:0", Some((4, 5))),
            ("claude-opus-4.7", Some((4, 7))),
            ("claude-fable-5", Some((5, 0))),
            ("claude-instant-1.2", Some((1, 2))),
            ("claude-latest", None),
        ] {
            assert_eq!(generation(name), want, "{name}");
        }
    }

    #[test]
    fn what_models_take() {
        for (name, vendor, thinks, sampling, mid_system, schema, prefill) in [
            ("claude-3-5-haiku-latest", Vendor::Owner, Thinks::Never, true, false, false, true),
            ("claude-3-7-sonnet-latest", Vendor::Owner, Thinks::Budget, true, false, false, true),
            (
                "us.anthropic.claude-sonnet-4-5-v1:0",
                Vendor::Compatible,
                Thinks::Budget,
                true,
                false,
                true,
                true,
            ),
            ("claude-opus-4-6", Vendor::Owner, Thinks::Either, true, false, true, false),
            ("claude-opus-4-7", Vendor::Owner, Thinks::Adaptive, false, false, true, false),
            ("claude-opus-4-8", Vendor::Owner, Thinks::Adaptive, false, true, true, false),
            ("claude-mythos-5", Vendor::Owner, Thinks::Adaptive, false, true, true, false),
            ("something-new", Vendor::Owner, Thinks::Adaptive, false, true, true, false),
            ("qwen3-32b", Vendor::Compatible, Thinks::Budget, true, false, false, true),
        ] {
            let t = Traits::of(&target(name, vendor));
            assert_eq!(
                (t.thinks, t.sampling, t.mid_system, t.schema, t.prefill),
                (thinks, sampling, mid_system, schema, prefill),
                "{name}"
            );
        }
        assert!(Traits::of(&target("claude-fable-5", Vendor::Owner)).always_thinks);
    }
}
