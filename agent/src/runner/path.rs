//! Makes traces: what the engine decides, at the pace of all traces of this agent.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use parallax_engine::path::{Answer, Lane, Pacer, Shot, Step, Trace, Traced, Wish};
use parallax_model::experiment::{CONTROL_PORT, ExperimentKind};
use parallax_model::path::Path;
use tokio::time::{Instant, sleep};

use crate::driver::path::{Carrier, Flow};
use crate::runner::Probe;
use crate::runner::aim::Aim;

/// For the answer of a host that answers.
const CONTROL_WAIT: Duration = Duration::from_secs(1);
/// For all traces that are begun together.
pub(super) const TIME: Duration = Duration::from_secs(4);

/// The pace of all traces of this agent, whatever probe they are of.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    pacer: Arc<Mutex<Pacer>>,
    from: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            pacer: Arc::default(),
            from: Instant::now(),
        }
    }
}

/// Sends the packets of one probe's traces.
#[derive(Debug, Clone)]
pub(super) struct Tracer {
    pace: Pace,
    /// When the probe began: the times of its paths count from here.
    pub(super) began: Instant,
    /// Who looks at what is found while it is.
    view: Option<View>,
}

/// What a trace has found while it still runs.
#[derive(Debug, Clone, Default)]
pub(super) struct View(Arc<Mutex<Option<Path>>>);

impl View {
    pub(super) fn path(&self) -> Option<Path> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn show(&self, path: Option<Path>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = path;
    }
}

impl Tracer {
    /// The same, with somebody who looks at what is found so far.
    pub(super) fn watched(&self, view: View) -> Self {
        Self {
            view: Some(view),
            ..self.clone()
        }
    }

    /// One way, hop by hop.
    pub(super) async fn trace(&self, aim: Aim) -> Path {
        let start = self.began.elapsed();
        let mut flow = Flow::new(aim.target, aim.carrier.clone());
        let traced = self.follow(&aim, start, &mut flow).await;
        if let Some(view) = &self.view {
            view.show(None);
        }
        self.path(aim, start, &flow, traced)
    }

    fn path(&self, aim: Aim, start: Duration, flow: &Flow, traced: Traced) -> Path {
        Path {
            reached: traced.reached,
            hops: traced.hops,
            source: flow.local(),
            duration: self.began.elapsed().saturating_sub(start),
            ..aim.not_traced(traced.ended, start)
        }
    }

    /// The way to the control port of a host; first whether the host answers there at all, for then its silent hops
    /// are no end.
    pub(super) async fn trace_control(&self, address: IpAddr, until: Duration) -> Path {
        let target = SocketAddr::new(address, CONTROL_PORT);
        let arrives = Shot::arriving(CONTROL_WAIT);
        let answer = self
            .shoot(&mut Flow::new(target, Carrier::Syn), None, arrives)
            .await;
        let rtt = match answer {
            Answer::SynAck { rtt } | Answer::Reset { rtt } => Some(rtt),
            _ => None,
        };
        self.trace(Aim {
            experiment: Some(ExperimentKind::PathControl),
            answers: rtt.is_some(),
            rtt,
            ..Aim::at(target, until)
        })
        .await
    }

    async fn follow(&self, aim: &Aim, start: Duration, flow: &mut Flow) -> Traced {
        let mut machine = Trace::new(Wish {
            address: aim.target.ip(),
            answers: aim.answers,
            rtt: aim.rtt,
            until: aim.until,
        });
        loop {
            match machine.next(self.began.elapsed()) {
                Step::Shoot(shot) => {
                    machine.handle(self.shoot(flow, Some(shot.ttl), shot).await);
                    if let Some(view) = &self.view {
                        let so_far = self.path(aim.clone(), start, flow, machine.so_far());
                        view.show(Some(so_far));
                    }
                }
                Step::Rest { until } => sleep(until.saturating_sub(self.began.elapsed())).await,
                Step::Done(traced) => return traced,
            }
        }
    }

    /// Sends one packet when it may go, `limited` to the routers at this distance where it does not arrive.
    pub(super) async fn shoot(&self, flow: &mut Flow, limited: Option<u8>, shot: Shot) -> Answer {
        let lane = Lane::of(flow.peer().ip());
        while let Err(wait) = self.may_send(lane, limited) {
            sleep(wait).await;
        }
        flow.shoot(shot).await
    }

    pub(super) fn may_sweep(&self, target: SocketAddr) -> bool {
        let mut pacer = self.pace.pacer.lock().unwrap_or_else(PoisonError::into_inner);
        pacer.grant_sweep(target, self.pace.from.elapsed())
    }

    fn may_send(&self, lane: Lane, ttl: Option<u8>) -> Result<(), Duration> {
        let mut pacer = self.pace.pacer.lock().unwrap_or_else(PoisonError::into_inner);
        pacer.grant(lane, ttl, self.pace.from.elapsed())
    }
}

impl Probe<'_> {
    pub(super) fn tracer(&self) -> Tracer {
        Tracer {
            pace: self.runner.pace.clone(),
            began: self.around.began,
            view: None,
        }
    }
}
