//! Which product answers, where it says so itself, and how to look at it from inside.

use std::net::IpAddr;

use parallax_model::evidence::Evidence;
use parallax_model::stage::StageName;

use crate::command;
use crate::matrix::{Cell, Matrix};

const COURIER_LOG: &str = "journalctl -u 'courier-*' -n 100";
const CYRUS_LOG: &str = "journalctl -u cyrus-imapd -n 100";

/// A product that is known from inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Product {
    Courier,
    Cyrus,
}

/// The same look at a server, in the commands of each product. One that does not say what it is is taken for Dovecot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    dovecot: &'static str,
    courier: &'static str,
    cyrus: &'static str,
}

impl Look {
    /// With the logs of the others.
    pub(crate) const fn new(dovecot: &'static str) -> Self {
        Self {
            dovecot,
            courier: COURIER_LOG,
            cyrus: CYRUS_LOG,
        }
    }

    pub(crate) const fn courier(self, courier: &'static str) -> Self {
        Self { courier, ..self }
    }

    pub(crate) const fn cyrus(self, cyrus: &'static str) -> Self {
        Self { cyrus, ..self }
    }

    /// The command, and that it is to be run on the host of this address.
    pub(crate) fn on(self, matrix: &Matrix, address: IpAddr) -> String {
        let command = match product(matrix, address) {
            None => self.dovecot,
            Some(Product::Courier) => self.courier,
            Some(Product::Cyrus) => self.cyrus,
        };
        command::on(&address.to_string(), command)
    }
}

/// What anybody heard at this address.
fn product(matrix: &Matrix, address: IpAddr) -> Option<Product> {
    let cells = matrix.cells().map(|id| matrix.cell(id));
    cells
        .filter(|cell| cell.attempt.address == address)
        .find_map(said)
}

fn said(cell: &Cell) -> Option<Product> {
    let stages = [StageName::Greeting, StageName::Id];
    let evidence = stages
        .into_iter()
        .filter_map(|name| cell.attempt.stage(name)?.evidence.as_ref());
    evidence
        .filter_map(|evidence| match evidence {
            Evidence::Greeting(facts) => Some(&facts.reply.as_ref()?.text),
            Evidence::Id(facts) => facts.server.get("name"),
            _ => None,
        })
        .find_map(|words| named(words))
}

fn named(words: &str) -> Option<Product> {
    let words = words.to_ascii_lowercase();
    if words.contains("courier-imap") {
        Some(Product::Courier)
    } else if words.contains("cyrus imap") {
        Some(Product::Cyrus)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_known_by_its_own_words_only() {
        let courier = "Courier-IMAP ready. Copyright 1998-2019 Double Precision, Inc.";
        assert_eq!(named(courier), Some(Product::Courier));
        assert_eq!(
            named("imap.lab.example Cyrus IMAP 3.6.1-Debian-3.6.1-4+deb12u5 server ready"),
            Some(Product::Cyrus)
        );
        assert_eq!(named("Cyrus IMAPD"), Some(Product::Cyrus));
        for other in ["Dovecot ready.", "courier", "", "Gimap ready for requests"] {
            assert_eq!(named(other), None, "{other}");
        }
    }
}
