//! Groups for key exchange by their IANA names (RFC 8422 section 5.1.1).

/// Those that are offered, in this order.
pub(super) const GROUPS: [(u16, &str); 9] = [
    (0x001D, "x25519"),
    (0x0017, "secp256r1"),
    (0x0018, "secp384r1"),
    (0x0019, "secp521r1"),
    (0x001E, "x448"),
    (0x0016, "secp256k1"),
    (0x0015, "secp224r1"),
    (0x0013, "secp192r1"),
    (0x001A, "brainpoolP256r1"),
];

pub(super) fn name(number: u16) -> String {
    let known = GROUPS.iter().find(|(one, _)| *one == number);
    known.map_or_else(|| format!("0x{number:04X}"), |(_, name)| (*name).to_owned())
}
