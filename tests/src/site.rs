//! The lab with its services, before any program of Parallax: network, mail server, name server, certificates.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::address;
use crate::background::Background;
use crate::detour::{self, Detour};
use crate::dns::{Answering, NameServer};
use crate::dovecot::Dovecot;
use crate::echo::{Echo, EchoServer};
use crate::filter::{self, Hook, Recipe};
use crate::impair::{Fault, Kind, Only, Place};
use crate::injectable;
use crate::interceptor;
use crate::lab::{Lab, Vantage};
use crate::namespace::Namespace;
use crate::old_tls::OldTls;
use crate::other_server::{OtherServer, Product};
use crate::pipe;
use crate::pki::{Leaf, Pki};
use crate::queue::{self, FullQueue};
use crate::speaker::{self, Manner};
use crate::zone::Zone;

/// The name of the mail service: an alias of `mail.lab.example`, which has one address per family.
pub const TARGET: &str = "imap.lab.example";
/// Another name of it, with two addresses per family.
pub const TARGET_OF_TWO: &str = "two.lab.example";

/// So little that a certificate takes seconds, in kbit/s.
const TRICKLE: u32 = 24;
const POOR_LINE: u32 = 256;
/// Where the filter of [`Kind::Intercepted`] sends 993.
const INTERCEPTED: u16 = 2007;

/// A network with mail in it.
pub struct Site {
    /// The mail server.
    pub dovecot: Dovecot,
    /// The name server.
    pub names: NameServer,
    imposter: Option<Background>,
    /// What answers instead of the mail server, by the fault that leads there.
    speakers: BTreeMap<String, Background>,
    full_queue: Option<FullQueue>,
    other: Option<OtherServer>,
    old_tls: Option<OldTls>,
    pki: Pki,
    /// The network below.
    pub lab: Lab,
}

impl Site {
    /// Builds the network and starts its services; everything works when this returns.
    pub fn new(vantages: &[&str]) -> Result<Self> {
        let lab = Lab::new(vantages)?;
        let names = NameServer::start(&lab.dns, zone()?)?;
        let pki = Pki::new(&[TARGET, TARGET_OF_TWO, "mail.lab.example"])?;
        std::fs::write(lab.directory().join("root.pem"), pki.root_pem())?;
        let dovecot = Dovecot::start(&lab, &pki.issue(Leaf::Good)?)?;
        Ok(Self {
            dovecot,
            names,
            imposter: None,
            speakers: BTreeMap::new(),
            full_queue: None,
            other: None,
            old_tls: None,
            pki,
            lab,
        })
    }

    /// The trust anchor of the mail server's certificates.
    pub fn ca_file(&self) -> PathBuf {
        self.lab.directory().join("root.pem")
    }

    /// Puts another product in Dovecot's place, with the same user and a good certificate.
    pub fn serve_with(&mut self, product: Product) -> Result<()> {
        self.other = None;
        self.dovecot.stop();
        let credentials = self.pki.issue(Leaf::Good)?;
        self.other = Some(OtherServer::start(&self.lab, product, &credentials)?);
        Ok(())
    }

    /// Puts a server in Dovecot's place that repeats what it is told.
    pub fn serve_echoes(&mut self, echo: Echo) -> Result<EchoServer> {
        self.dovecot.stop();
        EchoServer::start(&self.lab.mail, &self.pki.issue(Leaf::Good)?, echo)
    }

    /// Makes something go wrong; fails for the faults that only a [`crate::world::World`] knows.
    pub fn inject(&mut self, fault: &Fault) -> Result<()> {
        self.set(fault, true).with_context(|| format!("inject {fault}"))
    }

    /// Undoes what [`Site::inject`] did.
    pub fn heal(&mut self, fault: &Fault) -> Result<()> {
        self.set(fault, false).with_context(|| format!("heal {fault}"))
    }

    /// The vantage point of that name, or an error that lists those there are.
    pub fn vantage(&self, name: &str) -> Result<&Vantage> {
        let names = || {
            self.lab
                .vantages
                .iter()
                .map(|vantage| vantage.name.as_str())
                .collect::<Vec<_>>()
        };
        self.lab
            .vantage(name)
            .with_context(|| format!("no vantage point {name}; there are {}", names().join(", ")))
    }

    /// A name server beside the usual one, on the mail host; it gives this address for every name.
    pub fn other_resolver(&self, answer: IpAddr) -> Result<NameServer> {
        let names = NameServer::start(&self.lab.mail, zone()?)?;
        names.answer_everyone(Answering::Instead(answer));
        Ok(names)
    }

