use super::*;
use crate::certificate::forge::Forged;

const NOW: &str = "2026-06-01T00:00:00Z";

fn facts(chain: &[Forged]) -> HandshakeFacts {
    HandshakeFacts {
        chain: chain.iter().map(Forged::der).collect(),
        trusted_by: vec!["system".into()],
        verified: true,
        strict: true,
        version: Some("TLSv1.3".into()),
        ..HandshakeFacts::default()
    }
}

fn judged(facts: HandshakeFacts) -> Judgement {
    let host = Host::Name("imap.example.org".into());
    judge(facts, &host, NOW.parse().expect("a time"), None)
}

fn kind(outcome: &Outcome) -> Option<FaultKind> {
    outcome.fault().map(|fault| fault.kind)
}

fn intermediate() -> Forged {
    Forged::authority("Intermediate", "Root")
}

#[test]
fn a_chain_that_the_library_and_we_accept_is_proof() {
    let judgement = judged(facts(&[Forged::leaf(), intermediate()]));
    assert_eq!(judgement.outcome, Outcome::Ok);
    assert!(judgement.evidence.verified && judgement.verified.is_some());
    assert_eq!(
        judgement.evidence.server_name.as_deref(),
        Some("imap.example.org")
    );
}

#[test]
fn the_worst_fault_is_the_outcome_and_all_are_facts() {
    let leaf = Forged {
        not_after: "20260501000000Z",
        dns: vec!["other.example"],
        ..Forged::leaf()
    };
    let judgement = judged(HandshakeFacts {
        trusted_by: vec![],
        verified: false,
        ..facts(&[leaf])
    });
    let kinds: Vec<_> = judgement
        .evidence
        .certificate_faults
        .iter()
        .map(|fault| fault.kind.as_str())
        .collect();
    assert_eq!(
        kinds,
        [
            "certificate_expired",
            "hostname_mismatch",
            "certificate_chain_incomplete",
            "certificate_untrusted"
        ]
    );
    assert_eq!(
        kind(&judgement.outcome),
        Some(FaultKind::Tls(TlsFault::CertificateExpired))
    );
    assert!(judgement.verified.is_none() && !judgement.evidence.verified);
}

#[test]
fn nothing_is_verified_that_only_one_of_the_two_checks_accepts() {
    let library_refuses = judged(HandshakeFacts {
        verified: false,
        ..facts(&[Forged::leaf(), intermediate()])
    });
    assert_eq!(
        kind(&library_refuses.outcome),
        Some(FaultKind::Tls(TlsFault::CertificateInvalid))
    );
    let expired = Forged {
        not_after: "20260501000000Z",
        ..Forged::leaf()
    };
    let we_refuse = judged(facts(&[expired, intermediate()]));
    assert!(library_refuses.verified.is_none() && we_refuse.verified.is_none());
    let no_anchor = judged(HandshakeFacts {
        trusted_by: vec![],
        ..facts(&[Forged::leaf(), intermediate()])
    });
    assert!(no_anchor.verified.is_none());
    assert_eq!(
        kind(&no_anchor.outcome),
        Some(FaultKind::Tls(TlsFault::CertificateUntrusted))
    );
    let no_chain = judged(facts(&[]));
    assert!(no_chain.verified.is_none());
}

#[test]
fn an_anchor_that_vouches_outweighs_a_missing_issuer() {
    let judgement = judged(facts(&[Forged::leaf()]));
    assert_eq!(judgement.outcome, Outcome::Ok);
    assert_eq!(
        judgement.evidence.certificate_faults[0].kind,
        FaultKind::Tls(TlsFault::CertificateChainIncomplete)
    );
}

#[test]
fn an_expired_extra_certificate_that_clients_get_around_is_seen_but_not_fatal() {
    let old = Forged {
        not_after: "20260501000000Z",
        ..intermediate()
    };
    let judgement = judged(facts(&[Forged::leaf(), old]));
    assert!(
        matches!(&judgement.outcome, Outcome::Degraded(fault) if fault.kind == FaultKind::Tls(TlsFault::CertificateExpired))
    );
    assert!(judgement.verified.is_some());
}

#[test]
fn a_certificate_in_its_last_days_works_and_is_worth_a_look() {
    let leaf = |not_before, not_after| Forged {
        not_before,
        not_after,
        ..Forged::leaf()
    };
    let ending = judged(facts(&[
        leaf("20250601000000Z", "20260607000000Z"),
        intermediate(),
    ]));
    let Outcome::Degraded(fault) = &ending.outcome else {
        panic!("{:?}", ending.outcome)
    };
    assert_eq!(fault.kind, FaultKind::Tls(TlsFault::CertificateExpiring));
    assert!(fault.message.contains("expires in 6 days"), "{}", fault.message);
    assert!(ending.verified.is_some());
    let short_lived = judged(facts(&[
        leaf("20260531000000Z", "20260606000000Z"),
        intermediate(),
    ]));
    assert_eq!(short_lived.outcome, Outcome::Ok);
}

#[test]
fn a_failed_handshake_says_what_its_bytes_say() {
    let failure = |kind| Some(Fault::new(FaultKind::Tls(kind), "the handshake broke off"));
    let smtp = judged(HandshakeFacts {
        failure: failure(TlsFault::Other),
        first_bytes: b"220 mx.example.org ESMTP\r\n".to_vec(),
        ..HandshakeFacts::default()
    });
    assert_eq!(kind(&smtp.outcome), Some(FaultKind::Tls(TlsFault::NotTls)));
    assert!(smtp.evidence.first_bytes.is_some() && smtp.evidence.certificate_faults.is_empty());
    let weak = Forged {
        rsa_bits: Some(1024),
        ..Forged::leaf()
    };
    let refused = judged(HandshakeFacts {
        failure: failure(TlsFault::HandshakeFailed),
        ..facts(&[weak, intermediate()])
    });
    assert_eq!(
        kind(&refused.outcome),
        Some(FaultKind::Tls(TlsFault::CertificateWeak))
    );
    let silent = judged(HandshakeFacts {
        failure: failure(TlsFault::TimedOut),
        ..HandshakeFacts::default()
    });
    assert_eq!(kind(&silent.outcome), Some(FaultKind::Tls(TlsFault::TimedOut)));
    assert!(silent.verified.is_none());
}
