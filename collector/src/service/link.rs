//! The agents' streams: wire messages in, events for the hub; words of the hub out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use parallax_model::observation::{Observation, Reason};
use parallax_model::stage::Stage;
use parallax_model::target::Endpoint;
use parallax_model::vantage::AgentName;
use parallax_proto::convert::WireError;
use parallax_proto::v1;
use parallax_proto::v1::agent_link_server::AgentLink;
use parallax_proto::v1::agent_message::Message as FromAgent;
use parallax_proto::v1::collector_message::Message as ToWire;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::warn;
use uuid::Uuid;

use super::{Shared, peer};
use crate::agents::{HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT, Introduction, LinkId, Pulse};
use crate::clock::{self, Clock};
use crate::hub::{Event, Outbound, ToAgent};
use crate::runs::{LoginAnswer, Order, Report, StageEnded};

/// Words for one agent that may wait; one that leaves more unread is cut off.
const QUEUE: usize = 256;

/// How long a new link may take to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(10);

/// Bounds on what an agent says of itself.
const LABELS_AT_MOST: usize = 64;
const CAPABILITIES_AT_MOST: usize = 256;
const TEXT_AT_MOST: usize = 256;

/// The service.
pub(crate) struct LinkService {
    shared: Shared,
    next: AtomicU64,
}

impl LinkService {
    pub(crate) const fn new(shared: Shared) -> Self {
        Self {
            shared,
            next: AtomicU64::new(1),
        }
    }
}

#[tonic::async_trait]
impl AgentLink for LinkService {
    type OpenStream = BoxStream<'static, Result<v1::CollectorMessage, Status>>;

    async fn open(
        &self,
        request: Request<Streaming<v1::AgentMessage>>,
    ) -> Result<Response<Self::OpenStream>, Status> {
        let peer = peer(&request);
        let name = peer
            .agent()
            .cloned()
            .ok_or_else(|| Status::permission_denied("only an agent opens a link"))?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let link = Link {
            id: LinkId(self.next.fetch_add(1, Ordering::Relaxed)),
            name,
            place: peer.place(),
            shared: self.shared.clone(),
        };
        tokio::spawn(link.serve(request.into_inner(), sender));
        let clock = self.shared.clock;
        let words = ReceiverStream::new(receiver).map(move |word| to_wire(word, clock));
        Ok(Response::new(words.boxed()))
    }
}

struct Link {
    id: LinkId,
    name: AgentName,
    place: String,
    shared: Shared,
}

impl Link {
    async fn serve(self, mut inbound: Streaming<v1::AgentMessage>, sender: mpsc::Sender<ToAgent>) {
        let introduction = match introduce(&mut inbound).await {
            Ok(introduction) => introduction,
            Err(problem) => {
                warn!(agent = %self.name, peer = %self.place, "link refused: {problem}");
                // A link that is gone needs no last word.
                let _ = sender.try_send(ToAgent::Nonsense(problem));
                return;
            }
        };
        let welcome = v1::Welcome {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            telemetry: self.shared.telemetry.on(),
            heartbeat_interval_ms: milliseconds(HEARTBEAT_INTERVAL),
            heartbeat_timeout_ms: milliseconds(HEARTBEAT_TIMEOUT),
        };
        let answers = sender.downgrade();
        let _ = sender.try_send(ToAgent::Welcome(welcome));
        let (alive, cut) = oneshot::channel();
        let connected = Event::AgentConnected {
            name: self.name.clone(),
            link: self.id,
            introduction,
            peer: self.place.clone(),
            outbound: Outbound {
                sender,
                _alive: alive,
            },
        };
        if self.shared.hub.tell(connected).await.is_err() {
            return;
        }
        tokio::select! {
            _ = cut => {}
            why = self.listen(&mut inbound, &answers) => {
                let gone = Event::AgentDisconnected { link: self.id, why };
                let _ = self.shared.hub.tell(gone).await;
            }
        }
    }

