//! Whole orders against servers on this host, and what is in the files that come of them.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use parallax_identity::seal::{SealingKey, seal};
use parallax_model::capture::{Capture, CapturedSecrets};
use parallax_model::credential::{SealContext, Secret};
use parallax_model::observation::{AttemptOutcome, Observation};
use parallax_model::spec::{CaptureChoice, Depth, FamilyChoice, LoginSpec, ProbeOptions, ProbeSpec};
use parallax_model::target::{Security, Target};
use parallax_model::vantage::Labels;
use rustls::version;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::flow::Flow;
use super::pcapng::tests::blocks;
use super::*;
use crate::circuit::Asker;
use crate::driver::tls::Trust;
use crate::order::Order;
use crate::report::{Report, Reports, outlet};
use crate::runner::Runner;

mod server;

use server::{Server, plaintext_server};

const PASSWORD: &str = "open-7-sesame";
/// `\0probe\0open-7-sesame` in base64, as PLAIN sends it.
const PASSWORD_AS_SENT: &str = "AHByb2JlAG9wZW4tNy1zZXNhbWU=";
const SECRETS_BLOCK: u32 = 10;
const PACKET_BLOCK: u32 = 6;

/// Whether packets can be recorded here. Where the lab is required and this is the host's own root, they must be.
fn can_record() -> bool {
    let Err(why) = possible(&Policy::allow_all()) else {
        return true;
    };
    let required = std::env::var("PARALLAX_LAB").is_ok_and(|value| value == "required");
    let users = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let whole = users.split_whitespace().eq(["0", "0", "4294967295"]);
    assert!(!(required && whole), "the lab is required, but {why}");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Not by `eprintln!`: the output of a test that passes is not shown.
    let _ = writeln!(std::io::stderr(), "ignored {test}: {why}");
    false
}

fn runner(policy: Policy) -> Runner {
    let who = ("fra-1".parse().unwrap(), Labels::new());
    Runner::new(who, policy, Trust::new(&[]), SealingKey::generate().unwrap(), 2)
}

fn order(target: SocketAddr, security: Security, capture: CaptureChoice) -> Order {
    Order {
        id: "order".into(),
        run_id: "run".into(),
        spec: ProbeSpec {
            target: Target::parse(&target.to_string(), Some(security)).unwrap(),
            depth: Depth::Greeting,
            family: FamilyChoice::Any,
            addresses: Vec::new(),
            timeout: Duration::from_secs(10),
            login: None,
            anchors: Vec::new(),
            options: ProbeOptions {
                capture,
                ..ProbeOptions::default()
            },
        },
        budget: Duration::from_secs(10),
        experiments: Vec::new(),
        secret: None,
        credential: None,
        client_identity: None,
        asker: Asker::Person { insists: false },
        watches: None,
        traceparent: String::new(),
        tracestate: String::new(),
    }
}

/// The same with a login.
fn with_login(order: Order, runner: &Runner) -> Order {
    let context = SealContext {
        host: "127.0.0.1",
        user: "probe",
        anchors: &order.spec.anchors,
    };
    let secret = Secret::new(PASSWORD.into());
    Order {
        secret: Some(seal(runner.sealing_key.public(), &context, &secret).unwrap()),
        spec: ProbeSpec {
            depth: Depth::Login,
            login: Some(LoginSpec {
                user: "probe".into(),
                mechanism: None,
            }),
            ..order.spec
        },
        ..order
    }
}

async fn run(runner: &Runner, order: &Order) -> (Observation, Vec<Capture>) {
    let (outlet, mut news) = outlet();
    let reports = Reports::of_order(order.id.as_str().into(), outlet);
    let listening = tokio::spawn(async move {
        let mut captures = Vec::new();
        while let Some((_, report)) = news.recv().await {
            match report {
                Report::LoginAsked(answer) => answer.send(Ok(())).unwrap(),
                Report::Capture(capture) => captures.push(*capture),
                Report::Stage { .. } | Report::Overdue(_) | Report::Signal { .. } => {}
            }
        }
        captures
    });
    let (_partner, heard) = mpsc::channel(1);
    let _permit = runner.admit(order).unwrap();
    let ran = runner.run(order, order.budget, reports, heard).await.unwrap();
    (ran.observation, listening.await.unwrap())
}

/// The lines of every block with secrets; they stand before the packets.
fn secrets(capture: &Capture) -> Vec<String> {
    let blocks = blocks(&capture.pcapng);
    let first_packet = blocks.iter().position(|(kind, _)| *kind == PACKET_BLOCK);
    let mut lines = Vec::new();
    for (at, (_, body)) in blocks
        .iter()
        .enumerate()
        .filter(|(_, (kind, _))| *kind == SECRETS_BLOCK)
    {
        assert!(
            at < first_packet.unwrap(),
            "secrets stand before what they decrypt"
        );
        assert_eq!(body[..4], *b"KSLT");
        let length = u32::from_le_bytes(body[4..8].try_into().unwrap()) as usize;
        let text = std::str::from_utf8(&body[8..8 + length]).unwrap();
        lines.extend(text.lines().map(str::to_owned));
    }
    lines
}

