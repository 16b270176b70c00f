//! Others are told while notices wait.

use super::*;

#[tokio::test]
async fn who_stays_gets_what_waits_on_the_new_way_at_once() {
    let (old, new) = (Hook::start().await, Hook::start().await);
    old.answer(503);
    let sender = Sender::new(vec![webhook("chat", &old.url())]).await;
    let alert = firing();
    sender.tell(&alert).await;
    sender.tell(&resolved(&alert)).await;
    let entry = || async {
        let store = &sender.store;
        let due = store.due("chat".to_owned(), Timestamp::MAX, 9).await.unwrap();
        due.first().map(|first| (first.no, first.attempts))
    };
    let (no, _) = until("a refusal", async || {
        entry().await.filter(|(_, tries)| *tries > 0)
    })
    .await;
    // As after many tries: it would be left alone for days.
    let late = Timestamp::now() + SignedDuration::from_hours(99);
    sender.store.failed(no, "503".to_owned(), late).await.unwrap();
    let asked = old.posts().len();
    sender.change(vec![webhook("chat", &new.url())]).await;
    until("an empty outbox", async || {
        (sender.waiting().await == 0).then_some(())
    })
    .await;
    let states: Vec<String> = new.posts().iter().map(hook::Post::status).collect();
    assert_eq!(states, ["firing", "resolved"]);
    assert!(old.posts().len() <= asked + 1, "one that was under way at most");
    assert_eq!(sender.delivery.progress()["chat"].problem, "");
}

#[tokio::test]
async fn who_goes_is_told_nothing_more_and_what_waited_is_counted() {
    let (gone, stays) = (Hook::start().await, Hook::start().await);
    gone.answer(503);
    let sender = Sender::new(vec![webhook("gone", &gone.url()), webhook("stays", &stays.url())]).await;
    sender.tell(&firing()).await;
    sender.tell(&resolved(&firing())).await;
    until("a refusal", async || (!gone.posts().is_empty()).then_some(())).await;
    until("two posts", async || (stays.posts().len() == 2).then_some(())).await;
    sender
        .change(vec![webhook("stays", &stays.url()), webhook("new", &stays.url())])
        .await;
    assert_eq!(sender.waiting().await, 0);
    let page = sender.metrics.classic_text().unwrap();
    let counted = "parallax_alert_notifications_total{receiver=\"gone\",outcome=\"dropped\"} 2";
    assert!(page.contains(counted), "{page}");
    assert_eq!(sender.metrics.drops()["notifications"], 2);
    gone.answer(200);
    let asked = gone.posts().len();
    sender.tell(&firing()).await;
    until("the next of both", async || {
        (stays.posts().len() == 4).then_some(())
    })
    .await;
    assert_eq!(sender.delivery.names(), ["new", "stays"]);
    assert_eq!(gone.posts().len(), asked);
}
