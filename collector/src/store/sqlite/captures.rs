//! The packets kept beside runs: as many as there is room for, the newest.

use jiff::{SignedDuration, Timestamp};
use parallax_model::capture::Capture;
use parallax_proto::v1;
use prost::Message as _;
use sqlx::{Row as _, Sqlite as Database, Transaction};
use uuid::Uuid;

use super::Sqlite;
use crate::store::{KeptCapture, StoreError};

/// What all of them together may take.
const ROOM: i64 = 500_000_000;

/// No run goes on for longer: what is older and of no run is of one that nobody waited for.
const LONGEST_RUN: SignedDuration = SignedDuration::from_hours(2);

/// Keeps one, and lets the oldest go for which there is no room any more.
pub(super) async fn put(store: &Sqlite, run: Uuid, kept: KeptCapture) -> Result<(), StoreError> {
    let mut transaction = store.write().await?;
    sqlx::query(
        "INSERT INTO captures (run_id, number, agent, kept_at, bytes, capture) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (run_id, number) DO NOTHING",
    )
    .bind(run.to_string())
    .bind(i64::from(kept.number))
    .bind(kept.agent.as_str())
    .bind(Timestamp::now().as_microsecond())
    .bind(i64::try_from(kept.capture.pcapng.len()).unwrap_or(i64::MAX))
    .bind(v1::Capture::from(kept.capture).encode_to_vec())
    .execute(&mut *transaction)
    .await?;
    make_room(&mut transaction, ROOM).await?;
    transaction.commit().await?;
    Ok(())
}

/// The first of a run from this place on.
pub(super) async fn next(store: &Sqlite, run: Uuid, from: u32) -> Result<Option<KeptCapture>, StoreError> {
    let row = sqlx::query(
        "SELECT number, agent, capture FROM captures WHERE run_id = $1 AND number >= $2 \
         ORDER BY number LIMIT 1",
    )
    .bind(run.to_string())
    .bind(i64::from(from))
    .fetch_optional(&store.pool)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let unreadable = || StoreError::Unreadable("capture");
    let (number, agent): (i64, &str) = (row.try_get("number")?, row.try_get("agent")?);
    let capture = v1::Capture::decode(row.try_get::<&[u8], _>("capture")?).map_err(|_| unreadable())?;
    Ok(Some(KeptCapture {
        number: u32::try_from(number).map_err(|_| unreadable())?,
        agent: agent.parse().map_err(|_| unreadable())?,
        capture: Capture::try_from(capture).map_err(|_| unreadable())?,
    }))
}

/// Lets those go whose run is gone, or was never kept.
pub(super) async fn forget_orphans(
    transaction: &mut Transaction<'static, Database>,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM captures WHERE kept_at < $1 AND run_id NOT IN (SELECT id FROM runs)")
        .bind((now - LONGEST_RUN).as_microsecond())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Leaves the newest that are not larger than `room` together.
pub(super) async fn make_room(
    transaction: &mut Transaction<'static, Database>,
    room: i64,
) -> Result<(), StoreError> {
    let taken: i64 = sqlx::query("SELECT COALESCE(SUM(bytes), 0) FROM captures")
        .fetch_one(&mut **transaction)
        .await?
        .try_get(0)?;
    if taken <= room {
        return Ok(());
    }
    sqlx::query(
        "DELETE FROM captures WHERE (run_id, number) IN (SELECT run_id, number FROM (\
         SELECT run_id, number, SUM(bytes) OVER (ORDER BY kept_at DESC, run_id DESC, number DESC) AS newer \
         FROM captures) AS summed WHERE newer > $1)",
    )
    .bind(room)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
