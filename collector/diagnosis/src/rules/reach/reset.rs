//! Connections that a reset answers.

use std::time::Duration;

use parallax_model::finding::{FindingKind, Location, Segment};

use super::claim::Claim;
use super::column::{View, vantages};
use crate::candidate::Blame;
use crate::command;
use crate::fact;
use crate::matrix::CellId;
use crate::overlay::{self, Answerer, Place};
use crate::product::Look;
use crate::rules::{flows, limits};

const SERVICE: Look = Look::new("systemctl status dovecot; doveconf service/imap-login")
    .courier("systemctl status 'courier-imap*'; grep -E '^(PORT|SSLPORT|ADDRESS)' /etc/courier/imapd*")
    .cyrus("systemctl status cyrus-imapd; grep -n imap /etc/cyrus.conf");

/// A reset that is this much quicker than the host is known to be can't be the host's.
const QUICKER: Duration = Duration::from_micros(1500);

/// A host that answers within this time is so near that the time of a reset tells nothing.
const NEAR_HOST: Duration = Duration::from_millis(5);

/// A reset within this time never left the agent's host, if the host asked is known to be further.
const ON_THE_HOST: Duration = Duration::from_micros(300);

/// Claim: a reset that comes from nearer than the host, by its hop, its time to live or its time, is somebody else's;
/// one from as far as the host is the host's own; where others do connect, somebody refuses in its name. Without any
/// of these it is likely the host that says that nothing listens, and no more than that.
/// Disproved by: a connection, or a SYN-ACK in a trace (then it is not closed), or a reset from as far away as the host's own.
pub(super) fn claims(view: &View) -> Vec<Claim> {
    if !view.reset.is_empty() && flows::known(view.matrix, view.endpoint.port) {
        return vec![some_backends(view)];
    }
    let mut nearer: Vec<(Place, Vec<CellId>)> = Vec::new();
    let mut left = Vec::new();
    let mut own = None;
    for &id in &view.reset {
        match overlay::answerer(view.matrix, id) {
            Answerer::Nearer(place) => match nearer.iter_mut().find(|(known, _)| known.may_be(&place)) {
                Some((known, cells)) => {
                    known.lines.extend(place.lines);
                    cells.push(id);
                }
                None => nearer.push((place, vec![id])),
            },
            Answerer::Host { sure } => {
                own = own.max(Some(sure));
                left.push(id);
            }
            Answerer::Unknown => left.push(id),
        }
    }
    if let [(place, cells)] = nearer.as_mut_slice()
        && own.is_none()
        && view.witnesses.is_empty()
        && matches!(place.segment, Segment::Transit | Segment::SiteEdge)
    {
        // Everybody is refused, and whose way is not known came by no other.
        cells.append(&mut left);
    }
    let rest = View {
        reset: left,
        ..view.clone()
    };
    let mut claims: Vec<Claim> = nearer
        .into_iter()
        .map(|(place, cells)| in_between(view, place, &cells))
        .collect();
    claims.extend(by_time(&rest, own));
    claims
}

/// Whether others come to the host by the same way, and only one vantage point is refused.
fn of_one_source(view: &View) -> bool {
    let affected = vantages(&view.reset);
    let outside = view
        .connected
        .iter()
        .any(|&id| !affected.contains(&id.vantage) && !overlay::inside(view.matrix, id));
    affected.len() == 1 && outside
}

/// The host, or the last hop before it, refuses one source and answers others.
fn refused_source(view: &View, sure: bool) -> Claim {
    let own = view
        .reset
        .first()
        .and_then(|&id| fact::local(view.matrix.cell(id)));
    Claim::new(view, FindingKind::SourceBanned, 0.6, &view.reset)
        .at(Location::segment(if sure {
            Segment::Service
        } else {
            Segment::SiteEdge
        }))
        .phrase("a reset from as far away as the host refuses this source, others connect")
        .told_apart_by("another source address at the same place, or the ban list on the mail host")
        .or(
            FindingKind::RejectedWithReset,
            0.15,
            "another source address at the same place, or the ban list on the mail host",
        )
        .or(
            FindingKind::OneBackendBroken,
            0.1,
            "the same from many source ports, twice: a backend that is closed stays with its flows",
        )
        .or(
            FindingKind::ConnectionLimit,
            0.08,
            "the same attempt several times, one after another: a limit lets them through, a fault stays",
        )
        .next([command::on(&view.address.to_string(), &command::bans(own))])
        .next_on_the_path(view)
}

/// Whose connections are refused depends on their flow.
fn some_backends(view: &View) -> Claim {
    let host = view.address.to_string();
    Claim::new(view, FindingKind::OneBackendBroken, 0.84, &view.reset)
        .at(Location::segment(Segment::Service))
        .phrase("some connections are answered and others refused, whoever makes them: one of the servers behind the address refuses")
        .told_apart_by("the same from many source ports, twice: a backend that is closed stays with its flows")
        .or(
            FindingKind::OnePathBroken,
            0.06,
            "the paths of a flow that works and of one that does not",
        )
        .or(
            FindingKind::ConnectionLimit,
            0.05,
            "the same attempt several times, one after another: a limit lets them through, a fault stays",
        )
        .next([
            command::on(&host, &command::listening(view.endpoint.port)),
            command::on("the balancer", "each backend, asked by its own address"),
        ])
}

