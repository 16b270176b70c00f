use super::*;
use parallax_model::target::Host;
use proptest::collection::vec;
use proptest::prelude::*;

/// The answers of `openssl s_server` to this ClientHello, with the certificate of imap.example.org.
const TLS_1_1: &[u8] = include_bytes!("recorded/tls_1_1.bin");
const TLS_1_0: &[u8] = include_bytes!("recorded/tls_1_0.bin");
const RSA_KEY_EXCHANGE: &[u8] = include_bytes!("recorded/rsa_key_exchange.bin");
const P521: &[u8] = include_bytes!("recorded/p521.bin");
const DHE: &[u8] = include_bytes!("recorded/dhe.bin");
const TLS_1_3_ONLY: &[u8] = include_bytes!("recorded/tls_1_3_only.bin");

fn host() -> Host {
    Host::Name("imap.example.org".to_owned())
}

/// Version, suite, group and how many certificates.
fn answer(bytes: &[u8]) -> (Progress, String, String, String, usize) {
    let mut flight = Flight::default();
    let progress = flight.push(bytes);
    (
        progress,
        flight.version().unwrap_or_default(),
        flight.cipher_suite().unwrap_or_default().to_owned(),
        flight.group().unwrap_or_default().to_owned(),
        flight.chain().len(),
    )
}

fn done(version: &str, suite: &str, group: &str) -> (Progress, String, String, String, usize) {
    (Progress::Done, version.into(), suite.into(), group.into(), 1)
}

#[test]
fn servers_that_libraries_learn_nothing_of_show_version_suite_and_chain() {
    let rsa = "TLS_RSA_WITH_AES_128_CBC_SHA";
    assert_eq!(answer(TLS_1_1), done("TLSv1.1", rsa, ""));
    let ecdhe = "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA";
    assert_eq!(answer(TLS_1_0), done("TLSv1.0", ecdhe, "x25519"));
    assert_eq!(answer(RSA_KEY_EXCHANGE), done("TLSv1.2", rsa, ""));
    let dhe = "TLS_DHE_RSA_WITH_AES_128_CBC_SHA";
    assert_eq!(answer(DHE), done("TLSv1.2", dhe, ""));
    let gcm = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384";
    assert_eq!(answer(P521), done("TLSv1.2", gcm, "secp521r1"));
}

#[test]
fn a_server_of_tls_1_3_alone_turns_away_with_an_alert() {
    let mut flight = Flight::default();
    assert_eq!(flight.push(TLS_1_3_ONLY), Progress::Alert);
    assert_eq!(flight.alert().as_deref(), Some("protocol_version"));
    assert_eq!(flight.version(), None);
}

#[test]
fn a_warning_before_the_answer_is_no_end() {
    let mut flight = Flight::default();
    assert_eq!(flight.push(&[21, 3, 1, 0, 2, 1, 112]), Progress::More);
    assert_eq!(flight.push(TLS_1_1), Progress::Done);
    assert_eq!(flight.alert().as_deref(), Some("unrecognized_name"));
}

#[test]
fn the_chain_is_readable() {
    let mut flight = Flight::default();
    flight.push(TLS_1_1);
    let chain = crate::certificate::Chain::read(flight.chain().iter().map(Vec::as_slice));
    let leaf = chain.leaf().expect("a certificate");
    assert_eq!(leaf.dns_names, ["imap.example.org"]);
}

#[test]
fn what_is_not_tls_is_told_as_soon_as_a_record_could_be_read() {
    let mut flight = Flight::default();
    assert_eq!(flight.push(b"* OK"), Progress::More);
    assert_eq!(flight.push(b" ready\r\n"), Progress::NotTls);
    assert_eq!(flight.first_bytes(), b"* OK ready\r\n");
}

#[test]
fn messages_cut_over_records_and_many_in_one_are_read_alike() {
    let mut handshake = Vec::new();
    let mut rest = TLS_1_1;
    while let [22, 3, _, high, low, behind @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        handshake.extend_from_slice(&behind[..length]);
        rest = &behind[length..];
    }
    for size in [1, 7, 300, 4_000] {
        let records: Vec<u8> = handshake.chunks(size).flat_map(record).collect();
        assert_eq!(answer(&records), answer(TLS_1_1), "{size}");
    }
}

