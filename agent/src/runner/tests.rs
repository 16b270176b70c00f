use std::sync::atomic::{AtomicUsize, Ordering};

use parallax_identity::seal;
use parallax_model::credential::Secret;
use parallax_model::experiment::{CONTROL_PORT, Experiment};
use parallax_model::fault::{DnsFault, FaultKind, TcpFault};
use parallax_model::observation::AttemptOutcome;
use parallax_model::spec::{Depth, FamilyChoice, LoginSpec, ProbeOptions, ProbeSpec};
use parallax_model::stage::{Outcome, StageName};
use parallax_model::target::{Security, Target};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;

fn runner(policy: Policy) -> Runner {
    let who = ("fra-1".parse().unwrap(), Labels::new());
    Runner::new(who, policy, Trust::new(&[]), SealingKey::generate().unwrap(), 2)
}

fn order(target: &str, depth: Depth) -> Order {
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
        traceparent: String::new(),
        tracestate: String::new(),
    }
}

async fn run(runner: &Runner, order: &Order) -> Result<Observation, Refusal> {
    let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let reports = Reports::of_order(order.id.as_str().into(), sender);
    tokio::spawn(async move {
        while let Some((_, report)) = heard.recv().await {
            if let crate::report::Report::LoginAsked(answer) = report {
                answer.send(Ok(())).unwrap();
            }
        }
    });
    let _permit = runner.admit(order)?;
    let ran = runner.run(order, order.budget, reports).await?;
    Ok(ran.observation)
}

/// A mail server that knows just enough, and counts the logins it is sent.
async fn mail_server(logins: Arc<AtomicUsize>) -> SocketAddr {
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
    };
    let secret = Secret::new("open sesame".into());
    order.secret = Some(seal::seal(runner.sealing_key.public(), &context, &secret).unwrap());
    let observation = run(&runner, &order).await.unwrap();
    assert_ne!(*outcome_of(&observation, StageName::Authenticate), Outcome::Ok);
    assert_eq!(logins.load(Ordering::Relaxed), 0);
    assert!(!format!("{observation:?}").contains("open sesame"));
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
