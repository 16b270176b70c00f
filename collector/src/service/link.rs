//! The agents' streams: wire messages in, events for the hub; words of the hub out.

mod routine;
mod word;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use parallax_model::bucket::{Bucket, Rate};
use parallax_model::capture::Capture;
use parallax_model::credential::SealingProof;
use parallax_model::observation::{Observation, Reason};
use parallax_model::refusal::PolicyRefusal;
use parallax_model::signal::{Signal, SignalKind};
use parallax_model::stage::Stage;
use parallax_model::target::Endpoint;
use parallax_model::vantage::AgentName;
use parallax_proto::convert::WireError;
use parallax_proto::v1;
use parallax_proto::v1::agent_link_server::AgentLink;
use parallax_proto::v1::agent_message::Message as FromAgent;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::warn;
use uuid::Uuid;

use super::{Shared, peer};
use crate::agents::{Introduction, LinkId, Pulse};
use crate::clock;
use crate::hub::{AgentConnected, Event, Outbound, ToAgent};
use crate::peer::Peer;
use crate::runs::{Report, StageEnded, Word};
use crate::store::Standing;

/// Words for one agent that may wait; one that leaves more unread is cut off.
const QUEUE: usize = 256;

/// What an agent may say: a probe's hundreds of stages at once, and then more than any fleet of probes needs.
const MESSAGES: Rate = Rate::per_minute(200 * 60).with_burst(4000);

/// How long a new link may take to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(10);

/// Bounds on what an agent says of itself.
const LABELS_AT_MOST: usize = 64;
const CAPABILITIES_AT_MOST: usize = 256;
/// Credentials that an agent may keep by itself, and bytes of each name in them: 253 characters of four.
const CREDENTIALS_AT_MOST: usize = 64;
const CREDENTIAL_TEXT_AT_MOST: usize = 1012;
const TEXT_AT_MOST: usize = 256;
/// Of a proof of a sealing key: certificates, and bytes of these and of the signature.
const PROOF_CERTIFICATES_AT_MOST: usize = 8;
const PROOF_AT_MOST: usize = 16 * 1024;

/// Checks that an agent may repeat.
const CHECKS_AT_MOST: usize = 4096;

/// What one session says to another is a name or a reason; more bytes than this are neither.
const WORD_AT_MOST: usize = 1024;

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
            peer,
            shared: self.shared.clone(),
        };
        tokio::spawn(link.serve(request.into_inner(), sender));
        let clock = self.shared.clock;
        let words = ReceiverStream::new(receiver).map(move |word| word::to_wire(word, clock));
        Ok(Response::new(words.boxed()))
    }
}

struct Link {
    id: LinkId,
    name: AgentName,
    peer: Peer,
    shared: Shared,
}

impl Link {
    async fn serve(self, mut inbound: Streaming<v1::AgentMessage>, sender: mpsc::Sender<ToAgent>) {
        let introduction = match introduce(&mut inbound).await {
            Ok(introduction) => introduction,
            Err(problem) => {
                warn!(agent = %self.name, peer = %self.peer.place(), "link refused: {problem}");
                // A link that is gone needs no last word.
                let _ = sender.try_send(ToAgent::Nonsense(problem));
                return;
            }
        };
        let welcome = word::welcome(self.shared.telemetry.on());
        let answers = sender.downgrade();
        let _ = sender.try_send(ToAgent::Welcome(welcome));
        let (alive, cut) = oneshot::channel();
        let epoch = introduction.spool;
        let connected = AgentConnected {
            name: self.name.clone(),
            link: self.id,
            introduction,
            peer: self.peer.place(),
            outbound: Outbound {
                sender,
                _alive: alive,
            },
        };
        let connected = Event::AgentConnected(Box::new(connected));
        if self.shared.hub.tell(connected).await.is_err() {
            return;
        }
        self.look_again().await;
        self.certified_by_others().await;
        self.resume(epoch, &answers).await;
        tokio::select! {
            _ = cut => {}
            why = self.listen(&mut inbound, &answers, epoch) => {
                let gone = Event::AgentDisconnected { link: self.id, why };
                let _ = self.shared.hub.tell(gone).await;
            }
        }
    }

    /// An agent may have been removed since it was let in; whoever removes one from here on finds it connected.
    async fn look_again(&self) {
        let Some(certificate) = self.peer.certificate else {
            return;
        };
        if let Ok(Standing::Removed) = self.shared.store.standing(certificate).await {
            // A hub that has stopped has cut every link.
            let _ = self.shared.hub.removed(self.name.clone()).await;
        }
    }

    /// Nobody else says here when its certificate ends.
    async fn certified_by_others(&self) {
        let ends = self.peer.ends.and_then(|ends| Timestamp::try_from(ends).ok());
        if let Some(ends) = ends.filter(|_| self.shared.admission.is_of_others()) {
            let name = self.name.clone();
            // A hub that has stopped shows nothing.
            let _ = self.shared.hub.tell(Event::AgentCertified { name, ends }).await;
        }
    }

