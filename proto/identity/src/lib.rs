//! Who a process is: key, join token at work, certificate, mutual TLS, sealed secrets.
//!
//! All trust-critical code of the three programs is here, once. A process makes its key where it runs and sends only
//! a certificate signing request; it knows the right collector from the fingerprint in its join token; afterwards
//! both sides of every connection prove a SPIFFE identity.

mod address;
mod authorities;
mod authority;
mod client_auth;
mod dial;
mod explain;
mod harden;
mod identity;
mod join;
mod key;
mod leaf;
mod own;
mod peer;
mod proof;
mod reach;
pub mod seal;
mod server;
mod store;
#[cfg(test)]
mod testing;
mod trust;

pub use address::{AddressError, CollectorAddress, DEFAULT_PORT};
pub use authorities::{Anchor, Authorities, Phase, RolloverError};
pub use authority::{Authority, LEAF_LIFETIME};
pub use dial::{DialError, Dialer};
pub use explain::explain;
pub use harden::forbid_core_dumps;
pub use identity::{Identity, IdentityError};
pub use join::{JoinError, Joiner, join, renew};
pub use key::LocalKey;
pub use own::{OwnFiles, Served, Stamp, how_to_call};
pub use peer::{PeerError, Presented, peer_identity_within};
pub use proof::ProofError;
pub use server::{Clients, accept, server_config};
pub use store::{Readers, write_whole};
pub use trust::TrustError;

/// Makes aws-lc-rs the process's crypto provider; a second call changes nothing.
pub fn install_provider() {
    // An error means that a provider is there already, which is what was asked for.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
