//! What the attempts of a probe came to so far.

use std::net::SocketAddr;

use parallax_model::observation::Attempt;
use parallax_model::stage::Stage;

use crate::report::OfAttempt;
use crate::runner::attempts::Errand;
use crate::runner::purpose;

/// Hears of the attempts that were asked for, and knows when of each all has come that is not overdue.
#[derive(Debug)]
pub(super) struct SoFar {
    attempts: Vec<Seen>,
    told: bool,
}

#[derive(Debug)]
struct Seen {
    errand: Errand,
    stages: Vec<Stage>,
    /// The attempt if what is due never comes, while it does not.
    overdue: Option<Attempt>,
}

impl SoFar {
    pub(super) fn of(errands: &[Errand]) -> Self {
        let attempts = errands.iter().map(|errand| Seen {
            errand: errand.clone(),
            stages: Vec::new(),
            overdue: None,
        });
        Self {
            attempts: attempts.collect(),
            told: false,
        }
    }

    pub(super) fn hear(&mut self, peer: SocketAddr, news: OfAttempt) {
        let Some(seen) = self.attempts.iter_mut().find(|seen| seen.errand.peer() == peer) else {
            return;
        };
        match news {
            OfAttempt::Overdue(attempt) => seen.overdue = Some(attempt),
            OfAttempt::Ended(stage) => {
                seen.overdue = None;
                seen.stages.push(*stage);
            }
        }
    }

    /// All attempts, once: when something is overdue, and nothing else still goes on.
    pub(super) fn when_overdue(&mut self) -> Option<Vec<Attempt>> {
        let overdue = self.attempts.iter().any(|seen| seen.overdue.is_some());
        if self.told || !overdue || !self.attempts.iter().all(Seen::stands_still) {
            return None;
        }
        self.told = true;
        Some(self.attempts.iter().map(Seen::attempt).collect())
    }
}

impl Seen {
    fn stands_still(&self) -> bool {
        self.overdue.is_some() || self.errand.is_over_after(self.stages.len())
    }

    fn attempt(&self) -> Attempt {
        self.overdue.clone().unwrap_or_else(|| Attempt {
            address: self.errand.address(),
            endpoint: self.errand.endpoint(),
            purpose: purpose(None),
            experiment: None,
            stages: self.stages.clone(),
            transcript: Vec::new(),
            by: None,
        })
    }
}
