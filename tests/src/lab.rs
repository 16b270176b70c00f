//! The network: vantage points behind routers of their own, a core, and a mail host behind a firewall.
//!
//! ```text
//! edge-fra 10.1.0.2 -- router 10.1.0.1 --\          dns 10.0.53.2
//! edge-ams 10.2.0.2 -- router 10.2.0.1 ---\        /
//! edge-lon 10.3.0.2 -- router 10.3.0.1 ---- core --- site-fw 10.0.9.2 -- mail 10.9.0.10, 10.9.0.11
//! edge-nyc 10.4.0.2 -- router 10.4.0.1 ---/        \
//!                                                   control 10.0.71.2
//! ```
//!
//! Each vantage point has a second address, 10.N.0.3, that is used only where it is asked for.
//!
//! Hops from a vantage point to the mail host: its router, the core (10.0.N.1), the firewall, the host. The same
//! holds for IPv6 with `fd00:N::` in the place of `10.N.0.` and `fd00:0:N::` in the place of `10.0.N.`.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::address::{self, Pair};
use crate::namespace::Namespace;
use crate::wire::{self, Wire};

/// The names of the vantage points when nothing else is asked for.
pub const VANTAGES: [&str; 4] = ["edge-fra", "edge-ams", "edge-lon", "edge-nyc"];

/// A vantage point: a host and the router that is its way out.
pub struct Vantage {
    /// Its name, which begins with `edge-`.
    pub name: String,
    /// From 1, as in its addresses.
    pub number: u8,
    /// Where its agent runs.
    pub host: Namespace,
    /// Its first hop, which no other vantage point uses.
    pub router: Namespace,
    /// Where the vantage point's host is.
    pub address: Pair,
}

/// A network of its own, gone when dropped.
pub struct Lab {
    /// The vantage points, in the order they were asked for.
    pub vantages: Vec<Vantage>,
    /// The router all paths share.
    pub core: Namespace,
    /// The firewall in front of the mail host.
    pub site_firewall: Namespace,
    /// The mail host.
    pub mail: Namespace,
    /// The name server's host.
    pub dns: Namespace,
    /// The host of the collector and of `ctl`.
    pub control: Namespace,
    directory: TempDir,
}

impl Lab {
    /// Builds the network with one vantage point per name: eight at most, each name an interface name that
    /// begins with `edge-`.
    pub fn new(vantages: &[&str]) -> Result<Self> {
        ensure!(
            (1..=8).contains(&vantages.len()),
            "a lab has one to eight vantage points"
        );
        for name in vantages {
            ensure!(
                name.starts_with("edge-") && name.len() <= 15,
                "{name} is no edge-NAME of 15 letters"
            );
        }
        crate::stale::sweep();
        let directory = tempfile::Builder::new()
            .prefix(&crate::stale::prefix())
            .tempdir()?;
        open_to_all(directory.path())?;
        let resolv_conf = directory.path().join("resolv.conf");
        std::fs::write(&resolv_conf, format!("nameserver {}\n", address::DNS.v4))?;
        let place = |name: &str| Namespace::new(name, &resolv_conf);

        let lab = Self {
            vantages: (1..)
                .zip(vantages)
                .map(|(number, name)| {
                    Ok(Vantage {
                        name: (*name).to_owned(),
                        number,
                        host: place(name)?,
                        router: place(&format!("{name}-gw"))?,
                        address: address::vantage(number),
                    })
                })
                .collect::<Result<_>>()?,
            core: place("core")?,
            site_firewall: place("site-fw")?,
            mail: place("mail")?,
            dns: place("dns")?,
            control: place("control")?,
            directory,
        };
        lab.set_switches()?;
        wire::connect(&lab.wires()).context("build the lab's network")?;
        lab.route()?;
        Ok(lab)
    }

    /// A directory for the lab's files, which every user may enter; removed with the lab.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The vantage point of that name.
    pub fn vantage(&self, name: &str) -> Option<&Vantage> {
        self.vantages.iter().find(|vantage| vantage.name == name)
    }

