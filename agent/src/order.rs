//! What the collector asks for, read at the door.

use std::time::Duration;

use parallax_model::credential::SealedSecret;
use parallax_model::experiment::{Experiment, ExperimentKind};
use parallax_model::observation::Reason;
use parallax_model::spec::{Depth, ProbeSpec};
use parallax_proto::convert::WireError;
use parallax_proto::v1;

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
    pub(crate) traceparent: String,
    pub(crate) tracestate: String,
}

/// Why an order is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) note: String,
}

impl Refusal {
    pub(crate) fn new(reason: Reason, note: impl Into<String>) -> Self {
        Self {
            reason,
            note: note.into(),
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
        match Depth::known(&spec.depth) {
            None => return Err(unsupported(format!("this agent knows no depth {:?}", spec.depth))),
            Some(Depth::Sync) => {
                return Err(unsupported("this agent does not write to mailboxes".into()));
            }
            Some(_) => {}
        }
        for experiment in &wire.experiments {
            if ExperimentKind::known(&experiment.kind).is_none() {
                return Err(unsupported(format!(
                    "this agent knows no experiment {:?}",
                    experiment.kind
                )));
            }
        }
        let experiments = wire.experiments.into_iter().map(Experiment::try_from);
        Ok(Self {
            id: wire.order_id,
            run_id: wire.run_id,
            spec: spec.try_into()?,
            budget: Duration::from_millis(wire.budget_ms.into()),
            experiments: experiments.collect::<Result<_, _>>()?,
            secret: wire.secret.map(SealedSecret::try_from).transpose()?,
            traceparent: wire.traceparent,
            tracestate: wire.tracestate,
        })
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
        for order in [deeper, nothing, stranger] {
            assert_eq!(Order::read(order).unwrap_err().reason, Reason::Unsupported);
        }
    }
}
