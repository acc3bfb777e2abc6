//! Dials: names to addresses, addresses to sockets, sockets to TLS where asked for.

use crate::{Endpoint, UpstreamError, tcp};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How to dial.
#[derive(Debug, Clone)]
pub struct ConnectorSettings {
    /// Until the connection stands, TLS included.
    pub timeout: Duration,
    /// Further roots (PEM files) besides the system's.
    pub ca_certs: Vec<PathBuf>,
    /// Speak HTTP/2 without asking on plain connections.
    pub http2_prior_knowledge: bool,
}

/// Dials. One for the whole process; the TLS setup is made when first needed.
#[derive(Debug)]
pub struct Connector {
    pub(crate) settings: ConnectorSettings,
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
}

/// The TLS setup could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up TLS towards upstreams: {0}")]
pub struct TlsSetup(String);

/// A connection's socket, and the protocol agreed on.
pub(crate) struct Dialled {
    pub(crate) socket: Socket,
    pub(crate) http2: bool,
}

/// Plain or TLS.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connector {
    /// Dials by these settings.
    #[must_use]
    pub fn new(settings: ConnectorSettings) -> Self {
        Self { settings, tls: OnceLock::new() }
    }

    /// Reads the certificates now, so that a bad file is known at start rather than at the first call.
    ///
    /// # Errors
    /// When a configured file cannot be used or no root certificate is found at all.
    pub fn prepare_tls(&self) -> Result<(), TlsSetup> {
        self.tls_config().map(drop).map_err(TlsSetup)
    }

    pub(crate) async fn dial(&self, to: &Endpoint) -> Result<Dialled, UpstreamError> {
        let limit = self.settings.timeout;
        tokio::time::timeout(limit, self.dial_unbounded(to))
            .await
            .unwrap_or(Err(UpstreamError::ConnectTimeout(limit)))
    }

    async fn dial_unbounded(&self, to: &Endpoint) -> Result<Dialled, UpstreamError> {
        self.dial_some(to, |_| true).await
    }

    /// Dials only addresses that `allow` lets through, whatever the name resolves to.
    pub(crate) async fn dial_some(
        &self,
        to: &Endpoint,
        allow: impl Fn(IpAddr) -> bool,
    ) -> Result<Dialled, UpstreamError> {
        let mut addresses: Vec<SocketAddr> = match to.host.parse::<IpAddr>() {
            Ok(ip) => vec![(ip, to.port).into()],
            Err(_) => {
                let found = tokio::net::lookup_host((to.host.as_str(), to.port)).await;
                found.map_err(UpstreamError::Resolve)?.collect()
            }
        };
        addresses.retain(|address| allow(address.ip()));
        let stream = tcp::connect(addresses).await?;
        if !to.tls {
            return Ok(Dialled { socket: Socket::Plain(stream), http2: self.settings.http2_prior_knowledge });
        }
        let config = self.tls_config().map_err(|e| UpstreamError::Tls(io::Error::other(e)))?;
        let name =
            ServerName::try_from(to.host.clone()).map_err(|e| UpstreamError::Tls(io::Error::other(e)))?;
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(UpstreamError::Tls)?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Dialled { socket: Socket::Tls(Box::new(stream)), http2 })
    }

    fn tls_config(&self) -> Result<Arc<ClientConfig>, String> {
        self.tls.get_or_init(|| client_config(&self.settings).map(Arc::new)).clone()
    }
}

fn client_config(settings: &ConnectorSettings) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    for path in &settings.ca_certs {
        let certs = CertificateDer::pem_file_iter(path).map_err(|e| format!("{}: {e}", path.display()))?;
        for cert in certs {
            let cert = cert.map_err(|e| format!("{}: {e}", path.display()))?;
            roots.add(cert).map_err(|e| format!("{}: {e}", path.display()))?;
        }
    }
    if roots.is_empty() {
        return Err(
            "no root certificate found; install the system's CA bundle or set `upstream.ca_certs`".to_owned()
        );
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
