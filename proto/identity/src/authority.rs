//! The built-in certificate authority.

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, SystemTime};

use parallax_model::identity::SpiffeId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData,
    SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};
use sha2::{Digest as _, Sha256};

use crate::identity::{Identity, IdentityError, read_certificates, to_pem};
use crate::key::LocalKey;
use crate::store::{self, Readers};

/// How long a certificate of an agent, an operator or the collector is valid.
pub const LEAF_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);
const CA_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Certificates begin in the past, so that a clock which is a little behind does not refuse them.
pub(crate) const BACKDATE: Duration = Duration::from_secs(300);
/// Ours have about 200 bytes; nothing larger is parsed for a stranger.
const LARGEST_REQUEST: usize = 4096;
/// Authorities that may stand between this one and a leaf: the next, which it vouches for during a rollover.
const CROSS_SIGNED: u8 = 1;
/// Of a serial number, so that none is ever given twice (CA/Browser Forum asks for 8; RFC 5280 allows 20).
const SERIAL_BYTES: usize = 16;

const LOCK_FILE: &str = "ca.lock";

/// The files of one generation of authorities.
pub(crate) struct Names {
    /// Its certificate.
    pub(crate) certificate: String,
    /// Its key.
    pub(crate) key: String,
    /// Its certificate from the generation before.
    pub(crate) cross: String,
    /// Its own name.
    common: String,
}

impl Names {
    /// Of a generation; the first has the number 1.
    pub(crate) fn of(number: u32) -> Self {
        let (file, common) = match number {
            1 => ("ca".to_owned(), "Parallax CA".to_owned()),
            _ => (format!("ca-{number}"), format!("Parallax CA {number}")),
        };
        Self {
            certificate: format!("{file}.pem"),
            key: format!("{file}-key.pem"),
            cross: format!("{file}-cross.pem"),
            common,
        }
    }
}

/// One certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    /// The authority kept in a directory (`ca.pem`, `ca-key.pem` of mode 0600), made now if there is none. Programs
    /// that start at the same time get the same one.
    pub fn load_or_create(directory: &Path) -> Result<Self, IdentityError> {
        let names = Names::of(1);
        if let Some(authority) = Self::load(directory, &names)? {
            return Ok(authority);
        }
        store::private_dir(directory).map_err(IdentityError::file(directory))?;
        let lock = directory.join(LOCK_FILE);
        let _held = store::lock(&lock).map_err(IdentityError::file(&lock))?;
        match Self::load(directory, &names)? {
            Some(authority) => Ok(authority),
            None => Self::create(directory, &names),
        }
    }

    /// An authority that lives as long as the process.
    pub fn ephemeral() -> Result<Self, IdentityError> {
        Self::with_key(LocalKey::generate()?, &Names::of(1))
    }

    pub(crate) fn load(directory: &Path, names: &Names) -> Result<Option<Self>, IdentityError> {
        let Some(certificates) = read_certificates(&directory.join(&names.certificate))? else {
            return Ok(None);
        };
        let missing = |what| IdentityError::Incomplete {
            path: directory.to_owned(),
            what,
        };
        let key = LocalKey::load(&directory.join(&names.key))?.ok_or_else(|| missing("the CA's key"))?;
        let certificate = certificates
            .into_iter()
            .next()
            .ok_or_else(|| missing("the CA's certificate"))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key.0)?;
        let authority = Self { issuer, certificate };
        authority.is_whole()?;
        Ok(Some(authority))
    }

    pub(crate) fn create(directory: &Path, names: &Names) -> Result<Self, IdentityError> {
        let key = LocalKey::generate()?;
        key.save(&directory.join(&names.key))?;
        let authority = Self::with_key(key, names)?;
        // Last: the certificate says that the key is there.
        let path = directory.join(&names.certificate);
        let pem = to_pem(std::slice::from_ref(&authority.certificate));
        store::write_whole(&path, pem.as_bytes(), Readers::All).map_err(IdentityError::file(&path))?;
        Ok(authority)
    }

    fn with_key(key: LocalKey, names: &Names) -> Result<Self, IdentityError> {
        let params = ca_params(common_name(&names.common), CROSS_SIGNED)?;
        let certificate = params.self_signed(&key.0)?.der().clone();
        Ok(Self {
            issuer: Issuer::new(params, key.0),
            certificate,
        })
    }

    /// A certificate of this authority for another: what leads to that one leads here too.
    pub(crate) fn cross_sign(
        &self,
        next: &Self,
        names: &Names,
    ) -> Result<CertificateDer<'static>, IdentityError> {
        let mut params = ca_params(common_name(&names.common), 0)?;
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(next.issuer.key(), &self.issuer)?.der().clone())
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
        let key = requested_key(csr_der)?;
        let params = leaf_params(spiffe, ExtendedKeyUsagePurpose::ClientAuth, from_now(lifetime))?;
        self.sign(params, &key)
    }

    /// The collector's own identity, valid for these host names and addresses.
    pub fn issue_server(&self, spiffe: &SpiffeId, names: &[String]) -> Result<Identity, IdentityError> {
        let anchors = vec![self.certificate.to_vec()];
        self.issue_server_beside(spiffe, names, std::iter::empty(), anchors)
    }

    /// The same, with more certificates to show, and other anchors.
    pub(crate) fn issue_server_beside(
        &self,
        spiffe: &SpiffeId,
        names: &[String],
        above: impl Iterator<Item = Vec<u8>>,
        anchors: Vec<Vec<u8>>,
    ) -> Result<Identity, IdentityError> {
        let key = LocalKey::generate()?;
        let mut params = leaf_params(
            spiffe,
            ExtendedKeyUsagePurpose::ServerAuth,
            from_now(LEAF_LIFETIME),
        )?;
        for name in names {
            params.subject_alt_names.push(host_name(name)?);
        }
        let mut chain = self.sign(params, &key.0)?;
        chain.extend(above);
        Identity::new(&key, chain, anchors)
    }

    pub(crate) fn sign(
        &self,
        params: CertificateParams,
        key: &impl PublicKeyData,
    ) -> Result<Vec<Vec<u8>>, IdentityError> {
        let leaf = params.signed_by(key, &self.issuer)?;
        Ok(vec![leaf.der().to_vec(), self.certificate.to_vec()])
    }

    fn is_whole(&self) -> Result<(), IdentityError> {
        use x509_parser::prelude::{FromDer as _, X509Certificate};
        let (_, certificate) = X509Certificate::from_der(&self.certificate)
            .map_err(|error| IdentityError::Certificate(format!("the CA's: {error}")))?;
        if certificate.public_key().raw == self.issuer.key().subject_public_key_info() {
            Ok(())
        } else {
            Err(IdentityError::AnotherKey)
        }
    }
}

