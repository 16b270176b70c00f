//! Mail.

use std::net::IpAddr;
use std::time::Duration;

use hyper::Uri;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::AsyncSmtpTransportBuilder;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use parallax_model::alert::{Alert, AlertState};

use super::Refusal;
use crate::config::Receiver;

/// How long one mail may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ports when the URL has none: submission, and submission with TLS from the first byte (RFC 8314 section 3.3).
const SUBMISSION: u16 = 587;
const SUBMISSIONS: u16 = 465;

/// Characters of a subject; a mail header is no place for more.
const SUBJECT_AT_MOST: usize = 160;

/// One mail server, and whom it brings the mail.
pub(super) struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Mail {
    /// As it was configured. `password` belongs to the receiver's user.
    pub(super) fn new(url: &str, receiver: &Receiver, password: Option<String>) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let is_implicit = uri.scheme_str() == Some("smtps");
        let default = if is_implicit { SUBMISSIONS } else { SUBMISSION };
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&host)
            .port(uri.port_u16().unwrap_or(default))
            .tls(tls(&host, is_implicit)?);
        Self::over(transport, receiver, password)
    }

    fn over(
        mut transport: AsyncSmtpTransportBuilder,
        receiver: &Receiver,
        password: Option<String>,
    ) -> Result<Self, String> {
        if let (Some(user), Some(password)) = (&receiver.user, password) {
            transport = transport.credentials(Credentials::new(user.clone(), password));
        }
        let mailbox = |text: &String| {
            text.parse::<Mailbox>()
                .map_err(|error| format!("{text}: {error}"))
        };
        Ok(Self {
            transport: transport.timeout(Some(PATIENCE)).build(),
            from: mailbox(&receiver.from.clone().unwrap_or_default())?,
            to: receiver.to.iter().map(mailbox).collect::<Result<_, _>>()?,
        })
    }

    /// To an address that stands for a host.
    #[cfg(test)]
    pub(super) fn to_address(
        host: &str,
        address: &str,
        port: u16,
        receiver: &Receiver,
    ) -> Result<Self, String> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address)
            .port(port)
            .tls(tls(host, false)?);
        Self::over(transport, receiver, None)
    }

    /// Sends one notice.
    pub(super) async fn send(&self, alert: &Alert) -> Result<(), Refusal> {
        let mail = self
            .mail(alert)
            .map_err(|error| Refusal::Final(error.to_string()))?;
        match tokio::time::timeout(PATIENCE, self.transport.send(mail)).await {
            Err(_) => Err(Refusal::Later(format!(
                "no answer within {} s",
                PATIENCE.as_secs()
            ))),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.is_permanent() => Err(Refusal::Final(error.to_string())),
            Ok(Err(error)) => Err(Refusal::Later(error.to_string())),
        }
    }

    fn mail(&self, alert: &Alert) -> Result<Message, lettre::error::Error> {
        let domain = self.from.email.domain();
        let fired = alert.fired_at.unwrap_or(alert.since).as_microsecond();
        let first = format!("<{}.{fired}@{domain}>", alert.fingerprint);
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(subject(alert))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        let builder = match alert.state {
            AlertState::Firing | AlertState::Pending => builder.message_id(Some(first)),
            // In the same thread as what it ends.
            AlertState::Resolved => builder
                .message_id(Some(format!("<{}.{fired}.resolved@{domain}>", alert.fingerprint)))
                .in_reply_to(first.clone())
                .references(first),
        };
        builder.body(text(alert))
    }
}

/// Nothing leaves this host without TLS.
fn tls(host: &str, is_implicit: bool) -> Result<Tls, String> {
    let is_loopback =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let parameters =
        TlsParameters::new_rustls(host.to_owned()).map_err(|error| format!("{host}: {error}"))?;
    Ok(match (is_implicit, is_loopback) {
        (true, _) => Tls::Wrapper(parameters),
        (false, true) => Tls::Opportunistic(parameters),
        (false, false) => Tls::Required(parameters),
    })
}

fn subject(alert: &Alert) -> String {
    let state = match alert.state {
        AlertState::Firing | AlertState::Pending => "FIRING",
        AlertState::Resolved => "RESOLVED",
    };
    let whole = format!("[{state}] {}: {}", alert.name, alert.summary);
    whole.chars().take(SUBJECT_AT_MOST).collect()
}

fn text(alert: &Alert) -> String {
    let mut lines = vec![alert.summary.clone(), String::new()];
    if let Some(fired) = alert.fired_at {
        lines.push(format!("fired     {fired:.0}"));
    }
    if let Some(over) = alert.resolved_at {
        lines.push(format!("resolved  {over:.0}"));
    }
    let annotations = alert.annotations.iter().filter(|(name, _)| *name != "summary");
    lines.extend(annotations.map(|(name, value)| format!("{name}: {value}")));
    lines.push(String::new());
    lines.extend(alert.labels.iter().map(|(name, value)| format!("{name}={value}")));
    lines.join("\n") + "\n"
}
