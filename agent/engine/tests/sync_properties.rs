//! What holds for a synchronisation whatever a server says, whoever else is in the mailbox, and whatever the other
//! session tells: nothing is touched that is not the probe's own, and it ends in its time.

#![allow(clippy::unwrap_used)]

#[path = "../src/certificate/forge.rs"]
#[allow(dead_code)]
mod forge;
#[path = "support"]
mod support {
    #[allow(dead_code)]
    pub(crate) mod chaos;
    #[allow(dead_code)]
    pub(crate) mod duet;
    #[allow(dead_code)]
    pub(crate) mod mail_server;
    pub(crate) mod watchman;
    #[allow(dead_code)]
    pub(crate) mod world;
}

use std::time::Duration;

use parallax_engine::event::Event;
use parallax_engine::plan::Plan;
use parallax_engine::session::{Session, SessionConfig, SyncPart};
use parallax_model::experiment::ExperimentKind;
use parallax_model::observation::Attempt;
use parallax_model::signal::{Signal, SignalKind};
use parallax_model::spec::{ProbeOptions, ProbeSpec};
use parallax_model::stage::{Outcome, StageName};
use parallax_model::target::Security;
use proptest::collection::vec;
use proptest::prelude::*;
use support::chaos::{Move, Played, a_move, config, play_watched, spec};
use support::duet::{Duet, Ended, Twist};
use support::mail_server::{CAPABILITIES, MailServer, Mailbox, News, Quirks};
use support::watchman::{May, Watchman};
use support::world::WALL;

/// Commands of a writer behind its login, with some to spare.
const COMMANDS: usize = 40;

fn news() -> impl Strategy<Value = News> {
    prop_oneof![
        3 => (0_u64..4_000).prop_map(|millis| News::Pushed(Duration::from_millis(millis))),
        1 => Just(News::Asked),
        1 => Just(News::OpenedAnew),
        1 => Just(News::Never),
    ]
}

/// How a server is wrong by itself.
fn quirks() -> impl Strategy<Value = Quirks> {
    let refuse = prop::option::weighted(0.3, 0..COMMANDS);
    let cut = prop::option::weighted(0.1, 0..COMMANDS);
    let one_in_ten = || prop::bool::weighted(0.1);
    let flags = (
        one_in_ten(),
        one_in_ten(),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
    );
    (refuse, cut, flags, any::<bool>(), -3_i64..4).prop_map(|(refuse, cut, flags, lies, off)| Quirks {
        refuse,
        cut,
        rewrites: flags.0,
        other_validity: flags.1,
        no_numbers: flags.2,
        blind: flags.3,
        misnumbers: if lies { off } else { 0 },
        ..Quirks::default()
    })
}

/// What somebody else may have left out of the server.
fn capabilities() -> impl Strategy<Value = String> {
    let gone = prop::sample::subsequence(
        vec![" LITERAL+", " MOVE", " IDLE", " UNSELECT", " NAMESPACE"],
        0..3,
    );
    gone.prop_map(|gone| {
        let all = CAPABILITIES.to_owned();
        gone.into_iter().fold(all, |all, one| all.replace(one, ""))
    })
}

fn said() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "$ OK done\r\n",
        "$ OK [APPENDUID 7 1] stored\r\n",
        "$ OK [APPENDUID 7 2] stored\r\n",
        "$ OK [APPENDUID 7 99999999999999999999] stored\r\n",
        "$ OK [COPYUID 7 1 1] copied\r\n",
        "$ OK [READ-ONLY] open\r\n",
        "$ NO [TRYCREATE] none\r\n",
        "$ NO [OVERQUOTA] full\r\n",
        "$ NO [NONEXISTENT] none\r\n",
        "$ BAD what\r\n",
        "+ idling\r\n",
        "* 1 EXISTS\r\n",
        "* 0 EXISTS\r\n",
        "* 18446744073709551615 EXISTS\r\n",
        "* 1 EXPUNGE\r\n",
        "* 0 EXPUNGE\r\n",
        "* VANISHED 1:9\r\n",
        "* 1 FETCH (UID 1 FLAGS (\\Flagged $ParallaxProbe))\r\n",
        "* 2 FETCH (UID 3 FLAGS (\\Flagged))\r\n",
        "* 1 FETCH (UID 1 BODY[]<0> {4}\r\nabcd)\r\n",
        "* 1 FETCH (UID 3 BODY[HEADER.FIELDS (X-PARALLAX-PROBE)] NIL)\r\n",
        "* 1 FETCH (UID 1 BODY[] {400}\r\n",
        "* LIST () \"/\" parallax-probe-6a110000-00000001\r\n",
        "* LIST () \"/\" INBOX\r\n",
        "* STATUS INBOX (MESSAGES 0)\r\n",
        "* STATUS x (MESSAGES 0)\r\n",
        "* 1 FETCH (UID 1 BODY[]<0> {56}\r\nX-Parallax-Probe: parallax-probe-6a1ccb80-00000000.1\r\n\r\n)\r\n",
        "* 2 FETCH (UID 2 BODY[HEADER] {56}\r\nX-Parallax-Probe: parallax-probe-6a1ccb80-00000000.2\r\n\r\n)\r\n",
        "* STATUS parallax-probe-6a1ccb80-00000000 (MESSAGES 0)\r\n",
        "* OK still here\r\n",
        "* OK [PERMANENTFLAGS (\\*)] kept\r\n",
        "* OK [UIDVALIDITY 8] anew\r\n",
        "* BYE enough\r\n",
        "zzzz0001 OK stale\r\n",
        "* NO strange",
        "\r\n",
    ])
}

