//! A server that does not take connections any more: those that wait fill its queue.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::Result;

use crate::namespace::Namespace;

/// The listeners and those who wait; over when dropped.
pub struct FullQueue {
    _listeners: Vec<TcpListener>,
    _waiting: Vec<TcpStream>,
}

const SHORT: &[(&str, &str)] = &[("core/somaxconn", "1")];
const USUAL: &[(&str, &str)] = &[("core/somaxconn", "4096")];
const PATIENCE: Duration = Duration::from_millis(200);

/// Listens on 143 and 993 with room for one, and takes the room.
pub fn fill(namespace: &Namespace) -> Result<FullQueue> {
    namespace.set_switches(SHORT)?;
    let full = namespace.run(|| -> Result<FullQueue> {
        let mut listeners = Vec::new();
        let mut waiting = Vec::new();
        for port in [143, 993] {
            listeners.push(TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?);
            let here = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            // The queue takes one more than it has room for.
            while let Ok(stream) = TcpStream::connect_timeout(&here, PATIENCE) {
                waiting.push(stream);
            }
        }
        Ok(FullQueue {
            _listeners: listeners,
            _waiting: waiting,
        })
    })?;
    namespace.set_switches(USUAL)?;
    Ok(full)
}
