//! One attempt from one line: `ok`, `silent`, `reset 21ms`, `icmp 3/13 from 10.1.0.1`, `tls hostname_mismatch`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::chain::{ChainSpec, chain};
use super::line::Line;
use parallax_model::evidence::{
    AppendEvidence, AuthenticateEvidence, CapabilityEvidence, ConnectEvidence, Evidence, GreetingEvidence,
    HoldEvidence, IcmpError, ListEvidence, Nudge, RawHelloFacts, SelectEvidence, StarttlsEvidence, SyncEvent,
    SyncEvidence, TcpInfo, TlsEvidence,
};
use parallax_model::experiment::ExperimentKind;
use parallax_model::fault::{Fault, FaultKind};
use parallax_model::observation::{Attempt, Purpose};
use parallax_model::spec::Depth;
use parallax_model::stage::{Outcome, Stage, StageName};
use parallax_model::target::{Endpoint, Security};

/// What a server offers behind TLS, and after the login, when a line does not say.
const BEHIND_TLS: &str = "IMAP4rev1,SASL-IR,LOGIN-REFERRALS,ID,ENABLE,IDLE,LITERAL+,AUTH=PLAIN";
const AFTER_LOGIN: &str = "IMAP4rev1,SASL-IR,ID,ENABLE,IDLE,LITERAL+,NAMESPACE,UIDPLUS,SPECIAL-USE,MOVE,CONDSTORE,\
                           QRESYNC,ESEARCH,UNSELECT,CHILDREN,LIST-EXTENDED,LIST-STATUS,SORT,QUOTA,METADATA,\
                           COMPRESS=DEFLATE,STATUS=SIZE,THREAD=REFERENCES";

/// What holds for every attempt of one vantage point.
pub struct Setting<'a> {
    pub depth: Depth,
    pub login: bool,
    pub chains: &'a BTreeMap<String, ChainSpec>,
    pub local: [IpAddr; 2],
}

/// Builds one attempt.
pub fn build(
    setting: &Setting,
    purpose: Purpose,
    experiment: Option<ExperimentKind>,
    socket: SocketAddr,
    endpoint: Endpoint,
    text: &str,
) -> Attempt {
    let line = Line::read(text);
    let local = SocketAddr::new(setting.local[usize::from(socket.is_ipv6())], 40_000);
    let depth = match experiment {
        Some(ExperimentKind::ControlPort) => Depth::Connect,
        Some(ExperimentKind::RawHello | ExperimentKind::StarttlsInjection) => Depth::Greeting,
        _ => setting.depth,
    };
    let login = setting.login && purpose == Purpose::Requested;
    let held = line.options.contains_key("held");
    let plan = |depth, endpoint, login| {
        let mut plan = plan(depth, endpoint, login);
        plan.retain(|&stage| stage != StageName::Hold);
        if held {
            let before_logout = plan.iter().position(|&stage| stage == StageName::Logout);
            plan.insert(before_logout.unwrap_or(plan.len()), StageName::Hold);
        }
        plan
    };
    let stages = match line.words[0] {
        "none" => Vec::new(),
        "ok" => passed(
            setting,
            &line,
            socket,
            local,
            endpoint,
            plan(depth, endpoint, login),
            None,
        ),
        "silent" | "reset" | "icmp" | "local" | "own_icmp" => {
            let mut stages = vec![connect_failure(&line, socket, local)];
            stages.extend(
                plan(depth, endpoint, login)
                    .into_iter()
                    .skip(1)
                    .map(|name| Stage::not_reached(name, Duration::ZERO)),
            );
            stages
        }
        stage => {
            let name = StageName::known(stage).expect(stage);
            passed(
                setting,
                &line,
                socket,
                local,
                endpoint,
                plan(depth, endpoint, login),
                Some(name),
            )
        }
    };
    Attempt {
        by: None,
        address: socket.ip(),
        endpoint,
        purpose,
        experiment,
        stages,
        transcript: Vec::new(),
    }
}

fn plan(depth: Depth, endpoint: Endpoint, login: bool) -> Vec<StageName> {
    StageName::ALL
        .iter()
        .copied()
        .filter(|&stage| stage != StageName::Resolve && depth.includes(stage))
        .filter(|&stage| match endpoint.security {
            Security::Tls => stage != StageName::Starttls,
            Security::Starttls => stage != StageName::Tls,
            Security::Plaintext => stage != StageName::Starttls && stage != StageName::Tls,
        })
        .filter(|&stage| login || !(StageName::Authenticate..StageName::Logout).contains(&stage))
        .collect()
}

