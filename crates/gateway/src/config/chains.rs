//! Which clouds lend a worker its credentials, where it has no key.

use super::tree::Config;
use super::worker::{Entra, WorkerSpec};
use trunkline_credentials::{AwsChain, AzureChain, Chain, GoogleChain};
use trunkline_dialect::provider::{AZURE, BEDROCK, FOUNDRY, VERTEX, VERTEX_CLAUDE};

impl Config {
    /// The chain that lends `spec`, a worker of `provider` in `region`, its credentials; `None` where nothing of one is
    /// set up.
    #[must_use]
    pub fn chain(&self, spec: &WorkerSpec, provider: &str, region: Option<&str>) -> Option<Chain> {
        match provider {
            BEDROCK => self.aws_chain(spec, region?).map(Chain::Aws),
            AZURE | FOUNDRY => self.azure_chain(spec).map(Chain::Azure),
            // A machine of Google's own needs nothing set up, so that whoever names a project has a chain.
            VERTEX | VERTEX_CLAUDE if !spec.url.is_empty() || self.provider_urls.contains_key(provider) => {
                let file = spec.google.credentials_file.clone();
                Some(Chain::Google(GoogleChain { file, env: self.surroundings.clone() }))
            }
            _ => None,
        }
    }

    fn aws_chain(&self, spec: &WorkerSpec, region: &str) -> Option<AwsChain> {
        // Parts of two descriptions do not fit each other.
        let said = if spec.aws.names_source() { &spec.aws } else { &self.aws };
        let chain = AwsChain {
            profile: said.profile.clone(),
            role_arn: said.role_arn.clone(),
            external_id: said.external_id.clone(),
            region: region.into(),
            env: self.surroundings.clone(),
        };
        (chain.is_present() || self.has_machine_role).then_some(chain)
    }

    fn azure_chain(&self, spec: &WorkerSpec) -> Option<AzureChain> {
        let Entra { tenant_id, client_id, client_secret, federated_token_file, managed_identity, scope } =
            spec.azure.clone();
        let said = AzureChain {
            tenant: tenant_id,
            client: client_id,
            secret: client_secret,
            token_file: federated_token_file,
            managed: managed_identity == Some(true),
            scope,
            ..AzureChain::default()
        };
        let chain = said.completed(&self.surroundings);
        chain.is_present().then_some(chain)
    }
}

impl WorkerSpec {
    /// Whether it says itself where its credentials are to be had from.
    #[must_use]
    pub fn names_chain(&self) -> bool {
        self.aws.names_source() || self.azure != Entra::default() || self.google.credentials_file.is_some()
    }
}
