//! The audit log: it only grows.

use parallax_model::audit::AuditEntry;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _};

use super::{Sqlite, read_time};
use crate::store::{AuditFilter, AuditRecord, StoreError};

/// Adds an entry behind the last.
pub(super) async fn add(store: &Sqlite, record: AuditRecord) -> Result<(), StoreError> {
    let mut transaction = store.write().await?;
    let last = sqlx::query("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1")
        .fetch_optional(&mut *transaction)
        .await?;
    let (last, previous): (i64, Vec<u8>) = match last {
        Some(row) => (row.try_get("id")?, row.try_get("hash")?),
        None => (0, Vec::new()),
    };
    let mut entry = AuditEntry {
        id: last + 1,
        at: record.at,
        actor: record.actor,
        role: record.role,
        peer: record.peer,
        call: record.call,
        subject: record.subject,
        run_id: record.run_id,
        result: record.result,
        detail: record.detail,
        took_us: u64::try_from(record.took.as_micros()).unwrap_or(u64::MAX),
        previous,
        hash: Vec::new(),
    };
    entry.hash = entry.digest().to_vec();
    sqlx::query(
        "INSERT INTO audit (id, at, actor, role, peer, call, subject, run_id, result, detail, took_us, previous, \
         hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(entry.id)
    .bind(entry.at.as_microsecond())
    .bind(entry.actor)
    .bind(entry.role)
    .bind(entry.peer)
    .bind(entry.call)
    .bind(entry.subject)
    .bind(entry.run_id)
    .bind(entry.result)
    .bind(entry.detail)
    .bind(i64::try_from(entry.took_us).unwrap_or(i64::MAX))
    .bind(entry.previous)
    .bind(entry.hash)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// The latest that are meant, newest first.
pub(super) async fn latest(
    store: &Sqlite,
    meant: AuditFilter,
    limit: u32,
) -> Result<Vec<AuditEntry>, StoreError> {
    let mut query = QueryBuilder::new("SELECT * FROM audit WHERE 1 = 1");
    if let Some(before) = meant.before {
        query.push(" AND id < ").push_bind(before);
    }
    if let Some(since) = meant.since {
        query.push(" AND at >= ").push_bind(since.as_microsecond());
    }
    for (column, text) in [
        (" AND actor = ", meant.actor),
        (" AND call = ", meant.call),
        (" AND run_id = ", meant.run),
    ] {
        if let Some(text) = text {
            query.push(column).push_bind(text);
        }
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(limit));
    let rows = query.build().fetch_all(&store.pool).await?;
    rows.iter().map(read).collect()
}

fn read(row: &SqliteRow) -> Result<AuditEntry, StoreError> {
    let took: i64 = row.try_get("took_us")?;
    Ok(AuditEntry {
        id: row.try_get("id")?,
        at: read_time(row.try_get("at")?)?,
        actor: row.try_get("actor")?,
        role: row.try_get("role")?,
        peer: row.try_get("peer")?,
        call: row.try_get("call")?,
        subject: row.try_get("subject")?,
        run_id: row.try_get("run_id")?,
        result: row.try_get("result")?,
        detail: row.try_get("detail")?,
        took_us: took.unsigned_abs(),
        previous: row.try_get("previous")?,
        hash: row.try_get("hash")?,
    })
}
