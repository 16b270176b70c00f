//! The gRPC port: our own accept loop with mutual TLS, or a duplex pipe inside the process.

mod accept;
mod connection;
mod leash;
mod listen;
mod patience;
mod places;
mod registry;
mod seats;
mod term;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::MetricsServiceServer;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceServiceServer;
use parallax_proto::v1::access_server::AccessServer;
use parallax_proto::v1::agent_link_server::AgentLinkServer;
use parallax_proto::v1::alerts_server::AlertsServer;
use parallax_proto::v1::checks_server::ChecksServer;
use parallax_proto::v1::control_server::ControlServer;
use parallax_proto::v1::credentials_server::CredentialsServer;
use parallax_proto::v1::identity_server::IdentityServer;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

pub(crate) use accept::{Acceptor, Room, certified, certified_by_others};
pub(crate) use connection::Connection;
pub(crate) use listen::listen;
pub(crate) use places::{Place, Places};
pub(crate) use registry::Connections;
pub(crate) use term::Term;

use crate::service::Shared;
use crate::service::access::AccessService;
use crate::service::alerts::AlertsService;
use crate::service::checks::ChecksService;
use crate::service::control::ControlService;
use crate::service::credentials::CredentialsService;
use crate::service::identity::IdentityService;
use crate::service::link::LinkService;
use crate::service::otlp::OtlpService;
use crate::service::roles::Doorkeeper;
use patience::Patience;

/// A connection that is idle is asked for a sign of life so often, and given up after so long.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Calls of one connection at the same time.
const STREAMS_AT_MOST: u32 = 64;

/// What a caller may send before it is read: of one call, and of all calls of a connection.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// The headers of one call. Ours are a few hundred bytes.
const HEADERS_AT_MOST: u32 = 16 << 10;

/// Calls that a peer opened and took back at once (CVE-2023-44487), or broke so that we reset them, before its
/// connection ends.
const TAKEN_BACK_AT_MOST: usize = 32;
const BROKEN_AT_MOST: usize = 64;

/// The largest message of an operator: a run with many agents' secrets.
const QUESTION_AT_MOST: usize = 16 << 20;

/// The largest message of an agent: the packets of an attempt.
const REPORT_AT_MOST: usize = 4 << 20;

/// The largest export of an agent's metrics. Its page has some twenty numbers.
const METRICS_AT_MOST: usize = 256 << 10;

/// The largest message of a joiner.
const JOIN_AT_MOST: usize = 16 << 10;

/// Serves the connections that come in until `stop` is ready and every call has ended.
pub(crate) async fn serve(
    shared: Shared,
    connections: mpsc::Receiver<Connection>,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let held = Arc::clone(&shared.connections);
    let incoming =
        ReceiverStream::new(connections).map(move |new| Ok::<_, std::io::Error>(new.held_by(&held)));
    let link =
        AgentLinkServer::new(LinkService::new(shared.clone())).max_decoding_message_size(REPORT_AT_MOST);
    let control =
        ControlServer::new(ControlService(shared.clone())).max_decoding_message_size(QUESTION_AT_MOST);
    let access = AccessServer::new(AccessService(shared.clone()));
    let credentials = CredentialsServer::new(CredentialsService(shared.clone()));
    let checks =
        ChecksServer::new(ChecksService::new(shared.clone())).max_decoding_message_size(QUESTION_AT_MOST);
    let alerts = AlertsServer::new(AlertsService(shared.clone()));
    let identity =
        IdentityServer::new(IdentityService(shared.clone())).max_decoding_message_size(JOIN_AT_MOST);
    let otlp = OtlpService(shared.clone());
    let metrics = MetricsServiceServer::new(otlp.clone()).max_decoding_message_size(METRICS_AT_MOST);
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(STREAMS_AT_MOST)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_header_list_size(HEADERS_AT_MOST)
        .http2_max_pending_accept_reset_streams(Some(TAKEN_BACK_AT_MOST))
        .http2_max_local_error_reset_streams(Some(BROKEN_AT_MOST))
        .layer(Patience)
        .layer(Doorkeeper::new(
            Arc::clone(&shared.admission),
            shared.audit.clone(),
        ))
        .add_service(link)
        .add_service(control)
        .add_service(access)
        .add_service(credentials)
        .add_service(checks)
        .add_service(alerts)
        .add_service(identity)
        .add_service(TraceServiceServer::new(otlp))
        .add_service(metrics)
        .serve_with_incoming_shutdown(incoming, stop)
        .await
}
