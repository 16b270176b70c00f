//! Lets probe and server meet, and checks what must hold whoever the server is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parallax_agent::{Budgets, Policy, Prober};
use parallax_model::credential::Secret;
use parallax_model::fault::{FaultKind, ImapFault};
use parallax_model::observation::Attempt;
use parallax_model::spec::{Depth, FamilyChoice, LoginSpec, ProbeOptions, ProbeSpec};
use parallax_model::stage::Outcome;
use parallax_model::target::{Endpoint, Host, Target};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::attack::{Attack, Expected, Seen};
use crate::peer::{Peer, Record};
use crate::pki::Pki;

pub(crate) const HOST: &str = "imap.lab.example";
pub(crate) const PASSWORD: &str = "correct-horse-battery";

/// Long enough for an honest exchange on a busy machine, short enough to wait for it in a test.
pub(crate) fn budgets() -> Budgets {
    Budgets {
        connect: Duration::from_secs(2),
        tls: Duration::from_secs(2),
        greeting: Duration::from_secs(2),
        command: Duration::from_secs(2),
        authenticate: Duration::from_secs(2),
        patience: Duration::from_secs(2),
        silence: Duration::from_millis(500),
        drip: Duration::from_millis(500),
        ..Budgets::default()
    }
}
const TIMEOUT: Duration = Duration::from_secs(12);
/// What the agent grants a session beyond its time, and the scheduler of a busy machine beyond that.
const SLACK: Duration = Duration::from_secs(2);
/// Attacks that go on at one time.
const TOGETHER: usize = 8;
/// What one probe lets a server get rid of: a session's limit, a handshake's, and what sockets hold by themselves.
const ACCEPTED: u64 = 32 * 1024 * 1024;
/// Lines of a record, head and tail.
const LINES: usize = 128;
/// One fault, one line of a record.
const TEXT: usize = 2 * 1024;
/// Everything that is kept of one probe, as the program writes it for itself.
const KEPT: usize = 1024 * 1024;

/// Fights all of them, and tells of all that went wrong.
pub(crate) fn fight(attacks: Vec<Attack>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let wrong = runtime.block_on(fight_all(attacks));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

async fn fight_all(attacks: Vec<Attack>) -> Vec<String> {
    let pki = Arc::new(Pki::new());
    let prober = Prober::new("here".parse().unwrap(), Policy::allow_all(), TOGETHER).unwrap();
    let prober = Arc::new(prober.with_budgets(budgets()));
    let mut fights = JoinSet::new();
    let mut wrong = Vec::new();
    for attack in attacks {
        if fights.len() == TOGETHER {
            wrong.extend(fights.join_next().await.unwrap().unwrap());
        }
        fights.spawn(fight_one(attack, prober.clone(), pki.clone()));
    }
    while let Some(ended) = fights.join_next().await {
        wrong.extend(ended.unwrap());
    }
    wrong
}

async fn fight_one(attack: Attack, prober: Arc<Prober>, pki: Arc<Pki>) -> Option<String> {
    let seen = meet(&attack, &prober, &pki).await;
    let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        check_ending(&attack, &seen);
        check_bounds(&attack, &seen);
        (attack.check)(&seen);
    }));
    judged.err().map(|_| {
        let stages = seen.attempt().stages.iter();
        let stages = stages.map(|stage| format!("    {}: {:?}", stage.name, stage.outcome));
        format!("{}\n{}", attack.name, stages.collect::<Vec<_>>().join("\n"))
    })
}

/// One probe against one server.
pub(crate) async fn meet(attack: &Attack, prober: &Prober, pki: &Pki) -> Seen {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let record = Arc::new(Record::default());
    let playing = async {
        let (stream, _) = listener.accept().await.unwrap();
        let peer = Peer::new(stream, pki.acceptor(), attack.security, record.clone());
        // A server that is cut off in the middle of its malice has met its end.
        let _ = (attack.play)(peer).await;
    };
    let secret = Secret::new(PASSWORD.to_owned());
    let began = Instant::now();
    let spec = spec(attack, address, pki);
    let sealed = prober.seal(&spec, &secret).ok();
    let probing = prober.probe(spec, sealed);
    let mut playing = std::pin::pin!(playing);
    let mut probing = std::pin::pin!(probing);
    let observation = tokio::select! {
        observation = &mut probing => observation,
        () = &mut playing => probing.await,
    };
    let took = began.elapsed();
    Seen {
        observation: observation.unwrap(),
        took,
        heard: record.heard(),
        sent: record.sent(),
    }
}

