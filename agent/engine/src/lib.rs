//! Decides the next step of a probe; touches nothing.
//!
//! No socket, no clock, no runtime: bytes and times come in as values, and what comes out is a value too. A
//! recorded session replays here without a server.

pub mod certificate;
pub mod imap;
pub mod transcript;
