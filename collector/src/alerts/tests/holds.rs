//! Silences, maintenance, and alerts that say the same and more.

use super::*;

fn with_degraded() -> AlertRules {
    let rule = FailRule {
        from: Threshold::Vantages(2),
        rounds: 1,
        recover_rounds: 1,
    };
    AlertRules {
        failing: Some(rule),
        degraded: Some(rule),
        ..AlertRules::none()
    }
}

#[test]
fn a_silence_holds_the_notice_not_the_state() {
    let mut world = World::new(failing());
    world.silence("check", "imap-*", 10);
    for _ in 0..4 {
        assert!(world.round("ff").is_empty());
    }
    let alert = world.only();
    assert_eq!((alert.state, alert.fired_at), (AlertState::Firing, Some(at(3))));
    assert!(alert.silenced_by.unwrap().starts_with("silence "));
    assert_eq!(world.alerts.next(), Some(at(10)));
    assert!(world.minutes(5).is_empty());
    assert_eq!(
        world.minutes(1),
        ["firing ImapTargetFailing"],
        "it fires still at the end"
    );
    assert!(world.minutes(1).is_empty(), "one notice");
    assert_eq!(world.only().silenced_by, None);
}

#[test]
fn what_is_over_before_its_silence_is_never_told() {
    let mut world = World::new(failing());
    world.silence("team", "mail", 60);
    for round in ["ff", "ff", "ff", "oo", "oo"] {
        assert!(world.round(round).is_empty());
    }
    assert!(world.minutes(100).is_empty());
}

#[test]
fn the_end_of_what_was_told_is_told_in_a_silence_too() {
    let mut world = World::new(failing());
    for _ in 0..3 {
        world.round("ff");
    }
    assert!(world.silence("check", "imap-fra", 60).is_empty());
    world.round("oo");
    assert_eq!(world.round("oo"), ["resolved ImapTargetFailing"]);
}

#[test]
fn a_silence_of_others_holds_nothing() {
    let mut world = World::new(failing());
    world.silence("check", "imap-ams", 60);
    world.round("ff");
    world.round("ff");
    assert_eq!(world.round("ff").len(), 1);
}

#[test]
fn maintenance_is_known_next_week() {
    const WEEK: u64 = 7 * 24 * 60;
    let mut world = World::new(failing());
    world.maintenance(0, 60, Some(WEEK));
    world.minute = i64::try_from(WEEK).unwrap() + 10;
    for _ in 0..4 {
        assert!(world.round("ff").is_empty());
    }
    assert!(
        world
            .only()
            .silenced_by
            .unwrap()
            .starts_with("maintenance until ")
    );
    world.restart();
    assert_eq!(
        world.alerts.next(),
        Some(at(i64::try_from(WEEK).unwrap() + 60)),
        "known without a round"
    );
    assert_eq!(world.minutes(60), ["firing ImapTargetFailing"]);
}

#[test]
fn who_fails_is_not_told_to_be_degraded_as_well() {
    let mut world = World::new(with_degraded());
    assert_eq!(world.round("ff"), ["firing ImapTargetFailing"]);
    assert_eq!(world.list().len(), 2, "the state is there");
    assert_eq!(
        world.round("dd"),
        ["resolved ImapTargetFailing", "firing ImapTargetDegraded"],
        "what is left is told"
    );
    assert_eq!(world.round("oo"), ["resolved ImapTargetDegraded"]);
}
