//! What one probe is to do.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::credential::Mechanism;
use crate::kinds::kinds;
use crate::stage::StageName;
use crate::target::Target;
use crate::vantage::AgentName;

kinds! {
    /// How far a probe goes; each includes those before it.
    Depth, fallback Greeting {
        /// TCP only.
        Connect = "connect",
        /// And the TLS handshake.
        Tls = "tls",
        /// And greeting, CAPABILITY, STARTTLS where asked, ID, LOGOUT.
        Greeting = "greeting",
        /// And a login.
        Login = "login",
        /// And NAMESPACE, LIST, EXAMINE, FETCH of headers; reads only.
        Mailbox = "mailbox",
        /// And writes in a mailbox of its own.
        Sync = "sync",
    }
}

impl Depth {
    /// Whether a probe of this depth comes to a stage.
    pub const fn includes(self, stage: StageName) -> bool {
        let needs = match stage {
            StageName::Resolve | StageName::Connect => Self::Connect,
            StageName::Tls => Self::Tls,
            StageName::Greeting
            | StageName::Capability
            | StageName::Starttls
            | StageName::Id
            | StageName::Logout => Self::Greeting,
            StageName::Authenticate => Self::Login,
            StageName::Namespace | StageName::List | StageName::Select | StageName::Fetch => Self::Mailbox,
            StageName::Append | StageName::Sync | StageName::Idle | StageName::Hold => Self::Sync,
        };
        self as u8 >= needs as u8
    }
}

kinds! {
    /// Which address families are asked for and tried.
    FamilyChoice, fallback Any {
        /// Both.
        Any = "any",
        /// IPv4 only.
        Ipv4 = "ipv4",
        /// IPv6 only.
        Ipv6 = "ipv6",
    }
}

impl FamilyChoice {
    /// Whether an address is of a family asked for.
    pub const fn admits(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Ipv4 => address.is_ipv4(),
            Self::Ipv6 => address.is_ipv6(),
        }
    }
}

/// A login to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginSpec {
    /// User name.
    pub user: String,
    /// The mechanism to use; without one, the best that the server offers.
    pub mechanism: Option<Mechanism>,
}

kinds! {
    /// What is examined on request, beyond the depth.
    Examination, fallback Srv {
        /// SRV records of the mail domain (RFC 6186).
        Srv = "srv",
        /// TLSA records of the endpoints (RFC 6698), and whether the chain matches them.
        Tlsa = "tlsa",
        /// Whether a second handshake resumes the first.
        Resumption = "resumption",
        /// Whether a command sent in clear with STARTTLS is carried out behind TLS.
        StarttlsInjection = "starttls_injection",
        /// What a server says to a ClientHello made by hand, TLS 1.0 included.
        LegacyTls = "legacy_tls",
    }
}

kinds! {
    /// When the way to a target is traced. Not at all, unless it is said: a follow-up traces only what it is for.
    PathChoice, fallback Never {
        /// Not at all.
        Never = "never",
        /// Where something on the way fails.
        Auto = "auto",
        /// Always.
        Always = "always",
    }
}

#[expect(clippy::derivable_impls, reason = "the enum is made by a macro")]
impl Default for PathChoice {
    fn default() -> Self {
        Self::Never
    }
}

kinds! {
    /// Which attempts' packets are recorded, where an agent may: its own policy says that. None, unless it is said.
    CaptureChoice, fallback Never {
        /// None.
        Never = "never",
        /// Of those in which something was not ok.
        Auto = "auto",
        /// Of all.
        Always = "always",
    }
}

#[expect(clippy::derivable_impls, reason = "the enum is made by a macro")]
impl Default for CaptureChoice {
    fn default() -> Self {
        Self::Never
    }
}

/// What a probe does beyond its depth, on request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProbeOptions {
    /// A resolver to ask beside the host's own.
    pub resolver: Option<SocketAddr>,
    /// Further examinations.
    pub examine: Vec<Examination>,
    /// How long to keep the session open and quiet.
    pub hold: Option<Duration>,
    /// The agent whose session watches what this probe writes, at depth `sync`; without one, a second session of
    /// the same agent.
    pub sync_with: Option<AgentName>,
    /// When the way to the target is traced.
    pub path: PathChoice,
    /// Which attempts' packets are recorded.
    pub capture: CaptureChoice,
}

impl ProbeOptions {
    /// Whether an examination was asked for.
    pub fn examines(&self, what: Examination) -> bool {
        self.examine.contains(&what)
    }
}

/// The longest time for which a session is held: what RFC 9051 section 5.4 grants a client that is quiet.
pub const LONGEST_HOLD: Duration = Duration::from_secs(30 * 60);

/// What one probe is to do, as every agent of a run is told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSpec {
    /// What is probed.
    pub target: Target,
    /// How far it goes.
    pub depth: Depth,
    /// Which families.
    pub family: FamilyChoice,
    /// Addresses to use instead of resolving; empty to resolve.
    pub addresses: Vec<IpAddr>,
    /// Time for the whole probe on one agent.
    pub timeout: Duration,
    /// The login, from depth `login` on.
    pub login: Option<LoginSpec>,
    /// Trust anchors for the target's certificate beside the agent's own, DER.
    pub anchors: Vec<Vec<u8>>,
    /// What it does beyond its depth.
    pub options: ProbeOptions,
}

/// Time for a probe on one agent when nothing else is asked.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_depth_includes_those_before_it() {
        for pair in Depth::ALL.windows(2) {
            for &stage in StageName::ALL {
                assert!(
                    !pair[0].includes(stage) || pair[1].includes(stage),
                    "{:?} {stage}",
                    pair
                );
            }
        }
        assert!(!Depth::Greeting.includes(StageName::Authenticate));
        assert!(Depth::Mailbox.includes(StageName::Fetch));
        assert!(!Depth::Tls.includes(StageName::Logout));
    }
}
