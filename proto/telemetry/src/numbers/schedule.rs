//! Whether and how often numbers are sent, as the OpenTelemetry specification has it in the environment.

use std::time::Duration;

const INTERVAL_VARIABLE: &str = "OTEL_METRIC_EXPORT_INTERVAL";
const EXPORTER_VARIABLE: &str = "OTEL_METRICS_EXPORTER";

const USUAL: Duration = Duration::from_secs(60);

/// More often would cost more than anybody learns.
const SHORTEST: Duration = Duration::from_millis(100);

pub(super) fn wanted() -> bool {
    !std::env::var(EXPORTER_VARIABLE).is_ok_and(|named| named.trim() == "none")
}

pub(super) fn interval() -> Duration {
    std::env::var(INTERVAL_VARIABLE).map_or(USUAL, |text| stated(&text))
}

fn stated(text: &str) -> Duration {
    match text.trim().parse() {
        Ok(milliseconds @ 1..) => Duration::from_millis(milliseconds).max(SHORTEST),
        _ => {
            tracing::warn!("{INTERVAL_VARIABLE} is no number of milliseconds: {USUAL:?} it is");
            USUAL
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_in_milliseconds_and_nonsense_is_a_minute() {
        assert_eq!(stated("15000"), Duration::from_secs(15));
        assert_eq!(stated("1"), SHORTEST);
        for text in ["", "0", "-1", "10s", "99999999999999999999999"] {
            assert_eq!(stated(text), USUAL, "{text:?}");
        }
    }
}
