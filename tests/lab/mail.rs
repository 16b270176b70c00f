//! The mail server, asked with `openssl s_client`.

use std::path::Path;
use std::process::{Command, Stdio};

use parallax_tests::dovecot::{PASSWORD, USER};
use parallax_tests::namespace::Namespace;
use parallax_tests::site::{Site, TARGET};
use parallax_tests::{address, host};

const LOGOUT: &str = "z LOGOUT\r\n";

#[test]
fn dovecot_serves_verified_tls_and_starttls_in_both_families() {
    if !host::lab_can_run() {
        return;
    }
    let site = Site::new(&["edge-one"]).unwrap();
    let vantage = &site.lab.vantages[0].host;
    for pair in [address::MAIL, address::MAIL_SECOND] {
        for place in [format!("{}", pair.v4), format!("[{}]", pair.v6)] {
            let (tls, starttls) = (format!("{place}:993"), format!("{place}:143"));
            for way in [
                &["-connect", &tls][..],
                &["-connect", &starttls, "-starttls", "imap"],
            ] {
                let text = converse(vantage, &site.ca_file(), way, LOGOUT);
                assert!(text.contains("Verify return code: 0 (ok)"), "{way:?}: {text}");
                assert!(text.contains("z OK Logout completed"), "{way:?}: {text}");
            }
        }
    }
}

#[test]
fn a_user_logs_in_and_finds_mail() {
    if !host::lab_can_run() {
        return;
    }
    let site = Site::new(&["edge-one"]).unwrap();
    let script = format!("a LOGIN {USER} {PASSWORD}\r\nb EXAMINE INBOX\r\nc LIST \"\" *\r\n{LOGOUT}");
    let text = converse(&site.lab.vantages[0].host, &site.ca_file(), &CONNECT, &script);
    assert!(text.contains("* 2 EXISTS") && text.contains("\\Sent"), "{text}");
    assert_eq!(site.dovecot.refused_passwords(), 0);
}

#[test]
fn a_refused_password_is_counted_once() {
    if !host::lab_can_run() {
        return;
    }
    let site = Site::new(&["edge-one"]).unwrap();
    let script = format!("a LOGIN {USER} wrong\r\n{LOGOUT}");
    let text = converse(&site.lab.vantages[0].host, &site.ca_file(), &CONNECT, &script);
    assert!(text.contains("a NO [AUTHENTICATIONFAILED]"), "{text}");
    assert_eq!(site.dovecot.refused_passwords(), 1, "{}", site.dovecot.log());
}

#[test]
fn a_missing_password_database_is_a_temporary_failure() {
    if !host::lab_can_run() {
        return;
    }
    let mut site = Site::new(&["edge-one"]).unwrap();
    let fault = "auth_backend_down@mail".parse().unwrap();
    let script = format!("a LOGIN {USER} {PASSWORD}\r\n{LOGOUT}");
    site.inject(&fault).unwrap();
    let text = converse(&site.lab.vantages[0].host, &site.ca_file(), &CONNECT, &script);
    assert!(text.contains("a NO [UNAVAILABLE]"), "{text}");
    site.heal(&fault).unwrap();
    let text = converse(&site.lab.vantages[0].host, &site.ca_file(), &CONNECT, &script);
    assert!(text.contains("a OK"), "{text}");
}

#[test]
fn each_certificate_fault_is_what_its_name_says() {
    if !host::lab_can_run() {
        return;
    }
    let mut site = Site::new(&["edge-one"]).unwrap();
    for (fault, code) in [
        ("certificate_expired@mail", "certificate has expired"),
        ("certificate_wrong_name@mail", "hostname mismatch"),
        (
            "certificate_untrusted@mail",
            "unable to get local issuer certificate",
        ),
        ("certificate_self_signed@mail", "self-signed certificate"),
    ] {
        let fault = fault.parse().unwrap();
        site.inject(&fault).unwrap();
        let text = converse(&site.lab.vantages[0].host, &site.ca_file(), &CONNECT, LOGOUT);
        assert!(text.to_lowercase().contains(code), "{fault}: {text}");
        site.heal(&fault).unwrap();
    }
    let text = converse(&site.lab.vantages[0].host, &site.ca_file(), &CONNECT, LOGOUT);
    assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
}

#[test]
fn the_wrong_service_greets_like_smtp() {
    if !host::lab_can_run() {
        return;
    }
    let mut site = Site::new(&["edge-one"]).unwrap();
    let fault = "wrong_service@mail".parse().unwrap();
    site.inject(&fault).unwrap();
    let greeting = || {
        let mut line = [0; 9];
        let mut stream = std::net::TcpStream::connect("[fd00:9::10]:993").unwrap();
        std::io::Read::read_exact(&mut stream, &mut line).unwrap();
        line
    };
    assert_eq!(&site.lab.vantages[0].host.run(greeting), b"220 mail.");
    site.heal(&fault).unwrap();
    let text = converse(&site.lab.vantages[0].host, &site.ca_file(), &CONNECT, LOGOUT);
    assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
}

const CONNECT: [&str; 2] = ["-connect", "10.9.0.10:993"];

fn converse(vantage: &Namespace, ca_file: &Path, extra: &[&str], script: &str) -> String {
    let mut openssl = Command::new("openssl");
    openssl.args([
        "s_client",
        "-crlf",
        "-ign_eof",
        "-verify_hostname",
        TARGET,
        "-servername",
        TARGET,
    ]);
    openssl.arg("-CAfile").arg(ca_file).args(extra);
    openssl
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let script = script.replace("\r\n", "\n");
    vantage.run(move || {
        let mut child = openssl.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    })
}
