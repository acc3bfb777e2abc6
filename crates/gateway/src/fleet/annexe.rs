//! Operations that a provider has at another place than all others.

use crate::config::WorkerUrl;
use crate::endpoint::operation;
use http::uri::PathAndQuery;
use std::sync::Arc;
use trunkline_core::{Dialect, Surface};
use trunkline_dialect::provider::{self, FOUNDRY, VERTEX};
use trunkline_upstream::Endpoint;

/// Where some operations are.
#[derive(Debug, Clone)]
pub(super) struct Annexe {
    surface: Surface,
    /// What the names of its models hold.
    models: &'static str,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) path: PathAndQuery,
}

impl Annexe {
    /// Whether `model` is asked there for what `dialect` is for.
    pub(super) fn is_for(&self, dialect: Dialect, model: &str) -> bool {
        dialect == Dialect::Surface(self.surface) && model.contains(self.models)
    }

    fn new(surface: Surface, models: &'static str, base: &str, path: &str) -> Option<Self> {
        let endpoint = Endpoint::parse(base).ok()?;
        let path = PathAndQuery::try_from(endpoint.path(path)).ok()?;
        Some(Self { surface, models, endpoint: Arc::new(endpoint), path })
    }
}

/// Hosts of Fireworks that listen, by what is in the names of their models; the more particular first.
const FIREWORKS: [(&str, &str); 2] =
    [("turbo", "https://audio-turbo.api.fireworks.ai"), ("", "https://audio-prod.api.fireworks.ai")];
const LISTENS: [Surface; 2] = [Surface::OpenaiTranscriptions, Surface::OpenaiTranslations];

/// Google's ranking service.
const RANKER: &str = "https://discoveryengine.googleapis.com";

/// Folders of Foundry's own surfaces, beside which those of others are.
const SURFACES: [&str; 2] = ["/models", "/openai"];

/// The annexes of a worker of `provider` at `url`, whose operations are below `base`.
pub(super) fn of(provider: Option<&str>, url: &WorkerUrl, base: &str) -> Vec<Annexe> {
    let at_home = provider::is_home(provider, url.host());
    match provider {
        Some("fireworks") if at_home => fireworks(),
        Some(VERTEX) => ranker(base, at_home).into_iter().collect(),
        Some(FOUNDRY) if !provider::is_serverless(url.host()) => {
            let path = "/providers/cohere/v2/rerank";
            Annexe::new(Surface::CohereRerank, "", root(base), path).into_iter().collect()
        }
        Some(_) | None => Vec::new(),
    }
}

fn fireworks() -> Vec<Annexe> {
    let of_host = |(models, host): (&'static str, &'static str)| {
        LISTENS.iter().filter_map(move |surface| {
            Annexe::new(*surface, models, host, operation(Dialect::Surface(*surface)).before)
        })
    };
    FIREWORKS.into_iter().flat_map(of_host).collect()
}

/// The ranking service of the project that `base` names. It is in no location in particular.
fn ranker(base: &str, at_home: bool) -> Option<Annexe> {
    let (root, below) = base.split_once("/v1/projects/")?;
    let project = below.split('/').next().filter(|project| !project.is_empty())?;
    let operation = operation(Dialect::Surface(Surface::VertexRerank)).before;
    let path = format!("/v1/projects/{project}/locations/global{operation}");
    Annexe::new(Surface::VertexRerank, "", if at_home { RANKER } else { root }, &path)
}

/// What of Foundry's address stands before the folder of one of its surfaces.
fn root(base: &str) -> &str {
    SURFACES.iter().find_map(|folder| base.strip_suffix(folder)).unwrap_or(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_where_their_providers_have_them() {
        const RANK: &str = "/v1/projects/p/locations/global/rankingConfigs/default_ranking_config:rank";
        const COHERE: &str = "/providers/cohere/v2/rerank";
        let vertex =
            "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/publishers/google";
        let elsewhere = "http://127.0.0.1:1/x/v1/projects/p/locations/us/publishers/google";
        for (provider, base, surface, model, want) in [
            (VERTEX, vertex, Surface::VertexRerank, "m", Some(("discoveryengine.googleapis.com", RANK))),
            (VERTEX, elsewhere, Surface::VertexRerank, "m", Some(("127.0.0.1", &*format!("/x{RANK}")))),
            (
                VERTEX,
                "https://aiplatform.googleapis.com/v1/publishers/google",
                Surface::VertexRerank,
                "m",
                None,
            ),
            (VERTEX, vertex, Surface::GeminiImages, "m", None),
            (
                FOUNDRY,
                "https://r.services.ai.azure.com",
                Surface::CohereRerank,
                "m",
                Some(("r.services.ai.azure.com", COHERE)),
            ),
            (
                FOUNDRY,
                "https://r.services.ai.azure.com/models",
                Surface::CohereRerank,
                "m",
                Some(("r.services.ai.azure.com", COHERE)),
            ),
            (
                FOUNDRY,
                "http://127.0.0.1:1/proxied",
                Surface::CohereRerank,
                "m",
                Some(("127.0.0.1", "/proxied/providers/cohere/v2/rerank")),
            ),
            (FOUNDRY, "https://m.eastus.models.ai.azure.com", Surface::CohereRerank, "m", None),
            (
                "fireworks",
                "https://api.fireworks.ai/inference",
                Surface::OpenaiTranscriptions,
                "whisper-v3-turbo",
                Some(("audio-turbo.api.fireworks.ai", "/v1/audio/transcriptions")),
            ),
            (
                "fireworks",
                "https://api.fireworks.ai/inference",
                Surface::OpenaiTranslations,
                "whisper-v3",
                Some(("audio-prod.api.fireworks.ai", "/v1/audio/translations")),
            ),
            ("fireworks", "http://127.0.0.1:1", Surface::OpenaiTranscriptions, "whisper-v3", None),
            ("cohere", "https://api.cohere.com", Surface::CohereRerank, "m", None),
        ] {
            let url = WorkerUrl::parse(base).unwrap();
            let all = of(Some(provider), &url, base);
            let found = all.iter().find(|annexe| annexe.is_for(Dialect::Surface(surface), model));
            let found = found.map(|annexe| (annexe.endpoint.host(), annexe.path.as_str()));
            assert_eq!(found, want, "{provider} {base} {surface:?} {model}");
        }
    }
}
