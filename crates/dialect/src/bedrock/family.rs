//! What a model on Bedrock takes, by its name.
//!
//! Converse is one form for models of many makers, and refuses with a 400 what a model behind it does not
//! know. Names carry the maker (`us.anthropic.claude-…`, `amazon.nova-…`, ARNs that end in one); of a name
//! that says nothing, as those of application profiles, only what every model takes is sent.

use crate::claude::Traits;
use crate::codec::Target;

/// What one model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Family {
    /// What it takes as a Claude, when it is one.
    pub claude: Option<Traits>,
    /// How it is asked to think.
    pub thinks: Thinks,
    /// Which choices of tools it can be told.
    pub choice: Choices,
    /// Where its `top_k` stands in the additional fields.
    pub top_k: Option<TopK>,
    /// `outputConfig.textFormat`.
    pub schema: bool,
    /// `cachePoint`.
    pub cache: bool,
    /// `cachePoint.ttl`.
    pub cache_ttl: bool,
    /// `toolResult.status`.
    pub status: bool,
    /// `document.citations` and `document.context`.
    pub citations: bool,
    /// `system`.
    pub system: bool,
    pub video: bool,
    pub audio: bool,
}

/// How a model is asked to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinks {
    /// Not at all, or without being asked.
    Never,
    /// As Claude is.
    Claude,
    /// `reasoning_effort`.
    Effort,
    /// `reasoningConfig`.
    Config,
}

/// Which choices of tools a model can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Choices {
    /// It calls as it sees fit.
    None,
    /// That it must call one.
    Any,
    /// Which one it must call.
    Named,
}

/// Where `top_k` stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TopK {
    /// Under this name.
    Field(&'static str),
    /// `inferenceConfig.topK`, once more inside the additional fields.
    Inference,
}

impl Family {
    const PLAIN: Self = Self {
        claude: None,
        thinks: Thinks::Never,
        choice: Choices::None,
        top_k: None,
        schema: false,
        cache: false,
        cache_ttl: false,
        status: false,
        citations: false,
        system: true,
        video: false,
        audio: false,
    };

    /// The family of the model at `target`.
    pub(super) fn of(target: &Target<'_>) -> Self {
        let name = target.model.to_ascii_lowercase();
        let is = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        if is(&["claude"]) {
            return Self::claude(Traits::of(target));
        }
        if is(&["nova"]) {
            let second = is(&["nova-2", "nova-lite-2", "nova-pro-2"]);
            return Self {
                thinks: if second { Thinks::Config } else { Thinks::Never },
                choice: Choices::Named,
                top_k: Some(TopK::Inference),
                cache: true,
                status: true,
                video: !is(&["micro", "sonic"]),
                audio: is(&["omni"]),
                ..Self::PLAIN
            };
        }
        if is(&["mistral", "mixtral", "voxtral", "magistral", "ministral", "pixtral"]) {
            return Self {
                choice: Choices::Any,
                top_k: Some(TopK::Field("top_k")),
                schema: is(&["magistral", "ministral", "voxtral", "mistral-large-3"]),
                system: !is(&["mistral-7b", "mixtral-8x7b"]),
                audio: is(&["voxtral"]),
                ..Self::PLAIN
            };
        }
        let open = is(&["gpt-oss", "qwen", "deepseek.v3", "gemma", "minimax", "kimi", "nemotron"]);
        Self {
            thinks: if is(&["gpt-oss"]) { Thinks::Effort } else { Thinks::Never },
            schema: open,
            top_k: is(&["cohere."]).then_some(TopK::Field("k")),
            system: !is(&["titan"]),
            video: is(&["pegasus"]),
            ..Self::PLAIN
        }
    }

    fn claude(traits: Traits) -> Self {
        Self {
            claude: Some(traits),
            thinks: Thinks::Claude,
            choice: Choices::Named,
            top_k: Some(TopK::Field("top_k")),
            schema: traits.schema,
            cache: true,
            // The same generation brought both.
            cache_ttl: traits.schema,
            status: true,
            citations: true,
            ..Self::PLAIN
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bedrock::tests::target;

    #[test]
    fn names_tell_what_a_model_takes() {
        for (model, thinks, choice, schema, system) in [
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Thinks::Claude, Choices::Named, true, true),
            ("anthropic.claude-3-haiku-20240307-v1:0", Thinks::Claude, Choices::Named, false, true),
            ("amazon.nova-pro-v1:0", Thinks::Never, Choices::Named, false, true),
            ("global.amazon.nova-2-lite-v1:0", Thinks::Config, Choices::Named, false, true),
            ("openai.gpt-oss-120b-1:0", Thinks::Effort, Choices::None, true, true),
            ("mistral.mistral-large-2407-v1:0", Thinks::Never, Choices::Any, false, true),
            ("mistral.mistral-7b-instruct-v0:2", Thinks::Never, Choices::Any, false, false),
            ("amazon.titan-text-express-v1", Thinks::Never, Choices::None, false, false),
            (
                "arn:aws:bedrock:us-east-1:1:application-inference-profile/x",
                Thinks::Never,
                Choices::None,
                false,
                true,
            ),
        ] {
            let family = Family::of(&target(model));
            assert_eq!(
                (family.thinks, family.choice, family.schema, family.system),
                (thinks, choice, schema, system),
                "{model}"
            );
        }
    }
}
