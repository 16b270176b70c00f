//! The orders of one connection: taken, run, answered. Each ends once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parallax_model::experiment::ExperimentKind;
use parallax_model::millis;
use parallax_model::observation::{ClockFacts, Observation};
use parallax_proto::v1;
use parallax_proto::v1::agent_message::Message as Up;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::capture;
use crate::link::signal::{self, Clocks};
use crate::login_gate::NoTurn;
use crate::order::{Order, Refusal};
use crate::partner::{Heard, WAITING};
use crate::policy::Policy;
use crate::report::{Outlet, Report, Reports, outlet};
use crate::runner::{Permit, Ran, Runner, ways};
use crate::telemetry::Telemetry;

/// A common start later than this comes of a clock that was not measured well.
const LATEST_START: Duration = Duration::from_secs(2);

/// What runs for one connection. Dropping it ends all of it.
pub(crate) struct Orders {
    runner: Arc<Runner>,
    telemetry: Telemetry,
    traced: bool,
    news: mpsc::Receiver<(Arc<str>, Report)>,
    outlet: Outlet,
    tasks: JoinSet<Result<Observation, Refusal>>,
    ids: HashMap<Id, Arc<str>>,
    underway: HashMap<Arc<str>, Underway>,
}

struct Underway {
    task: AbortHandle,
    /// Where the answer to its question about the login goes.
    leave: Option<oneshot::Sender<Result<(), NoTurn>>>,
    /// Where goes what another agent's sessions say to those of this order.
    partner: mpsc::Sender<Heard>,
    /// Given back at once when the order is cancelled, before its task has noticed.
    _permit: Permit,
}

impl Orders {
    pub(crate) fn new(runner: Arc<Runner>, telemetry: Telemetry, traced: bool) -> Self {
        let (outlet, news) = outlet();
        Self {
            runner,
            telemetry,
            traced,
            news,
            outlet,
            tasks: JoinSet::new(),
            ids: HashMap::new(),
            underway: HashMap::new(),
        }
    }

    /// What an agent of this version can be asked for.
    pub(crate) fn capabilities(policy: &Policy, checks: bool) -> Vec<String> {
        let made = ExperimentKind::ALL.iter().filter(|kind| ways::is_made(**kind));
        let experiments = made.map(|kind| format!("experiment:{kind}"));
        let mut capabilities = vec!["probe".to_owned(), "credential:sealed2".to_owned()];
        capabilities.extend(experiments);
        if checks {
            capabilities.push("checks".to_owned());
        }
        if capture::possible(policy).is_ok() {
            capabilities.push("capture".to_owned());
        }
        capabilities
    }

    /// News of orders that found no room.
    pub(crate) fn lost(&self) -> u64 {
        self.outlet.lost()
    }

    pub(crate) fn in_flight(&self) -> u32 {
        u32::try_from(self.underway.len()).unwrap_or(u32::MAX)
    }

