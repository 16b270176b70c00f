//! Experiments while the probes still wait in vain: what is certain to be asked is not asked later for that.

use std::time::Instant;

use parallax_model::experiment::{Experiment, ExperimentKind};
use parallax_model::observation::Observation;
use parallax_model::vantage::AgentName;
use uuid::Uuid;

use super::Run;
use crate::runs::Effect;

/// What may not be made beside a connection that is still open: it asks what limits and chance do to one alone.
const ALONE: [ExperimentKind; 3] = [
    ExperimentKind::Serial,
    ExperimentKind::Repeat,
    ExperimentKind::Later,
];

impl Run {
    /// A probe waits for something that is overdue.
    pub(super) fn overdue(
        &mut self,
        agent: &AgentName,
        order: Uuid,
        so_far: Observation,
        now: Instant,
    ) -> Vec<Effect> {
        if self.open.round(order) != 0 {
            return Vec::new();
        }
        if let Some(vantage) = self.vantages.get_mut(agent) {
            vantage.waits_in_vain(so_far);
        }
        self.go_on(now)
    }

    /// A round of experiments for what all probes together have seen so far, once each of them is done or waits in vain.
    pub(super) fn go_on_early(&mut self, now: Instant) -> Vec<Effect> {
        if !self.may_ask_more() || !self.only_waits() {
            return Vec::new();
        }
        let so_far: Vec<Observation> = self.vantages.values().filter_map(|one| one.so_far()).collect();
        let before = self.inquiry.before_of(&so_far);
        let good = before.as_ref().map_or(&[][..], |(_, good)| good);
        let (conclusion, wishes) = parallax_diagnosis::judge(&self.question, &so_far, good);
        let (alone, beside): (Vec<Experiment>, Vec<Experiment>) = self
            .possible(wishes)
            .into_iter()
            .partition(|wish| ALONE.contains(&wish.kind));
        // The last round is for everything.
        if beside.is_empty() || !self.may_ask_twice() && !alone.is_empty() {
            return Vec::new();
        }
        self.records.over(self.round, &conclusion.findings);
        self.order_experiments(beside, conclusion.findings, now)
    }

    /// Whether all that is open are probes that wait in vain, or were not even taken by their agents.
    fn only_waits(&self) -> bool {
        let mut one_waits = false;
        for (order, open) in self.open.iter() {
            if open.round != 0 || self.watches.has(order) {
                return false;
            }
            let waits = self.vantages.get(&open.agent).is_some_and(|one| one.waits());
            if open.accepted && !waits {
                return false;
            }
            one_waits |= waits;
        }
        one_waits
    }
}
