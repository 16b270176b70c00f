//! The link to the collector: kept up, and up again when it is lost.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parallax_identity::{DialError, Dialer};
use parallax_proto::v1;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::link::backoff::Backoff;
use crate::link::session::Session;
use crate::routine::RoutineHandle;
use crate::runner::Runner;
use crate::spool::Spool;
use crate::telemetry::Telemetry;

mod backoff;
mod offset;
mod orders;
mod pace;
mod results;
mod session;
mod signal;

/// Between two tries to make a newer connection while the older one is up.
const SUCCESSOR_AGAIN: Duration = Duration::from_secs(10);

/// How the collector is reached.
#[derive(Clone)]
pub(crate) enum Road {
    /// By dialling.
    Dial(Dialer),
    /// It is in this process.
    Given(Channel),
}

impl Road {
    async fn connect(&self) -> Result<Channel, DialError> {
        match self {
            Self::Dial(dialer) => dialer.connect().await,
            Self::Given(channel) => Ok(channel.clone()),
        }
    }

    /// Proves the key that secrets for this agent are sealed to; who is in the same process needs no proof.
    fn prove(&self, runner: &Runner) -> Option<v1::SealingProof> {
        match self {
            Self::Dial(dialer) => dialer.prove(runner.sealing_key.public()).map(Into::into),
            Self::Given(_) => None,
        }
    }

    /// How often the identity with which it is travelled was replaced so far.
    fn replacements(&self) -> u64 {
        match self {
            Self::Dial(dialer) => dialer.replacements(),
            Self::Given(_) => 0,
        }
    }

    async fn replaced_since(&self, replacements: u64) {
        match self {
            Self::Dial(dialer) => dialer.replaced_since(replacements).await,
            Self::Given(_) => std::future::pending().await,
        }
    }

    /// What the collector says of its CAs.
    fn hear_of_trust(&self, digest: &[u8]) {
        if let Self::Dial(dialer) = self {
            dialer.hear_of_trust(digest);
        }
    }

    /// The collector does not take the identity with which it is travelled.
    fn refused(&self) {
        if let Self::Dial(dialer) = self {
            dialer.hear_of_refusal();
        }
    }

    /// A newer connection, once there is another identity than after so many replacements; not before `after`.
    async fn successor(&self, replacements: u64, after: Duration) -> (Channel, u64) {
        tokio::time::sleep(after).await;
        self.replaced_since(replacements).await;
        loop {
            let replacements = self.replacements();
            match self.connect().await {
                Ok(channel) => return (channel, replacements),
                Err(error) => tracing::warn!("no connection with the new certificate yet: {error}"),
            }
            tokio::time::sleep(SUCCESSOR_AGAIN).await;
        }
    }
}

/// Keeps the link up.
pub(crate) struct Link {
    pub(crate) road: Road,
    pub(crate) runner: Arc<Runner>,
    pub(crate) telemetry: Telemetry,
    /// Where the results of checks wait for the collector.
    pub(crate) spool: Option<Spool>,
    /// The checks that it repeats, if it takes any.
    pub(crate) routine: Option<RoutineHandle>,
    /// New at every start: tells a reconnect from a second agent of the same name.
    pub(crate) instance: Uuid,
}

/// Why a session ended. End of stream is never success.
#[derive(Debug)]
pub(crate) enum Ended {
    /// This process is to stop.
    Stopped,
    /// The collector stops, and says when to come back.
    Draining(Duration),
    /// The connection is lost, or never was.
    Lost(String),
    /// The collector does not take this agent's identity: a new token can change that.
    Refused(String),
    /// The collector does not want this agent: only a person can change that.
    Unwanted(String),
}

impl Ended {
    pub(crate) fn of_status(status: &Status) -> Self {
        let text = if status.message().is_empty() {
            parallax_identity::explain(status)
        } else {
            status.message().to_owned()
        };
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => Self::Refused(text),
            // ABORTED: another process took over with the same identity; two that dial at once would only take turns.
            Code::Aborted | Code::AlreadyExists => Self::Unwanted(text),
            Code::Unknown | Code::Internal | Code::Unavailable => {
                Self::Lost(format!("the connection broke: {text}"))
            }
            _ => Self::Lost(text),
        }
    }

    fn of_dial(error: &DialError) -> Self {
        if error.may_retry() {
            Self::Lost(error.to_string())
        } else {
            Self::Unwanted(error.to_string())
        }
    }
}

impl Link {
    /// Dials, serves, and dials again until `stop` is done.
    pub(crate) async fn keep(self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut backoff = Backoff::default();
        let mut told = Told::default();
        loop {
            let replacements = self.road.replacements();
            let (ended, lived) = self.once(stop.as_mut(), &mut told).await;
            let wait = match &ended {
                Ended::Stopped => return,
                Ended::Draining(after) => *after + backoff.next(lived, rand::random()),
                Ended::Lost(_) => backoff.next(lived, rand::random()),
                Ended::Refused(_) | Ended::Unwanted(_) => Backoff::after_refusal(rand::random()),
            };
            told.tell(&ended, wait);
            // Of an identity that was replaced meanwhile this is no news.
            if matches!(ended, Ended::Refused(_)) && self.road.replacements() == replacements {
                self.road.refused();
            }
            tokio::select! {
                () = stop.as_mut() => return,
                () = tokio::time::sleep(wait) => {}
                // An identity that was lost is back.
                () = self.road.replaced_since(replacements) => {}
            }
        }
    }

    /// One connection, from dialling to its end, and how long it was up.
    async fn once(
        &self,
        mut stop: std::pin::Pin<&mut impl Future<Output = ()>>,
        told: &mut Told,
    ) -> (Ended, Duration) {
        let replacements = self.road.replacements();
        let opened = tokio::select! {
            () = stop.as_mut() => return (Ended::Stopped, Duration::ZERO),
            opened = self.open() => opened,
        };
        let session = match opened {
            Ok(session) => session,
            Err(ended) => return (ended, Duration::ZERO),
        };
        told.up();
        let began = Instant::now();
        let ended = session.serve(stop, &self.road, replacements).await;
        (ended, began.elapsed())
    }

    async fn open(&self) -> Result<Session, Ended> {
        let channel = self
            .road
            .connect()
            .await
            .map_err(|error| Ended::of_dial(&error))?;
        Session::open(channel, self).await
    }
}

/// What was said last: a refusal that lasts is one line in the log, not one a minute.
#[derive(Debug, Default)]
struct Told(Option<String>);

impl Told {
    fn up(&mut self) {
        self.0 = None;
    }

    fn tell(&mut self, ended: &Ended, wait: Duration) {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        match ended {
            Ended::Stopped => {}
            Ended::Draining(_) => tracing::info!(wait_ms, "the collector stops; this agent comes back"),
            Ended::Lost(why) if self.0.as_ref() != Some(why) => {
                tracing::warn!(wait_ms, "no link to the collector: {why}");
                self.0 = Some(why.clone());
            }
            Ended::Refused(why) | Ended::Unwanted(why) if self.0.as_ref() != Some(why) => {
                tracing::error!(wait_ms, "the collector turns this agent away: {why}");
                self.0 = Some(why.clone());
            }
            Ended::Lost(why) | Ended::Refused(why) | Ended::Unwanted(why) => {
                tracing::debug!(wait_ms, "still no link to the collector: {why}");
            }
        }
    }
}

#[cfg(test)]
mod tests;
