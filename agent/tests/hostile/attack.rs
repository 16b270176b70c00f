//! One attack: where it strikes, what the server does, and what must come of it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use parallax_model::fault::FaultKind;
use parallax_model::observation::{Attempt, Observation};
use parallax_model::spec::Depth;
use parallax_model::stage::{Outcome, StageName};
use parallax_model::target::Security;

use crate::peer::Peer;

pub(crate) type Playing = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

pub(crate) struct Attack {
    pub(crate) name: String,
    pub(crate) security: Security,
    pub(crate) depth: Depth,
    pub(crate) play: Box<dyn Fn(Peer) -> Playing + Send + Sync>,
    pub(crate) outcome: Expected,
    pub(crate) check: fn(&Seen),
}

/// How the attempt must end.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    /// Nothing failed.
    Well,
    /// It worked, and this stage says what is wrong.
    Degraded(StageName, FaultKind),
    /// This stage failed, and none before it.
    Failed(StageName, FaultKind),
    /// This stage failed at a limit or at the end of its time; which of them comes first is the machine's matter.
    Stopped(StageName),
}

/// What was seen on both sides.
pub(crate) struct Seen {
    pub(crate) observation: Observation,
    pub(crate) took: Duration,
    /// The client's lines, as the server heard them.
    pub(crate) heard: Vec<String>,
    /// Bytes that the server could get rid of.
    pub(crate) sent: u64,
}

impl Attack {
    /// An attack on a probe of depth `greeting` in clear.
    pub(crate) fn new<F>(
        name: impl Into<String>,
        outcome: Expected,
        play: impl Fn(Peer) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        Self {
            name: name.into(),
            security: Security::Plaintext,
            depth: Depth::Greeting,
            play: Box::new(move |peer| Box::pin(play(peer))),
            outcome,
            check: |_| {},
        }
    }

    /// The same on a connection of this kind.
    pub(crate) fn over(mut self, security: Security) -> Self {
        self.security = security;
        self
    }

    /// The same on a probe that logs in over TLS and reads the mailbox.
    pub(crate) fn in_the_mailbox(mut self) -> Self {
        self.security = Security::Tls;
        self.depth = Depth::Mailbox;
        self
    }

    /// And this must hold.
    pub(crate) fn and(mut self, check: fn(&Seen)) -> Self {
        self.check = check;
        self
    }
}

impl Seen {
    pub(crate) fn attempt(&self) -> &Attempt {
        &self.observation.attempts[0]
    }

    pub(crate) fn outcome(&self, stage: StageName) -> &Outcome {
        &self.attempt().stage(stage).unwrap().outcome
    }

    /// The message of the first fault.
    pub(crate) fn message(&self) -> &str {
        let faults = self
            .attempt()
            .stages
            .iter()
            .filter_map(|stage| stage.outcome.fault());
        faults
            .map(|fault| fault.message.as_str())
            .next()
            .unwrap_or_default()
    }
}
