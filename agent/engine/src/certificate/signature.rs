//! Signature algorithms by name (RFC 3279, RFC 4055, RFC 5758, RFC 8410, RFC 9881).

const ALGORITHMS: [(&str, &str, bool); 18] = [
    ("1.2.840.113549.1.1.2", "md2WithRSAEncryption", true),
    ("1.2.840.113549.1.1.4", "md5WithRSAEncryption", true),
    ("1.2.840.113549.1.1.5", "sha1WithRSAEncryption", true),
    ("1.2.840.10045.4.1", "ecdsa-with-SHA1", true),
    ("1.2.840.10040.4.3", "dsa-with-SHA1", true),
    ("1.2.840.113549.1.1.10", "RSASSA-PSS", false),
    ("1.2.840.113549.1.1.11", "sha256WithRSAEncryption", false),
    ("1.2.840.113549.1.1.12", "sha384WithRSAEncryption", false),
    ("1.2.840.113549.1.1.13", "sha512WithRSAEncryption", false),
    ("1.2.840.10045.4.3.2", "ecdsa-with-SHA256", false),
    ("1.2.840.10045.4.3.3", "ecdsa-with-SHA384", false),
    ("1.2.840.10045.4.3.4", "ecdsa-with-SHA512", false),
    ("2.16.840.1.101.3.4.3.2", "dsa-with-SHA256", false),
    ("1.3.101.112", "Ed25519", false),
    ("1.3.101.113", "Ed448", false),
    ("2.16.840.1.101.3.4.3.17", "ML-DSA-44", false),
    ("2.16.840.1.101.3.4.3.18", "ML-DSA-65", false),
    ("2.16.840.1.101.3.4.3.19", "ML-DSA-87", false),
];

/// The algorithm's name, or its object identifier, and whether its signatures can be forged.
pub(super) fn algorithm(oid: &str) -> (String, bool) {
    match ALGORITHMS.iter().find(|(known, ..)| *known == oid) {
        Some((_, name, weak)) => ((*name).to_owned(), *weak),
        None => (oid.to_owned(), false),
    }
}
