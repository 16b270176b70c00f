//! Agents whose clock is off.

use parallax_model::fault::{FaultKind, TlsFault};
use parallax_model::finding::{FindingKind, Segment, Severity};
use parallax_model::stage::StageName;

use crate::candidate::{Blame, Candidate};
use crate::command;
use crate::matrix::{CellId, Matrix};
use crate::trouble::TroubleId;
use crate::words;

/// From here on a clock is off enough to be worth a word, in milliseconds.
const OFF_MS: f64 = 60_000.0;

/// Claim: the certificate is valid by the collector's clock, and only this agent's clock makes it look expired or
/// not yet valid.
/// Disproved by: a chain that is not valid at the collector's time either, or a clock that was measured and right.
pub(crate) fn skewed_validity(matrix: &Matrix) -> Vec<Candidate> {
    matrix
        .answered()
        .filter_map(|vantage| {
            let offset = offset_ms(matrix, vantage);
            if offset.is_some_and(|offset| offset.abs() <= OFF_MS) {
                return None;
            }
            let troubles = matrix.troubles_where(|trouble| {
                trouble.vantage == vantage
                    && trouble.kind().is_some_and(is_validity)
                    && trouble.cell.is_some_and(|cell| valid_now(matrix, cell))
            });
            (!troubles.is_empty()).then(|| skew(matrix, vantage, offset, troubles))
        })
        .collect()
}

fn skew(matrix: &Matrix, vantage: usize, offset: Option<f64>, troubles: Vec<TroubleId>) -> Candidate {
    let name = matrix.name(vantage);
    let said = offset.map_or_else(
        || format!("{name}: the offset of its clock is not known"),
        |offset| format!("{name}: its clock is {}", off_by(offset)),
    );
    let confidence = if offset.is_some() { 0.95 } else { 0.6 };
    let validity = troubles
        .iter()
        .filter_map(|&id| matrix.troubles[id].cell)
        .filter_map(|cell| matrix.cell(cell).leaf())
        .map(|leaf| {
            format!(
                "the certificate is valid from {} to {}, and it is {} now",
                leaf.not_before, leaf.not_after, matrix.question.now
            )
        })
        .next();
    Candidate::new(matrix, FindingKind::AgentClockSkew, confidence, troubles)
        .severity(Severity::Warning)
        .blame(Blame::Agent)
        .segment(Segment::Agent)
        .summary(format!(
            "the clock of {name} is off: it calls a valid certificate expired or not yet valid"
        ))
        .because([said])
        .because(validity)
        .or(
            FindingKind::CertificateExpired,
            0.05,
            "the same certificate judged by another vantage point",
        )
        .next(set_clock(name))
}

/// Claim: an agent's clock is off, which has done no harm yet.
/// Disproved by: a right clock.
pub(crate) fn off(matrix: &Matrix) -> Vec<Candidate> {
    matrix
        .answered()
        .filter_map(|vantage| {
            let offset = offset_ms(matrix, vantage).filter(|offset| offset.abs() > OFF_MS)?;
            let harmed = matrix
                .troubles
                .iter()
                .any(|trouble| trouble.vantage == vantage && trouble.kind().is_some_and(is_validity));
            let name = matrix.name(vantage);
            (!harmed).then(|| {
                Candidate::new(matrix, FindingKind::AgentClockSkew, 0.95, [])
                    .severity(Severity::Info)
                    .blame(Blame::Agent)
                    .also([vantage])
                    .stage(StageName::Tls)
                    .segment(Segment::Agent)
                    .summary(format!("the clock of {name} is {}", off_by(offset)))
                    .because([format!("{name}: its clock is {}", off_by(offset))])
                    .next(set_clock(name))
            })
        })
        .collect()
}

/// Whether a fault rests on the agent's clock.
pub(crate) const fn is_validity(kind: FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::Tls(TlsFault::CertificateExpired | TlsFault::CertificateNotYetValid)
    )
}

fn valid_now(matrix: &Matrix, cell: CellId) -> bool {
    let now = matrix.question.now;
    matrix.cell(cell).handshake().is_some_and(|(_, facts)| {
        !facts.chain.is_empty()
            && facts
                .chain
                .iter()
                .all(|certificate| certificate.not_before <= now && now <= certificate.not_after)
    })
}

fn offset_ms(matrix: &Matrix, vantage: usize) -> Option<f64> {
    let offset = matrix.vantage(vantage).seen.clock?.offset_ms;
    offset.is_finite().then_some(offset)
}

fn off_by(offset_ms: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "saturates, which is as good here")]
    let span = words::span((offset_ms / 1e3) as i64);
    if offset_ms < 0.0 {
        format!("{span} behind the collector's")
    } else {
        format!("{span} ahead of the collector's")
    }
}

fn set_clock(name: &str) -> [String; 1] {
    [command::on(name, "timedatectl status; chronyc tracking")]
}
