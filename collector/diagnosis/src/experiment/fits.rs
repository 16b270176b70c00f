//! Whether a test can say anything about an attempt, and what it is made with.

use std::net::IpAddr;
use std::time::Duration;

use parallax_model::experiment::ExperimentKind;
use parallax_model::observation::Family;
use parallax_model::stage::StageName;
use parallax_model::target::{Endpoint, IMAP_PORT, IMAPS_PORT, Security};

use crate::matrix::{CellId, Matrix};
use crate::overlay::trace;
use crate::symptom::Reach;
use crate::varied::{self, Varied};

/// A refusal within this time waited for nothing.
const AT_ONCE: Duration = Duration::from_secs(1);

pub(super) fn untraced(matrix: &Matrix, id: CellId) -> bool {
    trace::of(matrix, id).is_none()
}

/// Whether no path tells how far away the host is.
pub(super) fn unreached(matrix: &Matrix, id: CellId) -> bool {
    trace::beside(matrix, id).next().is_none()
}

/// Whether the path of another port was traced and does not tell either.
pub(super) fn silent_on_the_control_port(matrix: &Matrix, id: CellId) -> bool {
    !unreached(matrix, id) && trace::beside(matrix, id).all(|path| trace::answered_at(path).is_none())
}

pub(super) fn reset(matrix: &Matrix, id: CellId) -> bool {
    matrix.cell(id).reach == Reach::Reset
        && trace::of(matrix, id).is_none_or(|path| path.answer_ttl.is_none())
}

pub(super) fn connected(matrix: &Matrix, id: CellId) -> bool {
    matrix.cell(id).reach == Reach::Connected
}

/// Whether the hello fails with another name in it, or with none, as it did with the right one.
pub(super) fn whatever_its_name(matrix: &Matrix, id: CellId) -> bool {
    [ExperimentKind::OtherSni, ExperimentKind::NoSni]
        .into_iter()
        .any(|kind| varied::with(matrix, id, kind) == Varied::Same)
}

pub(super) fn failed_at(matrix: &Matrix, id: CellId) -> Option<StageName> {
    matrix.cell(id).attempt.failed_stage().map(|stage| stage.name)
}

pub(super) fn stalled_early(matrix: &Matrix, id: CellId) -> bool {
    connected(matrix, id) && failed_at(matrix, id).is_some_and(|stage| stage <= StageName::Starttls)
}

pub(super) fn stalled_late(matrix: &Matrix, id: CellId) -> bool {
    connected(matrix, id) && failed_at(matrix, id).is_some_and(|stage| stage > StageName::Starttls)
}

pub(super) fn has_another_source(matrix: &Matrix, id: CellId) -> bool {
    another_source(matrix, id).is_some()
}

/// An address of the same family from which this attempt was not made.
pub(super) fn another_source(matrix: &Matrix, id: CellId) -> Option<IpAddr> {
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
pub(super) fn some_work(matrix: &Matrix, id: CellId) -> bool {
    let works = |other| matrix.cell(other).reach == Reach::Connected;
    matrix.connects_otherwise(id) || matrix.beside(id).any(works)
}

/// Whether the same source gets through otherwise, and no path says already whether these packets ever do.
pub(super) fn may_be_chance(matrix: &Matrix, id: CellId) -> bool {
    let told_by_its_path = matrix.cell(id).reach == Reach::Silent && trace::of(matrix, id).is_some();
    matrix.connects_otherwise(id) && !told_by_its_path
}

/// The other IMAP port of the host, where nobody at this vantage point asked for it.
pub(super) fn other_port(matrix: &Matrix, id: CellId) -> Option<Endpoint> {
    let attempt = matrix.cell(id).attempt;
    let other = match attempt.endpoint.security {
        Security::Tls => Endpoint {
            port: IMAP_PORT,
            security: Security::Starttls,
        },
        Security::Starttls => Endpoint {
            port: IMAPS_PORT,
            security: Security::Tls,
        },
        Security::Plaintext => return None,
    };
    let asked = matrix
        .cells_of(id.vantage)
        .any(|other_cell| matrix.cell(other_cell).attempt.endpoint.port == other.port);
    (attempt.endpoint.port != other.port && !asked).then_some(other)
}

pub(super) fn other_port_unasked(matrix: &Matrix, id: CellId) -> bool {
    other_port(matrix, id).is_some()
}

/// Whether nothing of the host was heard at all, though another port was asked: a strict filter lets only mail through.
pub(super) fn no_sign_of_life(matrix: &Matrix, id: CellId) -> bool {
    matrix.cell(id).reach == Reach::Silent
        && other_port_unasked(matrix, id)
        && silent_on_the_control_port(matrix, id)
        && !matrix
            .beside(id)
            .any(|other| matrix.cell(other).reach == Reach::Connected)
}

/// Whether the refusal came at once, where the same host serves somebody: a limit passes, a ban stays.
pub(super) fn refused_at_once(matrix: &Matrix, id: CellId) -> bool {
    let quick = matrix
        .cell(id)
        .attempt
        .failed_stage()
        .is_some_and(|stage| stage.duration < AT_ONCE);
    quick && (matrix.connects_otherwise(id) || matrix.beside(id).any(|other| matrix.served(other)))
}

/// Whether others are shown another certificate at the same address, so that a balancer is a rival.
pub(super) fn another_key_beside(matrix: &Matrix, id: CellId) -> bool {
    let Some(leaf) = matrix.cell(id).leaf() else {
        return false;
    };
    matrix.beside(id).any(|other| {
        let there = matrix.cell(other).leaf();
        there.is_some_and(|there| there.spki_sha256 != leaf.spki_sha256)
    })
}

/// An address of the other family that somebody was given, and this vantage point did not try.
pub(super) fn other_family(matrix: &Matrix, id: CellId) -> Option<IpAddr> {
    let cell = matrix.cell(id);
    let tried = |family| {
        matrix
            .cells_of(id.vantage)
            .any(|other| matrix.cell(other).family() == family)
    };
    let other = cell.family().other();
    if tried(other) {
        return None;
    }
    matrix
        .columns()
        .into_iter()
        .find(|column| Family::of(column.address) == other && column.endpoint == cell.attempt.endpoint)
        .map(|column| column.address)
}