fn ca_params(name: DistinguishedName, below: u8) -> Result<CertificateParams, IdentityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(serial_number()?);
    valid(&mut params, from_now(CA_LIFETIME));
    Ok(params)
}

pub(crate) fn leaf_params(
    spiffe: &SpiffeId,
    usage: ExtendedKeyUsagePurpose,
    validity: Range<SystemTime>,
) -> Result<CertificateParams, IdentityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(spiffe.name.as_str());
    params.subject_alt_names = vec![SanType::URI(spiffe.to_string().as_str().try_into()?)];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(serial_number()?);
    valid(&mut params, validity);
    Ok(params)
}

/// The public key of a request that is signed by it, so that nobody gets a certificate for a key of somebody else.
fn requested_key(csr_der: &[u8]) -> Result<rcgen::PublicKey, IdentityError> {
    let refused = |why: &str| IdentityError::Request(why.to_owned());
    if csr_der.len() > LARGEST_REQUEST {
        return Err(refused("it is too large"));
    }
    let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr_der))
        .map_err(|error| refused(&error.to_string()))?;
    if request.public_key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
        return Err(refused("its key is not ECDSA P-256"));
    }
    Ok(request.public_key)
}

pub(crate) fn host_name(name: &str) -> Result<SanType, IdentityError> {
    let bare = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(name);
    let wrong = || IdentityError::HostName(name.to_owned());
    match rustls::pki_types::ServerName::try_from(bare).map_err(|_| wrong())? {
        rustls::pki_types::ServerName::IpAddress(address) => Ok(SanType::IpAddress(address.into())),
        _ => Ok(SanType::DnsName(bare.try_into().map_err(|_| wrong())?)),
    }
}

fn from_now(lifetime: Duration) -> Range<SystemTime> {
    let now = SystemTime::now();
    now - BACKDATE..now + lifetime
}

fn valid(params: &mut CertificateParams, validity: Range<SystemTime>) {
    params.not_before = validity.start.into();
    params.not_after = validity.end.into();
}

