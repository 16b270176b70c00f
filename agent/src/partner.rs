//! The other session of a synchronisation: what it is told, and what it is heard to say.

use std::net::SocketAddr;

use parallax_model::signal::{Signal, SignalKind};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::report::Reports;

/// Words that may wait for a session. It hears them while it waits for its server; one that says more than fits is
/// at fault, and what is beyond is lost.
pub(crate) const WAITING: usize = 64;

/// Something that a session said to the other.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    pub(crate) signal: Signal,
    /// When it was said.
    pub(crate) at: Instant,
    /// How far that may be off.
    pub(crate) uncertainty: std::time::Duration,
}

/// Something that came over the link for an order.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// The writer's attempt that it is about, by its address; `None` when it is about all of them.
    pub(crate) attempt: Option<SocketAddr>,
    pub(crate) word: Word,
}

/// Which part a session has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Writer,
    Watcher,
}

/// The other session, as one of the two sees it. When it is dropped, the other hears of that.
#[derive(Debug)]
pub(crate) struct Partner {
    part: Part,
    voice: Voice,
    ear: mpsc::Receiver<Word>,
    /// The other session has ended, and that was told.
    alone: bool,
}

#[derive(Debug)]
enum Voice {
    /// To a session of the same probe.
    Near(mpsc::Sender<Word>),
    /// To a session of another agent.
    Far { attempt: SocketAddr, reports: Reports },
}

impl Partner {
    /// Two sessions of one probe: the writer's partner, and the watcher's.
    pub(crate) fn pair() -> (Self, Self) {
        let (to_watcher, watchers_ear) = mpsc::channel(WAITING);
        let (to_writer, writers_ear) = mpsc::channel(WAITING);
        (
            Self::new(Part::Writer, Voice::Near(to_watcher), writers_ear),
            Self::new(Part::Watcher, Voice::Near(to_writer), watchers_ear),
        )
    }

    /// A session that another agent's session joins, and the way to say what came from there.
    pub(crate) fn far(part: Part, attempt: SocketAddr, reports: Reports) -> (Self, mpsc::Sender<Word>) {
        let (mouth, ear) = mpsc::channel(WAITING);
        (Self::new(part, Voice::Far { attempt, reports }, ear), mouth)
    }

    const fn new(part: Part, voice: Voice, ear: mpsc::Receiver<Word>) -> Self {
        Self {
            part,
            voice,
            ear,
            alone: false,
        }
    }

    /// Says something to the other session. Nobody need listen.
    pub(crate) fn tell(&self, signal: Signal) {
        match &self.voice {
            Voice::Near(mouth) => {
                let word = Word {
                    signal,
                    at: Instant::now(),
                    uncertainty: std::time::Duration::ZERO,
                };
                let _ = mouth.try_send(word);
            }
            Voice::Far { attempt, reports } => reports.signal(Some(*attempt), signal),
        }
    }

    /// The next thing that the other session says; its end is said for it, once. Loses nothing when it is not waited
    /// for.
    pub(crate) async fn hear(&mut self) -> Word {
        if self.alone {
            return std::future::pending().await;
        }
        match self.ear.recv().await {
            Some(word) => word,
            None => {
                self.alone = true;
                Word {
                    signal: self.part.other().last_word(),
                    at: Instant::now(),
                    uncertainty: std::time::Duration::ZERO,
                }
            }
        }
    }

    /// Waits until the writer names its mailbox; `None` when it never will.
    pub(crate) async fn mailbox(&mut self) -> Option<String> {
        loop {
            let Signal { kind, subject, .. } = self.hear().await.signal;
            match kind {
                SignalKind::Mailbox => return Some(subject),
                SignalKind::Over | SignalKind::Gone => return None,
                SignalKind::Changed | SignalKind::Watching | SignalKind::Seen => {}
            }
        }
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        // A session of the same probe hears the end of its channel.
        if let Voice::Far { .. } = self.voice {
            self.tell(self.part.last_word());
        }
    }
}

impl Part {
    const fn other(self) -> Self {
        match self {
            Self::Writer => Self::Watcher,
            Self::Watcher => Self::Writer,
        }
    }

    /// What the end of a session means to the other.
    fn last_word(self) -> Signal {
        match self {
            Self::Writer => Signal::over(),
            Self::Watcher => Signal::gone("the watching session has ended"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(kind: SignalKind, subject: &str) -> Signal {
        Signal {
            kind,
            subject: subject.into(),
            detail: String::new(),
        }
    }

    #[tokio::test]
    async fn two_sessions_of_a_probe_hear_each_other_in_order() {
        let (mut writer, mut watcher) = Partner::pair();
        writer.tell(signal(SignalKind::Mailbox, "box"));
        writer.tell(signal(SignalKind::Changed, "exists"));
        watcher.tell(signal(SignalKind::Watching, "idle"));
        assert_eq!(watcher.mailbox().await.as_deref(), Some("box"));
        assert_eq!(watcher.hear().await.signal.subject, "exists");
        let word = writer.hear().await;
        assert_eq!(word.signal.kind, SignalKind::Watching);
        assert!(word.uncertainty.is_zero());
    }

    #[tokio::test]
    async fn the_end_of_a_session_is_said_once() {
        let (mut writer, watcher) = Partner::pair();
        drop(watcher);
        assert_eq!(writer.hear().await.signal.kind, SignalKind::Gone);
        let again = tokio::time::timeout(std::time::Duration::from_millis(20), writer.hear()).await;
        assert!(again.is_err());
        let (writer, mut watcher) = Partner::pair();
        drop(writer);
        assert_eq!(watcher.mailbox().await, None);
    }

    #[tokio::test]
    async fn a_session_that_never_listens_costs_no_more_than_its_bound() {
        let (writer, mut watcher) = Partner::pair();
        for number in 0..10 * WAITING {
            writer.tell(signal(SignalKind::Changed, &number.to_string()));
        }
        drop(writer);
        let mut heard = 0;
        while watcher.hear().await.signal.kind != SignalKind::Over {
            heard += 1;
        }
        assert_eq!(heard, WAITING);
    }
}
