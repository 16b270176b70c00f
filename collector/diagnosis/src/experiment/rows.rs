//! The table: which test parts which explanations, in what words, and where it is made.

use parallax_model::experiment::ExperimentKind;
use parallax_model::finding::FindingKind;

use super::fits::{
    another_key_beside, connected, has_another_source, may_be_chance, no_sign_of_life, other_family,
    other_port_unasked, refused_at_once, reset, silent_on_the_control_port, some_work, stalled_early,
    stalled_late, unreached, untraced, whatever_its_name,
};
use crate::matrix::{CellId, Matrix};

use ExperimentKind as Do;
use FindingKind as Is;

/// Where a test is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Failing,
    /// Where it fails, and at one vantage point where it works.
    Both,
}

/// One test, and what it parts.
pub(super) struct Test {
    pub(super) one: &'static [FindingKind],
    pub(super) other: &'static [FindingKind],
    pub(super) kind: ExperimentKind,
    pub(super) told_apart_by: &'static str,
    pub(super) at: At,
    /// Whether it can say anything about this attempt.
    pub(super) fits: fn(&Matrix, CellId) -> bool,
}

const REACH: &[FindingKind] = &[
    Is::PacketsDropped,
    Is::HostDown,
    Is::PortClosed,
    Is::RejectedWithReset,
    Is::FamilyBroken,
    Is::SourceBanned,
    Is::OneBackendBroken,
];
const UNANSWERED: &[FindingKind] = &[
    Is::PacketsDropped,
    Is::HostDown,
    Is::PortClosed,
    Is::RejectedWithReset,
    Is::RejectedWithIcmp,
    Is::FamilyBroken,
    Is::SourceBanned,
    Is::ReturnPathLost,
    Is::ServerOverloaded,
    Is::AgentLocalFirewall,
];
const HANDSHAKE: &[FindingKind] = &[Is::TlsHandshakeFailed, Is::StarttlsFailed];
const STALLED: &[FindingKind] = &[
    Is::TlsHandshakeFailed,
    Is::StarttlsFailed,
    Is::NoGreeting,
    Is::SessionDropped,
    Is::FetchFailed,
    Is::AppendFailed,
];

