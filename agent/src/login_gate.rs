//! One secret, tried by one connection at a time.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use parallax_model::fault::Fault;
use parallax_model::stage::Outcome;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};

use crate::circuit::Guarded;
use crate::clock;

/// Asks whoever watches over all agents of the run; an error says why the secret must not be tried.
pub(crate) type AskLeave =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// Lets the sessions of one probe try their common secret in turns: a wrong one is tried once.
pub(crate) struct LoginGate {
    leave: Arc<Mutex<Leave>>,
    ask: AskLeave,
    guarded: Option<Arc<Guarded>>,
}

enum Leave {
    NotAsked,
    Granted,
    Withheld(String),
}

/// Why a session gets no turn.
#[derive(Debug)]
pub(crate) enum NoTurn {
    /// Somebody else said so.
    Withheld(String),
    /// The server turned the secret down before.
    Known(Fault),
}

/// A session's turn. Dropping it passes it on.
pub(crate) struct Turn {
    leave: OwnedMutexGuard<Leave>,
    guarded: Option<Arc<Guarded>>,
    _alone: Option<OwnedMutexGuard<()>>,
}

impl LoginGate {
    /// A gate that asks `ask` once, before the first turn.
    pub(crate) fn new(ask: AskLeave, guarded: Option<Guarded>) -> Self {
        Self {
            leave: Arc::new(Mutex::new(Leave::NotAsked)),
            ask,
            guarded: guarded.map(Arc::new),
        }
    }

    /// Waits for a turn; an error says why there will be none.
    pub(crate) async fn turn(&self, until: Instant) -> Result<Turn, NoTurn> {
        let late = |_| NoTurn::Withheld("no leave to try the secret came in time".to_owned());
        timeout_at(until, self.unhurried_turn()).await.map_err(late)?
    }

    async fn unhurried_turn(&self) -> Result<Turn, NoTurn> {
        let mut leave = self.leave.clone().lock_owned().await;
        if matches!(*leave, Leave::NotAsked) {
            *leave = match (self.ask)().await {
                Ok(()) => Leave::Granted,
                Err(reason) => Leave::Withheld(reason),
            };
        }
        if let Leave::Withheld(reason) = &*leave {
            return Err(NoTurn::Withheld(reason.clone()));
        }
        // After the leave: whoever waits for that while it is alone here could wait for one that waits for it. And what
        // this agent knows of the secret is the answer that all others wait for.
        let mut alone = None;
        if let Some(guarded) = &self.guarded {
            alone = Some(guarded.alone().await);
            if let Err(known) = guarded.try_now(clock::now()) {
                *leave = Leave::Withheld(known.message.clone());
                return Err(NoTurn::Known(known));
            }
        }
        Ok(Turn {
            leave,
            guarded: self.guarded.clone(),
            _alone: alone,
        })
    }
}

impl Turn {
    /// Ends the turn with what became of the login. Whoever comes after a rejection is turned away.
    pub(crate) fn settle(mut self, address: IpAddr, outcome: &Outcome) {
        match outcome {
            Outcome::Ok | Outcome::Degraded(_) => {
                if let Some(guarded) = &self.guarded {
                    guarded.accepted();
                }
            }
            Outcome::Failed(fault) if fault.kind.is_about_the_secret() => {
                *self.leave =
                    Leave::Withheld(format!("the same secret was rejected at {address} a moment ago"));
                if let Some(guarded) = &self.guarded {
                    guarded.rejected(address, fault.kind, clock::now());
                }
            }
            Outcome::Failed(_) | Outcome::Skipped(_) | Outcome::NotReached => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use parallax_model::fault::{AuthFault, FaultKind};

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn gate(answer: Result<(), String>) -> (Arc<LoginGate>, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let ask: AskLeave = Box::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
            let answer = answer.clone();
            Box::pin(async move { answer })
        });
        (Arc::new(LoginGate::new(ask, None)), asked)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    fn failed(kind: AuthFault) -> Outcome {
        Outcome::Failed(Fault::new(FaultKind::Auth(kind), "no"))
    }

    #[tokio::test]
    async fn a_rejected_secret_is_not_tried_by_the_next_session() {
        let (gate, asked) = gate(Ok(()));
        let first = gate.turn(soon()).await.unwrap();
        let next = tokio::spawn({
            let gate = gate.clone();
            async move { gate.turn(soon()).await.err() }
        });
        first.settle(HERE, &failed(AuthFault::CredentialsRejected));
        let Some(NoTurn::Withheld(reason)) = next.await.unwrap() else {
            panic!("there is no turn")
        };
        assert!(reason.contains("rejected at 127.0.0.1"), "{reason}");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_secret_that_is_good_for_another_account_is_not_tried_again_either() {
        let (gate, _) = gate(Ok(()));
        let turn = gate.turn(soon()).await.unwrap();
        turn.settle(HERE, &failed(AuthFault::AuthorizationFailed));
        assert!(gate.turn(soon()).await.is_err());
    }

    #[tokio::test]
    async fn trouble_that_is_not_the_secrets_passes_the_turn_on() {
        let (gate, asked) = gate(Ok(()));
        gate.turn(soon())
            .await
            .unwrap()
            .settle(HERE, &failed(AuthFault::BackendUnavailable));
        drop(gate.turn(soon()).await.unwrap());
        gate.turn(soon()).await.unwrap().settle(HERE, &Outcome::Ok);
        assert!(gate.turn(soon()).await.is_ok());
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_is_withheld_is_withheld_from_all() {
        let (gate, asked) = gate(Err("rejected at another vantage point".into()));
        for _ in 0..2 {
            let Err(NoTurn::Withheld(reason)) = gate.turn(soon()).await else {
                panic!("there is no turn")
            };
            assert!(reason.contains("another vantage point"), "{reason}");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}
