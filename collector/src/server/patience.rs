//! How long a caller may take to ask.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http;
use tower::{Layer, Service};

/// From the first word of a call to the first of its answer. What a handler itself does takes far less.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends calls whose request does not come.
#[derive(Clone, Copy)]
pub(super) struct Patience;

impl<S> Layer<S> for Patience {
    type Service = Impatient<S>;

    fn layer(&self, inner: S) -> Impatient<S> {
        Impatient { inner }
    }
}

/// A service that does not wait for long.
#[derive(Clone)]
pub(super) struct Impatient<S> {
    inner: S,
}

impl<S> Service<http::Request<Body>> for Impatient<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answer = self.inner.call(request);
        Box::pin(async move {
            match tokio::time::timeout(PATIENCE, answer).await {
                Ok(answer) => answer,
                Err(_) => Ok(late().into_http()),
            }
        })
    }
}

fn late() -> Status {
    Status::deadline_exceeded(format!(
        "the request was not there within {} s",
        PATIENCE.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_that_never_comes_is_answered_and_let_go() {
        let stuck =
            tower::service_fn(|_: http::Request<Body>| std::future::pending::<Result<_, std::io::Error>>());
        let mut service = Patience.layer(stuck);
        let answer = service.call(http::Request::new(Body::default())).await.unwrap();
        let status = Status::from_header_map(answer.headers()).unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded);
    }
}
