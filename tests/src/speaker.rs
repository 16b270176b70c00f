//! Services that are not IMAP over TLS, on the ports of IMAP.

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::background::{self, Background};
use crate::namespace::Namespace;

/// How a service behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It accepts, and says nothing, whatever it hears.
    Silent,
    /// It closes what it has accepted.
    Closing,
    /// It resets what it has accepted.
    Resetting,
    /// It says BYE in clear, and closes.
    Bye,
    /// It answers any line with an HTTP error, and closes.
    Http,
    /// It greets like an SMTP server, and answers every line with an SMTP error.
    Smtp,
    /// It is an IMAP server that has no TLS and knows nobody.
    PlainImap,
}

/// Serves each of `ports` in that manner.
pub fn speak(namespace: &Namespace, ports: &[u16], manner: Manner) -> Result<Background> {
    let ports = ports.to_vec();
    Background::start(namespace, move || {
        background::accept(&ports, move |stream| converse(stream, manner))
    })
}

/// The conversation ends when the client goes, in whichever way.
async fn converse(mut stream: TcpStream, manner: Manner) -> std::io::Result<()> {
    if manner == Manner::Resetting {
        // A socket that is closed so sends a reset.
        return stream.set_zero_linger();
    }
    stream.write_all(manner.greeting()).await?;
    let mut request = [0; 1024];
    let mut heard = 0;
    loop {
        match manner {
            Manner::Closing | Manner::Resetting | Manner::Bye => break,
            Manner::Http if heard > 0 => break,
            Manner::Silent | Manner::Http | Manner::Smtp | Manner::PlainImap => {}
        }
        heard = stream.read(&mut request).await?;
        if heard == 0 {
            break;
        }
        stream.write_all(&manner.answer(&request[..heard])).await?;
    }
    stream.shutdown().await
}

impl Manner {
    const fn greeting(self) -> &'static [u8] {
        match self {
            Self::Silent | Self::Closing | Self::Resetting | Self::Http => b"",
            Self::Bye => b"* BYE not from there\r\n",
            Self::Smtp => b"220 mail.lab.example ESMTP ready\r\n",
            Self::PlainImap => b"* OK [CAPABILITY IMAP4rev1] ready\r\n",
        }
    }

    fn answer(self, request: &[u8]) -> Vec<u8> {
        match self {
            Self::Silent | Self::Closing | Self::Resetting | Self::Bye => Vec::new(),
            Self::Http => b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec(),
            Self::Smtp => b"500 5.5.2 command not recognized\r\n".to_vec(),
            Self::PlainImap => plain_imap(&String::from_utf8_lossy(request)).into_bytes(),
        }
    }
}

/// What an IMAP server that has no TLS and knows nobody answers to the lines of `request`.
pub(crate) fn plain_imap(request: &str) -> String {
    let line = |line: &str| {
        let (tag, command) = line.split_once(' ').unwrap_or(("*", line));
        match command {
            "CAPABILITY" => format!("* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n"),
            "LOGOUT" => format!("* BYE bye\r\n{tag} OK done\r\n"),
            _ => format!("{tag} BAD not known here\r\n"),
        }
    };
    request.lines().map(line).collect()
}
