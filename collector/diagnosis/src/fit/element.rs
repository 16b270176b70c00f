//! What of the network an explanation says is broken, and for whom.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use parallax_model::finding::{FindingKind, Location, Segment};
use parallax_model::stage::StageName;

use crate::candidate::Candidate;
use crate::matrix::{CellId, Matrix};
use crate::symptom::Reach;

use FindingKind as Is;

/// The part that would be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    /// The agent's own host or network: it reaches nothing.
    Agent,
    /// The agent's own filter: this port does not leave its host.
    Filter,
    /// The way, between two hops where they are known.
    Way {
        after: Option<IpAddr>,
        before: Option<IpAddr>,
    },
    /// The site refuses the address that it is sent from.
    Source,
    /// One family on the way of a vantage point.
    Family,
    /// The host: it answers nobody.
    Host,
    /// The port of the host: it answers nobody.
    Port,
    /// Somebody nearer than the host refuses in its name.
    InFrontOfPort,
    /// The program behind the port, the same for all.
    Service,
    /// Some flows, or connections by chance.
    Flows,
    /// How many connections there are at a time.
    Load,
    /// Large packets on the way.
    Size,
    /// The name that the client says.
    Name,
    /// What was read and needs no prediction.
    Fact,
}

/// What an explanation says is broken, and the attempts that it explains by that.
#[derive(Debug, Clone)]
pub(super) struct Claimed {
    pub(super) element: Element,
    pub(super) cells: Vec<CellId>,
    pub(super) vantages: BTreeSet<usize>,
    pub(super) sockets: BTreeSet<SocketAddr>,
    pub(super) addresses: BTreeSet<IpAddr>,
    pub(super) stage: Option<StageName>,
    /// Whether it is said to be at the site or the host, and so on everybody's way.
    pub(super) for_all: bool,
}

impl Claimed {
    /// What a candidate claims.
    pub(super) fn of(matrix: &Matrix, candidate: &Candidate) -> Self {
        let element = element(candidate.kind, &candidate.location);
        Self::with(matrix, candidate, element)
    }

    /// What a look-alike of it would claim of the same attempts; where it would be is not said.
    pub(super) fn look_alike(matrix: &Matrix, candidate: &Candidate, kind: FindingKind) -> Self {
        let element = element(kind, &Location::segment(Segment::Unknown));
        let mut claimed = Self::with(matrix, candidate, element);
        claimed.for_all = false;
        claimed
    }

    fn with(matrix: &Matrix, candidate: &Candidate, element: Element) -> Self {
        let mut cells: Vec<CellId> = candidate
            .explains
            .iter()
            .filter_map(|&id| matrix.troubles[id].cell)
            .collect();
        cells.dedup();
        // A host behind somebody who connects in its name is not denied by that connection.
        let connected = cells.iter().any(|&id| matrix.cell(id).reach == Reach::Connected);
        let element = match element {
            Element::Host | Element::Port | Element::Way { .. } | Element::Source if connected => {
                Element::Fact
            }
            other => other,
        };
        Self {
            element,
            vantages: cells.iter().map(|id| id.vantage).collect(),
            sockets: cells.iter().map(|&id| matrix.cell(id).socket()).collect(),
            addresses: cells.iter().map(|&id| matrix.cell(id).attempt.address).collect(),
            stage: candidate.stage,
            for_all: matches!(candidate.location.segment, Segment::SiteEdge | Segment::Service),
            cells,
        }
    }
}

fn element(kind: FindingKind, location: &Location) -> Element {
    match kind {
        Is::AgentNoRoute | Is::AgentNetworkDown => Element::Agent,
        Is::AgentLocalFirewall => Element::Filter,
        Is::PacketsDropped
        | Is::RejectedWithIcmp
        | Is::NoRoute
        | Is::RoutingLoop
        | Is::ReturnPathLost
        | Is::AsymmetricPath => Element::Way {
            after: location.after,
            before: location.before,
        },
        Is::SourceBanned => Element::Source,
        Is::FamilyBroken => Element::Family,
        Is::HostDown => Element::Host,
        Is::PortClosed => Element::Port,
        Is::RejectedWithReset => Element::InFrontOfPort,
        Is::OnePathBroken | Is::OneBackendBroken | Is::PacketLoss => Element::Flows,
        Is::RateLimited | Is::ConnectionLimit | Is::ServerOverloaded => Element::Load,
        Is::MtuBlackHole => Element::Size,
        Is::SniFiltered => Element::Name,
        Is::NoGreeting | Is::ClosedBeforeGreeting | Is::TlsHandshakeFailed | Is::ServiceDown
            if location.segment == Segment::Service =>
        {
            Element::Service
        }
        _ => Element::Fact,
    }
}
