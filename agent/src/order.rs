//! What the collector asks for, read at the door.

use std::time::Duration;

use parallax_model::credential::SealedSecret;
use parallax_model::experiment::{Experiment, ExperimentKind};
use parallax_model::observation::Reason;
use parallax_model::refusal::PolicyRefusal;
use parallax_model::spec::{Depth, LONGEST_HOLD, ProbeSpec};
use parallax_proto::convert::WireError;
use parallax_proto::v1;

use crate::circuit::Asker;
use crate::policy::Forbidden;

/// For the way of an answer that would else come when nobody waits for it any more.
const TO_TELL: Duration = Duration::from_secs(2);

/// One probe, or one round of experiments.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) run_id: String,
    pub(crate) spec: ProbeSpec,
    /// From receipt.
    pub(crate) budget: Duration,
    pub(crate) experiments: Vec<Experiment>,
    pub(crate) secret: Option<SealedSecret>,
    /// The credential of this agent's own to log in with, by name.
    pub(crate) credential: Option<String>,
    pub(crate) client_identity: Option<SealedSecret>,
    /// Who wants its login.
    pub(crate) asker: Asker,
    /// The order of another agent whose writing is watched; then nothing else is done.
    pub(crate) watches: Option<String>,
    pub(crate) traceparent: String,
    pub(crate) tracestate: String,
}

/// Why an order is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) note: String,
    /// The rule of the policy that forbids it.
    pub(crate) rule: Option<PolicyRefusal>,
}

impl Refusal {
    pub(crate) fn new(reason: Reason, note: impl Into<String>) -> Self {
        Self {
            reason,
            note: note.into(),
            rule: None,
        }
    }
}

impl From<Forbidden> for Refusal {
    fn from(forbidden: Forbidden) -> Self {
        Self {
            reason: Reason::Policy,
            note: forbidden.to_string(),
            rule: Some(forbidden.refusal().clone()),
        }
    }
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        Self::new(Reason::Unsupported, format!("the order can not be read: {error}"))
    }
}

impl Order {
    /// Reads an order. A word that this agent does not know is a reason to refuse: another probe than the one asked
    /// for would be taken for its answer.
    pub(crate) fn read(wire: v1::Order) -> Result<Self, Refusal> {
        let unsupported = |what: String| Refusal::new(Reason::Unsupported, what);
        let Some(spec) = wire.spec else {
            return Err(unsupported(
                "the order has nothing that this agent knows how to do".into(),
            ));
        };
        if Depth::known(&spec.depth).is_none() {
            return Err(unsupported(format!("this agent knows no depth {:?}", spec.depth)));
        }
        for experiment in &wire.experiments {
            if ExperimentKind::known(&experiment.kind).is_none() {
                return Err(unsupported(format!(
                    "this agent knows no experiment {:?}",
                    experiment.kind
                )));
            }
        }
        let spec = ProbeSpec::try_from(spec)?;
        if spec.options.hold.is_some_and(|hold| hold > LONGEST_HOLD) {
            let longest = LONGEST_HOLD.as_secs() / 60;
            return Err(unsupported(format!(
                "a session is held for {longest} minutes at most"
            )));
        }
        let experiments = wire.experiments.into_iter().map(Experiment::try_from);
        Ok(Self {
            id: wire.order_id,
            run_id: wire.run_id,
            spec,
            budget: Duration::from_millis(wire.budget_ms.into()),
            experiments: experiments.collect::<Result<_, _>>()?,
            secret: wire.secret.map(SealedSecret::try_from).transpose()?,
            credential: (!wire.credential.is_empty()).then_some(wire.credential),
            client_identity: wire.client_identity.map(SealedSecret::try_from).transpose()?,
            asker: Asker::Person {
                insists: wire.retry_login,
            },
            watches: (!wire.watches.is_empty()).then_some(wire.watches),
            traceparent: wire.traceparent,
            tracestate: wire.tracestate,
        })
    }

    /// The time that its sessions have, of what is left for everything. Whoever watches begins before the writer and
    /// ends after it, in time to tell of it.
    pub(crate) fn time(&self, left: Duration) -> Duration {
        if self.watches.is_some() {
            return left.saturating_sub(TO_TELL);
        }
        let hold = self.spec.options.hold.unwrap_or_default();
        (self.spec.timeout + hold).min(left)
    }
}

#[cfg(test)]
mod tests {
    use parallax_model::spec::{DEFAULT_TIMEOUT, FamilyChoice, ProbeOptions};
    use parallax_model::target::Target;

    use super::*;

    fn wire() -> v1::Order {
        let spec = ProbeSpec {
            target: Target::parse("imap.example.org", None).unwrap(),
            depth: Depth::Greeting,
            family: FamilyChoice::Any,
            addresses: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
            login: None,
            anchors: Vec::new(),
            options: ProbeOptions::default(),
        };
        v1::Order {
            order_id: "one".into(),
            budget_ms: 20_000,
            spec: Some(spec.into()),
            ..v1::Order::default()
        }
    }

    #[test]
    fn an_order_of_a_kind_that_is_not_known_is_refused_as_unsupported() {
        assert!(Order::read(wire()).is_ok());
        let mut deeper = wire();
        deeper.spec.as_mut().unwrap().depth = "abyss".into();
        let nothing = v1::Order { spec: None, ..wire() };
        let mut stranger = wire();
        stranger.experiments = vec![v1::Experiment {
            kind: "tickle".into(),
            ..v1::Experiment::default()
        }];
        let mut patient = wire();
        patient.spec.as_mut().unwrap().options = Some(v1::ProbeOptions {
            hold_ms: 31 * 60 * 1000,
            ..v1::ProbeOptions::default()
        });
        for order in [deeper, nothing, stranger, patient] {
            assert_eq!(Order::read(order).unwrap_err().reason, Reason::Unsupported);
        }
    }

    #[test]
    fn a_hold_lengthens_the_time_of_a_probe_and_never_beyond_what_is_left() {
        let mut order = wire();
        order.spec.as_mut().unwrap().options = Some(v1::ProbeOptions {
            hold_ms: 60_000,
            ..v1::ProbeOptions::default()
        });
        let order = Order::read(order).unwrap();
        assert_eq!(order.time(Duration::from_secs(85)), Duration::from_secs(80));
        assert_eq!(order.time(Duration::from_secs(30)), Duration::from_secs(30));
    }
}
