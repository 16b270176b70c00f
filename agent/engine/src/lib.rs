//! Decides the next step of a probe; touches nothing.
//!
//! No socket, no clock, no runtime: bytes and times come in as values, and what comes out is a value too. A
//! recorded session replays here without a server.
//!
//! [`session::Session`] drives one attempt: it says what to do next ([`action`]) and is told what happened
//! ([`event`]). [`plan`] says which stages it has, [`budgets`] how long each may wait; [`resolve`] judges what
//! DNS answered before any session begins.

pub mod action;
pub mod budgets;
pub mod certificate;
pub mod event;
mod exchange;
pub mod handshake;
pub mod hello;
pub mod imap;
mod own;
mod partner;
pub mod path;
pub mod plan;
pub mod resolve;
pub mod sasl;
pub mod session;
mod timeline;
pub mod transcript;
mod wire;
