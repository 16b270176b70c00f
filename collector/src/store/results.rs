//! What agents saw on their own, and the rounds it makes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::check::{Chain, CheckResult};
use parallax_model::history::{HistoryRow, HistoryStep, StoredResult};
use parallax_model::round::RoundSummary;
use parallax_model::run::RunDocument;
use parallax_model::stage::StageName;
use parallax_model::vantage::AgentName;
use uuid::Uuid;

use super::Answer;
use crate::alerts::AlertChanges;
use crate::config::Retention;
use crate::rounds::RoundOutcome;

/// A batch as it came from one chain of an agent's spool, ascending.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Arrived {
    /// Whose.
    pub(crate) agent: AgentName,
    /// Which spool.
    pub(crate) epoch: Uuid,
    /// Which of its chains.
    pub(crate) chain: Chain,
    /// The last sequence that its sender takes for stored; nothing is taken when less is.
    pub(crate) after: u64,
    /// Each with its sequence.
    pub(crate) results: Vec<(u64, CheckResult)>,
}

/// A result that was new, and whose round is not closed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fresh {
    /// Whose.
    pub(crate) agent: AgentName,
    /// What it saw.
    pub(crate) result: CheckResult,
    /// When it was stored.
    pub(crate) received_at: Timestamp,
}

/// What became of several batches.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Committed {
    /// Up to where each is stored now, in the order of the batches.
    pub(crate) through: Vec<u64>,
    /// What was new, of rounds that are not closed.
    pub(crate) fresh: Vec<Fresh>,
    /// Results that were stored before.
    pub(crate) duplicates: u64,
    /// Results of checks that never were, or of times that can't be: not stored, and not asked for again.
    pub(crate) unknown: u64,
}

/// A round that is over, and what follows from it.
#[derive(Debug, Clone)]
pub(crate) struct RoundCommit {
    /// What it came to.
    pub(crate) outcome: Arc<RoundOutcome>,
    /// Its run, if that is kept.
    pub(crate) run: Option<KeptRun>,
    /// What it changed of the alerts.
    pub(crate) alerts: AlertChanges,
}

/// The run of a round.
#[derive(Debug, Clone)]
pub(crate) struct KeptRun {
    /// All of it.
    pub(crate) document: RunDocument,
    /// Whether it is the first of an incident, or shows how the target is when all is well: kept longer.
    pub(crate) is_first: bool,
}

/// Which part of a check's history is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HistoryAsked {
    /// The check.
    pub(crate) check: Uuid,
    /// From when on.
    pub(crate) since: Timestamp,
    /// Until when; not itself.
    pub(crate) until: Timestamp,
    /// How finely.
    pub(crate) step: HistoryStep,
    /// From whom; everybody without it.
    pub(crate) agents: Option<BTreeSet<AgentName>>,
    /// The newest of them, at most so many; 0: as many as an answer can hold.
    pub(crate) limit: u32,
}

/// A part of a check's history.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct History {
    /// How finely it is told; never `auto`.
    pub(crate) step: HistoryStep,
    /// By time, oldest first.
    pub(crate) rows: Vec<HistoryRow>,
    /// Newest first; by hours and days only those in which not all was well.
    pub(crate) rounds: Vec<RoundSummary>,
}

/// What is usual: half of the last seven days took at most so long. By check, agent and stage (none: all of it).
pub(crate) type Baselines = BTreeMap<(Uuid, AgentName, Option<StageName>), Duration>;

/// What a look for old rows came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pruned {
    /// Rows that were deleted; there may be more.
    pub(crate) rows: u64,
    /// Bytes in use by the database.
    pub(crate) bytes: u64,
}

/// Where results and rounds are kept.
pub(crate) trait ResultStore: Send + Sync + 'static {
    /// Up to where a spool's failures and its successes are stored.
    fn marks(&self, agent: AgentName, epoch: Uuid) -> Answer<'_, (u64, u64)>;
    /// Stores batches, all or none. What it answers is on disk, and may be acknowledged.
    fn commit_results(&self, arrived: Vec<Arrived>, now: Timestamp) -> Answer<'_, Committed>;
    /// The results of rounds that are not closed, in the order in which they were stored.
    fn open_results(&self) -> Answer<'_, Vec<Fresh>>;
    /// The last round of each check that is there.
    fn last_rounds(&self) -> Answer<'_, BTreeMap<Uuid, RoundSummary>>;
    /// The newest run that is kept of the check with this number.
    fn newest_run_of(&self, check_no: i64) -> Answer<'_, Option<RunDocument>>;
    /// Keeps rounds and everything that follows from them, all or none. One that is closed already changes nothing.
    fn close_rounds(&self, commits: Vec<RoundCommit>) -> Answer<'_, ()>;
    /// The wall clock was set back to this time: rounds that began after it come again, and count then.
    fn set_back(&self, to: Timestamp) -> Answer<'_, ()>;
    /// What a check saw.
    fn history(&self, asked: HistoryAsked) -> Answer<'_, History>;
    /// Single results behind `after`, in the order in which they were made: a page. An empty one is the end.
    fn results(&self, asked: HistoryAsked, after: Option<Uuid>) -> Answer<'_, Vec<StoredResult>>;
    /// What is usual for every check, agent and stage.
    fn baselines(&self, now: Timestamp) -> Answer<'_, Baselines>;
    /// Deletes what was kept long enough, a little at a time.
    fn prune(&self, keep: Retention, now: Timestamp) -> Answer<'_, Pruned>;
}
