//! Cloud providers as data: what each is called, where it lives, which dialects it speaks, how it wants
//! to be paid in credentials, and whose keys look like whose.

mod rows;
pub mod vertex;

pub use rows::PROVIDERS;
pub use vertex::{VERTEX, VERTEX_CLAUDE};

use crate::region;
use trunkline_core::{Dialect, Surface};

/// OpenAI itself.
pub const OPENAI: &str = "openai";
/// Amazon's, which takes signatures beside keys.
pub const BEDROCK: &str = "bedrock";
/// Ollama's servers, which are engines of the operator's own but are set up like a provider.
pub const OLLAMA: &str = "ollama";
/// Microsoft's, of OpenAI's models.
pub const AZURE: &str = "azure-openai";
/// Microsoft's, of everybody's models.
pub const FOUNDRY: &str = "azure-foundry";
/// Hugging Face's, whose models are behind its router or have an endpoint of their own.
pub const HUGGING_FACE: &str = "hugging-face";
/// Where the latter are.
const HUGGING_FACE_ENDPOINTS: &str = "huggingface.cloud";

/// One provider.
#[derive(Debug, PartialEq, Eq)]
pub struct Provider {
    /// The id in configuration, headers and metrics.
    pub id: &'static str,
    /// Other spellings of it.
    pub aliases: &'static [&'static str],
    /// Where its API is; `None` where that depends on the account. What stands in braces is the value of an
    /// environment variable.
    pub base_url: Option<&'static str>,
    /// Where it lists its models; `None` where it does not.
    pub models_path: Option<&'static str>,
    /// Domains its API lives under.
    pub domains: &'static [&'static str],
    /// Lower-case starts of the names of its models.
    pub model_prefixes: &'static [&'static str],
    /// Starts of its keys, where they tell.
    pub key_prefixes: &'static [&'static str],
    /// Environment variables of the stored key; the first that is set counts.
    pub key_variables: &'static [&'static str],
    /// Environment variables of an address in place of `base_url`; the first that is set counts.
    pub url_variables: &'static [&'static str],
    /// Dialects its API speaks.
    pub dialects: &'static [Dialect],
    /// Header the key goes into.
    pub auth: AuthStyle,
    /// Whether the paths of its OpenAI dialects begin with `/v1`.
    pub versioned: bool,
}

impl Provider {
    /// Dialects its API speaks at `host`.
    #[must_use]
    pub fn dialects_at(&self, host: &str) -> &'static [Dialect] {
        match self.id {
            HUGGING_FACE if is_own_endpoint(host) => ENDPOINT_DIALECTS,
            // Nobody counts Claude's tokens there.
            VERTEX_CLAUDE if vertex::is_global(host) => &[Dialect::AnthropicMessages],
            _ => self.dialects,
        }
    }
}

/// How a key is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthStyle {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// `x-api-key: KEY`; OAuth tokens (`sk-ant-oat…`) as bearer.
    AnthropicKey,
    /// `api-key: KEY`; Entra tokens (JWTs) as bearer.
    AzureKey,
    /// `x-goog-api-key: KEY`; OAuth tokens (`ya29.…`) as bearer.
    GoogleKey,
}

/// Dialects of OpenAI and of whatever is compatible with it.
pub const OPENAI_DIALECTS: &[Dialect] = &[
    Dialect::OpenaiChat,
    Dialect::OpenaiCompletions,
    Dialect::OpenaiResponses,
    Dialect::Surface(Surface::OpenaiEmbeddings),
    Dialect::Surface(Surface::OpenaiImages),
    Dialect::Surface(Surface::OpenaiImageEdits),
    Dialect::Surface(Surface::OpenaiImageVariations),
    Dialect::Surface(Surface::OpenaiSpeech),
    Dialect::Surface(Surface::OpenaiTranscriptions),
    Dialect::Surface(Surface::OpenaiTranslations),
    Dialect::Surface(Surface::OpenaiModerations),
];

