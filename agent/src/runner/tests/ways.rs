//! The ways that a probe traces.

use parallax_model::experiment::Variation;
use parallax_model::path::{HopReply, NetworkFacts, PathEnd, PathProtocol, Payload};
use parallax_model::spec::PathChoice;
use parallax_model::target::Endpoint;

use super::*;

/// A port that takes one connection and lets every later one wait.
fn full_port() -> (socket2::Socket, std::net::TcpStream, SocketAddr) {
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(0).unwrap();
    let peer = socket.local_addr().unwrap().as_socket().unwrap();
    let first = std::net::TcpStream::connect(peer).unwrap();
    (socket, first, peer)
}

fn traced(mut order: Order, path: PathChoice) -> Order {
    order.spec.options.path = path;
    order
}

#[tokio::test]
async fn a_port_that_resets_is_traced_and_so_is_the_control_port() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let order = traced(order(&closed.to_string(), Depth::Greeting), PathChoice::Auto);
    let observation = run(&runner(Policy::allow_all()), &order).await.unwrap();
    let paths = &observation.network.paths;
    let ports: Vec<_> = paths.iter().map(|path| (path.port, path.experiment)).collect();
    assert!(
        ports.contains(&(closed.port(), Some(ExperimentKind::Path))),
        "{ports:?}"
    );
    assert!(
        ports.contains(&(CONTROL_PORT, Some(ExperimentKind::PathControl))),
        "{ports:?}"
    );
    assert_eq!(paths.len(), 3);
    for path in paths {
        let closed = match path.protocol {
            PathProtocol::Tcp => HopReply::Rst,
            PathProtocol::Udp => HopReply::Unreachable("port_unreachable".into()),
        };
        assert_eq!((path.ended, path.reached), (PathEnd::Reached, true), "{path:?}");
        assert_eq!((path.hops.len(), &path.hops[0].reply), (1, &closed), "{path:?}");
    }
}

#[tokio::test]
async fn a_port_that_is_silent_is_traced_before_its_connection_is_given_up() {
    let (_listener, _first, peer) = full_port();
    let order = traced(order(&peer.to_string(), Depth::Greeting), PathChoice::Auto);
    let began = Instant::now();
    let observation = run(&runner(Policy::allow_all()), &order).await.unwrap();
    let path = observation
        .network
        .paths
        .iter()
        .find(|path| path.port == peer.port())
        .unwrap();
    assert_eq!((path.ended, path.reached), (PathEnd::Silent, false), "{path:?}");
    let silent = path.hops.iter().all(|hop| hop.reply == HopReply::None);
    assert!(silent && path.start >= Duration::from_secs(1), "{path:?}");
    assert!(path.start + path.duration < Duration::from_secs(5), "{path:?}");
    assert!(began.elapsed() < Duration::from_millis(5_500));
}

#[tokio::test]
async fn a_healthy_way_is_traced_on_request_and_else_not() {
    let server = mail_server(Arc::default()).await;
    let order = order(&server.to_string(), Depth::Greeting);
    let runner = runner(Policy::allow_all());
    for (choice, expected) in [
        (PathChoice::Never, 0),
        (PathChoice::Auto, 0),
        (PathChoice::Always, 1),
    ] {
        let observation = run(&runner, &traced(order.clone(), choice)).await.unwrap();
        assert_eq!(observation.outcome, VantageOutcome::Ok);
        let paths = observation.network.paths;
        assert_eq!(paths.len(), expected, "{paths:?}");
        for path in paths {
            assert_eq!(
                (path.hops[0].reply.clone(), path.experiment),
                (HopReply::SynAck, None)
            );
        }
    }
}

#[tokio::test]
async fn a_policy_without_experiments_traces_nothing_and_says_so_where_it_was_asked() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let policy = Policy {
        experiments: false,
        ..Policy::allow_all()
    };
    let runner = runner(policy);
    for (choice, ends) in [
        (PathChoice::Auto, vec![]),
        (PathChoice::Always, vec![PathEnd::Policy]),
    ] {
        let order = traced(order(&closed.to_string(), Depth::Greeting), choice);
        let observation = run(&runner, &order).await.unwrap();
        let ended: Vec<_> = observation.network.paths.iter().map(|path| path.ended).collect();
        assert_eq!(ended, ends);
    }
}

