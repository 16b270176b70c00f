//! Certificates that were issued, and whose owners were removed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use parallax_model::identity::{Role, SpiffeId};
use sqlx::{Row as _, Sqlite as Database, Transaction};

use super::{Sqlite, read_time};
use crate::store::{CertificateRecord, KnownIdentity, Sha256, Standing, StoreError};

/// Valid certificates of one identity; a process that renews needs two.
const AT_MOST: i64 = 8;

/// Keeps the certificate that somebody gets for another, or does nothing: `false` when the one that was shown is
/// worth nothing by now.
pub(super) async fn renew(
    store: &Sqlite,
    presented: Sha256,
    is_over: bool,
    renewed: CertificateRecord,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut transaction = store.write().await?;
    let row = sqlx::query("SELECT removed_at, token_hash FROM certificates WHERE sha256 = $1")
        .bind(presented.to_vec())
        .fetch_optional(&mut *transaction)
        .await?;
    let token = match &row {
        Some(row) if row.try_get::<Option<i64>, _>("removed_at")?.is_some() => return Ok(false),
        Some(row) => row.try_get::<Option<&[u8]>, _>("token_hash")?,
        None if is_over || is_out(&mut transaction, &renewed.spiffe_id).await? => return Ok(false),
        None => None,
    };
    let token = token
        .map(|hash| hash.try_into().map_err(|_| StoreError::Unreadable("token")))
        .transpose()?;
    insert(&mut transaction, &renewed, token).await?;
    sqlx::query(
        "UPDATE certificates SET removed_at = $1 WHERE spiffe_id = $2 AND removed_at IS NULL AND sha256 NOT IN \
         (SELECT sha256 FROM certificates WHERE spiffe_id = $2 AND removed_at IS NULL \
         ORDER BY issued_at DESC LIMIT $3)",
    )
    .bind(now.as_microsecond())
    .bind(&renewed.spiffe_id)
    .bind(AT_MOST)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn standing(store: &Sqlite, sha256: Sha256) -> Result<Standing, StoreError> {
    let removed = sqlx::query("SELECT 1 FROM certificates WHERE sha256 = $1 AND removed_at IS NOT NULL")
        .bind(sha256.to_vec())
        .fetch_optional(&store.pool)
        .await?;
    Ok(removed.map_or(Standing::Good, |_| Standing::Removed))
}

/// The standing of a certificate that others issued. One that is seen for the first time is remembered, so that its
/// owner can be taken out; those of the same owner that are over are forgotten, however often it gets new ones.
pub(super) async fn meet(store: &Sqlite, certificate: CertificateRecord) -> Result<Standing, StoreError> {
    let mut transaction = store.pool.begin().await?;
    let seen = sqlx::query("SELECT removed_at FROM certificates WHERE sha256 = $1")
        .bind(certificate.sha256.to_vec())
        .fetch_optional(&mut *transaction)
        .await?;
    if let Some(seen) = seen {
        return Ok(match seen.try_get::<Option<i64>, _>("removed_at")? {
            Some(_) => Standing::Removed,
            None => Standing::Good,
        });
    }
    drop(transaction);
    let mut transaction = store.write().await?;
    if is_out(&mut transaction, &certificate.spiffe_id).await? {
        return Ok(Standing::Removed);
    }
    sqlx::query("DELETE FROM certificates WHERE spiffe_id = $1 AND not_after < $2")
        .bind(&certificate.spiffe_id)
        .bind(certificate.issued_at.as_microsecond())
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "INSERT INTO certificates (sha256, spiffe_id, issued_at, not_after) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (sha256) DO NOTHING",
    )
    .bind(certificate.sha256.to_vec())
    .bind(&certificate.spiffe_id)
    .bind(certificate.issued_at.as_microsecond())
    .bind(certificate.not_after.as_microsecond())
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(Standing::Good)
}

/// Lets a name in again. Certificates that were seen before it was taken out stay worth nothing.
pub(super) async fn restore(store: &Sqlite, spiffe_id: &str) -> Result<bool, StoreError> {
    let mut transaction = store.write().await?;
    if !is_out(&mut transaction, spiffe_id).await? {
        return Ok(false);
    }
    bring_back(&mut transaction, spiffe_id).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Everybody who was let in and is remembered, by name.
pub(super) async fn identities(store: &Sqlite, now: Timestamp) -> Result<Vec<KnownIdentity>, StoreError> {
    let rows = sqlx::query(
        "SELECT c.spiffe_id, c.not_after, c.removed_at, c.token_hash, r.removed_at AS out_at \
         FROM certificates c LEFT JOIN removed r ON r.spiffe_id = c.spiffe_id ORDER BY c.issued_at",
    )
    .fetch_all(&store.pool)
    .await?;
    let mut known: BTreeMap<String, KnownIdentity> = BTreeMap::new();
    for row in rows {
        let spiffe_id: String = row.try_get("spiffe_id")?;
        let not_after = read_time(row.try_get("not_after")?)?;
        let out_at: Option<i64> = row.try_get("out_at")?;
        let valid = row.try_get::<Option<i64>, _>("removed_at")?.is_none() && not_after > now;
        let token: Option<&[u8]> = row.try_get("token_hash")?;
        let identity = known.entry(spiffe_id.clone()).or_insert(KnownIdentity {
            spiffe_id,
            certificates: 0,
            not_after,
            token: None,
            removed_at: out_at.map(read_time).transpose()?,
        });
        identity.certificates += u32::from(valid);
        identity.not_after = identity.not_after.max(not_after);
        identity.token = token.and_then(|hash| hash.try_into().ok());
    }
    Ok(known.into_values().collect())
}

/// Who was taken out since then and has not come back.
pub(super) async fn removed_since(
    store: &Sqlite,
    since: Timestamp,
) -> Result<Vec<(String, Timestamp)>, StoreError> {
    let rows = sqlx::query("SELECT spiffe_id, removed_at FROM removed WHERE removed_at >= $1")
        .bind(since.as_microsecond())
        .fetch_all(&store.pool)
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get("spiffe_id")?, read_time(row.try_get("removed_at")?)?)))
        .collect()
}