    /// Takes in what the agent says until it says no more; returns why it does not.
    async fn listen(
        &self,
        inbound: &mut Streaming<v1::AgentMessage>,
        answers: &mpsc::WeakSender<ToAgent>,
    ) -> String {
        loop {
            let message = match inbound.message().await {
                Ok(Some(message)) => message.message,
                Ok(None) => return "the agent closed the link".to_owned(),
                Err(status) => return format!("the connection broke: {}", status.message()),
            };
            let event = match message {
                None => continue,
                Some(FromAgent::Heartbeat(beat)) => {
                    let pulse = Pulse {
                        rtt_us: beat.rtt_us,
                        wall_offset_us: beat.wall_offset_us,
                        probes_in_flight: beat.probes_in_flight,
                    };
                    if let Some(sender) = answers.upgrade() {
                        // An agent that reads too slowly learns its clock later.
                        let _ = sender.try_send(ToAgent::Heartbeat(answer(&beat, self.shared.clock)));
                    }
                    Event::AgentPulse { link: self.id, pulse }
                }
                Some(message) => match self.report(message) {
                    Some((order, report)) => Event::AgentReported {
                        link: self.id,
                        order,
                        report,
                    },
                    None => continue,
                },
            };
            if self.shared.hub.tell(event).await.is_err() {
                return "the collector stops".to_owned();
            }
        }
    }

    /// Reads what an agent says about an order. An answer that can't be read still ends its order.
    fn report(&self, message: FromAgent) -> Option<(Uuid, Report)> {
        let (order, report) = match message {
            FromAgent::Hello(_) | FromAgent::Heartbeat(_) => return None,
            FromAgent::Accepted(accepted) => (accepted.order_id, Ok(Report::Accepted)),
            FromAgent::LoginAsked(asked) => (asked.order_id, Ok(Report::LoginAsked)),
            FromAgent::Refused(refused) => {
                let reason = match Reason::from_name(&refused.reason) {
                    reason @ (Reason::Policy | Reason::Overload) => reason,
                    Reason::Unsupported | Reason::Offline | Reason::Deadline => Reason::Unsupported,
                };
                let report = Report::Refused {
                    reason,
                    note: refused.note,
                };
                (refused.order_id, Ok(report))
            }
            FromAgent::Stage(stage) => {
                let order = stage.order_id.clone();
                let ended = stage_ended(stage).map(|ended| Report::Stage(Box::new(ended)));
                (order, ended)
            }
            FromAgent::Done(done) => {
                let seen = observation(done.observation).map(|seen| Report::Done(Box::new(seen)));
                let report = seen.or_else(|problem| {
                    self.unreadable(&problem);
                    Ok(Report::Refused {
                        reason: Reason::Unsupported,
                        note: format!("its answer could not be read: {problem}"),
                    })
                });
                (done.order_id, report)
            }
        };
        let order = order
            .parse()
            .map_err(|_| WireError::new("order_id", "not a UUID"));
        match (order, report) {
            (Ok(order), Ok(report)) => Some((order, report)),
            (Err(problem), _) | (_, Err(problem)) => {
                self.unreadable(&problem);
                None
            }
        }
    }

    fn unreadable(&self, problem: &WireError) {
        self.shared.metrics.report_unreadable();
        warn!(agent = %self.name, "a report could not be read: {problem}");
    }
}

async fn introduce(inbound: &mut Streaming<v1::AgentMessage>) -> Result<Introduction, String> {
    let first = tokio::time::timeout(INTRODUCTION, inbound.message())
        .await
        .map_err(|_| format!("no hello within {} s", INTRODUCTION.as_secs()))?
        .map_err(|status| format!("the connection broke: {}", status.message()))?;
    let Some(FromAgent::Hello(hello)) = first.and_then(|message| message.message) else {
        return Err("the first message must be a hello".to_owned());
    };
    let fits = hello.labels.len() <= LABELS_AT_MOST
        && hello.capabilities.len() <= CAPABILITIES_AT_MOST
        && hello.sealing_key.len() <= TEXT_AT_MOST
        && hello.instance_id.len() <= TEXT_AT_MOST
        && hello.version.len() <= TEXT_AT_MOST
        && hello
            .capabilities
            .iter()
            .all(|capability| capability.len() <= TEXT_AT_MOST);
    if !fits {
        return Err("the hello is larger than any agent's".to_owned());
    }
    Ok(Introduction {
        version: hello.version,
        capabilities: hello.capabilities.into_iter().collect(),
        labels: parallax_proto::convert::labels("labels", hello.labels).map_err(|error| error.to_string())?,
        sealing_key: hello.sealing_key,
        instance: hello.instance_id,
    })
}

