use std::collections::HashMap;
use std::net::SocketAddr;

use parallax_identity::seal::SealingKey;
use parallax_model::observation::{AttemptOutcome, Observation, VantageOutcome};
use parallax_model::spec::{Depth, FamilyChoice, ProbeOptions, ProbeSpec};
use parallax_model::target::{Security, Target};
use parallax_model::vantage::Labels;
use parallax_proto::v1;
use parallax_proto::v1::agent_link_server::{AgentLink, AgentLinkServer};
use parallax_proto::v1::agent_message::Message as Up;
use parallax_proto::v1::collector_message::Message as Down;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Streaming};

use super::*;
use crate::driver::tls::Trust;
use crate::policy::Policy;
use crate::spool::SpoolLimits;
use crate::spool::tests::{make, scratch};

/// What the collector of a test has in its hands for each link that an agent opens.
struct Opened {
    up: Streaming<v1::AgentMessage>,
    down: mpsc::UnboundedSender<Result<v1::CollectorMessage, Status>>,
}

struct FakeCollector(mpsc::UnboundedSender<Opened>);

#[tonic::async_trait]
impl AgentLink for FakeCollector {
    type OpenStream = UnboundedReceiverStream<Result<v1::CollectorMessage, Status>>;

    async fn open(
        &self,
        request: Request<Streaming<v1::AgentMessage>>,
    ) -> Result<Response<Self::OpenStream>, Status> {
        let (down, messages) = mpsc::unbounded_channel();
        let up = request.into_inner();
        self.0
            .send(Opened { up, down })
            .map_err(|_| Status::unavailable("over"))?;
        Ok(Response::new(UnboundedReceiverStream::new(messages)))
    }
}

impl Opened {
    fn say(&self, message: Down) {
        let message = v1::CollectorMessage {
            message: Some(message),
        };
        self.down.send(Ok(message)).unwrap();
    }

    async fn hear(&mut self) -> Up {
        self.up.message().await.unwrap().unwrap().message.unwrap()
    }

    /// The next message that is no heartbeat; heartbeats are answered by a clock that is 7 s ahead.
    async fn news(&mut self) -> Up {
        loop {
            match self.hear().await {
                Up::Heartbeat(beat) => self.say(Down::Heartbeat(v1::Heartbeat {
                    collector_monotonic_us: beat.agent_monotonic_us + 7_000_000,
                    collector_wall_us: beat.agent_wall_us,
                    ..beat
                })),
                other => return other,
            }
        }
    }

    /// Answers the quick heartbeats after the hello; the last answer's time on the collector's clock.
    async fn quick_beats(&mut self) -> u64 {
        let mut last = 0;
        for _ in 0..3 {
            let Up::Heartbeat(beat) = self.hear().await else {
                panic!("a heartbeat")
            };
            last = beat.agent_monotonic_us + 7_000_000;
            self.say(Down::Heartbeat(v1::Heartbeat {
                collector_monotonic_us: last,
                collector_wall_us: beat.agent_wall_us,
                ..beat
            }));
        }
        last
    }

    async fn greet(mut self, interval_ms: u32, timeout_ms: u32) -> (Self, v1::Hello) {
        let Up::Hello(hello) = self.hear().await else {
            panic!("the first message is a hello")
        };
        self.say(Down::Welcome(v1::Welcome {
            version: "test".into(),
            telemetry: false,
            heartbeat_interval_ms: interval_ms,
            heartbeat_timeout_ms: timeout_ms,
        }));
        (self, hello)
    }
}

/// An agent, and the links that it opens.
struct Agent {
    links: mpsc::UnboundedReceiver<Opened>,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl Agent {
    async fn start() -> Self {
        Self::with(None, None).await
    }

    async fn with(spool: Option<Spool>, routine: Option<RoutineHandle>) -> Self {
        let (opened, links) = mpsc::unbounded_channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = AgentLinkServer::new(FakeCollector(opened));
        let incoming = TcpListenerStream::new(listener);
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming),
        );
        let channel = Endpoint::from_shared(format!("http://{address}"))
            .unwrap()
            .connect_lazy();
        let who = (
            "fra-1".parse().unwrap(),
            Labels::from([("site".into(), "fra".into())]),
        );
        let key = SealingKey::generate().unwrap();
        let runner = Runner::new(who, Policy::allow_all(), Trust::new(&[]), key, 2);
        let link = Link {
            road: Road::Given(channel),
            runner: Arc::new(runner),
            telemetry: Telemetry::off(),
            spool,
            routine,
            instance: Uuid::now_v7(),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async move {
            let _ = stopped.await;
        };
        Self {
            links,
            stop: Some(stop),
            task: tokio::spawn(link.keep(stopped)),
        }
    }

