//! A server that both clients talk to.

use std::net::SocketAddr;
use std::time::Duration;

use parallax_model::spec::{DEFAULT_TIMEOUT, Depth, FamilyChoice, LoginSpec, ProbeOptions, ProbeSpec};
use parallax_model::target::{Security, Target};

/// What every server here lets in.
pub(crate) const USER: &str = "probe";
pub(crate) const PASSWORD: &str = "correct horse";

/// Where a server is, and who vouches for it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) address: SocketAddr,
    /// DER.
    pub(crate) root: Vec<u8>,
}

impl Place {
    /// A probe of it.
    pub(crate) fn spec(&self, depth: Depth) -> ProbeSpec {
        ProbeSpec {
            target: Target::parse(&self.address.to_string(), Some(Security::Tls)).unwrap(),
            depth,
            family: FamilyChoice::Any,
            addresses: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
            login: (depth == Depth::Mailbox).then(|| LoginSpec {
                user: USER.to_owned(),
                mechanism: None,
            }),
            anchors: vec![self.root.clone()],
            options: ProbeOptions::default(),
        }
    }

    /// A probe of it that has so much time.
    pub(crate) fn patient_spec(&self, depth: Depth, timeout: Duration) -> ProbeSpec {
        ProbeSpec {
            timeout,
            ..self.spec(depth)
        }
    }
}
