//! When the agents of a run begin.

use std::time::{Duration, Instant};

use crate::runs::inquiry::Participant;

/// The slowest round trip and this, but never more than that.
const START_MARGIN: Duration = Duration::from_millis(20);
const START_AT_MOST: Duration = Duration::from_millis(500);

/// The round trip of an agent that has not measured one yet.
const UNMEASURED_RTT: Duration = Duration::from_millis(50);

/// All agents begin together, as soon as the slowest of them must have its order. One alone begins at once.
pub(super) fn common_start(participants: &[Participant], now: Instant) -> Option<Instant> {
    if participants.len() < 2 {
        return None;
    }
    let slowest = participants
        .iter()
        .map(|participant| participant.rtt.unwrap_or(UNMEASURED_RTT))
        .max()?;
    Some(now + (slowest + START_MARGIN).min(START_AT_MOST))
}
