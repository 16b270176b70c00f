use std::collections::HashSet;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use parallax_identity::seal;
use parallax_model::credential::{SealContext, Secret};
use parallax_model::evidence::Evidence;
use parallax_model::experiment::{Experiment, ExperimentKind, Variation};
use parallax_model::observation::{Attempt, Observation, Purpose, Reason};
use parallax_model::spec::{Depth, LoginSpec};
use parallax_model::stage::StageName;
use parallax_model::target::{Endpoint, Security};
use tokio::net::TcpListener;

use crate::driver::tcp;
use crate::network::LocalNetwork;
use crate::order::Order;
use crate::policy::Policy;
use crate::runner::tests::{mail_server, order, run, runner};

fn experiment(kind: ExperimentKind, peer: SocketAddr, security: Security) -> Experiment {
    Experiment {
        kind,
        agent: "fra-1".parse().unwrap(),
        address: peer.ip(),
        endpoint: Endpoint {
            port: peer.port(),
            security,
        },
        variation: Variation::default(),
    }
}

fn order_of(experiments: Vec<Experiment>) -> Order {
    Order {
        experiments,
        ..order("imap.lab.example:143", Depth::Greeting)
    }
}

async fn done(experiments: Vec<Experiment>) -> Observation {
    let runner = runner(Policy::allow_all());
    run(&runner, &order_of(experiments)).await.unwrap()
}

fn connected_from(attempt: &Attempt) -> SocketAddr {
    match &attempt.stages[0].evidence {
        Some(Evidence::Connect(facts)) => facts.local.unwrap(),
        other => panic!("{other:?}"),
    }
}

fn connected(attempt: &Attempt) -> bool {
    attempt.stages[0].name == StageName::Connect && !attempt.stages[0].failed()
}

#[tokio::test]
async fn a_small_mss_is_what_the_other_side_sends_by() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = listener.local_addr().unwrap();
    let small = experiment(ExperimentKind::SmallMss, peer, Security::Plaintext);
    let accepting = async {
        let (stream, _) = listener.accept().await.unwrap();
        tcp::info(stream.as_fd()).unwrap().snd_mss
    };
    let (observation, theirs) = tokio::join!(done(vec![small]), accepting);
    assert!(theirs <= 536, "{theirs}");
    let [attempt] = observation.attempts.as_slice() else {
        panic!("{observation:?}")
    };
    assert_eq!(attempt.experiment, Some(ExperimentKind::SmallMss));
    assert_eq!(attempt.purpose, Purpose::FollowUp);
}

#[tokio::test]
async fn another_source_is_where_the_connection_comes_from() {
    let server = mail_server(Arc::default()).await;
    let mut other = experiment(ExperimentKind::OtherSource, server, Security::Plaintext);
    other.variation.source = Some("127.0.0.9".parse().unwrap());
    let observation = done(vec![other]).await;
    assert_eq!(
        connected_from(&observation.attempts[0]).ip().to_string(),
        "127.0.0.9"
    );
    assert!(
        observation.attempts[0].failed_stage().is_none(),
        "{observation:?}"
    );
}

#[tokio::test]
async fn what_names_no_source_or_one_of_the_other_family_is_left_out_and_said() {
    let server = mail_server(Arc::default()).await;
    let without = experiment(ExperimentKind::OtherSource, server, Security::Plaintext);
    let mut of_the_other = without.clone();
    of_the_other.variation.source = Some("::1".parse().unwrap());
    let repeat = experiment(ExperimentKind::Repeat, server, Security::Plaintext);
    let observation = done(vec![without.clone(), of_the_other, repeat]).await;
    assert_eq!(observation.attempts.len(), 1);
    let note = observation.note.unwrap();
    assert!(note.contains("no source") && note.contains("::1"), "{note}");
    let refused = run(&runner(Policy::allow_all()), &order_of(vec![without])).await;
    assert_eq!(refused.unwrap_err().reason, Reason::Policy);
}

#[tokio::test]
async fn a_series_is_one_connection_at_a_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = listener.local_addr().unwrap();
    let mut serial = experiment(ExperimentKind::Serial, peer, Security::Plaintext);
    serial.variation.repeat = Some(3);
    let accepting = async {
        let mut sources = HashSet::new();
        for _ in 0..3 {
            let (stream, source) = listener.accept().await.unwrap();
            sources.insert(source);
            let others = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
            assert!(others.is_err(), "two at a time");
            drop(stream);
        }
        sources
    };
    let (observation, sources) = tokio::join!(done(vec![serial]), accepting);
    assert_eq!((sources.len(), observation.attempts.len()), (3, 3));
    let mut starts: Vec<_> = observation
        .attempts
        .iter()
        .map(|one| one.stages[0].start)
        .collect();
    starts.sort_unstable();
    assert!(
        starts
            .windows(2)
            .all(|two| two[1] - two[0] >= Duration::from_millis(300))
    );
    for attempt in &observation.attempts {
        assert_eq!(attempt.experiment, Some(ExperimentKind::Serial));
        assert!(connected(attempt));
    }
}

