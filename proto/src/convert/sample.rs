//! Model values for the round trips: in `full` every field has a value of its own, in `bare` every optional
//! field is absent. Written out whole, so that a new field of the model does not compile until it is here.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::capture::{Capture, CaptureFacts, CaptureRecord, CapturedSecrets};
use parallax_model::certificate::CertificateFacts;
use parallax_model::check::{RunCheck, ScheduleState, SpoolState};
use parallax_model::client::{ClientOutcome, ClientReport};
use parallax_model::credential::{Mechanism, SealedSecret};
use parallax_model::evidence::{
    AppendEvidence, AuthenticateEvidence, CapabilityEvidence, CommandEvidence, ConnectEvidence, DnsQuery,
    Evidence, FetchEvidence, GreetingEvidence, HoldEvidence, IcmpError, IdEvidence, IdleEvidence, ImapReply,
    ListEvidence, NamespaceEntry, NamespaceEvidence, Nudge, OauthError, OcspFacts, OtherAnswer, QuotaFacts,
    RawHelloFacts, ResolveEvidence, SelectEvidence, SrvRecord, StarttlsEvidence, StatusFacts, SyncEvent,
    SyncEvidence, TcpInfo, TlsEvidence, TlsaFacts, TlsaRecord,
};
use parallax_model::experiment::{
    Experiment, ExperimentKind, ExperimentOutcome, ExperimentRecord, Variation,
};
use parallax_model::fault::{Fault, FaultKind, TcpFault, TlsFault};
use parallax_model::finding::{
    Alternative, Finding, FindingKind, Location, Scope, Segment, Severity, Verdict,
};
use parallax_model::observation::{
    Attempt, ClockFacts, Family, Observation, Purpose, Reason, Speaker, TranscriptLine, VantageOutcome,
};
use parallax_model::path::{
    ControlFacts, Flow, Hop, HopReply, NetworkFacts, Path, PathEnd, PathProtocol, Payload, Sweep,
};
use parallax_model::refusal::{PolicyMatter, PolicyRefusal};
use parallax_model::run::{
    AgentState, AgentSummary, Change, ChangeKind, RUN_SCHEMA, Rejected, RunDocument, RunRef, RunSummary,
    RunTarget,
};
use parallax_model::spec::{
    CaptureChoice, Depth, Examination, FamilyChoice, LoginSpec, PathChoice, ProbeOptions, ProbeSpec,
};
use parallax_model::stage::{Outcome, Stage, StageName};
use parallax_model::target::{Endpoint, Host, Security, Target};
use uuid::Uuid;

pub(super) fn endpoint() -> Endpoint {
    Endpoint {
        port: 1143,
        security: Security::Starttls,
    }
}

pub(super) fn targets() -> Vec<Target> {
    [Host::Name("mail.example.org".into()), Host::Address(v6())]
        .map(|host| Target {
            input: "imap://mail.example.org:1143".into(),
            host,
            endpoints: vec![
                endpoint(),
                Endpoint {
                    port: 993,
                    security: Security::Tls,
                },
            ],
        })
        .into()
}

pub(super) fn specs() -> Vec<ProbeSpec> {
    let [named, literal] = targets().try_into().unwrap();
    vec![
        ProbeSpec {
            target: named,
            depth: Depth::Mailbox,
            family: FamilyChoice::Ipv6,
            addresses: vec![v4(), v6()],
            timeout: Duration::from_millis(12_345),
            login: Some(LoginSpec {
                user: "probe@example.org".into(),
                mechanism: Some(Mechanism::Plain),
            }),
            anchors: vec![vec![0x30, 0], vec![0x30, 1]],
            options: ProbeOptions {
                resolver: Some("[2001:db8::53]:5353".parse().unwrap()),
                examine: Examination::ALL.to_vec(),
                hold: Some(Duration::from_secs(600)),
                sync_with: Some("nyc-1".parse().unwrap()),
                path: PathChoice::Always,
                capture: CaptureChoice::Auto,
            },
        },
        ProbeSpec {
            target: literal,
            depth: Depth::Connect,
            family: FamilyChoice::Any,
            addresses: vec![],
            timeout: Duration::from_millis(1),
            login: Some(LoginSpec {
                user: String::new(),
                mechanism: None,
            }),
            anchors: vec![],
            options: ProbeOptions::default(),
        },
    ]
}

