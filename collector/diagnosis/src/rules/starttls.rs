//! STARTTLS that is not offered, refused, or unsafe; logins offered in clear.

use std::collections::BTreeMap;

use parallax_model::evidence::{CapabilityEvidence, Evidence};
use parallax_model::experiment::ExperimentKind;
use parallax_model::fault::{FaultKind, ImapFault, TcpFault};
use parallax_model::finding::{FindingKind, Location, Segment, Severity};
use parallax_model::stage::StageName;
use parallax_model::target::Security;

use crate::candidate::Candidate;
use crate::command;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::{Cell, CellId, Matrix};
use crate::overlay;
use crate::product::Look;
use crate::trouble::{Trouble, TroubleId};
use crate::words;

const CLEARTEXT: Look =
    Look::new("doveconf -a | grep -E '^(ssl|disable_plaintext_auth|auth_allow_cleartext) '")
        .courier("grep -E '^(IMAP_TLS_REQUIRED|IMAP_CAPABILITY)' /etc/courier/imapd*")
        .cyrus("cyr_info conf | grep allowplaintext");

/// Claim: TLS can't be started on this plain port. Where others are offered STARTTLS at the same address, where the
/// greeting announced it and CAPABILITY does not, or where the word was overwritten with X, somebody on the way took it out.
/// Disproved by: STARTTLS in the capabilities, and a handshake behind it.
pub(crate) fn unavailable(matrix: &Matrix) -> Vec<Candidate> {
    let mut groups: BTreeMap<FindingKind, Vec<TroubleId>> = BTreeMap::new();
    for (id, trouble) in matrix.troubles.iter().enumerate() {
        if let Some(kind) = kind(matrix, trouble) {
            groups.entry(kind).or_default().push(id);
        }
    }
    groups
        .into_iter()
        .map(|(kind, troubles)| candidate(matrix, kind, &troubles))
        .collect()
}

fn kind(matrix: &Matrix, trouble: &Trouble) -> Option<FindingKind> {
    let fault = trouble.fault()?.kind;
    let at_starttls = trouble.stage == Some(StageName::Starttls);
    match fault {
        FaultKind::Imap(ImapFault::StarttlsMissing) => Some(missing(matrix, trouble)),
        FaultKind::Imap(ImapFault::StarttlsInjection) => Some(FindingKind::StarttlsInjection),
        FaultKind::Imap(ImapFault::Slow) => None,
        FaultKind::Imap(_) if at_starttls => Some(FindingKind::StarttlsFailed),
        FaultKind::Tcp(TcpFault::Other) if at_starttls => Some(FindingKind::StarttlsFailed),
        _ => None,
    }
}

fn missing(matrix: &Matrix, trouble: &Trouble) -> FindingKind {
    let Some(cell) = trouble.cell else {
        return FindingKind::StarttlsMissing;
    };
    let overwritten = capabilities(matrix, cell)
        .iter()
        .any(|capability| capability.len() > 5 && capability.bytes().all(|byte| byte == b'X'));
    let announced = removed(matrix, cell)
        .iter()
        .any(|capability| capability.eq_ignore_ascii_case("STARTTLS"));
    let offered_to_others = matrix.beside(cell).any(|other| {
        matrix.cell(other).passed(StageName::Starttls)
            || capabilities(matrix, other)
                .iter()
                .any(|one| one.eq_ignore_ascii_case("STARTTLS"))
    });
    if overwritten || announced || offered_to_others {
        FindingKind::StarttlsStripped
    } else {
        FindingKind::StarttlsMissing
    }
}

/// Whether this vantage point was offered STARTTLS there when it last worked.
fn offered_before(matrix: &Matrix, id: CellId) -> bool {
    matrix.attempt_before(id).is_some_and(|before| {
        let stage = before.stage(StageName::Starttls);
        stage.is_some_and(|stage| stage.outcome.fault().is_none() && stage.evidence.is_some())
    })
}

fn capabilities<'a>(matrix: &Matrix<'a>, cell: CellId) -> &'a [String] {
    announcement(matrix, cell).map_or(&[], |facts| &facts.capabilities)
}

