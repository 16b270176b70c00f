//! That no answer came to a login, and when what repeats by itself sends the same secret again.

use std::net::IpAddr;
use std::time::Duration;

use jiff::SignedDuration;
use parallax_model::fault::{Fault, FaultKind};
use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// After the first in a row: a connection breaks now and then.
const AFTER_ONE: Duration = Duration::from_secs(60);
/// After each further one. Many servers close an account that fails five times within 30 minutes.
const AFTER_MORE: Duration = Duration::from_secs(10 * 60);
/// How long it is remembered; one that comes later is not in a row with it.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// That a secret was sent and no answer came: it may have counted as a wrong one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Silence {
    pub(super) at: Moment,
    address: IpAddr,
    /// What came instead of an answer: the layer and the kind of the fault.
    layer: String,
    kind: String,
    /// How many in a row, with this one.
    times: u32,
}

impl Silence {
    /// One more after those before it, if there were some.
    pub(super) fn new(address: IpAddr, fault: FaultKind, at: Moment, before: Option<&Self>) -> Self {
        let before = before.filter(|before| before.stands(&at));
        Self {
            times: before.map_or(1, |before| before.times.saturating_add(1)),
            at,
            address,
            layer: fault.layer().as_str().to_owned(),
            kind: fault.as_str().to_owned(),
        }
    }

    pub(super) fn stands(&self, now: &Moment) -> bool {
        self.at.age(now) < KEPT
    }

    /// What is said of a login that is not made yet; none when it is time again.
    pub(super) fn holds_back(&self, now: &Moment) -> Option<Fault> {
        let wait = if self.times > 1 { AFTER_MORE } else { AFTER_ONE };
        if self.at.age(now) >= wait {
            return None;
        }
        let (address, at) = (self.address, self.at.at);
        let again = SignedDuration::try_from(wait)
            .ok()
            .and_then(|wait| at.checked_add(wait).ok())
            .unwrap_or(at);
        Some(Fault::new(
            FaultKind::from_names(&self.layer, &self.kind),
            format!(
                "no answer came to the login at {address} on {at:.0}; it may have counted, and the secret is sent again \
                 after {again:.0}"
            ),
        ))
    }
}
