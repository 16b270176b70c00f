//! What a TLS handshake is worth: its facts, its faults, and whether a secret may follow it.

use std::time::Duration;

use jiff::Timestamp;
use parallax_model::certificate::CertificateFacts;
use parallax_model::evidence::{OcspFacts, TlsEvidence, TlsaFacts, TlsaRecord};
use parallax_model::fault::{Fault, FaultKind, TlsFault};
use parallax_model::stage::Outcome;
use parallax_model::target::Host;

use crate::certificate::{CertificateFault, Chain, faults, ocsp, tlsa};
use crate::event::{ChannelBinding, HandshakeFacts};
use crate::imap::sniff::{Expected, wrong_service};

const DAY: i64 = 86_400;

/// Certificates that live longer than this are also warned of by days, not by their share of life alone.
const LONG_LIVED: i64 = 30 * DAY;

/// Proof that the connection is a strict one: TLS whose certificate chain leads to a trust anchor and names the host, now. A
/// secret can be sent only by somebody who shows it, and only [`judge`] makes one.
#[derive(Debug)]
pub struct Verified(Vec<ChannelBinding>);

impl Verified {
    /// What a login can be bound to on this connection, best first.
    pub fn bindings(&self) -> &[ChannelBinding] {
        &self.0
    }
}

/// What a handshake came to.
#[derive(Debug)]
pub struct Judgement {
    /// How the stage ends that it belongs to.
    pub outcome: Outcome,
    /// Its facts.
    pub evidence: TlsEvidence,
    /// The proof that a secret may be sent over it.
    pub verified: Option<Verified>,
    /// Whether the handshake came to its end, whatever its chain is worth.
    pub completed: bool,
}

impl Judgement {
    /// The same of a handshake that asked for `name` in the host's place: the certificate is what it is, and no fault of
    /// the host.
    pub(crate) fn of_another(mut self, name: Option<&str>) -> Self {
        self.verified = None;
        self.evidence.verified = false;
        self.evidence.server_name = name.map(str::to_owned);
        self.evidence.certificate_faults.clear();
        if self.completed {
            self.outcome = Outcome::Ok;
        }
        self
    }
}

/// Judges a handshake with `host` at the time `at`: all that is wrong with the chain goes into the facts, the worst
/// of it into the outcome.
pub fn judge(facts: HandshakeFacts, host: &Host, at: Timestamp, tlsa: Option<&[TlsaRecord]>) -> Judgement {
    let stapled = (!facts.ocsp.is_empty()).then(|| ocsp::facts(&facts.ocsp));
    let tlsa = tlsa.map(|records| tlsa::facts(records, &facts.chain, !facts.trusted_by.is_empty()));
    let completed = facts.failure.is_none();
    let chain = Chain::read(facts.chain.iter().map(Vec::as_slice));
    let wrong = if facts.failure.is_some() && facts.chain.is_empty() {
        Vec::new()
    } else {
        faults(&chain, host, at)
    };
    let mut beside: Vec<Fault> = revoked(stapled.as_ref()).into_iter().collect();
    beside.extend(staple_missing(&facts, &chain));
    beside.extend(tlsa_mismatch(tlsa.as_ref()));
    let outcome = with(outcome(&facts, &chain, &wrong, at), &beside);
    let usable = matches!(outcome, Outcome::Ok | Outcome::Degraded(_));
    let trusted = usable && facts.verified && !facts.trusted_by.is_empty();
    let verified = (trusted && facts.strict).then(|| Verified(facts.bindings.clone()));
    let mut certificate_faults: Vec<Fault> = wrong.into_iter().map(Fault::from).collect();
    certificate_faults.extend(untrusted(&facts, &chain));
    certificate_faults.extend(beside);
    certificate_faults.sort_by_key(|fault| rank(fault.kind));
    let evidence = TlsEvidence {
        server_name: match host {
            Host::Name(name) => Some(name.clone()),
            Host::Address(_) => None,
        },
        version: facts.version,
        cipher_suite: facts.cipher_suite,
        group: facts.group,
        alpn: facts.alpn,
        alert: facts.alert,
        bytes_received: facts.bytes_received,
        bytes_sent: facts.bytes_sent,
        first_bytes: (!usable && !facts.first_bytes.is_empty()).then(|| hex::encode(&facts.first_bytes)),
        verified: trusted,
        strict: facts.strict,
        handshake_kind: facts.kind,
        ocsp: stapled,
        tlsa,
        raw_hello: None,
        trusted_by: facts.trusted_by,
        chain: aged(chain.facts(), at),
        certificate_faults,
        ocsp_stapled: facts.ocsp_stapled,
    };
    Judgement {
        outcome,
        evidence,
        verified,
        completed,
    }
}

