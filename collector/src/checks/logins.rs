//! What checks log in with, and what servers said of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use parallax_model::check::{Assignment, CheckResult};
use parallax_model::credential::{Mechanism, SealedSecret};
use parallax_model::fault::{AuthFault, Fault, FaultKind};
use parallax_model::observation::Observation;
use parallax_model::spec::LoginSpec;
use parallax_model::stage::{Outcome, StageName};
use parallax_model::vantage::AgentName;
use uuid::Uuid;

use super::Face;
use super::doubts::Doubts;
use crate::runs::LoginSettled;
use crate::store::{
    Account, CheckRecord, CircuitRecord, CircuitState, KeptCredential, OWN_GENERATION, Store, StoreError,
};

/// Every credential that is kept, and what is known of these and of those that agents keep.
#[derive(Debug, Clone, Default)]
pub(crate) struct CredentialsNow {
    pub(crate) secrets: Vec<KeptCredential>,
    pub(crate) circuits: Vec<CircuitRecord>,
}

impl CredentialsNow {
    /// Asks the store.
    pub(crate) async fn read(store: &dyn Store) -> Result<Self, StoreError> {
        Ok(Self {
            secrets: store.credentials().await?,
            circuits: store.circuits().await?,
        })
    }
}

/// A login, as one agent makes it.
#[derive(Debug, Clone)]
pub(crate) enum Login {
    /// With a secret that is kept here, sealed to the agent.
    Sealed {
        account: Account,
        mechanism: Option<Mechanism>,
        anchors: Vec<Vec<u8>>,
        secret: Box<SealedSecret>,
    },
    /// With one that the agent keeps by itself.
    Own { account: Account },
}

impl Login {
    pub(super) const fn account(&self) -> &Account {
        match self {
            Self::Sealed { account, .. } | Self::Own { account } => account,
        }
    }

    pub(super) fn generation(&self) -> &str {
        &self.account().generation
    }

    /// What the agent needs for it.
    pub(super) fn put_into(self, assignment: &mut Assignment) {
        let user = self.account().user.clone();
        let (mechanism, anchors) = match self {
            Self::Sealed {
                mechanism,
                anchors,
                secret,
                ..
            } => {
                assignment.secret = Some(*secret);
                (mechanism, anchors)
            }
            Self::Own { account } => {
                assignment.credential = Some(account.credential);
                (None, Vec::new())
            }
        };
        assignment.spec.login = Some(LoginSpec { user, mechanism });
        assignment.spec.anchors = anchors;
    }
}

/// What a result says of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LoginWord {
    /// The server took it, which is news.
    Accepted {
        check: Uuid,
        generation: String,
        settled: LoginSettled,
    },
    /// The server turned it down.
    Rejected(LoginSettled),
}

/// How it stands with the secret of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Whoever may use it sends it; who knows that it was turned down before, once more if it was taken since then.
    Free { taken: Option<Timestamp> },
    /// Nobody sends it, and this is said of it.
    Rejected(Fault),
    /// One agent alone sends it; once more although it was turned down there, if it was asked for, or taken, since then.
    Trial { since: Option<Timestamp> },
}

