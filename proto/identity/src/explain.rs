//! What a failed call or connection means to an operator.

use rustls::AlertDescription;
use tonic::Status;

/// An error of a call or a connection with everything below it in one line; what TLS says of certificates in words
/// an operator can act on.
pub fn explain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error
        .downcast_ref::<Status>()
        .map_or_else(|| error.to_string(), |status| status.message().to_owned());
    let mut below = error.source();
    while let Some(error) = below {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        below = error.source();
    }
    // HTTP/2 keeps of an error of TLS below it nothing but its text.
    match ALERTS
        .iter()
        .find(|(alert, _)| text.contains(&alert_text(*alert)))
    {
        Some((_, words)) => (*words).to_owned(),
        None => text,
    }
}

/// How a collector refuses a certificate of ours (RFC 8446 section 6.2).
const ALERTS: [(AlertDescription, &str); 4] = [
    (AlertDescription::CertificateExpired, REFUSED_EXPIRED),
    (AlertDescription::UnknownCA, REFUSED_UNKNOWN),
    (AlertDescription::BadCertificate, REFUSED_UNKNOWN),
    (AlertDescription::DecryptError, REFUSED_UNKNOWN),
];
const REFUSED_EXPIRED: &str = "the collector takes this process's certificate for expired: set the clock right, join again with a new token, or renew its file";
const REFUSED_UNKNOWN: &str = "the collector does not know this process's certificate: join again with a new token, or take one of its own PKI";

fn alert_text(alert: AlertDescription) -> String {
    rustls::Error::AlertReceived(alert).to_string()
}
