use std::time::Duration;

use parallax_engine::path::{Answer, Shot};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::*;

const SHOT: Shot = Shot {
    ttl: 1,
    least: None,
    wait: Duration::from_millis(500),
};

#[tokio::test]
async fn an_open_port_answers_the_same_flow_again_and_again() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(address).await.unwrap();
        let mut flow = Flow::new(listener.local_addr().unwrap(), Carrier::Syn);
        let mut ports = Vec::new();
        for _ in 0..3 {
            let answer = flow.shoot(SHOT).await;
            assert!(matches!(answer, Answer::SynAck { .. }), "{answer:?}");
            ports.push(flow.local().unwrap());
        }
        assert!(ports.iter().all(|port| port == &ports[0]), "{ports:?}");
    }
}

#[tokio::test]
async fn a_closed_port_answers_with_a_reset() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(address).await.unwrap();
        let mut flow = Flow::new(listener.local_addr().unwrap(), Carrier::Syn);
        drop(listener);
        let answer = flow.shoot(SHOT).await;
        assert!(matches!(answer, Answer::Reset { .. }), "{answer:?}");
    }
}

#[tokio::test]
async fn a_datagram_to_a_closed_port_comes_back_as_an_error_of_its_host() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let peer = UdpSocket::bind(address).await.unwrap().local_addr().unwrap();
        for bytes in [None, Some(1_400)] {
            let mut flow = Flow::new(peer, Carrier::Datagram(bytes));
            for _ in 0..2 {
                // The sender is this host's own address, and yet the packet arrived.
                let answer = flow.shoot(SHOT).await;
                let Answer::Icmp(icmp) = &answer else {
                    panic!("{answer:?}")
                };
                assert!(
                    icmp.is_port_unreachable() && icmp.error.from == peer.ip(),
                    "{icmp:?}"
                );
                assert_eq!(icmp.mss, None);
            }
            assert_eq!(flow.local().unwrap().ip(), peer.ip());
        }
    }
}

#[tokio::test]
async fn a_datagram_that_is_answered_says_so_and_silence_is_silence() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let echo = UdpSocket::bind(address).await.unwrap();
        let mut flow = Flow::new(echo.local_addr().unwrap(), Carrier::Datagram(Some(200)));
        assert_eq!(flow.shoot(SHOT).await, Answer::Silence);
        let echoes = async {
            let mut data = [0; 256];
            // The first is still there.
            let (first, _) = echo.recv_from(&mut data).await.unwrap();
            let (second, from) = echo.recv_from(&mut data).await.unwrap();
            let headers = if from.is_ipv4() { 28 } else { 48 };
            assert_eq!((first + headers, second + headers), (200, 200));
            echo.send_to(b"here", from).await.unwrap();
        };
        let (answer, ()) = tokio::join!(flow.shoot(SHOT), echoes);
        assert!(matches!(answer, Answer::Answered { .. }), "{answer:?}");
    }
}

#[tokio::test]
async fn an_answer_from_further_than_the_limit_is_not_seen() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(address).await.unwrap();
        let peer = listener.local_addr().unwrap();
        let at_least = |least| Shot {
            least: Some(least),
            wait: Duration::from_millis(200),
            ..SHOT
        };
        let mut flow = Flow::new(peer, Carrier::Syn);
        let passes = flow.shoot(at_least(64)).await;
        assert!(matches!(passes, Answer::SynAck { .. }), "{passes:?}");
        assert_eq!(flow.shoot(at_least(65)).await, Answer::Silence);
        drop(listener);
        let reset = flow.shoot(at_least(64)).await;
        assert!(matches!(reset, Answer::Reset { .. }), "{reset:?}");
        assert_eq!(flow.shoot(at_least(65)).await, Answer::Silence);
    }
}

#[tokio::test]
async fn what_is_said_first_is_answered_or_reset_or_neither() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(address).await.unwrap();
        let mut flow = Flow::new(
            listener.local_addr().unwrap(),
            Carrier::Hello(b"hello".as_slice().into()),
        );
        let mut heard = [0; 5];
        let answering = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut heard).await.unwrap();
            stream.write_all(b"hello yourself").await.unwrap();
            stream
        };
        let (answer, _stream) = tokio::join!(flow.shoot(SHOT), answering);
        assert!(matches!(answer, Answer::Answered { .. }), "{answer:?}");
        assert_eq!(&heard, b"hello");
        let resetting = async {
            let (stream, _) = listener.accept().await.unwrap();
            stream.readable().await.unwrap();
            // Closed with something unread, which is a reset.
            drop(stream);
        };
        let (answer, ()) = tokio::join!(flow.shoot(SHOT), resetting);
        assert!(matches!(answer, Answer::Reset { .. }), "{answer:?}");
        assert_eq!(flow.shoot(SHOT).await, Answer::Silence);
    }
}

#[tokio::test]
async fn a_hello_behind_starttls_is_the_only_thing_whose_way_is_short() {
    for (carrier, heard) in [
        (
            Carrier::Starttls(Some(b"hello".as_slice().into())),
            "1 STARTTLS\r\nhello",
        ),
        (Carrier::Starttls(None), "1 STARTTLS\r\n"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut flow = Flow::new(listener.local_addr().unwrap(), carrier);
        let answering = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"* OK ready\r\n").await.unwrap();
            let mut said = vec![0; heard.len()];
            let command = "1 STARTTLS\r\n".len();
            stream.read_exact(&mut said[..command]).await.unwrap();
            stream
                .write_all(b"* 1 EXISTS\r\n1 OK go ahead\r\n")
                .await
                .unwrap();
            if heard.len() > command {
                stream.read_exact(&mut said[command..]).await.unwrap();
                stream.write_all(b"hello yourself").await.unwrap();
            }
            (stream, said)
        };
        let (answer, (_stream, said)) = tokio::join!(flow.shoot(SHOT), answering);
        assert!(matches!(answer, Answer::Answered { .. }), "{answer:?}");
        assert_eq!(said, heard.as_bytes());
    }
}

#[tokio::test]
async fn without_starttls_nothing_is_said_behind_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let carrier = Carrier::Starttls(Some(b"hello".as_slice().into()));
    let mut flow = Flow::new(listener.local_addr().unwrap(), carrier);
    let refusing = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"* OK ready\r\n").await.unwrap();
        stream.read_exact(&mut [0; 12]).await.unwrap();
        stream.write_all(b"1 BAD what?\r\n").await.unwrap();
        stream
    };
    let (answer, _stream) = tokio::join!(flow.shoot(SHOT), refusing);
    assert!(matches!(answer, Answer::NotSent(_)), "{answer:?}");
}
