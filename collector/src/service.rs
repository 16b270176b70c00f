//! The gRPC services: where the wire is read, and the only place that makes a `Status`.

pub(crate) mod access;
pub(crate) mod alerts;
pub(crate) mod checks;
pub(crate) mod control;
pub(crate) mod credentials;
mod ending;
pub(crate) mod identity;
pub(crate) mod link;
pub(crate) mod otlp;
pub(crate) mod roles;

use std::sync::Arc;

use jiff::Timestamp;
use parallax_model::identity::{Role, SpiffeId};
use tonic::{Request, Status};

use crate::alerts::deliver::Delivery;
use crate::audit::Audit;
use crate::clock::Clock;
use crate::hub::HubHandle;
use crate::identity::Admission;
use crate::intake::Intake;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::peer::Peer;
use crate::relay::Relay;
use crate::server::Connections;
use crate::store::{AlertStore, CheckStore, ResultStore, Store, StoreError};
use crate::telemetry::Telemetry;

/// What every service works with.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) hub: HubHandle,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) checks: Arc<dyn CheckStore>,
    pub(crate) results: Arc<dyn ResultStore>,
    pub(crate) intake: Intake,
    pub(crate) alerts: Arc<dyn AlertStore>,
    pub(crate) delivery: Delivery,
    pub(crate) admission: Arc<Admission>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) audit: Audit,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) relay: Relay,
    pub(crate) limits: Limits,
    pub(crate) telemetry: Telemetry,
    pub(crate) clock: Clock,
    pub(crate) started_at: Timestamp,
}

impl Shared {
    /// Ends what somebody has here, at once; how many connections that were. What they had in the store is over
    /// before.
    pub(crate) async fn cut_off(&self, identity: &SpiffeId) -> Result<u32, Status> {
        if identity.role != Role::Agent {
            return Ok(self.connections.cut(identity));
        }
        self.hub.removed(identity.name.clone()).await?;
        Ok(self.connections.cut_after_last_word(identity))
    }
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
