//! The embedded database.

mod agents;
mod alerts;
mod audit;
mod bulk;
mod captures;
mod certificates;
mod checks;
mod circuits;
mod credentials;
mod missed;
mod results;
mod retention;
mod rounds;
mod runs;
mod tokens;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parallax_model::audit::AuditEntry;
use parallax_model::run::{RunDocument, RunSummary, RunTarget};
use parallax_model::vantage::{AgentName, Labels};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Row as _, Sqlite as Database, Transaction};
use uuid::Uuid;

use super::{
    Account, AgentRecord, Answer, AuditFilter, AuditRecord, Called, CertificateRecord, CircuitRecord, Found,
    KeptCapture, KeptCredential, KnownIdentity, RunFilter, Sha256, Spent, Standing, Store, StoreError,
    TokenRecord,
};
use crate::runs::LastGood;

/// How long a statement waits for another process that writes.
const BUSY: Duration = Duration::from_secs(5);

/// Connections to one file; SQLite has one writer anyway.
const CONNECTIONS: u32 = 4;

/// How long after its end a certificate can be renewed at most; until then it is remembered.
const LONGEST_GRACE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Each brings the database from the version before to its own, the number in its name.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/1.sql"),
    include_str!("migrations/2.sql"),
    include_str!("migrations/3.sql"),
    include_str!("migrations/4.sql"),
    include_str!("migrations/5.sql"),
    include_str!("migrations/6.sql"),
    include_str!("migrations/7.sql"),
    include_str!("migrations/8.sql"),
];

/// A SQLite database, in a file or in memory.
#[derive(Debug)]
pub(crate) struct Sqlite {
    pool: SqlitePool,
    /// A connection that nobody uses, of a database in memory: it is gone with the last of them.
    _anchor: Option<SqlitePool>,
    /// What need not be looked at again for what is too old.
    swept: Mutex<retention::Swept>,
}

