use std::time::Duration;

use tokio::net::TcpListener;

use super::*;

const SHOT: Shot = Shot {
    ttl: 1,
    wait: Duration::from_millis(500),
};

#[tokio::test]
async fn an_open_port_answers_the_same_flow_again_and_again() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(address).await.unwrap();
        let mut flow = Flow::to(listener.local_addr().unwrap());
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
        let mut flow = Flow::to(listener.local_addr().unwrap());
        drop(listener);
        let answer = flow.shoot(SHOT).await;
        assert!(matches!(answer, Answer::Reset { .. }), "{answer:?}");
    }
}
