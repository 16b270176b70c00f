//! Join tokens, one a line.

use std::collections::BTreeMap;

use jiff::Timestamp;
use parallax_proto::v1;
use serde::Serialize;

use super::canvas::{Canvas, Tone};
use super::grid::{Cell, Grid, Row};
use super::{text, words};

/// A token without its secret.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Token {
    id: String,
    role: String,
    names: String,
    labels: BTreeMap<String, String>,
    replace: bool,
    created_at: Timestamp,
    created_by: String,
    expires_at: Timestamp,
    uses: u32,
    used: u32,
    revoked_at: Option<Timestamp>,
}

impl TryFrom<v1::Token> for Token {
    type Error = jiff::Error;

    fn try_from(wire: v1::Token) -> Result<Self, jiff::Error> {
        let revoked_at = match wire.revoked_at_us {
            0 => None,
            at => Some(Timestamp::from_microsecond(at)?),
        };
        Ok(Self {
            id: wire.id,
            role: wire.role,
            names: wire.names,
            labels: wire.labels.into_iter().collect(),
            replace: wire.replace,
            created_at: Timestamp::from_microsecond(wire.created_at_us)?,
            created_by: wire.created_by,
            expires_at: Timestamp::from_microsecond(wire.expires_at_us)?,
            uses: wire.uses,
            used: wire.used,
            revoked_at,
        })
    }
}

/// Every token that was made.
pub(crate) fn table(tokens: &[Token], now: Timestamp, canvas: Canvas) -> String {
    if tokens.is_empty() {
        return "no token was made yet\n".to_owned();
    }
    let mut grid = Grid::headed(&["ID", "ROLE", "NAMES", "STATE", "USED", "EXPIRES", "BY", "LABELS"]);
    for token in tokens {
        let (state, tone) = state(token, now);
        let names = if token.names.is_empty() {
            "any"
        } else {
            &token.names
        };
        grid.push(Row::Cells(vec![
            Cell::left(words::safe(&token.id), Tone::Strong),
            Cell::left(words::safe(&token.role), Tone::Plain),
            Cell::prose(words::safe(names), Tone::Plain),
            Cell::left(state, tone),
            Cell::right(format!("{}/{}", token.used, token.uses), Tone::Plain),
            Cell::left(words::moment(token.expires_at), Tone::Plain),
            Cell::left(by(token), Tone::Plain),
            Cell::prose(words::labels(&token.labels), Tone::Plain),
        ]));
    }
    text(&grid.lines(canvas))
}

fn state(token: &Token, now: Timestamp) -> (&'static str, Tone) {
    if token.revoked_at.is_some() {
        ("revoked", Tone::Bad)
    } else if token.used >= token.uses {
        ("used up", Tone::Faint)
    } else if token.expires_at <= now {
        ("expired", Tone::Faint)
    } else {
        ("good", Tone::Good)
    }
}

fn by(token: &Token) -> String {
    match token.created_by.rsplit_once('/') {
        Some((_, name)) => words::safe(name),
        None => "its host".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_token_is_still_worth_is_said_first() {
        let now = Timestamp::from_second(1_700_000_000).expect("a time");
        let token = |change: fn(&mut v1::Token)| {
            let mut wire = v1::Token {
                id: "3f2a9c01".into(),
                role: "agent".into(),
                names: "fra-*".into(),
                created_at_us: 1,
                expires_at_us: now.as_microsecond() + 1,
                uses: 2,
                used: 1,
                created_by: "spiffe://parallax.internal/admin/ada".into(),
                ..v1::Token::default()
            };
            change(&mut wire);
            Token::try_from(wire).expect("reads")
        };
        let line = |token: Token| {
            let text = table(&[token], now, Canvas::PLAIN);
            text.lines().nth(1).expect("a line").to_owned()
        };
        let good = line(token(|_| ()));
        assert!(
            good.starts_with("3f2a9c01  agent  fra-*  good") && good.contains("ada"),
            "{good}"
        );
        assert!(line(token(|wire| wire.used = 2)).contains("used up"));
        assert!(line(token(|wire| wire.expires_at_us = 1)).contains("expired"));
        assert!(line(token(|wire| wire.revoked_at_us = 1)).contains("revoked"));
    }
}
