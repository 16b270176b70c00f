//! An agent that does what a test says, and an operator.

use std::time::Duration;

use parallax_model::identity::{Role, SpiffeId};
use parallax_model::observation::{Attempt, Observation, Purpose};
use parallax_model::spec::{Depth, FamilyChoice, LoginSpec, ProbeOptions, ProbeSpec};
use parallax_model::stage::{Outcome, Stage, StageName};
use parallax_model::target::Target;
use parallax_model::vantage::Labels;
use parallax_proto::v1;
use parallax_proto::v1::agent_link_client::AgentLinkClient;
use parallax_proto::v1::agent_message::Message as ToCollector;
use parallax_proto::v1::collector_message::Message as FromCollector;
use parallax_proto::v1::control_client::ControlClient;
use parallax_proto::v1::run_event::Event;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use uuid::Uuid;

use crate::{Collector, Connector, InProcessOptions};

pub(super) async fn collector() -> (Collector, Connector) {
    Collector::in_process(InProcessOptions::default()).await.unwrap()
}

pub(super) fn identity(role: Role, name: &str) -> SpiffeId {
    SpiffeId::built_in(role, name.parse().unwrap())
}

pub(super) struct FakeAgent {
    pub(super) name: String,
    sender: mpsc::Sender<v1::AgentMessage>,
    words: Streaming<v1::CollectorMessage>,
}

impl FakeAgent {
    pub(super) async fn connect(connector: &Connector, name: &str) -> Self {
        Self::over(connector.channel(identity(Role::Agent, name)), name).await
    }

    pub(super) async fn over(channel: Channel, name: &str) -> Self {
        let mut agent = Self::saying(channel, name, v1::Hello::default()).await;
        agent.beat().await;
        agent
    }

    /// The same process over a newer link, on which its orders go on.
    pub(super) async fn continued(channel: Channel, name: &str) -> Self {
        let hello = v1::Hello {
            continues: true,
            ..v1::Hello::default()
        };
        let mut agent = Self::saying(channel, name, hello).await;
        agent.beat().await;
        agent
    }

    /// One that repeats checks, with a spool of this epoch.
    pub(super) async fn repeating(connector: &Connector, name: &str, epoch: Uuid) -> Self {
        let hello = v1::Hello {
            capabilities: vec!["checks".to_owned()],
            spool_epoch: epoch.as_bytes().to_vec(),
            ..v1::Hello::default()
        };
        Self::saying(connector.channel(identity(Role::Agent, name)), name, hello).await
    }

    async fn saying(channel: Channel, name: &str, more: v1::Hello) -> Self {
        let (sender, receiver) = mpsc::channel(64);
        let hello = v1::Hello {
            version: "0.0.0-test".into(),
            capabilities: [
                "probe",
                "credential:sealed2",
                "experiment:control_port",
                "experiment:repeat",
                "experiment:watch",
            ]
            .map(str::to_owned)
            .into_iter()
            .chain(more.capabilities)
            .collect(),
            labels: [("site".to_owned(), name.to_owned())].into(),
            sealing_key: vec![1; 32],
            sealing_proof: None,
            instance_id: format!("instance of {name}"),
            local_credentials: Vec::new(),
            ..more
        };
        sender.send(message(ToCollector::Hello(hello))).await.unwrap();
        let words = AgentLinkClient::new(channel)
            .open(ReceiverStream::new(receiver))
            .await
            .unwrap()
            .into_inner();
        let mut agent = Self {
            name: name.to_owned(),
            sender,
            words,
        };
        let Some(FromCollector::Welcome(welcome)) = agent.next().await.unwrap() else {
            panic!("a welcome comes first")
        };
        assert_eq!(welcome.heartbeat_timeout_ms, 45_000);
        agent
    }

    /// A heartbeat and its answer: afterwards the hub has heard everything said before.
    pub(super) async fn beat(&mut self) -> v1::Heartbeat {
        let beat = v1::Heartbeat {
            sequence: 7,
            agent_monotonic_us: 11,
            rtt_us: Some(2_000),
            ..v1::Heartbeat::default()
        };
        self.say(ToCollector::Heartbeat(beat)).await;
        let Some(FromCollector::Heartbeat(answer)) = self.next().await.unwrap() else {
            panic!("an answer to the heartbeat")
        };
        answer
    }

    pub(super) async fn say(&self, words: ToCollector) {
        self.sender.send(message(words)).await.unwrap();
    }

    pub(super) async fn next(&mut self) -> Result<Option<FromCollector>, Status> {
        Ok(self.words.message().await?.and_then(|message| message.message))
    }