#[tokio::test]
async fn of_a_series_that_has_no_time_only_what_was_begun_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut serial = experiment(
        ExperimentKind::Serial,
        listener.local_addr().unwrap(),
        Security::Plaintext,
    );
    serial.variation.repeat = Some(200);
    let mut order = order_of(vec![serial]);
    order.budget = Duration::from_millis(700);
    let observation = run(&runner(Policy::allow_all()), &order).await.unwrap();
    assert_eq!(observation.attempts.len(), 1, "{observation:?}");
}

#[tokio::test]
async fn an_attempt_that_is_to_be_made_later_begins_later() {
    let server = mail_server(Arc::default()).await;
    let mut later = experiment(ExperimentKind::Later, server, Security::Plaintext);
    later.variation.after_ms = Some(400);
    let now = experiment(ExperimentKind::Repeat, server, Security::Plaintext);
    let observation = done(vec![later, now]).await;
    let [later, now] = observation.attempts.as_slice() else {
        panic!("{observation:?}")
    };
    assert!(later.stages[0].start >= Duration::from_millis(400));
    assert!(now.stages[0].start < Duration::from_millis(400));
    assert!(connected(later) && later.failed_stage().is_none());
}

#[tokio::test]
async fn the_control_target_is_the_agents_own_and_beyond_its_policy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let asked = || {
        let elsewhere = "192.0.2.1:143".parse().unwrap();
        order_of(vec![experiment(
            ExperimentKind::ControlTarget,
            elsewhere,
            Security::Plaintext,
        )])
    };
    let strict = |control_target| {
        runner(Policy::default()).within(LocalNetwork {
            source_addresses: Vec::new(),
            control_target,
        })
    };
    let with_one = strict(Some(target.to_string().parse().unwrap()));
    let observation = run(&with_one, &asked()).await.unwrap();
    assert!(observation.attempts.is_empty());
    let control = observation.network.control.unwrap();
    assert_eq!(control.target, target.to_string());
    assert!(control.rtt.is_some() && control.fault.is_none(), "{control:?}");
    drop(listener);
    let control = run(&with_one, &asked()).await.unwrap().network.control.unwrap();
    assert!(control.rtt.is_none() && control.fault.is_some(), "{control:?}");
    let refused = run(&strict(None), &asked()).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Policy);
}

#[tokio::test]
async fn another_resolver_is_asked_and_nothing_is_tried() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let resolver = silent.local_addr().unwrap();
    drop(silent);
    let directory = tempfile::tempdir().unwrap();
    let mut runner = runner(Policy::allow_all());
    runner.files.hosts = directory.path().join("hosts");
    runner.files.resolv_conf = directory.path().join("resolv.conf");
    std::fs::write(&runner.files.hosts, "127.0.0.1 imap.lab.example\n").unwrap();
    let elsewhere = "192.0.2.1:143".parse().unwrap();
    let mut other = experiment(ExperimentKind::OtherResolver, elsewhere, Security::Plaintext);
    other.variation.resolver = Some(resolver);
    let observation = run(&runner, &order_of(vec![other])).await.unwrap();
    assert!(observation.attempts.is_empty());
    let Some(Evidence::Resolve(facts)) = observation.resolve.unwrap().evidence else {
        panic!("evidence")
    };
    assert_eq!(facts.other.unwrap().resolver, resolver);
}

#[tokio::test]
async fn the_policy_holds_for_every_variation() {
    let server = mail_server(Arc::default()).await;
    let tries_a_target = |kind: &ExperimentKind| {
        !matches!(
            kind,
            ExperimentKind::ControlTarget | ExperimentKind::OtherResolver
        )
    };
    for kind in ExperimentKind::ALL.iter().copied().filter(tries_a_target) {
        let mut forbidden = experiment(kind, server, Security::Plaintext);
        forbidden.variation.source = Some("127.0.0.9".parse().unwrap());
        let refused = run(&runner(Policy::default()), &order_of(vec![forbidden])).await;
        assert_eq!(refused.unwrap_err().reason, Reason::Policy, "{kind}");
    }
}

#[tokio::test]
async fn no_experiment_logs_in_even_where_the_order_brings_a_secret() {
    let logins = Arc::default();
    let server = mail_server(Arc::clone(&logins)).await;
    let runner = runner(Policy::allow_all());
    let kinds = ExperimentKind::ALL.iter().copied();
    let on_the_target = kinds.filter(|kind| !kind.is_path() && *kind != ExperimentKind::Watch);
    let experiments = on_the_target.map(|kind| {
        let mut one = experiment(kind, server, Security::Plaintext);
        one.variation.source = Some("127.0.0.9".parse().unwrap());
        one.variation.repeat = Some(2);
        one
    });
    let mut order = order_of(experiments.collect());
    order.spec.depth = Depth::Login;
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
    order.secret = Some(seal::seal(runner.sealing_key.public(), &context, &secret).unwrap());
    let observation = run(&runner, &order).await.unwrap();
    assert!(observation.attempts.len() > 10);
    let mut stages = observation.attempts.iter().flat_map(|attempt| &attempt.stages);
    assert!(stages.all(|stage| stage.name != StageName::Authenticate));
    assert_eq!(logins.load(std::sync::atomic::Ordering::Relaxed), 0);
}
