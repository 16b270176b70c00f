//! Join tokens, one a line, in the words of `ctl token list`.

use jiff::Timestamp;
use parallax_model::text::{escape_json, escape_str};
use parallax_model::vantage::Labels;
use serde::Serialize;

use crate::store::TokenRecord;

const HEAD: [&str; 8] = ["ID", "ROLE", "NAMES", "STATE", "USED", "EXPIRES", "BY", "LABELS"];
/// The column whose cells stand at the right, as numbers do.
const USED: usize = 4;
const GAP: &str = "  ";
/// Characters of a name or a label.
const TEXT_AT_MOST: usize = 200;

/// Tokens without their secrets.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Listed(Vec<Token>);

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Token {
    id: String,
    role: String,
    names: String,
    labels: Labels,
    replace: bool,
    created_at: Timestamp,
    created_by: String,
    expires_at: Timestamp,
    uses: u32,
    used: u32,
    revoked_at: Option<Timestamp>,
}

impl Listed {
    pub(super) fn of(tokens: Vec<TokenRecord>) -> Self {
        Self(tokens.into_iter().map(Token::of).collect())
    }

    /// For a program.
    ///
    /// # Errors
    /// Never, as far as tokens go.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| escape_json(&text) + "\n")
    }

    /// For a person.
    pub fn table(&self, now: Timestamp) -> String {
        if self.0.is_empty() {
            return "no token was made yet\n".to_owned();
        }
        let mut rows = vec![HEAD.map(str::to_owned)];
        rows.extend(self.0.iter().map(|token| token.cells(now)));
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        let widths: Vec<usize> = (0..HEAD.len()).map(|at| width(at).unwrap_or(0)).collect();
        rows.iter().map(|row| line(row, &widths)).collect()
    }
}

impl Token {
    fn of(token: TokenRecord) -> Self {
        Self {
            id: token.id(),
            role: token.role.to_string(),
            names: token.names.to_string(),
            labels: token.labels,
            replace: token.takes_over,
            created_at: token.created_at,
            created_by: token.created_by.unwrap_or_default(),
            expires_at: token.expires_at,
            uses: token.uses,
            used: token.used,
            revoked_at: token.revoked_at,
        }
    }

    fn cells(&self, now: Timestamp) -> [String; HEAD.len()] {
        let by = match self.created_by.rsplit_once('/') {
            Some((_, name)) => escape_str(name, TEXT_AT_MOST),
            None => "its host".to_owned(),
        };
        let labels: Vec<String> = self
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let names = if self.names.is_empty() { "any" } else { &self.names };
        [
            self.id.clone(),
            self.role.clone(),
            names.to_owned(),
            self.state(now).to_owned(),
            format!("{}/{}", self.used, self.uses),
            self.expires_at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            by,
            labels.join(" "),
        ]
    }

    fn state(&self, now: Timestamp) -> &'static str {
        if self.revoked_at.is_some() {
            "revoked"
        } else if self.used >= self.uses {
            "used up"
        } else if self.expires_at <= now {
            "expired"
        } else {
            "good"
        }
    }
}

fn line(row: &[String; HEAD.len()], widths: &[usize]) -> String {
    let cells = row.iter().zip(widths).enumerate().map(|(at, (cell, &width))| {
        // A title stands at the left of its column, numbers or not.
        if at == USED && cell != HEAD[USED] {
            format!("{cell:>width$}")
        } else {
            format!("{cell:<width$}")
        }
    });
    let cells: Vec<String> = cells.collect();
    format!("{}\n", cells.join(GAP).trim_end())
}

#[cfg(test)]
mod tests {
    use parallax_model::identity::Role;
    use parallax_model::token::TokenNames;

    use super::*;

    #[test]
    fn a_token_is_a_line_that_says_what_it_is_still_worth() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let token = TokenRecord {
            hash: [7; 32],
            role: Role::Agent,
            names: TokenNames::Any,
            labels: Labels::from([("tier".to_owned(), "test".to_owned())]),
            takes_over: false,
            created_at: now,
            created_by: None,
            expires_at: now + jiff::SignedDuration::from_hours(1),
            uses: 20,
            used: 3,
            revoked_at: None,
        };
        let table = |token: TokenRecord, now| Listed::of(vec![token]).table(now);
        assert_eq!(
            table(token.clone(), now),
            "ID        ROLE   NAMES  STATE  USED  EXPIRES                  BY        LABELS\n\
             07070707  agent  any    good   3/20  2023-11-14 23:13:20 UTC  its host  tier=test\n"
        );
        assert!(table(token.clone(), token.expires_at).contains("expired"));
        let revoked = TokenRecord {
            revoked_at: Some(now),
            ..token
        };
        assert!(table(revoked, now).contains("revoked"));
        assert_eq!(Listed(Vec::new()).table(now), "no token was made yet\n");
    }
}
