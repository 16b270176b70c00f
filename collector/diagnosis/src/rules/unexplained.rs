//! What no rule explains. It is said all the same, with what was seen.

use std::collections::{BTreeMap, BTreeSet};

use parallax_model::fault::FaultKind;
use parallax_model::finding::{FindingKind, Severity};
use parallax_model::stage::StageName;

use crate::candidate::{Blame, Candidate};
use crate::extent::Extent;
use crate::fact;
use crate::matrix::Matrix;
use crate::trouble::{TroubleId, What};
use crate::words;

/// Sorts of troubles that are told together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    Nothing,
    Withheld { beside_a_login: bool },
    Failed(Option<StageName>, FaultKind),
    Degraded(Option<StageName>, FaultKind),
}

/// Claim: something is wrong that the rules have no name for.
/// Disproved by: a rule that explains it.
pub(crate) fn remaining(matrix: &Matrix, open: &BTreeSet<TroubleId>) -> Vec<Candidate> {
    let mut groups: BTreeMap<Sort, Vec<TroubleId>> = BTreeMap::new();
    for &id in open {
        groups.entry(sort(matrix, id)).or_default().push(id);
    }
    groups
        .into_iter()
        .map(|(sort, troubles)| candidate(matrix, sort, &troubles))
        .collect()
}

fn sort(matrix: &Matrix, id: TroubleId) -> Sort {
    let trouble = &matrix.troubles[id];
    match trouble.what {
        What::Missing | What::Refused | What::Nothing => Sort::Nothing,
        What::Withheld(_) => Sort::Withheld {
            beside_a_login: matrix
                .vantage(trouble.vantage)
                .cells
                .iter()
                .any(|cell| cell.passed(StageName::Authenticate)),
        },
        What::Failed(fault) => Sort::Failed(trouble.stage, fault.kind),
        What::Degraded(fault) => Sort::Degraded(trouble.stage, fault.kind),
    }
}

fn candidate(matrix: &Matrix, sort: Sort, troubles: &[TroubleId]) -> Candidate {
    let extent = Extent::of(matrix, troubles);
    let names = matrix.names(&extent.affected);
    let who = words::list(&names);
    let kind = if service_is_down(matrix, sort, &extent) {
        FindingKind::ServiceDown
    } else {
        FindingKind::Inconclusive
    };
    let found = Candidate::new(matrix, kind, 0.3, troubles.iter().copied())
        .segment(extent.segment())
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .next(super::session::by_hand(matrix, troubles));
    match sort {
        Sort::Nothing => found
            .severity(Severity::Warning)
            .blame(Blame::Nobody)
            .summary(format!(
                "{who} answered without a result: nothing can be said from there"
            )),
        Sort::Withheld { beside_a_login } => found
            .severity(if beside_a_login {
                Severity::Info
            } else {
                Severity::Warning
            })
            .blame(Blame::Nobody)
            .summary(format!(
                "the login was not tried at {who}: nothing can be said about it from there"
            )),
        Sort::Failed(stage, _) => {
            let stage = stage.unwrap_or(StageName::Connect);
            let fails = super::session::who_fails(matrix, &extent, stage, troubles);
            found.summary(format!("{fails}, for a reason that the evidence does not name"))
        }
        Sort::Degraded(stage, _) => found.severity(Severity::Warning).summary(format!(
            "{} works at {who}, with something to look at",
            stage.map_or("the probe", |stage| stage.as_str())
        )),
    }
}

/// Whether the host is reached from everywhere and lets nobody in.
fn service_is_down(matrix: &Matrix, sort: Sort, extent: &Extent) -> bool {
    let before_the_mailbox = matches!(
        sort,
        Sort::Failed(Some(stage), _) if stage > StageName::Connect && stage <= StageName::Authenticate
    );
    before_the_mailbox && extent.everywhere() && !matrix.cells().any(|id| matrix.usable(id))
}