impl Standing {
    /// Since when who sends it may do so once more although it was turned down there.
    pub(super) const fn retry(&self) -> Option<Timestamp> {
        match self {
            Self::Free { taken } => *taken,
            Self::Trial { since } => *since,
            Self::Rejected(_) => None,
        }
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Logins {
    secrets: BTreeMap<String, KeptCredential>,
    circuits: BTreeMap<Account, CircuitRecord>,
    doubts: Doubts,
}

impl Logins {
    pub(super) fn new(credentials: CredentialsNow) -> Self {
        let mut logins = Self::default();
        logins.changed(credentials);
        logins
    }

    /// An operator changed something: what was turned down before may be tried if the store says so.
    pub(super) fn changed(&mut self, credentials: CredentialsNow) {
        let by_name = |kept: KeptCredential| (kept.credential.name.clone(), kept);
        self.secrets = credentials.secrets.into_iter().map(by_name).collect();
        let by_account = |circuit: CircuitRecord| (circuit.account.clone(), circuit);
        self.circuits = credentials.circuits.into_iter().map(by_account).collect();
        let secrets = &self.secrets;
        self.doubts.retain(|account| {
            let kept = secrets.get(&account.credential);
            account.generation
                == kept.map_or(OWN_GENERATION.to_owned(), |kept| {
                    kept.credential.generation.to_string()
                })
        });
    }

    /// How an agent logs in with a credential. One that is kept here goes before those that agents keep themselves.
    pub(super) fn login(
        &self,
        credential: &str,
        host: &str,
        agent: &AgentName,
        face: &Face,
    ) -> Option<Login> {
        let Some(known) = self.secrets.get(credential) else {
            let own = face
                .own_credentials
                .iter()
                .find(|own| own.name == credential && own.host == host)?;
            let account = Account {
                host: host.to_owned(),
                user: own.user.clone(),
                credential: credential.to_owned(),
                generation: OWN_GENERATION.to_owned(),
            };
            return Some(Login::Own { account });
        };
        let kept = &known.credential;
        let copy = known.copies.iter().find(|copy| copy.agent == *agent)?;
        if kept.host != host || copy.key != face.sealing_key {
            return None;
        }
        Some(Login::Sealed {
            account: Account {
                host: host.to_owned(),
                user: kept.user.clone(),
                credential: credential.to_owned(),
                generation: kept.generation.to_string(),
            },
            mechanism: Mechanism::known(&kept.mechanism),
            anchors: kept.anchors.clone(),
            secret: Box::new(copy.secret.clone()),
        })
    }

    /// Why it can't.
    pub(super) fn why_not(&self, credential: &str, host: &str, agent: &AgentName) -> String {
        match self.secrets.get(credential) {
            None => format!("there is no credential {credential} for {host}"),
            Some(known) if known.credential.host != host => {
                let its_host = &known.credential.host;
                format!("the credential {credential} is for {its_host}, and not for {host}")
            }
            Some(_) => format!(
                "the credential {credential} is not sealed to this agent: ctl credential set {credential} --add --from {agent}"
            ),
        }
    }

    /// Whether it may be sent, and by whom.
    pub(super) fn standing(&self, account: &Account) -> Standing {
        let since = match self.circuits.get(account).map(|circuit| (circuit, circuit.state)) {
            Some((circuit, CircuitState::Open)) => return Standing::Rejected(known(circuit)),
            Some((_, CircuitState::Retry(at))) => return Standing::Trial { since: Some(at) },
            Some((_, CircuitState::Accepted(at))) => Some(at),
            None => None,
        };
        match self.doubts.find(account) {
            Some(_) => Standing::Trial { since },
            None => Standing::Free { taken: since },
        }
    }

    /// Whether some secret is sent by one agent alone.
    pub(super) fn has_trials(&self) -> bool {
        let is_retry = |circuit: &CircuitRecord| matches!(circuit.state, CircuitState::Retry(_));
        !self.doubts.is_empty() || self.circuits.values().any(is_retry)
    }

    /// Whether an agent goes before others to send a secret alone: not who saw it turned down last, since an agent lets some
    /// time pass between two tries; and who got no answer, since that agent waits already.
    pub(super) fn goes_first(&self, account: &Account, agent: &AgentName) -> bool {
        match (self.circuits.get(account), self.doubts.find(account)) {
            (Some(circuit), _) if matches!(circuit.state, CircuitState::Retry(_)) => circuit.agent != *agent,
            (_, Some(doubt)) => doubt.agent == *agent,
            (_, None) => true,
        }
    }

    /// What is said of a login that is left to one agent.
    pub(super) fn left_to(&self, account: &Account, who: Option<&AgentName>) -> Fault {
        match (self.circuits.get(account), self.doubts.find(account)) {
            (Some(circuit), _) if matches!(circuit.state, CircuitState::Retry(_)) => retried(circuit, who),
            (_, Some(doubt)) => doubt.left_to(who),
            (Some(circuit), None) => retried(circuit, who),
            (None, None) => Fault::new(
                FaultKind::Auth(AuthFault::SecretUnavailable),
                "another agent sends the secret",
            ),
        }
    }

    /// A round is over: whether a secret is doubted since.
    pub(super) fn round_closed<'a>(
        &mut self,
        seen: impl Iterator<Item = (Login, &'a Observation)>,
        at: Timestamp,
    ) -> bool {
        let seen = seen.map(|(login, observation)| (login.account().clone(), observation));
        self.doubts.round_closed(seen, at)
    }

    /// What a server said of a secret, as the store has it now too. One that was typed is in no check.
    pub(super) fn settled(&mut self, settled: &LoginSettled, at: Timestamp) {
        let account = &settled.account;
        self.doubts.end(account);
        match &settled.rejected {
            _ if account.credential.is_empty() => {}
            Some(how) => {
                let circuit = CircuitRecord {
                    account: account.clone(),
                    opened_at: at,
                    agent: settled.agent.clone(),
                    run: settled.run,
                    words: how.clone(),
                    state: CircuitState::Open,
                };
                self.circuits.insert(account.clone(), circuit);
            }
            None => {
                let known = self.circuits.entry(account.clone());
                let circuit = known.or_insert_with(|| CircuitRecord {
                    account: account.clone(),
                    opened_at: at,
                    agent: settled.agent.clone(),
                    run: settled.run,
                    words: String::new(),
                    state: CircuitState::Accepted(at),
                });
                if !matches!(circuit.state, CircuitState::Accepted(_)) {
                    circuit.state = CircuitState::Accepted(at);
                }
            }
        }
    }

    /// What a result says of the secret, where that is news.
    pub(super) fn heard(
        &mut self,
        record: &CheckRecord,
        login: &Login,
        (agent, at): (&AgentName, Timestamp),
        result: &CheckResult,
    ) -> Option<LoginWord> {
        let account = login.account();
        let settled = |rejected| LoginSettled {
            run: result.run_id,
            agent: agent.clone(),
            account: account.clone(),
            rejected,
        };
        let state = self.circuits.get(account).map(|circuit| circuit.state);
        let attempts = result.observation.attempts.iter();
        let logins = attempts
            .filter(|attempt| attempt.by.is_none())
            .flat_map(|attempt| &attempt.stages)
            .filter(|stage| stage.name == StageName::Authenticate);
        let mut accepted = false;
        for stage in logins {
            match &stage.outcome {
                Outcome::Ok | Outcome::Degraded(_) => accepted = true,
                Outcome::Failed(fault) if fault.kind.is_about_the_secret() => {
                    // What an agent knows from before stands against nothing that came since.
                    let is_news = match state {
                        None => true,
                        Some(CircuitState::Open) => false,
                        Some(CircuitState::Retry(_) | CircuitState::Accepted(_)) => {
                            stage.login_was_answered()
                        }
                    };
                    if !is_news {
                        return None;
                    }
                    let settled = settled(Some(fault.kind.as_str().to_owned()));
                    self.settled(&settled, at);
                    return Some(LoginWord::Rejected(settled));
                }
                Outcome::Failed(_) | Outcome::Skipped(_) | Outcome::NotReached => {}
            }
        }
        let stood = matches!(state, Some(CircuitState::Open | CircuitState::Retry(_)))
            || self.doubts.find(account).is_some();
        if !accepted || (record.cleared == account.generation && !stood) {
            return None;
        }
        let settled = settled(None);
        self.settled(&settled, at);
        Some(LoginWord::Accepted {
            check: record.id,
            generation: account.generation.clone(),
            settled,
        })
    }
}

/// What is said of a login that is not tried because a server turned the secret down.
fn known(circuit: &CircuitRecord) -> Fault {
    let (agent, at, name) = (&circuit.agent, circuit.opened_at, &circuit.account.credential);
    Fault::new(
        FaultKind::Auth(AuthFault::from_name(&circuit.words)),
        format!(
            "the secret was rejected for {agent} on {at:.0} and is not sent again; put it right, or: ctl credential retry {name}"
        ),
    )
}

/// What is said of a login that one agent makes once more although the secret was turned down.
fn retried(circuit: &CircuitRecord, who: Option<&AgentName>) -> Fault {
    let (agent, at) = (&circuit.agent, circuit.opened_at);
    let who = who.map_or("an agent, when one that can is connected", AgentName::as_str);
    Fault::new(
        FaultKind::Auth(AuthFault::from_name(&circuit.words)),
        format!("the secret was rejected for {agent} on {at:.0}; it is tried once more by {who}"),
    )
}
