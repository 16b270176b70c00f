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
