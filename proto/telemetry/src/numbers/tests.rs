#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response};

use super::*;
use crate::service::instance_id;

const SOON: Duration = Duration::from_millis(20);
const NEVER: Duration = Duration::from_secs(3600);
const DEADLINE: Duration = Duration::from_secs(5);

/// An OTLP metrics service that keeps what it gets.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<ExportMetricsServiceRequest>>>);

impl Sink {
    fn serve(self) -> SocketAddr {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = incoming.local_addr().unwrap();
        let server = Server::builder().add_service(MetricsServiceServer::new(self));
        tokio::spawn(server.serve_with_incoming(incoming));
        address
    }

    fn arrived(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[tonic::async_trait]
impl MetricsService for Sink {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

/// A page of one counter, and how its exports ended.
#[derive(Clone, Default)]
struct Counted(Arc<[AtomicU32; 2]>);

impl Counted {
    fn sent_and_failed(&self) -> (u32, u32) {
        let [failed, sent] = &*self.0;
        (sent.load(Ordering::SeqCst), failed.load(Ordering::SeqCst))
    }
}

impl Numbers for Counted {
    async fn page(&self) -> Option<String> {
        Some("# TYPE a counter\na_total 1\n# EOF\n".to_owned())
    }

    fn sent(&self, whole: bool) {
        self.0[usize::from(whole)].fetch_add(1, Ordering::SeqCst);
    }
}

fn service() -> Service {
    Service {
        name: "parallax-collector",
        instance_id: instance_id("test"),
        attributes: vec![],
    }
}

fn to(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect_lazy()
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let waited = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(DEADLINE, waited).await.is_ok(), "{what}");
}

#[tokio::test]
async fn a_page_is_sent_again_and_again_and_once_more_at_the_end() {
    let (sink, counted) = (Sink::default(), Counted::default());
    let publishing = Publishing::every(SOON, service(), to(sink.clone().serve()), counted.clone());
    until("three pages", || sink.arrived() >= 3).await;
    publishing.shutdown(DEADLINE).await;
    assert_eq!(
        usize::try_from(counted.sent_and_failed().0).unwrap(),
        sink.arrived()
    );

    let (sink, counted) = (Sink::default(), Counted::default());
    let publishing = Publishing::every(NEVER, service(), to(sink.clone().serve()), counted.clone());
    publishing.shutdown(DEADLINE).await;
    assert_eq!((sink.arrived(), counted.sent_and_failed()), (1, (1, 0)));
}

#[tokio::test]
async fn a_dead_destination_is_a_counted_failure_and_work_goes_on() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = free.local_addr().unwrap();
    drop(free);
    let counted = Counted::default();
    let publishing = Publishing::every(SOON, service(), to(dead), counted.clone());
    until("two failures", || counted.sent_and_failed().1 >= 2).await;
    publishing.shutdown(DEADLINE).await;
    assert_eq!(counted.sent_and_failed().0, 0);
}

#[tokio::test]
async fn a_silent_destination_holds_the_end_no_longer_than_the_deadline() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let channel = to(silent.local_addr().unwrap());
    let publishing = Publishing::every(SOON, service(), channel, Counted::default());
    // One export is on its way when the end comes.
    let _taken = timeout(DEADLINE, silent.accept()).await.unwrap().unwrap();
    let began = Instant::now();
    publishing.shutdown(Duration::from_millis(200)).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn without_a_destination_nothing_is_begun() {
    let none = Publishing::start(service(), Destination::Off, Counted::default()).unwrap();
    assert!(none.is_none());
    let wrong = Destination::Endpoint("collector:4317".into());
    assert!(matches!(
        Publishing::start(service(), wrong, Counted::default()),
        Err(TelemetryError::Endpoint { .. })
    ));
}
