//! A chain, its environment, and the endpoint that stands for all it may ask.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use trunkline_core::{Secret, Utc};
use trunkline_credentials::{Chain, ChainError, Grant, Lent, Surroundings, Web};
use trunkline_testkit::script::{Reply, Upstream};
use trunkline_upstream::{ConnectionCounts, Connector, ConnectorSettings, Pool, PoolSettings};

/// A home directory and variables.
pub(crate) struct Home {
    folder: TempDir,
    env: BTreeMap<String, String>,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let env = BTreeMap::from([("HOME".to_owned(), folder.path().display().to_string())]);
        Self { folder, env }
    }

    pub(crate) fn var(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// Writes a file and says where.
    pub(crate) fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        self.write(path, text);
        self
    }

    pub(crate) fn env(&self) -> Surroundings {
        Surroundings::of(&self.env)
    }
}

pub(crate) async fn ask(chain: &Chain) -> Result<Grant, ChainError> {
    let settings = ConnectorSettings {
        timeout: Duration::from_secs(5),
        ca_certs: Vec::new(),
        http2_prior_knowledge: false,
    };
    let pool = PoolSettings { idle: 1, idle_timeout: Duration::from_secs(1) };
    let connector = Arc::new(Connector::new(settings));
    chain.ask(&Web::new(Pool::new(connector, pool, Arc::new(ConnectionCounts::default())))).await
}

/// The token of a grant, and the project it is charged to.
pub(crate) fn token(grant: Grant) -> (String, Option<String>, Option<Duration>) {
    match grant.lent {
        Lent::Bearer { token, quota_project } => {
            (token.reveal().to_owned(), quota_project.map(Into::into), grant.lifetime)
        }
        Lent::Keys(signer) => panic!("keys instead of a token: {signer:?}"),
    }
}

/// Id, secret and token of a grant, and for how long it is.
pub(crate) fn keys(grant: Grant) -> (String, String, Option<String>, Option<Duration>) {
    let text = |secret: &Secret| secret.reveal().to_owned();
    match grant.lent {
        Lent::Keys(signer) => {
            let token = signer.session_token.as_ref().map(text);
            (text(&signer.access_key_id), text(&signer.secret_access_key), token, grant.lifetime)
        }
        Lent::Bearer { .. } => panic!("a token instead of keys"),
    }
}

/// An hour from now, as clouds write it.
pub(crate) fn in_an_hour() -> String {
    Utc::from(SystemTime::now() + Duration::from_secs(3600)).rfc3339()
}

/// Whether something was lent for about an hour.
pub(crate) fn is_about_an_hour(lifetime: Option<Duration>) -> bool {
    lifetime.is_some_and(|left| (3300..=3600).contains(&left.as_secs()))
}

/// Answers `path` with JSON, and everything else with 404.
pub(crate) async fn only(path: &'static str, body: String) -> Upstream {
    Upstream::directed(move |asked, _| {
        if asked.path() == path { Reply::json(200, body.clone()) } else { Reply::json(404, "{}") }
    })
    .await
    .unwrap()
}

/// The fields of a form.
pub(crate) fn form(body: &[u8]) -> BTreeMap<String, String> {
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let text = std::str::from_utf8(body).unwrap();
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (decoded(k), decoded(v))).collect()
}