/// Dialects of engines that are compatible with OpenAI: what OpenAI has, and rankings. Which of them an
/// engine really serves depends on its model, and is the engine's to say.
pub const ENGINE_DIALECTS: &[Dialect] = &[
    Dialect::OpenaiChat,
    Dialect::OpenaiCompletions,
    Dialect::OpenaiResponses,
    Dialect::Surface(Surface::OpenaiEmbeddings),
    Dialect::Surface(Surface::JinaRerank),
    Dialect::Surface(Surface::OpenaiImages),
    Dialect::Surface(Surface::OpenaiImageEdits),
    Dialect::Surface(Surface::OpenaiImageVariations),
    Dialect::Surface(Surface::OpenaiSpeech),
    Dialect::Surface(Surface::OpenaiTranscriptions),
    Dialect::Surface(Surface::OpenaiTranslations),
    Dialect::Surface(Surface::OpenaiModerations),
];

/// Dialects of Hugging Face's text-embeddings-inference: its own form can be told what becomes of texts that
/// are too long, and so comes first.
pub const TEI_DIALECTS: &[Dialect] = &[
    Dialect::Surface(Surface::TeiEmbed),
    Dialect::Surface(Surface::OpenaiEmbeddings),
    Dialect::Surface(Surface::TeiRerank),
];

/// Dialects of an endpoint that Hugging Face runs for one model: it has what that model's software has.
const ENDPOINT_DIALECTS: &[Dialect] =
    &[Dialect::OpenaiChat, Dialect::Surface(Surface::TeiEmbed), Dialect::Surface(Surface::TeiRerank)];

/// Dialects of Ollama: its own, and its version of OpenAI's, which says more and so comes first.
pub const OLLAMA_DIALECTS: &[Dialect] = &[
    Dialect::OpenaiChat,
    Dialect::OpenaiCompletions,
    Dialect::OllamaChat,
    Dialect::OllamaGenerate,
    Dialect::Surface(Surface::OpenaiEmbeddings),
    Dialect::Surface(Surface::OllamaEmbed),
    Dialect::Surface(Surface::OllamaEmbeddings),
];

/// What a provider is called that has no row here but speaks OpenAI's dialects.
pub const COMPATIBLE: &str = "openai-compatible";

/// The provider called `name`, by id or alias.
#[must_use]
pub fn named(name: &str) -> Option<&'static Provider> {
    PROVIDERS
        .iter()
        .find(|p| p.id.eq_ignore_ascii_case(name) || p.aliases.iter().any(|a| a.eq_ignore_ascii_case(name)))
}

/// The provider whose API lives on `host`.
#[must_use]
pub fn of_host(host: &str) -> Option<&'static Provider> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if vertex::is_host(&host) {
        return named(VERTEX);
    }
    let provider = PROVIDERS.iter().find(|p| p.domains.iter().any(|domain| is_under(&host, domain)))?;
    // Keys for Bedrock must not go to whatever else lives under Amazon's domains.
    (provider.id != BEDROCK || region::of_host(&host).is_some()).then_some(provider)
}

/// Whether `host`, in lower case, is that of an endpoint which Hugging Face runs for one model.
#[must_use]
pub fn is_own_endpoint(host: &str) -> bool {
    is_under(host.trim_end_matches('.'), HUGGING_FACE_ENDPOINTS)
}

/// Whether `host`, in lower case, is that of one model which Azure AI Foundry runs by itself.
#[must_use]
pub fn is_serverless(host: &str) -> bool {
    is_under(host.trim_end_matches('.'), "models.ai.azure.com")
}

fn is_under(host: &str, domain: &str) -> bool {
    host == domain || host.strip_suffix(domain).is_some_and(|left| left.ends_with('.'))
}

/// The provider a model's name points to. `gpt-oss-*` is open-weight and points nowhere.
#[must_use]
pub fn of_model(model: &str) -> Option<&'static Provider> {
    let model = model.to_ascii_lowercase();
    if model.starts_with("gpt-oss") {
        return None;
    }
    let model = model.strip_prefix("ft:").unwrap_or(&model);
    PROVIDERS.iter().find(|p| p.model_prefixes.iter().any(|prefix| model.starts_with(prefix)))
}

