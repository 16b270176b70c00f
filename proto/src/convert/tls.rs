use jiff::Timestamp;
use parallax_model::certificate::CertificateFacts;
use parallax_model::evidence::{OcspFacts, RawHelloFacts, TlsEvidence, TlsaFacts};

use super::error::WireError;
use super::read::{every, optional, second, some_finite};
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
            strict: facts.strict,
            handshake_kind: facts.handshake_kind,
            ocsp: facts.ocsp.map(Into::into),
            tlsa: facts.tlsa.map(Into::into),
            raw_hello: facts.raw_hello.map(Into::into),
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
            strict: wire.strict,
            handshake_kind: wire.handshake_kind,
            ocsp: optional("ocsp", wire.ocsp)?,
            tlsa: wire.tlsa.map(Into::into),
            raw_hello: wire.raw_hello.map(Into::into),
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
            srv_names: facts.srv_names,
            lifetime_left: facts.lifetime_left,
            scts: facts.scts,
            must_staple: facts.must_staple,
            ca_issuers: facts.ca_issuers,
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
            srv_names: wire.srv_names,
            lifetime_left: some_finite("lifetime_left", wire.lifetime_left)?,
            scts: wire.scts,
            must_staple: wire.must_staple,
            ca_issuers: wire.ca_issuers,
        })
    }
}

impl From<TlsaFacts> for v1::TlsaFacts {
    fn from(facts: TlsaFacts) -> Self {
        Self {
            records: facts.records,
            matched: facts.matched,
            note: facts.note,
        }
    }
}

impl From<v1::TlsaFacts> for TlsaFacts {
    fn from(wire: v1::TlsaFacts) -> Self {
        Self {
            records: wire.records,
            matched: wire.matched,
            note: wire.note,
        }
    }
}

impl From<RawHelloFacts> for v1::RawHelloFacts {
    fn from(facts: RawHelloFacts) -> Self {
        Self {
            offered: facts.offered,
            version: facts.version,
            cipher_suite: facts.cipher_suite,
            alert: facts.alert,
        }
    }
}

impl From<v1::RawHelloFacts> for RawHelloFacts {
    fn from(wire: v1::RawHelloFacts) -> Self {
        Self {
            offered: wire.offered,
            version: wire.version,
            cipher_suite: wire.cipher_suite,
            alert: wire.alert,
        }
    }
}

impl From<OcspFacts> for v1::OcspFacts {
    fn from(facts: OcspFacts) -> Self {
        Self {
            status: facts.status,
            this_update_s: facts.this_update.map(Timestamp::as_second),
            next_update_s: facts.next_update.map(Timestamp::as_second),
        }
    }
}

impl TryFrom<v1::OcspFacts> for OcspFacts {
    type Error = WireError;

    fn try_from(wire: v1::OcspFacts) -> Result<Self, WireError> {
        let at = |field, seconds: Option<i64>| seconds.map(|number| second(field, number)).transpose();
        Ok(Self {
            status: wire.status,
            this_update: at("this_update_s", wire.this_update_s)?,
            next_update: at("next_update_s", wire.next_update_s)?,
        })
    }
}

by_reference! {
    TlsEvidence => v1::TlsEvidence,
    CertificateFacts => v1::CertificateFacts,
}