/// All of them, cheap and telling ones first.
pub(super) const TESTS: &[Test] = &[
    Test {
        one: REACH,
        other: UNANSWERED,
        kind: Do::Path,
        told_apart_by: "the path of the failing port beside that of a port, or of a vantage point, that works",
        at: At::Both,
        fits: untraced,
    },
    Test {
        one: REACH,
        other: UNANSWERED,
        kind: Do::PathControl,
        told_apart_by: "the path of the failing port beside that of another port of the host",
        at: At::Failing,
        fits: unreached,
    },
    Test {
        one: REACH,
        other: UNANSWERED,
        kind: Do::PathUdp,
        told_apart_by: "the path of the failing port beside that of UDP to the same host",
        at: At::Failing,
        fits: silent_on_the_control_port,
    },
    Test {
        one: &[Is::PortClosed, Is::RejectedWithReset],
        other: &[Is::PortClosed, Is::RejectedWithReset, Is::SourceBanned],
        kind: Do::AnswerTtl,
        told_apart_by: "how far away the reset is made, beside the host's answers on another port",
        at: At::Failing,
        fits: reset,
    },
    Test {
        one: HANDSHAKE,
        other: &[Is::SniFiltered, Is::ResetInjected],
        kind: Do::OtherSni,
        told_apart_by: "the same handshake with another server name",
        at: At::Failing,
        fits: connected,
    },
    Test {
        one: HANDSHAKE,
        other: &[Is::SniFiltered],
        kind: Do::NoSni,
        told_apart_by: "the same handshake without a server name",
        at: At::Failing,
        fits: connected,
    },
    Test {
        one: HANDSHAKE,
        other: &[
            Is::SniFiltered,
            Is::MtuBlackHole,
            Is::ResetInjected,
            Is::SourceBanned,
        ],
        kind: Do::NoAlpn,
        told_apart_by: "the same handshake with no protocol offered",
        at: At::Failing,
        fits: whatever_its_name,
    },
    Test {
        one: STALLED,
        other: &[Is::MtuBlackHole],
        kind: Do::SmallMss,
        told_apart_by: "the same handshake with small segments (MSS 536)",
        at: At::Failing,
        fits: stalled_early,
    },
    Test {
        one: STALLED,
        other: &[Is::MtuBlackHole, Is::FlowCut],
        kind: Do::LargeHello,
        told_apart_by: "a ClientHello of more than one packet: it stalls where large packets vanish",
        at: At::Failing,
        fits: stalled_late,
    },
    Test {
        one: &[Is::TlsHandshakeFailed, Is::StarttlsFailed, Is::SniFiltered],
        other: &[Is::ResetInjected],
        kind: Do::AnswerTtl,
        told_apart_by: "the time to live of the reset beside that of the SYN-ACK",
        at: At::Failing,
        fits: connected,
    },
    Test {
        one: &[
            Is::PacketsDropped,
            Is::RejectedWithReset,
            Is::RejectedWithIcmp,
            Is::SourceBanned,
            Is::TlsHandshakeFailed,
            Is::NoGreeting,
            Is::ServerSaidBye,
            Is::ClosedBeforeGreeting,
            Is::OneBackendBroken,
        ],
        other: &[
            Is::SourceBanned,
            Is::PacketsDropped,
            Is::ReturnPathLost,
            Is::OneBackendBroken,
            Is::ConnectionLimit,
            Is::RejectedWithIcmp,
        ],
        kind: Do::OtherSource,
        told_apart_by: "another source address at the same place, or the ban list on the mail host",
        at: At::Failing,
        fits: has_another_source,
    },
    Test {
        one: &[
            Is::RejectedWithReset,
            Is::PacketsDropped,
            Is::FamilyBroken,
            Is::TlsHandshakeFailed,
            Is::ClosedBeforeGreeting,
        ],
        other: &[
            Is::ConnectionLimit,
            Is::RateLimited,
            Is::PacketLoss,
            Is::OneBackendBroken,
            Is::OnePathBroken,
            Is::ServerOverloaded,
        ],
        kind: Do::Serial,
        told_apart_by: "the same attempt several times, one after another: a limit lets them through, a fault stays",
        at: At::Failing,
        fits: may_be_chance,
    },
    Test {
        one: &[Is::NoGreeting, Is::TlsHandshakeFailed],
        other: &[
            Is::ContentFiltered,
            Is::AsymmetricPath,
            Is::ResetInjected,
            Is::SniFiltered,
            Is::ServerOverloaded,
            Is::NoGreeting,
        ],
        kind: Do::OtherPort,
        told_apart_by: "the other IMAP port of the same host",
        at: At::Failing,
        fits: other_port_unasked,
    },
    Test {
        one: &[Is::PacketsDropped, Is::HostDown],
        other: &[Is::PacketsDropped, Is::HostDown],
        kind: Do::OtherPort,
        told_apart_by: "the other IMAP port of the same host: a strict filter lets nothing else through",
        at: At::Failing,
        fits: no_sign_of_life,
    },
    Test {
        one: &[
            Is::SourceBanned,
            Is::ServerSaidBye,
            Is::ClosedBeforeGreeting,
            Is::RejectedWithReset,
            Is::TlsHandshakeFailed,
        ],
        other: &[Is::ConnectionLimit, Is::RateLimited, Is::ServerOverloaded],
        kind: Do::Later,
        told_apart_by: "the same after a while: a limit passes, a ban stays",
        at: At::Failing,
        fits: refused_at_once,
    },
    Test {
        one: &[
            Is::TlsIntercepted,
            Is::Redirected,
            Is::CertificateNameMismatch,
            Is::CertificateExpired,
            Is::CertificateUntrusted,
            Is::CertificateSelfSigned,
        ],
        other: &[Is::OneBackendBroken],
        kind: Do::Serial,
        told_apart_by: "several connections from one place: a balancer shows both certificates",
        at: At::Failing,
        fits: another_key_beside,
    },
    Test {
        one: &[Is::PacketsDropped, Is::HostDown],
        other: &[Is::FamilyBroken, Is::HostDown, Is::PacketsDropped],
        kind: Do::OtherFamily,
        told_apart_by: "the name's address of the other family",
        at: At::Failing,
        fits: |matrix, id| other_family(matrix, id).is_some(),
    },
    Test {
        one: &[Is::PacketsDropped, Is::HostDown, Is::FamilyBroken],
        other: &[Is::AgentNetworkDown],
        kind: Do::ControlTarget,
        told_apart_by: "whether the agent reaches its control target",
        at: At::Failing,
        fits: |matrix, id| matrix.vantage(id.vantage).seen.network.control.is_none(),
    },
    Test {
        one: &[
            Is::OnePathBroken,
            Is::OneBackendBroken,
            Is::RejectedWithReset,
            Is::PacketsDropped,
            Is::SourceBanned,
        ],
        other: &[Is::OnePathBroken, Is::OneBackendBroken, Is::PacketLoss],
        kind: Do::PortSweep,
        told_apart_by: "the same from many source ports, twice: a fault of one flow stays with its port",
        at: At::Failing,
        fits: some_work,
    },
];

/// What seems to be the server's and may be somebody's in front of it: who answers is asked however sure it looks.
pub(super) const WHOSE: &[FindingKind] = &[
    Is::CertificateUntrusted,
    Is::CertificateSelfSigned,
    Is::StarttlsMissing,
    Is::WrongService,
    Is::SourceBanned,
];

/// Most vantage points that ask whose answer it is.
pub(super) const ASK_WHOSE: usize = 2;

/// What is asked once the kind is known, to learn the place.
pub(super) const PLACES: &[(FindingKind, ExperimentKind)] = &[
    (Is::MtuBlackHole, Do::PathSize),
    (Is::SniFiltered, Do::HelloLadder),
    (Is::ContentFiltered, Do::HelloLadder),
    (Is::ResetInjected, Do::HelloLadder),
    (Is::TlsIntercepted, Do::Path),
    (Is::TlsIntercepted, Do::PathControl),
    (Is::StarttlsStripped, Do::Path),
    (Is::StarttlsStripped, Do::PathControl),
    (Is::Redirected, Do::Path),
    (Is::Redirected, Do::PathControl),
    (Is::RejectedWithIcmp, Do::Path),
    (Is::NoRoute, Do::Path),
];

impl Test {
    /// Whether it parts these two.
    pub(super) fn parts(&self, one: FindingKind, other: FindingKind) -> bool {
        one != other
            && (self.one.contains(&one) && self.other.contains(&other)
                || self.one.contains(&other) && self.other.contains(&one))
    }
}
