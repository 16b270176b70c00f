//! What an hour and a day came to, for each check and agent.

use std::collections::BTreeMap;

use jiff::Timestamp;
use parallax_model::observation::VantageOutcome;
use sqlx::Row as _;

use super::super::Writing;
use crate::rounds::VantagePart;
use crate::store::StoreError;
use crate::store::latency::Latency;

/// An hour and a day (UTC), in seconds.
pub(super) const HOUR: i64 = 3600;
pub(super) const DAY: i64 = 86_400;

const SECOND: i64 = 1_000_000;

/// Which row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store::sqlite) struct Place {
    pub(in crate::store::sqlite) check_no: i64,
    pub(in crate::store::sqlite) agent_no: i64,
}

/// What is added to a row.
#[derive(Debug, Default)]
struct Sum {
    counts: [i64; 4],
    latency: Latency,
    /// The last that was seen, and when.
    certificate: Option<(i64, i64)>,
    /// Results that should be there and are not; less than nothing where some came after all.
    missing: i64,
}

/// What is to be added, row by row.
#[derive(Debug, Default)]
pub(in crate::store::sqlite) struct Sums {
    by_row: BTreeMap<(Place, i64, i64), Sum>,
}

impl Sums {
    /// Counts one result in its hour and in its day.
    pub(super) fn add(&mut self, place: Place, part: &VantagePart, certificate_no: Option<i64>) {
        let at = part.started_at.as_microsecond();
        for span in [HOUR, DAY] {
            let sum = self.of(place, span, at);
            sum.counts[outcome_number(part.outcome)] += 1;
            add_latency(&mut sum.latency, part);
            if let Some(number) = certificate_no
                && sum.certificate.is_none_or(|(seen, _)| seen <= at)
            {
                sum.certificate = Some((at, number));
            }
        }
    }

    /// A result of the round that began then should be there, and is not.
    pub(in crate::store::sqlite) fn miss(&mut self, place: Place, round_at: Timestamp) {
        for span in [HOUR, DAY] {
            self.of(place, span, round_at.as_microsecond()).missing += 1;
        }
    }

    /// It came after all.
    pub(in crate::store::sqlite) fn take_back(&mut self, place: Place, round_at: Timestamp) {
        for span in [HOUR, DAY] {
            self.of(place, span, round_at.as_microsecond()).missing -= 1;
        }
    }

    /// Adds everything to the rows that are there, and makes those that are not.
    pub(in crate::store::sqlite) async fn write(self, writing: &mut Writing) -> Result<(), StoreError> {
        for ((place, span, at), sum) in self.by_row {
            write_one(writing, place, span, at, sum).await?;
        }
        Ok(())
    }

    fn of(&mut self, place: Place, span: i64, at: i64) -> &mut Sum {
        let length = span * SECOND;
        let begins = at.div_euclid(length) * length;
        self.by_row.entry((place, span, begins)).or_default()
    }
}

/// 0 ok, 1 degraded, 2 failed, 3 refused: as in the database.
pub(super) const fn outcome_number(outcome: VantageOutcome) -> usize {
    match outcome {
        VantageOutcome::Ok => 0,
        VantageOutcome::Degraded => 1,
        VantageOutcome::Failed => 2,
        VantageOutcome::Refused | VantageOutcome::Missing => 3,
    }
}

/// What failed took as long as somebody waited: that says nothing about the stage.
fn add_latency(latency: &mut Latency, part: &VantagePart) {
    let failed = part.failed.map(|(stage, _)| stage);
    for &(stage, duration) in part.stages.iter().filter(|(stage, _)| Some(*stage) != failed) {
        latency.add(Some(stage), duration);
    }
    if matches!(part.outcome, VantageOutcome::Ok | VantageOutcome::Degraded) {
        latency.add(None, part.total);
    }
}

async fn write_one(
    writing: &mut Writing,
    place: Place,
    span: i64,
    at: i64,
    mut sum: Sum,
) -> Result<(), StoreError> {
    let found = sqlx::query(
        "SELECT latency FROM rollups WHERE check_no = $1 AND span = $2 AND at = $3 AND agent_no = $4",
    )
    .bind(place.check_no)
    .bind(span)
    .bind(at)
    .bind(place.agent_no)
    .fetch_optional(&mut **writing)
    .await?;
    let seen: i64 = sum.counts.iter().sum();
    match found {
        Some(row) => {
            let kept = Latency::decode(row.try_get("latency")?).ok_or(StoreError::Unreadable("roll-up"))?;
            sum.latency.merge(&kept);
        }
        // What is taken back was counted in a row that is gone by now.
        None if seen == 0 && sum.missing <= 0 => return Ok(()),
        None => {}
    }
    let [ok, degraded, failed, refused] = sum.counts;
    sqlx::query(
        "INSERT INTO rollups (check_no, span, at, agent_no, ok, degraded, failed, refused, expected, latency, \
         certificate_no) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, MAX($9, $12), $10, $11) \
         ON CONFLICT (check_no, span, at, agent_no) DO UPDATE SET ok = ok + excluded.ok, \
         degraded = degraded + excluded.degraded, failed = failed + excluded.failed, \
         refused = refused + excluded.refused, latency = excluded.latency, \
         expected = MAX(expected + $9, ok + degraded + failed + refused + $12), \
         certificate_no = COALESCE(excluded.certificate_no, certificate_no)",
    )
    .bind(place.check_no)
    .bind(span)
    .bind(at)
    .bind(place.agent_no)
    .bind(ok)
    .bind(degraded)
    .bind(failed)
    .bind(refused)
    .bind(seen + sum.missing)
    .bind(sum.latency.encode())
    .bind(sum.certificate.map(|(_, number)| number))
    .bind(seen)
    .execute(&mut **writing)
    .await?;
    Ok(())
}
