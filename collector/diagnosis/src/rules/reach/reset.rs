//! Connections that a reset answers.

use std::time::Duration;

use parallax_model::finding::{FindingKind, Location, Segment};

use super::claim::Claim;
use super::column::{View, vantages};
use crate::candidate::Blame;
use crate::command;
use crate::matrix::CellId;

/// A reset that is this much quicker than the host is known to be can't be the host's.
const QUICKER: Duration = Duration::from_micros(1500);

/// A host that answers within this time is so near that the time of a reset tells nothing.
const NEAR_HOST: Duration = Duration::from_millis(5);

/// A reset within this time never left the agent's host, if the host asked is known to be further.
const ON_THE_HOST: Duration = Duration::from_micros(300);

/// Claim: where nobody connects, the host itself says that nothing listens; where others do connect, or where the
/// host is known to answer slower than this reset came, somebody else refuses in its name.
/// Disproved by: a connection (then it is not closed), or a reset that takes as long as the host's own.
pub(super) fn claim(view: &View) -> Option<Claim> {
    if view.reset.is_empty() {
        return None;
    }
    let near = nearness(view);
    if near == Nearness::OnTheAgent {
        Some(by_the_agent(view))
    } else if !view.witnesses.is_empty() || near == Nearness::OnTheWay {
        Some(by_another(view, near))
    } else {
        Some(closed(view))
    }
}

/// How far away the reset was made, from its time beside the host's own answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nearness {
    Unknown,
    OnTheAgent,
    OnTheWay,
    /// As far as the host.
    AtTheHost,
}

fn nearness(view: &View) -> Nearness {
    let judged: Vec<Nearness> = view
        .reset
        .iter()
        .filter_map(|&id| {
            let took = view.matrix.cell(id).connect_time()?;
            let host = view.host_rtt(id.vantage)?;
            Some(if host < took * 2 || host - took < QUICKER {
                if host < NEAR_HOST {
                    Nearness::Unknown
                } else {
                    Nearness::AtTheHost
                }
            } else if took < ON_THE_HOST {
                Nearness::OnTheAgent
            } else {
                Nearness::OnTheWay
            })
        })
        .collect();
    match judged.first() {
        Some(&first) if judged.iter().all(|&other| other == first) => first,
        Some(_) | None => Nearness::Unknown,
    }
}

fn by_the_agent(view: &View) -> Claim {
    let mut claim = Claim::new(view, FindingKind::AgentLocalFirewall, 0.7, &view.reset)
        .at(Location::segment(Segment::Agent))
        .phrase("a reset comes back before a packet could have reached the next hop")
        .told_apart_by("the filter rules on the agent's host")
        .or(
            FindingKind::RejectedWithReset,
            0.2,
            "the filter rules on the agent's host and on its first hop",
        )
        .next(on_agent(view));
    claim.blame = Blame::Agent;
    claim
}

fn by_another(view: &View, near: Nearness) -> Claim {
    let single = vantages(&view.reset).len() == 1;
    let confidence = match (near, view.witnesses.len()) {
        (Nearness::OnTheWay, _) => 0.85,
        (_, 0 | 1) => 0.65,
        (_, _) => 0.75,
    };
    let segment = match (near, single) {
        (Nearness::OnTheWay, true) | (Nearness::Unknown, true) => Segment::VantageEdge,
        (Nearness::AtTheHost | Nearness::OnTheWay | Nearness::OnTheAgent | Nearness::Unknown, _) => {
            Segment::Unknown
        }
    };
    let (banned, balancer) = if near == Nearness::AtTheHost {
        (0.2, 0.15)
    } else {
        (0.1, 0.1)
    };
    let mut claim = Claim::new(view, FindingKind::RejectedWithReset, confidence, &view.reset)
        .at(Location::segment(segment))
        .phrase("a reset refuses the connection, and it is not the server's own")
        .told_apart_by("whether anybody connects to the same address")
        .or(
            FindingKind::SourceBanned,
            banned,
            "another source address at the same place, or the ban list on the mail host",
        )
        .or(
            FindingKind::PortClosed,
            balancer,
            "a balancer that gives this source a backend of its own: repeat from another address",
        )
        .next(on_agent(view))
        .next_on_the_path(view);
    if near == Nearness::OnTheWay {
        claim
            .phrase
            .push_str(": it comes sooner than the host can answer");
    }
    claim
}

fn closed(view: &View) -> Claim {
    let affected = vantages(&view.reset).len();
    let confidence = match (affected, view.matrix.single()) {
        (1, true) => 0.6,
        (1, false) => 0.55,
        (_, _) => 0.9,
    };
    let port = view.endpoint.port;
    let host = view.address.to_string();
    Claim::new(view, FindingKind::PortClosed, confidence, &view.reset)
        .at(Location::segment(Segment::Service))
        .phrase("nothing listens there, the host answers with a reset")
        .told_apart_by("whether anybody connects to the same address")
        .or(
            FindingKind::RejectedWithReset,
            if affected > 1 { 0.08 } else { 0.3 },
            "whether the reset comes as late as the host's own answers, and from everywhere",
        )
        .next([
            command::on(&host, &command::listening(port)),
            command::on(&host, "systemctl status dovecot; doveconf service/imap-login"),
            command::on(&host, &command::filter(port)),
        ])
}

fn on_agent(view: &View) -> Option<String> {
    let CellId { vantage, .. } = *view.reset.first()?;
    let filter = command::filter(view.endpoint.port);
    Some(command::on(view.matrix.name(vantage), &filter))
}
