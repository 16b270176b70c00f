//! The HTTP port: is it alive, is it ready, what does it count, and a page to look at.

mod door;
mod page;
mod run;
mod serve;
mod tls;
mod token;
mod watched;

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use parallax_model::identity::Role;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::config::Config;
use crate::numbers::OwnNumbers;
use crate::peer::Peer;
use crate::service::Shared;
use crate::store::{Found, RunFilter, Standing};
use door::Door;
use serve::Visitor;
use token::Token;
use watched::Watched;

/// The formats of `/metrics`: exemplars are in the first alone.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Runs on the page.
const RUNS_SHOWN: u32 = 20;

/// Headers of every answer: nothing of ours runs, is framed, is kept or is told to others.
const SECURE: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// The HTTP port, guarded as its address asks for.
pub(crate) struct Page {
    listener: TcpListener,
    door: Door,
    proof: Option<watch::Receiver<Arc<ServerConfig>>>,
}

impl Page {
    /// On a loopback address whoever is on this host looks; elsewhere it takes TLS, with `own` where nothing else is
    /// given, and a token.
    pub(crate) fn open(
        listener: TcpListener,
        config: &Config,
        own: watch::Receiver<Arc<ServerConfig>>,
    ) -> Result<Self, String> {
        if config.http.ip().to_canonical().is_loopback() {
            let names = config.advertised_names();
            return Ok(Self {
                listener,
                door: Door::ThisHost { names },
                proof: None,
            });
        }
        let (token, path) = Token::open(config.page.token_file.as_deref(), &config.data_dir)?;
        info!("the page asks for the token in {}", path.display());
        let proof = match &config.page.certificate {
            _ if config.page.plain => None,
            Some((certificate, key)) => Some(tls::of_files(certificate, key)?),
            None => Some(own),
        };
        if proof.is_none() {
            warn!(
                "the page speaks HTTP without TLS on {}: its token can be read on the way",
                config.http
            );
        }
        let plain = config.page.plain;
        Ok(Self {
            listener,
            door: Door::Anybody { token, plain },
            proof,
        })
    }

    /// Serves until it is aborted.
    pub(crate) async fn serve(self, shared: Shared) {
        let domain = shared.admission.domain();
        serve::serve(self.listener, self.proof, router(shared, self.door), domain).await;
    }
}

fn router(shared: Shared, door: Door) -> Router {
    let guard = Guard {
        door: Arc::new(door),
        shared: shared.clone(),
    };
    Router::new()
        .route("/", get(front))
        .route("/runs/{id}", get(one_run))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .layer(from_fn_with_state(guard, guarded))
        .with_state(shared)
}

#[derive(Clone)]
struct Guard {
    door: Arc<Door>,
    shared: Shared,
}

async fn guarded(
    State(guard): State<Guard>,
    Extension(visitor): Extension<Visitor>,
    request: Request,
    next: Next,
) -> Response {
    let known = may_look(&visitor.peer, &guard.shared).await;
    let path = request.uri().path();
    let asked = guard.door.ask(path, request.headers(), visitor.over_tls, known);
    let answer = match asked {
        Ok(()) => next.run(request).await,
        Err(sent_away) => {
            guard.shared.metrics.visitor_sent_away(sent_away.as_str());
            sent_away.into_response()
        }
    };
    (SECURE, answer).into_response()
}

/// Whether a certificate that was shown is a person's who may look.
async fn may_look(peer: &Peer, shared: &Shared) -> bool {
    let Some(id) = &peer.spiffe else {
        return false;
    };
    id.role.permits(Role::Viewer)
        && !peer.is_over(SystemTime::now())
        && matches!(shared.admission.standing(peer).await, Ok(Standing::Good))
}

/// Ready when the hub answers and the database is open. The gRPC port listens before this one answers at all.
async fn ready(State(shared): State<Shared>) -> Response {
    if shared.hub.agents().await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    match shared.store.runs(RunFilter::default(), 1).await {
        Ok(_) => "ready\n".into_response(),
        Err(problem) => {
            error!("not ready: {problem}");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response()
        }
    }
}

async fn metrics(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    if !OwnNumbers::of(&shared).refresh().await {
        return (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response();
    }
    let (kind, page) = if wants_open_metrics(&headers) {
        (OPEN_METRICS, shared.metrics.text())
    } else {
        (CLASSIC, shared.metrics.classic_text())
    };
    match page {
        Ok(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn wants_open_metrics(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter();
    accepted.any(|accepted| {
        accepted
            .to_str()
            .is_ok_and(|accepted| accepted.contains("application/openmetrics-text"))
    })
}

/// The page of a run, by the whole of its id.
async fn one_run(State(shared): State<Shared>, Path(id): Path<Uuid>) -> Response {
    match shared.store.run(id.to_string()).await {
        Ok(Found::One(run)) => {
            let trace = run.trace_id.as_deref();
            let trace = trace.and_then(|trace| shared.delivery.trace_url(trace));
            Html(run::render(&run, trace.as_deref())).into_response()
        }
        Ok(Found::None | Found::Several) => (
            StatusCode::NOT_FOUND,
            "there is no such run, or it is not kept any more\n",
        )
            .into_response(),
        Err(problem) => {
            error!("run {id}: {problem}");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response()
        }
    }
}

async fn front(State(shared): State<Shared>) -> Response {
    let (Ok(agents), Ok(runs), Ok(alerts), Ok(checks), Ok(mut rounds)) = (
        shared.hub.agents().await,
        shared.store.runs(RunFilter::default(), RUNS_SHOWN).await,
        shared.hub.alerts(false).await,
        shared.checks.checks().await,
        shared.results.last_rounds().await,
    ) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response();
    };
    let checks = checks.into_iter().map(|check| Watched {
        last: rounds.remove(&check.id),
        check,
    });
    Html(page::render(&agents, &runs, alerts, checks.collect())).into_response()
}
