//! Secrets that servers turned down, and those with a name that they took.

use jiff::Timestamp;
use parallax_model::vantage::AgentName;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::{Sqlite, read_time};
use crate::store::{Account, CircuitRecord, CircuitState, OWN_GENERATION, StoreError};

/// Who closes a circuit when the server takes the secret.
const ACCEPTED: &str = "accepted";

/// Opens a circuit. One that is open already stays as it was, unless somebody else saw it now.
pub(super) async fn open(store: &Sqlite, circuit: CircuitRecord) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO circuits (host, user, credential, generation, opened_at, agent, run_id, words) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (host, user, credential) DO UPDATE SET generation = excluded.generation, \
         opened_at = excluded.opened_at, agent = excluded.agent, run_id = excluded.run_id, words = excluded.words, \
         closed_at = NULL, closed_by = NULL \
         WHERE closed_at IS NOT NULL OR generation <> excluded.generation OR agent <> excluded.agent",
    )
    .bind(&circuit.account.host)
    .bind(&circuit.account.user)
    .bind(&circuit.account.credential)
    .bind(&circuit.account.generation)
    .bind(circuit.opened_at.as_microsecond())
    .bind(circuit.agent.as_str())
    .bind(circuit.run.to_string())
    .bind(&circuit.words)
    .execute(&store.pool)
    .await?;
    Ok(())
}

/// The server took the secret: there is no circuit any more. That is kept of a credential with a name.
pub(super) async fn accepted(
    store: &Sqlite,
    account: Account,
    (agent, run): (AgentName, Uuid),
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE circuits SET closed_at = $1, closed_by = $2 WHERE host = $3 AND user = $4 AND credential = $5 \
         AND generation = $6 AND closed_by IS NOT $2",
    )
    .bind(now.as_microsecond())
    .bind(ACCEPTED)
    .bind(&account.host)
    .bind(&account.user)
    .bind(&account.credential)
    .bind(&account.generation)
    .execute(&store.pool)
    .await?;
    if account.credential.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO circuits (host, user, credential, generation, opened_at, agent, run_id, words, closed_at, closed_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, '', $5, $8) \
         ON CONFLICT (host, user, credential) DO UPDATE SET generation = excluded.generation, \
         opened_at = excluded.opened_at, agent = excluded.agent, run_id = excluded.run_id, words = excluded.words, \
         closed_at = excluded.closed_at, closed_by = excluded.closed_by \
         WHERE generation <> excluded.generation",
    )
    .bind(&account.host)
    .bind(&account.user)
    .bind(&account.credential)
    .bind(&account.generation)
    .bind(now.as_microsecond())
    .bind(agent.as_str())
    .bind(run.to_string())
    .bind(ACCEPTED)
    .execute(&store.pool)
    .await?;
    Ok(())
}

/// An operator wants the secret tried again, also one who wanted that before; `false` when no server turned it down, or
/// one took it since.
pub(super) async fn retry(
    store: &Sqlite,
    account: Account,
    by: String,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let closed = sqlx::query(
        "UPDATE circuits SET closed_at = $1, closed_by = $2 \
         WHERE host = $3 AND user = $4 AND credential = $5 AND generation = $6 AND closed_by IS NOT $7",
    )
    .bind(now.as_microsecond())
    .bind(by)
    .bind(&account.host)
    .bind(&account.user)
    .bind(&account.credential)
    .bind(&account.generation)
    .bind(ACCEPTED)
    .execute(&store.pool)
    .await?;
    Ok(closed.rows_affected() > 0)
}

/// The circuit of a secret, if a server turned this version of it down, or took it.
pub(super) async fn find(store: &Sqlite, account: Account) -> Result<Option<CircuitRecord>, StoreError> {
    let row = sqlx::query(
        "SELECT * FROM circuits WHERE host = $1 AND user = $2 AND credential = $3 AND generation = $4",
    )
    .bind(&account.host)
    .bind(&account.user)
    .bind(&account.credential)
    .bind(&account.generation)
    .fetch_optional(&store.pool)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Every circuit of a credential that has a name.
pub(super) async fn named(store: &Sqlite) -> Result<Vec<CircuitRecord>, StoreError> {
    let rows = sqlx::query("SELECT * FROM circuits WHERE credential <> ''")
        .fetch_all(&store.pool)
        .await?;
    rows.iter().map(read).collect()
}

/// Those that stand, the latest first: of a credential that was set anew since, only what became of the new secret.
pub(super) async fn standing(store: &Sqlite, at_most: u32) -> Result<Vec<CircuitRecord>, StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM circuits WHERE closed_at IS NULL AND (credential = '' OR generation = $1 OR EXISTS \
         (SELECT 1 FROM credentials WHERE name = circuits.credential AND generation = circuits.generation)) \
         ORDER BY opened_at DESC LIMIT $2",
    )
    .bind(OWN_GENERATION)
    .bind(at_most)
    .fetch_all(&store.pool)
    .await?;
    rows.iter().map(read).collect()
}

fn read(row: &SqliteRow) -> Result<CircuitRecord, StoreError> {
    let agent: String = row.try_get("agent")?;
    let run: String = row.try_get("run_id")?;
    let closed_at: Option<i64> = row.try_get("closed_at")?;
    let closed_by: Option<String> = row.try_get("closed_by")?;
    let state = match closed_at.map(read_time).transpose()? {
        None => CircuitState::Open,
        Some(at) if closed_by.as_deref() == Some(ACCEPTED) => CircuitState::Accepted(at),
        Some(at) => CircuitState::Retry(at),
    };
    Ok(CircuitRecord {
        account: Account {
            host: row.try_get("host")?,
            user: row.try_get("user")?,
            credential: row.try_get("credential")?,
            generation: row.try_get("generation")?,
        },
        opened_at: read_time(row.try_get("opened_at")?)?,
        agent: agent
            .parse()
            .map_err(|_| StoreError::Unreadable("agent of a circuit"))?,
        run: run
            .parse()
            .map_err(|_| StoreError::Unreadable("run of a circuit"))?,
        words: row.try_get("words")?,
        state,
    })
}