/// The wall clock `since` after `start`.
pub(crate) fn wall(start: Timestamp, since: Duration) -> Timestamp {
    start.checked_add(since).unwrap_or(start)
}

fn outcome(facts: &HandshakeFacts, chain: &Chain, wrong: &[CertificateFault], at: Timestamp) -> Outcome {
    if let Some(failure) = &facts.failure {
        return Outcome::Failed(renamed(failure, facts, wrong));
    }
    let worst = |fault: &&CertificateFault| rank(FaultKind::Tls(fault.kind()));
    let fatal = wrong
        .iter()
        .filter(|fault| is_fatal(fault, facts))
        .min_by_key(worst)
        .cloned()
        .map(Fault::from);
    let fatal = fatal.into_iter().chain(untrusted(facts, chain));
    if let Some(fault) = fatal.min_by_key(|fault| rank(fault.kind)) {
        return Outcome::Failed(fault);
    }
    if !facts.verified {
        return Outcome::Failed(Fault::new(
            FaultKind::Tls(TlsFault::CertificateInvalid),
            "the strict check of the TLS library refuses the certificate",
        ));
    }
    let got_around = wrong
        .iter()
        .filter(|fault| position(fault) > 0 && worst(fault) < Rank::Odd)
        .min_by_key(worst);
    match got_around {
        Some(fault) => Outcome::Degraded(fault.clone().into()),
        None => expiry(&chain.facts(), at).map_or(Outcome::Ok, Outcome::Degraded),
    }
}

/// The alert or error of a failed handshake often says less than its bytes do: another protocol, or a key so short
/// that the library refuses its signature.
fn renamed(failure: &Fault, facts: &HandshakeFacts, wrong: &[CertificateFault]) -> Fault {
    if let Some(service) = wrong_service(&facts.first_bytes, Expected::Tls) {
        return Fault::new(
            FaultKind::Tls(TlsFault::NotTls),
            format!("{} answers instead of TLS", service.description()),
        )
        .with_raw(hex::encode(&facts.first_bytes));
    }
    let says_little = matches!(
        failure.kind,
        FaultKind::Tls(TlsFault::HandshakeFailed | TlsFault::CertificateInvalid | TlsFault::Other)
    );
    let weak = wrong
        .iter()
        .find(|fault| fault.kind() == TlsFault::CertificateWeak && says_little);
    match weak {
        Some(weak) => {
            Fault::from(weak.clone()).with_raw(failure.raw.clone().unwrap_or(failure.message.clone()))
        }
        None => failure.clone(),
    }
}

/// Whether clients turn away. A trust anchor that vouches for the chain outweighs a missing issuer and a signature
/// of its own; behind the server's own certificate only what the strict check refuses counts, since it may have
/// found a way around.
fn is_fatal(fault: &CertificateFault, facts: &HandshakeFacts) -> bool {
    let trusted = !facts.trusted_by.is_empty();
    match fault {
        CertificateFault::SelfSigned | CertificateFault::ChainIncomplete { .. } => !trusted,
        CertificateFault::WrongOrder { .. } | CertificateFault::Unrelated { .. } => false,
        _ => position(fault) == 0 || !facts.verified,
    }
}

fn untrusted(facts: &HandshakeFacts, chain: &Chain) -> Option<Fault> {
    let leaf = chain.leaf()?;
    let says_so = facts.failure.is_none() && facts.trusted_by.is_empty() && !leaf.facts.self_signed;
    says_so.then(|| {
        let issuer = parallax_model::text::escape_str(&leaf.facts.issuer, 128);
        Fault::new(
            FaultKind::Tls(TlsFault::CertificateUntrusted),
            format!("no trust anchor of this agent vouches for the certificate, issued by {issuer}"),
        )
    })
}

/// Clients that look at a staple turn away for one reason, and complain for the others.
fn with(outcome: Outcome, beside: &[Fault]) -> Outcome {
    match (outcome, beside.first()) {
        (Outcome::Ok | Outcome::Degraded(_), Some(fault))
            if fault.kind == FaultKind::Tls(TlsFault::CertificateRevoked) =>
        {
            Outcome::Failed(fault.clone())
        }
        (Outcome::Ok, Some(fault)) => Outcome::Degraded(fault.clone()),
        (outcome, _) => outcome,
    }
}

fn revoked(stapled: Option<&OcspFacts>) -> Option<Fault> {
    let facts = stapled.filter(|facts| facts.status == "revoked")?;
    let since = facts
        .this_update
        .map(|at| format!(", as of {at}"))
        .unwrap_or_default();
    Some(Fault::new(
        FaultKind::Tls(TlsFault::CertificateRevoked),
        format!("the stapled OCSP response says that the certificate is revoked{since}"),
    ))
}