fn word() -> impl Strategy<Value = Signal> {
    let kinds = prop::sample::select(SignalKind::ALL);
    let subjects = prop::sample::select(vec!["exists", "flags", "expunge", "idle", "noop", "INBOX", ""]);
    let details = prop::sample::select(vec!["idle", "noop", "select", "never", "over", "x"]);
    (kinds, subjects, details).prop_map(|(kind, subject, detail)| Signal::new(kind, subject, detail))
}

fn twist() -> impl Strategy<Value = Twist> {
    prop_oneof![
        24 => Just(Twist::Nothing),
        3 => said().prop_map(Twist::Before),
        3 => said().prop_map(Twist::Behind),
        2 => said().prop_map(Twist::Instead),
        3 => Just(Twist::Stranger),
        2 => word().prop_map(Twist::Word),
        1 => Just(Twist::Never),
        1 => Just(Twist::Close),
    ]
}

/// What an honest server meets: somebody else in the mailbox.
fn company() -> impl Strategy<Value = Twist> {
    prop_oneof![4 => Just(Twist::Nothing), 1 => Just(Twist::Stranger)]
}

/// A server with what earlier probes and other people left.
fn server(news: News, capabilities: String, quirks: Quirks) -> MailServer {
    let mut server = MailServer::new(news);
    server.capabilities = capabilities;
    server.quirks[0] = quirks;
    for (name, own) in [
        ("parallax-probe-6a100000-00000001", true),
        ("parallax-probe-6a110000-00000002", false),
        ("parallax-probe-6a1cca00-00000003", true),
        ("parallax-probe-results", false),
    ] {
        let mut mailbox = Mailbox::default();
        if own {
            let message = format!("Subject: x\r\nX-Parallax-Probe: {name}.1\r\n\r\nx\r\n");
            mailbox.store(message.as_bytes(), &[]);
        }
        server.mailboxes.insert(name.to_owned(), mailbox);
    }
    server
}

fn whole(attempt: &Attempt) -> bool {
    let failed = attempt.stages.iter().filter(|stage| stage.failed()).count();
    failed <= 1
        && attempt
            .stages
            .last()
            .is_some_and(|stage| stage.name == StageName::Logout)
}

