//! What one session writes and another one sees, at a server that does it well or badly; and that nothing stays.

#![allow(clippy::unwrap_used)]

#[path = "../src/certificate/forge.rs"]
#[allow(dead_code)]
mod forge;
#[path = "support"]
mod support {
    #[allow(dead_code)]
    pub(crate) mod duet;
    #[allow(dead_code)]
    pub(crate) mod mail_server;
    pub(crate) mod watchman;
    #[allow(dead_code)]
    pub(crate) mod world;
}

use std::time::Duration;

use parallax_model::stage::{Outcome, StageName};
use serde_json::json;
use support::duet::{Duet, Ended, Watcher, head, stage};
use support::mail_server::{MailServer, Mailbox, News, Quirks};

const QUICK: News = News::Pushed(Duration::from_millis(40));

/// Commands of a writer behind its login, with some to spare.
const COMMANDS: usize = 60;

fn play(news: News) -> Ended {
    Duet::new(MailServer::new(news)).play()
}

fn with(quirks: Quirks) -> Ended {
    let mut server = MailServer::new(QUICK);
    server.quirks[0] = quirks;
    Duet::new(server).play()
}

fn seen(ended: &Ended) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let events = ended.fact(StageName::Sync, "events");
    let events = events.as_array().cloned().unwrap_or_default();
    events
        .iter()
        .map(|event| (text(&event["event"]), text(&event["seen"])))
        .collect()
}

fn all(how: &str) -> Vec<(String, String)> {
    ["exists", "flags", "expunge", "expunge"]
        .map(|event| (event.to_owned(), how.to_owned()))
        .to_vec()
}

#[test]
fn every_change_is_seen_by_idle_and_everything_is_gone_again() {
    let ended = play(QUICK);
    for name in [
        StageName::Append,
        StageName::Sync,
        StageName::Idle,
        StageName::Logout,
    ] {
        assert_eq!(ended.head(name), "ok", "{name}\n{}", ended.transcripts);
    }
    assert_eq!(seen(&ended), all("idle"));
    assert_eq!(ended.fact(StageName::Append, "intact"), json!(true));
    assert_eq!(ended.fact(StageName::Append, "uid"), json!(1));
    assert_eq!(ended.fact(StageName::Sync, "flags_kept"), json!(true));
    assert_eq!(ended.fact(StageName::Sync, "copy"), json!("copied"));
    assert_eq!(ended.fact(StageName::Sync, "move"), json!("moved"));
    assert_eq!(ended.fact(StageName::Sync, "cleaned_up"), json!(true));
    assert_eq!(ended.left(), Vec::<&str>::new());
    let watcher = ended.watcher.as_ref().unwrap();
    for stage in &watcher.stages {
        assert!(
            matches!(stage.outcome, Outcome::Ok | Outcome::Skipped(_)),
            "{stage:?}"
        );
    }
}

#[test]
fn what_a_session_stores_itself_it_asks_for_where_nobody_told_it() {
    let ended = with(Quirks {
        blind: true,
        ..Quirks::default()
    });
    for name in [StageName::Append, StageName::Sync] {
        assert_eq!(ended.head(name), "ok", "{name}\n{}", ended.transcripts);
    }
    assert_eq!(ended.fact(StageName::Append, "intact"), json!(true));
    assert_eq!(ended.fact(StageName::Sync, "flags_kept"), json!(true));
    assert_eq!(ended.left(), Vec::<&str>::new());
}

#[test]
fn latency_counts_from_the_writers_answer_to_the_watchers_word() {
    let ended = play(News::Pushed(Duration::from_millis(700)));
    let events = ended.fact(StageName::Sync, "events");
    for event in events.as_array().unwrap() {
        assert_eq!(event["latency_ms"], json!(700.0), "{}", ended.transcripts);
    }
}

#[test]
fn a_change_that_comes_late_is_told_as_late() {
    let ended = play(News::Pushed(Duration::from_millis(2_500)));
    assert_eq!(ended.head(StageName::Sync), "degraded mailbox.sync_delayed");
    assert_eq!(seen(&ended), all("idle"));
    let mut duet = Duet::new(MailServer::new(News::Pushed(Duration::from_millis(2_500))));
    duet.uncertainty = Duration::from_secs(1);
    let ended = duet.play();
    assert_eq!(
        ended.head(StageName::Sync),
        "ok",
        "the clocks may be that far apart"
    );
    assert_eq!(ended.fact(StageName::Sync, "uncertainty_ms"), json!(1000.0));
}

#[test]
fn a_change_that_idle_does_not_tell_is_a_fault_of_idle() {
    let ended = play(News::Asked);
    assert_eq!(
        ended.head(StageName::Sync),
        "degraded mailbox.idle_broken",
        "{}",
        ended.transcripts
    );
    assert_eq!(seen(&ended), all("noop"));
    assert_eq!(ended.left(), Vec::<&str>::new());
}

