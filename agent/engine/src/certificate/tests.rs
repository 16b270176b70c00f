#![allow(clippy::unwrap_used)]

use super::forge::Forged;
use super::*;
use jiff::Timestamp;
use parallax_model::fault::TlsFault;
use parallax_model::target::Host;

const NOW: &str = "2026-01-01T00:00:00Z";

fn chain(certificates: &[Forged]) -> Chain {
    let ders: Vec<_> = certificates.iter().map(Forged::der).collect();
    Chain::read(ders.iter().map(Vec::as_slice))
}

fn whole() -> [Forged; 2] {
    [Forged::leaf(), Forged::authority("Intermediate", "Root")]
}

fn faults_of(certificates: &[Forged]) -> Vec<CertificateFault> {
    faults(
        &chain(certificates),
        &Host::Name("imap.example.org".into()),
        NOW.parse().unwrap(),
    )
}

fn faults_of_leaf(change: impl FnOnce(&mut Forged)) -> Vec<CertificateFault> {
    let mut chain = whole();
    change(&mut chain[0]);
    faults_of(&chain)
}

#[test]
fn facts_are_read_without_any_trust() {
    let mut leaf = Forged::leaf();
    leaf.dns = vec!["IMAP.example.org", "*.example.org"];
    leaf.addresses = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    leaf.srv = Some("_imaps.Example.org");
    leaf.must_staple = true;
    let chain = chain(&[leaf]);
    let read = chain.leaf().unwrap();
    assert_eq!(read.facts.subject, "CN=imap.example.org,O=Example\\, Inc.");
    assert_eq!(read.facts.issuer, "CN=Intermediate,O=Example\\, Inc.");
    assert_eq!(read.facts.serial, "1234");
    assert_eq!(read.facts.not_after.to_string(), "2027-01-01T00:00:00Z");
    assert_eq!(read.facts.dns_names, ["imap.example.org", "*.example.org"]);
    assert_eq!(read.facts.ip_addresses, ["192.0.2.1", "2001:db8::1"]);
    assert_eq!(
        (read.facts.key.as_str(), read.facts.is_ca, read.facts.self_signed),
        ("EC P-256", false, false)
    );
    assert_eq!(read.facts.signature_algorithm, "ecdsa-with-SHA256");
    assert_eq!((read.facts.sha256.len(), read.facts.spki_sha256.len()), (64, 64));
    assert_eq!(read.facts.srv_names, ["_imaps.example.org"]);
    assert_eq!((read.facts.must_staple, read.for_servers), (true, None));
    assert_eq!(read.facts.ca_issuers, ["http://ca.example/intermediate.der"]);
}

/// Made with OpenSSL 3.0: an RSA key, signed by an EC authority, with all the extensions of public ones.
#[test]
fn a_certificate_made_by_openssl_reads_as_openssl_reads_it() {
    let chain = Chain::read([&include_bytes!("openssl.der")[..]]);
    let read = chain.leaf().unwrap();
    assert_eq!(
        read.facts.subject,
        "CN=imap.example.org,O=Ex\u{e4}mple \\+ Co,C=NL"
    );
    assert_eq!(read.facts.issuer, "CN=Example CA,O=Example\\, B.V.,C=NL");
    assert_eq!(read.facts.serial, "f00000000000000000000001");
    assert_eq!(
        read.facts.sha256,
        "b4bd6154147b30292e6477a1f49dbd727d7423d294ab95ee4e01b6ce9d298295"
    );
    assert_eq!(
        read.facts.spki_sha256,
        "07526b16362d3b912bc3aaa41756b89066d928ea22bf6946752c408e86843077"
    );
    assert_eq!(
        (read.facts.key.as_str(), read.for_servers, read.facts.must_staple),
        ("RSA 2048", Some(true), true)
    );
    assert_eq!(read.facts.ip_addresses, ["192.0.2.7", "2001:db8::7"]);
    assert_eq!(read.facts.ca_issuers, ["http://ca.example.org/i.der"]);
    assert!(!read.facts.self_signed && !read.facts.is_ca && !read.weak_signature);
}

