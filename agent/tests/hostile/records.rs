//! Floods of records under TLS that hold no data (RFC 8446 sections 4.6 and 5.4): no frame ever sees them.

use std::io;

use parallax_model::fault::{FaultKind, ImapFault, TlsFault};
use parallax_model::stage::StageName;
use parallax_model::target::Security;
use rustls::crypto::cipher::{MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::{ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::arena::fight;
use crate::attack::{Attack, Expected};
use crate::peer::Peer;

/// A server that seals whatever it likes.
struct Sealer {
    tcp: TcpStream,
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
}

impl Sealer {
    /// Takes an established connection out of the library's hands.
    fn of(peer: Peer) -> Self {
        let (tcp, tls) = peer.into_tls().into_inner();
        let Some(SupportedCipherSuite::Tls13(suite)) = tls.negotiated_cipher_suite() else {
            panic!("not TLS 1.3")
        };
        let (sequence, secrets) = tls.dangerous_extract_secrets().unwrap().tx;
        let ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } = secrets else {
            panic!("another suite")
        };
        Self {
            tcp,
            encrypter: suite.aead_alg.encrypter(key, iv),
            sequence,
        }
    }

    fn seal(&mut self, typ: ContentType, contents: &[u8]) -> Vec<u8> {
        let message = OutboundPlainMessage {
            typ,
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(contents),
        };
        let sealed = self.encrypter.encrypt(message, self.sequence).unwrap();
        self.sequence += 1;
        sealed.encode()
    }

    /// Sends such records until nobody listens, or the test is over.
    async fn flood(mut self, typ: ContentType, contents: &[u8]) -> io::Result<()> {
        let flooding = async {
            loop {
                let batch: Vec<u8> = (0..256).flat_map(|_| self.seal(typ, contents)).collect();
                self.tcp.write_all(&batch).await?;
            }
        };
        timeout(std::time::Duration::from_secs(20), flooding)
            .await
            .unwrap_or(Ok(()))
    }
}

fn flood(name: &str, outcome: Expected, typ: ContentType, contents: Vec<u8>) -> Attack {
    Attack::new(name, outcome, move |mut peer| {
        let contents = contents.clone();
        async move {
            peer.behave_until("CAPABILITY").await?;
            Sealer::of(peer).flood(typ, &contents).await
        }
    })
    .over(Security::Tls)
}

/// NewSessionTicket (RFC 8446 section 4.6.1) with a ticket of this length.
fn ticket(length: u16) -> Vec<u8> {
    let nonce = [1, 0];
    let body = [
        &[0, 0, 0x1c, 0x20, 1, 2, 3, 4][..],
        &nonce,
        &length.to_be_bytes(),
        &vec![7; length.into()],
        &[0, 0],
    ]
    .concat();
    let size = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[4, size[1], size[2], size[3]], &body[..]].concat()
}

#[test]
fn no_flood_of_records_outlasts_the_session() {
    let too_much = || Expected::Stopped(StageName::Capability);
    let broken = || Expected::Failed(StageName::Capability, FaultKind::Tls(TlsFault::HandshakeFailed));
    fight(vec![
        flood(
            "records without data",
            broken(),
            ContentType::ApplicationData,
            Vec::new(),
        ),
        flood(
            "session tickets",
            too_much(),
            ContentType::Handshake,
            ticket(1_000),
        ),
        flood(
            "session tickets as large as can be",
            too_much(),
            ContentType::Handshake,
            ticket(16_000),
        ),
        flood(
            "warnings that the user cancelled",
            broken(),
            ContentType::Alert,
            vec![1, 90],
        ),
        flood(
            "a handshake message of 16 MiB",
            broken(),
            ContentType::Handshake,
            [&[4, 0xff, 0xff, 0xff][..], &[0; 8_000]].concat(),
        ),
        flood(
            "a second ServerHello",
            broken(),
            ContentType::Handshake,
            vec![2, 0, 0, 2, 3, 3],
        ),
        Attack::new("new keys, again and again", broken(), |mut peer| async move {
            peer.behave_until("CAPABILITY").await?;
            let mut tls = peer.into_tls();
            for _ in 0..200_000 {
                tls.get_mut().1.refresh_traffic_keys().map_err(io::Error::other)?;
                tls.flush().await?;
            }
            let mut rest = Vec::new();
            tls.read_to_end(&mut rest).await?;
            Ok(())
        })
        .over(Security::Tls),
        Attack::new(
            "the end of the stream, and on it goes",
            Expected::Failed(
                StageName::Capability,
                FaultKind::Imap(ImapFault::ConnectionClosed),
            ),
            |mut peer| async move {
                peer.behave_until("CAPABILITY").await?;
                let mut sealer = Sealer::of(peer);
                let farewell = sealer.seal(ContentType::Alert, &[1, 0]);
                sealer.tcp.write_all(&farewell).await?;
                sealer
                    .flood(ContentType::ApplicationData, b"* OK but wait\r\n")
                    .await
            },
        )
        .over(Security::Tls),
    ]);
}
