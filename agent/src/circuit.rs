//! Secrets that a server turned down: this agent sends none of them again until somebody says so.
//!
//! What is kept is no secret and tells none: a keyed digest, with a key that never leaves this host.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hmac::{Hmac, Mac as _};
use jiff::{SignedDuration, Timestamp};
use parallax_identity::{Readers, write_whole};
use parallax_model::credential::{ClientIdentity, Credential};
use parallax_model::fault::{AuthFault, Fault, FaultKind};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio::sync::OwnedMutexGuard;

const KEY_FILE: &str = "circuit.key";
const FILE: &str = "circuits.json";
/// Secrets that are remembered; the oldest makes room.
const ROOM: usize = 1024;
/// How long one is: by then the password was changed, or the account is watched by somebody.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How often a secret that was turned down is sent again on request. Whoever has the collector could lock the account
/// out else.
const BETWEEN_RETRIES: SignedDuration = SignedDuration::from_mins(10);
const RETRIES_A_DAY: usize = 3;
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What this agent knows of secrets that were turned down.
pub(crate) struct Circuit {
    key: [u8; 32],
    /// Where it is kept; in memory alone without.
    path: Option<PathBuf>,
    open: Mutex<BTreeMap<Tag, Rejection>>,
    /// Who logs in now, by host and user: two probes never try at the same time what may be wrong.
    turns: Mutex<HashMap<Account, Weak<Turn>>>,
}

/// A user at a host.
type Account = (String, String);

type Turn = tokio::sync::Mutex<()>;

/// A secret of a user at a host, as this agent alone can tell it from another.
type Tag = String;

/// That a server turned a secret down.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Rejection {
    at: Timestamp,
    address: IpAddr,
    /// The kind of fault; a server's own words could have the secret in them.
    kind: String,
    /// When it was sent again since, on request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retried: Vec<Timestamp>,
}

/// A login that is about to be tried, seen by the circuit.
pub(crate) struct Guarded {
    circuit: Arc<Circuit>,
    account: Account,
    tag: Tag,
    /// Whether the operator wants it tried although it was turned down before.
    retry: bool,
    retried: AtomicBool,
}

impl Circuit {
    /// One that lasts as long as the process.
    pub(crate) fn in_memory() -> Self {
        Self::with(rand::random(), None, BTreeMap::new())
    }

    /// One that is kept in the state directory.
    pub(crate) fn load(state_dir: &Path) -> io::Result<Self> {
        let key_path = state_dir.join(KEY_FILE);
        let key = match std::fs::read(&key_path) {
            Ok(bytes) => bytes.try_into().map_err(|_| damaged(&key_path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key: [u8; 32] = rand::random();
                write_whole(&key_path, &key, Readers::Owner)?;
                key
            }
            Err(error) => return Err(error),
        };
        let path = state_dir.join(FILE);
        let open = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|_| damaged(&path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Self::with(key, Some(path), open))
    }

    fn with(key: [u8; 32], path: Option<PathBuf>, open: BTreeMap<Tag, Rejection>) -> Self {
        Self {
            key,
            path,
            open: Mutex::new(open),
            turns: Mutex::default(),
        }
    }

    /// A login with this credential at this host, with the certificate that is shown to it.
    pub(crate) fn guard(
        self: &Arc<Self>,
        host: &str,
        credential: &Credential,
        client: Option<&ClientIdentity>,
        retry: bool,
    ) -> Guarded {
        Guarded {
            circuit: Arc::clone(self),
            account: (host.to_owned(), credential.user.clone()),
            tag: self.tag(host, credential, client),
            retry,
            retried: AtomicBool::new(false),
        }
    }

    fn tag(&self, host: &str, credential: &Credential, client: Option<&ClientIdentity>) -> Tag {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        let client = client.map_or("", ClientIdentity::expose);
        for part in [host, &credential.user, credential.secret.expose(), client] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, BTreeMap<Tag, Rejection>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn_of(&self, account: &Account) -> Arc<Turn> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(account).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Turn::new(()));
        turns.insert(account.clone(), Arc::downgrade(&turn));
        turn
    }

    /// Best effort: what can't be written is still known until the process ends.
    fn keep(&self, entries: &BTreeMap<Tag, Rejection>) {
        let Some(path) = &self.path else { return };
        let written = serde_json::to_vec(entries)
            .map_err(io::Error::other)
            .and_then(|text| write_whole(path, &text, Readers::Owner));
        if let Err(error) = written {
            tracing::error!(path = %path.display(), %error, "a rejected secret is forgotten when this agent stops");
        }
    }
}

impl Guarded {
    /// Waits until no other probe of this agent logs in as this user at this host.
    pub(crate) async fn alone(&self) -> OwnedMutexGuard<()> {
        self.circuit.turn_of(&self.account).lock_owned().await
    }

    /// Whether the secret may be tried; if not, the answer that is known.
    fn check(&self, now: Timestamp) -> Result<(), Fault> {
        let entries = self.circuit.entries();
        let Some(rejection) = entries.get(&self.tag).filter(|rejection| rejection.stands(now)) else {
            return Ok(());
        };
        if self.retried.load(Ordering::Relaxed) {
            return Ok(());
        }
        if !self.retry {
            return Err(rejection.fault("it is sent again only with --retry-login"));
        }
        rejection.may_be_retried(now)
    }

    /// Whether the secret, which is sent next, may be; if not, the answer that is known. A retry is for all sessions of
    /// one probe.
    pub(crate) fn try_now(&self, now: Timestamp) -> Result<(), Fault> {
        self.check(now)?;
        let mut entries = self.circuit.entries();
        if let Some(rejection) = entries.get_mut(&self.tag) {
            rejection.retried.retain(|at| now.duration_since(*at) < DAY);
            if !self.retried.swap(true, Ordering::Relaxed) {
                rejection.retried.push(now);
                self.circuit.keep(&entries);
            }
        }
        Ok(())
    }

