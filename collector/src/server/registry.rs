//! Every connection that is open and whose it is, so that one who is taken out is out at once.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use parallax_model::identity::SpiffeId;
use tokio::sync::oneshot;

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
    by_identity: HashMap<SpiffeId, BTreeMap<u64, oneshot::Sender<Infallible>>>,
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

    /// Keeps a connection in mind until the tether is dropped.
    pub(super) fn tether(self: &Arc<Self>, identity: &SpiffeId) -> Tether {
        let (held, cut) = oneshot::channel();
        let mut open = self.open();
        open.next += 1;
        let number = open.next;
        open.by_identity
            .entry(identity.clone())
            .or_default()
            .insert(number, held);
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
        let mut open = self.connections.open();
        if let Some(held) = open.by_identity.get_mut(&self.identity) {
            held.remove(&self.number);
            if held.is_empty() {
                open.by_identity.remove(&self.identity);
            }
        }
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
        let mut adas = [connections.tether(&ada), connections.tether(&ada)];
        let mut bobs = connections.tether(&bob);
        assert!(!adas[0].is_cut(&mut context));
        assert_eq!(connections.cut(&ada), 2);
        assert!(adas.iter_mut().all(|tether| tether.is_cut(&mut context)));
        assert!(!bobs.is_cut(&mut context) && connections.any_of(&bob));
        let again = connections.tether(&ada);
        drop(adas);
        assert!(
            connections.any_of(&ada),
            "one that came later is not forgotten with them"
        );
        drop((again, bobs));
        assert!(!connections.any_of(&ada) && !connections.any_of(&bob));
    }
}
