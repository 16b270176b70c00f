//! Recorded packets, each file named as the dialogue of its attempt.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use parallax_model::capture::CaptureFacts;
use parallax_model::evidence::Evidence;
use parallax_model::observation::Attempt;
use parallax_model::run::RunDocument;
use parallax_model::vantage::AgentName;

use super::{Entry, place_name};
use crate::client::RecordedBy;

/// The captures as files.
pub(super) fn entries(document: &RunDocument, captures: &[RecordedBy]) -> Vec<Entry> {
    let mut taken = BTreeSet::new();
    let files = captures.iter().map(|recorded| {
        let facts = &recorded.capture.facts;
        let number = number(document, &recorded.agent, facts);
        let name = place_name(number, facts.address, facts.endpoint, facts.experiment);
        let mut path = format!("captures/{}/{name}.pcapng", recorded.agent);
        if !taken.insert(path.clone()) {
            // Two attempts without a number of their own still come from two ports.
            path = format!(
                "captures/{}/{name}-from-{}.pcapng",
                recorded.agent,
                facts.local.port()
            );
            taken.insert(path.clone());
        }
        Entry::new(path, recorded.capture.pcapng.clone())
    });
    files.collect()
}

/// Which attempt of its vantage point it is of, from 1; 0 if of none that is in the document.
fn number(document: &RunDocument, agent: &AgentName, facts: &CaptureFacts) -> usize {
    let of_vantage = document.vantages.iter().filter_map(|vantage| {
        let is_its = |attempt: &Attempt| {
            attempt.by.as_ref().unwrap_or(&vantage.agent) == agent
                && (attempt.address, attempt.endpoint) == (facts.address, facts.endpoint)
                && local(attempt) == Some(facts.local)
        };
        vantage.attempts.iter().position(is_its)
    });
    of_vantage.map(|position| position + 1).next().unwrap_or(0)
}

fn local(attempt: &Attempt) -> Option<SocketAddr> {
    let evidence = attempt.stages.iter().filter_map(|stage| stage.evidence.as_ref());
    let mut connects = evidence.filter_map(|evidence| match evidence {
        Evidence::Connect(facts) => facts.local,
        _ => None,
    });
    connects.next()
}
