//! What the outcome of a connection attempt says, before anybody asks why.

use std::net::IpAddr;
use std::time::Duration;

use parallax_model::evidence::{ConnectEvidence, Evidence, IcmpError, TcpInfo};
use parallax_model::fault::{AgentFault, Fault, FaultKind, TcpFault};
use parallax_model::observation::Attempt;
use parallax_model::stage::{Outcome, Stage, StageName};

/// A failed neighbour lookup (ARP, ND) takes Linux three probes a second apart; a rejecting rule answers at once.
const NEIGHBOUR_FAILURE: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(2400)..=Duration::from_millis(4600);

/// A connect that fails faster than this without any packet seen never left the host.
const AT_ONCE: Duration = Duration::from_micros(500);

/// How far a connection attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The handshake was completed.
    Connected,
    /// No answer of any kind.
    Silent,
    /// A TCP reset.
    Reset,
    /// An ICMP error of another host.
    Icmp(Icmp),
    /// The agent's own host.
    Local(Local),
    /// It failed in a way that says nothing about the path.
    Unclear,
    /// It was not tried.
    Untried,
}

/// An ICMP error, by what it claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Icmp {
    pub(crate) class: IcmpClass,
    pub(crate) from: Option<IpAddr>,
}

/// What an ICMP error claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum IcmpClass {
    /// The sender has no route.
    NoRoute,
    /// The sender can't deliver to the host, said at once.
    HostUnreachable,
    /// The sender looked for the host on its link and found nobody.
    HostDown,
    /// Port unreachable.
    Port,
    /// Administratively prohibited.
    Prohibited,
    /// The packet went round until its TTL was used up.
    Loop,
    /// Another code.
    Other,
}

/// A failure on the agent's own host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Local {
    /// The routing table has no way, or no usable source address.
    NoRoute,
    /// A prohibiting route or a security policy.
    Forbidden,
    /// The host's own filter rejected the packet.
    Filter(IpAddr),
    /// The next hop does not answer on the link.
    Gateway(IpAddr),
}

/// Reads the connect stage of an attempt.
pub(crate) fn reach(attempt: &Attempt) -> Reach {
    let Some(stage) = attempt.stage(StageName::Connect) else {
        return Reach::Untried;
    };
    match &stage.outcome {
        Outcome::Ok | Outcome::Degraded(_) => Reach::Connected,
        Outcome::Failed(fault) => failure(stage, fault),
        Outcome::Skipped(_) | Outcome::NotReached => Reach::Untried,
    }
}

fn failure(stage: &Stage, fault: &Fault) -> Reach {
    let facts = match &stage.evidence {
        Some(Evidence::Connect(facts)) => Some(facts),
        _ => None,
    };
    if let Some(icmp) = facts.and_then(|facts| facts.icmp.as_ref()) {
        return reported(stage, facts, icmp);
    }
    let slow = NEIGHBOUR_FAILURE.contains(&stage.duration);
    let unnamed = |class| Reach::Icmp(Icmp { class, from: None });
    match fault.kind {
        FaultKind::Tcp(TcpFault::TimedOut) => Reach::Silent,
        FaultKind::Agent(AgentFault::Deadline) if unanswered(stage) => Reach::Silent,
        FaultKind::Tcp(TcpFault::ConnectionRefused) if segments_in(stage) == Some(0) => {
            unnamed(IcmpClass::Port)
        }
        FaultKind::Tcp(
            TcpFault::ConnectionRefused | TcpFault::ConnectionReset | TcpFault::ConnectionClosed,
        ) => Reach::Reset,
        FaultKind::Tcp(TcpFault::LocalAddress) => Reach::Local(Local::NoRoute),
        FaultKind::Tcp(TcpFault::PermissionDenied) if unsent(stage) => Reach::Local(Local::Forbidden),
        FaultKind::Tcp(TcpFault::NetworkUnreachable | TcpFault::HostUnreachable) if unsent(stage) => {
            Reach::Local(Local::NoRoute)
        }
        FaultKind::Tcp(TcpFault::NetworkUnreachable) => unnamed(IcmpClass::NoRoute),
        FaultKind::Tcp(TcpFault::HostUnreachable) if slow => unnamed(IcmpClass::HostDown),
        FaultKind::Tcp(TcpFault::HostUnreachable) => unnamed(IcmpClass::HostUnreachable),
        FaultKind::Tcp(TcpFault::PermissionDenied) => unnamed(IcmpClass::Prohibited),
        FaultKind::Tcp(TcpFault::ProtocolUnreachable) => unnamed(IcmpClass::Other),
        _ => Reach::Unclear,
    }
}

