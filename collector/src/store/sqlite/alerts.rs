//! Alerts, what is remembered of them, silences, and the outbox.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use parallax_model::alert::{Alert, AlertState, Silence};
use parallax_proto::v1;
use prost::Message;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite as Database, Transaction};
use tracing::warn;

use super::Sqlite;
use crate::alerts::{AlertChanges, KeptAlert, Notice};
use crate::store::{AlertStore, AlertsKept, Answer, StoreError, Waiting, WaitingFor};

/// So long what is over is kept: an alert, a silence.
const OVER: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Notices that wait for one receiver; of more, the oldest go.
const OUTBOX: i64 = 10_000;

/// Nothing is put off for so long: what seems to be was, by a clock that was set back.
const PUT_OFF: SignedDuration = SignedDuration::from_mins(10);

/// Under which subject it is remembered how many went.
const DROPPED: &str = "outbox/";

/// What the first Alertmanager of several is called after its receiver; the only one is called like it.
const FIRST: &str = "/1";

/// The column `state` of an alert that fires and is told.
const TOLD: &str = "told";

impl AlertStore for Sqlite {
    fn kept(&self) -> Answer<'_, AlertsKept> {
        Box::pin(kept(self))
    }

    fn write_alerts(&self, changes: AlertChanges, now: Timestamp) -> Answer<'_, ()> {
        Box::pin(write_alone(self, changes, now))
    }

    fn told(&self) -> Answer<'_, Vec<Alert>> {
        Box::pin(told(self))
    }

    fn due(&self, receiver: String, now: Timestamp, limit: u32) -> Answer<'_, Vec<Waiting>> {
        Box::pin(due(self, receiver, now, limit))
    }

    fn sent(&self, no: i64) -> Answer<'_, ()> {
        Box::pin(sent(self, no))
    }

    fn failed(&self, no: i64, problem: String, next_at: Timestamp) -> Answer<'_, ()> {
        Box::pin(failed(self, no, problem, next_at))
    }

    fn waiting(&self) -> Answer<'_, BTreeMap<String, WaitingFor>> {
        Box::pin(waiting(self))
    }

    fn hurry(&self, receiver: String, now: Timestamp) -> Answer<'_, ()> {
        Box::pin(hurry(self, receiver, now))
    }

    fn keep_receivers(&self, receivers: Vec<String>) -> Answer<'_, BTreeMap<String, u64>> {
        Box::pin(keep_receivers(self, receivers))
    }

    fn put_silence(&self, silence: Silence, now: Timestamp) -> Answer<'_, ()> {
        Box::pin(put_silence(self, silence, now))
    }
}

/// Alerts, memory and silences, as they were last kept.
async fn kept(store: &Sqlite) -> Result<AlertsKept, StoreError> {
    let alerts = sqlx::query("SELECT alert FROM alerts")
        .fetch_all(&store.pool)
        .await?;
    let memory = sqlx::query("SELECT subject, memory FROM alert_memory WHERE subject NOT LIKE $1")
        .bind(format!("{DROPPED}%"))
        .fetch_all(&store.pool)
        .await?;
    let silences = sqlx::query("SELECT silence FROM silences")
        .fetch_all(&store.pool)
        .await?;
    Ok(AlertsKept {
        alerts: alerts
            .iter()
            .map(|row| read_alert(row, "alert"))
            .collect::<Result<_, _>>()?,
        memory: memory.iter().map(read_memory).collect::<Result<_, _>>()?,
        silences: silences.iter().map(read_silence).collect::<Result<_, _>>()?,
    })
}

/// Writes changes that belong to no round.
async fn write_alone(store: &Sqlite, changes: AlertChanges, now: Timestamp) -> Result<(), StoreError> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut transaction = store.write().await?;
    write(&mut transaction, &changes, now).await?;
    transaction.commit().await?;
    Ok(())
}

