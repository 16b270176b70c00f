//! How many connections there may be: in all, and of one identity.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use parallax_model::identity::SpiffeId;

/// Counts the connections that are open.
pub(crate) struct Seats {
    taken: Mutex<Taken>,
}

struct Taken {
    in_all: usize,
    of_identity: usize,
    number: usize,
    by_identity: HashMap<SpiffeId, usize>,
}

/// One connection's, until it is dropped.
pub(crate) struct Seat {
    seats: Arc<Seats>,
    identity: Option<SpiffeId>,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The collector has as many connections as it may.
    InAll,
    /// This identity has.
    OfIdentity,
}

impl Full {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::InAll => "connections",
            Self::OfIdentity => "identity",
        }
    }
}

impl Seats {
    pub(crate) fn new(in_all: usize, of_identity: usize) -> Arc<Self> {
        Arc::new(Self {
            taken: Mutex::new(Taken {
                in_all,
                of_identity,
                number: 0,
                by_identity: HashMap::new(),
            }),
        })
    }

    /// So many from now on. Nobody who sits loses a seat: while there are more, none is given.
    pub(crate) fn change(&self, in_all: usize, of_identity: usize) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.in_all = in_all;
        taken.of_identity = of_identity;
    }

    /// A seat for one more connection of `identity`.
    pub(crate) fn take(self: &Arc<Self>, identity: Option<&SpiffeId>) -> Result<Seat, Full> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.number >= taken.in_all {
            return Err(Full::InAll);
        }
        if let Some(identity) = identity {
            let of_identity = taken.of_identity;
            let held = taken.by_identity.entry(identity.clone()).or_default();
            if *held >= of_identity {
                return Err(Full::OfIdentity);
            }
            *held += 1;
        }
        taken.number += 1;
        Ok(Seat {
            seats: Arc::clone(self),
            identity: identity.cloned(),
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.number -= 1;
        let Some(identity) = &self.identity else {
            return;
        };
        if let Some(held) = taken.by_identity.get_mut(identity) {
            *held -= 1;
            if *held == 0 {
                taken.by_identity.remove(identity);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use parallax_model::identity::Role;

    use super::*;

    fn agent(name: &str) -> SpiffeId {
        SpiffeId::built_in(Role::Agent, name.parse().unwrap())
    }

    #[test]
    fn one_identity_leaves_room_for_the_others() {
        let seats = Seats::new(4, 2);
        let held: Vec<_> = (0..2).map(|_| seats.take(Some(&agent("fra-1")))).collect();
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(seats.take(Some(&agent("fra-1"))).err(), Some(Full::OfIdentity));
        let other = seats.take(Some(&agent("fra-2")));
        let stranger = seats.take(None);
        assert!(other.is_ok() && stranger.is_ok());
        assert_eq!(seats.take(None).err(), Some(Full::InAll));
        drop(held);
        assert!(seats.take(Some(&agent("fra-1"))).is_ok());
    }

    #[test]
    fn fewer_seats_take_none_away_and_more_are_there_at_once() {
        let seats = Seats::new(4, 2);
        let held: Vec<_> = (0..2).map(|_| seats.take(Some(&agent("fra-1")))).collect();
        seats.change(2, 1);
        assert_eq!(seats.take(None).err(), Some(Full::InAll));
        seats.change(3, 1);
        assert_eq!(seats.take(Some(&agent("fra-1"))).err(), Some(Full::OfIdentity));
        seats.change(3, 3);
        let third = seats.take(Some(&agent("fra-1")));
        assert!(third.is_ok() && held.iter().all(Result::is_ok));
        drop((third, held));
        assert!(seats.take(None).is_ok());
    }
}
