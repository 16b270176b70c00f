//! Which facts of a stage become attributes. What names a user, a mailbox or a message is left out.

use opentelemetry::{KeyValue, Value};
use parallax_model::certificate::CertificateFacts;
use parallax_model::evidence::{
    AppendEvidence, ConnectEvidence, Evidence, HoldEvidence, ImapReply, ResolveEvidence, SyncEvidence,
    TlsEvidence,
};
use parallax_model::observation::Family;
use parallax_model::text;

use super::{TEXT, texts};
use crate::attribute as key;

pub(super) fn write(evidence: &Evidence, failed: bool, attributes: &mut Vec<KeyValue>) {
    match evidence {
        Evidence::Resolve(facts) => resolve(facts, attributes),
        Evidence::Connect(facts) => connect(facts, attributes),
        Evidence::Tls(facts) => tls(facts, failed, attributes),
        Evidence::Starttls(facts) => {
            if let Some(handshake) = &facts.tls {
                tls(handshake, failed, attributes);
            }
        }
        Evidence::Capability(facts) => {
            attributes.push(KeyValue::new(key::IMAP_CAPABILITIES, texts(&facts.capabilities)));
        }
        Evidence::Authenticate(facts) => {
            attributes.push(KeyValue::new(key::IMAP_AUTH_MECHANISM, shown(&facts.mechanism)));
        }
        Evidence::Append(facts) => append(facts, attributes),
        Evidence::Sync(facts) => sync(facts, attributes),
        Evidence::Idle(facts) => attributes.push(KeyValue::new(key::IMAP_IDLE_OFFERED, facts.offered)),
        Evidence::Hold(facts) => hold(facts, attributes),
        Evidence::Greeting(_)
        | Evidence::Id(_)
        | Evidence::Namespace(_)
        | Evidence::List(_)
        | Evidence::Select(_)
        | Evidence::Fetch(_)
        | Evidence::Command(_) => {}
    }
    if let Some(answer) = evidence.reply() {
        reply(answer, attributes);
    }
}

fn resolve(facts: &ResolveEvidence, attributes: &mut Vec<KeyValue>) {
    if let Some(query) = facts.queries.first() {
        attributes.push(KeyValue::new(key::DNS_QUESTION_NAME, shown(&query.name)));
        let dnssec = query.dnssec.as_deref();
        attributes.extend(dnssec.map(|dnssec| KeyValue::new(key::DNS_DNSSEC, shown(dnssec))));
    }
    if let Some(other) = &facts.other {
        attributes.push(KeyValue::new(key::DNS_AGREES, other.agrees));
    }
    let addresses = facts.addresses.iter().map(ToString::to_string);
    attributes.push(KeyValue::new(key::DNS_ANSWERS, texts(addresses)));
}

fn connect(facts: &ConnectEvidence, attributes: &mut Vec<KeyValue>) {
    attributes.extend([
        KeyValue::new(key::NETWORK_PEER_ADDRESS, facts.peer.ip().to_string()),
        KeyValue::new(key::NETWORK_PEER_PORT, i64::from(facts.peer.port())),
        KeyValue::new(key::NETWORK_TYPE, Family::of(facts.peer.ip()).as_str()),
        KeyValue::new(key::NETWORK_TRANSPORT, "tcp"),
    ]);
    if let Some(local) = facts.local {
        attributes.push(KeyValue::new(key::NETWORK_LOCAL_ADDRESS, local.ip().to_string()));
        attributes.push(KeyValue::new(key::NETWORK_LOCAL_PORT, i64::from(local.port())));
    }
    if let Some(interface) = &facts.interface {
        attributes.push(KeyValue::new(key::NETWORK_INTERFACE_NAME, shown(interface)));
    }
    if let Some(again) = facts.syn_retransmits {
        attributes.push(KeyValue::new(key::SYN_RETRANSMITS, i64::from(again)));
    }
}

fn append(facts: &AppendEvidence, attributes: &mut Vec<KeyValue>) {
    let stored = facts.stored_ms;
    attributes.extend(stored.map(|stored| KeyValue::new(key::IMAP_APPEND_STORED_MS, stored)));
    let intact = facts.intact;
    attributes.extend(intact.map(|intact| KeyValue::new(key::IMAP_APPEND_INTACT, intact)));
}

fn sync(facts: &SyncEvidence, attributes: &mut Vec<KeyValue>) {
    let events = facts.events.iter();
    let seen = events.map(|event| format!("{}:{}", event.event, event.seen));
    attributes.push(KeyValue::new(key::IMAP_SYNC_SEEN, texts(seen)));
    let slowest = facts.events.iter().filter_map(|event| event.latency_ms);
    if let Some(slowest) = slowest.reduce(f64::max) {
        attributes.push(KeyValue::new(key::IMAP_SYNC_LATENCY_MS, slowest));
    }
}

fn hold(facts: &HoldEvidence, attributes: &mut Vec<KeyValue>) {
    attributes.push(KeyValue::new(key::HOLD_END, shown(&facts.end)));
    attributes.push(KeyValue::new(key::HOLD_MS, facts.held_ms));
}

/// A session was established when its version is known and it did not fail; a certificate that is refused only
/// after the handshake still fails the stage.
fn tls(facts: &TlsEvidence, failed: bool, attributes: &mut Vec<KeyValue>) {
    attributes.push(KeyValue::new(key::TLS_PROTOCOL_NAME, "tls"));
    attributes.push(KeyValue::new(
        key::TLS_ESTABLISHED,
        facts.version.is_some() && !failed,
    ));
    let version = facts
        .version
        .as_deref()
        .map(|version| version.trim_start_matches("TLSv"));
    let known = [
        (key::SERVER_ADDRESS, facts.server_name.as_deref()),
        (key::TLS_PROTOCOL_VERSION, version),
        (key::TLS_CIPHER, facts.cipher_suite.as_deref()),
        (key::TLS_CURVE, facts.group.as_deref()),
    ];
    attributes.extend(
        known
            .into_iter()
            .filter_map(|(key, text)| Some(KeyValue::new(key, shown(text?)))),
    );
    if let Some(leaf) = facts.chain.first() {
        certificate(leaf, attributes);
    }
}

fn certificate(leaf: &CertificateFacts, attributes: &mut Vec<KeyValue>) {
    attributes.extend([
        KeyValue::new(key::TLS_SERVER_SUBJECT, shown(&leaf.subject)),
        KeyValue::new(key::TLS_SERVER_ISSUER, shown(&leaf.issuer)),
        KeyValue::new(key::TLS_SERVER_NOT_BEFORE, leaf.not_before.to_string()),
        KeyValue::new(key::TLS_SERVER_NOT_AFTER, leaf.not_after.to_string()),
        KeyValue::new(key::TLS_SERVER_SHA256, leaf.sha256.to_ascii_uppercase()),
    ]);
}

fn reply(reply: &ImapReply, attributes: &mut Vec<KeyValue>) {
    attributes.push(KeyValue::new(key::IMAP_RESPONSE_STATUS, shown(&reply.status)));
    if let Some(code) = &reply.code {
        attributes.push(KeyValue::new(key::IMAP_RESPONSE_CODE, shown(code)));
    }
}

fn shown(value: &str) -> Value {
    text::escape_str(value, TEXT).into()
}
