//! A real Alertmanager on the control host, which tells a webhook of the lab's own.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::namespace::Namespace;
use crate::process::Process;
use crate::webhook::Webhook;
use crate::{http, wait};

const PROGRAM: &str = "prometheus-alertmanager";
const PORT: u16 = 9093;
const HOOK: u16 = 9099;
const TO_GET_READY: Duration = Duration::from_secs(20);

/// A running Alertmanager and what it told; gone when dropped.
pub struct Alertmanager {
    hook: Webhook,
    _process: Process,
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
        let hook = Webhook::start(control, HOOK)?;
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
            Ok(control.run(|| http::get(PORT, "/-/ready").ok()))
        })
        .with_context(|| process.tail())?;
        Ok(Self {
            hook,
            _process: process,
        })
    }

    /// Its base URL, on the control host.
    pub fn url() -> String {
        format!("http://127.0.0.1:{PORT}")
    }

    /// The alerts that it takes for firing, as its API has them.
    pub fn alerts(&self, control: &Namespace) -> Result<Vec<Value>> {
        let body = control.run(|| http::get(PORT, "/api/v2/alerts"))?;
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
        let word = |told: &Value| {
            let alert = &told["alerts"][0];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            format!(
                "{} {}",
                text(&alert["status"]),
                text(&alert["labels"]["alertname"])
            )
        };
        self.hook.taken().iter().map(word).collect()
    }
}
