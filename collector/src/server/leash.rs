//! What a connection without a certificate may take: a little time and a few bytes, and its place if another needs it.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use super::places::Place;
use crate::metrics::Metrics;

/// How long it lives. Joining takes two round trips.
const LIFE: Duration = Duration::from_secs(20);

/// What it may say in all. A request for a certificate is a few hundred bytes.
const BYTES: usize = 64 * 1024;

/// Ends a stranger's connection.
pub(crate) struct Leash {
    place: Place,
    end: Pin<Box<Sleep>>,
    left: usize,
    metrics: Arc<Metrics>,
    over: bool,
}

impl Leash {
    pub(crate) fn new(place: Place, metrics: Arc<Metrics>) -> Self {
        Self {
            place,
            end: Box::pin(sleep(LIFE)),
            left: BYTES,
            metrics,
            over: false,
        }
    }

    /// Whether the connection has had all that it gets.
    pub(crate) fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        if self.over {
            return true;
        }
        let why = if self.left == 0 {
            "stranger_bytes"
        } else if self.end.as_mut().poll(context).is_ready() {
            "stranger_time"
        } else if let Poll::Ready(()) = Pin::new(&mut self.place).poll(context) {
            "strangers"
        } else {
            return false;
        };
        self.over = true;
        self.metrics.connection_refused(why);
        true
    }

    /// It said so much.
    pub(crate) fn said(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::server::Places;
    use crate::source::Source;

    fn leash(places: &Arc<Places>) -> Leash {
        let place = places.take(Source::of([192, 0, 2, 1].into()));
        Leash::new(place, Arc::new(Metrics::new()))
    }

    fn is_over(leash: &mut Leash) -> bool {
        leash.is_over(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_stays_for_twenty_seconds() {
        let mut leash = leash(&Places::new(1));
        tokio::time::advance(LIFE - Duration::from_millis(10)).await;
        assert!(!is_over(&mut leash));
        tokio::time::advance(Duration::from_millis(20)).await;
        assert!(is_over(&mut leash));
        assert_eq!(leash.metrics.drops()["connections_refused_stranger_time"], 1);
    }

    #[tokio::test]
    async fn a_stranger_says_so_much_and_gives_way_to_another() {
        let places = Places::new(2);
        let (mut first, mut second) = (leash(&places), leash(&places));
        second.said(BYTES - 1);
        assert!(!is_over(&mut second));
        second.said(1);
        assert!(is_over(&mut second) && is_over(&mut second));
        assert_eq!(second.metrics.drops()["connections_refused_stranger_bytes"], 1);
        assert!(!is_over(&mut first));
        let _third = leash(&places);
        assert!(is_over(&mut first));
    }
}
