//! The contract between the three programs.
//!
//! `v1` is generated from the `.proto` files and stays closed: [`convert`] turns the model into wire messages
//! (`From`) and reads them back (`TryFrom`), and nothing else opens a wire type that has a model word.

pub mod convert;
mod redact;

/// The generated wire code of package `parallax.v1`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
#[rustfmt::skip]
#[path = "generated/parallax.v1.rs"]
pub mod v1;
