//! What an experiment varies, as dials and hellos.

use std::sync::Arc;
use std::time::Duration;

use parallax_engine::action::{Dial, Hello, NameShown};
use parallax_model::experiment::{Experiment, ExperimentKind};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::runner::attempts::{Errand, Job};

/// What every host takes (RFC 9293 section 3.7.1): no way is so narrow that packets of this size get lost in it.
const SMALL_MSS: u16 = 536;
/// A name that nobody filters and no mail server has (RFC 2606 section 3).
pub(super) const NEUTRAL_NAME: &str = "www.example.com";
/// Connections one after another when nothing else is said, and at most.
const SERIAL: u8 = 5;
const SERIAL_AT_MOST: u8 = 10;
/// In which the connections of a series begin: where two in a row are silent, a third would be too.
pub(super) const SERIES_TIME: Duration = Duration::from_millis(1_600);
/// From the end of one connection of a series to the next.
const SERIAL_GAP: Duration = Duration::from_millis(300);
/// The longest wait before an attempt; whoever wants to know of a longer one asks again.
const LATER_AT_MOST: Duration = Duration::from_secs(5);

/// How the attempt's connection is opened.
pub(super) fn dial(experiment: &Experiment) -> Dial {
    let variation = &experiment.variation;
    let small = (experiment.kind == ExperimentKind::SmallMss).then_some(SMALL_MSS);
    Dial {
        source: variation.source,
        mss: variation.mss.or(small),
    }
}

/// What its ClientHello says.
pub(super) fn hello(experiment: &Experiment) -> Hello {
    let name = match experiment.kind {
        ExperimentKind::NoSni => NameShown::Nothing,
        ExperimentKind::OtherSni => {
            let name = experiment.variation.server_name.as_deref();
            NameShown::Other(name.unwrap_or(NEUTRAL_NAME).to_owned())
        }
        _ => NameShown::Host,
    };
    Hello {
        name,
        without_alpn: experiment.kind == ExperimentKind::NoAlpn,
        large: experiment.kind == ExperimentKind::LargeHello,
    }
}

/// The attempts of one experiment: one, later if that is what is varied, or several one after another.
pub(super) fn jobs(experiment: &Experiment, errand: Errand) -> Vec<Job> {
    let variation = &experiment.variation;
    let after = variation.after_ms.map_or(Duration::ZERO, |after| {
        Duration::from_millis(after.into()).min(LATER_AT_MOST)
    });
    let times = match experiment.kind {
        ExperimentKind::Serial => variation.repeat.unwrap_or(SERIAL).clamp(1, SERIAL_AT_MOST),
        _ => 1,
    };
    let series = (times > 1).then(Series::default);
    let job = Job {
        errand,
        partner: None,
        after,
        series,
    };
    (0..times).map(|_| job.again()).collect()
}

/// Attempts of which only one is made at a time.
#[derive(Debug, Clone, Default)]
pub(super) struct Series(Arc<Mutex<Option<Instant>>>);

impl Series {
    /// Does this when nobody else of the series does anything, and a while after the last of it that was done.
    pub(super) async fn alone<T>(&self, doing: impl Future<Output = Option<T>>) -> Option<T> {
        let mut ended = self.0.lock().await;
        if let Some(ended) = *ended {
            sleep_until(ended + SERIAL_GAP).await;
        }
        let done = doing.await;
        // What was not begun needs no rest behind it.
        *ended = done.is_some().then(Instant::now);
        done
    }
}
