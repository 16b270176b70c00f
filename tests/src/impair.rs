//! Faults by name: `KIND@PLACE`, such as `firewall_drop@edge-ams`.

use std::fmt;
use std::str::FromStr;

use anyhow::{Error, Result, bail};

/// Something that is wrong somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: Kind,
    /// Where.
    pub place: Place,
}

/// Where a fault can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A vantage point by name: its router for packets, its resolver for names, its agent.
    Edge(String),
    /// The router that all paths share.
    Core,
    /// The firewall in front of the mail host.
    SiteFirewall,
    /// The mail host and its server.
    Mail,
    /// The name server, for everyone.
    Dns,
}

macro_rules! kinds {
    ($($kind:ident $name:literal $places:ident $effect:literal)*) => {
        /// What can be wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind { $(#[doc = $effect] $kind,)* }

        impl Kind {
            /// All of them, in the order in which they are listed.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// Its name in front of the `@`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }

            /// What it does, in a few words.
            pub const fn effect(self) -> &'static str {
                match self { $(Self::$kind => $effect),* }
            }

            /// Where it can be.
            pub const fn places(self) -> &'static [&'static str] {
                match self { $(Self::$kind => $places),* }
            }
        }
    };
}

const FILTERS: &[&str] = &["edge-NAME", "core", "site-fw", "mail"];
const NAMES: &[&str] = &["edge-NAME", "dns"];
const MAIL: &[&str] = &["mail"];
const EDGE: &[&str] = &["edge-NAME"];

kinds! {
    FirewallDrop "firewall_drop" FILTERS "TCP to 143 and 993 vanishes"
    FirewallReset "firewall_reset" FILTERS "TCP to 143 and 993 is answered with a reset"
    FirewallReject "firewall_reject" FILTERS "TCP to 143 and 993 is answered with ICMP admin-prohibited"
    Drop993 "drop_993" FILTERS "TCP to 993 vanishes, 143 works"
    Drop143 "drop_143" FILTERS "TCP to 143 vanishes, 993 works"
    IdleCut "idle_cut" FILTERS "a connection to 143 or 993 that is quiet for two seconds is forgotten"
    HostSilent "host_silent" MAIL "the host answers nothing, on any protocol"
    HostDown "host_down" MAIL "the host is off its network; the router in front says so"
    DovecotStopped "dovecot_stopped" MAIL "nothing listens"
    WrongService "wrong_service" MAIL "an SMTP server listens on 143 and 993"
    TlsTooOld "tls_too_old" MAIL "993 speaks TLS 1.1 and nothing newer"
    CertificateExpired "certificate_expired" MAIL "the certificate ended yesterday"
    CertificateWrongName "certificate_wrong_name" MAIL "the certificate is for another name"
    CertificateUntrusted "certificate_untrusted" MAIL "the certificate is from an unknown authority"
    CertificateSelfSigned "certificate_self_signed" MAIL "the certificate is signed by its own key"
    StarttlsInjectable "starttls_injectable" MAIL "143 takes what came in clear behind STARTTLS for a command under TLS"
    QuotaFull "quota_full" MAIL "the user's mailboxes are full"
    AuthBackendDown "auth_backend_down" MAIL "the password database is gone: every login fails temporarily"
    NxDomain "nxdomain" NAMES "the name does not exist"
    NoAddress "no_address" NAMES "the name has no addresses"
    ServFail "servfail" NAMES "the name server fails"
    Refused "refused" NAMES "the name server refuses"
    DnsSilent "dns_silent" NAMES "the name server does not answer"
    AaaaSilent "aaaa_silent" NAMES "questions for IPv6 addresses are not answered"
    WrongAddress "wrong_address" NAMES "the name leads to an address that serves no mail"
    AgentDown "agent_down" EDGE "the agent was killed"
    AgentFrozen "agent_frozen" EDGE "the agent is stopped and says nothing"
}

impl FromStr for Fault {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((kind, place)) = text.split_once('@') else {
            bail!("{text}: a fault is KIND@PLACE, such as firewall_drop@edge-ams");
        };
        let Some(&kind) = Kind::ALL.iter().find(|known| known.name() == kind) else {
            let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
            bail!("no fault is called {kind}; there are {}", names.join(", "));
        };
        let Some(place) = Place::parse(place).filter(|place| kind.places().contains(&place.class())) else {
            bail!(
                "{} can not be at {place}; it can be at {}",
                kind.name(),
                kind.places().join(", ")
            );
        };
        Ok(Self { kind, place })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.kind.name(), self.place)
    }
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "core" => Some(Self::Core),
            "site-fw" => Some(Self::SiteFirewall),
            "mail" => Some(Self::Mail),
            "dns" => Some(Self::Dns),
            edge if edge.len() > "edge-".len() && edge.starts_with("edge-") => {
                Some(Self::Edge(edge.to_owned()))
            }
            _ => None,
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Self::Edge(_) => "edge-NAME",
            Self::Core => "core",
            Self::SiteFirewall => "site-fw",
            Self::Mail => "mail",
            Self::Dns => "dns",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edge(name) => f.write_str(name),
            Self::Core | Self::SiteFirewall | Self::Mail | Self::Dns => f.write_str(self.class()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        text.parse::<Fault>().expect_err("no fault").to_string()
    }

    #[test]
    fn every_kind_reads_back_at_each_of_its_places() {
        for kind in Kind::ALL {
            for place in kind.places() {
                let name = format!("{}@{}", kind.name(), place.replace("NAME", "ams"));
                assert_eq!(name.parse::<Fault>().expect("a fault").to_string(), name);
            }
        }
    }

    #[test]
    fn an_unknown_kind_is_answered_with_those_there_are() {
        assert!(complaint("firewal_drop@core").contains("firewall_drop, firewall_reset"));
    }

    #[test]
    fn a_wrong_place_is_answered_with_the_right_ones() {
        assert_eq!(
            complaint("dovecot_stopped@core"),
            "dovecot_stopped can not be at core; it can be at mail"
        );
        assert!(complaint("nxdomain@attic").ends_with("it can be at edge-NAME, dns"));
    }
}
