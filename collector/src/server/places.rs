//! A few places for many who prove nothing: when all are taken, whoever holds most gives one up.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::source::Source;

/// Places that are given to whoever comes. There is no fixed share for a source: a thousand agents behind one
/// address come back at once and must get in, but never at the cost of one who comes from elsewhere.
pub(crate) struct Places {
    taken: Mutex<Taken>,
}

struct Taken {
    most: usize,
    next: u64,
    number: usize,
    by_source: BTreeMap<Source, BTreeMap<u64, oneshot::Sender<Infallible>>>,
}

/// A place, until it is dropped or another needs it more: it is ready once it is lost.
pub(crate) struct Place {
    places: Arc<Places>,
    source: Source,
    number: u64,
    kept: oneshot::Receiver<Infallible>,
}

impl Places {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            taken: Mutex::new(Taken {
                most,
                next: 0,
                number: 0,
                by_source: BTreeMap::new(),
            }),
        })
    }

    /// So many from now on. Those who have one keep it until somebody comes for whom there is none.
    pub(crate) fn change(&self, most: usize) {
        self.with(|taken| taken.most = most);
    }

    /// A place for somebody of `source`.
    pub(crate) fn take(self: &Arc<Self>, source: Source) -> Place {
        let (keep, kept) = oneshot::channel();
        let number = self.with(|taken| {
            while taken.number >= taken.most && taken.take_one_back() {}
            let number = taken.next;
            taken.next = taken.next.wrapping_add(1);
            taken.number += 1;
            taken.by_source.entry(source).or_default().insert(number, keep);
            number
        });
        Place {
            places: Arc::clone(self),
            source,
            number,
            kept,
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Taken) -> T) -> T {
        change(&mut self.taken.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Taken {
    /// The oldest of the source that holds most; of sources that hold as many, the one whose oldest is the oldest.
    /// Whether there was one.
    fn take_one_back(&mut self) -> bool {
        let holds_most = self
            .by_source
            .iter()
            .max_by_key(|(_, held)| (held.len(), std::cmp::Reverse(held.keys().next().copied())));
        let victim = holds_most.and_then(|(source, held)| Some((*source, *held.keys().next()?)));
        if let Some((source, number)) = victim {
            self.give_up(source, number);
        }
        victim.is_some()
    }

    fn give_up(&mut self, source: Source, number: u64) {
        let Some(held) = self.by_source.get_mut(&source) else {
            return;
        };
        if held.remove(&number).is_some() {
            self.number -= 1;
        }
        if held.is_empty() {
            self.by_source.remove(&source);
        }
    }
}

impl Future for Place {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.get_mut().kept).poll(context).map(|_| ())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.with(|taken| taken.give_up(self.source, self.number));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn source(last: u8) -> Source {
        Source::of([192, 0, 2, last].into())
    }

    fn lost(place: &mut Place) -> bool {
        place.now_or_never().is_some()
    }

    #[test]
    fn whoever_holds_most_gives_up_its_oldest() {
        let places = Places::new(4);
        let mut flood: Vec<_> = (0..3).map(|_| places.take(source(1))).collect();
        let mut other = places.take(source(2));
        let mut newcomer = places.take(source(3));
        assert!(lost(&mut flood[0]));
        assert!(!lost(&mut flood[1]) && !lost(&mut flood[2]) && !lost(&mut other) && !lost(&mut newcomer));
    }

    #[test]
    fn alone_a_source_may_have_all_and_pays_for_more_itself() {
        let places = Places::new(2);
        let mut all: Vec<_> = (0..3).map(|_| places.take(source(1))).collect();
        let lost: Vec<_> = all.iter_mut().map(lost).collect();
        assert_eq!(lost, [true, false, false]);
    }

    #[test]
    fn of_fewer_places_those_too_many_go_when_the_next_one_comes() {
        let places = Places::new(4);
        let mut all: Vec<_> = (0..4).map(|_| places.take(source(1))).collect();
        places.change(2);
        assert!(!all.iter_mut().any(lost));
        let mut newcomer = places.take(source(2));
        let gone: Vec<_> = all.iter_mut().map(lost).collect();
        assert_eq!(gone, [true, true, true, false]);
        assert!(!lost(&mut newcomer));
    }

    #[test]
    fn a_place_that_is_given_back_or_lost_is_free_once() {
        let places = Places::new(2);
        let first = places.take(source(1));
        let second = places.take(source(1));
        let mut third = places.take(source(2));
        drop(first);
        drop(second);
        let mut fourth = places.take(source(3));
        assert!(!lost(&mut third) && !lost(&mut fourth));
        drop((third, fourth));
        assert_eq!(places.with(|taken| (taken.number, taken.by_source.len())), (0, 0));
    }
}
