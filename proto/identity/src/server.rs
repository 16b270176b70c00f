//! TLS between our own programs: version 1.3 only, HTTP/2 only.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WantsClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, ConfigBuilder, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::client_auth::ClientVerifier;
use crate::identity::{self, Identity, IdentityError};
use crate::trust::{CollectorVerifier, Trust};

const HTTP2: &[u8] = b"h2";
/// A caller that is slower than this is not one of ours.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// For a refused caller to hear why.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);
/// Of what a refused caller goes on to say.
const FAREWELL_BYTES: u64 = 64 * 1024;

/// The collector's side. A client may come without a certificate, since a joiner has none yet; one that is given
/// must lead to an anchor and be valid now, or have been within `grace`: its holder can renew it then, and nothing
/// else. What each may do is decided by the identity in it, call by call.
///
/// It serves as long as the identity's certificate lasts: at [`Identity::renew_at`] a new one is made, and given to
/// the connections accepted from then on.
pub fn server_config(identity: &Identity, grace: Duration) -> Result<Arc<ServerConfig>, IdentityError> {
    serve_with(
        identity.chain().to_vec(),
        identity.key(),
        identity.anchors(),
        grace,
    )
}

/// The same with a chain, its key, and the anchors for those who come.
pub(crate) fn serve_with(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    anchors: &[CertificateDer<'static>],
    grace: Duration,
) -> Result<Arc<ServerConfig>, IdentityError> {
    let wrong = |error: &dyn std::fmt::Display| IdentityError::Certificate(error.to_string());
    let clients = Clients::of(anchors, grace)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| wrong(&error))?
        .with_client_cert_verifier(clients.0)
        .with_single_cert(chain, key)
        .map_err(|error| wrong(&error))?;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    Ok(Arc::new(config))
}

/// Whom the collector hears out.
#[derive(Clone)]
pub struct Clients(Arc<dyn ClientCertVerifier>);

impl Clients {
    /// Those with a certificate that leads to one of these anchors, and is not over for longer than `grace`.
    pub fn of(anchors: &[CertificateDer<'static>], grace: Duration) -> Result<Self, IdentityError> {
        let roots = Arc::new(identity::roots(anchors)?);
        let strict = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .allow_unauthenticated()
            .build()
            .map_err(|error| IdentityError::Certificate(error.to_string()))?;
        Ok(Self(Arc::new(ClientVerifier::new(strict, grace))))
    }

    /// Whether a chain that was shown once, leaf first, would be taken now.
    pub fn vouch_for(&self, chain: &[CertificateDer<'_>]) -> bool {
        let Some((leaf, above)) = chain.split_first() else {
            return false;
        };
        self.0.verify_client_cert(leaf, above, UnixTime::now()).is_ok()
    }
}

/// The TLS handshake with one caller, within five seconds. A caller that is refused is told why: it has already begun
/// to speak HTTP/2, and a socket closed over unread bytes sends a reset that overtakes the alert.
pub async fn accept<S>(config: Arc<ServerConfig>, stream: S) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = TlsAcceptor::from(config).accept(stream).into_fallible();
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err((error, stream))) => {
            // The first error is the news; how the farewell goes is not.
            let _ = tokio::time::timeout(FAREWELL_TIMEOUT, say_farewell(stream)).await;
            Err(error)
        }
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn say_farewell(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(FAREWELL_BYTES), &mut tokio::io::sink()).await?;
    Ok(())
}

/// The dialler's side, before it says who it is.
pub(crate) fn client_builder(
    trust: Trust,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
    let verifier = CollectorVerifier::new(trust, provider());
    Ok(ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier)))
}

/// Ends what [`client_builder`] began.
pub(crate) fn over_http2(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![HTTP2.to_vec()];
    Arc::new(config)
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
