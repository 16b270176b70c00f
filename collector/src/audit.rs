//! Who did what, when, from where, with what result.
//!
//! What changes something or touches a network is written before it is done, and is not done if it can't be written.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::unistd::{Uid, User};
use parallax_model::bucket::{Buckets, Rate};
use parallax_model::text::escape_str;
use tracing::error;
use uuid::Uuid;

use crate::clock;
use crate::peer::Peer;
use crate::source::Source;
use crate::store::{AuditRecord, Store, StoreError};

/// In the place of a role, of whoever works on the collector's own host without any.
const ON_THE_HOST: &str = "host";

/// Characters of what somebody wrote.
const TEXT_AT_MOST: usize = 300;

/// Refusals of one source that are written: one a second, after a few. A flood must not fill the disk.
const REFUSALS: Rate = Rate::one_each(Duration::from_secs(1)).with_burst(10);
const SOURCES_AT_MOST: usize = 1024;

/// The way into the audit log.
#[derive(Clone)]
pub(crate) struct Audit {
    store: Arc<dyn Store>,
    refusals: Arc<Mutex<Refusals>>,
}

struct Refusals {
    rate: Buckets<Option<Source>>,
    unwritten: u64,
}

impl Audit {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let refusals = Refusals {
            rate: Buckets::new(REFUSALS, SOURCES_AT_MOST),
            unwritten: 0,
        };
        Self {
            store,
            refusals: Arc::new(Mutex::new(refusals)),
        }
    }

    /// Writes that something begins. It must not be done when this fails.
    pub(crate) async fn begin(&self, peer: &Peer, call: &str, subject: &str) -> Result<Entry, StoreError> {
        self.open(record(peer, call, subject)).await
    }

    /// The same, of a run.
    pub(crate) async fn begin_run(&self, peer: &Peer, run: Uuid, subject: &str) -> Result<Entry, StoreError> {
        let record = record(peer, "RunProbe", subject);
        self.open(AuditRecord {
            run_id: run.to_string(),
            ..record
        })
        .await
    }

    /// Writes something that is over.
    pub(crate) async fn note(&self, peer: &Peer, call: &str, subject: &str, result: &str, detail: &str) {
        let record = AuditRecord {
            result: result.to_owned(),
            detail: escape_str(detail, TEXT_AT_MOST),
            ..record(peer, call, subject)
        };
        write(self.store.as_ref(), record).await;
    }

    /// Writes that something was refused, unless its source has been refused so often that this is nothing new.
    pub(crate) async fn refused(&self, peer: &Peer, call: &str, subject: &str, why: &str) {
        let unwritten = {
            let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            let source = peer.address.map(|address| Source::of(address.ip()));
            if refusals.rate.take(source, clock::now()).is_err() {
                refusals.unwritten += 1;
                return;
            }
            std::mem::take(&mut refusals.unwritten)
        };
        let others = match unwritten {
            0 => String::new(),
            number => format!(" ({number} refusals before it were not written)"),
        };
        self.note(peer, call, subject, "refused", &format!("{why}{others}"))
            .await;
    }

    async fn open(&self, record: AuditRecord) -> Result<Entry, StoreError> {
        self.store.add_audit(record.clone()).await?;
        Ok(Entry {
            store: Arc::clone(&self.store),
            begun: clock::now(),
            open: Some(Box::new(record)),
        })
    }
}

/// Something that has begun. Dropped without an end it was cancelled.
pub(crate) struct Entry {
    store: Arc<dyn Store>,
    begun: Instant,
    open: Option<Box<AuditRecord>>,
}

impl Entry {
    /// Writes how it ended.
    pub(crate) async fn end(mut self, result: &str, detail: &str) {
        if let Some(record) = self.close(result, detail) {
            write(self.store.as_ref(), record).await;
        }
    }

    fn close(&mut self, result: &str, detail: &str) -> Option<AuditRecord> {
        let record = self.open.take()?;
        Some(AuditRecord {
            at: Timestamp::now(),
            result: result.to_owned(),
            detail: escape_str(detail, TEXT_AT_MOST),
            took: clock::now().saturating_duration_since(self.begun),
            ..*record
        })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let (Some(record), Ok(runtime)) =
            (self.close("cancelled", ""), tokio::runtime::Handle::try_current())
        {
            let store = Arc::clone(&self.store);
            runtime.spawn(async move { write(store.as_ref(), record).await });
        }
    }
}

fn record(peer: &Peer, call: &str, subject: &str) -> AuditRecord {
    let (actor, role) = match (&peer.spiffe, peer.address) {
        (Some(id), _) => (id.name.to_string(), id.role.to_string()),
        (None, None) => (user(), ON_THE_HOST.to_owned()),
        (None, Some(_)) => (String::new(), String::new()),
    };
    AuditRecord {
        at: Timestamp::now(),
        actor,
        role,
        peer: peer.place(),
        call: escape_str(call, TEXT_AT_MOST),
        subject: escape_str(subject, TEXT_AT_MOST),
        run_id: String::new(),
        result: "begun".to_owned(),
        detail: String::new(),
        took: Duration::ZERO,
    }
}

/// Who runs this process, as the host calls them.
fn user() -> String {
    let uid = Uid::current();
    match User::from_uid(uid) {
        Ok(Some(user)) => escape_str(&format!("{} (uid {uid})", user.name), TEXT_AT_MOST),
        _ => format!("uid {uid}"),
    }
}

async fn write(store: &dyn Store, record: AuditRecord) {
    let (call, result) = (record.call.clone(), record.result.clone());
    if let Err(problem) = store.add_audit(record).await {
        error!(call, result, "not written to the audit log: {problem}");
    }
}