fn by_time(view: &View, own: Option<bool>) -> Option<Claim> {
    if view.reset.is_empty() {
        return None;
    }
    let near = nearness(view);
    let from_the_host = own.is_some();
    if near == Nearness::OnTheAgent && !from_the_host {
        Some(by_the_agent(view))
    } else if let Some(sure) = own
        && of_one_source(view)
    {
        Some(refused_source(view, sure))
    } else if !view.witnesses.is_empty() || near == Nearness::OnTheWay && !from_the_host {
        Some(by_another(view, near, from_the_host))
    } else {
        Some(closed(view, own))
    }
}

/// Somebody between the agent and the host refuses in the host's name, and the paths say where.
fn in_between(view: &View, place: Place, cells: &[CellId]) -> Claim {
    let at_home = place.at_home;
    let phrase = match place.after {
        Some(after) => {
            format!("{after} or what is right behind it refuses with a reset in the server's name")
        }
        None if at_home => {
            "a reset comes from the agent's host or its first hop, in the server's name".to_owned()
        }
        None => "a reset from nearer than the host refuses the connection".to_owned(),
    };
    let (kind, confidence) = if at_home {
        (FindingKind::AgentLocalFirewall, 0.75)
    } else {
        (FindingKind::RejectedWithReset, 0.88)
    };
    let mut claim = Claim::new(view, kind, confidence, cells)
        .at(Location {
            segment: if at_home { Segment::Agent } else { place.segment },
            ..place.location()
        })
        .phrase(phrase)
        .told_apart_by("how far away the reset is made, beside the host's own answers");
    claim.because.extend(place.lines);
    claim.because.push(format!(
        "the reset for port {} comes from nearer than the host's own answers",
        view.endpoint.port
    ));
    if at_home {
        claim.blame = Blame::Agent;
        return claim
            .or(
                FindingKind::RejectedWithReset,
                0.2,
                "the filter rules on the agent's host and on its first hop",
            )
            .next(on_agent(view));
    }
    if let Some(after) = place.after {
        claim = claim.next([command::on(
            &after.to_string(),
            &command::filter(view.endpoint.port),
        )]);
    }
    claim
        .or(FindingKind::PortClosed, 0.04, "the filter rules at the named hop")
        .next_on_the_path(view)
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

fn by_another(view: &View, near: Nearness, from_the_host: bool) -> Claim {
    let confidence = match (near, view.witnesses.len()) {
        (_, _) if from_the_host => 0.55,
        (Nearness::OnTheWay, _) => 0.85,
        (_, 0 | 1) => 0.65,
        (_, _) => 0.75,
    };
    let (banned, balancer) = if from_the_host || near == Nearness::AtTheHost {
        (0.25, 0.15)
    } else {
        (0.1, 0.1)
    };
    let mut claim = Claim::new(view, FindingKind::RejectedWithReset, confidence, &view.reset)
        .phrase("a reset refuses the connection, and it is not the server's own")
        .told_apart_by("whether anybody connects to the same address")
        .or(
            FindingKind::SourceBanned,
            banned,
            "another source address at the same place, or the ban list on the mail host",
        )
        .or(
            FindingKind::OneBackendBroken,
            balancer,
            "the same from many source ports, twice: a backend that is closed stays with its flows",
        )
        .next(on_agent(view))
        .next_on_the_path(view);
    let several_at_once = |&id: &CellId| view.matrix.connects_otherwise(id);
    if near != Nearness::OnTheWay && view.reset.iter().any(several_at_once) {
        claim = claim.or(
            FindingKind::ConnectionLimit,
            0.15,
            "the same attempt several times, one after another: a limit lets them through, a fault stays",
        );
    }
    if near == Nearness::OnTheWay {
        claim
            .phrase
            .push_str(": it comes sooner than the host can answer");
    }
    claim
}

/// `own` tells whether the reset comes from as far away as the host, and whether that is sure: a firewall at the last hop
/// answers at the same hop, and only the time to live of its reset differs.
fn closed(view: &View, own: Option<bool>) -> Claim {
    let affected = vantages(&view.reset).len();
    let from_the_host = own.is_some();
    let opens = |&id: &CellId| {
        overlay::answers_now(view.matrix, id) || limits::opens_to_all_but_at_once(view.matrix, id)
    };
    let confidence = match (own, affected, view.matrix.single()) {
        // Something listens there: it was seen to open.
        _ if view.reset.iter().any(opens) => 0.2,
        (Some(true), 1, _) => 0.85,
        (Some(true), _, _) => 0.93,
        (Some(false), 1, _) => 0.7,
        (Some(false), _, _) => 0.78,
        (None, 1, true) => 0.6,
        (None, 1, false) => 0.55,
        (None, _, _) => 0.75,
    };
    let segment = if from_the_host {
        Segment::Service
    } else {
        Segment::Unknown
    };
    let port = view.endpoint.port;
    let host = view.address.to_string();
    Claim::new(view, FindingKind::PortClosed, confidence, &view.reset)
        .at(Location::segment(segment))
        .phrase("nothing listens there, the host answers with a reset")
        .told_apart_by("whether anybody connects to the same address")
        .or(
            FindingKind::RejectedWithReset,
            match (own, affected) {
                (Some(true), _) => 0.04,
                (None, 1) => 0.3,
                (Some(false) | None, _) => 0.2,
            },
            "how far away the reset is made, beside the host's answers on another port",
        )
        .next([
            command::on(&host, &command::listening(port)),
            SERVICE.on(view.matrix, view.address),
            command::on(&host, &command::filter(port)),
        ])
}

fn on_agent(view: &View) -> Option<String> {
    let CellId { vantage, .. } = *view.reset.first()?;
    let filter = command::filter(view.endpoint.port);
    Some(command::on(view.matrix.name(vantage), &filter))
}
