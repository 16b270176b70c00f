use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const NAME: &str = "imap.lab.example";

struct Pki {
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { authority }
    }

    fn anchor(&self) -> CertificateDer<'static> {
        self.authority.der().clone()
    }

    fn trust(&self) -> Trust {
        Trust::new(&[self.anchor()])
    }

    fn leaf(
        &self,
        names: &[&str],
        years: std::ops::Range<i32>,
    ) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.authority).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        (leaf.der().clone(), key.into())
    }
}

fn config((leaf, key): (CertificateDer<'static>, PrivateKeyDer<'static>)) -> ServerConfig {
    ServerConfig::builder_with_provider(name::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf], key)
        .unwrap()
}

/// A TLS server that greets one client.
async fn serve(config: ServerConfig) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        if let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await {
            let _ = stream.write_all(b"* OK ready\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    TcpStream::connect(address).await.unwrap()
}

/// A server that does to one client what `act` does.
async fn server<F>(act: impl FnOnce(TcpStream) -> F + Send + 'static) -> TcpStream
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { act(listener.accept().await.unwrap().0).await });
    TcpStream::connect(address).await.unwrap()
}

fn evidence() -> Wish<'static> {
    wish(Connection::Evidence, Trust::new(&[]))
}

fn wish(connection: Connection, trust: Trust) -> Wish<'static> {
    Wish {
        server_name: NAME,
        hello: Box::leak(Box::default()),
        connection,
        trust: Box::leak(Box::new(trust)),
        client: None,
        recorded: false,
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

async fn failure_with(tcp: TcpStream) -> HandshakeFacts {
    let ended = handshake(tcp, evidence(), soon()).await;
    assert!(ended.stream.is_none());
    ended.seen.judge(&Trust::new(&[]), SystemTime::now())
}

fn kind(facts: &HandshakeFacts) -> FaultKind {
    facts.failure.as_ref().unwrap().kind
}

#[tokio::test]
async fn a_good_chain_is_verified_and_everything_is_named() {
    let pki = Pki::new();
    let tcp = serve(config(pki.leaf(&[NAME], 2020..2099))).await;
    let ended = handshake(tcp, evidence(), soon()).await;
    let facts = ended.seen.judge(&pki.trust(), SystemTime::now());
    assert_eq!(facts.failure, None);
    assert_eq!(facts.version.as_deref(), Some("TLSv1.3"));
    assert!(
        facts.cipher_suite.as_ref().unwrap().starts_with("TLS_"),
        "{facts:?}"
    );
    assert_eq!(facts.group.as_deref(), Some("x25519"));
    assert!(facts.verified);
    assert_eq!(facts.trusted_by, ["ca_file"]);
    assert_eq!(facts.chain.len(), 1);
    assert_eq!(facts.first_bytes[..2], [22, 3]);
    assert!(facts.bytes_received > 500 && facts.bytes_sent > 200, "{facts:?}");
    let mut stream = ended.stream.unwrap();
    assert!(matches!(stream, Secured::Evidence(_)));
    assert_eq!(stream.read().await.unwrap(), b"* OK ready\r\n");
    assert!(stream.read().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_bad_chain_is_shown_and_its_trust_is_judged_apart_from_name_and_time() {
    let pki = Pki::new();
    for (names, years) in [([NAME], 2001..2002), (["other.example"], 2020..2099)] {
        let tcp = serve(config(pki.leaf(&names, years))).await;
        let ended = handshake(tcp, evidence(), soon()).await;
        assert!(ended.stream.is_some());
        let facts = ended.seen.judge(&pki.trust(), SystemTime::now());
        assert!(!facts.verified, "{names:?}");
        assert_eq!(facts.trusted_by, ["ca_file"], "{names:?}");
        assert_eq!(facts.chain.len(), 1);
    }
}

#[tokio::test]
async fn a_chain_that_nobody_vouches_for_is_shown_all_the_same() {
    let tcp = serve(config(Pki::new().leaf(&[NAME], 2020..2099))).await;
    let ended = handshake(tcp, evidence(), soon()).await;
    let facts = ended.seen.judge(&Pki::new().trust(), SystemTime::now());
    assert!(!facts.verified);
    assert!(facts.trusted_by.is_empty());
    assert_eq!(facts.chain.len(), 1);
}

#[tokio::test]
async fn another_protocol_is_not_tls_and_its_first_bytes_are_kept() {
    let tcp = server(|mut stream| async move {
        stream.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
    })
    .await;
    let facts = failure_with(tcp).await;
    assert_eq!(kind(&facts), FaultKind::Tls(TlsFault::NotTls));
    assert!(facts.first_bytes.starts_with(b"220 mail"));
}

#[tokio::test]
async fn an_end_and_a_reset_and_silence_are_three_things() {
    let closed = server(|mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
    })
    .await;
    assert_eq!(
        kind(&failure_with(closed).await),
        FaultKind::Tls(TlsFault::ConnectionClosed)
    );

    let reset = server(|stream| async move {
        stream.readable().await.unwrap();
        stream.set_zero_linger().unwrap();
    })
    .await;
    assert_eq!(
        kind(&failure_with(reset).await),
        FaultKind::Tls(TlsFault::ConnectionReset)
    );

    let silent = server(|stream| async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        drop(stream);
    })
    .await;
    let until = Instant::now() + Duration::from_millis(100);
    let ended = handshake(silent, evidence(), until).await;
    let facts = ended.seen.judge(&Trust::new(&[]), SystemTime::now());
    assert_eq!(kind(&facts), FaultKind::Tls(TlsFault::TimedOut));
    assert_eq!(facts.bytes_received, 0);
    assert!(facts.bytes_sent > 200);
}

#[tokio::test]
async fn an_alert_is_named() {
    let tcp = server(|mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        stream.write_all(&[21, 3, 3, 0, 2, 2, 70]).await.unwrap();
    })
    .await;
    let facts = failure_with(tcp).await;
    assert_eq!(kind(&facts), FaultKind::Tls(TlsFault::ProtocolVersion));
    assert_eq!(facts.alert.as_deref(), Some("protocol_version"));
}

