#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use opentelemetry::trace::{SpanId, SpanKind, Status, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use parallax_model::certificate::CertificateFacts;
use parallax_model::evidence::{
    AppendEvidence, AuthenticateEvidence, CapabilityEvidence, ConnectEvidence, DnsQuery, GreetingEvidence,
    HoldEvidence, ImapReply, ResolveEvidence, SyncEvent, SyncEvidence, TlsEvidence,
};
use parallax_model::experiment::ExperimentKind;
use parallax_model::fault::{AuthFault, FaultKind, TcpFault, TlsFault};
use parallax_model::observation::Purpose;
use parallax_model::target::{Endpoint, Security};

use super::*;

const RUN: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
const SECRETS: [&str; 3] = ["probe@example.org", "hunter2", "wrong password for"];

#[test]
fn one_trace_holds_the_probe_its_attempts_and_their_stages() {
    let spans = spans(&observation());
    let probe = find(&spans, "IMAP probe");
    let trace = probe.span_context.trace_id();
    assert!(spans.iter().all(|span| span.span_context.trace_id() == trace));
    let children = |parent: SpanId| -> Vec<&str> {
        let children = spans.iter().filter(|span| span.parent_span_id == parent);
        children.map(|span| span.name.as_ref()).collect()
    };
    assert_eq!(
        children(probe.span_context.span_id()),
        ["DNS lookup", "IMAP attempt", "IMAP attempt"]
    );
    let attempts: Vec<_> = spans.iter().filter(|span| span.name == "IMAP attempt").collect();
    assert_eq!(
        children(attempts[0].span_context.span_id()),
        [
            "TCP connect",
            "TLS handshake",
            "IMAP greeting",
            "IMAP CAPABILITY",
            "IMAP LOGIN"
        ]
    );
    assert_eq!(children(attempts[1].span_context.span_id()), ["TCP connect"]);
    assert!(
        spans
            .iter()
            .filter(|span| span.name != "IMAP probe")
            .all(|span| span.span_kind == SpanKind::Internal)
    );
}

#[test]
fn spans_have_the_times_of_the_probe() {
    let spans = spans(&observation());
    let connect = find(&spans, "TCP connect");
    assert_eq!(connect.start_time, anchor() + Duration::from_millis(10));
    assert_eq!(connect.end_time, anchor() + Duration::from_millis(30));
    let attempt = find(&spans, "IMAP attempt");
    assert_eq!(attempt.start_time, anchor() + Duration::from_millis(10));
    assert_eq!(attempt.end_time, anchor() + Duration::from_millis(110));
}

#[test]
fn a_failed_stage_is_an_error_and_so_is_its_attempt() {
    let spans = spans(&observation());
    let login = find(&spans, "IMAP LOGIN");
    assert_eq!(value(login, "error.type"), "auth.credentials_rejected");
    assert_eq!(
        login.status,
        Status::error("the server refuses this user and secret")
    );
    assert_eq!(value(login, "imap.response.code"), "AUTHENTICATIONFAILED");
    let attempt = find(&spans, "IMAP attempt");
    assert_eq!(value(attempt, "error.type"), "auth.credentials_rejected");
    assert_eq!(attempt.status, Status::error(""));
    let second = spans.iter().rfind(|span| span.name == "TCP connect").unwrap();
    assert_eq!(value(second, "error.type"), "connection_refused");
    assert_eq!(
        second.status,
        Status::error("connect to 192.0.2.2:7: connection refused")
    );
}

#[test]
fn a_degraded_stage_is_no_error() {
    let spans = spans(&observation());
    let handshake = find(&spans, "TLS handshake");
    assert_eq!(handshake.status, Status::Unset);
    assert_eq!(value(handshake, "parallax.outcome"), "degraded");
    assert!(
        handshake
            .attributes
            .iter()
            .all(|pair| pair.key.as_str() != "error.type")
    );
    assert_eq!(value(handshake, "tls.protocol.version"), "1.3");
    assert_eq!(value(handshake, "tls.established"), "true");
    assert_eq!(value(handshake, "tls.server.hash.sha256"), "AB12");
    assert_eq!(value(handshake, "tls.server.not_after"), "2027-01-15T08:00:00Z");
}

