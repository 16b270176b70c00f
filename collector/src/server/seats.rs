//! How many connections there may be: in all, and of one identity.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use parallax_model::identity::SpiffeId;

/// Counts the connections that are open.
pub(crate) struct Seats {
    in_all: usize,
    of_identity: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
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
            in_all,
            of_identity,
            taken: Mutex::default(),
        })
    }

    /// A seat for one more connection of `identity`.
    pub(crate) fn take(self: &Arc<Self>, identity: Option<&SpiffeId>) -> Result<Seat, Full> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.number >= self.in_all {
            return Err(Full::InAll);
        }
        if let Some(identity) = identity {
            let held = taken.by_identity.entry(identity.clone()).or_default();
            if *held >= self.of_identity {
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
}
