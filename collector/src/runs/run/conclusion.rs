//! From the observations to the next round, or to the answer.

use std::time::Instant;

use parallax_model::finding::Conclusion;
use parallax_model::observation::Observation;
use parallax_model::run::{RUN_SCHEMA, RunDocument, RunRef, RunTarget};

use super::super::Effect;
use super::Run;

impl Run {
    /// When no order is open any more: the next round of experiments, or the answer. Before, where all that is open
    /// waits in vain, a round of those that need not wait for it.
    pub(super) fn go_on(&mut self, now: Instant) -> Vec<Effect> {
        if !self.open.is_empty() {
            return self.go_on_early(now);
        }
        let observations = self.observations();
        let before = self.inquiry.before_of(&observations);
        let good = before.as_ref().map_or(&[][..], |(_, good)| good);
        let (conclusion, wishes) = if self.may_ask_more() {
            parallax_diagnosis::judge(&self.question, &observations, good)
        } else {
            let conclusion = parallax_diagnosis::conclude(&self.question, &observations, good);
            (conclusion, Vec::new())
        };
        self.records.over(self.round, &conclusion.findings);
        let experiments = self.possible(wishes);
        if experiments.is_empty() {
            return vec![self.concluded(observations, before, conclusion, now)];
        }
        self.order_experiments(experiments, conclusion.findings, now)
    }

    pub(super) fn observations(&self) -> Vec<Observation> {
        self.vantages
            .values()
            .filter_map(|vantage| vantage.observation.clone())
            .collect()
    }

    fn concluded(
        &self,
        observations: Vec<Observation>,
        before: Option<(RunRef, Vec<Observation>)>,
        conclusion: Conclusion,
        now: Instant,
    ) -> Effect {
        let Conclusion {
            verdict,
            summary,
            findings,
            clients,
        } = conclusion;
        Effect::Concluded(Box::new(RunDocument {
            schema: RUN_SCHEMA.to_owned(),
            run_id: self.inquiry.run_id,
            trace_id: self.inquiry.trace_id.clone(),
            target: RunTarget::from(&self.inquiry.spec.target),
            depth: self.inquiry.spec.depth,
            started_at: self.inquiry.started_at,
            duration: now.saturating_duration_since(self.started),
            compared_with: before.as_ref().map(|(run, _)| *run),
            changes: before
                .map(|(_, before)| parallax_diagnosis::changes(&before, &observations))
                .unwrap_or_default(),
            experiments: self.records.all(),
            captures: self.captures.all(),
            check: self.inquiry.check.clone(),
            vantages: observations,
            verdict,
            summary,
            findings,
            clients,
        }))
    }
}