/// Capabilities that the greeting had and the answer to CAPABILITY has not.
fn removed<'a>(matrix: &Matrix<'a>, cell: CellId) -> &'a [String] {
    announcement(matrix, cell).map_or(&[], |facts| &facts.removed)
}

fn announcement<'a>(matrix: &Matrix<'a>, cell: CellId) -> Option<&'a CapabilityEvidence> {
    let attempt = matrix.cell(cell).attempt;
    match attempt.stage(StageName::Capability)?.evidence.as_ref()? {
        Evidence::Capability(facts) => Some(facts),
        _ => None,
    }
}

fn candidate(matrix: &Matrix, kind: FindingKind, troubles: &[TroubleId]) -> Candidate {
    let extent = Extent::of(matrix, troubles);
    let stripped = kind == FindingKind::StarttlsStripped;
    let cells: Vec<CellId> = troubles
        .iter()
        .filter_map(|&id| matrix.troubles[id].cell)
        .collect();
    let lost = cells.iter().copied().find(|&id| offered_before(matrix, id));
    let confidence = match (kind, lost) {
        (FindingKind::StarttlsStripped, _) => 0.8,
        // The server's own choice, or somebody in front of everybody since.
        (FindingKind::StarttlsMissing, Some(_)) => 0.6,
        _ => extent.stated(),
    };
    let location = if stripped {
        overlay::in_front(matrix, &cells)
    } else {
        Location::segment(extent.segment())
    };
    let phrase = match kind {
        FindingKind::StarttlsStripped => "STARTTLS is taken out on the way",
        FindingKind::StarttlsMissing => "the server does not offer STARTTLS",
        FindingKind::StarttlsInjection => {
            "bytes in clear follow the answer to STARTTLS, which could be injected"
        }
        _ => "the server does not start TLS",
    };
    let lines = troubles
        .iter()
        .filter_map(|&id| matrix.troubles[id].cell)
        .filter_map(|cell| offered(matrix, cell));
    let spared = matrix.cells().filter(|id| extent.spared.contains(&id.vantage));
    let found = Candidate::new(matrix, kind, confidence, troubles.iter().copied())
        .at(location)
        .summary(format!(
            "{}: {phrase}",
            super::session::who_fails(matrix, &extent, StageName::Starttls, troubles)
        ))
        .because(fact::first(troubles.iter().map(|&id| fact::trouble(matrix, id))))
        .because(fact::first(lines))
        .because(spared.filter_map(|cell| offered(matrix, cell)).take(2))
        .because(lost.map(|id| {
            format!(
                "{}: STARTTLS was offered at {} when it last worked",
                matrix.name(id.vantage),
                matrix.cell(id).socket()
            )
        }))
        .told_apart_by("the capabilities that others are offered at the same address")
        .next(super::session::by_hand(matrix, troubles));
    match kind {
        FindingKind::StarttlsStripped => found.or(
            FindingKind::StarttlsMissing,
            0.15,
            "a backend of its own for this source: the capabilities over several connections",
        ),
        FindingKind::StarttlsMissing => found.or(
            FindingKind::StarttlsStripped,
            match (lost, extent.alone()) {
                (Some(_), _) => 0.35,
                (None, true) => 0.1,
                (None, false) => 0.05,
            },
            "the capabilities seen from inside the site",
        ),
        _ => found,
    }
}

fn offered(matrix: &Matrix, cell: CellId) -> Option<String> {
    let capabilities = capabilities(matrix, cell);
    (!capabilities.is_empty()).then(|| {
        format!(
            "{}: {} offers {}",
            matrix.name(cell.vantage),
            matrix.cell(cell).socket(),
            words::quote(&capabilities.join(" "))
        )
    })
}

