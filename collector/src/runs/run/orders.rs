//! What an agent is told to do, or why it is not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parallax_model::credential::Mechanism;
use parallax_model::vantage::AgentName;
use uuid::Uuid;

use super::super::order::{PROBE, SEALED_CREDENTIAL};
use super::super::{Effect, Order};
use super::open::Open;
use super::{Run, first_round};

/// How long an agent may take to say that it has an order; it says so before it does anything.
const TO_ACCEPT: Duration = Duration::from_secs(5);

impl Run {
    /// Why an agent can't be given the probe.
    pub(super) fn obstacle(&self, agent: &AgentName, capabilities: &BTreeSet<String>) -> Option<String> {
        if !capabilities.contains(PROBE) {
            return Some("the agent does not know how to probe".to_owned());
        }
        let login = self.inquiry.spec.login.as_ref()?;
        if let Some(own) = &self.inquiry.own_credential {
            let (name, host) = (&own.name, &self.inquiry.spec.target.host);
            return (!own.agents.contains(agent)).then(|| {
                format!(
                    "this agent keeps no credential {name} for {} at {host}",
                    login.user
                )
            });
        }
        if !capabilities.contains(SEALED_CREDENTIAL) {
            return Some("the agent does not take sealed secrets".to_owned());
        }
        // With EXTERNAL the certificate is the secret (RFC 4422 appendix A).
        let by_certificate = login.mechanism == Some(Mechanism::External)
            && self.inquiry.client_identities.contains_key(agent);
        if !by_certificate && !self.inquiry.secrets.contains_key(agent) {
            let past = &self.inquiry.past;
            let account = past
                .account
                .as_ref()
                .filter(|account| !account.credential.is_empty());
            return Some(account.map_or_else(
                || "the secret was not sealed to this agent; it may have come after the question".to_owned(),
                |account| {
                    let name = &account.credential;
                    format!(
                        "the credential {name} is not sealed to this agent: ctl credential set {name} --add --from {agent}"
                    )
                },
            ));
        }
        None
    }

    pub(super) fn order_probe(
        &mut self,
        agent: AgentName,
        start_at: Option<Instant>,
        now: Instant,
    ) -> Vec<Effect> {
        let order = Order {
            start_at,
            ..self.order_for(agent.clone())
        };
        let id = order.id;
        let past = &self.inquiry.past;
        if past
            .seen_rejected
            .as_ref()
            .is_some_and(|seen| seen.agent == agent)
        {
            self.gate.wait_for(id);
        }
        let mut effects = vec![self.send(order, 0, now)];
        effects.extend(self.order_watch(&agent, id, now));
        effects
    }

    /// What was asked, for one agent.
    pub(super) fn order_for(&self, agent: AgentName) -> Order {
        Order {
            id: Uuid::now_v7(),
            run: self.inquiry.run_id,
            spec: Arc::clone(&self.inquiry.spec),
            start_at: None,
            budget: first_round(&self.inquiry.spec),
            experiments: Vec::new(),
            secret: self.inquiry.secrets.get(&agent).cloned(),
            credential: self.inquiry.own_credential.as_ref().map(|own| own.name.clone()),
            client_identity: self.inquiry.client_identities.get(&agent).cloned(),
            retry_login: self.inquiry.past.retry,
            watches: None,
            agent,
        }
    }

    pub(super) fn send(&mut self, order: Order, round: u32, now: Instant) -> Effect {
        let open = Open {
            agent: order.agent.clone(),
            round,
            until: now + order.budget,
            accept_by: now + TO_ACCEPT.min(order.budget),
            accepted: false,
        };
        self.open.insert(order.id, open);
        Effect::Send(Box::new(order))
    }
}
