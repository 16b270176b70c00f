//! Traces at the moment of a failure, while what failed still lasts and nobody need ask for it.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use parallax_model::evidence::Evidence;
use parallax_model::experiment::{CONTROL_PORT, ExperimentKind};
use parallax_model::fault::{Fault, FaultKind, ImapFault, TcpFault, TlsFault};
use parallax_model::observation::{Attempt, Observation};
use parallax_model::path::{Path, PathEnd};
use parallax_model::spec::{Depth, PathChoice};
use parallax_model::stage::{Outcome, Stage, StageName};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::driver::path::SUPPORTED;
use crate::report::OfAttempt;
use crate::runner::Probe;
use crate::runner::aim::Aim;
use crate::runner::attempts::Errand;
use crate::runner::path::{TIME, Tracer, View};
use crate::runner::so_far::SoFar;

/// A connection that is silent for so long gets no answer to its first segment.
const SILENT: Duration = Duration::from_secs(1);
/// What follows on the connection may take longer: it is the server's.
const STALLED: Duration = Duration::from_millis(1_500);
/// For the traces of what somebody answered: nothing else of the probe takes as long.
const ANSWERED_TIME: Duration = Duration::from_secs(2);
/// Addresses of one probe that are traced; most have their routers in common.
const ADDRESSES: usize = 4;

/// Watches the attempts of a probe, and traces the way of those that fail.
pub(super) struct Reflex<'a> {
    probe: &'a Probe<'a>,
    tracer: Tracer,
    resolve: &'a Stage,
    news: UnboundedReceiver<(SocketAddr, OfAttempt)>,
    so_far: SoFar,
    waiting: HashMap<SocketAddr, Wait>,
    traced: HashSet<SocketAddr>,
    tasks: JoinSet<Path>,
    /// What the traces that still run have found.
    views: Vec<View>,
    paths: Vec<Path>,
}

/// An attempt of which something is due.
#[derive(Debug, Clone, Copy)]
struct Wait {
    until: Instant,
    /// Whether its connection is open.
    open: bool,
}

impl<'a> Reflex<'a> {
    pub(super) fn new(
        probe: &'a Probe<'a>,
        resolve: &'a Stage,
        errands: &[Errand],
        news: UnboundedReceiver<(SocketAddr, OfAttempt)>,
    ) -> Self {
        let mut reflex = Self {
            probe,
            tracer: probe.tracer(),
            resolve,
            news,
            so_far: SoFar::of(errands),
            waiting: HashMap::new(),
            traced: HashSet::new(),
            tasks: JoinSet::new(),
            views: Vec::new(),
            paths: Vec::new(),
        };
        let first = Wait {
            until: Instant::now() + SILENT,
            open: false,
        };
        for peer in errands.iter().map(Errand::peer) {
            match reflex.choice() {
                PathChoice::Never => {}
                PathChoice::Auto | PathChoice::Always if SUPPORTED => {
                    reflex.waiting.insert(peer, first);
                }
                PathChoice::Auto => {}
                PathChoice::Always => reflex.give_up(reflex.aim(peer, TIME), PathEnd::Unsupported),
            }
        }
        reflex
    }

