//! The gRPC services: where the wire is read, and the only place that makes a `Status`.

pub(crate) mod control;
pub(crate) mod identity;
pub(crate) mod link;
pub(crate) mod otlp;
pub(crate) mod roles;

use std::sync::Arc;

use jiff::Timestamp;
use tonic::{Request, Status};

use crate::clock::Clock;
use crate::hub::HubHandle;
use crate::identity::Admission;
use crate::metrics::Metrics;
use crate::peer::Peer;
use crate::relay::Relay;
use crate::store::{Store, StoreError};
use crate::telemetry::Telemetry;

/// What every service works with.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) hub: HubHandle,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) relay: Relay,
    pub(crate) telemetry: Telemetry,
    pub(crate) clock: Clock,
    pub(crate) started_at: Timestamp,
}

fn peer<T>(request: &Request<T>) -> Peer {
    request.extensions().get::<Peer>().cloned().unwrap_or_default()
}

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        tracing::error!("{error}");
        Self::internal("the collector's database failed; its log says how")
    }
}

impl From<crate::hub::Stopping> for Status {
    fn from(error: crate::hub::Stopping) -> Self {
        Self::unavailable(error.to_string())
    }
}
