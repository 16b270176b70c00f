//! A real Prometheus on the control host, which scrapes the collector by the example configuration.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::host;
use crate::namespace::Namespace;
use crate::process::Process;
use crate::wait;

const PROGRAM: &str = "prometheus";
const CHECKER: &str = "promtool";
const PORT: u16 = 9090;
const TO_GET_READY: Duration = Duration::from_secs(20);

/// Where the collector's page is, and what opens it from another host: its own CA and its token.
pub struct Door {
    /// Host and port.
    pub address: String,
    /// The collector's data directory.
    pub data: PathBuf,
}

impl Door {
    /// The example configuration with what it says to change for a page that is not on loopback.
    fn configuration(&self, example: &str) -> String {
        let tls = format!(
            "scheme: https\n  tls_config: {{ca_file: {}}}",
            self.data.join("ca.pem").display()
        );
        let token = self.data.join("http-token");
        example
            .replace("127.0.0.1:7180", &self.address)
            .replace("# scheme: https", &tls)
            .replace("# authorization:", "authorization:")
            .replace("/etc/prometheus/parallax-token", &token.display().to_string())
    }
}

/// A running Prometheus; gone when dropped.
pub struct Prometheus {
    process: Process,
}

/// Whether it and its checker are installed; if the lab is required they must be.
pub fn is_installed() -> bool {
    let found = [PROGRAM, CHECKER].iter().all(|program| {
        let mut command = Command::new(program);
        command
            .arg("--version")
            .env("PATH", host::path())
            .output()
            .is_ok()
    });
    let required = std::env::var(host::REQUIRED).is_ok_and(|value| value == "required");
    assert!(
        found || !required,
        "{PROGRAM} and {CHECKER} are not installed (Debian: apt-get install prometheus)"
    );
    found
}

/// What `promtool` says, with something on standard input.
pub fn promtool(args: &[&str], directory: &Path, stdin: &str) -> Result<Output> {
    let mut checker = Command::new(CHECKER)
        .args(args)
        .current_dir(directory)
        .env("PATH", host::path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("start promtool")?;
    let mut input = checker.stdin.take().context("its standard input")?;
    input.write_all(stdin.as_bytes())?;
    drop(input);
    Ok(checker.wait_with_output()?)
}

impl Prometheus {
    /// Starts it with a configuration that scrapes the collector each second, and the rules beside the example.
    pub fn start(control: &Namespace, directory: &Path, example: &Path, door: &Door) -> Result<Self> {
        let text = std::fs::read_to_string(example.join("prometheus.yml"))?;
        let often = door.configuration(&text).replace("15s", "1s");
        std::fs::copy(example.join("rules.yml"), directory.join("rules.yml"))?;
        Self::with(control, directory, &often)
    }

    /// Starts it with this configuration.
    pub fn with(namespace: &Namespace, directory: &Path, configuration: &str) -> Result<Self> {
        std::fs::write(directory.join("prometheus.yml"), configuration)?;
        let mut command = Command::new(PROGRAM);
        command
            .arg(format!(
                "--config.file={}",
                directory.join("prometheus.yml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.join("prometheus").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{PORT}"))
            .arg("--enable-feature=exemplar-storage");
        let mut process = Process::start(namespace, "prometheus", directory, &command)?;
        wait::until("readiness of Prometheus", TO_GET_READY, || {
            if let Some(status) = process.ended()? {
                bail!("Prometheus ended ({status})");
            }
            Ok(namespace.run(|| get("/-/ready").ok()))
        })
        .with_context(|| process.tail())?;
        Ok(Self { process })
    }

    /// The series that an expression gives now, each with its labels and its value.
    pub fn query(&self, control: &Namespace, expression: &str) -> Result<Vec<(Value, String)>> {
        let path = format!("/api/v1/query?query={}", escaped(expression));
        let body = control
            .run(move || get(&path))
            .with_context(|| self.process.tail())?;
        let answer: Value = serde_json::from_str(&body)?;
        let series = answer["data"]["result"].as_array().context("series")?;
        let value = |series: &Value| series["value"][1].as_str().unwrap_or_default().to_owned();
        Ok(series
            .iter()
            .map(|series| (series["metric"].clone(), value(series)))
            .collect())
    }

    /// The exemplars of an expression's series, of the last hour.
    pub fn exemplars(&self, control: &Namespace, expression: &str) -> Result<Value> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let path = format!(
            "/api/v1/query_exemplars?query={}&start={}&end={}",
            escaped(expression),
            now.as_secs() - 3600,
            now.as_secs() + 60
        );
        let body = control.run(move || get(&path))?;
        Ok(serde_json::from_str(&body)?)
    }
}

/// The collector's metrics, as they are told to whoever does not ask for another format.
pub fn page(control: &Namespace, door: &Door) -> Result<String> {
    visit(control, door, "/metrics")
}

/// A page of the collector.
pub fn visit(control: &Namespace, door: &Door, path: &str) -> Result<String> {
    let token = std::fs::read_to_string(door.data.join("http-token"))?;
    let mut client = Command::new("openssl");
    client
        .args([
            "s_client",
            "-quiet",
            "-verify_return_error",
            "-connect",
            &door.address,
        ])
        .arg("-CAfile")
        .arg(door.data.join("ca.pem"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut client = control.run(move || client.spawn()).context("start openssl")?;
    let mut request = client.stdin.take().context("its standard input")?;
    write!(
        request,
        "GET {path} HTTP/1.0\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
        door.address,
        token.trim()
    )?;
    let answer = String::from_utf8(client.wait_with_output()?.stdout)?;
    drop(request);
    body(&answer)
}

fn get(path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", PORT))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{PORT}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    body(&answer)
}

fn body(answer: &str) -> Result<String> {
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer")?;
    ensure!(head.contains(" 200 "), "{head}");
    Ok(body.to_owned())
}

/// As it stands in a URL.
fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}
