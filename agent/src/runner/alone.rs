//! Probes that nobody listens to while they run.

use std::time::Duration;

use parallax_model::fault::{AgentFault, Fault, FaultKind};
use parallax_model::observation::{Observation, VantageOutcome};
use parallax_model::path::NetworkFacts;
use parallax_model::stage::{Outcome, Stage, StageName};
use tokio::sync::mpsc;

use super::{Ran, Runner};
use crate::login_gate::NoTurn;
use crate::order::{Order, Refusal};
use crate::report::{Report, Reports, outlet};

impl Runner {
    /// Carries an order out that comes of no link; whoever calls keeps the permit. `leave` is the answer to its
    /// question whether the secret may be tried.
    pub(crate) async fn run_alone(&self, order: &Order, leave: Result<(), NoTurn>) -> Result<Ran, Refusal> {
        let (outlet, mut news) = outlet();
        let reports = Reports::of_order(order.id.as_str().into(), outlet);
        let (_partner, nobody) = mpsc::channel(1);
        let listening = async {
            while let Some((_, report)) = news.recv().await {
                if let Report::LoginAsked(answer) = report {
                    let _ = answer.send(leave.clone());
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            ran = self.run(order, order.budget, reports, nobody) => ran,
            never = listening => never,
        }
    }

    /// What is said of a probe that was not made.
    pub(crate) fn refused(&self, refusal: Refusal) -> Observation {
        Observation {
            reason: Some(refusal.reason),
            note: Some(refusal.note),
            refusal: refusal.rule,
            ..self.nothing_seen(VantageOutcome::Refused)
        }
    }

    /// What is said of a probe that a fault in this program ended.
    pub(crate) fn broken_off(&self) -> Observation {
        let fault = Fault::new(
            FaultKind::Agent(AgentFault::Internal),
            "a fault in the agent's program ended the probe",
        );
        let outcome = Outcome::Failed(fault);
        let stage = Stage::new(StageName::Resolve, outcome, Duration::ZERO, Duration::ZERO);
        Observation {
            note: Some("a fault in the agent's program ended the probe; its log says more".to_owned()),
            resolve: Some(stage),
            ..self.nothing_seen(VantageOutcome::Failed)
        }
    }

    /// What is to be said of a probe before anything is seen.
    pub(super) fn nothing_seen(&self, outcome: VantageOutcome) -> Observation {
        Observation {
            agent: self.name.clone(),
            labels: self.labels.clone(),
            outcome,
            reason: None,
            note: None,
            refusal: None,
            left_out: Vec::new(),
            clock: None,
            resolve: None,
            attempts: Vec::new(),
            network: NetworkFacts::default(),
        }
    }
}