pub(super) fn experiments() -> Vec<Experiment> {
    ExperimentKind::ALL
        .iter()
        .map(|&kind| Experiment {
            kind,
            agent: "fra-1".parse().unwrap(),
            address: v4(),
            endpoint: endpoint(),
            variation: if kind == ExperimentKind::Repeat {
                Variation::default()
            } else {
                Variation {
                    source: Some(v6()),
                    server_name: Some("other.example.org".into()),
                    mss: Some(536),
                    resolver: Some("[2001:db8::53]:53".parse().unwrap()),
                    after_ms: Some(1500),
                    repeat: Some(5),
                }
            },
        })
        .collect()
}

pub(super) fn secret() -> SealedSecret {
    SealedSecret {
        encapsulated_key: vec![1; 32],
        ciphertext: vec![2; 24],
    }
}

pub(super) fn observations() -> Vec<Observation> {
    let stages = stages();
    vec![
        Observation {
            agent: "fra-1".parse().unwrap(),
            labels: BTreeMap::from([("region".into(), "eu".into()), ("note".into(), String::new())]),
            outcome: VantageOutcome::Degraded,
            reason: Some(Reason::Overload),
            note: Some("four probes are running".into()),
            refusal: Some(refusal()),
            left_out: vec![PolicyRefusal {
                what: PolicyMatter::Login,
                rule: "login = false".into(),
                value: String::new(),
                address: None,
                port: None,
            }],
            clock: Some(ClockFacts {
                offset_ms: -12.5,
                start_skew_ms: 0.25,
            }),
            resolve: stages.first().cloned(),
            attempts: vec![
                Attempt {
                    address: v6(),
                    endpoint: endpoint(),
                    purpose: Purpose::FollowUp,
                    experiment: Some(ExperimentKind::ControlPort),
                    stages,
                    transcript: vec![line(Speaker::Client, "a1 CAPABILITY"), line(Speaker::Server, "")],
                    by: Some("nyc-1".parse().unwrap()),
                },
                Attempt {
                    address: v4(),
                    endpoint: endpoint(),
                    purpose: Purpose::Requested,
                    experiment: None,
                    stages: vec![],
                    transcript: vec![],
                    by: None,
                },
            ],
            network: network(),
        },
        Observation {
            agent: "a".parse().unwrap(),
            labels: BTreeMap::new(),
            outcome: VantageOutcome::Missing,
            reason: None,
            note: None,
            refusal: None,
            left_out: vec![],
            clock: None,
            resolve: None,
            attempts: vec![],
            network: NetworkFacts::default(),
        },
    ]
}

fn refusal() -> PolicyRefusal {
    PolicyRefusal {
        what: PolicyMatter::Address,
        rule: "deny fd00::/8".into(),
        value: "fd00::1".into(),
        address: Some(v6()),
        port: Some(993),
    }
}

