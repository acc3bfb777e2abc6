//! Where a provider has its operations, if not where their dialects say.

use crate::config::{Version, WorkerUrl};
use crate::endpoint::operation;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use std::borrow::Cow;
use trunkline_core::{Dialect, Surface};
use trunkline_dialect::provider;

/// What of a model's name cannot stand in a path as it is: everything that could end its segment or leave it.
pub(super) const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The version of Azure's older surface where none is said: its last that is no preview.
const AZURE_VERSION: &str = "2024-10-21";

/// How a provider's paths differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layout {
    /// They do not.
    Usual,
    /// Hugging Face's router: vectors are a task below their model.
    Tasks,
    /// Azure's older surface, in this version: operations are below their deployment, except for Responses, which
    /// only the newer one has.
    Deployments(Box<str>),
    /// Claude on Vertex AI: operations are behind the model's name, and the body says neither.
    RawPredict,
    /// Azure's newer surface, in a version that is not its usual one.
    Versioned(Box<str>),
    /// Azure AI Foundry, where nothing but the host is said: its current surface is below a folder.
    Current,
}

/// The version of Foundry's older surface where none is said: its only one.
const MODELS_VERSION: &str = "2024-05-01-preview";

/// Whether `url` is that of Foundry's older surface, whose operations are below `/models` and have no version in their
/// paths.
pub(super) fn is_models_surface(provider: Option<&str>, url: &WorkerUrl) -> bool {
    provider == Some(provider::FOUNDRY) && url.base().ends_with("/models")
}

impl Layout {
    /// The layout of a worker of `provider` at `url`.
    pub(super) fn of(provider: Option<&str>, url: &WorkerUrl, api_version: Option<&str>) -> Self {
        match (provider, api_version) {
            (Some(provider::AZURE), None) if url.base().ends_with("/openai") => Self::Usual,
            (Some(provider::AZURE), Some(version)) if url.base().ends_with("/openai") => {
                Self::Versioned(version.into())
            }
            (Some(provider::AZURE), version) => Self::Deployments(version.unwrap_or(AZURE_VERSION).into()),
            (Some(provider::FOUNDRY), version) if is_models_surface(provider, url) => {
                Self::Versioned(version.unwrap_or(MODELS_VERSION).into())
            }
            (Some(provider::FOUNDRY), _) if is_bare(url) && !provider::is_serverless(url.host()) => {
                Self::Current
            }
            (Some(provider::VERTEX_CLAUDE), _) => Self::RawPredict,
            (Some(provider::HUGGING_FACE), _) if !provider::is_own_endpoint(url.host()) => Self::Tasks,
            (Some(_) | None, _) => Self::Usual,
        }
    }

    /// Where an operation is whose `usual` place is this, and whose path does not name the model.
    pub(super) fn fixed<'a>(&self, usual: &'a str) -> Cow<'a, str> {
        match self {
            Self::Usual | Self::Tasks | Self::RawPredict => usual.into(),
            Self::Deployments(_) | Self::Current => format!("/openai{usual}").into(),
            Self::Versioned(version) => format!("{usual}?api-version={version}").into(),
        }
    }

    /// The path of an operation of `model`'s, where only this layout has the model in it: `None` where it has not,
    /// and a path that is none for a name that it cannot hold.
    pub(super) fn named(&self, dialect: Dialect, model: &str, stream: bool) -> Option<Option<String>> {
        match self {
            // There it is a model of its own, which counts for those that bodies name.
            Self::RawPredict if dialect == Dialect::Surface(Surface::AnthropicCount) => {
                Some(Some("/models/count-tokens:rawPredict".to_owned()))
            }
            Self::RawPredict => {
                let verb = if stream { "streamRawPredict" } else { "rawPredict" };
                let below = |name| format!("/models/{name}:{verb}");
                Some(in_path(model, 1).filter(|_| !model.contains('/')).map(below))
            }
            Self::Tasks if dialect == Dialect::Surface(Surface::TeiEmbed) => {
                let task = |name| format!("/hf-inference/models/{name}/pipeline/feature-extraction");
                Some(in_path(model, 2).map(task))
            }
            Self::Tasks if dialect == Dialect::Surface(Surface::HuggingFaceImages) => {
                Some(in_path(model, 2).map(|name| format!("/hf-inference/models/{name}")))
            }
            Self::Deployments(version) if dialect != Dialect::OpenaiResponses => {
                let usual = operation(dialect).before;
                let usual = usual.strip_prefix("/v1").unwrap_or(usual);
                let below = |name| format!("/openai/deployments/{name}{usual}?api-version={version}");
                Some(in_path(model, 1).filter(|_| !model.contains('/')).map(below))
            }
            Self::Usual | Self::Tasks | Self::Deployments(_) | Self::Versioned(_) | Self::Current => None,
        }
    }
}

