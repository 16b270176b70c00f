//! Servers that mean harm, played on loopback against the agent's own driver: whatever they do, the probe ends in
//! its time, names the right fault at the right stage, and keeps a bounded record.
//!
//! Each file is one kind of malice, each entry of its table one attack. `attack` says what an entry is, `peer` is
//! the server's side of a connection and knows how to behave until the moment comes, `arena` lets probe and server
//! meet and checks what must hold for all of them.

#![allow(clippy::unwrap_used, missing_docs)]

mod arena;
mod attack;
mod certificates;
mod echoes;
mod endings;
mod handshakes;
mod honest;
mod literals;
mod logins;
mod order;
mod peer;
mod pki;
mod records;
mod starttls;
mod streams;
mod texts;
