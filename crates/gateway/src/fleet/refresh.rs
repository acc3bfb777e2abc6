//! Newer lists of models and prices, where the operator names a place for them.
//!
//! Nothing waits for it: the gateway serves with the list it has, and a list that is refused, late or not there leaves
//! that in force.

use super::Fleet;
use crate::config::RefreshSettings;
use crate::shared::Shared;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use ring::signature::{ED25519, UnparsedPublicKey};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use trunkline_dialect::catalog::{Listing, ListingError};
use trunkline_dialect::rope::Rope;
use trunkline_upstream::{BadUrl, Endpoint, UpstreamError};

/// How often it is asked whether there is something to do.
const LOOK: Duration = Duration::from_secs(1);
/// How long after a failure it is tried again, unless lists are fetched more often than that.
const AGAIN: Duration = Duration::from_secs(300);
/// The longest list: some twenty times what is built in.
const LONGEST: usize = 32 << 20;
/// The longest signature's file.
const LONGEST_SIGNATURE: usize = 1024;

/// Why no list came of it.
#[derive(Debug, thiserror::Error)]
enum RefreshError {
    #[error(transparent)]
    Address(#[from] BadUrl),
    #[error("its address cannot be asked for")]
    Path,
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("it takes longer than {} s", .0.as_secs())]
    Late(Duration),
    #[error("the answer is {0}; redirects are not followed")]
    Status(StatusCode),
    #[error("its signature is not that of `catalog.refresh.public_key`")]
    Signature,
    #[error("it is no text")]
    Text,
    #[error("not a list of models: {0}")]
    List(#[from] ListingError),
    #[error("{0}")]
    File(#[from] std::io::Error),
}

/// What is known of the place.
#[derive(Default)]
pub(crate) struct Place {
    settings: RefreshSettings,
    /// Of the list in force.
    etag: Option<HeaderValue>,
    /// When to ask next; `None` for now.
    next: Option<Instant>,
}

/// What one question brought.
enum News {
    Same,
    List(Arc<Listing>, Option<HeaderValue>, Bytes),
}

/// Keeps the list of models as new as is configured, until it is aborted; `place` is what [`Fleet::begin_list`] found.
pub(crate) async fn refresh(shared: Arc<Shared>, mut place: Place) {
    let fleet = &shared.fleet;
    loop {
        if fleet.snapshot().config.catalog.refresh != place.settings {
            place = fleet.begin_list().await;
        }
        if place.settings.url.is_some() && place.next.is_none_or(|next| next <= Instant::now()) {
            fleet.renew(&mut place).await;
        }
        sleep(LOOK.min(place.settings.interval)).await;
    }
}

impl Fleet {
    /// Takes the list that an earlier process or configuration kept, or what is built in, as the configuration has it.
    pub(crate) async fn begin_list(&self) -> Place {
        let settings = self.snapshot().config.catalog.refresh.clone();
        let listing = match settings.file.clone().filter(|_| settings.url.is_some()) {
            Some(file) => kept(file).await,
            None => None,
        };
        self.list(listing.map(Arc::new));
        Place { settings, ..Place::default() }
    }

    async fn renew(&self, place: &mut Place) {
        let Place { settings, etag, next } = place;
        let url = settings.url.as_deref().unwrap_or_default();
        let late = Err(RefreshError::Late(settings.timeout));
        let news = tokio::time::timeout(settings.timeout, self.ask(settings, url, etag.as_ref()));
        let (outcome, wait) = match news.await.unwrap_or(late) {
            Ok(News::Same) => ("unchanged", settings.interval),
            Ok(News::List(listing, tag, bytes)) => {
                tracing::info!(models = listing.lines().count(), "a list of models was fetched");
                self.list(Some(listing));
                *etag = tag;
                if let Some(file) = settings.file.clone() {
                    let kept = tokio::task::spawn_blocking(move || keep(&file, &bytes)).await;
                    if let Ok(Err(error)) = kept {
                        tracing::warn!(%error, "the list of models was not written to `catalog.refresh.file`");
                    }
                }
                ("taken", settings.interval)
            }
            Err(error) => {
                tracing::warn!(%error, "the list of models was not refreshed; the last good one stays in force");
                ("failed", settings.interval.min(AGAIN))
            }
        };
        self.metrics.catalog_refreshes.with_label_values(&[outcome]).inc();
        *next = Some(Instant::now() + wait);
    }

    async fn ask(
        &self,
        settings: &RefreshSettings,
        url: &str,
        etag: Option<&HeaderValue>,
    ) -> Result<News, RefreshError> {
        let (status, headers, bytes) = self.get(url, "", etag, settings.timeout, LONGEST).await?;
        if status == StatusCode::NOT_MODIFIED && etag.is_some() {
            return Ok(News::Same);
        }
        if status != StatusCode::OK {
            return Err(RefreshError::Status(status));
        }
        if let Some(key) = &settings.public_key {
            let (status, _, signature) =
                self.get(url, ".sig", None, settings.timeout, LONGEST_SIGNATURE).await?;
            if status != StatusCode::OK || !is_signed(key, &bytes, &signature) {
                return Err(RefreshError::Signature);
            }
        }
        let text = bytes.clone();
        let read = move || {
            let text = std::str::from_utf8(&text).map_err(|_| RefreshError::Text)?;
            Ok::<_, RefreshError>(Listing::read(text)?)
        };
        // Thousands of lines are read; requests have threads of their own, but probes do not.
        let listing = tokio::task::spawn_blocking(read).await.map_err(|_| RefreshError::Text)??;
        Ok(News::List(Arc::new(listing), headers.get(header::ETAG).cloned(), bytes))
    }

    async fn get(
        &self,
        url: &str,
        end: &str,
        etag: Option<&HeaderValue>,
        timeout: Duration,
        limit: usize,
    ) -> Result<(StatusCode, HeaderMap, Bytes), RefreshError> {
        let (endpoint, path) = parts(url, end)?;
        let headers = || {
            let accept =
                (header::ACCEPT, HeaderValue::from_static("text/tab-separated-values, text/plain, */*"));
            let tag = etag.map(|etag| (header::IF_NONE_MATCH, etag.clone()));
            std::iter::once(accept).chain(tag).collect()
        };
        let rope = Rope::default();
        let answer = self.pool.send_once(&endpoint, Method::GET, &path, headers, &rope, timeout).await?;
        let body = answer.body.collect(limit).await?;
        Ok((answer.head.status, answer.head.headers, body))
    }
}

/// The list in `file`, if there is a good one.
async fn kept(file: PathBuf) -> Option<Listing> {
    let read = move || match std::fs::read_to_string(&file) {
        Ok(text) => Listing::read(&text).map(Some).map_err(RefreshError::from),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(listing)) => listing,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the list of models in `catalog.refresh.file` is left out");
            None
        }
        Err(_) => None,
    }
}

/// Where `url` with `end` behind its path is.
fn parts(url: &str, end: &str) -> Result<(Endpoint, PathAndQuery), RefreshError> {
    let uri: Uri = url.parse().map_err(|_| RefreshError::Path)?;
    let scheme = uri.scheme_str().unwrap_or_default();
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let endpoint = Endpoint::parse(&format!("{scheme}://{authority}"))?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = format!("{}{end}{query}", uri.path());
    Ok((endpoint, PathAndQuery::try_from(path).map_err(|_| RefreshError::Path)?))
}

/// Whether `signature`, in base64, is that of whose public key is `key` (Ed25519, RFC 8032).
fn is_signed(key: &str, bytes: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = BASE64_STANDARD.decode(key) else { return false };
    let Ok(signature) = BASE64_STANDARD.decode(signature.trim_ascii()) else { return false };
    UnparsedPublicKey::new(&ED25519, key).verify(bytes, &signature).is_ok()
}

/// Writes a list down, whole or not at all.
fn keep(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut begun = tempfile::NamedTempFile::new_in(folder)?;
    begun.write_all(bytes)?;
    begun.as_file().sync_all()?;
    begun.persist(file)?;
    Ok(())
}
