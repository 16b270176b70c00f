//! Model to wire and back.
//!
//! Writing never fails: every model value has a wire form, for `&T` as for `T`. Reading fails with one
//! [`WireError`] that names the field. A name of a kind that this program does not know is no error: it becomes
//! the fallback of its set, so that a newer peer stays readable. Durations travel in microseconds and
//! certificate times in seconds; what is finer is cut.

mod agent;
mod alert;
mod attempt;
mod audit;
mod capture;
mod check;
mod client;
mod error;
mod experiment;
mod fault;
mod finding;
mod history;
mod imap;
mod mailbox;
mod network;
mod observation;
mod path;
mod read;
mod refusal;
#[cfg(test)]
mod routine;
mod run;
#[cfg(test)]
mod sample;
mod secret;
mod spec;
mod stage;
mod target;
#[cfg(test)]
mod tests;
mod tls;
mod write;
mod written;

pub use check::{digest, uuid};
pub use error::WireError;
pub use read::labels;
