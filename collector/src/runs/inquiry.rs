//! A question as it was asked, whom it goes to, and what is told meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::check::RunCheck;
use parallax_model::credential::SealedSecret;
use parallax_model::experiment::Experiment;
use parallax_model::fault::Fault;
use parallax_model::observation::Observation;
use parallax_model::run::RunRef;
use parallax_model::spec::ProbeSpec;
use parallax_model::vantage::AgentName;
use uuid::Uuid;

use super::StageEnded;
use crate::agents::Choice;
use crate::source::Source;
use crate::store::Account;

/// A question, as it was asked.
#[derive(Debug, Clone)]
pub(crate) struct Inquiry {
    /// UUID version 7.
    pub(crate) run_id: Uuid,
    /// 32 hexadecimal digits, when it is traced.
    pub(crate) trace_id: Option<String>,
    /// What is probed, and how.
    pub(crate) spec: Arc<ProbeSpec>,
    /// Whether the diagnosis may order experiments.
    pub(crate) follow_up: bool,
    /// The secret of the login, sealed to each agent that may get it.
    pub(crate) secrets: BTreeMap<AgentName, SealedSecret>,
    /// What each agent is to log in with by itself instead.
    pub(crate) own_credential: Option<OwnCredential>,
    /// Client certificates for the target, sealed likewise.
    pub(crate) client_identities: BTreeMap<AgentName, SealedSecret>,
    /// The target as it was seen when it last worked, where that is known.
    pub(crate) before: Option<LastGood>,
    /// What is known of its login before it is tried.
    pub(crate) past: LoginPast,
    /// When it was asked.
    pub(crate) started_at: Timestamp,
    /// The round that it is about; without one it was asked by hand.
    pub(crate) check: Option<RunCheck>,
}

impl Inquiry {
    /// What these vantage points saw when the target last worked there, and the newest of the runs that it is of.
    pub(crate) fn before_of(&self, observations: &[Observation]) -> Option<(RunRef, Vec<Observation>)> {
        let asked = |good: &&Observation| observations.iter().any(|seen| seen.agent == good.agent);
        let mut newest = None;
        let mut before = Vec::new();
        for (run, seen) in &self.before.as_ref()?.runs {
            let of_them: Vec<_> = seen.iter().filter(asked).cloned().collect();
            if !of_them.is_empty() {
                newest.get_or_insert(*run);
                before.extend(of_them);
            }
        }
        newest.map(|run| (run, before))
    }
}

/// A credential that agents keep by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnCredential {
    pub(crate) name: String,
    /// Those that keep one of this name for the host and the user of the question.
    pub(crate) agents: BTreeSet<AgentName>,
}

/// What is known of a login before it is tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LoginPast {
    /// Whose secret it is; none without a login.
    pub(crate) account: Option<Account>,
    /// Whether it is to be tried although it was turned down.
    pub(crate) retry: bool,
    /// Whether a secret of the account was turned down and none was taken since.
    pub(crate) had_circuit: bool,
    /// Whether a server is known to have taken the secret, since it was turned down if it was.
    pub(crate) was_accepted: bool,
    /// How it was turned down, where nobody may try it again.
    pub(crate) withheld: Option<Fault>,
    /// Who saw a secret of the account turned down: that agent alone can tell whether this is the same.
    pub(crate) seen_rejected: Option<SeenRejected>,
}

/// Who saw a secret turned down, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenRejected {
    pub(crate) agent: AgentName,
    pub(crate) at: Timestamp,
}

impl LoginPast {
    /// Whether the secret is of a credential with a name; one that was typed may be another each time.
    pub(crate) fn is_named(&self) -> bool {
        let account = self.account.as_ref();
        account.is_some_and(|account| !account.credential.is_empty())
    }

    /// Nothing is known of this account.
    pub(crate) fn of(account: Account) -> Self {
        Self {
            account: Some(account),
            ..Self::default()
        }
    }
}

/// What came of a login, for all later runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoginSettled {
    pub(crate) run: Uuid,
    pub(crate) agent: AgentName,
    pub(crate) account: Account,
    /// How the server turned it down; none if it took it.
    pub(crate) rejected: Option<String>,
}

/// A target as it was seen when it last worked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LastGood {
    /// The runs in which it was seen so, newest first, each with the vantage points that saw it so in no newer one.
    pub(crate) runs: Vec<(RunRef, Vec<Observation>)>,
}

/// Who takes part in a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cast {
    /// Whom it goes to.
    pub(crate) participants: Vec<Participant>,
    /// Whom it would go to, were they there.
    pub(crate) absent: Vec<Choice>,
    /// Who watches what the others write, where that was asked for.
    pub(crate) watcher: Option<Watcher>,
}

/// The agent whose sessions watch what others write.
#[derive(Debug, Clone)]
pub(crate) struct Watcher {
    /// Which.
    pub(crate) agent: AgentName,
    /// What it can do; `None` while it is not connected.
    pub(crate) capabilities: Option<BTreeSet<String>>,
}

/// A connected agent that is asked.
#[derive(Debug, Clone)]
pub(crate) struct Participant {
    /// Which, and why.
    pub(crate) choice: Choice,
    /// What it can do.
    pub(crate) capabilities: BTreeSet<String>,
    /// Round trip of its link, if measured.
    pub(crate) rtt: Option<Duration>,
    /// Where its link comes from.
    pub(crate) source: Option<Source>,
}

/// What whoever asked is told while the run goes on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Happening {
    /// A stage has ended at a vantage point.
    Stage {
        /// Where.
        agent: AgentName,
        /// What.
        ended: Box<StageEnded>,
    },
    /// A vantage point is done, missing or refused.
    Observation(Box<Observation>),
    /// The diagnosis ordered a round of experiments.
    FollowUp {
        /// 1 or 2.
        round: u32,
        /// Which.
        experiments: Vec<Experiment>,
    },
}
