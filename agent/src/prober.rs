//! Probes without a collector.

use std::fmt;

use parallax_engine::budgets::Budgets;
use parallax_identity::seal::{SealingKey, seal};
use parallax_model::credential::{SealContext, SealedSecret, Secret};
use parallax_model::observation::{Observation, Reason};
use parallax_model::spec::ProbeSpec;
use parallax_model::vantage::{AgentName, Labels};

use crate::agent::AgentError;
use crate::circuit::Asker;
use crate::driver::tls::Trust;
use crate::order::{Order, Refusal};
use crate::policy::Policy;
use crate::runner::Runner;

/// An agent's driver and engine without its link: what an order would set off, for a program that has no collector
/// and needs none. It reads this host's trust store once, so one prober serves for many probes.
pub struct Prober {
    runner: Runner,
}

/// Why there was no probe.
#[derive(Debug, thiserror::Error)]
#[error("{note}")]
pub struct NotProbed {
    /// Policy, overload, or something that this agent does not know how to do.
    pub reason: Reason,
    /// The same in words.
    pub note: String,
}

impl Prober {
    /// A prober of this name with room for `probes` at a time; one more is refused.
    ///
    /// # Errors
    /// When no key could be made to seal secrets with.
    pub fn new(name: AgentName, policy: Policy, probes: usize) -> Result<Self, AgentError> {
        parallax_identity::install_provider();
        let who = (name, Labels::new());
        let runner = Runner::new(who, policy, Trust::new(&[]), SealingKey::generate()?, probes);
        Ok(Self { runner })
    }

    /// The same with other budgets for its waits.
    #[must_use]
    pub fn with_budgets(mut self, budgets: Budgets) -> Self {
        self.runner.budgets = budgets;
        self
    }

    /// A secret as it would come with an order: for this prober alone, and for the host and user of that probe.
    ///
    /// # Errors
    /// When the probe does not log in, so that there is no user to seal it for.
    pub fn seal(&self, spec: &ProbeSpec, secret: &Secret) -> Result<SealedSecret, NotProbed> {
        let no_login = || Refusal::new(Reason::Unsupported, "a probe without a login needs no secret");
        let login = spec.login.as_ref().ok_or_else(no_login)?;
        let context = SealContext {
            host: &spec.target.host.to_string(),
            user: &login.user,
            anchors: &spec.anchors,
        };
        let sealed = seal(self.runner.sealing_key.public(), &context, secret);
        Ok(sealed.map_err(|error| Refusal::new(Reason::Unsupported, error.to_string()))?)
    }

    /// Makes one probe, within the time that the spec gives it. `secret` is what `spec.login` logs in with.
    ///
    /// # Errors
    /// When it was not made at all; a probe that fails is an observation.
    pub async fn probe(
        &self,
        spec: ProbeSpec,
        secret: Option<SealedSecret>,
    ) -> Result<Observation, NotProbed> {
        let order = Order {
            id: "local".to_owned(),
            run_id: String::new(),
            budget: spec.timeout + spec.options.hold.unwrap_or_default(),
            spec,
            experiments: Vec::new(),
            secret,
            credential: None,
            client_identity: None,
            asker: Asker::Person { insists: false },
            watches: None,
            traceparent: String::new(),
            tracestate: String::new(),
        };
        let _permit = self.runner.admit(&order)?;
        let ran = self.runner.run_alone(&order, Ok(())).await;
        Ok(ran?.observation)
    }
}

impl From<Refusal> for NotProbed {
    fn from(refusal: Refusal) -> Self {
        Self {
            reason: refusal.reason,
            note: refusal.note,
        }
    }
}

impl fmt::Debug for Prober {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prober")
            .field("name", &self.runner.name)
            .field("policy", &self.runner.policy.now())
            .finish_non_exhaustive()
    }
}
