//! The gRPC port: our own accept loop with mutual TLS, or a duplex pipe inside the process.

mod accept;
mod connection;
mod listen;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceServiceServer;
use parallax_proto::v1::agent_link_server::AgentLinkServer;
use parallax_proto::v1::control_server::ControlServer;
use parallax_proto::v1::identity_server::IdentityServer;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

pub(crate) use accept::Acceptor;
pub(crate) use connection::Connection;
pub(crate) use listen::listen;

use crate::service::Shared;
use crate::service::control::ControlService;
use crate::service::identity::IdentityService;
use crate::service::link::LinkService;
use crate::service::otlp::OtlpService;
use crate::service::roles::Doorkeeper;

/// A connection that is idle is asked for a sign of life so often, and given up after so long.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Calls of one connection at the same time.
const STREAMS_AT_MOST: u32 = 256;

/// The largest message taken: a run with many agents' secrets is the largest there is.
const MESSAGE_AT_MOST: usize = 16 << 20;

/// Serves the connections that come in until `stop` is ready and every call has ended.
pub(crate) async fn serve(
    shared: Shared,
    connections: mpsc::Receiver<Connection>,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let incoming = ReceiverStream::new(connections).map(Ok::<_, std::io::Error>);
    let link = AgentLinkServer::new(LinkService::new(shared.clone()));
    let control =
        ControlServer::new(ControlService(shared.clone())).max_decoding_message_size(MESSAGE_AT_MOST);
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(STREAMS_AT_MOST)
        .layer(Doorkeeper::new(Arc::clone(&shared.store)))
        .add_service(link)
        .add_service(control)
        .add_service(IdentityServer::new(IdentityService(shared.clone())))
        .add_service(TraceServiceServer::new(OtlpService(shared)))
        .serve_with_incoming_shutdown(incoming, stop)
        .await
}
