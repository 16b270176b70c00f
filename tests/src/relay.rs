//! Somebody in between who passes on what both sides say, or most of it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::background::{self, Background};
use crate::namespace::Namespace;

/// What he does with what the server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relaying {
    /// He passes it on.
    Everything,
    /// He passes it on, and takes his time before he begins.
    Late,
    /// He passes it on without the offer of STARTTLS.
    WithoutStarttls,
    /// He writes over the offer of STARTTLS, letter by letter.
    StarttlsBlotted,
}

const OFFER: &[u8] = b" STARTTLS";
const BLOT: &[u8] = b" XXXXXXXX";
const LATE: Duration = Duration::from_secs(3);

/// Serves `port`, in the place of the server at `target`.
pub fn serve(namespace: &Namespace, port: u16, target: SocketAddr, relaying: Relaying) -> Result<Background> {
    Background::start(namespace, move || {
        background::accept(&[port], move |client| converse(client, target, relaying))
    })
}

/// It ends with the first side that ends.
async fn converse(client: TcpStream, target: SocketAddr, relaying: Relaying) -> std::io::Result<()> {
    if relaying == Relaying::Late {
        tokio::time::sleep(LATE).await;
    }
    let server = TcpStream::connect(target).await?;
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        ended = pass_on(from_client, to_server, Relaying::Everything) => ended,
        ended = pass_on(from_server, to_client, relaying) => ended,
    }
}

async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, relaying: Relaying) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let heard = from.read(&mut buffer).await?;
        if heard == 0 {
            return to.shutdown().await;
        }
        let said = match relaying {
            Relaying::Everything | Relaying::Late => buffer[..heard].to_vec(),
            Relaying::WithoutStarttls => replaced(&buffer[..heard], OFFER, b""),
            Relaying::StarttlsBlotted => replaced(&buffer[..heard], OFFER, BLOT),
        };
        to.write_all(&said).await?;
    }
}

fn replaced(text: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    match text.windows(old.len()).position(|window| window == old) {
        Some(at) => [&text[..at], new, &text[at + old.len()..]].concat(),
        None => text.to_vec(),
    }
}
