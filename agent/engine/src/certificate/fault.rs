//! What is wrong with a presented chain, all of it at once.

use std::fmt;

use jiff::Timestamp;
use parallax_model::fault::{Fault, FaultKind, TlsFault};
use parallax_model::target::Host;
use parallax_model::text::escape_str;

use super::host_name::names_host;
use super::{Certificate, Chain, Presented};

/// Names quoted in a message; the facts have them all.
const QUOTED_NAMES: usize = 5;
/// Characters of a text from a certificate in a message.
const QUOTED: usize = 128;

/// One thing that is wrong. `position` counts from 0, the server's own certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateFault {
    /// The server presented no certificate at all.
    Missing,
    /// Bytes that are no certificate.
    Unreadable {
        /// Which one.
        position: usize,
        /// Why.
        reason: String,
    },
    /// It is valid no more.
    Expired {
        /// Which one; an intermediate expires just as well.
        position: usize,
        /// Since when.
        not_after: Timestamp,
    },
    /// It is not valid yet.
    NotYetValid {
        /// Which one.
        position: usize,
        /// From when on.
        not_before: Timestamp,
    },
    /// It is for other hosts.
    NameMismatch {
        /// The host asked for.
        host: String,
        /// The names it is for.
        presented: Vec<String>,
    },
    /// The server's certificate is signed by nobody but itself.
    SelfSigned,
    /// The certificate that issued the server's own was most likely not sent: nothing in the chain issued it, and
    /// it says where its issuer can be fetched.
    ChainIncomplete {
        /// Who issued it.
        issuer: String,
        /// Where the issuer's certificate is.
        issuer_urls: Vec<String>,
    },
    /// The server's certificate is one of an authority, which clients refuse.
    AuthorityAsLeaf,
    /// Its extended key usage does not let it serve TLS.
    NotForServers,
    /// Its key is too short.
    WeakKey {
        /// Which one.
        position: usize,
        /// The key, for instance `RSA 1024`.
        key: String,
    },
    /// It is signed with an algorithm whose signatures can be forged.
    WeakSignature {
        /// Which one.
        position: usize,
        /// The algorithm.
        algorithm: String,
    },
    /// It did not issue the one before it, though another one further on did. Some clients cannot sort that.
    WrongOrder {
        /// Which one.
        position: usize,
    },
    /// It has nothing to do with the certificates before it.
    Unrelated {
        /// Which one.
        position: usize,
    },
}

/// Everything that is wrong with a chain, for this host, at this time: first what is wrong with the server's own
/// certificate.
pub fn faults(chain: &Chain, host: &Host, now: Timestamp) -> Vec<CertificateFault> {
    let mut faults = Vec::new();
    if chain.certificates.is_empty() {
        faults.push(CertificateFault::Missing);
    }
    for (position, presented) in chain.certificates.iter().enumerate() {
        match presented {
            Presented::Read(certificate) => {
                faults.extend(validity(position, certificate, now));
                if position == 0 {
                    faults.extend(leaf(chain, certificate, host));
                }
                faults.extend(strength(position, certificate));
            }
            Presented::Unreadable(unreadable) => {
                faults.push(CertificateFault::Unreadable {
                    position,
                    reason: unreadable.reason.clone(),
                });
            }
        }
    }
    faults.extend(order(chain));
    faults
}

fn validity(position: usize, certificate: &Certificate, now: Timestamp) -> Option<CertificateFault> {
    let (not_before, not_after) = (certificate.facts.not_before, certificate.facts.not_after);
    if now > not_after {
        Some(CertificateFault::Expired { position, not_after })
    } else if now < not_before {
        Some(CertificateFault::NotYetValid { position, not_before })
    } else {
        None
    }
}

fn leaf(chain: &Chain, leaf: &Certificate, host: &Host) -> Vec<CertificateFault> {
    let mut faults = Vec::new();
    if !names_host(leaf, host) {
        // An SRV-ID names a service (RFC 4985); no client of a host name accepts it, but the operator meant it.
        let presented = [
            &leaf.facts.dns_names[..],
            &leaf.facts.ip_addresses,
            &leaf.facts.srv_names,
        ]
        .concat();
        faults.push(CertificateFault::NameMismatch {
            host: host.to_string(),
            presented,
        });
    }
    if leaf.facts.self_signed {
        faults.push(CertificateFault::SelfSigned);
    } else if chain_breaks_at(chain, leaf) {
        let (issuer, issuer_urls) = (leaf.facts.issuer.clone(), leaf.facts.ca_issuers.clone());
        faults.push(CertificateFault::ChainIncomplete { issuer, issuer_urls });
    }
    if leaf.facts.is_ca {
        faults.push(CertificateFault::AuthorityAsLeaf);
    }
    if leaf.for_servers == Some(false) {
        faults.push(CertificateFault::NotForServers);
    }
    faults
}

/// A leaf that a private root issued directly names no place to fetch its issuer from, and lacks nothing.
fn chain_breaks_at(chain: &Chain, leaf: &Certificate) -> bool {
    let issuer_sent = chain
        .readable()
        .any(|(position, other)| position > 0 && other.issued(leaf));
    !issuer_sent && !leaf.self_issued() && !leaf.facts.ca_issuers.is_empty()
}