#[tokio::test]
async fn a_server_that_wants_a_client_certificate_says_so_in_either_version() {
    let pki = Pki::new();
    let mut anchors = rustls::RootCertStore::empty();
    anchors.add(pki.anchor()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), name::provider())
        .build()
        .unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (leaf, key) = pki.leaf(&[NAME], 2020..2099);
        let config = ServerConfig::builder_with_provider(name::provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(verifier.clone())
            .with_single_cert(vec![leaf], key)
            .unwrap();
        let ended = handshake(serve(config).await, evidence(), soon()).await;
        let fault = match ended.stream {
            // TLS 1.3: the client is done before the server says what it thinks.
            Some(mut stream) => {
                assert!(matches!(stream, Secured::Evidence(_)));
                stream.read().await.unwrap_err()
            }
            None => {
                let facts = ended.seen.judge(&Trust::new(&[]), SystemTime::now());
                facts.failure.unwrap()
            }
        };
        assert_eq!(
            fault.kind,
            FaultKind::Tls(TlsFault::ClientCertificateRequired),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_strict_connection_breaks_off_at_a_bad_chain_and_all_of_it_is_seen() {
    let pki = Pki::new();
    for (names, years, good) in [
        ([NAME], 2020..2099, true),
        ([NAME], 2001..2002, false),
        (["other.example"], 2020..2099, false),
    ] {
        let tcp = serve(config(pki.leaf(&names, years))).await;
        let ended = handshake(tcp, wish(Connection::Strict, pki.trust()), soon()).await;
        assert_eq!(
            matches!(ended.stream, Some(Secured::Strict(_))),
            good,
            "{names:?}"
        );
        let facts = ended.seen.judge(&pki.trust(), SystemTime::now());
        assert!(facts.strict && facts.verified == good, "{facts:?}");
        assert_eq!((facts.failure, facts.chain.len()), (None, 1), "{names:?}");
        assert_eq!(facts.trusted_by, ["ca_file"]);
    }
}

#[tokio::test]
async fn a_strict_connection_offers_what_a_login_can_be_bound_to() {
    let pki = Pki::new();
    let tcp = serve(config(pki.leaf(&[NAME], 2020..2099))).await;
    let ended = handshake(tcp, wish(Connection::Strict, pki.trust()), soon()).await;
    let facts = ended.seen.judge(&pki.trust(), SystemTime::now());
    assert_eq!(facts.kind.as_deref(), Some("full"));
    assert_eq!(
        (facts.bindings[0].kind, facts.bindings[0].data.len()),
        ("tls-exporter", 32)
    );
}

#[tokio::test]
async fn a_second_handshake_is_resumed_where_the_server_gives_tickets() {
    let pki = Pki::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config(pki.leaf(&[NAME], 2020..2099))));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.write_all(b"* OK ready\r\n").await;
                let _ = stream.read(&mut [0; 64]).await;
            }
        }
    });
    let connect = || async move { TcpStream::connect(address).await.unwrap() };
    let again = async { Ok(connect().await) };
    let ended = resume(connect().await, evidence(), soon(), again).await;
    let facts = ended.seen.judge(&pki.trust(), SystemTime::now());
    assert_eq!((facts.kind.as_deref(), facts.failure), (Some("resumed"), None));
    assert_eq!(facts.chain.len(), 1, "the chain of the first handshake");
}

