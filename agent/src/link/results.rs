//! The results of checks on their way to the collector: failures first, each until it is acknowledged.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use parallax_model::check::Chain;
use parallax_proto::v1;
use prost::Message as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use crate::link::pace::Pace;
use crate::spool::{Numbered, Resumed, Spool};

/// Batches of a chain that may be on their way.
const UNANSWERED: usize = 4;
/// Without an acknowledgement for so long, what is on its way is sent again.
const PATIENCE: Duration = Duration::from_secs(30);
/// How soon it is looked again whether there is room for results beside what is more urgent.
const FULL: Duration = Duration::from_millis(50);

/// The delivery of one connection. It begins when the collector has said what it has; one that never says gets nothing.
pub(super) struct Results {
    spool: Spool,
    durable: watch::Receiver<[u64; 2]>,
    epoch: Uuid,
    /// Failures, successes.
    lanes: [Lane; 2],
    /// What is waited for at the disk.
    asked: Option<Asked>,
    stage: Stage,
}

/// How far the beginning of the delivery is.
#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// The collector has not said what it has.
    Unasked,
    /// The spool hears of it.
    Resuming,
    /// Results are sent.
    Going,
}

/// What the disk will answer.
type Coming<T> = Pin<Box<dyn Future<Output = T> + Send>>;

enum Asked {
    Resumed(Coming<Resumed>),
    Read {
        lane: usize,
        /// What was settled when it was asked: an answer without results means that none are there.
        until: u64,
        results: Coming<Vec<Numbered>>,
    },
}

enum Answer {
    Resumed(Resumed),
    Read(usize, u64, Vec<Numbered>),
}

/// One chain on its way.
struct Lane {
    chain: Chain,
    /// Everything up to here was sent.
    position: u64,
    /// Everything up to here the collector has, as it says.
    heard: u64,
    /// The last sequence of each batch that is on its way, and when it went.
    underway: VecDeque<(u64, Instant)>,
    pace: Pace,
}

impl Results {
    pub(super) fn new(spool: Spool) -> Self {
        Self {
            durable: spool.durable(),
            epoch: spool.epoch(),
            lanes: [Chain::Failures, Chain::Successes].map(Lane::new),
            asked: None,
            stage: Stage::Unasked,
            spool,
        }
    }

    /// The epoch of the spool, for the hello.
    pub(super) const fn epoch(&self) -> Uuid {
        self.epoch
    }

    pub(super) fn state(&self) -> v1::SpoolState {
        self.spool.state().into()
    }

    /// Another connection: the collector says again what it has, and what was on its way is sent again.
    pub(super) fn begin_again(&mut self) {
        *self = Self::new(self.spool.clone());
    }

    /// The collector says what it has; once for a connection.
    pub(super) fn resume(&mut self, resume: &v1::SpoolResume) {
        if self.stage != Stage::Unasked || resume.spool_epoch != self.epoch.as_bytes() {
            tracing::warn!("the collector speaks of another spool, or says twice what it has");
            return;
        }
        let through = [resume.failures_through, resume.successes_through];
        let (spool, epoch) = (self.spool.clone(), self.epoch);
        for (lane, through) in self.lanes.iter_mut().zip(through) {
            lane.heard = through;
        }
        self.stage = Stage::Resuming;
        self.asked = Some(Asked::Resumed(Box::pin(async move {
            spool.resume(epoch, through).await
        })));
    }

    /// The collector has stored results.
    pub(super) fn kept(&mut self, kept: &v1::ResultsKept) {
        let lane = self
            .lanes
            .iter_mut()
            .find(|lane| lane.chain.as_str() == kept.chain);
        let Some(lane) = lane.filter(|_| kept.spool_epoch == self.epoch.as_bytes()) else {
            tracing::warn!(chain = kept.chain, "the collector has results of another spool");
            return;
        };
        if let Some(through) = lane.acknowledged(kept.through, Instant::now()) {
            self.spool.kept(self.epoch, lane.chain, through);
        }
    }

    /// The next batch; waits until there is one, and room for it. Loses nothing when it is not waited for.
    pub(super) async fn next(&mut self, has_room: impl Fn() -> bool) -> v1::ResultBatch {
        loop {
            match self.answer().await {
                Some(Answer::Resumed(resumed)) => self.begin(resumed),
                Some(Answer::Read(lane, until, results)) => {
                    if let Some(batch) = self.batch(lane, until, results) {
                        return batch;
                    }
                }
                None if self.stage != Stage::Going => std::future::pending().await,
                None if !has_room() => sleep(FULL).await,
                None => self.look().await,
            }
        }
    }

