//! What the policy forbids, by which rule.

use std::fmt::Display;
use std::net::IpAddr;

use parallax_model::refusal::{PolicyMatter, PolicyRefusal};

/// Longest text of a rule or a value that is told, in characters: the rest of a long list adds nothing.
const TOLD: usize = 200;

/// Something that the policy forbids: in words, and by the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Forbidden {
    sentence: String,
    refusal: Box<PolicyRefusal>,
}

impl Forbidden {
    pub(crate) fn new(
        what: PolicyMatter,
        rule: impl Display,
        value: impl Display,
        sentence: impl Into<String>,
    ) -> Self {
        Self {
            sentence: sentence.into(),
            refusal: Box::new(PolicyRefusal {
                what,
                rule: told(&rule),
                value: told(&value),
                address: None,
                port: None,
            }),
        }
    }

    /// The same about a port of an address.
    #[must_use]
    pub(crate) fn at(mut self, address: IpAddr, port: u16) -> Self {
        self.refusal.address = Some(address);
        self.refusal.port = Some(port);
        self
    }

    /// By which rule.
    pub fn refusal(&self) -> &PolicyRefusal {
        &self.refusal
    }
}

fn told(text: &impl Display) -> String {
    let text = text.to_string();
    match text.char_indices().nth(TOLD) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
