//! The lab keeps its promises, shown with plain sockets and plain tools.

#![allow(clippy::unwrap_used)]

mod cleanup;
mod faults;
mod mail;
mod names;
mod network;
mod paths;
mod trace;
