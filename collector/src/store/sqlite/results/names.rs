//! Short numbers for what stands in every row: agents, checks, certificates.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::round::Cadence;
use parallax_model::vantage::AgentName;
use parallax_proto::v1;
use prost::Message as _;
use sqlx::{Row as _, SqliteConnection};
use uuid::Uuid;

use super::super::Writing;
use crate::rounds::LeafFacts;
use crate::store::{HistoryAsked, StoreError};

/// A check as its rows need it.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownCheck {
    pub(super) no: i64,
    pub(super) removed: bool,
}

/// A check whose history is asked for.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) no: i64,
    pub(super) cadence: Cadence,
}

/// The check that is meant, also one that was removed.
pub(super) async fn watched(
    connection: &mut SqliteConnection,
    asked: &HistoryAsked,
) -> Result<Option<Watched>, StoreError> {
    let row = sqlx::query("SELECT no, definition FROM checks WHERE id = $1")
        .bind(asked.check.to_string())
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let definition = definition(row.try_get("definition")?)?;
    Ok(Some(Watched {
        no: row.try_get("no")?,
        cadence: Cadence {
            check: asked.check,
            every: Duration::from_millis(u64::from(definition.every_ms)),
            together: definition.together,
        },
    }))
}

/// The agents that are meant, by number.
pub(super) async fn agents(
    connection: &mut SqliteConnection,
    asked: &HistoryAsked,
) -> Result<BTreeMap<i64, AgentName>, StoreError> {
    let rows = sqlx::query("SELECT no, agent FROM check_agents")
        .fetch_all(connection)
        .await?;
    let mut agents = BTreeMap::new();
    for row in rows {
        let name = read_agent(row.try_get("agent")?)?;
        if asked.agents.as_ref().is_none_or(|agents| agents.contains(&name)) {
            agents.insert(row.try_get("no")?, name);
        }
    }
    Ok(agents)
}

pub(in crate::store::sqlite) fn read_agent(name: &str) -> Result<AgentName, StoreError> {
    name.parse()
        .map_err(|_| StoreError::Unreadable("agent of a check"))
}

fn definition(bytes: &[u8]) -> Result<v1::CheckDefinition, StoreError> {
    v1::CheckDefinition::decode(bytes).map_err(|_| StoreError::Unreadable("check"))
}

/// The number of an agent; one that is new gets the next.
pub(in crate::store::sqlite) async fn agent(
    writing: &mut Writing,
    name: &AgentName,
) -> Result<i64, StoreError> {
    let known = sqlx::query("SELECT no FROM check_agents WHERE agent = $1")
        .bind(name.as_str())
        .fetch_optional(&mut **writing)
        .await?;
    if let Some(row) = known {
        return Ok(row.try_get(0)?);
    }
    let added = sqlx::query("INSERT INTO check_agents (agent) VALUES ($1) RETURNING no")
        .bind(name.as_str())
        .fetch_one(&mut **writing)
        .await?;
    Ok(added.try_get(0)?)
}

/// A check that is or was there.
pub(super) async fn check(writing: &mut Writing, id: Uuid) -> Result<Option<KnownCheck>, StoreError> {
    let row = sqlx::query("SELECT no, removed_at FROM checks WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(&mut **writing)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(KnownCheck {
        no: row.try_get("no")?,
        removed: row.try_get::<Option<i64>, _>("removed_at")?.is_some(),
    }))
}

/// The number of a certificate; one that is new gets the next.
pub(super) async fn certificate(writing: &mut Writing, leaf: &LeafFacts) -> Result<i64, StoreError> {
    let known = sqlx::query("SELECT no FROM check_certificates WHERE sha256 = $1")
        .bind(&leaf.sha256)
        .fetch_optional(&mut **writing)
        .await?;
    if let Some(row) = known {
        return Ok(row.try_get(0)?);
    }
    let added = sqlx::query(
        "INSERT INTO check_certificates (sha256, subject, issuer, not_before, not_after) \
         VALUES ($1, $2, $3, $4, $5) RETURNING no",
    )
    .bind(&leaf.sha256)
    .bind(&leaf.subject)
    .bind(&leaf.issuer)
    .bind(microseconds(leaf.not_before))
    .bind(microseconds(leaf.not_after))
    .fetch_one(&mut **writing)
    .await?;
    Ok(added.try_get(0)?)
}

fn microseconds(at: Timestamp) -> i64 {
    at.as_microsecond()
}
