//! One certificate from its DER (RFC 5280).

use std::net::IpAddr;
use std::panic;

use hex::encode;
use jiff::Timestamp;
use parallax_model::certificate::CertificateFacts;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use super::key::Key;
use super::{Certificate, NAMES, distinguished_name, sha256, signature};

/// id-on-dnsSRV, RFC 4985 section 2.
const SRV_NAME: &str = "1.3.6.1.5.5.7.8.7";
/// id-ad-caIssuers, RFC 5280 section 4.2.2.1.
const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";
/// id-pe-tlsfeature, RFC 7633 section 6.
const TLS_FEATURE: &str = "1.3.6.1.5.5.7.1.24";
/// status_request as an INTEGER in that extension, RFC 6066 section 8.
const STATUS_REQUEST: [u8; 3] = [0x02, 0x01, 0x05];

/// Reads a certificate, or says why not. The parser has no known panic; if it has one, the probe survives it.
pub(super) fn certificate(der: &[u8]) -> Result<Certificate, String> {
    let read = panic::catch_unwind(|| match X509Certificate::from_der(der) {
        Ok((_, parsed)) => Ok(facts(der, &parsed)),
        Err(error) => Err(error.to_string()),
    });
    read.unwrap_or_else(|_| Err("the parser gave up".to_owned()))
}

fn facts(der: &[u8], parsed: &X509Certificate<'_>) -> Certificate {
    let names = Names::of(parsed);
    let extensions = Extensions::of(parsed);
    let key = Key::of(parsed.public_key());
    let (signature_algorithm, weak_signature) =
        signature::algorithm(&parsed.signature_algorithm.algorithm.to_id_string());
    let (subject, issuer) = (parsed.subject().as_raw(), parsed.issuer().as_raw());
    let self_signed = subject == issuer && extensions.signed_by_its_own_key();
    Certificate {
        facts: CertificateFacts {
            srv_names: names.srv.iter().take(NAMES).cloned().collect(),
            lifetime_left: None,
            scts: extensions.timestamps.try_into().unwrap_or(u32::MAX),
            must_staple: extensions.must_staple,
            ca_issuers: extensions.issuer_urls,
            subject: distinguished_name::text(parsed.subject()),
            issuer: distinguished_name::text(parsed.issuer()),
            serial: serial(parsed.raw_serial()),
            not_before: timestamp(parsed.validity().not_before),
            not_after: timestamp(parsed.validity().not_after),
            dns_names: names.dns.iter().take(NAMES).cloned().collect(),
            ip_addresses: names
                .addresses
                .iter()
                .take(NAMES)
                .map(IpAddr::to_string)
                .collect(),
            key: key.to_string(),
            signature_algorithm,
            sha256: sha256(der),
            spki_sha256: sha256(parsed.public_key().raw),
            is_ca: parsed.is_ca(),
            self_signed,
        },
        dns_names: names.dns,
        addresses: names.addresses,
        key,
        weak_signature,
        for_servers: for_servers(parsed),
        subject: subject.to_vec(),
        issuer: issuer.to_vec(),
    }
}

/// What a certificate is issued for (RFC 5280 section 4.2.1.6).
#[derive(Default)]
struct Names {
    dns: Vec<String>,
    addresses: Vec<IpAddr>,
    srv: Vec<String>,
}

impl Names {
    fn of(parsed: &X509Certificate<'_>) -> Self {
        let mut names = Self::default();
        let Ok(Some(extension)) = parsed.subject_alternative_name() else {
            return names;
        };
        for name in &extension.value.general_names {
            match name {
                GeneralName::DNSName(name) => names.dns.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => names.addresses.extend(address(bytes)),
                GeneralName::OtherName(oid, value) if oid.to_id_string() == SRV_NAME => {
                    names.srv.extend(srv_name(value))
                }
                _ => {}
            }
        }
        names
    }
}

/// What the other extensions say.
#[derive(Default)]
struct Extensions<'c> {
    issuer_key: Option<&'c [u8]>,
    own_key: Option<&'c [u8]>,
    issuer_urls: Vec<String>,
    must_staple: bool,
    timestamps: usize,
}

impl<'c> Extensions<'c> {
    fn of(parsed: &'c X509Certificate<'_>) -> Self {
        let mut read = Self::default();
        for extension in parsed.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(authority) => {
                    read.issuer_key = authority.key_identifier.as_ref().map(|key| key.0);
                }
                ParsedExtension::SubjectKeyIdentifier(key) => read.own_key = Some(key.0),
                ParsedExtension::SCT(timestamps) => read.timestamps = timestamps.len(),
                ParsedExtension::AuthorityInfoAccess(access) => {
                    let issuers = access
                        .iter()
                        .filter(|access| access.access_method.to_id_string() == CA_ISSUERS);
                    read.issuer_urls = issuers
                        .filter_map(|access| url(&access.access_location))
                        .take(NAMES)
                        .collect();
                }
                _ if extension.oid.to_id_string() == TLS_FEATURE => {
                    read.must_staple = extension.value.windows(3).any(|window| window == STATUS_REQUEST);
                }
                _ => {}
            }
        }
        read
    }

    /// As far as the key identifiers tell (RFC 5280 section 4.2.1.1); the signature itself is not checked here.
    fn signed_by_its_own_key(&self) -> bool {
        match (self.issuer_key, self.own_key) {
            (Some(issuer), Some(own)) => issuer == own,
            _ => true,
        }
    }
}

/// Without the zero that DER puts before a high bit.
fn serial(bytes: &[u8]) -> String {
    encode(
        bytes
            .strip_prefix(&[0])
            .filter(|rest| !rest.is_empty())
            .unwrap_or(bytes),
    )
}

fn for_servers(parsed: &X509Certificate<'_>) -> Option<bool> {
    let usage = parsed.extended_key_usage().ok()??.value;
    Some(usage.server_auth || usage.any)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}

/// `[0] EXPLICIT IA5String` behind the object identifier of an otherName, in its short DER form.
fn srv_name(value: &[u8]) -> Option<String> {
    let (_, explicit) = x509_parser::asn1_rs::Any::from_der(value).ok()?;
    let (_, name) = x509_parser::asn1_rs::Any::from_der(explicit.data).ok()?;
    Some(std::str::from_utf8(name.data).ok()?.to_ascii_lowercase())
}

fn url(name: &GeneralName<'_>) -> Option<String> {
    if let GeneralName::URI(url) = name {
        Some((*url).to_owned())
    } else {
        None
    }
}

/// "No expiry" is spelled 9999-12-31 (RFC 5280 section 4.1.2.5), a day beyond what the type holds.
fn timestamp(time: ASN1Time) -> Timestamp {
    let fallback = if time.timestamp() > 0 {
        Timestamp::MAX
    } else {
        Timestamp::MIN
    };
    Timestamp::from_second(time.timestamp()).unwrap_or(fallback)
}
