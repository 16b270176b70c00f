//! Rows in the second lab.

use super::{Ask, Group, Row, Says, Today};
use std::net::{IpAddr, Ipv4Addr};

use crate::dns::Answering;
use crate::far::{At, Trouble};
use crate::pki::Leaf;
use crate::relay::Relaying;
use crate::speaker::Manner;

use At::{Arrival, Forward, Input, Output, Redirect};
use Group::{Agents, Filters, Healthy, Limits, Names, Pairs, Quality, Routes, Service, Tampering};
use Trouble::{
    AgentDown, Answers, Choked, Filter, Intercepts, Ip, LooksFor, Presents, Relays, Resolver, Speaks,
    Stopped, Table,
};

/// A row, and how it is done.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What must be said.
    pub row: Row,
    /// What is asked, after `ctl probe`.
    pub ask: &'static [&'static str],
    /// What is wrong.
    pub troubles: &'static [Trouble],
    /// The verdict, where it must be this one.
    pub verdict: Option<&'static str>,
}

impl Case {
    pub(super) const fn new(
        group: Group,
        id: &'static str,
        inject: &'static [&'static str],
        troubles: &'static [Trouble],
        says: &'static [Says],
    ) -> Self {
        Self {
            row: Row {
                id,
                group,
                inject,
                ask: Ask::Tls,
                says,
                today: Today::Right,
                held_out: true,
            },
            ask: &["imap.far.example", "--from", "all"],
            troubles,
            verdict: None,
        }
    }

    pub(super) const fn asked(mut self, ask: &'static [&'static str]) -> Self {
        self.ask = ask;
        self
    }

    pub(super) const fn verdict(mut self, verdict: &'static str) -> Self {
        self.verdict = Some(verdict);
        self
    }

    /// The rules have been made right by it.
    pub(super) const fn tuned(mut self) -> Self {
        self.row.held_out = false;
        self
    }

    pub(super) const fn known_wrong(mut self, why: &'static str) -> Self {
        self.row.today = Today::Wrong(why);
        self
    }

    pub(super) const fn wavers(mut self, why: &'static str) -> Self {
        self.row.today = Today::Sometimes(why);
        self
    }
}

pub(super) const TWO: &[&str] = &["two.far.example", "--from", "all"];
pub(super) const POOL: &[&str] = &["pool.far.example", "--from", "all"];
pub(super) const GEO: &[&str] = &["geo.far.example", "--from", "all"];
pub(super) const TLS_ELSEWHERE: &[&str] = &["imap.far.example:10993", "--security", "tls", "--from", "all"];
const STARTTLS: &[&str] = &["imap://imap.far.example", "--from", "all"];
pub(super) const STARTTLS_ELSEWHERE: &[&str] =
    &["imap.far.example:1143", "--security", "starttls", "--from", "all"];
const FROM_ROME: &[&str] = &["imap.far.example", "--from", "edge-rom"];
const V4: &[&str] = &[
    "v4.far.example",
    "--from",
    "edge-par",
    "--from",
    "edge-lyo",
    "--from",
    "edge-rom",
    "--from",
    "edge-in",
];

pub(super) const FRENCH: &[&str] = &["edge-lyo", "edge-par"];
pub(super) const OUTSIDE: &[&str] = &["edge-lyo", "edge-osl", "edge-par", "edge-rom"];
pub(super) const OUTSIDE_V4: &[&str] = &["edge-lyo", "edge-par", "edge-rom"];
pub(super) const EVERYONE: &[&str] = &["edge-in", "edge-lyo", "edge-osl", "edge-par", "edge-rom"];

pub(super) const DROPPED: &[&str] = &["packets_dropped"];
pub(super) const DROPPED_FAMILY: &[&str] = &["packets_dropped", "family_broken"];
pub(super) const RESET: &[&str] = &["rejected_with_reset"];
const ICMP: &[&str] = &["rejected_with_icmp"];
const ONE_OF_MANY: &[&str] = &["one_backend_broken", "one_path_broken"];

/// A router that two vantage points share is nobody's own edge, and not far from it either.
const NEAR: &[&str] = &["vantage_edge", "transit"];
pub(super) const MIDDLE: &[&str] = &["transit", "site_edge"];
pub(super) const SITE: &[&str] = &["site_edge", "service"];