fn answer(beat: &v1::Heartbeat, clock: Clock) -> v1::Heartbeat {
    v1::Heartbeat {
        sequence: beat.sequence,
        agent_monotonic_us: beat.agent_monotonic_us,
        agent_wall_us: beat.agent_wall_us,
        collector_monotonic_us: clock.microseconds(clock::now()),
        collector_wall_us: Timestamp::now().as_microsecond(),
        ..v1::Heartbeat::default()
    }
}

fn stage_ended(report: v1::StageReport) -> Result<StageEnded, WireError> {
    let address = match report.address.as_str() {
        "" => None,
        text => Some(
            text.parse()
                .map_err(|_| WireError::new("address", "not an address"))?,
        ),
    };
    Ok(StageEnded {
        address,
        endpoint: report.endpoint.map(Endpoint::try_from).transpose()?,
        stage: Stage::try_from(report.stage.ok_or_else(|| WireError::new("stage", "missing"))?)?,
    })
}

fn observation(seen: Option<v1::Observation>) -> Result<Observation, WireError> {
    Observation::try_from(seen.ok_or_else(|| WireError::new("observation", "missing"))?)
}

fn to_wire(word: ToAgent, clock: Clock) -> Result<v1::CollectorMessage, Status> {
    let message = match word {
        ToAgent::Welcome(welcome) => ToWire::Welcome(welcome),
        ToAgent::Heartbeat(beat) => ToWire::Heartbeat(beat),
        ToAgent::Order { order, context } => {
            let (traceparent, tracestate) = context.into_parts();
            ToWire::Order(order_to_wire(*order, clock, traceparent, tracestate))
        }
        ToAgent::Cancel(order) => ToWire::Cancel(v1::Cancel {
            order_id: order.to_string(),
        }),
        ToAgent::Login { order, answer } => {
            let (granted, reason) = match answer {
                LoginAnswer::Granted => (true, String::new()),
                LoginAnswer::Withheld(reason) => (false, reason),
            };
            ToWire::LoginAnswer(v1::LoginAnswer {
                order_id: order.to_string(),
                granted,
                reason,
            })
        }
        ToAgent::Draining(delay) => ToWire::Draining(v1::Draining {
            reconnect_after_ms: milliseconds(delay),
        }),
        ToAgent::Superseded => {
            return Err(Status::aborted(
                "a newer connection of the same agent took over; is the same identity used twice?",
            ));
        }
        ToAgent::Removed => {
            return Err(Status::permission_denied(
                "this agent was removed from the collector",
            ));
        }
        ToAgent::Silent => return Err(Status::deadline_exceeded("no heartbeat came for too long")),
        ToAgent::TooSlow => {
            return Err(Status::resource_exhausted(
                "the agent does not read what it is sent",
            ));
        }
        ToAgent::Nonsense(problem) => return Err(Status::invalid_argument(problem)),
    };
    Ok(v1::CollectorMessage {
        message: Some(message),
    })
}

fn order_to_wire(order: Order, clock: Clock, traceparent: String, tracestate: String) -> v1::Order {
    v1::Order {
        order_id: order.id.to_string(),
        run_id: order.run.to_string(),
        spec: Some((*order.spec).clone().into()),
        start_at_us: order.start_at.map_or(0, |at| clock.microseconds(at)),
        budget_ms: milliseconds(order.budget),
        experiments: order.experiments.into_iter().map(Into::into).collect(),
        traceparent,
        tracestate,
        secret: order.secret.map(Into::into),
    }
}

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
