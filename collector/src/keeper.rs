//! Lets go what was kept long enough.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{debug, warn};

use crate::config::Retention;
use crate::metrics::Metrics;
use crate::store::ResultStore;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(60);

/// Between two deletions while there is more: others write too.
const BREATH: Duration = Duration::from_millis(50);

/// Looks once a minute, and when something else is to be kept, and deletes until nothing is left that is too old. Runs
/// until it is aborted.
pub(crate) async fn keep(
    store: Arc<dyn ResultStore>,
    mut retention: watch::Receiver<Retention>,
    metrics: Arc<Metrics>,
) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            Ok(()) = retention.changed() => {}
        }
        let kept = *retention.borrow_and_update();
        let mut gone = 0;
        loop {
            match store.prune(kept, Timestamp::now()).await {
                Ok(pruned) => {
                    metrics.store_bytes(pruned.bytes);
                    gone += pruned.rows;
                    if pruned.rows == 0 {
                        break;
                    }
                }
                Err(problem) => {
                    warn!("what is old could not be deleted, it is tried again: {problem}");
                    break;
                }
            }
            sleep(BREATH).await;
        }
        if gone > 0 {
            debug!("{gone} rows were kept long enough and are gone");
        }
    }
}
