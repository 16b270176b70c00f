//! What checks log in with, and what servers said of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use parallax_model::check::{Assignment, CheckResult};
use parallax_model::credential::{Mechanism, SealedSecret};
use parallax_model::fault::{AuthFault, Fault, FaultKind};
use parallax_model::spec::LoginSpec;
use parallax_model::stage::{Outcome, StageName};
use parallax_model::vantage::AgentName;
use uuid::Uuid;

use super::Face;
use crate::runs::LoginSettled;
use crate::store::{Account, CheckRecord, CircuitRecord, KeptCredential, OWN_GENERATION, Store, StoreError};

/// Every credential that is kept, and which of them a server turned down.
#[derive(Debug, Clone, Default)]
pub(crate) struct CredentialsNow {
    pub(crate) secrets: Vec<KnownSecret>,
}

/// A credential, and that it was turned down if it was.
#[derive(Debug, Clone)]
pub(crate) struct KnownSecret {
    pub(crate) kept: KeptCredential,
    pub(crate) circuit: Option<CircuitRecord>,
}

impl CredentialsNow {
    /// Asks the store.
    pub(crate) async fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let mut secrets = Vec::new();
        for kept in store.credentials().await? {
            let account = Account {
                host: kept.credential.host.clone(),
                user: kept.credential.user.clone(),
                credential: kept.credential.name.clone(),
                generation: kept.credential.generation.to_string(),
            };
            let circuit = store.circuit(account).await?.filter(|circuit| !circuit.closed);
            secrets.push(KnownSecret { kept, circuit });
        }
        Ok(Self { secrets })
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
    /// The server took it for the first time.
    Accepted { check: Uuid, generation: String },
    /// The server turned it down.
    Rejected {
        run: Uuid,
        agent: AgentName,
        account: Account,
        how: String,
    },
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Logins {
    secrets: BTreeMap<String, KnownSecret>,
    /// Accounts that were turned down since they were last read from the store.
    rejected: BTreeMap<Account, Fault>,
}

impl Logins {
    pub(super) fn new(credentials: CredentialsNow) -> Self {
        let mut logins = Self::default();
        logins.changed(credentials);
        logins
    }

    /// An operator changed something: what was turned down before may be tried if the store says so.
    pub(super) fn changed(&mut self, credentials: CredentialsNow) {
        self.secrets = credentials
            .secrets
            .into_iter()
            .map(|known| (known.kept.credential.name.clone(), known))
            .collect();
        self.rejected.clear();
    }

    /// Forgets what no check is about.
    pub(super) fn only(&mut self, records: &BTreeMap<Uuid, Arc<CheckRecord>>) {
        let used: BTreeSet<&str> = records
            .values()
            .filter_map(|record| record.definition.credential.as_deref())
            .collect();
        self.rejected
            .retain(|account, _| used.contains(account.credential.as_str()));
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
        let kept = &known.kept.credential;
        let copy = known.kept.copies.iter().find(|copy| copy.agent == *agent)?;
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
            Some(known) if known.kept.credential.host != host => {
                let its_host = &known.kept.credential.host;
                format!("the credential {credential} is for {its_host}, and not for {host}")
            }
            Some(_) => format!(
                "the credential {credential} is not sealed to this agent: ctl credential set {credential} --add --from {agent}"
            ),
        }
    }

    /// That a server turned it down: nobody tries it again.
    pub(super) fn rejected(&self, login: &Login) -> Option<Fault> {
        let account = login.account();
        if let Some(fault) = self.rejected.get(account) {
            return Some(fault.clone());
        }
        let circuit = self.secrets.get(&account.credential)?.circuit.as_ref()?;
        (circuit.account == *account)
            .then(|| known(account, &circuit.words, &circuit.agent, circuit.opened_at))
    }

    /// What a server said of a secret to somebody who asked by hand. One that was typed is in no check.
    pub(super) fn settled(&mut self, settled: &LoginSettled) {
        let account = &settled.account;
        match &settled.rejected {
            _ if account.credential.is_empty() => {}
            Some(how) => {
                let fault = known(account, how, &settled.agent, Timestamp::now());
                self.rejected.insert(account.clone(), fault);
            }
            None => {
                self.rejected.remove(account);
                if let Some(known) = self.secrets.get_mut(&account.credential) {
                    known.circuit = None;
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
                    // An old result may be about an older secret; the digest says which form was carried out.
                    if self.rejected(login).is_some() {
                        return None;
                    }
                    let how = fault.kind.as_str().to_owned();
                    self.rejected
                        .insert(account.clone(), known(account, &how, agent, at));
                    return Some(LoginWord::Rejected {
                        run: result.run_id,
                        agent: agent.clone(),
                        account: account.clone(),
                        how,
                    });
                }
                Outcome::Failed(_) | Outcome::Skipped(_) | Outcome::NotReached => {}
            }
        }
        (accepted && record.cleared != account.generation).then(|| LoginWord::Accepted {
            check: record.id,
            generation: account.generation.clone(),
        })
    }
}

/// What is said of a login that is not tried because a server turned the secret down, so or so.
fn known(account: &Account, how: &str, agent: &AgentName, at: Timestamp) -> Fault {
    let name = &account.credential;
    Fault::new(
        FaultKind::Auth(AuthFault::from_name(how)),
        format!(
            "the secret was rejected for {agent} on {at:.0} and is not sent again; put it right, or: ctl credential retry {name}"
        ),
    )
}
