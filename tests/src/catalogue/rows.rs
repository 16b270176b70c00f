//! The rows. A row that is wrong today says why; whoever makes it right takes the mark away.

use super::{Ask, Group, Hop, Row, Says};

const DROPPED: &[&str] = &["packets_dropped"];
const RESET: &[&str] = &["rejected_with_reset"];
const ICMP: &[&str] = &["rejected_with_icmp"];
const NO_ROUTE: &[&str] = &["no_route", "rejected_with_icmp"];
/// A host whose every protocol is silent behind the last hop is down or filtered: nobody outside can tell.
const SILENT_HOST: &[&str] = &["host_down", "packets_dropped"];
/// Packets that never arrive and answers that never return look the same from outside.
const ONE_WAY: &[&str] = &["packets_dropped", "return_path_lost"];
const LOCAL_DROP: &[&str] = &["agent_local_firewall", "packets_dropped"];
const LOCAL_FILTER: &[&str] = &["agent_local_firewall"];
const AGENT_ROUTE: &[&str] = &["agent_no_route"];
const BANNED: &[&str] = &["source_banned"];
const MTU: &[&str] = &["mtu_black_hole"];
const LOSS: &[&str] = &["packet_loss"];
const CONTENT: &[&str] = &["content_filtered"];
const CONTENT_RESET: &[&str] = &["reset_injected", "content_filtered"];
const REDIRECTED: &[&str] = &["redirected"];
const HOST: &[&str] = &["service"];
const HOST_FILTER: &[&str] = &["site_edge", "service"];
const SELF: &[&str] = &["agent"];

use Group::{Agents, Filters, Healthy, Limits, Names, Pairs, Quality, Routes, Service, Tampering};

