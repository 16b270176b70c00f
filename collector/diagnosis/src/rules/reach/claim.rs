//! What is claimed of one column, merged with the same claim about others.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use parallax_model::finding::{Alternative, FindingKind, Location};
use parallax_model::stage::StageName;

use super::column::{View, vantages};
use crate::candidate::{Blame, Candidate};
use crate::command;
use crate::fact;
use crate::matrix::{CellId, Matrix};
use crate::symptom::Reach;
use crate::trouble::TroubleId;
use crate::words;

/// One claim about connections that are not made.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) kind: FindingKind,
    pub(super) confidence: f64,
    pub(super) blame: Blame,
    pub(super) cells: Vec<CellId>,
    /// Whether nobody connects there.
    pub(super) everywhere: bool,
    pub(super) location: Location,
    /// What happens to the packets: the second half of the summary.
    pub(super) phrase: String,
    pub(super) because: Vec<String>,
    pub(super) alternatives: Vec<Alternative>,
    pub(super) told_apart_by: &'static str,
    pub(super) next_steps: Vec<String>,
}

impl Claim {
    /// A claim about some cells of a column, with what they and the witnesses saw.
    pub(super) fn new(view: &View, kind: FindingKind, confidence: f64, cells: &[CellId]) -> Self {
        let seen = cells.iter().map(|&id| fact::reach(view.matrix, id));
        let mut because = fact::first(seen);
        because.extend(view.witness_lines());
        because.extend(view.sign_lines());
        Self {
            kind,
            confidence,
            blame: Blame::Target,
            cells: cells.to_vec(),
            everywhere: view.witnesses.is_empty() && view.connected.is_empty(),
            location: Location::segment(parallax_model::finding::Segment::Unknown),
            phrase: String::new(),
            because,
            alternatives: Vec::new(),
            told_apart_by: "",
            next_steps: Vec::new(),
        }
    }

    pub(super) fn or(mut self, kind: FindingKind, confidence: f64, told_apart_by: &str) -> Self {
        self.alternatives.push(Alternative {
            kind,
            confidence,
            told_apart_by: told_apart_by.to_owned(),
        });
        self
    }

    pub(super) fn at(mut self, location: Location) -> Self {
        self.location = location;
        self
    }

    pub(super) fn phrase(mut self, phrase: impl Into<String>) -> Self {
        self.phrase = phrase.into();
        self
    }

    pub(super) fn told_apart_by(mut self, test: &'static str) -> Self {
        self.told_apart_by = test;
        self
    }

    pub(super) fn next(mut self, steps: impl IntoIterator<Item = String>) -> Self {
        self.next_steps.extend(steps);
        self
    }

    /// Where to look when packets vanish between a vantage point and the host.
    pub(super) fn next_on_the_path(self, view: &View) -> Self {
        let Some(first) = self.cells.first() else {
            return self;
        };
        let name = view.matrix.name(first.vantage).to_owned();
        let (address, port) = (view.address, view.endpoint.port);
        self.next([
            command::on(&name, &command::trace(address, port)),
            command::on(
                &name,
                &format!("{}; {}", command::route(address), command::filter(port)),
            ),
            command::on(&address.to_string(), &command::capture(address, port)),
        ])
    }

    /// Whether two claims are one, about several addresses: those whom one concerns and not the other did not try the
    /// other's addresses, or had no way to them.
    pub(super) fn is_the_same(&self, matrix: &Matrix, other: &Self) -> bool {
        let flows = self.is_of_some_flows();
        let same_place = self.location.segment == other.location.segment;
        if self.is_side_by_side(other) {
            return true;
        }
        self.kind == other.kind
            && (flows || self.everywhere == other.everywhere && same_place)
            && (flows || self.covers(matrix, other) && other.covers(matrix, self))
    }

    /// Whether two routers say the same behind one hop: equal ways, and chance decides who is answered by which.
    fn is_side_by_side(&self, other: &Self) -> bool {
        self.kind == FindingKind::RejectedWithIcmp
            && other.kind == self.kind
            && self.location.after.is_some()
            && self.location.after == other.location.after
    }

    /// Whether everybody whom another claim concerns, and who tried an address of this one, is concerned by this one too.
    fn covers(&self, matrix: &Matrix, other: &Self) -> bool {
        let mine = vantages(&self.cells);
        let sockets: BTreeSet<SocketAddr> = self.cells.iter().map(|&id| matrix.cell(id).socket()).collect();
        let tried = |vantage: usize| {
            matrix.cells_of(vantage).any(|id| {
                let cell = matrix.cell(id);
                sockets.contains(&cell.socket())
                    && !matches!(cell.reach, Reach::Local(_) | Reach::Unclear | Reach::Untried)
            })
        };
        vantages(&other.cells)
            .into_iter()
            .all(|vantage| mine.contains(&vantage) || !tried(vantage))
    }

    /// Which flows are hit says nothing of who sends them.
    const fn is_of_some_flows(&self) -> bool {
        matches!(
            self.kind,
            FindingKind::OnePathBroken | FindingKind::OneBackendBroken
        )
    }

    /// Takes in the same claim about another address.
    pub(super) fn merge(&mut self, other: Self) {
        self.cells.extend(other.cells);
        self.confidence = self.confidence.max(other.confidence);
        self.because.extend(other.because);
        for alternative in other.alternatives {
            if !self
                .alternatives
                .iter()
                .any(|known| known.kind == alternative.kind)
            {
                self.alternatives.push(alternative);
            }
        }
        self.next_steps.extend(other.next_steps);
        if self.location.before.is_none() && self.location.after.is_none() {
            self.location = other.location;
        }
    }

    /// The troubles that it would explain.
    pub(super) fn troubles(&self, matrix: &Matrix) -> Vec<TroubleId> {
        matrix.troubles_where(|trouble| {
            trouble.stage == Some(StageName::Connect)
                && trouble.cell.is_some_and(|cell| self.cells.contains(&cell))
        })
    }

    /// "edge-ams cannot reach 10.9.0.10:993"
    pub(super) fn who_cannot_reach(&self, matrix: &Matrix) -> String {
        let endpoints: BTreeSet<_> = self.cells.iter().map(|&id| matrix.cell(id).socket()).collect();
        let endpoints: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
        format!("{} reach {}", self.who(matrix), words::list(&endpoints))
    }

    fn who(&self, matrix: &Matrix) -> String {
        let affected = vantages(&self.cells);
        let names = matrix.names(&affected);
        if self.everywhere && affected.len() > 1 && affected.len() == matrix.answered().count() {
            "no vantage point can".to_owned()
        } else {
            format!("{} cannot", words::list(&names))
        }
    }

    /// The candidate that it is.
    pub(super) fn candidate(&self, matrix: &Matrix) -> Candidate {
        let mut found = Candidate::new(matrix, self.kind, self.confidence, self.troubles(matrix))
            .blame(self.blame)
            .at(self.location.clone())
            .summary(format!("{}: {}", self.who_cannot_reach(matrix), self.phrase))
            .because(once_each(&self.because))
            .told_apart_by(self.told_apart_by)
            .next(self.next_steps.iter().cloned());
        found.alternatives.clone_from(&self.alternatives);
        found
    }
}

/// Several paths are told by more than one part of a claim.
fn once_each(lines: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    lines.iter().filter(|line| seen.insert(*line)).cloned().collect()
}
