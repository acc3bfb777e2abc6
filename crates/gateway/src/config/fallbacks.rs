//! Who answers in place of a model or pool that fails in one way or another.

use super::problem::Problem;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Other targets for what was asked of one model or pool: models, pools or aliases, as clients name them, in the order
/// in which they are asked. A region that was demanded holds for them, too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fallbacks {
    /// For a prompt that is longer than the model's context: at once, without asking others of the pool.
    pub context_window: Vec<String>,
    /// For a prompt that is against the provider's rules: at once, without asking others of the pool.
    pub content_policy: Vec<String>,
    /// For every other failure after which somebody else may be asked, when nobody of the pool is left, and for those
    /// two where they have no list of their own.
    pub default: Vec<String>,
}

/// What those fallbacks hold for that name no other.
pub const EVERYTHING_ELSE: &str = "*";

/// Failures that have targets of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The prompt is longer than the model's context.
    ContextWindow,
    /// The provider's rules forbid the prompt.
    ContentPolicy,
    /// Whatever else somebody else may do better.
    Default,
}

impl Class {
    /// The name in configuration, metrics and on the page.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ContextWindow => "context_window",
            Self::ContentPolicy => "content_policy",
            Self::Default => "default",
        }
    }
}

impl Fallbacks {
    /// The targets of a class alone.
    #[must_use]
    pub fn own(&self, class: Class) -> &[String] {
        match class {
            Class::ContextWindow => &self.context_window,
            Class::ContentPolicy => &self.content_policy,
            Class::Default => &self.default,
        }
    }
}

/// Everything wrong with them.
pub(super) fn problems(all: &BTreeMap<String, Fallbacks>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (of, fallbacks) in all {
        for class in [Class::ContextWindow, Class::ContentPolicy, Class::Default] {
            for (place, target) in fallbacks.own(class).iter().enumerate() {
                let message = if target.trim().is_empty() {
                    "is empty; name a model or a pool"
                } else if target == of {
                    "is what failed; name another model or pool"
                } else {
                    continue;
                };
                problems.push(Problem::new(format!("fallbacks.{of}.{}[{place}]", class.name()), message));
            }
        }
    }
    problems
}
