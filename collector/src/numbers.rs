//! The collector's own page, also for the OTLP endpoint.

use std::sync::Arc;

use parallax_telemetry::Numbers;

use crate::hub::HubHandle;
use crate::metrics::Metrics;
use crate::service::Shared;
use crate::store::CheckStore;

/// What a page is made of.
#[derive(Clone)]
pub(crate) struct OwnNumbers {
    hub: HubHandle,
    checks: Arc<dyn CheckStore>,
    metrics: Arc<Metrics>,
}

impl OwnNumbers {
    pub(crate) fn of(shared: &Shared) -> Self {
        Self {
            hub: shared.hub.clone(),
            checks: Arc::clone(&shared.checks),
            metrics: Arc::clone(&shared.metrics),
        }
    }

    /// Takes the checks, the agents and the alerts as they are now; `false` when nobody can say, and they stay as they were.
    pub(crate) async fn refresh(&self) -> bool {
        let Ok(agents) = self.hub.agents().await else {
            return false;
        };
        let Ok(checks) = self.checks.checks().await else {
            return false;
        };
        let Ok(alerts) = self.hub.alerts(false).await else {
            return false;
        };
        self.metrics.set_alerts(&alerts);
        let running = checks.into_iter().filter(|check| !check.paused);
        let agents = agents.into_iter().map(|agent| agent.summary).collect();
        self.metrics.set_scene(running.collect(), agents);
        true
    }
}

impl Numbers for OwnNumbers {
    /// The last page of a collector that stops is as the hub left it.
    async fn page(&self) -> Option<String> {
        self.refresh().await;
        self.metrics.text().ok()
    }

    fn sent(&self, whole: bool) {
        self.metrics.page_sent(whole);
    }

    /// An agent counts on its disk.
    fn outlive(&self) -> &'static [&'static str] {
        &["parallax_agent_results_dropped_total"]
    }
}
