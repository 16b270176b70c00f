//! What is known about faults, one subject a file.

pub(crate) mod agent;
pub(crate) mod answers;
pub(crate) mod auth;
pub(crate) mod banned;
pub(crate) mod certificate;
pub(crate) mod clock;
pub(crate) mod dns;
pub(crate) mod expiry;
pub(crate) mod greeting;
pub(crate) mod half_answers;
pub(crate) mod handshake;
pub(crate) mod hold;
pub(crate) mod keys;
pub(crate) mod latency;
pub(crate) mod local;
pub(crate) mod mailbox;
pub(crate) mod not_tls;
pub(crate) mod proxy;
pub(crate) mod reach;
pub(crate) mod resolver;
pub(crate) mod session;
pub(crate) mod starttls;
pub(crate) mod status;
pub(crate) mod sync;
pub(crate) mod tamper;
pub(crate) mod unexplained;