    pub(super) async fn order(&mut self) -> v1::Order {
        match self.next().await.unwrap() {
            Some(FromCollector::Order(order)) => order,
            other => panic!("{other:?} instead of an order"),
        }
    }

    pub(super) async fn accept(&self, order: &v1::Order) {
        let order_id = order.order_id.clone();
        self.say(ToCollector::Accepted(v1::OrderAccepted { order_id }))
            .await;
    }

    pub(super) async fn stage(&self, order: &v1::Order, stage: Stage) {
        let report = v1::StageReport {
            order_id: order.order_id.clone(),
            address: "203.0.113.5".into(),
            endpoint: Some(v1::Endpoint {
                port: 993,
                security: "tls".into(),
            }),
            stage: Some(stage.into()),
        };
        self.say(ToCollector::Stage(report)).await;
    }

    pub(super) async fn done(&self, order: &v1::Order, outcome: Outcome) {
        let done = v1::OrderDone {
            order_id: order.order_id.clone(),
            observation: Some(observation(&self.name, outcome).into()),
        };
        self.say(ToCollector::Done(done)).await;
    }
}

fn message(message: ToCollector) -> v1::AgentMessage {
    v1::AgentMessage {
        message: Some(message),
    }
}

pub(super) fn stage(name: StageName, outcome: Outcome) -> Stage {
    Stage::new(name, outcome, Duration::ZERO, Duration::from_millis(1))
}

pub(crate) fn observation(agent: &str, outcome: Outcome) -> Observation {
    let attempts = vec![Attempt {
        by: None,
        address: "203.0.113.5".parse().unwrap(),
        endpoint: spec().target.endpoints[0],
        purpose: Purpose::Requested,
        experiment: None,
        stages: vec![stage(StageName::Connect, outcome)],
        transcript: Vec::new(),
    }];
    Observation {
        agent: agent.parse().unwrap(),
        labels: Labels::new(),
        outcome: Observation::conclude_outcome(None, &attempts),
        reason: None,
        note: None,
        refusal: None,
        left_out: Vec::new(),
        clock: None,
        resolve: None,
        attempts,
        network: parallax_model::path::NetworkFacts::default(),
    }
}

pub(crate) fn spec() -> ProbeSpec {
    ProbeSpec {
        target: Target::parse("imap.example.org", None).unwrap(),
        depth: Depth::Connect,
        family: FamilyChoice::Any,
        addresses: Vec::new(),
        timeout: Duration::from_secs(20),
        login: None,
        anchors: Vec::new(),
        options: ProbeOptions::default(),
    }
}

pub(super) fn login_spec() -> ProbeSpec {
    let login = LoginSpec {
        user: "probe".into(),
        mechanism: None,
    };
    ProbeSpec {
        depth: Depth::Login,
        login: Some(login),
        ..spec()
    }
}

pub(super) fn question(spec: ProbeSpec) -> v1::RunProbeRequest {
    v1::RunProbeRequest {
        spec: Some(spec.into()),
        ..v1::RunProbeRequest::default()
    }
}

pub(super) fn operator(connector: &Connector, role: Role) -> ControlClient<Channel> {
    ControlClient::new(connector.channel(identity(role, "ada")))
}

/// A run that was asked for, as its caller follows it.
pub(super) struct Asked {
    events: Streaming<v1::RunEvent>,
    pub(super) started: v1::RunStarted,
}

impl Asked {
    pub(super) async fn ask(connector: &Connector, request: v1::RunProbeRequest) -> Self {
        let mut events = operator(connector, Role::Operator)
            .run_probe(request)
            .await
            .unwrap()
            .into_inner();
        let first = events.message().await.unwrap().and_then(|event| event.event);
        let Some(Event::Started(started)) = first else {
            panic!("{first:?}")
        };
        Self { events, started }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Event>, Status> {
        Ok(self.events.message().await?.and_then(|event| event.event))
    }

    pub(super) async fn answer(mut self) -> v1::Run {
        loop {
            match self.next().await.unwrap() {
                Some(Event::Concluded(run)) => {
                    assert!(
                        self.next().await.unwrap().is_none(),
                        "the answer is the last event"
                    );
                    return run;
                }
                Some(_) => {}
                None => panic!("the run ended without an answer"),
            }
        }
    }
}

pub(super) fn vantage<'a>(run: &'a v1::Run, agent: &str) -> &'a v1::Observation {
    run.vantages.iter().find(|seen| seen.agent == agent).unwrap()
}