/// A transaction in which something is written.
type Writing = Transaction<'static, Database>;

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
        // By this name every connection has the same database, and this one only.
        let options: SqliteConnectOptions = "sqlite::memory:".parse()?;
        let lasting = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None);
        // Whoever gives up a call in its middle closes the connection that it had.
        let anchor = lasting.clone().connect_with(options.clone()).await?;
        let store = Self::prepare(lasting.connect_with(options).await?).await?;
        Ok(Self {
            _anchor: Some(anchor),
            ..store
        })
    }

    async fn prepare(pool: SqlitePool) -> Result<Self, StoreError> {
        migrate(&pool, MIGRATIONS).await?;
        sqlx::query("DELETE FROM certificates WHERE not_after < $1")
            .bind((Timestamp::now() - LONGEST_GRACE).as_microsecond())
            .execute(&pool)
            .await?;
        let store = Self {
            pool,
            _anchor: None,
            swept: Mutex::default(),
        };
        runs::name_targets(&store).await?;
        let mut transaction = store.write().await?;
        captures::forget_orphans(&mut transaction, Timestamp::now()).await?;
        transaction.commit().await?;
        Ok(store)
    }

    async fn write(&self) -> Result<Writing, StoreError> {
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
        Box::pin(tokens::add(self, token))
    }

    fn token(&self, hash: Sha256) -> Answer<'_, Option<TokenRecord>> {
        Box::pin(tokens::find(self, hash))
    }

    fn tokens(&self) -> Answer<'_, Vec<TokenRecord>> {
        Box::pin(tokens::all(self))
    }

    fn token_called(&self, id: String) -> Answer<'_, Called> {
        Box::pin(async move { tokens::called(self, &id).await })
    }

    fn meet(&self, certificate: CertificateRecord) -> Answer<'_, Standing> {
        Box::pin(certificates::meet(self, certificate))
    }

    fn restore_identity(&self, spiffe_id: String) -> Answer<'_, bool> {
        Box::pin(async move { certificates::restore(self, &spiffe_id).await })
    }

    fn not_renewed(&self, ca: Sha256, now: Timestamp) -> Answer<'_, Vec<String>> {
        Box::pin(certificates::not_renewed(self, ca, now))
    }

    fn removed_since(&self, since: Timestamp) -> Answer<'_, Vec<(String, Timestamp)>> {
        Box::pin(certificates::removed_since(self, since))
    }

    fn spend_token(
        &self,
        hash: Sha256,
        bought: CertificateRecord,
        replaces: bool,
        now: Timestamp,
    ) -> Answer<'_, Spent> {
        Box::pin(tokens::spend(self, hash, bought, replaces, now))
    }

    fn revoke_token(
        &self,
        hash: Sha256,
        keep_joined: bool,
        now: Timestamp,
    ) -> Answer<'_, Option<Vec<String>>> {
        Box::pin(tokens::revoke(self, hash, keep_joined, now))
    }

    fn renew_certificate(
        &self,
        presented: Sha256,
        is_over: bool,
        renewed: CertificateRecord,
        now: Timestamp,
    ) -> Answer<'_, bool> {
        Box::pin(certificates::renew(self, presented, is_over, renewed, now))
    }

    fn standing(&self, sha256: Sha256) -> Answer<'_, Standing> {
        Box::pin(certificates::standing(self, sha256))
    }

    fn identities(&self, now: Timestamp) -> Answer<'_, Vec<KnownIdentity>> {
        Box::pin(certificates::identities(self, now))
    }

    fn remove_identity(&self, spiffe_id: String, now: Timestamp) -> Answer<'_, bool> {
        Box::pin(async move { certificates::remove(self, &spiffe_id, now).await })
    }

    fn add_audit(&self, record: AuditRecord) -> Answer<'_, ()> {
        Box::pin(audit::add(self, record))
    }

    fn audit(&self, meant: AuditFilter, limit: u32) -> Answer<'_, Vec<AuditEntry>> {
        Box::pin(audit::latest(self, meant, limit))
    }

    fn put_agent(&self, agent: AgentRecord) -> Answer<'_, ()> {
        Box::pin(agents::put(self, agent))
    }

    fn agents_heard(&self, heard: Vec<(AgentName, Timestamp)>) -> Answer<'_, ()> {
        Box::pin(agents::heard(self, heard))
    }

    fn agents(&self) -> Answer<'_, Vec<AgentRecord>> {
        Box::pin(agents::all(self))
    }

    fn pinned_labels(&self) -> Answer<'_, BTreeMap<AgentName, Labels>> {
        Box::pin(agents::pins(self))
    }

    fn pin_labels(&self, agent: AgentName, set: Labels, unset: Vec<String>) -> Answer<'_, Labels> {
        Box::pin(async move { agents::pin(self, &agent, set, &unset).await })
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

    fn put_credential(&self, kept: KeptCredential, add: bool) -> Answer<'_, bool> {
        Box::pin(credentials::put(self, kept, add))
    }

    fn credentials(&self) -> Answer<'_, Vec<KeptCredential>> {
        Box::pin(credentials::all(self))
    }

    fn credential(&self, name: String) -> Answer<'_, Option<KeptCredential>> {
        Box::pin(credentials::find(self, name))
    }

    fn remove_credential(&self, name: String) -> Answer<'_, bool> {
        Box::pin(credentials::remove(self, name))
    }

    fn login_rejected(&self, circuit: CircuitRecord) -> Answer<'_, ()> {
        Box::pin(circuits::open(self, circuit))
    }

    fn login_accepted(&self, account: Account, seen: (AgentName, Uuid), now: Timestamp) -> Answer<'_, ()> {
        Box::pin(circuits::accepted(self, account, seen, now))
    }

    fn retry_login(&self, account: Account, by: String, now: Timestamp) -> Answer<'_, bool> {
        Box::pin(circuits::retry(self, account, by, now))
    }

    fn standing_circuits(&self, at_most: u32) -> Answer<'_, Vec<CircuitRecord>> {
        Box::pin(circuits::standing(self, at_most))
    }

    fn circuit(&self, account: Account) -> Answer<'_, Option<CircuitRecord>> {
        Box::pin(circuits::find(self, account))
    }

    fn circuits(&self) -> Answer<'_, Vec<CircuitRecord>> {
        Box::pin(circuits::named(self))
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            self.pool.close().await;
            Ok(())
        })
    }
}

fn labels(labels: &Labels) -> Result<String, StoreError> {
    serde_json::to_string(labels).map_err(|_| StoreError::Unreadable("label"))
}

fn read_labels(text: &str) -> Result<Labels, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Unreadable("label"))
}

fn read_time(microseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(microseconds).map_err(|_| StoreError::Unreadable("time"))
}

#[cfg(test)]
mod tests;
