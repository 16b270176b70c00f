//! Follow-ups that a look at what failed asks for, whatever the rules make of it.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use parallax_model::evidence::Evidence;
use parallax_model::experiment::{CONTROL_PORT, Experiment, ExperimentKind, Variation};
use parallax_model::fault::{FaultKind, TcpFault, TlsFault};
use parallax_model::observation::Family;
use parallax_model::stage::StageName;
use parallax_model::target::{Endpoint, Security};

use crate::matrix::{CellId, Column, Matrix};
use crate::overlay::trace;
use crate::rules::certificate::is_certificate;
use crate::rules::{answers, forged};
use crate::symptom::{IcmpClass, Reach};

/// Most vantage points with the same trouble that one experiment is made at.
pub(super) const PER_TROUBLE: usize = 4;

/// Most vantage points that send one address a hello made by hand.
const RAW_HELLOS: usize = 2;

/// Parts a resolver that lies from a service that is broken: an address that serves others, tried where the name
/// does not resolve or resolves to one that does not serve; and the odd address, tried from elsewhere.
pub(super) fn forced_addresses(matrix: &Matrix) -> Vec<Experiment> {
    let mut wishes = Vec::new();
    let serving: Vec<CellId> = matrix.cells().filter(|&id| matrix.served(id)).collect();
    let forced = |vantage: usize, address, endpoint| Experiment {
        kind: ExperimentKind::ForcedAddress,
        agent: matrix.vantage(vantage).seen.agent.clone(),
        address,
        endpoint,
        variation: Variation::default(),
    };
    // The nameless do not say which families they have.
    for family in [Family::Ipv4, Family::Ipv6] {
        let works = serving.iter().find(|&&id| matrix.cell(id).family() == family);
        let Some(&works) = works else { continue };
        let attempt = matrix.cell(works).attempt;
        let nameless = matrix
            .answered()
            .filter(|&vantage| matrix.vantage(vantage).nameless());
        wishes.extend(
            nameless
                .take(PER_TROUBLE)
                .map(|vantage| forced(vantage, attempt.address, attempt.endpoint)),
        );
    }
    for odd in answers::odd_addresses(matrix) {
        let works = serving
            .iter()
            .find(|&&id| odd.serving.contains(&matrix.cell(id).attempt.address));
        let Some(&works) = works else { continue };
        let attempt = matrix.cell(works).attempt;
        wishes.extend(
            odd.given
                .iter()
                .take(PER_TROUBLE)
                .map(|&vantage| forced(vantage, attempt.address, attempt.endpoint)),
        );
        wishes.push(forced(works.vantage, odd.address, attempt.endpoint));
    }
    for doubtful in forged::contradicted(matrix) {
        let Some(id) = matrix.cells_of(doubtful.vantage).next() else {
            continue;
        };
        let endpoint = matrix.cell(id).attempt.endpoint;
        let seconds = doubtful.query.second_answer.iter().take(2);
        wishes.extend(seconds.map(|&address| forced(doubtful.vantage, address, endpoint)));
    }
    wishes
}

/// Parts a resolver from the way to it and from the name: where one gives no address, or one that does not serve, a
/// resolver that served another vantage point is asked from there.
pub(super) fn other_resolvers(matrix: &Matrix) -> Vec<Experiment> {
    let serving = matrix.cells().filter(|&id| matrix.served(id));
    let good: Vec<(SocketAddr, CellId)> = serving
        .filter_map(|id| Some((answers::resolver_of(matrix, Some(id.vantage))?, id)))
        .filter(|(resolver, _)| !only_there(resolver.ip()))
        .collect();
    let odd = answers::odd_addresses(matrix);
    let untried = |vantage: &usize| {
        let mut forced = matrix
            .vantage(*vantage)
            .experiments(ExperimentKind::ForcedAddress);
        forced.next().is_none()
    };
    let misled = odd
        .iter()
        .flat_map(|odd| odd.given.iter().copied())
        .filter(untried);
    let nameless = matrix
        .answered()
        .filter(|&vantage| matrix.vantage(vantage).nameless());
    let asking: BTreeSet<usize> = nameless.chain(misled).collect();
    let asked = asking.into_iter().take(PER_TROUBLE).filter_map(|vantage| {
        let own = answers::resolver_of(matrix, Some(vantage));
        let &(resolver, id) = good.iter().find(|&&(resolver, _)| Some(resolver) != own)?;
        let attempt = matrix.cell(id).attempt;
        Some(Experiment {
            kind: ExperimentKind::OtherResolver,
            agent: matrix.vantage(vantage).seen.agent.clone(),
            address: attempt.address,
            endpoint: attempt.endpoint,
            variation: Variation {
                resolver: Some(resolver),
                ..Variation::default()
            },
        })
    });
    asked.collect()
}

