//! What can be wrong in the second lab: not faults with names, but means to make any.

use std::net::IpAddr;

use anyhow::{Context, Result};

use super::Far;
use crate::dns::{Answering, NameServer};
use crate::pki::Leaf;
use crate::relay::{self, Relaying};
use crate::speaker::{self, Manner};
use crate::{interceptor, pipe, wire};

/// Which packets a filter sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Those that a router passes on.
    Forward,
    /// Those for the host itself.
    Input,
    /// Those that the host itself sends.
    Output,
    /// Those that arrive, before anybody has looked at them.
    Arrival,
    /// The first of each connection that arrives.
    Redirect,
}

/// Something that is wrong.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// Rules of nftables at a place, which may stand behind sets of their own.
    Filter(&'static str, At, &'static str),
    /// A table of nftables, as its chains and sets.
    Table(&'static str, &'static str),
    /// Lines for `ip -batch`, and those that undo them.
    Ip(&'static str, &'static str, &'static str),
    /// A mail server that does not run.
    Stopped(&'static str),
    /// A mail server with another certificate.
    Presents(&'static str, Leaf),
    /// Something else that listens at a place.
    Speaks(&'static str, u16, Manner),
    /// Somebody at a place who ends TLS at this port.
    Intercepts(&'static str, u16),
    /// Somebody at a place who takes this port in the place of mail's other port.
    Relays(&'static str, u16, u16, Relaying),
    /// A resolver that answers in this manner.
    Answers(&'static str, Answering),
    /// Another resolver at a place, that gives this address for every name.
    Resolver(&'static str, &'static str),
    /// What an interface may send, in kbit/s.
    Choked(&'static str, &'static str, u32),
    /// What the line looks for.
    LooksFor(&'static str),
    /// An agent that was killed.
    AgentDown(&'static str),
}

impl At {
    const fn declaration(self) -> &'static str {
        match self {
            Self::Forward => "type filter hook forward priority filter",
            Self::Input => "type filter hook input priority filter",
            Self::Output => "type filter hook output priority filter",
            Self::Arrival => "type filter hook prerouting priority filter",
            Self::Redirect => "type nat hook prerouting priority dstnat",
        }
    }
}

impl Trouble {
    pub(super) fn inject(&self, far: &mut Far, number: u8) -> Result<()> {
        self.set(far, number, true)
            .with_context(|| format!("inject {self:?}"))
    }

    pub(super) fn heal(&self, far: &mut Far, number: u8) -> Result<()> {
        self.set(far, number, false)
            .with_context(|| format!("heal {self:?}"))
    }

    fn set(&self, far: &mut Far, number: u8, wrong: bool) -> Result<()> {
        match *self {
            Self::Filter(place, at, rules) => {
                let chain = format!("chain here {{\n{}\n{rules}\n}}", at.declaration());
                table(far, place, number, wrong.then_some(&chain))
            }
            Self::Table(place, chains) => table(far, place, number, wrong.then_some(chains)),
            Self::Ip(place, lines, undone) => wire::set(
                far.network.place(place)?,
                (if wrong { lines } else { undone }).to_owned(),
            ),
            Self::Stopped(place) => run(far, place, !wrong),
            Self::Presents(place, leaf) => {
                let credentials = far.pki.issue(if wrong { leaf } else { Leaf::Good })?;
                let Far {
                    mail, mail2, network, ..
                } = far;
                let server = if mail.place == place { mail } else { mail2 };
                server.dovecot.present(network.place(place)?, &credentials)
            }
            Self::Speaks(place, port, manner) if wrong => {
                let speaker = speaker::speak(far.network.place(place)?, &[port], manner)?;
                far.speakers.push(speaker);
                Ok(())
            }
            Self::Intercepts(place, port) if wrong => {
                let credentials = far.pki.issue(Leaf::Untrusted)?;
                let speaker = interceptor::serve(far.network.place(place)?, port, &credentials)?;
                far.speakers.push(speaker);
                Ok(())
            }
            Self::Relays(place, port, target, relaying) if wrong => {
                let target = (super::parsed(super::MAIL)?[0], target).into();
                let speaker = relay::serve(far.network.place(place)?, port, target, relaying)?;
                far.speakers.push(speaker);
                Ok(())
            }
            Self::Answers(resolver, answering) => {
                let names = far.names.get(resolver).context("no such resolver")?;
                names.answer_everyone(if wrong { answering } else { Answering::Truthfully });
                Ok(())
            }
            Self::Resolver(place, address) if wrong => {
                let address: IpAddr = address.parse()?;
                let names = NameServer::start(far.network.place(place)?, super::zone(super::MAIL)?)?;
                names.answer_everyone(Answering::Instead(address));
                far.names.insert(place, names);
                Ok(())
            }
            Self::Resolver(place, _) => {
                far.names.remove(place);
                Ok(())
            }
            Self::Choked(place, interface, kbit) => {
                pipe::choke(far.network.place(place)?, interface, wrong.then_some(kbit))
            }
            Self::LooksFor(text) => {
                far.network.line().look_for(if wrong { text } else { "" });
                Ok(())
            }
            Self::AgentDown(name) if wrong => {
                far.agents.remove(name).context("no such agent")?.kill();
                let others: Vec<&str> = far.agents.keys().copied().collect();
                far.wait_for_agents(&others)
            }
            Self::AgentDown(name) => {
                far.start_agent(name, None)?;
                far.wait_for_agents(&super::VANTAGES)
            }
            // Those who listened are gone with the others.
            Self::Speaks(..) | Self::Intercepts(..) | Self::Relays(..) => Ok(()),
        }
    }
}

fn run(far: &mut Far, place: &str, runs: bool) -> Result<()> {
    if !runs {
        far.server(place)?.dovecot.stop();
        return Ok(());
    }
    let Far {
        mail, mail2, network, ..
    } = far;
    let server = if mail.place == place { mail } else { mail2 };
    server.dovecot.run(network.place(place)?)
}

/// Installs a table of its own, or removes it.
fn table(far: &Far, place: &str, number: u8, chains: Option<&str>) -> Result<()> {
    let script = match chains {
        Some(chains) => format!("table inet trouble{number} {{\n{chains}\n}}\n"),
        None => format!("delete table inet trouble{number}\n"),
    };
    far.network.place(place)?.feed("nft", &["-f", "-"], script)
}