#[test]
fn a_change_that_shows_only_in_a_mailbox_opened_anew_is_broken() {
    let ended = play(News::OpenedAnew);
    assert_eq!(
        ended.head(StageName::Sync),
        "failed mailbox.sync_broken",
        "{}",
        ended.transcripts
    );
    assert_eq!(seen(&ended), all("select"));
    assert_eq!(ended.left(), Vec::<&str>::new());
}

#[test]
fn a_change_that_never_shows_is_broken() {
    let ended = play(News::Never);
    assert_eq!(
        ended.head(StageName::Sync),
        "failed mailbox.sync_broken",
        "{}",
        ended.transcripts
    );
    assert_eq!(seen(&ended), all("never"));
    assert_eq!(ended.left(), Vec::<&str>::new());
    assert_eq!(ended.head(StageName::Idle), "not_reached");
}

#[test]
fn without_idle_asking_is_as_it_should_be() {
    let mut server = MailServer::new(News::Asked);
    server.capabilities = server.capabilities.replace(" IDLE", "");
    let ended = Duet::new(server).play();
    assert_eq!(ended.head(StageName::Sync), "ok", "{}", ended.transcripts);
    assert_eq!(seen(&ended), all("noop"));
    assert_eq!(ended.head(StageName::Idle), "skipped");
}

#[test]
fn idle_that_is_offered_and_refused_is_told_by_the_watcher() {
    let mut server = MailServer::new(News::Asked);
    server.quirks[1].answers = vec![("IDLE", "BAD unknown command")];
    let ended = Duet::new(server).play();
    assert_eq!(seen(&ended), all("noop"), "{}", ended.transcripts);
    let watcher = ended.watcher.as_ref().unwrap();
    assert_eq!(
        head(stage(watcher, StageName::Idle)),
        "degraded mailbox.idle_broken"
    );
}

#[test]
fn an_idle_that_died_unnoticed_is_found_out_by_done() {
    let ended = with(Quirks {
        dies_idle: true,
        ..Quirks::default()
    });
    assert_eq!(ended.head(StageName::Sync), "ok", "{}", ended.transcripts);
    assert_eq!(ended.head(StageName::Idle), "failed mailbox.idle_broken");
}

#[test]
fn a_watcher_that_is_not_there_breaks_nothing() {
    for (watcher, words) in [
        (Watcher::StaysAway, "was not there in 10.0 s"),
        (Watcher::MayNotLogIn, "refused before"),
    ] {
        let mut duet = Duet::new(MailServer::new(QUICK));
        duet.watcher = watcher;
        let ended = duet.play();
        let outcome = &ended.stage(StageName::Sync).outcome;
        let fault = outcome.fault().unwrap();
        assert_eq!(outcome.as_str(), "degraded", "{}", ended.transcripts);
        assert!(fault.message.contains("could not be judged"), "{}", fault.message);
        assert!(fault.message.contains(words), "{}", fault.message);
        assert_ne!(ended.fact(StageName::Sync, "watcher_fault"), json!(null));
        assert_eq!(seen(&ended), []);
        assert_eq!(ended.fact(StageName::Sync, "move"), json!("moved"));
        assert_eq!(ended.left(), Vec::<&str>::new());
    }
}

#[test]
fn a_watcher_that_is_lost_at_any_command_never_makes_the_server_look_broken() {
    for cut in 0..6 {
        let mut server = MailServer::new(News::Asked);
        server.quirks[1].cut = Some(cut);
        let ended = Duet::new(server).play();
        let head = ended.head(StageName::Sync);
        assert!(
            head.starts_with("degraded"),
            "{cut}: {head}\n{}",
            ended.transcripts
        );
        assert_eq!(ended.left(), Vec::<&str>::new(), "{cut}");
    }
}

#[test]
fn without_move_a_message_is_copied_and_expunged() {
    let mut server = MailServer::new(QUICK);
    server.capabilities = server.capabilities.replace(" MOVE", "");
    let ended = Duet::new(server).play();
    assert_eq!(ended.head(StageName::Sync), "ok", "{}", ended.transcripts);
    assert_eq!(ended.fact(StageName::Sync, "move"), json!("copied_and_expunged"));
    assert_eq!(seen(&ended), all("idle"));
}

#[test]
fn without_uidplus_nothing_is_written() {
    let mut server = MailServer::new(QUICK);
    server.capabilities = server.capabilities.replace(" UIDPLUS", "");
    let ended = Duet::new(server).play();
    assert_eq!(ended.head(StageName::Append), "skipped");
    assert_eq!(ended.head(StageName::Sync), "skipped");
    assert_eq!(ended.head(StageName::Idle), "ok");
}

