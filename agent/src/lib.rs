//! A process at a vantage point: takes orders, runs probes, reports.

mod clock;
#[allow(dead_code)]
mod driver;
mod login_gate;
mod order;
mod policy;
mod report;
mod runner;

pub use policy::{Forbidden, Network, Policy, PolicyError, Rule};
