//! From an order to an observation.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parallax_engine::budgets::Budgets;
use parallax_identity::seal::SealingKey;
use parallax_model::credential::Credential;
use parallax_model::evidence::Evidence;
use parallax_model::experiment::ExperimentKind;
use parallax_model::observation::{Attempt, Observation, Purpose, VantageOutcome};
use parallax_model::path::NetworkFacts;
use parallax_model::target::Endpoint;
use parallax_model::vantage::{AgentName, Labels};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use crate::capture::Recorder;
use crate::circuit::Circuit;
use crate::credentials::LocalCredentials;
use crate::driver::Surroundings;
use crate::driver::dns::Files;
use crate::driver::tcp;
use crate::driver::tls::Trust;
use crate::login_gate::LoginGate;
use crate::network::LocalNetwork;
use crate::order::{Order, Refusal};
use crate::partner::Heard;
use crate::policy::{InForce, Policy, Seen};
use crate::report::{OfAttempt, Reports};
use crate::runner::admission::Errands;
use crate::runner::attempts::Errand;
use crate::runner::reflex::Reflex;
use crate::runner::secrets::Opened;

mod admission;
mod aim;
mod alone;
mod attempts;
mod control;
mod follow_up;
mod further;
mod path;
mod reflex;
mod resolve;
mod secrets;
mod so_far;
mod sweep;
mod sync;
mod varied;
pub(crate) mod ways;

/// Addresses of one name that are tried; a name with more has them for balance, and some tell as much as all.
const ADDRESSES: usize = 16;

/// Runs probes, a bounded number at a time.
pub(crate) struct Runner {
    pub(crate) name: AgentName,
    pub(crate) labels: Labels,
    pub(crate) policy: InForce,
    pub(crate) trust: Trust,
    pub(crate) files: Files,
    pub(crate) sealing_key: SealingKey,
    /// What names came to here.
    seen: Seen,
    /// Which secrets servers turned down.
    circuit: Arc<Circuit>,
    /// What it logs in with by itself.
    pub(crate) credentials: LocalCredentials,
    /// How long each wait of a session may be.
    pub(crate) budgets: Budgets,
    /// Where this agent stands in its own network.
    pub(crate) network: LocalNetwork,
    pace: path::Pace,
    /// How many probes it has room for.
    probes: usize,
    permits: Arc<Semaphore>,
    /// For experiments: those of a probe are made while it still runs.
    experiments: Arc<Semaphore>,
}

/// Room for one probe.
#[derive(Debug)]
pub(crate) struct Permit {
    _permit: OwnedSemaphorePermit,
}

/// A probe that ran: what it saw, and when it began.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) observation: Observation,
    pub(crate) began: Instant,
    pub(crate) began_at: Timestamp,
}

impl Runner {
    /// A runner with room for `probes` at a time: more would falsify each other's times.
    pub(crate) fn new(
        (name, labels): (AgentName, Labels),
        policy: Policy,
        trust: Trust,
        sealing_key: SealingKey,
        probes: usize,
    ) -> Self {
        Self {
            name,
            labels,
            policy: policy.into(),
            trust,
            files: Files::default(),
            sealing_key,
            seen: Seen::default(),
            circuit: Arc::new(Circuit::in_memory()),
            credentials: LocalCredentials::default(),
            budgets: Budgets::default(),
            network: LocalNetwork::default(),
            pace: path::Pace::default(),
            probes,
            permits: Arc::new(Semaphore::new(probes)),
            experiments: Arc::new(Semaphore::new(probes)),
        }
    }

    /// The same where more is known of its network.
    pub(crate) fn within(self, network: LocalNetwork) -> Self {
        Self { network, ..self }
    }

    /// The same with what it knew of rejected secrets when it ran before.
    pub(crate) fn remembering(self, circuit: Circuit) -> Self {
        Self {
            circuit: Arc::new(circuit),
            ..self
        }
    }

    /// The same with credentials of its own.
    pub(crate) fn holding(self, credentials: LocalCredentials) -> Self {
        Self { credentials, ..self }
    }

    /// Probes and experiments that run now.
    pub(crate) fn in_flight(&self) -> usize {
        let free = self.permits.available_permits() + self.experiments.available_permits();
        (self.probes * 2).saturating_sub(free)
    }

