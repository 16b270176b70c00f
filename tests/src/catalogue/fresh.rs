//! Rows written by somebody who had read no rule: few vantage points, one family, addresses instead of names, other
//! ports and depths, and devices that filter by size, by count or by the hop limit.

use std::net::{IpAddr, Ipv6Addr};

use super::far::*;
use super::{Case, Row, Says};
use crate::dns::Answering;
use crate::far::{At, Trouble};
use crate::pki::Leaf;
use crate::relay::Relaying;
use crate::speaker::Manner;

use super::Ask;
use super::Group::{Filters, Healthy, Limits, Names, Pairs, Quality, Routes, Service, Tampering};
use At::{Arrival, Forward, Input, Output, Redirect};
use Trouble::{Answers, Filter, Intercepts, Ip, Presents, Relays, Speaks, Stopped};

const DUAL: &[&str] = &["edge-lyo", "edge-par"];
const V6_OUTSIDE: &[&str] = &["edge-lyo", "edge-osl", "edge-par"];
const PAR: &[&str] = &["edge-par"];
const OSL: &[&str] = &["edge-osl"];
const ROM: &[&str] = &["edge-rom"];
const PAR_ROM: &[&str] = &["edge-par", "edge-rom"];
const OSL_ROM: &[&str] = &["edge-osl", "edge-rom"];
const ONE_WAY: &[&str] = &[
    "packets_dropped",
    "return_path_lost",
    "source_banned",
    "host_down",
];
const SILENT_HOST: &[&str] = &["host_down", "packets_dropped"];
const CUT: &[&str] = &["flow_cut", "reset_injected", "content_filtered"];

const FROM_PAR: &[&str] = &["imap.far.example", "--from", "edge-par"];
const FROM_TWO: &[&str] = &["imap.far.example", "--from", "edge-par", "--from", "edge-rom"];
const NO_ICMP: &str = "\
    icmp type { time-exceeded, destination-unreachable } drop
    icmpv6 type { time-exceeded, destination-unreachable } drop";
const LOW_HOP_LIMIT: &str = "ip ttl < 20 drop\nip6 hoplimit < 20 meta l4proto { tcp, udp } drop";
/// A router, which serves no mail.
const A_ROUTER: Answering = Answering::Instead(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xf1, 0, 0, 0, 0, 2)));

