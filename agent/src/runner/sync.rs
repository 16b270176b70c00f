//! Sessions that watch what others write: both here, or one here and one at another agent.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use parallax_engine::session::SyncPart;
use parallax_model::credential::Credential;
use parallax_model::experiment::ExperimentKind;
use parallax_model::observation::{Attempt, Observation, Reason, VantageOutcome};
use parallax_model::signal::{Signal, SignalKind};
use parallax_model::spec::Depth;
use parallax_model::target::Endpoint;
use parallax_model::vantage::AgentName;
use tokio::sync::mpsc;
use tokio::time::timeout_at;

use crate::order::Refusal;
use crate::partner::{Heard, Part, Partner, Word};
use crate::runner::admission::Errands;
use crate::runner::attempts::{Errand, Job};
use crate::runner::resolve::Resolved;
use crate::runner::{Probe, attempts, joined};

/// Attempts of one writer that are watched: as many addresses as a probe tries, at two endpoints.
const WATCHED: usize = 32;

/// The sessions of a probe that another agent's sessions join, by the address of the writer's attempt.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    lines: HashMap<SocketAddr, mpsc::Sender<Word>>,
}

impl Exchange {
    /// Passes on what is heard for as long as the sessions run.
    pub(super) async fn beside<T>(
        self,
        mut heard: mpsc::Receiver<Heard>,
        sessions: impl Future<Output = T>,
    ) -> T {
        let passing_on = async {
            while let Some(heard) = heard.recv().await {
                self.pass_on(&heard);
            }
            std::future::pending().await
        };
        tokio::select! {
            done = sessions => done,
            never = passing_on => never,
        }
    }

    /// A session that has ended, or does not listen, loses what is said to it.
    fn pass_on(&self, heard: &Heard) {
        let meant = |at: &SocketAddr| heard.attempt.is_none_or(|attempt| attempt == *at);
        for (_, line) in self.lines.iter().filter(|(at, _)| meant(at)) {
            let _ = line.try_send(heard.word.clone());
        }
    }
}

impl Probe<'_> {
    /// The attempts asked for; at depth `sync` each has a second session that watches it, here or at the agent named.
    pub(super) fn synchronised(
        &self,
        requested: Vec<Errand>,
        credential: Option<&Credential>,
    ) -> (Vec<Job>, Exchange) {
        let mut exchange = Exchange::default();
        if self.order.spec.depth != Depth::Sync {
            return (requested.into_iter().map(Job::alone).collect(), exchange);
        }
        let mut jobs = Vec::new();
        let mut watchers = Vec::new();
        for errand in requested {
            let (address, endpoint, at) = (errand.address(), errand.endpoint(), errand.peer());
            let watcher = self.far_watcher().cloned();
            let partner = if watcher.is_some() {
                let (partner, line) = Partner::far(Part::Writer, at, self.reports.clone());
                exchange.lines.insert(at, line);
                partner
            } else {
                let (partner, writer) = Partner::pair();
                watchers.push(self.watcher((address, endpoint), credential, writer));
                partner
            };
            jobs.push(Job::beside(
                errand.with_part(SyncPart::Writer { watcher }),
                partner,
            ));
        }
        jobs.extend(watchers);
        (jobs, exchange)
    }

    /// The agent that watches, where it is another than this.
    fn far_watcher(&self) -> Option<&AgentName> {
        let watcher = self.order.spec.options.sync_with.as_ref();
        watcher.filter(|name| **name != self.runner.name)
    }

    fn watcher(
        &self,
        (address, endpoint): (IpAddr, Endpoint),
        credential: Option<&Credential>,
        writer: Partner,
    ) -> Job {
        let spec = &self.order.spec;
        let errand = Errand::follow_up(ExperimentKind::Watch, address, endpoint, spec);
        Job::beside(errand.with_login(credential.cloned(), spec), writer)
    }

    /// Watches what another agent writes, once it names a mailbox: nothing is connected to before that.
    pub(super) async fn watch(&self, heard: mpsc::Receiver<Heard>) -> Result<Observation, Refusal> {
        let resolved = self.resolve().await;
        let words = resolved.words();
        let Resolved {
            stage: resolve,
            addresses,
            ..
        } = resolved;
        if let Some(fault) = resolve.outcome.fault().filter(|_| resolve.failed()) {
            self.reports.signal(None, Signal::gone(&fault.message));
        }
        // What the policy forbids altogether is refused before anybody waits for it.
        let Errands { made, left_out, note } = self.errands(&addresses)?;
        let places: Vec<SocketAddr> = made.iter().map(Errand::peer).collect();
        let attempts = self.join_writers(heard, &places).await;
        Ok(Observation {
            resolve: Some(resolve),
            note: joined(words.into_iter().chain(note)),
            left_out,
            ..self.observation(VantageOutcome::Ok, attempts)
        })
    }

    /// One session for each attempt of the writer that names a mailbox, until the writer's order is over.
    async fn join_writers(&self, mut heard: mpsc::Receiver<Heard>, places: &[SocketAddr]) -> Vec<Attempt> {
        let end = self.around.began + self.deadline;
        let credential = self.credential.clone();
        let mut exchange = Exchange::default();
        let mut sessions = FuturesUnordered::new();
        let mut made = Vec::new();
        let mut over = false;
        while !(over && sessions.is_empty()) {
            let heard = tokio::select! {
                Some(attempts) = sessions.next(), if !sessions.is_empty() => {
                    made.extend::<Vec<Attempt>>(attempts);
                    continue;
                }
                heard = timeout_at(end, heard.recv()), if !over => heard,
            };
            let Ok(Some(heard)) = heard else {
                over = true;
                exchange.lines.clear();
                continue;
            };
            match (heard.attempt, heard.word.signal.kind) {
                (None, SignalKind::Over | SignalKind::Gone) => {
                    over = true;
                    exchange.lines.clear();
                }
                (Some(attempt), SignalKind::Mailbox)
                    if !exchange.lines.contains_key(&attempt) && exchange.lines.len() < WATCHED =>
                {
                    let (partner, line) = Partner::far(Part::Watcher, attempt, self.reports.clone());
                    exchange.lines.insert(attempt, line);
                    exchange.pass_on(&heard);
                    match self.place(attempt, places) {
                        Ok(place) => {
                            let job = self.watcher(place, credential.as_ref(), partner);
                            sessions.push(attempts::make(self, vec![job]));
                        }
                        Err(refusal) => partner.tell(Signal::gone(&refusal.note)),
                    }
                }
                _ => exchange.pass_on(&heard),
            }
        }
        made
    }

    /// Where to watch from: where the writer writes, if the name leads there from here too; else an address of the same
    /// family at the same port.
    fn place(&self, writers: SocketAddr, places: &[SocketAddr]) -> Result<(IpAddr, Endpoint), Refusal> {
        let same_port = || places.iter().filter(|place| place.port() == writers.port());
        let place = same_port()
            .find(|place| **place == writers)
            .or_else(|| same_port().find(|place| place.is_ipv4() == writers.is_ipv4()))
            .or_else(|| same_port().next());
        let mut endpoints = self.order.spec.target.endpoints.iter();
        let endpoint = endpoints.find(|endpoint| endpoint.port == writers.port());
        match (place, endpoint) {
            (Some(place), Some(endpoint)) => Ok((place.ip(), *endpoint)),
            _ => {
                let what = format!("no address for port {} is known here", writers.port());
                Err(Refusal::new(Reason::Unsupported, what))
            }
        }
    }
}
