//! A scripted outside that may do anything at any time, and what comes of a session in it.

use std::time::Duration;

use parallax_engine::action::{Action, Dial, Hello};
use parallax_engine::budgets::Budgets;
use parallax_engine::event::Event;
use parallax_engine::plan::Plan;
use parallax_engine::session::{Session, SessionConfig};
use parallax_model::credential::{Credential, Mechanism, Secret};
use parallax_model::experiment::ExperimentKind;
use parallax_model::fault::{Fault, FaultKind, TcpFault};
use parallax_model::observation::{Attempt, Purpose};
use parallax_model::spec::{DEFAULT_TIMEOUT, Depth, FamilyChoice, ProbeOptions, ProbeSpec};
use parallax_model::stage::Stage;
use parallax_model::target::{Endpoint, Host, Security, Target};
use proptest::collection::vec;
use proptest::prelude::*;

use super::watchman::Watchman;
use super::world;

pub(crate) const PASSWORD: &str = "hunter2-and-more";
/// `NUL probe NUL` and the password, without the padding.
pub(crate) const ENCODED: &str = "AHByb2JlAGh1bnRlcjItYW5kLW1vcmU";
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// What a scripted outside does next.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "a few moves exist at a time")]
pub(crate) enum Move {
    Tell(Event),
    /// A handshake by its name in `world`.
    Handshake(&'static str),
    /// The server says this; `$` at the beginning of a line is the client's last tag.
    Say(Vec<u8>),
    /// Nothing is told, although something is due.
    Ignore,
}

pub(crate) fn piece() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        "* OK ready\r\n",
        "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR STARTTLS ID NAMESPACE] hi\r\n",
        "* PREAUTH hi\r\n",
        "* BYE go\r\n",
        "* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR STARTTLS ID NAMESPACE CONDSTORE\r\n",
        "* CAPABILITY IMAP4rev1 STARTTLS\r\n",
        "$ OK done\r\n",
        "$ OK [CAPABILITY IMAP4rev2] done\r\n",
        "$ NO [AUTHENTICATIONFAILED] hunter2-and-more\r\n",
        "$ BAD AHByb2JlAGh1bnRlcjItYW5kLW1vcmU=\r\n",
        "$ NO [HUNTER2-AND-MORE] hunter2-and-more\r\n",
        "$ OK [CAPABILITY IMAP4rev1 NAMESPACE ID hunter2-and-more] hunter2-and-more\r\n",
        "* OK [PERMANENTFLAGS (hunter2-and-more)] x\r\n",
        "* NAMESPACE ((\"hunter2-and-more\" \"/\")) NIL NIL\r\n",
        "* LIST () \"hunter2-and-more\" INBOX\r\n",
        "* ID (\"hunter2-and-more\" \"hunter2-and-more\")\r\n",
        "hunter2-and-more",
        "$ OK",
        "zzzz0001 OK stale\r\n",
        "+ \r\n",
        "+\r\n",
        "* 3 EXISTS\r\n",
        "* 1 EXPUNGE\r\n",
        "* LIST () \"/\" INBOX\r\n",
        "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n",
        "* ID (\"name\" NIL)\r\n",
        "* 3 FETCH (UID 7 BODY[HEADER.FIELDS (DATE)]<0> {4}\r\nab\r\n)\r\n",
        "* 3 FETCH (UID 7 BODY[] {400}\r\n",
        "* 1 FETCH (BODYSTRUCTURE ((((((((((((((((((",
        "220 mx ESMTP\r\n",
        "\r\n",
        "\n",
        "(",
        "\"",
    ]);
    let of_tls = prop::sample::select(vec![
        &b"\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01"[..],
        &[0; 35],
        b"\x2f\x00",
        b"\x16\x03\x03\x00\x04\x0e\x00\x00\x00",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x15\x03\x03\x00\x02\x01\x70",
    ]);
    prop_oneof![
        16 => line.prop_map(|text| text.as_bytes().to_vec()),
        1 => of_tls.prop_map(<[u8]>::to_vec),
        2 => vec(any::<u8>(), 1..40),
    ]
}

pub(crate) fn a_move() -> impl Strategy<Value = Move> {
    let handshakes = prop::sample::select(vec![
        "verified",
        "expired",
        "untrusted",
        "expiring",
        "silent",
        "smtp",
    ]);
    let events = prop::sample::select(vec![
        Event::Connected(world::connection(993)),
        Event::Sent,
        Event::Closed,
        Event::Failed(Fault::new(FaultKind::Tcp(TcpFault::ConnectionReset), "reset")),
        Event::TimedOut,
        Event::LoginGranted,
        Event::LoginWithheld("not now".to_owned()),
        Event::Tcp(world::account(3)),
        world::not_connected("connection_refused", 993),
    ]);
    prop_oneof![
        2 => events.prop_map(Move::Tell),
        1 => handshakes.prop_map(Move::Handshake),
        6 => vec(piece(), 1..6).prop_map(|pieces| Move::Say(pieces.concat())),
        1 => Just(Move::Ignore),
    ]
}

pub(crate) fn security() -> impl Strategy<Value = Security> {
    prop::sample::select(vec![Security::Tls, Security::Starttls, Security::Plaintext])
}

pub(crate) fn endpoint(security: Security) -> Endpoint {
    let port = if security == Security::Tls { 993 } else { 143 };
    Endpoint { port, security }
}

pub(crate) fn plan(security: Security) -> Plan {
    Plan::requested(&spec(), endpoint(security))
}

