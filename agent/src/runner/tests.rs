use std::sync::atomic::{AtomicUsize, Ordering};

use parallax_identity::seal;
use parallax_model::credential::{SealContext, Secret};
use parallax_model::experiment::{CONTROL_PORT, Experiment};
use parallax_model::fault::{DnsFault, FaultKind, TcpFault};
use parallax_model::observation::{AttemptOutcome, Reason};
use parallax_model::signal::{Signal, SignalKind};
use parallax_model::spec::{Depth, Examination, FamilyChoice, LoginSpec, ProbeOptions, ProbeSpec};
use parallax_model::stage::{Outcome, StageName};
use parallax_model::target::{Security, Target};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::circuit::Asker;
use crate::partner::Word;
use crate::report::{Report, outlet};

mod admission;
mod overdue;
mod ways;

pub(crate) fn runner(policy: Policy) -> Runner {
    let who = ("fra-1".parse().unwrap(), Labels::new());
    Runner::new(who, policy, Trust::new(&[]), SealingKey::generate().unwrap(), 2)
}

pub(crate) fn order(target: &str, depth: Depth) -> Order {
    Order {
        id: "order".into(),
        run_id: "run".into(),
        spec: ProbeSpec {
            target: Target::parse(target, Some(Security::Plaintext)).unwrap(),
            depth,
            family: FamilyChoice::Any,
            addresses: Vec::new(),
            timeout: Duration::from_secs(10),
            login: None,
            anchors: Vec::new(),
            options: ProbeOptions::default(),
        },
        budget: Duration::from_secs(10),
        experiments: Vec::new(),
        secret: None,
        credential: None,
        client_identity: None,
        asker: Asker::Person { insists: false },
        watches: None,
        traceparent: String::new(),
        tracestate: String::new(),
    }
}

pub(super) async fn run(runner: &Runner, order: &Order) -> Result<Observation, Refusal> {
    let (_partner, heard) = mpsc::channel(1);
    run_beside(runner, order, heard).await.0
}

/// Runs an order beside what another agent says; and what was said to that one.
async fn run_beside(
    runner: &Runner,
    order: &Order,
    heard: mpsc::Receiver<Heard>,
) -> (Result<Observation, Refusal>, Vec<Signal>) {
    let (outlet, mut news) = outlet();
    let reports = Reports::of_order(order.id.as_str().into(), outlet);
    let listening = tokio::spawn(async move {
        let mut said = Vec::new();
        while let Some((_, report)) = news.recv().await {
            match report {
                Report::LoginAsked(answer) => answer.send(Ok(())).unwrap(),
                Report::Signal { signal, .. } => said.push(signal),
                Report::Stage { .. } | Report::Overdue(_) | Report::Capture(_) => {}
            }
        }
        said
    });
    let ran = match runner.admit(order) {
        Ok(_permit) => runner.run(order, order.budget, reports, heard).await,
        Err(refusal) => {
            drop(reports);
            Err(refusal)
        }
    };
    (ran.map(|ran| ran.observation), listening.await.unwrap())
}

/// A mail server that knows just enough, and counts the logins it is sent.
pub(crate) async fn mail_server(logins: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, logins.clone()));
        }
    });
    address
}

async fn talk(mut stream: TcpStream, logins: Arc<AtomicUsize>) {
    let (reader, mut writer) = stream.split();
    writer.write_all(b"* OK IMAP4rev1 ready\r\n").await.unwrap();
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let (tag, command) = line.split_once(' ').unwrap();
        let verb = command.split(' ').next().unwrap().to_ascii_uppercase();
        let untagged = match verb.as_str() {
            "CAPABILITY" => "* CAPABILITY IMAP4rev1 ID\r\n",
            "ID" => "* ID (\"name\" \"lab\")\r\n",
            "LOGOUT" => "* BYE see you\r\n",
            "LOGIN" | "AUTHENTICATE" => {
                logins.fetch_add(1, Ordering::Relaxed);
                ""
            }
            _ => "",
        };
        let answer = format!("{untagged}{tag} OK done\r\n");
        writer.write_all(answer.as_bytes()).await.unwrap();
    }
}

