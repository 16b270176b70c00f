//! The certificates of the lab: a root, an intermediate, and a leaf with nothing or one thing wrong.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Real certificates carry a kilobyte and more of signed timestamps and addresses: with them a server's first flight
/// is larger than one packet.
const BALLAST: usize = 1200;
/// Of nobody: an arc for examples, 2.999.
const BALLAST_OID: &[u64] = &[2, 999, 1];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The authority whose root the vantage points trust.
pub struct Pki {
    names: Vec<String>,
    root: Authority,
    intermediate: Authority,
}

/// What a mail server presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// Valid for 90 days, for the right names, with its intermediate.
    Good,
    /// Ended yesterday.
    Expired,
    /// Begins tomorrow.
    NotYet,
    /// Good, without its intermediate.
    Alone,
    /// Good, for every name of the domain.
    Wildcard,
    /// Valid for another name.
    WrongName,
    /// Signed by its own key.
    SelfSigned,
    /// Signed by an authority that nobody trusts.
    Untrusted,
}

/// A certificate chain and its key, as a server's configuration wants them.
pub struct Credentials {
    /// Leaf first, then the intermediate where there is one.
    pub chain_pem: String,
    /// PKCS #8.
    pub key_pem: String,
}

impl Credentials {
    /// What a server of the lab's own presents them with.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor> {
        let chain = CertificateDer::pem_slice_iter(self.chain_pem.as_bytes()).collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes())?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

type Authority = CertifiedIssuer<'static, KeyPair>;

impl Pki {
    /// An authority for servers that answer to `names`.
    pub fn new(names: &[&str]) -> Result<Self> {
        let (root, intermediate) = authority("Lab")?;
        Ok(Self {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            root,
            intermediate,
        })
    }

    /// The root, for `--ca-file`.
    pub fn root_pem(&self) -> String {
        self.root.pem()
    }

    /// The root, as an order brings it.
    pub fn root_der(&self) -> Vec<u8> {
        self.root.der().to_vec()
    }

    /// A new key and a certificate for it.
    pub fn issue(&self, leaf: Leaf) -> Result<Credentials> {
        let key = KeyPair::generate()?;
        let key_pem = key.serialize_pem();
        let chain_pem = match leaf {
            Leaf::Good => self.chain(&self.leaf_params()?, &key, &self.intermediate)?,
            Leaf::Expired => {
                let mut params = self.leaf_params()?;
                let now = SystemTime::now();
                set_validity(&mut params, now - 90 * DAY, now - DAY);
                self.chain(&params, &key, &self.intermediate)?
            }
            Leaf::NotYet => {
                let mut params = self.leaf_params()?;
                let now = SystemTime::now();
                set_validity(&mut params, now + DAY, now + 90 * DAY);
                self.chain(&params, &key, &self.intermediate)?
            }
            Leaf::Alone => self.leaf_params()?.signed_by(&key, &self.intermediate)?.pem(),
            Leaf::Wildcard => {
                let domain = self.names[0].split_once('.').map_or("", |(_, domain)| domain);
                let params = params(&format!("*.{domain}"), 90)?;
                self.chain(&params, &key, &self.intermediate)?
            }
            Leaf::WrongName => {
                self.chain(&params("mail.elsewhere.example", 90)?, &key, &self.intermediate)?
            }
            Leaf::SelfSigned => self.leaf_params()?.self_signed(&key)?.pem(),
            Leaf::Untrusted => {
                let (_, stranger) = authority("Stranger")?;
                self.chain(&self.leaf_params()?, &key, &stranger)?
            }
        };
        Ok(Credentials { chain_pem, key_pem })
    }

    fn chain(&self, params: &CertificateParams, key: &KeyPair, issuer: &Authority) -> Result<String> {
        Ok(params.signed_by(key, issuer)?.pem() + &issuer.pem())
    }

    fn leaf_params(&self) -> Result<CertificateParams> {
        let mut leaf = params(&self.names[0], 90)?;
        leaf.subject_alt_names = CertificateParams::new(self.names.clone())?.subject_alt_names;
        Ok(leaf)
    }
}

fn authority(name: &str) -> Result<(Authority, Authority)> {
    let root = CertifiedIssuer::self_signed(ca_params(&format!("{name} Root CA"))?, KeyPair::generate()?)?;
    let below = ca_params(&format!("{name} Issuing CA"))?;
    let intermediate = CertifiedIssuer::signed_by(below, KeyPair::generate()?, &root)?;
    Ok((root, intermediate))
}

fn ca_params(name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for(&mut params, 3650);
    Ok(params)
}

fn params(name: &str, days: u32) -> Result<CertificateParams> {
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.distinguished_name = common_name(name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    // An octet string, as the content of most extensions is.
    let ballast = [
        &[0x04, 0x82, (BALLAST >> 8) as u8, (BALLAST & 0xff) as u8][..],
        &[0; BALLAST],
    ]
    .concat();
    params.custom_extensions = vec![CustomExtension::from_oid_content(BALLAST_OID, ballast)];
    valid_for(&mut params, days);
    Ok(params)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn valid_for(params: &mut CertificateParams, days: u32) {
    let now = SystemTime::now();
    set_validity(params, now - 2 * DAY, now + DAY * days);
}

fn set_validity(params: &mut CertificateParams, not_before: SystemTime, not_after: SystemTime) {
    let epoch = date_time_ymd(1970, 1, 1);
    let since_epoch = |moment: SystemTime| moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    params.not_before = epoch + since_epoch(not_before);
    params.not_after = epoch + since_epoch(not_after);
}
