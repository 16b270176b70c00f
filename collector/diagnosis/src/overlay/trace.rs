//! One path, read: who still answered, and where the target did.

use std::net::IpAddr;

use parallax_model::path::{Hop, HopReply, Path, PathEnd, PathProtocol, Payload};

use crate::matrix::{CellId, Matrix};

/// Whether it says how far packets of one flow come.
fn tells(path: &Path) -> bool {
    matches!(path.payload, Payload::Syn | Payload::Udp)
        && path.bytes.is_none()
        && !path.hops.is_empty()
        && !matches!(
            path.ended,
            PathEnd::Unsupported | PathEnd::Policy | PathEnd::NotSent
        )
}

/// The paths from one vantage point to one address.
pub(crate) fn to<'a>(
    matrix: &Matrix<'a>,
    vantage: usize,
    address: IpAddr,
) -> impl Iterator<Item = &'a Path> + use<'a> {
    let paths = &matrix.vantage(vantage).seen.network.paths;
    paths
        .iter()
        .filter(move |path| path.address == address && tells(path))
}

/// The path of the very port that an attempt went to. Of several, the one that came furthest: an answer outweighs
/// any silence.
pub(crate) fn of<'a>(matrix: &Matrix<'a>, id: CellId) -> Option<&'a Path> {
    let cell = matrix.cell(id);
    to(matrix, id.vantage, cell.attempt.address)
        .filter(|path| is_of(path, cell.attempt.endpoint.port))
        .max_by_key(|path| (answered_at(path).is_some(), last_router(path).map(|(ttl, _)| ttl)))
}

/// The paths of the same vantage point to the same address by other ports and protocols.
pub(crate) fn beside<'a>(matrix: &Matrix<'a>, id: CellId) -> impl Iterator<Item = &'a Path> + use<'a> {
    let attempt = matrix.cell(id).attempt;
    let port = attempt.endpoint.port;
    to(matrix, id.vantage, attempt.address).filter(move |path| !is_of(path, port))
}

/// The paths to the very port of an attempt that carried this.
pub(crate) fn carrying<'a>(
    matrix: &Matrix<'a>,
    id: CellId,
    payload: Payload,
) -> impl Iterator<Item = &'a Path> + use<'a> {
    let attempt = matrix.cell(id).attempt;
    let (address, port) = (attempt.address, attempt.endpoint.port);
    let paths = &matrix.vantage(id.vantage).seen.network.paths;
    paths
        .iter()
        .filter(move |path| path.address == address && path.port == port && path.payload == payload)
}

/// The paths of the same vantage point to the same address when the target last worked.
pub(crate) fn before<'a>(matrix: &Matrix<'a>, id: CellId) -> impl Iterator<Item = &'a Path> + use<'a> {
    let address = matrix.cell(id).attempt.address;
    let good = matrix.before(id.vantage).map(|good| &good.network.paths);
    good.into_iter()
        .flatten()
        .filter(move |path| path.address == address && tells(path))
}

fn is_of(path: &Path, port: u16) -> bool {
    path.protocol == PathProtocol::Tcp && path.port == port
}

/// The last router that let a packet's time to live run out, and at which hop.
pub(crate) fn last_router(path: &Path) -> Option<(u8, IpAddr)> {
    path.hops
        .iter()
        .rev()
        .find_map(|hop| Some((hop.ttl, router(hop)?)))
}

/// The router at one hop.
pub(crate) fn router_at(path: &Path, ttl: u8) -> Option<IpAddr> {
    path.hops.iter().find(|hop| hop.ttl == ttl).and_then(router)
}

/// Who answers at one hop: a router, or the target itself.
pub(crate) fn answers_at(path: &Path, ttl: u8) -> Option<IpAddr> {
    router_at(path, ttl).or_else(|| (answered_at(path) == Some(ttl)).then_some(path.address))
}

/// The hop at which a router answers.
pub(crate) fn hop_of(path: &Path, address: IpAddr) -> Option<u8> {
    let here = |hop: &&Hop| hop.addresses.contains(&address) && hop.reply != HopReply::None;
    path.hops.iter().find(here).map(|hop| hop.ttl)
}

/// The hop at which somebody answers in the target's name.
pub(crate) fn answered_at(path: &Path) -> Option<u8> {
    path.hops
        .iter()
        .find(|hop| match &hop.reply {
            HopReply::SynAck | HopReply::Rst | HopReply::Answered => true,
            HopReply::Unreachable(_) => hop.addresses.contains(&path.address),
            HopReply::None | HopReply::TimeExceeded | HopReply::PacketTooBig | HopReply::NotSent(_) => false,
        })
        .map(|hop| hop.ttl)
}

fn router(hop: &Hop) -> Option<IpAddr> {
    (hop.reply == HopReply::TimeExceeded)
        .then(|| hop.addresses.first().copied())
        .flatten()
}

/// "ams: the path to 10.9.0.10:993 is 10.1.0.1, 10.0.1.1, then nobody answers"
pub(crate) fn spelled(name: &str, path: &Path) -> String {
    let to = std::net::SocketAddr::new(path.address, path.port);
    let over = match path.protocol {
        PathProtocol::Tcp => "",
        PathProtocol::Udp => " over UDP",
    };
    let known = path
        .hops
        .iter()
        .rposition(|hop| hop.reply != HopReply::None)
        .map_or(0, |last| last + 1);
    let mut hops: Vec<String> = path.hops[..known].iter().map(spelled_hop).collect();
    if answered_at(path).is_none() && !matches!(path.ended, PathEnd::Unreachable | PathEnd::Loop) {
        hops.push("then nobody answers".to_owned());
    }
    format!("{name}: the path to {to}{over} is {}", hops.join(", "))
}

fn spelled_hop(hop: &Hop) -> String {
    let who = hop
        .addresses
        .first()
        .map_or_else(|| "*".to_owned(), IpAddr::to_string);
    match &hop.reply {
        HopReply::None => "*".to_owned(),
        HopReply::TimeExceeded => who,
        HopReply::SynAck => format!("a SYN-ACK at hop {}", hop.ttl),
        HopReply::Rst => format!("a reset at hop {}", hop.ttl),
        HopReply::Answered => format!("an answer at hop {}", hop.ttl),
        HopReply::Unreachable(code) => format!("{who} ({})", crate::words::quote(code)),
        HopReply::PacketTooBig => format!("{who} (packet too big)"),
        HopReply::NotSent(_) => "not sent".to_owned(),
    }
}

/// Whether a router answers in the name of an address: it translates, to one of several backends perhaps.
pub(crate) fn router_of(path: &Path, address: IpAddr) -> bool {
    path.hops.iter().any(|hop| router(hop) == Some(address))
}