fn network() -> NetworkFacts {
    let hop = |ttl, reply| Hop {
        ttl,
        addresses: vec![],
        rtt: None,
        reply,
        reply_ttl: None,
        asked: None,
        mss: None,
        mtu: None,
    };
    let full = Hop {
        addresses: vec![v4(), v6()],
        rtt: Some(Duration::from_micros(301)),
        reply_ttl: Some(64),
        asked: Some(2),
        mss: Some(1400),
        mtu: Some(1280),
        ..hop(1, HopReply::TimeExceeded)
    };
    NetworkFacts {
        paths: vec![
            Path {
                address: v4(),
                port: 993,
                protocol: PathProtocol::Tcp,
                reached: true,
                hops: vec![full, hop(2, HopReply::Unreachable("admin_prohibited".into()))],
                source: Some("10.1.0.2:40000".parse().unwrap()),
                experiment: Some(ExperimentKind::PathControl),
                payload: Payload::Syn,
                bytes: Some(1500),
                answer_ttl: Some(61),
                ended: PathEnd::Reached,
                start: Duration::from_micros(1_000_001),
                duration: Duration::from_micros(250_000),
            },
            Path {
                address: v6(),
                port: 143,
                protocol: PathProtocol::Udp,
                reached: false,
                hops: vec![],
                source: None,
                experiment: None,
                payload: Payload::Udp,
                bytes: None,
                answer_ttl: None,
                ended: PathEnd::Policy,
                start: Duration::ZERO,
                duration: Duration::ZERO,
            },
        ],
        sweeps: vec![Sweep {
            address: v4(),
            port: 993,
            source: Some(v4()),
            flows: vec![Flow {
                source_port: 40_016,
                replies: vec![HopReply::SynAck, HopReply::None],
            }],
        }],
        source_addresses: vec![v4(), v6()],
        control: Some(ControlFacts {
            target: "collector.example.org:7143".into(),
            rtt: Some(Duration::from_micros(1_200)),
            fault: Some(fault()),
        }),
    }
}

/// Every stage, every outcome, every kind of evidence full and bare.
pub(super) fn stages() -> Vec<Stage> {
    let outcomes = [
        Outcome::Ok,
        Outcome::Degraded(fault()),
        Outcome::Failed(Fault::new(FaultKind::Tls(TlsFault::NotTls), "no TLS")),
        Outcome::Skipped("not asked for".into()),
        Outcome::NotReached,
    ];
    let evidence = full_evidence()
        .into_iter()
        .chain(bare_evidence())
        .map(Some)
        .chain([None]);
    let names = StageName::ALL.iter().cycle();
    evidence
        .zip(names)
        .zip(outcomes.iter().cycle())
        .enumerate()
        .map(|(index, ((evidence, &name), outcome))| Stage {
            name,
            outcome: outcome.clone(),
            start: Duration::from_micros(1_001),
            duration: Duration::from_micros(20_000_002),
            evidence,
            tcp: (index % 2 == 0).then(tcp),
        })
        .collect()
}

