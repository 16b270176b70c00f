//! Somebody who ends TLS on the way, with a certificate of his own, and speaks IMAP.

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::background::{self, Background};
use crate::namespace::Namespace;
use crate::pki::Credentials;
use crate::speaker::plain_imap;

/// Serves `port` with TLS from the first byte.
pub fn serve(namespace: &Namespace, port: u16, credentials: &Credentials) -> Result<Background> {
    let acceptor = credentials.acceptor()?;
    Background::start(namespace, move || {
        background::accept(&[port], move |stream| converse(stream, acceptor.clone()))
    })
}

async fn converse(stream: TcpStream, acceptor: TlsAcceptor) -> Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    stream.write_all(b"* OK ready\r\n").await?;
    let mut request = [0; 1024];
    loop {
        let heard = stream.read(&mut request).await?;
        if heard == 0 {
            return Ok(stream.shutdown().await?);
        }
        let answer = plain_imap(&String::from_utf8_lossy(&request[..heard]));
        stream.write_all(answer.as_bytes()).await?;
    }
}
