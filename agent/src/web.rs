//! The HTTP port, where one is asked for: what this agent counts, and probes for whoever scrapes.
//!
//! `/probe` makes this host connect to where the visitor says. It goes through the policy like every order, and is not
//! open beyond this host without a token.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::numbers::Exports;
use crate::routine::RoutineHandle;
use crate::runner::Runner;
use crate::spool::Spool;
use crate::web::door::Door;
pub use crate::web::module::Module;
use crate::web::page::Page;

mod door;
mod metrics;
mod module;
mod page;
mod probe;

/// Connections at a time; more wait.
const CONNECTIONS: usize = 32;
/// Probes at a time; one more is answered with 503.
const PROBES: usize = 4;
/// For the headers of a request, and of them.
const PATIENCE: Duration = Duration::from_secs(5);
const HEADERS: usize = 16 * 1024;
/// For a connection with all its requests: longer than any scrape.
const KEPT: Duration = Duration::from_secs(180);
/// When the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(100);

/// The text format of Prometheus, which promtool reads too.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// The HTTP port, as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebOptions {
    /// Where it listens.
    pub address: SocketAddr,
    /// The token that visitors show; without one only this host may reach the port.
    pub token_file: Option<PathBuf>,
    /// Ways to probe, by name.
    pub modules: BTreeMap<String, Module>,
}

/// Why there is no HTTP port.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// It can't be listened on.
    #[error("http: listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The token can't be used.
    #[error("http-token-file: {0}")]
    Token(String),
    /// Everybody could probe from here.
    #[error("http: others than this host reach {0}: give --http-token-file FILE, or a loopback address")]
    Open(SocketAddr),
}

/// The port, open and not served yet.
pub(crate) struct Web {
    listener: TcpListener,
    door: Door,
    modules: BTreeMap<String, Module>,
}

/// What answers are made of.
struct Room {
    door: Door,
    modules: BTreeMap<String, Module>,
    means: Means,
    probes: Semaphore,
}

/// What the rest of the agent lends.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) exports: Exports,
    pub(crate) runner: Arc<Runner>,
    pub(crate) routine: Option<RoutineHandle>,
    pub(crate) spool: Option<Spool>,
}

impl Web {
    /// Listens.
    pub(crate) async fn open(options: WebOptions) -> Result<Self, WebError> {
        let door = Door::of(options.address, options.token_file.as_deref())?;
        let address = options.address;
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| WebError::Listen { address, source })?;
        Ok(Self {
            listener,
            door,
            modules: options.modules,
        })
    }

    /// Serves until it is dropped.
    pub(crate) async fn serve(self, means: Means) {
        if let Ok(address) = self.listener.local_addr() {
            tracing::info!(%address, "metrics and probes over HTTP");
        }
        let room = Arc::new(Room {
            door: self.door,
            modules: self.modules,
            means,
            probes: Semaphore::new(PROBES),
        });
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let room = room.clone();
                    tokio::spawn(async move {
                        receive(stream, room).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a visitor of the HTTP port could not be accepted");
                    sleep(NO_ROOM).await;
                }
            }
        }
    }
}

/// The page of `/metrics`.
pub(crate) fn numbers(means: &Means) -> String {
    metrics::page(means).into_text()
}

async fn receive(stream: TcpStream, room: Arc<Room>) {
    let answer = service_fn(move |request| {
        let room = room.clone();
        async move { Ok::<_, Infallible>(room.answer(request).await) }
    });
    let visit = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEADERS)
        .serve_connection(TokioIo::new(stream), answer);
    if let Ok(Err(error)) = timeout(KEPT, visit).await {
        tracing::debug!(%error, "a visitor of the HTTP port");
    }
}

impl Room {
    async fn answer(&self, request: Request<Incoming>) -> Response<String> {
        if let Err(away) = self.door.ask(request.headers()) {
            return away.into_response();
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return said(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        }
        match request.uri().path() {
            "/metrics" => page(metrics::page(&self.means)),
            "/probe" => match self.probe(&request).await {
                Ok(probed) => page(probed),
                Err(problem) => said(problem.status, &format!("{}\n", problem.text)),
            },
            "/" => said(
                StatusCode::OK,
                "/metrics  /probe?target=HOST[:PORT]&module=NAME\n",
            ),
            _ => said(StatusCode::NOT_FOUND, "/metrics or /probe\n"),
        }
    }
}

fn page(page: Page) -> Response<String> {
    answer(StatusCode::OK, TEXT, page.into_text())
}

fn said(status: StatusCode, text: &str) -> Response<String> {
    answer(status, PLAIN, text.to_owned())
}

fn answer(status: StatusCode, kind: &'static str, text: String) -> Response<String> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        let bearer = hyper::header::HeaderValue::from_static("Bearer realm=\"Parallax agent\"");
        headers.insert(WWW_AUTHENTICATE, bearer);
    }
    response
}

#[cfg(test)]
mod tests;
