//! Waiting for something that will be seen, with a deadline.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Looks again and again until `look` sees something. An error ends the wait at once, as does the budget, which
/// is reported as "`what` not within ...".
pub fn until<T>(what: &str, budget: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + budget;
    loop {
        if let Some(seen) = look()? {
            return Ok(seen);
        }
        if Instant::now() >= deadline {
            bail!("{what}: not within {budget:?}");
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
}
