//! Handshakes and the certificates in them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use parallax_model::certificate::CertificateFacts;
use parallax_model::evidence::{OcspFacts, RawHelloFacts, TlsEvidence, TlsaFacts};

use super::Told;
use crate::render::words;

/// Hexadecimal digits that tell one key from another.
const DIGITS: usize = 16;

/// The chains of a run. Each is shown once: the same one again is said to be that, and another one is seen to be one.
pub(super) struct Certificates {
    now: Timestamp,
    shown: BTreeSet<Vec<String>>,
}

impl Certificates {
    /// None shown yet; what is left of each is counted from `now`.
    pub(super) const fn judged_at(now: Timestamp) -> Self {
        Self {
            now,
            shown: BTreeSet::new(),
        }
    }

    fn show(&mut self, chain: &[CertificateFacts], told: &mut Told) {
        let Some(leaf) = chain.first() else { return };
        let digests = chain.iter().map(|certificate| certificate.sha256.clone());
        if !self.shown.insert(digests.collect()) {
            let digest = words::beginning(&leaf.sha256, DIGITS);
            told.below
                .push(("certificate", format!("the chain of sha256 {digest} shown above")));
            return;
        }
        for (at, certificate) in chain.iter().enumerate() {
            let label = if at == 0 { "certificate" } else { "" };
            told.below.push((label, certificate_line(certificate, self.now)));
            if at == 0 {
                told.below(leaf_line(certificate));
            }
        }
    }
}

pub(super) fn handshake(facts: &TlsEvidence, certificates: &mut Certificates, told: &mut Told) {
    told.beside(negotiated(facts));
    details(facts, certificates, told);
}

/// [`handshake`], below a stage whose own line is about something else.
pub(super) fn handshake_below(facts: &TlsEvidence, certificates: &mut Certificates, told: &mut Told) {
    told.below(negotiated(facts));
    details(facts, certificates, told);
}

fn negotiated(facts: &TlsEvidence) -> String {
    let named = [&facts.version, &facts.cipher_suite, &facts.group]
        .into_iter()
        .flatten()
        .map(|name| words::quote(name));
    let mut parts: Vec<_> = named.collect();
    match facts.handshake_kind.as_deref() {
        None => {}
        Some("full") => parts.push("full handshake".to_owned()),
        Some("hello_retry") => parts.push("one round trip more (hello retry)".to_owned()),
        Some("resumed") => parts.push("resumed".to_owned()),
        Some(other) => parts.push(words::quote(other)),
    }
    if let Some(alpn) = &facts.alpn {
        parts.push(format!("ALPN {}", words::quote(alpn)));
    }
    if let Some(alert) = &facts.alert {
        parts.push(format!("alert {}", words::quote(alert)));
    }
    // A hand-made hello ends before there is anything to verify.
    if facts.raw_hello.is_some() && facts.chain.is_empty() {
        return parts.join(", ");
    }
    if facts.verified {
        let stores: Vec<_> = facts.trusted_by.iter().map(|store| words::quote(store)).collect();
        parts.push(format!("trusted by {}", stores.join(", ")));
    } else if facts.chain.is_empty() && facts.handshake_kind.as_deref() != Some("resumed") {
        parts.push(format!("{} bytes received, no certificate", facts.bytes_received));
    } else {
        parts.push("not verified".to_owned());
    }
    parts.join(", ")
}

fn details(facts: &TlsEvidence, certificates: &mut Certificates, told: &mut Told) {
    if let Some(hello) = &facts.raw_hello {
        told.below(by_hand(hello));
    }
    certificates.show(&facts.chain, told);
    for fault in &facts.certificate_faults {
        told.below(format!("fault: {}", words::quote(&fault.message)));
    }
    if let Some(ocsp) = &facts.ocsp {
        told.below(stapled(ocsp));
    } else if facts.ocsp_stapled {
        told.below("OCSP response stapled");
    }
    if let Some(tlsa) = &facts.tlsa {
        told.below(associations(tlsa));
    }
    if let Some(bytes) = &facts.first_bytes {
        told.below(format!("first bytes: {}", words::quote(bytes)));
    }
}

fn certificate_line(facts: &CertificateFacts, now: Timestamp) -> String {
    let seconds = facts.not_after.as_second() - now.as_second();
    let mut end = if seconds < 0 {
        format!("ended {} ago", words::span(seconds))
    } else {
        format!("{} left", words::span(seconds))
    };
    if let Some(part) = facts.lifetime_left {
        end.push_str(&format!(", {} of its life", words::percent(part)));
    }
    let mut said = format!(
        "{} by {}, {} to {} ({end}), {}, {}",
        words::quote(&facts.subject),
        words::quote(&facts.issuer),
        words::day(facts.not_before),
        words::day(facts.not_after),
        words::quote(&facts.key),
        words::quote(&facts.signature_algorithm)
    );
    let names: Vec<_> = facts
        .dns_names
        .iter()
        .chain(&facts.ip_addresses)
        .chain(&facts.srv_names)
        .map(|name| words::quote(name))
        .collect();
    if !names.is_empty() {
        said.push_str(&format!(", for {}", names.join(" ")));
    }
    said
}

fn leaf_line(facts: &CertificateFacts) -> String {
    let mut parts = vec![
        format!("sha256 {}", words::beginning(&facts.sha256, DIGITS)),
        format!("key {}", words::beginning(&facts.spki_sha256, DIGITS)),
        match facts.scts {
            0 => "no SCT".to_owned(),
            number => words::count(number as usize, "SCT"),
        },
    ];
    if facts.must_staple {
        parts.push("must be stapled".to_owned());
    }
    if let Some(place) = facts.ca_issuers.first() {
        parts.push(format!("issuer at {}", words::quote(place)));
    }
    parts.join(", ")
}

fn stapled(facts: &OcspFacts) -> String {
    let mut said = format!("OCSP stapled: {}", words::quote(&facts.status));
    if let Some(since) = facts.this_update {
        said.push_str(&format!(", as of {}", words::moment(since)));
    }
    if let Some(until) = facts.next_update {
        said.push_str(&format!(", good until {}", words::moment(until)));
    }
    said
}

fn associations(facts: &TlsaFacts) -> String {
    if facts.records == 0 {
        return "TLSA: no record for this port".to_owned();
    }
    let records = words::count(facts.records as usize, "record");
    let judged = match facts.matched {
        Some(true) => "the chain matches",
        Some(false) => "the chain does not match",
        None => "none that may be used",
    };
    let note = facts
        .note
        .as_deref()
        .map(|note| format!(" ({})", words::safe(note)));
    format!("TLSA: {records}, {judged}{}", note.unwrap_or_default())
}

fn by_hand(facts: &RawHelloFacts) -> String {
    let offered: Vec<_> = facts
        .offered
        .iter()
        .map(|version| words::quote(version))
        .collect();
    let answer = match (&facts.version, &facts.alert) {
        (Some(version), _) => {
            let suite = facts
                .cipher_suite
                .as_deref()
                .map(|suite| format!(" with {}", words::quote(suite)));
            format!("chose {}{}", words::quote(version), suite.unwrap_or_default())
        }
        (None, Some(alert)) => format!("answered with alert {}", words::quote(alert)),
        (None, None) => "did not answer it".to_owned(),
    };
    if offered.is_empty() {
        format!("hello by hand: the server {answer}")
    } else {
        format!("hello by hand, {}: the server {answer}", offered.join(" "))
    }
}