fn serial_number() -> Result<SerialNumber, IdentityError> {
    let mut bytes = [0; SERIAL_BYTES];
    rustls::crypto::aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| IdentityError::Certificate("no random numbers".into()))?;
    // Positive, and never shorter than it looks (RFC 5280 section 4.1.2.2).
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::leaf;

    fn fra() -> SpiffeId {
        "spiffe://parallax.internal/agent/fra-1".parse().unwrap()
    }

    #[test]
    fn programs_that_start_together_on_an_empty_directory_get_one_authority() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let starts: Vec<_> = (0..8)
            .map(|_| {
                let data = data.clone();
                std::thread::spawn(move || Authority::load_or_create(&data).unwrap().fingerprint())
            })
            .collect();
        let first = Authority::load_or_create(&data).unwrap().fingerprint();
        for start in starts {
            assert_eq!(start.join().unwrap(), first);
        }
        let mode = std::fs::metadata(data.join("ca-key.pem"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_first_start_cut_short_begins_again_and_a_lost_key_is_said() {
        let directory = tempfile::tempdir().unwrap();
        LocalKey::generate()
            .unwrap()
            .save(&directory.path().join("ca-key.pem"))
            .unwrap();
        let made = Authority::load_or_create(directory.path()).unwrap();
        assert_eq!(
            Authority::load_or_create(directory.path()).unwrap().fingerprint(),
            made.fingerprint()
        );
        std::fs::remove_file(directory.path().join("ca-key.pem")).unwrap();
        assert!(matches!(
            Authority::load_or_create(directory.path()),
            Err(IdentityError::Incomplete { .. })
        ));
        LocalKey::generate()
            .unwrap()
            .save(&directory.path().join("ca-key.pem"))
            .unwrap();
        assert!(matches!(
            Authority::load_or_create(directory.path()),
            Err(IdentityError::AnotherKey)
        ));
    }

    #[test]
    fn the_identity_comes_from_the_issuer_and_never_from_the_request() {
        let authority = Authority::ephemeral().unwrap();
        let mut wishes = CertificateParams::default();
        wishes.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        wishes.subject_alt_names = vec![
            SanType::URI("spiffe://parallax.internal/admin/root".try_into().unwrap()),
            SanType::DnsName("collector.example".try_into().unwrap()),
        ];
        let key = LocalKey::generate().unwrap();
        let csr = wishes.serialize_request(&key.0).unwrap();
        let chain = authority.issue(csr.der(), &fra(), LEAF_LIFETIME).unwrap();
        let issued = Identity::new(&key, chain, vec![authority.certificate().to_vec()]).unwrap();
        assert_eq!(issued.spiffe(), &fra());
        assert!(leaf::host_names(&issued.chain()[0]).is_empty());
    }

    #[test]
    fn a_request_that_no_joiner_of_ours_makes_is_refused() {
        let authority = Authority::ephemeral().unwrap();
        let csr = LocalKey::generate().unwrap().csr(&fra().name).unwrap();
        let mut forged = csr.clone();
        *forged.last_mut().unwrap() ^= 1;
        let other_key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let other = CertificateParams::default()
            .serialize_request(&other_key)
            .unwrap()
            .der()
            .to_vec();
        for bad in [&b""[..], b"junk", &forged, &other, &[0x30; LARGEST_REQUEST + 1]] {
            let refused = authority.issue(bad, &fra(), LEAF_LIFETIME);
            assert!(matches!(refused, Err(IdentityError::Request(_))), "{refused:?}");
        }
    }

    #[test]
    fn two_certificates_for_one_key_have_two_serial_numbers() {
        let authority = Authority::ephemeral().unwrap();
        let csr = LocalKey::generate().unwrap().csr(&fra().name).unwrap();
        let serial = || {
            use x509_parser::prelude::{FromDer as _, X509Certificate};
            let chain = authority.issue(&csr, &fra(), LEAF_LIFETIME).unwrap();
            X509Certificate::from_der(&chain[0])
                .unwrap()
                .1
                .raw_serial()
                .to_vec()
        };
        let (first, second) = (serial(), serial());
        assert_ne!(first, second);
        assert_eq!((first.len(), second.len()), (SERIAL_BYTES, SERIAL_BYTES));
    }

    #[test]
    fn the_collector_is_named_by_names_and_addresses_and_a_wrong_one_is_said() {
        let authority = Authority::ephemeral().unwrap();
        let id: SpiffeId = "spiffe://parallax.internal/collector/main".parse().unwrap();
        let names = ["collector.example", "10.0.0.1", "::1", "[2001:db8::1]"].map(str::to_owned);
        let identity = authority.issue_server(&id, &names).unwrap();
        let covered = leaf::host_names(&identity.chain()[0]);
        assert_eq!(covered, ["collector.example", "10.0.0.1", "::1", "2001:db8::1"]);
        let wrong = authority.issue_server(&id, &["a b".to_owned()]);
        assert!(matches!(wrong, Err(IdentityError::HostName(name)) if name == "a b"));
    }
}