/// All of them.
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    Row::new(Filters, "drop_ams", &["firewall_drop@edge-ams"], &[Says::ams(DROPPED).at(Hop::Ams)]),
    Row::new(Filters, "drop_core", &["firewall_drop@core"], &[Says::everyone(DROPPED).at(Hop::Core)]),
    Row::new(Filters, "drop_site", &["firewall_drop@site-fw"], &[Says::everyone(DROPPED).at(Hop::SiteFirewall)]),
    Row::new(Filters, "drop_mail", &["firewall_drop@mail"], &[Says::everyone(DROPPED).within(HOST_FILTER)]),
    Row::new(Filters, "drop_core_v6", &["firewall_drop@core/v6"], &[Says::everyone(&["family_broken", "packets_dropped"]).at(Hop::Core)]),
    Row::new(Filters, "drop_ams_v4", &["firewall_drop@edge-ams/v4"], &[Says::ams(&["family_broken", "packets_dropped"]).at(Hop::Ams)]).held_out(),
    Row::new(Filters, "drop_arrival_core", &["drop_on_arrival@core"], &[Says::everyone(DROPPED)]),
    Row::new(Filters, "drop_993_core", &["drop_993@core"], &[Says::everyone(DROPPED).at(Hop::Core)]),
    Row::new(Filters, "drop_143_site", &["drop_143@site-fw"], &[Says::everyone(DROPPED).at(Hop::SiteFirewall)]).asked(Ask::Starttls),
    Row::new(Filters, "drop_all_core", &["drop_all@core"], &[Says::everyone(DROPPED).at(Hop::Core)]),
    Row::new(Filters, "drop_all_ams", &["drop_all@edge-ams"], &[Says::ams(DROPPED).at(Hop::Ams)]),
    Row::new(Filters, "syn_ack_drop_core", &["syn_ack_drop@core"], &[Says::everyone(ONE_WAY)]),
    Row::new(Filters, "syn_ack_drop_ams", &["syn_ack_drop@edge-ams"], &[Says::ams(ONE_WAY)]).held_out(),
    Row::new(Filters, "return_drop_core", &["return_drop@core"], &[Says::everyone(&["packets_dropped", "return_path_lost", "host_down"])]),
    Row::new(Filters, "reset_ams", &["firewall_reset@edge-ams"], &[Says::ams(RESET).at(Hop::Ams)]),
    Row::new(Filters, "reset_core", &["firewall_reset@core"], &[Says::everyone(RESET).at(Hop::Core)]),
    Row::new(Filters, "reset_site", &["firewall_reset@site-fw"], &[Says::everyone(RESET).at(Hop::SiteFirewall)]),
    Row::new(Filters, "reset_mail", &["firewall_reset@mail"], &[Says::everyone(&["port_closed"]).within(HOST)]),
    Row::new(Filters, "reset_core_v4", &["firewall_reset@core/v4"], &[Says::everyone(&["family_broken", "rejected_with_reset"])]).held_out(),
    Row::new(Filters, "reject_ams", &["firewall_reject@edge-ams"], &[Says::ams(ICMP).at(Hop::Ams)]),
    Row::new(Filters, "reject_core", &["firewall_reject@core"], &[Says::everyone(ICMP).at(Hop::Core)]),
    Row::new(Filters, "reject_site", &["firewall_reject@site-fw"], &[Says::everyone(ICMP).at(Hop::SiteFirewall)]),
    Row::new(Filters, "reject_mail", &["firewall_reject@mail"], &[Says::everyone(ICMP).within(HOST_FILTER)]),
    Row::new(Filters, "reject_core_v6", &["firewall_reject@core/v6"], &[Says::everyone(&["family_broken", "rejected_with_icmp"]).at(Hop::Core)]),
    Row::new(Filters, "unreachable_site", &["firewall_unreachable@site-fw"], &[Says::everyone(&["rejected_with_icmp", "host_down", "no_route"]).at(Hop::SiteFirewall)]),
    Row::new(Filters, "no_route_filter_core", &["firewall_no_route@core"], &[Says::everyone(NO_ROUTE).at(Hop::Core)]),
    Row::new(Filters, "port_unreachable_mail", &["firewall_port@mail"], &[Says::everyone(&["rejected_with_icmp", "port_closed"]).within(HOST_FILTER)]),
    Row::new(Filters, "port_unreachable_ams", &["firewall_port@edge-ams"], &[Says::ams(ICMP).at(Hop::Ams)]).held_out(),
    Row::new(Filters, "idle_cut_ams", &["idle_cut@edge-ams"], &[Says::ams(&["idle_timeout_in_path"])]).asked(Ask::Hold),

    Row::new(Routes, "host_down", &["host_down@mail"], &[Says::everyone(&["host_down"])]),
    Row::new(Routes, "host_silent", &["host_silent@mail"], &[Says::everyone(SILENT_HOST).within(HOST_FILTER)]),
    Row::new(Routes, "blackhole_ams", &["route_blackhole@edge-ams"], &[Says::ams(DROPPED).within(&["vantage_edge"])]),
    Row::new(Routes, "blackhole_core", &["route_blackhole@core"], &[Says::everyone(DROPPED)]),
    Row::new(Routes, "blackhole_site", &["route_blackhole@site-fw"], &[Says::everyone(SILENT_HOST).at(Hop::SiteFirewall)]).held_out(),
    Row::new(Routes, "unreachable_core", &["route_unreachable@core"], &[Says::everyone(NO_ROUTE).at(Hop::Core)]),
    Row::new(Routes, "unreachable_ams", &["route_unreachable@edge-ams"], &[Says::ams(NO_ROUTE).at(Hop::Ams)]),
    Row::new(Routes, "prohibited_core", &["route_prohibited@core"], &[Says::everyone(ICMP).at(Hop::Core)]),
    Row::new(Routes, "loop_site", &["routing_loop@site-fw"], &[Says::everyone(&["routing_loop"])]),
    Row::new(Routes, "no_return_mail", &["no_return@mail"], &[Says::everyone(&["host_down", "packets_dropped", "return_path_lost"])]),

    Row::new(Quality, "mtu_core", &["small_link@core", "too_big_lost@core", "too_big_lost@site-fw"], &[Says::everyone(MTU)]),
    Row::new(Quality, "loss_core", &["packet_loss@core"], &[Says::somebody(LOSS)])
        .wavers("chance decides which packets are lost"),
    Row::new(Quality, "loss_ams", &["packet_loss@edge-ams"], &[Says::ams(LOSS)])
        .wavers("chance may spare one vantage point"),
    Row::new(Quality, "throttled_site", &["throttled@site-fw"], &[Says::everyone(&["throttled"])])
        .wavers("how far a probe gets in its time is chance"),
    Row::new(Quality, "half_flows_core", &["half_flows_drop@core"], &[Says::somebody(&["one_path_broken", "one_backend_broken"])])
        .wavers("chance decides which flows are hit"),

    Row::new(Limits, "ban_drop_mail", &["firewall_drop@mail/edge-ams"], &[Says::ams(BANNED)]),
    Row::new(Limits, "ban_drop_site", &["firewall_drop@site-fw/edge-ams"], &[Says::ams(BANNED)]),
    Row::new(Limits, "ban_port_mail", &["firewall_port@mail/edge-ams"], &[Says::ams(BANNED)]),
    Row::new(Limits, "ban_reset_mail", &["firewall_reset@mail/edge-ams"], &[Says::ams(BANNED)]).held_out(),
    Row::new(Limits, "ban_bye_mail", &["says_bye@mail/edge-ams"], &[Says::ams(BANNED)]).asked(Ask::Starttls),
    Row::new(Limits, "ban_close_mail", &["closes@mail/edge-ams"], &[Says::ams(BANNED)]),
    Row::new(Limits, "connection_limit_site", &["connection_limit@site-fw"], &[Says::everyone(&["connection_limit"])]).asked(Ask::TwoAddresses),
    Row::new(Limits, "connection_limit_silent_site", &["connection_limit_silent@site-fw"], &[Says::everyone(&["connection_limit", "rate_limited"])]).asked(Ask::TwoAddresses)
        .wavers("whether two connections meet is chance"),
    Row::new(Limits, "rate_limit_site", &["rate_limit@site-fw"], &[Says::everyone(&["rate_limited", "connection_limit"])]).asked(Ask::TwoAddresses)
        .wavers("whether two connections meet is chance"),
    Row::new(Limits, "backend_dead", &["backend_dead@site-fw"], &[Says::somebody(&["one_backend_broken", "one_path_broken"])])
        .wavers("chance decides which flows are hit"),
    Row::new(Limits, "accept_queue_full", &["accept_queue_full@mail"], &[Says::everyone(&["server_overloaded", "packets_dropped"]).within(HOST_FILTER)]),

    Row::new(Tampering, "hello_reset_core", &["hello_reset@core"], &[Says::everyone(CONTENT_RESET)]),
    Row::new(Tampering, "hello_reset_ams", &["hello_reset@edge-ams"], &[Says::ams(CONTENT_RESET)]),
    Row::new(Tampering, "hello_drop_core", &["hello_drop@core"], &[Says::everyone(CONTENT)]),
    Row::new(Tampering, "hello_drop_ams", &["hello_drop@edge-ams"], &[Says::ams(CONTENT)]).held_out(),
    Row::new(Tampering, "http_ams", &["speaks_http@edge-ams"], &[Says::ams(REDIRECTED).within(&["vantage_edge"])]),
    Row::new(Tampering, "smtp_site", &["speaks_smtp@site-fw"], &[Says::everyone(REDIRECTED)]),
    Row::new(Tampering, "plain_ams_starttls", &["speaks_plain@edge-ams"], &[Says::ams(&["starttls_stripped", "redirected"])]).asked(Ask::Starttls),

    Row::new(Tampering, "intercepted_ams", &["intercepted@edge-ams"], &[Says::ams(&["tls_intercepted"])]),
    Row::new(Tampering, "intercepted_site", &["intercepted@site-fw"], &[Says::everyone(&["tls_intercepted"])]),
    Row::new(Tampering, "intercepted_mail_ams", &["intercepted@mail/edge-ams"], &[Says::ams(&["tls_intercepted", "one_backend_broken", "certificate_differs"])]).held_out(),

    Row::new(Service, "stopped", &["dovecot_stopped@mail"], &[Says::everyone(&["port_closed"]).within(HOST)]),
    Row::new(Service, "smtp", &["wrong_service@mail"], &[Says::everyone(&["wrong_service"]).within(HOST)]),
    Row::new(Service, "silent_993", &["stays_silent@mail"], &[Says::everyone(&["no_greeting", "tls_handshake_failed"]).within(HOST)]),
    Row::new(Service, "silent_143", &["stays_silent@mail"], &[Says::everyone(&["no_greeting"]).within(HOST)]).asked(Ask::Starttls),
    Row::new(Service, "closes_143", &["closes@mail"], &[Says::everyone(&["closed_before_greeting"]).within(HOST)]).asked(Ask::Starttls),
    Row::new(Service, "bye_143", &["says_bye@mail"], &[Says::everyone(&["server_said_bye"]).within(HOST)]).asked(Ask::Starttls),
    Row::new(Service, "plain_993", &["speaks_plain@mail"], &[Says::everyone(&["plaintext_expected"]).within(HOST)]),
    Row::new(Service, "plain_143", &["speaks_plain@mail"], &[Says::everyone(&["starttls_missing"]).within(HOST)]).asked(Ask::Starttls),
    Row::new(Service, "http_993", &["speaks_http@mail"], &[Says::everyone(&["wrong_service"]).within(HOST)]).held_out(),
    Row::new(Service, "tls_too_old", &["tls_too_old@mail"], &[Says::everyone(&["tls_version_too_old"]).within(HOST)]),
    Row::new(Service, "certificate_expired", &["certificate_expired@mail"], &[Says::everyone(&["certificate_expired"]).within(HOST)]),
    Row::new(Service, "certificate_not_yet", &["certificate_not_yet@mail"], &[Says::everyone(&["certificate_not_yet_valid"]).within(HOST)]),
    Row::new(Service, "certificate_alone", &["certificate_alone@mail"], &[Says::everyone(&["certificate_chain_incomplete"]).within(HOST)]).held_out(),
    Row::new(Service, "resets_143", &["resets@mail"], &[Says::everyone(&["closed_before_greeting", "session_dropped"]).within(HOST)])
        .asked(Ask::Starttls)
        .held_out()
        .wavers("whether the reset meets the connection or the session is chance"),
    Row::new(Service, "certificate_wrong_name", &["certificate_wrong_name@mail"], &[Says::everyone(&["certificate_name_mismatch"]).within(HOST)]),
    Row::new(Service, "certificate_untrusted", &["certificate_untrusted@mail"], &[Says::everyone(&["certificate_untrusted"]).within(HOST)]),
    Row::new(Service, "certificate_self_signed", &["certificate_self_signed@mail"], &[Says::everyone(&["certificate_self_signed"]).within(HOST)]),
    Row::new(Service, "starttls_injectable", &["starttls_injectable@mail"], &[Says::everyone(&["starttls_injection"]).within(HOST)]).asked(Ask::StarttlsExamined),
    Row::new(Service, "auth_backend_down", &["auth_backend_down@mail"], &[Says::everyone(&["auth_backend_unavailable"]).within(HOST)]).asked(Ask::Login),
    Row::new(Service, "quota_full", &["quota_full@mail"], &[Says::everyone(&["over_quota"]).within(HOST)]).asked(Ask::Mailbox),

    Row::new(Names, "nxdomain", &["nxdomain@dns"], &[Says::everyone(&["dns_nxdomain"])]),
    Row::new(Names, "nxdomain_ams", &["nxdomain@edge-ams"], &[Says::ams(&["dns_nxdomain"])]),
    Row::new(Names, "no_address", &["no_address@dns"], &[Says::everyone(&["dns_no_address"])]),
    Row::new(Names, "servfail", &["servfail@dns"], &[Says::everyone(&["dns_servfail"])]),
    Row::new(Names, "refused_ams", &["refused@edge-ams"], &[Says::ams(&["dns_refused"])]),
    Row::new(Names, "dns_silent_ams", &["dns_silent@edge-ams"], &[Says::ams(&["agent_resolver_down"])]),
    Row::new(Names, "aaaa_silent", &["aaaa_silent@dns"], &[Says::everyone(&["dns_slow", "dns_timeout"])]),
    Row::new(Names, "wrong_address_ams", &["wrong_address@edge-ams"], &[Says::ams(&["dns_wrong_address"])]),

    Row::new(Agents, "agent_down", &["agent_down@edge-ams"], &[Says::ams(&["agent_missing"])]),
    Row::new(Agents, "agent_frozen", &["agent_frozen@edge-ams"], &[Says::ams(&["agent_missing"])]),
    Row::new(Agents, "own_drop", &["firewall_drop@agent-ams"], &[Says::ams(LOCAL_DROP)]),
    Row::new(Agents, "own_reject", &["firewall_reject@agent-ams"], &[Says::ams(LOCAL_FILTER).within(SELF)]),
    Row::new(Agents, "own_reset", &["firewall_reset@agent-ams"], &[Says::ams(LOCAL_FILTER).within(SELF)]),
    Row::new(Agents, "own_unreachable", &["route_unreachable@agent-ams"], &[Says::ams(AGENT_ROUTE).within(SELF)]),
    Row::new(Agents, "own_blackhole", &["route_blackhole@agent-ams"], &[Says::ams(AGENT_ROUTE).within(SELF)]).held_out(),

    Row::new(Pairs, "drop_ams_expired", &["firewall_drop@edge-ams", "certificate_expired@mail"], &[Says::ams(DROPPED), Says::somebody(&["certificate_expired"])]),
    Row::new(Pairs, "reset_ams_nxdomain_lon", &["firewall_reset@edge-ams", "nxdomain@edge-lon"], &[Says::ams(RESET), Says::somebody(&["dns_nxdomain"])]),
    Row::new(Pairs, "agent_down_stopped", &["agent_down@edge-ams", "dovecot_stopped@mail"], &[Says::ams(&["agent_missing"]), Says::somebody(&["port_closed"])]),
    Row::new(Pairs, "drop_v6_wrong_name", &["firewall_drop@core/v6", "certificate_wrong_name@mail"], &[Says::everyone(&["certificate_name_mismatch"]), Says::everyone(&["family_broken", "packets_dropped"])]),

    Row::new(Healthy, "healthy", &[], &[]),
    Row::new(Healthy, "healthy_143", &[], &[]).asked(Ask::Starttls),
    Row::new(Healthy, "healthy_two", &[], &[]).asked(Ask::TwoAddresses),
    Row::new(Healthy, "healthy_login", &[], &[]).asked(Ask::Login),
    Row::new(Healthy, "icmp_silent", &["icmp_silent@core"], &[]),
    Row::new(Healthy, "mtu_told", &["small_link@core"], &[]),
    Row::new(Healthy, "mtu_clamped", &["small_link@core", "too_big_lost@core", "too_big_lost@site-fw", "mss_clamped@core"], &[]),
    Row::new(Healthy, "slow_link", &["slow_link@edge-ams"], &[]),
    Row::new(Healthy, "balanced", &["balanced@site-fw"], &[]),
    Row::new(Healthy, "v4_only", &["v4_only@agent-ams"], &[]),
    Row::new(Healthy, "only_993", &["drop_143@mail"], &[]).held_out(),
];
