//! Join tokens.

use jiff::Timestamp;
use parallax_model::identity::Role;
use parallax_model::token::TokenNames;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite as Database, Transaction};

use super::{Sqlite, certificates, labels, read_labels, read_time};
use crate::store::{Called, CertificateRecord, Sha256, Spent, StoreError, TokenRecord};

pub(super) async fn add(store: &Sqlite, token: TokenRecord) -> Result<(), StoreError> {
    let (name, pattern) = match &token.names {
        TokenNames::Any => (None, None),
        TokenNames::Only(name) => (Some(name.as_str()), None),
        TokenNames::Like(pattern) => (None, Some(pattern.as_str())),
    };
    sqlx::query(
        "INSERT INTO tokens (hash, role, name, name_pattern, labels, takes_over, created_at, created_by, \
         expires_at, uses, used) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(token.hash.to_vec())
    .bind(token.role.as_str())
    .bind(name)
    .bind(pattern)
    .bind(labels(&token.labels)?)
    .bind(token.takes_over)
    .bind(token.created_at.as_microsecond())
    .bind(&token.created_by)
    .bind(token.expires_at.as_microsecond())
    .bind(i64::from(token.uses))
    .bind(i64::from(token.used))
    .execute(&store.pool)
    .await?;
    Ok(())
}

pub(super) async fn find(store: &Sqlite, hash: Sha256) -> Result<Option<TokenRecord>, StoreError> {
    let row = sqlx::query("SELECT * FROM tokens WHERE hash = $1")
        .bind(hash.to_vec())
        .fetch_optional(&store.pool)
        .await?;
    row.as_ref().map(read).transpose()
}

/// All, newest first.
pub(super) async fn all(store: &Sqlite) -> Result<Vec<TokenRecord>, StoreError> {
    let rows = sqlx::query("SELECT * FROM tokens ORDER BY created_at DESC")
        .fetch_all(&store.pool)
        .await?;
    rows.iter().map(read).collect()
}

/// The one that is called so.
pub(super) async fn called(store: &Sqlite, id: &str) -> Result<Called, StoreError> {
    let tokens = all(store).await?.into_iter();
    let mut called = tokens.filter(|token| token.id() == id);
    Ok(match (called.next(), called.next()) {
        (Some(token), None) => Called::One(Box::new(token)),
        (Some(_), Some(_)) => Called::Several,
        (None, _) => Called::None,
    })
}

/// Counts one use and keeps what it bought, or does neither. Where somebody has the name already, only a token that
/// may takes it away from them.
pub(super) async fn spend(
    store: &Sqlite,
    hash: Sha256,
    bought: CertificateRecord,
    replaces: bool,
    now: Timestamp,
) -> Result<Spent, StoreError> {
    let mut transaction = store.write().await?;
    let row = sqlx::query(
        "UPDATE tokens SET used = used + 1 \
         WHERE hash = $1 AND used < uses AND expires_at > $2 AND revoked_at IS NULL RETURNING created_at",
    )
    .bind(hash.to_vec())
    .bind(now.as_microsecond())
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(row) = row else {
        return Ok(Spent::Worthless);
    };
    if was_removed_since(&mut transaction, &bought.spiffe_id, row.try_get("created_at")?).await? {
        return Ok(Spent::RemovedSince);
    }
    let (good, _) = certificates::take_away(&mut transaction, &bought.spiffe_id, now).await?;
    if good > 0 && !replaces {
        return Ok(Spent::InUse);
    }
    certificates::bring_back(&mut transaction, &bought.spiffe_id).await?;
    certificates::insert(&mut transaction, &bought, Some(hash)).await?;
    transaction.commit().await?;
    Ok(Spent::Bought)
}

/// Makes it worthless, and takes out those who joined with it unless they are to stay: who is out now. `None` when
/// there is no such token.
pub(super) async fn revoke(
    store: &Sqlite,
    hash: Sha256,
    keep_joined: bool,
    now: Timestamp,
) -> Result<Option<Vec<String>>, StoreError> {
    let mut transaction = store.write().await?;
    let revoked = sqlx::query("UPDATE tokens SET revoked_at = COALESCE(revoked_at, $1) WHERE hash = $2")
        .bind(now.as_microsecond())
        .bind(hash.to_vec())
        .execute(&mut *transaction)
        .await?;
    if revoked.rows_affected() == 0 {
        return Ok(None);
    }
    let mut out = Vec::new();
    if !keep_joined {
        let joined: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT spiffe_id FROM certificates \
             WHERE token_hash = $1 AND removed_at IS NULL ORDER BY spiffe_id",
        )
        .bind(hash.to_vec())
        .fetch_all(&mut *transaction)
        .await?;
        for spiffe_id in joined {
            certificates::take_out(&mut transaction, &spiffe_id, now).await?;
            out.push(spiffe_id);
        }
    }
    transaction.commit().await?;
    Ok(Some(out))
}

async fn was_removed_since(
    transaction: &mut Transaction<'static, Database>,
    spiffe_id: &str,
    made_at: i64,
) -> Result<bool, StoreError> {
    let removed = sqlx::query("SELECT 1 FROM removed WHERE spiffe_id = $1 AND removed_at >= $2")
        .bind(spiffe_id)
        .bind(made_at)
        .fetch_optional(&mut **transaction)
        .await?;
    Ok(removed.is_some())
}

fn read(row: &SqliteRow) -> Result<TokenRecord, StoreError> {
    let unreadable = || StoreError::Unreadable("token");
    let number = |column| -> Result<u32, StoreError> {
        u32::try_from(row.try_get::<i64, _>(column)?).map_err(|_| unreadable())
    };
    let (name, pattern): (Option<&str>, Option<&str>) = (row.try_get("name")?, row.try_get("name_pattern")?);
    let names = match (name, pattern) {
        (Some(name), _) => TokenNames::Only(name.parse().map_err(|_| unreadable())?),
        (None, Some(pattern)) => TokenNames::Like(pattern.parse().map_err(|_| unreadable())?),
        (None, None) => TokenNames::Any,
    };
    let revoked_at: Option<i64> = row.try_get("revoked_at")?;
    Ok(TokenRecord {
        hash: row
            .try_get::<&[u8], _>("hash")?
            .try_into()
            .map_err(|_| unreadable())?,
        role: Role::known(row.try_get("role")?).ok_or_else(unreadable)?,
        names,
        labels: read_labels(row.try_get("labels")?)?,
        takes_over: row.try_get("takes_over")?,
        created_at: read_time(row.try_get("created_at")?)?,
        created_by: row.try_get("created_by")?,
        expires_at: read_time(row.try_get("expires_at")?)?,
        uses: number("uses")?,
        used: number("used")?,
        revoked_at: revoked_at.map(read_time).transpose()?,
    })
}