/// What the writer says that it may have left.
fn told_as_left(ended: &Ended) -> Vec<String> {
    let of = |name| {
        ended
            .fact(name, "left_over")
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let told = [StageName::Append, StageName::Sync].into_iter().flat_map(of);
    told.map(|name| name.as_str().unwrap().to_owned()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_server_says_nobody_elses_message_is_touched(
        news in news(),
        capabilities in capabilities(),
        quirks in quirks(),
        seconds in 8_u64..120,
        twists in vec(twist(), 0..90),
    ) {
        let mut duet = Duet::new(server(news, capabilities, quirks));
        duet.deadline = Duration::from_secs(seconds);
        duet.twists = twists.into();
        let ended = duet.play();
        prop_assert!(ended.server.strangers_are_untouched(), "{}", ended.transcripts);
        prop_assert!(ended.server.mailboxes.contains_key("parallax-probe-6a1cca00-00000003"));
        prop_assert!(ended.server.mailboxes.contains_key("parallax-probe-results"));
        prop_assert!(ended.took <= Duration::from_secs(seconds));
        prop_assert!(whole(&ended.writer), "{:?}", ended.writer.stages);
        prop_assert!(ended.watcher.as_ref().is_none_or(whole));
    }

    #[test]
    fn whoever_else_is_in_the_mailbox_what_stays_is_told(
        news in news(),
        capabilities in capabilities(),
        quirks in quirks(),
        twists in vec(company(), 0..90),
    ) {
        let mut duet = Duet::new(server(news, capabilities, quirks));
        duet.twists = twists.into();
        let ended = duet.play();
        prop_assert!(ended.server.strangers_are_untouched(), "{}", ended.transcripts);
        let told = told_as_left(&ended);
        for left in ended.left() {
            let known = left.starts_with("parallax-probe-6a1") && !left.starts_with("parallax-probe-6a1ccb");
            prop_assert!(
                known || left == "parallax-probe-results" || told.iter().any(|one| one == left),
                "{left} is not in {told:?}\n{}", ended.transcripts
            );
        }
    }
}

#[test]
fn a_server_that_is_left_alone_brings_both_sessions_to_their_end() {
    let ended = Duet::new(server(
        News::Pushed(Duration::from_millis(20)),
        CAPABILITIES.to_owned(),
        Quirks::default(),
    ))
    .play();
    for stage in &ended.writer.stages {
        assert!(
            matches!(stage.outcome, Outcome::Ok | Outcome::Skipped(_)),
            "{stage:?}"
        );
    }
    assert_eq!(ended.fact(StageName::Sync, "old_removed"), serde_json::json!(2));
}

const WATCHED: &str = "parallax-probe-6a1ccb80-00000001";

/// Two sessions are too few for these: each part alone, kept quiet in the end, with a server and another session out
/// of their minds.
fn part(watches: bool) -> (Session, Plan, Watchman) {
    let config = config(Security::Tls, None);
    let spec = ProbeSpec {
        options: ProbeOptions {
            hold: Some(Duration::from_secs(2)),
            ..ProbeOptions::default()
        },
        ..spec()
    };
    let (plan, part, may) = if watches {
        let mailbox = WATCHED.to_owned();
        let plan = Plan::follow_up(ExperimentKind::Watch, &spec, config.endpoint);
        (plan, SyncPart::Watcher { mailbox }, May::Watch)
    } else {
        let plan = Plan::requested(&spec, config.endpoint);
        (plan, SyncPart::Writer { watcher: None }, May::Write)
    };
    let session = Session::new(SessionConfig {
        plan: plan.clone(),
        sync: Some(part),
        hold: spec.options.hold,
        deadline: Duration::from_secs(90),
        ..config
    });
    let now = WALL.parse::<jiff::Timestamp>().unwrap().as_second();
    (session, plan, Watchman::new(may, now))
}

fn a_move_of_a_synchronisation() -> impl Strategy<Value = Move> {
    let told = (word(), 0_u64..100_000).prop_map(|(signal, at)| {
        Move::Tell(Event::Told {
            signal,
            at: Duration::from_millis(at),
            uncertainty: Duration::from_millis(at / 10),
        })
    });
    let line = |line: &str| Move::Say(line.as_bytes().to_vec());
    prop_oneof![
        5 => vec(said(), 1..3).prop_map(move |lines| line(&lines.concat())),
        5 => said().prop_map(move |said| line(&format!("{said}$ OK done\r\n"))),
        2 => told,
        1 => Just(Move::Tell(Event::TimedOut)),
        1 => a_move(),
    ]
}

/// The moves of a server that lets a synchronisation begin.
fn able(watches: bool) -> Vec<(Move, u64)> {
    let say = |text: &str| (Move::Say(text.as_bytes().to_vec()), 5);
    let mut moves = vec![
        (Move::Handshake("verified"), 5),
        say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\r\n"),
        say("* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\n$ OK done\r\n"),
        say("$ OK [CAPABILITY IMAP4rev1 UIDPLUS IDLE MOVE LITERAL+] in\r\n"),
    ];
    if watches {
        moves.push(say("* 1 EXISTS\r\n$ OK [READ-ONLY] open\r\n"));
    } else {
        moves.extend(["$ OK done\r\n"; 3].map(say));
        moves.push(say("* 0 EXISTS\r\n$ OK [READ-ONLY] open\r\n"));
        moves.extend(["$ OK done\r\n"; 3].map(say));
        moves.push(say("* 1 EXISTS\r\n$ OK [APPENDUID 7 1] stored\r\n"));
    }
    moves
}

fn alone(watches: bool, moves: &[(Move, u64)]) -> (Played, Plan) {
    let (session, plan, watchman) = part(watches);
    let moves: Vec<_> = able(watches).into_iter().chain(moves.iter().cloned()).collect();
    (play_watched(session, &moves, true, Some(watchman)), plan)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_server_and_any_partner_end_in_a_whole_attempt(
        watches in any::<bool>(),
        moves in vec((a_move_of_a_synchronisation(), 0_u64..2_000), 0..120),
    ) {
        let (played, plan) = alone(watches, &moves);
        let names: Vec<_> = played.attempt.stages.iter().map(|stage| stage.name).collect();
        prop_assert_eq!(names, plan.stages());
        prop_assert_eq!(&played.attempt.stages, &played.reported);
        prop_assert!(whole(&played.attempt));
    }
}

#[test]
fn a_server_that_is_able_brings_both_parts_to_their_work() {
    for (watches, name) in [(false, StageName::Append), (true, StageName::Idle)] {
        let (played, _) = alone(watches, &[]);
        let stages = &played.attempt.stages;
        let stage = stages.iter().find(|stage| stage.name == name).unwrap();
        assert!(stage.failed(), "{stage:?}");
    }
}
