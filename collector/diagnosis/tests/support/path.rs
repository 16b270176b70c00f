//! Paths, sweeps and the control target in shorthand: `path 10.9.0.10:993` = "r core fw rst answer_ttl=61".

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use parallax_model::experiment::ExperimentKind;
use parallax_model::fault::{Fault, FaultKind};
use parallax_model::path::{
    ControlFacts, Flow, Hop, HopReply, NetworkFacts, Path, PathEnd, PathProtocol, Payload, Sweep,
};

use super::line::Line;

/// What a vantage point saw of the network. `number` is its place among the vantage points, from 1.
pub fn network(number: u8, seen: &BTreeMap<String, toml::Value>) -> NetworkFacts {
    let text = |key: &str| seen.get(key).and_then(toml::Value::as_str);
    let mut facts = NetworkFacts {
        source_addresses: text("sources")
            .unwrap_or_default()
            .split_whitespace()
            .map(|address| address.parse().expect(address))
            .collect(),
        control: text("control").map(control),
        ..NetworkFacts::default()
    };
    for (key, value) in seen {
        let Some((kind, place)) = key.split_once(' ') else {
            continue;
        };
        let place = place.split('#').next().expect("a place");
        let text = value.as_str().expect(key);
        match kind {
            "sweep" => facts.sweeps.push(sweep(place.parse().expect(place), text)),
            "path" | "path_control" | "path_udp" => {
                facts
                    .paths
                    .push(path(number, kind, place.parse().expect(place), text));
            }
            _ => {}
        }
    }
    facts
}

/// Whether a key of a vantage point is one of these.
pub fn is_one(key: &str) -> bool {
    let kind = key.split(' ').next();
    matches!(
        kind,
        Some("path" | "path_control" | "path_udp" | "sweep" | "control" | "sources")
    )
}

/// `ok` or a fault of TCP.
fn control(text: &str) -> ControlFacts {
    ControlFacts {
        target: "10.0.71.2:7143".to_owned(),
        rtt: (text == "ok").then_some(Duration::from_millis(9)),
        fault: (text != "ok").then(|| Fault::new(FaultKind::from_names("tcp", text), text)),
    }
}

/// `sa/sa */* rst/rst`: each flow with its answer in both passes.
fn sweep(place: SocketAddr, text: &str) -> Sweep {
    let flows = text
        .split_whitespace()
        .zip(40_000..)
        .map(|(replies, source_port)| Flow {
            source_port,
            replies: replies.split('/').map(answer).collect(),
        });
    Sweep {
        address: place.ip(),
        port: place.port(),
        source: None,
        flows: flows.collect(),
    }
}

fn answer(word: &str) -> HopReply {
    match word {
        "sa" => HopReply::SynAck,
        "rst" => HopReply::Rst,
        "answered" => HopReply::Answered,
        "*" => HopReply::None,
        other => panic!("{other}"),
    }
}

fn path(number: u8, kind: &str, place: SocketAddr, text: &str) -> Path {
    let line = Line::read(text);
    let hops: Vec<Hop> = line
        .words
        .iter()
        .zip(1..)
        .map(|(word, ttl)| hop(number, place.ip(), ttl, word))
        .collect();
    let reached = hops.iter().any(|hop| match &hop.reply {
        HopReply::SynAck | HopReply::Rst | HopReply::Answered => true,
        HopReply::Unreachable(_) => hop.addresses.contains(&place.ip()),
        _ => false,
    });
    let refused = hops
        .iter()
        .any(|hop| matches!(hop.reply, HopReply::Unreachable(_)));
    Path {
        address: place.ip(),
        port: place.port(),
        protocol: if kind == "path_udp" {
            PathProtocol::Udp
        } else {
            PathProtocol::Tcp
        },
        reached,
        hops,
        source: None,
        experiment: ExperimentKind::known(kind),
        payload: match line.options.get("as") {
            Some(payload) => Payload::known(payload).expect(payload),
            None if kind == "path_udp" => Payload::Udp,
            None => Payload::Syn,
        },
        bytes: line
            .number("bytes")
            .map(|bytes| u16::try_from(bytes).expect("bytes")),
        answer_ttl: line
            .number("answer_ttl")
            .map(|ttl| u8::try_from(ttl).expect("a ttl")),
        ended: match (reached, refused) {
            (true, _) => PathEnd::Reached,
            (false, true) => PathEnd::Unreachable,
            (false, false) => PathEnd::Silent,
        },
        start: Duration::ZERO,
        duration: Duration::from_millis(200),
    }
}

/// `*`, `sa`, `rst`, `answered`; a router by name or address; `fw!admin_prohibited` for one that refuses.
fn hop(number: u8, target: IpAddr, ttl: u8, word: &str) -> Hop {
    let (who, code) = word
        .split_once('!')
        .map_or((word, None), |(who, code)| (who, Some(code)));
    let reply = match (who, code) {
        (_, Some(code)) => HopReply::Unreachable(code.to_owned()),
        ("*" | "sa" | "rst" | "answered", None) => answer(who),
        _ => HopReply::TimeExceeded,
    };
    let address = match (&reply, who) {
        (HopReply::None, _) => None,
        (_, "sa" | "rst" | "answered" | "host") => Some(target),
        (_, who) => Some(router(number, target, who)),
    };
    Hop {
        ttl,
        addresses: address.into_iter().collect(),
        rtt: address.map(|_| Duration::from_millis(u64::from(ttl) * 5)),
        reply,
        reply_ttl: None,
        asked: None,
        mss: None,
        mtu: None,
    }
}

/// The routers of the lab: `r` is the vantage point's own, `core` has a face for each, `fw` stands before the host.
fn router(number: u8, target: IpAddr, who: &str) -> IpAddr {
    let wide = u16::from(number);
    match (who, target.is_ipv4()) {
        ("r", true) => IpAddr::from([10, number, 0, 1]),
        ("r", false) => IpAddr::from([0xfd00, wide, 0, 0, 0, 0, 0, 1]),
        ("core", true) => IpAddr::from([10, 0, number, 1]),
        ("core", false) => IpAddr::from([0xfd00, 0, wide, 0, 0, 0, 0, 1]),
        ("fw", true) => IpAddr::from([10, 0, 9, 2]),
        ("fw", false) => IpAddr::from([0xfd00, 0, 9, 0, 0, 0, 0, 2]),
        ("fw2", true) => IpAddr::from([10, 0, 8, 2]),
        ("fw2", false) => IpAddr::from([0xfd00, 0, 8, 0, 0, 0, 0, 2]),
        (address, _) => address.parse().expect(address),
    }
}
