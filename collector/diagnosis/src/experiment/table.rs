//! What parts which explanations: the same rows say what to do next and what an alternative is told apart by.

use std::collections::BTreeMap;

use parallax_model::experiment::{CONTROL_PORT, Experiment, ExperimentKind, Variation};
use parallax_model::finding::{FindingKind, Segment};
use parallax_model::observation::Family;
use parallax_model::stage::StageName;
use parallax_model::target::{Endpoint, IMAP_PORT, Security};

use super::standing::PER_TROUBLE;
use crate::candidate::Candidate;
use crate::matrix::{CellId, Matrix};
use crate::overlay::trace;
use crate::symptom::Reach;

use ExperimentKind as Do;
use FindingKind as Is;

/// A rival less likely than this is not asked about.
const CLOSE: f64 = 0.05;

/// An explanation this sure is asked about no more.
const SURE: f64 = 0.85;

/// A name that no mail server has and nobody filters (RFC 2606 section 3).
const NEUTRAL_NAME: &str = "www.example.com";

/// What every host takes (RFC 9293 section 3.7.1).
const SMALL_MSS: u16 = 536;

/// Closed nearly everywhere, and known to whoever looks at packets.
const TRACEROUTE_PORT: u16 = 33434;

/// Connections one after another that part chance and limits from a fault that stays.
const SERIAL: u8 = 3;

/// Where a test is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Failing,
    /// Where it fails, and at one vantage point where it works.
    Both,
}

/// One test, and what it parts.
struct Test {
    one: &'static [FindingKind],
    other: &'static [FindingKind],
    kind: ExperimentKind,
    told_apart_by: &'static str,
    at: At,
    /// Whether it can say anything about this attempt.
    fits: fn(&Matrix, CellId) -> bool,
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
const TESTS: &[Test] = &[
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
        fits: broken_after_connect,
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
        ],
        other: &[Is::OnePathBroken, Is::OneBackendBroken, Is::PacketLoss],
        kind: Do::PortSweep,
        told_apart_by: "the same from many source ports, twice: a fault of one flow stays with its port",
        at: At::Failing,
        fits: some_work,
    },
];

/// What seems to be the server's and may be somebody's in front of it: who answers is asked however sure it looks.
const WHOSE: &[FindingKind] = &[
    Is::CertificateUntrusted,
    Is::CertificateSelfSigned,
    Is::StarttlsMissing,
    Is::WrongService,
];

/// Most vantage points that ask whose answer it is.
const ASK_WHOSE: usize = 2;

/// What is asked once the kind is known, to learn the place.
const PLACES: &[(FindingKind, ExperimentKind)] = &[
    (Is::MtuBlackHole, Do::PathSize),
    (Is::SniFiltered, Do::HelloLadder),
    (Is::TlsIntercepted, Do::Path),
    (Is::TlsIntercepted, Do::PathControl),
    (Is::StarttlsStripped, Do::Path),
    (Is::StarttlsStripped, Do::PathControl),
    (Is::Redirected, Do::Path),
    (Is::Redirected, Do::PathControl),
    (Is::RejectedWithIcmp, Do::Path),
    (Is::NoRoute, Do::Path),
];

/// What would tell a candidate apart from a rival, in the words of the test that is made for it, while it was not.
pub(crate) fn told_apart(matrix: &Matrix, candidate: &Candidate, rival: FindingKind) -> Option<&'static str> {
    let cells = cells(matrix, candidate);
    let open = |test: &&Test| {
        test.parts(candidate.kind, rival)
            && cells.iter().any(|&id| {
                let attempt = matrix.cell(id).attempt;
                let made = matrix.experiments_at(test.kind, attempt.address, attempt.endpoint);
                (test.fits)(matrix, id) && made.count() == 0
            })
    };
    TESTS.iter().find(open).map(|test| test.told_apart_by)
}

/// The tests that would part what was found from what else it could be, then those that would find its place.
pub(super) fn wishes(matrix: &Matrix, chosen: &[Candidate]) -> Vec<Experiment> {
    let parting = TESTS.iter().flat_map(|test| {
        chosen
            .iter()
            .filter(|candidate| open(candidate, test))
            .flat_map(|candidate| made_of(matrix, candidate, test))
    });
    let placing = PLACES.iter().flat_map(|&(found, kind)| {
        chosen
            .iter()
            .filter(move |candidate| candidate.kind == found && unplaced(candidate))
            .flat_map(move |candidate| {
                let cells = cells(matrix, candidate);
                places(matrix, &cells, kind, |_, _| true)
            })
    });
    let whose = chosen
        .iter()
        .filter(|candidate| WHOSE.contains(&candidate.kind))
        .flat_map(|candidate| {
            let cells = cells(matrix, candidate);
            let cells = &cells[..cells.len().min(ASK_WHOSE)];
            let mut wishes = places(matrix, cells, Do::Path, untraced);
            wishes.extend(places(matrix, cells, Do::PathControl, unreached));
            wishes
        });
    parting.chain(placing).chain(whose).collect()
}

