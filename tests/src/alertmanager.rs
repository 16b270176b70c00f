//! A real Alertmanager on the control host, which tells a webhook of the lab's own.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream as Stream};

use crate::background::Background;
use crate::namespace::Namespace;
use crate::process::Process;
use crate::wait;

const PROGRAM: &str = "prometheus-alertmanager";
const PORT: u16 = 9093;
const HOOK: u16 = 9099;
const TO_GET_READY: Duration = Duration::from_secs(20);

/// A running Alertmanager and what it told; gone when dropped.
pub struct Alertmanager {
    told: Arc<Mutex<Vec<Value>>>,
    _process: Process,
    _hook: Background,
}

/// Whether it is installed; if the lab is required it must be.
pub fn is_installed() -> bool {
    let found = Command::new(PROGRAM)
        .arg("--version")
        .env("PATH", crate::host::path())
        .output()
        .is_ok();
    let required = std::env::var(crate::host::REQUIRED).is_ok_and(|value| value == "required");
    assert!(
        found || !required,
        "{PROGRAM} is not installed (Debian: apt-get install prometheus-alertmanager)"
    );
    found
}

impl Alertmanager {
    /// Starts it on the control host; it tells of each alert at once, and once.
    pub fn start(control: &Namespace, directory: &Path) -> Result<Self> {
        let told = Arc::new(Mutex::new(Vec::new()));
        let hook = hook(control, Arc::clone(&told))?;
        let configuration = directory.join("alertmanager.yml");
        let text = format!(
            "route: {{receiver: hook, group_by: [...], group_wait: 0s, group_interval: 1s, repeat_interval: 24h}}\n\
             receivers: [{{name: hook, webhook_configs: [{{url: 'http://127.0.0.1:{HOOK}/', send_resolved: true}}]}}]\n"
        );
        std::fs::write(&configuration, text)?;
        let mut command = Command::new(PROGRAM);
        command
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!(
                "--storage.path={}",
                directory.join("alertmanager").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{PORT}"))
            .arg("--cluster.listen-address=");
        let mut process = Process::start(control, "alertmanager", directory, &command)?;
        wait::until("readiness of Alertmanager", TO_GET_READY, || {
            if let Some(status) = process.ended()? {
                bail!("Alertmanager ended ({status})");
            }
            Ok(control.run(|| get("/-/ready").ok()))
        })
        .with_context(|| process.tail())?;
        Ok(Self {
            told,
            _process: process,
            _hook: hook,
        })
    }

    /// Its base URL, on the control host.
    pub fn url() -> String {
        format!("http://127.0.0.1:{PORT}")
    }

    /// The alerts that it takes for firing, as its API has them.
    pub fn alerts(&self, control: &Namespace) -> Result<Vec<Value>> {
        let body = control.run(|| get("/api/v2/alerts"))?;
        Ok(serde_json::from_str(&body)?)
    }

    /// The names of those alerts.
    pub fn names(&self, control: &Namespace) -> Result<BTreeSet<String>> {
        let alerts = self.alerts(control)?;
        let names = alerts.iter().map(|alert| alert["labels"]["alertname"].as_str());
        Ok(names.flatten().map(str::to_owned).collect())
    }

    /// What it told so far, each as `firing NAME` or `resolved NAME`.
    pub fn told(&self) -> Vec<String> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let word = |told: &Value| {
            let alert = &told["alerts"][0];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            format!(
                "{} {}",
                text(&alert["status"]),
                text(&alert["labels"]["alertname"])
            )
        };
        told.iter().map(word).collect()
    }
}

fn get(path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", PORT))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: lab\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an HTTP answer")?;
    ensure!(head.split(' ').nth(1) == Some("200"), "{path}: {head}");
    Ok(body.to_owned())
}

fn hook(control: &Namespace, told: Arc<Mutex<Vec<Value>>>) -> Result<Background> {
    Background::start(control, move || {
        let listener = std::net::TcpListener::bind(("127.0.0.1", HOOK)).context("bind the webhook")?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => drop(tokio::spawn(take(stream, Arc::clone(&told)))),
                    Err(error) => return eprintln!("the webhook ended: {error}"),
                }
            }
        })
    })
}

/// One post a connection; what is no JSON of a notice is not counted.
async fn take(mut stream: Stream, told: Arc<Mutex<Vec<Value>>>) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let body = loop {
        let mut chunk = [0; 4096];
        let length = stream.read(&mut chunk).await?;
        if length == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&chunk[..length]);
        let text = String::from_utf8_lossy(&bytes);
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
        if let Some(body) = body.and_then(|body| serde_json::from_str::<Value>(body).ok()) {
            break body;
        }
    };
    told.lock().unwrap_or_else(PoisonError::into_inner).push(body);
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(answer).await
}
