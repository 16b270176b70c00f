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
        let open = connect(peer, soon()).await.ok().unwrap();
        assert_eq!(open.evidence.peer, peer);
        assert_eq!(open.evidence.local, Some(open.stream.local_addr().unwrap()));
        assert_eq!(open.evidence.errno, None);
        let info = info(open.stream.as_fd()).unwrap();
        assert_eq!((info.state.as_str(), info.segs_in), ("ESTABLISHED", 1));
        assert!(info.snd_mss > 500, "{info:?}");
        assert_eq!(open.evidence.syn_retransmits, Some(0));
        assert_eq!(holder(peer.ip()).as_deref(), Some("lo"));
    }
}

#[tokio::test]
async fn a_closed_port_is_refused_by_a_reset_and_not_by_icmp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = listener.local_addr().unwrap();
    drop(listener);
    let refused = connect(peer, soon()).await.err().unwrap();
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
        let _first = connect(peer, soon()).await.ok().unwrap();
        let until = Instant::now() + Duration::from_millis(1_300);
        let silent = connect(peer, until).await.err().unwrap();
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
