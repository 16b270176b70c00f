//! Checks.

use std::sync::Arc;

use jiff::Timestamp;
use parallax_model::check::CheckDefinition;
use parallax_proto::v1;
use prost::Message as _;
use sqlx::sqlite::SqliteRow;
use sqlx::{Executor, Row as _, Sqlite as Database, Transaction};
use uuid::Uuid;

use super::{Sqlite, read_time};
use crate::store::{Answer, CheckRecord, CheckStore, CheckWrite, StoreError};

impl CheckStore for Sqlite {
    fn checks(&self) -> Answer<'_, Vec<Arc<CheckRecord>>> {
        Box::pin(all(&self.pool))
    }

    fn write_checks(
        &self,
        writes: Vec<CheckWrite>,
        by: String,
        now: Timestamp,
    ) -> Answer<'_, Vec<Arc<CheckRecord>>> {
        Box::pin(async move {
            let mut transaction = self.write().await?;
            for write in writes {
                match write {
                    CheckWrite::Put(definition) => put(&mut transaction, *definition, &by, now).await?,
                    CheckWrite::Pause(name, paused) => {
                        let pause = sqlx::query(
                            "UPDATE checks SET paused = $2, changed_at = $3, changed_by = $4 \
                             WHERE name = $1 AND removed_at IS NULL AND paused <> $2",
                        );
                        pause
                            .bind(name.as_str())
                            .bind(paused)
                            .bind(now.as_microsecond())
                            .bind(&by)
                            .execute(&mut *transaction)
                            .await?;
                    }
                    CheckWrite::Remove(name) => {
                        sqlx::query(
                            "UPDATE checks SET removed_at = $2, changed_by = $3 \
                             WHERE name = $1 AND removed_at IS NULL",
                        )
                        .bind(name.as_str())
                        .bind(now.as_microsecond())
                        .bind(&by)
                        .execute(&mut *transaction)
                        .await?;
                    }
                    CheckWrite::Cleared(id, generation) => {
                        sqlx::query("UPDATE checks SET cleared = $2 WHERE id = $1")
                            .bind(id.to_string())
                            .bind(generation)
                            .execute(&mut *transaction)
                            .await?;
                    }
                }
            }
            let checks = all(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(checks)
        })
    }
}

async fn put(
    transaction: &mut Transaction<'_, Database>,
    definition: CheckDefinition,
    by: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let name = definition.name.clone();
    let encoded = v1::CheckDefinition::from(definition).encode_to_vec();
    let changed = sqlx::query(
        "UPDATE checks SET definition = $2, version = version + 1, changed_at = $3, changed_by = $4 \
         WHERE name = $1 AND removed_at IS NULL",
    )
    .bind(name.as_str())
    .bind(&encoded)
    .bind(now.as_microsecond())
    .bind(by)
    .execute(&mut **transaction)
    .await?;
    if changed.rows_affected() > 0 {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO checks (id, name, version, definition, changed_at, changed_by) VALUES ($1, $2, 1, $3, $4, $5)",
    )
    .bind(Uuid::now_v7().to_string())
    .bind(name.as_str())
    .bind(encoded)
    .bind(now.as_microsecond())
    .bind(by)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn all<'e>(from: impl Executor<'e, Database = Database>) -> Result<Vec<Arc<CheckRecord>>, StoreError> {
    sqlx::query("SELECT * FROM checks WHERE removed_at IS NULL ORDER BY name")
        .fetch_all(from)
        .await?
        .iter()
        .map(|row| read(row).map(Arc::new))
        .collect()
}

fn read(row: &SqliteRow) -> Result<CheckRecord, StoreError> {
    let damaged = || StoreError::Unreadable("check");
    let id: &str = row.try_get("id")?;
    let definition: &[u8] = row.try_get("definition")?;
    let definition = v1::CheckDefinition::decode(definition).map_err(|_| damaged())?;
    let version: i64 = row.try_get("version")?;
    Ok(CheckRecord {
        id: id.parse().map_err(|_| damaged())?,
        no: row.try_get("no")?,
        version: version.unsigned_abs(),
        definition: CheckDefinition::try_from(definition).map_err(|_| damaged())?,
        paused: row.try_get("paused")?,
        cleared: row.try_get("cleared")?,
        changed_at: read_time(row.try_get("changed_at")?)?,
        changed_by: row.try_get("changed_by")?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::sample::definition;

    async fn write(store: &Sqlite, write: CheckWrite) -> Vec<Arc<CheckRecord>> {
        let by = "spiffe://parallax.internal/operator/ada".to_owned();
        let written = store.write_checks(vec![write], by, Timestamp::UNIX_EPOCH).await;
        written.unwrap()
    }

    #[tokio::test]
    async fn a_check_is_kept_and_changed_under_its_name() {
        let store = Sqlite::in_memory().await.unwrap();
        let put = |definition| CheckWrite::Put(Box::new(definition));
        let first = write(&store, put(definition("imap-fra"))).await;
        assert_eq!(first[0].definition, definition("imap-fra"));
        assert_eq!((first[0].version, first[0].paused), (1, false));
        let slower = CheckDefinition {
            every: Duration::from_secs(120),
            ..definition("imap-fra")
        };
        let second = write(&store, put(slower.clone())).await;
        assert_eq!((second[0].id, second[0].version), (first[0].id, 2));
        assert_eq!(second[0].definition, slower);
        let paused = write(&store, CheckWrite::Pause("imap-fra".parse().unwrap(), true)).await;
        assert!(paused[0].paused);
        let cleared = write(&store, CheckWrite::Cleared(first[0].id, "7".into())).await;
        assert_eq!(cleared[0].cleared, "7");
        assert_eq!(store.checks().await.unwrap(), cleared);
    }

    #[tokio::test]
    async fn a_removed_name_is_free_again() {
        let store = Sqlite::in_memory().await.unwrap();
        let put = || CheckWrite::Put(Box::new(definition("imap-fra")));
        let first = write(&store, put()).await;
        let remove = CheckWrite::Remove("imap-fra".parse().unwrap());
        assert!(write(&store, remove).await.is_empty());
        let second = write(&store, put()).await;
        assert_ne!(second[0].id, first[0].id);
        assert!(second[0].no > first[0].no);
        assert_eq!(second[0].version, 1);
    }
}
