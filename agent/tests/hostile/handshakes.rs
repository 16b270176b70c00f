//! Handshakes that never come to an end, in raw records (RFC 8446 section 5.1).

use std::time::Duration;

use parallax_model::fault::{FaultKind, TlsFault};
use parallax_model::stage::StageName;
use parallax_model::target::Security;
use tokio::io::AsyncReadExt;

use crate::arena::fight;
use crate::attack::{Attack, Expected};

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

fn record(kind: u8, contents: &[u8]) -> Vec<u8> {
    let length = u16::try_from(contents.len()).unwrap().to_be_bytes();
    [&[kind, 3, 3, length[0], length[1]], contents].concat()
}

/// Whoever connects gets these bytes without an end, once it has begun to speak.
fn flood(name: &str, fault: TlsFault, bytes: Vec<u8>) -> Attack {
    Attack::new(
        name,
        Expected::Failed(StageName::Tls, FaultKind::Tls(fault)),
        move |mut peer| {
            let bytes = bytes.clone();
            async move {
                let mut hello = [0; 5];
                peer.tcp().read_exact(&mut hello).await?;
                peer.flood(bytes).await
            }
        },
    )
    .over(Security::Tls)
}

#[test]
fn no_handshake_lasts_longer_than_its_time_or_fills_the_memory() {
    let warning = record(ALERT, &[1, 90]);
    let endless = [
        record(HANDSHAKE, &[2, 0xff, 0xff, 0xff]),
        record(HANDSHAKE, &[0; 16_000]),
    ]
    .concat();
    let certificate = record(HANDSHAKE, &[11, 0xff, 0xff, 0xff]);
    fight(vec![
        flood(
            "empty records of the handshake",
            TlsFault::HandshakeFailed,
            record(HANDSHAKE, &[]).repeat(1_000),
        ),
        flood(
            "empty records of data",
            TlsFault::HandshakeFailed,
            record(APPLICATION_DATA, &[]).repeat(1_000),
        ),
        flood("warnings", TlsFault::HandshakeFailed, warning.repeat(1_000)),
        flood(
            "changes of the cipher",
            TlsFault::HandshakeFailed,
            record(CHANGE_CIPHER_SPEC, &[1]).repeat(1_000),
        ),
        flood("a ServerHello of 16 MiB", TlsFault::HandshakeFailed, endless),
        flood("a certificate of 16 MiB", TlsFault::HandshakeFailed, certificate),
        flood(
            "records of 64 KiB",
            TlsFault::HandshakeFailed,
            [&[HANDSHAKE, 3, 3, 0xff, 0xff][..], &[0; 4096]].concat(),
        ),
        flood(
            "a web page",
            TlsFault::NotTls,
            b"HTTP/1.1 200 OK\r\n\r\n<html>".to_vec(),
        ),
        Attack::new(
            "a handshake that drips",
            Expected::Failed(StageName::Tls, FaultKind::Tls(TlsFault::TimedOut)),
            |mut peer| async move {
                peer.drip(
                    &record(HANDSHAKE, &[2, 0, 0, 200, 3, 3, 0, 0]),
                    Duration::from_millis(50),
                )
                .await
            },
        )
        .over(Security::Tls),
        Attack::new(
            "a handshake that stands still",
            Expected::Failed(StageName::Tls, FaultKind::Tls(TlsFault::TimedOut)),
            |mut peer| async move { peer.stand_still().await },
        )
        .over(Security::Tls),
    ]);
}
