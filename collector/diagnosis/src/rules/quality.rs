//! Ways that lose packets or hold them up: connections that are made late, segments that are sent again, and sessions that
//! go on all the same.

use std::time::Duration;

use parallax_model::fault::{AgentFault, FaultKind, ImapFault, TcpFault, TlsFault};
use parallax_model::finding::{FindingKind, Segment, Severity};
use parallax_model::stage::StageName;

use super::history;
use crate::candidate::Candidate;
use crate::command;
use crate::matrix::{Cell, CellId, Matrix};
use crate::symptom::Reach;
use crate::trouble::TroubleId;
use crate::words;

const SERIAL: &str =
    "the same attempt several times, one after another: a limit lets them through, loss does not";

/// A handshake that takes this long while the connection was made at once is held up.
const HELD_UP: Duration = Duration::from_millis(500);

/// A session without a login that takes this long is slow for whoever waits.
const LONG: Duration = Duration::from_millis(1500);

/// Losses in so many stages of one session are no beginning.
const OFTEN: usize = 3;

/// So much longer a round trip is when packets wait in a queue.
const QUEUED: Duration = Duration::from_millis(200);

/// What one vantage point's connections say of the way.
#[derive(Debug, Clone, Default)]
struct Signs {
    /// Connections that took more than one SYN.
    late: Vec<String>,
    /// Sessions that went on after a segment was sent again.
    resent: Vec<String>,
    /// Of those, sessions that were connected at once and then went slowly.
    held_up: usize,
    /// Of those, sessions whose round trips became many times as long as that of their SYN.
    swollen: usize,
    connected: usize,
    /// Whether one session lost something in stage after stage: a full line does so at its beginning only.
    often: bool,
    /// SYNs sent again for one connection, at most.
    most_syns: u32,
}

impl Signs {
    fn of(matrix: &Matrix, vantage: usize) -> Self {
        let seen = matrix.vantage(vantage);
        let mut signs = Self::default();
        // Follow-ups come on top of each other where the rate is held down, and would look like loss.
        for id in matrix.cells_of(vantage) {
            let cell = matrix.cell(id);
            if cell.reach != Reach::Connected {
                continue;
            }
            signs.connected += 1;
            let syns = cell
                .connect()
                .and_then(|facts| facts.syn_retransmits)
                .unwrap_or(0);
            signs.most_syns = signs.most_syns.max(syns);
            signs.often |= stages_with_losses(cell) >= OFTEN;
            let name = seen.name();
            if syns > 0 {
                signs.late.push(format!(
                    "{name}: connected to {} in {}, after {} sent again",
                    cell.socket(),
                    words::time(cell.connect_time().unwrap_or_default()),
                    words::count(syns as usize, "SYN")
                ));
            }
            if let Some((again, slowest)) = sent_again(cell).filter(|&(again, _)| again > syns) {
                signs.resent.push(format!(
                    "{name}: {} sent again in the session with {}, which went on",
                    words::count((again - syns) as usize, "segment"),
                    cell.socket()
                ));
                let held_up = slowest >= HELD_UP && !history::always_so(matrix, id, slowest);
                signs.held_up += usize::from(syns == 0 && held_up);
                signs.swollen += usize::from(syns == 0 && held_up && swollen(cell));
            }
        }
        signs
    }

    fn total(&self) -> usize {
        self.late.len() + self.resent.len()
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        self.late.iter().chain(&self.resent).cloned()
    }
}

/// Whether a connection took more than one SYN, or a segment of its session was sent again and it went on.
pub(super) fn lost_something(cell: &Cell) -> bool {
    let syns = cell.connect().and_then(|facts| facts.syn_retransmits);
    cell.reach == Reach::Connected && (syns > Some(0) || sent_again(cell).is_some_and(|(again, _)| again > 0))
}

/// Stages that worked although a segment was sent again in them.
fn stages_with_losses(cell: &Cell) -> usize {
    let counts: Vec<u32> = cell
        .attempt
        .stages
        .iter()
        .filter(|stage| cell.passed(stage.name))
        .filter_map(|stage| Some(stage.tcp.as_ref()?.total_retransmits))
        .collect();
    counts.windows(2).filter(|pair| pair[1] > pair[0]).count()
}

/// Segments sent again before a stage that worked after the connection, and the longest such stage.
fn sent_again(cell: &Cell) -> Option<(u32, Duration)> {
    cell.attempt
        .stages
        .iter()
        .filter(|stage| stage.name > StageName::Connect && cell.passed(stage.name))
        .filter_map(|stage| Some((stage.tcp.as_ref()?.total_retransmits, stage.duration)))
        .reduce(|one, other| (one.0.max(other.0), one.1.max(other.1)))
}

/// Whether a session took long because its segments queued: the host acknowledges at once however slow its program is, so
/// that only a line that is full makes its round trips this much longer.
fn swollen(cell: &Cell) -> bool {
    let later = cell
        .attempt
        .stages
        .iter()
        .filter(|stage| stage.name > StageName::Connect);
    let took: Duration = later.clone().map(|stage| stage.duration).sum();
    let longest = later.filter_map(|stage| Some(stage.tcp.as_ref()?.rtt)).max();
    let first = cell.connect_time().unwrap_or_default();
    took >= LONG && longest.is_some_and(|longest| longest >= first * 5 && longest >= first + QUEUED)
}