fn packets(capture: &Capture) -> Vec<Vec<u8>> {
    let blocks = blocks(&capture.pcapng).into_iter();
    let packets = blocks.filter(|(kind, _)| *kind == PACKET_BLOCK);
    packets
        .map(|(_, body)| {
            let length = u32::from_le_bytes(body[12..16].try_into().unwrap()) as usize;
            body[20..20 + length].to_vec()
        })
        .collect()
}

fn labels(lines: &[String]) -> BTreeSet<&str> {
    lines.iter().filter_map(|line| line.split(' ').next()).collect()
}

fn holds(capture: &Capture, text: &str) -> bool {
    let bytes = text.as_bytes();
    capture.pcapng.windows(bytes.len()).any(|window| window == bytes)
}

#[tokio::test]
async fn a_session_without_a_login_can_be_read_whole() {
    if !can_record() {
        return;
    }
    let server = Server::start(&[&version::TLS13]).await;
    let order = order(server.address, Security::Tls, CaptureChoice::Always);
    let (seen, captures) = run(&runner(Policy::allow_all()), &order).await;
    let [capture] = captures.as_slice() else {
        panic!("{captures:?}")
    };
    assert_eq!(capture.facts.secrets, CapturedSecrets::Session);
    let lines = secrets(capture);
    assert!(lines.iter().all(|line| server.secrets().contains(line)));
    for label in [
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
    ] {
        assert!(labels(&lines).contains(label), "{label}");
    }
    let packets = packets(capture);
    let flow = Flow::between(capture.facts.local, server.address);
    assert!(packets.iter().all(|packet| Flow::of(packet) == Some(flow)));
    assert!(packets.len() > 8 && packets.len() as u64 == capture.facts.packets);
    let connect = seen.attempts[0].stages[0].evidence.as_ref();
    assert!(
        format!("{connect:?}").contains(&capture.facts.local.to_string()),
        "the two can be matched"
    );
    assert_eq!(seen.note, None);
}

#[tokio::test]
async fn each_packet_on_the_loopback_is_there_once_with_its_syn_first_and_its_fin_last() {
    if !can_record() {
        return;
    }
    let server = plaintext_server().await;
    let order = order(server, Security::Plaintext, CaptureChoice::Always);
    let (_, captures) = run(&runner(Policy::allow_all()), &order).await;
    let packets = packets(&captures[0]);
    let flags = |packet: &Vec<u8>| packet[20 + 13];
    assert_eq!(flags(&packets[0]), 0x02, "SYN");
    assert_eq!(flags(&packets[1]), 0x12, "SYN and ACK");
    assert_eq!(
        packets.iter().filter(|packet| flags(packet) & 0x02 != 0).count(),
        2
    );
    assert!(packets.iter().any(|packet| flags(packet) & 0x01 != 0), "FIN");
    assert_eq!(captures[0].facts.secrets, CapturedSecrets::None);
    assert!(holds(&captures[0], "] ready"), "the greeting is there to be read");
}

#[tokio::test]
async fn no_secret_that_decrypts_a_login_is_in_its_capture() {
    if !can_record() {
        return;
    }
    let server = Server::start(&[&version::TLS13]).await;
    let runner = runner(Policy::allow_all());
    let mut order = order(server.address, Security::Tls, CaptureChoice::Always);
    order.spec.anchors = vec![server.anchor.clone()];
    let order = with_login(order, &runner);
    let (seen, captures) = run(&runner, &order).await;
    assert_eq!(seen.attempts[0].outcome(), AttemptOutcome::Ok, "{seen:#?}");
    let capture = &captures[0];
    assert_eq!(capture.facts.secrets, CapturedSecrets::Handshake);
    assert_eq!(
        labels(&secrets(capture)),
        BTreeSet::from([
            "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
            "SERVER_HANDSHAKE_TRAFFIC_SECRET"
        ])
    );
    let mut withheld = 0;
    for line in server
        .secrets()
        .iter()
        .filter(|line| !line.contains("_HANDSHAKE_"))
    {
        let secret = line.rsplit(' ').next().unwrap();
        assert!(!holds(capture, secret), "{line}");
        let raw = hex::decode(secret).unwrap();
        assert!(
            !capture.pcapng.windows(raw.len()).any(|window| window == raw),
            "{line}"
        );
        withheld += 1;
    }
    assert!(withheld >= 3, "the server knows what was withheld");
    assert!(!holds(capture, PASSWORD) && !holds(capture, PASSWORD_AS_SENT));
}

