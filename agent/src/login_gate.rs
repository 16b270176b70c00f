//! One secret, tried by one connection at a time.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use parallax_model::evidence::Evidence;
use parallax_model::fault::{Fault, FaultKind, ImapFault};
use parallax_model::stage::{Outcome, Stage};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};

use crate::circuit::Guarded;
use crate::moment::Moment;

/// Asks whoever watches over all agents of the run; an error says why the secret must not be tried.
pub(crate) type AskLeave =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), NoTurn>> + Send>> + Send + Sync>;

/// Lets the sessions of one probe try their common secret in turns: a wrong one is tried once.
pub(crate) struct LoginGate {
    leave: Arc<Mutex<Leave>>,
    ask: AskLeave,
    guarded: Option<Arc<Guarded>>,
}

enum Leave {
    NotAsked,
    Granted,
    /// The server took the secret.
    Accepted,
    /// Nobody gets a turn any more.
    Over(NoTurn),
}

/// Why a session gets no turn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NoTurn {
    /// Somebody else said so.
    Withheld(String),
    /// The server turned the secret down before.
    Known(Fault),
}

/// A session's turn. Dropping it passes it on; without an answer the secret may have counted as a try, and goes to no
/// other address unless the operator asked for it.
pub(crate) struct Turn {
    leave: OwnedMutexGuard<Leave>,
    guarded: Option<Arc<Guarded>>,
    address: IpAddr,
    answered: bool,
    /// Whether it is written down that no answer came.
    noted: bool,
    alone: Option<OwnedMutexGuard<()>>,
}

impl Leave {
    const fn withheld(reason: String) -> Self {
        Self::Over(NoTurn::Withheld(reason))
    }
}

/// What the server said to a login.
enum Answer {
    Accepted,
    /// In this way.
    Rejected(FaultKind),
    /// Something that is not about the secret.
    Undecided,
    /// Nothing, although the secret was sent; this came instead.
    None(FaultKind),
}

/// What is said of a login whose end nobody saw.
const NO_ANSWER: FaultKind = FaultKind::Imap(ImapFault::Timeout);

impl LoginGate {
    /// A gate that asks `ask` once, before the first turn.
    pub(crate) fn new(ask: AskLeave, guarded: Option<Guarded>) -> Self {
        Self {
            leave: Arc::new(Mutex::new(Leave::NotAsked)),
            ask,
            guarded: guarded.map(Arc::new),
        }
    }

    /// Waits for a turn to log in at an address; an error says why there will be none.
    pub(crate) async fn turn(&self, address: IpAddr, until: Instant) -> Result<Turn, NoTurn> {
        let late = |_| NoTurn::Withheld("no leave to try the secret came in time".to_owned());
        timeout_at(until, self.unhurried_turn(address))
            .await
            .map_err(late)?
    }

    async fn unhurried_turn(&self, address: IpAddr) -> Result<Turn, NoTurn> {
        let mut leave = self.leave.clone().lock_owned().await;
        if matches!(*leave, Leave::NotAsked) {
            *leave = match (self.ask)().await {
                Ok(()) => Leave::Granted,
                Err(why) => Leave::Over(why),
            };
        }
        if let Leave::Over(why) = &*leave {
            return Err(why.clone());
        }
        // After the leave: whoever waits for that while it is alone here could wait for one that waits for it. And what
        // this agent knows of the secret is the answer that all others wait for.
        let mut alone = None;
        if let Some(guarded) = &self.guarded {
            alone = Some(guarded.alone().await);
            if let Err(known) = guarded.try_now(Moment::now()).await {
                *leave = Leave::Over(NoTurn::Withheld(known.message.clone()));
                return Err(NoTurn::Known(known));
            }
        }
        Ok(Turn {
            leave,
            guarded: self.guarded.clone(),
            address,
            answered: false,
            noted: false,
            alone,
        })
    }
}

impl Turn {
    /// Ends the turn with what became of the login. Whoever comes after a rejection is turned away, and comes only when
    /// that is on disk.
    pub(crate) async fn settle(mut self, login: &Stage) {
        let answer = Answer::of(login);
        self.answered = !matches!(answer, Answer::None(_));
        match answer {
            Answer::Accepted => {
                *self.leave = Leave::Accepted;
                if let Some(guarded) = &self.guarded {
                    guarded.accepted().await;
                }
            }
            Answer::Rejected(kind) => {
                let address = self.address;
                *self.leave =
                    Leave::withheld(format!("the same secret was rejected at {address} a moment ago"));
                if let Some(guarded) = &self.guarded {
                    guarded.rejected(address, kind, Moment::now()).await;
                }
            }
            Answer::Undecided => {
                if let Some(guarded) = &self.guarded {
                    guarded.undecided().await;
                }
            }
            Answer::None(kind) => {
                self.noted = true;
                if let Some(guarded) = &self.guarded {
                    guarded.unanswered(self.address, kind, Moment::now()).await;
                }
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(guarded) = &self.guarded
            && !self.answered
            && !self.noted
        {
            guarded.given_up(self.address, NO_ANSWER, Moment::now(), self.alone.take());
        }
        let insists = self.guarded.as_ref().is_some_and(|guarded| guarded.insists());
        if !self.answered && !insists && matches!(*self.leave, Leave::Granted) {
            let address = self.address;
            *self.leave = Leave::withheld(format!(
                "the same secret was sent to {address} a moment ago and no answer came; it may have counted, and is \
                 sent to another address only with --retry-login"
            ));
        }
    }
}

impl Answer {
    fn of(login: &Stage) -> Self {
        let reply = match &login.evidence {
            Some(Evidence::Authenticate(facts)) => facts.reply.as_ref(),
            _ => None,
        };
        match &login.outcome {
            Outcome::Ok | Outcome::Degraded(_) => Self::Accepted,
            Outcome::Failed(fault) if fault.kind.is_about_the_secret() => Self::Rejected(fault.kind),
            Outcome::Failed(fault) if matches!(fault.kind, FaultKind::Auth(_)) => Self::Undecided,
            // What went wrong came after the login.
            Outcome::Failed(_) if reply.is_some_and(|reply| reply.status == "OK") => Self::Accepted,
            // A BYE says that the connection ends, and nothing of the secret.
            Outcome::Failed(_) if reply.is_some_and(|reply| reply.status != "BYE") => Self::Undecided,
            Outcome::Failed(fault) => Self::None(fault.kind),
            Outcome::Skipped(_) | Outcome::NotReached => Self::None(NO_ANSWER),
        }
    }
}

#[cfg(test)]
mod tests;