/// Whether an address means another host, or none, at another place.
fn only_there(resolver: IpAddr) -> bool {
    match resolver {
        IpAddr::V4(resolver) => {
            resolver.is_loopback() || resolver.is_link_local() || resolver.is_unspecified()
        }
        IpAddr::V6(resolver) => {
            resolver.is_loopback() || resolver.is_unicast_link_local() || resolver.is_unspecified()
        }
    }
}

/// Parts a dead host from a filtered port, a missing route from a rejecting rule, and a reset of the host from a
/// nearer one: a port that is closed nearly everywhere, where the connection fails and at one healthy witness.
pub(super) fn control_ports(matrix: &Matrix) -> Vec<Experiment> {
    let endpoint = Endpoint {
        port: CONTROL_PORT,
        security: Security::Plaintext,
    };
    let mut wishes = Vec::new();
    for column in matrix.columns() {
        let telling = telling(matrix, &column);
        if telling.is_empty() || column.endpoint.port == CONTROL_PORT {
            continue;
        }
        let witness = column
            .cells
            .iter()
            .find(|&&id| matrix.cell(id).reach == Reach::Connected);
        wishes.extend(
            telling
                .iter()
                .take(PER_TROUBLE)
                .chain(witness)
                .map(|id| Experiment {
                    kind: ExperimentKind::ControlPort,
                    agent: matrix.vantage(id.vantage).seen.agent.clone(),
                    address: column.address,
                    endpoint,
                    variation: Variation::default(),
                }),
        );
    }
    wishes
}

/// Where a column fails in a way that a control port would say more about.
fn telling(matrix: &Matrix, column: &Column) -> Vec<CellId> {
    let connected = |id: &CellId| matrix.cell(*id).reach == Reach::Connected;
    let somebody_connects = column.cells.iter().any(connected);
    let cells = column.cells.iter().copied();
    cells
        .filter(|&id| match matrix.cell(id).reach {
            Reach::Silent => true,
            Reach::Reset => somebody_connects,
            Reach::Icmp(icmp) => matches!(icmp.class, IcmpClass::NoRoute | IcmpClass::HostUnreachable),
            Reach::Connected | Reach::Local(_) | Reach::Unclear | Reach::Untried => false,
        })
        .filter(|&id| !answered_on_another_port(matrix, id) && !other_family_connects(matrix, id))
        .filter(|&id| !told_by_a_path(matrix, id))
        .collect()
}

/// Whether the path to another port says already whether the host answers; who refuses by ICMP is asked all the same.
fn told_by_a_path(matrix: &Matrix, id: CellId) -> bool {
    matches!(matrix.cell(id).reach, Reach::Silent | Reach::Reset)
        && trace::beside(matrix, id).next().is_some()
}

fn answered_on_another_port(matrix: &Matrix, id: CellId) -> bool {
    let attempt = matrix.cell(id).attempt;
    matrix.vantage(id.vantage).cells.iter().any(|other| {
        other.attempt.address == attempt.address
            && other.attempt.endpoint.port != attempt.endpoint.port
            && matches!(other.reach, Reach::Connected | Reach::Reset)
    })
}

/// A broken family stays one whatever another port says.
fn other_family_connects(matrix: &Matrix, id: CellId) -> bool {
    let family = matrix.cell(id).family();
    matrix
        .vantage(id.vantage)
        .cells
        .iter()
        .any(|other| other.family() != family && other.reach == Reach::Connected)
}

