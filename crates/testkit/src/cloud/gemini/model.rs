//! What a Gemini model can do, told from its name as the vendor numbers them.

use serde_json::Value;

/// A model's generation and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Model {
    /// Major and minor version.
    pub(super) version: (u32, u32),
    lite: bool,
    pro: bool,
}

impl Model {
    /// `gemini-2.5-flash-lite` and the like; a name without a number counts as the newest.
    pub(super) fn named(name: &str) -> Self {
        let version = name.split('-').find_map(|word| {
            let (major, minor) = word.split_once('.').unwrap_or((word, "0"));
            Some((major.parse().ok()?, minor.parse().ok()?))
        });
        Self {
            version: version.unwrap_or((u32::MAX, 0)),
            lite: name.contains("-lite"),
            pro: name.contains("-pro"),
        }
    }

    /// Calls have ids and signatures, thinking has levels.
    pub(super) fn signs(self) -> bool {
        self.version.0 >= 3
    }

    pub(super) fn can_think(self) -> bool {
        self.version >= (2, 5)
    }

    /// Whether it thinks over this request.
    pub(super) fn thinks(self, body: &Value) -> bool {
        let budget = body.pointer("/generationConfig/thinkingConfig/thinkingBudget").and_then(Value::as_i64);
        self.can_think() && budget.map_or(!self.lite || self.signs(), |budget| budget != 0)
    }

    /// The thinking budgets it takes besides -1, which leaves the choice to it.
    pub(super) fn budgets(self) -> std::ops::RangeInclusive<i64> {
        match (self.pro, self.lite) {
            (true, _) => 128..=32_768,
            (false, _) => 0..=24_576,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_tell() {
        for (name, version, signs, thinks) in [
            ("gemini-2.0-flash", (2, 0), false, false),
            ("gemini-2.5-flash", (2, 5), false, true),
            ("gemini-2.5-flash-lite", (2, 5), false, false),
            ("gemini-2.5-pro", (2, 5), false, true),
            ("gemini-3-pro-preview", (3, 0), true, true),
            ("gemini-3.1-flash-lite", (3, 1), true, true),
            ("gemini-flash-latest", (u32::MAX, 0), true, true),
        ] {
            let model = Model::named(name);
            assert_eq!(
                (model.version, model.signs(), model.thinks(&json!({}))),
                (version, signs, thinks),
                "{name}"
            );
        }
        let silent = json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}});
        assert!(!Model::named("gemini-2.5-flash").thinks(&silent));
    }
}
