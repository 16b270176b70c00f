//! What a round came to, and the one reading of an observation for the store, the alerts and the metrics.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::certificate::CertificateFacts;
use parallax_model::evidence::TlsEvidence;
use parallax_model::fault::FaultKind;
use parallax_model::finding::{Finding, Verdict};
use parallax_model::observation::{Attempt, AttemptOutcome, Observation, Reason, VantageOutcome};
use parallax_model::stage::{Outcome, Stage, StageName};
use parallax_model::vantage::{AgentName, Labels};
use uuid::Uuid;

use crate::store::CheckRecord;

/// A round that is over.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RoundOutcome {
    /// Of which check.
    pub(crate) check: Arc<CheckRecord>,
    /// UUID version 7; also of the run, if there is one.
    pub(crate) run_id: Uuid,
    /// When it began.
    pub(crate) starts_at: Timestamp,
    /// When nobody was waited for any more.
    pub(crate) closed_at: Timestamp,
    /// Whether that was so long after its end that nobody is to be alerted.
    pub(crate) late: bool,
    /// Whether something is wrong that was not wrong in the round before.
    pub(crate) new_trouble: bool,
    /// The answer.
    pub(crate) verdict: Verdict,
    /// It, in one line.
    pub(crate) summary: String,
    /// What is wrong.
    pub(crate) findings: Vec<Finding>,
    /// Everybody who was expected.
    pub(crate) vantages: Vec<VantagePart>,
    /// Whether there is a run of it.
    pub(crate) kept: bool,
    /// Whether there is a trace of it, which has the run's number.
    pub(crate) traced: bool,
}

impl RoundOutcome {
    /// Its trace as 32 hexadecimal digits.
    pub(crate) fn trace_id(&self) -> Option<String> {
        self.traced.then(|| self.run_id.simple().to_string())
    }
}

/// What one vantage point saw, in short: that of its requested attempts which went worst.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VantagePart {
    /// The agent.
    pub(crate) agent: AgentName,
    /// Its labels.
    pub(crate) labels: Labels,
    /// What became of the question.
    pub(crate) outcome: VantageOutcome,
    /// When it began, on the collector's wall clock.
    pub(crate) started_at: Timestamp,
    /// How long all of it took.
    pub(crate) total: Duration,
    /// The stages that worked.
    pub(crate) stages: Vec<(StageName, Duration)>,
    /// It left the round out, for it was still at the one before, say: what it would have seen is open.
    pub(crate) skipped: bool,
    /// The first stage that did not, or that only just did.
    pub(crate) failed: Option<(StageName, FaultKind)>,
    /// The certificate that ends first.
    pub(crate) certificate: Option<LeafFacts>,
    /// Whether every chain that was shown leads to a trust anchor and names the host.
    pub(crate) verified: bool,
    /// Where it went.
    pub(crate) address: Option<IpAddr>,
    /// Version and cipher suite.
    pub(crate) tls: Option<(String, String)>,
}

/// A server's certificate, in short.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LeafFacts {
    /// SHA-256 of the DER, hexadecimal.
    pub(crate) sha256: String,
    /// Distinguished name.
    pub(crate) subject: String,
    /// Distinguished name of who issued it.
    pub(crate) issuer: String,
    /// Serial number, hexadecimal.
    pub(crate) serial: String,
    /// Host names it is for.
    pub(crate) names: Vec<String>,
    /// Start of validity.
    pub(crate) not_before: Timestamp,
    /// End of validity.
    pub(crate) not_after: Timestamp,
    /// When the first of its chain ends.
    pub(crate) chain_not_after: Timestamp,
}

impl VantagePart {
    /// Reads an observation.
    pub(crate) fn of(observation: &Observation, started_at: Timestamp) -> Self {
        let worst = observation
            .requested()
            .max_by_key(|attempt| (badness(attempt), end(&attempt.stages)));
        let stages: Vec<&Stage> = observation
            .resolve
            .iter()
            .chain(worst.map_or(&[][..], |attempt| &attempt.stages))
            .collect();
        let shown: Vec<&TlsEvidence> = observation.requested().flat_map(handshakes).collect();
        Self {
            agent: observation.agent.clone(),
            labels: observation.labels.clone(),
            outcome: observation.outcome,
            started_at,
            total: end(stages.iter().copied()),
            stages: stages
                .iter()
                .filter(|stage| matches!(stage.outcome, Outcome::Ok | Outcome::Degraded(_)))
                .map(|stage| (stage.name, stage.duration))
                .collect(),
            skipped: observation.reason == Some(Reason::Overload),
            failed: wrong(&stages),
            certificate: shown
                .iter()
                .filter_map(|tls| LeafFacts::of(&tls.chain))
                .min_by_key(|leaf| leaf.not_after),
            verified: !shown.is_empty() && shown.iter().all(|tls| tls.verified),
            address: worst.map(|attempt| attempt.address),
            tls: worst
                .and_then(|attempt| handshakes(attempt).next())
                .and_then(|tls| tls.version.clone().zip(tls.cipher_suite.clone())),
        }
    }
}

impl LeafFacts {
    fn of(chain: &[CertificateFacts]) -> Option<Self> {
        let leaf = chain.first()?;
        Some(Self {
            sha256: leaf.sha256.clone(),
            subject: leaf.subject.clone(),
            issuer: leaf.issuer.clone(),
            serial: leaf.serial.clone(),
            names: leaf.dns_names.clone(),
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            chain_not_after: chain
                .iter()
                .map(|certificate| certificate.not_after)
                .min()
                .unwrap_or(leaf.not_after),
        })
    }
}

fn handshakes(attempt: &Attempt) -> impl Iterator<Item = &TlsEvidence> {
    let evidence = attempt.stages.iter().filter_map(|stage| stage.evidence.as_ref());
    evidence.filter_map(|evidence| evidence.tls())
}

fn badness(attempt: &Attempt) -> u8 {
    match attempt.outcome() {
        AttemptOutcome::Ok => 0,
        AttemptOutcome::Degraded => 1,
        AttemptOutcome::Failed => 2,
    }
}

fn end<'a>(stages: impl IntoIterator<Item = &'a Stage>) -> Duration {
    let ends = stages.into_iter().map(|stage| stage.start + stage.duration);
    ends.max().unwrap_or_default()
}

fn wrong(stages: &[&Stage]) -> Option<(StageName, FaultKind)> {
    let first = |failed: bool| {
        let mut wrong = stages.iter().filter(|stage| stage.failed() == failed);
        wrong.find_map(|stage| Some((stage.name, stage.outcome.fault()?.kind)))
    };
    first(true).or_else(|| first(false))
}
