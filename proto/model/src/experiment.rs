//! An experiment: a bounded question that would tell two explanations apart.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::kinds;
use crate::target::Endpoint;
use crate::vantage::AgentName;

kinds! {
    /// What is varied in a follow-up attempt.
    ExperimentKind, fallback Repeat {
        /// The same attempt once more.
        Repeat = "repeat",
        /// A connection to another port of the same host, open or closed: does the host answer at all?
        ControlPort = "control_port",
        /// The other IMAP port of the same host.
        OtherPort = "other_port",
        /// An address that another vantage point was given for the same name.
        ForcedAddress = "forced_address",
        /// A ClientHello made by hand, for servers that speak nothing a modern library does.
        RawHello = "raw_hello",
        /// A command sent in clear together with STARTTLS: is it carried out behind TLS?
        StarttlsInjection = "starttls_injection",
        /// A second handshake that offers the first one's ticket.
        Resumption = "resumption",
        /// A session kept open and quiet for a part of the time asked for.
        Hold = "hold",
        /// A second session that watches what the first one writes.
        Watch = "watch",
    }
}

/// The port asked in [`ExperimentKind::ControlPort`]: echo (RFC 862), closed nearly everywhere, and a live host
/// answers a closed port with a reset.
pub const CONTROL_PORT: u16 = 7;

/// A follow-up attempt that the diagnosis wants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Experiment {
    /// What is varied.
    pub kind: ExperimentKind,
    /// Where it runs.
    pub agent: AgentName,
    /// The address it goes to.
    pub address: IpAddr,
    /// The port and security it uses.
    pub endpoint: Endpoint,
}