/// Claim: the server carries out behind TLS what was sent in clear with STARTTLS (the class of CVE-2011-0411): who
/// stands in between can put his own commands before the client's, the login included.
/// Disproved by: the command discarded, refused or answered in clear.
pub(crate) fn injected(matrix: &Matrix) -> Vec<Candidate> {
    let executed = |cell: &&Cell| {
        let facts = cell.attempt.stage(StageName::Starttls)?.evidence.as_ref()?;
        match facts {
            Evidence::Starttls(facts) => (facts.injection.as_deref() == Some("executed")).then_some(()),
            _ => None,
        }
    };
    let hits: Vec<(usize, &Cell)> = matrix
        .answered()
        .flat_map(|vantage| {
            matrix
                .vantage(vantage)
                .experiments(ExperimentKind::StarttlsInjection)
                .filter(|cell| executed(cell).is_some())
                .map(move |cell| (vantage, cell))
        })
        .collect();
    let Some((_, first)) = hits.first() else {
        return Vec::new();
    };
    let found = Candidate::new(matrix, FindingKind::StarttlsInjection, 0.95, [])
        .severity(Severity::Critical)
        .also(hits.iter().map(|&(vantage, _)| vantage))
        .sockets(hits.iter().map(|(_, cell)| cell.socket()))
        .stage(StageName::Starttls)
        .segment(Segment::Service)
        .summary(format!(
            "{} carries out behind TLS what was sent to it in clear",
            matrix.host()
        ))
        .because(hits.iter().map(|(vantage, cell)| {
            format!(
                "{}: a command sent to {} in clear, together with STARTTLS, was answered behind TLS",
                matrix.name(*vantage),
                cell.socket()
            )
        }))
        .next([
            command::on(
                &first.attempt.address.to_string(),
                "dovecot --version; postconf mail_version; apt list --upgradable 2>/dev/null | grep -iE 'dovecot|courier|cyrus'",
            ),
            "until the server is updated, have clients use port 993 (RFC 8314 section 3)".to_owned(),
        ]);
    vec![found]
}

/// Claim: the server takes a password before TLS (RFC 8314 section 3 says it should not). Mail works all the same.
/// Disproved by: LOGINDISABLED among the capabilities in clear; a server may leave it out for its own host.
pub(crate) fn cleartext_login(matrix: &Matrix) -> Vec<Candidate> {
    let told =
        matrix.troubles_where(|trouble| trouble.kind() == Some(FaultKind::Imap(ImapFault::CleartextLogin)));
    let by_fault: Vec<CellId> = told.iter().filter_map(|&id| matrix.troubles[id].cell).collect();
    let cells: Vec<CellId> = matrix
        .cells()
        .filter(|id| takes_passwords_in_clear(matrix, *id) || by_fault.contains(id))
        .collect();
    if cells.is_empty() {
        return Vec::new();
    }
    let by_fault_lines: Vec<String> = told.iter().map(|&id| fact::trouble(matrix, id)).collect();
    let found = Candidate::new(matrix, FindingKind::CleartextLoginAllowed, 0.9, told)
        .severity(Severity::Warning)
        .also(cells.iter().map(|id| id.vantage))
        .sockets(cells.iter().map(|&id| matrix.cell(id).socket()))
        .stage(StageName::Capability)
        .segment(Segment::Service)
        .summary(format!("{} takes passwords before TLS", matrix.host()))
        .because(fact::first(by_fault_lines))
        .because(fact::first(cells.iter().filter_map(|&id| offered(matrix, id))))
        .next(
            cells
                .first()
                .map(|&id| CLEARTEXT.on(matrix, matrix.cell(id).attempt.address)),
        );
    vec![found]
}

fn takes_passwords_in_clear(matrix: &Matrix, id: CellId) -> bool {
    let cell = matrix.cell(id);
    let own_host = cell.attempt.address.is_loopback()
        || cell
            .connect()
            .and_then(|facts| facts.local)
            .is_some_and(|local| local.ip() == cell.attempt.address);
    let capabilities = capabilities(matrix, id);
    let has = |word: &str| {
        capabilities
            .iter()
            .any(|capability| capability.eq_ignore_ascii_case(word))
    };
    let offers = (has("AUTH=PLAIN") || has("AUTH=LOGIN")) && !has("LOGINDISABLED");
    let said = announcement(matrix, id).and_then(|facts| facts.cleartext_login);
    cell.attempt.endpoint.security != Security::Tls && !own_host && said.unwrap_or(offers)
}