    /// Takes an order, to begin at `planned` on our clock, or refuses it; the answer goes out before it runs.
    pub(crate) fn take(
        &mut self,
        wire: v1::Order,
        planned: Option<Instant>,
        wall_offset_us: Option<i64>,
    ) -> Up {
        let received = Instant::now();
        let id: Arc<str> = wire.order_id.as_str().into();
        if self.underway.contains_key(&id) {
            tracing::warn!(order = %id, "the same order came twice; it runs once");
            return accepted(&id);
        }
        let admitted = Order::read(wire).and_then(|order| {
            let permit = self.runner.admit(&order)?;
            Ok((order, permit))
        });
        let (order, permit) = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => return refused(&id, refusal),
        };
        tracing::debug!(order = %id, run = %order.run_id, "order accepted");
        let (partner, heard) = mpsc::channel(WAITING);
        let errand = Errand {
            heard,
            runner: self.runner.clone(),
            telemetry: if self.traced {
                self.telemetry.clone()
            } else {
                Telemetry::off()
            },
            order,
            reports: Reports::of_order(id.clone(), self.outlet.clone()),
            received,
            planned: planned.map(|planned| planned.min(received + LATEST_START)),
            wall_offset_us,
        };
        let task = self.tasks.spawn(errand.run());
        self.ids.insert(task.id(), id.clone());
        self.underway.insert(
            id.clone(),
            Underway {
                task,
                leave: None,
                partner,
                _permit: permit,
            },
        );
        accepted(&id)
    }

    /// Gives an order up. Nothing more is said about it.
    pub(crate) fn cancel(&mut self, id: &str) {
        if let Some(underway) = self.underway.remove(id) {
            underway.task.abort();
            tracing::debug!(order = %id, "order cancelled");
        }
    }

    pub(crate) fn login_answered(&mut self, answer: &v1::LoginAnswer) {
        let waiting = self
            .underway
            .get_mut(answer.order_id.as_str())
            .and_then(|underway| underway.leave.take());
        let Some(waiting) = waiting else {
            tracing::debug!(order = %answer.order_id, "nobody asked for this login any more");
            return;
        };
        let _ = waiting.send(match &answer.known {
            _ if answer.granted => Ok(()),
            Some(fault) => Err(NoTurn::Known(fault.clone().into())),
            None => Err(NoTurn::Withheld(answer.reason.clone())),
        });
    }

    /// Passes on what a session of another agent said.
    pub(crate) fn signalled(&mut self, wire: v1::Signal, clocks: Clocks<'_>) {
        let Some(underway) = self.underway.get(wire.order_id.as_str()) else {
            tracing::debug!(order = %wire.order_id, "a word for an order that is over");
            return;
        };
        let (order, kind) = (wire.order_id.clone(), wire.kind.clone());
        let Some(heard) = signal::from_wire(wire, clocks) else {
            tracing::warn!(order, kind, "a word of a kind that this agent does not know");
            return;
        };
        if underway.partner.try_send(heard).is_err() {
            tracing::debug!(order, kind, "a word that nobody hears");
        }
    }

    /// The next messages for the collector; waits until there are some. Loses nothing when it is not waited for.
    pub(crate) async fn news(&mut self, clocks: Clocks<'_>) -> Vec<Up> {
        tokio::select! {
            Some((id, report)) = self.news.recv() => self.reported(id, report, clocks).into_iter().collect(),
            Some(ended) = self.tasks.join_next_with_id() => {
                // What an order said before its end goes before its end.
                let mut messages = Vec::new();
                while let Ok((id, report)) = self.news.try_recv() {
                    messages.extend(self.reported(id, report, clocks));
                }
                messages.extend(self.ended(ended));
                messages
            }
        }
    }

    fn reported(&mut self, id: Arc<str>, report: Report, clocks: Clocks<'_>) -> Option<Up> {
        let underway = self.underway.get_mut(&id)?;
        Some(match report {
            Report::Stage { place, stage } => Up::Stage(v1::StageReport {
                order_id: id.to_string(),
                address: place.map(|(address, _)| address.to_string()).unwrap_or_default(),
                endpoint: place.map(|(_, endpoint)| endpoint.into()),
                stage: Some((*stage).into()),
            }),
            Report::Overdue(so_far) => Up::Overdue(v1::OrderOverdue {
                order_id: id.to_string(),
                observation: Some((*so_far).into()),
            }),
            Report::Signal { attempt, signal, at } => {
                Up::Signal(signal::to_wire(&id, attempt, signal, at, clocks))
            }
            Report::Capture(capture) => Up::Capture(v1::CaptureMade {
                order_id: id.to_string(),
                capture: Some((*capture).into()),
            }),
            Report::LoginAsked(answer) => {
                underway.leave = Some(answer);
                Up::LoginAsked(v1::LoginAsked {
                    order_id: id.to_string(),
                })
            }
        })
    }

    fn ended(&mut self, ended: Result<(Id, Result<Observation, Refusal>), JoinError>) -> Option<Up> {
        let task = match &ended {
            Ok((task, _)) => *task,
            Err(error) => error.id(),
        };
        let id = self.ids.remove(&task)?;
        // Cancelled: nobody waits for it.
        self.underway.remove(&id)?;
        let observation = match ended {
            Ok((_, Ok(observation))) => observation,
            Ok((_, Err(refusal))) => return Some(refused(&id, refusal)),
            Err(error) => {
                tracing::error!(order = %id, %error, "a probe broke off");
                self.runner.broken_off()
            }
        };
        Some(Up::Done(v1::OrderDone {
            order_id: id.to_string(),
            observation: Some(observation.into()),
        }))
    }
}

/// One order on its way.
struct Errand {
    runner: Arc<Runner>,
    telemetry: Telemetry,
    order: Order,
    reports: Reports,
    heard: mpsc::Receiver<Heard>,
    received: Instant,
    planned: Option<Instant>,
    wall_offset_us: Option<i64>,
}

impl Errand {
    async fn run(self) -> Result<Observation, Refusal> {
        let traced = self.telemetry.order(&self.order);
        if let Some(planned) = self.planned {
            sleep_until(planned).await;
        }
        let budget = self.order.budget.saturating_sub(self.received.elapsed());
        let ran = self
            .runner
            .run(&self.order, budget, self.reports, self.heard)
            .await;
        traced.end(&ran, &self.order);
        ran.map(|ran| timed(ran, self.planned, self.wall_offset_us))
    }
}

fn timed(ran: Ran, planned: Option<Instant>, wall_offset_us: Option<i64>) -> Observation {
    let late = planned.map(|planned| ran.began.saturating_duration_since(planned));
    let clock = wall_offset_us.map(|offset| ClockFacts {
        offset_ms: offset as f64 / 1e3,
        start_skew_ms: late.map(millis::of).unwrap_or_default(),
    });
    Observation {
        clock,
        ..ran.observation
    }
}

fn accepted(id: &str) -> Up {
    Up::Accepted(v1::OrderAccepted {
        order_id: id.to_owned(),
    })
}

fn refused(id: &str, refusal: Refusal) -> Up {
    tracing::warn!(order = %id, reason = %refusal.reason, "order refused: {}", refusal.note);
    Up::Refused(v1::OrderRefused {
        order_id: id.to_owned(),
        reason: refusal.reason.to_string(),
        note: refusal.note,
        refusal: refusal.rule.map(Into::into),
    })
}