    /// Takes in what the agent says until it says no more; returns why it does not.
    async fn listen(
        &self,
        inbound: &mut Streaming<v1::AgentMessage>,
        answers: &mpsc::WeakSender<ToAgent>,
        epoch: Option<Uuid>,
    ) -> String {
        let mut room = Bucket::new(MESSAGES);
        let mut lost = 0;
        loop {
            if let Err(wait) = room.take(clock::now()) {
                // What it sends meanwhile waits in its own connection.
                self.shared.metrics.agent_message_delayed(&self.name);
                tokio::time::sleep(wait).await;
            }
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
                        spool: beat.spool.and_then(|spool| spool.try_into().ok()),
                        schedule: beat.schedule.map(Into::into),
                    };
                    let dropped = beat.reports_dropped.saturating_sub(lost);
                    self.shared.metrics.agent_reports_dropped(&self.name, dropped);
                    lost = lost.max(beat.reports_dropped);
                    if let Some(sender) = answers.upgrade() {
                        // An agent that reads too slowly learns its clock later.
                        let _ = sender.try_send(ToAgent::Heartbeat(word::answer(
                            &beat,
                            self.shared.clock,
                            self.shared.admission.trust_digest(),
                        )));
                    }
                    Event::AgentPulse { link: self.id, pulse }
                }
                Some(FromAgent::Results(batch)) => {
                    self.results(batch, epoch, answers).await;
                    continue;
                }
                Some(FromAgent::ChecksApplied(applied)) => Event::ChecksApplied {
                    link: self.id,
                    applied: routine::bounded(applied),
                },
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
            FromAgent::Hello(_)
            | FromAgent::Heartbeat(_)
            | FromAgent::Results(_)
            | FromAgent::ChecksApplied(_) => return None,
            FromAgent::Signal(signal) => {
                let order = signal.order_id.clone();
                (order, Ok(Report::Said(Box::new(word(signal)?))))
            }
            FromAgent::Capture(made) => {
                let capture = made.capture.ok_or_else(|| WireError::new("capture", "missing"));
                let report = capture
                    .and_then(Capture::try_from)
                    .map(|capture| Report::Captured(Box::new(capture)));
                (made.order_id, report)
            }
            FromAgent::Accepted(accepted) => (accepted.order_id, Ok(Report::Accepted)),
            FromAgent::LoginAsked(asked) => (asked.order_id, Ok(Report::LoginAsked)),
            FromAgent::Refused(refused) => {
                let reason = match Reason::from_name(&refused.reason) {
                    reason @ (Reason::Policy | Reason::Overload) => reason,
                    Reason::Unsupported | Reason::Offline | Reason::Deadline => Reason::Unsupported,
                };
                // A rule that can't be read leaves the words.
                let rule = refused
                    .refusal
                    .and_then(|rule| PolicyRefusal::try_from(rule).ok());
                let report = Report::Refused {
                    reason,
                    note: refused.note,
                    rule: rule.map(Box::new),
                };
                (refused.order_id, Ok(report))
            }
            FromAgent::Stage(stage) => {
                let order = stage.order_id.clone();
                let ended = stage_ended(stage).map(|ended| Report::Stage(Box::new(ended)));
                (order, ended)
            }
            FromAgent::Overdue(overdue) => {
                let so_far = observation(overdue.observation);
                let report = so_far.map(|so_far| Report::Overdue(Box::new(so_far)));
                (overdue.order_id, report)
            }
            FromAgent::Done(done) => {
                let seen = observation(done.observation).map(|seen| Report::Done(Box::new(seen)));
                let report = seen.or_else(|problem| {
                    self.unreadable(&problem);
                    Ok(Report::Refused {
                        reason: Reason::Unsupported,
                        note: format!("its answer could not be read: {problem}"),
                        rule: None,
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

/// A word for another agent; one that is not known here, or is no word, is not passed on.
fn word(signal: v1::Signal) -> Option<Word> {
    let longest = signal.subject.len().max(signal.detail.len());
    if longest > WORD_AT_MOST || signal.attempt.len() > TEXT_AT_MOST {
        return None;
    }
    Some(Word {
        signal: Signal {
            kind: SignalKind::known(&signal.kind)?,
            subject: signal.subject,
            detail: signal.detail,
        },
        attempt: signal.attempt,
        at_us: signal.at_us,
        uncertainty_us: signal.uncertainty_us,
    })
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
        && hello.sealing_proof.as_ref().is_none_or(fits_a_proof)
        && hello.instance_id.len() <= TEXT_AT_MOST
        && hello.version.len() <= TEXT_AT_MOST
        && hello
            .capabilities
            .iter()
            .all(|capability| capability.len() <= TEXT_AT_MOST)
        && hello.local_credentials.len() <= CREDENTIALS_AT_MOST
        && hello.local_credentials.iter().all(fits_the_list)
        && hello.checks.len() <= CHECKS_AT_MOST;
    if !fits {
        return Err("the hello is larger than any agent's".to_owned());
    }
    let proof: Option<SealingProof> = hello
        .sealing_proof
        .map(TryInto::try_into)
        .transpose()
        .map_err(|error: WireError| error.to_string())?;
    Ok(Introduction {
        sealing_proof: proof.map(Arc::new),
        version: hello.version,
        capabilities: hello.capabilities.into_iter().collect(),
        labels: parallax_proto::convert::labels("labels", hello.labels).map_err(|error| error.to_string())?,
        sealing_key: hello.sealing_key,
        instance: hello.instance_id,
        local_credentials: hello.local_credentials.into_iter().map(Into::into).collect(),
        checks: routine::known(&hello.checks)?,
        spool: routine::epoch(&hello.spool_epoch)?,
        continues: hello.continues,
    })
}

fn fits_a_proof(proof: &v1::SealingProof) -> bool {
    let bytes = proof.chain_der.iter().map(Vec::len).sum::<usize>() + proof.signature.len();
    proof.chain_der.len() <= PROOF_CERTIFICATES_AT_MOST && bytes <= PROOF_AT_MOST
}

/// What an agent says of a credential of its own is shown to people as it is.
fn fits_the_list(local: &v1::LocalCredential) -> bool {
    [&local.name, &local.host, &local.user].into_iter().all(|text| {
        !text.is_empty() && text.len() <= CREDENTIAL_TEXT_AT_MOST && !text.chars().any(char::is_control)
    })
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