/// Takes somebody out with every certificate; `false` when there is nobody of that name.
pub(super) async fn remove(store: &Sqlite, spiffe_id: &str, now: Timestamp) -> Result<bool, StoreError> {
    let mut transaction = store.write().await?;
    let there = take_out(&mut transaction, spiffe_id, now).await?;
    if there {
        transaction.commit().await?;
    }
    Ok(there)
}

pub(super) async fn insert(
    transaction: &mut Transaction<'static, Database>,
    certificate: &CertificateRecord,
    token: Option<Sha256>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO certificates (sha256, spiffe_id, issued_at, not_after, token_hash, ca_sha256) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(certificate.sha256.to_vec())
    .bind(&certificate.spiffe_id)
    .bind(certificate.issued_at.as_microsecond())
    .bind(certificate.not_after.as_microsecond())
    .bind(token.map(|hash| hash.to_vec()))
    .bind(certificate.ca.map(|ca| ca.to_vec()))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Those who would be out if no other CA than this were trusted.
pub(super) async fn not_renewed(
    store: &Sqlite,
    ca: Sha256,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT DISTINCT spiffe_id FROM certificates c WHERE removed_at IS NULL AND not_after > $1 AND NOT EXISTS \
         (SELECT 1 FROM certificates n WHERE n.spiffe_id = c.spiffe_id AND n.ca_sha256 = $2 \
         AND n.removed_at IS NULL AND n.not_after > $1) ORDER BY spiffe_id",
    )
    .bind(now.as_microsecond())
    .bind(ca.to_vec())
    .fetch_all(&store.pool)
    .await?)
}

/// Makes the certificates of an identity worthless; how many were still good, and how many there were.
pub(super) async fn take_away(
    transaction: &mut Transaction<'static, Database>,
    spiffe_id: &str,
    now: Timestamp,
) -> Result<(usize, usize), StoreError> {
    // One that is over could still be renewed.
    let taken: Vec<i64> = sqlx::query_scalar(
        "UPDATE certificates SET removed_at = $1 WHERE spiffe_id = $2 AND removed_at IS NULL \
         RETURNING not_after",
    )
    .bind(now.as_microsecond())
    .bind(spiffe_id)
    .fetch_all(&mut **transaction)
    .await?;
    let good = taken.iter().filter(|&&ends| ends > now.as_microsecond()).count();
    Ok((good, taken.len()))
}

/// Takes somebody out: no certificate, no agent, no labels, and no token made before brings it back.
pub(super) async fn take_out(
    transaction: &mut Transaction<'static, Database>,
    spiffe_id: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (_, taken) = take_away(transaction, spiffe_id, now).await?;
    let mut agents = 0;
    if let Some(agent) = agent_of(spiffe_id) {
        agents = sqlx::query("UPDATE agents SET removed_at = $1 WHERE name = $2 AND removed_at IS NULL")
            .bind(now.as_microsecond())
            .bind(&agent)
            .execute(&mut **transaction)
            .await?
            .rows_affected();
        sqlx::query("DELETE FROM pinned_labels WHERE agent = $1")
            .bind(agent)
            .execute(&mut **transaction)
            .await?;
    }
    if taken == 0 && agents == 0 {
        return Ok(false);
    }
    sqlx::query(
        "INSERT INTO removed (spiffe_id, removed_at) VALUES ($1, $2) \
         ON CONFLICT (spiffe_id) DO UPDATE SET removed_at = excluded.removed_at",
    )
    .bind(spiffe_id)
    .bind(now.as_microsecond())
    .execute(&mut **transaction)
    .await?;
    Ok(true)
}

/// Lets a name in again.
pub(super) async fn bring_back(
    transaction: &mut Transaction<'static, Database>,
    spiffe_id: &str,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM removed WHERE spiffe_id = $1")
        .bind(spiffe_id)
        .execute(&mut **transaction)
        .await?;
    sqlx::query("UPDATE agents SET removed_at = NULL WHERE name = $1")
        .bind(agent_of(spiffe_id))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn is_out(
    transaction: &mut Transaction<'static, Database>,
    spiffe_id: &str,
) -> Result<bool, StoreError> {
    let out = sqlx::query("SELECT 1 FROM removed WHERE spiffe_id = $1")
        .bind(spiffe_id)
        .fetch_optional(&mut **transaction)
        .await?;
    Ok(out.is_some())
}

fn agent_of(spiffe_id: &str) -> Option<String> {
    let id: SpiffeId = spiffe_id.parse().ok()?;
    (id.role == Role::Agent).then(|| id.name.to_string())
}
