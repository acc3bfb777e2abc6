//! The kinds of files that Google's credentials come in, and how each becomes a token.

use super::{SCOPE, Token, jwt};
use crate::Cause;
use crate::aws::read;
use crate::web::{Ask, Told, Web};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;
use trunkline_core::{Secret, read_rfc3339};

const TOKENS: &str = "https://oauth2.googleapis.com/token";
const EXCHANGE: &str = "https://sts.googleapis.com/v1/token";

fn tokens() -> String {
    TOKENS.to_owned()
}

fn exchange() -> String {
    EXCHANGE.to_owned()
}

/// A token, and for how many seconds it holds.
pub(super) struct Access {
    pub(super) token: Secret,
    pub(super) seconds: u64,
}

/// A file of credentials.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum File {
    ServiceAccount(Account),
    AuthorizedUser(User),
    ExternalAccount(External),
    ImpersonatedServiceAccount(Impersonated),
}

/// A key of a service account.
#[derive(Deserialize)]
pub(super) struct Account {
    pub(super) client_email: String,
    pub(super) private_key: Secret,
    pub(super) private_key_id: Option<String>,
    #[serde(default = "tokens")]
    pub(super) token_uri: String,
}

/// What `gcloud auth application-default login` leaves.
#[derive(Deserialize)]
pub(super) struct User {
    client_id: String,
    client_secret: Secret,
    refresh_token: Secret,
    quota_project_id: Option<Box<str>>,
    #[serde(default = "tokens")]
    token_uri: String,
}

/// A workload that another party vouches for.
#[derive(Deserialize)]
pub(super) struct External {
    audience: String,
    subject_token_type: String,
    #[serde(default = "exchange")]
    token_url: String,
    credential_source: Source,
    service_account_impersonation_url: Option<String>,
    quota_project_id: Option<Box<str>>,
}

/// Where that party's token is.
#[derive(Deserialize)]
struct Source {
    file: Option<PathBuf>,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    format: Format,
}

#[derive(Deserialize, Default)]
struct Format {
    subject_token_field_name: Option<String>,
}

/// A service account in whose name another one acts.
#[derive(Deserialize)]
pub(super) struct Impersonated {
    service_account_impersonation_url: String,
    source_credentials: Box<File>,
    quota_project_id: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfAccount {
    access_token: Secret,
    expire_time: String,
}

impl File {
    pub(super) fn parse(text: &str) -> Result<Self, Cause> {
        // The parser's own words would quote the file.
        serde_json::from_str(text).map_err(|why| {
            Cause::setup(format!(
                "the file of Google's credentials is none of service_account, authorized_user, external_account (of a file \
                 or an address) and impersonated_service_account, or lacks a field (line {})",
                why.line()
            ))
        })
    }

    pub(super) fn quota_project(&self) -> Option<Box<str>> {
        match self {
            Self::ServiceAccount(_) => None,
            Self::AuthorizedUser(user) => user.quota_project_id.clone(),
            Self::ExternalAccount(external) => external.quota_project_id.clone(),
            Self::ImpersonatedServiceAccount(account) => account.quota_project_id.clone(),
        }
    }

    pub(super) async fn access(&self, web: &Web) -> Result<Access, Cause> {
        match self {
            Self::ServiceAccount(account) => account.access(web).await,
            Self::AuthorizedUser(user) => user.access(web).await,
            Self::ExternalAccount(external) => external.access(web).await,
            Self::ImpersonatedServiceAccount(account) => {
                let source = Box::pin(account.source_credentials.access(web)).await?;
                impersonate(web, &account.service_account_impersonation_url, &source.token).await
            }
        }
    }
}

impl Account {
    async fn access(&self, web: &Web) -> Result<Access, Cause> {
        let assertion = jwt::sign(self, SCOPE, SystemTime::now())?;
        let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        token(
            &web.ask(Ask::form(&self.token_uri, &[("grant_type", grant), ("assertion", &assertion)])).await?,
        )
    }
}

impl User {
    async fn access(&self, web: &Web) -> Result<Access, Cause> {
        let fields = [
            ("grant_type", "refresh_token"),
            ("client_id", &*self.client_id),
            ("client_secret", self.client_secret.reveal()),
            ("refresh_token", self.refresh_token.reveal()),
        ];
        token(&web.ask(Ask::form(&self.token_uri, &fields)).await?)
    }
}

impl External {
    async fn access(&self, web: &Web) -> Result<Access, Cause> {
        let subject = self.credential_source.subject(web).await?;
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("audience", &*self.audience),
            ("subject_token_type", &*self.subject_token_type),
            ("subject_token", subject.reveal()),
            ("scope", SCOPE),
        ];
        let access = token(&web.ask(Ask::form(&self.token_url, &fields)).await?)?;
        match &self.service_account_impersonation_url {
            Some(url) => impersonate(web, url, &access.token).await,
            None => Ok(access),
        }
    }
}

impl Source {
    async fn subject(&self, web: &Web) -> Result<Secret, Cause> {
        let text = match (&self.file, &self.url) {
            (Some(file), _) => read(file).await?,
            (None, Some(url)) => {
                // Whose address it is, is the file's business; its headers name a flavour or hold a token.
                let ask = Ask::get(url);
                let ask = self.headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
                let ask = if self.headers.is_empty() { ask.near() } else { ask };
                web.ask(ask).await?.text("a token")?.to_owned()
            }
            (None, None) => {
                return Err(Cause::setup(
                    "credential_source of the external account has neither `file` nor `url`; others are not supported",
                ));
            }
        };
        let Some(field) = &self.format.subject_token_field_name else { return Ok(Secret::new(text.trim())) };
        let parsed: Value = serde_json::from_str(&text).unwrap_or_default();
        let found = parsed.get(field).and_then(Value::as_str).map(Secret::new);
        found.ok_or_else(|| {
            Cause::setup("the token of the external account is not in the field that is named for it")
        })
    }
}

/// A token of the account behind `url`, for whoever `token` is.
async fn impersonate(web: &Web, url: &str, token: &Secret) -> Result<Access, Cause> {
    let ask = Ask::json(url, &json!({"scope": [SCOPE], "lifetime": "3600s"}));
    let told = web.ask(ask.header("authorization", &format!("Bearer {}", token.reveal()))).await?;
    let of: OfAccount = told.json("a token")?;
    let end = read_rfc3339(&of.expire_time).ok_or_else(|| told.lacks("the time its token expires at"))?;
    let seconds = end.duration_since(SystemTime::now()).unwrap_or_default().as_secs();
    Ok(Access { token: of.access_token, seconds })
}

fn token(told: &Told) -> Result<Access, Cause> {
    told.json("a token").map(Token::access)
}
