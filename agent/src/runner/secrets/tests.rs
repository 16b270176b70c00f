use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use parallax_engine::session::SessionConfig;
use parallax_model::credential::Secret;
use parallax_model::fault::{AgentFault, FaultKind};
use parallax_model::spec::{Depth, LoginSpec};

use super::*;
use crate::credentials::LocalCredentials;
use crate::policy::Policy;
use crate::runner::attempts::Errand;
use crate::runner::tests::{mail_server, order, run, runner};

#[derive(serde::Deserialize)]
struct Whole {
    credentials: LocalCredentials,
}

/// An agent that keeps `open sesame` for anna at imap.lab.example.
fn keeper() -> (tempfile::TempDir, Runner) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, "open sesame\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let whole: Whole = toml::from_str(&format!(
        "[[credentials]]\nname = \"probe\"\nhost = \"imap.lab.example\"\nuser = \"anna\"\nfile = {path:?}"
    ))
    .unwrap();
    (directory, runner(Policy::allow_all()).holding(whole.credentials))
}

fn by_name(target: &str, user: &str) -> Order {
    let mut order = order(target, Depth::Login);
    order.spec.login = Some(LoginSpec {
        user: user.into(),
        mechanism: None,
    });
    order.credential = Some("probe".into());
    order
}

fn secret_of(opened: Opened) -> String {
    opened
        .credential
        .map(|own| own.secret.expose().to_owned())
        .unwrap()
}

#[tokio::test]
async fn a_credential_of_its_own_is_for_its_host_and_user_alone() {
    let (_directory, runner) = keeper();
    let right = by_name("imap.lab.example", "anna");
    runner.admit(&right).unwrap();
    assert_eq!(secret_of(runner.opened(&right).unwrap()), "open sesame");
    let without_user = Order {
        spec: parallax_model::spec::ProbeSpec {
            login: None,
            ..right.spec.clone()
        },
        ..right.clone()
    };
    for other in [
        by_name("imap.thief.example", "anna"),
        by_name("127.0.0.1", "anna"),
        by_name("imap.lab.example", "bert"),
        without_user,
    ] {
        let refusal = run(&runner, &other).await.unwrap_err();
        assert_eq!(refusal.reason, Reason::Policy, "{refusal:?}");
        assert!(
            refusal.note.contains("for anna at imap.lab.example alone"),
            "{refusal:?}"
        );
    }
}

#[tokio::test]
async fn a_credential_that_it_does_not_keep_or_can_not_read_is_refused_before_anything_is_touched() {
    let (directory, runner) = keeper();
    let mut unknown = by_name("imap.lab.example", "anna");
    unknown.credential = Some("other".into());
    let refusal = run(&runner, &unknown).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::Unsupported, "{refusal:?}");
    let right = by_name("imap.lab.example", "anna");
    let mut two = right.clone();
    let context = SealContext {
        host: "imap.lab.example",
        user: "anna",
        anchors: &[],
    };
    let secret = Secret::new("another".into());
    let sealed = parallax_identity::seal::seal(runner.sealing_key.public(), &context, &secret);
    two.secret = Some(sealed.unwrap());
    let refusal = run(&runner, &two).await.unwrap_err();
    assert!(refusal.note.contains("two secrets"), "{refusal:?}");
    drop(directory);
    let refusal = run(&runner, &right).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::Unsupported, "{refusal:?}");
    assert!(refusal.note.starts_with("credential probe: read "), "{refusal:?}");
}

#[test]
fn no_order_says_who_may_vouch_for_the_host_of_a_credential_of_its_own() {
    let thief = rcgen::generate_simple_self_signed(vec!["thief.example".to_owned()]).unwrap();
    let (_directory, runner) = keeper();
    let mut order = by_name("imap.lab.example", "anna");
    order.spec.anchors = vec![thief.cert.der().to_vec()];
    assert_eq!(runner.trust_for(&order).given(), 0);
    order.credential = None;
    assert_eq!(runner.trust_for(&order).given(), 1);
}

/// The user whose probe breaks off.
const BREAKS_OFF: &str = "breaks-off";

/// Panics in the attempt of that user, and says all that the attempt knows.
pub(in crate::runner) fn break_off(errand: &Errand, config: &SessionConfig) {
    let user = errand.login.as_ref().map(|login| login.user.as_str());
    assert_ne!(user, Some(BREAKS_OFF), "{errand:?} {config:?}");
}

/// What a panic says goes to standard error, and from there into a journal.
#[tokio::test]
async fn a_probe_that_breaks_off_while_it_holds_a_secret_says_nothing_of_it() {
    let said = Arc::new(Mutex::new(String::new()));
    let (heard, before) = (said.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.to_string();
        if text.contains(BREAKS_OFF) {
            let trace = std::backtrace::Backtrace::force_capture();
            heard.lock().unwrap().push_str(&format!("{text}\n{trace}"));
        } else {
            before(panic);
        }
    }));
    let server = mail_server(Arc::default()).await;
    let runner = runner(Policy::allow_all());
    let mut order = order(&server.to_string(), Depth::Login);
    order.spec.login = Some(LoginSpec {
        user: BREAKS_OFF.into(),
        mechanism: None,
    });
    let host = server.ip().to_string();
    let context = SealContext {
        host: &host,
        user: BREAKS_OFF,
        anchors: &[],
    };
    let secret = Secret::new("open sesame".into());
    order.secret =
        Some(parallax_identity::seal::seal(runner.sealing_key.public(), &context, &secret).unwrap());
    let seen = run(&runner, &order).await.unwrap();
    let fault = seen.attempts[0].failed_stage().unwrap().outcome.fault().unwrap();
    assert_eq!(fault.kind, FaultKind::Agent(AgentFault::Internal), "{fault:?}");
    let said = said.lock().unwrap().clone();
    assert!(
        said.contains("Credential") && said.contains("SessionConfig"),
        "the secret was at hand: {said}"
    );
    for told in [said, format!("{seen:?}")] {
        assert!(!told.contains("open sesame"), "{told}");
    }
}
