//! Faults by name: `KIND@PLACE`, such as `firewall_drop@edge-ams`, or `KIND@PLACE/ONLY` for a part of the packets:
//! `firewall_drop@mail/edge-ams` concerns one vantage point, `firewall_drop@core/v6` one family.

use std::fmt;
use std::str::FromStr;

use anyhow::{Error, Result, bail};

use crate::filter;

/// Something that is wrong somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: Kind,
    /// Where.
    pub place: Place,
    /// Which part of the packets it concerns: all of them, if nothing is said.
    pub only: Option<Only>,
}

/// A part of the packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Only {
    /// Those of IPv4.
    V4,
    /// Those of IPv6.
    V6,
    /// Those from and to a vantage point's first address.
    Vantage(String),
}

/// Where a fault can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A vantage point by name: its router for packets, its resolver for names, its agent.
    Edge(String),
    /// A vantage point's own host: `agent-ams` is where `edge-ams` runs.
    Agent(String),
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

const FILTERS: &[&str] = &["agent-NAME", "edge-NAME", "core", "site-fw", "mail"];
const ON_THE_WAY: &[&str] = &["edge-NAME", "core", "site-fw", "mail"];
const ROUTERS: &[&str] = &["edge-NAME", "core", "site-fw"];
const ROUTES: &[&str] = &["agent-NAME", "edge-NAME", "core", "site-fw"];
const SLOW: &[&str] = &["edge-NAME", "site-fw"];
const CORE: &[&str] = &["core"];
const SITE_FIREWALL: &[&str] = &["site-fw"];
const AGENT: &[&str] = &["agent-NAME"];
const NAMES: &[&str] = &["edge-NAME", "dns"];
const MAIL: &[&str] = &["mail"];
const EDGE: &[&str] = &["edge-NAME"];