fn outcome_of(observation: &Observation, stage: StageName) -> &Outcome {
    &observation.attempts[0].stage(stage).unwrap().outcome
}

#[tokio::test]
async fn a_healthy_server_is_seen_from_connect_to_logout() {
    let server = mail_server(Arc::default()).await;
    let order = order(&server.to_string(), Depth::Greeting);
    let observation = run(&runner(Policy::allow_all()), &order).await.unwrap();
    let attempt = &observation.attempts[0];
    assert_eq!(attempt.failed_stage(), None, "{attempt:#?}");
    let names: Vec<_> = attempt.stages.iter().map(|stage| stage.name).collect();
    assert_eq!(names[0], StageName::Connect);
    assert_eq!(names.last(), Some(&StageName::Logout));
    assert!(attempt.stages[0].tcp.is_some());
    assert!(observation.answered());
}

#[tokio::test]
async fn a_closed_port_fails_the_vantage_point_and_not_the_agent() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let order = order(&closed.to_string(), Depth::Greeting);
    let observation = run(&runner(Policy::allow_all()), &order).await.unwrap();
    assert_eq!(observation.outcome, VantageOutcome::Failed);
    let fault = outcome_of(&observation, StageName::Connect).fault().unwrap();
    assert_eq!(fault.kind, FaultKind::Tcp(TcpFault::ConnectionRefused));
    assert_eq!(
        *outcome_of(&observation, StageName::Greeting),
        Outcome::NotReached
    );
}

#[tokio::test]
async fn one_dead_address_hides_no_other() {
    let server = mail_server(Arc::default()).await;
    let mut order = order(&format!("mail.example:{}", server.port()), Depth::Greeting);
    order.spec.addresses = vec!["127.0.0.2".parse().unwrap(), server.ip()];
    let observation = run(&runner(Policy::allow_all()), &order).await.unwrap();
    let outcomes: Vec<_> = observation
        .attempts
        .iter()
        .map(|attempt| attempt.outcome())
        .collect();
    assert_eq!(outcomes[0], AttemptOutcome::Failed);
    assert_ne!(outcomes[1], AttemptOutcome::Failed);
    assert_eq!(observation.outcome, VantageOutcome::Degraded);
}

#[tokio::test]
async fn the_default_policy_refuses_this_host_and_other_ports() {
    let runner = runner(Policy::default());
    for target in ["127.0.0.1:143", "imap.example.org:25"] {
        let refusal = run(&runner, &order(target, Depth::Connect)).await.unwrap_err();
        assert_eq!(refusal.reason, Reason::Policy, "{target}");
    }
    let mut forced = order("imap.example.org:143", Depth::Connect);
    forced.spec.addresses = vec!["127.0.0.1".parse().unwrap()];
    let refusal = run(&runner, &forced).await.unwrap_err();
    assert!(refusal.note.contains("127.0.0.0/8"), "{refusal:?}");
}

#[tokio::test]
async fn a_rule_for_a_name_is_no_fence_around_an_address_that_an_order_claims_for_it() {
    let server = mail_server(Arc::default()).await;
    let directory = tempfile::tempdir().unwrap();
    let policy = Policy {
        allow: vec![format!("*.lab.example:{}", server.port()).parse().unwrap()],
        ..Policy::allow_all()
    };
    let mut runner = runner(policy);
    runner.files.hosts = directory.path().join("hosts");
    runner.files.resolv_conf = directory.path().join("resolv.conf");
    std::fs::write(&runner.files.hosts, "192.0.2.1 imap.lab.example\n").unwrap();
    let asked = order(&format!("imap.lab.example:{}", server.port()), Depth::Greeting);
    let mut claimed = asked.clone();
    claimed.spec.addresses = vec![server.ip()];
    let mut traced = asked.clone();
    traced.experiments = vec![Experiment {
        kind: ExperimentKind::Repeat,
        agent: "fra-1".parse().unwrap(),
        address: server.ip(),
        endpoint: asked.spec.target.endpoints[0],
        variation: parallax_model::experiment::Variation::default(),
    }];
    for order in [&claimed, &traced] {
        let refusal = run(&runner, order).await.unwrap_err();
        assert_eq!(refusal.reason, Reason::Policy);
    }
    std::fs::write(&runner.files.hosts, format!("{} imap.lab.example\n", server.ip())).unwrap();
    for order in [&claimed, &traced, &asked] {
        let observation = run(&runner, order).await.unwrap();
        assert_eq!(observation.attempts.len(), 1);
    }
}