pub(super) fn full_evidence() -> Vec<Evidence> {
    vec![
        Evidence::Resolve(ResolveEvidence {
            source: "dns".into(),
            addresses: vec![v6(), v4()],
            queries: vec![query(Some(fault())), query(None)],
            other: Some(other()),
            services: vec![srv()],
            tlsa: vec![tlsa()],
        }),
        Evidence::Connect(ConnectEvidence {
            peer: "[2001:db8::1]:993".parse().unwrap(),
            local: Some("[2001:db8::2]:50000".parse().unwrap()),
            errno: Some("EHOSTUNREACH".into()),
            icmp: Some(IcmpError {
                kind: 3,
                code: 13,
                name: "admin_prohibited".into(),
                from: v4(),
            }),
            interface: Some("eth0".into()),
            syn_retransmits: Some(2),
            mss: Some(536),
            on_link: Some(true),
        }),
        Evidence::Tls(Box::new(tls())),
        Evidence::Greeting(GreetingEvidence {
            reply: Some(reply()),
            service: Some("smtp".into()),
            first_bytes: Some("323230".into()),
            bytes_received: 3,
            backend: Some("imap-7".into()),
            nudge: Some(Nudge::Reset),
        }),
        Evidence::Capability(CapabilityEvidence {
            capabilities: capabilities(),
            reply: Some(reply()),
            added: vec!["ID".into()],
            removed: vec!["IDLE".into()],
            cleartext_login: Some(true),
        }),
        Evidence::Starttls(Box::new(StarttlsEvidence {
            reply: Some(reply()),
            tls: Some(tls()),
            capabilities: capabilities(),
            added: vec!["ID".into()],
            removed: vec!["IDLE".into()],
            injection: Some("discarded".into()),
        })),
        Evidence::Id(IdEvidence {
            server: BTreeMap::from([
                ("name".into(), "Dovecot".into()),
                ("version".into(), "2.4".into()),
            ]),
            reply: Some(reply()),
        }),
        Evidence::Authenticate(AuthenticateEvidence {
            mechanism: "PLAIN".into(),
            initial_response: true,
            reply: Some(reply()),
            capabilities: capabilities(),
            command: "AUTHENTICATE".into(),
            added: vec!["ID".into()],
            removed: vec!["IDLE".into()],
            server_verified: Some(true),
            channel_binding: Some("tls-exporter".into()),
            oauth_error: Some(oauth_error()),
            penalty_suspected: true,
            enabled: vec!["CONDSTORE".into()],
        }),
        Evidence::Namespace(NamespaceEvidence {
            personal: vec![entry("", Some("/"))],
            other_users: vec![entry("Other/", None)],
            shared: vec![entry("Shared/", Some(".")), entry("Public/", None)],
            reply: Some(reply()),
        }),
        Evidence::List(ListEvidence {
            mailboxes: 7,
            delimiter: Some("/".into()),
            roles: BTreeMap::from([("sent".into(), 1), ("trash".into(), 2)]),
            unparsed: 3,
            reply: Some(reply()),
            missing_roles: vec!["junk".into()],
            doubled_roles: vec!["sent".into()],
            undecodable: 4,
            outside_prefix: 5,
        }),
        Evidence::Select(SelectEvidence {
            command: "EXAMINE".into(),
            exists: Some(1),
            uid_validity: Some(2),
            uid_next: Some(3),
            highest_modseq: Some(u64::MAX),
            permanent_flags: vec!["\\Seen".into()],
            read_only: Some(true),
            reply: Some(reply()),
            status: Some(status()),
            quota: vec![quota()],
            uid_not_sticky: true,
            no_modseq: true,
            mailbox_id: Some("F2212ea87".into()),
        }),
        Evidence::Fetch(FetchEvidence {
            uid: Some(1),
            size: Some(2),
            literal_bytes: 3,
            first_byte_ms: Some(4.5),
            reply: Some(reply()),
            declared_bytes: Some(5),
            end_ms: Some(6.5),
        }),
        Evidence::Append(AppendEvidence {
            mailbox: "parallax-probe".into(),
            bytes: 1,
            go_ahead_ms: Some(2.5),
            stored_ms: Some(3.5),
            uid_validity: Some(4),
            uid: Some(5),
            intact: Some(false),
            difference: Some("at byte 7".into()),
            left_over: vec!["parallax-probe".into()],
            reply: Some(reply()),
        }),
        Evidence::Sync(Box::new(SyncEvidence {
            watcher: Some("nyc-1".into()),
            events: vec![
                SyncEvent {
                    event: "exists".into(),
                    seen: "idle".into(),
                    latency_ms: Some(1.5),
                },
                SyncEvent {
                    event: "flags".into(),
                    seen: "never".into(),
                    latency_ms: None,
                },
            ],
            uncertainty_ms: Some(0.25),
            flags_kept: Some(true),
            copy: Some("copied".into()),
            r#move: Some("moved".into()),
            cleaned_up: Some(false),
            left_over: vec!["parallax-probe-b".into()],
            old_removed: 2,
            watcher_fault: Some(fault()),
            reply: Some(reply()),
        })),
        Evidence::Idle(IdleEvidence {
            offered: true,
            go_ahead_ms: Some(1.25),
            events: 3,
            keepalive_ms: Some(120_000.5),
            done_ms: Some(2.25),
            reply: Some(reply()),
        }),
        Evidence::Hold(HoldEvidence {
            asked_ms: 600_000.5,
            held_ms: 300_000.5,
            logged_in: true,
            end: "closed".into(),
            bye: Some(reply()),
            answer_ms: Some(1.5),
        }),
        Evidence::Command(CommandEvidence {
            command: "LOGOUT".into(),
            reply: Some(reply()),
            bye: Some(ImapReply {
                status: "BYE".into(),
                code: None,
                text: String::new(),
                cause: None,
                next_step: None,
                source: None,
            }),
        }),
    ]
}

