//! The dialogue up to the login.

use parallax_model::evidence::{
    AuthenticateEvidence, CapabilityEvidence, GreetingEvidence, IdEvidence, Nudge, OauthError,
    StarttlsEvidence,
};

use super::tls::Certificates;
use super::{Told, tls};
use crate::render::words;

/// What a server calls itself, before all else that it may tell: Cyrus tells how it was built.
const FIRST: [&str; 3] = ["name", "version", "vendor"];

pub(super) fn greeted(facts: &GreetingEvidence, told: &mut Told) {
    if let Some(service) = &facts.service {
        told.beside(format!("speaks {}", words::quote(service)));
    }
    if let Some(backend) = &facts.backend {
        told.beside(format!("backend {}", words::quote(backend)));
    }
    if let Some(nudge) = facts.nudge {
        told.beside(match nudge {
            Nudge::Acknowledged => "a NOOP was taken and not answered",
            Nudge::Unacknowledged => "a NOOP was not even taken",
            Nudge::Answered => "spoke when it was spoken to",
            Nudge::Reset => "a NOOP was answered with a reset",
        });
    }
    if let Some(bytes) = &facts.first_bytes {
        told.below(format!("first bytes: {}", words::quote(bytes)));
    }
}

pub(super) fn capable(facts: &CapabilityEvidence, told: &mut Told) {
    told.beside(words::quote(&facts.capabilities.join(" ")));
    difference("the greeting", &facts.added, &facts.removed, told);
    match facts.cleartext_login {
        Some(true) => told.below("would take a password in clear"),
        Some(false) => told.below("takes no password in clear"),
        None => {}
    }
}

pub(super) fn upgraded(facts: &StarttlsEvidence, certificates: &mut Certificates, told: &mut Told) {
    if let Some(fate) = &facts.injection {
        told.beside(injected(fate));
    }
    told.beside(words::quote(&facts.capabilities.join(" ")));
    if let Some(handshake) = &facts.tls {
        tls::handshake_below(handshake, certificates, told);
    }
    difference("those in clear", &facts.added, &facts.removed, told);
}

pub(super) fn identified(facts: &IdEvidence, told: &mut Told) {
    let first = FIRST.iter().filter_map(|name| facts.server.get_key_value(*name));
    let others = facts
        .server
        .iter()
        .filter(|(name, _)| !FIRST.contains(&name.as_str()));
    let fields: Vec<_> = first
        .chain(others)
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    told.beside(words::quote(&fields.join(", ")));
}

pub(super) fn logged_in(facts: &AuthenticateEvidence, told: &mut Told) {
    told.beside(way_in(facts));
    if let Some(binding) = &facts.channel_binding {
        told.beside(format!("bound to TLS by {}", words::quote(binding)));
    }
    match facts.server_verified {
        Some(true) => told.beside("the server proved that it knows the password"),
        Some(false) if let_in(facts) => told.beside("the server did NOT prove that it knows the password"),
        Some(false) | None => {}
    }
    if let Some(error) = &facts.oauth_error {
        told.below(token_refused(error));
    }
    if facts.penalty_suspected {
        told.below("the answer took as long as servers make those wait whose login failed before");
    }
    difference("those before the login", &facts.added, &facts.removed, told);
    if !facts.enabled.is_empty() {
        told.below(format!("enabled: {}", words::quote(&facts.enabled.join(" "))));
    }
}

/// "by SCRAM-SHA-256 (AUTHENTICATE, initial response)"; nothing where no mechanism was in common.
fn way_in(facts: &AuthenticateEvidence) -> String {
    if facts.mechanism.is_empty() {
        return String::new();
    }
    let mut way = format!("by {}", words::quote(&facts.mechanism));
    if !facts.command.is_empty() && facts.command != facts.mechanism {
        let command = words::quote(&facts.command);
        let with = if facts.initial_response {
            ", initial response"
        } else {
            ""
        };
        way.push_str(&format!(" ({command}{with})"));
    }
    way
}

/// A server that refuses has nothing to prove.
fn let_in(facts: &AuthenticateEvidence) -> bool {
    facts.reply.as_ref().is_none_or(|reply| reply.status == "OK")
}

fn difference(before: &str, added: &[String], removed: &[String], told: &mut Told) {
    let said: Vec<_> = [("new", added), ("gone", removed)]
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(word, names)| format!("{word} {}", words::quote(&names.join(" "))))
        .collect();
    if !said.is_empty() {
        told.below(format!("beside {before}: {}", said.join("; ")));
    }
}

fn injected(fate: &str) -> String {
    match fate {
        "discarded" => "the command sent in clear was discarded, as it should be".to_owned(),
        "refused" => "the command sent in clear was refused".to_owned(),
        "closed" => "the server closed the connection over the command sent in clear".to_owned(),
        "answered_in_clear" => "the command was answered in clear, before TLS".to_owned(),
        "executed" => "the command sent in clear was CARRIED OUT behind TLS".to_owned(),
        other => format!("the command sent in clear: {}", words::quote(other)),
    }
}

fn token_refused(error: &OauthError) -> String {
    let members = [
        ("status", &error.status),
        ("schemes", &error.schemes),
        ("scope", &error.scope),
        ("described at", &error.openid_configuration),
    ];
    let said: Vec<_> = members
        .into_iter()
        .filter_map(|(name, value)| {
            value
                .as_deref()
                .map(|value| format!("{name} {}", words::quote(value)))
        })
        .collect();
    format!("about the token: {}", said.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_before_it_tells_how_it_was_built() {
        let server = [
            ("environment", "Built w/Cyrus SASL"),
            ("name", "Cyrus IMAPD"),
            ("os", "Linux"),
            ("version", "3.6.1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut told = Told::default();
        let facts = IdEvidence {
            server: server.into(),
            reply: None,
        };
        identified(&facts, &mut told);
        assert_eq!(
            told.beside,
            ["name Cyrus IMAPD, version 3.6.1, environment Built w/Cyrus SASL, os Linux"]
        );
    }
}