fn staple_missing(facts: &HandshakeFacts, chain: &Chain) -> Option<Fault> {
    let demanded = chain.leaf()?.facts.must_staple && facts.failure.is_none() && !facts.ocsp_stapled;
    demanded.then(|| {
        Fault::new(
            FaultKind::Tls(TlsFault::StapleMissing),
            "the certificate demands a stapled OCSP response (RFC 7633), and the server sent none",
        )
    })
}

fn tlsa_mismatch(tlsa: Option<&TlsaFacts>) -> Option<Fault> {
    let facts = tlsa.filter(|facts| facts.matched == Some(false))?;
    Some(Fault::new(
        FaultKind::Tls(TlsFault::TlsaMismatch),
        format!(
            "the chain matches none of {} TLSA records; renewed without changing them?",
            facts.records
        ),
    ))
}

/// With what is left of each lifetime.
fn aged(mut chain: Vec<CertificateFacts>, at: Timestamp) -> Vec<CertificateFacts> {
    for one in &mut chain {
        let (start, end) = (one.not_before.as_second(), one.not_after.as_second());
        let within = (start..=end).contains(&at.as_second()) && end > start;
        one.lifetime_left = within.then(|| (end - at.as_second()) as f64 / (end - start) as f64);
    }
    chain
}

/// What is left of the first certificate to end, measured by its own lifetime.
fn expiry(chain: &[CertificateFacts], at: Timestamp) -> Option<Fault> {
    let first = chain
        .iter()
        .filter(|one| !one.self_signed)
        .min_by_key(|one| one.not_after)?;
    let (start, end) = (first.not_before.as_second(), first.not_after.as_second());
    let (left, lifetime) = (end - at.as_second(), end - start);
    let soon = left < lifetime / 6 || (left < 7 * DAY && lifetime > LONG_LIVED);
    (soon && left >= 0).then(|| {
        let whose = if first.is_ca {
            "an intermediate certificate"
        } else {
            "the certificate"
        };
        let days = left / DAY;
        let unit = if days == 1 { "day" } else { "days" };
        Fault::new(
            FaultKind::Tls(TlsFault::CertificateExpiring),
            format!("{whose} expires in {days} {unit}, at {}", first.not_after),
        )
    })
}

const fn position(fault: &CertificateFault) -> usize {
    match fault {
        CertificateFault::Unreadable { position, .. }
        | CertificateFault::Expired { position, .. }
        | CertificateFault::NotYetValid { position, .. }
        | CertificateFault::WeakKey { position, .. }
        | CertificateFault::WeakSignature { position, .. }
        | CertificateFault::WrongOrder { position }
        | CertificateFault::Unrelated { position } => *position,
        CertificateFault::Missing
        | CertificateFault::NameMismatch { .. }
        | CertificateFault::SelfSigned
        | CertificateFault::ChainIncomplete { .. }
        | CertificateFault::AuthorityAsLeaf
        | CertificateFault::NotForServers => 0,
    }
}

/// Which fault an operator should hear of first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Expired,
    NotYetValid,
    Name,
    SelfSigned,
    Incomplete,
    Untrusted,
    Invalid,
    Weak,
    Odd,
}

const fn rank(kind: FaultKind) -> Rank {
    let FaultKind::Tls(kind) = kind else {
        return Rank::Odd;
    };
    match kind {
        TlsFault::CertificateExpired => Rank::Expired,
        TlsFault::CertificateNotYetValid => Rank::NotYetValid,
        TlsFault::HostnameMismatch => Rank::Name,
        TlsFault::CertificateSelfSigned => Rank::SelfSigned,
        TlsFault::CertificateChainIncomplete => Rank::Incomplete,
        TlsFault::CertificateUntrusted => Rank::Untrusted,
        TlsFault::CertificateInvalid => Rank::Invalid,
        TlsFault::CertificateWeak => Rank::Weak,
        TlsFault::HandshakeFailed
        | TlsFault::ProtocolVersion
        | TlsFault::NotTls
        | TlsFault::ConnectionClosed
        | TlsFault::ConnectionReset
        | TlsFault::TimedOut
        | TlsFault::ClientCertificateRequired
        | TlsFault::CertificateRevoked
        | TlsFault::StapleMissing
        | TlsFault::TlsaMismatch
        | TlsFault::CertificateExpiring
        | TlsFault::Other => Rank::Odd,
    }
}

#[cfg(test)]
impl Verified {
    /// For tests of what a proof is needed for.
    pub(crate) fn for_a_test() -> Self {
        Self(Vec::new())
    }
}

#[cfg(test)]
mod tests;
