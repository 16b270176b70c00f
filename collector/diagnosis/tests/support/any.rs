//! Observations of any shape: what a server or a broken agent might make up.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use parallax_diagnosis::Question;
use parallax_model::certificate::CertificateFacts;
use parallax_model::evidence::{
    AuthenticateEvidence, CapabilityEvidence, ConnectEvidence, DnsQuery, Evidence, HoldEvidence, IcmpError,
    ImapReply, ListEvidence, QuotaFacts, RawHelloFacts, ResolveEvidence, SelectEvidence, StarttlsEvidence,
    SyncEvent, SyncEvidence, TcpInfo, TlsEvidence,
};
use parallax_model::experiment::ExperimentKind;
use parallax_model::fault::{
    AgentFault, AuthFault, DnsFault, Fault, FaultKind, ImapFault, MailboxFault, TcpFault, TlsFault,
};
use parallax_model::observation::{Attempt, ClockFacts, Observation, Purpose, Reason, VantageOutcome};
use parallax_model::path::{
    ControlFacts, Flow, Hop, HopReply, NetworkFacts, Path, PathEnd, PathProtocol, Payload, Sweep,
};
use parallax_model::spec::Depth;
use parallax_model::stage::{Outcome, Stage, StageName};
use parallax_model::target::{Endpoint, Security, Target};
use parallax_model::vantage::Labels;
use proptest::prelude::*;
use proptest::sample::select;

fn fault() -> impl Strategy<Value = Fault> {
    let kind = prop_oneof![
        select(DnsFault::ALL).prop_map(FaultKind::Dns),
        select(TcpFault::ALL).prop_map(FaultKind::Tcp),
        select(TlsFault::ALL).prop_map(FaultKind::Tls),
        select(ImapFault::ALL).prop_map(FaultKind::Imap),
        select(AuthFault::ALL).prop_map(FaultKind::Auth),
        select(MailboxFault::ALL).prop_map(FaultKind::Mailbox),
        select(AgentFault::ALL).prop_map(FaultKind::Agent),
    ];
    (kind, any::<String>(), any::<Option<String>>()).prop_map(|(kind, message, raw)| Fault {
        kind,
        message,
        raw,
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Ok),
        1 => fault().prop_map(Outcome::Degraded),
        3 => fault().prop_map(Outcome::Failed),
        1 => any::<String>().prop_map(Outcome::Skipped),
        1 => Just(Outcome::NotReached),
    ]
}

fn address() -> impl Strategy<Value = IpAddr> {
    select(vec![
        "10.9.0.10",
        "10.9.0.11",
        "fd00:9::10",
        "127.0.0.1",
        "10.1.0.1",
    ])
    .prop_map(|text| text.parse().unwrap())
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![0..50_000_u64, 2_400_000..4_600_000_u64, Just(u64::MAX)].prop_map(Duration::from_micros)
}

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        Just(Timestamp::MIN),
        Just(Timestamp::MAX),
        (1_780_000_000..1_800_000_000_i64).prop_map(|second| Timestamp::from_second(second).unwrap()),
    ]
}

fn tcp() -> impl Strategy<Value = TcpInfo> {
    (
        0..8_u32,
        0..4_u32,
        0..3_u32,
        0..3_u32,
        0..1000_u64,
        prop::option::of(0..2_u32),
    )
        .prop_map(
            |(segs_out, segs_in, unacked, rcv_ooopack, bytes_acked, snd_wnd)| TcpInfo {
                segs_out,
                segs_in,
                unacked,
                total_retransmits: unacked,
                rcv_ooopack,
                bytes_acked,
                snd_wnd,
                ..TcpInfo::default()
            },
        )
}

fn certificate() -> impl Strategy<Value = CertificateFacts> {
    (
        time(),
        time(),
        select(vec!["a", "b", "kéy"]),
        any::<bool>(),
        any::<String>(),
    )
        .prop_map(
            |(not_before, not_after, key, self_signed, issuer)| CertificateFacts {
                srv_names: Vec::new(),
                lifetime_left: None,
                scts: 0,
                must_staple: false,
                ca_issuers: Vec::new(),
                subject: "CN=x".into(),
                issuer,
                serial: "1".into(),
                not_before,
                not_after,
                dns_names: Vec::new(),
                ip_addresses: Vec::new(),
                key: "RSA 2048".into(),
                signature_algorithm: "x".into(),
                sha256: format!("{key} {not_before} {not_after}"),
                spki_sha256: key.into(),
                is_ca: false,
                self_signed,
            },
        )
}

