//! The experiments that ask for a way, and not whether a session would work.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use parallax_engine::path::{AnswerTtl, Question};
use parallax_model::experiment::{Experiment, ExperimentKind};
use parallax_model::path::{HopReply, Path, PathEnd, Payload, Sweep};
use parallax_model::target::{Host, Security};

use crate::driver::path::{Flow, SUPPORTED};
use crate::runner::aim::Aim;
use crate::runner::path::{TIME, Tracer};
use crate::runner::sweep::SWEEP_TIME;
use crate::runner::varied::NEUTRAL_NAME;
use crate::runner::{Probe, peer};

/// What Ethernet carries, what is left of it behind PPPoE and in usual tunnels, and what IPv6 carries everywhere
/// (RFC 8200 section 5).
const SIZES: [u16; 4] = [1_500, 1_492, 1_400, 1_280];

/// Whether an experiment of this kind can be made here.
pub(crate) const fn is_made(kind: ExperimentKind) -> bool {
    !kind.is_path() || SUPPORTED
}

impl Probe<'_> {
    /// Makes the experiments that ask for a way, side by side.
    pub(super) async fn ways(&self, experiments: &[Experiment]) -> (Vec<Path>, Vec<Sweep>) {
        let tracer = self.tracer();
        let now = tracer.began.elapsed();
        let until = self.deadline.min(now + TIME);
        let host = &self.order.spec.target.host;
        let (sweeps, paths): (Vec<_>, Vec<_>) = experiments
            .iter()
            .partition(|one| SUPPORTED && one.kind == ExperimentKind::PortSweep);
        let paths = paths
            .into_iter()
            .map(|experiment| tracer.paths(experiment, host, until));
        let sweeps = sweeps
            .into_iter()
            .map(|experiment| tracer.sweep(target(experiment), self.deadline.min(now + SWEEP_TIME)));
        let (paths, sweeps) = tokio::join!(join_all(paths), join_all(sweeps));
        (
            paths.into_iter().flatten().collect(),
            sweeps.into_iter().flatten().collect(),
        )
    }
}

impl Tracer {
    async fn paths(&self, experiment: &Experiment, host: &Host, until: Duration) -> Vec<Path> {
        let (address, target) = (experiment.address, target(experiment));
        let aim = Aim {
            experiment: Some(experiment.kind),
            ..Aim::at(target, until)
        };
        if !is_made(experiment.kind) {
            return vec![aim.not_traced(PathEnd::Unsupported, self.began.elapsed())];
        }
        match experiment.kind {
            ExperimentKind::PathControl => vec![self.trace_control(address, until).await],
            ExperimentKind::PathUdp => vec![self.trace(Aim::of_datagrams(address, None, until)).await],
            ExperimentKind::PathSize => {
                let of_size = |bytes| self.trace(Aim::of_datagrams(address, Some(bytes), until));
                join_all(SIZES.map(of_size)).await
            }
            ExperimentKind::AnswerTtl => self.distances(experiment, host, &aim).await,
            ExperimentKind::HelloLadder => self.hellos(experiment, host, &aim).await,
            _ => vec![self.trace(aim).await],
        }
    }

    /// How far whoever answers at the port is; on a port with TLS also how far whoever answers a ClientHello is.
    async fn distances(&self, experiment: &Experiment, host: &Host, aim: &Aim) -> Vec<Path> {
        let first = self.distance(aim.clone()).await;
        let opens = first.hops.last().is_some_and(|hop| hop.reply == HopReply::SynAck);
        let mut paths = vec![first];
        if opens && experiment.endpoint.security != Security::Plaintext {
            let name = asked_name(experiment, host);
            let hello = of_hello(experiment, aim, &name, Payload::ClientHello);
            paths.push(self.distance(hello).await);
        }
        paths
    }

    /// A way up to the target, and with what TTL its answer comes back.
    async fn distance(&self, aim: Aim) -> Path {
        let mut path = self.trace(aim.clone()).await;
        if !path.reached {
            return path;
        }
        let mut question = AnswerTtl::new(aim.until);
        path.answer_ttl = loop {
            match question.next(self.began.elapsed()) {
                Question::Shoot(shot) => {
                    // To a server that still waits for the one before, the same ports would be no new connection.
                    let mut flow = Flow::new(aim.target, aim.carrier.clone());
                    question.handle(&self.shoot(&mut flow, None, shot).await);
                }
                Question::Done(found) => break found,
            }
        };
        path.duration = self.began.elapsed().saturating_sub(path.start);
        path
    }

    /// The way of a ClientHello for the name that was asked for, and of one for a name that nobody filters: where they
    /// part, somebody reads names. Where STARTTLS is not answered, there is only the way of that.
    async fn hellos(&self, experiment: &Experiment, host: &Host, aim: &Aim) -> Vec<Path> {
        if experiment.endpoint.security == Security::Plaintext {
            return vec![aim.clone().not_traced(PathEnd::Unsupported, self.began.elapsed())];
        }
        let named = asked_name(experiment, host);
        let harmless = Host::Name(NEUTRAL_NAME.to_owned());
        let both = [
            self.trace(of_hello(experiment, aim, &named, Payload::ClientHello)),
            self.trace(of_hello(experiment, aim, &harmless, Payload::ClientHelloControl)),
        ];
        let mut paths = join_all(both).await;
        let unsaid = |path: &Path| path.ended == PathEnd::NotSent;
        if experiment.endpoint.security == Security::Starttls && paths.iter().all(unsaid) {
            let command = Aim {
                experiment: aim.experiment,
                ..Aim::of_starttls(aim.target, aim.until)
            };
            paths.push(self.trace(command).await);
        }
        paths
    }
}

/// A ClientHello as it is said at this endpoint.
fn of_hello(experiment: &Experiment, aim: &Aim, name: &Host, payload: Payload) -> Aim {
    let hello = Aim {
        experiment: aim.experiment,
        ..Aim::of_hello(aim.target, name, payload, aim.until)
    };
    match experiment.endpoint.security {
        Security::Starttls => hello.behind_starttls(),
        Security::Tls | Security::Plaintext => hello,
    }
}

fn target(experiment: &Experiment) -> SocketAddr {
    peer(experiment.address, experiment.endpoint)
}

fn asked_name(experiment: &Experiment, host: &Host) -> Host {
    let other = experiment.variation.server_name.as_ref();
    other.map_or_else(|| host.clone(), |name| Host::Name(name.clone()))
}
