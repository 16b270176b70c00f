//! What each fuzz target does with bytes, and what must hold of it. The ordinary tests of the contract include this
//! file and replay the inputs, so that no nightly toolchain is needed to keep what was found.

pub mod run_document;
pub mod run_message;

/// A target's name, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target by its name.
pub const TARGETS: [Target; 2] = [
    ("run_document", run_document::run),
    ("run_message", run_message::run),
];