fn evidence(peer: SocketAddr) -> impl Strategy<Value = Option<Evidence>> {
    let icmp = (0..12_u8, 0..14_u8, address()).prop_map(|(kind, code, from)| IcmpError {
        kind,
        code,
        name: "x".into(),
        from,
    });
    let connect = (prop::option::of(icmp), prop::option::of(address())).prop_map(move |(icmp, local)| {
        Evidence::Connect(ConnectEvidence {
            interface: None,
            syn_retransmits: None,
            mss: None,
            on_link: None,
            peer,
            local: local.map(|local| SocketAddr::new(local, 4000)),
            errno: Some("EHOSTUNREACH".into()),
            icmp,
        })
    });
    let tls = (
        prop::collection::vec(certificate(), 0..3),
        prop::collection::vec(fault(), 0..3),
        any::<bool>(),
        prop::option::of("[0-9a-z]{0,9}"),
    )
        .prop_map(|(chain, certificate_faults, verified, first_bytes)| {
            Evidence::Tls(Box::new(TlsEvidence {
                chain,
                certificate_faults,
                verified,
                first_bytes,
                ..TlsEvidence::default()
            }))
        });
    let reply = any::<String>().prop_map(|text| {
        Evidence::Authenticate(AuthenticateEvidence {
            reply: Some(ImapReply {
                status: "NO".into(),
                text,
                ..ImapReply::default()
            }),
            ..AuthenticateEvidence::default()
        })
    });
    let capabilities = prop::collection::vec(any::<String>(), 0..3).prop_map(|capabilities| {
        Evidence::Capability(CapabilityEvidence {
            added: Vec::new(),
            removed: Vec::new(),
            cleartext_login: None,
            capabilities,
            reply: None,
        })
    });
    prop::option::of(prop_oneof![connect, tls, reply, capabilities, behind_the_login()])
}

/// Evidence of what comes with STARTTLS and after it.
fn behind_the_login() -> impl Strategy<Value = Evidence> {
    let word = select(vec![
        "",
        "alive",
        "silent",
        "bye",
        "closed",
        "never",
        "idle",
        "executed",
        "\u{1b}[31m",
    ]);
    let number = prop_oneof![Just(f64::NAN), Just(-1.0), 0.0..1e7_f64];
    let hold = (word.clone(), number.clone(), any::<bool>()).prop_map(|(end, held_ms, logged_in)| {
        Evidence::Hold(HoldEvidence {
            end: end.into(),
            held_ms,
            logged_in,
            ..HoldEvidence::default()
        })
    });
    let sync = (word.clone(), number, any::<Option<String>>()).prop_map(|(seen, latency_ms, watcher)| {
        Evidence::Sync(Box::new(SyncEvidence {
            watcher,
            events: vec![SyncEvent {
                event: "exists".into(),
                seen: seen.into(),
                latency_ms: Some(latency_ms),
            }],
            ..SyncEvidence::default()
        }))
    });
    let list = prop::collection::vec(any::<String>(), 0..3).prop_map(|missing_roles| {
        Evidence::List(ListEvidence {
            doubled_roles: missing_roles.clone(),
            missing_roles,
            ..ListEvidence::default()
        })
    });
    let select_box = (any::<u64>(), any::<u64>(), any::<String>()).prop_map(|(usage, limit, root)| {
        Evidence::Select(SelectEvidence {
            quota: vec![QuotaFacts {
                resource: root.clone(),
                root,
                usage,
                limit,
            }],
            ..SelectEvidence::default()
        })
    });
    let starttls = (word, prop::option::of(any::<String>())).prop_map(|(injection, version)| {
        Evidence::Starttls(Box::new(StarttlsEvidence {
            injection: Some(injection.into()),
            tls: Some(TlsEvidence {
                raw_hello: Some(RawHelloFacts {
                    version: version.clone(),
                    cipher_suite: version,
                    ..RawHelloFacts::default()
                }),
                ..TlsEvidence::default()
            }),
            ..StarttlsEvidence::default()
        }))
    });
    prop_oneof![hold, sync, list, select_box, starttls]
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let place = (address(), select(vec![993_u16, 143, 7]), select(Security::ALL));
    place.prop_flat_map(|(address, port, security)| {
        let peer = SocketAddr::new(address, port);
        let stage = (
            select(StageName::ALL),
            outcome(),
            duration(),
            evidence(peer),
            prop::option::of(tcp()),
        )
            .prop_map(|(name, outcome, duration, evidence, tcp)| Stage {
                evidence,
                tcp,
                ..Stage::new(name, outcome, Duration::ZERO, duration)
            });
        let connect =
            (outcome(), duration(), prop::option::of(tcp())).prop_map(|(outcome, duration, tcp)| Stage {
                tcp,
                ..Stage::new(StageName::Connect, outcome, Duration::ZERO, duration)
            });
        (
            prop::option::of(select(ExperimentKind::ALL)),
            prop::option::of(connect),
            prop::collection::vec(stage, 0..4),
        )
            .prop_map(move |(experiment, connect, others)| Attempt {
                by: None,
                address,
                endpoint: Endpoint { port, security },
                purpose: if experiment.is_some() {
                    Purpose::FollowUp
                } else {
                    Purpose::Requested
                },
                experiment,
                stages: connect.into_iter().chain(others).collect(),
                transcript: Vec::new(),
            })
    })
}

