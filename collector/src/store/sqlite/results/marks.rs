//! How far each spool has come: up to which sequence everything is stored, or was dropped at the agent.

use jiff::Timestamp;
use parallax_model::check::Chain;
use parallax_model::vantage::AgentName;
use sqlx::Row as _;
use uuid::Uuid;

use super::super::{Sqlite, Writing};
use crate::store::StoreError;

/// One chain of one spool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spool {
    pub(super) agent_no: i64,
    pub(super) epoch: Uuid,
    pub(super) chain: Chain,
}

/// What a batch came to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Advance {
    pub(super) through: u64,
    pub(super) stored: u64,
    pub(super) duplicates: u64,
}

/// The marks of a spool, of failures and of successes; 0 of what was never heard of.
pub(in crate::store::sqlite) async fn both(
    store: &Sqlite,
    agent: AgentName,
    epoch: Uuid,
) -> Result<(u64, u64), StoreError> {
    let rows = sqlx::query(
        "SELECT chain, through FROM spools WHERE epoch = $1 \
         AND agent_no = (SELECT no FROM check_agents WHERE agent = $2)",
    )
    .bind(epoch.as_bytes().as_slice())
    .bind(agent.as_str())
    .fetch_all(&store.pool)
    .await?;
    let mut marks = (0, 0);
    for row in rows {
        let through = count(row.try_get("through")?);
        match row.try_get::<i64, _>("chain")? {
            FAILURES => marks.0 = through,
            _ => marks.1 = through,
        }
    }
    Ok(marks)
}

/// The mark of one chain.
pub(super) async fn read(writing: &mut Writing, spool: Spool) -> Result<u64, StoreError> {
    let row = sqlx::query("SELECT through FROM spools WHERE agent_no = $1 AND epoch = $2 AND chain = $3")
        .bind(spool.agent_no)
        .bind(spool.epoch.as_bytes().as_slice())
        .bind(number(spool.chain))
        .fetch_optional(&mut **writing)
        .await?;
    row.map_or(Ok(0), |row| Ok(count(row.try_get(0)?)))
}

/// Moves a mark on, and counts.
pub(super) async fn advance(
    writing: &mut Writing,
    spool: Spool,
    by: Advance,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO spools (agent_no, epoch, chain, through, stored, duplicates, heard_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (agent_no, epoch, chain) DO UPDATE SET \
         through = excluded.through, stored = stored + excluded.stored, \
         duplicates = duplicates + excluded.duplicates, heard_at = excluded.heard_at",
    )
    .bind(spool.agent_no)
    .bind(spool.epoch.as_bytes().as_slice())
    .bind(number(spool.chain))
    .bind(signed(by.through))
    .bind(signed(by.stored))
    .bind(signed(by.duplicates))
    .bind(now.as_microsecond())
    .execute(&mut **writing)
    .await?;
    Ok(())
}

const FAILURES: i64 = 0;

const fn number(chain: Chain) -> i64 {
    match chain {
        Chain::Failures => FAILURES,
        Chain::Successes => 1,
    }
}

fn count(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
