//! What is meant by what was typed, and what is refused.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use parallax_identity::seal::SealingKey;
use parallax_model::credential::{Mechanism, SealedSecret};
use parallax_model::spec::{CaptureChoice, Examination, LoginSpec, PathChoice, ProbeOptions};

use super::*;
use crate::args::{Cli, Command, parse};

fn question(line: &str) -> Result<Question, Trouble> {
    let words = format!("ctl probe {line}");
    let Ok(Cli {
        command: Some(Command::Probe(args)),
        ..
    }) = parse(words.split(' ').map(OsString::from))
    else {
        panic!("{line}")
    };
    Question::read(&args, &[])
}

fn agent(name: &str, key: &SealingKey) -> v1::Agent {
    v1::Agent {
        name: name.to_owned(),
        sealing_key: key.public().to_vec(),
        ..v1::Agent::default()
    }
}

/// A file with a client certificate, its key, or both.
fn identity_file(name: &str, certificates: bool, keys: bool) -> tempfile::TempPath {
    let own = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let mut pem = String::new();
    if certificates {
        pem.push_str(&own.cert.pem());
    }
    if keys {
        pem.push_str(&own.signing_key.serialize_pem());
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pem).unwrap();
    file.into_temp_path()
}

fn trouble(line: &str) -> String {
    let lines = question(line).unwrap_err().lines();
    assert!(
        lines.starts_with("error: ") && lines.lines().count() <= 2,
        "{line}: {lines}"
    );
    lines
}

#[test]
fn a_bare_target_is_asked_for_its_greeting_by_everybody() {
    let question = question("imap.example.org").unwrap();
    assert_eq!(question.spec.depth, Depth::Greeting);
    assert_eq!(question.spec.timeout, DEFAULT_TIMEOUT);
    let options = ProbeOptions {
        path: PathChoice::Auto,
        capture: CaptureChoice::Auto,
        ..ProbeOptions::default()
    };
    assert_eq!(question.spec.options, options);
    let request = question.request(&[]).unwrap();
    assert_eq!(request.from, ["all"]);
    assert!(request.follow_up && request.secrets.is_empty());
}

#[test]
fn without_a_second_question_the_path_is_traced_only_where_that_is_asked_for() {
    let path = |line: &str| question(line).unwrap().spec.options.path;
    assert_eq!(path("x --path always"), PathChoice::Always);
    assert_eq!(path("x --path never"), PathChoice::Never);
    assert_eq!(path("x --no-follow-up"), PathChoice::Never);
    assert_eq!(path("x --no-follow-up --path auto"), PathChoice::Never);
    assert_eq!(path("x --no-follow-up --path always"), PathChoice::Always);
}

#[test]
fn what_contradicts_itself_is_said_before_anything_is_asked() {
    for (line, part) in [
        ("imap://", "host"),
        ("x -4 --address ::1", "-4"),
        ("x --depth login", "add --user USER"),
        ("x --depth sync", "add --user USER"),
        ("x --from a,,b", "a,,b"),
        ("x --ca-file /nonexistent", "/nonexistent"),
        ("imaps://x --security starttls", "imaps://"),
        ("x --user u", "--password-stdin"),
        ("x --user u --depth tls", "--depth login"),
        ("x --mechanism scram-sha-256", "needs a user"),
        ("x --mechanism external", "--client-certificate FILE"),
        (
            "x --user u --password-stdin --mechanism external",
            "takes no password",
        ),
        ("x --client-certificate /nonexistent", "/nonexistent"),
        (
            "imap://x --security plaintext --client-certificate f",
            "--security tls",
        ),
        ("x --depth connect --client-certificate f", "--depth tls"),
        ("x --hold 10m --depth tls", "--depth greeting"),
        ("x --sync-with fra-1", "--depth sync"),
        ("x --examine starttls-injection", "imap://HOST"),
        ("imap://x --security plaintext --examine tlsa", "no TLS"),
        ("x --depth connect --examine resumption", "--depth tls"),
        (
            "imap://x --depth tls --examine starttls-injection",
            "--depth greeting",
        ),
        ("192.0.2.1 --examine srv", "host name"),
        ("[2001:db8::1]:993 --examine tlsa", "host name"),
        ("192.0.2.1 --resolver 192.0.2.53", "--resolver"),
        ("x --address 192.0.2.1 --resolver 192.0.2.53", "--resolver"),
    ] {
        let said = trouble(line);
        assert!(said.contains(part), "{line}: {said}");
    }
}

