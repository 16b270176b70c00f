//! A small server of the lab's own: one thread inside a namespace, stopped when dropped.

use std::future::Future;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::namespace::Namespace;

/// A running server.
pub struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Runs `bind` inside `namespace`, and then the future it returned, until the handle is dropped.
    ///
    /// Sockets are bound when this returns, so that nobody has to wait for the server.
    pub fn start<F, S>(namespace: &Namespace, bind: F) -> Result<Self>
    where
        F: FnOnce() -> Result<S> + Send + 'static,
        S: Future<Output = ()>,
    {
        let (stop, stopped) = oneshot::channel::<()>();
        let (bound, outcome) = mpsc::channel();
        let thread = namespace.run(move || {
            std::thread::spawn(move || {
                let started = runtime().and_then(|runtime| {
                    let inside = runtime.enter();
                    let server = bind()?;
                    drop(inside);
                    Ok((runtime, server))
                });
                let (runtime, server) = match started {
                    Ok(started) => started,
                    Err(error) => return drop(bound.send(Err(error))),
                };
                // The asker waits below for exactly one answer.
                let _ = bound.send(Ok(()));
                runtime.block_on(async {
                    tokio::select! {
                        () = server => {}
                        _ = stopped => {}
                    }
                });
            })
        });
        outcome.recv().context("the server's thread ended early")??;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

/// Binds TCP ports of every address; to be called in [`Background::start`]'s `bind`. Each client is `converse`'s.
pub(crate) fn accept<C, F>(ports: &[u16], converse: C) -> Result<impl Future<Output = ()> + use<C, F>>
where
    C: Fn(TcpStream) -> F + Send + Sync + 'static,
    F: Future + Send + 'static,
    F::Output: Send,
{
    let mut listeners = Vec::new();
    for port in ports {
        let listener =
            std::net::TcpListener::bind(("::", *port)).with_context(|| format!("bind TCP port {port}"))?;
        listener.set_nonblocking(true)?;
        listeners.push(TcpListener::from_std(listener)?);
    }
    let converse = Arc::new(converse);
    Ok(async move {
        for listener in listeners {
            let converse = converse.clone();
            tokio::spawn(async move {
                loop {
                    // A client that went away while it waited is no reason to turn away the next.
                    if let Ok((stream, _)) = listener.accept().await {
                        tokio::spawn(converse(stream));
                    }
                }
            });
        }
        std::future::pending::<()>().await;
    })
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A server that panicked has already printed why.
            let _ = thread.join();
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start a runtime")
}