/// Parts a server that speaks only what modern clients do not from a handshake that fails for another reason.
pub(super) fn raw_hellos(matrix: &Matrix) -> Vec<Experiment> {
    let mut wishes = Vec::new();
    for column in matrix.columns() {
        let kind = ExperimentKind::RawHello;
        let known = matrix.experiments_at(kind, column.address, column.endpoint);
        if known.count() > 0 {
            continue;
        }
        let refused = column.cells.iter().filter(|&&id| hello_refused(matrix, id));
        wishes.extend(refused.take(RAW_HELLOS).map(|id| Experiment {
            kind,
            agent: matrix.vantage(id.vantage).seen.agent.clone(),
            address: column.address,
            endpoint: column.endpoint,
            variation: Variation::default(),
        }));
    }
    wishes
}

/// Whether the handshake ended with the server's refusal of the very first message.
fn hello_refused(matrix: &Matrix, id: CellId) -> bool {
    let Some(stage) = matrix.cell(id).attempt.failed_stage() else {
        return false;
    };
    let facts = stage.evidence.as_ref().and_then(Evidence::tls);
    let refused = match stage.outcome.fault().map(|fault| fault.kind) {
        Some(FaultKind::Tls(TlsFault::ProtocolVersion | TlsFault::HandshakeFailed)) => true,
        Some(FaultKind::Tls(TlsFault::Other)) => facts.is_some_and(|facts| facts.alert.is_some()),
        Some(FaultKind::Tls(TlsFault::ConnectionReset) | FaultKind::Tcp(TcpFault::ConnectionReset)) => {
            facts.is_none_or(|facts| facts.bytes_received == 0)
        }
        _ => false,
    };
    refused && matches!(stage.name, StageName::Tls | StageName::Starttls)
}

/// Whether a command sent in clear is carried out behind TLS: one connection, at one vantage point, once for each
/// address where STARTTLS works.
pub(super) fn injections(matrix: &Matrix) -> Vec<Experiment> {
    let kind = ExperimentKind::StarttlsInjection;
    let starttls = matrix
        .columns()
        .into_iter()
        .filter(|column| column.endpoint.security == Security::Starttls);
    starttls
        .filter(|column| {
            matrix
                .experiments_at(kind, column.address, column.endpoint)
                .next()
                .is_none()
        })
        .filter_map(|column| {
            let works = |id: &&CellId| matrix.cell(**id).passed(StageName::Starttls);
            let cell = column.cells.iter().find(works)?;
            Some(Experiment {
                kind,
                agent: matrix.vantage(cell.vantage).seen.agent.clone(),
                address: column.address,
                endpoint: column.endpoint,
                variation: Variation::default(),
            })
        })
        .collect()
}

/// Parts a fault from chance: one vantage point against one, or a server that turns away one source.
/// Never a login: that is tried once.
pub(super) fn repeats(matrix: &Matrix) -> Vec<Experiment> {
    let mut wishes = Vec::new();
    for column in matrix.columns() {
        let failing: Vec<CellId> = column
            .cells
            .iter()
            .copied()
            .filter(|&id| chance(matrix, id))
            .collect();
        let working = column.cells.iter().filter(|&&id| matrix.served(id)).count();
        let [only] = failing.as_slice() else { continue };
        let turned_away = matrix.cell(*only).reach == Reach::Connected;
        if working == 1 || (working > 1 && turned_away) {
            wishes.push(Experiment {
                kind: ExperimentKind::Repeat,
                agent: matrix.vantage(only.vantage).seen.agent.clone(),
                address: column.address,
                endpoint: column.endpoint,
                variation: Variation::default(),
            });
        }
    }
    wishes
}

/// Whether an attempt failed in a way that might not happen twice.
fn chance(matrix: &Matrix, id: CellId) -> bool {
    let Some(stage) = matrix.cell(id).attempt.failed_stage() else {
        return false;
    };
    let certificate = stage
        .outcome
        .fault()
        .is_some_and(|fault| is_certificate(fault.kind));
    let remote = !matches!(
        matrix.cell(id).reach,
        Reach::Local(_) | Reach::Unclear | Reach::Untried
    );
    let own = stage
        .outcome
        .fault()
        .is_some_and(|fault| matches!(fault.kind, FaultKind::Agent(_)));
    stage.name < StageName::Authenticate && remote && !certificate && !own
}
