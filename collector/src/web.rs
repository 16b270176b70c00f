//! The HTTP port: is it alive, is it ready, what does it count, and a page to look at.

mod page;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tracing::error;

use crate::service::Shared;
use crate::store::RunFilter;

/// The format of `/metrics`.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Runs on the page.
const RUNS_SHOWN: u32 = 20;

/// Serves until it is aborted.
pub(crate) async fn serve(listener: TcpListener, shared: Shared) {
    if let Err(problem) = axum::serve(listener, router(shared)).await {
        error!("the HTTP server has ended: {problem}");
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/", get(front))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(shared)
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

async fn metrics(State(shared): State<Shared>) -> Response {
    match shared.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn front(State(shared): State<Shared>) -> Response {
    let (Ok(agents), Ok(runs)) = (
        shared.hub.agents().await,
        shared.store.runs(RunFilter::default(), RUNS_SHOWN).await,
    ) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response();
    };
    let secure = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (secure, Html(page::render(&agents, &runs))).into_response()
}
