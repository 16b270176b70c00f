//! A second trace receiver, in which nothing is ours: OpenTelemetry's Python code reads what [`crate::otlp`] reads too.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::namespace::Namespace;
use crate::otlp::TraceSink;
use crate::process::Process;
use crate::{address, host, http, wait};

/// The variable that names the Python environment with the packages of `tests/otlp/requirements.txt`.
const ENVIRONMENT: &str = "PARALLAX_OTLP_READER";
const GRPC: u16 = 14317;
const HTTP: u16 = 14318;
const TO_GET_READY: Duration = Duration::from_secs(30);

/// A running receiver, which hands on what it gets to the [`TraceSink`]; gone when dropped.
pub struct OtlpReader {
    _process: Process,
}

/// Whether its packages are there; if the lab is required they must be.
pub fn is_installed() -> bool {
    let found = python().is_some_and(|python| python.exists());
    let required = std::env::var(host::REQUIRED).is_ok_and(|value| value == "required");
    assert!(
        found || !required,
        "OpenTelemetry's Python packages are not there: use tests/run, or set {ENVIRONMENT}"
    );
    found
}

fn python() -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os(ENVIRONMENT)?).join("bin/python"))
}

impl OtlpReader {
    /// Starts it on the control host.
    pub fn start(control: &Namespace, directory: &Path) -> Result<Self> {
        let python = python().with_context(|| format!("{ENVIRONMENT} is not set"))?;
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("otlp/reader.py");
        let next = TraceSink::endpoint();
        let mut command = Command::new(python);
        command
            .arg(program)
            .args([GRPC.to_string(), HTTP.to_string()])
            .arg(next.trim_start_matches("http://"));
        let mut process = Process::start(control, "otlp-reader", directory, &command)?;
        wait::until("readiness of the OTLP reader", TO_GET_READY, || {
            if let Some(status) = process.ended()? {
                bail!("it ended ({status})");
            }
            Ok(control.run(|| http::get(HTTP, "/healthz").ok()))
        })
        .with_context(|| process.tail())?;
        Ok(Self { _process: process })
    }

    /// Where to send to, for `--otlp-endpoint` on the control host.
    pub fn endpoint() -> String {
        format!("http://{}:{GRPC}", address::CONTROL.v4)
    }

    /// Where it shows a trace, on the control host.
    pub fn url(trace: &str) -> String {
        format!("http://127.0.0.1:{HTTP}/api/traces/{trace}")
    }

    /// The spans of a trace, as it read them: `name`, `span_id`, `parent_span_id`, `kind`, `status`, `attributes`,
    /// `resource`.
    pub fn spans(&self, control: &Namespace, trace: &str) -> Result<Vec<Value>> {
        let path = format!("/api/traces/{trace}");
        let body = control.run(move || http::get(HTTP, &path))?;
        let answer: Value = serde_json::from_str(&body)?;
        answer["spans"].as_array().cloned().context("spans")
    }
}
