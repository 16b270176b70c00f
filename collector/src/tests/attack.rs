//! Strangers, floods and their like: each costs itself, and nobody else.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parallax_model::identity::Role;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::tls::{config, get, joined, token};
use crate::Collector;
use crate::config::{Config, Limits};

/// For what must not be kept waiting by somebody else.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A connection of another host, as far as loopback has others.
async fn from(last: u8, collector: &Collector) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let own: SocketAddr = ([127, 0, 0, last], 0).into();
    socket.bind(own).unwrap();
    socket.connect(collector.listen_addr().unwrap()).await.unwrap()
}

/// Whether the other side has ended it.
async fn is_over(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    let read = tokio::time::timeout(AT_ONCE, stream.read(&mut byte)).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_that_say_nothing_keep_nobody_out() {
    let directory = tempfile::tempdir().unwrap();
    let token = token(directory.path(), Role::Agent).await;
    let collector = Collector::start(&config(directory.path())).await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(from(2, &collector).await);
    }
    let began = Instant::now();
    joined(&collector, &token, "fra-1").await.unwrap();
    let took = began.elapsed();
    assert!(took < AT_ONCE, "{took:?}");
    assert!(is_over(&mut silent[0]).await, "the oldest of the crowd gave way");
    let metrics = get(&collector, "/metrics").await;
    let counted = "parallax_connections_refused_total{reason=\"handshakes\"}";
    assert!(metrics.contains(counted), "{metrics}");
    collector.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_has_so_many_connections_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        limits: Limits {
            per_identity: 2,
            ..Limits::default()
        },
        ..config(directory.path())
    };
    let token = token(directory.path(), Role::Viewer).await;
    let collector = Collector::start(&config).await.unwrap();
    let ada = joined(&collector, &token, "ada").await.unwrap();
    let dial = || async {
        let dialer = parallax_identity::Dialer::new(super::tls::address(&collector), &ada).unwrap();
        let mut client = parallax_proto::v1::control_client::ControlClient::new(dialer.lazy());
        let answer = client.get_status(parallax_proto::v1::GetStatusRequest {}).await;
        (client, answer)
    };
    let (first, second) = (dial().await, dial().await);
    assert!(first.1.is_ok() && second.1.is_ok());
    let third = dial().await;
    assert!(third.1.is_err(), "{:?}", third.1);
    drop(first);
    let deadline = Instant::now() + Duration::from_secs(5);
    while dial().await.1.is_err() {
        assert!(
            Instant::now() < deadline,
            "a seat that was given back is not free"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    collector.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_shows_no_certificate_is_cut_after_a_few_bytes() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(&config(data.path())).await.unwrap();
    let connector = super::page::tls(data.path(), None, b"h2");
    let mut stranger = connector
        .connect("127.0.0.1".try_into().unwrap(), from(3, &collector).await)
        .await
        .unwrap();
    // The preface of HTTP/2 and empty settings (RFC 9113, section 3.4), then pings without end.
    stranger
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    stranger.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    let mut said = 0;
    let mut heard = [0; 4096];
    let cut = async {
        loop {
            if stranger.write_all(&ping).await.is_err() || stranger.flush().await.is_err() {
                return;
            }
            said += ping.len();
            match stranger.read(&mut heard).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(15), cut).await.unwrap();
    assert!((60_000..70_000).contains(&said), "{said}");
    collector.shutdown().await;
}