async fn follow_up(server: SocketAddr, security: Security, kinds: &[ExperimentKind]) -> NetworkFacts {
    let mut order = order(&server.to_string(), Depth::Greeting);
    let experiment = |&kind| Experiment {
        kind,
        agent: "fra-1".parse().unwrap(),
        address: server.ip(),
        endpoint: Endpoint {
            port: server.port(),
            security,
        },
        variation: Variation::default(),
    };
    order.experiments = kinds.iter().map(experiment).collect();
    let observation = run(&runner(Policy::allow_all()), &order).await.unwrap();
    assert!(observation.attempts.is_empty());
    observation.network
}

#[tokio::test]
async fn a_path_is_an_experiment_too_and_makes_no_attempt() {
    let server = mail_server(Arc::default()).await;
    let kinds = [
        ExperimentKind::Path,
        ExperimentKind::PathControl,
        ExperimentKind::PathSize,
    ];
    let paths = follow_up(server, Security::Plaintext, &kinds).await.paths;
    let seen: Vec<_> = paths
        .iter()
        .map(|path| (path.port, path.experiment, path.ended))
        .collect();
    assert_eq!(
        seen[..2],
        [
            (server.port(), Some(ExperimentKind::Path), PathEnd::Reached),
            (CONTROL_PORT, Some(ExperimentKind::PathControl), PathEnd::Reached),
        ]
    );
    let sizes: Vec<_> = paths[2..].iter().map(|path| (path.bytes, path.reached)).collect();
    assert_eq!(
        sizes,
        [1_500, 1_492, 1_400, 1_280].map(|bytes| (Some(bytes), true))
    );
}

#[tokio::test]
async fn how_far_an_answer_comes_from_is_found_for_the_port_and_for_the_session() {
    let server = mail_server(Arc::default()).await;
    let paths = follow_up(server, Security::Tls, &[ExperimentKind::AnswerTtl])
        .await
        .paths;
    let seen: Vec<_> = paths
        .iter()
        .map(|path| (path.port, path.payload, path.answer_ttl))
        .collect();
    assert_eq!(
        seen,
        [
            (server.port(), Payload::Syn, Some(64)),
            (server.port(), Payload::ClientHello, Some(64)),
        ]
    );
}

#[tokio::test]
async fn two_hellos_are_sent_further_and_further_where_the_port_has_tls_at_once_or_later() {
    let server = mail_server(Arc::default()).await;
    let ladder = [ExperimentKind::HelloLadder];
    let paths = follow_up(server, Security::Tls, &ladder).await.paths;
    let seen: Vec<_> = paths
        .iter()
        .map(|path| (path.payload, path.hops[0].reply.clone()))
        .collect();
    assert_eq!(
        seen,
        [
            (Payload::ClientHello, HopReply::Answered),
            (Payload::ClientHelloControl, HopReply::Answered),
        ]
    );
    let paths = follow_up(server, Security::Starttls, &ladder).await.paths;
    let seen: Vec<_> = paths.iter().map(|path| (path.payload, path.ended)).collect();
    assert_eq!(
        seen,
        [
            (Payload::ClientHello, PathEnd::Reached),
            (Payload::ClientHelloControl, PathEnd::Reached),
        ]
    );
    let paths = follow_up(server, Security::Plaintext, &ladder).await.paths;
    assert_eq!(paths[0].ended, PathEnd::Unsupported);
}

#[tokio::test]
async fn where_starttls_is_not_answered_the_way_of_the_command_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(b"* OK ready\r\n").await.unwrap();
            open.push(stream);
        }
    });
    let ladder = [ExperimentKind::HelloLadder];
    let paths = follow_up(server, Security::Starttls, &ladder).await.paths;
    let seen: Vec<_> = paths.iter().map(|path| (path.payload, path.ended)).collect();
    assert_eq!(
        seen,
        [
            (Payload::ClientHello, PathEnd::NotSent),
            (Payload::ClientHelloControl, PathEnd::NotSent),
            (Payload::Starttls, PathEnd::Silent),
        ]
    );
}

#[tokio::test]
async fn flows_that_are_all_alike_are_swept_by_half_and_not_again_soon() {
    let server = mail_server(Arc::default()).await;
    let twice = [ExperimentKind::PortSweep; 2];
    let network = follow_up(server, Security::Tls, &twice).await;
    assert!(network.paths.is_empty());
    let [sweep] = network.sweeps.as_slice() else {
        panic!("{:?}", network.sweeps)
    };
    assert_eq!((sweep.port, sweep.source), (server.port(), Some(server.ip())));
    assert_eq!(sweep.flows.len(), 8);
    for flow in &sweep.flows {
        assert_eq!(flow.replies, [HopReply::SynAck, HopReply::SynAck]);
    }
}
