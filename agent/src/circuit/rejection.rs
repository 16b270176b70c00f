//! That a server turned a secret down, and when the same may be sent again.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::fault::{AuthFault, Fault, FaultKind};
use serde::{Deserialize, Serialize};

use crate::moment::Moment;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long it is remembered: by then the password was changed, or the account is watched by somebody.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How often a secret that was turned down is sent again on request. Whoever has the collector could lock the account
/// out else.
const BETWEEN_RETRIES: Duration = Duration::from_secs(10 * 60);
pub(super) const RETRIES_A_DAY: usize = 3;

/// That a server turned a secret down.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Rejection {
    pub(super) at: Moment,
    address: IpAddr,
    /// The kind of fault; a server's own words could have the secret in them.
    kind: String,
    /// When it was sent again since, on request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retried: Vec<Moment>,
    /// The last request to a check of which it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<Timestamp>,
}

impl Rejection {
    /// One more of a secret that may have been turned down before.
    pub(super) fn new(address: IpAddr, fault: FaultKind, at: Moment, before: Option<Self>) -> Self {
        let (retried, request) = before
            .map(|before| (before.retried, before.request))
            .unwrap_or_default();
        Self {
            at,
            address,
            kind: fault.as_str().to_owned(),
            retried,
            request,
        }
    }

    /// The same, of a login that was made while this request stood: that is fulfilled.
    pub(super) fn at_request(self, request: Option<Timestamp>) -> Self {
        Self {
            request: request.or(self.request),
            ..self
        }
    }

    /// Whether the secret was sent for this request already.
    pub(super) fn was_at_request(&self, request: Timestamp) -> bool {
        self.request == Some(request)
    }

    pub(super) fn stands(&self, now: &Moment) -> bool {
        self.at.age(now) < KEPT
    }

    /// Counts a retry, for a request if there is one, if there may be one now.
    pub(super) fn retry(&mut self, now: &Moment, request: Option<Timestamp>) -> Result<(), Fault> {
        self.retried.retain(|at| at.age(now) < DAY);
        if self.retried.iter().any(|at| at.age(now) < BETWEEN_RETRIES) {
            return Err(self.fault("it was sent again less than 10 minutes ago"));
        }
        if self.retried.len() >= RETRIES_A_DAY {
            return Err(self.fault("it was sent again 3 times in the last 24 hours"));
        }
        self.retried.push(now.clone());
        self.request = request.or(self.request);
        Ok(())
    }

    /// What the server answered, and why it is not asked again.
    pub(super) fn fault(&self, why: &str) -> Fault {
        let kind = FaultKind::Auth(AuthFault::from_name(&self.kind));
        let (address, at) = (self.address, self.at.at);
        Fault::new(
            kind,
            format!("the same secret was rejected at {address} on {at:.0}; {why}"),
        )
    }
}
