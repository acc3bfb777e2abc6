//! How losses of translation are told: to the client, and by parameter in metrics.

use http::{HeaderName, HeaderValue};
use trunkline_core::{Losses, OnUnsupported};
use trunkline_dialect::profile::Parameter;

/// The parameter a loss is about as a label: from a closed set, because a path may hold names a client
/// made up.
pub(super) fn known_parameter(path: &str) -> &'static str {
    /// Fields of other dialects and surfaces, and those that no provider treats differently.
    const OTHERS: &[&str] = &[
        "messages",
        "contents",
        "input",
        "system",
        "instructions",
        "response_format",
        "stop_sequences",
        "thinking",
        "reasoning",
        "output_config",
        "cache_control",
        "container",
        "context_management",
        "options",
        "generationConfig",
        "inferenceConfig",
        "additionalModelRequestFields",
        "tokens",
        "texts",
        "dimensions",
        "output_dimension",
        "outputDimensionality",
        "input_type",
        "taskType",
        "truncate",
        "title",
        "top_n",
        "raw_scores",
    ];
    let first = path.split(['.', '[']).next().unwrap_or_default();
    let other = || OTHERS.iter().find(|known| **known == first).copied();
    let parameter = Parameter::ALL.iter().map(|parameter| parameter.name()).find(|known| *known == first);
    parameter.or_else(other).unwrap_or("other")
}

/// The header that lists losses.
pub(crate) const WARNINGS: HeaderName = HeaderName::from_static("x-trunkline-warnings");

/// The value of [`WARNINGS`]; none where nothing was lost, or nobody wants to know.
pub(crate) fn warnings(losses: &Losses, setting: OnUnsupported) -> Option<HeaderValue> {
    const LONGEST: usize = 4096;
    (!losses.is_empty() && setting != OnUnsupported::Drop)
        .then(|| HeaderValue::from_str(&losses.header(LONGEST)).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_from_a_closed_set() {
        for (path, label) in
            [("seed", "seed"), ("messages[3].name", "messages"), ("made_up_by_a_client", "other")]
        {
            assert_eq!(known_parameter(path), label);
        }
    }
}
