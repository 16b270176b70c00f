//! Ctrl-C, and the polite request to end.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Trouble;

/// Returns when somebody asks this process to end; never where that can't be noticed.
pub(crate) async fn asked() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Does something unless somebody asks this process to end before it is done.
pub(crate) async fn unless_asked<T>(work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    tokio::select! {
        result = work => result,
        () = asked() => Err(Trouble::new("interrupted")),
    }
}