kinds! {
    FirewallDrop "firewall_drop" FILTERS "TCP to 143 and 993 vanishes"
    FirewallReset "firewall_reset" FILTERS "TCP to 143 and 993 is answered with a reset"
    FirewallReject "firewall_reject" FILTERS "TCP to 143 and 993 is answered with ICMP admin-prohibited"
    Drop993 "drop_993" FILTERS "TCP to 993 vanishes, 143 works"
    Drop143 "drop_143" FILTERS "TCP to 143 vanishes, 993 works"
    IdleCut "idle_cut" ON_THE_WAY "a connection to 143 or 993 that is quiet for two seconds is forgotten"
    FirewallUnreachable "firewall_unreachable" FILTERS "TCP to 143 and 993 is answered with ICMP host-unreachable"
    FirewallNoRoute "firewall_no_route" FILTERS "TCP to 143 and 993 is answered with ICMP no-route"
    FirewallPort "firewall_port" FILTERS "TCP to 143 and 993 is answered with ICMP port-unreachable"
    DropOnArrival "drop_on_arrival" ROUTERS "TCP to 143 and 993 vanishes before the router counts it as a hop"
    DropAll "drop_all" ROUTERS "everything to the mail host's network vanishes"
    SynAckDrop "syn_ack_drop" ROUTERS "the answer to a connect to 143 or 993 vanishes on its way back"
    ReturnDrop "return_drop" ROUTERS "everything from the mail host's network vanishes"
    HalfFlowsDrop "half_flows_drop" ROUTERS "of the connections to 143 and 993 every other vanishes, by its source port"
    PacketLoss "packet_loss" ROUTERS "three of ten packets from and to 143 and 993 are lost"
    HelloReset "hello_reset" ROUTERS "a TLS hello to 143 or 993 is answered with a reset"
    HelloDrop "hello_drop" ROUTERS "a TLS hello to 143 or 993 vanishes"
    ConnectionLimit "connection_limit" ON_THE_WAY "a second connection of one source at a time is answered with a reset"
    ConnectionLimitSilent "connection_limit_silent" ON_THE_WAY "a second connection of one source at a time vanishes"
    RateLimit "rate_limit" ON_THE_WAY "more than one new connection of one source in a second vanishes"
    IcmpSilent "icmp_silent" ROUTERS "the router sends no ICMP errors; it forwards as ever"
    TooBigLost "too_big_lost" ROUTERS "the router does not say when a packet is too big for the next link"
    MssClamped "mss_clamped" ROUTERS "the router lowers the segment size of TCP so that 1400 bytes carry it"
    BackendDead "backend_dead" SITE_FIREWALL "two hosts share the address, and one of them is silent"
    Balanced "balanced" SITE_FIREWALL "two hosts share the address, and both work"
    SmallLink "small_link" CORE "the link between core and site-fw carries 1400 bytes and no more"
    Throttled "throttled" SLOW "what comes from the mail host trickles: 24 kbit/s"
    SlowLink "slow_link" SLOW "what comes from the mail host is slow, as a poor line is: 256 kbit/s"
    RouteBlackhole "route_blackhole" ROUTES "the route to the mail host leads nowhere, and nobody says so"
    RouteUnreachable "route_unreachable" ROUTES "the route to the mail host leads nowhere, and the router says so"
    RouteProhibited "route_prohibited" ROUTES "the route to the mail host is prohibited, and the router says so"
    RoutingLoop "routing_loop" SITE_FIREWALL "what is for the mail host goes back to where it came from"
    NoReturn "no_return" MAIL "the mail host has no way back"
    V4Only "v4_only" AGENT "the vantage point has no IPv6 beyond its own network"
    StaysSilent "stays_silent" ON_THE_WAY "something accepts on 143 and 993 and never says a word"
    Closes "closes" ON_THE_WAY "something accepts on 143 and 993 and closes at once"
    Resets "resets" ON_THE_WAY "something accepts on 143 and 993 and resets at once"
    Intercepted "intercepted" ON_THE_WAY "somebody ends TLS on 993 with a certificate of an unknown authority"
    SaysBye "says_bye" ON_THE_WAY "something says BYE on 143 and 993, in clear"
    SpeaksHttp "speaks_http" ON_THE_WAY "a web server answers on 143 and 993"
    SpeaksSmtp "speaks_smtp" ON_THE_WAY "an SMTP server answers on 143 and 993"
    SpeaksPlain "speaks_plain" ON_THE_WAY "IMAP without TLS answers on 143 and 993"
    AcceptQueueFull "accept_queue_full" MAIL "the server does not take connections, and their queue is full"
    HostSilent "host_silent" MAIL "the host answers nothing, on any protocol"
    HostDown "host_down" MAIL "the host is off its network; the router in front says so"
    DovecotStopped "dovecot_stopped" MAIL "nothing listens"
    WrongService "wrong_service" MAIL "an SMTP server listens on 143 and 993"
    TlsTooOld "tls_too_old" MAIL "993 speaks TLS 1.1 and nothing newer"
    CertificateExpired "certificate_expired" MAIL "the certificate ended yesterday"
    CertificateWrongName "certificate_wrong_name" MAIL "the certificate is for another name"
    CertificateUntrusted "certificate_untrusted" MAIL "the certificate is from an unknown authority"
    CertificateSelfSigned "certificate_self_signed" MAIL "the certificate is signed by its own key"
    CertificateNotYet "certificate_not_yet" MAIL "the certificate begins tomorrow"
    CertificateAlone "certificate_alone" MAIL "the certificate comes without its intermediate"
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
        let (place, only) = match place.split_once('/') {
            Some((place, only)) => (place, Some(only)),
            None => (place, None),
        };
        let Some(place) = Place::parse(place).filter(|place| kind.places().contains(&place.class())) else {
            bail!(
                "{} can not be at {place}; it can be at {}",
                kind.name(),
                kind.places().join(", ")
            );
        };
        let only = only.map(Only::parse).transpose()?;
        if only.is_some() && filter::recipe(kind).is_none() {
            bail!("{} can not be narrowed to a part of the packets", kind.name());
        }
        Ok(Self { kind, place, only })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.kind.name(), self.place)?;
        match &self.only {
            None => Ok(()),
            Some(Only::V4) => f.write_str("/v4"),
            Some(Only::V6) => f.write_str("/v6"),
            Some(Only::Vantage(name)) => write!(f, "/{name}"),
        }
    }
}

impl Only {
    fn parse(text: &str) -> Result<Self> {
        match text {
            "v4" => Ok(Self::V4),
            "v6" => Ok(Self::V6),
            edge if edge.starts_with("edge-") => Ok(Self::Vantage(edge.to_owned())),
            _ => bail!("{text}: a part of the packets is v4, v6 or edge-NAME"),
        }
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
            agent => {
                let name = agent.strip_prefix("agent-").filter(|name| !name.is_empty())?;
                Some(Self::Agent(format!("edge-{name}")))
            }
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Self::Edge(_) => "edge-NAME",
            Self::Agent(_) => "agent-NAME",
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
            Self::Agent(name) => write!(f, "{}", name.replacen("edge", "agent", 1)),
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
    fn a_filter_reads_back_with_the_part_that_it_concerns() {
        for name in [
            "firewall_drop@mail/edge-ams",
            "firewall_reset@core/v6",
            "drop_993@agent-ams/v4",
        ] {
            assert_eq!(name.parse::<Fault>().expect("a fault").to_string(), name);
        }
        assert!(complaint("host_down@mail/v6").ends_with("a part of the packets"));
        assert!(complaint("firewall_drop@core/v5").ends_with("v4, v6 or edge-NAME"));
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