pub(super) fn bare_evidence() -> Vec<Evidence> {
    vec![
        Evidence::Resolve(ResolveEvidence::default()),
        Evidence::Connect(ConnectEvidence {
            peer: "192.0.2.1:143".parse().unwrap(),
            local: None,
            errno: None,
            icmp: None,
            interface: None,
            syn_retransmits: None,
            mss: None,
            on_link: None,
        }),
        Evidence::Tls(Box::default()),
        Evidence::Greeting(GreetingEvidence::default()),
        Evidence::Capability(CapabilityEvidence::default()),
        Evidence::Starttls(Box::default()),
        Evidence::Id(IdEvidence::default()),
        Evidence::Authenticate(AuthenticateEvidence::default()),
        Evidence::Namespace(NamespaceEvidence::default()),
        Evidence::List(ListEvidence::default()),
        Evidence::Select(SelectEvidence::default()),
        Evidence::Fetch(FetchEvidence::default()),
        Evidence::Append(AppendEvidence::default()),
        Evidence::Sync(Box::default()),
        Evidence::Idle(IdleEvidence::default()),
        Evidence::Hold(HoldEvidence::default()),
        Evidence::Command(CommandEvidence::default()),
    ]
}

pub(super) fn findings() -> Vec<Finding> {
    vec![
        Finding {
            kind: FindingKind::PacketsDropped,
            severity: Severity::Critical,
            confidence: 0.875,
            summary: "fra-1 cannot reach 993".into(),
            scope: Scope {
                affected: vec!["fra-1".parse().unwrap()],
                unaffected: vec!["nyc-1".parse().unwrap(), "sin-1".parse().unwrap()],
                endpoints: vec!["192.0.2.1:993".into()],
                families: vec![Family::Ipv6],
            },
            stage: Some(StageName::Connect),
            location: Location {
                segment: Segment::VantageEdge,
                after: Some(v4()),
                before: Some(v6()),
            },
            because: vec!["5 SYNs, no answer".into()],
            alternatives: vec![Alternative {
                kind: FindingKind::HostDown,
                confidence: 0.125,
                told_apart_by: "a control port".into(),
            }],
            next_steps: vec!["look at the firewall".into()],
        },
        Finding {
            kind: FindingKind::Inconclusive,
            severity: Severity::Info,
            confidence: 0.0,
            summary: String::new(),
            scope: Scope::default(),
            stage: None,
            location: Location::segment(Segment::Unknown),
            because: vec![],
            alternatives: vec![],
            next_steps: vec![],
        },
    ]
}