#[test]
fn all_examinations_are_those_that_there_are_at_the_target() {
    let examine = |line: &str| question(line).unwrap().spec.options.examine;
    use Examination::{LegacyTls, Resumption, Srv, Tlsa};
    assert_eq!(examine("x --examine all"), [Srv, Tlsa, Resumption, LegacyTls]);
    assert_eq!(examine("imap://x --examine all"), Examination::ALL);
    assert_eq!(examine("192.0.2.1 --examine all"), [Resumption, LegacyTls]);
    assert_eq!(examine("x --examine tlsa,srv,tlsa"), [Srv, Tlsa]);
}

#[test]
fn what_is_asked_beyond_the_depth_reaches_the_agents() {
    let question = question("imap://x --resolver 192.0.2.53 --hold 10m --examine srv").unwrap();
    let options = question.request(&[]).unwrap().spec.unwrap().options.unwrap();
    assert_eq!(options.resolver, "192.0.2.53:53");
    assert_eq!(options.hold_ms, 600_000);
    assert_eq!(options.examine, ["srv"]);
    assert_eq!(question.spec.options.hold, Some(Duration::from_secs(600)));
}

#[test]
fn a_secret_goes_sealed_to_the_chosen_agents_and_the_watcher_alone() {
    parallax_identity::install_provider();
    let key = SealingKey::generate().unwrap();
    let agents = ["ams-1", "fra-1", "nyc-1"].map(|name| agent(name, &key));
    let mut question = question("mail.example.org --from fra-*").unwrap();
    question.spec.login = Some(LoginSpec {
        user: "probe".into(),
        mechanism: None,
    });
    question.secret = Some(Secret::new("hunter2".into()));
    let names = |question: &Question| {
        let request = question.request(&agents).unwrap();
        assert!(!format!("{request:?} {question:?}").contains("hunter2"));
        let mut names: Vec<_> = request.secrets.into_keys().collect();
        names.sort();
        names
    };
    assert_eq!(names(&question), ["fra-1"]);
    question.spec.options.sync_with = Some("nyc-1".parse().unwrap());
    assert_eq!(names(&question), ["fra-1", "nyc-1"]);
}

#[test]
fn a_watcher_that_is_not_known_is_answered_with_those_that_are() {
    let key = SealingKey::generate().unwrap();
    let mut question = question("mail.example.org").unwrap();
    question.spec.options.sync_with = Some("nyc-2".parse().unwrap());
    let agents = [agent("nyc-1", &key), agent("fra-1", &key)];
    let said = question.request(&agents).unwrap_err().lines();
    assert!(said.contains("nyc-2") && said.contains("fra-1, nyc-1"), "{said}");
    question.spec.options.sync_with = Some("ams-1".parse().unwrap());
    let unable = v1::Agent {
        name: "ams-1".to_owned(),
        ..v1::Agent::default()
    };
    assert!(question.request(&[unable]).is_err());
}

#[test]
fn external_logs_in_by_a_certificate_that_only_the_chosen_agents_can_open() {
    parallax_identity::install_provider();
    let file = identity_file("probe", true, true);
    let line = format!(
        "mail.example.org --mechanism external --client-certificate {}",
        file.display()
    );
    let question = question(&line).unwrap();
    assert_eq!(question.spec.depth, Depth::Mailbox);
    let login = question.spec.login.as_ref().unwrap();
    assert_eq!(
        (login.user.as_str(), login.mechanism),
        ("", Some(Mechanism::External))
    );
    let key = SealingKey::generate().unwrap();
    let request = question.request(&[agent("fra-1", &key)]).unwrap();
    let context = SealContext {
        host: "mail.example.org",
        user: "",
        anchors: &[],
    };
    let open = |sealed: &v1::SealedSecret| {
        let sealed = SealedSecret {
            encapsulated_key: sealed.encapsulated_key.clone(),
            ciphertext: sealed.ciphertext.clone(),
        };
        key.open(&context, &sealed).unwrap().expose().to_owned()
    };
    assert_eq!(
        open(&request.client_identities["fra-1"]),
        std::fs::read_to_string(&file).unwrap()
    );
    assert_eq!(open(&request.secrets["fra-1"]), "");
    assert!(!format!("{question:?}").contains("PRIVATE KEY"));
}

#[test]
fn a_client_certificate_without_its_own_key_is_refused_in_one_line() {
    parallax_identity::install_provider();
    let mixed = identity_file("one", true, false);
    let other = identity_file("other", false, true);
    let both = std::fs::read_to_string(&mixed).unwrap() + &std::fs::read_to_string(&other).unwrap();
    for (file, part) in [(&mixed, "no private key"), (&other, "no certificate")] {
        assert!(refusal(file).contains(part), "{}", refusal(file));
    }
    std::fs::write(&mixed, both).unwrap();
    assert!(refusal(&mixed).contains("can not be used"), "{}", refusal(&mixed));
}

fn refusal(file: &Path) -> String {
    trouble(&format!("x --client-certificate {}", file.display()))
}
