//! What holds for any events, in any order: no panic, an end, and no secret for a stranger.

#![allow(clippy::unwrap_used)]

#[path = "../src/certificate/forge.rs"]
#[allow(dead_code)]
mod forge;
#[path = "support"]
mod support {
    #[allow(dead_code)]
    pub(crate) mod chaos;
    #[allow(dead_code)]
    pub(crate) mod watchman;
    #[allow(dead_code)]
    pub(crate) mod world;
}

use std::time::Duration;

use parallax_engine::action::Action;
use parallax_engine::plan::Plan;
use parallax_model::credential::Mechanism;
use parallax_model::experiment::ExperimentKind;
use parallax_model::target::Security;
use proptest::collection::vec;
use proptest::prelude::*;
use support::chaos::{
    DEADLINE, ENCODED, Move, PASSWORD, Played, a_move, endpoint, examination, plan, play, security, session,
    spec,
};

fn check(played: &Played, security: Security) {
    let names: Vec<_> = played.attempt.stages.iter().map(|stage| stage.name).collect();
    assert_eq!(played.attempt.stages, played.reported);
    assert_eq!(names, plan(security).stages());
    assert!(
        played
            .sent_in
            .iter()
            .all(|channel| matches!(*channel, "verified" | "expiring")),
        "the secret went over {:?}",
        played.sent_in
    );
    assert!(
        !played.record.contains(PASSWORD) && !played.record.contains(ENCODED),
        "{}",
        played.record
    );
    let failed = played
        .attempt
        .stages
        .iter()
        .filter(|stage| stage.failed())
        .count();
    assert!(failed <= 1, "one stage fails, the others are not reached");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_events_in_any_order_end_in_a_whole_attempt(
        security in security(),
        moves in vec((a_move(), 0_u64..3_000), 0..60),
    ) {
        check(&play(session(security, None), &moves, false), security);
    }

    #[test]
    fn any_server_behind_a_driver_that_does_its_work_gets_no_secret_unverified(
        security in security(),
        mechanism in prop::sample::select(vec![None, Some(Mechanism::Plain), Some(Mechanism::Login)]),
        moves in vec((a_move(), 0_u64..200), 0..80),
    ) {
        check(&play(session(security, mechanism), &moves, true), security);
    }

    #[test]
    fn any_server_that_is_examined_ends_in_a_whole_attempt_without_a_login(
        kind in prop::sample::select(vec![ExperimentKind::RawHello, ExperimentKind::StarttlsInjection]),
        security in security(),
        sensible in any::<bool>(),
        moves in vec((a_move(), 0_u64..2_000), 0..60),
    ) {
        let moves: Vec<_> = greeted(security).into_iter().chain(moves).collect();
        let played = play(examination(kind, security), &moves, sensible);
        let names: Vec<_> = played.attempt.stages.iter().map(|stage| stage.name).collect();
        let plan = Plan::follow_up(kind, &spec(), endpoint(security));
        prop_assert_eq!(names, plan.stages());
        prop_assert!(!played.secret_sent);
        prop_assert!(played.attempt.stages.iter().filter(|stage| stage.failed()).count() <= 1);
    }
}

/// What brings an endpoint with STARTTLS as far as its OK, behind a driver that does its work.
fn greeted(security: Security) -> Vec<(Move, u64)> {
    let say = |text: &str| (Move::Say(text.as_bytes().to_vec()), 5);
    match security {
        Security::Starttls => vec![
            say("* OK ready\r\n"),
            say("* CAPABILITY IMAP4rev1 STARTTLS\r\n$ OK done\r\n"),
            say("$ OK go ahead\r\n"),
        ],
        Security::Tls | Security::Plaintext => Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_server_behind_a_good_beginning_keeps_no_secret_in_our_records(
        steps in 1_usize..8,
        moves in vec((a_move(), 0_u64..200), 0..60),
    ) {
        let moves: Vec<_> = willing().into_iter().take(steps).chain(moves).collect();
        check(&play(session(Security::Tls, None), &moves, true), Security::Tls);
    }
}

/// The moves of a server that lets the client in.
fn willing() -> Vec<(Move, u64)> {
    let say = |text: &str| (Move::Say(text.as_bytes().to_vec()), 5);
    vec![
        (Move::Handshake("verified"), 5),
        say("* OK ready\r\n"),
        say("* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\n$ OK done\r\n"),
        say("$ OK [CAPABILITY IMAP4rev1 NAMESPACE] in\r\n"),
        say("$ OK namespace\r\n"),
        say("$ OK list\r\n"),
        say("$ OK list\r\n"),
    ]
}

#[test]
fn past_the_deadline_a_session_waits_for_nothing() {
    let mut session = session(Security::Tls, None);
    assert!(matches!(session.next(Duration::ZERO), Action::Connect { .. }));
    let mut stages = 0;
    loop {
        match session.next(DEADLINE) {
            Action::Report(_) => stages += 1,
            Action::Finish(attempt) => {
                assert_eq!(stages, attempt.stages.len());
                assert!(matches!(session.next(DEADLINE), Action::Finish(again) if again == attempt));
                return;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_willing_server_brings_the_generated_sessions_to_a_login() {
    let played = play(session(Security::Tls, None), &willing(), true);
    assert!(played.secret_sent && played.sent_in == ["verified"]);
    check(&played, Security::Tls);
}
