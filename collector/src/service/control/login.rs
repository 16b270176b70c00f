//! What a question logs in with, and what is known of that.

use parallax_model::credential::Mechanism;
use parallax_model::fault::{AuthFault, Fault, FaultKind};
use parallax_model::spec::LoginSpec;
use tonic::Status;

use super::question::Question;
use crate::hub::AgentView;
use crate::runs::{LoginPast, OwnCredential, SeenRejected};
use crate::service::Shared;
use crate::store::{Account, CircuitState, KeptCredential, OWN_GENERATION};

/// Puts the credential that is named into the question, and says what became of it before.
pub(super) async fn prepare(shared: &Shared, question: &mut Question) -> Result<LoginPast, Status> {
    let mut account = Account {
        host: question.spec.target.host.to_string(),
        user: String::new(),
        credential: question.credential.clone().unwrap_or_default(),
        generation: String::new(),
    };
    if let Some(name) = question.credential.clone() {
        account.generation = take_credential(shared, question, name).await?;
    }
    let Some(login) = &question.spec.login else {
        return Ok(LoginPast::default());
    };
    account.user.clone_from(&login.user);
    let circuit = shared.store.circuit(account.clone()).await?;
    let mut past = LoginPast {
        retry: question.retry_login,
        ..LoginPast::of(account)
    };
    let Some(circuit) = circuit else {
        return Ok(past);
    };
    match circuit.state {
        CircuitState::Accepted(_) => {
            past.was_accepted = true;
            return Ok(past);
        }
        CircuitState::Retry(_) => past.retry = true,
        CircuitState::Open => {}
    }
    past.had_circuit = true;
    let (agent, at) = (circuit.agent, circuit.opened_at);
    let name = circuit.account.credential;
    if !past.retry && !name.is_empty() {
        let first = match question.own_credential {
            Some(_) => "put it right at the agents, then",
            None => "set a new secret, or",
        };
        past.withheld = Some(Fault::new(
            FaultKind::Auth(AuthFault::from_name(&circuit.words)),
            format!(
                "the credential {name} was rejected for {agent} on {at:.0} and was not sent again; {first}: ctl credential \
                 retry {name}, or ask with --retry-login"
            ),
        ));
    }
    past.seen_rejected = Some(SeenRejected { agent, at });
    Ok(past)
}

/// One that is kept here goes before those of the same name that agents keep by themselves.
async fn take_credential(shared: &Shared, question: &mut Question, name: String) -> Result<String, Status> {
    if let Some(kept) = shared.store.credential(name.clone()).await? {
        return take_kept(question, kept);
    }
    take_own(question, name, &shared.hub.agents().await?)
}

fn take_kept(question: &mut Question, kept: KeptCredential) -> Result<String, Status> {
    let credential = kept.credential;
    let host = question.spec.target.host.to_string();
    if credential.host != host {
        return Err(is_for(&credential.name, &credential.host, &host));
    }
    question.spec.login = Some(LoginSpec {
        user: credential.user,
        mechanism: Mechanism::known(&credential.mechanism),
    });
    question.spec.anchors = credential.anchors;
    let copies = kept.copies.into_iter();
    question.secrets = copies.map(|copy| (copy.agent, copy.secret)).collect();
    Ok(credential.generation.to_string())
}

/// A run logs in as one user: that of the agents that are asked.
fn take_own(question: &mut Question, name: String, agents: &[AgentView]) -> Result<String, Status> {
    let host = question.spec.target.host.to_string();
    let known: Vec<_> = agents
        .iter()
        .flat_map(|agent| {
            agent
                .local_credentials
                .iter()
                .map(move |own| (&agent.summary, own))
        })
        .filter(|(_, own)| own.name == name)
        .collect();
    let Some((_, first)) = known.first() else {
        return Err(Status::not_found(format!("there is no credential {name}")));
    };
    let here: Vec<_> = known.iter().filter(|(_, own)| own.host == host).collect();
    let Some((_, any)) = here.first() else {
        return Err(is_for(&name, &first.host, &host));
    };
    let selector = &question.selector;
    let asked = || {
        here.iter()
            .filter(|(agent, _)| selector.matches(agent.name.as_str(), &agent.labels))
    };
    let user = asked().next().map_or(&any.user, |(_, own)| &own.user);
    if let Some((agent, other)) = asked().find(|(_, own)| own.user != *user) {
        return Err(Status::invalid_argument(format!(
            "credential: {name} is for {user} at some of these agents, and for {} at {}: ask them one after another, with --from",
            other.user, agent.name
        )));
    }
    let same = here.iter().filter(|(_, own)| own.user == *user);
    question.own_credential = Some(OwnCredential {
        agents: same.map(|(agent, _)| agent.name.clone()).collect(),
        name,
    });
    question.spec.login = Some(LoginSpec {
        user: user.clone(),
        mechanism: None,
    });
    // An agent's own secret is sent to whom the agent trusts by itself, and it heeds no other anchors.
    question.spec.anchors.clear();
    question.secrets.clear();
    Ok(OWN_GENERATION.to_owned())
}

fn is_for(name: &str, its_host: &str, host: &str) -> Status {
    Status::invalid_argument(format!(
        "credential: {name} is for {its_host}, and not for {host}"
    ))
}
