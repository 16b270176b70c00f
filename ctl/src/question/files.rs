//! Files with certificates and keys.

use std::fmt::Display;
use std::io::{self, Read as _};
use std::path::Path;

use parallax_model::credential::ClientIdentity;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use crate::exit::Trouble;

/// More than any chain with its key.
const LARGEST_IDENTITY: usize = 256 << 10;

/// The certificates of a `--ca-file`, DER.
pub(crate) fn anchors(file: &Path) -> Result<Vec<Vec<u8>>, Trouble> {
    let wrong = |error: &dyn Display| {
        Trouble::new(format!("--ca-file {}: {error}", file.display()))
            .hint("give a file with CERTIFICATE blocks in PEM")
    };
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| wrong(&error))?;
    let anchors: Vec<_> = certificates
        .map(|certificate| certificate.map(|der| der.to_vec()))
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(&error))?;
    if anchors.is_empty() {
        return Err(wrong(&"there is no certificate in it"));
    }
    Ok(anchors)
}

/// A `--client-certificate`: the file as it is, once it is known that the key in it is that of its first certificate.
pub(super) fn client_identity(file: &Path) -> Result<ClientIdentity, Trouble> {
    let wrong = |error: &dyn Display| {
        Trouble::new(format!("--client-certificate {}: {error}", file.display())).hint(
            "give a PEM file with the certificate, its intermediates and its private key, not encrypted",
        )
    };
    let pem = read(file).map_err(|error| wrong(&error))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(&error))?;
    if chain.is_empty() {
        return Err(wrong(&"there is no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| wrong(&"there is no private key in it"))?;
    let provider = CryptoProvider::get_default().ok_or_else(|| wrong(&"no cryptography to read it with"))?;
    CertifiedKey::from_der(chain, key, provider)
        .map_err(|error| wrong(&format!("certificate and key can not be used: {error}")))?;
    let text = str::from_utf8(&pem).map_err(|_| wrong(&"it is not text"))?;
    Ok(ClientIdentity::new(text.to_owned()))
}

fn read(file: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    // Never grown: a vector that moves leaves a copy of the key behind.
    let mut pem = Zeroizing::new(Vec::with_capacity(LARGEST_IDENTITY + 1));
    let limit = LARGEST_IDENTITY as u64 + 1;
    std::fs::File::open(file)?.take(limit).read_to_end(&mut pem)?;
    if pem.len() > LARGEST_IDENTITY {
        return Err(io::Error::other(format!(
            "it is larger than {LARGEST_IDENTITY} bytes"
        )));
    }
    Ok(pem)
}
