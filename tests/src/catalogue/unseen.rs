//! Rows in the second lab that have not been shown to anybody who works on the rules.

use super::far::*;
use super::{Case, Says};
use crate::dns::Answering;
use crate::far::{At, Trouble};
use crate::pki::Leaf;
use crate::relay::Relaying;
use crate::speaker::Manner;

use super::Group::{Agents, Filters, Healthy, Limits, Names, Pairs, Quality, Routes, Service, Tampering};
use At::{Forward, Input, Output, Redirect};
use Trouble::{Answers, Choked, Filter, Intercepts, Ip, Presents, Relays, Speaks, Stopped};

const TWO_ELSEWHERE: &[&str] = &["two.far.example:1143", "--security", "starttls", "--from", "all"];
const SITE_DOWNSTREAM: &[&str] = &["edge-in", "edge-osl", "edge-rom"];
const NO_ICMP: &str = "\
    icmp type { time-exceeded, destination-unreachable } drop
    icmpv6 type { time-exceeded, destination-unreachable } drop";

/// All of them.
#[rustfmt::skip]
pub const UNSEEN: &[Case] = &[
    Case::new(Healthy, "far_healthy_two_1143", &["nothing; two addresses and another port"], &[], &[]).asked(TWO_ELSEWHERE),
    Case::new(Healthy, "far_relayed_one", &["nothing; gw-it relays 993"],
        &[Relays("gw-it", 2010, 993, Relaying::Everything), Filter("gw-it", Redirect, "tcp dport 993 redirect to :2010")], &[]),
    Case::new(Healthy, "far_slow_no", &["nothing; isp-eu sends 256 kbit/s to gw-no"], &[Choked("isp-eu", "no", 256)], &[]),
    Case::new(Healthy, "far_icmp_silent", &["nothing; ix and border send no ICMP errors"],
        &[Filter("ix", Output, NO_ICMP), Filter("border", Output, NO_ICMP)], &[]),

    Case::new(Filters, "far_drop_fw_v6", &["both firewalls drop 993 in IPv6"],
        &[Filter("fw-a", Forward, "meta nfproto ipv6 tcp dport 993 drop"), Filter("fw-b", Forward, "meta nfproto ipv6 tcp dport 993 drop")],
        &[Says::these(DROPPED_FAMILY, &["edge-lyo", "edge-osl", "edge-par"]).within(SITE).near(FIREWALLS)]),
    Case::new(Filters, "far_reset_border_10993", &["border resets 10993"],
        &[Filter("border", Forward, "tcp dport 10993 reject with tcp reset")],
        &[Says::these(RESET, OUTSIDE).within(MIDDLE).near(BORDER)]).asked(TLS_ELSEWHERE),
    Case::new(Filters, "far_lan_of_two_dropped", &["both firewalls drop 993 from the French network in IPv4"],
        &[Filter("fw-a", Forward, "ip saddr 172.20.1.0/26 tcp dport 993 drop"), Filter("fw-b", Forward, "ip saddr 172.20.1.0/26 tcp dport 993 drop")],
        &[Says::these(&["packets_dropped", "source_banned", "family_broken"], FRENCH).within(SITE)])
        .wavers("where the sweep of ports comes too late, one of two ways is suspected before a source"),
    Case::new(Filters, "far_drop_second_host", &["mail2, one of two addresses, drops 993"],
        &[Filter("mail2", Input, "tcp dport 993 drop")],
        &[Says::these(DROPPED, EVERYONE).within(SITE)]).asked(TWO),

    Case::new(Routes, "far_blackhole_no", &["gw-no has lost the site's prefix, silently"],
        &[Ip("gw-no", "route replace blackhole 2001:db8:9::/64\n", "route del blackhole 2001:db8:9::/64\n")],
        &[Says::these(DROPPED, &["edge-osl"]).within(&["vantage_edge"])]),
    Case::new(Routes, "far_unreachable_eu_v6", &["isp-eu has no way to the site in IPv6 and says so"],
        &[Ip("isp-eu", "route replace unreachable 2001:db8:9::/64\n", "route del unreachable 2001:db8:9::/64\n")],
        &[Says::these(&["no_route", "rejected_with_icmp"], &["edge-osl"]).near(ISP_EU)]),
    Case::new(Routes, "far_loop_border_v4", &["border sends what is for the site back to ix, in IPv4"],
        &[Ip("border", "route replace 198.51.100.16/28 via 172.23.0.1\n", "route del 198.51.100.16/28\n")],
        &[Says::these(&["routing_loop"], OUTSIDE_V4)]),
    Case::new(Routes, "far_no_way_back_no", &["border has no way back to the Norwegian network"],
        &[Ip("border", "route replace blackhole 2001:db8:2::/64\n", "route del blackhole 2001:db8:2::/64\n")],
        &[Says::these(&["packets_dropped", "return_path_lost", "source_banned", "host_down"], &["edge-osl"])]),
    Case::new(Routes, "far_fw_a_lossy", &["fw-a, one of two equal ways, loses six of ten packets"],
        &[Filter("fw-a", Forward, "tcp dport 993 numgen random mod 100 < 60 drop")],
        &[Says::somebody(&["packet_loss", "one_path_broken"])]).wavers("chance decides which packets are lost"),

    Case::new(Limits, "far_rome_reset_by_mail", &["mail resets 993 for 172.20.3.10"],
        &[Filter("mail", Input, "ip saddr 172.20.3.10 tcp dport 993 reject with tcp reset")],
        &[Says::these(&["source_banned"], &["edge-rom"]).within(SITE)]),
    Case::new(Limits, "far_inside_banned", &["mail drops 143 and 993 from the vantage point on its own network"],
        &[Filter("mail", Input, "ip saddr 198.51.100.28 tcp dport { 143, 993 } drop\nip6 saddr 2001:db8:9::28 tcp dport { 143, 993 } drop")],
        &[Says::these(&["source_banned", "packets_dropped"], &["edge-in"])]),

    Case::new(Quality, "far_trickle_fr", &["isp-fr sends 12 kbit/s to gw-fr"],
        &[Choked("isp-fr", "fr", 12)],
        &[Says::these(&["throttled"], FRENCH)]).wavers("how far a probe gets in its time is chance"),

    Case::new(Service, "far_not_yet_1143", &["mail's certificate begins tomorrow; another port"],
        &[Presents("mail", Leaf::NotYet)],
        &[Says::these(&["certificate_not_yet_valid"], EVERYONE).within(&["service"])]).asked(STARTTLS_ELSEWHERE),
    Case::new(Service, "far_near_server_stopped", &["dns-eu names mail2, which does not run"],
        &[Stopped("mail2")],
        &[Says::these(&["port_closed"], SITE_DOWNSTREAM).within(&["service"])]).asked(GEO),
    Case::new(Service, "far_pool_wrong_name", &["mail2 behind the pool has a certificate for another name"],
        &[Presents("mail2", Leaf::WrongName)],
        &[Says::somebody(&["certificate_name_mismatch", "one_backend_broken", "certificate_differs"])]).asked(POOL)
        .wavers("chance decides which backend is met"),

    Case::new(Tampering, "far_portal_fr", &["gw-fr answers 993 with a web server"],
        &[Speaks("gw-fr", 2004, Manner::Http), Filter("gw-fr", Redirect, "tcp dport 993 redirect to :2004")],
        &[Says::these(&["redirected"], FRENCH)]),
    Case::new(Tampering, "far_silent_proxy_it", &["something in gw-it accepts 993 and says nothing"],
        &[Speaks("gw-it", 2001, Manner::Silent), Filter("gw-it", Redirect, "tcp dport 993 redirect to :2001")],
        &[Says::these(&["redirected", "content_filtered", "tls_intercepted", "no_greeting", "tls_handshake_failed"], &["edge-rom"]).within(&["vantage_edge"])]),

    Case::new(Names, "far_dns_silent_eu", &["dns-eu does not answer"],
        &[Answers("dns-eu", Answering::Never)],
        &[Says::these(&["agent_resolver_down", "dns_timeout"], SITE_DOWNSTREAM)]),
    Case::new(Names, "far_aaaa_silent_fr", &["dns-fr does not answer questions for IPv6 addresses"],
        &[Answers("dns-fr", Answering::Ipv4Only)],
        &[Says::these(&["dns_slow", "dns_timeout"], FRENCH)]),

    Case::new(Agents, "far_own_drop_rom", &["edge-rom's own filter drops 993"],
        &[Filter("edge-rom", Output, "tcp dport 993 drop")],
        &[Says::these(&["agent_local_firewall", "packets_dropped"], &["edge-rom"])]),

    Case::new(Pairs, "far_drop_it_and_intercepted_fr", &["gw-it drops 993", "isp-fr ends TLS"],
        &[Filter("gw-it", Forward, "tcp dport 993 drop"), Intercepts("isp-fr", 2007), Filter("isp-fr", Redirect, "tcp dport 993 redirect to :2007")],
        &[Says::these(DROPPED, &["edge-rom"]), Says::these(&["tls_intercepted"], FRENCH)]),
    Case::new(Pairs, "far_v6_dropped_and_expired", &["ix drops 993 in IPv6", "mail's certificate has ended"],
        &[Filter("ix", Forward, "meta nfproto ipv6 tcp dport 993 drop"), Presents("mail", Leaf::Expired)],
        &[Says::these(&["certificate_expired"], &["edge-in", "edge-lyo", "edge-par", "edge-rom"]),
          Says::these(DROPPED_FAMILY, &["edge-lyo", "edge-osl", "edge-par"])]),
];
