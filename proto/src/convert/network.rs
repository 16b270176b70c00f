//! Evidence from below IMAP and TLS: resolving and connecting.

use std::time::Duration;

use parallax_model::evidence::{
    ConnectEvidence, DnsQuery, IcmpError, OtherAnswer, ResolveEvidence, SrvRecord, TcpInfo, TlsaRecord,
};

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
            other: facts.other.map(Into::into),
            services: all(facts.services),
            tlsa: all(facts.tlsa),
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
            other: optional("other", wire.other)?,
            services: every("services", wire.services)?,
            tlsa: every("tlsa", wire.tlsa)?,
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
            second_answer: texts(query.second_answer),
            ttl_s: query.ttl_s,
            duration_us: micros(query.duration),
            fault: query.fault.map(Into::into),
            records: query.records,
            dnssec: query.dnssec,
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
            second_answer: parse_all("second_answer", &wire.second_answer, "an address")?,
            ttl_s: wire.ttl_s,
            duration: Duration::from_micros(wire.duration_us),
            fault: wire.fault.map(Into::into),
            records: wire.records,
            dnssec: wire.dnssec,
        })
    }
}

impl From<OtherAnswer> for v1::OtherAnswer {
    fn from(answer: OtherAnswer) -> Self {
        Self {
            resolver: answer.resolver.to_string(),
            addresses: texts(answer.addresses),
            agrees: answer.agrees,
            fault: answer.fault.map(Into::into),
        }
    }
}

impl TryFrom<v1::OtherAnswer> for OtherAnswer {
    type Error = WireError;

    fn try_from(wire: v1::OtherAnswer) -> Result<Self, WireError> {
        Ok(Self {
            resolver: parse("resolver", &wire.resolver, "an address and port")?,
            addresses: parse_all("addresses", &wire.addresses, "an IP address")?,
            agrees: wire.agrees,
            fault: wire.fault.map(Into::into),
        })
    }
}

impl From<SrvRecord> for v1::SrvRecord {
    fn from(record: SrvRecord) -> Self {
        Self {
            service: record.service,
            priority: record.priority.into(),
            weight: record.weight.into(),
            port: record.port.into(),
            target: record.target,
            ttl_s: record.ttl_s,
        }
    }
}

impl TryFrom<v1::SrvRecord> for SrvRecord {
    type Error = WireError;

    fn try_from(wire: v1::SrvRecord) -> Result<Self, WireError> {
        Ok(Self {
            service: wire.service,
            priority: narrow("priority", wire.priority)?,
            weight: narrow("weight", wire.weight)?,
            port: narrow("port", wire.port)?,
            target: wire.target,
            ttl_s: wire.ttl_s,
        })
    }
}

impl From<TlsaRecord> for v1::TlsaRecord {
    fn from(record: TlsaRecord) -> Self {
        Self {
            port: record.port.into(),
            usage: record.usage.into(),
            selector: record.selector.into(),
            matching: record.matching.into(),
            data: record.data,
            authenticated: record.authenticated,
        }
    }
}

impl TryFrom<v1::TlsaRecord> for TlsaRecord {
    type Error = WireError;

    fn try_from(wire: v1::TlsaRecord) -> Result<Self, WireError> {
        Ok(Self {
            port: narrow("port", wire.port)?,
            usage: narrow("usage", wire.usage)?,
            selector: narrow("selector", wire.selector)?,
            matching: narrow("matching", wire.matching)?,
            data: wire.data,
            authenticated: wire.authenticated,
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
            interface: facts.interface,
            syn_retransmits: facts.syn_retransmits,
            mss: facts.mss.map(Into::into),
            on_link: facts.on_link,
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
            interface: wire.interface,
            syn_retransmits: wire.syn_retransmits,
            mss: wire.mss.map(|mss| narrow("mss", mss)).transpose()?,
            on_link: wire.on_link,
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
            soft_error: info.soft_error,
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
            soft_error: wire.soft_error,
        }
    }
}

by_reference! {
    ResolveEvidence => v1::ResolveEvidence,
    ConnectEvidence => v1::ConnectEvidence,
    TcpInfo => v1::TcpInfo,
}