/// Who may be asked for a model of that name: whose it is, and who has it under the same name.
pub fn hosts(model: &str) -> impl Iterator<Item = &'static Provider> {
    let owner = of_model(model);
    owner.into_iter().chain(owner.and_then(vertex::reseller))
}

/// Whether `host` is one of `provider`'s own.
#[must_use]
pub fn is_home(provider: Option<&str>, host: &str) -> bool {
    let of_host = of_host(host).map(|provider| provider.id);
    of_host == provider || (of_host == Some(VERTEX) && provider == Some(VERTEX_CLAUDE))
}

/// Whose key `key` looks like: the provider with the longest matching start.
#[must_use]
pub fn of_key(key: &str) -> Option<&'static Provider> {
    let longest =
        |p: &&Provider| p.key_prefixes.iter().filter(|start| key.starts_with(**start)).map(|s| s.len()).max();
    PROVIDERS.iter().filter(|p| longest(p).is_some()).max_by_key(longest)
}

/// Whether a caller's key may be sent to `provider` (`None`: an engine of the operator's own). A key that
/// looks like one provider's goes to that provider only; one that looks like nobody's goes where its
/// caller sent the request.
#[must_use]
pub fn may_receive(provider: Option<&str>, key: &str) -> bool {
    match (of_key(key), provider) {
        (None, _) => true,
        (Some(owner), Some(provider)) => {
            // Compatible providers without a mark of their own on their keys.
            let is_unmarked =
                |p: &Provider| p.key_prefixes.is_empty() && p.dialects.contains(&Dialect::OpenaiChat);
            owner.id == provider
                || (named(provider).is_none_or(is_unmarked) && key.starts_with("sk-") && is_plain_sk(key))
        }
        (Some(_), None) => false,
    }
}