#[test]
fn a_message_that_comes_back_changed_is_told_with_the_change() {
    let ended = with(Quirks {
        rewrites: true,
        ..Quirks::default()
    });
    assert_eq!(ended.head(StageName::Append), "degraded mailbox.append_mismatch");
    let difference = ended.fact(StageName::Append, "difference");
    assert!(
        difference.as_str().unwrap().contains("from X-Scanned on"),
        "{difference}"
    );
    assert_eq!(ended.left(), Vec::<&str>::new());
}

#[test]
fn what_a_server_says_to_a_write_is_named() {
    for (command, answer, head) in [
        ("CREATE", "NO [NOPERM] no", "failed mailbox.permission_denied"),
        ("CREATE", "NO [OVERQUOTA] full", "failed mailbox.over_quota"),
        ("APPEND", "NO [OVERQUOTA] full", "failed mailbox.over_quota"),
        ("APPEND", "NO [TRYCREATE] none", "failed mailbox.missing"),
        ("APPEND", "NO [TOOBIG] too big", "failed mailbox.too_big"),
        ("APPEND", "NO [LIMIT] too big", "failed mailbox.too_big"),
        ("APPEND", "NO [READ-ONLY] replica", "failed mailbox.read_only"),
    ] {
        let ended = with(Quirks {
            answers: vec![(command, answer)],
            ..Quirks::default()
        });
        assert_eq!(ended.head(StageName::Append), head, "{command} {answer}");
        assert_eq!(ended.head(StageName::Sync), "not_reached");
        assert_eq!(ended.left(), Vec::<&str>::new(), "{command} {answer}");
    }
}

/// What the writer says is left, in whichever stage it ended.
fn told_as_left(ended: &Ended) -> Vec<String> {
    let mut left = Vec::new();
    for name in [StageName::Append, StageName::Sync] {
        let told = ended.fact(name, "left_over");
        left.extend(
            told.as_array()
                .into_iter()
                .flatten()
                .map(|name| name.as_str().unwrap().to_owned()),
        );
    }
    left
}

#[test]
fn whatever_command_is_refused_nothing_stays_unsaid() {
    let mut tidy = 0;
    for refuse in 0..COMMANDS {
        let ended = with(Quirks {
            refuse: Some(refuse),
            ..Quirks::default()
        });
        let told = told_as_left(&ended);
        assert_eq!(ended.left(), told, "{refuse}\n{}", ended.transcripts);
        tidy += usize::from(ended.left().is_empty());
    }
    // Only a refusal in the midst of the clean-up itself leaves anything.
    assert!(tidy + 14 >= COMMANDS, "{tidy}");
}

#[test]
fn wherever_the_connection_ends_what_may_be_left_is_said() {
    for cut in 0..COMMANDS {
        let ended = with(Quirks {
            cut: Some(cut),
            ..Quirks::default()
        });
        let told = told_as_left(&ended);
        for left in ended.left() {
            assert!(
                told.contains(&left.to_owned()),
                "{cut}: {left} {told:?}\n{}",
                ended.transcripts
            );
        }
    }
}

#[test]
fn a_probe_that_runs_out_of_time_still_cleans_up() {
    for seconds in 8..60 {
        let mut duet = Duet::new(MailServer::new(News::Never));
        duet.deadline = Duration::from_secs(seconds);
        let ended = duet.play();
        assert_eq!(
            ended.left(),
            Vec::<&str>::new(),
            "{seconds}\n{}",
            ended.transcripts
        );
        assert!(ended.took <= Duration::from_secs(seconds));
    }
}

/// `made` in hexadecimal seconds; the dialogues take place at 6a1ccb80.
fn old(server: &mut MailServer, made: &str, strangers: bool) -> String {
    let name = format!("parallax-probe-{made}-00000001");
    let mut mailbox = Mailbox::default();
    let own = format!("Subject: x\r\nX-Parallax-Probe: {name}.1\r\n\r\nx\r\n");
    mailbox.store(own.as_bytes(), &[]);
    if strangers {
        mailbox.store(b"Subject: mine\r\n\r\nkeep me\r\n", &["\\Deleted"]);
    }
    server.mailboxes.insert(name.clone(), mailbox);
    name
}

#[test]
fn what_earlier_probes_left_is_removed_after_a_day_and_nothing_else_ever() {
    let mut server = MailServer::new(QUICK);
    old(&mut server, "6a100000", false);
    let strangers = old(&mut server, "6a110000", true);
    let young = old(&mut server, "6a1cca00", false);
    let other = "parallax-probe-results".to_owned();
    server.mailboxes.insert(other.clone(), Mailbox::default());
    let ended = Duet::new(server).play();
    assert_eq!(ended.head(StageName::Sync), "ok", "{}", ended.transcripts);
    assert_eq!(ended.fact(StageName::Sync, "old_removed"), json!(1));
    assert_eq!(ended.left(), [strangers.as_str(), young.as_str(), other.as_str()]);
    let kept = &ended.server.mailboxes[&strangers].messages;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].bytes, b"Subject: mine\r\n\r\nkeep me\r\n");
}
