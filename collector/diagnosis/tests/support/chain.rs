//! Certificates by name.

use std::collections::BTreeMap;

use jiff::Timestamp;
use parallax_model::certificate::CertificateFacts;
use serde::Deserialize;

/// A chain of one certificate, or of two where its issuer's own comes with it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChainSpec {
    pub issuer: String,
    pub key: String,
    pub from: Timestamp,
    pub to: Timestamp,
    pub names: Vec<String>,
    pub self_signed: bool,
    /// Who issued the issuer, whose certificate is sent along then.
    pub above: Option<String>,
    /// Certificate timestamps in it, as public authorities put there.
    pub scts: u32,
}

impl Default for ChainSpec {
    fn default() -> Self {
        Self {
            issuer: "CN=Example CA".to_owned(),
            key: "aaaaaaaaaaaaaaaa".to_owned(),
            from: "2026-09-15T00:00:00Z".parse().expect("a time"),
            to: "2026-12-14T00:00:00Z".parse().expect("a time"),
            names: vec!["imap.example.org".to_owned()],
            self_signed: false,
            above: None,
            scts: 0,
        }
    }
}

/// A chain by name; `good` need not be described.
pub fn chain(chains: &BTreeMap<String, ChainSpec>, name: &str) -> Vec<CertificateFacts> {
    let spec = match chains.get(name) {
        Some(spec) => spec.clone(),
        None if name == "good" => ChainSpec::default(),
        None => panic!("no chain is called {name}"),
    };
    let above = spec.above.clone();
    let leaf = leaf(spec);
    let issuer = above.map(|above| CertificateFacts {
        subject: leaf.issuer.clone(),
        issuer: above,
        dns_names: Vec::new(),
        spki_sha256: "cccccccccccccccc".to_owned(),
        sha256: "cccccccccccccccc".to_owned(),
        is_ca: true,
        ..leaf.clone()
    });
    std::iter::once(leaf).chain(issuer).collect()
}

fn leaf(spec: ChainSpec) -> CertificateFacts {
    CertificateFacts {
        srv_names: Vec::new(),
        lifetime_left: None,
        scts: spec.scts,
        must_staple: false,
        ca_issuers: Vec::new(),
        subject: format!("CN={}", spec.names.first().cloned().unwrap_or_default()),
        issuer: spec.issuer,
        serial: "01".to_owned(),
        not_before: spec.from,
        not_after: spec.to,
        dns_names: spec.names,
        ip_addresses: Vec::new(),
        key: "EC P-256".to_owned(),
        signature_algorithm: "ecdsa-with-SHA256".to_owned(),
        sha256: format!("{}{}", spec.key, spec.to.as_second()),
        spki_sha256: spec.key,
        is_ca: false,
        self_signed: spec.self_signed,
    }
}
