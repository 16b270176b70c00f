//! From what rounds say to what is told: quiet, pending, firing, and quiet again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::flap::Turns;

/// How many times as many good rounds end what is flapping.
const FLAPPING: u32 = 4;

/// What a round says about one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// The rule's bound is broken.
    Bad,
    /// It holds.
    Good,
    /// The round can't tell: nobody answered, or it came too late.
    Unknown,
}

/// How many rounds it takes, one after another; at least one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    /// Bad ones until it fires.
    pub(super) rounds: u32,
    /// Good ones until it is over.
    pub(super) recover: u32,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// Nothing is wrong. What was resolved is quiet again.
    #[default]
    Quiet,
    /// So many bad rounds.
    Pending { rounds: u32 },
    /// It fires, with so many good rounds since the last bad one.
    Firing { good: u32 },
}

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing that anybody sees.
    Stays,
    /// The first bad round of more that it takes.
    Began,
    /// It was not bad for long enough.
    PassedOver,
    /// It fires from now on.
    Fired,
    /// It is over.
    Resolved,
}

/// One rule of one check, or one agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) phase: Phase,
    turns: Turns,
    /// Whether the last that could tell was bad.
    was_bad: bool,
}

impl Machine {
    /// Takes what a round says.
    pub(super) fn judge(&mut self, judgement: Judgement, patience: Patience, now: Timestamp) -> Step {
        let is_bad = match judgement {
            Judgement::Unknown => return Step::Stays,
            Judgement::Bad => true,
            Judgement::Good => false,
        };
        if is_bad != self.was_bad {
            self.turns.turned(now);
            self.was_bad = is_bad;
        }
        match (self.phase, is_bad) {
            (Phase::Quiet, false) => Step::Stays,
            (Phase::Quiet, true) => self.bad_round(1, Step::Began, patience),
            (Phase::Pending { rounds }, true) => self.bad_round(rounds + 1, Step::Stays, patience),
            (Phase::Pending { .. }, false) => {
                self.phase = Phase::Quiet;
                Step::PassedOver
            }
            (Phase::Firing { .. }, true) => {
                self.phase = Phase::Firing { good: 0 };
                Step::Stays
            }
            (Phase::Firing { good }, false) => self.good_round(good + 1, patience, now),
        }
    }

    /// Ends it, whatever the rounds say: there is nothing left that it could be about.
    pub(super) fn end(&mut self) -> Step {
        let step = match self.phase {
            Phase::Quiet => Step::Stays,
            Phase::Pending { .. } => Step::PassedOver,
            Phase::Firing { .. } => Step::Resolved,
        };
        self.phase = Phase::Quiet;
        step
    }

    pub(super) fn is_flapping(&self, now: Timestamp) -> bool {
        self.turns.is_flapping(now)
    }

    pub(super) const fn is_firing(&self) -> bool {
        matches!(self.phase, Phase::Firing { .. })
    }

    fn bad_round(&mut self, rounds: u32, begins: Step, patience: Patience) -> Step {
        if rounds >= patience.rounds {
            self.phase = Phase::Firing { good: 0 };
            return Step::Fired;
        }
        self.phase = Phase::Pending { rounds };
        begins
    }

    fn good_round(&mut self, good: u32, patience: Patience, now: Timestamp) -> Step {
        let times = if self.is_flapping(now) { FLAPPING } else { 1 };
        if good >= patience.recover.saturating_mul(times) {
            self.phase = Phase::Quiet;
            return Step::Resolved;
        }
        self.phase = Phase::Firing { good };
        Step::Stays
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        rounds: 3,
        recover: 2,
    };

    fn steps(rounds: &str) -> Vec<Step> {
        let mut machine = Machine::default();
        let steps = rounds.chars().zip(0..).map(|(round, minute)| {
            let judgement = match round {
                'b' => Judgement::Bad,
                'g' => Judgement::Good,
                _ => Judgement::Unknown,
            };
            let now = Timestamp::from_second(1_700_000_000 + 60 * minute).unwrap();
            machine.judge(judgement, PATIENCE, now)
        });
        steps.collect()
    }

    #[test]
    fn it_fires_after_so_many_bad_rounds_one_after_another_and_not_before() {
        use Step::{Began, Fired, PassedOver, Stays};
        assert_eq!(steps("bbb"), [Began, Stays, Fired]);
        assert_eq!(steps("bbgbb"), [Began, Stays, PassedOver, Began, Stays]);
        assert_eq!(
            steps("b?b?b"),
            [Began, Stays, Stays, Stays, Fired],
            "what can't be told holds"
        );
    }

    #[test]
    fn it_is_over_after_so_many_good_rounds_one_after_another() {
        assert_eq!(steps("bbbgg").last(), Some(&Step::Resolved));
        assert_eq!(steps("bbbgbg").last(), Some(&Step::Stays));
        assert_eq!(steps("bbbg?g").last(), Some(&Step::Resolved));
    }

    #[test]
    fn what_flaps_fires_once() {
        let turns = steps(&"bbbg".repeat(20));
        assert_eq!(turns.iter().filter(|step| **step == Step::Fired).count(), 1);
        let calm = steps("bbbggbbbggbbbgggggg");
        assert_eq!(
            calm.iter().filter(|step| **step == Step::Resolved).count(),
            1,
            "the second time two good rounds are not enough"
        );
    }
}
