//! Faults of the path: what a plain connect sees while they last, and after.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use parallax_tests::namespace::Namespace;
use parallax_tests::site::Site;
use parallax_tests::{address, host};

const PATIENCE: Duration = Duration::from_millis(1500);
/// The firewall gives up on a host that does not answer ARP after three seconds.
const PATIENCE_WITH_NEIGHBOURS: Duration = Duration::from_secs(6);

#[test]
fn a_filter_at_one_edge_concerns_one_vantage_point_and_two_ports() {
    if !host::lab_can_run() {
        return;
    }
    let mut site = Site::new(&["edge-one", "edge-two"]).unwrap();
    for (fault, v4, v6) in [
        ("firewall_drop@edge-two", ErrorKind::TimedOut, ErrorKind::TimedOut),
        (
            "firewall_reset@edge-two",
            ErrorKind::ConnectionRefused,
            ErrorKind::ConnectionRefused,
        ),
        (
            "firewall_reject@edge-two",
            ErrorKind::HostUnreachable,
            ErrorKind::PermissionDenied,
        ),
    ] {
        let fault = fault.parse().unwrap();
        site.inject(&fault).unwrap();
        let [one, two] = [0, 1].map(|number| &site.lab.vantages[number].host);
        for port in [143, 993] {
            assert_eq!(connect(two, address::MAIL.v4, port), Err(v4), "{fault}");
            assert_eq!(connect(two, address::MAIL.v6, port), Err(v6), "{fault}");
            assert_eq!(connect(one, address::MAIL.v4, port), Ok(()), "{fault}");
            assert_eq!(connect(one, address::MAIL.v6, port), Ok(()), "{fault}");
        }
        let closed = connect(two, address::CONTROL.v4, 7143);
        assert_eq!(
            closed,
            Err(ErrorKind::ConnectionRefused),
            "{fault} leaves the way to the collector"
        );
        site.heal(&fault).unwrap();
        assert_eq!(
            connect(&site.lab.vantages[1].host, address::MAIL.v4, 993),
            Ok(()),
            "{fault}"
        );
    }
}

#[test]
fn a_filter_on_the_shared_path_concerns_everyone() {
    if !host::lab_can_run() {
        return;
    }
    let mut site = Site::new(&["edge-one", "edge-two"]).unwrap();
    for place in ["core", "site-fw", "mail"] {
        let fault = format!("drop_993@{place}").parse().unwrap();
        site.inject(&fault).unwrap();
        for vantage in &site.lab.vantages {
            assert_eq!(
                connect(&vantage.host, address::MAIL.v4, 993),
                Err(ErrorKind::TimedOut),
                "{fault}"
            );
            assert_eq!(connect(&vantage.host, address::MAIL.v6, 143), Ok(()), "{fault}");
        }
        site.heal(&fault).unwrap();
        assert_eq!(
            connect(&site.lab.vantages[0].host, address::MAIL.v4, 993),
            Ok(()),
            "{fault}"
        );
    }
}

#[test]
fn a_stopped_server_a_silent_host_and_an_absent_host_differ() {
    if !host::lab_can_run() {
        return;
    }
    let mut site = Site::new(&["edge-one"]).unwrap();
    for (fault, seen, patience) in [
        ("dovecot_stopped@mail", ErrorKind::ConnectionRefused, PATIENCE),
        ("host_silent@mail", ErrorKind::TimedOut, PATIENCE),
        (
            "host_down@mail",
            ErrorKind::HostUnreachable,
            PATIENCE_WITH_NEIGHBOURS,
        ),
    ] {
        let fault = fault.parse().unwrap();
        site.inject(&fault).unwrap();
        let vantage = &site.lab.vantages[0].host;
        for target in address::MAIL.both() {
            assert_eq!(
                connect_within(vantage, target, 993, patience),
                Err(seen),
                "{fault}"
            );
        }
        site.heal(&fault).unwrap();
        let vantage = &site.lab.vantages[0].host;
        for target in address::MAIL
            .both()
            .into_iter()
            .chain(address::MAIL_SECOND.both())
        {
            assert_eq!(
                connect_within(vantage, target, 993, PATIENCE_WITH_NEIGHBOURS),
                Ok(()),
                "{fault}"
            );
        }
    }
}

#[test]
fn a_fault_at_a_vantage_point_that_is_not_there_names_those_that_are() {
    if !host::lab_can_run() {
        return;
    }
    let mut site = Site::new(&["edge-one", "edge-two"]).unwrap();
    let error = site
        .inject(&"firewall_drop@edge-six".parse().unwrap())
        .unwrap_err();
    assert!(
        format!("{error:#}").ends_with("no vantage point edge-six; there are edge-one, edge-two"),
        "{error:#}"
    );
}

fn connect(from: &Namespace, to: impl Into<IpAddr>, port: u16) -> Result<(), ErrorKind> {
    connect_within(from, to, port, PATIENCE)
}

fn connect_within(
    from: &Namespace,
    to: impl Into<IpAddr>,
    port: u16,
    patience: Duration,
) -> Result<(), ErrorKind> {
    let to = SocketAddr::new(to.into(), port);
    from.run(move || {
        TcpStream::connect_timeout(&to, patience)
            .map(drop)
            .map_err(|error| error.kind())
    })
}

#[test]
fn a_quiet_connection_is_cut_and_a_busy_one_is_not() {
    if !host::lab_can_run() {
        return;
    }
    let mut site = Site::new(&["edge-one"]).unwrap();
    let fault = "idle_cut@edge-one".parse().unwrap();
    site.inject(&fault).unwrap();
    let mail: IpAddr = address::MAIL.v4.into();
    let talk = move |quiet: Duration| {
        let mut stream = TcpStream::connect((mail, 143)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = [0; 512];
        let greeting = stream.read(&mut answer).unwrap();
        assert!(greeting > 0);
        std::thread::sleep(quiet);
        stream.write_all(b"a NOOP\r\n").unwrap();
        stream.read(&mut answer).map_err(|error| error.kind())
    };
    let host = &site.lab.vantages[0].host;
    assert!(host.run(move || talk(Duration::from_millis(500))).is_ok());
    let cut = host.run(move || talk(Duration::from_millis(2600)));
    assert_eq!(cut, Err(ErrorKind::WouldBlock));
    site.heal(&fault).unwrap();
    assert!(
        site.lab.vantages[0]
            .host
            .run(move || talk(Duration::from_millis(2600)))
            .is_ok()
    );
}

#[test]
fn a_server_of_old_speaks_tls_1_1_alone() {
    if !host::lab_can_run() {
        return;
    }
    let mut site = Site::new(&["edge-one"]).unwrap();
    let fault = "tls_too_old@mail".parse().unwrap();
    site.inject(&fault).unwrap();
    let hello = |version: &str| {
        let peer = format!("{}:993", address::MAIL.v4);
        let mut openssl = Command::new("openssl");
        openssl.args([
            "s_client",
            "-connect",
            &peer,
            version,
            "-cipher",
            "ALL:@SECLEVEL=0",
        ]);
        site.lab.vantages[0]
            .host
            .output(openssl)
            .unwrap()
            .status
            .success()
    };
    assert!(hello("-tls1_1"));
    assert!(!hello("-tls1_2"));
    site.heal(&fault).unwrap();
}