    fn set(&mut self, fault: &Fault, wrong: bool) -> Result<()> {
        if let Some(recipe) = filter::recipe(fault.kind) {
            self.set_speaker(fault, wrong)?;
            return self.set_filter(fault, &recipe, wrong);
        }
        match fault.kind {
            Kind::RouteBlackhole => self.set_detour(fault, wrong, Detour::Blackhole),
            Kind::RouteUnreachable => self.set_detour(fault, wrong, Detour::Unreachable),
            Kind::RouteProhibited => self.set_detour(fault, wrong, Detour::Prohibited),
            Kind::RoutingLoop => self.set_detour(fault, wrong, Detour::Via(address::CORE_TO_SITE)),
            Kind::NoReturn => detour::strand(&self.lab.mail, address::SITE_LAN, wrong),
            Kind::V4Only => {
                let (host, number) = self.host_of(&fault.place)?;
                detour::strand_v6(host, address::vantage_router(number), wrong)
            }
            Kind::SmallLink => pipe::narrow(&self.lab, wrong),
            Kind::Throttled => self.set_rate(fault, wrong, TRICKLE),
            Kind::SlowLink => self.set_rate(fault, wrong, POOR_LINE),
            Kind::AcceptQueueFull => self.set_queue(wrong),
            Kind::HostDown if wrong => self.lab.unplug_mail(),
            Kind::HostDown => self.lab.plug_in_mail(),
            Kind::DovecotStopped if wrong => {
                self.dovecot.stop();
                Ok(())
            }
            Kind::DovecotStopped => self.dovecot.run(&self.lab.mail),
            Kind::WrongService => self.set_imposter(wrong),
            Kind::TlsTooOld => self.set_old_tls(wrong),
            Kind::StarttlsInjectable => self.set_injectable(wrong),
            Kind::QuotaFull => self.dovecot.fill(&self.lab.mail, wrong),
            Kind::CertificateExpired => self.present(wrong, Leaf::Expired),
            Kind::CertificateNotYet => self.present(wrong, Leaf::NotYet),
            Kind::CertificateAlone => self.present(wrong, Leaf::Alone),
            Kind::CertificateWrongName => self.present(wrong, Leaf::WrongName),
            Kind::CertificateUntrusted => self.present(wrong, Leaf::Untrusted),
            Kind::CertificateSelfSigned => self.present(wrong, Leaf::SelfSigned),
            Kind::AuthBackendDown => self.dovecot.hide_passwords(wrong),
            Kind::NxDomain => self.set_answers(&fault.place, wrong, Answering::NoSuchName),
            Kind::NoAddress => self.set_answers(&fault.place, wrong, Answering::NoAddress),
            Kind::ServFail => self.set_answers(&fault.place, wrong, Answering::ServerFailure),
            Kind::Refused => self.set_answers(&fault.place, wrong, Answering::Refused),
            Kind::DnsSilent => self.set_answers(&fault.place, wrong, Answering::Never),
            Kind::AaaaSilent => self.set_answers(&fault.place, wrong, Answering::Ipv4Only),
            Kind::WrongAddress => self.set_answers(
                &fault.place,
                wrong,
                Answering::Instead(address::CONTROL.v4.into()),
            ),
            Kind::AgentDown | Kind::AgentFrozen => bail!("there are no agents here"),
            other => bail!("{} is neither a filter nor done here", other.name()),
        }
    }

    fn set_filter(&self, fault: &Fault, recipe: &Recipe, wrong: bool) -> Result<()> {
        let (namespace, hook) = self.filtering(&fault.place)?;
        if !wrong {
            return filter::remove(namespace, fault);
        }
        let vantage = match &fault.only {
            Some(Only::Vantage(name)) => Some(self.vantage(name)?.address),
            Some(Only::V4 | Only::V6) | None => None,
        };
        filter::install(namespace, fault, recipe, hook, vantage)
    }

    fn filtering(&self, place: &Place) -> Result<(&Namespace, Hook)> {
        Ok(match place {
            Place::Agent(name) => (&self.vantage(name)?.host, Hook::Output),
            Place::Edge(name) => (&self.vantage(name)?.router, Hook::Forward),
            Place::Core => (&self.lab.core, Hook::Forward),
            Place::SiteFirewall => (&self.lab.site_firewall, Hook::Forward),
            Place::Mail => (&self.lab.mail, Hook::Input),
            Place::Dns => (&self.lab.dns, Hook::Input),
        })
    }

    fn set_speaker(&mut self, fault: &Fault, wrong: bool) -> Result<()> {
        self.speakers.remove(&fault.to_string());
        let namespace = self.filtering(&fault.place)?.0;
        let speaker = match manner(fault.kind) {
            _ if !wrong => return Ok(()),
            Some((port, manner)) => speaker::speak(namespace, &[port], manner)?,
            None if fault.kind == Kind::Intercepted => {
                interceptor::serve(namespace, INTERCEPTED, &self.pki.issue(Leaf::Untrusted)?)?
            }
            None => return Ok(()),
        };
        self.speakers.insert(fault.to_string(), speaker);
        Ok(())
    }

