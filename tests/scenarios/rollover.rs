//! Another CA in the place of the present one, and an agent that is taken out and comes back: what it keeps is worth as
//! much as before.

use std::time::Duration;

use jiff::Timestamp;
use parallax_tests::answer::Answer;
use parallax_tests::dovecot::PASSWORD;
use parallax_tests::host;
use parallax_tests::process::Process;
use parallax_tests::routine::Stored;
use parallax_tests::wait;
use parallax_tests::world::World;

/// Who hears of another CA renews after a time of its own, by its name: this one after 6 s of 61.
const AGENT: &str = "edge-lax";
const TO_RENEW: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(30);

#[test]
fn checks_go_on_and_log_in_through_a_rollover_and_after_a_removal() {
    if !host::lab_can_run() {
        return;
    }
    let mut world = World::new(&[AGENT]).unwrap();
    world.set_credential(PASSWORD, &[]).unwrap().expect_status(0);
    world
        .add_check("login", &["--every", "1s", "--credential", "probe"])
        .unwrap();
    logs_in(&world);

    ca(&world, "prepare").expect_status(0);
    renewed(&world, 1);
    ca(&world, "switch").expect_status(0);
    renewed(&world, 2);
    // `ctl` renews when it is used.
    world.done(&["agents"]).unwrap();
    ca(&world, "retire").expect_status(0);
    logs_in(&world);
    world.kill_agent(AGENT).unwrap();
    world.start_agent(AGENT).unwrap();
    logs_in(&world);

    world.done(&["agents", "remove", AGENT]).unwrap();
    world.wait_for_agents(&[]).unwrap();
    world.kill_agent(AGENT).unwrap();
    let token = world.create_token("agent", &["--name", AGENT]).unwrap();
    let mut command = world.agent_command(AGENT);
    command.args(["--token", &token]);
    let host = &world.site.vantage(AGENT).unwrap().host;
    let _again = Process::start(host, "agent-again", world.site.lab.directory(), &command).unwrap();
    logs_in(&world);
}

/// A step on the collector's host.
fn ca(world: &World, step: &str) -> Answer {
    let mut command = world.programs().collector();
    command
        .args(["ca", step, "--data-dir"])
        .arg(world.collector_data());
    world.run(&world.site.lab.control, &command).unwrap()
}

fn renewed(world: &World, times: usize) {
    wait::until("the agent to renew its certificate", TO_RENEW, || {
        let said = world.log_of(&format!("agent-{AGENT}"));
        let lines = said.matches("the agent's certificate is renewed").count();
        Ok((lines >= times).then_some(()))
    })
    .unwrap();
}

/// A round that begins from now on works, and the server lets the user in.
fn logs_in(world: &World) {
    let logins = || world.site.dovecot.log().matches("Login: user=<anna>").count();
    let (from, before) = (Timestamp::now(), logins());
    let works = |result: &Stored| {
        result.outcome == "ok" && result.started_at.parse::<Timestamp>().is_ok_and(|at| at > from)
    };
    wait::until("a round that logs in", SOON, || {
        let works = world.results("login")?.iter().any(works);
        Ok((works && logins() > before).then_some(()))
    })
    .unwrap();
}
