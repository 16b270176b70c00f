//! DER as a certificate, as a chain cut in two, as an OCSP response.

use jiff::Timestamp;
use parallax_engine::certificate::{CERTIFICATES, CHAIN_BYTES, Chain, NAMES, faults, ocsp, tlsa};
use parallax_model::evidence::TlsaRecord;
use parallax_model::fault::Fault;
use parallax_model::target::Host;

use super::is_plain;

/// Facts are bounded by what they were made of, what is said of them can be shown, and a record of a certificate's own
/// hash matches it whatever it is.
pub fn run(data: &[u8]) {
    // Many of the same cost much and teach little.
    let copies = if data.len() < 128 { CERTIFICATES + 1 } else { 2 };
    for chain in [vec![data; copies], split(data)] {
        let read = Chain::read(chain.iter().copied());
        assert_eq!(read.certificates.len() + read.omitted, chain.len());
        assert!(read.certificates.len() <= CERTIFICATES);
        for facts in read.facts() {
            assert!(facts.dns_names.len() <= NAMES && facts.ip_addresses.len() <= NAMES);
            assert!(facts.srv_names.len() <= NAMES && facts.ca_issuers.len() <= NAMES);
            assert_eq!((facts.sha256.len(), facts.spki_sha256.len()), (64, 64));
            assert!(is_plain(&facts.key) && is_plain(&facts.signature_algorithm));
            assert!(is_plain(&facts.serial));
        }
        judge(&read);
        assert!(format!("{:?}", read.facts()).len() <= 16 * CHAIN_BYTES + 64 * 1024);
    }
    associate(data);
    let stapled = ocsp::facts(data);
    assert!(is_plain(&stapled.status) && stapled.status.len() < 64);
}

fn judge(chain: &Chain) {
    let hosts = [
        Host::Name("imap.example.org".to_owned()),
        Host::Address([192, 0, 2, 1].into()),
    ];
    for (host, times) in hosts.iter().zip([&[0, 1_800_000_000][..], &[250_000_000_000]]) {
        for &now in times {
            let now = Timestamp::from_second(now).unwrap_or(Timestamp::UNIX_EPOCH);
            let found = faults(chain, host, now);
            assert!(found.len() <= 64, "{} faults", found.len());
            for fault in found {
                let fault = Fault::from(fault);
                assert!(is_plain(&fault.message), "{:?}", fault.message);
                assert!(fault.message.len() <= 16 * 1024);
            }
        }
    }
}

fn associate(data: &[u8]) {
    let chain = [data.to_vec()];
    let read = Chain::read([data]);
    let Some(leaf) = read.leaf() else {
        return;
    };
    for (selector, hash) in [(0, &leaf.facts.sha256), (1, &leaf.facts.spki_sha256)] {
        let record = |data: &str| TlsaRecord {
            port: 993,
            usage: 3,
            selector,
            matching: 1,
            data: data.to_owned(),
            authenticated: true,
        };
        assert_eq!(tlsa::facts(&[record(hash)], &chain, false).matched, Some(true));
        assert_eq!(
            tlsa::facts(&[record(&hash[2..])], &chain, false).matched,
            Some(false)
        );
    }
}

fn split(data: &[u8]) -> Vec<&[u8]> {
    let (one, other) = data.split_at(data.len() / 2);
    vec![one, other]
}
