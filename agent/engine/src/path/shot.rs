//! One packet, and what comes of it.

use std::time::Duration;

use parallax_model::evidence::IcmpError;

use crate::path::Traced;

/// A packet to send, the same flow as the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shot {
    /// Its time to live (RFC 791 section 3.1), or hop limit (RFC 8200 section 3).
    pub ttl: u8,
    /// The least with which an answer may arrive: one of less is dropped by this host, unseen (`IP_MINTTL` of ip(7)).
    pub least: Option<u8>,
    /// How long its answer is waited for.
    pub wait: Duration,
}

impl Shot {
    /// Enough hops to get anywhere.
    pub const FAR: u8 = 64;

    /// One that is to arrive.
    pub const fn arriving(wait: Duration) -> Self {
        Self {
            ttl: Self::FAR,
            least: None,
            wait,
        }
    }
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Send this, and tell what came of it.
    Shoot(Shot),
    /// Nothing, until then.
    Rest {
        /// From the start of the probe.
        until: Duration,
    },
    /// Everything is known that can be.
    Done(Traced),
}

/// What came of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// An ICMP error.
    Icmp(IcmpAnswer),
    /// The target takes the connection.
    SynAck {
        /// From sending to the answer.
        rtt: Duration,
    },
    /// A reset in the target's name.
    Reset {
        /// From sending to the answer.
        rtt: Duration,
    },
    /// The payload got an answer of its own.
    Answered {
        /// From sending to the answer.
        rtt: Duration,
    },
    /// The time to live was over, and nobody says where: what a system tells of an open connection.
    Expired {
        /// From sending to the answer.
        rtt: Duration,
    },
    /// Nothing in the time that was waited.
    Silence,
    /// It never left this host, by the name of an error number (errno(3)).
    NotSent(String),
}

/// An ICMP error, with what its packet says beside its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IcmpAnswer {
    /// Type, code and sender.
    pub error: IcmpError,
    /// From sending to the answer.
    pub rtt: Duration,
    /// The TTL with which the error itself arrived: how far its sender is, on the way back.
    pub reply_ttl: Option<u8>,
    /// The maximum segment size of our SYN as the sender quotes it (RFC 9293 section 3.7.1).
    pub mss: Option<u16>,
    /// The largest packet that the sender can pass on (RFC 1191 section 4, RFC 8201 section 3).
    pub mtu: Option<u32>,
}

impl IcmpAnswer {
    /// Whether a router says that the packet's time to live was over: the way goes on behind it.
    pub fn is_time_exceeded(&self) -> bool {
        let expected = if self.error.from.is_ipv6() { 3 } else { 11 };
        (self.error.kind, self.error.code) == (expected, 0)
    }

    /// Whether a host says that nothing listens at the port: whatever the packet was, it got there.
    pub fn is_port_unreachable(&self) -> bool {
        let meant = if self.error.from.is_ipv6() { (1, 4) } else { (3, 3) };
        (self.error.kind, self.error.code) == meant
    }

    /// Whether a router says that the packet was too long for the next link.
    pub fn is_too_big(&self) -> bool {
        if self.error.from.is_ipv6() {
            self.error.kind == 2
        } else {
            (self.error.kind, self.error.code) == (3, 4)
        }
    }
}