pub(crate) fn spec() -> ProbeSpec {
    ProbeSpec {
        target: Target::parse(world::HOST, None).unwrap(),
        depth: Depth::Sync,
        family: FamilyChoice::Any,
        addresses: Vec::new(),
        timeout: DEFAULT_TIMEOUT,
        login: None,
        anchors: Vec::new(),
        options: ProbeOptions::default(),
    }
}

pub(crate) fn session(security: Security, mechanism: Option<Mechanism>) -> Session {
    Session::new(config(security, mechanism))
}

/// An examination in a session that was given a secret all the same.
pub(crate) fn examination(kind: ExperimentKind, security: Security) -> Session {
    Session::new(SessionConfig {
        purpose: Purpose::FollowUp,
        experiment: Some(kind),
        plan: Plan::follow_up(kind, &spec(), endpoint(security)),
        ..config(security, None)
    })
}

pub(crate) fn config(security: Security, mechanism: Option<Mechanism>) -> SessionConfig {
    SessionConfig {
        address: world::ADDRESS,
        endpoint: endpoint(security),
        purpose: Purpose::Requested,
        experiment: None,
        plan: plan(security),
        reference: Host::Name(world::HOST.to_owned()),
        login: Some(Credential {
            user: "probe".to_owned(),
            secret: Secret::new(PASSWORD.to_owned()),
        }),
        masked: None,
        mechanism,
        started: Duration::ZERO,
        deadline: DEADLINE,
        wall: world::WALL.parse().unwrap(),
        seed: 7,
        nonce: [7; 18],
        tlsa: None,
        sync: None,
        hold: None,
        hello: Hello::default(),
        dial: Dial::default(),
        budgets: Budgets::default(),
    }
}

/// What came of playing the moves.
pub(crate) struct Played {
    pub(crate) attempt: Attempt,
    pub(crate) reported: Vec<Stage>,
    pub(crate) sent_in: Vec<&'static str>,
    pub(crate) secret_sent: bool,
    pub(crate) record: String,
}

/// A driver that answers sensibly where `sensible`, and with the next move whatever was asked for where not.
pub(crate) fn play(session: Session, moves: &[(Move, u64)], sensible: bool) -> Played {
    play_watched(session, moves, sensible, None)
}

/// The same, with somebody who looks at every command.
pub(crate) fn play_watched(
    mut session: Session,
    moves: &[(Move, u64)],
    sensible: bool,
    mut watchman: Option<Watchman>,
) -> Played {
    let mut now = Duration::ZERO;
    let mut tag = String::new();
    let mut channel = "clear";
    let (mut reported, mut sent_in, mut secret_sent) = (Vec::new(), Vec::new(), false);
    let mut moves = moves.iter();
    for _ in 0..5_000 {
        let action = session.next(now);
        match &action {
            Action::Report(stage) => {
                reported.push(stage.clone());
                continue;
            }
            Action::Close | Action::Tell(_) => continue,
            Action::Finish(attempt) => {
                let record = format!("{attempt:?} {}", session.transcript());
                return Played {
                    attempt: attempt.clone(),
                    reported,
                    sent_in,
                    secret_sent,
                    record,
                };
            }
            Action::Send { bytes, .. } => {
                let wire = String::from_utf8_lossy(bytes.wire(&world::Eavesdropper)).into_owned();
                if let Some(watchman) = &mut watchman {
                    watchman.sent(wire.as_bytes());
                }
                if wire.contains(PASSWORD) || wire.contains(ENCODED) {
                    secret_sent = true;
                    sent_in.push(channel);
                }
                if let Some((first, _)) = wire.split_once(' ') {
                    tag = first.to_owned();
                }
            }
            Action::Connect { .. }
            | Action::Handshake { .. }
            | Action::Receive { .. }
            | Action::AskLogin { .. } => {}
        }
        let good = match &action {
            Action::Connect { .. } => Some(Event::Connected(world::connection(993))),
            Action::Send { .. } => Some(Event::Sent),
            Action::AskLogin { .. } => Some(Event::LoginGranted),
            _ => None,
        };
        if sensible && let Some(event) = good {
            session.handle(event, now);
            continue;
        }
        let Some((next, millis)) = moves.next() else {
            now += Duration::from_secs(10);
            session.handle(Event::TimedOut, now);
            continue;
        };
        now += Duration::from_millis(*millis);
        match next {
            Move::Tell(event) => session.handle(event.clone(), now),
            Move::Handshake(kind) => {
                if matches!(action, Action::Handshake { .. }) {
                    channel = kind;
                }
                session.handle(Event::Handshake(Box::new(world::handshake(kind).unwrap())), now);
            }
            Move::Say(bytes) if !secret_sent && holds_secret(bytes) => {}
            Move::Say(bytes) => {
                let text =
                    bytes
                        .split_inclusive(|byte| *byte == b'\n')
                        .map(|line| match line.strip_prefix(b"$ ") {
                            Some(rest) => [tag.as_bytes(), b" ", rest].concat(),
                            None => line.to_vec(),
                        });
                let text = text.collect::<Vec<_>>().concat();
                if let (Some(watchman), Action::Receive { .. }) = (&mut watchman, &action) {
                    watchman.received(&text);
                }
                session.handle(Event::Received(text), now);
            }
            Move::Ignore => {}
        }
    }
    panic!("the session does not end: {session:?}");
}

/// A server can repeat only what it was told.
pub(crate) fn holds_secret(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.contains(PASSWORD) || text.contains(ENCODED)
}
