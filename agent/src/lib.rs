//! A process at a vantage point: takes orders, runs probes, reports.
//!
//! [`run`] is the whole process. The agent dials the collector and listens to nobody, but for an HTTP port where one is
//! asked for; what it may touch is in its own [`Policy`]. The engine decides every step of a probe, `driver` carries it
//! out, `runner` makes one observation of all attempts, and `link` tells the collector. [`Prober`] does the same for a
//! program without one.

mod agent;
mod capture;
mod checks;
mod circuit;
mod clock;
pub mod config;
mod credentials;
pub mod doctor;
mod driver;
mod identity;
mod link;
mod login_gate;
mod moment;
mod network;
mod numbers;
mod order;
mod partner;
mod policy;
mod prober;
mod report;
mod routine;
mod runner;
mod schedule;
mod spool;
mod state_dir;
mod telemetry;
mod web;

pub use agent::{AgentError, AgentOptions, DEFAULT_PROBES, InProcess, fingerprint, run, run_in_process};
pub use credentials::{LocalCredentials, Unreadable};
pub use identity::NoIdentity;
pub use network::LocalNetwork;
pub use parallax_engine::budgets::Budgets;
pub use policy::{Forbidden, Logins, Network, Policy, PolicyError, Rule};
pub use prober::{NotProbed, Prober};
pub use spool::SpoolLimits;
pub use state_dir::InUse;
pub use web::{Module, WebError, WebOptions};