    async fn opened(&mut self) -> Opened {
        self.links.recv().await.unwrap()
    }

    /// A link that is up, with the heartbeats of a real collector.
    async fn linked(&mut self) -> Opened {
        self.opened().await.greet(15_000, 45_000).await.0
    }
}

fn order(id: &str, target: SocketAddr) -> v1::Order {
    let spec = ProbeSpec {
        target: Target::parse(&target.to_string(), Some(Security::Plaintext)).unwrap(),
        depth: Depth::Connect,
        family: FamilyChoice::Any,
        addresses: Vec::new(),
        timeout: Duration::from_secs(5),
        login: None,
        anchors: Vec::new(),
        options: ProbeOptions::default(),
    };
    v1::Order {
        order_id: id.into(),
        run_id: Uuid::nil().to_string(),
        spec: Some(spec.into()),
        budget_ms: 5_000,
        ..v1::Order::default()
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn a_hello_says_what_the_agent_is_and_can() {
    let mut agent = Agent::start().await;
    let (_link, hello) = agent.opened().await.greet(15_000, 45_000).await;
    assert_eq!(hello.labels, HashMap::from([("site".into(), "fra".into())]));
    for capability in [
        "probe",
        "credential:sealed2",
        "experiment:control_port",
        "experiment:control_target",
        "experiment:large_hello",
        "experiment:no_alpn",
        "experiment:no_sni",
        "experiment:other_address",
        "experiment:other_family",
        "experiment:other_port",
        "experiment:other_resolver",
        "experiment:other_sni",
        "experiment:other_source",
        "experiment:serial",
        "experiment:small_mss",
        "experiment:later",
    ] {
        assert!(
            hello.capabilities.iter().any(|known| known == capability),
            "{capability}"
        );
    }
    assert_eq!(hello.sealing_key.len(), 32);
    assert!(!hello.instance_id.is_empty());
}

#[tokio::test]
async fn of_thousands_of_orders_at_once_each_is_answered_and_the_link_lives() {
    let mut agent = Agent::start().await;
    let mut link = agent.linked().await;
    const ORDERS: usize = 5000;
    for number in 0..ORDERS {
        link.say(Down::Order(v1::Order {
            order_id: format!("o{number}"),
            ..v1::Order::default()
        }));
    }
    for number in 0..ORDERS {
        let Up::Refused(refused) = link.news().await else {
            panic!("an order without a question is refused")
        };
        assert_eq!(refused.order_id, format!("o{number}"));
    }
}

#[tokio::test]
async fn an_order_is_accepted_before_it_runs_and_reported_stage_by_stage() {
    let mut agent = Agent::start().await;
    let mut link = agent.linked().await;
    let (_server, target) = listener().await;
    link.say(Down::Order(order("one", target)));
    assert!(matches!(link.news().await, Up::Accepted(accepted) if accepted.order_id == "one"));
    let mut stages = Vec::new();
    let done = loop {
        match link.news().await {
            Up::Stage(report) => stages.push((report.address, report.stage.unwrap().name)),
            Up::Done(done) => break done,
            other => panic!("{other:?}"),
        }
    };
    let expected = [("", "resolve"), ("127.0.0.1", "connect")];
    assert_eq!(
        stages,
        expected.map(|(address, name)| (address.to_owned(), name.to_owned()))
    );
    let observation = Observation::try_from(done.observation.unwrap()).unwrap();
    assert_eq!(observation.agent.as_str(), "fra-1");
    assert_eq!(observation.attempts[0].outcome(), AttemptOutcome::Ok);
}

#[tokio::test]
async fn a_common_start_is_kept_on_the_collectors_clock() {
    let mut agent = Agent::start().await;
    let mut link = agent.linked().await;
    let last = link.quick_beats().await;
    let (_server, target) = listener().await;
    let began = Instant::now();
    link.say(Down::Order(v1::Order {
        start_at_us: last + 200_000,
        ..order("later", target)
    }));
    let observation = loop {
        if let Up::Done(done) = link.news().await {
            break Observation::try_from(done.observation.unwrap()).unwrap();
        }
    };
    let took = began.elapsed();
    assert!((150..1_000).contains(&took.as_millis()), "{took:?}");
    let clock = observation.clock.unwrap();
    assert!((0.0..100.0).contains(&clock.start_skew_ms), "{clock:?}");
}

#[tokio::test]
async fn an_order_of_an_unknown_kind_is_refused_and_not_passed_over() {
    let mut agent = Agent::start().await;
    let mut link = agent.linked().await;
    link.down
        .send(Ok(v1::CollectorMessage { message: None }))
        .unwrap();
    link.say(Down::Order(v1::Order {
        order_id: "odd".into(),
        ..v1::Order::default()
    }));
    let Up::Refused(refused) = link.news().await else {
        panic!("refused")
    };
    assert_eq!(
        (refused.order_id.as_str(), refused.reason.as_str()),
        ("odd", "unsupported")
    );
}

#[tokio::test]
async fn a_cancelled_order_is_given_up_and_makes_room() {
    let mut agent = Agent::start().await;
    let mut link = agent.linked().await;
    let (_server, silent) = listener().await;
    let greeting = |id: &str| {
        let mut order = order(id, silent);
        order.spec.as_mut().unwrap().depth = "greeting".into();
        order
    };
    for id in ["one", "two", "three"] {
        link.say(Down::Order(greeting(id)));
    }
    let mut refused = Vec::new();
    let mut connected = 0;
    while refused.is_empty() || connected < 2 {
        match link.news().await {
            Up::Refused(order) => refused.push((order.order_id, order.reason)),
            Up::Stage(report) if !report.address.is_empty() => connected += 1,
            _ => {}
        }
    }
    assert_eq!(refused, [("three".to_owned(), "overload".to_owned())]);
    link.say(Down::Cancel(v1::Cancel {
        order_id: "one".into(),
    }));
    link.say(Down::Order(greeting("four")));
    loop {
        match link.news().await {
            Up::Accepted(accepted) => break assert_eq!(accepted.order_id, "four"),
            Up::Done(done) => assert_ne!(done.order_id, "one"),
            Up::Refused(refused) => panic!("{refused:?}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn end_of_stream_is_no_success_and_the_agent_is_back_at_once() {
    let mut agent = Agent::start().await;
    let link = agent.linked().await;
    let began = Instant::now();
    drop(link);
    agent.linked().await;
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_collector_that_falls_silent_is_noticed() {
    let mut agent = Agent::start().await;
    let (_silent, _) = agent.opened().await.greet(100, 200).await;
    let began = Instant::now();
    agent.opened().await;
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_draining_collector_says_when_to_come_back() {
    let mut agent = Agent::start().await;
    let link = agent.linked().await;
    link.say(Down::Draining(v1::Draining {
        reconnect_after_ms: 300,
    }));
    let began = Instant::now();
    drop(link);
    agent.opened().await;
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn an_agent_that_is_not_wanted_does_not_insist() {
    let mut agent = Agent::start().await;
    let link = agent.linked().await;
    link.down
        .send(Err(Status::permission_denied("this agent was removed")))
        .unwrap();
    let again = tokio::time::timeout(Duration::from_secs(1), agent.links.recv()).await;
    assert!(again.is_err(), "it must not dial again soon");
}

#[tokio::test]
async fn a_stop_closes_the_stream_and_ends_soon() {
    let mut agent = Agent::start().await;
    let mut link = agent.linked().await;
    let (_server, silent) = listener().await;
    let mut order = order("long", silent);
    order.spec.as_mut().unwrap().depth = "greeting".into();
    link.say(Down::Order(order));
    assert!(matches!(link.news().await, Up::Accepted(_)));
    agent.stop.take().unwrap().send(()).unwrap();
    while let Ok(Some(_)) = link.up.message().await {}
    drop(link);
    tokio::time::timeout(Duration::from_secs(2), agent.task)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn what_another_agents_session_says_is_heard_on_our_clock_and_answered_on_the_collectors() {
    let mut agent = Agent::start().await;
    let mut link = agent.linked().await;
    link.quick_beats().await;
    let (server, target) = listener().await;
    let mut watch = order("watch", target);
    watch.watches = "write".into();
    watch.spec.as_mut().unwrap().depth = "sync".into();
    link.say(Down::Order(watch));
    assert!(matches!(link.news().await, Up::Accepted(_)));
    let word = |order: &str, kind: &str, attempt: &str| {
        Down::Signal(v1::Signal {
            order_id: order.into(),
            kind: kind.into(),
            subject: "box".into(),
            attempt: attempt.into(),
            ..v1::Signal::default()
        })
    };
    let at = target.to_string();
    link.say(word("nobody's", "mailbox", &at));
    link.say(word("watch", "tickle", &at));
    link.say(word("watch", "mailbox", &at));
    let (stream, _) = server.accept().await.unwrap();
    drop(stream);
    link.say(word("watch", "over", ""));
    let mut gone = Vec::new();
    let done = loop {
        match link.news().await {
            Up::Signal(signal) => gone.push(signal),
            Up::Done(done) => break done,
            _ => {}
        }
    };
    let attempts = done.observation.unwrap().attempts;
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].experiment, "watch");
    let last = gone.last().unwrap();
    assert_eq!((last.kind.as_str(), last.order_id.as_str()), ("gone", "watch"));
    assert_eq!(last.attempt, at);
    assert!(last.at_us > 7_000_000, "{last:?}");
    assert!(last.uncertainty_us < 1_000_000, "{last:?}");
}

fn resume(hello: &v1::Hello, failures_through: u64) -> Down {
    Down::Resume(v1::SpoolResume {
        spool_epoch: hello.spool_epoch.clone(),
        failures_through,
        successes_through: 0,
    })
}

#[tokio::test]
async fn a_lost_acknowledgement_sends_twice_and_the_spool_says_how_it_stands() {
    let dir = scratch();
    let spool = Spool::open(dir.path(), SpoolLimits::default()).unwrap();
    make(&spool, VantageOutcome::Failed, 3).await;
    let mut agent = Agent::with(Some(spool.clone()), None).await;
    let (mut link, hello) = agent.opened().await.greet(100, 45_000).await;
    assert_eq!(hello.spool_epoch, spool.epoch().as_bytes());
    link.say(resume(&hello, 0));
    let Up::Results(first) = link.news().await else {
        panic!("results")
    };
    drop(link);
    let (mut link, hello) = agent.opened().await.greet(100, 45_000).await;
    link.say(resume(&hello, 1));
    let Up::Results(second) = link.news().await else {
        panic!("results")
    };
    assert_eq!(
        first.results[1..],
        second.results,
        "what is stored already is not sent again"
    );
    link.say(Down::ResultsKept(v1::ResultsKept {
        spool_epoch: hello.spool_epoch.clone(),
        chain: "failures".into(),
        through: 3,
    }));
    loop {
        if let Up::Heartbeat(beat) = link.hear().await {
            let spool = beat.spool.unwrap();
            assert_eq!((spool.made, spool.dropped), (3, 0));
            if spool.waiting == 0 {
                break;
            }
        }
    }
}

#[tokio::test]
async fn fifty_thousand_waiting_results_do_not_delay_an_order_by_a_second() {
    let dir = scratch();
    let spool = Spool::open(dir.path(), SpoolLimits::default()).unwrap();
    make(&spool, VantageOutcome::Failed, 50_000).await;
    let mut agent = Agent::with(Some(spool.clone()), None).await;
    let (mut link, hello) = agent.opened().await.greet(15_000, 45_000).await;
    link.say(resume(&hello, 0));
    let (_server, target) = listener().await;
    let (mut stored, mut began) = (0, None);
    let mut took = Vec::new();
    while stored < 50_000 {
        match link.news().await {
            Up::Results(batch) => {
                stored = batch.results.last().unwrap().sequence;
                link.say(Down::ResultsKept(v1::ResultsKept {
                    spool_epoch: batch.spool_epoch,
                    chain: batch.chain,
                    through: stored,
                }));
                if began.is_none() {
                    began = Some(Instant::now());
                    link.say(Down::Order(order(&format!("after {stored}"), target)));
                }
            }
            Up::Done(_) => took.extend(began.take().map(|began| began.elapsed())),
            _ => {}
        }
    }
    assert!(took.len() > 3, "{} orders beside the results", took.len());
    let longest = took.iter().max().unwrap();
    assert!(*longest < Duration::from_secs(1), "{longest:?}");
}

/// The next message that is neither a heartbeat nor of results.
async fn applied(link: &mut Opened) -> v1::ChecksApplied {
    match link.news().await {
        Up::ChecksApplied(applied) => applied,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn checks_are_taken_over_the_link_and_known_over_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let runner = Arc::new(crate::runner::tests::runner(Policy::default()));
    let keep: crate::routine::Keep = Arc::new(|_| Box::pin(std::future::ready(())));
    let routine = crate::routine::start(dir.path(), runner, keep).unwrap();
    let mut agent = Agent::with(None, Some(routine)).await;
    let (mut link, hello) = agent.opened().await.greet(100, 45_000).await;
    assert!(hello.capabilities.contains(&"checks".to_owned()));
    assert_eq!(hello.checks.len(), 0);
    assert_eq!(
        applied(&mut link).await.checks,
        0,
        "what there is is said unasked"
    );
    let check = crate::routine::tests::assignment(1);
    link.say(Down::Checks(crate::routine::tests::update(true, [&check])));
    let answer = applied(&mut link).await;
    assert_eq!((answer.checks, answer.sum), (1, check.digest));
    let schedule = loop {
        if let Up::Heartbeat(beat) = link.hear().await {
            let schedule = beat.schedule.unwrap();
            if schedule.checks == 1 {
                break schedule;
            }
        }
    };
    assert_eq!(schedule.sum, check.digest);
    drop(link);
    let (_link, hello) = agent.opened().await.greet(15_000, 45_000).await;
    let known = v1::KnownCheck {
        check_id: check.check_id,
        digest: check.digest,
    };
    assert_eq!(hello.checks, [known]);
}
