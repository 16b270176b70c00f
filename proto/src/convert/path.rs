use std::time::Duration;

use parallax_model::experiment::ExperimentKind;
use parallax_model::path::{
    ControlFacts, Flow, Hop, HopReply, NetworkFacts, Path, PathEnd, PathProtocol, Payload, Sweep,
};

use super::error::WireError;
use super::read::{every, narrow, non_empty, optional, parse, parse_all};
use super::write::{all, by_reference, micros, texts};
use crate::v1;

impl From<NetworkFacts> for v1::NetworkFacts {
    fn from(facts: NetworkFacts) -> Self {
        Self {
            paths: all(facts.paths),
            sweeps: all(facts.sweeps),
            source_addresses: texts(facts.source_addresses),
            control: facts.control.map(Into::into),
        }
    }
}

impl TryFrom<v1::NetworkFacts> for NetworkFacts {
    type Error = WireError;

    fn try_from(wire: v1::NetworkFacts) -> Result<Self, WireError> {
        Ok(Self {
            paths: every("paths", wire.paths)?,
            sweeps: every("sweeps", wire.sweeps)?,
            source_addresses: parse_all("source_addresses", &wire.source_addresses, "an IP address")?,
            control: optional("control", wire.control)?,
        })
    }
}

impl From<Path> for v1::Path {
    fn from(path: Path) -> Self {
        Self {
            address: path.address.to_string(),
            port: path.port.into(),
            protocol: path.protocol.to_string(),
            reached: path.reached,
            hops: all(path.hops),
            source: path.source.map(|source| source.to_string()),
            experiment: path.experiment.map(|kind| kind.to_string()),
            payload: path.payload.to_string(),
            bytes: path.bytes.map(Into::into),
            answer_ttl: path.answer_ttl.map(Into::into),
            ended: path.ended.to_string(),
            start_us: micros(path.start),
            duration_us: micros(path.duration),
        }
    }
}

impl TryFrom<v1::Path> for Path {
    type Error = WireError;

    fn try_from(wire: v1::Path) -> Result<Self, WireError> {
        Ok(Self {
            address: parse("address", &wire.address, "an IP address")?,
            port: narrow("port", wire.port)?,
            protocol: PathProtocol::from_name(&wire.protocol),
            reached: wire.reached,
            hops: every("hops", wire.hops)?,
            source: wire
                .source
                .map(|source| parse("source", &source, "an address and port"))
                .transpose()?,
            experiment: wire
                .experiment
                .and_then(non_empty)
                .map(|kind| ExperimentKind::from_name(&kind)),
            payload: Payload::from_name(&wire.payload),
            bytes: wire.bytes.map(|bytes| narrow("bytes", bytes)).transpose()?,
            answer_ttl: wire.answer_ttl.map(|ttl| narrow("answer_ttl", ttl)).transpose()?,
            ended: PathEnd::from_name(&wire.ended),
            start: Duration::from_micros(wire.start_us),
            duration: Duration::from_micros(wire.duration_us),
        })
    }
}

impl From<Hop> for v1::Hop {
    fn from(hop: Hop) -> Self {
        Self {
            ttl: hop.ttl.into(),
            addresses: texts(hop.addresses),
            rtt_us: hop.rtt.map(micros),
            reply: hop.reply.to_string(),
            reply_ttl: hop.reply_ttl.map(Into::into),
            asked: hop.asked,
            mss: hop.mss.map(Into::into),
            mtu: hop.mtu,
        }
    }
}

impl TryFrom<v1::Hop> for Hop {
    type Error = WireError;

    fn try_from(wire: v1::Hop) -> Result<Self, WireError> {
        Ok(Self {
            ttl: narrow("ttl", wire.ttl)?,
            addresses: parse_all("addresses", &wire.addresses, "an IP address")?,
            rtt: wire.rtt_us.map(Duration::from_micros),
            reply: reply(&wire.reply),
            reply_ttl: wire.reply_ttl.map(|ttl| narrow("reply_ttl", ttl)).transpose()?,
            asked: wire.asked,
            mss: wire.mss.map(|mss| narrow("mss", mss)).transpose()?,
            mtu: wire.mtu,
        })
    }
}

impl From<Sweep> for v1::Sweep {
    fn from(sweep: Sweep) -> Self {
        Self {
            address: sweep.address.to_string(),
            port: sweep.port.into(),
            source: sweep.source.map(|source| source.to_string()),
            flows: all(sweep.flows),
        }
    }
}

impl TryFrom<v1::Sweep> for Sweep {
    type Error = WireError;

    fn try_from(wire: v1::Sweep) -> Result<Self, WireError> {
        Ok(Self {
            address: parse("address", &wire.address, "an IP address")?,
            port: narrow("port", wire.port)?,
            source: wire
                .source
                .map(|source| parse("source", &source, "an IP address"))
                .transpose()?,
            flows: every("flows", wire.flows)?,
        })
    }
}

impl From<Flow> for v1::Flow {
    fn from(flow: Flow) -> Self {
        Self {
            source_port: flow.source_port.into(),
            replies: texts(flow.replies),
        }
    }
}

impl TryFrom<v1::Flow> for Flow {
    type Error = WireError;

    fn try_from(wire: v1::Flow) -> Result<Self, WireError> {
        Ok(Self {
            source_port: narrow("source_port", wire.source_port)?,
            replies: wire.replies.iter().map(|text| reply(text)).collect(),
        })
    }
}

impl From<ControlFacts> for v1::ControlFacts {
    fn from(control: ControlFacts) -> Self {
        Self {
            target: control.target,
            rtt_us: control.rtt.map(micros),
            fault: control.fault.map(Into::into),
        }
    }
}

impl TryFrom<v1::ControlFacts> for ControlFacts {
    type Error = WireError;

    fn try_from(wire: v1::ControlFacts) -> Result<Self, WireError> {
        Ok(Self {
            target: wire.target,
            rtt: wire.rtt_us.map(Duration::from_micros),
            fault: wire.fault.map(Into::into),
        })
    }
}

fn reply(text: &str) -> HopReply {
    text.parse().unwrap_or(HopReply::None)
}

by_reference! {
    NetworkFacts => v1::NetworkFacts,
}
