//! Commands for the next step, ready to be pasted. Nothing that a server said ever goes into one.

use std::net::{IpAddr, SocketAddr};

use parallax_model::finding::Location;
use parallax_model::target::{Endpoint, Host, Security};

use crate::matrix::{CellId, Matrix};
use crate::product::Look;

const CERTIFICATE: Look = Look::new("doveconf -n | grep -i ssl")
    .courier("grep -E '^TLS_' /etc/courier/imapd-ssl")
    .cyrus("cyr_info conf | grep '^tls_'");

/// A command with the place where it is to be run.
pub(crate) fn on(place: &str, command: &str) -> String {
    format!("on {place}: {command}")
}

/// The probe again, from everywhere.
pub(crate) fn probe_from_all(matrix: &Matrix) -> String {
    let host = match &matrix.question.target.host {
        Host::Name(name) => name.clone(),
        Host::Address(address) => address.to_string(),
    };
    let Some(endpoint) = matrix.question.target.endpoints.first() else {
        return format!("ctl probe {host} --from all");
    };
    let host = if host.contains(':') {
        format!("'[{host}]:{}'", endpoint.port)
    } else {
        format!("{host}:{}", endpoint.port)
    };
    format!("ctl probe {host} --security {} --from all", endpoint.security)
}

/// The handshake by hand.
pub(crate) fn openssl(matrix: &Matrix, address: IpAddr, endpoint: Endpoint) -> String {
    let starttls = match endpoint.security {
        Security::Starttls => " -starttls imap",
        Security::Tls | Security::Plaintext => "",
    };
    let server_name = match &matrix.question.target.host {
        Host::Name(name) => format!(" -servername {name}"),
        Host::Address(_) => String::new(),
    };
    format!(
        "openssl s_client -connect {}{server_name}{starttls} -showcerts </dev/null",
        SocketAddr::new(address, endpoint.port)
    )
}

/// The presented certificate, in words.
pub(crate) fn certificate(matrix: &Matrix, address: IpAddr, endpoint: Endpoint) -> String {
    format!(
        "{} 2>/dev/null | openssl x509 -noout -subject -issuer -dates -ext subjectAltName",
        openssl(matrix, address, endpoint)
    )
}

/// The same question to one resolver; without one, to the host's own.
pub(crate) fn dig(matrix: &Matrix, resolver: Option<SocketAddr>, record_type: &str) -> String {
    let server = match resolver {
        Some(resolver) if resolver.port() == 53 => format!("@{} ", resolver.ip()),
        Some(resolver) => format!("@{} -p {} ", resolver.ip(), resolver.port()),
        None => String::new(),
    };
    format!("dig {server}{} {record_type}", matrix.host())
}

/// Which way packets to an address leave.
pub(crate) fn route(address: IpAddr) -> String {
    format!("ip route get {address}")
}

/// The filter rules that could concern a port.
pub(crate) fn filter(port: u16) -> String {
    format!("nft list ruleset | grep -nE '{port}|drop|reject'")
}

/// The path of the very packets that fail.
pub(crate) fn trace(address: IpAddr, port: u16) -> String {
    format!("traceroute -n -T -p {port} {address}")
}

/// What arrives at a host.
pub(crate) fn capture(address: IpAddr, port: u16) -> String {
    format!("tcpdump -ni any 'host {address} and (tcp port {port} or icmp or icmp6)'")
}

/// Whether anything listens on a port.
pub(crate) fn listening(port: u16) -> String {
    format!("ss -ltn 'sport = :{port}'")
}

/// Who is banned on a mail host, and whether a source is.
pub(crate) fn bans(source: Option<IpAddr>) -> String {
    match source {
        Some(source) => format!("fail2ban-client banned; nft list ruleset | grep -nF -B3 {source}"),
        None => "fail2ban-client banned; nft list ruleset".to_owned(),
    }
}

/// What a hop does with the packets for an address, at the hops that bound a place: the target itself is looked at otherwise.
pub(crate) fn at_the_hops(place: &Location, address: IpAddr, what: &str) -> Vec<String> {
    let hops = place.after.into_iter().chain(place.before);
    let mut steps: Vec<String> = hops
        .filter(|&hop| hop != address)
        .map(|hop| on(&hop.to_string(), &format!("{}; {what}", route(address))))
        .collect();
    steps.dedup();
    steps
}

/// What may look into packets, or put itself in their way.
pub(crate) const INSPECTION: &str = "nft list ruleset | grep -nE '@ih|@th|queue|reject|redirect|tproxy|dnat'; iptables-save | grep -nE 'string|REDIRECT|TPROXY'; ss -ltnp";

/// What may lose large packets.
pub(crate) const SIZES: &str = "ip -d link | grep -n mtu; nft list ruleset | grep -nE 'icmp|maxseg|length'";

/// Where to look at what a server presents, from the first of these cells and on the server itself.
pub(crate) fn certificate_steps(matrix: &Matrix, cells: &[CellId]) -> Vec<String> {
    let Some(&id) = cells.first() else {
        return Vec::new();
    };
    let attempt = matrix.cell(id).attempt;
    vec![
        on(
            matrix.name(id.vantage),
            &certificate(matrix, attempt.address, attempt.endpoint),
        ),
        CERTIFICATE.on(matrix, attempt.address),
    ]
}
