//! What can happen, and what is said to agents.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::alert::{Alert, Silence};
use parallax_model::check::Chain;
use parallax_model::credential::{LocalCredential, SealingProof};
use parallax_model::run::{AgentSummary, RunDocument};
use parallax_model::selector::Selector;
use parallax_model::vantage::{AgentName, Labels};
use parallax_proto::v1;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::agents::{Introduction, LinkId, Pulse, Selection};
use crate::checks::{CheckView, CredentialsNow};
use crate::hub::LiveSender;
use crate::runs::{Inquiry, LoginAnswer, Order, Report, Word};
use crate::store::{Baselines, CheckRecord, Fresh};
use crate::telemetry::{RunTrace, TraceFields};

/// Something that happened.
pub(crate) enum Event {
    /// An agent has introduced itself on a new link.
    AgentConnected(Box<AgentConnected>),
    /// An agent gave a sign of life.
    AgentPulse { link: LinkId, pulse: Pulse },
    /// An agent says something about an order.
    AgentReported {
        link: LinkId,
        order: Uuid,
        report: Report,
    },
    /// A link has ended.
    AgentDisconnected { link: LinkId, why: String },
    /// An operator took an agent out.
    AgentRemoved { name: AgentName },
    /// Labels of an agent were pinned: these are, and no others.
    AgentPinned { name: AgentName, labels: Labels },
    /// An agent got a certificate.
    AgentCertified { name: AgentName, ends: Timestamp },
    /// Somebody came under the name of an agent and was turned away.
    AgentTurnedAway {
        name: AgentName,
        peer: String,
        why: String,
    },
    /// An operator asks a question.
    RunAsked(Box<RunAsked>),
    /// An operator wants to know whom a question would go to.
    SelectionAsked {
        selector: Selector,
        limit: Option<usize>,
        reply: oneshot::Sender<Selection>,
    },
    /// Nobody waits for a run any more.
    CallerGone { run: Uuid },
    /// Somebody wants to know who is there.
    AgentsAsked { reply: oneshot::Sender<Vec<AgentView>> },
    /// Results were stored whose rounds are not closed.
    ResultsKept(Vec<Fresh>),
    /// Checks were changed: these are all of them.
    ChecksChanged {
        records: Vec<Arc<CheckRecord>>,
        done: oneshot::Sender<()>,
    },
    /// Credentials were changed, or what servers said of them: these are all of them.
    CredentialsChanged(CredentialsNow),
    /// Somebody wants to know what is wrong; with `all`, also what was lately.
    AlertsAsked {
        all: bool,
        reply: oneshot::Sender<Vec<Alert>>,
    },
    /// Silences were changed: these are all of them.
    SilencesChanged(Vec<Silence>),
    /// Others are told of alerts: these are all of them, as the outbox names them.
    ReceiversChanged(Vec<String>),
    /// What is usual was looked up anew.
    UsualChanged(Baselines),
    /// An agent took an update of its checks.
    ChecksApplied {
        link: LinkId,
        applied: v1::ChecksApplied,
    },
    /// Somebody wants to know how checks stand at the agents.
    CheckViews { reply: oneshot::Sender<Vec<CheckView>> },
    /// The process is to end.
    Stop { done: oneshot::Sender<()> },
}

/// An agent on a new link.
pub(crate) struct AgentConnected {
    pub(crate) name: AgentName,
    pub(crate) link: LinkId,
    pub(crate) introduction: Introduction,
    pub(crate) peer: String,
    pub(crate) outbound: Outbound,
}

/// A question, and where its answer goes.
pub(crate) struct RunAsked {
    pub(crate) inquiry: Inquiry,
    pub(crate) selector: Selector,
    pub(crate) limit: Option<usize>,
    /// What happens meanwhile; a full queue loses it.
    pub(crate) live: LiveSender,
    /// The answer; never lost.
    pub(crate) conclusion: oneshot::Sender<Box<RunDocument>>,
    pub(crate) trace: RunTrace,
    /// Whether the run has begun; if not, because so many are live already.
    pub(crate) reply: oneshot::Sender<Result<Started, usize>>,
}

/// A run has begun.
#[derive(Debug, Clone)]
pub(crate) struct Started {
    /// Whom it went to.
    pub(crate) selection: Selection,
    /// Until when an answer can come.
    pub(crate) longest: Duration,
}

/// Who waits for a run.
pub(super) struct Caller {
    pub(super) live: LiveSender,
    pub(super) conclusion: oneshot::Sender<Box<RunDocument>>,
    pub(super) trace: RunTrace,
}

/// One agent, as it is shown.
#[derive(Debug, Clone)]
pub(crate) struct AgentView {
    pub(crate) summary: AgentSummary,
    pub(crate) capabilities: BTreeSet<String>,
    /// Credentials that it keeps by itself.
    pub(crate) local_credentials: Vec<LocalCredential>,
    /// That its sealing key is its own.
    pub(crate) sealing_proof: Option<Arc<SealingProof>>,
}

/// The way to an agent. Dropping it ends the link.
pub(crate) struct Outbound {
    pub(crate) sender: mpsc::Sender<ToAgent>,
    /// Dropped with the rest: how the link's own task learns that its link has ended.
    pub(crate) _alive: oneshot::Sender<Infallible>,
}

/// What is said to an agent.
#[derive(Debug)]
pub(crate) enum ToAgent {
    /// The answer to its introduction.
    Welcome(v1::Welcome),
    /// The answer to its sign of life.
    Heartbeat(v1::Heartbeat),
    /// Run this.
    Order { order: Box<Order>, context: TraceFields },
    /// Give this up.
    Cancel(Uuid),
    /// Whether it may log in.
    Login { order: Uuid, answer: LoginAnswer },
    /// What the session said that one of its orders is synchronised with.
    Signal { order: Uuid, word: Box<Word> },
    /// Repeat this.
    Checks(Box<v1::ChecksUpdate>),
    /// Results are stored.
    ResultsKept { epoch: Uuid, chain: Chain, through: u64 },
    /// Up to where the results of its spool are stored.
    Resume(v1::SpoolResume),
    /// The collector stops; come back after so long.
    Draining(Duration),
    /// Last word: a newer connection took over.
    Superseded,
    /// Last word: the agent does not take part any more.
    Removed,
    /// Last word: nothing was heard for too long.
    Silent,
    /// Last word: the agent reads too slowly.
    TooSlow,
    /// Last word: the agent said something that makes no sense.
    Nonsense(String),
}