#[tokio::test]
async fn a_resolver_that_the_policy_forbids_is_not_asked_and_that_is_said() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut runner = runner(Policy::default());
    runner.files.hosts = directory.path().join("hosts");
    runner.files.resolv_conf = directory.path().join("resolv.conf");
    std::fs::write(&runner.files.resolv_conf, "nameserver 127.0.0.9\n").unwrap();
    let mut order = order("imap.lab.example:143", Depth::Connect);
    order.spec.options.resolver = Some(silent.local_addr().unwrap());
    let observation = run(&runner, &order).await.unwrap();
    assert!(observation.note.unwrap().contains("127.0.0.0/8"));
    assert!(silent.try_recv(&mut [0; 512]).is_err(), "a question arrived");
}

#[tokio::test]
async fn a_round_of_experiments_is_for_a_target_that_the_policy_allows() {
    let mut order = order("imap.lab.example:5432", Depth::Greeting);
    order.experiments = vec![Experiment {
        kind: ExperimentKind::PathUdp,
        agent: "fra-1".parse().unwrap(),
        address: "192.0.2.1".parse().unwrap(),
        endpoint: order.spec.target.endpoints[0],
        variation: parallax_model::experiment::Variation::default(),
    }];
    let refused = runner(Policy::default()).admit(&order).unwrap_err();
    assert_eq!(refused.reason, Reason::Policy);
}

#[tokio::test]
async fn without_a_permit_left_an_order_is_refused_as_overload() {
    let runner = runner(Policy::allow_all());
    let order = order("127.0.0.1:143", Depth::Connect);
    let held: Vec<_> = (0..2).map(|_| runner.admit(&order).unwrap()).collect();
    assert_eq!(runner.admit(&order).unwrap_err().reason, Reason::Overload);
    drop(held);
    assert!(runner.admit(&order).is_ok());
}

#[tokio::test]
async fn a_name_without_a_resolver_is_a_dns_fault() {
    let directory = tempfile::tempdir().unwrap();
    let mut runner = runner(Policy::allow_all());
    runner.files.hosts = directory.path().join("hosts");
    runner.files.resolv_conf = directory.path().join("resolv.conf");
    let order = order("imap.lab.example:143", Depth::Connect);
    let observation = run(&runner, &order).await.unwrap();
    let stage = observation.resolve.unwrap();
    assert_eq!(
        stage.outcome.fault().unwrap().kind,
        FaultKind::Dns(DnsFault::NoResolver)
    );
    assert_eq!(observation.outcome, VantageOutcome::Failed);
    assert!(observation.attempts.is_empty());
}

#[tokio::test]
async fn an_experiment_is_a_follow_up_and_resolves_nothing() {
    let mut order = order("imap.lab.example:143", Depth::Greeting);
    let endpoint = Endpoint {
        port: CONTROL_PORT,
        security: Security::Plaintext,
    };
    order.experiments = vec![Experiment {
        kind: ExperimentKind::ControlPort,
        agent: "fra-1".parse().unwrap(),
        address: "127.0.0.1".parse().unwrap(),
        endpoint,
        variation: parallax_model::experiment::Variation::default(),
    }];
    let observation = run(&runner(Policy::allow_all()), &order).await.unwrap();
    assert_eq!(observation.resolve, None);
    let [attempt] = observation.attempts.as_slice() else {
        panic!("{observation:?}")
    };
    assert_eq!(attempt.purpose, Purpose::FollowUp);
    assert_eq!(attempt.experiment, Some(ExperimentKind::ControlPort));
    assert_eq!(attempt.stages.len(), 1);
}

