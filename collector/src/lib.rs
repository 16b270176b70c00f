//! Holds the agents' streams, fans a question out, concludes.
//!
//! [`Collector::start`] is the process; [`Collector::in_process`] is the same machinery without a port, a file or a
//! certificate, over pipes inside another program.

mod agents;
mod alerts;
mod audit;
pub mod ca;
mod checks;
mod clock;
mod collector;
pub mod config;
mod data_dir;
mod error;
mod hub;
mod identity;
mod intake;
mod keeper;
mod limits;
#[doc(hidden)]
pub mod measure;
mod metrics;
mod numbers;
mod outside;
mod peer;
mod relay;
mod reload;
mod rounds;
mod runs;
mod server;
mod service;
mod source;
mod store;
mod telemetry;
pub mod token;
mod web;

pub use collector::{Collector, Connector, InProcessOptions};
pub use error::StartError;
pub use parallax_diagnosis::changes;
pub use peer::Peer;

#[cfg(test)]
mod tests;
