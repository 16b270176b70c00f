//! Packet filters that misbehave on purpose: one nftables table per fault.

use std::fmt::Write as _;

use anyhow::Result;

use crate::address::Pair;
use crate::impair::{Fault, Only};
use crate::namespace::Namespace;

mod recipe;

pub use recipe::{Recipe, recipe};

/// Which packets a filter sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Those that a router passes on.
    Forward,
    /// Those that are for the host itself.
    Input,
    /// Those that the host itself sends.
    Output,
    /// Those that arrive, before anybody has looked at them.
    Arrival,
    /// The first of each connection that arrives: it can be sent elsewhere.
    Destination,
}

impl Hook {
    const fn name(self) -> &'static str {
        match self {
            Self::Forward => "passing",
            Self::Input => "incoming",
            Self::Output => "sent",
            Self::Arrival => "arriving",
            Self::Destination => "redirected",
        }
    }

    const fn declaration(self) -> &'static str {
        match self {
            Self::Forward => "type filter hook forward priority filter",
            Self::Input => "type filter hook input priority filter",
            Self::Output => "type filter hook output priority filter",
            Self::Arrival => "type filter hook prerouting priority filter",
            Self::Destination => "type nat hook prerouting priority dstnat",
        }
    }
}

/// Installs the filter of `fault` where packets pass `usual`. `vantage` is the address of the vantage point that
/// the fault is narrowed to.
pub fn install(
    namespace: &Namespace,
    fault: &Fault,
    recipe: &Recipe,
    usual: Hook,
    vantage: Option<Pair>,
) -> Result<()> {
    let table = table(fault);
    let mut script = format!("add table inet {table}\ntable inet {table} {{\n{}\n", recipe.sets);
    let usual = (!recipe.rules.is_empty()).then_some((usual, recipe.rules));
    for (hook, rules) in usual.into_iter().chain(recipe.elsewhere) {
        // Writing to a String never fails.
        let _ = writeln!(
            script,
            "chain {} {{\n{}; policy accept;\n{}{rules}\n}}",
            hook.name(),
            hook.declaration(),
            others_pass(fault.only.as_ref(), vantage)
        );
    }
    nft(namespace, script + "}\n")
}

/// Removes the filter of `fault`.
pub fn remove(namespace: &Namespace, fault: &Fault) -> Result<()> {
    nft(namespace, format!("delete table inet {}\n", table(fault)))
}

fn others_pass(only: Option<&Only>, vantage: Option<Pair>) -> String {
    match (only, vantage) {
        (Some(Only::V4), _) => "meta nfproto != ipv4 accept\n".to_owned(),
        (Some(Only::V6), _) => "meta nfproto != ipv6 accept\n".to_owned(),
        (Some(Only::Vantage(_)), Some(Pair { v4, v6 })) => {
            format!("ip saddr != {v4} ip daddr != {v4} accept\nip6 saddr != {v6} ip6 daddr != {v6} accept\n")
        }
        (Some(Only::Vantage(_)) | None, _) => String::new(),
    }
}

fn table(fault: &Fault) -> String {
    let name = fault.to_string();
    let plain = name.chars().map(|letter| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '_'
        }
    });
    format!("fault_{}", plain.collect::<String>())
}

fn nft(namespace: &Namespace, script: String) -> Result<()> {
    namespace.feed("nft", &["-f", "-"], script)
}
