use std::time::Duration;

use jiff::Timestamp;
use parallax_model::credential::Secret;
use parallax_model::fault::ImapFault;

use super::rejection::RETRIES_A_DAY;
use super::*;

const NO: FaultKind = FaultKind::Auth(AuthFault::CredentialsRejected);
const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const SILENCE: FaultKind = FaultKind::Imap(ImapFault::Timeout);

fn guard(circuit: &Arc<Circuit>, secret: &str, insists: bool) -> Arc<Guarded> {
    asked_by(circuit, secret, Asker::Person { insists })
}

fn of_check(circuit: &Arc<Circuit>, secret: &str) -> Arc<Guarded> {
    asked_by(circuit, secret, Asker::Routine { once: None })
}

fn asked_by(circuit: &Arc<Circuit>, secret: &str, asker: Asker) -> Arc<Guarded> {
    let credential = Credential {
        user: "probe".into(),
        secret: Secret::new(secret.into()),
    };
    Arc::new(circuit.guard("imap.example.org", &credential, None, asker))
}

fn now() -> Moment {
    Moment::after(Duration::ZERO)
}

fn kept_in(directory: &Path) -> Arc<Circuit> {
    Arc::new(Circuit::load(directory).unwrap())
}

#[tokio::test]
async fn a_rejected_secret_is_known_after_a_restart_and_is_nowhere_in_what_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let circuit = kept_in(directory.path());
    guard(&circuit, "hunter2", false).rejected(HERE, NO, now()).await;
    let again = kept_in(directory.path());
    let known = guard(&again, "hunter2", false).try_now(now()).await.unwrap_err();
    let why = &known.message;
    assert_eq!(known.kind, NO);
    assert!(
        why.contains("127.0.0.1") && why.contains("--retry-login"),
        "{why}"
    );
    assert!(
        guard(&again, "hunter3", false).try_now(now()).await.is_ok(),
        "a new secret closes it"
    );
    for file in std::fs::read_dir(directory.path()).unwrap() {
        use std::os::unix::fs::PermissionsExt as _;
        let path = file.unwrap().path();
        let kept = std::fs::read(&path).unwrap();
        assert!(
            !String::from_utf8_lossy(&kept).contains("hunter"),
            "{}",
            path.display()
        );
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}

#[tokio::test]
async fn a_retry_is_granted_once_in_ten_minutes_and_three_times_a_day() {
    let circuit = Arc::new(Circuit::in_memory());
    guard(&circuit, "wrong", false).rejected(HERE, NO, now()).await;
    let mut sent = 0;
    for minute in 0..(6 * 60) {
        let at = Moment::after(MINUTE * minute);
        let again = guard(&circuit, "wrong", true);
        if again.try_now(at.clone()).await.is_ok() {
            sent += 1;
            again.rejected(HERE, NO, at.clone()).await;
            assert!(guard(&circuit, "wrong", true).try_now(at).await.is_err());
        }
    }
    assert_eq!(sent, RETRIES_A_DAY);
    let next_day = Moment::after(HOUR * 30);
    assert!(guard(&circuit, "wrong", true).try_now(next_day).await.is_ok());
}

#[tokio::test]
async fn a_clock_that_was_ahead_once_holds_no_retry_back_and_one_that_is_set_ahead_grants_none() {
    let directory = tempfile::tempdir().unwrap();
    let circuit = kept_in(directory.path());
    let year = DAY * 365;
    let ahead = now().ahead(year);
    guard(&circuit, "wrong", false)
        .rejected(HERE, NO, ahead.clone())
        .await;
    let granted = async |circuit: &Arc<Circuit>, at: Moment| {
        let again = guard(circuit, "wrong", true);
        let granted = again.try_now(at.clone()).await.is_ok();
        if granted {
            again.rejected(HERE, NO, at).await;
        }
        granted
    };
    assert!(granted(&circuit, ahead).await);
    assert!(granted(&circuit, Moment::after(MINUTE * 11)).await, "set right");
    let leaps = Moment::after(MINUTE * 12).ahead(year);
    assert!(!granted(&circuit, leaps).await, "set ahead again");

    let again = kept_in(directory.path());
    let restarted = Moment::after(MINUTE * 30);
    assert!(!granted(&again, restarted.clone().restarted(MINUTE * 5)).await);
    assert!(granted(&again, restarted.restarted(MINUTE * 11)).await);
}

