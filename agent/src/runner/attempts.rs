//! The attempts of one probe, side by side: none waits for another, and none takes another down.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use parallax_engine::plan::Plan;
use parallax_engine::session::{Session, SessionConfig};
use parallax_model::credential::{Credential, Mechanism};
use parallax_model::experiment::ExperimentKind;
use parallax_model::fault::{AgentFault, Fault, FaultKind};
use parallax_model::observation::Attempt;
use parallax_model::spec::ProbeSpec;
use parallax_model::stage::{Outcome, Stage, StageName};
use parallax_model::target::Endpoint;
use tokio::task::{Id, JoinSet};
use tokio::time::timeout_at;

use crate::driver;
use crate::runner::{Probe, peer, purpose};

/// A session ends itself at its deadline; one that has not by then never will.
const GRACE: Duration = Duration::from_secs(1);

/// One attempt to make.
#[derive(Debug, Clone)]
pub(super) struct Errand {
    address: IpAddr,
    endpoint: Endpoint,
    experiment: Option<ExperimentKind>,
    plan: Plan,
    login: Option<Credential>,
    mechanism: Option<Mechanism>,
}

impl Errand {
    pub(super) fn requested(address: IpAddr, endpoint: Endpoint, spec: &ProbeSpec) -> Self {
        Self {
            address,
            endpoint,
            experiment: None,
            plan: Plan::requested(spec, endpoint),
            login: None,
            mechanism: None,
        }
    }

    pub(super) fn follow_up(
        kind: ExperimentKind,
        address: IpAddr,
        endpoint: Endpoint,
        spec: &ProbeSpec,
    ) -> Self {
        Self {
            experiment: Some(kind),
            plan: Plan::follow_up(kind, spec, endpoint),
            ..Self::requested(address, endpoint, spec)
        }
    }

    pub(super) fn with_login(mut self, credential: Option<Credential>, spec: &ProbeSpec) -> Self {
        self.login = credential;
        self.mechanism = spec.login.as_ref().and_then(|login| login.mechanism);
        self
    }
}

/// What is known of an attempt while it runs: enough to tell of it if it never ends.
struct Underway {
    position: usize,
    errand: Errand,
    stages: Arc<Mutex<Vec<Stage>>>,
}

/// Makes the attempts, all at once; they come back in the order of the errands.
pub(super) async fn make(probe: &Probe<'_>, errands: Vec<Errand>) -> Vec<Attempt> {
    let mut tasks = JoinSet::new();
    let mut underway = HashMap::new();
    for (position, errand) in errands.into_iter().enumerate() {
        let stages = Arc::new(Mutex::new(Vec::new()));
        let id = spawn(&mut tasks, probe, errand.clone(), stages.clone());
        let known = Underway {
            position,
            errand,
            stages,
        };
        underway.insert(id, known);
    }
    let mut made = collect(probe, tasks, underway).await;
    made.sort_by_key(|(position, _)| *position);
    made.into_iter().map(|(_, attempt)| attempt).collect()
}

fn spawn(
    tasks: &mut JoinSet<Attempt>,
    probe: &Probe<'_>,
    errand: Errand,
    stages: Arc<Mutex<Vec<Stage>>>,
) -> Id {
    let (address, endpoint) = (errand.address, errand.endpoint);
    let session = Session::new(SessionConfig {
        address,
        endpoint,
        purpose: purpose(errand.experiment),
        experiment: errand.experiment,
        plan: errand.plan,
        reference: probe.order.spec.target.host.clone(),
        login: errand.login,
        mechanism: errand.mechanism,
        started: probe.around.began.elapsed(),
        deadline: probe.deadline,
        wall: probe.began_at,
        seed: rand::random(),
        nonce: rand::random(),
        tlsa: None,
        sync: None,
        hold: None,
        budgets: probe.runner.budgets,
    });
    let (around, reports) = (probe.around.clone(), probe.reports.clone());
    let task = async move {
        let report = move |stage: Stage| {
            stages
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(stage.clone());
            reports.stage(Some((address, endpoint)), stage);
        };
        driver::drive(session, peer(address, endpoint), &around, report).await
    };
    tasks.spawn(task).id()
}

async fn collect(
    probe: &Probe<'_>,
    mut tasks: JoinSet<Attempt>,
    mut underway: HashMap<Id, Underway>,
) -> Vec<(usize, Attempt)> {
    let end = probe.around.began + probe.deadline + GRACE;
    let mut made = Vec::new();
    while let Ok(Some(ended)) = timeout_at(end, tasks.join_next_with_id()).await {
        let (id, result) = match ended {
            Ok((id, attempt)) => (id, Ok(attempt)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some(known) = underway.remove(&id) else {
            continue;
        };
        let attempt = result.unwrap_or_else(|error| {
            tracing::error!(order = %probe.order.id, %error, "an attempt broke off");
            let fault = Fault::new(
                FaultKind::Agent(AgentFault::Internal),
                "a fault in the agent's program ended the attempt",
            );
            known.broken_off(fault, probe)
        });
        made.push((known.position, attempt));
    }
    for known in underway.into_values() {
        let fault = Fault::new(
            FaultKind::Agent(AgentFault::Deadline),
            "the time for the probe was over",
        );
        made.push((known.position, known.broken_off(fault, probe)));
    }
    made
}

impl Underway {
    /// The attempt as far as it came, with the stage that did not end.
    fn broken_off(&self, fault: Fault, probe: &Probe<'_>) -> Attempt {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let now = probe.around.began.elapsed();
        let ended = stages
            .last()
            .map_or(Duration::ZERO, |stage| stage.start + stage.duration);
        let mut fault = Some(fault);
        let rest: Vec<StageName> = self
            .errand
            .plan
            .stages()
            .get(stages.len()..)
            .unwrap_or_default()
            .to_vec();
        for name in rest {
            stages.push(match fault.take() {
                Some(fault) => Stage::new(name, Outcome::Failed(fault), ended, now.saturating_sub(ended)),
                None => Stage::not_reached(name, now),
            });
        }
        Attempt {
            address: self.errand.address,
            endpoint: self.errand.endpoint,
            purpose: purpose(self.errand.experiment),
            experiment: self.errand.experiment,
            stages,
            transcript: Vec::new(),
            by: None,
        }
    }
}
