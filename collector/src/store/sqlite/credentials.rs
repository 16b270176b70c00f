//! Credentials, sealed.

use parallax_model::credential::SealedSecret;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Sqlite, read_time};
use crate::store::{CredentialRecord, KeptCredential, SealedCopy, StoreError};

/// Keeps a credential in the place of one of the same name, or, where it is only to be added to, its copies alone:
/// `false` when there is no such generation of it to add them to, for that host and user.
pub(super) async fn put(store: &Sqlite, kept: KeptCredential, add: bool) -> Result<bool, StoreError> {
    let KeptCredential { credential, copies } = kept;
    let generation = credential.generation.to_string();
    let mut transaction = store.write().await?;
    if add {
        let known = sqlx::query(
            "SELECT 1 FROM credentials WHERE name = $1 AND generation = $2 AND host = $3 AND user = $4",
        )
        .bind(&credential.name)
        .bind(&generation)
        .bind(&credential.host)
        .bind(&credential.user)
        .fetch_optional(&mut *transaction)
        .await?;
        if known.is_none() {
            return Ok(false);
        }
    } else {
        sqlx::query("DELETE FROM sealed WHERE credential = $1")
            .bind(&credential.name)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT OR REPLACE INTO credentials (name, host, user, mechanism, anchors, generation, set_by, set_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(&credential.name)
        .bind(&credential.host)
        .bind(&credential.user)
        .bind(&credential.mechanism)
        .bind(joined(&credential.anchors))
        .bind(&generation)
        .bind(&credential.set_by)
        .bind(credential.set_at.as_microsecond())
        .execute(&mut *transaction)
        .await?;
    }
    for copy in copies {
        sqlx::query(
            "INSERT OR REPLACE INTO sealed (credential, agent, generation, encapsulated_key, ciphertext, sealed_to_key) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&credential.name)
        .bind(copy.agent.as_str())
        .bind(&generation)
        .bind(copy.secret.encapsulated_key)
        .bind(copy.secret.ciphertext)
        .bind(copy.key)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(true)
}

/// All, by name.
pub(super) async fn all(store: &Sqlite) -> Result<Vec<KeptCredential>, StoreError> {
    let rows = sqlx::query("SELECT * FROM credentials ORDER BY name")
        .fetch_all(&store.pool)
        .await?;
    let mut all = Vec::new();
    for row in &rows {
        all.push(with_copies(store, row).await?);
    }
    Ok(all)
}

pub(super) async fn find(store: &Sqlite, name: String) -> Result<Option<KeptCredential>, StoreError> {
    let row = sqlx::query("SELECT * FROM credentials WHERE name = $1")
        .bind(name)
        .fetch_optional(&store.pool)
        .await?;
    match row {
        Some(row) => Ok(Some(with_copies(store, &row).await?)),
        None => Ok(None),
    }
}

/// Forgets a credential, with its copies and its circuit; `false` when there is none of that name.
pub(super) async fn remove(store: &Sqlite, name: String) -> Result<bool, StoreError> {
    let mut transaction = store.write().await?;
    let removed = sqlx::query("DELETE FROM credentials WHERE name = $1")
        .bind(&name)
        .execute(&mut *transaction)
        .await?;
    for statement in [
        "DELETE FROM sealed WHERE credential = $1",
        "DELETE FROM circuits WHERE credential = $1",
    ] {
        sqlx::query(statement)
            .bind(&name)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(removed.rows_affected() > 0)
}

async fn with_copies(store: &Sqlite, row: &SqliteRow) -> Result<KeptCredential, StoreError> {
    let generation: String = row.try_get("generation")?;
    let credential = CredentialRecord {
        name: row.try_get("name")?,
        host: row.try_get("host")?,
        user: row.try_get("user")?,
        mechanism: row.try_get("mechanism")?,
        anchors: parted(row.try_get("anchors")?)?,
        generation: generation
            .parse()
            .map_err(|_| StoreError::Unreadable("generation of a credential"))?,
        set_by: row.try_get("set_by")?,
        set_at: read_time(row.try_get("set_at")?)?,
    };
    let rows = sqlx::query("SELECT * FROM sealed WHERE credential = $1 AND generation = $2 ORDER BY agent")
        .bind(&credential.name)
        .bind(&generation)
        .fetch_all(&store.pool)
        .await?;
    let copies = rows.iter().map(copy).collect::<Result<_, _>>()?;
    Ok(KeptCredential { credential, copies })
}

fn copy(row: &SqliteRow) -> Result<SealedCopy, StoreError> {
    let agent: String = row.try_get("agent")?;
    Ok(SealedCopy {
        agent: agent
            .parse()
            .map_err(|_| StoreError::Unreadable("agent of a sealed secret"))?,
        secret: SealedSecret {
            encapsulated_key: row.try_get("encapsulated_key")?,
            ciphertext: row.try_get("ciphertext")?,
        },
        key: row.try_get("sealed_to_key")?,
    })
}

/// Each with its length before it, four bytes in network order.
fn joined(anchors: &[Vec<u8>]) -> Vec<u8> {
    let mut all = Vec::new();
    for anchor in anchors {
        let length = u32::try_from(anchor.len()).unwrap_or(u32::MAX);
        all.extend_from_slice(&length.to_be_bytes());
        all.extend_from_slice(anchor);
    }
    all
}

fn parted(all: Vec<u8>) -> Result<Vec<Vec<u8>>, StoreError> {
    let damaged = || StoreError::Unreadable("trust anchor of a credential");
    let mut rest = all.as_slice();
    let mut anchors = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk().ok_or_else(damaged)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| damaged())?;
        let (anchor, after) = after.split_at_checked(length).ok_or_else(damaged)?;
        anchors.push(anchor.to_vec());
        rest = after;
    }
    Ok(anchors)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::store::{Account, CircuitRecord, CircuitState, OWN_GENERATION, Store as _};

    fn kept(generation: u128, agents: &[&str]) -> KeptCredential {
        KeptCredential {
            credential: CredentialRecord {
                name: "probe".into(),
                host: "imap.example.org".into(),
                user: "anna".into(),
                mechanism: String::new(),
                anchors: vec![vec![1; 300], vec![], vec![2]],
                generation: Uuid::from_u128(generation),
                set_by: "spiffe://parallax.internal/operator/ada".into(),
                set_at: Timestamp::UNIX_EPOCH,
            },
            copies: agents.iter().map(|agent| copy_for(agent)).collect(),
        }
    }

    fn copy_for(agent: &str) -> SealedCopy {
        SealedCopy {
            agent: agent.parse().unwrap(),
            secret: SealedSecret {
                encapsulated_key: vec![3; 32],
                ciphertext: agent.as_bytes().to_vec(),
            },
            key: vec![4; 32],
        }
    }

    #[tokio::test]
    async fn a_credential_is_kept_whole_and_copies_are_added_to_the_same_generation_alone() {
        let store = Sqlite::in_memory().await.unwrap();
        assert!(!store.put_credential(kept(1, &["fra-1"]), true).await.unwrap());
        assert!(store.put_credential(kept(1, &["fra-1"]), false).await.unwrap());
        assert!(store.put_credential(kept(1, &["ams-1"]), true).await.unwrap());
        let mut another_user = kept(1, &["nyc-1"]);
        another_user.credential.user = "bert".into();
        assert!(!store.put_credential(another_user, true).await.unwrap());
        let both = kept(1, &["ams-1", "fra-1"]);
        assert_eq!(store.credential("probe".into()).await.unwrap(), Some(both));
        assert!(!store.put_credential(kept(2, &["nyc-1"]), true).await.unwrap());
        assert!(store.put_credential(kept(2, &["nyc-1"]), false).await.unwrap());
        assert_eq!(store.credentials().await.unwrap(), [kept(2, &["nyc-1"])]);
        assert!(store.remove_credential("probe".into()).await.unwrap());
        assert!(!store.remove_credential("probe".into()).await.unwrap());
        assert_eq!(store.credential("probe".into()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_circuit_is_open_until_an_operator_a_new_secret_or_the_server_closes_it() {
        let store = Sqlite::in_memory().await.unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let of = |generation: &str| Account {
            host: "imap.example.org".into(),
            user: "anna".into(),
            credential: "probe".into(),
            generation: generation.into(),
        };
        let rejected = || CircuitRecord {
            account: of("one"),
            opened_at: now,
            agent: "fra-1".parse().unwrap(),
            run: Uuid::from_u128(7),
            words: "credentials_rejected".into(),
            state: CircuitState::Open,
        };
        let seen = || ("nyc-1".parse().unwrap(), Uuid::from_u128(8));
        assert_eq!(store.circuit(of("one")).await.unwrap(), None);
        store.login_rejected(rejected()).await.unwrap();
        assert_eq!(store.circuit(of("one")).await.unwrap(), Some(rejected()));
        assert_eq!(store.circuit(of("two")).await.unwrap(), None, "a new secret");
        assert!(
            store.standing_circuits(9).await.unwrap().is_empty(),
            "no such credential"
        );
        let mut own = rejected();
        own.account.generation = OWN_GENERATION.to_owned();
        own.account.host = "imap.elsewhere.example".into();
        store.login_rejected(own.clone()).await.unwrap();
        assert_eq!(store.standing_circuits(9).await.unwrap(), [own.clone()]);
        store.login_accepted(own.account, seen(), now).await.unwrap();
        assert!(store.standing_circuits(9).await.unwrap().is_empty());
        assert!(store.retry_login(of("one"), "ada".into(), now).await.unwrap());
        let later = now + jiff::SignedDuration::from_secs(60);
        assert!(store.retry_login(of("one"), "ada".into(), later).await.unwrap());
        let state = async || store.circuit(of("one")).await.unwrap().unwrap().state;
        assert_eq!(state().await, CircuitState::Retry(later), "asked for anew");
        assert!(!store.retry_login(of("two"), "ada".into(), later).await.unwrap());
        store.login_rejected(rejected()).await.unwrap();
        assert_eq!(
            store.circuit(of("one")).await.unwrap(),
            Some(rejected()),
            "open again"
        );
        store.login_accepted(of("one"), seen(), later).await.unwrap();
        assert_eq!(state().await, CircuitState::Accepted(later));
        assert!(!store.retry_login(of("one"), "ada".into(), later).await.unwrap());
        let typed = Account {
            credential: String::new(),
            generation: String::new(),
            ..of("one")
        };
        store
            .login_rejected(CircuitRecord {
                account: typed,
                ..rejected()
            })
            .await
            .unwrap();
        let much_later = later + jiff::SignedDuration::from_secs(60);
        store.login_accepted(of("one"), seen(), much_later).await.unwrap();
        assert_eq!(state().await, CircuitState::Accepted(later), "no news");
        store.login_accepted(of("two"), seen(), much_later).await.unwrap();
        let taken = store.circuit(of("two")).await.unwrap().unwrap();
        assert_eq!(
            (taken.state, taken.words.as_str(), taken.agent.as_str()),
            (CircuitState::Accepted(much_later), "", "nyc-1"),
            "the first thing that is known of a new secret"
        );
        let named = store.circuits().await.unwrap().into_iter();
        let mut hosts: Vec<_> = named.map(|circuit| circuit.account.host).collect();
        hosts.sort_unstable();
        assert_eq!(
            hosts,
            ["imap.elsewhere.example", "imap.example.org"],
            "those with a name"
        );
    }
}
