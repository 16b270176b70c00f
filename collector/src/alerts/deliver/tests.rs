//! From the outbox to those who are told.

mod alertmanager;
mod change;
mod hook;
mod mail;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::alerts::{AlertChanges, KeptAlert, Notice};
use crate::config::Receiver;
use crate::store::Sqlite;
use hook::Hook;

/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(20);

/// A store with an outbox, and the tasks that empty it; they end when dropped.
struct Sender {
    store: Arc<Sqlite>,
    alerting: Alerting,
    metrics: Arc<Metrics>,
    delivery: Delivery,
}

impl Sender {
    async fn new(receivers: Vec<Receiver>) -> Self {
        parallax_identity::install_provider();
        let store = Arc::new(Sqlite::in_memory().await.unwrap());
        let alerting = alerting(receivers);
        let metrics = Arc::new(Metrics::new());
        let kept: Arc<dyn AlertStore> = Arc::clone(&store) as Arc<dyn AlertStore>;
        Self {
            delivery: Delivery::start(&alerting, &kept, &metrics).unwrap(),
            store,
            alerting,
            metrics,
        }
    }

    fn start(&mut self) {
        let store: Arc<dyn AlertStore> = Arc::clone(&self.store) as Arc<dyn AlertStore>;
        self.delivery = Delivery::start(&self.alerting, &store, &self.metrics).unwrap();
    }

    fn kill(&self) {
        self.delivery.stop();
    }

    /// What a reload does.
    async fn change(&self, receivers: Vec<Receiver>) {
        self.delivery.change(Prepared::of(&alerting(receivers)).unwrap());
        let_go(self.store.as_ref(), &self.metrics, self.delivery.names())
            .await
            .unwrap();
    }

    /// What the machine says when an alert fires or is over.
    async fn tell(&self, alert: &Alert) {
        let notice = |receiver| Notice {
            receiver,
            alert: alert.clone(),
        };
        let changes = AlertChanges {
            alerts: vec![KeptAlert {
                alert: alert.clone(),
                told: alert.state == AlertState::Firing,
            }],
            memory: Vec::new(),
            notices: self.delivery.names().into_iter().map(notice).collect(),
        };
        self.store.write_alerts(changes, Timestamp::now()).await.unwrap();
        self.delivery.wake();
    }

    async fn waiting(&self) -> u64 {
        self.store
            .waiting()
            .await
            .unwrap()
            .values()
            .map(|waiting| waiting.notices)
            .sum()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.kill();
    }
}

fn alerting(receivers: Vec<Receiver>) -> Alerting {
    Alerting {
        external_url: Some("https://parallax.example.org".to_owned()),
        trace_url_template: Some("https://traces.example.org/{trace_id}".to_owned()),
        receivers,
    }
}

fn webhook(name: &str, url: &str) -> Receiver {
    Receiver {
        name: name.to_owned(),
        webhook: Some(url.to_owned()),
        ..Receiver::default()
    }
}

fn firing() -> Alert {
    let labels = BTreeMap::from([
        ("alertname".to_owned(), "ImapTargetFailing".to_owned()),
        ("check".to_owned(), "imap-fra".to_owned()),
        ("severity".to_owned(), "critical".to_owned()),
    ]);
    Alert {
        fingerprint: crate::alerts::labels::fingerprint(&labels),
        name: "ImapTargetFailing".to_owned(),
        check: Some("imap-fra".parse().unwrap()),
        state: AlertState::Firing,
        severity: Severity::Critical,
        summary: "down from 2 of 2".to_owned(),
        annotations: BTreeMap::from([("summary".to_owned(), "down from 2 of 2".to_owned())]),
        labels,
        since: Timestamp::now(),
        fired_at: Some(Timestamp::now()),
        resolved_at: None,
        run_id: Some(Uuid::from_u128(7)),
        trace_id: Some("0af7651916cd43dd8448eb211c80319c".to_owned()),
        flapping: false,
        silenced_by: None,
    }
}

fn resolved(alert: &Alert) -> Alert {
    Alert {
        state: AlertState::Resolved,
        resolved_at: Some(Timestamp::now()),
        ..alert.clone()
    }
}

fn file(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, text).unwrap();
    (directory, path)
}

