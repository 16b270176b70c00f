//! What a probe says while it runs.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parallax_model::capture::Capture;
use parallax_model::observation::{Attempt, Observation};
use parallax_model::signal::Signal;
use parallax_model::stage::Stage;
use parallax_model::target::Endpoint;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::login_gate::{AskLeave, NoTurn};

/// One piece of news of a probe.
#[derive(Debug)]
pub(crate) enum Report {
    /// A stage has ended; `resolve` stands before the attempts and has no place.
    Stage {
        /// The attempt, by its address and endpoint.
        place: Option<(IpAddr, Endpoint)>,
        /// What was seen.
        stage: Box<Stage>,
    },
    /// What is due does not come; what was seen so far.
    Overdue(Box<Observation>),
    /// The probe stands before its login; the answer may be an error with the reason why not.
    LoginAsked(oneshot::Sender<Result<(), NoTurn>>),
    /// The packets of an attempt.
    Capture(Box<Capture>),
    /// A session says something to the session of another agent.
    Signal {
        /// The writer's attempt that it is about, by its address; `None` when it is about all of them.
        attempt: Option<SocketAddr>,
        /// What.
        signal: Signal,
        /// When.
        at: Instant,
    },
}

/// What is heard of an attempt.
#[derive(Debug, Clone)]
pub(crate) enum OfAttempt {
    /// A stage has ended.
    Ended(Box<Stage>),
    /// A stage is overdue; the attempt as it is if nothing more comes.
    Overdue(Attempt),
}

/// News that may wait for the link. The last half is kept for what an order can't do without.
const WAITING: usize = 1024;

/// Where the news of all orders go. What finds no room is lost, and counted.
#[derive(Debug, Clone)]
pub(crate) struct Outlet {
    sender: mpsc::Sender<(Arc<str>, Report)>,
    lost: Arc<AtomicU64>,
}

/// An outlet, and its other end.
pub(crate) fn outlet() -> (Outlet, mpsc::Receiver<(Arc<str>, Report)>) {
    let (sender, news) = mpsc::channel(WAITING);
    let lost = Arc::default();
    (Outlet { sender, lost }, news)
}

impl Outlet {
    /// How much found no room.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether it is on its way.
    fn tell(&self, order: Arc<str>, report: Report) -> bool {
        let room = match &report {
            Report::Stage { .. } | Report::Overdue(_) | Report::Capture(_) => {
                self.sender.capacity() > self.sender.max_capacity() / 2
            }
            Report::LoginAsked(_) | Report::Signal { .. } => true,
        };
        let told = room && self.sender.try_send((order, report)).is_ok();
        if !told {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        told
    }
}

/// Where a probe's news go. Nobody need listen.
#[derive(Debug, Clone)]
pub(crate) struct Reports {
    order: Arc<str>,
    outlet: Outlet,
    /// Who in this agent hears of the attempts that were asked for too: it reads at once, and stages are few.
    listener: Option<mpsc::UnboundedSender<(SocketAddr, OfAttempt)>>,
}

impl Reports {
    /// The news of one order, among those of others.
    pub(crate) fn of_order(order: Arc<str>, outlet: Outlet) -> Self {
        Self {
            order,
            outlet,
            listener: None,
        }
    }

    /// The same news, of which somebody here hears those of the attempts that were asked for.
    pub(crate) fn overheard(mut self) -> (Self, mpsc::UnboundedReceiver<(SocketAddr, OfAttempt)>) {
        let (listener, stages) = mpsc::unbounded_channel();
        self.listener = Some(listener);
        (self, stages)
    }

    pub(crate) fn stage(&self, place: Option<(IpAddr, Endpoint)>, stage: Box<Stage>) {
        self.tell(Report::Stage { place, stage });
    }

    pub(crate) fn capture(&self, capture: Capture) {
        self.tell(Report::Capture(Box::new(capture)));
    }

    /// Only for whoever hears of it here.
    pub(crate) fn of_attempt(&self, peer: SocketAddr, what: impl FnOnce() -> OfAttempt) {
        if let Some(listener) = &self.listener
            && !listener.is_closed()
        {
            let _ = listener.send((peer, what()));
        }
    }

    pub(crate) fn overdue(&self, so_far: Observation) {
        self.tell(Report::Overdue(Box::new(so_far)));
    }

    pub(crate) fn signal(&self, attempt: Option<SocketAddr>, signal: Signal) {
        let at = Instant::now();
        self.tell(Report::Signal { attempt, signal, at });
    }

    fn tell(&self, report: Report) -> bool {
        self.outlet.tell(self.order.clone(), report)
    }

    /// The question that the login gate asks.
    pub(crate) fn ask_leave(&self) -> AskLeave {
        let reports = self.clone();
        Box::new(move || {
            let (answer, answered) = oneshot::channel();
            let asked = reports.tell(Report::LoginAsked(answer));
            Box::pin(async move {
                let lost = || {
                    NoTurn::Withheld(
                        "the collector can not be asked whether the secret may be tried".to_owned(),
                    )
                };
                if !asked {
                    return Err(lost());
                }
                answered.await.map_err(|_| lost())?
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parallax_model::stage::{Outcome, StageName};

    use super::*;

    #[tokio::test]
    async fn stages_that_nobody_reads_are_lost_and_counted_and_the_login_is_still_asked_for() {
        let (outlet, mut news) = outlet();
        let reports = Reports::of_order("one".into(), outlet.clone());
        for _ in 0..WAITING * 2 {
            let stage = Stage::new(StageName::Resolve, Outcome::Ok, Duration::ZERO, Duration::ZERO);
            reports.stage(None, Box::new(stage));
        }
        assert_eq!(news.len(), WAITING / 2);
        assert_eq!(outlet.lost(), u64::try_from(WAITING + WAITING / 2).unwrap());
        let asked = reports.ask_leave()();
        let mut last = None;
        while let Ok((_, report)) = news.try_recv() {
            last = Some(report);
        }
        assert!(matches!(&last, Some(Report::LoginAsked(_))), "{last:?}");
        drop(last);
        assert!(asked.await.is_err(), "nobody answered");
    }
}