    /// Lets the attempts run and watches them; the paths come in the order of their ends.
    pub(super) async fn beside<T>(mut self, attempts: impl Future<Output = T>) -> (T, Vec<Path>) {
        let mut attempts = pin!(attempts);
        let mut made = None;
        loop {
            // What was told before the attempts ended is heard first.
            if self.news.is_empty()
                && self.tasks.is_empty()
                && let Some(made) = made.take()
            {
                return (made, self.paths);
            }
            let due = self.waiting.values().map(|wait| wait.until).min();
            tokio::select! {
                biased;
                Some((peer, news)) = self.news.recv() => self.hear(peer, news),
                done = &mut attempts, if made.is_none() => made = Some(done),
                Some(traced) = self.tasks.join_next() => match traced {
                    Ok(path) => self.paths.push(path),
                    Err(error) => tracing::error!(order = %self.probe.order.id, %error, "a trace broke off"),
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && made.is_none() => self.too_late(),
            }
        }
    }

    fn hear(&mut self, peer: SocketAddr, news: OfAttempt) {
        if let OfAttempt::Ended(stage) = &news {
            self.stage_ended(peer, stage);
        }
        self.so_far.hear(peer, news);
        if let Some(attempts) = self.so_far.when_overdue() {
            self.probe.reports.overdue(self.seen(attempts));
        }
    }

    /// What the probe came to if nothing more came.
    fn seen(&self, attempts: Vec<Attempt>) -> Observation {
        let outcome = Observation::conclude_outcome(Some(self.resolve), &attempts);
        let mut seen = self.probe.observation(outcome, attempts);
        seen.resolve = Some(self.resolve.clone());
        seen.network.paths.clone_from(&self.paths);
        seen.network
            .paths
            .extend(self.views.iter().filter_map(View::path));
        seen
    }

    /// Of each attempt the connection and what comes next on it; the rest is the server's.
    fn stage_ended(&mut self, peer: SocketAddr, stage: &Stage) {
        let Some(wait) = self.waiting.get(&peer).copied() else {
            return;
        };
        match (stage.name, &stage.outcome) {
            (StageName::Connect, _) if wait.open => return,
            (StageName::Connect, Outcome::Failed(fault)) => self.does_not_open(peer, fault, stage),
            (StageName::Connect, _) => return self.opens(peer, stage),
            (_, Outcome::Failed(fault)) if is_reset(&fault.kind) => self.breaks(peer, None),
            _ => {}
        }
        self.waiting.remove(&peer);
    }

    /// What this host refuses itself has no way.
    fn does_not_open(&mut self, peer: SocketAddr, fault: &Fault, stage: &Stage) {
        if came_back(fault, stage) {
            let silent = fault.kind == FaultKind::Tcp(TcpFault::TimedOut);
            self.fails(peer, if silent { TIME } else { ANSWERED_TIME });
        }
    }

    fn too_late(&mut self) {
        let now = Instant::now();
        let late: Vec<_> = self
            .waiting
            .iter()
            .filter(|(_, wait)| wait.until <= now)
            .map(|(peer, wait)| (*peer, wait.open))
            .collect();
        for (peer, open) in late {
            self.waiting.remove(&peer);
            if open {
                self.breaks(peer, None);
            } else {
                self.fails(peer, TIME);
            }
        }
    }

    fn opens(&mut self, peer: SocketAddr, stage: &Stage) {
        if self.choice() == PathChoice::Always {
            self.breaks(peer, stage.tcp.as_ref().map(|tcp| tcp.rtt));
        }
        if self.probe.order.spec.depth == Depth::Connect {
            self.waiting.remove(&peer);
        } else {
            let until = Instant::now() + STALLED;
            self.waiting.insert(peer, Wait { until, open: true });
        }
    }

    /// The connection does not open: the way to its port, and beside it what nobody would filter: a port that is closed
    /// nearly everywhere, and datagrams.
    fn fails(&mut self, peer: SocketAddr, time: Duration) {
        self.start(self.aim(peer, time));
        self.start(Aim {
            experiment: Some(ExperimentKind::PathControl),
            ..self.aim(SocketAddr::new(peer.ip(), CONTROL_PORT), time)
        });
        let until = self.aim(peer, time).until;
        self.start(Aim::of_datagrams(peer.ip(), None, until));
    }

    /// The connection opens: its way, to a target that answers.
    fn breaks(&mut self, peer: SocketAddr, rtt: Option<Duration>) {
        self.start(Aim {
            answers: true,
            rtt,
            ..self.aim(peer, TIME)
        });
    }

    fn start(&mut self, aim: Aim) {
        let address = aim.target.ip();
        let others: HashSet<IpAddr> = self.traced.iter().map(SocketAddr::ip).collect();
        if others.len() >= ADDRESSES && !others.contains(&address) || !self.traced.insert(aim.target) {
            return;
        }
        let kind = aim.experiment.unwrap_or(ExperimentKind::Path);
        let host = self.probe.host_at(address);
        let policy = self.probe.runner.policy.now();
        if policy
            .admits_experiment(kind, &host, address, aim.target.port())
            .is_err()
        {
            return self.give_up(aim, PathEnd::Policy);
        }
        let view = View::default();
        let tracer = self.tracer.watched(view.clone());
        self.views.push(view);
        self.tasks.spawn(async move {
            match kind {
                ExperimentKind::PathControl => tracer.trace_control(address, aim.until).await,
                _ => tracer.trace(aim).await,
            }
        });
    }

    /// Says why there is no path, where one was asked for.
    fn give_up(&mut self, aim: Aim, why: PathEnd) {
        if aim.experiment.is_none() {
            let path = aim.not_traced(why, self.tracer.began.elapsed());
            self.paths.push(path);
        }
    }

    fn aim(&self, target: SocketAddr, time: Duration) -> Aim {
        let until = self.tracer.began.elapsed() + time;
        let asked = self.choice() == PathChoice::Always;
        Aim {
            experiment: (!asked).then_some(ExperimentKind::Path),
            ..Aim::at(target, until.min(self.probe.deadline))
        }
    }

    fn choice(&self) -> PathChoice {
        self.probe.order.spec.options.path
    }
}

/// Whether something came back from the network, or nothing at all did.
fn came_back(fault: &Fault, stage: &Stage) -> bool {
    let icmp = match &stage.evidence {
        Some(Evidence::Connect(connect)) => connect.icmp.is_some(),
        _ => false,
    };
    let of_network = [
        TcpFault::TimedOut,
        TcpFault::ConnectionRefused,
        TcpFault::ConnectionReset,
    ];
    icmp || of_network
        .into_iter()
        .any(|kind| fault.kind == FaultKind::Tcp(kind))
}

/// Whether an open connection was reset.
fn is_reset(fault: &FaultKind) -> bool {
    matches!(
        fault,
        FaultKind::Tcp(TcpFault::ConnectionReset)
            | FaultKind::Tls(TlsFault::ConnectionReset)
            | FaultKind::Imap(ImapFault::ConnectionReset)
    )
}
