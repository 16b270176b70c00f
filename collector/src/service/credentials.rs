//! Credentials that are kept for later probes.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use parallax_model::credential::{LocalCredential, Mechanism, SealedSecret};
use parallax_model::text::escape_str;
use parallax_model::vantage::AgentName;
use parallax_proto::v1;
use parallax_proto::v1::credentials_server::Credentials;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Shared, peer};
use crate::checks::{ANCHORS_AT_MOST, CredentialsNow};
use crate::hub::{AgentView, Event};
use crate::store::{
    Account, CheckRecord, CircuitRecord, CircuitState, CredentialRecord, KeptCredential, OWN_GENERATION,
    SealedCopy,
};

/// Characters of a name, a host or a user.
const NAME_AT_MOST: usize = 253;
/// Credentials that are kept.
const CREDENTIALS_AT_MOST: usize = 1000;

/// The service.
pub(crate) struct CredentialsService(pub(crate) Shared);

#[tonic::async_trait]
impl Credentials for CredentialsService {
    async fn set_credential(
        &self,
        request: Request<v1::SetCredentialRequest>,
    ) -> Result<Response<v1::SetCredentialResponse>, Status> {
        let peer = peer(&request);
        let request = request.into_inner();
        let add = request.add;
        let by = peer.spiffe.as_ref().map(ToString::to_string).unwrap_or_default();
        let kept = self.read(request, by).await?;
        let (name, known) = (kept.credential.name.clone(), self.0.store.credentials().await?);
        if known.len() >= CREDENTIALS_AT_MOST && known.iter().all(|known| known.credential.name != name) {
            return Err(Status::resource_exhausted(format!(
                "{CREDENTIALS_AT_MOST} credentials are kept already"
            )));
        }
        let subject = escape_str(&name, NAME_AT_MOST);
        let entry = self.0.audit.begin(&peer, "SetCredential", &subject).await?;
        let copies = kept.copies.len();
        if !self.0.store.put_credential(kept, add).await? {
            entry.end("failed", "the credential is not the one it was").await;
            return Err(Status::failed_precondition(format!(
                "credential {name}: somebody set another secret meanwhile; set it anew for all agents"
            )));
        }
        entry.end("done", &format!("sealed to {copies} agents")).await;
        self.tell_checks().await?;
        Ok(Response::new(v1::SetCredentialResponse {}))
    }

    async fn list_credentials(
        &self,
        _: Request<v1::ListCredentialsRequest>,
    ) -> Result<Response<v1::ListCredentialsResponse>, Status> {
        let agents = self.0.hub.agents().await?;
        let checks = self.0.checks.checks().await?;
        let mut credentials = Vec::new();
        for kept in self.0.store.credentials().await? {
            let standing = self.standing(account(&kept.credential), &checks).await?;
            credentials.push(info(kept, standing, &agents));
        }
        for (agent, own) in own_credentials(&agents) {
            let standing = self.standing(own_account(own), &checks).await?;
            credentials.push(own_info(agent, own, standing));
        }
        Ok(Response::new(v1::ListCredentialsResponse { credentials }))
    }

    async fn remove_credential(
        &self,
        request: Request<v1::RemoveCredentialRequest>,
    ) -> Result<Response<v1::RemoveCredentialResponse>, Status> {
        let peer = peer(&request);
        let name = request.into_inner().name;
        let entry = self.0.audit.begin(&peer, "RemoveCredential", &name).await?;
        if !self.0.store.remove_credential(name.clone()).await? {
            entry.end("failed", "there is none").await;
            return Err(Status::not_found(format!("there is no credential {name}")));
        }
        entry.end("done", "").await;
        self.tell_checks().await?;
        Ok(Response::new(v1::RemoveCredentialResponse {}))
    }