pub(super) fn runs() -> Vec<RunDocument> {
    let document = |trace_id, vantages, findings, clients| RunDocument {
        schema: RUN_SCHEMA.into(),
        run_id: id(),
        trace_id,
        target: RunTarget {
            input: "mail.example.org".into(),
            host: "mail.example.org.".into(),
            endpoints: vec![endpoint()],
        },
        depth: Depth::Sync,
        started_at: Timestamp::from_microsecond(1_700_000_000_123_456).unwrap(),
        duration: Duration::from_micros(987_654),
        vantages,
        verdict: Verdict::Partial,
        summary: "one of two".into(),
        findings,
        clients,
        experiments: vec![],
        compared_with: None,
        changes: vec![],
        captures: vec![],
        check: None,
    };
    vec![
        document(
            Some("0af7651916cd43dd8448eb211c80319c".into()),
            observations(),
            findings(),
            vec![ClientReport {
                client: "Thunderbird".into(),
                outcome: ClientOutcome::Degraded,
                because: vec!["no MOVE".into()],
                affected: vec!["fra-1".parse().unwrap()],
            }],
        ),
        document(None, vec![], vec![], vec![]),
        RunDocument {
            experiments: vec![
                ExperimentRecord {
                    round: 1,
                    experiment: experiments().remove(0),
                    because: "packets_dropped or host_down".into(),
                    outcome: ExperimentOutcome::Done,
                    changed: Some("packets_dropped 0.6 -> 0.9".into()),
                },
                ExperimentRecord {
                    round: 2,
                    experiment: experiments().remove(1),
                    because: String::new(),
                    outcome: ExperimentOutcome::Refused,
                    changed: None,
                },
            ],
            compared_with: Some(RunRef {
                run_id: id(),
                started_at: Timestamp::from_microsecond(5).unwrap(),
            }),
            changes: vec![Change {
                agent: "fra-1".parse().unwrap(),
                what: ChangeKind::Certificate,
                address: Some(v6()),
                before: "until June".into(),
                after: "until May".into(),
            }],
            captures: captures()
                .into_iter()
                .map(|capture| CaptureRecord {
                    agent: "fra-1".parse().unwrap(),
                    facts: capture.facts,
                    bytes: 3,
                })
                .collect(),
            check: Some(run_check()),
            ..document(None, vec![], vec![], vec![])
        },
    ]
}

pub(super) fn captures() -> Vec<Capture> {
    let facts = |experiment, local: &str, packets_dropped, secrets| CaptureFacts {
        address: v6(),
        endpoint: endpoint(),
        experiment,
        local: local.parse().unwrap(),
        packets: 40,
        packets_dropped,
        secrets,
    };
    let repeated = Some(ExperimentKind::Repeat);
    [
        facts(repeated, "[2001:db8::1]:40000", 7, CapturedSecrets::Handshake),
        facts(None, "192.0.2.1:40001", 0, CapturedSecrets::Session),
    ]
    .map(|facts| Capture {
        facts,
        pcapng: vec![10, 13, 13],
    })
    .into()
}

pub(super) fn summary() -> RunSummary {
    RunSummary {
        run_id: id(),
        started_at: Timestamp::from_microsecond(-1).unwrap(),
        target: "mail.example.org:993".into(),
        verdict: Verdict::Down,
        summary: "down everywhere".into(),
        check: Some("imap-fra".into()),
    }
}

pub(super) fn agents() -> Vec<AgentSummary> {
    vec![
        AgentSummary {
            name: "fra-1".parse().unwrap(),
            labels: BTreeMap::from([("region".into(), "eu".into())]),
            connected: true,
            version: "0.1.0".into(),
            last_seen: Some(Timestamp::from_microsecond(1_700_000_000_000_001).unwrap()),
            peer: Some("192.0.2.7:40000".into()),
            rtt_ms: Some(23.457),
            clock_offset_ms: Some(-3.001),
            probes_in_flight: 2,
            sealing_key: Some("00ff10".into()),
            state: AgentState::Conflict,
            certificate_ends: Some(Timestamp::from_microsecond(1_700_000_600_000_001).unwrap()),
            rejected: Some(Rejected {
                peer: "192.0.2.8:40000".into(),
                at: Timestamp::from_microsecond(1_700_000_000_000_002).unwrap(),
                count: 14,
                why: "the name is taken".into(),
            }),
            spool: Some(spool()),
            schedule: Some(schedule()),
        },
        AgentSummary {
            name: "b".parse().unwrap(),
            labels: BTreeMap::new(),
            connected: false,
            version: String::new(),
            last_seen: None,
            peer: None,
            rtt_ms: None,
            clock_offset_ms: None,
            probes_in_flight: 0,
            sealing_key: None,
            state: AgentState::Expired,
            certificate_ends: None,
            rejected: None,
            spool: None,
            schedule: None,
        },
    ]
}

