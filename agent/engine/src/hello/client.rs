//! The ClientHello (RFC 5246 section 7.4.1.2).

use parallax_model::target::Host;
use sha2::{Digest, Sha256};

use super::{TLS_1_2, group, suite};

/// The versions that it offers: its own, and every older one (RFC 5246 appendix E.1).
pub const OFFERED: [&str; 4] = ["SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2"];

/// Record type and the version that old servers want to see there (RFC 5246 appendix E.1).
const RECORD: [u8; 3] = [22, 3, 1];
const CLIENT_HELLO: u8 = 1;

/// Some balancers hang on a ClientHello of 256 to 511 bytes (RFC 7685 section 1).
const PADDED_TO: usize = 512;

// Extensions (the registry of RFC 8447).
const SERVER_NAME: u16 = 0;
const SUPPORTED_GROUPS: u16 = 10;
const POINT_FORMATS: u16 = 11;
const SIGNATURE_ALGORITHMS: u16 = 13;
const PADDING: u16 = 21;

/// Signature algorithms by their numbers (RFC 8446 section 4.2.3, RFC 5246 section 7.4.1.4.1), SHA-1 and DSA among
/// them.
const SIGNATURES: [u16; 16] = [
    0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0303, 0x0301, 0x0203, 0x0201,
    0x0402, 0x0302, 0x0202,
];

/// One record with a ClientHello for `host`. The same `seed` makes the same bytes.
pub fn client_hello(host: &Host, seed: u64) -> Vec<u8> {
    let mut body = TLS_1_2.to_be_bytes().to_vec();
    body.extend(Sha256::digest(seed.to_be_bytes()));
    // No session to go on with.
    body.push(0);
    put16(
        &mut body,
        &numbers(suite::OFFERED.iter().map(|(number, _)| *number)),
    );
    // One way of compression: none.
    body.extend([1, 0]);
    let extensions = padded(extensions(host), body.len());
    put16(&mut body, &extensions);

    let mut message = vec![CLIENT_HELLO, 0];
    put16(&mut message, &body);
    let mut record = RECORD.to_vec();
    put16(&mut record, &message);
    record
}

fn extensions(host: &Host) -> Vec<u8> {
    let mut extensions = Vec::new();
    if let Host::Name(name) = host {
        extension(&mut extensions, SERVER_NAME, &server_names(name));
    }
    let groups = group::GROUPS.iter().map(|(number, _)| *number);
    extension(&mut extensions, SUPPORTED_GROUPS, &listed(&numbers(groups)));
    // Uncompressed points alone (RFC 8422 section 5.1.2).
    extension(&mut extensions, POINT_FORMATS, &[1, 0]);
    extension(
        &mut extensions,
        SIGNATURE_ALGORITHMS,
        &listed(&numbers(SIGNATURES)),
    );
    extensions
}

/// RFC 6066 section 3.
fn server_names(name: &str) -> Vec<u8> {
    const HOST_NAME: u8 = 0;
    let mut entry = vec![HOST_NAME];
    put16(&mut entry, name.as_bytes());
    listed(&entry)
}

/// RFC 7685 section 3. `before` is what stands before the extensions' own length in the body.
fn padded(mut extensions: Vec<u8>, before: usize) -> Vec<u8> {
    const HEADERS: usize = 4 + 2;
    const OF_THE_PADDING: usize = 4;
    let length = HEADERS + before + extensions.len();
    if length < PADDED_TO {
        let zeros = PADDED_TO.saturating_sub(length + OF_THE_PADDING);
        extension(&mut extensions, PADDING, &vec![0; zeros]);
    }
    extensions
}

fn extension(into: &mut Vec<u8>, kind: u16, data: &[u8]) {
    into.extend(kind.to_be_bytes());
    put16(into, data);
}

fn numbers(list: impl IntoIterator<Item = u16>) -> Vec<u8> {
    list.into_iter().flat_map(u16::to_be_bytes).collect()
}

fn listed(bytes: &[u8]) -> Vec<u8> {
    let mut list = Vec::new();
    put16(&mut list, bytes);
    list
}

/// Bytes behind their length; what is longer than a length can say is cut, which no name of a host is.
fn put16(into: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    into.extend(length.to_be_bytes());
    into.extend(&bytes[..usize::from(length)]);
}
