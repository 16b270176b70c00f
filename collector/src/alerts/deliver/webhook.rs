//! A webhook: the shape of Alertmanager's, version 4, signed.

use hmac::{Hmac, Mac as _};
use hyper::Uri;
use jiff::Timestamp;
use parallax_model::alert::{Alert, AlertState};
use serde_json::{Value, json};
use sha2::Sha256;

use super::http::Http;
use super::{Refusal, source};

/// How many bytes a signing key has at least.
const KEY_AT_LEAST: usize = 16;

/// What has not ended yet, in this shape.
const NO_END: &str = "0001-01-01T00:00:00Z";

/// One webhook.
pub(super) struct Webhook {
    http: Http,
    url: Uri,
    receiver: String,
    key: Option<Vec<u8>>,
    page: Option<String>,
}

impl Webhook {
    /// With the key of its signatures, if it wants any.
    pub(super) fn new(
        http: Http,
        url: &str,
        receiver: &str,
        key: Option<Vec<u8>>,
        page: Option<String>,
    ) -> Result<Self, String> {
        if key.as_ref().is_some_and(|key| key.len() < KEY_AT_LEAST) {
            return Err(format!("the key is shorter than {KEY_AT_LEAST} bytes"));
        }
        let url = url.parse().map_err(|error| format!("{url}: {error}"))?;
        let receiver = receiver.to_owned();
        Ok(Self {
            http,
            url,
            receiver,
            key,
            page,
        })
    }

    /// Tells of one alert.
    pub(super) async fn post(&self, alert: &Alert, now: Timestamp) -> Result<(), Refusal> {
        let body = body(alert, &self.receiver, self.page.as_deref());
        let body = serde_json::to_vec(&body).map_err(|error| Refusal::Final(error.to_string()))?;
        let mut headers = vec![("x-parallax-delivery", delivery(alert))];
        if let Some(key) = &self.key {
            let at = now.as_second().to_string();
            headers.push(("x-parallax-signature", signature(key, &at, &body)));
            headers.push(("x-parallax-timestamp", at));
        }
        self.http.post(&self.url, &headers, body).await
    }
}

/// The same for the same notice, however often it comes.
fn delivery(alert: &Alert) -> String {
    let fired = alert.fired_at.unwrap_or(alert.since).as_microsecond();
    format!("{}-{fired}-{}", alert.fingerprint, alert.state)
}

/// `sha256=` and the hexadecimal HMAC-SHA256 of the time, a full stop and the body.
pub(super) fn signature(key: &[u8], at: &str, body: &[u8]) -> String {
    // A key of any length will do.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return String::new();
    };
    for part in [at.as_bytes(), b".", body] {
        mac.update(part);
    }
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn body(alert: &Alert, receiver: &str, page: Option<&str>) -> Value {
    let status = match alert.state {
        AlertState::Resolved => "resolved",
        AlertState::Firing | AlertState::Pending => "firing",
    };
    let ends = alert
        .resolved_at
        .map_or_else(|| NO_END.to_owned(), |at| at.to_string());
    json!({
        "version": "4",
        "groupKey": alert.fingerprint,
        "truncatedAlerts": 0,
        "status": status,
        "receiver": receiver,
        "groupLabels": alert.labels,
        "commonLabels": alert.labels,
        "commonAnnotations": alert.annotations,
        "externalURL": page.unwrap_or_default(),
        "alerts": [{
            "status": status,
            "labels": alert.labels,
            "annotations": alert.annotations,
            "startsAt": alert.fired_at.unwrap_or(alert.since),
            "endsAt": ends,
            "generatorURL": source(alert, page).unwrap_or_default(),
            "fingerprint": alert.fingerprint,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_the_time_and_the_body() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac 0123456789abcdef
        let known = "sha256=e4f8e2ecae2295b2ddb2f0b5584c8275e226c0ebe9b3b819e70156bb67122e3e";
        assert_eq!(signature(b"0123456789abcdef", "1700000000", b"{}"), known);
        assert_ne!(signature(b"0123456789abcdef", "1700000001", b"{}"), known);
    }
}