fn reported(stage: &Stage, facts: Option<&ConnectEvidence>, icmp: &IcmpError) -> Reach {
    let slow = NEIGHBOUR_FAILURE.contains(&stage.duration);
    let own = facts
        .and_then(|facts| facts.local)
        .is_some_and(|local| local.ip() == icmp.from)
        || icmp.from.is_loopback();
    let class = icmp_class(icmp, slow);
    match (own, class) {
        (true, IcmpClass::HostDown) => Reach::Local(Local::Gateway(icmp.from)),
        (true, _) => Reach::Local(Local::Filter(icmp.from)),
        (false, _) => Reach::Icmp(Icmp {
            class,
            from: Some(icmp.from),
        }),
    }
}

/// ICMP codes of RFC 792 and RFC 1812 section 5.2.7.1, ICMPv6 codes of RFC 4443 section 3.
fn icmp_class(icmp: &IcmpError, slow: bool) -> IcmpClass {
    let unreachable = if slow {
        IcmpClass::HostDown
    } else {
        IcmpClass::HostUnreachable
    };
    match (icmp.from.is_ipv4(), icmp.kind, icmp.code) {
        (true, 3, 0 | 6 | 11) | (false, 1, 0 | 2) => IcmpClass::NoRoute,
        (true, 3, 1 | 7 | 12) | (false, 1, 3) => unreachable,
        (true, 3, 3) | (false, 1, 4) => IcmpClass::Port,
        (true, 3, 9 | 10 | 13) | (false, 1, 1 | 5 | 6) => IcmpClass::Prohibited,
        (true, 11, _) | (false, 3, _) => IcmpClass::Loop,
        _ => IcmpClass::Other,
    }
}

fn segments_in(stage: &Stage) -> Option<u32> {
    stage.tcp.as_ref().map(|tcp| tcp.segs_in)
}

/// The probe's time was over, and until then nothing had answered several SYNs.
fn unanswered(stage: &Stage) -> bool {
    stage
        .tcp
        .as_ref()
        .is_some_and(|tcp| tcp.segs_out > 2 && tcp.segs_in == 0)
}

fn unsent(stage: &Stage) -> bool {
    match &stage.tcp {
        Some(tcp) => tcp.segs_out == 0,
        None => stage.duration < AT_ONCE,
    }
}

/// Who lost the data of a connection that stands still, as the kernel's counters tell (tcp(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stall {
    /// What was sent is not acknowledged: it, or every answer, is lost on the way.
    Unacknowledged,
    /// The peer's kernel opened no window: a proxy answered for a server that it can't reach.
    ZeroWindow,
    /// Later segments came, the first did not: large packets are lost on the way here.
    OutOfOrder,
    /// The peer's kernel has everything; its program says nothing.
    Acknowledged,
    /// The counters are not known.
    Unknown,
}

/// Reads the counters of a stage that ran into its time limit.
pub(crate) fn stall(tcp: Option<&TcpInfo>) -> Stall {
    let Some(tcp) = tcp else {
        return Stall::Unknown;
    };
    if tcp.snd_wnd == Some(0) && tcp.bytes_acked <= 1 {
        Stall::ZeroWindow
    } else if tcp.rcv_ooopack > 0 {
        Stall::OutOfOrder
    } else if tcp.unacked > 0 && tcp.total_retransmits > 0 {
        Stall::Unacknowledged
    } else {
        Stall::Acknowledged
    }
}
