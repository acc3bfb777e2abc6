//! What a Gemini model takes, by its name.
//!
//! Names carry their generation (`gemini-2.5-flash-lite`, `models/gemini-3-pro-preview`); one without it is
//! treated like the newest this table knows.

/// What one model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traits {
    /// How it is asked to think.
    pub thinks: Thinks,
    /// `parametersJsonSchema` and `responseJsonSchema`.
    pub json_schema: bool,
    /// Functions beside tools of Google's own, and beside an answer in JSON.
    pub mixes_tools: bool,
    /// Ids of calls and responses.
    pub call_ids: bool,
    /// Media inside a function response.
    pub result_media: bool,
    /// It refuses calls in the history without the signature of its thoughts.
    pub wants_signatures: bool,
    /// A user content of nothing but media is refused.
    pub wants_words: bool,
}

/// How a model is asked to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinks {
    /// Not at all.
    Never,
    /// `thinkingBudget`: what stands for no thinking at all, the least and the most tokens.
    Budget {
        /// For effort `none`.
        none: u64,
        /// For effort `minimal`.
        least: u64,
        /// For effort `max`.
        most: u64,
    },
    /// `thinkingLevel`; the least level it has.
    Level {
        /// `minimal` or `low`.
        least: &'static str,
    },
}

impl Traits {
    /// The traits of `model`.
    pub(super) fn of(model: &str) -> Self {
        let name = model.to_ascii_lowercase();
        let generation = name.find("gemini").map_or(Some((2, 0)), |at| {
            let tail = name.get(at..).unwrap_or_default();
            generation(tail)
        });
        let generation = generation.unwrap_or((u8::MAX, 0));
        let third = generation >= (3, 0);
        Self {
            thinks: thinks(generation, &name),
            json_schema: generation >= (2, 5),
            mixes_tools: third,
            call_ids: third,
            result_media: third,
            wants_signatures: third,
            wants_words: generation < (2, 5),
        }
    }
}

fn thinks(generation: (u8, u8), name: &str) -> Thinks {
    match generation {
        (..2, _) | (2, ..5) => Thinks::Never,
        (2, _) if name.contains("lite") => Thinks::Budget { none: 0, least: 512, most: 24_576 },
        (2, _) if name.contains("pro") => Thinks::Budget { none: 128, least: 128, most: 32_768 },
        (2, _) => Thinks::Budget { none: 0, least: 1, most: 24_576 },
        (3.., _) => Thinks::Level { least: if name.contains("flash") { "minimal" } else { "low" } },
    }
}

/// Major and minor number: the first one- or two-digit number of the name and the one right after it.
fn generation(name: &str) -> Option<(u8, u8)> {
    let small = |word: &str| (word.len() <= 2).then(|| word.parse::<u8>().ok()).flatten();
    let mut words = name.split(['-', '.', '_', '/', '@']).skip_while(|word| small(word).is_none());
    let major = small(words.next()?)?;
    Some((major, words.next().and_then(small).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_models_take() {
        let flash = Thinks::Budget { none: 0, least: 1, most: 24_576 };
        for (name, thinks, json_schema, call_ids) in [
            ("gemini-1.5-pro-002", Thinks::Never, false, false),
            ("gemini-2.0-flash", Thinks::Never, false, false),
            ("models/gemini-2.5-flash", flash, true, false),
            ("gemini-2.5-flash-lite", Thinks::Budget { none: 0, least: 512, most: 24_576 }, true, false),
            ("gemini-2.5-pro", Thinks::Budget { none: 128, least: 128, most: 32_768 }, true, false),
            ("gemini-3-pro-preview", Thinks::Level { least: "low" }, true, true),
            ("google/gemini-3.1-flash", Thinks::Level { least: "minimal" }, true, true),
            ("gemini-flash-latest", Thinks::Level { least: "minimal" }, true, true),
            ("gemini-exp-1206", Thinks::Level { least: "low" }, true, true),
            ("gemma-3-27b-it", Thinks::Never, false, false),
        ] {
            let traits = Traits::of(name);
            assert_eq!(
                (traits.thinks, traits.json_schema, traits.call_ids),
                (thinks, json_schema, call_ids),
                "{name}"
            );
        }
    }
}
