//! A webhook's other end: it takes every notice, and keeps it.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::background::Background;
use crate::namespace::Namespace;

type Taken = Arc<Mutex<Vec<Value>>>;

/// A port of loopback to which notices are posted; gone when dropped.
pub struct Webhook {
    taken: Taken,
    _server: Background,
}

impl Webhook {
    /// Starts it at this port of a host.
    pub fn start(host: &Namespace, port: u16) -> Result<Self> {
        let taken = Taken::default();
        let keeping = Arc::clone(&taken);
        let server = Background::start(host, move || {
            let listener = std::net::TcpListener::bind(("127.0.0.1", port)).context("bind the webhook")?;
            listener.set_nonblocking(true)?;
            let listener = TcpListener::from_std(listener)?;
            Ok(async move {
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => drop(tokio::spawn(take(stream, Arc::clone(&keeping)))),
                        Err(error) => return eprintln!("the webhook ended: {error}"),
                    }
                }
            })
        })?;
        Ok(Self {
            taken,
            _server: server,
        })
    }

    /// What was posted so far.
    pub fn taken(&self) -> Vec<Value> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One post a connection; what is no JSON of a notice is not counted.
async fn take(mut stream: TcpStream, taken: Taken) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let body = loop {
        let mut chunk = [0; 4096];
        let length = stream.read(&mut chunk).await?;
        if length == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&chunk[..length]);
        let text = String::from_utf8_lossy(&bytes);
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
        if let Some(body) = body.and_then(|body| serde_json::from_str::<Value>(body).ok()) {
            break body;
        }
    };
    taken.lock().unwrap_or_else(PoisonError::into_inner).push(body);
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(answer).await
}
