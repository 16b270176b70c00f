//! The way to a target, one line a hop.

use parallax_model::path::{Hop, HopReply, Path, PathEnd};

use super::words;

/// Where it goes and how it ended, then a line for each hop.
pub(crate) fn block(path: &Path) -> Vec<String> {
    let mut lines = vec![heading(path)];
    lines.extend(path.hops.iter().map(hop));
    lines
}

/// "path to 10.9.0.10:993, tcp: silent behind hop 2".
pub(super) fn heading(path: &Path) -> String {
    let mut said = format!(
        "path to {}, {}",
        words::endpoint(path.address, path.port),
        path.protocol
    );
    if let Some(bytes) = path.bytes {
        said.push_str(&format!(", packets of {bytes} bytes"));
    }
    if let Some(experiment) = path.experiment {
        said.push_str(&format!(", {experiment}"));
    }
    said.push_str(": ");
    said.push_str(&end(path));
    if let Some(ttl) = path.answer_ttl {
        said.push_str(&format!(", the target's answer came with TTL {ttl}"));
    }
    said
}

/// " 3  10.0.9.2  20.1 ms", " 4  *", with what the hop said where that is not the usual.
pub(super) fn hop(hop: &Hop) -> String {
    let addresses: Vec<_> = hop.addresses.iter().map(ToString::to_string).collect();
    let mut parts = vec![if addresses.is_empty() {
        "*".to_owned()
    } else {
        addresses.join(" ")
    }];
    parts.extend(hop.rtt.map(words::time));
    if !matches!(hop.reply, HopReply::None | HopReply::TimeExceeded) {
        parts.push(words::quote(&hop.reply.to_string()));
    }
    parts.extend(hop.mtu.map(|mtu| format!("mtu {mtu}")));
    parts.extend(hop.mss.map(|mss| format!("mss {mss}")));
    format!("{:>2}  {}", hop.ttl, parts.join("  "))
}

fn end(path: &Path) -> String {
    let last = path.hops.iter().rev().find(|hop| !hop.addresses.is_empty());
    let behind = |word: &str| match last {
        Some(hop) => format!("{word} behind hop {}", hop.ttl),
        None => format!("{word} from the first hop on"),
    };
    match path.ended {
        PathEnd::Reached => "reached".to_owned(),
        PathEnd::Unreachable => match last {
            Some(hop) => format!("refused by hop {}", hop.ttl),
            None => "refused".to_owned(),
        },
        PathEnd::Silent => behind("silent"),
        PathEnd::Loop => "goes in circles".to_owned(),
        PathEnd::HopLimit => "not reached within the hops that are asked".to_owned(),
        PathEnd::Deadline => behind("out of time"),
        PathEnd::NotSent => "not sent by this host".to_owned(),
        PathEnd::Unsupported => "this host can't trace".to_owned(),
        PathEnd::Policy => "the agent's policy does not allow it".to_owned(),
    }
}
