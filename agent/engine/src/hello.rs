//! A TLS handshake made by hand, as far as it is in clear.
//!
//! TLS libraries of today offer neither old versions nor old cipher suites, and learn nothing of a server that has no
//! others. This one offers everything up to TLS 1.2, reads what the server chooses and the chain that it presents,
//! and goes no further: no keys are made, and nothing can ever be sent over such a connection.

pub mod alert;
mod client;
mod group;
mod message;
mod record;
mod server;
mod suite;

pub use client::{OFFERED, client_hello};
pub use server::{Flight, HANDSHAKE_BYTES, Progress};

/// A protocol version by its name in evidence (RFC 8446 section 4.1.2 and appendix D).
fn version(number: u16) -> String {
    match number {
        0x0300 => "SSLv3".to_owned(),
        0x0301 => "TLSv1.0".to_owned(),
        0x0302 => "TLSv1.1".to_owned(),
        TLS_1_2 => "TLSv1.2".to_owned(),
        0x0304 => "TLSv1.3".to_owned(),
        other => format!("0x{other:04X}"),
    }
}

/// TLS 1.2 on the wire (RFC 5246 section 6.2.1).
const TLS_1_2: u16 = 0x0303;

#[cfg(test)]
mod tests;