#[tokio::test]
async fn a_secret_is_never_sent_in_clear() {
    let logins = Arc::new(AtomicUsize::new(0));
    let server = mail_server(logins.clone()).await;
    let runner = runner(Policy::allow_all());
    let mut order = order(&server.to_string(), Depth::Login);
    order.spec.login = Some(LoginSpec {
        user: "probe".into(),
        mechanism: None,
    });
    let context = SealContext {
        host: "127.0.0.1",
        user: "probe",
        anchors: &[],
    };
    let secret = Secret::new("open sesame".into());
    order.secret = Some(seal::seal(runner.sealing_key.public(), &context, &secret).unwrap());
    let observation = run(&runner, &order).await.unwrap();
    assert_ne!(*outcome_of(&observation, StageName::Authenticate), Outcome::Ok);
    assert_eq!(logins.load(Ordering::Relaxed), 0);
    assert!(!format!("{observation:?}").contains("open sesame"));
}

/// Whoever chooses the anchors chooses who can show a certificate for the host.
#[tokio::test]
async fn an_order_with_another_anchor_than_the_secret_was_sealed_with_opens_nothing() {
    let runner = runner(Policy::allow_all());
    let mut order = order("imap.lab.example", Depth::Login);
    order.spec.login = Some(LoginSpec {
        user: "probe".into(),
        mechanism: None,
    });
    let context = SealContext {
        host: "imap.lab.example",
        user: "probe",
        anchors: &[],
    };
    let secret = Secret::new("open sesame".into());
    let sealed = seal::seal(runner.sealing_key.public(), &context, &secret).unwrap();
    assert!(runner.open(&order, &sealed).is_ok());
    order.secret = Some(sealed);
    order.spec.anchors = vec![b"the thief's".to_vec()];
    let refusal = run(&runner, &order).await.unwrap_err();
    assert!(refusal.note.contains("trust anchors"), "{refusal:?}");
}

#[tokio::test]
async fn a_server_that_says_nothing_ends_with_the_budget() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut order = order(&listener.local_addr().unwrap().to_string(), Depth::Greeting);
    order.budget = Duration::from_millis(300);
    let began = Instant::now();
    let observation = run(&runner(Policy::allow_all()), &order).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2));
    assert!(observation.attempts[0].failed_stage().is_some());
}

fn word(attempt: Option<SocketAddr>, kind: SignalKind, subject: &str) -> Heard {
    let signal = Signal {
        kind,
        subject: subject.into(),
        detail: String::new(),
    };
    Heard {
        attempt,
        word: Word {
            signal,
            at: Instant::now(),
            uncertainty: Duration::ZERO,
        },
    }
}

fn watching(target: SocketAddr) -> Order {
    Order {
        watches: Some("the writer's".into()),
        ..order(&target.to_string(), Depth::Sync)
    }
}

#[tokio::test]
async fn a_watcher_connects_once_the_writer_names_its_mailbox_and_is_done_with_it() {
    let server = mail_server(Arc::default()).await;
    let (writer, heard) = mpsc::channel(8);
    let elsewhere = SocketAddr::new("192.0.2.7".parse().unwrap(), server.port());
    for attempt in [server, elsewhere] {
        writer
            .try_send(word(Some(attempt), SignalKind::Mailbox, "box"))
            .unwrap();
    }
    writer.try_send(word(None, SignalKind::Over, "")).unwrap();
    let runner = runner(Policy::allow_all());
    let (seen, said) = run_beside(&runner, &watching(server), heard).await;
    let attempts = seen.unwrap().attempts;
    assert_eq!(attempts.len(), 2, "one for each attempt of the writer");
    for attempt in &attempts {
        assert_eq!(attempt.experiment, Some(ExperimentKind::Watch));
        assert_eq!(
            attempt.address,
            server.ip(),
            "the name leads here and not where the writer is"
        );
        assert_eq!(attempt.stages[0].outcome, Outcome::Ok);
    }
    assert!(said.iter().any(|signal| signal.kind == SignalKind::Gone));
}

#[tokio::test]
async fn a_watcher_that_no_writer_needed_has_touched_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let (writer, heard) = mpsc::channel(8);
    writer
        .try_send(word(Some(target), SignalKind::Changed, "exists"))
        .unwrap();
    writer.try_send(word(None, SignalKind::Over, "")).unwrap();
    let runner = runner(Policy::allow_all());
    let (seen, _) = run_beside(&runner, &watching(target), heard).await;
    assert!(seen.unwrap().attempts.is_empty());
    let nobody = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(nobody.is_err());
}