fn unplaced(candidate: &Candidate) -> bool {
    candidate.location.segment == Segment::Unknown && candidate.location.after.is_none()
}

impl Test {
    fn parts(&self, one: FindingKind, other: FindingKind) -> bool {
        one != other
            && (self.one.contains(&one) && self.other.contains(&other)
                || self.one.contains(&other) && self.other.contains(&one))
    }
}

/// Whether a test would part a candidate from one of its close rivals.
fn open(candidate: &Candidate, test: &Test) -> bool {
    candidate.confidence < SURE
        && candidate
            .alternatives
            .iter()
            .any(|rival| rival.confidence >= CLOSE && test.parts(candidate.kind, rival.kind))
}

fn made_of(matrix: &Matrix, candidate: &Candidate, test: &Test) -> Vec<Experiment> {
    let cells = cells(matrix, candidate);
    let mut wishes = places(matrix, &cells, test.kind, test.fits);
    if test.kind == Do::AnswerTtl {
        let resets = wishes
            .iter()
            .filter(|_| cells.iter().any(|&id| matrix.cell(id).reach == Reach::Reset));
        let beside: Vec<Experiment> = resets.map(at_the_control_port).collect();
        wishes.extend(beside);
    }
    if test.at == At::Both
        && let Some(&first) = cells.first()
    {
        let works = |id: &CellId| matrix.cell(*id).reach == Reach::Connected && (test.fits)(matrix, *id);
        let witness: Vec<CellId> = matrix.beside(first).filter(works).take(1).collect();
        wishes.extend(places(matrix, &witness, test.kind, test.fits));
    }
    wishes
}

/// The same at a port of the host that is closed nearly everywhere, to compare with.
fn at_the_control_port(experiment: &Experiment) -> Experiment {
    Experiment {
        endpoint: Endpoint {
            port: CONTROL_PORT,
            security: Security::Plaintext,
        },
        ..experiment.clone()
    }
}

/// The attempts that a candidate explains, one for each vantage point and address.
fn cells(matrix: &Matrix, candidate: &Candidate) -> Vec<CellId> {
    let mut cells: Vec<CellId> = candidate
        .explains
        .iter()
        .filter_map(|&id| matrix.troubles[id].cell)
        .collect();
    cells.dedup();
    cells
}

/// One experiment at each attempt that it fits, at no more vantage points than needed.
fn places(
    matrix: &Matrix,
    cells: &[CellId],
    kind: ExperimentKind,
    fits: fn(&Matrix, CellId) -> bool,
) -> Vec<Experiment> {
    let mut per_column: BTreeMap<_, usize> = BTreeMap::new();
    let mut wishes = Vec::new();
    for &id in cells.iter().filter(|&&id| fits(matrix, id)) {
        let attempt = matrix.cell(id).attempt;
        let asked = per_column.entry((attempt.address, attempt.endpoint)).or_default();
        if *asked < PER_TROUBLE {
            *asked += 1;
            wishes.push(experiment(matrix, id, kind));
        }
    }
    wishes
}

fn experiment(matrix: &Matrix, id: CellId, kind: ExperimentKind) -> Experiment {
    let attempt = matrix.cell(id).attempt;
    let variation = Variation {
        source: (kind == Do::OtherSource)
            .then(|| another_source(matrix, id))
            .flatten(),
        server_name: (kind == Do::OtherSni).then(|| NEUTRAL_NAME.to_owned()),
        mss: (kind == Do::SmallMss).then_some(SMALL_MSS),
        repeat: (kind == Do::Serial).then_some(SERIAL),
        ..Variation::default()
    };
    let endpoint = match kind {
        Do::PathControl => Endpoint {
            port: CONTROL_PORT,
            security: Security::Plaintext,
        },
        Do::PathUdp => Endpoint {
            port: TRACEROUTE_PORT,
            security: Security::Plaintext,
        },
        Do::OtherPort => Endpoint {
            port: IMAP_PORT,
            security: Security::Starttls,
        },
        _ => attempt.endpoint,
    };
    let address = match kind {
        Do::OtherFamily => other_family(matrix, id).unwrap_or(attempt.address),
        _ => attempt.address,
    };
    Experiment {
        kind,
        agent: matrix.vantage(id.vantage).seen.agent.clone(),
        address,
        endpoint,
        variation,
    }
}

