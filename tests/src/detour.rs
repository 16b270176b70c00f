//! Routes that lead to the wrong place or nowhere.

use anyhow::Result;

use crate::address::Pair;
use crate::namespace::Namespace;
use crate::wire;

/// Where a packet for a host ends instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detour {
    /// Nowhere, and nobody says so.
    Blackhole,
    /// Nowhere, and the router says that the host can not be reached.
    Unreachable,
    /// Nowhere, and the router says that it may not.
    Prohibited,
    /// At another router.
    Via(Pair),
}

/// Sends everything for `host` on a detour.
pub fn open(namespace: &Namespace, host: Pair, detour: Detour) -> Result<()> {
    let script = match detour {
        Detour::Blackhole => towards("blackhole", host),
        Detour::Unreachable => towards("unreachable", host),
        Detour::Prohibited => towards("prohibit", host),
        Detour::Via(Pair { v4, v6 }) => format!(
            "route replace {}/32 via {v4}\nroute replace {}/128 via {v6}\n",
            host.v4, host.v6
        ),
    };
    wire::set(namespace, script)
}

/// Ends the detour.
pub fn close(namespace: &Namespace, host: Pair) -> Result<()> {
    wire::set(
        namespace,
        format!("route del {}/32\nroute del {}/128\n", host.v4, host.v6),
    )
}

/// Takes a host the way to everything beyond its network, or gives it back.
pub fn strand(namespace: &Namespace, gateway: Pair, wrong: bool) -> Result<()> {
    let verb = if wrong { "del" } else { "replace" };
    let Pair { v4, v6 } = gateway;
    wire::set(
        namespace,
        format!("route {verb} default via {v4}\nroute {verb} default via {v6}\n"),
    )
}

/// The same for IPv6 alone.
pub fn strand_v6(namespace: &Namespace, gateway: Pair, wrong: bool) -> Result<()> {
    let verb = if wrong { "del" } else { "replace" };
    wire::set(namespace, format!("route {verb} default via {}\n", gateway.v6))
}

fn towards(kind: &str, host: Pair) -> String {
    format!(
        "route replace {kind} {}/32\nroute replace {kind} {}/128\n",
        host.v4, host.v6
    )
}
