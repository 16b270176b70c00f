//! Names, connections, and the kernel's account of them.

use parallax_model::evidence::{
    ConnectEvidence, DnsQuery, OtherAnswer, ResolveEvidence, SrvRecord, TcpInfo, TlsaRecord,
};

use super::Told;
use crate::render::words;

/// Hexadecimal digits that tell one key from another.
const DIGITS: usize = 16;

pub(super) fn resolved(facts: &ResolveEvidence, told: &mut Told) {
    let addresses: Vec<_> = facts.addresses.iter().map(ToString::to_string).collect();
    if !addresses.is_empty() {
        told.beside(format!(
            "{} ({})",
            addresses.join(", "),
            words::quote(&facts.source)
        ));
    }
    facts.queries.iter().for_each(|query| told.below(question(query)));
    if let Some(other) = &facts.other {
        told.below(second_opinion(other));
    }
    facts
        .services
        .iter()
        .for_each(|record| told.below(service(record)));
    facts
        .tlsa
        .iter()
        .for_each(|record| told.below(association(record)));
}

pub(super) fn connected(facts: &ConnectEvidence, told: &mut Told) {
    let mut said = facts
        .local
        .map(|local| format!("{local} to {}", facts.peer))
        .unwrap_or_default();
    if let Some(interface) = &facts.interface {
        said.push_str(&format!(" by {}", words::quote(interface)));
    }
    if let Some(errno) = &facts.errno {
        said.push_str(&format!(" {}", words::quote(errno)));
    }
    if let Some(icmp) = &facts.icmp {
        said.push_str(&format!(
            ", ICMP {} ({}/{}) from {}",
            words::quote(&icmp.name),
            icmp.kind,
            icmp.code,
            icmp.from
        ));
    }
    told.beside(said.trim_start_matches([',', ' ']));
    if let Some(again) = facts.syn_retransmits.filter(|&again| again > 0) {
        told.beside(format!("SYN sent again {}", words::times(again)));
    }
    if let Some(mss) = facts.mss {
        told.beside(format!("mss {mss} announced"));
    }
    if facts.on_link == Some(true) {
        told.beside("on the same link");
    }
}

pub(super) fn kernel(tcp: &TcpInfo) -> String {
    let told = format!(
        "kernel: {}, rtt {}, {} retransmits, {} segments out, {} in, {} bytes acknowledged, {} received, mss {}, pmtu {}",
        words::quote(&tcp.state),
        words::time(tcp.rtt),
        tcp.total_retransmits,
        tcp.segs_out,
        tcp.segs_in,
        tcp.bytes_acked,
        tcp.bytes_received,
        tcp.snd_mss,
        tcp.pmtu
    );
    match &tcp.soft_error {
        Some(error) => format!("{told}, {} meanwhile", words::quote(error)),
        None => told,
    }
}

fn question(query: &DnsQuery) -> String {
    let mut text = format!(
        "{} {} from {} over {}: {} in {}",
        words::quote(&query.record_type),
        words::quote(&query.name),
        query.resolver,
        words::quote(&query.transport),
        query
            .rcode
            .as_deref()
            .map_or_else(|| "no answer".to_owned(), words::quote),
        words::time(query.duration)
    );
    if !query.cname_chain.is_empty() {
        let chain: Vec<_> = query.cname_chain.iter().map(|name| words::quote(name)).collect();
        text.push_str(&format!(", by way of {}", chain.join(" > ")));
    }
    if let Some(ttl) = query.ttl_s {
        text.push_str(&format!(", ttl {ttl} s"));
    }
    if let Some(dnssec) = &query.dnssec {
        text.push_str(&format!(", DNSSEC {}", words::quote(dnssec).replace('_', " ")));
    }
    if !query.second_answer.is_empty() {
        let second: Vec<_> = query.second_answer.iter().map(ToString::to_string).collect();
        text.push_str(&format!(", and then another answer: {}", second.join(", ")));
    }
    if let Some(fault) = &query.fault {
        text.push_str(&format!("; {}", words::quote(&fault.message)));
    }
    text
}

fn second_opinion(other: &OtherAnswer) -> String {
    let addresses: Vec<_> = other.addresses.iter().map(ToString::to_string).collect();
    let said = match (&other.fault, addresses.is_empty()) {
        (Some(fault), _) => words::quote(&fault.message),
        (None, true) => "no address".to_owned(),
        (None, false) => addresses.join(", "),
    };
    let judged = if other.agrees { "the same" } else { "not the same" };
    format!("asked too, {}: {said} ({judged})", other.resolver)
}

fn service(record: &SrvRecord) -> String {
    let service = words::quote(&record.service);
    if record.target == "." {
        return format!("SRV {service}: the domain says that this is not offered");
    }
    format!(
        "SRV {service}: {}:{} (priority {}, weight {}, ttl {} s)",
        words::quote(&record.target),
        record.port,
        record.priority,
        record.weight,
        record.ttl_s
    )
}

/// RFC 7218 has the names.
fn association(record: &TlsaRecord) -> String {
    let usage = match record.usage {
        0 => "PKIX-TA".to_owned(),
        1 => "PKIX-EE".to_owned(),
        2 => "DANE-TA".to_owned(),
        3 => "DANE-EE".to_owned(),
        other => format!("usage {other}"),
    };
    let of = match record.selector {
        0 => "certificate".to_owned(),
        1 => "public key".to_owned(),
        other => format!("selector {other}"),
    };
    let by = match record.matching {
        0 => "in full".to_owned(),
        1 => "SHA-256".to_owned(),
        2 => "SHA-512".to_owned(),
        other => format!("matching {other}"),
    };
    let vouched = if record.authenticated {
        "authenticated"
    } else {
        "not authenticated: says nothing"
    };
    format!(
        "TLSA port {}: {usage}, {of}, {by} {} ({vouched})",
        record.port,
        words::beginning(&record.data, DIGITS)
    )
}
