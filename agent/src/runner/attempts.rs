//! The attempts of one probe, side by side: none waits for another, and none takes another down.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use parallax_engine::action::{Dial, Hello};
use parallax_engine::budgets::Budgets;
use parallax_engine::plan::Plan;
use parallax_engine::session::{Session, SessionConfig, SyncPart};
use parallax_model::credential::{Credential, Mechanism};
use parallax_model::evidence::{ResolveEvidence, TlsaRecord};
use parallax_model::experiment::{Experiment, ExperimentKind};
use parallax_model::fault::{AgentFault, Fault, FaultKind};
use parallax_model::observation::Attempt;
use parallax_model::spec::ProbeSpec;
use parallax_model::stage::{Outcome, Stage, StageName};
use parallax_model::target::Endpoint;
use tokio::task::{Id, JoinSet};
use tokio::time::{sleep_until, timeout_at};

use crate::driver;
use crate::partner::Partner;
use crate::report::OfAttempt;
use crate::runner::varied::{SERIES_TIME, Series};
use crate::runner::{Probe, peer, purpose, varied};

/// A session ends itself at its deadline; one that has not by then never will.
const GRACE: Duration = Duration::from_secs(1);

/// One attempt to make.
#[derive(Debug, Clone)]
pub(super) struct Errand {
    address: IpAddr,
    endpoint: Endpoint,
    experiment: Option<ExperimentKind>,
    plan: Plan,
    pub(super) login: Option<Credential>,
    mechanism: Option<Mechanism>,
    tlsa: Option<Vec<TlsaRecord>>,
    sync: Option<SyncPart>,
    hold: Option<Duration>,
    dial: Dial,
    hello: Hello,
}

/// An attempt to make, and the session that it is made beside.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) errand: Errand,
    pub(super) partner: Option<Partner>,
    /// How long to wait before, from the start of the order.
    pub(super) after: Duration,
    /// Those that it is not made beside.
    pub(super) series: Option<Series>,
}

impl Job {
    pub(super) const fn alone(errand: Errand) -> Self {
        Self {
            errand,
            partner: None,
            after: Duration::ZERO,
            series: None,
        }
    }

    pub(super) fn beside(errand: Errand, partner: Partner) -> Self {
        Self {
            partner: Some(partner),
            ..Self::alone(errand)
        }
    }

