//! Tokens of Google Cloud by Application Default Credentials: a file that is said, that of `gcloud`, the metadata
//! server.

mod file;
mod jwt;

use crate::web::{Ask, Web};
use crate::{Cause, Grant, Surroundings, aws::read};
use file::{Access, File};
use serde::Deserialize;
use std::path::PathBuf;
use trunkline_core::Secret;

/// All that Google Cloud has; what the account may do narrows it.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Where a machine of Google's asks for its own identity.
const METADATA: &str = "metadata.google.internal";
/// The variable of a file's path.
const FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
/// Where a machine asks, in place of its usual address.
const METADATA_HOST: &str = "GCE_METADATA_HOST";
/// The folder of gcloud's own file.
const FOLDER: &str = "CLOUDSDK_CONFIG";
/// Variables whose value is a file's contents or its path.
const INLINE: [&str; 2] = ["VERTEX_AI_SERVICE_ACCOUNT_JSON", "VERTEXAI_CREDENTIALS"];

/// Where tokens of Google Cloud come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoogleChain {
    /// A file of credentials that goes before those of the environment.
    pub file: Option<PathBuf>,
    /// The environment.
    pub env: Surroundings,
}

/// A token of one of Google's endpoints.
#[derive(Deserialize)]
struct Token {
    access_token: Secret,
    expires_in: u64,
}

impl GoogleChain {
    /// Variables that set it up.
    pub const VARIABLES: [&'static str; 5] = [INLINE[0], INLINE[1], FILE, FOLDER, METADATA_HOST];

    /// Whether anything of it is set up, without asking anybody.
    #[must_use]
    pub fn is_present(&self) -> bool {
        let said = [INLINE[0], INLINE[1], FILE, METADATA_HOST];
        self.file.is_some()
            || self.env.first(&said).is_some()
            || self.of_gcloud().is_some_and(|path| path.exists())
    }

    pub(crate) async fn ask(&self, web: &Web, tried: &mut Vec<&'static str>) -> Result<Grant, Cause> {
        if let Some(text) = self.said(tried).await? {
            let file = File::parse(&text)?;
            let access = file.access(web).await?;
            return Ok(Grant::bearer(access.token, access.seconds, file.quota_project()));
        }
        tried.push("metadata server");
        let Access { token, seconds } = self.metadata(web).await?;
        Ok(Grant::bearer(token, seconds, None))
    }

    /// The first file there is.
    async fn said(&self, tried: &mut Vec<&'static str>) -> Result<Option<String>, Cause> {
        if let Some(path) = &self.file {
            tried.push("configured file");
            return read(path).await.map(Some);
        }
        if let Some(text) = self.env.first(&INLINE) {
            tried.push("service account of the environment");
            let is_json = text.starts_with('{');
            return if is_json { Ok(Some(text.to_owned())) } else { read(text.as_ref()).await.map(Some) };
        }
        if let Some(path) = self.env.text(FILE) {
            tried.push(FILE);
            return read(path.as_ref()).await.map(Some);
        }
        tried.push("gcloud's file");
        match self.of_gcloud().filter(|path| path.exists()) {
            Some(path) => read(&path).await.map(Some),
            None => Ok(None),
        }
    }

    /// Where `gcloud auth application-default login` leaves its file.
    fn of_gcloud(&self) -> Option<PathBuf> {
        let folder = self.env.text(FOLDER).map(PathBuf::from);
        let folder = folder.or_else(|| self.env.at_home(".config/gcloud"))?;
        Some(folder.join("application_default_credentials.json"))
    }

    async fn metadata(&self, web: &Web) -> Result<Access, Cause> {
        let host = self.env.text(METADATA_HOST).unwrap_or(METADATA);
        let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
        web.ask(Ask::get(&url).near().header("metadata-flavor", "Google"))
            .await?
            .json("a token")
            .map(Token::access)
    }
}

impl Token {
    fn access(self) -> Access {
        Access { token: self.access_token, seconds: self.expires_in }
    }
}
