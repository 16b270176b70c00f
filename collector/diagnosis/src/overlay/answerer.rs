//! Whose answer it is that an attempt got: the host's own, or that of somebody nearer.

use std::time::Duration;

use parallax_model::finding::{Location, Segment};
use parallax_model::path::{HopReply, Path};
use parallax_model::stage::StageName;

use super::{Place, behind, distance_beside, inside, lines, segment, trace};
use crate::matrix::{CellId, Matrix};
use crate::symptom::Reach;

/// Whose answer a reset, or a completed handshake, is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answerer {
    /// It can't be told.
    Unknown,
    /// As far away as the host, by its hop; sure where the time to live of the answer says the same.
    Host { sure: bool },
    /// Nearer than the host.
    Nearer(Place),
}

/// Who answered an attempt in the target's name: from the hop at which its port first answers and the time to live of
/// the answer, beside those of the host's other ports.
pub(crate) fn answerer(matrix: &Matrix, id: CellId) -> Answerer {
    match distance(matrix, id) {
        Distance::Unknown => Answerer::Unknown,
        Distance::Host { sure } => Answerer::Host { sure },
        Distance::Nearer { path, ttl } => Answerer::Nearer(answering(matrix, id, path, ttl)),
    }
}

/// So much longer is the way to the host than to somebody near: jitter makes less of a difference.
const FARTHER: Duration = Duration::from_millis(5);

/// How far away whoever answers is.
enum Distance<'a> {
    Unknown,
    Host {
        sure: bool,
    },
    /// Behind this hop.
    Nearer {
        path: &'a Path,
        ttl: u8,
    },
}

fn distance<'a>(matrix: &Matrix<'a>, id: CellId) -> Distance<'a> {
    if inside(matrix, id) && !answers_now(matrix, id) {
        return Distance::Host { sure: true };
    }
    let Some(path) = trace::of(matrix, id) else {
        return Distance::Unknown;
    };
    let Some(own) = trace::answered_at(path).filter(|_| !answers_now(matrix, id)) else {
        return Distance::Unknown;
    };
    let Some(host) = distance_beside(matrix, id) else {
        return if sooner(matrix, id) {
            Distance::Nearer {
                path,
                ttl: own.saturating_sub(1),
            }
        } else {
            Distance::Unknown
        };
    };
    let steps = hops_nearer(matrix, id, path);
    if own < host {
        Distance::Nearer {
            path,
            ttl: own.saturating_sub(1),
        }
    } else if let Some(steps) = steps.filter(|&steps| steps > 0) {
        Distance::Nearer {
            path,
            ttl: host.saturating_sub(steps),
        }
    } else if own == host {
        Distance::Host {
            sure: steps == Some(0),
        }
    } else {
        Distance::Unknown
    }
}

/// Whether connections to this port are made in a fraction of the time that the host's other ports need.
fn sooner(matrix: &Matrix, id: CellId) -> bool {
    let attempt = matrix.cell(id).attempt;
    let vantage = matrix.vantage(id.vantage);
    let follow_ups = vantage.follow_ups.iter().filter(|cell| cell.asks_of_the_path());
    let quickest = |own: bool| {
        let answered = vantage.cells.iter().chain(follow_ups.clone()).filter(|cell| {
            cell.attempt.address == attempt.address
                && (cell.attempt.endpoint.port == attempt.endpoint.port) == own
                && cell.reach == Reach::Connected
        });
        // The kernel's own measure: a busy host is late with everything else.
        answered
            .filter_map(|cell| Some(cell.attempt.stage(StageName::Connect)?.tcp.as_ref()?.rtt))
            .min()
    };
    match (quickest(true), quickest(false)) {
        (Some(own), Some(host)) => own * 5 < host && host - own > FARTHER,
        _ => false,
    }
}

/// Whether a connection was the host's: somebody nearer who accepts it, and behind whom nothing is served, says nothing of
/// the host.
pub(crate) fn reaches_the_host(matrix: &Matrix, id: CellId) -> bool {
    matrix.cell(id).reach == Reach::Connected
        && (matrix.served(id) || !matches!(distance(matrix, id), Distance::Nearer { .. }))
}

/// Whether the path shows a service that answers, where the attempt itself was refused or not answered.
pub(crate) fn answers_now(matrix: &Matrix, id: CellId) -> bool {
    matches!(matrix.cell(id).reach, Reach::Reset | Reach::Silent)
        && trace::of(matrix, id).is_some_and(|path| path.hops.iter().any(|hop| hop.reply == HopReply::SynAck))
}

/// Where somebody stands who answers these attempts in the target's name, as far as their paths tell.
pub(crate) fn in_front(matrix: &Matrix, cells: &[CellId]) -> Location {
    cells
        .iter()
        .find_map(|&id| match answerer(matrix, id) {
            Answerer::Nearer(place) => Some(place.location()),
            Answerer::Host { .. } | Answerer::Unknown => None,
        })
        .unwrap_or(Location::segment(Segment::Unknown))
}

/// The hop that answers, or the last before it that forwarded.
pub(super) fn answering(matrix: &Matrix, id: CellId, path: &Path, ttl: u8) -> Place {
    let router = trace::router_at(path, ttl)
        .or_else(|| trace::beside(matrix, id).find_map(|other| trace::router_at(other, ttl)));
    match router {
        Some(after) => {
            let mut place = behind(matrix, id, path, ttl, after);
            let next_is_the_host = distance_beside(matrix, id) == Some(ttl.saturating_add(1));
            if place.before == Some(path.address) && !next_is_the_host {
                // Others were answered in the target's name there too.
                place.before = None;
                place.segment = segment(matrix, id, ttl, after, None);
            }
            // A proxy takes what arrives, a filter what is forwarded: only the first stands at the hop that answers.
            let accepts_at = trace::answered_at(path).filter(|_| matrix.cell(id).reach == Reach::Connected);
            let last_before_the_host = accepts_at == ttl.checked_add(1)
                && distance_beside(matrix, id) == ttl.checked_add(2)
                && place.before.is_some_and(|before| before != path.address);
            if last_before_the_host && place.segment == Segment::Transit {
                place.segment = Segment::SiteEdge;
            }
            place
        }
        None => Place {
            segment: if ttl == 0 {
                Segment::VantageEdge
            } else {
                Segment::Unknown
            },
            after: None,
            ttl,
            before: trace::beside(matrix, id)
                .find_map(|other| trace::answers_at(other, ttl.saturating_add(1))),
            others_pass: false,
            at_home: ttl == 0,
            translated: false,
            lines: lines(matrix, id, path),
        },
    }
}

/// By how many hops fewer the answer of this port came than those of the host's other ports.
fn hops_nearer(matrix: &Matrix, id: CellId, path: &Path) -> Option<u8> {
    let own = path.answer_ttl.or_else(|| answer_ttl(matrix, id))?;
    let host = trace::beside(matrix, id)
        .filter_map(|other| other.answer_ttl)
        .min()?;
    own.checked_sub(host)
}

/// The time to live with which the port of an attempt answers.
fn answer_ttl(matrix: &Matrix, id: CellId) -> Option<u8> {
    let attempt = matrix.cell(id).attempt;
    trace::to(matrix, id.vantage, attempt.address)
        .filter(|path| path.port == attempt.endpoint.port)
        .find_map(|path| path.answer_ttl)
}
