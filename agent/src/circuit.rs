//! Secrets that a server turned down, which this agent sends again only when somebody says so, and those that got no
//! answer, which what repeats by itself sends again seldom.
//!
//! What is kept is no secret and tells none: a keyed digest, with a key that never leaves this host.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use hmac::{Hmac, Mac as _};
use parallax_identity::{Readers, write_whole};
use parallax_model::credential::{ClientIdentity, Credential};
use parallax_model::fault::{AuthFault, Fault, FaultKind};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio::sync::OwnedMutexGuard;

pub(crate) use asker::Asker;
use rejection::Rejection;
use silence::Silence;

use crate::moment::Moment;

mod asker;
mod rejection;
mod silence;

const KEY_FILE: &str = "circuit.key";
const FILE: &str = "circuits.json";
/// Secrets that are remembered; the oldest makes room.
const ROOM: usize = 1024;

/// What this agent knows of secrets that were turned down.
pub(crate) struct Circuit {
    key: [u8; 32],
    /// Where it is kept; in memory alone without.
    path: Option<PathBuf>,
    /// Held while the file is written, and so never by a thread that others wait for: see [`Guarded::apart`].
    open: Mutex<Open>,
    /// Who logs in now, by host and user: two probes never try at the same time what may be wrong.
    turns: Mutex<HashMap<Account, Weak<Turn>>>,
}

/// What is known now.
#[derive(Default)]
struct Open {
    known: Known,
    /// Whether the file says less than this.
    unkept: bool,
}

/// The secrets that were turned down, and those that got no answer.
#[derive(Default, Serialize, Deserialize)]
struct Known {
    rejections: BTreeMap<Tag, Rejection>,
    #[serde(default)]
    silences: BTreeMap<Tag, Silence>,
}

/// As it was kept before silences were, and as it is now.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Known(Known),
    Rejections(BTreeMap<Tag, Rejection>),
}

impl From<Written> for Known {
    fn from(written: Written) -> Self {
        match written {
            Written::Known(known) => known,
            Written::Rejections(rejections) => Self {
                rejections,
                silences: BTreeMap::new(),
            },
        }
    }
}

/// A user at a host.
type Account = (String, String);

type Turn = tokio::sync::Mutex<()>;

/// A secret of a user at a host, as this agent alone can tell it from another.
type Tag = String;

/// A login that is about to be tried, seen by the circuit.
pub(crate) struct Guarded {
    circuit: Arc<Circuit>,
    account: Account,
    tag: Tag,
    asker: Asker,
    retried: AtomicBool,
}

impl Circuit {
    /// One that lasts as long as the process.
    pub(crate) fn in_memory() -> Self {
        Self::with(rand::random(), None, Known::default())
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
        let known = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<Written>(&bytes)
                .map_err(|_| damaged(&path))?
                .into(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Known::default(),
            Err(error) => return Err(error),
        };
        Ok(Self::with(key, Some(path), known))
    }

