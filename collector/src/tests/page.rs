//! The HTTP port on loopback and off it, as browsers, scrapers and strangers meet it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parallax_model::identity::Role;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::tls::{config, joined, token};
use crate::Collector;
use crate::config::{Config, Page};

/// On every address, so that it is not loopback's rule that holds.
fn for_others(directory: &Path) -> Config {
    Config {
        http: "0.0.0.0:0".parse().unwrap(),
        ..config(directory)
    }
}

async fn dial(collector: &Collector) -> TcpStream {
    let port = collector.http_addr().unwrap().port();
    TcpStream::connect(("127.0.0.1", port)).await.unwrap()
}

/// The status of an answer.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str, headers: &str) -> String {
    let text = format!("{request} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    for header in ["frame-ancestors 'none'", "no-referrer", "nosniff", "no-store"] {
        assert!(answer.contains(header), "{header}: {answer}");
    }
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// A client that believes the collector's CA as any other would, and shows `identity`'s certificate if given.
pub(super) fn tls(data: &Path, identity: Option<&Path>, speaks: &[u8]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for anchor in CertificateDer::pem_file_iter(data.join("ca.pem")).unwrap() {
        roots.add(anchor.unwrap()).unwrap();
    }
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(directory) => {
            let chain = CertificateDer::pem_file_iter(directory.join("cert.pem")).unwrap();
            let key = PrivateKeyDer::from_pem_file(directory.join("key.pem")).unwrap();
            builder
                .with_client_auth_cert(chain.map(Result::unwrap).collect(), key)
                .unwrap()
        }
    };
    config.alpn_protocols = vec![speaks.to_vec()];
    TlsConnector::from(Arc::new(config))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_loopback_a_page_of_another_name_reads_nothing() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(&config(data.path())).await.unwrap();
    let get = async |path: &str, host: &str| {
        ask(
            dial(&collector).await,
            &format!("GET {path}"),
            &format!("Host: {host}\r\n"),
        )
        .await
    };
    for path in ["/", "/metrics"] {
        assert_eq!(get(path, "localhost:7180").await, "200");
        assert_eq!(get(path, "evil.example").await, "421");
    }
    assert_eq!(get("/readyz", "evil.example").await, "200");
    assert_eq!(get("/nothing", "localhost").await, "404");
    let posted = ask(
        dial(&collector).await,
        "POST /",
        "Host: localhost\r\nContent-Length: 0\r\n",
    )
    .await;
    assert_eq!(posted, "405", "nothing is done by the page");
    assert!(!data.path().join("http-token").exists(), "none is needed here");
    collector.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_loopback_it_takes_tls_and_a_token() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(&for_others(data.path())).await.unwrap();
    let token = std::fs::read_to_string(data.path().join("http-token")).unwrap();
    let right = format!("Host: x\r\nAuthorization: Bearer {}\r\n", token.trim());
    for open in ["GET /healthz", "HEAD /readyz"] {
        assert_eq!(ask(dial(&collector).await, open, "").await, "200");
    }
    for closed in ["GET /", "GET /metrics", "GET /nothing"] {
        assert_eq!(
            ask(dial(&collector).await, closed, &right).await,
            "426",
            "{closed}"
        );
    }
    let connector = tls(data.path(), None, b"http/1.1");
    let secured = async || {
        let name = "127.0.0.1".try_into().unwrap();
        connector.connect(name, dial(&collector).await).await.unwrap()
    };
    assert_eq!(ask(secured().await, "GET /metrics", &right).await, "200");
    assert_eq!(ask(secured().await, "GET /", &right).await, "200");
    assert_eq!(ask(secured().await, "GET /", "Host: x\r\n").await, "401");
    let wrong = "Host: x\r\nAuthorization: Bearer 0000000000000000000000\r\n";
    assert_eq!(ask(secured().await, "GET /", wrong).await, "401");
    collector.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_persons_certificate_does_instead_of_a_token_and_an_agents_does_not() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(&for_others(data.path())).await.unwrap();
    for (role, name, expected) in [(Role::Viewer, "ada", "200"), (Role::Agent, "fra-1", "401")] {
        let token = token(data.path(), role).await;
        let identity = joined(&collector, &token, name).await.unwrap();
        let home = data.path().join(name);
        identity.save(&home).unwrap();
        let connector = tls(data.path(), Some(&home), b"http/1.1");
        let stream = connector
            .connect("127.0.0.1".try_into().unwrap(), dial(&collector).await)
            .await
            .unwrap();
        assert_eq!(ask(stream, "GET /", "Host: x\r\n").await, expected, "{name}");
    }
    collector.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_proxy_it_is_plain_and_the_token_stays() {
    let data = tempfile::tempdir().unwrap();
    let config = Config {
        page: Page {
            plain: true,
            ..Page::default()
        },
        ..for_others(data.path())
    };
    let collector = Collector::start(&config).await.unwrap();
    let token = std::fs::read_to_string(data.path().join("http-token")).unwrap();
    let right = format!("Host: x\r\nAuthorization: Bearer {}\r\n", token.trim());
    assert_eq!(ask(dial(&collector).await, "GET /", &right).await, "200");
    assert_eq!(ask(dial(&collector).await, "GET /", "Host: x\r\n").await, "401");
    collector.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visitors_that_say_nothing_keep_nobody_out() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(&config(data.path())).await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..150 {
        let socket = TcpSocket::new_v4().unwrap();
        let own: SocketAddr = ([127, 0, 0, 2], 0).into();
        socket.bind(own).unwrap();
        silent.push(socket.connect(collector.http_addr().unwrap()).await.unwrap());
    }
    let began = Instant::now();
    assert_eq!(ask(dial(&collector).await, "GET /healthz", "").await, "200");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let mut byte = [0];
    let gave_way = tokio::time::timeout(Duration::from_secs(1), silent[0].read(&mut byte)).await;
    assert!(matches!(gave_way, Ok(Ok(0) | Err(_))), "{gave_way:?}");
    collector.shutdown().await;
}