fn connect_failure(line: &Line, socket: SocketAddr, local: SocketAddr) -> Stage {
    let (kind, errno, fallback) = match line.words[0] {
        "silent" => ("timed_out", "ETIMEDOUT", "5s"),
        "reset" => (
            "connection_refused",
            "ECONNREFUSED",
            line.words.get(1).copied().unwrap_or("21ms"),
        ),
        "local" => match line.words[1] {
            "ENETUNREACH" => ("network_unreachable", "ENETUNREACH", "0.05ms"),
            "EHOSTUNREACH" => ("host_unreachable", "EHOSTUNREACH", "0.05ms"),
            "EACCES" => ("permission_denied", "EACCES", "0.05ms"),
            other => ("local_address", other, "0.05ms"),
        },
        _ => icmp_errno(line.words[1], socket.is_ipv6()),
    };
    let from = match line.words[0] {
        "own_icmp" => Some(local.ip()),
        "icmp" => Some(line.words[3].parse().expect("an address")),
        _ => None,
    };
    let icmp = from.map(|from| {
        let (kind, code) = line.words[1].split_once('/').expect("type/code");
        IcmpError {
            kind: kind.parse().expect("a type"),
            code: code.parse().expect("a code"),
            name: format!("icmp_{kind}_{code}"),
            from,
        }
    });
    let fault = Fault::new(
        FaultKind::from_names("tcp", kind),
        format!("connect to {socket}: {errno}"),
    );
    let mut stage = Stage::new(
        StageName::Connect,
        Outcome::Failed(fault),
        Duration::ZERO,
        line.duration(fallback),
    );
    stage.tcp = (line.options.get("tcp") != Some(&"none")).then(|| TcpInfo {
        segs_out: match line.words[0] {
            "local" => 0,
            "silent" => 6,
            _ => 1,
        },
        segs_in: u32::from(line.words[0] == "reset"),
        ..TcpInfo::default()
    });
    stage.evidence = Some(Evidence::Connect(ConnectEvidence {
        interface: None,
        syn_retransmits: None,
        mss: None,
        on_link: on_link(line),
        peer: socket,
        local: Some(local),
        errno: Some(errno.to_owned()),
        icmp,
    }));
    stage
}

fn on_link(line: &Line) -> Option<bool> {
    line.options.get("on_link").map(|&word| word == "yes")
}

fn icmp_errno(code: &str, v6: bool) -> (&'static str, &'static str, &'static str) {
    match (v6, code) {
        (false, "3/3") | (true, "1/4") => ("connection_refused", "ECONNREFUSED", "20ms"),
        (false, "3/0" | "3/9") | (true, "1/0" | "3/0") => ("network_unreachable", "ENETUNREACH", "20ms"),
        (true, "1/1" | "1/5" | "1/6") => ("permission_denied", "EACCES", "20ms"),
        (false, "3/2") => ("protocol_unreachable", "ENOPROTOOPT", "20ms"),
        _ => ("host_unreachable", "EHOSTUNREACH", "20ms"),
    }
}

fn passed(
    setting: &Setting,
    line: &Line,
    socket: SocketAddr,
    local: SocketAddr,
    endpoint: Endpoint,
    plan: Vec<StageName>,
    failing: Option<StageName>,
) -> Vec<Stage> {
    let mut stages = Vec::new();
    let mut reached = true;
    for name in plan {
        let here = failing == Some(name);
        let outcome = if !reached {
            Outcome::NotReached
        } else if here {
            faulty(line, name)
        } else if name == StageName::Authenticate && endpoint.security == Security::Plaintext {
            Outcome::Skipped("a credential is never sent in clear".to_owned())
        } else {
            Outcome::Ok
        };
        let goes_on = matches!(outcome, Outcome::Ok | Outcome::Degraded(_) | Outcome::Skipped(_));
        let took = if here {
            line.duration("25ms")
        } else if name == StageName::Connect && line.options.contains_key("connect") {
            Line::read(&format!("connect in={}", line.options["connect"])).duration("21ms")
        } else if name > StageName::Connect && line.options.contains_key("slow") {
            Line::read(&format!("slow in={}", line.options["slow"])).duration("2s")
        } else {
            Duration::from_millis(21)
        };
        let mut stage = Stage::new(name, outcome, Duration::ZERO, took);
        if reached {
            stage.evidence = evidence(setting, line, name, here, (socket, local), endpoint);
            stage.tcp = Some(counters(line, here));
            resent(line, &mut stage);
            swollen(line, &mut stage);
        }
        reached = reached && goes_on;
        stages.push(stage);
    }
    stages
}

