//! What the caller of a run hears meanwhile: a bounded queue that counts what it had no room for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::runs::Happening;

/// The hub's end.
pub(crate) struct LiveSender {
    queue: mpsc::Sender<Happening>,
    lost: Arc<AtomicU64>,
}

/// The caller's end.
pub(crate) struct LiveReceiver {
    queue: mpsc::Receiver<Happening>,
    lost: Arc<AtomicU64>,
}

/// A queue with room for so many.
pub(crate) fn live_queue(room: usize) -> (LiveSender, LiveReceiver) {
    let (sender, receiver) = mpsc::channel(room);
    let lost = Arc::new(AtomicU64::new(0));
    let hub = LiveSender {
        queue: sender,
        lost: lost.clone(),
    };
    let caller = LiveReceiver {
        queue: receiver,
        lost,
    };
    (hub, caller)
}

impl LiveSender {
    /// Tells it, or counts it as lost; `false` then.
    pub(super) fn tell(&self, happening: Happening) -> bool {
        let told = self.queue.try_send(happening).is_ok();
        if !told {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        told
    }
}

impl LiveReceiver {
    /// What happened next; none when the run is over.
    pub(crate) async fn next(&mut self) -> Option<Happening> {
        self.queue.recv().await
    }

    /// What was lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happening() -> Happening {
        Happening::FollowUp {
            round: 1,
            experiments: Vec::new(),
        }
    }

    #[tokio::test]
    async fn what_finds_no_room_is_counted_and_what_did_is_heard() {
        let (hub, mut caller) = live_queue(2);
        let told: Vec<_> = (0..5).map(|_| hub.tell(happening())).collect();
        assert_eq!(told, [true, true, false, false, false]);
        drop(hub);
        let mut heard = 0;
        while caller.next().await.is_some() {
            heard += 1;
        }
        assert_eq!((heard, caller.lost()), (2, 3));
    }
}