    async fn close_circuit(
        &self,
        request: Request<v1::CloseCircuitRequest>,
    ) -> Result<Response<v1::CloseCircuitResponse>, Status> {
        let peer = peer(&request);
        let name = request.into_inner().credential;
        let accounts = self.accounts(&name).await?;
        let by = peer.spiffe.as_ref().map(ToString::to_string).unwrap_or_default();
        let entry = self.0.audit.begin(&peer, "CloseCircuit", &name).await?;
        let mut closed = false;
        for account in accounts {
            closed |= self
                .0
                .store
                .retry_login(account, by.clone(), Timestamp::now())
                .await?;
        }
        entry.end("done", if closed { "" } else { "none was open" }).await;
        self.tell_checks().await?;
        Ok(Response::new(v1::CloseCircuitResponse { closed }))
    }
}

/// What servers said of a secret.
struct Standing {
    /// As it is called on the wire.
    state: &'static str,
    /// While it is open.
    circuit: Option<CircuitRecord>,
}

impl CredentialsService {
    async fn standing(&self, account: Account, checks: &[Arc<CheckRecord>]) -> Result<Standing, Status> {
        let of_it = |check: &Arc<CheckRecord>| {
            let credential = check.definition.credential.as_ref();
            credential == Some(&account.credential) && check.cleared == account.generation
        };
        let taken_by_a_check = checks.iter().any(of_it);
        let circuit = self.0.store.circuit(account).await?;
        let state = match circuit.as_ref().map(|circuit| circuit.state) {
            None if taken_by_a_check => "taken",
            None => "untried",
            Some(CircuitState::Open) => "rejected",
            Some(CircuitState::Retry(_)) => "retry",
            Some(CircuitState::Accepted(_)) => "taken",
        };
        let circuit = circuit.filter(|circuit| circuit.state == CircuitState::Open);
        Ok(Standing { state, circuit })
    }

    /// The checks that log in do so with what is kept now.
    async fn tell_checks(&self) -> Result<(), Status> {
        let credentials = CredentialsNow::read(self.0.store.as_ref()).await?;
        let changed = Event::CredentialsChanged(credentials);
        Ok(self.0.hub.tell(changed).await?)
    }

    /// Whose secrets a name stands for: one that is kept here, else those that agents keep by themselves.
    async fn accounts(&self, name: &str) -> Result<Vec<Account>, Status> {
        if let Some(kept) = self.0.store.credential(name.to_owned()).await? {
            return Ok(vec![account(&kept.credential)]);
        }
        let agents = self.0.hub.agents().await?;
        let own = own_credentials(&agents).filter(|(_, own)| own.name == name);
        let accounts: Vec<_> = own.map(|(_, own)| own_account(own)).collect();
        if accounts.is_empty() {
            return Err(Status::not_found(format!("there is no credential {name}")));
        }
        Ok(accounts)
    }

    async fn read(&self, request: v1::SetCredentialRequest, by: String) -> Result<KeptCredential, Status> {
        let invalid = |field: &str, problem: &str| Status::invalid_argument(format!("{field}: {problem}"));
        for (field, text) in [
            ("name", &request.name),
            ("host", &request.host),
            ("user", &request.user),
        ] {
            if text.is_empty() || text.chars().count() > NAME_AT_MOST || text.chars().any(char::is_control) {
                return Err(invalid(field, "from 1 to 253 characters that can be printed"));
            }
        }
        if !request.mechanism.is_empty() && Mechanism::known(&request.mechanism).is_none() {
            return Err(invalid("mechanism", "not one that is known here"));
        }
        let generation: Uuid = request
            .generation
            .parse()
            .map_err(|_| invalid("generation", "not a UUID"))?;
        let agents = self.0.hub.agents().await?;
        let keys: BTreeMap<AgentName, Vec<u8>> = agents
            .into_iter()
            .filter_map(|agent| Some((agent.summary.name.clone(), key_of(&agent)?)))
            .collect();
        let mut copies = Vec::new();
        for (agent, secret) in request.sealed {
            let agent: AgentName = agent
                .parse()
                .map_err(|_| invalid("sealed", "not an agent's name"))?;
            let key = keys
                .get(&agent)
                .ok_or_else(|| invalid("sealed", &format!("{agent} is no agent that takes secrets")))?;
            copies.push(SealedCopy {
                key: key.clone(),
                secret: SealedSecret::try_from(secret)
                    .map_err(|error| Status::invalid_argument(format!("sealed: {error}")))?,
                agent,
            });
        }
        if copies.is_empty() {
            return Err(invalid("sealed", "no agent could use it"));
        }
        let size: usize = request.anchors_der.iter().map(Vec::len).sum();
        if size > ANCHORS_AT_MOST {
            let problem = format!(
                "{} KiB of trust anchors; {} KiB are the most: name the authority that vouches for this host alone",
                size.div_ceil(1024),
                ANCHORS_AT_MOST / 1024
            );
            return Err(invalid("anchors_der", &problem));
        }
        Ok(KeptCredential {
            credential: CredentialRecord {
                name: request.name,
                host: request.host,
                user: request.user,
                mechanism: request.mechanism,
                anchors: request.anchors_der,
                generation,
                set_by: by,
                set_at: Timestamp::now(),
            },
            copies,
        })
    }
}