#[test]
fn a_renewed_certificate_with_the_same_key_has_the_same_key_hash() {
    let renewed = Forged {
        not_after: "20280101000000Z",
        ..Forged::leaf()
    };
    let (old, new) = (chain(&[Forged::leaf()]).facts(), chain(&[renewed]).facts());
    assert_ne!(old[0].sha256, new[0].sha256);
    assert_eq!(old[0].spki_sha256, new[0].spki_sha256);
}

#[test]
fn a_good_chain_has_no_fault() {
    assert_eq!(faults_of(&whole()), []);
    let [leaf, intermediate] = whole();
    assert_eq!(
        faults_of(&[leaf, intermediate, Forged::authority("Root", "Root")]),
        []
    );
}

#[test]
fn every_fault_is_told_not_only_the_first() {
    let faults = faults_of(&[Forged {
        not_after: "20251231000000Z",
        dns: vec!["other.example"],
        rsa_bits: Some(1024),
        sha1: true,
        client_only: true,
        ..Forged::leaf()
    }]);
    let kinds: Vec<_> = faults.iter().map(CertificateFault::kind).collect();
    assert_eq!(
        kinds,
        [
            TlsFault::CertificateExpired,
            TlsFault::HostnameMismatch,
            TlsFault::CertificateChainIncomplete,
            TlsFault::CertificateInvalid,
            TlsFault::CertificateWeak,
            TlsFault::CertificateWeak,
        ]
    );
}

#[test]
fn an_expired_intermediate_is_found_by_its_position() {
    let [leaf, mut intermediate] = whole();
    intermediate.not_after = "20251231000000Z";
    let faults = faults_of(&[leaf, intermediate]);
    let not_after: Timestamp = "2025-12-31T00:00:00Z".parse().unwrap();
    assert_eq!(
        faults,
        [CertificateFault::Expired {
            position: 1,
            not_after
        }]
    );
    assert_eq!(
        faults[0].to_string(),
        "certificate 2 of the chain expired at 2025-12-31T00:00:00Z"
    );
}

#[test]
fn validity_ends_after_its_last_second() {
    let at = |now: &str| {
        faults(
            &chain(&whole()),
            &Host::Name("imap.example.org".into()),
            now.parse().unwrap(),
        )
        .len()
    };
    assert_eq!((at("2027-01-01T00:00:00Z"), at("2027-01-01T00:00:01Z")), (0, 2));
    assert_eq!((at("2025-01-01T00:00:00Z"), at("2024-12-31T23:59:59Z")), (0, 2));
}

#[test]
fn a_certificate_without_an_end_is_read() {
    assert_eq!(faults_of_leaf(|leaf| leaf.not_after = "99991231235959Z"), []);
}

#[test]
fn a_certificate_for_another_host_names_the_hosts_it_is_for() {
    let faults = faults_of_leaf(|leaf| leaf.dns = vec!["www.example.org", "e\u{1b}vil"]);
    assert_eq!(
        faults[0].to_string(),
        "the server's certificate is for www.example.org, e\\x1bvil, not for imap.example.org"
    );
    let faults = faults_of_leaf(|leaf| leaf.dns = vec![]);
    assert!(faults[0].to_string().contains("names no host"), "{}", faults[0]);
}

#[test]
fn an_address_is_matched_by_address_only() {
    let address = Host::Address("192.0.2.1".parse().unwrap());
    let named = Forged {
        dns: vec!["192.0.2.1"],
        ..Forged::leaf()
    };
    let addressed = Forged {
        addresses: vec!["192.0.2.1".parse().unwrap()],
        ..Forged::leaf()
    };
    let authority = Forged::authority("Intermediate", "Root");
    let count = |leaf| faults(&chain(&[leaf, authority.clone()]), &address, NOW.parse().unwrap()).len();
    assert_eq!((count(named), count(addressed)), (1, 0));
}

