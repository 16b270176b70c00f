//! What a session is told before it begins.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::credential::{Credential, Mechanism};
use parallax_model::experiment::ExperimentKind;
use parallax_model::observation::Purpose;
use parallax_model::target::{Endpoint, Host};

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
    /// How long each wait may be.
    pub budgets: Budgets,
}
