//! Evidence from below IMAP and TLS: resolving and connecting.

use std::time::Duration;

use parallax_model::evidence::{ConnectEvidence, DnsQuery, IcmpError, ResolveEvidence, TcpInfo};

use super::error::WireError;
use super::read::{every, narrow, optional, parse, parse_all};
use super::write::{all, by_reference, micros, texts};
use crate::v1;

impl From<ResolveEvidence> for v1::ResolveEvidence {
    fn from(facts: ResolveEvidence) -> Self {
        Self {
            source: facts.source,
            addresses: texts(facts.addresses),
            queries: all(facts.queries),
        }
    }
}

impl TryFrom<v1::ResolveEvidence> for ResolveEvidence {
    type Error = WireError;

    fn try_from(wire: v1::ResolveEvidence) -> Result<Self, WireError> {
        Ok(Self {
            source: wire.source,
            addresses: parse_all("addresses", &wire.addresses, "an IP address")?,
            queries: every("queries", wire.queries)?,
        })
    }
}

impl From<DnsQuery> for v1::DnsQuery {
    fn from(query: DnsQuery) -> Self {
        Self {
            name: query.name,
            record_type: query.record_type,
            resolver: query.resolver.to_string(),
            transport: query.transport,
            rcode: query.rcode,
            addresses: texts(query.addresses),
            cname_chain: query.cname_chain,
            ttl_s: query.ttl_s,
            duration_us: micros(query.duration),
            fault: query.fault.map(Into::into),
        }
    }
}

impl TryFrom<v1::DnsQuery> for DnsQuery {
    type Error = WireError;

    fn try_from(wire: v1::DnsQuery) -> Result<Self, WireError> {
        Ok(Self {
            name: wire.name,
            record_type: wire.record_type,
            resolver: parse("resolver", &wire.resolver, "an address and port")?,
            transport: wire.transport,
            rcode: wire.rcode,
            addresses: parse_all("addresses", &wire.addresses, "an IP address")?,
            cname_chain: wire.cname_chain,
            ttl_s: wire.ttl_s,
            duration: Duration::from_micros(wire.duration_us),
            fault: wire.fault.map(Into::into),
        })
    }
}

impl From<ConnectEvidence> for v1::ConnectEvidence {
    fn from(facts: ConnectEvidence) -> Self {
        Self {
            peer: facts.peer.to_string(),
            local: facts.local.map(|local| local.to_string()),
            errno: facts.errno,
            icmp: facts.icmp.map(Into::into),
        }
    }
}

impl TryFrom<v1::ConnectEvidence> for ConnectEvidence {
    type Error = WireError;

    fn try_from(wire: v1::ConnectEvidence) -> Result<Self, WireError> {
        let local = wire
            .local
            .map(|local| parse("local", &local, "an address and port"));
        Ok(Self {
            peer: parse("peer", &wire.peer, "an address and port")?,
            local: local.transpose()?,
            errno: wire.errno,
            icmp: optional("icmp", wire.icmp)?,
        })
    }
}

impl From<IcmpError> for v1::IcmpError {
    fn from(error: IcmpError) -> Self {
        Self {
            r#type: error.kind.into(),
            code: error.code.into(),
            name: error.name,
            from: error.from.to_string(),
        }
    }
}

impl TryFrom<v1::IcmpError> for IcmpError {
    type Error = WireError;

    fn try_from(wire: v1::IcmpError) -> Result<Self, WireError> {
        Ok(Self {
            kind: narrow("type", wire.r#type)?,
            code: narrow("code", wire.code)?,
            name: wire.name,
            from: parse("from", &wire.from, "an IP address")?,
        })
    }
}

impl From<TcpInfo> for v1::TcpInfo {
    fn from(info: TcpInfo) -> Self {
        Self {
            state: info.state,
            rtt_us: micros(info.rtt),
            total_retransmits: info.total_retransmits,
            retransmits: info.retransmits,
            unacked: info.unacked,
            segs_out: info.segs_out,
            segs_in: info.segs_in,
            bytes_acked: info.bytes_acked,
            bytes_received: info.bytes_received,
            rcv_ooopack: info.rcv_ooopack,
            snd_mss: info.snd_mss,
            pmtu: info.pmtu,
            snd_wnd: info.snd_wnd,
        }
    }
}

impl From<v1::TcpInfo> for TcpInfo {
    fn from(wire: v1::TcpInfo) -> Self {
        Self {
            state: wire.state,
            rtt: Duration::from_micros(wire.rtt_us),
            total_retransmits: wire.total_retransmits,
            retransmits: wire.retransmits,
            unacked: wire.unacked,
            segs_out: wire.segs_out,
            segs_in: wire.segs_in,
            bytes_acked: wire.bytes_acked,
            bytes_received: wire.bytes_received,
            rcv_ooopack: wire.rcv_ooopack,
            snd_mss: wire.snd_mss,
            pmtu: wire.pmtu,
            snd_wnd: wire.snd_wnd,
        }
    }
}

by_reference! {
    ResolveEvidence => v1::ResolveEvidence,
    ConnectEvidence => v1::ConnectEvidence,
    TcpInfo => v1::TcpInfo,
}