#[test]
fn what_was_written_and_held_is_told_in_numbers_and_no_mailbox_is_named() {
    let with = |name, evidence| Stage {
        evidence: Some(evidence),
        ..Stage::new(name, Outcome::Ok, Duration::ZERO, Duration::from_millis(5))
    };
    let event = |event: &str, seen: &str, latency_ms| SyncEvent {
        event: event.into(),
        seen: seen.into(),
        latency_ms,
    };
    let append = AppendEvidence {
        mailbox: "probe@example.org".into(),
        stored_ms: Some(12.5),
        intact: Some(true),
        ..AppendEvidence::default()
    };
    let sync = SyncEvidence {
        events: vec![
            event("exists", "idle", Some(3.0)),
            event("flags", "noop", Some(4000.0)),
            event("expunge", "never", None),
        ],
        left_over: vec!["hunter2".into()],
        ..SyncEvidence::default()
    };
    let hold = HoldEvidence {
        held_ms: 600.0,
        end: "reset".into(),
        ..HoldEvidence::default()
    };
    let mut observation = observation();
    observation.attempts[0].stages.extend([
        with(StageName::Append, Evidence::Append(append)),
        with(StageName::Sync, Evidence::Sync(Box::new(sync))),
        with(StageName::Hold, Evidence::Hold(hold)),
    ]);
    let spans = spans(&observation);
    assert_eq!(
        value(find(&spans, "IMAP APPEND"), "imap.append.stored_ms"),
        "12.5"
    );
    let sync = find(&spans, "IMAP sync");
    assert_eq!(value(sync, "imap.sync.latency_ms"), "4000");
    assert!(value(sync, "imap.sync.seen").contains("flags:noop"));
    assert_eq!(value(find(&spans, "IMAP hold"), "parallax.hold.end"), "reset");
    let all = format!("{spans:?}");
    assert!(SECRETS.iter().all(|secret| !all.contains(secret)));
}

#[test]
fn attributes_say_what_was_seen() {
    let spans = spans(&observation());
    let lookup = find(&spans, "DNS lookup");
    assert_eq!(value(lookup, "dns.question.name"), "mail.example.org.");
    assert_eq!(value(lookup, "dns.answers"), "[\"192.0.2.1\",\"192.0.2.2\"]");
    let attempts: Vec<_> = spans.iter().filter(|span| span.name == "IMAP attempt").collect();
    assert_eq!(value(attempts[0], "parallax.run.id"), RUN.to_string());
    assert_eq!(value(attempts[0], "network.peer.port"), "993");
    assert_eq!(value(attempts[1], "parallax.experiment"), "control_port");
    assert_eq!(value(attempts[1], "parallax.attempt.purpose"), "follow_up");
    let capability = find(&spans, "IMAP CAPABILITY");
    assert_eq!(value(capability, "imap.command.name"), "CAPABILITY");
    assert_eq!(value(capability, "imap.capabilities"), "[\"IMAP4rev1\",\"IDLE\"]");
}

#[test]
fn no_user_no_secret_and_no_server_text_is_exported() {
    let told = format!("{:?}", spans(&observation()));
    for secret in SECRETS {
        assert!(!told.contains(secret), "{secret:?} is in {told}");
    }
}

#[test]
fn a_failed_probe_names_its_first_fault() {
    let mut seen = observation();
    assert_eq!(probe_error(&seen).unwrap(), "auth.credentials_rejected");
    seen.outcome = VantageOutcome::Degraded;
    assert_eq!(probe_error(&seen), None);
}

fn spans(observation: &Observation) -> Vec<SpanData> {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let tracer = provider.tracer("test");
    let probe = SpanSpec::new("IMAP probe", anchor())
        .kind(SpanKind::Client)
        .child_of(&tracer, &Context::new());
    record(&tracer, probe.context(), anchor(), observation, RUN);
    probe.finish(anchor() + Duration::from_millis(200));
    let mut spans = exporter.get_finished_spans().unwrap();
    spans.sort_by_key(|span| span.start_time);
    spans
}

fn find<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
    spans.iter().find(|span| span.name == name).unwrap()
}

fn value(span: &SpanData, key: &str) -> String {
    let pair = span.attributes.iter().find(|pair| pair.key.as_str() == key);
    pair.unwrap_or_else(|| panic!("{key} is not in {span:?}"))
        .value
        .to_string()
}

fn anchor() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn observation() -> Observation {
    Observation {
        agent: "fra-1".parse().unwrap(),
        labels: BTreeMap::new(),
        outcome: VantageOutcome::Failed,
        reason: None,
        note: None,
        refusal: None,
        left_out: Vec::new(),
        clock: None,
        resolve: Some(resolve()),
        attempts: vec![rejected_login(), closed_control_port()],
        network: parallax_model::path::NetworkFacts::default(),
    }
}

fn resolve() -> Stage {
    let addresses = vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
    let query = DnsQuery {
        records: Vec::new(),
        dnssec: None,
        name: "mail.example.org.".into(),
        record_type: "A".into(),
        resolver: "192.0.2.53:53".parse().unwrap(),
        transport: "udp".into(),
        rcode: Some("NOERROR".into()),
        addresses: addresses.clone(),
        cname_chain: vec![],
        second_answer: Vec::new(),
        ttl_s: Some(60),
        duration: Duration::from_millis(9),
        fault: None,
    };
    let evidence = Evidence::Resolve(ResolveEvidence {
        other: None,
        services: Vec::new(),
        tlsa: Vec::new(),
        source: "dns".into(),
        addresses,
        queries: vec![query],
    });
    stage(StageName::Resolve, Outcome::Ok, (1, 9), Some(evidence))
}