#[tokio::test]
async fn what_the_server_takes_is_good_again_and_what_is_old_is_forgotten() {
    let circuit = Arc::new(Circuit::in_memory());
    let wrong = guard(&circuit, "wrong", false);
    wrong.rejected(HERE, NO, now()).await;
    wrong.accepted().await;
    assert!(wrong.try_now(now()).await.is_ok());
    wrong.rejected(HERE, NO, now()).await;
    assert!(wrong.try_now(Moment::after(DAY * 29)).await.is_err());
    assert!(wrong.try_now(Moment::after(DAY * 31)).await.is_ok());
}

#[tokio::test]
async fn nothing_is_sent_while_it_can_not_be_written_down_what_was_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let circuit = kept_in(&state);
    guard(&circuit, "wrong", false).rejected(HERE, NO, now()).await;
    let away = directory.path().join("away");
    std::fs::rename(&state, &away).unwrap();
    let retry = guard(&circuit, "wrong", true).try_now(now()).await.unwrap_err();
    assert!(retry.message.contains("circuits.json"), "{retry:?}");
    guard(&circuit, "worse", false).rejected(HERE, NO, now()).await;
    let other = guard(&circuit, "right", false);
    assert!(other.try_now(now()).await.is_err());
    std::fs::rename(&away, &state).unwrap();
    assert!(other.try_now(now()).await.is_ok());
    let again = kept_in(&state);
    for known in ["wrong", "worse"] {
        assert!(guard(&again, known, false).try_now(now()).await.is_err());
    }
}

#[tokio::test]
async fn two_probes_never_log_in_as_the_same_user_at_once() {
    let circuit = Arc::new(Circuit::in_memory());
    let (one, other) = (guard(&circuit, "a", false), guard(&circuit, "b", false));
    let held = one.alone().await;
    let waits = Duration::from_millis(20);
    assert!(tokio::time::timeout(waits, other.alone()).await.is_err());
    drop(held);
    other.alone().await;
}

#[tokio::test]
async fn a_check_sends_a_secret_that_gets_no_answer_after_a_minute_and_then_every_ten() {
    let circuit = Arc::new(Circuit::in_memory());
    let mut sent = Vec::new();
    for second in (0..=(32 * 60)).step_by(3) {
        let at = Moment::after(Duration::from_secs(second));
        let round = of_check(&circuit, "wrong");
        match round.try_now(at.clone()).await {
            Ok(()) => {
                sent.push(second);
                round.unanswered(HERE, SILENCE, at).await;
            }
            Err(known) => assert_eq!(known.kind, SILENCE, "{known:?}"),
        }
    }
    assert_eq!(sent, [0, 60, 660, 1260, 1860]);
    let held = of_check(&circuit, "wrong")
        .try_now(Moment::after(MINUTE * 32))
        .await;
    let why = held.unwrap_err().message;
    assert_eq!(
        why,
        "no answer came to the login at 127.0.0.1 on 2026-11-24T22:31:00Z; it may have counted, and the secret is \
         sent again after 2026-11-24T22:41:00Z"
    );
}

#[tokio::test]
async fn any_answer_ends_a_silence_and_a_person_is_not_held_back_by_it() {
    let circuit = Arc::new(Circuit::in_memory());
    let check = of_check(&circuit, "a");
    check.unanswered(HERE, SILENCE, now()).await;
    assert!(of_check(&circuit, "a").try_now(now()).await.is_err());
    assert!(
        of_check(&circuit, "b").try_now(now()).await.is_ok(),
        "a new secret"
    );
    let person = guard(&circuit, "a", false);
    assert!(person.try_now(now()).await.is_ok());
    person.undecided().await;
    assert!(check.try_now(now()).await.is_ok());
    person.unanswered(HERE, SILENCE, now()).await;
    assert!(
        check.try_now(now()).await.is_err(),
        "the silence of a person counts"
    );
    person.accepted().await;
    assert!(check.try_now(now()).await.is_ok());
    person.unanswered(HERE, SILENCE, now()).await;
    person.rejected(HERE, NO, now()).await;
    let later = check.try_now(Moment::after(HOUR)).await.unwrap_err();
    assert_eq!(later.kind, NO, "{later:?}");
}

