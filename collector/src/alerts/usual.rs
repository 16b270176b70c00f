//! Looks up what is usual, now and again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::warn;

use crate::hub::{Event, HubHandle};
use crate::store::ResultStore;

/// How often: what is usual is that of seven days.
const EVERY: Duration = Duration::from_secs(3600);

/// Tells the hub, until it has stopped.
pub(crate) async fn learn(results: Arc<dyn ResultStore>, hub: HubHandle) {
    loop {
        match results.baselines(Timestamp::now()).await {
            Ok(usual) => {
                if hub.tell(Event::UsualChanged(usual)).await.is_err() {
                    return;
                }
            }
            Err(problem) => warn!("what is usual can't be looked up: {problem}"),
        }
        tokio::time::sleep(EVERY).await;
    }
}
