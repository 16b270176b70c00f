//! The built-in certificate authority.

use std::path::Path;
use std::time::{Duration, SystemTime};

use parallax_model::identity::SpiffeId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls::pki_types::CertificateSigningRequestDer;
use sha2::{Digest as _, Sha256};

use crate::identity::{Identity, IdentityError, certificates, to_pem};
use crate::key::LocalKey;
use crate::store;

/// How long a certificate of an agent, an operator or the collector is valid.
pub const LEAF_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);
const CA_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Certificates begin in the past, so that a clock which is a little behind does not refuse them.
const BACKDATE: Duration = Duration::from_secs(300);

const CERTIFICATE_FILE: &str = "ca.pem";
const KEY_FILE: &str = "ca-key.pem";

/// The certificate authority of one collector.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Vec<u8>,
}

impl Authority {
    /// The authority kept in a directory (`ca.pem`, `ca-key.pem` of mode 0600), made now if there is none.
    pub fn load_or_create(directory: &Path) -> Result<Self, IdentityError> {
        let path = directory.join(CERTIFICATE_FILE);
        let kept = store::read(&path).map_err(|error| IdentityError::file(&path, error))?;
        if let Some(pem) = kept {
            let key = LocalKey::load(&directory.join(KEY_FILE))?
                .ok_or_else(|| IdentityError::Incomplete { path: directory.to_owned(), what: KEY_FILE })?;
            let certificate = certificates(&pem)?
                .into_iter()
                .next()
                .ok_or_else(|| IdentityError::Certificate(format!("{} holds none", path.display())))?;
            let issuer = Issuer::from_ca_cert_der(&certificate, key.0)?;
            return Ok(Self { issuer, certificate: certificate.to_vec() });
        }
        store::private_dir(directory).map_err(|error| IdentityError::file(directory, error))?;
        let key = LocalKey::generate()?;
        key.save(&directory.join(KEY_FILE))?;
        let authority = Self::with_key(key)?;
        let pem = to_pem(&[authority.certificate.clone().into()]);
        store::write_whole(&path, pem.as_bytes(), false).map_err(|error| IdentityError::file(&path, error))?;
        Ok(authority)
    }

    /// An authority that lives as long as the process.
    pub fn ephemeral() -> Result<Self, IdentityError> {
        Self::with_key(LocalKey::generate()?)
    }

    fn with_key(key: LocalKey) -> Result<Self, IdentityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name("Parallax CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        validity(&mut params, CA_LIFETIME);
        let certificate = params.self_signed(&key.0)?.der().to_vec();
        Ok(Self { issuer: Issuer::new(params, key.0), certificate })
    }

    /// SHA-256 of the CA certificate's DER: what a join token carries.
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.certificate).into()
    }

    /// The CA certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// A certificate for the key of a PKCS#10 request, with the identity given and none of the request's own words:
    /// leaf first, then the CA.
    pub fn issue(
        &self,
        csr_der: &[u8],
        spiffe: &SpiffeId,
        lifetime: Duration,
    ) -> Result<Vec<Vec<u8>>, IdentityError> {
        let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr_der))?;
        let params = leaf_params(spiffe, ExtendedKeyUsagePurpose::ClientAuth, lifetime)?;
        self.sign(params, &request.public_key)
    }

    /// The collector's own identity, valid for these host names and addresses.
    pub fn issue_server(&self, spiffe: &SpiffeId, names: &[String]) -> Result<Identity, IdentityError> {
        let key = LocalKey::generate()?;
        let mut params = leaf_params(spiffe, ExtendedKeyUsagePurpose::ServerAuth, LEAF_LIFETIME)?;
        for name in names {
            params.subject_alt_names.push(match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into()?),
            });
        }
        let chain = self.sign(params, &key.0)?;
        Identity::new(&key, chain, vec![self.certificate.clone()])
    }

    fn sign(&self, params: CertificateParams, key: &impl PublicKeyData) -> Result<Vec<Vec<u8>>, IdentityError> {
        let leaf = params.signed_by(key, &self.issuer)?;
        Ok(vec![leaf.der().to_vec(), self.certificate.clone()])
    }
}

fn leaf_params(
    spiffe: &SpiffeId,
    usage: ExtendedKeyUsagePurpose,
    lifetime: Duration,
) -> Result<CertificateParams, IdentityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(spiffe.name.as_str());
    params.subject_alt_names = vec![SanType::URI(spiffe.to_string().as_str().try_into()?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    validity(&mut params, lifetime);
    Ok(params)
}

fn validity(params: &mut CertificateParams, lifetime: Duration) {
    let now = SystemTime::now();
    params.not_before = (now - BACKDATE).into();
    params.not_after = (now + lifetime).into();
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
