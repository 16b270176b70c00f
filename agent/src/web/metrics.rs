//! What this agent counts of itself.

use super::Means;
use super::page::{Kind, Page};

/// The whole page.
pub(super) fn page(means: &Means) -> Page {
    let mut page = Page::default();
    let agent = means.runner.name.as_str();
    let mut own = |name: &str, kind: Kind, help: &str, value: f64| {
        page.family(name, kind, help);
        page.sample(name, &[("probe", agent)], value);
    };
    let in_flight = means.runner.in_flight();
    own(
        "parallax_agent_probes_in_flight",
        Kind::Gauge,
        "Probes that run now; the label probe is the agent's name.",
        in_flight as f64,
    );
    if let Some(routine) = &means.routine {
        let state = routine.state();
        let lateness = state.latest_us as f64 / 1e6;
        for (name, kind, help, value) in [
            (
                "parallax_agent_checks",
                Kind::Gauge,
                "Checks that this agent repeats.",
                f64::from(state.checks),
            ),
            (
                "parallax_agent_rounds_started_total",
                Kind::Counter,
                "Rounds of checks that were begun.",
                state.started as f64,
            ),
            (
                "parallax_agent_rounds_skipped_total",
                Kind::Counter,
                "Rounds of checks that were left out.",
                state.skipped as f64,
            ),
            (
                "parallax_agent_clock_jumps_total",
                Kind::Counter,
                "How often the collector's clock was elsewhere than thought.",
                state.clock_jumps as f64,
            ),
            (
                "parallax_agent_start_lateness_seconds",
                Kind::Gauge,
                "How late the latest start of the last minute was.",
                lateness,
            ),
        ] {
            own(name, kind, help, value);
        }
    }
    if let Some(spool) = &means.spool {
        let state = spool.state();
        for (name, kind, help, value) in [
            (
                "parallax_agent_results_made_total",
                Kind::Counter,
                "Results of checks that this agent's spool ever took.",
                state.made,
            ),
            (
                "parallax_agent_results_dropped_total",
                Kind::Counter,
                "Results that were given up for want of room or for their age.",
                state.dropped,
            ),
            (
                "parallax_agent_failures_dropped_total",
                Kind::Counter,
                "Of those, results that were not ok.",
                state.dropped_failures,
            ),
            (
                "parallax_agent_spool_waiting",
                Kind::Gauge,
                "Results that wait for the collector.",
                state.waiting,
            ),
            (
                "parallax_agent_spool_bytes",
                Kind::Gauge,
                "Their size on disk.",
                state.bytes,
            ),
        ] {
            own(name, kind, help, value as f64);
        }
    }
    page.family(
        "parallax_agent_otlp_exports_total",
        Kind::Counter,
        "Times that this page was sent by OTLP.",
    );
    for (outcome, number) in means.exports.by_outcome() {
        page.sample(
            "parallax_agent_otlp_exports_total",
            &[("probe", agent), ("outcome", outcome)],
            number as f64,
        );
    }
    page.family("parallax_build_info", Kind::Gauge, "Which program this is.");
    page.sample(
        "parallax_build_info",
        &[("version", env!("CARGO_PKG_VERSION"))],
        1.0,
    );
    page
}