/// Many compatible providers issue plain `sk-` keys; OpenAI's own newer ones say more.
fn is_plain_sk(key: &str) -> bool {
    !["sk-proj-", "sk-svcacct-", "sk-admin-", "sk-ant-", "sk-or-"].iter().any(|start| key.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_core::Kind;

    #[test]
    fn detection() {
        for (model, id) in [
            ("gpt-4o", Some("openai")),
            ("o3-mini", Some("openai")),
            ("GPT-4o", Some("openai")),
            ("ft:gpt-4o:acme", Some("openai")),
            ("gpt-oss-120b", None),
            ("claude-sonnet-4-20250514", Some("anthropic")),
            ("grok-4", Some("xai")),
            ("gemini-2.5-pro", Some("gemini")),
            ("magistral-medium-latest", Some("mistral")),
            ("deepseek-reasoner", Some("deepseek")),
            ("deepseek-ai/DeepSeek-V3", None),
            ("accounts/fireworks/models/x", Some("fireworks")),
            ("sonar-pro", Some("perplexity")),
            ("llama3", None),
        ] {
            assert_eq!(of_model(model).map(|p| p.id), id, "{model}");
        }
        for (host, id) in [
            ("api.openai.com", Some("openai")),
            ("openai.com.", Some("openai")),
            ("notopenai.com", None),
            ("api.anthropic.com", Some("anthropic")),
            ("us-east5-aiplatform.googleapis.com", Some("vertex-ai")),
            ("generativelanguage.googleapis.com", Some("gemini")),
            ("api.groq.com", Some("groq")),
            ("acme.openai.azure.com", Some("azure-openai")),
            ("acme.cognitiveservices.azure.com", Some("azure-openai")),
            ("openai.com.evil.example", None),
            ("bedrock-runtime.us-east-1.amazonaws.com", Some("bedrock")),
            ("Bedrock-Runtime.us-east-1.amazonaws.com.", Some("bedrock")),
            ("vpce-1a.bedrock-runtime.eu-west-1.vpce.amazonaws.com", Some("bedrock")),
            ("ec2-3-4-5-6.compute-1.amazonaws.com", None),
            ("127.0.0.1", None),
        ] {
            assert_eq!(of_host(host).map(|p| p.id), id, "{host}");
        }
    }

    #[test]
    fn who_has_what_beside_conversations() {
        use Kind::{Embed, Image, Moderate, Rerank, Speak, Transcribe};
        for (id, kinds) in [
            ("openai", &[Embed, Image, Speak, Transcribe, Moderate][..]),
            ("anthropic", &[Kind::Count]),
            ("gemini", &[Kind::Count, Embed, Image, Speak, Transcribe]),
            ("bedrock", &[Embed, Image, Rerank]),
            ("cohere", &[Embed, Rerank]),
            ("mistral", &[Embed, Speak, Transcribe, Moderate]),
            ("groq", &[Speak, Transcribe]),
            ("together", &[Embed, Rerank, Image, Speak, Transcribe]),
            ("fireworks", &[Embed, Rerank, Image, Transcribe]),
            ("azure-openai", &[Embed, Image, Speak, Transcribe]),
            ("azure-foundry", &[Embed, Rerank]),
            ("hugging-face", &[Embed, Image]),
            ("vertex-ai", &[Kind::Count, Embed, Image, Speak, Transcribe, Rerank]),
            ("vertex-anthropic", &[Kind::Count]),
            ("replicate", &[Image]),
            ("openrouter", &[Embed]),
            ("deepseek", &[]),
            ("perplexity", &[]),
        ] {
            let Some(provider) = named(id) else { panic!("{id} is not known") };
            let mut has: Vec<Kind> = provider.dialects.iter().map(|dialect| dialect.kind()).collect();
            has.retain(|kind| *kind != Kind::Generate);
            has.dedup();
            assert_eq!(has, kinds, "{id}");
        }
    }

    #[test]
    fn what_a_provider_has_may_depend_on_the_host() {
        let ranks = Dialect::Surface(Surface::TeiRerank);
        let counts = Dialect::Surface(Surface::AnthropicCount);
        for (host, has) in
            [("us-east5-aiplatform.googleapis.com", true), ("aiplatform.googleapis.com", false)]
        {
            let row = named(VERTEX_CLAUDE).map(|row| row.dialects_at(host));
            assert_eq!(row.is_some_and(|dialects| dialects.contains(&counts)), has, "{host}");
        }
        for (provider, host, has) in [
            (HUGGING_FACE, "router.huggingface.co", false),
            (HUGGING_FACE, "x1.us-east-1.aws.endpoints.huggingface.cloud", true),
            ("openai", "x1.us-east-1.aws.endpoints.huggingface.cloud", false),
        ] {
            let row = named(provider).map(|row| row.dialects_at(host));
            assert_eq!(row.is_some_and(|dialects| dialects.contains(&ranks)), has, "{provider} at {host}");
        }
    }

    #[test]
    fn keys_go_to_their_owner_only() {
        for (key, provider, may) in [
            ("sk-ant-api03-x", Some("anthropic"), true),
            ("sk-ant-api03-x", Some("openai"), false),
            ("sk-ant-api03-x", None, false),
            ("sk-proj-x", Some("openai"), true),
            ("sk-proj-x", Some("anthropic"), false),
            ("sk-proj-x", Some("my-cloud"), false),
            ("sk-12345", Some("my-cloud"), true),
            ("sk-12345", None, false),
            ("xai-1", Some("openai"), false),
            ("gsk_1", Some("groq"), true),
            ("gsk_1", None, false),
            ("sk-1", Some("deepseek"), true),
            ("sk-or-v1", Some("deepseek"), false),
            ("local-token", None, true),
            ("local-token", Some("openai"), true),
        ] {
            assert_eq!(may_receive(provider, key), may, "{key} to {provider:?}");
        }
    }
}
