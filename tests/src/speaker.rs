//! A service that is not IMAP, on the ports of IMAP.

use std::net::TcpListener;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::background::Background;
use crate::namespace::Namespace;

/// Greets like an SMTP server on each of `ports`, and answers every line with an SMTP error.
pub fn speak_smtp(namespace: &Namespace, ports: &[u16]) -> Result<Background> {
    let ports = ports.to_vec();
    Background::start(namespace, move || {
        let mut listeners = Vec::new();
        for port in ports {
            let listener =
                TcpListener::bind(("::", port)).with_context(|| format!("bind TCP port {port}"))?;
            listener.set_nonblocking(true)?;
            listeners.push(tokio::net::TcpListener::from_std(listener)?);
        }
        Ok(async move {
            for listener in listeners {
                tokio::spawn(accept(listener));
            }
            std::future::pending::<()>().await;
        })
    })
}

async fn accept(listener: tokio::net::TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        tokio::spawn(converse(stream));
    }
}

async fn converse(mut stream: TcpStream) {
    let mut answer = "220 mail.lab.example ESMTP ready\r\n";
    let mut request = [0; 1024];
    // The conversation ends when the client goes, in whichever way.
    while stream.write_all(answer.as_bytes()).await.is_ok() {
        answer = "500 5.5.2 command not recognized\r\n";
        if !matches!(stream.read(&mut request).await, Ok(1..)) {
            break;
        }
    }
}