fn tls() -> TlsEvidence {
    TlsEvidence {
        server_name: Some("mail.example.org".into()),
        version: Some("TLSv1.3".into()),
        cipher_suite: Some("TLS_AES_128_GCM_SHA256".into()),
        group: Some("x25519".into()),
        alpn: Some("imap".into()),
        alert: Some("handshake_failure".into()),
        bytes_received: 11,
        bytes_sent: 12,
        first_bytes: Some("1603".into()),
        verified: true,
        trusted_by: vec!["system".into(), "ca_file".into()],
        chain: vec![certificate(true, false), certificate(false, true)],
        certificate_faults: vec![
            fault(),
            Fault::new(FaultKind::Tls(TlsFault::CertificateWeak), "weak"),
        ],
        ocsp_stapled: true,
        strict: true,
        handshake_kind: Some("full".into()),
        ocsp: Some(ocsp()),
        tlsa: Some(tlsa_facts()),
        raw_hello: Some(raw_hello()),
    }
}

fn certificate(is_ca: bool, self_signed: bool) -> CertificateFacts {
    CertificateFacts {
        subject: "CN=mail.example.org".into(),
        issuer: "CN=CA".into(),
        serial: "01ab".into(),
        not_before: Timestamp::from_second(-2_208_988_800).unwrap(),
        not_after: Timestamp::from_second(1_800_000_000).unwrap(),
        dns_names: vec!["mail.example.org".into(), "*.example.org".into()],
        ip_addresses: vec!["192.0.2.1".into()],
        key: "EC P-256".into(),
        signature_algorithm: "ecdsa-with-SHA256".into(),
        sha256: "aa".into(),
        spki_sha256: "bb".into(),
        is_ca,
        self_signed,
        srv_names: vec!["_imaps.example.org".into()],
        lifetime_left: Some(0.5),
        scts: 3,
        must_staple: true,
        ca_issuers: vec!["http://ca.example/ca.crt".into()],
    }
}

fn query(fault: Option<Fault>) -> DnsQuery {
    let answered = fault.is_none();
    DnsQuery {
        name: "mail.example.org.".into(),
        record_type: "AAAA".into(),
        resolver: "192.0.2.53:53".parse().unwrap(),
        transport: "tcp".into(),
        rcode: answered.then(|| "NOERROR".into()),
        addresses: if answered { vec![v6()] } else { vec![] },
        cname_chain: if answered {
            vec!["a.".into(), "b.".into()]
        } else {
            vec![]
        },
        ttl_s: answered.then_some(300),
        duration: Duration::from_micros(4_321),
        fault,
        records: vec!["10 1 993 mail.example.org.".into()],
        dnssec: Some("authenticated".into()),
        second_answer: vec![v6()],
    }
}

fn other() -> OtherAnswer {
    OtherAnswer {
        resolver: "192.0.2.53:53".parse().unwrap(),
        addresses: vec![v4()],
        agrees: true,
        fault: Some(fault()),
    }
}

fn srv() -> SrvRecord {
    SrvRecord {
        service: "_imaps._tcp".into(),
        priority: 1,
        weight: 2,
        port: 993,
        target: "mail.example.org.".into(),
        ttl_s: 300,
    }
}

fn tlsa() -> TlsaRecord {
    TlsaRecord {
        port: 993,
        usage: 3,
        selector: 1,
        matching: 2,
        data: "00ff".into(),
        authenticated: true,
    }
}

fn ocsp() -> OcspFacts {
    OcspFacts {
        status: "good".into(),
        this_update: Some(Timestamp::from_second(1_700_000_000).unwrap()),
        next_update: Some(Timestamp::from_second(1_700_086_400).unwrap()),
    }
}