/// Nobody checks the signature of a root, so a weak one there does no harm.
fn strength(position: usize, certificate: &Certificate) -> Vec<CertificateFault> {
    let mut faults = Vec::new();
    if certificate.key.is_weak() {
        faults.push(CertificateFault::WeakKey {
            position,
            key: certificate.key.to_string(),
        });
    }
    if certificate.weak_signature && !certificate.self_issued() {
        let algorithm = certificate.facts.signature_algorithm.clone();
        faults.push(CertificateFault::WeakSignature { position, algorithm });
    }
    faults
}

/// The first place where a certificate does not issue the one before it.
fn order(chain: &Chain) -> Option<CertificateFault> {
    let certificates: Vec<_> = chain.readable().collect();
    let broken = certificates
        .windows(2)
        .find(|pair| !pair[1].1.issued(pair[0].1))?;
    let (before, (position, _)) = (broken[0].1, broken[1]);
    let issuer_elsewhere = certificates
        .iter()
        .any(|(_, other)| *other != before && other.issued(before));
    Some(if issuer_elsewhere && !before.self_issued() {
        CertificateFault::WrongOrder { position }
    } else {
        CertificateFault::Unrelated { position }
    })
}

impl CertificateFault {
    /// The class it is reported under. Order and surplus are `other`: most clients cope with both.
    pub const fn kind(&self) -> TlsFault {
        match self {
            Self::Missing | Self::Unreadable { .. } | Self::AuthorityAsLeaf | Self::NotForServers => {
                TlsFault::CertificateInvalid
            }
            Self::Expired { .. } => TlsFault::CertificateExpired,
            Self::NotYetValid { .. } => TlsFault::CertificateNotYetValid,
            Self::NameMismatch { .. } => TlsFault::HostnameMismatch,
            Self::SelfSigned => TlsFault::CertificateSelfSigned,
            Self::ChainIncomplete { .. } => TlsFault::CertificateChainIncomplete,
            Self::WeakKey { .. } | Self::WeakSignature { .. } => TlsFault::CertificateWeak,
            Self::WrongOrder { .. } | Self::Unrelated { .. } => TlsFault::Other,
        }
    }
}

impl From<CertificateFault> for Fault {
    fn from(fault: CertificateFault) -> Self {
        Self::new(FaultKind::Tls(fault.kind()), fault.to_string())
    }
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the server presents no certificate"),
            Self::Unreadable { position, reason } => {
                write!(
                    f,
                    "{} cannot be read: {}",
                    Whose(*position),
                    escape_str(reason, QUOTED)
                )
            }
            Self::Expired { position, not_after } => write!(f, "{} expired at {not_after}", Whose(*position)),
            Self::NotYetValid { position, not_before } => {
                write!(f, "{} is not valid before {not_before}", Whose(*position))
            }
            Self::NameMismatch { host, presented } if presented.is_empty() => {
                write!(
                    f,
                    "the server's certificate names no host at all, and {host} was asked for"
                )
            }
            Self::NameMismatch { host, presented } => {
                write!(
                    f,
                    "the server's certificate is for {}, not for {host}",
                    list(presented)
                )
            }
            Self::SelfSigned => f.write_str("the server's certificate is signed by itself"),
            Self::ChainIncomplete { issuer, issuer_urls } => write!(
                f,
                "the server does not send the certificate of {}, which issued its own and can be fetched from {}",
                escape_str(issuer, QUOTED),
                list(issuer_urls),
            ),
            Self::AuthorityAsLeaf => {
                f.write_str("the server's certificate is that of a certificate authority (CA:TRUE)")
            }
            Self::NotForServers => {
                f.write_str("the server's certificate is not for TLS servers (no serverAuth among its uses)")
            }
            Self::WeakKey { position, key } => {
                write!(f, "{} has a key that is too short: {key}", Whose(*position))
            }
            Self::WeakSignature { position, algorithm } => {
                write!(
                    f,
                    "{} is signed with {algorithm}, which can be forged",
                    Whose(*position)
                )
            }
            Self::WrongOrder { position } => {
                write!(
                    f,
                    "the chain is out of order: {} did not issue the one before it",
                    Whose(*position)
                )
            }
            Self::Unrelated { position } => {
                write!(
                    f,
                    "{} did not issue the one before it, nor did any other",
                    Whose(*position)
                )
            }
        }
    }
}

struct Whose(usize);

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("the server's certificate"),
            position => write!(f, "certificate {} of the chain", position + 1),
        }
    }
}

fn list(names: &[String]) -> String {
    let quoted: Vec<_> = names
        .iter()
        .take(QUOTED_NAMES)
        .map(|name| escape_str(name, QUOTED))
        .collect();
    let more = names.len().saturating_sub(QUOTED_NAMES);
    let listed = quoted.join(", ");
    if more > 0 {
        format!("{listed} and {more} more")
    } else {
        listed
    }
}
