//! A mail server that takes what came in clear behind STARTTLS for a command under TLS (CVE-2011-0411 and its kin).

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::background::{self, Background};
use crate::namespace::Namespace;
use crate::pki::Credentials;

/// Serves port 143 with STARTTLS; it knows no user.
pub fn serve(namespace: &Namespace, credentials: &Credentials) -> Result<Background> {
    let acceptor = credentials.acceptor()?;
    Background::start(namespace, move || {
        background::accept(&[143], move |stream| converse(stream, acceptor.clone()))
    })
}

async fn converse(mut stream: TcpStream, acceptor: TlsAcceptor) -> Result<()> {
    stream.write_all(b"* OK ready\r\n").await?;
    let mut buffer = Vec::new();
    if answer_until_starttls(&mut stream, &mut buffer).await? {
        // The mistake: the buffer outlives the change of the channel.
        let mut stream = acceptor.accept(stream).await?;
        answer_until_starttls(&mut stream, &mut buffer).await?;
        stream.shutdown().await?;
    }
    Ok(())
}

/// Whether TLS is to begin; else the dialogue has ended.
async fn answer_until_starttls<S>(stream: &mut S, buffer: &mut Vec<u8>) -> Result<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let (tag, command) = line.split_once(' ').unwrap_or((&line, ""));
            let untagged = match command {
                "CAPABILITY" => "* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n",
                "LOGOUT" => "* BYE bye\r\n",
                _ => "",
            };
            let answer = format!("{untagged}{tag} OK done\r\n");
            stream.write_all(answer.as_bytes()).await?;
            match command {
                "STARTTLS" => return Ok(true),
                "LOGOUT" => return Ok(false),
                _ => {}
            }
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(false);
        }
    }
}