fn tlsa_facts() -> TlsaFacts {
    TlsaFacts {
        records: 2,
        matched: Some(false),
        note: Some("none matches".into()),
    }
}

fn raw_hello() -> RawHelloFacts {
    RawHelloFacts {
        offered: vec!["TLSv1.0".into()],
        version: Some("TLSv1.1".into()),
        cipher_suite: Some("TLS_RSA_WITH_AES_128_CBC_SHA".into()),
        alert: Some("protocol_version".into()),
    }
}

fn oauth_error() -> OauthError {
    OauthError {
        status: Some("invalid_token".into()),
        schemes: Some("bearer".into()),
        scope: Some("mail".into()),
        openid_configuration: Some("https://example.org/".into()),
    }
}

fn status() -> StatusFacts {
    StatusFacts {
        messages: Some(1),
        uid_next: Some(2),
        uid_validity: Some(3),
        unseen: Some(4),
        highest_modseq: Some(5),
        size: Some(6),
    }
}

fn quota() -> QuotaFacts {
    QuotaFacts {
        root: "user".into(),
        resource: "STORAGE".into(),
        usage: 1,
        limit: 2,
    }
}

fn tcp() -> TcpInfo {
    TcpInfo {
        state: "ESTABLISHED".into(),
        rtt: Duration::from_micros(1),
        total_retransmits: 2,
        retransmits: 3,
        unacked: 4,
        segs_out: 5,
        segs_in: 6,
        bytes_acked: 7,
        bytes_received: 8,
        rcv_ooopack: 9,
        snd_mss: 10,
        pmtu: 11,
        snd_wnd: Some(12),
        soft_error: Some("ECONNREFUSED".into()),
    }
}

fn reply() -> ImapReply {
    ImapReply {
        status: "NO".into(),
        code: Some("AUTHENTICATIONFAILED".into()),
        text: "\u{202e}no\r".into(),
        cause: Some("the password is wrong".into()),
        next_step: Some("try another".into()),
        source: Some("RFC 5530".into()),
    }
}

fn fault() -> Fault {
    Fault::new(FaultKind::Tcp(TcpFault::ConnectionRefused), "connect: refused").with_raw("ECONNREFUSED")
}

fn entry(prefix: &str, delimiter: Option<&str>) -> NamespaceEntry {
    NamespaceEntry {
        prefix: prefix.into(),
        delimiter: delimiter.map(Into::into),
    }
}

fn line(speaker: Speaker, text: &str) -> TranscriptLine {
    TranscriptLine {
        at: Duration::from_micros(1_500_001),
        speaker,
        text: text.into(),
    }
}

fn capabilities() -> Vec<String> {
    vec!["IMAP4rev1".into(), "SASL-IR".into()]
}

fn v4() -> std::net::IpAddr {
    "192.0.2.1".parse().unwrap()
}

fn v6() -> std::net::IpAddr {
    "2001:db8::1".parse().unwrap()
}

fn id() -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001)
}

pub(super) fn run_check() -> RunCheck {
    RunCheck {
        name: "imap-fra".parse().unwrap(),
        check_id: id(),
        round_at: Timestamp::from_microsecond(1_700_000_000_000_003).unwrap(),
        late: true,
    }
}

pub(super) fn spool() -> SpoolState {
    SpoolState {
        made: 9,
        waiting: 4,
        bytes: 1024,
        dropped: 3,
        dropped_failures: 1,
        oldest_at: Some(Timestamp::from_microsecond(1_700_000_000_000_004).unwrap()),
    }
}

pub(super) fn schedule() -> ScheduleState {
    ScheduleState {
        sum: u64::MAX - 1,
        checks: 2,
        started: 7,
        skipped: 1,
        clock_jumps: 3,
        latest_us: 812,
    }
}
