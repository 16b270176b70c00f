//! Posts a body to a URL.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parallax_model::text::escape;

use super::Refusal;

/// How long one post may take, its answer included.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is read of an answer, and what is shown of it.
const ANSWER_AT_MOST: usize = 4 << 10;
const SHOWN: usize = 200;

/// A client for http and https; it trusts whom the system trusts.
#[derive(Clone)]
pub(super) struct Http(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Http {
    /// # Errors
    /// When the system has no trust anchors.
    pub(super) fn new() -> std::io::Result<Self> {
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
    }

    /// Posts JSON; what is not taken says whether it is worth another try.
    pub(super) async fn post(
        &self,
        url: &Uri,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<(), Refusal> {
        let mut request = Request::post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(
                USER_AGENT,
                concat!("parallax-collector/", env!("CARGO_PKG_VERSION")),
            );
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Refusal::Final(error.to_string()))?;
        match tokio::time::timeout(PATIENCE, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(Refusal::Later(format!(
                "no answer within {} s",
                PATIENCE.as_secs()
            ))),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(), Refusal> {
        let answer = self
            .0
            .request(request)
            .await
            .map_err(|error| Refusal::Later(chain(&error)))?;
        let status = answer.status();
        // Read in any case, so that the connection can be used again.
        let body = Limited::new(answer.into_body(), ANSWER_AT_MOST).collect().await;
        if status.is_success() {
            return Ok(());
        }
        let said = body
            .map(|body| escape(&body.to_bytes(), SHOWN))
            .unwrap_or_default();
        Err(judge(status, &said))
    }
}

/// What fails for everybody will pass; what the receiver does not want from us will not.
fn judge(status: StatusCode, said: &str) -> Refusal {
    let problem = format!("it answers {status}: {said}")
        .trim_end_matches([':', ' '])
        .to_owned();
    if status.is_redirection() {
        return Refusal::Final(format!("{problem}; give the address it leads to"));
    }
    let passes = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
    );
    if passes || status.is_server_error() {
        Refusal::Later(problem)
    } else {
        Refusal::Final(problem)
    }
}

/// An error with what it comes from.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_pass_is_tried_again_without_end() {
        for (status, passes) in [
            (429, true),
            (408, true),
            (500, true),
            (503, true),
            (400, false),
            (404, false),
            (301, false),
        ] {
            let refusal = judge(StatusCode::from_u16(status).unwrap(), "");
            assert_eq!(matches!(refusal, Refusal::Later(_)), passes, "{status}");
        }
    }
}
