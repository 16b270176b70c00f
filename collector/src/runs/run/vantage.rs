//! What is known of one vantage point of a run.

use std::collections::BTreeSet;

use parallax_model::evidence::Evidence;
use parallax_model::observation::{Attempt, Observation, Purpose, Reason, VantageOutcome};
use parallax_model::stage::Stage;
use parallax_model::vantage::{AgentName, Labels};

use crate::agents::Choice;
use crate::runs::inquiry::Participant;

/// One vantage point.
#[derive(Debug)]
pub(super) struct Vantage {
    agent: AgentName,
    labels: Labels,
    pub(super) capabilities: BTreeSet<String>,
    /// Whether it can be asked once more.
    pub(super) connected: bool,
    pub(super) observation: Option<Observation>,
    /// What it saw so far, where it waits in vain for the rest, and what it saw in experiments meanwhile.
    waiting: Option<Observation>,
    meanwhile: Vec<Observation>,
    /// What others saw of its writing before it was done itself.
    watched: Vec<Attempt>,
}

impl Vantage {
    /// One that is asked.
    pub(super) fn asked(participant: &Participant) -> Self {
        Self {
            agent: participant.choice.agent.clone(),
            labels: participant.choice.labels.clone(),
            capabilities: participant.capabilities.clone(),
            connected: true,
            observation: None,
            waiting: None,
            meanwhile: Vec::new(),
            watched: Vec::new(),
        }
    }

    /// One that is not there.
    pub(super) fn absent(choice: &Choice) -> Self {
        Self {
            agent: choice.agent.clone(),
            labels: choice.labels.clone(),
            capabilities: BTreeSet::new(),
            connected: false,
            observation: None,
            waiting: None,
            meanwhile: Vec::new(),
            watched: Vec::new(),
        }
    }

    /// It saw this; kept under its own name and labels, whatever name stands in it.
    pub(super) fn saw(&mut self, mut seen: Observation) -> &Observation {
        seen.agent = self.agent.clone();
        seen.labels = self.labels.clone();
        if !seen.answered() {
            seen.reason = None;
            seen.outcome = Observation::conclude_outcome(seen.resolve.as_ref(), &seen.attempts);
        }
        seen.attempts.append(&mut self.watched);
        for more in std::mem::take(&mut self.meanwhile) {
            add(&mut seen, more);
        }
        self.waiting = None;
        self.observation.insert(seen)
    }

    /// It waits for something that is overdue, and this is what it saw so far.
    pub(super) fn waits_in_vain(&mut self, so_far: Observation) {
        if self.observation.is_none() {
            self.waiting = Some(Observation {
                agent: self.agent.clone(),
                labels: self.labels.clone(),
                ..so_far
            });
        }
    }

    /// Whether it waits for something that is overdue.
    pub(super) const fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    /// What it saw, or what that comes to if it waits in vain.
    pub(super) fn so_far(&self) -> Option<Observation> {
        if let Some(seen) = &self.observation {
            return Some(seen.clone());
        }
        let mut seen = self.waiting.clone()?;
        for more in &self.meanwhile {
            add(&mut seen, more.clone());
        }
        Some(seen)
    }

    /// It made experiments; they are added to what it saw before. `None` while it still waits for that.
    pub(super) fn saw_more(&mut self, more: Observation) -> Option<&Observation> {
        let Some(known) = &mut self.observation else {
            self.meanwhile.push(more);
            return None;
        };
        add(known, more);
        Some(known)
    }

    /// Others saw this of its writing; `None` while it has not said itself what it did.
    pub(super) fn was_watched(&mut self, attempts: impl Iterator<Item = Attempt>) -> Option<&Observation> {
        match &mut self.observation {
            None => {
                self.watched.extend(attempts);
                None
            }
            Some(known) => {
                known.attempts.extend(attempts);
                Some(known)
            }
        }
    }

    /// It saw nothing. What it saw in an earlier round still holds, and then this is no news.
    pub(super) fn saw_nothing(
        &mut self,
        outcome: VantageOutcome,
        reason: Reason,
        note: &str,
    ) -> Option<&Observation> {
        if self.observation.is_some() {
            return None;
        }
        let unseen = Observation::unseen(self.agent.clone(), self.labels.clone(), outcome, reason, note);
        Some(self.observation.insert(unseen))
    }
}

/// Adds what was seen in experiments.
fn add(known: &mut Observation, more: Observation) {
    let made = more.attempts.into_iter().filter_map(|mut attempt| {
        attempt.purpose = Purpose::FollowUp;
        attempt.experiment.is_some().then_some(attempt)
    });
    known.attempts.extend(made);
    known.network.merge(more.network);
    if let (Some(stage), Some(other)) = (&mut known.resolve, more.resolve) {
        take_other_answer(stage, other);
    }
}

/// What another resolver was found to say later. How the host's own resolver did stays as it was seen first.
fn take_other_answer(stage: &mut Stage, later: Stage) {
    if let (Some(Evidence::Resolve(known)), Some(Evidence::Resolve(more))) =
        (&mut stage.evidence, later.evidence)
        && more.other.is_some()
    {
        known.other = more.other;
    }
}