/// In the second lab.
#[rustfmt::skip]
pub const FRESH: &[Case] = &[
    Case::new(Healthy, "fresh_v4_asked_v6_dropped", &["nothing in IPv4, which is asked; ix drops 993 in IPv6"],
        &[Filter("ix", Forward, "meta nfproto ipv6 tcp dport 993 drop")], &[])
        .asked(&["imap.far.example", "-4", "--from", "edge-par", "--from", "edge-lyo", "--from", "edge-rom"]).verdict("healthy"),
    Case::new(Healthy, "fresh_literal_connect", &["nothing; an address, as far as connect"], &[], &[])
        .asked(&["198.51.100.20", "--depth", "connect", "--from", "edge-par", "--from", "edge-rom"]).verdict("healthy"),
    Case::new(Healthy, "fresh_low_hop_limit", &["nothing; border drops packets with less than 20 hops to go"],
        &[Filter("border", Arrival, LOW_HOP_LIMIT)], &[]).verdict("healthy"),
    Case::new(Healthy, "fresh_mailbox_two", &["nothing; as far as the mailbox"], &[], &[])
        .asked(&["imap.far.example:10993", "--security", "tls", "--depth", "mailbox", "--user", "anna", "--password-stdin", "--from", "edge-osl", "--from", "edge-in"]).verdict("healthy"),
    Case::new(Healthy, "fresh_plaintext_inside", &["nothing; in clear, which the server allows until LOGIN"], &[], &[])
        .asked(&["imap.far.example:1143", "--security", "plaintext", "--from", "edge-in"]).verdict("healthy"),
    Case::new(Healthy, "fresh_wildcard", &["nothing; mail's certificate is for *.far.example"],
        &[Presents("mail", Leaf::Wildcard)], &[]).asked(FROM_TWO).verdict("healthy"),

    Case::new(Filters, "fresh_one_agent_drop", &["isp-fr drops 993"],
        &[Filter("isp-fr", Forward, "tcp dport 993 drop")],
        &[Says::these(DROPPED, PAR).near(ISP_FR)]).asked(FROM_PAR).verdict("down"),
    Case::new(Filters, "fresh_drop_without_icmp", &["border drops 993", "ix and border send no ICMP errors"],
        &[Filter("border", Forward, "tcp dport 993 drop"), Filter("ix", Output, NO_ICMP), Filter("border", Output, NO_ICMP)],
        &[Says::these(DROPPED, PAR_ROM)]).asked(FROM_TWO).verdict("down"),
    Case::new(Filters, "fresh_reset_without_icmp", &["border resets 993", "no router from ix on sends ICMP errors"],
        &[Filter("border", Forward, "tcp dport 993 reject with tcp reset"), Filter("ix", Output, NO_ICMP), Filter("border", Output, NO_ICMP),
          Filter("fw-a", Output, NO_ICMP), Filter("fw-b", Output, NO_ICMP)],
        &[Says::these(RESET, OUTSIDE)]).verdict("partial"),
    Case::new(Filters, "fresh_reset_v6_asked", &["border resets 993 in IPv6, which is asked"],
        &[Filter("border", Forward, "meta nfproto ipv6 tcp dport 993 reject with tcp reset")],
        &[Says::these(RESET, V6_OUTSIDE).within(MIDDLE).near(BORDER)])
        .asked(&["imap.far.example", "-6", "--from", "edge-par", "--from", "edge-lyo", "--from", "edge-osl"]).verdict("down"),
    Case::new(Filters, "fresh_literal_v6_drop", &["border drops 10993 in IPv6; an address is asked"],
        &[Filter("border", Forward, "meta nfproto ipv6 tcp dport 10993 drop")],
        &[Says::these(DROPPED, &["edge-osl", "edge-par"]).within(MIDDLE).near(BORDER)])
        .asked(&["[2001:db8:9::20]:10993", "--security", "tls", "--depth", "connect", "--from", "edge-par", "--from", "edge-osl", "--from", "edge-in"]).verdict("partial"),
    Case::new(Filters, "fresh_drop_143_two", &["both firewalls drop 143"],
        &[Filter("fw-a", Forward, "tcp dport 143 drop"), Filter("fw-b", Forward, "tcp dport 143 drop")],
        &[Says::these(DROPPED, &["edge-lyo", "edge-osl"]).within(SITE).near(FIREWALLS)])
        .asked(&["imap://imap.far.example", "--from", "edge-lyo", "--from", "edge-osl"]).verdict("down"),
    Case::new(Filters, "fresh_host_dropped", &["border drops whatever is for mail"],
        &[Filter("border", Forward, "ip daddr 198.51.100.20 drop\nip6 daddr 2001:db8:9::20 drop")],
        &[Says::these(SILENT_HOST, OUTSIDE).within(MIDDLE).near(BORDER)]).verdict("partial"),
    Case::new(Filters, "fresh_drop_no_follow_up", &["border drops 993; nothing may be followed up"],
        &[Filter("border", Forward, "tcp dport 993 drop")],
        &[Says::these(DROPPED, PAR_ROM)])
        .asked(&["imap.far.example", "--no-follow-up", "--from", "edge-par", "--from", "edge-rom"]).verdict("down"),
    Case::new(Filters, "fresh_reset_no_path", &["gw-it resets 993; no path may be traced"],
        &[Filter("gw-it", Forward, "tcp dport 993 reject with tcp reset")],
        &[Says::these(&["rejected_with_reset", "source_banned"], ROM)])
        .asked(&["imap.far.example", "--path", "never", "--from", "edge-par", "--from", "edge-rom"]).verdict("partial"),
    Case::new(Filters, "fresh_prohibited_one_starttls", &["gw-no answers 1143 with admin-prohibited"],
        &[Filter("gw-no", Forward, "tcp dport 1143 reject with icmpx type admin-prohibited")],
        &[Says::these(&["rejected_with_icmp"], OSL)])
        .asked(&["imap.far.example:1143", "--security", "starttls", "--from", "edge-osl"]).verdict("down"),

    Case::new(Routes, "fresh_return_only_no", &["border drops what 993 sends to the Norwegian network"],
        &[Filter("border", Forward, "ip6 daddr 2001:db8:2::/64 tcp sport 993 drop")],
        &[Says::these(ONE_WAY, OSL)]).asked(&["imap.far.example", "--from", "edge-osl", "--from", "edge-in"]).verdict("partial"),
    Case::new(Routes, "fresh_no_way_back_it", &["mail has no way back to the Italian network"],
        &[Ip("mail", "route replace blackhole 172.20.3.0/26\n", "route del blackhole 172.20.3.0/26\n")],
        &[Says::these(ONE_WAY, ROM)]).asked(FROM_TWO).verdict("partial"),
    Case::new(Routes, "fresh_loop_v6", &["border sends what is for the site back to ix, in IPv6"],
        &[Ip("border", "route replace 2001:db8:9::/64 via 2001:db8:d0::1\n", "route del 2001:db8:9::/64 via 2001:db8:d0::1\n")],
        &[Says::these(&["routing_loop"], V6_OUTSIDE)]).verdict("partial"),
    Case::new(Routes, "fresh_both_dead_differently", &["mail resets 993", "mail2 drops everything"],
        &[Filter("mail", Input, "tcp dport 993 reject with tcp reset"), Filter("mail2", Input, "ip saddr != 127.0.0.1 meta l4proto { tcp, udp } drop")],
        &[Says::these(&["port_closed"], PAR_ROM).within(&["service"]), Says::these(SILENT_HOST, PAR_ROM).within(SITE)])
        .asked(&["two.far.example", "-4", "--from", "edge-par", "--from", "edge-rom"]).verdict("down"),
    Case::new(Routes, "fresh_every_other_flow_reset", &["border resets 993 from every other pair of ports"],
        &[Filter("border", Forward, "tcp dport 993 tcp sport & 2 == 2 reject with tcp reset")],
        &[Says::somebody(&["one_path_broken", "one_backend_broken", "rejected_with_reset"])]).wavers("chance decides which flows are hit"),
    Case::new(Quality, "fresh_every_other_syn_lost", &["border drops every other SYN to 993, by chance"],
        &[Filter("border", Forward, "tcp dport 993 tcp flags & (syn|ack) == syn numgen random mod 2 == 0 drop")],
        &[Says::somebody(&["packet_loss", "rate_limited", "connection_limit"])]).wavers("chance decides which packets are lost"),
    Case::new(Quality, "fresh_late", &["mail begins to answer 993 after three seconds"],
        &[Relays("mail", 2010, 993, Relaying::Late), Filter("mail", Redirect, "tcp dport 993 redirect to :2010")],
        &[Says::these(&["latency_high", "slow_greeting", "server_overloaded"], PAR_ROM)]).asked(FROM_TWO).verdict("partial").tuned()
        .known_wrong("a handshake is not held to be slow, the greeting and the login are"),

    Case::new(Limits, "fresh_one_of_a_network_banned", &["mail resets 10993 for 2001:db8:1::20"],
        &[Filter("mail", Input, "ip6 saddr 2001:db8:1::20 tcp dport 10993 reject with tcp reset")],
        &[Says::these(&["source_banned"], &["edge-lyo"]).within(SITE)])
        .asked(&["imap.far.example:10993", "--security", "tls", "-6", "--from", "edge-lyo", "--from", "edge-par", "--from", "edge-osl"]).verdict("partial"),

    Case::new(Service, "fresh_stopped_by_address", &["mail2, whose address is given, does not run"],
        &[Stopped("mail2")],
        &[Says::these(&["port_closed"], &["edge-in", "edge-lyo", "edge-par", "edge-rom"]).within(&["service"])])
        .asked(&["two.far.example", "--address", "198.51.100.21", "--from", "edge-par", "--from", "edge-lyo", "--from", "edge-rom", "--from", "edge-in"]).verdict("down"),
    Case::new(Service, "fresh_stopped_low_hop_limit", &["mail resets 993", "border drops packets with less than 20 hops to go"],
        &[Filter("mail", Input, "tcp dport 993 reject with tcp reset"), Filter("border", Arrival, LOW_HOP_LIMIT)],
        &[Says::these(&["port_closed"], EVERYONE).within(&["service"])]).verdict("down"),
    Case::new(Service, "fresh_bye_one", &["mail says BYE on 1143"],
        &[Speaks("mail", 2003, Manner::Bye), Filter("mail", Redirect, "tcp dport 1143 redirect to :2003")],
        &[Says::these(&["server_said_bye"], OSL).within(&["service"])])
        .asked(&["imap.far.example:1143", "--security", "starttls", "--from", "edge-osl"]).verdict("down"),
    Case::new(Service, "fresh_expired_depth_tls", &["mail's certificate has ended"],
        &[Presents("mail", Leaf::Expired)],
        &[Says::these(&["certificate_expired"], OSL).within(&["service"])])
        .asked(&["imap.far.example", "--depth", "tls", "--from", "edge-osl"]).verdict("down"),
    Case::new(Service, "fresh_certificate_v6", &["mail has a certificate of nobody, in IPv6"],
        &[Intercepts("mail", 2007), Filter("mail", Redirect, "meta nfproto ipv6 tcp dport 993 redirect to :2007")],
        &[Says::these(&["certificate_untrusted", "certificate_differs", "tls_intercepted"], &["edge-in", "edge-lyo", "edge-osl", "edge-par"])]).verdict("partial"),
    Case::new(Service, "fresh_literal_wrong_name", &["an address is asked, and mail's certificate is for names"], &[],
        &[Says::these(&["certificate_name_mismatch"], PAR).within(&["service"])])
        .asked(&["198.51.100.20", "--from", "edge-par"]).verdict("down"),

    Case::new(Tampering, "fresh_port_moved", &["border sends 993 of IPv4 to 143"],
        &[Filter("border", Redirect, "ip daddr 198.51.100.20 tcp dport 993 dnat ip to 198.51.100.20:143")],
        &[Says::these(&["redirected", "plaintext_expected"], OUTSIDE_V4)]).verdict("partial"),
    Case::new(Tampering, "fresh_fin_it", &["something in gw-it accepts 993 and closes"],
        &[Speaks("gw-it", 2002, Manner::Closing), Filter("gw-it", Redirect, "tcp dport 993 redirect to :2002")],
        &[Says::these(&["redirected", "content_filtered"], ROM)]).asked(FROM_TWO).verdict("partial").tuned(),
    Case::new(Tampering, "fresh_big_hello_lost", &["gw-no drops packets of more than 230 bytes to 10993; one vantage point asks"],
        &[Filter("gw-no", Forward, "tcp dport 10993 meta length > 230 drop")],
        &[Says::these(&["mtu_black_hole", "content_filtered", "flow_cut"], OSL)])
        .asked(&["imap.far.example:10993", "--security", "tls", "--from", "edge-osl"]).verdict("down"),
    Case::new(Tampering, "fresh_reset_after_bytes", &["border resets what has sent 500 bytes to 993"],
        &[Filter("border", Forward, "tcp dport 993 ct original bytes > 500 reject with tcp reset")],
        &[Says::these(CUT, OUTSIDE)]).verdict("partial").tuned(),
    Case::new(Tampering, "fresh_starttls_cut", &["border drops what comes from 143 after 1500 bytes; one vantage point asks"],
        &[Filter("border", Forward, "tcp sport 143 ct reply bytes > 1500 drop")],
        &[Says::these(&["flow_cut", "content_filtered"], &["edge-lyo"])])
        .asked(&["imap://imap.far.example", "--from", "edge-lyo"]).verdict("down").tuned()
        .known_wrong("a server that stops within the handshake looks the same to one vantage point"),

    Case::new(Names, "fresh_other_family_wrong_fr", &["dns-fr gives an IPv6 address that serves no mail, and no other"],
        &[Answers("dns-fr", A_ROUTER)],
        &[Says::these(&["dns_wrong_address"], PAR)]).asked(FROM_TWO).verdict("partial").tuned(),
    Case::new(Names, "fresh_servfail_one", &["dns-eu fails; one vantage point asks"],
        &[Answers("dns-eu", Answering::ServerFailure)],
        &[Says::these(&["dns_servfail"], ROM)]).asked(&["imap.far.example:1143", "--security", "starttls", "--from", "edge-rom"]).verdict("down"),

    Case::new(Pairs, "fresh_drop_fr_reset_border", &["isp-fr drops 993", "border resets 993"],
        &[Filter("isp-fr", Forward, "tcp dport 993 drop"), Filter("border", Forward, "tcp dport 993 reject with tcp reset")],
        &[Says::these(DROPPED, DUAL).near(ISP_FR), Says::these(RESET, OSL_ROM).near(BORDER)]).verdict("partial"),
    Case::new(Pairs, "fresh_drop_it_reset_no", &["gw-it drops 10993", "gw-no resets 10993"],
        &[Filter("gw-it", Forward, "tcp dport 10993 drop"), Filter("gw-no", Forward, "tcp dport 10993 reject with tcp reset")],
        &[Says::these(DROPPED, ROM), Says::these(RESET, OSL)]).asked(TLS_ELSEWHERE).verdict("partial"),
];

/// In the usual lab.
#[rustfmt::skip]
pub const FRESH_ROWS: &[Row] = &[
    Row::new(Pairs, "fresh_backend_down_drop_ams", &["auth_backend_down@mail", "firewall_drop@edge-ams"],
        &[Says::ams(DROPPED), Says::these(&["auth_backend_unavailable"], &["edge-fra", "edge-lon", "edge-nyc"])]).asked(Ask::Login).held_out(),
    Row::new(Tampering, "fresh_hello_drop_starttls", &["hello_drop@core"],
        &[Says::everyone(&["content_filtered", "flow_cut"]).at(super::Hop::Core)]).asked(Ask::Starttls),
    Row::new(Pairs, "fresh_loss_of_v6_and_bye", &["firewall_drop@site-fw/v6", "says_bye@mail"],
        &[Says::everyone(DROPPED_FAMILY), Says::everyone(&["server_said_bye"])]).asked(Ask::Starttls).held_out(),
];
