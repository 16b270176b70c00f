//! Somebody who ends TLS on the way, with a certificate of his own, and speaks IMAP.

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::background::Background;
use crate::namespace::Namespace;
use crate::pki::Credentials;
use crate::speaker::plain_imap;

/// Serves `port` with TLS from the first byte.
pub fn serve(namespace: &Namespace, port: u16, credentials: &Credentials) -> Result<Background> {
    let acceptor = acceptor(credentials)?;
    Background::start(namespace, move || {
        let listener = TcpListener::bind(("::", port)).with_context(|| format!("bind TCP port {port}"))?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        Ok(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, acceptor.clone()));
            }
        })
    })
}

fn acceptor(credentials: &Credentials) -> Result<TlsAcceptor> {
    let chain = CertificateDer::pem_slice_iter(credentials.chain_pem.as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(credentials.key_pem.as_bytes())?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
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
