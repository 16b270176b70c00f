use jiff::SignedDuration;
use parallax_model::finding::Severity;
use uuid::Uuid;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn alert(fingerprint: &str, state: AlertState) -> Alert {
    Alert {
        fingerprint: fingerprint.to_owned(),
        name: "ImapTargetFailing".to_owned(),
        check: Some("imap-fra".parse().unwrap()),
        state,
        severity: Severity::Critical,
        summary: "down".to_owned(),
        labels: BTreeMap::from([("check".to_owned(), "imap-fra".to_owned())]),
        annotations: BTreeMap::new(),
        since: at(0),
        fired_at: Some(at(1)),
        resolved_at: (state == AlertState::Resolved).then(|| at(2)),
        run_id: Some(Uuid::from_u128(7)),
        trace_id: None,
        flapping: false,
        silenced_by: None,
    }
}

fn changes(fingerprint: &str, state: AlertState, receivers: &[&str]) -> AlertChanges {
    let alert = alert(fingerprint, state);
    let notice = |receiver: &&str| Notice {
        receiver: (*receiver).to_owned(),
        alert: alert.clone(),
    };
    AlertChanges {
        notices: receivers.iter().map(notice).collect(),
        memory: vec![(format!("check/{fingerprint}"), Some(json!({"v": 1})))],
        alerts: vec![KeptAlert {
            told: state == AlertState::Firing && !receivers.is_empty(),
            alert,
        }],
    }
}

async fn store() -> Sqlite {
    Sqlite::in_memory().await.unwrap()
}

#[tokio::test]
async fn what_is_kept_of_alerts_reads_back_and_what_is_forgotten_is_gone() {
    let store = store().await;
    let firing = changes("a", AlertState::Firing, &["on-call"]);
    store.write_alerts(firing.clone(), at(1)).await.unwrap();
    let kept = store.kept().await.unwrap();
    assert_eq!(kept.alerts, [firing.alerts[0].alert.clone()]);
    assert_eq!(kept.memory, [("check/a".to_owned(), json!({"v": 1}))]);
    let forget = AlertChanges {
        memory: vec![("check/a".to_owned(), None)],
        ..AlertChanges::default()
    };
    store.write_alerts(forget, at(1)).await.unwrap();
    assert!(store.kept().await.unwrap().memory.is_empty());
    store
        .write_alerts(changes("a", AlertState::Resolved, &[]), at(2))
        .await
        .unwrap();
    assert_eq!(store.kept().await.unwrap().alerts[0].state, AlertState::Resolved);
    let week = at(3) + SignedDuration::from_hours(7 * 24);
    store
        .write_alerts(changes("b", AlertState::Firing, &[]), week)
        .await
        .unwrap();
    let kept: Vec<String> = store
        .kept()
        .await
        .unwrap()
        .alerts
        .into_iter()
        .map(|alert| alert.fingerprint)
        .collect();
    assert_eq!(kept, ["b"], "what is over is kept for a week");
}

#[tokio::test]
async fn only_what_is_told_is_told_again() {
    let store = store().await;
    store
        .write_alerts(changes("held", AlertState::Firing, &[]), at(1))
        .await
        .unwrap();
    store
        .write_alerts(changes("told", AlertState::Firing, &["on-call"]), at(1))
        .await
        .unwrap();
    let told = store.told().await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].fingerprint, "told");
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_no_notice_waiting_for_hours() {
    let store = store().await;
    for state in [AlertState::Firing, AlertState::Resolved] {
        store
            .write_alerts(changes("a", state, &["on-call"]), at(3 * 3600))
            .await
            .unwrap();
    }
    let due = |second| store.due("on-call".to_owned(), at(second), 10);
    assert_eq!(due(3 * 3600 - 1).await.unwrap().len(), 0);
    let due = due(0).await.unwrap();
    let states: Vec<_> = due.iter().map(|waiting| waiting.alert.state).collect();
    assert_eq!(states, [AlertState::Firing, AlertState::Resolved]);
}

