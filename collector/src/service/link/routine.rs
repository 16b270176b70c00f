//! What an agent says of checks: what it has of them, and what came of them.

use parallax_model::check::{Chain, CheckResult};
use parallax_model::observation::{Observation, Reason, VantageOutcome};
use parallax_model::vantage::{AgentName, Labels};
use parallax_proto::convert::uuid;
use parallax_proto::v1;
use prost::Message as _;
use tokio::sync::mpsc;
use tracing::{debug, warn};
use uuid::Uuid;

use super::{Link, TEXT_AT_MOST};
use crate::hub::ToAgent;
use crate::store::Arrived;

/// Results in one batch at most.
const RESULTS_AT_MOST: usize = 4096;

/// Problems with checks that are taken in.
const PROBLEMS_AT_MOST: usize = 256;

/// The checks that an agent says it has.
pub(super) fn known(checks: &[v1::KnownCheck]) -> Result<Vec<(Uuid, u64)>, String> {
    let one = |known: &v1::KnownCheck| {
        let check = uuid("checks.check_id", &known.check_id).map_err(|error| error.to_string())?;
        Ok((check, known.digest))
    };
    checks.iter().map(one).collect()
}

/// The spool that an agent says it has.
pub(super) fn epoch(bytes: &[u8]) -> Result<Option<Uuid>, String> {
    if bytes.is_empty() {
        return Ok(None);
    }
    uuid("spool_epoch", bytes)
        .map(Some)
        .map_err(|error| error.to_string())
}

/// What an agent says of its checks is shown to people.
pub(super) fn bounded(mut applied: v1::ChecksApplied) -> v1::ChecksApplied {
    applied.problems.truncate(PROBLEMS_AT_MOST);
    for problem in &mut applied.problems {
        *problem = parallax_model::text::escape_str(problem, TEXT_AT_MOST);
    }
    applied
}

impl Link {
    /// Tells the agent up to where the results of its spool are stored.
    pub(super) async fn resume(&self, epoch: Option<Uuid>, answers: &mpsc::WeakSender<ToAgent>) {
        let Some(epoch) = epoch else {
            return;
        };
        match self.shared.results.marks(self.name.clone(), epoch).await {
            Ok((failures_through, successes_through)) => {
                let resume = ToAgent::Resume(v1::SpoolResume {
                    spool_epoch: epoch.into_bytes().to_vec(),
                    failures_through,
                    successes_through,
                });
                if let Some(sender) = answers.upgrade() {
                    // Without it the agent sends nothing until it connects again.
                    let _ = sender.send(resume).await;
                }
            }
            Err(problem) => warn!(agent = %self.name, "its results can't be taken in: {problem}"),
        }
    }

    /// Takes results in. What can't be stored now is not acknowledged, and comes again.
    pub(super) async fn results(
        &self,
        batch: v1::ResultBatch,
        epoch: Option<Uuid>,
        answers: &mpsc::WeakSender<ToAgent>,
    ) {
        let bytes = batch.encoded_len();
        let arrived = match read(batch, &self.name) {
            Ok(arrived) => arrived,
            Err(problem) => {
                self.shared.metrics.report_unreadable();
                warn!(agent = %self.name, "results could not be read: {problem}");
                return;
            }
        };
        if Some(arrived.epoch) != epoch {
            debug!(agent = %self.name, "results of a spool that it did not speak of");
        }
        if let Err(problem) = self.shared.intake.take(arrived, bytes, answers.clone()).await {
            self.shared.metrics.record_dropped("results");
            warn!(agent = %self.name, "results are not taken in: {problem}");
        }
    }
}

fn read(batch: v1::ResultBatch, agent: &AgentName) -> Result<Arrived, String> {
    if batch.results.len() > RESULTS_AT_MOST {
        return Err(format!("more than {RESULTS_AT_MOST} in a batch"));
    }
    let chain = Chain::known(&batch.chain).ok_or("a chain that is not known")?;
    let epoch = uuid("spool_epoch", &batch.spool_epoch).map_err(|error| error.to_string())?;
    let results: Vec<(u64, CheckResult)> = batch
        .results
        .into_iter()
        .map(|spooled| {
            (
                spooled.sequence,
                result(spooled.result.unwrap_or_default(), agent),
            )
        })
        .collect();
    if !results.is_sorted_by(|(one, _), (next, _)| one < next) {
        return Err("the sequences do not ascend".to_owned());
    }
    Ok(Arrived {
        after: batch.after,
        agent: agent.clone(),
        epoch,
        chain,
        results,
    })
}

/// A result under the name of who sent it. One that can't be read is a result all the same: its agent would send it
/// for ever.
fn result(wire: v1::CheckResult, agent: &AgentName) -> CheckResult {
    let ids = [&wire.id, &wire.check_id, &wire.run_id].map(|id| Uuid::from_slice(id).unwrap_or_default());
    let digest = wire.digest;
    let mut read = CheckResult::try_from(wire).unwrap_or_else(|problem| {
        let [id, check, run_id] = ids;
        CheckResult {
            id,
            check,
            run_id,
            digest,
            round_at: jiff::Timestamp::UNIX_EPOCH,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            observation: Observation::unseen(
                agent.clone(),
                Labels::new(),
                VantageOutcome::Refused,
                Reason::Unsupported,
                format!("its result could not be read: {problem}"),
            ),
        }
    });
    read.observation.agent = agent.clone();
    read
}
