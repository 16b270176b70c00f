//! Certificates for tests, written as DER by hand: no key is made and nothing is signed, since nothing here checks
//! a signature.

use std::net::IpAddr;

/// What a forged certificate says.
#[derive(Debug, Clone)]
pub(crate) struct Forged {
    pub(crate) subject: &'static str,
    pub(crate) issuer: &'static str,
    pub(crate) not_before: &'static str,
    pub(crate) not_after: &'static str,
    pub(crate) dns: Vec<&'static str>,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) srv: Option<&'static str>,
    pub(crate) authority: bool,
    pub(crate) client_only: bool,
    pub(crate) issuer_url: Option<&'static str>,
    pub(crate) must_staple: bool,
    pub(crate) rsa_bits: Option<usize>,
    pub(crate) sha1: bool,
}

impl Forged {
    pub(crate) fn leaf() -> Self {
        Self {
            subject: "imap.example.org",
            issuer: "Intermediate",
            not_before: "20250101000000Z",
            not_after: "20270101000000Z",
            dns: vec!["imap.example.org"],
            addresses: vec![],
            srv: None,
            authority: false,
            client_only: false,
            issuer_url: Some("http://ca.example/intermediate.der"),
            must_staple: false,
            rsa_bits: None,
            sha1: false,
        }
    }

    pub(crate) fn authority(subject: &'static str, issuer: &'static str) -> Self {
        Self {
            subject,
            issuer,
            dns: vec![],
            authority: true,
            issuer_url: None,
            ..Self::leaf()
        }
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        let signature = sequence(&[&if self.sha1 {
            oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05])
        } else {
            oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02])
        }]);
        let tbs = sequence(&[
            &tlv(0xa0, &tlv(0x02, &[2])),
            &tlv(0x02, &[0x12, 0x34]),
            &signature,
            &name(self.issuer),
            &sequence(&[&time(self.not_before), &time(self.not_after)]),
            &name(self.subject),
            &self.key(),
            &tlv(0xa3, &self.extensions()),
        ]);
        sequence(&[&tbs, &signature, &tlv(0x03, &[0, 1, 2, 3])])
    }

    fn key(&self) -> Vec<u8> {
        let Some(bits) = self.rsa_bits else {
            let algorithm = sequence(&[
                &oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01]),
                &oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]),
            ]);
            return sequence(&[&algorithm, &tlv(0x03, &[&[0, 4][..], &[7; 64]].concat())]);
        };
        let mut modulus = vec![0xff; bits.div_ceil(8)];
        modulus[0] >>= modulus.len() * 8 - bits;
        if modulus[0] & 0x80 != 0 {
            modulus.insert(0, 0);
        }
        let key = sequence(&[&tlv(0x02, &modulus), &tlv(0x02, &[1, 0, 1])]);
        let algorithm = sequence(&[
            &oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01]),
            &tlv(0x05, &[]),
        ]);
        sequence(&[&algorithm, &tlv(0x03, &[&[0][..], &key].concat())])
    }

    fn extensions(&self) -> Vec<u8> {
        let mut names: Vec<Vec<u8>> = self.dns.iter().map(|name| tlv(0x82, name.as_bytes())).collect();
        for address in &self.addresses {
            names.push(match address {
                IpAddr::V4(address) => tlv(0x87, &address.octets()),
                IpAddr::V6(address) => tlv(0x87, &address.octets()),
            });
        }
        if let Some(srv) = self.srv {
            let oid = oid(&[0x2b, 6, 1, 5, 5, 7, 8, 7]);
            names.push(tlv(0xa0, &[oid, tlv(0xa0, &tlv(0x16, srv.as_bytes()))].concat()));
        }
        let mut all = Vec::new();
        if !names.is_empty() {
            all.push(extension(&[0x55, 0x1d, 0x11], &tlv(0x30, &names.concat())));
        }
        if self.authority {
            all.push(extension(&[0x55, 0x1d, 0x13], &sequence(&[&tlv(0x01, &[0xff])])));
        }
        if self.client_only {
            all.push(extension(
                &[0x55, 0x1d, 0x25],
                &sequence(&[&oid(&[0x2b, 6, 1, 5, 5, 7, 3, 2])]),
            ));
        }
        if let Some(url) = self.issuer_url {
            let access = sequence(&[&oid(&[0x2b, 6, 1, 5, 5, 7, 0x30, 2]), &tlv(0x86, url.as_bytes())]);
            all.push(extension(&[0x2b, 6, 1, 5, 5, 7, 1, 1], &sequence(&[&access])));
        }
        if self.must_staple {
            all.push(extension(
                &[0x2b, 6, 1, 5, 5, 7, 1, 0x18],
                &sequence(&[&tlv(0x02, &[5])]),
            ));
        }
        tlv(0x30, &all.concat())
    }
}

fn extension(id: &[u8], value: &[u8]) -> Vec<u8> {
    sequence(&[&oid(id), &tlv(0x04, value)])
}

fn name(common: &str) -> Vec<u8> {
    let organisation = sequence(&[&oid(&[0x55, 4, 10]), &tlv(0x0c, b"Example, Inc.")]);
    let common = sequence(&[&oid(&[0x55, 4, 3]), &tlv(0x0c, common.as_bytes())]);
    sequence(&[&tlv(0x31, &organisation), &tlv(0x31, &common)])
}

fn time(text: &str) -> Vec<u8> {
    tlv(0x18, text.as_bytes())
}

fn oid(bytes: &[u8]) -> Vec<u8> {
    tlv(0x06, bytes)
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match value.len() {
        length @ 0..0x80 => bytes.push(length as u8),
        length @ 0x80..0x100 => bytes.extend([0x81, length as u8]),
        length => bytes.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    bytes.extend_from_slice(value);
    bytes
}