    fn with(key: [u8; 32], path: Option<PathBuf>, known: Known) -> Self {
        let open = Open { known, unkept: false };
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
        asker: Asker,
    ) -> Guarded {
        Guarded {
            circuit: Arc::clone(self),
            account: (host.to_owned(), credential.user.clone()),
            tag: self.tag(host, credential, client),
            asker,
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

    fn open(&self) -> MutexGuard<'_, Open> {
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

    /// Writes down what is known; the next to log in tries it again where that fails.
    fn keep(&self, open: &mut Open) -> Result<(), Fault> {
        let Some(path) = &self.path else { return Ok(()) };
        let written = serde_json::to_vec(&open.known)
            .map_err(io::Error::other)
            .and_then(|text| write_whole(path, &text, Readers::Owner));
        open.unkept = written.is_err();
        written.map_err(|error| {
            let path = path.display();
            tracing::error!(%path, %error, "what is known of secrets is forgotten when this agent stops");
            Fault::new(
                FaultKind::Auth(AuthFault::SecretUnavailable),
                format!(
                    "no secret is sent while this agent can't write down which were rejected: write {path}: {error}"
                ),
            )
        })
    }
}

impl Guarded {
    /// Whether the operator wants the secret tried whatever was learned of it.
    pub(crate) const fn insists(&self) -> bool {
        matches!(self.asker, Asker::Person { insists: true })
    }

    /// Waits until no other probe of this agent logs in as this user at this host.
    pub(crate) async fn alone(&self) -> OwnedMutexGuard<()> {
        self.circuit.turn_of(&self.account).lock_owned().await
    }

    /// Whether the secret, which is sent next, may be; if not, the answer that is known. A retry is for all sessions of
    /// one probe, and is on disk before it is made.
    pub(crate) async fn try_now(self: &Arc<Self>, now: Moment) -> Result<(), Fault> {
        let tried = self.apart(move |ours, open| ours.may_try(open, &now)).await;
        tried.unwrap_or_else(|| {
            Err(Fault::new(
                FaultKind::Auth(AuthFault::SecretUnavailable),
                "no secret is sent any more: this agent stops",
            ))
        })
    }

    /// The server turned the secret down; that is on disk when this returns.
    pub(crate) async fn rejected(self: &Arc<Self>, address: IpAddr, fault: FaultKind, now: Moment) {
        self.apart(move |ours, open| ours.add(open, address, fault, now))
            .await;
    }

    /// The server took it.
    pub(crate) async fn accepted(self: &Arc<Self>) {
        self.apart(|ours, open| {
            let rejection = open.known.rejections.remove(&ours.tag);
            ours.end_silence(open, rejection.is_some());
        })
        .await;
    }

    /// The server answered, and not about the secret.
    pub(crate) async fn undecided(self: &Arc<Self>) {
        self.apart(|ours, open| ours.end_silence(open, false)).await;
    }

    /// The secret was sent, and no answer came; that is on disk when this returns.
    pub(crate) async fn unanswered(self: &Arc<Self>, address: IpAddr, fault: FaultKind, now: Moment) {
        self.apart(move |ours, open| ours.add_silence(open, address, fault, now))
            .await;
    }

    /// The same where nobody can wait for the disk; whoever is next to log in as this user does.
    pub(crate) fn given_up(
        self: &Arc<Self>,
        address: IpAddr,
        fault: FaultKind,
        now: Moment,
        alone: Option<OwnedMutexGuard<()>>,
    ) {
        let ours = Arc::clone(self);
        let noting = move || {
            ours.add_silence(&mut ours.circuit.open(), address, fault, now);
            drop(alone);
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(noting)),
            Err(_) => noting(),
        }
    }

    /// On a thread that may wait for the disk, and to its end even if nobody waits for it any more; none when this
    /// process stops.
    async fn apart<T: Send + 'static>(
        self: &Arc<Self>,
        change: impl FnOnce(&Self, &mut Open) -> T + Send + 'static,
    ) -> Option<T> {
        let ours = Arc::clone(self);
        let changing = tokio::task::spawn_blocking(move || change(&ours, &mut ours.circuit.open()));
        changing.await.ok()
    }

    fn may_try(&self, open: &mut Open, now: &Moment) -> Result<(), Fault> {
        if open.unkept {
            self.circuit.keep(open)?;
        }
        let Known { rejections, silences } = &mut open.known;
        let rejection = rejections
            .get_mut(&self.tag)
            .filter(|rejection| rejection.stands(now) && !self.retried.load(Ordering::Relaxed));
        if let Some(rejection) = &rejection
            && !self.asker.wants_again(rejection)
        {
            return Err(rejection.fault(self.asker.what_helps()));
        }
        if matches!(self.asker, Asker::Routine { .. })
            && let Some(fault) = silences
                .get(&self.tag)
                .and_then(|silence| silence.holds_back(now))
        {
            return Err(fault);
        }
        let Some(rejection) = rejection else { return Ok(()) };
        rejection.retry(now, self.asker.request())?;
        self.circuit.keep(open)?;
        self.retried.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn add(&self, open: &mut Open, address: IpAddr, fault: FaultKind, now: Moment) {
        let Known { rejections, silences } = &mut open.known;
        silences.remove(&self.tag);
        rejections.retain(|_, rejection| rejection.stands(&now));
        let before = rejections.remove(&self.tag);
        make_room(rejections, |rejection| rejection.at.age(&now));
        let rejection = Rejection::new(address, fault, now, before);
        rejections.insert(self.tag.clone(), rejection.at_request(self.asker.request()));
        // What can't be written is said in the log, and holds the next login up.
        let _ = self.circuit.keep(open);
    }

    fn add_silence(&self, open: &mut Open, address: IpAddr, fault: FaultKind, now: Moment) {
        let silences = &mut open.known.silences;
        silences.retain(|_, silence| silence.stands(&now));
        let before = silences.remove(&self.tag);
        make_room(silences, |silence| silence.at.age(&now));
        let silence = Silence::new(address, fault, now, before.as_ref());
        silences.insert(self.tag.clone(), silence);
        // As above.
        let _ = self.circuit.keep(open);
    }

    fn end_silence(&self, open: &mut Open, changed: bool) {
        if open.known.silences.remove(&self.tag).is_some() || changed {
            // As above.
            let _ = self.circuit.keep(open);
        }
    }
}

/// The oldest makes room.
fn make_room<T>(all: &mut BTreeMap<Tag, T>, age: impl Fn(&T) -> Duration) {
    if all.len() < ROOM {
        return;
    }
    let oldest = all.iter().max_by_key(|(_, one)| age(one));
    if let Some(oldest) = oldest.map(|(tag, _)| tag.clone()) {
        all.remove(&oldest);
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
mod tests;