fn rejected_login() -> Attempt {
    let tls = TlsEvidence {
        server_name: Some("mail.example.org".into()),
        version: Some("TLSv1.3".into()),
        chain: vec![certificate()],
        ..TlsEvidence::default()
    };
    let weak = Fault::new(FaultKind::Tls(TlsFault::CertificateWeak), "weak");
    let said = ImapReply {
        source: None,
        status: "NO".into(),
        code: Some("AUTHENTICATIONFAILED".into()),
        text: "wrong password for probe@example.org".into(),
        cause: Some("the server refuses this user and secret".into()),
        next_step: None,
    };
    let login = Evidence::Authenticate(AuthenticateEvidence {
        mechanism: "LOGIN".into(),
        reply: Some(said.clone()),
        ..AuthenticateEvidence::default()
    });
    let rejected = Fault::new(
        FaultKind::Auth(AuthFault::CredentialsRejected),
        "wrong password for probe@example.org",
    )
    .with_raw("NO hunter2");
    Attempt {
        by: None,
        address: "192.0.2.1".parse().unwrap(),
        endpoint: Endpoint {
            port: 993,
            security: Security::Tls,
        },
        purpose: Purpose::Requested,
        experiment: None,
        stages: vec![
            stage(
                StageName::Connect,
                Outcome::Ok,
                (10, 20),
                Some(connect("192.0.2.1:993")),
            ),
            stage(
                StageName::Tls,
                Outcome::Degraded(weak),
                (30, 20),
                Some(Evidence::Tls(Box::new(tls))),
            ),
            stage(
                StageName::Greeting,
                Outcome::Ok,
                (50, 10),
                Some(Evidence::Greeting(GreetingEvidence::default())),
            ),
            stage(
                StageName::Capability,
                Outcome::Ok,
                (60, 10),
                Some(Evidence::Capability(CapabilityEvidence {
                    added: Vec::new(),
                    removed: Vec::new(),
                    cleartext_login: None,
                    capabilities: vec!["IMAP4rev1".into(), "IDLE".into()],
                    reply: None,
                })),
            ),
            Stage::skipped(StageName::Id, Duration::from_millis(70), "not offered"),
            stage(
                StageName::Authenticate,
                Outcome::Failed(rejected),
                (70, 40),
                Some(login),
            ),
            Stage::not_reached(StageName::List, Duration::from_secs(9)),
        ],
        transcript: vec![],
    }
}

fn closed_control_port() -> Attempt {
    let refused = Fault::new(
        FaultKind::Tcp(TcpFault::ConnectionRefused),
        "connect to 192.0.2.2:7: connection refused",
    );
    Attempt {
        by: None,
        address: "192.0.2.2".parse().unwrap(),
        endpoint: Endpoint {
            port: 7,
            security: Security::Plaintext,
        },
        purpose: Purpose::FollowUp,
        experiment: Some(ExperimentKind::ControlPort),
        stages: vec![stage(
            StageName::Connect,
            Outcome::Failed(refused),
            (150, 5),
            Some(connect("192.0.2.2:7")),
        )],
        transcript: vec![],
    }
}

fn stage(
    name: StageName,
    outcome: Outcome,
    (start, duration): (u64, u64),
    evidence: Option<Evidence>,
) -> Stage {
    let mut stage = Stage::new(
        name,
        outcome,
        Duration::from_millis(start),
        Duration::from_millis(duration),
    );
    stage.evidence = evidence;
    stage
}

fn connect(peer: &str) -> Evidence {
    Evidence::Connect(ConnectEvidence {
        interface: None,
        syn_retransmits: None,
        mss: None,
        on_link: None,
        peer: peer.parse().unwrap(),
        local: Some("192.0.2.9:50000".parse().unwrap()),
        errno: None,
        icmp: None,
    })
}

fn certificate() -> CertificateFacts {
    CertificateFacts {
        srv_names: Vec::new(),
        lifetime_left: None,
        scts: 0,
        must_staple: false,
        ca_issuers: Vec::new(),
        subject: "CN=mail.example.org".into(),
        issuer: "CN=CA".into(),
        serial: "01".into(),
        not_before: jiff::Timestamp::from_second(1_700_000_000).unwrap(),
        not_after: jiff::Timestamp::from_second(1_800_000_000).unwrap(),
        dns_names: vec![],
        ip_addresses: vec![],
        key: "EC P-256".into(),
        signature_algorithm: "ecdsa-with-SHA256".into(),
        sha256: "ab12".into(),
        spki_sha256: "cd34".into(),
        is_ca: false,
        self_signed: false,
    }
}
