//! What a session is told before it begins.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::credential::{Credential, Mechanism};
use parallax_model::evidence::TlsaRecord;
use parallax_model::experiment::ExperimentKind;
use parallax_model::observation::Purpose;
use parallax_model::target::{Endpoint, Host};
use parallax_model::vantage::AgentName;

use crate::action::{Dial, Hello};
use crate::budgets::Budgets;
use crate::plan::Plan;

/// What one attempt is to do. All times count from the start of the probe.
#[derive(Debug)]
pub struct SessionConfig {
    /// The address to connect to.
    pub address: IpAddr,
    /// Port and security.
    pub endpoint: Endpoint,
    /// Why the attempt is made.
    pub purpose: Purpose,
    /// What is varied, in a follow-up.
    pub experiment: Option<ExperimentKind>,
    /// The stages.
    pub plan: Plan,
    /// The host that certificates must name; SNI, when it is a name.
    pub reference: Host,
    /// The secret, where a login was asked for.
    pub login: Option<Credential>,
    /// The secret of a login beside this session: it is never sent here, and masked as if it was.
    pub masked: Option<Credential>,
    /// The mechanism asked for; without one, the best that the server offers.
    pub mechanism: Option<Mechanism>,
    /// When the session begins; times before it count as it.
    pub started: Duration,
    /// When everything must be over.
    pub deadline: Duration,
    /// The wall clock at the start of the probe, to judge certificates by.
    pub wall: Timestamp,
    /// Random; tells the tags of this connection from those of others.
    pub seed: u64,
    /// Random, and known to nobody else: the client's nonce of a SCRAM login (RFC 5802 section 5.1).
    pub nonce: [u8; 18],
    /// TLSA records of the host, where they were asked for.
    pub tlsa: Option<Vec<TlsaRecord>>,
    /// Its part in a synchronisation, at depth `sync`.
    pub sync: Option<SyncPart>,
    /// How long to keep the session open and quiet.
    pub hold: Option<Duration>,
    /// How the connection is opened.
    pub dial: Dial,
    /// What its ClientHello says. Where that does not ask for the host, the certificate is noted and not judged, and
    /// nobody logs in.
    pub hello: Hello,
    /// How long each wait may be.
    pub budgets: Budgets,
}

/// What a session does in a synchronisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncPart {
    /// It writes, in a mailbox of its own.
    Writer {
        /// The agent whose session watches, where it is another's.
        watcher: Option<AgentName>,
    },
    /// It watches.
    Watcher {
        /// The mailbox, as the writer named it.
        mailbox: String,
    },
}