pub(crate) fn spec(attack: &Attack, server: SocketAddr, pki: &Pki) -> ProbeSpec {
    ProbeSpec {
        target: Target {
            input: HOST.to_owned(),
            host: Host::Name(HOST.to_owned()),
            endpoints: vec![Endpoint {
                port: server.port(),
                security: attack.security,
            }],
        },
        depth: attack.depth,
        family: FamilyChoice::Any,
        addresses: vec![server.ip()],
        timeout: TIMEOUT,
        login: (attack.depth >= Depth::Login).then(|| LoginSpec {
            // What one server turns down is not sent again for that user, and the next is to see a login.
            user: format!("probe-{}", server.port()),
            mechanism: None,
        }),
        anchors: vec![pki.anchor()],
        options: ProbeOptions::default(),
    }
}

fn check_ending(attack: &Attack, seen: &Seen) {
    let attempt = seen.attempt();
    let failed = attempt.failed_stage();
    match &attack.outcome {
        Expected::Failed(stage, kind) => {
            let failed = failed.expect("no stage failed");
            let fault = failed.outcome.fault().unwrap();
            assert_eq!((failed.name, fault.kind), (*stage, *kind), "{}", attack.name);
        }
        Expected::Stopped(stage) => {
            let failed = failed.expect("no stage failed");
            let fault = failed.outcome.fault().unwrap();
            let stopped = [ImapFault::LimitExceeded, ImapFault::Timeout].map(FaultKind::Imap);
            assert_eq!(failed.name, *stage, "{}", attack.name);
            assert!(stopped.contains(&fault.kind), "{}: {fault:?}", attack.name);
        }
        Expected::Degraded(stage, kind) => {
            assert!(failed.is_none(), "{}: {failed:?}", attack.name);
            let Outcome::Degraded(fault) = seen.outcome(*stage) else {
                panic!("{}: {stage} is not degraded", attack.name)
            };
            assert_eq!(fault.kind, *kind, "{}", attack.name);
        }
        Expected::Well => assert!(failed.is_none(), "{}: {failed:?}", attack.name),
    }
    check_order(attempt);
}

/// Nothing is reached behind a stage that failed, except the logout where the server still listens.
fn check_order(attempt: &Attempt) {
    let behind = attempt.stages.iter().skip_while(|stage| !stage.failed()).skip(1);
    for stage in behind {
        assert!(
            stage.name == parallax_model::stage::StageName::Logout || stage.outcome == Outcome::NotReached,
            "{stage:?}"
        );
    }
}

fn check_bounds(attack: &Attack, seen: &Seen) {
    let name = &attack.name;
    assert!(seen.took < TIMEOUT + SLACK, "{name} took {:?}", seen.took);
    for stage in &seen.attempt().stages {
        let commands = 4;
        assert!(
            stage.duration < budgets().authenticate * commands + SLACK,
            "{name}: {stage:?}"
        );
        if let Some(fault) = stage.outcome.fault() {
            assert!(fault.message.len() < TEXT, "{name}: {fault:?}");
            assert!(
                fault.raw.as_ref().is_none_or(|raw| raw.len() < TEXT),
                "{name}: {fault:?}"
            );
        }
    }
    let transcript = &seen.attempt().transcript;
    assert!(transcript.len() <= LINES, "{name}: {} lines", transcript.len());
    assert!(transcript.iter().all(|line| line.text.len() <= TEXT), "{name}");
    let kept = format!("{:?}", seen.observation);
    assert!(kept.len() < KEPT, "{name} fills {} bytes", kept.len());
    assert!(!kept.contains(PASSWORD), "{name} got hold of the password");
    assert!(seen.sent <= ACCEPTED, "{name} got rid of {} bytes", seen.sent);
    let compressed = seen.heard.iter().any(|line| line.contains("COMPRESS"));
    assert!(!compressed, "{name}: {:?}", seen.heard);
}
