//! What an account with a provider is set up by besides a key and an address, from the very names that are read.

use super::surroundings::{
    API_VERSION, AWS_KEYS, AWS_REGION, CLOUD_PROJECT, DEPLOYMENT, OLLAMA_VARIABLES, OPENAI_ORGANIZATION,
    OPENAI_PROJECT, VERTEX_ADDRESS, VERTEX_LOCATION, VERTEX_MEANT, VERTEX_PROJECT,
};
use trunkline_credentials::{AwsChain, AzureChain, GoogleChain};
use trunkline_dialect::provider::{AZURE, BEDROCK, FOUNDRY, OLLAMA, OPENAI, VERTEX, VERTEX_CLAUDE};

/// Variables that set up an account with `provider`, by what each of them says; the first of several that is set counts.
#[must_use]
pub fn account_variables(provider: &str) -> Vec<(&'static str, Vec<&'static str>)> {
    const ENTRA: &str = "Credentials of Entra";
    match provider {
        OLLAMA => vec![("Another address", OLLAMA_VARIABLES.to_vec())],
        OPENAI => vec![("Organization", OPENAI_ORGANIZATION.to_vec()), ("Project", OPENAI_PROJECT.to_vec())],
        BEDROCK => vec![
            ("Region", AWS_REGION.to_vec()),
            ("Keys that sign", AWS_KEYS.to_vec()),
            ("Profile and other sources of keys", AwsChain::VARIABLES.to_vec()),
        ],
        VERTEX | VERTEX_CLAUDE => vec![
            ("Project", VERTEX_PROJECT.into_iter().chain(CLOUD_PROJECT).collect()),
            ("Location", VERTEX_LOCATION.to_vec()),
            ("Address in place of the location's", VERTEX_ADDRESS.to_vec()),
            ("Application default credentials", GoogleChain::VARIABLES.to_vec()),
            ("Whether Google's general variables mean it", vec![VERTEX_MEANT]),
        ],
        AZURE => vec![
            ("Deployment", DEPLOYMENT.to_vec()),
            ("API version", API_VERSION.to_vec()),
            (ENTRA, AzureChain::VARIABLES.to_vec()),
        ],
        FOUNDRY => vec![(ENTRA, AzureChain::VARIABLES.to_vec())],
        _ => Vec::new(),
    }
}
