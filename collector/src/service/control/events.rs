//! A run, as its caller follows it.

use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use parallax_model::run::RunDocument;
use parallax_proto::v1;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;
use uuid::Uuid;

use super::answer;
use crate::audit::Entry;
use crate::hub::{Event, HubHandle, Stopping};
use crate::limits::Leave;
use crate::runs::Happening;

/// Tells the hub when the stream is dropped, whoever drops it.
pub(super) struct CallerGuard {
    pub(super) hub: HubHandle,
    pub(super) run: Uuid,
    /// Its place in the audit log, until it is written how the run ended.
    pub(super) entry: Option<Entry>,
    /// Its operator's leave for one run is given back with it.
    pub(super) _leave: Option<Leave>,
}

impl Drop for CallerGuard {
    fn drop(&mut self) {
        self.hub.tell_later(Event::CallerGone { run: self.run });
    }
}

enum Telling {
    Live {
        happenings: mpsc::Receiver<Happening>,
        concluded: oneshot::Receiver<Box<RunDocument>>,
        guard: CallerGuard,
    },
    Over,
}

/// What is told: how it began, what happens meanwhile, the answer. The hub lets go of the live queue before it gives
/// the answer, so the answer comes last.
pub(super) fn events(
    first: v1::RunEvent,
    happenings: mpsc::Receiver<Happening>,
    concluded: oneshot::Receiver<Box<RunDocument>>,
    guard: CallerGuard,
) -> BoxStream<'static, Result<v1::RunEvent, Status>> {
    let live = Telling::Live {
        happenings,
        concluded,
        guard,
    };
    let rest = stream::unfold(live, |telling| async move {
        let Telling::Live {
            mut happenings,
            concluded,
            mut guard,
        } = telling
        else {
            return None;
        };
        if let Some(happening) = happenings.recv().await {
            let live = Telling::Live {
                happenings,
                concluded,
                guard,
            };
            return Some((Ok(answer::happening(happening)), live));
        }
        let last = match concluded.await {
            Ok(document) => {
                if let Some(entry) = guard.entry.take() {
                    entry.end(document.verdict.as_str(), &document.summary).await;
                }
                Ok(answer::concluded(*document))
            }
            Err(_) => Err(Status::from(Stopping)),
        };
        Some((last, Telling::Over))
    });
    stream::iter([Ok(first)]).chain(rest).boxed()
}
