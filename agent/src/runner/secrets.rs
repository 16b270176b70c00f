//! What an order logs in with: a secret that was sealed to this agent, or one that it keeps by itself.

use parallax_model::credential::{ClientIdentity, Credential, Mechanism, SealContext, SealedSecret, Secret};
use parallax_model::observation::Reason;
use parallax_model::refusal::PolicyMatter;

use super::Runner;
use crate::circuit::Guarded;
use crate::driver::tls::Trust;
use crate::order::{Order, Refusal};
use crate::policy::Forbidden;

/// Secrets of one order, in clear.
pub(super) struct Opened {
    pub(super) credential: Option<Credential>,
    /// What is shown to the target where it asks for a certificate.
    pub(super) client: Option<ClientIdentity>,
}

impl Runner {
    /// A credential of this agent's own goes to the host and the user of its own configuration, whoever asks.
    pub(super) fn admits_credential(&self, order: &Order) -> Result<(), Refusal> {
        let Some(name) = &order.credential else {
            return Ok(());
        };
        if order.secret.is_some() {
            return Err(Refusal::new(
                Reason::Unsupported,
                "the order has two secrets for one login",
            ));
        }
        let own = self.credentials.find(name).ok_or_else(|| unknown(name))?;
        let host = order.spec.target.host.to_string();
        let user = order.spec.login.as_ref().map(|login| login.user.as_str());
        if own.told().host == host && user == Some(own.told().user.as_str()) {
            return Ok(());
        }
        let (user, host) = (&own.told().user, &own.told().host);
        let rule = format!("credentials {name}");
        let sentence = format!("this agent keeps the credential {name} for {user} at {host} alone");
        let asked = &order.spec.target.host;
        Err(Forbidden::new(PolicyMatter::Credential, rule, asked, sentence).into())
    }

    /// By whom a target's certificate may be vouched for: to whom a secret of the agent's own is sent is not for an order
    /// to say.
    pub(super) fn trust_for(&self, order: &Order) -> Trust {
        match order.credential {
            Some(_) => self.trust.with(&[]),
            None => self.trust.with(&order.spec.anchors),
        }
    }

    /// What an order logs in with. An order whose secrets were sealed for something else is refused before it touches
    /// anything; one for experiments needs no login.
    pub(super) fn opened(&self, order: &Order) -> Result<Opened, Refusal> {
        let open = |sealed: &Option<SealedSecret>| {
            let opened = sealed.as_ref().map(|sealed| self.open(order, sealed));
            opened.transpose()
        };
        let mut opened = Opened {
            credential: None,
            client: open(&order.client_identity)?,
        };
        let Some(login) = order.spec.login.as_ref().filter(|_| order.experiments.is_empty()) else {
            return Ok(opened);
        };
        let sealed_or_own = match &order.credential {
            Some(name) => Some(self.read(name)?),
            None => open(&order.secret)?,
        };
        let secret = match sealed_or_own {
            // With EXTERNAL (RFC 4422 appendix A) the certificate says it all, and there is no secret.
            None if login.mechanism == Some(Mechanism::External) => Some(Secret::new(String::new())),
            secret => secret,
        };
        opened.credential = secret.map(|secret| Credential {
            user: login.user.clone(),
            secret,
        });
        Ok(opened)
    }

    /// Opens a secret that was sealed for the order's host, user and trust anchors. Sealed secrets are opened nowhere else, and
    /// live as long as the probe.
    pub(super) fn open(&self, order: &Order, sealed: &SealedSecret) -> Result<Secret, Refusal> {
        let host = order.spec.target.host.to_string();
        let context = SealContext {
            host: &host,
            user: order.spec.login.as_ref().map_or("", |login| login.user.as_str()),
            anchors: &order.spec.anchors,
        };
        self.sealing_key.open(&context, sealed).map_err(|error| {
            tracing::warn!(order = %order.id, %error, "a secret of this order can not be opened");
            Refusal::new(Reason::Unsupported, error.to_string())
        })
    }

    fn read(&self, name: &str) -> Result<Secret, Refusal> {
        let own = self.credentials.find(name).ok_or_else(|| unknown(name))?;
        own.read().map_err(|error| {
            tracing::warn!(%error, "a secret of this agent's own can not be read");
            Refusal::new(Reason::Unsupported, error.to_string())
        })
    }

    pub(super) fn guard(
        &self,
        order: &Order,
        credential: Option<&Credential>,
        client: Option<&ClientIdentity>,
    ) -> Option<Guarded> {
        let host = order.spec.target.host.to_string();
        Some(self.circuit.guard(&host, credential?, client, order.asker))
    }
}

fn unknown(name: &str) -> Refusal {
    Refusal::new(
        Reason::Unsupported,
        format!("this agent keeps no credential {name}"),
    )
}

#[cfg(test)]
pub(super) mod tests;
