//! The embedded database.

mod captures;
mod runs;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::identity::{Role, SpiffeId};
use parallax_model::run::{RunDocument, RunSummary, RunTarget};
use parallax_model::vantage::AgentName;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Row as _, Sqlite as Database, Transaction};
use uuid::Uuid;

use super::{
    AgentRecord, Answer, CertificateRecord, Found, KeptCapture, RunFilter, Sha256, Standing, Store,
    StoreError, TokenRecord,
};
use crate::agents::Introduction;
use crate::runs::LastGood;

/// How long a statement waits for another process that writes.
const BUSY: Duration = Duration::from_secs(5);

/// Connections to one file; SQLite has one writer anyway.
const CONNECTIONS: u32 = 4;

/// Each brings the database from the version before to its own, the number in its name.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/1.sql"),
    include_str!("migrations/2.sql"),
    include_str!("migrations/3.sql"),
    include_str!("migrations/4.sql"),
];

/// A SQLite database, in a file or in memory.
#[derive(Debug)]
pub(crate) struct Sqlite {
    pool: SqlitePool,
}

impl Sqlite {
    /// Opens the database in a file, makes it if there is none, and brings it up to date.
    pub(crate) async fn open(file: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A used token must stay used, also after the power failed.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY);
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS);
        Self::prepare(pool.connect_with(options).await?).await
    }

    /// A database that is gone with the process.
    pub(crate) async fn in_memory() -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new().in_memory(true);
        // Every connection would have a database of its own, and one that is closed would take it along.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None);
        Self::prepare(pool.connect_with(options).await?).await
    }

    async fn prepare(pool: SqlitePool) -> Result<Self, StoreError> {
        migrate(&pool, MIGRATIONS).await?;
        sqlx::query("DELETE FROM certificates WHERE not_after < $1")
            .bind(Timestamp::now().as_microsecond())
            .execute(&pool)
            .await?;
        let store = Self { pool };
        runs::name_targets(&store).await?;
        let mut transaction = store.write().await?;
        captures::forget_orphans(&mut transaction, Timestamp::now()).await?;
        transaction.commit().await?;
        Ok(store)
    }

    async fn write(&self) -> Result<Transaction<'static, Database>, StoreError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }
}

async fn migrate(pool: &SqlitePool, migrations: &'static [&'static str]) -> Result<(), StoreError> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let found: i64 = sqlx::query("PRAGMA user_version")
        .fetch_one(&mut *transaction)
        .await?
        .try_get(0)?;
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    let done = usize::try_from(found).map_err(|_| StoreError::Unreadable("version"))?;
    for migration in &migrations[done..] {
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

impl Store for Sqlite {
    fn add_token(&self, token: TokenRecord) -> Answer<'_, ()> {
        Box::pin(async move {
            sqlx::query(
                "INSERT INTO tokens (hash, role, name, created_at, expires_at, uses, used) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(token.hash.to_vec())
            .bind(token.role.as_str())
            .bind(token.name.as_ref().map(|name| name.as_str().to_owned()))
            .bind(Timestamp::now().as_microsecond())
            .bind(token.expires_at.as_microsecond())
            .bind(i64::from(token.uses))
            .bind(i64::from(token.used))
            .execute(&self.pool)
            .await?;
            Ok(())
        })
    }

    fn token(&self, hash: Sha256) -> Answer<'_, Option<TokenRecord>> {
        Box::pin(async move {
            let row = sqlx::query("SELECT role, name, expires_at, uses, used FROM tokens WHERE hash = $1")
                .bind(hash.to_vec())
                .fetch_optional(&self.pool)
                .await?;
            row.map(|row| read_token(hash, &row)).transpose()
        })
    }

    fn spend_token(&self, hash: Sha256, bought: CertificateRecord, now: Timestamp) -> Answer<'_, bool> {
        Box::pin(async move {
            let mut transaction = self.write().await?;
            let spent = sqlx::query(
                "UPDATE tokens SET used = used + 1 WHERE hash = $1 AND used < uses AND expires_at > $2",
            )
            .bind(hash.to_vec())
            .bind(now.as_microsecond())
            .execute(&mut *transaction)
            .await?;
            if spent.rows_affected() == 0 {
                return Ok(false);
            }
            sqlx::query("UPDATE agents SET removed_at = NULL WHERE name = $1")
                .bind(agent_of(&bought.spiffe_id))
                .execute(&mut *transaction)
                .await?;
            insert_certificate(&mut transaction, &bought).await?;
            transaction.commit().await?;
            Ok(true)
        })
    }

    fn add_certificate(&self, certificate: CertificateRecord) -> Answer<'_, ()> {
        Box::pin(async move {
            let mut transaction = self.write().await?;
            insert_certificate(&mut transaction, &certificate).await?;
            transaction.commit().await?;
            Ok(())
        })
    }

    fn standing(&self, sha256: Sha256) -> Answer<'_, Standing> {
        Box::pin(async move {
            let removed =
                sqlx::query("SELECT 1 FROM certificates WHERE sha256 = $1 AND removed_at IS NOT NULL")
                    .bind(sha256.to_vec())
                    .fetch_optional(&self.pool)
                    .await?;
            Ok(if removed.is_some() {
                Standing::Removed
            } else {
                Standing::Good
            })
        })
    }

    fn put_agent(&self, agent: AgentRecord) -> Answer<'_, ()> {
        Box::pin(async move {
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
            .bind(serde_json::to_string(&said.labels).map_err(|_| StoreError::Unreadable("label"))?)
            .bind(
                serde_json::to_string(&said.capabilities)
                    .map_err(|_| StoreError::Unreadable("capability"))?,
            )
            .bind(said.sealing_key.clone())
            .bind(agent.last_seen.map(Timestamp::as_microsecond))
            .execute(&self.pool)
            .await?;
            Ok(())
        })
    }

    fn agents(&self) -> Answer<'_, Vec<AgentRecord>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT name, version, labels, capabilities, sealing_key, last_seen FROM agents \
                 WHERE removed_at IS NULL ORDER BY name",
            )
            .fetch_all(&self.pool)
            .await?
            .iter()
            .map(read_agent)
            .collect()
        })
    }

    fn remove_agent(&self, name: AgentName, spiffe_id: String, now: Timestamp) -> Answer<'_, bool> {
        Box::pin(async move {
            let mut transaction = self.write().await?;
            let agents =
                sqlx::query("UPDATE agents SET removed_at = $1 WHERE name = $2 AND removed_at IS NULL")
                    .bind(now.as_microsecond())
                    .bind(name.as_str())
                    .execute(&mut *transaction)
                    .await?;
            let certificates = sqlx::query(
                "UPDATE certificates SET removed_at = $1 WHERE spiffe_id = $2 AND removed_at IS NULL",
            )
            .bind(now.as_microsecond())
            .bind(spiffe_id)
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(agents.rows_affected() + certificates.rows_affected() > 0)
        })
    }

    fn put_run(&self, run: RunDocument) -> Answer<'_, ()> {
        Box::pin(runs::put(self, run))
    }

    fn runs(&self, meant: RunFilter, limit: u32) -> Answer<'_, Vec<RunSummary>> {
        Box::pin(runs::latest(self, meant, limit))
    }

    fn run(&self, id: String) -> Answer<'_, Found> {
        Box::pin(runs::find(self, id))
    }

    fn last_good(&self, target: RunTarget) -> Answer<'_, Option<LastGood>> {
        Box::pin(runs::last_good(self, target))
    }

    fn put_capture(&self, run: Uuid, kept: KeptCapture) -> Answer<'_, ()> {
        Box::pin(captures::put(self, run, kept))
    }

    fn next_capture(&self, run: Uuid, from: u32) -> Answer<'_, Option<KeptCapture>> {
        Box::pin(captures::next(self, run, from))
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            self.pool.close().await;
            Ok(())
        })
    }
}