    fn set_detour(&self, fault: &Fault, wrong: bool, detour: Detour) -> Result<()> {
        let (namespace, _) = self.filtering(&fault.place)?;
        if wrong {
            detour::open(namespace, address::MAIL, detour)
        } else {
            detour::close(namespace, address::MAIL)
        }
    }

    /// The side of a router that looks to the vantage points.
    fn set_rate(&self, fault: &Fault, wrong: bool, kbit: u32) -> Result<()> {
        let (namespace, _) = self.filtering(&fault.place)?;
        let interface = match &fault.place {
            Place::Edge(_) => "lan",
            Place::SiteFirewall => "core",
            Place::Agent(_) | Place::Core | Place::Mail | Place::Dns => {
                bail!("only at a vantage point's router and at the site's firewall")
            }
        };
        pipe::choke(namespace, interface, wrong.then_some(kbit))
    }

    fn set_queue(&mut self, wrong: bool) -> Result<()> {
        self.full_queue = None;
        if wrong {
            self.dovecot.stop();
            self.full_queue = Some(queue::fill(&self.lab.mail)?);
            Ok(())
        } else {
            self.dovecot.run(&self.lab.mail)
        }
    }

    fn host_of(&self, place: &Place) -> Result<(&Namespace, u8)> {
        let Place::Agent(name) = place else {
            bail!("{place} is no vantage point's host");
        };
        let vantage = self.vantage(name)?;
        Ok((&vantage.host, vantage.number))
    }

    fn set_answers(&self, place: &Place, wrong: bool, answering: Answering) -> Result<()> {
        match place {
            Place::Edge(name) => {
                let clients = self.vantage(name)?.address.both();
                if wrong {
                    self.names.answer(clients, answering)
                } else {
                    self.names.forget(clients)
                }
            }
            Place::Agent(_) | Place::Core | Place::SiteFirewall | Place::Mail | Place::Dns => {
                self.names
                    .answer_everyone(if wrong { answering } else { Answering::Truthfully });
            }
        }
        Ok(())
    }

    fn set_imposter(&mut self, wrong: bool) -> Result<()> {
        if wrong {
            self.dovecot.stop();
            self.imposter = Some(speaker::speak(&self.lab.mail, &[143, 993], Manner::Smtp)?);
            Ok(())
        } else {
            self.imposter = None;
            self.dovecot.run(&self.lab.mail)
        }
    }

    fn set_injectable(&mut self, wrong: bool) -> Result<()> {
        self.imposter = None;
        if wrong {
            self.dovecot.stop();
            let credentials = self.pki.issue(Leaf::Good)?;
            self.imposter = Some(injectable::serve(&self.lab.mail, &credentials)?);
            Ok(())
        } else {
            self.dovecot.run(&self.lab.mail)
        }
    }

    fn set_old_tls(&mut self, wrong: bool) -> Result<()> {
        if wrong {
            self.dovecot.stop();
            let credentials = self.pki.issue(Leaf::Good)?;
            self.old_tls = Some(OldTls::start(&self.lab, &credentials)?);
            Ok(())
        } else {
            self.old_tls = None;
            self.dovecot.run(&self.lab.mail)
        }
    }

    fn present(&mut self, wrong: bool, leaf: Leaf) -> Result<()> {
        let credentials = self.pki.issue(if wrong { leaf } else { Leaf::Good })?;
        self.dovecot.present(&self.lab.mail, &credentials)
    }
}

/// Who answers under this fault, and on which port.
const fn manner(kind: Kind) -> Option<(u16, Manner)> {
    Some(match kind {
        Kind::StaysSilent => (2001, Manner::Silent),
        Kind::Closes => (2002, Manner::Closing),
        Kind::Resets => (2008, Manner::Resetting),
        Kind::SaysBye => (2003, Manner::Bye),
        Kind::SpeaksHttp => (2004, Manner::Http),
        Kind::SpeaksSmtp => (2005, Manner::Smtp),
        Kind::SpeaksPlain => (2006, Manner::PlainImap),
        _ => return None,
    })
}

fn zone() -> Result<Zone> {
    let [mail_v4, mail_v6] = address::MAIL.both();
    let [second_v4, second_v6] = address::MAIL_SECOND.both();
    Zone::new("lab.example")?
        .address("mail", mail_v4)?
        .address("mail", mail_v6)?
        .alias("imap", "mail")?
        .address("two", mail_v4)?
        .address("two", mail_v6)?
        .address("two", second_v4)?
        .address("two", second_v6)
}
