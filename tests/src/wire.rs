//! Cables, addresses and routes, as scripts for `ip -batch`.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::address::Pair;
use crate::namespace::Namespace;

/// The kernel brings a pair up at once only if its ends have different numbers, otherwise within a second.
const FIRST_INDEX: u32 = 10;

/// One end of a cable: where it is plugged in, what the interface is called there, and its addresses.
pub type End<'a> = (&'a Namespace, &'a str, Pair);

/// A cable between two namespaces.
pub struct Wire<'a> {
    /// The end that makes the cable.
    pub near: End<'a>,
    /// The end that is handed over.
    pub far: End<'a>,
}

/// Plugs in every cable, sets the addresses and switches all interfaces on: one `ip` per namespace.
///
/// A cable must stand behind those that lead to its near end.
pub fn connect(wires: &[Wire<'_>]) -> Result<()> {
    let mut makers: BTreeMap<_, (&Namespace, String)> = BTreeMap::new();
    let mut settings: BTreeMap<_, (&Namespace, String)> = BTreeMap::new();
    for (number, Wire { near, far }) in (0..).zip(wires) {
        let maker = makers.entry(near.0.keeper()).or_insert((near.0, String::new()));
        let (near_name, far_name, there) = (near.1, far.1, far.0.keeper());
        let [near_index, far_index] = [FIRST_INDEX + 2 * number, FIRST_INDEX + 2 * number + 1];
        maker.1 += &format!("link add {near_name} index {near_index} type veth ");
        maker.1 += &format!("peer name {far_name} index {far_index} netns {there}\n");
        for (namespace, interface, pair) in [near, far] {
            let entry = settings
                .entry(namespace.keeper())
                .or_insert((namespace, String::from("link set lo up\n")));
            entry.1 += &address(*pair, interface);
            entry.1 += &format!("link set {interface} up\n");
        }
    }
    makers
        .into_values()
        .try_for_each(|(namespace, script)| set(namespace, script))?;
    settings
        .into_values()
        .try_for_each(|(namespace, script)| set(namespace, script))
}

/// Runs lines for `ip -batch` inside `namespace`.
pub fn set(namespace: &Namespace, script: String) -> Result<()> {
    namespace.feed("ip", &["-batch", "-"], script)
}

/// Lines that give `interface` both addresses.
pub fn address(pair: Pair, interface: &str) -> String {
    format!(
        "addr replace {}/24 dev {interface}\naddr replace {}/64 dev {interface} nodad\n",
        pair.v4, pair.v6
    )
}

/// Lines that give `interface` two more addresses, which the kernel chooses for nothing by itself.
pub fn spare_address(pair: Pair, interface: &str) -> String {
    format!(
        "addr replace {}/24 dev {interface}\naddr replace {}/64 dev {interface} nodad preferred_lft 0\n",
        pair.v4, pair.v6
    )
}

/// Lines that send everything to `gateway`.
pub fn default_route(gateway: Pair) -> String {
    route("default", "default", gateway)
}

/// Lines that send one network per family to `gateway`.
pub fn route(v4: &str, v6: &str, gateway: Pair) -> String {
    format!(
        "route replace {v4} via {}\nroute replace {v6} via {}\n",
        gateway.v4, gateway.v6
    )
}