    /// The same once more.
    pub(super) fn again(&self) -> Self {
        Self {
            after: self.after,
            series: self.series.clone(),
            ..Self::alone(self.errand.clone())
        }
    }
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
            tlsa: None,
            sync: None,
            hold: spec.options.hold,
            dial: Dial::default(),
            hello: Hello::default(),
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
            hold: None,
            ..Self::requested(address, endpoint, spec)
        }
    }

    /// With what an experiment varies.
    pub(super) fn varied_by(mut self, experiment: &Experiment) -> Self {
        self.dial = varied::dial(experiment);
        self.hello = varied::hello(experiment);
        self
    }

    pub(super) const fn address(&self) -> IpAddr {
        self.address
    }

    pub(super) const fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// Whether nothing is left to do behind so many stages.
    pub(super) fn is_over_after(&self, stages: usize) -> bool {
        stages >= self.plan.stages().len()
    }

    pub(super) const fn peer(&self) -> SocketAddr {
        peer(self.address, self.endpoint)
    }

    /// With the TLSA records of its port; where they were not asked for, or nobody answered, there is nothing to compare
    /// the chain with.
    pub(super) fn with_associations(mut self, facts: &ResolveEvidence) -> Self {
        let port = self.endpoint.port;
        let asked = format!("_{port}.");
        let answered = facts.queries.iter().any(|query| {
            query.record_type == "TLSA" && query.name.starts_with(&asked) && query.fault.is_none()
        });
        let ours = facts.tlsa.iter().filter(|record| record.port == port);
        self.tlsa = answered.then(|| ours.cloned().collect());
        self
    }

    /// With a part in a synchronisation.
    pub(super) fn with_part(mut self, part: SyncPart) -> Self {
        self.sync = Some(part);
        self
    }

    /// With so long a quiet time.
    pub(super) const fn held_for(mut self, hold: Duration) -> Self {
        self.hold = Some(hold);
        self
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
///
/// A watcher whose writer never named a mailbox has made no attempt, and neither has who waited in a series for the
/// whole time.
pub(super) async fn make(probe: &Probe<'_>, jobs: Vec<Job>) -> Vec<Attempt> {
    let mut tasks = JoinSet::new();
    let mut underway = HashMap::new();
    for (position, job) in jobs.into_iter().enumerate() {
        let stages = Arc::new(Mutex::new(Vec::new()));
        let errand = job.errand.clone();
        let id = spawn(&mut tasks, probe, job, stages.clone());
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
    tasks: &mut JoinSet<Option<Attempt>>,
    probe: &Probe<'_>,
    job: Job,
    stages: Arc<Mutex<Vec<Stage>>>,
) -> Id {
    let Job {
        errand,
        mut partner,
        after,
        series,
    } = job;
    let (around, reports) = (probe.around.clone(), probe.reports.clone());
    let mut config = errand.config(probe);
    let place = (errand.address, errand.endpoint);
    let attempt = async move {
        sleep_until(around.began + after).await;
        config.started = around.began.elapsed();
        if errand.experiment == Some(ExperimentKind::Serial)
            && config.started >= config.deadline.min(after + SERIES_TIME)
        {
            return None;
        }
        if errand.experiment == Some(ExperimentKind::Watch)
            && let Some(writer) = &mut partner
        {
            let mailbox = writer.mailbox().await?;
            config.sync = Some(SyncPart::Watcher { mailbox });
            config.started = around.began.elapsed();
        }
        let (peer, asked_for) = (errand.peer(), errand.experiment.is_none());
        let report = move |news: OfAttempt| {
            if asked_for {
                reports.of_attempt(peer, || news.clone());
            }
            if let OfAttempt::Ended(stage) = news {
                stages
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((*stage).clone());
                reports.stage(Some(place), stage);
            }
        };
        // Only a fault of this program breaks an attempt off, and none is known that a server could bring about.
        #[cfg(test)]
        super::secrets::tests::break_off(&errand, &config);
        let session = Session::new(config);
        Some(driver::drive(session, peer, &around, partner, report).await)
    };
    match series {
        Some(series) => tasks.spawn(async move { series.alone(attempt).await }).id(),
        None => tasks.spawn(attempt).id(),
    }
}

impl Errand {
    fn config(&self, probe: &Probe<'_>) -> SessionConfig {
        SessionConfig {
            address: self.address,
            endpoint: self.endpoint,
            purpose: purpose(self.experiment),
            experiment: self.experiment,
            plan: self.plan.clone(),
            reference: probe.order.spec.target.host.clone(),
            login: self.login.clone(),
            masked: probe.credential.clone(),
            mechanism: self.mechanism,
            started: probe.around.began.elapsed(),
            deadline: probe.deadline,
            wall: probe.began_at,
            seed: rand::random(),
            nonce: rand::random(),
            tlsa: self.tlsa.clone(),
            sync: self.sync.clone(),
            hold: self.hold,
            dial: self.dial,
            hello: self.hello.clone(),
            budgets: self.budgets(probe),
        }
    }

    /// What was asked for has all the time that it may need; an experiment asks what is known to answer soon or never.
    fn budgets(&self, probe: &Probe<'_>) -> Budgets {
        let budgets = probe.runner.budgets;
        if probe.order.experiments.is_empty() {
            budgets
        } else if self.experiment == Some(ExperimentKind::Serial) {
            budgets.of_series()
        } else {
            budgets.of_follow_up()
        }
    }
}

async fn collect(
    probe: &Probe<'_>,
    mut tasks: JoinSet<Option<Attempt>>,
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
        let made_now = result.unwrap_or_else(|error| {
            tracing::error!(order = %probe.order.id, %error, "an attempt broke off");
            let fault = Fault::new(
                FaultKind::Agent(AgentFault::Internal),
                "a fault in the agent's program ended the attempt",
            );
            known.broken_off(fault, probe)
        });
        made.extend(made_now.map(|attempt| (known.position, attempt)));
    }
    for known in underway.into_values() {
        let fault = Fault::new(
            FaultKind::Agent(AgentFault::Deadline),
            "the time for the probe was over",
        );
        let attempt = known.broken_off(fault, probe);
        made.extend(attempt.map(|attempt| (known.position, attempt)));
    }
    made
}

impl Underway {
    /// The attempt as far as it came, with the stage that did not end.
    fn broken_off(&self, fault: Fault, probe: &Probe<'_>) -> Option<Attempt> {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if stages.is_empty()
            && let Some(ExperimentKind::Watch | ExperimentKind::Serial) = self.errand.experiment
        {
            return None;
        }
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
        Some(Attempt {
            address: self.errand.address,
            endpoint: self.errand.endpoint,
            purpose: purpose(self.errand.experiment),
            experiment: self.errand.experiment,
            stages,
            transcript: Vec::new(),
            by: None,
        })
    }
}
