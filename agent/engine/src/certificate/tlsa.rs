//! Certificate associations (RFC 6698, RFC 7671): what DNS says that the chain must be.

use parallax_model::evidence::{TlsaFacts, TlsaRecord};
use sha2::{Digest, Sha256, Sha512};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// Compares the records with a chain, leaf first. Records that no resolver vouches for say nothing (RFC 6698
/// section 4.1); those of usage 0 and 1 hold only for a chain that is trusted besides.
pub fn facts(records: &[TlsaRecord], chain: &[Vec<u8>], trusted: bool) -> TlsaFacts {
    let usable: Vec<&TlsaRecord> = records
        .iter()
        .filter(|record| record.authenticated && is_known(record))
        .collect();
    let facts = |matched, note: &str| TlsaFacts {
        records: records.len().try_into().unwrap_or(u32::MAX),
        matched,
        note: Some(note.to_owned()),
    };
    if records.is_empty() {
        return facts(None, "there is no record");
    }
    if usable.is_empty() {
        return facts(
            None,
            "the resolver does not vouch for the records (no DNSSEC), or their kind is not known",
        );
    }
    if chain.is_empty() {
        return facts(None, "no certificate was presented");
    }
    match usable.iter().find(|record| matches(record, chain, trusted)) {
        Some(record) => facts(
            Some(true),
            &format!("{} {} {} matches", record.usage, record.selector, record.matching),
        ),
        None => facts(Some(false), "none matches the chain"),
    }
}

const fn is_known(record: &TlsaRecord) -> bool {
    record.usage <= 3 && record.selector <= 1 && record.matching <= 2
}

fn matches(record: &TlsaRecord, chain: &[Vec<u8>], trusted: bool) -> bool {
    let (candidates, holds) = match record.usage {
        // PKIX-TA and DANE-TA: an authority of the chain.
        0 => (chain.get(1..), trusted),
        2 => (Some(chain), true),
        // PKIX-EE and DANE-EE: the server's own.
        1 => (chain.get(..1), trusted),
        _ => (chain.get(..1), true),
    };
    holds
        && candidates
            .unwrap_or_default()
            .iter()
            .any(|der| association(record, der).is_some_and(|data| data.eq_ignore_ascii_case(&record.data)))
}

fn association(record: &TlsaRecord, der: &[u8]) -> Option<String> {
    let selected = match record.selector {
        0 => der.to_vec(),
        _ => X509Certificate::from_der(der).ok()?.1.public_key().raw.to_vec(),
    };
    Some(match record.matching {
        0 => hex::encode(selected),
        1 => hex::encode(Sha256::digest(selected)),
        _ => hex::encode(Sha512::digest(selected)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::forge::Forged;

    fn record(usage: u8, selector: u8, matching: u8, data: String) -> TlsaRecord {
        TlsaRecord {
            port: 993,
            usage,
            selector,
            matching,
            data,
            authenticated: true,
        }
    }

    fn chain() -> Vec<Vec<u8>> {
        vec![
            Forged::leaf().der(),
            Forged::authority("Intermediate", "Root").der(),
        ]
    }

    #[test]
    fn each_kind_of_association_matches_what_it_is_made_of() {
        let chain = chain();
        let sha = |der: &[u8]| hex::encode(Sha256::digest(der));
        for (record, trusted, matched) in [
            (record(3, 0, 1, sha(&chain[0])), false, true),
            (
                record(3, 0, 0, hex::encode(&chain[0]).to_uppercase()),
                false,
                true,
            ),
            (
                record(3, 0, 2, hex::encode(Sha512::digest(&chain[0]))),
                false,
                true,
            ),
            (record(3, 0, 1, sha(&chain[1])), true, false),
            (record(2, 0, 1, sha(&chain[1])), false, true),
            (record(0, 0, 1, sha(&chain[1])), true, true),
            (record(0, 0, 1, sha(&chain[1])), false, false),
            (record(1, 0, 1, sha(&chain[0])), true, true),
            (record(1, 0, 1, sha(&chain[0])), false, false),
        ] {
            let facts = facts(std::slice::from_ref(&record), &chain, trusted);
            assert_eq!(facts.matched, Some(matched), "{record:?} {trusted}");
        }
        let key = association(&record(3, 1, 1, String::new()), &chain[0]);
        assert_eq!(
            facts(&[record(3, 1, 1, key.unwrap_or_default())], &chain, false).matched,
            Some(true)
        );
    }

    #[test]
    fn records_without_dnssec_or_of_unknown_kind_say_nothing() {
        let chain = chain();
        let mut open = record(3, 0, 1, "00".to_owned());
        open.authenticated = false;
        for records in [vec![], vec![open], vec![record(9, 0, 1, String::new())]] {
            assert_eq!(facts(&records, &chain, true).matched, None, "{records:?}");
        }
        assert_eq!(facts(&[record(3, 0, 1, "00".into())], &[], true).matched, None);
    }
}