const GW_FR: &[&str] = &["172.20.1.1", "2001:db8:1::1"];
const GW_NO: &[&str] = &["2001:db8:2::1"];
pub(super) const ISP_FR: &[&str] = &["172.21.1.2", "2001:db8:f1::2"];
pub(super) const ISP_EU: &[&str] = &["172.21.2.2", "172.21.3.2", "2001:db8:f2::2", "2001:db8:f3::2"];
const IX: &[&str] = &["172.22.1.2", "172.22.2.2", "2001:db8:e1::2", "2001:db8:e2::2"];
const BEFORE_IX: &[&str] = &[
    "172.21.1.2",
    "172.21.3.2",
    "172.22.1.2",
    "172.22.2.2",
    "2001:db8:f1::2",
    "2001:db8:f2::2",
];
pub(super) const BORDER: &[&str] = &["172.23.0.2", "2001:db8:d0::2"];

pub(super) const FIREWALLS: &[&str] = &["203.0.113.2", "203.0.113.6", "2001:db8:c1::2", "2001:db8:c2::2"];
const AROUND_LINE: &[&str] = &[
    "172.22.1.2",
    "172.22.2.2",
    "2001:db8:e1::2",
    "2001:db8:e2::2",
    "172.23.0.2",
    "2001:db8:d0::2",
];

const TOO_BIG: &str = "\
    icmp type destination-unreachable icmp code frag-needed drop
    icmpv6 type packet-too-big drop";

const SYN_PROXY: &str = "\
    chain unknown { type filter hook prerouting priority raw; ip protocol tcp tcp dport 993 tcp flags & (syn|ack) == syn notrack; }
    chain passing {
        type filter hook forward priority filter
        ip protocol tcp tcp dport 993 ct state invalid,untracked synproxy mss 1400 wscale 7 timestamp sack-perm
        ip protocol tcp tcp dport 993 ct state invalid drop
    }";

const RATE: &str = "\
    set rates4 { type ipv4_addr; flags dynamic,timeout; timeout 10s; }
    set rates6 { type ipv6_addr; flags dynamic,timeout; timeout 10s; }
    chain passing {
        type filter hook forward priority filter
        tcp dport { 143, 993 } tcp flags & (syn|ack) == syn update @rates4 { ip saddr limit rate over 1/second burst 1 packets } drop
        tcp dport { 143, 993 } tcp flags & (syn|ack) == syn update @rates6 { ip6 saddr limit rate over 1/second burst 1 packets } drop
    }";