fn key_of(agent: &AgentView) -> Option<Vec<u8>> {
    hex::decode(agent.summary.sealing_key.as_ref()?).ok()
}

fn account(credential: &CredentialRecord) -> Account {
    Account {
        host: credential.host.clone(),
        user: credential.user.clone(),
        credential: credential.name.clone(),
        generation: credential.generation.to_string(),
    }
}

fn own_credentials(agents: &[AgentView]) -> impl Iterator<Item = (&AgentName, &LocalCredential)> {
    agents.iter().flat_map(|agent| {
        agent
            .local_credentials
            .iter()
            .map(|own| (&agent.summary.name, own))
    })
}

fn own_account(own: &LocalCredential) -> Account {
    Account {
        host: own.host.clone(),
        user: own.user.clone(),
        credential: own.name.clone(),
        generation: OWN_GENERATION.to_owned(),
    }
}

fn own_info(agent: &AgentName, own: &LocalCredential, standing: Standing) -> v1::CredentialInfo {
    let LocalCredential { name, host, user } = own.clone();
    v1::CredentialInfo {
        name,
        host,
        user,
        agent: agent.to_string(),
        circuit: standing.circuit.map(circuit_to_wire),
        state: standing.state.to_owned(),
        ..v1::CredentialInfo::default()
    }
}

fn info(kept: KeptCredential, standing: Standing, agents: &[AgentView]) -> v1::CredentialInfo {
    let KeptCredential { credential, copies } = kept;
    let (mut sealed_to, mut unable) = (Vec::new(), Vec::new());
    for agent in agents {
        let name = agent.summary.name.to_string();
        let copy = copies.iter().find(|copy| copy.agent == agent.summary.name);
        let why = match copy {
            Some(copy) if key_of(agent).as_ref() == Some(&copy.key) => {
                sealed_to.push(name);
                continue;
            }
            Some(_) => "it has another key since",
            None => "not sealed to it",
        };
        unable.push(v1::UnableAgent {
            agent: name,
            why: why.to_owned(),
        });
    }
    v1::CredentialInfo {
        name: credential.name,
        host: credential.host,
        user: credential.user,
        mechanism: credential.mechanism,
        generation: credential.generation.to_string(),
        set_by: credential.set_by,
        set_at_us: credential.set_at.as_microsecond(),
        sealed_to,
        unable,
        circuit: standing.circuit.map(circuit_to_wire),
        anchors_der: credential.anchors,
        agent: String::new(),
        state: standing.state.to_owned(),
    }
}

/// A circuit, for operators.
pub(super) fn circuit_to_wire(circuit: CircuitRecord) -> v1::Circuit {
    v1::Circuit {
        credential: circuit.account.credential,
        host: circuit.account.host,
        user: circuit.account.user,
        opened_at_us: circuit.opened_at.as_microsecond(),
        agent: circuit.agent.to_string(),
        run_id: circuit.run.to_string(),
        words: circuit.words,
    }
}
