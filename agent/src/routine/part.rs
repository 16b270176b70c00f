//! This agent's part of one round.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use parallax_model::check::CheckResult;
use parallax_model::millis;
use parallax_model::observation::{ClockFacts, Observation, Reason};
use tokio::time::Instant;
use uuid::{NoContext, Uuid};

use super::Means;
use crate::login_gate::NoTurn;
use crate::order::{Order, Refusal};
use crate::runner::Ran;
use crate::schedule::{Anchor, Due, Skip};

pub(super) struct Part {
    id: Uuid,
    due: Due,
    order: Arc<Order>,
    anchor: Anchor,
    means: Arc<Means>,
}

/// By the collector's clock, whatever this host's says: the collector finds what was seen of a time by it.
fn new_id(at: Timestamp) -> Uuid {
    let seconds = u64::try_from(at.as_second()).unwrap_or(0);
    let nanoseconds = u32::try_from(at.subsec_nanosecond()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanoseconds))
}

/// What was seen, and when it began.
struct Taken {
    observation: Observation,
    began: Instant,
}

impl Part {
    pub(super) fn new(due: Due, order: Arc<Order>, anchor: Anchor, means: Arc<Means>) -> Self {
        Self {
            id: new_id(anchor.wall_at(Instant::now())),
            due,
            order,
            anchor,
            means,
        }
    }

    /// Probes, unless the round is left out, and keeps what came of it.
    pub(super) async fn carry_out(self) {
        let taken = match self.due.skipped {
            Some(skip) => self.not_taken(left_out(skip)),
            None => self.take().await,
        };
        let result = CheckResult {
            id: self.id,
            check: self.due.assignment.check,
            run_id: self.due.round.run_id,
            digest: self.due.assignment.digest,
            round_at: self.due.round.starts_at,
            started_at: self.anchor.wall_at(taken.began),
            observation: taken.observation,
        };
        (self.means.keep)(result).await;
    }

    async fn take(&self) -> Taken {
        let runner = &self.means.runner;
        let order = Order {
            id: self.id.to_string(),
            run_id: self.due.round.run_id.to_string(),
            ..(*self.order).clone()
        };
        // The policy may have changed since the check was taken in.
        let _permit = match runner.admit(&order) {
            Ok(permit) => permit,
            Err(refusal) => return self.not_taken(refusal),
        };
        let digest = self.due.assignment.digest;
        self.means.trials.begins(digest).await;
        let probe = runner.run_alone(&order, self.leave());
        let ran = AssertUnwindSafe(probe).catch_unwind().await;
        self.means.trials.ended(digest).await;
        match ran {
            Ok(Ok(ran)) => self.taken(ran),
            Ok(Err(refusal)) => self.not_taken(refusal),
            Err(_) => {
                tracing::error!(check = %self.due.assignment.name, "a probe broke off");
                Taken {
                    observation: runner.broken_off(),
                    began: self.due.planned,
                }
            }
        }
    }

    /// One wrong secret is tried by one agent: without a link there is nobody to ask, so it is said beforehand.
    fn leave(&self) -> Result<(), NoTurn> {
        let assignment = &self.due.assignment;
        match &assignment.login_rejected {
            Some(fault) => Err(NoTurn::Known(fault.clone())),
            None if assignment.login_cleared => Ok(()),
            None => Err(NoTurn::Withheld(
                "another agent tries this secret first; the collector says when it was taken".to_owned(),
            )),
        }
    }

    fn taken(&self, ran: Ran) -> Taken {
        let offset = ran.began_at.duration_since(self.anchor.wall_at(ran.began));
        let late = ran.began.saturating_duration_since(self.due.planned);
        Taken {
            observation: Observation {
                clock: Some(ClockFacts {
                    offset_ms: offset.as_secs_f64() * 1e3,
                    start_skew_ms: millis::of(late),
                }),
                ..ran.observation
            },
            began: ran.began,
        }
    }

    fn not_taken(&self, refusal: Refusal) -> Taken {
        Taken {
            observation: self.means.runner.refused(refusal),
            began: self.due.planned,
        }
    }
}

fn left_out(skip: Skip) -> Refusal {
    let note = match skip {
        Skip::NotDone => "the round before still ran",
        Skip::TooLate => "this agent came to the round too late",
    };
    Refusal::new(Reason::Overload, note)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parallax_model::fault::{AuthFault, Fault, FaultKind};
    use parallax_model::round::Cadence;
    use parallax_model::spec::Depth;

    use super::*;
    use crate::routine::trials::Trials;
    use crate::runner::tests::{order, runner};

    /// A part whose secret a server took already, or not.
    fn part(state_dir: &tempfile::TempDir, login_cleared: bool, login_rejected: Option<Fault>) -> Part {
        let order = order("127.0.0.1:9", Depth::Login);
        let anchor = Anchor {
            at: Instant::now(),
            wall: "2027-01-01T00:00:00Z".parse().unwrap(),
        };
        let assignment = parallax_model::check::Assignment {
            check: Uuid::from_u128(1),
            digest: 1,
            name: "imap-fra".parse().unwrap(),
            version: 1,
            spec: order.spec.clone(),
            every: Duration::from_secs(60),
            together: true,
            secret: None,
            credential: None,
            login_cleared,
            login_rejected,
            login_retry: None,
        };
        let cadence = Cadence {
            check: assignment.check,
            every: assignment.every,
            together: true,
        };
        let due = Due {
            round: cadence.at(anchor.wall),
            assignment: Arc::new(assignment),
            planned: Instant::now(),
            skipped: None,
        };
        let means = Means {
            runner: Arc::new(runner(toml::from_str("allow = []").unwrap())),
            keep: Arc::new(|_| Box::pin(std::future::ready(()))),
            trials: Arc::new(Trials::load(state_dir.path())),
        };
        Part::new(due, Arc::new(order), anchor, Arc::new(means))
    }

    #[tokio::test]
    async fn a_secret_that_no_server_took_yet_is_withheld() {
        let dir = tempfile::tempdir().unwrap();
        let Err(NoTurn::Withheld(why)) = part(&dir, false, None).leave() else {
            panic!("nobody said that it may be tried");
        };
        assert!(why.contains("another agent tries"), "{why}");
        assert_eq!(part(&dir, true, None).leave(), Ok(()));
    }

    #[tokio::test]
    async fn a_secret_that_was_turned_down_is_not_sent_and_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let fault = Fault::new(FaultKind::Auth(AuthFault::CredentialsRejected), "no");
        for cleared in [false, true] {
            assert_eq!(
                part(&dir, cleared, Some(fault.clone())).leave(),
                Err(NoTurn::Known(fault.clone()))
            );
        }
    }
}
