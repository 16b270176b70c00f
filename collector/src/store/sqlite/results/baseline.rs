//! What is usual: half of the last seven days took at most so long.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sqlx::Row as _;
use uuid::Uuid;

use super::names::read_agent;
use super::rollup::DAY;
use crate::store::latency::Latency;
use crate::store::sqlite::Sqlite;
use crate::store::{Baselines, StoreError};

const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Of every check, agent and stage.
pub(in crate::store::sqlite) async fn baselines(
    store: &Sqlite,
    now: Timestamp,
) -> Result<Baselines, StoreError> {
    let rows = sqlx::query(
        "SELECT id, agent, latency FROM checks JOIN rollups ON check_no = checks.no AND span = $1 AND at > $2 \
         JOIN check_agents ON check_agents.no = agent_no WHERE removed_at IS NULL",
    )
    .bind(DAY)
    .bind((now - WEEK).as_microsecond())
    .fetch_all(&store.pool)
    .await?;
    let mut latencies: BTreeMap<_, Latency> = BTreeMap::new();
    for row in &rows {
        let check: Uuid = row
            .try_get::<&str, _>("id")?
            .parse()
            .map_err(|_| StoreError::Unreadable("check"))?;
        let agent = read_agent(row.try_get("agent")?)?;
        let latency = Latency::decode(row.try_get("latency")?).ok_or(StoreError::Unreadable("roll-up"))?;
        latencies.entry((check, agent)).or_default().merge(&latency);
    }
    let mut baselines = Baselines::default();
    for ((check, agent), latency) in latencies {
        for (&timed, sketch) in &latency.sketches {
            if let Some(median) = sketch.quantile(0.5) {
                baselines.insert((check, agent.clone(), timed), median);
            }
        }
    }
    Ok(baselines)
}
