//! A server whose TLS no modern client takes.

use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::address;
use crate::lab::Lab;
use crate::pki::Credentials;
use crate::process::Process;
use crate::wait;

const TO_LISTEN: Duration = Duration::from_secs(10);

/// OpenSSL's test server on port 993 of the mail host, held down to TLS 1.1. It greets nobody.
pub struct OldTls {
    _server: Process,
}

impl OldTls {
    /// Starts it, and waits until it listens.
    pub fn start(lab: &Lab, credentials: &Credentials) -> Result<Self> {
        let chain = lab.directory().join("old-tls.pem");
        let key = lab.directory().join("old-tls-key.pem");
        fs::write(&chain, &credentials.chain_pem).context("write the chain")?;
        fs::write(&key, &credentials.key_pem).context("write the key")?;
        let mut command = Command::new("openssl");
        command
            .args(["s_server", "-accept", "993", "-tls1_1", "-www"])
            .args(["-cipher", "ALL:@SECLEVEL=0"])
            .arg("-cert")
            .arg(&chain)
            .arg("-cert_chain")
            .arg(&chain)
            .arg("-key")
            .arg(&key);
        let mut server = Process::start(&lab.mail, "openssl", lab.directory(), &command)?;
        wait::until("openssl listens on 993", TO_LISTEN, || {
            if server.ended()?.is_some() {
                bail!("openssl s_server ended: {}", server.tail());
            }
            let peer = (address::MAIL.v4, 993);
            Ok(lab.mail.run(move || TcpStream::connect(peer)).ok().map(drop))
        })?;
        Ok(Self { _server: server })
    }
}
