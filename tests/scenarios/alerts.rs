//! From a rule of nftables to a real Alertmanager, and back.

use std::time::Duration;

use parallax_tests::alertmanager::{self, Alertmanager};
use parallax_tests::host;
use parallax_tests::lab::VANTAGES;
use parallax_tests::site::TARGET;
use parallax_tests::wait;
use parallax_tests::world::World;
use serde_json::Value;

/// Longer than any alert here takes: a few rounds of a few seconds, and the diagnosis of the first.
const SOON: Duration = Duration::from_secs(120);

/// A world whose collector tells an Alertmanager; nothing where one can't be.
fn watched() -> Option<(World, Alertmanager)> {
    if !host::lab_can_run() || !alertmanager::is_installed() {
        return None;
    }
    let mut world = World::with_sink(&VANTAGES).unwrap();
    let directory = world.site.lab.directory().to_owned();
    let alertmanager = Alertmanager::start(&world.site.lab.control, &directory).unwrap();
    let configuration = format!(
        "[alerting]\ntrace_url_template = \"https://traces.lab.example/{{trace_id}}\"\n\
         [[alerting.receivers]]\nname = \"on-call\"\nalertmanager = [\"{}\"]\n",
        Alertmanager::url()
    );
    std::fs::write(world.configuration_of("collector"), configuration).unwrap();
    restart(&mut world);
    Some((world, alertmanager))
}

fn restart(world: &mut World) {
    world.kill_collector();
    world.start_collector().unwrap();
    world.wait_for_agents(&VANTAGES).unwrap();
}

/// A check of all vantage points that fires after two rounds. With less time for a probe, silence is not told apart from
/// a slow answer, and nobody is alerted.
fn add_check(world: &World, extra: &[&str]) {
    let check = [
        "check",
        "add",
        "imap-lab",
        "--target",
        TARGET,
        "--every",
        "8s",
        "--timeout",
        "6s",
        "--together",
        "--for-rounds",
        "2",
        "--recover-rounds",
        "2",
    ];
    world.ctl(&[&check[..], extra].concat()).unwrap().expect_status(0);
}

fn firing(world: &World) -> Vec<Value> {
    let answer = world
        .ctl(&["alerts", "list", "-o", "json"])
        .unwrap()
        .expect_status(0)
        .json();
    let alerts = answer["alerts"].as_array().unwrap();
    alerts
        .iter()
        .filter(|alert| alert["state"] == "firing")
        .cloned()
        .collect()
}

/// Waits until Alertmanager takes exactly these for firing.
fn wait_for(world: &World, alertmanager: &Alertmanager, names: &[&str]) {
    let control = &world.site.lab.control;
    wait::until(&format!("{names:?} in Alertmanager"), SOON, || {
        let known = alertmanager.names(control)?;
        Ok(known
            .iter()
            .map(String::as_str)
            .eq(names.iter().copied())
            .then_some(()))
    })
    .unwrap_or_else(|error| {
        let listed = world.ctl(&["alerts", "list", "--all"]).unwrap();
        panic!("{error}\n{listed}\n{:?}\n{}", alertmanager.told(), world.logs())
    });
}

#[test]
fn a_firewall_rule_fires_once_over_a_killed_collector_and_resolves_when_it_is_gone() {
    let Some((mut world, alertmanager)) = watched() else {
        return;
    };
    add_check(&world, &[]);
    world.inject("firewall_drop@mail").unwrap();
    wait_for(&world, &alertmanager, &["ImapTargetFailing"]);
    let ours = firing(&world);
    assert_eq!(ours.len(), 1, "one cause, one alert: {ours:?}");
    let theirs = alertmanager.alerts(&world.site.lab.control).unwrap();
    assert_eq!(theirs[0]["fingerprint"], ours[0]["fingerprint"]);
    let annotations = &theirs[0]["annotations"];
    let run = annotations["run_id"].as_str().unwrap();
    let document = world.ctl(&["runs", "show", run, "-o", "json"]).unwrap().json();
    assert_eq!(document["run_id"], run, "the alert leads to a run that is kept");
    let trace = annotations["trace_id"].as_str().unwrap();
    assert_eq!(
        annotations["trace_url"],
        format!("https://traces.lab.example/{trace}")
    );

    restart(&mut world);
    let answer = world
        .ctl(&["check", "history", "imap-lab", "-o", "json"])
        .unwrap();
    wait::until("rounds after the restart", SOON, || {
        let later = world.ctl(&["check", "history", "imap-lab", "-o", "json"])?;
        Ok((later.stdout != answer.stdout).then_some(()))
    })
    .unwrap();
    assert_eq!(firing(&world).len(), 1);
    assert_eq!(alertmanager.told(), ["firing ImapTargetFailing"], "told once");

    world.heal("firewall_drop@mail").unwrap();
    wait_for(&world, &alertmanager, &[]);
    wait::until("the end of it", SOON, || {
        let told = alertmanager.told();
        Ok((told == ["firing ImapTargetFailing", "resolved ImapTargetFailing"]).then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error}: {:?}", alertmanager.told()));
}

#[test]
fn a_silence_is_heard_by_nobody_until_it_is_ended() {
    let Some((mut world, alertmanager)) = watched() else {
        return;
    };
    let silenced = world
        .ctl(&[
            "alerts",
            "silence",
            "check=imap-*",
            "--for",
            "1h",
            "--why",
            "a test",
        ])
        .unwrap()
        .expect_status(0);
    let id = silenced.stdout.split(' ').nth(1).unwrap().to_owned();
    add_check(&world, &[]);
    world.inject("firewall_drop@mail").unwrap();
    wait::until("an alert", SOON, || Ok((firing(&world).len() == 1).then_some(()))).unwrap();
    assert!(firing(&world)[0]["silenced_by"].as_str().unwrap().contains(&id));
    assert!(alertmanager.told().is_empty());
    world.ctl(&["alerts", "unsilence", &id]).unwrap().expect_status(0);
    wait_for(&world, &alertmanager, &["ImapTargetFailing"]);
}

#[test]
fn a_lost_agent_is_one_alert_and_no_target_is_down() {
    let Some((mut world, alertmanager)) = watched() else {
        return;
    };
    add_check(&world, &[]);
    world.inject("agent_down@edge-ams").unwrap();
    // 90 s after it was lost, and not within 120 s of a start.
    let control = &world.site.lab.control;
    wait::until("the loss", Duration::from_secs(200), || {
        Ok((!alertmanager.names(control)?.is_empty()).then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", world.logs()));
    let alerts = alertmanager.alerts(control).unwrap();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(alerts[0]["labels"]["alertname"], "ParallaxAgentLost");
    assert_eq!(alerts[0]["labels"]["probe"], "edge-ams");
    world.heal("agent_down@edge-ams").unwrap();
    wait_for(&world, &alertmanager, &[]);
}
