//! Fetches a picture that a target cannot fetch by itself, to be sent inline.
//!
//! The address comes from a caller, so it must not lead into the operator's network: only public
//! addresses are dialled, after the name was resolved and whatever it resolves to; redirects are not
//! followed; size and time are bounded.

use crate::connect::Connector;
use crate::reach::{self, Place, Reach};
use crate::{Pool, UpstreamError};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, Method, StatusCode, header};
use std::sync::Arc;
use std::time::Duration;
use trunkline_dialect::rope::Rope;

/// What may be fetched.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest picture.
    pub bytes: usize,
    /// How long it may take in all.
    pub timeout: Duration,
    /// Whether private and loopback addresses may be dialled.
    pub private: bool,
}

/// A fetched picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// Its media type, without parameters.
    pub mime: String,
    /// Its bytes in standard base64.
    pub base64: String,
}

/// Why a picture could not be had.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// Not an address that may be fetched.
    #[error("its address is not allowed")]
    Address,
    /// The other side failed.
    #[error("it could not be fetched")]
    Fetch(#[source] UpstreamError),
    /// The other side answered something else than the picture.
    #[error("its server answered {0}")]
    Status(StatusCode),
    /// Not a picture.
    #[error("it is not an image")]
    NotAnImage,
}

/// Fetches `url`.
///
/// # Errors
/// See [`MediaError`]; none of them quotes the address or the answer.
pub async fn fetch(
    connector: &Arc<Connector>,
    pool: &Arc<Pool>,
    url: &str,
    limits: Limits,
) -> Result<Media, MediaError> {
    let to = Place::parse(url).ok_or(MediaError::Address)?;
    let reach = if limits.private { Reach::Anywhere } else { Reach::Public };
    let exchange = async {
        let headers = || HeaderMap::from_iter([(header::ACCEPT, http::HeaderValue::from_static("image/*"))]);
        let nothing = Rope::default();
        let answer =
            reach::send((connector, pool), reach, &to, Method::GET, headers, &nothing, limits.timeout)
                .await
                .map_err(MediaError::Fetch)?;
        if !answer.head.status.is_success() {
            return Err(MediaError::Status(answer.head.status));
        }
        let kind =
            answer.head.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let mime = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !mime.starts_with("image/") {
            return Err(MediaError::NotAnImage);
        }
        let bytes = answer.body.collect(limits.bytes).await.map_err(MediaError::Fetch)?;
        Ok(Media { mime, base64: BASE64_STANDARD.encode(bytes) })
    };
    let late = Err(MediaError::Fetch(UpstreamError::FirstByteTimeout(limits.timeout)));
    tokio::time::timeout(limits.timeout, exchange).await.unwrap_or(late)
}