    /// Carries an order out within its time; whoever calls keeps the permit. `heard` is what another agent says of the
    /// part that it has in a synchronisation.
    pub(crate) async fn run(
        &self,
        order: &Order,
        budget: Duration,
        reports: Reports,
        heard: mpsc::Receiver<Heard>,
    ) -> Result<Ran, Refusal> {
        let (began, began_at) = (Instant::now(), crate::clock::now());
        let deadline = order.time(budget);
        let Opened { credential, client } = self.opened(order)?;
        let (reports, news) = reports.overheard();
        let recorder = Recorder::begin(&self.policy.now(), order.spec.options.capture);
        let probe = Probe {
            runner: self,
            order,
            deadline,
            began_at,
            around: Arc::new(Surroundings {
                began,
                trust: self.trust_for(order),
                gate: Arc::new(LoginGate::new(
                    reports.ask_leave(),
                    self.guard(order, credential.as_ref(), client.as_ref()),
                )),
                client,
                recording: recorder.recording(),
            }),
            credential,
            reports,
        };
        let carried_out = async {
            if order.watches.is_some() {
                drop(news);
                probe.watch(heard).await
            } else if order.experiments.is_empty() {
                probe.requested(heard, news).await
            } else {
                drop(news);
                probe.follow_ups().await
            }
        };
        let mut observation = recorder.beside(carried_out).await?;
        observation.note = joined(observation.note.into_iter().chain(recorder.remark()));
        for capture in recorder.end() {
            probe.reports.capture(capture);
        }
        Ok(Ran {
            observation,
            began,
            began_at,
        })
    }
}

/// A probe on its way.
struct Probe<'a> {
    runner: &'a Runner,
    order: &'a Order,
    deadline: Duration,
    began_at: Timestamp,
    around: Arc<Surroundings>,
    credential: Option<Credential>,
    reports: Reports,
}

impl Probe<'_> {
    async fn requested(
        &self,
        heard: mpsc::Receiver<Heard>,
        news: mpsc::UnboundedReceiver<(SocketAddr, OfAttempt)>,
    ) -> Result<Observation, Refusal> {
        let spec = &self.order.spec;
        let resolved = self.resolve().await;
        let Errands { made, left_out, note } = self.errands(&resolved.addresses)?;
        let remarks = self.remarks(&resolved.stage).into_iter();
        let note = joined(remarks.chain(resolved.words()).chain(note));
        let left_out: Vec<_> = resolved.rules().chain(left_out).collect();
        let errands: Vec<Errand> = match &resolved.stage.evidence {
            Some(Evidence::Resolve(facts)) => made
                .into_iter()
                .map(|errand| errand.with_associations(facts))
                .collect(),
            _ => made,
        };
        let reflex = Reflex::new(self, &resolved.stage, &errands, news);
        let further = self.examinations(&errands);
        let ladders = self.ladders(&errands);
        let credential = self.credential.clone();
        let requested = errands
            .into_iter()
            .map(|errand| errand.with_login(credential.clone(), spec))
            .collect();
        let (mut jobs, exchange) = self.synchronised(requested, credential.as_ref());
        jobs.extend(ladders);
        let all = async {
            let mut attempts = exchange.beside(heard, attempts::make(self, jobs)).await;
            attempts.extend(attempts::make(self, further).await);
            attempts
        };
        let (attempts, paths) = reflex.beside(all).await;
        let failed = attempts.iter().any(|attempt| attempt.failed_stage().is_some());
        let resolve = resolved.at_last(failed).await;
        let outcome = Observation::conclude_outcome(Some(&resolve), &attempts);
        let mut observation = self.observation(outcome, attempts);
        observation.resolve = Some(resolve);
        observation.note = note;
        observation.left_out = left_out;
        observation.network.paths = paths;
        Ok(observation)
    }

    fn observation(&self, outcome: VantageOutcome, attempts: Vec<Attempt>) -> Observation {
        Observation {
            network: NetworkFacts {
                source_addresses: self.source_addresses(&attempts),
                ..NetworkFacts::default()
            },
            attempts,
            ..self.runner.nothing_seen(outcome)
        }
    }

    /// What these attempts could have been sent from, where there is a choice.
    fn source_addresses(&self, attempts: &[Attempt]) -> Vec<IpAddr> {
        let connects = attempts
            .iter()
            .filter_map(|attempt| attempt.stages.first()?.evidence.as_ref());
        let used: BTreeSet<IpAddr> = connects
            .filter_map(|evidence| match evidence {
                Evidence::Connect(facts) => Some(facts.local?.ip()),
                _ => None,
            })
            .collect();
        self.runner.network.sources(used, tcp::beside)
    }
}

/// Several remarks as one.
fn joined(remarks: impl Iterator<Item = String>) -> Option<String> {
    remarks.reduce(|one, other| format!("{one}; {other}"))
}

/// Where an attempt goes.
const fn peer(address: IpAddr, endpoint: Endpoint) -> SocketAddr {
    SocketAddr::new(address, endpoint.port)
}

/// Why an attempt is made.
const fn purpose(experiment: Option<ExperimentKind>) -> Purpose {
    match experiment {
        None => Purpose::Requested,
        Some(_) => Purpose::FollowUp,
    }
}

#[cfg(test)]
pub(crate) mod tests;