    /// The server turned the secret down.
    pub(crate) fn rejected(&self, address: IpAddr, fault: FaultKind, now: Timestamp) {
        let mut entries = self.circuit.entries();
        entries.retain(|_, rejection| rejection.stands(now));
        let retried = entries.remove(&self.tag).map(|before| before.retried);
        if entries.len() >= ROOM
            && let Some(oldest) = entries.iter().min_by_key(|(_, rejection)| rejection.at)
        {
            let oldest = oldest.0.clone();
            entries.remove(&oldest);
        }
        let rejection = Rejection {
            at: now,
            address,
            kind: fault.as_str().to_owned(),
            retried: retried.unwrap_or_default(),
        };
        entries.insert(self.tag.clone(), rejection);
        self.circuit.keep(&entries);
    }

    /// The server took it.
    pub(crate) fn accepted(&self) {
        let mut entries = self.circuit.entries();
        if entries.remove(&self.tag).is_some() {
            self.circuit.keep(&entries);
        }
    }
}

impl Rejection {
    fn stands(&self, now: Timestamp) -> bool {
        now.duration_since(self.at) < KEPT
    }

    fn may_be_retried(&self, now: Timestamp) -> Result<(), Fault> {
        let today: Vec<_> = self
            .retried
            .iter()
            .filter(|at| now.duration_since(**at) < DAY)
            .collect();
        if today.iter().any(|at| now.duration_since(**at) < BETWEEN_RETRIES) {
            return Err(self.fault("it was sent again less than 10 minutes ago"));
        }
        if today.len() >= RETRIES_A_DAY {
            return Err(self.fault("it was sent again 3 times in the last 24 hours"));
        }
        Ok(())
    }

    /// What the server answered, and why it is not asked again.
    fn fault(&self, why: &str) -> Fault {
        let kind = FaultKind::Auth(AuthFault::from_name(&self.kind));
        let (address, at) = (self.address, self.at);
        Fault::new(
            kind,
            format!("the same secret was rejected at {address} on {at:.0}; {why}"),
        )
    }
}

fn damaged(path: &Path) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!(
            "{} is damaged; without it, rejected secrets are tried again: move it away",
            path.display()
        ),
    )
}

#[cfg(test)]
mod tests {
    use parallax_model::credential::Secret;

    use super::*;

    const NO: FaultKind = FaultKind::Auth(AuthFault::CredentialsRejected);
    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn guard(circuit: &Arc<Circuit>, secret: &str, retry: bool) -> Guarded {
        let credential = Credential {
            user: "probe".into(),
            secret: Secret::new(secret.into()),
        };
        circuit.guard("imap.example.org", &credential, None, retry)
    }

    fn now() -> Timestamp {
        "2026-11-24T22:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_rejected_secret_is_known_after_a_restart_and_is_nowhere_in_what_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let circuit = Arc::new(Circuit::load(directory.path()).unwrap());
        guard(&circuit, "hunter2", false).rejected(HERE, NO, now());
        let again = Arc::new(Circuit::load(directory.path()).unwrap());
        let known = guard(&again, "hunter2", false).check(now()).unwrap_err();
        let why = &known.message;
        assert_eq!(known.kind, NO);
        assert!(
            why.contains("127.0.0.1") && why.contains("--retry-login"),
            "{why}"
        );
        assert!(
            guard(&again, "hunter3", false).check(now()).is_ok(),
            "a new secret closes it"
        );
        for file in std::fs::read_dir(directory.path()).unwrap() {
            use std::os::unix::fs::PermissionsExt as _;
            let path = file.unwrap().path();
            let kept = std::fs::read(&path).unwrap();
            assert!(
                !String::from_utf8_lossy(&kept).contains("hunter"),
                "{}",
                path.display()
            );
            assert_eq!(
                std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
    }

    #[test]
    fn a_retry_is_granted_once_in_ten_minutes_and_three_times_a_day() {
        let circuit = Arc::new(Circuit::in_memory());
        guard(&circuit, "wrong", false).rejected(HERE, NO, now());
        let mut sent = 0;
        for minute in 0..(6 * 60) {
            let at = now() + SignedDuration::from_mins(minute);
            let again = guard(&circuit, "wrong", true);
            if again.try_now(at).is_ok() {
                sent += 1;
                again.rejected(HERE, NO, at);
                assert!(guard(&circuit, "wrong", true).try_now(at).is_err());
            }
        }
        assert_eq!(sent, RETRIES_A_DAY);
        assert!(
            guard(&circuit, "wrong", true)
                .try_now(now() + SignedDuration::from_hours(30))
                .is_ok()
        );
    }

    #[test]
    fn what_the_server_takes_is_good_again_and_what_is_old_is_forgotten() {
        let circuit = Arc::new(Circuit::in_memory());
        let wrong = guard(&circuit, "wrong", false);
        wrong.rejected(HERE, NO, now());
        wrong.accepted();
        assert!(wrong.check(now()).is_ok());
        wrong.rejected(HERE, NO, now());
        assert!(wrong.check(now() + SignedDuration::from_hours(31 * 24)).is_ok());
    }

    #[tokio::test]
    async fn two_probes_never_log_in_as_the_same_user_at_once() {
        let circuit = Arc::new(Circuit::in_memory());
        let (one, other) = (guard(&circuit, "a", false), guard(&circuit, "b", false));
        let held = one.alone().await;
        let waits = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(waits, other.alone()).await.is_err());
        drop(held);
        other.alone().await;
    }
}