/// Whether nothing is said behind the host.
fn is_bare(url: &WorkerUrl) -> bool {
    let behind_scheme = url.base().split_once("://").map_or("", |(_, rest)| rest);
    url.version() == Version::Unsaid && !behind_scheme.contains('/')
}

/// `model` as up to `most` segments of a path; `None` when one of them would mean another place.
pub(super) fn in_path(model: &str, most: usize) -> Option<String> {
    let encoded = |segment: &str| {
        let is_plain = segment.bytes().any(|byte| byte != b'.');
        is_plain.then(|| percent_encoding::utf8_percent_encode(segment, IN_PATH).to_string())
    };
    let segments: Option<Vec<_>> = model.splitn(most, '/').map(encoded).collect();
    Some(segments?.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foundry_is_asked_where_its_address_leads() {
        const CHAT: &str = "/v1/chat/completions";
        for (url, version, want) in [
            ("https://r.services.ai.azure.com", None, "/openai/v1/chat/completions"),
            ("https://r.services.ai.azure.com/", None, "/openai/v1/chat/completions"),
            ("https://r.services.ai.azure.com/openai/v1", None, CHAT),
            ("https://r.services.ai.azure.com/v1", None, CHAT),
            ("https://m.eastus.models.ai.azure.com", None, CHAT),
            (
                "https://r.services.ai.azure.com/models",
                None,
                "/v1/chat/completions?api-version=2024-05-01-preview",
            ),
            ("https://r.services.ai.azure.com/models", Some("v"), "/v1/chat/completions?api-version=v"),
        ] {
            let url = WorkerUrl::parse(url).unwrap();
            let layout = Layout::of(Some("azure-foundry"), &url, version);
            assert_eq!(layout.fixed(CHAT), want, "{}", url.base());
        }
    }

    #[test]
    fn paths_are_where_each_provider_has_them() {
        const CHAT: Dialect = Dialect::OpenaiChat;
        const VECTORS: Dialect = Dialect::Surface(Surface::TeiEmbed);
        const TASK: &str = "/hf-inference/models/a/b%20c/pipeline/feature-extraction";
        for (provider, url, dialect, model, want) in [
            ("azure-openai", "https://r.openai.azure.com/openai/v1", CHAT, "d", None),
            (
                "azure-openai",
                "https://r.openai.azure.com",
                CHAT,
                "d e",
                Some(Some("/openai/deployments/d%20e/chat/completions?api-version=2024-10-21")),
            ),
            ("azure-openai", "https://r.openai.azure.com", CHAT, "a/b", Some(None)),
            ("azure-openai", "https://r.openai.azure.com", CHAT, "..", Some(None)),
            ("azure-openai", "https://r.openai.azure.com", Dialect::OpenaiResponses, "d", None),
            ("hugging-face", "https://router.huggingface.co/v1", VECTORS, "a/b c", Some(Some(TASK))),
            ("hugging-face", "https://router.huggingface.co/v1", VECTORS, "../b", Some(None)),
            ("hugging-face", "https://router.huggingface.co/v1", CHAT, "a/b", None),
            ("hugging-face", "https://x.endpoints.huggingface.cloud", VECTORS, "a/b", None),
            ("openai", "https://api.openai.com", CHAT, "m", None),
            (
                "vertex-anthropic",
                "https://h/v1/projects/p/locations/l/publishers/anthropic",
                Dialect::AnthropicMessages,
                "claude-x@1",
                Some(Some("/models/claude-x%401:rawPredict")),
            ),
            ("vertex-anthropic", "https://h", Dialect::AnthropicMessages, "../x", Some(None)),
            (
                "vertex-anthropic",
                "https://h",
                Dialect::Surface(Surface::AnthropicCount),
                "claude-x@1",
                Some(Some("/models/count-tokens:rawPredict")),
            ),
        ] {
            let layout = Layout::of(Some(provider), &WorkerUrl::parse(url).unwrap(), None);
            let path = layout.named(dialect, model, false);
            assert_eq!(path.as_ref().map(Option::as_deref), want, "{url} {dialect} {model}");
        }
    }
}