fn resolve() -> impl Strategy<Value = Stage> {
    let query =
        (prop::option::of(fault()), duration(), address()).prop_map(|(fault, duration, resolver)| DnsQuery {
            records: Vec::new(),
            dnssec: None,
            name: "x".into(),
            record_type: "A".into(),
            resolver: SocketAddr::new(resolver, 53),
            transport: "udp".into(),
            rcode: None,
            addresses: Vec::new(),
            cname_chain: Vec::new(),
            second_answer: Vec::new(),
            ttl_s: None,
            duration,
            fault,
        });
    let facts = (
        select(vec!["dns", "hosts", "literal"]),
        prop::collection::vec(address(), 0..3),
        prop::collection::vec(query, 0..3),
    );
    (outcome(), duration(), prop::option::of(facts)).prop_map(|(outcome, duration, facts)| Stage {
        evidence: facts.map(|(source, addresses, queries)| {
            Evidence::Resolve(ResolveEvidence {
                other: None,
                services: Vec::new(),
                tlsa: Vec::new(),
                source: source.into(),
                addresses,
                queries,
            })
        }),
        ..Stage::new(StageName::Resolve, outcome, Duration::ZERO, duration)
    })
}

/// Paths and sweeps of any shape, to the places that attempts go to.
fn network() -> impl Strategy<Value = NetworkFacts> {
    let reply = select(vec![
        HopReply::None,
        HopReply::TimeExceeded,
        HopReply::SynAck,
        HopReply::Rst,
        HopReply::Unreachable("admin_prohibited\u{1b}".into()),
        HopReply::Answered,
        HopReply::NotSent("EPERM".into()),
    ]);
    let hop = (reply.clone(), prop::collection::vec(address(), 0..2));
    let path = (
        address(),
        select(vec![993_u16, 143, 7]),
        select(PathProtocol::ALL),
        prop::collection::vec(hop, 0..5),
        prop::option::of(58..64_u8),
        select(Payload::ALL),
    )
        .prop_map(|(address, port, protocol, hops, answer_ttl, payload)| Path {
            address,
            port,
            protocol,
            reached: false,
            hops: hops
                .into_iter()
                .zip(1..)
                .map(|((reply, addresses), ttl)| Hop {
                    ttl,
                    addresses,
                    rtt: None,
                    reply,
                    reply_ttl: None,
                    asked: None,
                    mss: None,
                    mtu: None,
                })
                .collect(),
            source: None,
            experiment: None,
            payload,
            bytes: None,
            answer_ttl,
            ended: PathEnd::Silent,
            start: Duration::ZERO,
            duration: Duration::ZERO,
        });
    let flows = prop::collection::vec(prop::collection::vec(reply, 0..3), 0..17);
    let sweep = (address(), select(vec![993_u16, 143]), flows).prop_map(|(address, port, flows)| Sweep {
        address,
        port,
        source: None,
        flows: flows
            .into_iter()
            .zip(40_000..)
            .map(|(replies, source_port)| Flow { source_port, replies })
            .collect(),
    });
    let control = prop::option::of(prop::option::of(fault())).prop_map(|tried| {
        tried.map(|fault| ControlFacts {
            target: "10.0.71.2:7143\u{1b}".into(),
            rtt: None,
            fault,
        })
    });
    (
        prop::collection::vec(path, 0..4),
        prop::collection::vec(sweep, 0..2),
        prop::collection::vec(address(), 0..3),
        control,
    )
        .prop_map(|(paths, sweeps, source_addresses, control)| NetworkFacts {
            paths,
            sweeps,
            source_addresses,
            control,
        })
}

pub(crate) fn observation() -> impl Strategy<Value = Observation> {
    (
        select(vec!["ams", "fra", "lon", "par"]),
        prop_oneof![6 => Just(None), 1 => select(VantageOutcome::ALL).prop_map(Some)],
        prop::option::of(select(Reason::ALL)),
        prop::option::of(any::<f64>()),
        prop::option::of(resolve()),
        prop::collection::vec(attempt(), 0..4),
        network(),
    )
        .prop_map(
            |(agent, outcome, reason, offset_ms, resolve, attempts, network)| Observation {
                agent: agent.parse().unwrap(),
                labels: Labels::new(),
                outcome: outcome
                    .unwrap_or_else(|| Observation::conclude_outcome(resolve.as_ref(), &attempts)),
                reason,
                note: None,
                refusal: None,
                left_out: Vec::new(),
                clock: offset_ms.map(|offset_ms| ClockFacts {
                    offset_ms,
                    start_skew_ms: 0.0,
                }),
                resolve,
                attempts,
                network,
            },
        )
}

pub(crate) fn question() -> impl Strategy<Value = Question> {
    (
        select(vec!["imap.example.org", "10.9.0.10", "[fd00:9::10]:993"]),
        select(Depth::ALL),
        any::<bool>(),
        time(),
    )
        .prop_map(|(target, depth, login, now)| Question {
            target: Target::parse(target, None).unwrap(),
            depth,
            login,
            now,
        })
}