/// What a server reads in the first flight.
struct FirstFlight {
    bytes: Vec<u8>,
    server_name: Option<String>,
    alpn: Vec<Vec<u8>>,
}

/// The ClientHello that arrives for this wish, read by another implementation of it.
async fn arriving(hello: Hello) -> FirstFlight {
    let (tell, told) = tokio::sync::oneshot::channel();
    let tcp = server(|mut tcp| async move {
        let mut bytes = Vec::new();
        let mut acceptor = rustls::server::Acceptor::default();
        let accepted = loop {
            let mut piece = [0; 4096];
            let length = tcp.read(&mut piece).await.unwrap();
            bytes.extend_from_slice(&piece[..length]);
            acceptor.read_tls(&mut &piece[..length]).unwrap();
            if let Some(accepted) = acceptor.accept().map_err(|(error, _)| error).unwrap() {
                break accepted;
            }
        };
        let seen = accepted.client_hello();
        let alpn = seen.alpn().map(|offered| offered.map(<[u8]>::to_vec).collect());
        let flight = FirstFlight {
            server_name: seen.server_name().map(str::to_owned),
            alpn: alpn.unwrap_or_default(),
            bytes,
        };
        assert!(tell.send(flight).is_ok());
    })
    .await;
    let wish = Wish {
        hello: &hello,
        ..evidence()
    };
    let ended = handshake(tcp, wish, soon()).await;
    assert!(ended.stream.is_none());
    told.await.unwrap()
}

#[tokio::test]
async fn a_usual_hello_names_the_host_and_the_protocol_and_fits_a_small_segment() {
    let usual = arriving(Hello::default()).await;
    assert_eq!(usual.server_name.as_deref(), Some(NAME));
    assert_eq!(usual.alpn, [b"imap"]);
    assert!(usual.bytes.len() < 536, "{}", usual.bytes.len());
}

#[tokio::test]
async fn a_hello_without_a_name_or_with_another_shows_nothing_of_the_host() {
    let contains = |bytes: &[u8]| bytes.windows(NAME.len()).any(|window| window == NAME.as_bytes());
    let nameless = Hello {
        name: NameShown::Nothing,
        ..Hello::default()
    };
    let nameless = arriving(nameless).await;
    assert_eq!(nameless.server_name, None);
    assert!(!contains(&nameless.bytes));
    let other = Hello {
        name: NameShown::Other("www.example.com".to_owned()),
        ..Hello::default()
    };
    let other = arriving(other).await;
    assert_eq!(other.server_name.as_deref(), Some("www.example.com"));
    assert!(!contains(&other.bytes));
    assert_eq!(other.alpn, [b"imap"]);
}

#[tokio::test]
async fn a_hello_without_a_protocol_differs_in_nothing_else() {
    let silent = Hello {
        without_alpn: true,
        ..Hello::default()
    };
    let silent = arriving(silent).await;
    assert_eq!(silent.server_name.as_deref(), Some(NAME));
    assert!(silent.alpn.is_empty());
}

#[tokio::test]
async fn a_large_hello_needs_two_segments_and_a_server_that_can_reads_it() {
    let large = Hello {
        large: true,
        ..Hello::default()
    };
    let seen = arriving(large.clone()).await;
    assert_eq!(seen.server_name.as_deref(), Some(NAME));
    assert_eq!(seen.alpn[0], b"imap");
    assert!((1_500..2_500).contains(&seen.bytes.len()), "{}", seen.bytes.len());
    let pki = Pki::new();
    let mut config = config(pki.leaf(&[NAME], 2020..2099));
    config.alpn_protocols = vec![b"imap".to_vec()];
    let wish = Wish {
        hello: &large,
        ..evidence()
    };
    let ended = handshake(serve(config).await, wish, soon()).await;
    let facts = ended.seen.judge(&pki.trust(), SystemTime::now());
    assert_eq!((facts.failure, facts.alpn.as_deref()), (None, Some("imap")));
    assert!(facts.verified);
}

#[tokio::test]
async fn a_strict_connection_judges_by_the_host_whatever_name_is_shown() {
    let pki = Pki::new();
    let config = config(pki.leaf(&["www.example.com"], 2020..2099));
    let other = Hello {
        name: NameShown::Other("www.example.com".to_owned()),
        ..Hello::default()
    };
    let wish = Wish {
        hello: &other,
        ..wish(Connection::Strict, pki.trust())
    };
    let ended = handshake(serve(config).await, wish, soon()).await;
    let facts = ended.seen.judge(&pki.trust(), SystemTime::now());
    assert!(!facts.verified);
}
