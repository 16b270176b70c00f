//! The bytes of a handshake on their way, counted and looked at.

use std::io;

use parallax_engine::hello::alert;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::driver::tcp;

/// Bytes kept from the beginning of what the peer sent.
const FIRST: usize = 64;
/// As much as the records of one flight's beginning need; alerts in clear come early or never.
const KEPT: usize = 4 * 1024;

/// A connection that counts.
pub(super) struct Wire {
    tcp: TcpStream,
    received: u64,
    sent: u64,
    kept: Vec<u8>,
}

impl Wire {
    pub(super) const fn new(tcp: TcpStream) -> Self {
        Self {
            tcp,
            received: 0,
            sent: 0,
            kept: Vec::new(),
        }
    }

    /// The next bytes; none at the end of the stream.
    pub(super) async fn read(&mut self) -> io::Result<Vec<u8>> {
        let bytes = tcp::read(&self.tcp).await?;
        self.received += bytes.len() as u64;
        let room = KEPT.saturating_sub(self.kept.len()).min(bytes.len());
        self.kept.extend_from_slice(&bytes[..room]);
        Ok(bytes)
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tcp.write_all(bytes).await?;
        self.sent += bytes.len() as u64;
        Ok(())
    }

    pub(super) const fn received(&self) -> u64 {
        self.received
    }

    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn first(&self) -> &[u8] {
        &self.kept[..self.kept.len().min(FIRST)]
    }

    /// The last alert that came in clear; the library keeps warnings to itself.
    pub(super) fn alert(&self) -> Option<String> {
        alert::last_in(&self.kept).map(alert::name)
    }

    pub(super) fn into_inner(self) -> TcpStream {
        self.tcp
    }
}