    /// What the disk answers, if it was asked.
    async fn answer(&mut self) -> Option<Answer> {
        let answer = match self.asked.as_mut()? {
            Asked::Resumed(resumed) => Answer::Resumed(resumed.await),
            Asked::Read { lane, until, results } => Answer::Read(*lane, *until, results.await),
        };
        self.asked = None;
        Some(answer)
    }

    fn begin(&mut self, resumed: Resumed) {
        let through = match resumed {
            Resumed::Same(through) => through,
            Resumed::NewEpoch(through) => {
                tracing::warn!("the spool is an older copy of itself; what waits goes under a new epoch");
                self.epoch = self.spool.epoch();
                self.lanes.iter_mut().for_each(|lane| lane.heard = 0);
                through
            }
        };
        for (lane, through) in self.lanes.iter_mut().zip(through) {
            lane.position = through;
        }
        self.stage = Stage::Going;
    }

    /// Asks for the next results, or waits until there may be some.
    async fn look(&mut self) {
        let now = Instant::now();
        for lane in &mut self.lanes {
            lane.give_up(now);
        }
        let settled = *self.durable.borrow_and_update();
        let next = self
            .lanes
            .iter()
            .zip(settled)
            .position(|(lane, settled)| lane.wants(settled));
        if let Some(lane) = next {
            self.read(lane, settled[lane]);
            return;
        }
        let oldest = self.lanes.iter().filter_map(|lane| lane.underway.front());
        let until = oldest.map(|(_, sent)| *sent + PATIENCE).min();
        tokio::select! {
            changed = self.durable.changed() => if changed.is_err() {
                // The spool is gone, and with it all that could be sent.
                std::future::pending::<()>().await;
            },
            () = sleep_until(until.unwrap_or(now + PATIENCE)) => {}
        }
    }

    fn read(&mut self, lane: usize, until: u64) {
        let spool = self.spool.clone();
        let Lane { chain, position, .. } = self.lanes[lane];
        let bytes = self.lanes[lane].pace.bytes();
        self.asked = Some(Asked::Read {
            lane,
            until,
            results: Box::pin(async move { spool.read_after(chain, position, bytes).await }),
        });
    }

    fn batch(&mut self, lane: usize, until: u64, results: Vec<Numbered>) -> Option<v1::ResultBatch> {
        let lane = &mut self.lanes[lane];
        let Some((last, _)) = results.last() else {
            lane.position = lane.position.max(until);
            return None;
        };
        let after = lane.sent();
        lane.position = *last;
        lane.underway.push_back((*last, Instant::now()));
        Some(v1::ResultBatch {
            spool_epoch: self.epoch.as_bytes().to_vec(),
            chain: lane.chain.to_string(),
            results: results.into_iter().filter_map(spooled).collect(),
            after,
        })
    }
}

impl Lane {
    fn new(chain: Chain) -> Self {
        Self {
            chain,
            position: 0,
            heard: 0,
            underway: VecDeque::new(),
            pace: Pace::default(),
        }
    }

    /// The last number that was sent, or that the collector has.
    fn sent(&self) -> u64 {
        self.underway.back().map_or(self.heard, |(last, _)| *last)
    }

    fn wants(&self, settled: u64) -> bool {
        self.underway.len() < UNANSWERED && self.position < settled
    }

    /// An acknowledgement came; what is new in it.
    fn acknowledged(&mut self, through: u64, now: Instant) -> Option<u64> {
        if through <= self.heard || through > self.position {
            return None;
        }
        while let Some((_, sent)) = self.underway.pop_front_if(|(last, _)| *last <= through) {
            self.pace.answered(now - sent);
        }
        self.heard = through;
        Some(through)
    }

    /// Goes back to what was acknowledged when nothing is heard of what was sent.
    fn give_up(&mut self, now: Instant) {
        if self
            .underway
            .front()
            .is_some_and(|(_, sent)| *sent + PATIENCE <= now)
        {
            tracing::warn!(chain = %self.chain, "the collector acknowledges no results; they are sent again");
            self.underway.clear();
            self.position = self.heard;
            self.pace = Pace::default();
        }
    }
}

fn spooled((sequence, payload): Numbered) -> Option<v1::SpooledResult> {
    match v1::CheckResult::decode(payload.as_slice()) {
        Ok(result) => Some(v1::SpooledResult {
            sequence,
            result: Some(result),
        }),
        Err(error) => {
            tracing::error!(%error, "a result in the spool is of no known form; it is left out");
            None
        }
    }
}

#[cfg(test)]
mod tests;
