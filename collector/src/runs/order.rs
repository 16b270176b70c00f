//! One probe, or one round of experiments, that one agent is to run once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parallax_model::credential::SealedSecret;
use parallax_model::experiment::{Experiment, ExperimentKind};
use parallax_model::spec::ProbeSpec;
use parallax_model::vantage::AgentName;
use uuid::Uuid;

/// An order for one agent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    /// UUID version 7, unique for ever.
    pub(crate) id: Uuid,
    /// The run it belongs to.
    pub(crate) run: Uuid,
    /// Whose it is.
    pub(crate) agent: AgentName,
    /// What is to be done.
    pub(crate) spec: Arc<ProbeSpec>,
    /// When to begin, together with the other agents; `None` at once.
    pub(crate) start_at: Option<Instant>,
    /// Time left for everything, from receipt.
    pub(crate) budget: Duration,
    /// If not empty, only these are run.
    pub(crate) experiments: Vec<Experiment>,
    /// The secret of the login, sealed to this agent.
    pub(crate) secret: Option<SealedSecret>,
    /// The credential of the agent's own that it is to log in with, by name.
    pub(crate) credential: Option<String>,
    /// A client certificate for the target, sealed to this agent.
    pub(crate) client_identity: Option<SealedSecret>,
    /// Whether a secret that the agent saw turned down is to be tried once more.
    pub(crate) retry_login: bool,
    /// The order whose writing it is to watch, and then nothing else.
    pub(crate) watches: Option<Uuid>,
}

/// How an order ended. Each ends once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum OrderEnd {
    /// Carried out.
    Done,
    /// The agent would not.
    Refused,
    /// Its time was over, or nobody wanted it any more.
    Expired,
    /// The link was lost.
    Lost,
}

impl OrderEnd {
    /// The value of a metric's label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Lost => "lost",
        }
    }
}

/// What an agent must be able to do for any order.
pub(crate) const PROBE: &str = "probe";

/// What an agent must be able to do for a login.
pub(crate) const SEALED_CREDENTIAL: &str = "credential:sealed2";

/// What an agent must be able to do for an experiment.
pub(crate) fn capability_of(experiment: ExperimentKind) -> String {
    format!("experiment:{experiment}")
}
