//! Every connection that is open and whose it is, so that one who is taken out is out at once.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use parallax_identity::Clients;
use parallax_model::identity::SpiffeId;
use rustls::pki_types::CertificateDer;
use tokio::sync::oneshot;
use tracing::info;

/// For a last word to get through before its connection ends.
const LAST_WORD: Duration = Duration::from_millis(300);

/// The connections that are open.
#[derive(Default)]
pub(crate) struct Connections {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    by_identity: HashMap<SpiffeId, BTreeMap<u64, Held>>,
}

/// One connection: dropped, it ends.
struct Held {
    _alive: oneshot::Sender<Infallible>,
    /// What was shown when it was made; nothing inside the process.
    chain: Arc<[CertificateDer<'static>]>,
}

impl Connections {
    /// Whether somebody is connected.
    pub(crate) fn any_of(&self, identity: &SpiffeId) -> bool {
        self.open().by_identity.contains_key(identity)
    }

    /// Ends every connection of somebody, with every call on it; how many there were.
    pub(crate) fn cut(&self, identity: &SpiffeId) -> u32 {
        let ended = self.open().by_identity.remove(identity).unwrap_or_default();
        u32::try_from(ended.len()).unwrap_or(u32::MAX)
    }

    /// The same, for one to whom a last word is under way. Whoever is told to go takes no part from then on; the
    /// connection only stays for it to hear why.
    pub(crate) fn cut_after_last_word(&self, identity: &SpiffeId) -> u32 {
        let ended = self.open().by_identity.remove(identity).unwrap_or_default();
        let number = u32::try_from(ended.len()).unwrap_or(u32::MAX);
        tokio::spawn(async move {
            tokio::time::sleep(LAST_WORD).await;
            drop(ended);
        });
        number
    }

    /// Ends the connections of those whom these do not vouch for, although others did once; how many there were.
    pub(super) async fn cut_unless(self: &Arc<Self>, clients: Clients) -> usize {
        let all: Vec<_> = {
            let open = self.open();
            let each = open.by_identity.iter().flat_map(|(id, held)| {
                held.iter()
                    .map(|(number, held)| (id.clone(), *number, Arc::clone(&held.chain)))
            });
            each.collect()
        };
        // Thousands of signatures, while others are served.
        let judged = tokio::task::spawn_blocking(move || {
            let unknown = |(_, _, chain): &(_, _, Arc<[CertificateDer<'static>]>)| {
                !chain.is_empty() && !clients.vouch_for(chain)
            };
            all.into_iter().filter(unknown).collect::<Vec<_>>()
        });
        let unknown = judged.await.unwrap_or_default();
        let mut open = self.open();
        for (identity, number, _) in &unknown {
            open.let_go(identity, *number);
        }
        if !unknown.is_empty() {
            info!(
                connections = unknown.len(),
                "cut: their CA is not trusted any more"
            );
        }
        unknown.len()
    }

    /// Keeps a connection in mind until the tether is dropped.
    pub(super) fn tether(
        self: &Arc<Self>,
        identity: &SpiffeId,
        chain: Arc<[CertificateDer<'static>]>,
    ) -> Tether {
        let (alive, cut) = oneshot::channel();
        let mut open = self.open();
        open.next += 1;
        let number = open.next;
        open.by_identity
            .entry(identity.clone())
            .or_default()
            .insert(number, Held { _alive: alive, chain });
        Tether {
            connections: Arc::clone(self),
            identity: identity.clone(),
            number,
            cut,
            is_cut: false,
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn let_go(&mut self, identity: &SpiffeId, number: u64) {
        if let Some(held) = self.by_identity.get_mut(identity) {
            held.remove(&number);
            if held.is_empty() {
                self.by_identity.remove(identity);
            }
        }
    }
}

/// What holds one connection.
pub(super) struct Tether {
    connections: Arc<Connections>,
    identity: SpiffeId,
    number: u64,
    cut: oneshot::Receiver<Infallible>,
    is_cut: bool,
}

impl Tether {
    /// Whether the connection has to end; if not, whoever polls is woken when it has to.
    pub(super) fn is_cut(&mut self, context: &mut Context<'_>) -> bool {
        if !self.is_cut {
            self.is_cut = matches!(Pin::new(&mut self.cut).poll(context), Poll::Ready(_));
        }
        self.is_cut
    }
}

impl Drop for Tether {
    fn drop(&mut self) {
        self.connections.open().let_go(&self.identity, self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn who_is_cut_loses_every_connection_and_nobody_else_one() {
        let connections = Arc::new(Connections::default());
        let id = |text: &str| -> SpiffeId { text.parse().unwrap() };
        let (ada, bob) = (
            id("spiffe://parallax.internal/admin/ada"),
            id("spiffe://parallax.internal/admin/bob"),
        );
        let mut context = Context::from_waker(Waker::noop());
        let tether = |id: &SpiffeId| connections.tether(id, Arc::default());
        let mut adas = [tether(&ada), tether(&ada)];
        let mut bobs = tether(&bob);
        assert!(!adas[0].is_cut(&mut context));
        assert_eq!(connections.cut(&ada), 2);
        assert!(adas.iter_mut().all(|tether| tether.is_cut(&mut context)));
        assert!(!bobs.is_cut(&mut context) && connections.any_of(&bob));
        let again = tether(&ada);
        drop(adas);
        assert!(
            connections.any_of(&ada),
            "one that came later is not forgotten with them"
        );
        drop((again, bobs));
        assert!(!connections.any_of(&ada) && !connections.any_of(&bob));
    }
}