fn untraced(matrix: &Matrix, id: CellId) -> bool {
    trace::of(matrix, id).is_none()
}

/// Whether no path tells how far away the host is.
fn unreached(matrix: &Matrix, id: CellId) -> bool {
    trace::beside(matrix, id).next().is_none()
}

/// Whether the path of another port was traced and does not tell either.
fn silent_on_the_control_port(matrix: &Matrix, id: CellId) -> bool {
    !unreached(matrix, id) && trace::beside(matrix, id).all(|path| trace::answered_at(path).is_none())
}

fn reset(matrix: &Matrix, id: CellId) -> bool {
    matrix.cell(id).reach == Reach::Reset
        && trace::of(matrix, id).is_none_or(|path| path.answer_ttl.is_none())
}

fn connected(matrix: &Matrix, id: CellId) -> bool {
    matrix.cell(id).reach == Reach::Connected
}

fn failed_at(matrix: &Matrix, id: CellId) -> Option<StageName> {
    matrix.cell(id).attempt.failed_stage().map(|stage| stage.name)
}

fn stalled_early(matrix: &Matrix, id: CellId) -> bool {
    connected(matrix, id) && failed_at(matrix, id).is_some_and(|stage| stage <= StageName::Starttls)
}

fn stalled_late(matrix: &Matrix, id: CellId) -> bool {
    connected(matrix, id) && failed_at(matrix, id).is_some_and(|stage| stage > StageName::Starttls)
}

fn broken_after_connect(matrix: &Matrix, id: CellId) -> bool {
    connected(matrix, id)
}

fn has_another_source(matrix: &Matrix, id: CellId) -> bool {
    another_source(matrix, id).is_some()
}

/// An address of the same family from which this attempt was not made.
fn another_source(matrix: &Matrix, id: CellId) -> Option<std::net::IpAddr> {
    let cell = matrix.cell(id);
    let used = cell
        .connect()
        .and_then(|facts| facts.local)
        .map(|local| local.ip());
    let sources = &matrix.vantage(id.vantage).seen.network.source_addresses;
    sources
        .iter()
        .copied()
        .find(|&source| Family::of(source) == cell.family() && Some(source) != used)
}

/// Whether something else of the same vantage point and host works: then chance and limits are rivals.
fn some_work(matrix: &Matrix, id: CellId) -> bool {
    matrix
        .cells_of(id.vantage)
        .any(|other| other != id && matrix.cell(other).reach == Reach::Connected)
        || matrix
            .beside(id)
            .any(|other| matrix.cell(other).reach == Reach::Connected)
}

/// Whether the same source gets through otherwise, and no path says that these packets never do.
fn may_be_chance(matrix: &Matrix, id: CellId) -> bool {
    let beside = matrix
        .cells_of(id.vantage)
        .any(|other| other != id && matrix.cell(other).reach == Reach::Connected);
    let silent = matrix.cell(id).reach == Reach::Silent;
    let lost_for_good =
        silent && trace::of(matrix, id).is_some_and(|path| trace::answered_at(path).is_none());
    beside && !lost_for_good
}

fn other_port_unasked(matrix: &Matrix, id: CellId) -> bool {
    let attempt = matrix.cell(id).attempt;
    attempt.endpoint.security == Security::Tls
        && !matrix
            .cells_of(id.vantage)
            .any(|other| matrix.cell(other).attempt.endpoint.port == IMAP_PORT)
}

/// An address of the other family that somebody was given, and this vantage point did not try.
fn other_family(matrix: &Matrix, id: CellId) -> Option<std::net::IpAddr> {
    let cell = matrix.cell(id);
    let tried = |family| {
        matrix
            .cells_of(id.vantage)
            .any(|other| matrix.cell(other).family() == family)
    };
    let other = match cell.family() {
        Family::Ipv4 => Family::Ipv6,
        Family::Ipv6 => Family::Ipv4,
    };
    if tried(other) {
        return None;
    }
    matrix
        .columns()
        .into_iter()
        .find(|column| Family::of(column.address) == other && column.endpoint == cell.attempt.endpoint)
        .map(|column| column.address)
}
