//! Agents, and the labels that others gave them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use parallax_model::vantage::{AgentName, Labels};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Sqlite, labels, read_labels, read_time};
use crate::agents::Introduction;
use crate::store::{AgentRecord, StoreError};

pub(super) async fn put(store: &Sqlite, agent: AgentRecord) -> Result<(), StoreError> {
    let said = &agent.introduction;
    // Whether it was removed is not an agent's to say.
    sqlx::query(
        "INSERT INTO agents (name, version, labels, capabilities, sealing_key, last_seen) \
         VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (name) DO UPDATE SET version = excluded.version, labels = excluded.labels, \
         capabilities = excluded.capabilities, sealing_key = excluded.sealing_key, \
         last_seen = excluded.last_seen",
    )
    .bind(agent.name.as_str())
    .bind(said.version.as_str())
    .bind(labels(&said.labels)?)
    .bind(serde_json::to_string(&said.capabilities).map_err(|_| StoreError::Unreadable("capability"))?)
    .bind(said.sealing_key.clone())
    .bind(agent.last_seen.map(Timestamp::as_microsecond))
    .execute(&store.pool)
    .await?;
    Ok(())
}

/// Notes when each was last heard of, in one statement; what is known to be later stays.
pub(super) async fn heard(store: &Sqlite, heard: Vec<(AgentName, Timestamp)>) -> Result<(), StoreError> {
    let heard: Vec<_> = heard
        .iter()
        .map(|(name, at)| (name.as_str(), at.as_microsecond()))
        .collect();
    let heard = serde_json::to_string(&heard).map_err(|_| StoreError::Unreadable("name"))?;
    sqlx::query(
        "UPDATE agents SET last_seen = MAX(COALESCE(last_seen, 0), heard.at) \
         FROM (SELECT json_extract(value, '$[0]') AS name, json_extract(value, '$[1]') AS at FROM json_each($1)) \
         AS heard WHERE agents.name = heard.name",
    )
    .bind(heard)
    .execute(&store.pool)
    .await?;
    Ok(())
}

/// Every agent ever seen and not removed, by name.
pub(super) async fn all(store: &Sqlite) -> Result<Vec<AgentRecord>, StoreError> {
    sqlx::query(
        "SELECT name, version, labels, capabilities, sealing_key, last_seen FROM agents \
         WHERE removed_at IS NULL ORDER BY name",
    )
    .fetch_all(&store.pool)
    .await?
    .iter()
    .map(read)
    .collect()
}

/// Labels that count whatever an agent says of itself, by agent.
pub(super) async fn pins(store: &Sqlite) -> Result<BTreeMap<AgentName, Labels>, StoreError> {
    let rows = sqlx::query("SELECT agent, labels FROM pinned_labels")
        .fetch_all(&store.pool)
        .await?;
    rows.iter()
        .map(|row| {
            let agent: &str = row.try_get("agent")?;
            let agent = agent.parse().map_err(|_| StoreError::Unreadable("name"))?;
            Ok((agent, read_labels(row.try_get("labels")?)?))
        })
        .collect()
}

/// Pins and unpins labels of an agent; what is pinned now.
pub(super) async fn pin(
    store: &Sqlite,
    agent: &AgentName,
    set: Labels,
    unset: &[String],
) -> Result<Labels, StoreError> {
    let mut transaction = store.write().await?;
    let row = sqlx::query("SELECT labels FROM pinned_labels WHERE agent = $1")
        .bind(agent.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
    let mut pinned = match row {
        Some(row) => read_labels(row.try_get("labels")?)?,
        None => Labels::new(),
    };
    pinned.retain(|key, _| !unset.contains(key));
    pinned.extend(set);
    sqlx::query(
        "INSERT INTO pinned_labels (agent, labels) VALUES ($1, $2) \
         ON CONFLICT (agent) DO UPDATE SET labels = excluded.labels",
    )
    .bind(agent.as_str())
    .bind(labels(&pinned)?)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(pinned)
}

fn read(row: &SqliteRow) -> Result<AgentRecord, StoreError> {
    let name: String = row.try_get("name")?;
    let last_seen: Option<i64> = row.try_get("last_seen")?;
    Ok(AgentRecord {
        name: name.parse().map_err(|_| StoreError::Unreadable("name"))?,
        introduction: Introduction {
            version: row.try_get("version")?,
            labels: read_labels(row.try_get("labels")?)?,
            capabilities: serde_json::from_str(row.try_get("capabilities")?)
                .map_err(|_| StoreError::Unreadable("capability"))?,
            sealing_key: row.try_get("sealing_key")?,
            sealing_proof: None,
            instance: String::new(),
            local_credentials: Vec::new(),
            checks: Vec::new(),
            spool: None,
            continues: false,
        },
        last_seen: last_seen.map(read_time).transpose()?,
    })
}