    /// Every namespace of the lab.
    pub fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        self.hosts().into_iter().chain(self.routers())
    }

    /// Takes the mail host off its network: the firewall finds nobody at its address.
    pub fn unplug_mail(&self) -> Result<()> {
        wire::set(&self.mail, "link set eth0 down\n".to_owned())
    }

    /// Brings the mail host to its network, at both its addresses.
    pub fn plug_in_mail(&self) -> Result<()> {
        let link = "link set eth0 up\n".to_owned();
        let addresses = [address::MAIL, address::MAIL_SECOND].map(|pair| wire::address(pair, "eth0"));
        wire::set(
            &self.mail,
            link + &addresses.concat() + &wire::default_route(address::SITE_LAN),
        )
    }

    fn hosts(&self) -> Vec<&Namespace> {
        let shared = [&self.mail, &self.dns, &self.control];
        self.vantages
            .iter()
            .map(|vantage| &vantage.host)
            .chain(shared)
            .collect()
    }

    fn routers(&self) -> Vec<&Namespace> {
        let shared = [&self.core, &self.site_firewall];
        self.vantages
            .iter()
            .map(|vantage| &vantage.router)
            .chain(shared)
            .collect()
    }

    fn set_switches(&self) -> Result<()> {
        self.namespaces()
            .try_for_each(|namespace| namespace.set_switches(EVERYWHERE))?;
        self.routers()
            .into_iter()
            .try_for_each(|router| router.set_switches(ON_ROUTERS))
    }

    fn wires(&self) -> Vec<Wire<'_>> {
        let mut wires = Vec::new();
        for (number, vantage) in (1..).zip(&self.vantages) {
            wires.push(Wire {
                near: (&self.core, &vantage.name, address::core_to_vantage(number)),
                far: (&vantage.router, "core", address::vantage_uplink(number)),
            });
            wires.push(Wire {
                near: (&vantage.router, "lan", address::vantage_router(number)),
                far: (&vantage.host, "eth0", vantage.address),
            });
        }
        wires.push(Wire {
            near: (&self.core, "site-fw", address::CORE_TO_SITE),
            far: (&self.site_firewall, "core", address::SITE_FIREWALL),
        });
        wires.push(Wire {
            near: (&self.site_firewall, "lan", address::SITE_LAN),
            far: (&self.mail, "eth0", address::MAIL),
        });
        wires.push(Wire {
            near: (&self.core, "dns", address::CORE_TO_DNS),
            far: (&self.dns, "eth0", address::DNS),
        });
        wires.push(Wire {
            near: (&self.core, "control", address::CORE_TO_CONTROL),
            far: (&self.control, "eth0", address::CONTROL),
        });
        wires
    }

    fn route(&self) -> Result<()> {
        let mut core = wire::route("10.9.0.0/24", "fd00:9::/64", address::SITE_FIREWALL);
        for (number, vantage) in (1..).zip(&self.vantages) {
            let (v4, v6) = (format!("10.{number}.0.0/24"), format!("fd00:{number}::/64"));
            core += &wire::route(&v4, &v6, address::vantage_uplink(number));
            wire::set(
                &vantage.router,
                wire::default_route(address::core_to_vantage(number)),
            )?;
            wire::set(
                &vantage.host,
                wire::default_route(address::vantage_router(number))
                    + &wire::spare_address(address::vantage_second(number), "eth0"),
            )?;
        }
        wire::set(&self.core, core)?;
        wire::set(&self.site_firewall, wire::default_route(address::CORE_TO_SITE))?;
        wire::set(&self.dns, wire::default_route(address::CORE_TO_DNS))?;
        wire::set(&self.control, wire::default_route(address::CORE_TO_CONTROL))?;
        self.plug_in_mail()
    }
}

/// Routers answer every expired or rejected packet: a lab in which the kernel's limits swallow some ICMP
/// errors would show rejects as drops. Duplicate address detection would only make everyone wait.
const EVERYWHERE: &[(&str, &str)] = &[
    ("ipv4/icmp_ratelimit", "0"),
    ("ipv6/icmp/ratelimit", "0"),
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
];

const ON_ROUTERS: &[(&str, &str)] = &[
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
];

/// Dovecot's login processes run as another user and enter directories below.
fn open_to_all(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(
        path,
        std::fs::Permissions::from_mode(0o755),
    )?)
}
