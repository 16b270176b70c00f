//! A round of experiments: bounded questions that would part two explanations. None of them logs in.

use std::net::SocketAddr;

use parallax_model::experiment::{Experiment, ExperimentKind};
use parallax_model::observation::{Observation, Reason, VantageOutcome};
use parallax_model::path::NetworkFacts;

use crate::order::Refusal;
use crate::runner::attempts::{self, Errand, Job};
use crate::runner::{Probe, joined, varied};

/// What is to be done.
#[derive(Debug, Default)]
struct Round {
    jobs: Vec<Job>,
    /// Ways to be traced.
    ways: Vec<Experiment>,
    /// Whether the agent's control target is asked.
    control: bool,
    resolver: Option<SocketAddr>,
    left_out: Vec<Refusal>,
}

impl Round {
    fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.ways.is_empty() && !self.control && self.resolver.is_none()
    }
}

impl Probe<'_> {
    /// Nothing is resolved, unless that is the question: an experiment says where it goes. Its outcome is about the
    /// question before it.
    pub(super) async fn follow_ups(&self) -> Result<Observation, Refusal> {
        let mut round = Round::default();
        self.look_up_own().await;
        for experiment in &self.order.experiments {
            if let Err(refusal) = self.take_in(experiment, &mut round) {
                round.left_out.push(refusal);
            }
        }
        if round.is_empty()
            && let Some(first) = round.left_out.first()
        {
            return Err(first.clone());
        }
        let (attempts, (paths, sweeps), control, resolve) = tokio::join!(
            attempts::make(self, round.jobs),
            self.ways(&round.ways),
            self.ask_control_target(round.control),
            self.ask_again(round.resolver),
        );
        Ok(Observation {
            note: joined(round.left_out.iter().map(|refusal| refusal.note.clone())),
            left_out: round
                .left_out
                .iter()
                .filter_map(|refusal| refusal.rule.clone())
                .collect(),
            resolve,
            network: NetworkFacts {
                paths,
                sweeps,
                control,
                ..NetworkFacts::default()
            },
            ..self.observation(VantageOutcome::Ok, attempts)
        })
    }

    /// Adds an experiment to a round, or says why it is left out.
    fn take_in(&self, experiment: &Experiment, round: &mut Round) -> Result<(), Refusal> {
        let (kind, address, endpoint) = (experiment.kind, experiment.address, experiment.endpoint);
        match kind {
            ExperimentKind::ControlTarget => {
                if self.runner.network.control_target.is_none() {
                    return Err(impossible("this agent has no control target"));
                }
                round.control = true;
                return Ok(());
            }
            ExperimentKind::OtherResolver => {
                let resolver = experiment.variation.resolver;
                let resolver = resolver.ok_or_else(|| impossible("other_resolver names no resolver"))?;
                self.may_ask(resolver)?;
                round.resolver = Some(resolver);
                return Ok(());
            }
            ExperimentKind::OtherSource if experiment.variation.source.is_none() => {
                return Err(impossible("other_source names no source address"));
            }
            _ => {}
        }
        if let Some(source) = experiment.variation.source
            && source.is_ipv4() != address.is_ipv4()
        {
            return Err(impossible(&format!("{address} can not be reached from {source}")));
        }
        let spec = &self.order.spec;
        self.runner
            .policy
            .now()
            .admits_experiment(kind, &self.host_at(address), address, endpoint.port)?;
        self.admits_reach(experiment)?;
        if kind.is_path() {
            round.ways.push(experiment.clone());
            return Ok(());
        }
        let errand = Errand::follow_up(kind, address, endpoint, spec).varied_by(experiment);
        round.jobs.extend(varied::jobs(experiment, errand));
        Ok(())
    }
}

/// What this agent can't do is left out as what it may not do is.
fn impossible(why: &str) -> Refusal {
    Refusal::new(Reason::Policy, why)
}

#[cfg(test)]
mod tests;