#[tokio::test]
async fn a_silence_is_known_after_a_restart_and_what_was_kept_before_there_were_any_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let circuit = kept_in(directory.path());
    guard(&circuit, "wrong", false).rejected(HERE, NO, now()).await;
    let path = directory.path().join(FILE);
    let before = serde_json::to_vec(&circuit.open().known.rejections).unwrap();
    std::fs::write(&path, before).unwrap();
    let again = kept_in(directory.path());
    assert!(guard(&again, "wrong", false).try_now(now()).await.is_err());

    of_check(&again, "slow").unanswered(HERE, SILENCE, now()).await;
    let (alone, gone) = (of_check(&again, "gone"), of_check(&again, "gone"));
    let turn = alone.alone().await;
    alone.given_up(HERE, SILENCE, now(), Some(turn));
    gone.alone().await;
    let third = kept_in(directory.path());
    for held in ["slow", "gone"] {
        let fault = of_check(&third, held).try_now(now()).await.unwrap_err();
        assert_eq!(fault.kind, SILENCE, "{held}: {fault:?}");
    }
    assert!(guard(&third, "wrong", false).try_now(now()).await.is_err());
    let next_day = Moment::after(DAY + MINUTE);
    of_check(&third, "slow")
        .unanswered(HERE, SILENCE, next_day.clone())
        .await;
    let soon = Moment::after(DAY + MINUTE * 3);
    assert!(
        of_check(&third, "slow").try_now(soon).await.is_ok(),
        "it is in a row with none"
    );
}

fn requested(second: i64) -> Asker {
    Asker::Routine {
        once: Some(Timestamp::from_second(second).unwrap()),
    }
}

#[tokio::test]
async fn a_check_sends_a_rejected_secret_once_for_each_request_and_that_is_known_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    guard(&kept_in(directory.path()), "wrong", false)
        .rejected(HERE, NO, now())
        .await;
    let mut sent = Vec::new();
    for minute in 0..40 {
        // The process is another each time: nothing but the disk remembers.
        let circuit = kept_in(directory.path());
        let request = if minute < 5 { 7 } else { 8 };
        let at = Moment::after(MINUTE * minute);
        let round = asked_by(&circuit, "wrong", requested(request));
        match round.try_now(at).await {
            Ok(()) => sent.push(minute),
            Err(known) => assert_eq!(known.kind, NO, "{known:?}"),
        }
    }
    assert_eq!(sent, [0, 10], "ten minutes lie between two, and nobody answered");
    let circuit = kept_in(directory.path());
    let none = of_check(&circuit, "wrong").try_now(now()).await.unwrap_err();
    assert!(none.message.contains("ctl credential retry"), "{none:?}");
}

#[tokio::test]
async fn a_secret_that_is_rejected_while_a_request_stands_is_not_sent_again_for_it() {
    let circuit = Arc::new(Circuit::in_memory());
    let check = asked_by(&circuit, "wrong", requested(7));
    assert!(check.try_now(now()).await.is_ok(), "nothing is known of it");
    check.rejected(HERE, NO, now()).await;
    let next = asked_by(&circuit, "wrong", requested(7));
    assert!(next.try_now(Moment::after(HOUR)).await.is_err());
    guard(&circuit, "wrong", false).rejected(HERE, NO, now()).await;
    let next = asked_by(&circuit, "wrong", requested(7));
    assert!(next.try_now(Moment::after(HOUR)).await.is_err(), "still");
}

#[tokio::test]
async fn a_request_that_must_wait_for_a_silence_is_not_used_up_by_that() {
    let circuit = Arc::new(Circuit::in_memory());
    guard(&circuit, "wrong", false).rejected(HERE, NO, now()).await;
    let check = asked_by(&circuit, "wrong", requested(7));
    check.unanswered(HERE, SILENCE, now()).await;
    assert_eq!(check.try_now(now()).await.unwrap_err().kind, SILENCE);
    assert!(check.try_now(Moment::after(MINUTE)).await.is_ok());
}