/// `late=1`: SYNs sent again; `again=3`: segments sent again after that.
fn resent(line: &Line, stage: &mut Stage) {
    let number = |key: &str| u32::try_from(line.number(key).unwrap_or(0)).expect(key);
    let (late, again) = (number("late"), number("again"));
    if let Some(Evidence::Connect(facts)) = &mut stage.evidence {
        facts.syn_retransmits = Some(late);
    }
    if let Some(tcp) = stage.tcp.as_mut().filter(|tcp| tcp.total_retransmits == 0) {
        let later = if stage.name > StageName::Connect { again } else { 0 };
        tcp.total_retransmits = late + later;
    }
}

/// `rtt=400`: how long round trips are once the connection is made, in milliseconds.
fn swollen(line: &Line, stage: &mut Stage) {
    if let (Some(millis), Some(tcp)) = (line.number("rtt"), stage.tcp.as_mut())
        && stage.name > StageName::Connect
    {
        tcp.rtt = Duration::from_millis(millis);
    }
}

fn faulty(line: &Line, name: StageName) -> Outcome {
    let kind = line.words[1];
    if kind == "skipped" {
        return Outcome::Skipped(
            line.options
                .get("text")
                .copied()
                .unwrap_or("held back")
                .to_owned(),
        );
    }
    let layer = line.options.get("layer").copied().unwrap_or(match name {
        StageName::Connect => "tcp",
        StageName::Tls => "tls",
        StageName::Authenticate => "auth",
        StageName::List
        | StageName::Select
        | StageName::Fetch
        | StageName::Append
        | StageName::Sync
        | StageName::Idle => "mailbox",
        _ => "imap",
    });
    let known = FaultKind::from_names(layer, kind);
    assert_eq!(known.as_str(), kind, "not a fault of {layer}");
    let fault = Fault::new(known, format!("{name}: {kind}"));
    if line.options.contains_key("degraded") {
        Outcome::Degraded(fault)
    } else {
        Outcome::Failed(fault)
    }
}

fn counters(line: &Line, here: bool) -> TcpInfo {
    let number = |key: &str, otherwise: u64| {
        if here {
            line.number(key).unwrap_or(otherwise)
        } else {
            otherwise
        }
    };
    let small = |key: &str| u32::try_from(number(key, 0)).expect(key);
    TcpInfo {
        state: "ESTABLISHED".to_owned(),
        rtt: Duration::from_millis(20),
        total_retransmits: small("rtx"),
        unacked: small("unacked"),
        rcv_ooopack: small("ooo"),
        segs_out: 10,
        segs_in: 10,
        bytes_acked: number("acked", 518),
        bytes_received: number("received", 0),
        snd_wnd: line
            .number("wnd")
            .filter(|_| here)
            .map(|wnd| u32::try_from(wnd).expect("wnd")),
        soft_error: line.text("soft").filter(|_| here),
        ..TcpInfo::default()
    }
}

