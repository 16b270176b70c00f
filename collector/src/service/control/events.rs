//! A run, as its caller follows it.

use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use parallax_model::run::RunDocument;
use parallax_proto::v1;
use tokio::sync::oneshot;
use tonic::Status;
use uuid::Uuid;

use super::answer;
use crate::audit::Entry;
use crate::hub::{Event, HubHandle, LiveReceiver, Stopping};
use crate::limits::Leave;

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
        happenings: LiveReceiver,
        concluded: oneshot::Receiver<Box<RunDocument>>,
        guard: CallerGuard,
    },
    Over,
}

/// What is told: how it began, what happens meanwhile, the answer. The hub lets go of the live queue before it gives
/// the answer, so the answer comes last.
pub(super) fn events(
    first: v1::RunEvent,
    happenings: LiveReceiver,
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
        if let Some(happening) = happenings.next().await {
            let live = Telling::Live {
                happenings,
                concluded,
                guard,
            };
            return Some((vec![Ok(answer::happening(happening))], live));
        }
        let last = match concluded.await {
            Ok(document) => {
                if let Some(entry) = guard.entry.take() {
                    entry.end(document.verdict.as_str(), &document.summary).await;
                }
                let lost = Some(happenings.lost()).filter(|lost| *lost > 0);
                let last = [lost.map(answer::live_lost), Some(answer::concluded(*document))];
                last.into_iter().flatten().map(Ok).collect()
            }
            Err(_) => vec![Err(Status::from(Stopping))],
        };
        Some((last, Telling::Over))
    });
    stream::iter([Ok(first)])
        .chain(rest.flat_map(stream::iter))
        .boxed()
}