#[test]
fn no_server_makes_us_read_for_ever() {
    let mut flight = Flight::default();
    let endless = record(&[11, 1, 0, 200]);
    let too_long = Progress::Broken("a handshake message of 65736 bytes".to_owned());
    assert_eq!(flight.push(&endless), too_long);
    let mut twice = Flight::default();
    assert_eq!(twice.push(&hello()), Progress::More);
    assert!(matches!(twice.push(&hello()), Progress::Broken(_)));
    let warning = [21, 3, 3, 0, 2, 1, 112].repeat(1_000);
    let mut progress = Progress::More;
    let mut warned = Flight::default();
    for _ in 0..40 {
        progress = warned.push(&warning);
    }
    assert!(matches!(progress, Progress::Broken(_)), "{progress:?}");
    assert!(warned.received() <= HANDSHAKE_BYTES + 7_000);
}

#[test]
fn no_more_certificates_are_kept_than_are_read_of_a_chain() {
    let list = [0, 0, 1, 7].repeat(5_000);
    let mut body = vec![11, 0, 0x4e, 0x23, 0, 0x4e, 0x20];
    body.extend(list);
    let mut flight = Flight::default();
    flight.push(&hello());
    for chunk in body.chunks(16_000) {
        flight.push(&record(chunk));
    }
    assert_eq!(flight.chain().len(), crate::certificate::CERTIFICATES);
}

#[test]
fn a_hello_is_one_record_that_no_balancer_hangs_on() {
    for host in [
        host(),
        Host::Address([192, 0, 2, 1].into()),
        Host::Name("n".repeat(250)),
    ] {
        let hello = client_hello(&host, 7);
        let length = usize::from(u16::from_be_bytes([hello[3], hello[4]]));
        assert_eq!(hello[..3], [22, 3, 1]);
        assert_eq!(length, hello.len() - 5);
        assert!(!(256..512).contains(&length), "{length}");
        assert_eq!(hello, client_hello(&host, 7));
        assert_ne!(hello, client_hello(&host, 8));
    }
}

/// A ServerHello of TLS 1.0.
fn hello() -> Vec<u8> {
    record(&[&[2, 0, 0, 38, 3, 1][..], &[0; 32], &[0, 0, 0x2f, 0]].concat())
}

fn record(fragment: &[u8]) -> Vec<u8> {
    let length = u16::try_from(fragment.len()).expect("a fragment").to_be_bytes();
    [&[22, 3, 1][..], &length, fragment].concat()
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_end_or_wait(pieces in vec(vec(any::<u8>(), 0..300), 0..40)) {
        let mut flight = Flight::default();
        for piece in pieces {
            flight.push(&piece);
        }
        prop_assert!(flight.first_bytes().len() <= 64);
    }

    #[test]
    fn any_messages_in_any_records_are_bounded(
        messages in vec((prop::sample::select(vec![0_u8, 2, 11, 12, 14, 22]), vec(any::<u8>(), 0..200)), 0..40),
        size in 1_usize..400,
    ) {
        let mut bytes = Vec::new();
        for (kind, body) in messages {
            let length = u16::try_from(body.len()).expect("short").to_be_bytes();
            bytes.extend([kind, 0, length[0], length[1]]);
            bytes.extend(body);
        }
        let mut flight = Flight::default();
        for chunk in bytes.chunks(size) {
            flight.push(&record(chunk));
        }
        prop_assert!(flight.chain().len() <= crate::certificate::CERTIFICATES);
    }

    #[test]
    fn a_recorded_answer_is_the_same_in_any_pieces_and_never_wrong_when_spoilt(
        size in 1_usize..700,
        at in 0_usize..1_500,
        byte in any::<u8>(),
    ) {
        let mut flight = Flight::default();
        let mut progress = Progress::More;
        for chunk in TLS_1_1.chunks(size) {
            progress = flight.push(chunk);
        }
        prop_assert_eq!(progress, Progress::Done);
        let mut spoilt = TLS_1_1.to_vec();
        let at = at % spoilt.len();
        spoilt[at] = byte;
        Flight::default().push(&spoilt);
    }
}
