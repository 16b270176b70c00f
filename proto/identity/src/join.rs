//! Getting in with a token, and staying in.

use std::sync::Arc;

use parallax_model::token::JoinToken;
use parallax_model::vantage::AgentName;
use parallax_proto::v1;
use parallax_proto::v1::identity_client::IdentityClient;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::address::CollectorAddress;
use crate::dial::{DialError, Dialer};
use crate::identity::{Identity, IdentityError};
use crate::key::LocalKey;
use crate::server;

/// Why a process did not get in.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The collector could not be reached, or is not the one the token is for.
    #[error("join: {0}")]
    Dial(#[from] DialError),
    /// The collector refused.
    #[error("join: the collector refused the token: {0}")]
    Refused(String),
    /// The collector could not answer just now.
    #[error("join: {0}")]
    Unavailable(String),
    /// The key or what came back is not usable.
    #[error("join: {0}")]
    Identity(#[from] IdentityError),
}

impl JoinError {
    /// Whether trying again with the same token can help.
    pub const fn may_retry(&self) -> bool {
        match self {
            Self::Dial(DialError::Unreachable { .. }) | Self::Unavailable(_) => true,
            Self::Dial(DialError::Tls { .. }) | Self::Refused(_) | Self::Identity(_) => false,
        }
    }
}

/// Buys an identity. The collector must show the CA whose fingerprint is in the token before it is told the token's
/// secret.
pub async fn join(
    address: &CollectorAddress,
    token: &JoinToken,
    name: &AgentName,
    key: &LocalKey,
) -> Result<Identity, JoinError> {
    let config = pinned_config(*token.ca_sha256())
        .map_err(|error| JoinError::Identity(IdentityError::Certificate(error.to_string())))?;
    let channel = Dialer::with_config(address.clone(), Arc::new(config)).connect().await?;
    let request = v1::JoinRequest {
        token_secret: token.secret().to_vec(),
        name: name.to_string(),
        csr_der: key.csr(name)?,
    };
    let answer = IdentityClient::new(channel).join(request).await.map_err(refused)?.into_inner();
    let pinned = answer.anchors_der.iter().any(|anchor| Sha256::digest(anchor)[..] == token.ca_sha256()[..]);
    if !pinned {
        return Err(JoinError::Refused("the answer does not carry the token's CA".into()));
    }
    Ok(Identity::new(key, answer.chain_der, answer.anchors_der)?)
}

/// Renews the identity over a channel that was dialled with it.
pub async fn renew(channel: Channel, identity: &Identity, key: &LocalKey) -> Result<Identity, JoinError> {
    let request = v1::RenewRequest { csr_der: key.csr(&identity.spiffe().name)? };
    let answer = IdentityClient::new(channel).renew(request).await.map_err(refused)?.into_inner();
    Ok(Identity::new(key, answer.chain_der, answer.anchors_der)?)
}

fn refused(status: Status) -> JoinError {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Internal | Code::Unknown | Code::Cancelled => {
            JoinError::Unavailable(status.message().to_owned())
        }
        _ => JoinError::Refused(status.message().to_owned()),
    }
}

fn pinned_config(ca_sha256: [u8; 32]) -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let verifier = PinnedAuthority { ca_sha256, algorithms: provider.signature_verification_algorithms };
    let mut config = server::client_builder()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Trusts whoever presents the CA of this fingerprint and a certificate for the host from it.
#[derive(Debug)]
struct PinnedAuthority {
    ca_sha256: [u8; 32],
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let authority = intermediates
            .iter()
            .find(|certificate| Sha256::digest(certificate)[..] == self.ca_sha256)
            .ok_or_else(|| {
                rustls::Error::General(
                    "this is not the collector the token is for: it shows another CA".into(),
                )
            })?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let strict = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        strict.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
