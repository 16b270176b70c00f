//! Links that carry less than they should: smaller packets, or fewer of them.

use anyhow::{Result, ensure};
use std::process::Command;

use crate::host;
use crate::lab::Lab;
use crate::namespace::Namespace;
use crate::wire;

const USUAL: u16 = 1500;
const SMALL: u16 = 1400;

/// Makes the link between core and site firewall small, or as large as the others.
pub fn narrow(lab: &Lab, small: bool) -> Result<()> {
    let mtu = if small { SMALL } else { USUAL };
    wire::set(&lab.core, format!("link set site-fw mtu {mtu}\n"))?;
    wire::set(&lab.site_firewall, format!("link set core mtu {mtu}\n"))?;
    forget_sizes(lab)
}

/// Lets an interface send this many kbit/s, or as much as it can.
pub fn choke(namespace: &Namespace, interface: &str, kbit: Option<u32>) -> Result<()> {
    let mut tc = Command::new("tc");
    tc.env("PATH", host::path());
    match kbit {
        Some(kbit) => tc.args([
            "qdisc",
            "replace",
            "dev",
            interface,
            "root",
            "tbf",
            "rate",
            &format!("{kbit}kbit"),
            "burst",
            "1600",
            "latency",
            "5s",
        ]),
        None => tc.args(["qdisc", "del", "dev", interface, "root"]),
    };
    let output = namespace.output(tc)?;
    ensure!(
        output.status.success(),
        "tc in {}: {}",
        namespace.name(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// What a host was told of a path's size it believes for ten minutes.
fn forget_sizes(lab: &Lab) -> Result<()> {
    for namespace in lab.namespaces() {
        wire::set(namespace, "route flush cache\n".to_owned())?;
        namespace.feed("ip", &["-6", "-batch", "-"], "route flush cache\n".to_owned())?;
    }
    Ok(())
}
