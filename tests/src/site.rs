//! The lab with its services, before any program of Parallax: network, mail server, name server, certificates.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::address;
use crate::background::Background;
use crate::dns::{Answering, NameServer};
use crate::dovecot::Dovecot;
use crate::filter::{self, Hook};
use crate::impair::{Fault, Kind, Place};
use crate::injectable;
use crate::lab::{Lab, Vantage};
use crate::namespace::Namespace;
use crate::old_tls::OldTls;
use crate::other_server::{OtherServer, Product};
use crate::pki::{Leaf, Pki};
use crate::speaker;
use crate::zone::Zone;

/// The name of the mail service: an alias of `mail.lab.example`, which has one address per family.
pub const TARGET: &str = "imap.lab.example";
/// Another name of it, with two addresses per family.
pub const TARGET_OF_TWO: &str = "two.lab.example";

/// A network with mail in it.
pub struct Site {
    /// The mail server.
    pub dovecot: Dovecot,
    /// The name server.
    pub names: NameServer,
    imposter: Option<Background>,
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
        if let Some(rules) = filter::rules(fault.kind) {
            return self.set_filter(fault, rules, wrong);
        }
        match fault.kind {
            Kind::HostDown if wrong => self.lab.unplug_mail(),
            Kind::HostDown => self.lab.plug_in_mail(),
            Kind::DovecotStopped if wrong => {
                self.dovecot.stop();
                Ok(())
            }
            Kind::DovecotStopped => self.dovecot.run(&self.lab),
            Kind::WrongService => self.set_imposter(wrong),
            Kind::TlsTooOld => self.set_old_tls(wrong),
            Kind::StarttlsInjectable => self.set_injectable(wrong),
            Kind::QuotaFull => self.dovecot.fill(&self.lab, wrong),
            Kind::CertificateExpired => self.present(wrong, Leaf::Expired),
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
            Kind::FirewallDrop
            | Kind::FirewallReset
            | Kind::FirewallReject
            | Kind::Drop993
            | Kind::Drop143
            | Kind::IdleCut
            | Kind::HostSilent => unreachable!("a filter, set above"),
        }
    }

    fn set_filter(&self, fault: &Fault, rules: &str, wrong: bool) -> Result<()> {
        let (namespace, hook) = self.filtering(&fault.place)?;
        if wrong {
            filter::install(namespace, fault.kind, hook, rules)
        } else {
            filter::remove(namespace, fault.kind)
        }
    }

    fn filtering(&self, place: &Place) -> Result<(&Namespace, Hook)> {
        Ok(match place {
            Place::Edge(name) => (&self.vantage(name)?.router, Hook::Forward),
            Place::Core => (&self.lab.core, Hook::Forward),
            Place::SiteFirewall => (&self.lab.site_firewall, Hook::Forward),
            Place::Mail => (&self.lab.mail, Hook::Input),
            Place::Dns => (&self.lab.dns, Hook::Input),
        })
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
            Place::Core | Place::SiteFirewall | Place::Mail | Place::Dns => {
                self.names
                    .answer_everyone(if wrong { answering } else { Answering::Truthfully });
            }
        }
        Ok(())
    }

    fn set_imposter(&mut self, wrong: bool) -> Result<()> {
        if wrong {
            self.dovecot.stop();
            self.imposter = Some(speaker::speak_smtp(&self.lab.mail, &[143, 993])?);
            Ok(())
        } else {
            self.imposter = None;
            self.dovecot.run(&self.lab)
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
            self.dovecot.run(&self.lab)
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
            self.dovecot.run(&self.lab)
        }
    }

    fn present(&mut self, wrong: bool, leaf: Leaf) -> Result<()> {
        let credentials = self.pki.issue(if wrong { leaf } else { Leaf::Good })?;
        self.dovecot.present(&self.lab, &credentials)
    }
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