fn evidence(
    setting: &Setting,
    line: &Line,
    name: StageName,
    here: bool,
    (socket, local): (SocketAddr, SocketAddr),
    endpoint: Endpoint,
) -> Option<Evidence> {
    match name {
        StageName::Connect => Some(Evidence::Connect(ConnectEvidence {
            interface: None,
            syn_retransmits: None,
            mss: None,
            on_link: on_link(line),
            peer: socket,
            local: Some(local),
            errno: None,
            icmp: None,
        })),
        StageName::Tls => Some(Evidence::Tls(Box::new(handshake(setting, line, here)))),
        StageName::Starttls => Some(Evidence::Starttls(Box::new(StarttlsEvidence {
            added: Vec::new(),
            removed: Vec::new(),
            injection: line.text("injection"),
            reply: if here { line.reply("NO") } else { None },
            tls: (!here || line.options.get("layer") == Some(&"tls")).then(|| handshake(setting, line, here)),
            capabilities: line.words_of("tls_caps", BEHIND_TLS),
        }))),
        StageName::Greeting => Some(Evidence::Greeting(GreetingEvidence {
            reply: if here { line.reply("BYE") } else { line.banner() },
            service: line.options.get("service").map(|service| (*service).to_owned()),
            nudge: line.options.get("nudge").and_then(|word| Nudge::known(word)),
            ..GreetingEvidence::default()
        })),
        StageName::Capability => Some(Evidence::Capability(CapabilityEvidence {
            added: Vec::new(),
            removed: line.words_of("removed", ""),
            cleartext_login: line.options.get("cleartext").map(|said| *said == "yes"),
            capabilities: line.words_of(
                "caps",
                if endpoint.security == Security::Tls {
                    BEHIND_TLS
                } else {
                    "IMAP4rev1,STARTTLS,LOGINDISABLED"
                },
            ),
            reply: None,
        })),
        StageName::Authenticate if !(here && line.words.get(1) == Some(&"skipped")) => {
            Some(Evidence::Authenticate(AuthenticateEvidence {
                command: String::new(),
                added: Vec::new(),
                removed: Vec::new(),
                server_verified: None,
                channel_binding: None,
                oauth_error: None,
                penalty_suspected: line.options.contains_key("penalty"),
                enabled: Vec::new(),
                mechanism: "PLAIN".to_owned(),
                initial_response: true,
                reply: if here { line.reply("NO") } else { None },
                capabilities: line.words_of("login_caps", AFTER_LOGIN),
            }))
        }
        StageName::Select => Some(Evidence::Select(SelectEvidence {
            command: "EXAMINE".to_owned(),
            uid_validity: line.number("validity"),
            mailbox_id: line.text("mailbox"),
            quota: line.quota().into_iter().collect(),
            reply: if here { line.reply("NO") } else { None },
            ..SelectEvidence::default()
        })),
        StageName::List => Some(Evidence::List(ListEvidence {
            mailboxes: 5,
            roles: line
                .words_of("roles", "sent,drafts,trash,junk")
                .into_iter()
                .map(|role| (role, 1))
                .collect(),
            missing_roles: line.words_of("missing", ""),
            doubled_roles: line.words_of("doubled", ""),
            ..ListEvidence::default()
        })),
        StageName::Append => Some(Evidence::Append(AppendEvidence {
            bytes: 1024,
            difference: line.text("difference"),
            intact: line.options.contains_key("intact").then_some(true),
            reply: if here { line.reply("NO") } else { None },
            ..AppendEvidence::default()
        })),
        StageName::Sync => Some(Evidence::Sync(Box::new(SyncEvidence {
            watcher: line.text("watcher"),
            events: line
                .words_of("events", "exists:idle:120,flags:idle:80,expunge:idle:90")
                .iter()
                .map(|event| sync_event(event))
                .collect(),
            watcher_fault: line
                .text("deaf")
                .map(|kind| Fault::new(FaultKind::from_names("tcp", &kind), kind)),
            ..SyncEvidence::default()
        }))),
        StageName::Hold => Some(Evidence::Hold(HoldEvidence {
            asked_ms: line.number("held").unwrap_or(0) as f64 * 1e3,
            held_ms: line.number("held").unwrap_or(0) as f64 * 1e3,
            logged_in: setting.login,
            end: line.text("end").unwrap_or_else(|| "alive".to_owned()),
            bye: if line.text("end").as_deref() == Some("bye") {
                line.reply("BYE")
            } else {
                None
            },
            answer_ms: None,
        })),
        _ => None,
    }
}

/// `expunge:noop:12000`, the last part in milliseconds; `flags:never`.
fn sync_event(text: &str) -> SyncEvent {
    let parts: Vec<&str> = text.split(':').collect();
    SyncEvent {
        event: parts[0].to_owned(),
        seen: parts[1].to_owned(),
        latency_ms: parts.get(2).map(|late| late.parse().expect(late)),
    }
}

fn raw_hello(line: &Line) -> Option<RawHelloFacts> {
    let asked = line.options.contains_key("raw") || line.options.contains_key("raw_alert");
    asked.then(|| RawHelloFacts {
        offered: vec!["TLSv1.0".to_owned(), "TLSv1.2".to_owned()],
        version: line.text("raw"),
        cipher_suite: line.text("suite"),
        alert: line.text("raw_alert"),
    })
}

fn handshake(setting: &Setting, line: &Line, here: bool) -> TlsEvidence {
    let failed = here && !line.options.contains_key("degraded");
    let kind = line.words.get(1).copied().unwrap_or_default();
    let presented = !failed
        || kind.starts_with("certificate")
        || matches!(kind, "hostname_mismatch" | "staple_missing" | "tlsa_mismatch");
    let chain = presented.then(|| {
        chain(
            setting.chains,
            line.options.get("chain").copied().unwrap_or("good"),
        )
    });
    let also = line.options.get("also").copied().unwrap_or_default();
    let faults = if here { also } else { "" };
    TlsEvidence {
        raw_hello: raw_hello(line),
        version: (!failed).then(|| line.text("version").unwrap_or_else(|| "TLSv1.3".to_owned())),
        server_name: Some("imap.example.org".to_owned()),
        verified: !failed,
        chain: chain.unwrap_or_default(),
        bytes_received: line.number("received").unwrap_or(0),
        alert: line.text("alert"),
        first_bytes: line.options.get("bytes").map(|text| {
            text.replace('_', " ")
                .bytes()
                .map(|byte| format!("{byte:02x}"))
                .collect()
        }),
        certificate_faults: faults
            .split(',')
            .filter(|kind| !kind.is_empty())
            .map(|kind| Fault::new(FaultKind::from_names("tls", kind), kind.to_owned()))
            .collect(),
        ..TlsEvidence::default()
    }
}
