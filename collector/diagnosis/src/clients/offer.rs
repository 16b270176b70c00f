//! What one attempt shows of a service, as far as a client cares.

use std::collections::BTreeSet;

use parallax_model::evidence::Evidence;
use parallax_model::experiment::ExperimentKind;
use parallax_model::fault::{FaultKind, TlsFault};
use parallax_model::stage::StageName;
use parallax_model::target::Security;

use crate::matrix::{Cell, Matrix};
use crate::rules::certificate::is_certificate;

/// What a server of IMAP4rev2 need not announce one by one (RFC 9051 appendix E).
const IN_REV2: &[&str] = &[
    "NAMESPACE",
    "UNSELECT",
    "UIDPLUS",
    "ESEARCH",
    "SEARCHRES",
    "ENABLE",
    "IDLE",
    "SASL-IR",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "MOVE",
    "LITERAL-",
    "SPECIAL-USE",
];

/// What one attempt shows.
pub(super) struct Offer {
    pub(super) security: Security,
    /// The TLS version agreed on, or learnt by a hello made by hand.
    pub(super) version: Option<String>,
    pub(super) certificate: Certificate,
    /// Announced behind TLS, before the login.
    pub(super) before: Option<Capabilities>,
    /// Announced after the login.
    pub(super) after: Option<Capabilities>,
    /// Special-use roles that a mailbox has, in lower case.
    pub(super) roles: Option<BTreeSet<String>>,
}

/// What a client would think of the certificate.
pub(super) enum Certificate {
    /// None was seen.
    Unseen,
    Good,
    /// The names of what is wrong with it.
    Bad(Vec<&'static str>),
}

/// What a server announces.
#[derive(Clone)]
pub(super) struct Capabilities(BTreeSet<String>);

impl Capabilities {
    fn of<'a>(words: impl IntoIterator<Item = &'a String>) -> Option<Self> {
        let words: BTreeSet<String> = words.into_iter().map(|word| word.to_ascii_uppercase()).collect();
        (!words.is_empty()).then_some(Self(words))
    }

    /// Whether a word is announced, or taken for granted.
    pub(super) fn has(&self, word: &str) -> bool {
        let word = word.to_ascii_uppercase();
        self.0.contains(&word) || (IN_REV2.contains(&word.as_str()) && self.0.contains("IMAP4REV2"))
    }

    /// The ways to log in.
    pub(super) fn mechanisms(&self) -> Vec<String> {
        let sasl = self.0.iter().filter_map(|word| word.strip_prefix("AUTH="));
        let mut all: Vec<String> = sasl.map(str::to_owned).collect();
        if !self.0.contains("LOGINDISABLED") {
            all.push("login_command".to_owned());
        }
        all
    }
}

impl Offer {
    /// What the attempts of one vantage point show; those that ask for no TLS, or did not come so far, show nothing
    /// of what clients would meet.
    pub(super) fn all(matrix: &Matrix, vantage: usize) -> Vec<Self> {
        matrix
            .cells_of(vantage)
            .map(|id| matrix.cell(id))
            .filter(|cell| cell.attempt.endpoint.security != Security::Plaintext)
            .filter(|cell| cell.handshake().is_some())
            .map(|cell| Self::of(matrix, cell))
            .collect()
    }

    fn of(matrix: &Matrix, cell: &Cell) -> Self {
        let attempt = cell.attempt;
        let before = before(cell);
        Self {
            security: attempt.endpoint.security,
            version: version(matrix, cell),
            certificate: certificate(cell),
            after: after(cell, before.as_ref()),
            before,
            roles: roles(cell),
        }
    }
}

fn version(matrix: &Matrix, cell: &Cell) -> Option<String> {
    let agreed = cell.handshake().and_then(|(_, facts)| facts.version.clone());
    agreed.or_else(|| {
        let attempt = cell.attempt;
        matrix
            .experiments_at(ExperimentKind::RawHello, attempt.address, attempt.endpoint)
            .find_map(|(_, cell)| cell.handshake()?.1.raw_hello.as_ref()?.version.clone())
    })
}

/// Few clients look for a missing staple or a TLSA record; an end that comes soon stops nobody.
fn certificate(cell: &Cell) -> Certificate {
    let Some((stage, facts)) = cell.handshake() else {
        return Certificate::Unseen;
    };
    let mut bad: Vec<&'static str> = stage
        .outcome
        .fault()
        .into_iter()
        .chain(&facts.certificate_faults)
        .map(|fault| fault.kind)
        .filter(|&kind| is_certificate(kind))
        .filter(|kind| {
            !matches!(
                kind,
                FaultKind::Tls(TlsFault::StapleMissing | TlsFault::TlsaMismatch)
            )
        })
        .map(FaultKind::as_str)
        .collect();
    bad.sort_unstable();
    bad.dedup();
    if !bad.is_empty() {
        Certificate::Bad(bad)
    } else if facts.verified {
        Certificate::Good
    } else {
        Certificate::Unseen
    }
}

fn before(cell: &Cell) -> Option<Capabilities> {
    let name = match cell.attempt.endpoint.security {
        Security::Starttls => StageName::Starttls,
        Security::Tls | Security::Plaintext => StageName::Capability,
    };
    if !cell.passed(name) {
        return None;
    }
    match cell.attempt.stage(name)?.evidence.as_ref()? {
        Evidence::Capability(facts) => Capabilities::of(&facts.capabilities),
        Evidence::Starttls(facts) => Capabilities::of(&facts.capabilities),
        _ => None,
    }
}

fn after(cell: &Cell, before: Option<&Capabilities>) -> Option<Capabilities> {
    if !cell.passed(StageName::Authenticate) {
        return None;
    }
    let Evidence::Authenticate(facts) = cell.attempt.stage(StageName::Authenticate)?.evidence.as_ref()?
    else {
        return None;
    };
    if facts.capabilities.is_empty() && !(facts.added.is_empty() && facts.removed.is_empty()) {
        let mut words = before?.0.clone();
        words.extend(facts.added.iter().map(|word| word.to_ascii_uppercase()));
        words.retain(|word| !facts.removed.iter().any(|gone| gone.eq_ignore_ascii_case(word)));
        return Some(Capabilities(words));
    }
    Capabilities::of(&facts.capabilities)
}

fn roles(cell: &Cell) -> Option<BTreeSet<String>> {
    if !cell.passed(StageName::List) {
        return None;
    }
    match cell.attempt.stage(StageName::List)?.evidence.as_ref()? {
        Evidence::List(facts) => Some(
            facts
                .roles
                .keys()
                .map(|role| role.trim_start_matches('\\').to_ascii_lowercase())
                .collect(),
        ),
        _ => None,
    }
}
