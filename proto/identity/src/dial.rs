//! The way to the collector: TCP, our own TLS, HTTP/2 with keepalive.

use std::io;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::address::CollectorAddress;
use crate::identity::Identity;

/// For TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the collector could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No connection.
    #[error("connect to {address}: {source}")]
    Unreachable {
        /// The collector.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The other side is not our collector, or does not want us.
    #[error("TLS with {address}: {message}")]
    Tls {
        /// The collector.
        address: String,
        /// What TLS said, in words.
        message: String,
    },
}

/// Dials one collector as one identity, which may be replaced by its renewal meanwhile.
#[derive(Clone)]
pub struct Dialer {
    address: CollectorAddress,
    config: Arc<RwLock<Arc<ClientConfig>>>,
}

impl Dialer {
    /// A dialer for an identity.
    pub fn new(address: CollectorAddress, identity: &Identity) -> Result<Self, rustls::Error> {
        Ok(Self::with_config(address, identity.client_config()?))
    }

    pub(crate) fn with_config(address: CollectorAddress, config: Arc<ClientConfig>) -> Self {
        Self { address, config: Arc::new(RwLock::new(config)) }
    }

    /// Uses another identity from the next connection on.
    pub fn replace(&self, identity: &Identity) -> Result<(), rustls::Error> {
        let config = identity.client_config()?;
        *self.config.write().unwrap_or_else(std::sync::PoisonError::into_inner) = config;
        Ok(())
    }

    /// Where it dials.
    pub const fn address(&self) -> &CollectorAddress {
        &self.address
    }

    /// Connects now. A connection that is lost is not made again: the caller dials.
    pub async fn connect(&self) -> Result<Channel, DialError> {
        let stream = self.open().await?;
        let mut once = Some(TokioIo::new(stream));
        let connector = service_fn(move |_: Uri| {
            let stream = once.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
            async move { stream }
        });
        self.endpoint().connect_with_connector(connector).await.map_err(|error| DialError::Tls {
            address: self.address.to_string(),
            message: words(&error),
        })
    }

    /// A channel that connects when it is used, and again after a loss.
    pub fn lazy(&self) -> Channel {
        let dialer = self.clone();
        self.endpoint().connect_with_connector_lazy(service_fn(move |_: Uri| {
            let dialer = dialer.clone();
            async move { dialer.open().await.map(TokioIo::new).map_err(io::Error::other) }
        }))
    }

    async fn open(&self) -> Result<TlsStream<TcpStream>, DialError> {
        match tokio::time::timeout(CONNECT_TIMEOUT, self.open_unhurried()).await {
            Ok(result) => result,
            Err(_) => Err(DialError::Unreachable {
                address: self.address.to_string(),
                source: io::ErrorKind::TimedOut.into(),
            }),
        }
    }

    async fn open_unhurried(&self) -> Result<TlsStream<TcpStream>, DialError> {
        let address = || self.address.to_string();
        let tcp = TcpStream::connect((self.address.host(), self.address.port()))
            .await
            .map_err(|source| DialError::Unreachable { address: address(), source })?;
        // A lost packet of Nagle's is a late order.
        let _ = tcp.set_nodelay(true);
        let name = ServerName::try_from(self.address.host().to_owned())
            .map_err(|error| DialError::Tls { address: address(), message: error.to_string() })?;
        let config = self.config.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        TlsConnector::from(config).connect(name, tcp).await.map_err(|error| DialError::Tls {
            address: address(),
            message: tls_words(&error),
        })
    }

    fn endpoint(&self) -> Endpoint {
        // The scheme is http because TLS is ours, below.
        let uri = format!("http://{}", self.address);
        Endpoint::from_shared(uri)
            .unwrap_or_else(|_| Endpoint::from_static("http://collector"))
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
    }
}

/// TLS errors in words an operator can act on.
pub(crate) fn tls_words(error: &io::Error) -> String {
    use rustls::{AlertDescription, CertificateError, Error};
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return error.to_string();
    };
    match tls {
        Error::InvalidCertificate(CertificateError::NotValidForNameContext { expected, presented }) => format!(
            "the collector's certificate is not for {}, but for {}: start it with --advertise {0}",
            expected.to_str(),
            presented.join(", ")
        ),
        Error::InvalidCertificate(
            CertificateError::NotValidYetContext { .. } | CertificateError::NotValidYet,
        ) => "the collector's certificate is not valid yet: is this host's clock right?".into(),
        Error::InvalidCertificate(CertificateError::ExpiredContext { .. } | CertificateError::Expired) => {
            "the collector's certificate has expired: is this host's clock right?".into()
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the collector's certificate is from another CA than the one that was joined".into()
        }
        Error::AlertReceived(AlertDescription::CertificateExpired) => {
            "this certificate has expired: join again with a new token".into()
        }
        other => other.to_string(),
    }
}

/// An error with everything below it, in one line.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        below = error.source();
    }
    text
}
