//! Whose model a Bedrock id names: what Converse leaves to the model differs by maker.

/// The makers told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Claude,
    Nova,
    Other,
}

impl Family {
    /// Of a foundation model, an inference profile or their ARN.
    pub(super) fn of(model: &str) -> Self {
        if model.contains("anthropic.claude") {
            Self::Claude
        } else if model.contains("amazon.nova") {
            Self::Nova
        } else {
            Self::Other
        }
    }

    /// Fields of `additionalModelRequestFields`; `None` when the model takes any.
    pub(super) fn extra_fields(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Claude => Some(&[
                "anthropic_beta",
                "context_management",
                "output_config",
                "thinking",
                "tool_choice",
                "tools",
                "top_k",
            ]),
            Self::Nova => Some(&["inferenceConfig", "reasoningConfig"]),
            Self::Other => None,
        }
    }

    /// Whether a tool can be forced.
    pub(super) fn takes_choice(self) -> bool {
        self != Self::Other
    }

    /// The highest temperature.
    pub(super) fn hottest(self) -> f64 {
        match self {
            Self::Claude | Self::Nova => 1.0,
            Self::Other => 2.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell() {
        for (model, family) in [
            ("anthropic.claude-3-haiku-20240307-v1:0", Family::Claude),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Family::Claude),
            ("arn:aws:bedrock:us-east-1:1:inference-profile/eu.amazon.nova-pro-v1:0", Family::Nova),
            ("openai.gpt-oss-120b-1:0", Family::Other),
        ] {
            assert_eq!(Family::of(model), family, "{model}");
        }
    }
}
