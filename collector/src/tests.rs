//! The collector as agents and operators meet it: over a pipe, with a fake agent that speaks the link.

mod access;
mod attack;
mod captures;
pub(crate) mod fake;
mod flood;
mod host;
mod login;
mod own_pki;
mod page;
mod reload;
mod renewal;
mod rollover;
mod routine;
mod runs;
mod stop;
mod sync;
mod telemetry;
mod tls;
