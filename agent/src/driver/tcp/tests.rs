use std::time::Duration;

use tokio::net::TcpListener;

use super::*;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

#[tokio::test]
async fn an_open_port_has_both_addresses_and_an_established_state() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(address).await.unwrap();
        let peer = listener.local_addr().unwrap();
        let open = connect(peer, Dial::default(), soon()).await.ok().unwrap();
        assert_eq!(open.evidence.peer, peer);
        assert_eq!(open.evidence.local, Some(open.stream.local_addr().unwrap()));
        assert_eq!(open.evidence.errno, None);
        let info = info(open.stream.as_fd()).unwrap();
        assert_eq!((info.state.as_str(), info.segs_in), ("ESTABLISHED", 1));
        assert!(info.snd_mss > 500, "{info:?}");
        assert_eq!(open.evidence.syn_retransmits, Some(0));
        assert_eq!(holder(peer.ip()).unwrap().name, "lo");
    }
}

#[tokio::test]
async fn a_small_largest_segment_is_announced_to_the_other_side() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(address).await.unwrap();
        let dial = Dial {
            mss: Some(536),
            ..Dial::default()
        };
        let open = connect(listener.local_addr().unwrap(), dial, soon()).await;
        let (accepted, _) = listener.accept().await.unwrap();
        let theirs = info(accepted.as_fd()).unwrap().snd_mss;
        assert!((500..=536).contains(&theirs), "{theirs}");
        let ours = info(open.ok().unwrap().stream.as_fd()).unwrap().snd_mss;
        assert!(ours <= 536, "{ours}");
    }
}

#[tokio::test]
async fn a_connection_comes_from_the_source_that_was_chosen_or_is_not_made() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = listener.local_addr().unwrap();
    let from = |source: &str| Dial {
        source: Some(source.parse().unwrap()),
        ..Dial::default()
    };
    let open = connect(peer, from("127.0.0.2"), soon()).await.ok().unwrap();
    let (_, seen) = listener.accept().await.unwrap();
    assert_eq!(open.evidence.local, Some(seen));
    assert_eq!(seen.ip().to_string(), "127.0.0.2");
    let strange = connect(peer, from("192.0.2.77"), soon()).await.err().unwrap();
    assert_eq!(strange.evidence.errno.as_deref(), Some("EADDRNOTAVAIL"));
    let other_family = connect(peer, from("::1"), soon()).await.err().unwrap();
    assert!(other_family.evidence.errno.is_some());
}

#[tokio::test]
async fn a_closed_port_is_refused_by_a_reset_and_not_by_icmp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = listener.local_addr().unwrap();
    drop(listener);
    let refused = connect(peer, Dial::default(), soon()).await.err().unwrap();
    assert_eq!(refused.fault.kind, FaultKind::Tcp(TcpFault::ConnectionRefused));
    assert_eq!(refused.evidence.errno.as_deref(), Some("ECONNREFUSED"));
    assert_eq!(refused.evidence.icmp, None);
    assert_eq!(refused.info.unwrap().segs_in, 1);
    assert_eq!(refused.evidence.syn_retransmits, Some(0));
}

#[tokio::test]
async fn a_host_that_drops_the_first_segment_is_sent_it_again_and_that_is_counted() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let address: SocketAddr = address.parse().unwrap();
        let full = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        full.bind(&address.into()).unwrap();
        full.listen(0).unwrap();
        let peer = full.local_addr().unwrap().as_socket().unwrap();
        let _first = connect(peer, Dial::default(), soon()).await.ok().unwrap();
        let until = Instant::now() + Duration::from_millis(1_300);
        let silent = connect(peer, Dial::default(), until).await.err().unwrap();
        assert_eq!(silent.fault.kind, FaultKind::Tcp(TcpFault::TimedOut));
        assert_eq!(silent.evidence.syn_retransmits, Some(1), "{silent:?}");
        assert_eq!(silent.info.unwrap().state, "SYN_SENT");
    }
}

#[tokio::test]
async fn an_icmp_error_of_a_datagram_names_its_sender() {
    let closed = {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.local_addr().unwrap()
    };
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    keep_icmp_errors(socket.as_fd(), true);
    socket.connect(closed).await.unwrap();
    socket.send(b"?").await.unwrap();
    let error = socket.recv(&mut [0; 8]).await.unwrap_err();
    assert_eq!(errno::name(&error), "ECONNREFUSED");
    let icmp = icmp_error(socket.as_fd()).unwrap();
    assert_eq!(
        (icmp.kind, icmp.code, icmp.name.as_str()),
        (3, 3, "port_unreachable")
    );
    assert_eq!(icmp.from, closed.ip());
}