#[tokio::test]
async fn what_waits_for_another_try_holds_back_the_same_alert_and_no_other() {
    let store = store().await;
    for (fingerprint, state) in [
        ("a", AlertState::Firing),
        ("a", AlertState::Resolved),
        ("b", AlertState::Firing),
    ] {
        store
            .write_alerts(changes(fingerprint, state, &["on-call", "chat"]), at(1))
            .await
            .unwrap();
    }
    let due = |second| store.due("on-call".to_owned(), at(second), 10);
    let all = due(1).await.unwrap();
    assert_eq!(all.len(), 3);
    store.failed(all[0].no, "503".to_owned(), at(60)).await.unwrap();
    let now = due(2).await.unwrap();
    assert_eq!(now.len(), 1, "the end waits for the beginning");
    assert_eq!(now[0].alert.fingerprint, "b");
    let later = due(60).await.unwrap();
    assert_eq!((later.len(), later[0].attempts), (3, 1));
    store.sent(later[0].no).await.unwrap();
    assert_eq!(due(60).await.unwrap().len(), 2);
    assert_eq!(store.due("chat".to_owned(), at(60), 10).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_full_outbox_drops_the_oldest_and_counts_them() {
    let store = store().await;
    let one = changes("a", AlertState::Firing, &["dead"]);
    let many = |number: i64| AlertChanges {
        notices: (0..number).map(|_| one.notices[0].clone()).collect(),
        ..AlertChanges::default()
    };
    store.write_alerts(many(OUTBOX), at(1)).await.unwrap();
    store.write_alerts(many(2), at(2)).await.unwrap();
    store.write_alerts(many(1), at(3)).await.unwrap();
    let waiting = store.waiting().await.unwrap()["dead"];
    assert_eq!((waiting.notices, waiting.dropped), (OUTBOX.unsigned_abs(), 3));
    assert!(
        store.kept().await.unwrap().memory.is_empty(),
        "the count is nobody's memory"
    );
    let forgotten = store.keep_receivers(vec!["well".to_owned()]).await.unwrap();
    assert_eq!(
        forgotten,
        BTreeMap::from([("dead".to_owned(), OUTBOX.unsigned_abs())])
    );
    assert!(store.waiting().await.unwrap().is_empty());
    assert!(store.keep_receivers(Vec::new()).await.unwrap().is_empty());
}

#[tokio::test]
async fn who_stays_keeps_what_waits_also_as_one_of_several() {
    let store = store().await;
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let waiting = async || {
        let waiting = store.waiting().await.unwrap().into_iter();
        waiting
            .map(|(name, waiting)| (name, waiting.notices))
            .collect::<Vec<_>>()
    };
    let all = changes("a", AlertState::Firing, &["chat", "on-call"]);
    store.write_alerts(all, at(1)).await.unwrap();
    let forgotten = store
        .keep_receivers(names(&["chat", "on-call/1", "on-call/2"]))
        .await;
    assert!(forgotten.unwrap().is_empty());
    assert_eq!(
        waiting().await,
        [("chat".to_owned(), 1), ("on-call/1".to_owned(), 1)]
    );
    let second = changes("b", AlertState::Firing, &["on-call/2"]);
    store.write_alerts(second, at(2)).await.unwrap();
    let forgotten = store.keep_receivers(names(&["chat", "on-call"])).await.unwrap();
    assert_eq!(forgotten, BTreeMap::from([("on-call/2".to_owned(), 1)]));
    assert_eq!(
        waiting().await,
        [("chat".to_owned(), 1), ("on-call".to_owned(), 1)]
    );
}

#[tokio::test]
async fn what_waits_for_another_try_can_be_hurried() {
    let store = store().await;
    store
        .write_alerts(changes("a", AlertState::Firing, &["chat"]), at(1))
        .await
        .unwrap();
    let due = async |receiver: &str| store.due(receiver.to_owned(), at(3), 10).await.unwrap();
    let first = due("chat").await.remove(0);
    store
        .failed(first.no, "no answer".to_owned(), at(300))
        .await
        .unwrap();
    assert!(due("chat").await.is_empty());
    store.hurry("other".to_owned(), at(2)).await.unwrap();
    assert!(due("chat").await.is_empty());
    store.hurry("chat".to_owned(), at(2)).await.unwrap();
    assert_eq!(due("chat").await[0].attempts, 1, "the try before counts");
}

#[tokio::test]
async fn a_silence_is_kept_for_a_week_after_its_end() {
    let store = store().await;
    let silence = |number: u128, ends: Timestamp| Silence {
        id: Uuid::from_u128(number),
        matchers: BTreeMap::from([("check".to_owned(), "*".to_owned())]),
        starts_at: at(0),
        ends_at: ends,
        comment: "why".to_owned(),
        created_by: "ada".to_owned(),
    };
    store.put_silence(silence(1, at(10)), at(0)).await.unwrap();
    store.put_silence(silence(1, at(5)), at(1)).await.unwrap();
    assert_eq!(
        store.kept().await.unwrap().silences,
        [silence(1, at(5))],
        "ended before its time"
    );
    let later = at(6) + SignedDuration::from_hours(7 * 24);
    store
        .put_silence(silence(2, later + SignedDuration::from_hours(1)), later)
        .await
        .unwrap();
    assert_eq!(store.kept().await.unwrap().silences.len(), 1);
}
