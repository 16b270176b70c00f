//! Which addresses this agent itself was given for a name.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A round of experiments comes soon after its probe, and names move.
const FRESH: Duration = Duration::from_secs(600);
/// Names and addresses kept; the oldest goes.
const ROOM: usize = 1024;

/// What look-ups of this agent's own brought lately. An order may bring any address for a name, so a rule for the name
/// speaks only of these.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<HashMap<(String, IpAddr), Instant>>);

impl Seen {
    /// Keeps what a name came to.
    pub(crate) fn keep(&self, name: &str, addresses: impl IntoIterator<Item = IpAddr>, now: Instant) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, at| is_fresh(*at, now));
        for address in addresses {
            if seen.len() >= ROOM
                && let Some(oldest) = seen.iter().min_by_key(|(_, at)| **at).map(|(key, _)| key.clone())
            {
                seen.remove(&oldest);
            }
            seen.insert((key(name), address.to_canonical()), now);
        }
    }

    /// Whether the name came to this address.
    pub(crate) fn has(&self, name: &str, address: IpAddr, now: Instant) -> bool {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = seen.get(&(key(name), address.to_canonical()));
        at.is_some_and(|at| is_fresh(*at, now))
    }
}

fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn is_fresh(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < FRESH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_speaks_for_its_own_name_and_for_a_while() {
        let (seen, now) = (Seen::default(), Instant::now());
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        seen.keep("imap.example.org", [address], now);
        assert!(seen.has("IMAP.example.org", "::ffff:192.0.2.1".parse().unwrap(), now));
        assert!(!seen.has("imap.example.com", address, now));
        assert!(!seen.has("imap.example.org", "192.0.2.2".parse().unwrap(), now));
        assert!(!seen.has("imap.example.org", address, now + FRESH));
    }

    #[test]
    fn a_flood_of_names_takes_no_more_than_its_room() {
        let (seen, now) = (Seen::default(), Instant::now());
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        for (name, after) in (0..2000_u64).zip(0..) {
            seen.keep(
                &format!("{name}.example"),
                [address],
                now + Duration::from_millis(after),
            );
        }
        assert!(seen.0.lock().unwrap().len() <= ROOM);
        assert!(seen.has("1999.example", address, now + Duration::from_secs(2)));
    }
}
