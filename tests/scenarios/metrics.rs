//! What checks see, as a real Prometheus has it.

use std::path::Path;
use std::time::Duration;

use parallax_tests::address;
use parallax_tests::process::Process;
use parallax_tests::prometheus::{self, Door, Prometheus};
use parallax_tests::wait;
use parallax_tests::world::World;

use crate::{traced_world, world};

/// Some rounds of a second, their close, and a scrape.
const SOON: Duration = Duration::from_secs(60);

/// What an agent may be asked to probe by whoever scrapes, and what it is asked that it may not.
const SCRAPED: [&str; 2] = ["imap.lab.example:993", "other.lab.example:993"];

#[test]
fn a_real_prometheus_scrapes_an_agent_in_a_blackbox_exporters_place() {
    if !prometheus::is_installed() {
        return;
    }
    let Some(mut world) = world() else { return };
    let directory = world.site.lab.directory().to_owned();
    let configuration = directory.join("prober.toml");
    let text = format!(
        "[policy]\nallow = [\"{}\"]\n[modules.imap]\ndepth = \"greeting\"\ntimeout = \"3s\"\n",
        SCRAPED[0]
    );
    std::fs::write(&configuration, text).unwrap();
    let token = world.create_token("agent", &[]).unwrap();
    let mut command = world.agent_command("prober");
    command.args(["--token", &token, "--http", "127.0.0.1:7181", "--config"]);
    command.arg(&configuration);
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus/probe.yml");
    let example = std::fs::read_to_string(example).unwrap();
    let configuration = example
        .replace("scrape_interval: 60s", "scrape_interval: 5s")
        .replace("scrape_timeout: 30s", "scrape_timeout: 4s")
        .replace("- imap.example.org:143", &format!("- {}", SCRAPED[1]))
        .replace("- imap.example.org", &format!("- {}", SCRAPED[0]));
    let prober = Process::start(
        &world.site.vantage("edge-fra").unwrap().host,
        "agent-prober",
        &directory,
        &command,
    )
    .unwrap();
    let prometheus = Prometheus::with(
        &world.site.vantage("edge-fra").unwrap().host,
        &directory,
        &configuration,
    )
    .unwrap();
    let value = |world: &World, expression: &str| {
        let here = &world.site.vantage("edge-fra").unwrap().host;
        let series = prometheus.query(here, expression).unwrap();
        series.into_iter().next().map(|(_, value)| value)
    };
    let of = |name: &str, instance: &str| format!("{name}{{job=\"imap\",instance=\"{instance}\"}}");
    let becomes = |world: &World, name: &str, wanted: &str| {
        wait::until(&format!("{name} {wanted}"), SOON, || {
            Ok((value(world, &of(name, SCRAPED[0])).as_deref() == Some(wanted)).then_some(()))
        })
        .unwrap_or_else(|error| panic!("{error}\n{}", prober.tail()));
    };
    becomes(&world, "probe_success", "1");
    let ends = value(&world, &of("probe_ssl_earliest_cert_expiry", SCRAPED[0])).unwrap();
    assert!(ends.parse::<f64>().unwrap() > 1.7e9, "{ends}");

    world.inject("firewall_drop@edge-fra").unwrap();
    becomes(&world, "probe_success", "0");
    assert_eq!(
        value(&world, &of("up", SCRAPED[0])).as_deref(),
        Some("1"),
        "a target that fails is an answer"
    );
    world.heal("firewall_drop@edge-fra").unwrap();
    becomes(&world, "probe_success", "1");

    assert_eq!(
        value(&world, &of("up", SCRAPED[1])).as_deref(),
        Some("0"),
        "what the policy refuses is none"
    );
    assert_eq!(value(&world, &of("probe_success", SCRAPED[1])), None);
}

#[test]
fn a_real_prometheus_has_what_every_vantage_point_sees_and_the_trace_of_a_bad_round() {
    if !prometheus::is_installed() {
        return;
    }
    let Some(mut world) = traced_world() else { return };
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