/// Claim: packets are lost at random: connections take several SYNs and sessions several sendings, and go on. Late
/// connections alone, among several made at once, are more likely a limit on their rate.
/// Disproved by: connections made one after another that need nothing twice (then it is a limit), or sessions that go
/// slowly though no SYN is lost (then they are held up).
pub(crate) fn lossy(matrix: &Matrix) -> Vec<Candidate> {
    let signs: Vec<(usize, Signs)> = matrix
        .answered()
        .map(|vantage| (vantage, Signs::of(matrix, vantage)))
        .collect();
    let some_late = signs.iter().any(|(_, signs)| !signs.late.is_empty());
    let (losing, others): (Vec<_>, Vec<_>) = signs.into_iter().partition(|(_, signs)| {
        let mixed = some_late && signs.total() >= 2 && !signs.resent.is_empty();
        // A slow line sends its first segments again as well, so two sessions say little without a SYN that was lost.
        // No limit holds back the only connection of a source, and one SYN is lost now and then.
        let alone = signs.most_syns > 1 && signs.late.len() == signs.connected;
        mixed || alone || signs.often || signs.resent.len() > 2 && signs.held_up == 0
    });
    let limited: Vec<_> = others
        .iter()
        .filter(|(_, signs)| {
            !signs.late.is_empty() && signs.resent.is_empty() && signs.connected > signs.late.len()
        })
        .cloned()
        .collect();
    let held_up: Vec<_> = others
        .into_iter()
        .filter(|(_, signs)| !some_late && signs.held_up > 0 && signs.held_up == signs.resent.len())
        .collect();
    candidate(matrix, FindingKind::PacketLoss, &losing)
        .into_iter()
        .chain(candidate(matrix, FindingKind::RateLimited, &limited))
        .chain(
            candidate(matrix, FindingKind::Throttled, &held_up).filter(|found| {
                let swollen = held_up.iter().any(|(_, signs)| signs.swollen > 0);
                swollen || !found.explains.is_empty()
            }),
        )
        .collect()
}

fn candidate(matrix: &Matrix, kind: FindingKind, seen: &[(usize, Signs)]) -> Option<Candidate> {
    let vantages: Vec<usize> = seen.iter().map(|&(vantage, _)| vantage).collect();
    let first = *vantages.first()?;
    let signs: usize = seen.iter().map(|(_, signs)| signs.total()).sum();
    let troubles = chance(matrix, &vantages);
    let names = matrix.names(&vantages);
    let attempt = matrix.cells_of(first).next().map(|id| matrix.cell(id).attempt)?;
    let confidence = match (kind, signs) {
        (FindingKind::RateLimited, _) => 0.6,
        (_, 0..=2) => 0.7,
        (_, 3) => 0.8,
        (_, _) => 0.92,
    };
    let phrase = match kind {
        FindingKind::PacketLoss => {
            "packets get lost: connections and sessions go on only when they are sent again"
        }
        FindingKind::RateLimited => {
            "of several connections made at once some are answered only when they try again"
        }
        _ => "connections are made at once and then go slowly: the rate is held down",
    };
    let sockets = matrix
        .cells()
        .filter(|id| vantages.contains(&id.vantage))
        .map(|id| matrix.cell(id).socket());
    let found = Candidate::new(matrix, kind, confidence, troubles)
        .also(vantages.iter().copied())
        .sockets(sockets)
        .stage(StageName::Connect)
        .segment(Segment::Unknown)
        .summary(format!(
            "between {} and {} {phrase}",
            words::list(&names),
            matrix.host()
        ))
        .because(crate::fact::first(
            seen.iter().flat_map(|(_, signs)| signs.lines()),
        ))
        .told_apart_by(SERIAL)
        .next([
            command::on(
                matrix.name(first),
                &format!(
                    "mtr -n -T -P {} -c 50 -r {}",
                    attempt.endpoint.port, attempt.address
                ),
            ),
            command::on(
                &attempt.address.to_string(),
                "tc -s qdisc; nft list ruleset | grep -n limit; nstat -az TcpRetransSegs",
            ),
        ]);
    let found = if found.explains.is_empty() {
        found.severity(Severity::Warning)
    } else {
        found
    };
    Some(match kind {
        FindingKind::PacketLoss => found.or(FindingKind::RateLimited, 0.05, SERIAL).or(
            FindingKind::Throttled,
            0.03,
            "the time per byte at another vantage point",
        ),
        FindingKind::RateLimited => {
            found
                .or(FindingKind::PacketLoss, 0.2, SERIAL)
                .or(FindingKind::ConnectionLimit, 0.15, SERIAL)
        }
        _ => found.or(FindingKind::PacketLoss, 0.05, SERIAL).or(
            FindingKind::ServerOverloaded,
            0.03,
            "the load of the mail host",
        ),
    })
}

/// What time alone made fail at these vantage points.
fn chance(matrix: &Matrix, vantages: &[usize]) -> Vec<TroubleId> {
    matrix.troubles_where(|trouble| {
        vantages.contains(&trouble.vantage)
            && trouble.cell.is_some_and(|cell| lost(matrix, cell))
            && trouble.kind().is_some_and(|kind| {
                matches!(
                    kind,
                    FaultKind::Tcp(TcpFault::TimedOut)
                        | FaultKind::Tls(TlsFault::TimedOut)
                        | FaultKind::Imap(ImapFault::Timeout | ImapFault::Slow)
                        | FaultKind::Agent(AgentFault::Deadline)
                )
            })
    })
}

fn lost(matrix: &Matrix, cell: CellId) -> bool {
    matches!(matrix.cell(cell).reach, Reach::Connected | Reach::Silent)
}
