//! Until when a certificate lets its holder stay.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, Sleep, sleep};

/// For the calls of a connection to end with a reason before the connection does.
pub(super) const LAST_WORD: Duration = Duration::from_secs(1);

/// Between two looks at the clock, which may jump, or have stood still while the host slept.
const LOOK: Duration = Duration::from_secs(30);

/// A moment on the wall clock that is waited for.
pub(crate) struct Term {
    ends: SystemTime,
    look: Pin<Box<Sleep>>,
}

impl Term {
    pub(crate) fn until(ends: SystemTime) -> Self {
        let look = Box::pin(sleep(wait(ends)));
        Self { ends, look }
    }

    /// Whether the moment has come; if not, whoever polls is woken when it has.
    pub(crate) fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        while let Poll::Ready(()) = self.look.as_mut().poll(context) {
            let left = wait(self.ends);
            if left.is_zero() {
                return true;
            }
            self.look.as_mut().reset(Instant::now() + left);
        }
        false
    }
}

fn wait(ends: SystemTime) -> Duration {
    let left = ends.duration_since(SystemTime::now()).unwrap_or_default();
    left.min(LOOK)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn over(mut term: Term) {
        poll_fn(|context| match term.is_over(context) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    #[tokio::test]
    async fn a_term_is_over_at_its_end_and_not_before() {
        let ends = SystemTime::now() + Duration::from_millis(80);
        over(Term::until(ends)).await;
        assert!(SystemTime::now() >= ends);
        over(Term::until(SystemTime::now() - Duration::from_secs(1))).await;
    }

    /// The test's clock runs ahead while the wall clock stands.
    #[tokio::test(start_paused = true)]
    async fn the_wall_clock_says_when_and_not_the_time_that_was_waited() {
        let mut term = Term::until(SystemTime::now() + Duration::from_secs(3600));
        for _ in 0..200 {
            tokio::time::advance(LOOK).await;
            assert!(!poll_fn(|context| Poll::Ready(term.is_over(context))).await);
        }
    }
}
