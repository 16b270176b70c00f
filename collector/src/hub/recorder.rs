//! Writes what the hub wants kept, so that the hub never waits for a disk.

use std::sync::Arc;

use parallax_model::run::RunDocument;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::error;

use crate::store::{AgentRecord, Store};

/// Records that may wait for the disk.
const QUEUE: usize = 1024;

/// Something to keep.
pub(crate) enum Record {
    /// An agent, as it now is.
    Agent(AgentRecord),
    /// A run, and whoever waits for its answer: it is told once the run is kept.
    Run {
        document: Box<RunDocument>,
        conclusion: oneshot::Sender<Box<RunDocument>>,
    },
}

/// The way to the writer.
pub(crate) struct Recorder {
    queue: mpsc::Sender<Record>,
}

impl Recorder {
    /// Starts the writer. It ends when the recorder is gone and everything is written.
    pub(crate) fn start(store: Arc<dyn Store>) -> (Self, JoinHandle<()>) {
        let (queue, records) = mpsc::channel(QUEUE);
        (Self { queue }, tokio::spawn(write(store, records)))
    }

    /// Keeps something, soon. When the disk is too far behind it is not kept, but an answer is still given.
    pub(crate) fn record(&self, record: Record) {
        if let Err(unsent) = self.queue.try_send(record) {
            error!("the database is too far behind; something is not kept");
            if let Record::Run { document, conclusion } = unsent.into_inner() {
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
                if let Err(problem) = store.put_agent(agent).await {
                    error!(agent = %name, "not kept: {problem}");
                }
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
