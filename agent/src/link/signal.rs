//! What sessions of different agents say to each other, on its way over the link.

use std::net::SocketAddr;
use std::time::Duration;

use parallax_model::signal::{Signal, SignalKind};
use parallax_proto::v1;
use tokio::time::Instant;

use crate::link::offset::Offset;
use crate::partner::{Heard, Word};

/// A word of a synchronisation is a name or a reason; more bytes than this are neither.
const TEXT: usize = 1024;
/// How far a time may be off while the clocks have not been compared: an answer to a heartbeat takes no longer.
const NOT_COMPARED: Duration = Duration::from_secs(1);

/// The clocks of both ends of a link, as far as they are known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks<'a> {
    /// Our monotonic clock counts from here.
    pub(super) began: Instant,
    pub(super) offset: &'a Offset,
}

impl Clocks<'_> {
    fn uncertainty(&self) -> Duration {
        self.offset
            .uncertainty_us()
            .map_or(NOT_COMPARED, Duration::from_micros)
    }

    fn to_theirs(self, at: Instant) -> u64 {
        let ours = at.saturating_duration_since(self.began).as_micros();
        let theirs = u64::try_from(ours)
            .ok()
            .and_then(|ours| self.offset.to_theirs(ours));
        theirs.unwrap_or_default()
    }

    fn to_ours(self, at_us: u64) -> Option<Instant> {
        let ours = self.offset.to_ours(at_us).filter(|_| at_us > 0)?;
        self.began.checked_add(Duration::from_micros(ours))
    }
}

/// What a session of this agent says.
pub(super) fn to_wire(
    order: &str,
    attempt: Option<SocketAddr>,
    signal: Signal,
    at: Instant,
    clocks: Clocks<'_>,
) -> v1::Signal {
    v1::Signal {
        order_id: order.to_owned(),
        kind: signal.kind.to_string(),
        subject: signal.subject,
        detail: signal.detail,
        at_us: clocks.to_theirs(at),
        uncertainty_us: micros(clocks.uncertainty()),
        attempt: attempt.map(|attempt| attempt.to_string()).unwrap_or_default(),
    }
}

/// What a session of another agent said; `None` when it makes no sense here.
pub(super) fn from_wire(wire: v1::Signal, clocks: Clocks<'_>) -> Option<Heard> {
    if wire.subject.len() > TEXT || wire.detail.len() > TEXT {
        return None;
    }
    let attempt = match wire.attempt.as_str() {
        "" => None,
        text => Some(text.parse().ok()?),
    };
    let (at, off) = match clocks.to_ours(wire.at_us) {
        Some(at) => (at, clocks.uncertainty()),
        None => (Instant::now(), NOT_COMPARED),
    };
    let signal = Signal {
        kind: SignalKind::known(&wire.kind)?,
        subject: wire.subject,
        detail: wire.detail,
    };
    Some(Heard {
        attempt,
        word: Word {
            signal,
            at,
            uncertainty: Duration::from_micros(wire.uncertainty_us).saturating_add(off),
        },
    })
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
