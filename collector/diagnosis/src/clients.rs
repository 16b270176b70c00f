//! Which mail clients could work with a service, from nothing but what the probe saw.

mod family;
mod finding;
mod judge;
mod offer;

use std::collections::BTreeSet;

use parallax_model::client::{ClientOutcome, ClientReport};

pub(crate) use finding::incompatible;

use crate::matrix::Matrix;
use family::{FAMILIES, Family};
use judge::Judgement;
use offer::Offer;

/// What holds for one family, and where.
pub(crate) struct Standing {
    family: &'static Family,
    outcome: ClientOutcome,
    because: Vec<String>,
    /// Where it holds.
    vantages: BTreeSet<usize>,
    /// Whether it holds for everybody who answered.
    everywhere: bool,
    /// Whether the certificate, which has a finding of its own, is all that a failure is about.
    only_certificate: bool,
}

impl Standing {
    /// The line of the run document.
    pub(crate) fn report(&self, matrix: &Matrix) -> ClientReport {
        let affected: BTreeSet<_> = self
            .vantages
            .iter()
            .map(|&vantage| matrix.vantage(vantage).seen.agent.clone())
            .collect();
        ClientReport {
            client: self.family.name.clone(),
            outcome: self.outcome,
            because: self.because.clone(),
            affected: if self.everywhere {
                Vec::new()
            } else {
                affected.into_iter().collect()
            },
        }
    }
}

/// Every family, where anybody came as far as TLS; the worst that is known of it at any vantage point.
pub(crate) fn standings(matrix: &Matrix) -> Vec<Standing> {
    let offers: Vec<(usize, Vec<Offer>)> = matrix
        .answered()
        .map(|vantage| (vantage, Offer::all(matrix, vantage)))
        .collect();
    if offers.iter().all(|(_, offers)| offers.is_empty()) {
        return Vec::new();
    }
    let host = matrix.host();
    FAMILIES
        .iter()
        .map(|family| standing(family, &offers, &host))
        .collect()
}

fn standing(family: &'static Family, offers: &[(usize, Vec<Offer>)], host: &str) -> Standing {
    let judged: Vec<(usize, Judgement)> = offers
        .iter()
        .filter_map(|(vantage, offers)| {
            let all = offers.iter().map(|offer| judge::judge(family, offer, host));
            Some((*vantage, all.min_by_key(|one| ease(one.outcome))?))
        })
        .collect();
    let outcome = judged
        .iter()
        .map(|(_, one)| one.outcome)
        .max_by_key(|&outcome| weight(outcome))
        .unwrap_or(ClientOutcome::Unknown);
    let holding: Vec<&(usize, Judgement)> = judged.iter().filter(|(_, one)| one.outcome == outcome).collect();
    let mut told = BTreeSet::new();
    Standing {
        family,
        outcome,
        because: holding
            .iter()
            .flat_map(|(_, one)| &one.because)
            .filter(|line| told.insert(*line))
            .cloned()
            .collect(),
        vantages: holding.iter().map(|(vantage, _)| *vantage).collect(),
        everywhere: holding.len() == offers.len(),
        only_certificate: holding.iter().all(|(_, one)| one.only_certificate),
    }
}

/// A client needs one endpoint that does; what is known goes before what is not.
const fn ease(outcome: ClientOutcome) -> u8 {
    match outcome {
        ClientOutcome::Works => 0,
        ClientOutcome::Degraded => 1,
        ClientOutcome::Fails => 2,
        ClientOutcome::Unknown => 3,
    }
}

/// Over all vantage points the worst that is known counts.
const fn weight(outcome: ClientOutcome) -> u8 {
    match outcome {
        ClientOutcome::Fails => 3,
        ClientOutcome::Degraded => 2,
        ClientOutcome::Works => 1,
        ClientOutcome::Unknown => 0,
    }
}
