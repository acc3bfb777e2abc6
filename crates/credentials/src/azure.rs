//! Tokens of Microsoft Entra, in the order of Microsoft's own libraries: a client's secret, a federated token (workload
//! identity), the managed identity of the service or the machine.

use crate::web::{Ask, Web};
use crate::{Cause, Grant, Surroundings};
use serde::{Deserialize, Deserializer};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};
use trunkline_core::Secret;

/// Where Entra is outside of national clouds.
const AUTHORITY: &str = "https://login.microsoftonline.com";
/// What OpenAI's models on Azure are, to Entra.
const SCOPE: &str = "https://cognitiveservices.azure.com/.default";
/// Where a machine asks for its own identity.
const METADATA: &str = "http://169.254.169.254";
/// What a federated token is.
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Variables of an application: its directory, itself, its secret, a token of another party in place of that, and what
/// tokens are for.
const TENANT: &str = "AZURE_TENANT_ID";
const CLIENT: &str = "AZURE_CLIENT_ID";
const CLIENT_SECRET: &str = "AZURE_CLIENT_SECRET";
const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
const SCOPE_VARIABLE: &str = "AZURE_SCOPE";
/// Where Entra is.
const AUTHORITY_VARIABLE: &str = "AZURE_AUTHORITY_HOST";
/// Where a service asks for its own identity.
const SERVICE: &str = "IDENTITY_ENDPOINT";

/// Where tokens of Entra come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AzureChain {
    /// The directory.
    pub tenant: Option<String>,
    /// The application, or the managed identity assigned by its user.
    pub client: Option<String>,
    /// The application's secret.
    pub secret: Option<Secret>,
    /// Holds a token of another party that Entra trusts.
    pub token_file: Option<PathBuf>,
    /// Whether the machine may be asked for its own identity.
    pub managed: bool,
    /// What the token is for, where it is not the models of OpenAI.
    pub scope: Option<String>,
    /// The environment.
    pub env: Surroundings,
}

#[derive(Deserialize)]
struct Token {
    access_token: Secret,
    #[serde(default, deserialize_with = "number")]
    expires_in: Option<u64>,
    /// Seconds since 1970; App Service says nothing else.
    #[serde(default, deserialize_with = "number")]
    expires_on: Option<u64>,
}

/// A number, which managed identities write as text.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Said {
        Number(u64),
        Text(String),
    }
    Ok(match Option::<Said>::deserialize(from)? {
        Some(Said::Number(number)) => Some(number),
        Some(Said::Text(text)) => text.parse().ok(),
        None => None,
    })
}

impl AzureChain {
    /// Variables that set it up.
    pub const VARIABLES: [&'static str; 7] =
        [TENANT, CLIENT, CLIENT_SECRET, TOKEN_FILE, SCOPE_VARIABLE, AUTHORITY_VARIABLE, SERVICE];

    /// What of it `env` sets up beside what is said here.
    #[must_use]
    pub fn completed(mut self, env: &Surroundings) -> Self {
        let text = |name: &str| env.text(name).map(str::to_owned);
        // A secret belongs to its application: parts of two do not fit each other.
        if self.secret.is_none() && self.client.is_none() {
            self.secret = env.secret(CLIENT_SECRET);
        }
        self.tenant = self.tenant.or_else(|| text(TENANT));
        self.client = self.client.or_else(|| text(CLIENT));
        self.token_file = self.token_file.or_else(|| text(TOKEN_FILE).map(PathBuf::from));
        self.scope = self.scope.or_else(|| text(SCOPE_VARIABLE));
        self.env = env.clone();
        self
    }

    /// Whether anything of it is set up, without asking anybody.
    #[must_use]
    pub fn is_present(&self) -> bool {
        let is_known = self.tenant.is_some() && self.client.is_some();
        is_known && (self.secret.is_some() || self.token_file.is_some())
            || self.managed
            || self.env.text(SERVICE).is_some()
    }

    pub(crate) async fn ask(&self, web: &Web, tried: &mut Vec<&'static str>) -> Result<Grant, Cause> {
        if let (Some(tenant), Some(client)) = (&self.tenant, &self.client) {
            if let Some(secret) = &self.secret {
                tried.push("client secret");
                return self.entra(web, tenant, client, &[("client_secret", secret.reveal())]).await;
            }
            if let Some(file) = &self.token_file {
                tried.push("federated token");
                let token = crate::aws::read(file).await?;
                let proof = [("client_assertion_type", ASSERTION), ("client_assertion", token.trim())];
                return self.entra(web, tenant, client, &proof).await;
            }
        }
        tried.push("managed identity");
        self.identity(web).await
    }

    fn scope(&self) -> &str {
        self.scope.as_deref().unwrap_or(SCOPE)
    }

    async fn entra(
        &self,
        web: &Web,
        tenant: &str,
        client: &str,
        proof: &[(&str, &str)],
    ) -> Result<Grant, Cause> {
        let authority = self.env.text(AUTHORITY_VARIABLE).unwrap_or(AUTHORITY).trim_end_matches('/');
        let scheme = if authority.contains("://") { "" } else { "https://" };
        let url = format!("{scheme}{authority}/{tenant}/oauth2/v2.0/token");
        let what = [("grant_type", "client_credentials"), ("client_id", client), ("scope", self.scope())];
        grant(&web.ask(Ask::form(&url, &[&what[..], proof].concat())).await?)
    }

    /// The identity of the service this runs in (App Service, Container Apps), or else of the machine.
    async fn identity(&self, web: &Web) -> Result<Grant, Cause> {
        let resource = self.scope().trim_end_matches("/.default");
        let client = self.client.as_ref().map(|id| format!("&client_id={id}")).unwrap_or_default();
        let service = self.env.text(SERVICE).zip(self.env.text("IDENTITY_HEADER"));
        if let Some((endpoint, header)) = service {
            let url = format!("{endpoint}?api-version=2019-08-01&resource={resource}{client}");
            // Its address is a private one of the service, and without TLS.
            let ask = Ask::get(&url).near().header("x-identity-header", header);
            return grant(&web.ask(ask).await?);
        }
        if !self.managed {
            return Err(Cause::Absent);
        }
        let host = self.env.text("AZURE_POD_IDENTITY_AUTHORITY_HOST").unwrap_or(METADATA);
        let host = host.trim_end_matches('/');
        let url = format!(
            "{host}/metadata/identity/oauth2/token?api-version=2018-02-01&resource={resource}{client}"
        );
        grant(&web.ask(Ask::get(&url).near().header("metadata", "true")).await?)
    }
}

fn grant(told: &crate::web::Told) -> Result<Grant, Cause> {
    let token: Token = told.json("a token")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = token.expires_in.or_else(|| Some(token.expires_on?.saturating_sub(now)));
    Ok(Grant::bearer(
        token.access_token,
        seconds.ok_or_else(|| told.lacks("the time its token expires at"))?,
        None,
    ))
}
