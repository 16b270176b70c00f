use parallax_model::certificate::CertificateFacts;
use parallax_model::evidence::TlsEvidence;

use super::error::WireError;
use super::read::{every, second};
use super::write::{all, by_reference};
use crate::v1;

impl From<TlsEvidence> for v1::TlsEvidence {
    fn from(facts: TlsEvidence) -> Self {
        Self {
            server_name: facts.server_name,
            version: facts.version,
            cipher_suite: facts.cipher_suite,
            group: facts.group,
            alpn: facts.alpn,
            alert: facts.alert,
            bytes_received: facts.bytes_received,
            bytes_sent: facts.bytes_sent,
            first_bytes: facts.first_bytes,
            verified: facts.verified,
            trusted_by: facts.trusted_by,
            chain: all(facts.chain),
            certificate_faults: all(facts.certificate_faults),
            ocsp_stapled: facts.ocsp_stapled,
        }
    }
}

impl TryFrom<v1::TlsEvidence> for TlsEvidence {
    type Error = WireError;

    fn try_from(wire: v1::TlsEvidence) -> Result<Self, WireError> {
        Ok(Self {
            server_name: wire.server_name,
            version: wire.version,
            cipher_suite: wire.cipher_suite,
            group: wire.group,
            alpn: wire.alpn,
            alert: wire.alert,
            bytes_received: wire.bytes_received,
            bytes_sent: wire.bytes_sent,
            first_bytes: wire.first_bytes,
            verified: wire.verified,
            trusted_by: wire.trusted_by,
            chain: every("chain", wire.chain)?,
            certificate_faults: all(wire.certificate_faults),
            ocsp_stapled: wire.ocsp_stapled,
        })
    }
}

impl From<CertificateFacts> for v1::CertificateFacts {
    fn from(facts: CertificateFacts) -> Self {
        Self {
            subject: facts.subject,
            issuer: facts.issuer,
            serial: facts.serial,
            not_before_s: facts.not_before.as_second(),
            not_after_s: facts.not_after.as_second(),
            dns_names: facts.dns_names,
            ip_addresses: facts.ip_addresses,
            key: facts.key,
            signature_algorithm: facts.signature_algorithm,
            sha256: facts.sha256,
            spki_sha256: facts.spki_sha256,
            is_ca: facts.is_ca,
            self_signed: facts.self_signed,
        }
    }
}

impl TryFrom<v1::CertificateFacts> for CertificateFacts {
    type Error = WireError;

    fn try_from(wire: v1::CertificateFacts) -> Result<Self, WireError> {
        Ok(Self {
            subject: wire.subject,
            issuer: wire.issuer,
            serial: wire.serial,
            not_before: second("not_before_s", wire.not_before_s)?,
            not_after: second("not_after_s", wire.not_after_s)?,
            dns_names: wire.dns_names,
            ip_addresses: wire.ip_addresses,
            key: wire.key,
            signature_algorithm: wire.signature_algorithm,
            sha256: wire.sha256,
            spki_sha256: wire.spki_sha256,
            is_ca: wire.is_ca,
            self_signed: wire.self_signed,
        })
    }
}

by_reference! {
    TlsEvidence => v1::TlsEvidence,
    CertificateFacts => v1::CertificateFacts,
}