#[tokio::test]
async fn a_watcher_obeys_its_own_policy() {
    let (_writer, heard) = mpsc::channel(1);
    let target = "127.0.0.1:143".parse().unwrap();
    let (seen, _) = run_beside(&runner(Policy::default()), &watching(target), heard).await;
    assert_eq!(seen.unwrap_err().reason, Reason::Policy);
}

#[tokio::test]
async fn the_other_agent_hears_that_a_writer_is_done() {
    let server = mail_server(Arc::default()).await;
    let mut order = order(&server.to_string(), Depth::Sync);
    order.spec.options.sync_with = Some("ams-1".parse().unwrap());
    let (_watcher, heard) = mpsc::channel(1);
    let (seen, said) = run_beside(&runner(Policy::allow_all()), &order, heard).await;
    assert_eq!(seen.unwrap().attempts.len(), 1, "nobody watches here");
    assert_eq!(said.last().unwrap().kind, SignalKind::Over);
}

#[tokio::test]
async fn a_held_session_has_a_ladder_beside_it() {
    let server = mail_server(Arc::default()).await;
    let mut order = order(&server.to_string(), Depth::Greeting);
    order.spec.options.hold = Some(Duration::from_millis(500));
    let observation = run(&runner(Policy::allow_all()), &order).await.unwrap();
    let (main, ladder): (Vec<_>, Vec<_>) = observation
        .attempts
        .iter()
        .partition(|attempt| attempt.requested());
    assert_eq!((main.len(), ladder.len()), (1, 5));
    assert!(
        ladder
            .iter()
            .all(|attempt| attempt.experiment == Some(ExperimentKind::Hold))
    );
}

#[tokio::test]
async fn examinations_come_after_what_was_asked_for_and_fit_the_endpoint() {
    let server = mail_server(Arc::default()).await;
    let mut order = order(&server.to_string(), Depth::Greeting);
    order.spec.options.examine = Examination::ALL.to_vec();
    let experiments = |observation: Observation| -> Vec<_> {
        let attempts = observation.attempts.into_iter();
        attempts.filter_map(|attempt| attempt.experiment).collect()
    };
    let runner = runner(Policy::allow_all());
    let plaintext = run(&runner, &order).await.unwrap();
    assert!(experiments(plaintext).is_empty());
    order.spec.target = Target::parse(&server.to_string(), Some(Security::Starttls)).unwrap();
    let starttls = run(&runner, &order).await.unwrap();
    assert!(starttls.attempts[0].requested());
    assert_eq!(
        experiments(starttls),
        [ExperimentKind::StarttlsInjection, ExperimentKind::RawHello]
    );
}

#[tokio::test]
async fn another_resolver_is_asked_beside_this_hosts_and_its_answer_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut runner = runner(Policy::allow_all());
    runner.files.hosts = directory.path().join("hosts");
    runner.files.resolv_conf = directory.path().join("resolv.conf");
    std::fs::write(&runner.files.hosts, "127.0.0.1 imap.lab.example\n").unwrap();
    let server = mail_server(Arc::default()).await;
    let mut order = order(&format!("imap.lab.example:{}", server.port()), Depth::Greeting);
    order.spec.options.resolver = Some(silent.local_addr().unwrap());
    order.budget = Duration::from_secs(1);
    drop(silent);
    let observation = run(&runner, &order).await.unwrap();
    let stage = observation.resolve.unwrap();
    assert_eq!(
        stage.outcome,
        Outcome::Ok,
        "who can not be reached contradicts nobody"
    );
    let Some(Evidence::Resolve(facts)) = stage.evidence else {
        panic!("evidence")
    };
    let other = facts.other.unwrap();
    assert!(!other.agrees);
    let fault = other.fault.unwrap();
    assert_eq!(fault.kind, FaultKind::Dns(DnsFault::ResolverUnreachable));
    assert_eq!(facts.source, "hosts");
    let connect = observation.attempts[0].stages[0].evidence.clone();
    let Some(Evidence::Connect(connect)) = connect else {
        panic!("evidence")
    };
    assert_eq!(connect.interface.as_deref(), Some("lo"));
    assert_eq!(connect.syn_retransmits, Some(0));
}