#[test]
fn a_self_signed_authority_is_both() {
    let leaf = Forged {
        issuer: "imap.example.org",
        authority: true,
        ..Forged::leaf()
    };
    assert_eq!(
        faults_of(&[leaf]),
        [CertificateFault::SelfSigned, CertificateFault::AuthorityAsLeaf]
    );
}

#[test]
fn a_missing_intermediate_is_suspected_only_where_the_leaf_says_where_to_get_it() {
    assert!(matches!(
        &faults_of(&whole()[..1])[..],
        [CertificateFault::ChainIncomplete { .. }]
    ));
    let private = Forged {
        issuer_url: None,
        ..Forged::leaf()
    };
    assert_eq!(faults_of(&[private]), []);
}

#[test]
fn order_and_surplus_are_told_apart() {
    let [leaf, intermediate] = whole();
    let root = Forged::authority("Root", "Root");
    let other = Forged::authority("Other", "Elsewhere");
    let wrong = faults_of(&[leaf.clone(), root.clone(), intermediate.clone()]);
    assert_eq!(wrong, [CertificateFault::WrongOrder { position: 1 }]);
    let surplus = faults_of(&[leaf, intermediate, root, other]);
    assert_eq!(surplus, [CertificateFault::Unrelated { position: 3 }]);
}

#[test]
fn the_signature_of_a_root_is_nobodys_concern() {
    let [leaf, intermediate] = whole();
    let root = Forged {
        sha1: true,
        ..Forged::authority("Root", "Root")
    };
    assert_eq!(faults_of(&[leaf.clone(), intermediate.clone(), root]), []);
    let intermediate = Forged {
        sha1: true,
        ..intermediate
    };
    assert!(matches!(
        &faults_of(&[leaf, intermediate])[..],
        [CertificateFault::WeakSignature { position: 1, .. }]
    ));
}

#[test]
fn a_key_of_2047_bits_is_not_rounded_up() {
    assert_eq!(
        faults_of_leaf(|leaf| leaf.rsa_bits = Some(2047)),
        [CertificateFault::WeakKey {
            position: 0,
            key: "RSA 2047".into()
        }]
    );
    assert_eq!(faults_of_leaf(|leaf| leaf.rsa_bits = Some(2048)), []);
}

#[test]
fn a_chain_is_read_within_its_bounds() {
    let der = Forged::leaf().der();
    let many = Chain::read(std::iter::repeat_n(&der[..], 25));
    assert_eq!((many.certificates.len(), many.omitted), (CERTIFICATES, 15));
    let large = vec![0; CHAIN_BYTES];
    let chain = Chain::read([&der[..], &large, &der]);
    assert_eq!((chain.certificates.len(), chain.omitted), (1, 2));
}

#[test]
fn what_is_no_certificate_is_a_fault_and_no_panic() {
    let der = Forged {
        srv: Some("_imaps.x"),
        must_staple: true,
        ..Forged::leaf()
    }
    .der();
    let host = Host::Name("imap.example.org".into());
    for end in 0..der.len() {
        let chain = Chain::read([&der[..end]]);
        let found = faults(&chain, &host, NOW.parse().unwrap());
        assert!(
            matches!(&found[..], [CertificateFault::Unreadable { position: 0, .. }]),
            "{end}: {found:?}"
        );
    }
    for at in 0..der.len() {
        for flip in [0x01, 0x20, 0x80, 0xff] {
            let mut damaged = der.clone();
            damaged[at] ^= flip;
            let _ = faults(&Chain::read([&damaged[..]]), &host, NOW.parse().unwrap());
        }
    }
    assert_eq!(
        faults(&Chain::default(), &host, NOW.parse().unwrap()),
        [CertificateFault::Missing]
    );
}
