//! Writes what the hub wants kept, so that the hub never waits for a disk.

use std::sync::Arc;

use jiff::Timestamp;
use parallax_model::run::RunDocument;
use parallax_model::vantage::AgentName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::error;
use uuid::Uuid;

use crate::metrics::Metrics;
use crate::runs::LoginSettled;
use crate::store::{AgentRecord, CircuitRecord, CircuitState, KeptCapture, Store, StoreError};

/// Records that may wait for the disk.
const QUEUE: usize = 1024;

/// How many KiB of captures may wait for it: they are large, and the least of what is kept.
const CAPTURES: usize = 32 * 1024;

/// Something to keep.
pub(crate) enum Record {
    /// An agent, as it now is.
    Agent(Box<AgentRecord>),
    /// When agents that are connected were last heard of.
    Heard(Vec<(AgentName, Timestamp)>),
    /// A run, and whoever waits for its answer: it is told once the run is kept.
    Run {
        document: Box<RunDocument>,
        conclusion: oneshot::Sender<Box<RunDocument>>,
    },
    /// What came of a login.
    Login(Box<LoginSettled>),
    /// Packets beside a run that is going on.
    Capture {
        run: Uuid,
        kept: Box<KeptCapture>,
        room: OwnedSemaphorePermit,
    },
}

impl Record {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Agent(_) | Self::Heard(_) => "agent",
            Self::Run { .. } => "run",
            Self::Login(_) => "login",
            Self::Capture { .. } => "capture",
        }
    }
}

/// The way to the writer.
pub(crate) struct Recorder {
    queue: mpsc::Sender<Record>,
    room: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl Recorder {
    /// Starts the writer. It ends when the recorder is gone and everything is written.
    pub(crate) fn start(store: Arc<dyn Store>, metrics: Arc<Metrics>) -> (Self, JoinHandle<()>) {
        let (queue, records) = mpsc::channel(QUEUE);
        let room = Arc::new(Semaphore::new(CAPTURES));
        let recorder = Self { queue, room, metrics };
        (recorder, tokio::spawn(write(store, records)))
    }

    /// Keeps packets, soon; whether there is room for them until then.
    pub(crate) fn record_capture(&self, run: Uuid, kept: Box<KeptCapture>) -> bool {
        let size = u32::try_from(kept.capture.pcapng.len() / 1024 + 1).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(size) else {
            return false;
        };
        self.queue.try_send(Record::Capture { run, kept, room }).is_ok()
    }

    /// Keeps something, soon. When the disk is too far behind it is not kept, but an answer is still given.
    pub(crate) fn record(&self, record: Record) {
        if let Err(unsent) = self.queue.try_send(record) {
            let unsent = unsent.into_inner();
            self.metrics.record_dropped(unsent.kind());
            error!("the database is too far behind; {} is not kept", unsent.kind());
            if let Record::Run { document, conclusion } = unsent {
                let _ = conclusion.send(document);
            }
        }
    }
}

async fn write(store: Arc<dyn Store>, mut records: mpsc::Receiver<Record>) {
    while let Some(record) = records.recv().await {
        match record {
            Record::Agent(agent) => {
                let name = agent.name.clone();
                if let Err(problem) = store.put_agent(*agent).await {
                    error!(agent = %name, "not kept: {problem}");
                }
            }
            Record::Heard(heard) => {
                if let Err(problem) = store.agents_heard(heard).await {
                    error!("when agents were last heard of is not kept: {problem}");
                }
            }
            Record::Login(settled) => {
                let run = settled.run;
                if let Err(problem) = settle(store.as_ref(), *settled).await {
                    error!(%run, "what came of its login is not kept: {problem}");
                }
            }
            Record::Capture { run, kept, room } => {
                if let Err(problem) = store.put_capture(run, *kept).await {
                    error!(%run, "packets not kept: {problem}");
                }
                drop(room);
            }
            Record::Run { document, conclusion } => {
                if let Err(problem) = store.put_run((*document).clone()).await {
                    error!(run = %document.run_id, "not kept: {problem}");
                }
                let _ = conclusion.send(document);
            }
        }
    }
}

async fn settle(store: &dyn Store, settled: LoginSettled) -> Result<(), StoreError> {
    let now = Timestamp::now();
    let Some(words) = settled.rejected else {
        let seen = (settled.agent, settled.run);
        return store.login_accepted(settled.account, seen, now).await;
    };
    let circuit = CircuitRecord {
        account: settled.account,
        opened_at: now,
        agent: settled.agent,
        run: settled.run,
        words,
        state: CircuitState::Open,
    };
    store.login_rejected(circuit).await
}
