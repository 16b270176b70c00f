//! Makes traces: what the engine decides, at the pace of all traces of this agent.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use parallax_engine::path::{Answer, Lane, Pacer, Shot, Step, Trace, Traced, Wish};
use parallax_model::experiment::{CONTROL_PORT, Experiment, ExperimentKind};
use parallax_model::path::{Path, PathEnd, PathProtocol, Payload};
use tokio::time::{Instant, sleep};

use crate::driver::path::{Carrier, Flow, SUPPORTED};
use crate::runner::Probe;

/// The kinds of [`ExperimentKind::is_path`] that this agent makes, where its system can.
const TRACES: [ExperimentKind; 4] = [
    ExperimentKind::Path,
    ExperimentKind::PathControl,
    ExperimentKind::PathUdp,
    ExperimentKind::PathSize,
];
/// Where nobody listens, as every traceroute assumes.
pub(super) const UDP_PORT: u16 = 33_434;
/// What Ethernet carries, what is left of it behind PPPoE and in usual tunnels, and what IPv6 carries everywhere
/// (RFC 8200 section 5).
const SIZES: [u16; 4] = [1_500, 1_492, 1_400, 1_280];
/// Enough to get anywhere, for a packet that is to arrive.
const FAR: u8 = 64;
/// For the answer of a host that answers.
const CONTROL_WAIT: Duration = Duration::from_secs(1);
/// For all traces that are begun together.
pub(super) const TIME: Duration = Duration::from_secs(4);

/// Whether an experiment of this kind can be made here.
pub(crate) fn is_made(kind: ExperimentKind) -> bool {
    !kind.is_path() || (SUPPORTED && TRACES.contains(&kind))
}

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
}

/// A path to trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Aim {
    pub(super) target: SocketAddr,
    pub(super) carrier: Carrier,
    pub(super) experiment: Option<ExperimentKind>,
    /// Whether the target is known to answer at this port, and how fast.
    pub(super) answers: bool,
    pub(super) rtt: Option<Duration>,
    /// When it must be over, from the start of the probe.
    pub(super) until: Duration,
}

impl Aim {
    /// The way to a port of which nothing is known.
    pub(super) const fn at(target: SocketAddr, until: Duration) -> Self {
        Self {
            target,
            carrier: Carrier::Syn,
            experiment: None,
            answers: false,
            rtt: None,
            until,
        }
    }

    /// The way of datagrams to a host, of this size in bytes where it matters.
    pub(super) const fn of_datagrams(address: IpAddr, bytes: Option<u16>, until: Duration) -> Self {
        let experiment = match bytes {
            None => ExperimentKind::PathUdp,
            Some(_) => ExperimentKind::PathSize,
        };
        Self {
            carrier: Carrier::Datagram(bytes),
            experiment: Some(experiment),
            ..Self::at(SocketAddr::new(address, UDP_PORT), until)
        }
    }

    /// A path that was not traced, and why.
    pub(super) const fn not_traced(self, ended: PathEnd, at: Duration) -> Path {
        let (protocol, payload, bytes) = match self.carrier {
            Carrier::Syn => (PathProtocol::Tcp, Payload::Syn, None),
            Carrier::Datagram(bytes) => (PathProtocol::Udp, Payload::Udp, bytes),
        };
        Path {
            address: self.target.ip(),
            port: self.target.port(),
            protocol,
            reached: false,
            hops: Vec::new(),
            source: None,
            experiment: self.experiment,
            payload,
            bytes,
            answer_ttl: None,
            ended,
            start: at,
            duration: Duration::ZERO,
        }
    }
}

impl Tracer {
    /// One way, hop by hop.
    pub(super) async fn trace(&self, aim: Aim) -> Path {
        let start = self.began.elapsed();
        let mut flow = Flow::new(aim.target, aim.carrier);
        let traced = self.follow(aim, &mut flow).await;
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
        let arrives = Shot {
            ttl: FAR,
            wait: CONTROL_WAIT,
        };
        let answer = self
            .shoot(&mut Flow::new(target, Carrier::Syn), None, arrives, until)
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

    async fn experiment(&self, experiment: &Experiment, until: Duration) -> Vec<Path> {
        let address = experiment.address;
        let aim = Aim {
            experiment: Some(experiment.kind),
            ..Aim::at(SocketAddr::new(address, experiment.endpoint.port), until)
        };
        match experiment.kind {
            kind if !is_made(kind) => vec![aim.not_traced(PathEnd::Unsupported, self.began.elapsed())],
            ExperimentKind::PathControl => vec![self.trace_control(address, until).await],
            ExperimentKind::PathUdp => vec![self.trace(Aim::of_datagrams(address, None, until)).await],
            ExperimentKind::PathSize => {
                let of_size = |bytes| self.trace(Aim::of_datagrams(address, Some(bytes), until));
                join_all(SIZES.map(of_size)).await
            }
            _ => vec![self.trace(aim).await],
        }
    }

    async fn follow(&self, aim: Aim, flow: &mut Flow) -> Traced {
        let mut machine = Trace::new(Wish {
            address: aim.target.ip(),
            answers: aim.answers,
            rtt: aim.rtt,
            until: aim.until,
        });
        loop {
            match machine.next(self.began.elapsed()) {
                Step::Shoot(shot) => {
                    machine.handle(self.shoot(flow, Some(shot.ttl), shot, aim.until).await);
                }
                Step::Rest { until } => sleep(until.saturating_sub(self.began.elapsed())).await,
                Step::Done(traced) => return traced,
            }
        }
    }

    /// Sends one packet when it may go, `limited` to the routers at this distance where it does not arrive.
    async fn shoot(&self, flow: &mut Flow, limited: Option<u8>, shot: Shot, until: Duration) -> Answer {
        let lane = Lane::of(flow.peer().ip());
        while let Err(wait) = self.may_send(lane, limited) {
            sleep(wait).await;
        }
        let wait = shot.wait.min(until.saturating_sub(self.began.elapsed()));
        flow.shoot(Shot { wait, ..shot }).await
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
        }
    }

    /// Makes the experiments that ask for a path, side by side.
    pub(super) async fn traces(&self, experiments: &[Experiment]) -> Vec<Path> {
        let tracer = self.tracer();
        let until = self.deadline.min(tracer.began.elapsed() + TIME);
        let made = experiments
            .iter()
            .map(|experiment| tracer.experiment(experiment, until));
        join_all(made).await.into_iter().flatten().collect()
    }
}
