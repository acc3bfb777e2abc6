//! What this codec promises, case by case. The other side of each translation is the neutral model.

mod laws;

use crate::codec::{Target, Vendor};
use crate::testing;

/// A model on Bedrock.
pub(super) fn target(model: &str) -> Target<'_> {
    testing::target(model, Vendor::Compatible)
}
