//! A presented certificate, as facts.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one certificate of the presented chain says (RFC 5280), trusted or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateFacts {
    /// Distinguished name of the subject, RFC 4514 style.
    pub subject: String,
    /// Distinguished name of the issuer.
    pub issuer: String,
    /// Serial number in hexadecimal.
    pub serial: String,
    /// Start of validity.
    #[schemars(with = "String")]
    pub not_before: Timestamp,
    /// End of validity.
    #[schemars(with = "String")]
    pub not_after: Timestamp,
    /// dNSName entries of the subject alternative name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<String>,
    /// iPAddress entries of the subject alternative name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_addresses: Vec<String>,
    /// "RSA 2048", "EC P-256", "Ed25519".
    pub key: String,
    /// Name of the signature algorithm, or its OID.
    pub signature_algorithm: String,
    /// SHA-256 of the DER, hexadecimal.
    pub sha256: String,
    /// SHA-256 of the subject public key info, hexadecimal: the same key under a renewed certificate.
    pub spki_sha256: String,
    /// Whether basicConstraints says CA.
    pub is_ca: bool,
    /// Whether subject and issuer are the same and the signature is by its own key.
    pub self_signed: bool,
    /// SRV-ID entries of the subject alternative name (RFC 4985).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub srv_names: Vec<String>,
    /// The part of the lifetime that is left when judged, 0 to 1; absent before and after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_left: Option<f64>,
    /// Embedded signed certificate timestamps (RFC 6962).
    #[serde(default, skip_serializing_if = "crate::evidence::is_zero")]
    pub scts: u32,
    /// Whether a stapled OCSP response is demanded (RFC 7633).
    #[serde(default, skip_serializing_if = "crate::evidence::is_false")]
    pub must_staple: bool,
    /// Where the issuer's certificate can be had (RFC 5280 section 4.2.2.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ca_issuers: Vec<String>,
}
