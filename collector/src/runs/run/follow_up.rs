//! Rounds of experiments: what would tell the candidates apart is asked before the answer is given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parallax_model::experiment::Experiment;
use parallax_model::finding::Finding;
use parallax_model::spec::{Depth, ProbeOptions, ProbeSpec};
use parallax_model::vantage::AgentName;
use uuid::Uuid;

use super::Run;
use crate::runs::Effect;
use crate::runs::inquiry::Happening;
use crate::runs::order::{Order, capability_of};

/// The most that one round of experiments may take, and how much of it is for the way of the answer.
pub(super) const FOLLOW_UP_AT_MOST: Duration = Duration::from_secs(8);
pub(super) const FOLLOW_UP_GRACE: Duration = Duration::from_secs(2);

/// Rounds of experiments in one run.
pub(super) const FOLLOW_UP_ROUNDS: u32 = 2;

impl Run {
    pub(super) const fn may_ask_more(&self) -> bool {
        self.inquiry.follow_up && self.round < FOLLOW_UP_ROUNDS
    }

    /// Whether there is another round behind the next one.
    pub(super) const fn may_ask_twice(&self) -> bool {
        self.round + 1 < FOLLOW_UP_ROUNDS
    }

    /// Of what the diagnosis would like to know, what was not asked yet and can be.
    pub(super) fn possible(&self, wishes: Vec<Experiment>) -> Vec<Experiment> {
        let possible = |experiment: &Experiment| {
            !self.tried.contains(experiment)
                && self.vantages.get(&experiment.agent).is_some_and(|vantage| {
                    vantage.connected && vantage.capabilities.contains(&capability_of(experiment.kind))
                })
        };
        wishes.into_iter().filter(possible).collect()
    }

    /// Orders a round, since these are the findings.
    pub(super) fn order_experiments(
        &mut self,
        experiments: Vec<Experiment>,
        findings: Vec<Finding>,
        now: Instant,
    ) -> Vec<Effect> {
        self.round += 1;
        self.records.ordered(self.round, &experiments, findings);
        self.tried.extend(experiments.iter().cloned());
        let spec = Arc::new(follow_up_spec(&self.inquiry.spec));
        let budget = spec.timeout + FOLLOW_UP_GRACE;
        let mut effects = vec![self.tell(Happening::FollowUp {
            round: self.round,
            experiments: experiments.clone(),
        })];
        let mut by_agent: BTreeMap<AgentName, Vec<Experiment>> = BTreeMap::new();
        for experiment in experiments {
            by_agent
                .entry(experiment.agent.clone())
                .or_default()
                .push(experiment);
        }
        for (agent, experiments) in by_agent {
            let order = Order {
                id: Uuid::now_v7(),
                run: self.inquiry.run_id,
                agent,
                spec: Arc::clone(&spec),
                start_at: None,
                budget,
                experiments,
                secret: None,
                credential: None,
                client_identity: None,
                retry_login: false,
                watches: None,
            };
            effects.push(self.send(order, self.round, now));
        }
        effects
    }
}

/// A follow-up never logs in: a wrong secret is tried once. Nor does it what was asked for beside the depth, except that
/// its packets are as much worth a look.
fn follow_up_spec(spec: &ProbeSpec) -> ProbeSpec {
    let depth = if spec.depth as u8 > Depth::Greeting as u8 {
        Depth::Greeting
    } else {
        spec.depth
    };
    ProbeSpec {
        depth,
        login: None,
        options: ProbeOptions {
            capture: spec.options.capture,
            ..ProbeOptions::default()
        },
        timeout: spec.timeout.min(FOLLOW_UP_AT_MOST - FOLLOW_UP_GRACE),
        ..spec.clone()
    }
}
