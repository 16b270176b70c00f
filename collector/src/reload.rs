//! The configuration, read again while the collector runs: what can change does, and nothing is cut for it.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::alerts::deliver::{Delivery, Prepared};
use crate::config::{Config, Retention, ServeArgs};
use crate::hub::HubHandle;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::server::Room;
use crate::telemetry::Telemetry;

/// What holds now, and where it is changed.
pub(crate) struct Settings {
    /// As it holds: of what takes a restart, what was said at the start.
    pub(crate) running: Config,
    pub(crate) telemetry: Telemetry,
    pub(crate) delivery: Delivery,
    pub(crate) hub: HubHandle,
    pub(crate) limits: Limits,
    pub(crate) room: Room,
    pub(crate) retention: watch::Sender<Retention>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Settings {
    /// Reads the configuration again and takes it, or says why it stays as it was.
    pub(crate) async fn reload(&mut self, args: &ServeArgs) {
        let args = args.clone();
        let file = args.config.clone();
        let read = tokio::task::spawn_blocking(move || read(&args));
        let (config, prepared) = match read.await.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(read) => read,
            Err(problem) => {
                self.metrics.configuration_refused();
                error!("the configuration stays as it was: {problem}");
                return;
            }
        };
        let changes = self.running.changes(&config);
        self.take(config, prepared).await;
        self.metrics.configured(Timestamp::now());
        match (&file, changes.taken.as_slice()) {
            (None, _) => warn!("there is no configuration file to read again; files that it named were read"),
            (Some(file), []) => info!(
                "{} is as it was; files that it names were read again",
                file.display()
            ),
            (Some(file), taken) => info!("{} holds from now on: {}", file.display(), taken.join(", ")),
        }
        for key in changes.after_restart {
            warn!("{key} is otherwise in the file; it takes a restart");
        }
    }

    /// None of this can fail: it is all of it or nothing.
    async fn take(&mut self, config: Config, prepared: Prepared) {
        if let Err(problem) = parallax_telemetry::logs::choose(config.log_filter.as_deref()) {
            error!("{problem}");
        }
        self.telemetry.trace(config.trace_ratio);
        self.limits.change(&config.limits);
        self.room.change(&config.limits);
        self.retention.send_if_modified(|retention| {
            let is_other = *retention != config.retention;
            *retention = config.retention;
            is_other
        });
        self.delivery.change(prepared);
        // One that has stopped tells nobody any more.
        let _ = self.hub.receivers_changed(self.delivery.names()).await;
        self.running.take(config);
    }
}

/// What it says now, with what the files in it hold.
fn read(args: &ServeArgs) -> Result<(Config, Prepared), String> {
    let config = Config::load(args).map_err(|error| error.to_string())?;
    let prepared = Prepared::of(&config.alerting).map_err(|problem| format!("alerting: {problem}"))?;
    Ok((config, prepared))
}
