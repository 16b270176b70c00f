//! Against a real Alertmanager of Debian.

use std::process::Stdio;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use super::*;

const PROGRAM: &str = "prometheus-alertmanager";

/// An Alertmanager that tells a webhook; it ends when dropped.
struct Real {
    port: u16,
    _child: Child,
    _directory: TempDir,
}

impl Real {
    /// Nothing where it is not installed, unless the lab is required.
    async fn start(hook: &Hook) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let configuration = directory.path().join("alertmanager.yml");
        let text = format!(
            "route: {{receiver: hook, group_by: [...], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}\n\
             receivers: [{{name: hook, webhook_configs: [{{url: '{}', send_resolved: true}}]}}]\n",
            hook.url()
        );
        std::fs::write(&configuration, text).unwrap();
        let port = free_port().await;
        let child = Command::new(PROGRAM)
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!(
                "--storage.path={}",
                directory.path().join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let Ok(child) = child else {
            let required = std::env::var("PARALLAX_LAB").is_ok_and(|value| value == "required");
            assert!(
                !required,
                "{PROGRAM} is not installed (Debian: apt-get install prometheus-alertmanager)"
            );
            eprintln!("ignored: {PROGRAM} is not installed");
            return None;
        };
        let real = Self {
            port,
            _child: child,
            _directory: directory,
        };
        until("its readiness", async || real.get("/-/ready").await).await;
        Some(real)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn get(&self, path: &str) -> Option<Vec<u8>> {
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        let answer = client
            .get(format!("{}{path}", self.url()).parse().unwrap())
            .await
            .ok()?;
        let is_good = answer.status().is_success();
        let body = answer.into_body().collect().await.ok()?;
        is_good.then(|| body.to_bytes().to_vec())
    }

    async fn alerts(&self) -> Vec<Value> {
        let body = self.get("/api/v2/alerts").await.unwrap();
        serde_json::from_slice(&body).unwrap()
    }
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

fn alertmanager(real: &Real) -> Receiver {
    Receiver {
        name: "on-call".to_owned(),
        alertmanager: vec![real.url()],
        ..Receiver::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_alertmanager_fires_once_over_a_restart_and_resolves() {
    let hook = Hook::start().await;
    let Some(real) = Real::start(&hook).await else {
        return;
    };
    let mut sender = Sender::new(vec![alertmanager(&real)]).await;
    let alert = firing();
    sender.tell(&alert).await;
    let known = until("the alert", async || real.alerts().await.into_iter().next()).await;
    assert_eq!(
        known["fingerprint"],
        alert.fingerprint.as_str(),
        "it makes the same of the same labels"
    );
    let starts: Timestamp = known["startsAt"].as_str().unwrap().parse().unwrap();
    let ends: Timestamp = known["endsAt"].as_str().unwrap().parse().unwrap();
    assert!(
        ends.duration_since(Timestamp::now()) > SignedDuration::from_mins(14),
        "{known}"
    );
    until("its notice", async || (!hook.posts().is_empty()).then_some(())).await;

    sender.kill();
    sender.start();
    // It is told again what fires, and takes it for the same.
    let renewed = until("the reminder", async || {
        let known = real.alerts().await.into_iter().next()?;
        let later: Timestamp = known["endsAt"].as_str().unwrap().parse().unwrap();
        (later > ends).then_some(known)
    })
    .await;
    let same: Timestamp = renewed["startsAt"].as_str().unwrap().parse().unwrap();
    assert_eq!(same, starts);
    let before: Vec<String> = hook.posts().iter().map(hook::Post::status).collect();
    assert_eq!(before, ["firing"], "nobody is told twice");

    sender.tell(&resolved(&alert)).await;
    until("its end", async || {
        let told: Vec<String> = hook.posts().iter().map(hook::Post::status).collect();
        (told == ["firing", "resolved"]).then_some(())
    })
    .await;
    assert!(real.alerts().await.is_empty(), "resolved ones are not listed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_resolved_while_it_was_away_is_resolved_when_it_is_back() {
    let hook = Hook::start().await;
    let Some(real) = Real::start(&hook).await else {
        return;
    };
    let sender = Sender::new(vec![alertmanager(&real)]).await;
    let alert = firing();
    sender.tell(&alert).await;
    until("the alert", async || real.alerts().await.into_iter().next()).await;
    sender.tell(&resolved(&alert)).await;
    until("an empty list", async || {
        real.alerts().await.is_empty().then_some(())
    })
    .await;
    sender.tell(&firing()).await;
    until("the next", async || real.alerts().await.into_iter().next()).await;
    let answers = sender.delivery.test(Timestamp::now()).await;
    assert_eq!(answers["on-call"], "", "it takes a test");
}