/// All that have been shown around.
#[rustfmt::skip]
pub const FAR: &[Case] = &[
    Case::new(Healthy, "far_healthy", &["nothing"], &[], &[]),
    Case::new(Healthy, "far_healthy_143", &["nothing"], &[], &[]).asked(STARTTLS),
    Case::new(Healthy, "far_healthy_two", &["nothing"], &[], &[]).asked(TWO),
    Case::new(Healthy, "far_healthy_pool", &["nothing; two certificates behind one address"], &[], &[]).asked(POOL),
    Case::new(Healthy, "far_healthy_geo", &["nothing; each resolver names another server"], &[], &[]).asked(GEO),
    Case::new(Healthy, "far_healthy_v4", &["nothing; a server with IPv4 only"], &[], &[]).asked(V4),
    Case::new(Healthy, "far_healthy_10993", &["nothing; another port"], &[], &[]).asked(TLS_ELSEWHERE),
    Case::new(Healthy, "far_healthy_1143", &["nothing; another port"], &[], &[]).asked(STARTTLS_ELSEWHERE),
    Case::new(Healthy, "far_healthy_one", &["nothing; one vantage point"], &[], &[]).asked(FROM_ROME),

    Case::new(Healthy, "far_relayed", &["nothing; isp-fr relays 993"],
        &[Relays("isp-fr", 2010, 993, Relaying::Everything), Filter("isp-fr", Redirect, "tcp dport 993 redirect to :2010")],
        &[]),
    Case::new(Healthy, "far_synproxy", &["nothing; border answers SYNs of IPv4 for the site"], &[Table("border", SYN_PROXY)], &[]),

    Case::new(Filters, "far_drop_gw", &["gw-fr drops 143 and 993"],
        &[Filter("gw-fr", Forward, "tcp dport { 143, 993 } drop")],
        &[Says::these(DROPPED, FRENCH).within(NEAR).near(GW_FR)]),
    Case::new(Filters, "far_reset_isp_993", &["isp-fr resets 993"],
        &[Filter("isp-fr", Forward, "tcp dport 993 reject with tcp reset")],
        &[Says::these(RESET, FRENCH).within(NEAR).near(ISP_FR)]),
    Case::new(Filters, "far_reset_isp_v6", &["isp-eu resets 993 in IPv6"],
        &[Filter("isp-eu", Forward, "meta nfproto ipv6 tcp dport 993 reject with tcp reset")],
        &[Says::these(RESET, &["edge-osl"]).within(NEAR).near(ISP_EU)]),
    Case::new(Filters, "far_host_prohibited_border", &["border answers IPv4 to 993 with host-prohibited"],
        &[Filter("border", Forward, "ip protocol tcp tcp dport 993 reject with icmp type host-prohibited")],
        &[Says::these(&["rejected_with_icmp", "family_broken"], OUTSIDE_V4).within(MIDDLE).near(BORDER)]),
    Case::new(Filters, "far_drop_10993_ix", &["ix drops 10993"],
        &[Filter("ix", Forward, "tcp dport 10993 drop")],
        &[Says::these(DROPPED, OUTSIDE).within(MIDDLE).near(IX)]).asked(TLS_ELSEWHERE).tuned(),
    Case::new(Filters, "far_only_lan_may", &["mail takes 993 from its own network only"],
        &[Filter("mail", Input, "ip saddr != 198.51.100.16/28 tcp dport 993 drop\nip6 saddr != 2001:db8:9::/64 tcp dport 993 drop")],
        &[Says::these(DROPPED, OUTSIDE).within(SITE)]).tuned(),
    Case::new(Filters, "far_drop_ix_one", &["ix drops 993; one vantage point asks"],
        &[Filter("ix", Forward, "tcp dport 993 drop")],
        &[Says::these(DROPPED, &["edge-rom"]).near(IX)]).asked(FROM_ROME),

    Case::new(Routes, "far_prefix_blackhole", &["ix has lost the IPv4 prefix of the site, silently"],
        &[Ip("ix", "route replace blackhole 198.51.100.16/28\n", "route del blackhole 198.51.100.16/28\n")],
        &[Says::these(DROPPED_FAMILY, OUTSIDE_V4).within(MIDDLE).near(BEFORE_IX)]),
    Case::new(Routes, "far_mail_unplugged", &["mail is off its network"],
        &[Ip("mail", "link set eth0 down\n", "link set eth0 up\naddr replace 2001:db8:9::20/64 dev eth0 nodad\n\
            route replace default via 198.51.100.18\nroute replace default via 2001:db8:9::18\n")],
        &[Says::these(&["host_down", "packets_dropped"], EVERYONE).within(SITE)]).tuned(),
    Case::new(Routes, "far_fw_b_drops", &["fw-b, one of two equal ways, drops what is for 143 and 993"],
        &[Filter("fw-b", Forward, "tcp dport { 143, 993 } drop")],
        &[Says::somebody(ONE_OF_MANY)]).tuned().wavers("chance decides which flows are hit"),
    Case::new(Routes, "far_fw_b_stateful", &["fw-b drops what belongs to no connection it has seen begin"],
        &[Filter("fw-b", Forward, "tcp sport { 143, 993 } ct state invalid drop")],
        &[Says::somebody(&["asymmetric_path", "one_path_broken", "return_path_lost"])]).tuned().wavers("chance decides which flows are hit"),
    Case::new(Filters, "far_net_unreachable_ix", &["ix answers IPv4 to 993 with net-unreachable"],
        &[Filter("ix", Forward, "ip protocol tcp tcp dport 993 reject with icmp type net-unreachable")],
        &[Says::somebody(&["no_route", "rejected_with_icmp", "family_broken"]).within(MIDDLE).near(IX)]),
    Case::new(Filters, "far_prot_unreachable_fw", &["both firewalls answer IPv4 to 993 with prot-unreachable"],
        &[Filter("fw-a", Forward, "ip protocol tcp tcp dport 993 reject with icmp type prot-unreachable"),
          Filter("fw-b", Forward, "ip protocol tcp tcp dport 993 reject with icmp type prot-unreachable")],
        &[Says::these(&["rejected_with_icmp", "family_broken"], OUTSIDE_V4).within(SITE).near(FIREWALLS)]).tuned()
        .wavers("chance decides which of two firewalls answers whom"),
    Case::new(Filters, "far_synproxy_dead", &["border answers SYNs of IPv4 for the site", "mail drops 993"],
        &[Table("border", SYN_PROXY), Filter("mail", Input, "tcp dport 993 drop")],
        &[Says::these(&["packets_dropped", "host_down", "server_overloaded"], EVERYONE)]).tuned(),
    Case::new(Filters, "far_cut", &["border drops what comes from 993 after 2000 bytes"],
        &[Filter("border", Forward, "tcp sport 993 ct reply bytes > 2000 drop")],
        &[Says::these(&["flow_cut"], OUTSIDE)]).tuned(),
    Case::new(Filters, "far_drop_arrival_border", &["border drops 993 before it counts as a hop"],
        &[Filter("border", Arrival, "tcp dport 993 drop")],
        &[Says::these(DROPPED, OUTSIDE).within(MIDDLE).near(IX)]).tuned(),
    Case::new(Filters, "far_prohibited_gw_no", &["gw-no answers 993 with admin-prohibited"],
        &[Filter("gw-no", Forward, "tcp dport 993 reject with icmpx type admin-prohibited")],
        &[Says::these(ICMP, &["edge-osl"]).within(&["vantage_edge"]).near(GW_NO)]),

    Case::new(Limits, "far_one_address_banned", &["mail drops what comes from 172.20.1.10"],
        &[Filter("mail", Input, "ip saddr 172.20.1.10 tcp dport { 143, 993 } drop")],
        &[Says::these(&["source_banned"], &["edge-par"])]).tuned()
        .wavers("now and then a banned source is taken for a broken way"),
    Case::new(Limits, "far_mail2_stopped", &["mail2 behind the pool does not run"],
        &[Stopped("mail2")],
        &[Says::somebody(ONE_OF_MANY)]).asked(POOL).tuned().wavers("chance decides which backend is met"),
    Case::new(Limits, "far_mail2_expired", &["mail2 behind the pool has an expired certificate"],
        &[Presents("mail2", Leaf::Expired)],
        &[Says::somebody(&["certificate_expired", "one_backend_broken", "certificate_differs"])]).asked(POOL)
        .wavers("chance decides which backend is met"),

    Case::new(Quality, "far_throttled", &["isp-eu sends 12 kbit/s to gw-it"],
        &[Choked("isp-eu", "it", 12)],
        &[Says::these(&["throttled"], &["edge-rom"])]).tuned(),
    Case::new(Quality, "far_big_lost_inbound", &["border drops what comes from 993 in packets over 1300 bytes"],
        &[Filter("border", Forward, "tcp sport 993 meta length > 1300 drop")],
        &[Says::these(&["mtu_black_hole"], OUTSIDE)]),

    Case::new(Quality, "far_small_line", &["the line carries 1400 bytes, and neither end says so"],
        &[Ip("ix", "link set dev border mtu 1400\n", "link set dev border mtu 1500\nroute flush cache\n"),
          Ip("border", "link set dev ix mtu 1400\n", "link set dev ix mtu 1500\nroute flush cache\n"),
          Filter("ix", Output, TOO_BIG), Filter("border", Output, TOO_BIG)],
        &[Says::these(&["mtu_black_hole"], OUTSIDE).within(MIDDLE).near(AROUND_LINE)]).tuned(),
    Case::new(Quality, "far_loss_no", &["gw-no loses three of ten packets"],
        &[Filter("gw-no", Forward, "tcp dport 993 numgen random mod 100 < 30 drop\ntcp sport 993 numgen random mod 100 < 30 drop")],
        &[Says::these(&["packet_loss"], &["edge-osl"])]).tuned().wavers("chance decides which packets are lost"),
    Case::new(Limits, "far_lyon_reset_by_mail", &["mail resets 993 for 172.20.1.20"],
        &[Filter("mail", Input, "ip saddr 172.20.1.20 tcp dport 993 reject with tcp reset")],
        &[Says::these(&["source_banned"], &["edge-lyo"]).within(SITE)]).tuned(),
    Case::new(Quality, "far_loss_it", &["gw-it loses six of ten packets towards 993"],
        &[Filter("gw-it", Forward, "tcp dport 993 numgen random mod 100 < 60 drop")],
        &[Says::these(&["packet_loss"], &["edge-rom"])]).wavers("chance decides which packets are lost").tuned(),
    Case::new(Limits, "far_rate_limit", &["border takes one new connection of a source in a second"],
        &[Table("border", RATE)],
        &[Says::somebody(&["rate_limited", "connection_limit"])]).asked(TWO).wavers("whether connections meet is chance"),

    Case::new(Tampering, "far_silent_isp", &["something in isp-fr accepts 993 and says nothing"],
        &[Speaks("isp-fr", 2001, Manner::Silent), Filter("isp-fr", Redirect, "tcp dport 993 redirect to :2001")],
        &[Says::these(&["redirected", "content_filtered", "tls_intercepted", "no_greeting", "tls_handshake_failed"], FRENCH).within(NEAR)]).tuned(),
    Case::new(Tampering, "far_stripped_isp", &["isp-fr takes the offer of STARTTLS away"],
        &[Relays("isp-fr", 2010, 143, Relaying::WithoutStarttls), Filter("isp-fr", Redirect, "tcp dport 143 redirect to :2010")],
        &[Says::these(&["starttls_stripped"], FRENCH)]).asked(STARTTLS),
    Case::new(Tampering, "far_blotted_border", &["border blots the offer of STARTTLS out"],
        &[Relays("border", 2010, 1143, Relaying::StarttlsBlotted), Filter("border", Redirect, "iifname ix tcp dport 1143 redirect to :2010")],
        &[Says::these(&["starttls_stripped"], OUTSIDE)]).asked(STARTTLS_ELSEWHERE),
    Case::new(Tampering, "far_starttls_answer_lost", &["border drops the answer to STARTTLS on its way out"],
        &[LooksFor("Begin TLS negotiation"), Filter("ix", Forward, "ether saddr 02:00:00:00:06:66 tcp sport 143 drop")],
        &[Says::these(&["content_filtered", "flow_cut", "starttls_stripped"], OUTSIDE)]).asked(STARTTLS).tuned(),
    Case::new(Tampering, "far_intercepted_isp", &["isp-fr ends TLS"],
        &[Intercepts("isp-fr", 2007), Filter("isp-fr", Redirect, "tcp dport 993 redirect to :2007")],
        &[Says::these(&["tls_intercepted"], FRENCH)]),
    Case::new(Tampering, "far_sni_reset", &["border resets a hello for this name"],
        &[LooksFor("imap.far.example"), Filter("border", Forward, "ether saddr 02:00:00:00:06:66 tcp dport 993 reject with tcp reset")],
        &[Says::these(&["sni_filtered"], OUTSIDE)]),
    Case::new(Tampering, "far_sni_drop", &["border drops a hello for this name"],
        &[LooksFor("imap.far.example"), Filter("border", Forward, "ether saddr 02:00:00:00:06:66 tcp dport 993 drop")],
        &[Says::these(&["sni_filtered"], OUTSIDE)]),

    Case::new(Tampering, "far_plain_1143", &["gw-it answers 1143 with IMAP that has no TLS"],
        &[Speaks("gw-it", 2006, Manner::PlainImap), Filter("gw-it", Redirect, "tcp dport 1143 redirect to :2006")],
        &[Says::these(&["starttls_stripped", "redirected"], &["edge-rom"])]).asked(STARTTLS_ELSEWHERE),

    Case::new(Names, "far_nxdomain_fr", &["dns-fr knows no name"],
        &[Answers("dns-fr", Answering::NoSuchName)],
        &[Says::these(&["dns_nxdomain"], FRENCH)]),
    Case::new(Names, "far_servfail_eu", &["dns-eu fails"],
        &[Answers("dns-eu", Answering::ServerFailure)],
        &[Says::these(&["dns_servfail"], &["edge-in", "edge-osl", "edge-rom"])]),
    Case::new(Names, "far_hijacked", &["gw-it answers in place of the resolver, with another address"],
        &[Resolver("gw-it", "172.22.1.1"), Filter("gw-it", Redirect, "udp dport 53 redirect to :53\ntcp dport 53 redirect to :53")],
        &[Says::these(&["dns_wrong_address"], &["edge-rom"])]),

    Case::new(Names, "far_forged_fr", &["somebody is faster than dns-fr, with another address"],
        &[Answers("dns-fr", Answering::Forged(IpAddr::V4(Ipv4Addr::new(172, 22, 2, 1))))],
        &[Says::these(&["dns_wrong_address"], FRENCH)]),

    Case::new(Names, "far_resolver_filtered_no", &["gw-no drops questions for names"],
        &[Filter("gw-no", Forward, "udp dport 53 drop\ntcp dport 53 drop")],
        &[Says::these(&["agent_resolver_down", "dns_timeout"], &["edge-osl"])]).tuned(),
    Case::new(Names, "far_wrong_address_eu", &["dns-eu gives an IPv4 address that serves no mail, and no other"],
        &[Answers("dns-eu", Answering::Instead(IpAddr::V4(Ipv4Addr::new(172, 22, 1, 1))))],
        &[Says::these(&["dns_wrong_address"], &["edge-in", "edge-rom"]), Says::these(&["dns_no_address", "dns_wrong_address", "dns_answers_differ"], &["edge-osl"])]).tuned()
        .known_wrong("that a resolver keeps a family to itself is not held against it"),

    Case::new(Agents, "far_own_gateway_gone", &["gw-no is off the network of edge-osl"],
        &[Ip("gw-no", "link set dev lan down\n", "link set dev lan up\naddr replace 2001:db8:2::1/64 dev lan nodad\n")],
        &[Says::these(&["agent_no_route", "agent_network_down", "agent_resolver_down", "packets_dropped"], &["edge-osl"])]),
    Case::new(Agents, "far_own_filter_v6", &["edge-par's own filter rejects 993 in IPv6"],
        &[Filter("edge-par", Output, "meta nfproto ipv6 tcp dport 993 reject with icmpx type admin-prohibited")],
        &[Says::these(&["agent_local_firewall"], &["edge-par"]).within(&["agent"])]),
    Case::new(Agents, "far_own_route_lost", &["edge-lyo has no way out but to the collector"],
        &[Ip("edge-lyo", "route del default via 172.20.1.1\nroute del default via 2001:db8:1::1\n",
            "route replace default via 172.20.1.1\nroute replace default via 2001:db8:1::1\n")],
        &[Says::these(&["agent_no_route", "agent_network_down", "agent_resolver_down"], &["edge-lyo"])]),

    Case::new(Agents, "far_agent_down", &["the agent at edge-osl was killed"],
        &[AgentDown("edge-osl")],
        &[Says::these(&["agent_missing"], &["edge-osl"])]),

    Case::new(Service, "far_smtp_1143", &["mail speaks SMTP on 1143"],
        &[Speaks("mail", 2005, Manner::Smtp), Filter("mail", Redirect, "tcp dport 1143 redirect to :2005")],
        &[Says::these(&["wrong_service"], EVERYONE).within(&["service"])]).asked(STARTTLS_ELSEWHERE),
    Case::new(Service, "far_closed_10993", &["mail resets 10993"],
        &[Filter("mail", Input, "tcp dport 10993 reject with tcp reset")],
        &[Says::these(&["port_closed"], EVERYONE).within(&["service"])]).asked(TLS_ELSEWHERE),
    Case::new(Service, "far_pool_all_expired", &["mail and mail2 behind the pool have expired certificates"],
        &[Presents("mail", Leaf::Expired), Presents("mail2", Leaf::Expired)],
        &[Says::somebody(&["certificate_expired"]).within(&["service"])]).asked(POOL),
    Case::new(Filters, "far_mail2_prohibits", &["mail2, one of two addresses, answers 993 with admin-prohibited"],
        &[Filter("mail2", Input, "tcp dport 993 reject with icmpx type admin-prohibited")],
        &[Says::these(ICMP, EVERYONE).within(SITE)]).asked(TWO),
    Case::new(Routes, "far_fw_a_resets", &["fw-a, one of two equal ways, resets 993"],
        &[Filter("fw-a", Forward, "tcp dport 993 reject with tcp reset")],
        &[Says::somebody(&["one_path_broken", "one_backend_broken", "rejected_with_reset"])]).wavers("chance decides which flows are hit"),
    Case::new(Service, "far_mail2_untrusted_two", &["mail2, one of two addresses, has a certificate of nobody"],
        &[Presents("mail2", Leaf::Untrusted)],
        &[Says::these(&["certificate_untrusted"], EVERYONE).within(&["service"])]).asked(TWO),

    Case::new(Pairs, "far_reset_it_and_wrong_name", &["gw-it resets 993", "mail's certificate is for another name"],
        &[Filter("gw-it", Forward, "tcp dport 993 reject with tcp reset"), Presents("mail", Leaf::WrongName)],
        &[Says::these(RESET, &["edge-rom"]), Says::these(&["certificate_name_mismatch"], &["edge-in", "edge-lyo", "edge-osl", "edge-par"])]),
    Case::new(Pairs, "far_drop_fr_and_nxdomain_eu", &["gw-fr drops 993", "dns-eu knows no name"],
        &[Filter("gw-fr", Forward, "tcp dport 993 drop"), Answers("dns-eu", Answering::NoSuchName)],
        &[Says::these(DROPPED, FRENCH), Says::these(&["dns_nxdomain"], &["edge-in", "edge-osl", "edge-rom"])]),
];
