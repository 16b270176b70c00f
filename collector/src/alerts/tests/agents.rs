//! Agents that are lost.

use parallax_model::vantage::AgentName;

use super::*;

fn agent(number: u32) -> AgentName {
    format!("a{number}").parse().unwrap()
}

fn with_agents(number: u32) -> World {
    let mut world = World::new(failing());
    for number in 0..number {
        world.handle(AlertEvent::AgentBack(&agent(number)));
    }
    world.minute = 10;
    world
}

fn lose(world: &mut World, number: u32) -> Vec<String> {
    let since = at(world.minute);
    let agent = agent(number);
    world.handle(AlertEvent::AgentLost { agent: &agent, since })
}

#[test]
fn one_lost_agent_is_one_alert_and_no_target_is_down() {
    let mut world = with_agents(3);
    lose(&mut world, 0);
    assert!(world.round("moo").is_empty(), "90 s are not over");
    assert_eq!(world.round("moo"), ["firing ParallaxAgentLost"]);
    for _ in 0..10 {
        assert!(world.round("moo").is_empty());
    }
    assert_eq!(world.list(), ["firing ParallaxAgentLost"]);
    assert_eq!(world.only().labels["probe"], "a0");
    assert_eq!(
        world.handle(AlertEvent::AgentBack(&agent(0))),
        ["resolved ParallaxAgentLost"]
    );
    assert!(world.list().is_empty());
}

/// It has an alert of its own, and what the others see is all that there is to be seen.
#[test]
fn who_is_lost_holds_back_no_alert_of_a_target() {
    let mut world = with_agents(2);
    lose(&mut world, 1);
    assert!(world.round("fm").is_empty(), "90 s are not over");
    let told: Vec<String> = (0..5).flat_map(|_| world.round("fm")).collect();
    assert_eq!(told, ["firing ParallaxAgentLost", "firing ImapTargetFailing"]);
}

#[test]
fn a_clock_that_is_set_back_delays_no_lost_agent() {
    let mut world = with_agents(3);
    world.minute = 200;
    lose(&mut world, 0);
    world.minute = 20;
    assert!(world.handle(AlertEvent::Time).is_empty());
    assert_eq!(world.minutes(2), ["firing ParallaxAgentLost"]);
    world.minute = 0;
    assert_eq!(
        world.handle(AlertEvent::AgentBack(&agent(0))),
        ["resolved ParallaxAgentLost"]
    );
}

#[test]
fn a_clock_that_is_set_back_repeats_and_forgets_nothing_of_a_target() {
    let mut world = World::new(failing());
    world.minute = 300;
    for _ in 0..2 {
        assert!(world.round("ffo").is_empty());
    }
    world.minute = 100;
    assert_eq!(world.round("ffo"), ["firing ImapTargetFailing"]);
    world.minute = 10;
    for _ in 0..5 {
        assert!(world.round("ffo").is_empty());
    }
    assert!(world.round("ooo").is_empty());
    assert_eq!(world.round("ooo"), ["resolved ImapTargetFailing"]);
}

#[test]
fn a_short_absence_is_nothing_to_tell() {
    let mut world = with_agents(3);
    lose(&mut world, 0);
    world.minutes(1);
    assert!(world.handle(AlertEvent::AgentBack(&agent(0))).is_empty());
    assert!(world.minutes(10).is_empty());
    assert!(world.kept.is_empty());
}

#[test]
fn many_that_go_at_once_are_one_alert_until_the_last_is_back() {
    let mut world = with_agents(5);
    for number in 0..4 {
        lose(&mut world, number);
    }
    assert_eq!(world.minutes(2), ["firing ParallaxAgentsLost"]);
    assert_eq!(world.only().annotations["vantages"], "a0, a1, a2, a3");
    for number in 0..3 {
        assert!(world.handle(AlertEvent::AgentBack(&agent(number))).is_empty());
    }
    assert_eq!(world.only().summary, "1 agent is lost: a3");
    world.restart();
    assert!(
        lose(&mut world, 3).is_empty() && world.minutes(10).is_empty(),
        "told before the restart"
    );
    assert_eq!(
        world.handle(AlertEvent::AgentRemoved(&agent(3))),
        ["resolved ParallaxAgentsLost"]
    );
    assert!(world.list().is_empty());
}

#[test]
fn a_restart_repeats_no_lost_agent_and_forgets_none() {
    let mut world = with_agents(4);
    lose(&mut world, 0);
    assert_eq!(world.minutes(2), ["firing ParallaxAgentLost"]);
    world.restart();
    for number in 0..4 {
        assert!(lose(&mut world, number).is_empty());
    }
    for number in 1..4 {
        world.handle(AlertEvent::AgentBack(&agent(number)));
    }
    assert!(world.minutes(30).is_empty());
    assert_eq!(
        world.handle(AlertEvent::AgentBack(&agent(0))),
        ["resolved ParallaxAgentLost"]
    );
}

#[test]
fn an_agent_that_comes_and_goes_is_told_once() {
    let mut world = with_agents(4);
    let mut told = Vec::new();
    for _ in 0..10 {
        told.extend(lose(&mut world, 0));
        told.extend(world.minutes(2));
        told.extend(world.handle(AlertEvent::AgentBack(&agent(0))));
        told.extend(world.minutes(2));
    }
    assert!(told.len() <= 4, "{told:?}");
    assert_eq!(world.list(), ["firing ParallaxAgentLost"]);
    assert_eq!(world.minutes(10), ["resolved ParallaxAgentLost"], "it stays now");
}

#[test]
fn restarts_of_the_collector_are_no_flapping_of_its_agents() {
    let mut world = with_agents(3);
    for _ in 0..5 {
        world.restart();
        for number in 0..3 {
            assert!(lose(&mut world, number).is_empty());
        }
        for number in 0..3 {
            assert!(world.handle(AlertEvent::AgentBack(&agent(number))).is_empty());
        }
    }
    lose(&mut world, 0);
    assert_eq!(world.minutes(2), ["firing ParallaxAgentLost"]);
    assert_eq!(
        world.handle(AlertEvent::AgentBack(&agent(0))),
        ["resolved ParallaxAgentLost"]
    );
}

#[test]
fn an_agent_that_is_removed_is_not_lost() {
    let mut world = with_agents(3);
    lose(&mut world, 0);
    assert!(world.handle(AlertEvent::AgentRemoved(&agent(0))).is_empty());
    assert!(world.minutes(10).is_empty());
    assert!(world.list().is_empty());
}

#[test]
fn a_lost_agent_can_be_silenced() {
    let mut world = with_agents(3);
    world.silence("probe", "a?", 30);
    lose(&mut world, 0);
    assert!(world.minutes(5).is_empty());
    assert_eq!(world.minutes(30), ["firing ParallaxAgentLost"]);
}