#[tokio::test]
async fn of_a_login_over_tls_1_2_nothing_can_be_decrypted() {
    if !can_record() {
        return;
    }
    let server = Server::start(&[&version::TLS12]).await;
    let runner = runner(Policy::allow_all());
    let mut order = order(server.address, Security::Tls, CaptureChoice::Always);
    order.spec.anchors = vec![server.anchor.clone()];
    let order = with_login(order, &runner);
    let (seen, captures) = run(&runner, &order).await;
    assert_eq!(seen.attempts[0].outcome(), AttemptOutcome::Ok, "{seen:#?}");
    assert_eq!(captures[0].facts.secrets, CapturedSecrets::None);
    assert_eq!(secrets(&captures[0]), [] as [String; 0]);
    let secret = server.secrets()[0].rsplit(' ').next().unwrap().to_owned();
    assert!(!holds(&captures[0], &secret) && !holds(&captures[0], PASSWORD_AS_SENT));
    // The same without a login is no secret.
    let open = self::order(server.address, Security::Tls, CaptureChoice::Always);
    let (_, captures) = run(&runner, &open).await;
    assert_eq!(labels(&secrets(&captures[0])), BTreeSet::from(["CLIENT_RANDOM"]));
}

#[tokio::test]
async fn a_handshake_that_fails_before_a_login_keeps_what_decrypts_it() {
    if !can_record() {
        return;
    }
    let server = Server::start(&[&version::TLS13]).await;
    let runner = runner(Policy::allow_all());
    let order = with_login(order(server.address, Security::Tls, CaptureChoice::Auto), &runner);
    let (seen, captures) = run(&runner, &order).await;
    assert_ne!(
        seen.attempts[0].outcome(),
        AttemptOutcome::Ok,
        "nobody vouches for it"
    );
    let keys = secrets(&captures[0]);
    assert!(
        labels(&keys).contains("SERVER_HANDSHAKE_TRAFFIC_SECRET"),
        "{keys:?}"
    );
    assert!(!holds(&captures[0], PASSWORD) && !holds(&captures[0], PASSWORD_AS_SENT));
}

#[tokio::test]
async fn in_clear_no_login_is_sent_that_could_be_recorded() {
    if !can_record() {
        return;
    }
    let server = plaintext_server().await;
    let runner = runner(Policy::allow_all());
    let order = with_login(order(server, Security::Plaintext, CaptureChoice::Always), &runner);
    let (seen, captures) = run(&runner, &order).await;
    assert_ne!(seen.attempts[0].outcome(), AttemptOutcome::Ok);
    assert!(!holds(&captures[0], PASSWORD) && !holds(&captures[0], PASSWORD_AS_SENT));
    assert!(!holds(&captures[0], "AUTHENTICATE PLAIN") && !holds(&captures[0], " LOGIN "));
}

#[tokio::test]
async fn somebody_elses_connection_to_the_same_server_is_in_no_capture() {
    if !can_record() {
        return;
    }
    let server = plaintext_server().await;
    let order = order(server, Security::Plaintext, CaptureChoice::Always);
    let stranger = tokio::spawn(async move {
        loop {
            let Ok(mut stream) = TcpStream::connect(server).await else {
                return;
            };
            let _ = stream.write_all(b"x LOGIN anna walnut-7-river\r\n").await;
            let _ = stream.read(&mut [0; 512]).await;
        }
    });
    let (_, captures) = run(&runner(Policy::allow_all()), &order).await;
    stranger.abort();
    assert!(captures[0].facts.packets > 0);
    assert!(!holds(&captures[0], "walnut-7-river"));
}

#[tokio::test]
async fn auto_keeps_what_was_not_ok() {
    if !can_record() {
        return;
    }
    let server = plaintext_server().await;
    let well = order(server, Security::Plaintext, CaptureChoice::Auto);
    let (seen, captures) = run(&runner(Policy::allow_all()), &well).await;
    assert_eq!(
        (seen.attempts[0].outcome(), captures.len()),
        (AttemptOutcome::Ok, 0)
    );
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let refused = order(closed, Security::Plaintext, CaptureChoice::Auto);
    let (_, captures) = run(&runner(Policy::allow_all()), &refused).await;
    let packets = packets(&captures[0]);
    assert_eq!(packets.len(), 2, "a SYN and its RST");
    assert_eq!(packets[1][20 + 13] & 0x04, 0x04);
}

#[tokio::test]
async fn an_agent_whose_policy_does_not_allow_it_says_so_where_it_is_asked_for_and_goes_on() {
    let server = plaintext_server().await;
    for (choice, expected) in [
        (
            CaptureChoice::Always,
            Some("no capture: this agent's policy has capture = false"),
        ),
        (CaptureChoice::Auto, None),
        (CaptureChoice::Never, None),
    ] {
        let policy = Policy {
            capture: false,
            ..Policy::allow_all()
        };
        let (seen, captures) = run(&runner(policy), &order(server, Security::Plaintext, choice)).await;
        assert_eq!(seen.attempts[0].outcome(), AttemptOutcome::Ok);
        assert_eq!((seen.note.as_deref(), captures.len()), (expected, 0), "{choice}");
    }
}
