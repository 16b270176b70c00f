//! What keeps an alert from being told. Its state goes on all the same.

use std::collections::BTreeMap;

use jiff::Timestamp;
use parallax_model::alert::{Alert, Silence};
use parallax_model::check::Window;

/// The silence that is meant for these labels now.
pub(super) fn silence(
    silences: &[Silence],
    labels: &BTreeMap<String, String>,
    now: Timestamp,
) -> Option<String> {
    let silence = silences
        .iter()
        .find(|silence| silence.holds(now) && silence.matches(labels))?;
    Some(format!("silence {}", silence.id))
}

/// A maintenance of its check.
pub(super) fn maintenance(windows: &[Window], now: Timestamp) -> Option<String> {
    let until = windows.iter().filter_map(|window| window.holds(now)).max()?;
    Some(format!("maintenance until {until:.0}"))
}

/// An alert that says the same and more.
pub(super) fn stronger(alert: &Alert) -> String {
    format!("{} ({})", alert.name, alert.severity)
}
