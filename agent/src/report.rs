//! What a probe says while it runs.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parallax_model::capture::Capture;
use parallax_model::observation::{Attempt, Observation};
use parallax_model::signal::Signal;
use parallax_model::stage::Stage;
use parallax_model::target::Endpoint;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::login_gate::AskLeave;

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
    LoginAsked(oneshot::Sender<Result<(), String>>),
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

/// Where a probe's news go. Nobody need listen.
#[derive(Debug, Clone)]
pub(crate) struct Reports {
    order: Arc<str>,
    sender: mpsc::UnboundedSender<(Arc<str>, Report)>,
    /// Who in this agent hears of the attempts that were asked for too.
    listener: Option<mpsc::UnboundedSender<(SocketAddr, OfAttempt)>>,
}

impl Reports {
    /// The news of one order, among those of others. Their number is bounded by the stages of a probe.
    pub(crate) fn of_order(order: Arc<str>, sender: mpsc::UnboundedSender<(Arc<str>, Report)>) -> Self {
        Self {
            order,
            sender,
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
        let _ = self
            .sender
            .send((self.order.clone(), Report::Stage { place, stage }));
    }

    pub(crate) fn capture(&self, capture: Capture) {
        let report = Report::Capture(Box::new(capture));
        let _ = self.sender.send((self.order.clone(), report));
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
        let report = Report::Overdue(Box::new(so_far));
        let _ = self.sender.send((self.order.clone(), report));
    }

    pub(crate) fn signal(&self, attempt: Option<SocketAddr>, signal: Signal) {
        let at = Instant::now();
        let said = Report::Signal { attempt, signal, at };
        let _ = self.sender.send((self.order.clone(), said));
    }

    /// The question that the login gate asks.
    pub(crate) fn ask_leave(&self) -> AskLeave {
        let reports = self.clone();
        Box::new(move || {
            let (answer, answered) = oneshot::channel();
            let asked = (reports.order.clone(), Report::LoginAsked(answer));
            let sent = reports.sender.send(asked);
            Box::pin(async move {
                let lost = || "the collector can not be asked whether the secret may be tried".to_owned();
                sent.map_err(|_| lost())?;
                answered.await.map_err(|_| lost())?
            })
        })
    }
}
