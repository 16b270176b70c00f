//! Who was let in, one a line.

use jiff::Timestamp;
use parallax_model::identity::SpiffeId;
use parallax_proto::v1;
use serde::Serialize;

use super::canvas::{Canvas, Tone};
use super::grid::{Cell, Grid, Row};
use super::{text, words};

/// A person or an agent that was let in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Identity {
    spiffe_id: String,
    certificates: u32,
    certificate_ends: Timestamp,
    token: Option<String>,
    removed_at: Option<Timestamp>,
}

impl TryFrom<v1::KnownIdentity> for Identity {
    type Error = jiff::Error;

    fn try_from(wire: v1::KnownIdentity) -> Result<Self, jiff::Error> {
        let removed_at = match wire.removed_at_us {
            0 => None,
            at => Some(Timestamp::from_microsecond(at)?),
        };
        Ok(Self {
            spiffe_id: wire.spiffe_id,
            certificates: wire.certificates,
            certificate_ends: Timestamp::from_microsecond(wire.not_after_us)?,
            token: (!wire.token_id.is_empty()).then_some(wire.token_id),
            removed_at,
        })
    }
}

/// Everybody who is remembered.
pub(crate) fn table(identities: &[Identity], now: Timestamp, canvas: Canvas) -> String {
    let mut grid = Grid::headed(&["IDENTITY", "STATE", "CERTIFICATES", "UNTIL", "TOKEN"]);
    for identity in identities {
        let (state, tone) = state(identity, now);
        let token = identity.token.as_deref().map_or("-".to_owned(), words::safe);
        grid.push(Row::Cells(vec![
            Cell::left(short(&identity.spiffe_id), Tone::Strong),
            Cell::left(state, tone),
            Cell::right(identity.certificates.to_string(), Tone::Plain),
            Cell::left(words::moment(identity.certificate_ends), Tone::Plain),
            Cell::left(token, Tone::Plain),
        ]));
    }
    text(&grid.lines(canvas))
}

fn state(identity: &Identity, now: Timestamp) -> (&'static str, Tone) {
    if identity.removed_at.is_some() {
        ("removed", Tone::Bad)
    } else if identity.certificates == 0 || identity.certificate_ends <= now {
        ("expired", Tone::Faint)
    } else {
        ("good", Tone::Good)
    }
}

/// `operator/ada`, as `ctl access remove` takes it.
fn short(spiffe_id: &str) -> String {
    match spiffe_id.parse::<SpiffeId>() {
        Ok(id) => format!("{}/{}", id.role, id.name),
        Err(_) => words::safe(spiffe_id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_named_as_it_is_removed() {
        let now = Timestamp::from_second(1_700_000_000).expect("a time");
        let wire = v1::KnownIdentity {
            spiffe_id: "spiffe://parallax.internal/operator/ada".into(),
            certificates: 1,
            not_after_us: now.as_microsecond() + 1,
            ..v1::KnownIdentity::default()
        };
        let removed = v1::KnownIdentity {
            removed_at_us: 1,
            ..wire.clone()
        };
        let identities = [wire, removed].map(|wire| Identity::try_from(wire).expect("reads"));
        let text = table(&identities, now, Canvas::PLAIN);
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert!(lines[0].starts_with("operator/ada  good"), "{text}");
        assert!(lines[1].starts_with("operator/ada  removed"), "{text}");
    }
}
