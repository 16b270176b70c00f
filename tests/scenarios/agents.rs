//! An agent does not answer.

use crate::{BRIEF, PARTIAL, UNKNOWN, all_but, world};

#[test]
fn an_agent_that_is_gone_is_missing_and_the_others_are_healthy() {
    let Some(mut world) = world() else { return };
    world.inject("agent_down@edge-ams").unwrap();
    world.wait_for_agents(&all_but("edge-ams")).unwrap();
    let document = world.probe(&BRIEF).unwrap().expect_status(PARTIAL).document();
    assert_eq!(document.verdict(), "partial", "{document}");
    assert_eq!(document.with_outcome("ok"), all_but("edge-ams"), "{document}");
    assert_eq!(document.vantage("edge-ams").outcome(), "missing", "{document}");
    assert_eq!(
        document.vantage("edge-ams").reason(),
        Some("offline"),
        "{document}"
    );
    assert_eq!(document.first_finding().kind(), "agent_missing", "{document}");
    assert_eq!(document.first_finding().affected(), ["edge-ams"], "{document}");
}

#[test]
fn a_service_fault_is_told_apart_from_a_missing_agent() {
    let Some(mut world) = world() else { return };
    world.inject("agent_down@edge-ams").unwrap();
    world.inject("dovecot_stopped@mail").unwrap();
    world.wait_for_agents(&all_but("edge-ams")).unwrap();
    let document = world.probe(&BRIEF).unwrap().expect_status(crate::DOWN).document();
    assert_eq!(
        document.finding("port_closed").affected(),
        all_but("edge-ams"),
        "{document}"
    );
    assert_eq!(
        document.finding("agent_missing").affected(),
        ["edge-ams"],
        "{document}"
    );
}

#[test]
fn no_agent_at_all_can_not_tell() {
    let Some(mut world) = world() else { return };
    for agent in parallax_tests::lab::VANTAGES {
        world.kill_agent(agent).unwrap();
    }
    world.wait_for_agents(&[]).unwrap();
    world.probe(&BRIEF).unwrap().expect_status(UNKNOWN);
}
