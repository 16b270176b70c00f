//! What a question logs in with, and what is known of that.

use parallax_model::credential::Mechanism;
use parallax_model::spec::LoginSpec;
use tonic::Status;

use super::question::Question;
use crate::runs::{LoginPast, SeenRejected};
use crate::store::{Account, Store};

/// Puts the credential that is named into the question, and says what became of it before.
pub(super) async fn prepare(store: &dyn Store, question: &mut Question) -> Result<LoginPast, Status> {
    let mut account = Account {
        host: question.spec.target.host.to_string(),
        user: String::new(),
        credential: question.credential.clone().unwrap_or_default(),
        generation: String::new(),
    };
    if let Some(name) = question.credential.clone() {
        account.generation = take_credential(store, question, name).await?;
    }
    let Some(login) = &question.spec.login else {
        return Ok(LoginPast::default());
    };
    account.user.clone_from(&login.user);
    let circuit = store.circuit(account.clone()).await?;
    let mut past = LoginPast {
        retry: question.retry_login,
        ..LoginPast::of(account)
    };
    let Some(circuit) = circuit else {
        return Ok(past);
    };
    past.had_circuit = true;
    past.retry |= circuit.closed;
    let (agent, at) = (circuit.agent, circuit.opened_at);
    let name = circuit.account.credential;
    if !past.retry && !name.is_empty() {
        past.withheld = Some(format!(
            "the credential {name} was rejected for {agent} on {at:.0}; set a new secret, or: ctl credential retry {name}"
        ));
    }
    past.seen_rejected = Some(SeenRejected { agent, at });
    Ok(past)
}

async fn take_credential(store: &dyn Store, question: &mut Question, name: String) -> Result<String, Status> {
    let kept = store
        .credential(name.clone())
        .await?
        .ok_or_else(|| Status::not_found(format!("there is no credential {name}")))?;
    let credential = kept.credential;
    let host = question.spec.target.host.to_string();
    if credential.host != host {
        return Err(Status::invalid_argument(format!(
            "credential: {name} is for {}, and not for {host}",
            credential.host
        )));
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