/// Waits until `look` sees something.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what}: not within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_webhook_gets_the_known_shape_signed() {
    let hook = Hook::start().await;
    let (_directory, key) = file("0123456789abcdef\n");
    let receiver = Receiver {
        secret_file: Some(key),
        ..webhook("chat", &hook.url())
    };
    let sender = Sender::new(vec![receiver]).await;
    let alert = firing();
    sender.tell(&alert).await;
    let post = until("a post", async || hook.posts().into_iter().next()).await;
    let body: serde_json::Value = serde_json::from_slice(&post.body).unwrap();
    assert_eq!(body["version"], "4");
    assert_eq!(
        (&body["status"], &body["receiver"]),
        (&"firing".into(), &"chat".into())
    );
    let told = &body["alerts"][0];
    assert_eq!(told["fingerprint"], alert.fingerprint.as_str());
    assert_eq!(told["labels"]["check"], "imap-fra");
    assert_eq!(told["endsAt"], "0001-01-01T00:00:00Z");
    let trace = "https://traces.example.org/0af7651916cd43dd8448eb211c80319c";
    assert_eq!(told["annotations"]["trace_url"], trace);
    let run = "https://parallax.example.org/runs/00000000-0000-0000-0000-000000000007";
    assert_eq!(told["annotations"]["run_url"], run);
    assert_eq!(told["generatorURL"], run);
    assert_eq!(body["externalURL"], "https://parallax.example.org");
    let at = post.header("x-parallax-timestamp");
    let signature = post.header("x-parallax-signature");
    assert_eq!(
        signature,
        super::webhook::signature(b"0123456789abcdef", &at, &post.body)
    );
    let first = post.header("x-parallax-delivery");
    sender.tell(&resolved(&alert)).await;
    let second = until("the second", async || hook.posts().into_iter().nth(1)).await;
    let body: serde_json::Value = serde_json::from_slice(&second.body).unwrap();
    assert_eq!(body["status"], "resolved");
    assert_ne!(second.header("x-parallax-delivery"), first);
    until("an empty outbox", async || {
        (sender.waiting().await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_dead_receiver_delays_no_other() {
    let hook = Hook::start().await;
    let dead = webhook("dead", "http://127.0.0.1:1/");
    let sender = Sender::new(vec![dead, webhook("well", &hook.url())]).await;
    for _ in 0..3 {
        sender.tell(&firing()).await;
    }
    until("three posts", async || (hook.posts().len() == 3).then_some(())).await;
    until("a refusal", async || {
        let progress = sender.delivery.progress();
        progress["dead"].problem.contains("onnect").then_some(())
    })
    .await;
    // A notice leaves the outbox when the answer to it has come.
    until("what the dead one did not take", async || {
        (sender.waiting().await == 3).then_some(())
    })
    .await;
    assert_eq!(sender.delivery.progress()["well"].sent, 3);
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_and_nobody_hears_the_end_before_the_beginning() {
    let hook = Hook::start().await;
    hook.answer(503);
    let sender = Sender::new(vec![webhook("chat", &hook.url())]).await;
    let alert = firing();
    sender.tell(&alert).await;
    sender.tell(&resolved(&alert)).await;
    until("a refusal", async || (!hook.posts().is_empty()).then_some(())).await;
    hook.answer(200);
    until("an empty outbox", async || {
        (sender.waiting().await == 0).then_some(())
    })
    .await;
    let states: Vec<String> = hook.posts().iter().map(hook::Post::status).collect();
    let refused = states.len() - 2;
    assert!(
        states[..=refused].iter().all(|state| state == "firing"),
        "{states:?}"
    );
    assert_eq!(states.last().unwrap(), "resolved", "{states:?}");
}

#[tokio::test]
async fn killed_after_sending_it_repeats_the_same_fingerprint() {
    let hook = Hook::start().await;
    hook.hold();
    let mut sender = Sender::new(vec![webhook("chat", &hook.url())]).await;
    sender.tell(&firing()).await;
    until("a post", async || (hook.posts().len() == 1).then_some(())).await;
    // It was sent, and no answer was heard.
    sender.kill();
    hook.answer(200);
    sender.start();
    until("an empty outbox", async || {
        (sender.waiting().await == 0).then_some(())
    })
    .await;
    let posts = hook.posts();
    assert_eq!(posts.len(), 2);
    let deliveries: Vec<String> = posts
        .iter()
        .map(|post| post.header("x-parallax-delivery"))
        .collect();
    assert_eq!(deliveries[0], deliveries[1]);
    assert_eq!(posts[0].body, posts[1].body);
}

#[tokio::test]
async fn a_notice_that_is_not_wanted_is_no_obstacle_to_others() {
    let hook = Hook::start().await;
    hook.answer(404);
    let sender = Sender::new(vec![webhook("chat", &hook.url())]).await;
    sender.tell(&firing()).await;
    until("a refusal", async || (!hook.posts().is_empty()).then_some(())).await;
    until("its entry", async || {
        let due = sender
            .store
            .due("chat".to_owned(), Timestamp::MAX, 9)
            .await
            .unwrap();
        (due[0].attempts > 0).then_some(())
    })
    .await;
    assert!(sender.delivery.progress()["chat"].problem.contains("404"));
    hook.answer(200);
    let mut other = firing();
    other.fingerprint = "00000000000000aa".to_owned();
    sender.tell(&other).await;
    until("the other", async || {
        let is_it = |post: &hook::Post| post.text().contains("00000000000000aa");
        hook.posts().iter().any(is_it).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_test_reaches_everybody_and_says_who_does_not_take_it() {
    let hook = Hook::start().await;
    let dead = webhook("dead", "http://127.0.0.1:1/");
    let sender = Sender::new(vec![dead, webhook("well", &hook.url())]).await;
    let answers = sender.delivery.test(Timestamp::now()).await;
    assert_eq!(answers["well"], "");
    assert!(!answers["dead"].is_empty());
    assert!(hook.posts()[0].text().contains("ParallaxTest"));
}

#[test]
fn each_member_of_a_cluster_has_a_queue_of_its_own() {
    let cluster = Receiver {
        name: "on-call".to_owned(),
        alertmanager: vec!["http://am-1:9093".to_owned(), "http://am-2:9093".to_owned()],
        ..Receiver::default()
    };
    let alerting = Alerting {
        receivers: vec![cluster, webhook("chat", "http://h/")],
        ..Alerting::default()
    };
    assert_eq!(queue_names(&alerting), ["on-call/1", "on-call/2", "chat"]);
}
