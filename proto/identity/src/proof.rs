//! That a sealing key is an agent's: said by the key of the agent's own certificate, so that whoever passes both on
//! can't put a key of its own in the place.

use std::sync::Arc;

use parallax_model::credential::SealingProof;
use parallax_model::identity::{Role, SpiffeId};
use parallax_model::vantage::AgentName;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, SignatureScheme};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::identity::Identity;
use crate::leaf::Leaf;
use crate::server::provider;

/// Nothing else that this key signs begins so: TLS 1.3 signs behind 64 spaces (RFC 8446 section 4.4.3).
const PURPOSE: &str = "parallax sealing key v1";

/// Why a sealing key is not taken for the agent's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// No proof came with it.
    #[error("nothing proves its key")]
    Absent,
    /// The certificate is not from a CA that is trusted here, or over.
    #[error("the certificate that is to prove its key is not good: {0}")]
    Certificate(String),
    /// The certificate is somebody else's.
    #[error("its key is proved by a certificate of {0}")]
    AnotherName(String),
    /// The signature is of another key, or of something else.
    #[error("the signature over its key is wrong")]
    Signature,
}

/// Proves a sealing key with the certificate that TLS connections are made with; none without a certificate.
pub(crate) fn prove(certificate: &dyn ResolvesClientCert, sealing_key: &[u8]) -> Option<SealingProof> {
    let known: Vec<_> = schemes().map(|(scheme, _)| *scheme).collect();
    let certified = certificate.resolve(&[], &known)?;
    let spiffe = Leaf::of(&certified.cert).ok()?.spiffe;
    let signer = certified.key.choose_scheme(&known)?;
    Some(SealingProof {
        chain: certified.cert.iter().map(|der| der.to_vec()).collect(),
        scheme: signer.scheme().into(),
        signature: signer.sign(&statement(&spiffe, sealing_key)).ok()?,
    })
}

impl Identity {
    /// Checks that the sealing key is this agent's, as far as the CAs of this identity can be believed.
    ///
    /// # Errors
    /// When it is not, or nothing shows it.
    pub fn check_sealing_key(
        &self,
        agent: &AgentName,
        sealing_key: &[u8],
        proof: Option<&SealingProof>,
    ) -> Result<(), ProofError> {
        self.check_at(agent, sealing_key, proof, UnixTime::now())
    }

    fn check_at(
        &self,
        agent: &AgentName,
        sealing_key: &[u8],
        proof: Option<&SealingProof>,
        now: UnixTime,
    ) -> Result<(), ProofError> {
        // A CA of the operators' own may have certified agents of other trust domains.
        let wanted = SpiffeId {
            role: Role::Agent,
            name: agent.clone(),
            domain: self.spiffe().domain.clone(),
        };
        let proof = proof.ok_or(ProofError::Absent)?;
        verify(proof, &wanted, (sealing_key, self.anchors()), now)
    }
}

fn verify(
    proof: &SealingProof,
    wanted: &SpiffeId,
    (sealing_key, anchors): (&[u8], &[CertificateDer<'static>]),
    now: UnixTime,
) -> Result<(), ProofError> {
    let chain: Vec<CertificateDer<'static>> = proof.chain.iter().cloned().map(Into::into).collect();
    let (leaf, above) = chain.split_first().ok_or(ProofError::Absent)?;
    let wrong = |error: &dyn std::fmt::Display| ProofError::Certificate(error.to_string());
    let mut roots = RootCertStore::empty();
    for anchor in anchors {
        roots.add(anchor.clone()).map_err(|error| wrong(&error))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| wrong(&error))?
        .verify_client_cert(leaf, above, now)
        .map_err(|error| wrong(&error))?;
    let spiffe = Leaf::of(&chain).map_err(|error| wrong(&error))?.spiffe;
    if spiffe != *wanted {
        return Err(ProofError::AnotherName(spiffe.to_string()));
    }
    let statement = statement(&spiffe, sealing_key);
    match is_signed(leaf, proof, &statement) {
        true => Ok(()),
        false => Err(ProofError::Signature),
    }
}

fn is_signed(leaf: &CertificateDer<'_>, proof: &SealingProof, statement: &[u8]) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else {
        return false;
    };
    let key = &certificate.public_key().subject_public_key.data;
    schemes()
        .filter(|(scheme, _)| u16::from(*scheme) == proof.scheme)
        .flat_map(|(_, algorithms)| algorithms.iter())
        .any(|algorithm| {
            algorithm
                .verify_signature(key, statement, &proof.signature)
                .is_ok()
        })
}

fn statement(spiffe: &SpiffeId, sealing_key: &[u8]) -> Vec<u8> {
    let spiffe = spiffe.to_string();
    [PURPOSE.as_bytes(), spiffe.as_bytes(), sealing_key].join(&0)
}

type Algorithms = &'static [&'static dyn SignatureVerificationAlgorithm];

