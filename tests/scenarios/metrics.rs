//! What checks see, as a real Prometheus has it.

use std::path::Path;
use std::time::Duration;

use parallax_tests::address;
use parallax_tests::prometheus::{self, Door, Prometheus};
use parallax_tests::wait;

use crate::world;

/// Some rounds of a second, their close, and a scrape.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn a_real_prometheus_has_what_every_vantage_point_sees_and_the_trace_of_a_bad_round() {
    if !prometheus::is_installed() {
        return;
    }
    let Some(mut world) = world() else { return };
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus");
    let directory = world.site.lab.directory().to_owned();
    let door = Door {
        address: format!("{}:7180", address::CONTROL.v4),
        data: world.collector_data(),
    };
    let prometheus = Prometheus::start(&world.site.lab.control, &directory, &example, &door).unwrap();
    world
        .ctl(&[
            "check",
            "add",
            "imap-lab",
            "--target",
            "imap.lab.example",
            "--every",
            "2s",
            "--timeout",
            "2s",
            "--together",
        ])
        .unwrap()
        .expect_status(0);
    let values = |world: &parallax_tests::world::World, expression: &str| {
        let series = prometheus.query(&world.site.lab.control, expression).unwrap();
        series.into_iter().map(|(_, value)| value).collect::<Vec<_>>()
    };
    wait::until("four vantage points that reach it", SOON, || {
        Ok((values(&world, "probe_success == 1").len() == 4).then_some(()))
    })
    .unwrap_or_else(|error| {
        panic!(
            "{error}\n{}",
            prometheus::page(&world.site.lab.control, &door).unwrap()
        )
    });
    assert_eq!(values(&world, "parallax_target_up"), ["1"]);
    assert_eq!(
        values(&world, "count by (job) (probe_ssl_earliest_cert_expiry)").len(),
        1
    );
    assert_eq!(
        values(&world, "{exported_job!=\"\"}").len(),
        0,
        "labels are honoured"
    );
    let text = prometheus::page(&world.site.lab.control, &door).unwrap();
    let said = prometheus::promtool(&["check", "metrics"], &directory, &text).unwrap();
    assert!(said.status.success(), "{said:?}\n{text}");
    world.inject("firewall_drop@edge-ams").unwrap();
    wait::until("one vantage point that does not", SOON, || {
        let failing = prometheus.query(&world.site.lab.control, "probe_success == 0")?;
        Ok((failing.len() == 1 && failing[0].0["probe"] == "edge-ams").then_some(()))
    })
    .unwrap();
    wait::until("the trace of a bad round", SOON, || {
        let found =
            prometheus.exemplars(&world.site.lab.control, "parallax_stage_duration_seconds_bucket")?;
        Ok(found.to_string().contains("trace_id").then_some(()))
    })
    .unwrap();
}
