//! What is under `deploy/prometheus` is right by Prometheus' own tools.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use parallax_tests::prometheus::{is_installed, promtool};

#[test]
fn the_example_configuration_and_the_rules_pass_and_no_data_is_an_alert() {
    if !is_installed() {
        return;
    }
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus");
    for args in [
        ["check", "config", "prometheus.yml"],
        ["check", "config", "probe.yml"],
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules.test.yml"],
    ] {
        let said = promtool(&args, &example, "").unwrap();
        assert!(said.status.success(), "{args:?}: {said:?}");
    }
    let tests = std::fs::read_to_string(example.join("rules.test.yml")).unwrap();
    assert!(tests.contains("alertname: ImapNoData\n    exp_alerts:"));
}
