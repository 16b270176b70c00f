//! One thing that is not as it should be, at one vantage point. What the rules have to explain.

use std::collections::BTreeSet;

use parallax_model::evidence::Evidence;
use parallax_model::fault::{Fault, FaultKind, TlsFault};
use parallax_model::observation::{Attempt, VantageOutcome};
use parallax_model::stage::{Outcome, Stage, StageName};

use crate::Question;
use crate::matrix::{CellId, Vantage};

/// Index of a trouble in the matrix.
pub(crate) type TroubleId = usize;

/// One thing that is not as it should be.
#[derive(Debug, Clone)]
pub(crate) struct Trouble<'a> {
    /// Index of the vantage point.
    pub(crate) vantage: usize,
    /// The attempt, unless it concerns the name or the vantage point as a whole.
    pub(crate) cell: Option<CellId>,
    /// The stage at which it shows.
    pub(crate) stage: Option<StageName>,
    /// What.
    pub(crate) what: What<'a>,
}

/// What is not as it should be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What<'a> {
    /// Nothing was heard of the agent.
    Missing,
    /// The agent did not run the probe.
    Refused,
    /// The agent answered and reports nothing.
    Nothing,
    /// A login that was asked for was not tried; the reason says why.
    Withheld(&'a str),
    /// A stage failed.
    Failed(&'a Fault),
    /// A stage worked, and something must be seen.
    Degraded(&'a Fault),
}

impl<'a> Trouble<'a> {
    /// The fault of a stage.
    pub(crate) const fn fault(&self) -> Option<&'a Fault> {
        match self.what {
            What::Failed(fault) | What::Degraded(fault) => Some(fault),
            What::Missing | What::Refused | What::Nothing | What::Withheld(_) => None,
        }
    }

    /// The fault's kind.
    pub(crate) fn kind(&self) -> Option<FaultKind> {
        self.fault().map(|fault| fault.kind)
    }

    /// The fault, if the stage failed of it.
    pub(crate) const fn failure(&self) -> Option<&'a Fault> {
        match self.what {
            What::Failed(fault) => Some(fault),
            _ => None,
        }
    }

    /// Whether a mail client could not work past this.
    pub(crate) fn blocks(&self) -> bool {
        match self.what {
            What::Missing | What::Refused | What::Degraded(_) => false,
            What::Nothing | What::Withheld(_) => true,
            What::Failed(_) => self.stage.is_none_or(blocks_clients),
        }
    }
}

/// Whether a client that fails at this stage can't read mail. ID, NAMESPACE and LOGOUT it can do without.
pub(crate) const fn blocks_clients(stage: StageName) -> bool {
    !matches!(
        stage,
        StageName::Id
            | StageName::Namespace
            | StageName::Logout
            | StageName::Append
            | StageName::Sync
            | StageName::Idle
            | StageName::Hold
    )
}

/// Everything that is not as it should be at one vantage point.
pub(crate) fn collect<'a>(question: &Question, index: usize, vantage: &Vantage<'a>) -> Vec<Trouble<'a>> {
    let whole = |what| Trouble {
        vantage: index,
        cell: None,
        stage: None,
        what,
    };
    match vantage.seen.outcome {
        VantageOutcome::Missing => return vec![whole(What::Missing)],
        VantageOutcome::Refused => return vec![whole(What::Refused)],
        VantageOutcome::Ok | VantageOutcome::Degraded | VantageOutcome::Failed => {}
    }
    let mut troubles = Vec::new();
    let resolve = vantage.seen.resolve.as_ref();
    if let Some(stage) = resolve {
        troubles.extend(of_stage(index, None, stage));
    }
    if vantage.cells.is_empty() && !resolve.is_some_and(Stage::failed) {
        troubles.push(whole(What::Nothing));
    }
    for (number, cell) in vantage.cells.iter().enumerate() {
        let id = CellId {
            vantage: index,
            index: number,
        };
        troubles.extend(of_attempt(question, id, cell.attempt));
    }
    troubles
}

fn of_attempt<'a>(question: &Question, id: CellId, attempt: &'a Attempt) -> Vec<Trouble<'a>> {
    let mut troubles: Vec<_> = attempt
        .stages
        .iter()
        .flat_map(|stage| of_stage(id.vantage, Some(id), stage))
        .collect();
    if attempt.stages.is_empty() {
        troubles.push(Trouble {
            vantage: id.vantage,
            cell: Some(id),
            stage: None,
            what: What::Nothing,
        });
    }
    if let Some(reason) = withheld(question, attempt) {
        troubles.push(Trouble {
            vantage: id.vantage,
            cell: Some(id),
            stage: Some(StageName::Authenticate),
            what: What::Withheld(reason),
        });
    }
    troubles
}

fn withheld<'a>(question: &Question, attempt: &'a Attempt) -> Option<&'a str> {
    if !question.login || !question.depth.includes(StageName::Authenticate) {
        return None;
    }
    match &attempt.stage(StageName::Authenticate)?.outcome {
        Outcome::Skipped(reason) => Some(reason),
        Outcome::Ok | Outcome::Degraded(_) | Outcome::Failed(_) | Outcome::NotReached => None,
    }
}

/// The stage's fault, and everything else that its certificates are wrong about.
fn of_stage<'a>(vantage: usize, cell: Option<CellId>, stage: &'a Stage) -> Vec<Trouble<'a>> {
    let (fault, wrap): (_, fn(&'a Fault) -> What<'a>) = match &stage.outcome {
        Outcome::Failed(fault) => (fault, What::Failed),
        Outcome::Degraded(fault) => (fault, What::Degraded),
        Outcome::Ok | Outcome::Skipped(_) | Outcome::NotReached => return Vec::new(),
    };
    let mut kinds = BTreeSet::new();
    std::iter::once(fault)
        .chain(certificate_faults(stage))
        .filter(|fault| kinds.insert(fault.kind))
        .map(|fault| Trouble {
            vantage,
            cell,
            stage: Some(stage.name),
            what: wrap(fault),
        })
        .collect()
}

/// What is wrong with the certificates; an odd order or a surplus one, which clients cope with, is not.
fn certificate_faults(stage: &Stage) -> impl Iterator<Item = &Fault> {
    let facts = stage.evidence.as_ref().and_then(Evidence::tls);
    let faults = facts.map_or(&[][..], |facts| &facts.certificate_faults);
    faults
        .iter()
        .filter(|fault| fault.kind != FaultKind::Tls(TlsFault::Other))
}