async fn insert_certificate(
    transaction: &mut Transaction<'static, Database>,
    certificate: &CertificateRecord,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO certificates (sha256, spiffe_id, issued_at, not_after) VALUES ($1, $2, $3, $4)")
        .bind(certificate.sha256.to_vec())
        .bind(certificate.spiffe_id.clone())
        .bind(certificate.issued_at.as_microsecond())
        .bind(certificate.not_after.as_microsecond())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

fn agent_of(spiffe_id: &str) -> Option<String> {
    let id: SpiffeId = spiffe_id.parse().ok()?;
    (id.role == Role::Agent).then(|| id.name.to_string())
}

fn read_token(hash: Sha256, row: &SqliteRow) -> Result<TokenRecord, StoreError> {
    let name: Option<String> = row.try_get("name")?;
    let number = |column| -> Result<u32, StoreError> {
        u32::try_from(row.try_get::<i64, _>(column)?).map_err(|_| StoreError::Unreadable("token"))
    };
    Ok(TokenRecord {
        hash,
        role: Role::known(row.try_get("role")?).ok_or(StoreError::Unreadable("role"))?,
        name: name
            .map(|name| name.parse().map_err(|_| StoreError::Unreadable("name")))
            .transpose()?,
        expires_at: read_time(row.try_get("expires_at")?)?,
        uses: number("uses")?,
        used: number("used")?,
    })
}

fn read_agent(row: &SqliteRow) -> Result<AgentRecord, StoreError> {
    let name: String = row.try_get("name")?;
    let last_seen: Option<i64> = row.try_get("last_seen")?;
    Ok(AgentRecord {
        name: name.parse().map_err(|_| StoreError::Unreadable("name"))?,
        introduction: Introduction {
            version: row.try_get("version")?,
            labels: serde_json::from_str(row.try_get("labels")?)
                .map_err(|_| StoreError::Unreadable("label"))?,
            capabilities: serde_json::from_str(row.try_get("capabilities")?)
                .map_err(|_| StoreError::Unreadable("capability"))?,
            sealing_key: row.try_get("sealing_key")?,
            instance: String::new(),
        },
        last_seen: last_seen.map(read_time).transpose()?,
    })
}

fn read_time(microseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(microseconds).map_err(|_| StoreError::Unreadable("time"))
}

#[cfg(test)]
mod tests;