fn schemes() -> impl Iterator<Item = &'static (SignatureScheme, Algorithms)> {
    provider().signature_verification_algorithms.mapping.iter()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Authority, CollectorAddress, Dialer, LEAF_LIFETIME, LocalKey};

    const KEY: &[u8] = &[7; 32];

    fn identity(authority: &Authority, spiffe: &str) -> Identity {
        let spiffe: SpiffeId = spiffe.parse().unwrap();
        let key = LocalKey::generate().unwrap();
        let csr = key.csr(&spiffe.name).unwrap();
        let chain = authority.issue(&csr, &spiffe, LEAF_LIFETIME).unwrap();
        let anchor = chain.last().cloned().unwrap();
        Identity::new(&key, chain, vec![anchor]).unwrap()
    }

    fn proof_of(identity: &Identity) -> SealingProof {
        crate::install_provider();
        let collector: CollectorAddress = "collector.example.org:7143".parse().unwrap();
        let dialer = Dialer::new(collector, identity).unwrap();
        dialer.prove(KEY).unwrap()
    }

    fn fra() -> AgentName {
        "fra-1".parse().unwrap()
    }

    #[test]
    fn a_key_is_proved_by_the_certificate_of_its_agent_alone() {
        let authority = Authority::ephemeral().unwrap();
        let agent = identity(&authority, "spiffe://parallax.internal/agent/fra-1");
        let proof = proof_of(&agent);
        let judge = |proof: &SealingProof, key: &[u8]| agent.check_sealing_key(&fra(), key, Some(proof));
        assert_eq!(judge(&proof, KEY), Ok(()));
        assert_eq!(
            judge(&proof, &[8; 32]),
            Err(ProofError::Signature),
            "a key in its place"
        );
        assert_eq!(
            agent.check_sealing_key(&fra(), KEY, None),
            Err(ProofError::Absent)
        );

        for other in [
            "spiffe://parallax.internal/agent/ams-1",
            "spiffe://parallax.internal/operator/fra-1",
            "spiffe://elsewhere.example/agent/fra-1",
        ] {
            let proof = proof_of(&identity(&authority, other));
            assert_eq!(judge(&proof, KEY), Err(ProofError::AnotherName(other.to_owned())));
        }
        let mut taken = proof.clone();
        taken.signature = proof_of(&identity(&authority, "spiffe://parallax.internal/agent/fra-1")).signature;
        assert_eq!(judge(&taken, KEY), Err(ProofError::Signature), "by another key");
    }

    #[test]
    fn a_certificate_of_another_ca_or_one_that_is_over_proves_nothing() {
        let authority = Authority::ephemeral().unwrap();
        let agent = identity(&authority, "spiffe://parallax.internal/agent/fra-1");
        let thief = identity(
            &Authority::ephemeral().unwrap(),
            "spiffe://parallax.internal/agent/fra-1",
        );
        let judge = |proof: &SealingProof, now| agent.check_at(&fra(), KEY, Some(proof), now);
        let forged = judge(&proof_of(&thief), UnixTime::now());
        assert!(matches!(forged, Err(ProofError::Certificate(_))), "{forged:?}");
        let later = UnixTime::since_unix_epoch(
            Duration::from_secs(UnixTime::now().as_secs()) + LEAF_LIFETIME + Duration::from_secs(1),
        );
        let over = judge(&proof_of(&agent), later);
        assert!(matches!(over, Err(ProofError::Certificate(_))), "{over:?}");
    }
}
