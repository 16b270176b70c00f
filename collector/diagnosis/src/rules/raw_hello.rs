//! Hellos that were made by hand, and what servers answered.

use std::collections::BTreeSet;

use parallax_model::evidence::RawHelloFacts;
use parallax_model::experiment::ExperimentKind;

use crate::matrix::Matrix;
use crate::trouble::TroubleId;
use crate::words;

/// What a hello made by hand says of a refused handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RawHello {
    /// Not sent, or nothing learnt.
    Unknown,
    /// The server chooses TLS 1.1 or older.
    Old,
    /// The server chooses TLS 1.2 or newer: not the version, but the suite or something else in the hello.
    Modern,
    /// Refused too.
    Refused,
}

impl RawHello {
    pub(super) fn of(facts: &RawHelloFacts) -> Self {
        match facts.version.as_deref() {
            Some("SSLv3" | "TLSv1.0" | "TLSv1.1") => Self::Old,
            Some(_) => Self::Modern,
            None if facts.alert.is_some() => Self::Refused,
            None => Self::Unknown,
        }
    }
}

/// What hellos made by hand learnt where these troubles are, and from where they were sent.
pub(super) fn raw_hellos<'a>(matrix: &Matrix<'a>, troubles: &[TroubleId]) -> Vec<(usize, &'a RawHelloFacts)> {
    let mut seen = BTreeSet::new();
    troubles
        .iter()
        .filter_map(|&id| matrix.troubles[id].cell)
        .map(|cell| matrix.cell(cell).attempt)
        .filter(|attempt| seen.insert((attempt.address, attempt.endpoint)))
        .flat_map(|attempt| {
            matrix
                .experiments_at(ExperimentKind::RawHello, attempt.address, attempt.endpoint)
                .filter_map(|(vantage, cell)| Some((vantage, cell.handshake()?.1.raw_hello.as_ref()?)))
                .collect::<Vec<_>>()
        })
        .collect()
}

pub(super) fn learnt(matrix: &Matrix, vantage: usize, facts: &RawHelloFacts) -> String {
    let answer = match (&facts.version, &facts.cipher_suite, &facts.alert) {
        (Some(version), Some(suite), _) => {
            format!("{} with {}", words::quote(version), words::quote(suite))
        }
        (Some(version), None, _) => words::quote(version),
        (None, _, Some(alert)) => format!("the alert {}", words::quote(alert)),
        (None, _, None) => "nothing".to_owned(),
    };
    let offered = if facts.offered.is_empty() {
        String::new()
    } else {
        format!(" that offers {}", words::quote(&facts.offered.join(", ")))
    };
    format!(
        "{}: a hello made by hand{offered} is answered with {answer}",
        matrix.name(vantage)
    )
}