/// Writes changes beside what caused them.
pub(super) async fn write(
    transaction: &mut Transaction<'_, Database>,
    changes: &AlertChanges,
    now: Timestamp,
) -> Result<(), StoreError> {
    for kept in &changes.alerts {
        write_alert(transaction, kept, now).await?;
    }
    for (subject, memory) in &changes.memory {
        remember(transaction, subject, memory.as_ref()).await?;
    }
    for notice in &changes.notices {
        queue(transaction, notice, now).await?;
    }
    let receivers: BTreeSet<&String> = changes.notices.iter().map(|notice| &notice.receiver).collect();
    for receiver in receivers {
        drop_oldest(transaction, receiver).await?;
    }
    if !changes.alerts.is_empty() {
        sqlx::query("DELETE FROM alerts WHERE state = $1 AND changed_at < $2")
            .bind(AlertState::Resolved.as_str())
            .bind((now - OVER).as_microsecond())
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}

/// The alerts that fire and that receivers know of.
async fn told(store: &Sqlite) -> Result<Vec<Alert>, StoreError> {
    let rows = sqlx::query("SELECT alert FROM alerts WHERE state = $1 ORDER BY fingerprint")
        .bind(TOLD)
        .fetch_all(&store.pool)
        .await?;
    rows.iter().map(|row| read_alert(row, "alert")).collect()
}

/// What a receiver can be told now, in the order in which it happened. What waits for another try holds back what is
/// behind it of the same alert.
async fn due(
    store: &Sqlite,
    receiver: String,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Waiting>, StoreError> {
    let rows = sqlx::query(
        "SELECT no, notice, attempts FROM outbox AS waiting WHERE receiver = $1 AND next_at NOT BETWEEN $2 AND $4 \
         AND NOT EXISTS (SELECT 1 FROM outbox AS before WHERE before.receiver = $1 \
         AND before.next_at BETWEEN $2 AND $4 AND before.fingerprint = waiting.fingerprint AND before.no < waiting.no) ORDER BY no LIMIT $3",
    )
    .bind(receiver)
    .bind(now.as_microsecond().saturating_add(1))
    .bind(i64::from(limit))
    .bind(now.saturating_add(PUT_OFF).unwrap_or(now).as_microsecond())
    .fetch_all(&store.pool)
    .await?;
    let waiting = |row: &SqliteRow| {
        let attempts: i64 = row.try_get("attempts")?;
        Ok(Waiting {
            no: row.try_get("no")?,
            alert: read_alert(row, "notice")?,
            attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        })
    };
    rows.iter().map(waiting).collect()
}

/// A notice was taken, or given up.
async fn sent(store: &Sqlite, no: i64) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM outbox WHERE no = $1")
        .bind(no)
        .execute(&store.pool)
        .await?;
    Ok(())
}

/// A notice was not taken.
async fn failed(store: &Sqlite, no: i64, problem: String, next_at: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE outbox SET attempts = attempts + 1, problem = $2, next_at = $3 WHERE no = $1")
        .bind(no)
        .bind(problem)
        .bind(next_at.as_microsecond())
        .execute(&store.pool)
        .await?;
    Ok(())
}

/// How much waits for each receiver, and how much was dropped.
async fn waiting(store: &Sqlite) -> Result<BTreeMap<String, WaitingFor>, StoreError> {
    let mut all: BTreeMap<String, WaitingFor> = BTreeMap::new();
    let rows = sqlx::query("SELECT receiver, COUNT(*) AS number FROM outbox GROUP BY receiver")
        .fetch_all(&store.pool)
        .await?;
    for row in rows {
        let number: i64 = row.try_get("number")?;
        all.entry(row.try_get("receiver")?).or_default().notices = number.unsigned_abs();
    }
    let rows = sqlx::query("SELECT subject, memory FROM alert_memory WHERE subject LIKE $1")
        .bind(format!("{DROPPED}%"))
        .fetch_all(&store.pool)
        .await?;
    for row in &rows {
        let (subject, memory) = read_memory(row)?;
        let receiver = subject.strip_prefix(DROPPED).unwrap_or_default();
        all.entry(receiver.to_owned()).or_default().dropped = dropped(&memory);
    }
    Ok(all)
}

/// Everything that waits for a receiver can be told now.
async fn hurry(store: &Sqlite, receiver: String, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE outbox SET next_at = $2 WHERE receiver = $1 AND next_at > $2")
        .bind(receiver)
        .bind(now.as_microsecond())
        .execute(&store.pool)
        .await?;
    Ok(())
}

/// Forgets what waits for others than these, but for those that are called otherwise now.
async fn keep_receivers(store: &Sqlite, receivers: Vec<String>) -> Result<BTreeMap<String, u64>, StoreError> {
    let mut forgotten = BTreeMap::new();
    for receiver in waiting(store).await?.into_keys() {
        if receivers.contains(&receiver) {
            continue;
        }
        let heir = match receiver.strip_suffix(FIRST) {
            Some(only) => only.to_owned(),
            None => format!("{receiver}{FIRST}"),
        };
        if receivers.contains(&heir) {
            sqlx::query("UPDATE outbox SET receiver = $2 WHERE receiver = $1")
                .bind(&receiver)
                .bind(heir)
                .execute(&store.pool)
                .await?;
        }
        let gone = sqlx::query("DELETE FROM outbox WHERE receiver = $1")
            .bind(&receiver)
            .execute(&store.pool)
            .await?;
        if gone.rows_affected() > 0 {
            forgotten.insert(receiver.clone(), gone.rows_affected());
        }
        sqlx::query("DELETE FROM alert_memory WHERE subject = $1")
            .bind(format!("{DROPPED}{receiver}"))
            .execute(&store.pool)
            .await?;
    }
    Ok(forgotten)
}

/// Keeps a silence as it is now, and forgets those that were over long ago.
async fn put_silence(store: &Sqlite, silence: Silence, now: Timestamp) -> Result<(), StoreError> {
    let mut transaction = store.write().await?;
    sqlx::query("INSERT OR REPLACE INTO silences (id, silence, ends_at) VALUES ($1, $2, $3)")
        .bind(silence.id.to_string())
        .bind(v1::Silence::from(silence.clone()).encode_to_vec())
        .bind(silence.ends_at.as_microsecond())
        .execute(&mut *transaction)
        .await?;
    sqlx::query("DELETE FROM silences WHERE ends_at < $1")
        .bind((now - OVER).as_microsecond())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

async fn write_alert(
    transaction: &mut Transaction<'_, Database>,
    KeptAlert { alert, told }: &KeptAlert,
    now: Timestamp,
) -> Result<(), StoreError> {
    let state = match alert.state {
        AlertState::Firing if *told => TOLD,
        state => state.as_str(),
    };
    sqlx::query(
        "INSERT OR REPLACE INTO alerts (fingerprint, check_no, state, alert, changed_at) VALUES ($1, \
         (SELECT no FROM checks WHERE name = $2 AND removed_at IS NULL), $3, $4, $5)",
    )
    .bind(&alert.fingerprint)
    .bind(alert.check.as_ref().map(|check| check.as_str().to_owned()))
    .bind(state)
    .bind(v1::Alert::from(alert.clone()).encode_to_vec())
    .bind(now.as_microsecond())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn remember(
    transaction: &mut Transaction<'_, Database>,
    subject: &str,
    memory: Option<&Value>,
) -> Result<(), StoreError> {
    let query = match memory {
        None => sqlx::query("DELETE FROM alert_memory WHERE subject = $1").bind(subject),
        Some(memory) => sqlx::query("INSERT OR REPLACE INTO alert_memory (subject, memory) VALUES ($1, $2)")
            .bind(subject)
            .bind(memory.to_string()),
    };
    query.execute(&mut **transaction).await?;
    Ok(())
}

async fn queue(
    transaction: &mut Transaction<'_, Database>,
    notice: &Notice,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO outbox (receiver, fingerprint, notice, made_at, next_at) VALUES ($1, $2, $3, $4, $4)",
    )
    .bind(&notice.receiver)
    .bind(&notice.alert.fingerprint)
    .bind(v1::Alert::from(notice.alert.clone()).encode_to_vec())
    .bind(now.as_microsecond())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn drop_oldest(transaction: &mut Transaction<'_, Database>, receiver: &str) -> Result<(), StoreError> {
    let number: i64 = sqlx::query("SELECT COUNT(*) FROM outbox WHERE receiver = $1")
        .bind(receiver)
        .fetch_one(&mut **transaction)
        .await?
        .try_get(0)?;
    let surplus = number - OUTBOX;
    if surplus <= 0 {
        return Ok(());
    }
    sqlx::query(
        "DELETE FROM outbox WHERE no IN (SELECT no FROM outbox WHERE receiver = $1 ORDER BY no LIMIT $2)",
    )
    .bind(receiver)
    .bind(surplus)
    .execute(&mut **transaction)
    .await?;
    let subject = format!("{DROPPED}{receiver}");
    let before = sqlx::query("SELECT subject, memory FROM alert_memory WHERE subject = $1")
        .bind(&subject)
        .fetch_optional(&mut **transaction)
        .await?;
    let before = before.as_ref().map(read_memory).transpose()?;
    let all = before.map_or(0, |(_, memory)| dropped(&memory)) + surplus.unsigned_abs();
    warn!(
        receiver,
        "{OUTBOX} notices wait already; the oldest are dropped, {all} by now"
    );
    remember(transaction, &subject, Some(&json!({"v": 1, "dropped": all}))).await
}

fn dropped(memory: &Value) -> u64 {
    memory.get("dropped").and_then(Value::as_u64).unwrap_or_default()
}

fn read_alert(row: &SqliteRow, column: &str) -> Result<Alert, StoreError> {
    let bytes: Vec<u8> = row.try_get(column)?;
    let wire = v1::Alert::decode(bytes.as_slice()).map_err(|_| StoreError::Unreadable("alert"))?;
    Alert::try_from(wire).map_err(|_| StoreError::Unreadable("alert"))
}

fn read_memory(row: &SqliteRow) -> Result<(String, Value), StoreError> {
    let memory: String = row.try_get("memory")?;
    let memory = serde_json::from_str(&memory).map_err(|_| StoreError::Unreadable("memory of an alert"))?;
    Ok((row.try_get("subject")?, memory))
}

fn read_silence(row: &SqliteRow) -> Result<Silence, StoreError> {
    let bytes: Vec<u8> = row.try_get("silence")?;
    let wire = v1::Silence::decode(bytes.as_slice()).map_err(|_| StoreError::Unreadable("silence"))?;
    Silence::try_from(wire).map_err(|_| StoreError::Unreadable("silence"))
}

#[cfg(test)]
mod tests;
