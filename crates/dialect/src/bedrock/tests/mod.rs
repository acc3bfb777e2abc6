//! What this codec promises, case by case. The other side of each translation is the neutral model.

mod laws;

use crate::codec::{Target, UserIds, Vendor};

/// A model on Bedrock.
pub(super) fn target(model: &str) -> Target<'_> {
    Target {
        model,
        vendor: Vendor::Compatible,
        default_max_tokens: None,
        user_ids: UserIds::Opaque,
        strict_arguments: false,
        anthropic_version: "",
    }
}
