//! `ctl status`

use std::collections::BTreeMap;

use jiff::Timestamp;
use parallax_model::run::RunDocument;
use parallax_proto::v1;
use serde::Serialize;

use crate::args::{ListFormat, OutputArgs};
use crate::client::{Client, call};
use crate::config::Config;
use crate::exit::Trouble;
use crate::render::{Canvas, hang, words};
use crate::{console, render};

/// What the collector is.
#[derive(Serialize)]
struct Status {
    collector: String,
    version: String,
    started_at: Timestamp,
    agents_connected: u32,
    agents_known: u32,
    telemetry: bool,
    checks: u32,
    checks_paused: u32,
    checks_run_by_nobody: u32,
    alerts_firing: u32,
    drops: BTreeMap<String, u64>,
    circuits: Vec<Circuit>,
}

/// A secret that is not tried any more, for a server turned it down.
#[derive(Debug, PartialEq, Serialize)]
struct Circuit {
    /// Absent for one that was typed.
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
    host: String,
    user: String,
    since: Timestamp,
    /// Who was turned down, in which run and how.
    agent: String,
    run_id: String,
    fault: String,
    /// What closes it.
    close: String,
}

pub(super) async fn run(args: OutputArgs, config: &Config) -> Result<u8, Trouble> {
    let mut client = Client::dial(config).await?;
    let answer = client.status().await?;
    let mut status = Status {
        collector: config
            .collector
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        version: answer.version,
        started_at: Timestamp::from_microsecond(answer.started_at_us)?,
        agents_connected: answer.agents_connected,
        agents_known: answer.agents_known,
        telemetry: answer.telemetry,
        checks: answer.checks,
        checks_paused: answer.checks_paused,
        checks_run_by_nobody: answer.checks_run_by_nobody,
        alerts_firing: answer.alerts_firing,
        drops: answer
            .drops
            .into_iter()
            .map(|drop| (drop.what, drop.count))
            .collect(),
        circuits: answer
            .circuits
            .into_iter()
            .map(Circuit::try_from)
            .collect::<Result<_, _>>()?,
    };
    for circuit in &mut status.circuits {
        circuit.name_target(&mut client).await;
    }
    let text = match args.output.unwrap_or_default() {
        ListFormat::Table => status.lines(Timestamp::now(), console::canvas()),
        ListFormat::Json => render::json(&status)?,
    };
    console::print(&text)?;
    Ok(0)
}

impl Status {
    fn lines(&self, now: Timestamp, canvas: Canvas) -> String {
        let up = words::span(now.as_second() - self.started_at.as_second());
        let mut lines = format!(
            "collector  {}, version {}, up {up}\nagents     {} of {} connected\ntraces     {}\n",
            self.collector,
            words::quote(&self.version),
            self.agents_connected,
            self.agents_known,
            if self.telemetry { "exported" } else { "off" }
        );
        if self.checks > 0 {
            let paused = match self.checks_paused {
                0 => String::new(),
                paused => format!(", {paused} paused"),
            };
            let nobody = match self.checks_run_by_nobody {
                0 => String::new(),
                idle => format!(", {idle} run by nobody (see `ctl check`)"),
            };
            let alerts = words::count(self.alerts_firing as usize, "alert");
            lines.push_str(&format!(
                "checks     {}{paused}{nobody}; {alerts} firing\n",
                self.checks
            ));
        }
        if !self.drops.is_empty() {
            let drops = self.drops.iter();
            let drops: Vec<_> = drops
                .map(|(what, count)| format!("{count} {}", words::quote(what)))
                .collect();
            lines.push_str(&format!("dropped    {}\n", drops.join(", ")));
        }
        for (index, circuit) in self.circuits.iter().enumerate() {
            let head = if index == 0 { "not tried" } else { "" };
            for (index, piece) in hang(&circuit.line(now), 11, canvas).iter().enumerate() {
                let head = if index == 0 { head } else { "" };
                lines.push_str(&format!("{head:<9}  {piece}\n"));
            }
        }
        lines
    }
}

impl Circuit {
    /// The target as it was typed where the secret was turned down: the host alone may be another port.
    async fn name_target(&mut self, client: &mut Client) {
        if self.credential.is_some() {
            return;
        }
        let request = v1::GetRunRequest {
            run_id: self.run_id.clone(),
        };
        // A run that is kept no longer names no port.
        let Ok(run) = call(client.control.get_run(request)).await else {
            return;
        };
        let Ok(run) = RunDocument::try_from(run) else {
            return;
        };
        if run.target.host == self.host {
            self.close = typed_again(&run.target.input, &self.user);
        }
    }

    fn line(&self, now: Timestamp) -> String {
        let what = match &self.credential {
            Some(name) => format!("credential {}", words::quote(name)),
            None => "a typed password".to_owned(),
        };
        format!(
            "{what} of {} at {}: {} for {} {} ago, run {}; to try it again: {}",
            words::quote(&self.user),
            words::quote(&self.host),
            words::quote(&self.fault),
            words::quote(&self.agent),
            words::span(now.as_second() - self.since.as_second()),
            words::quote(&self.run_id),
            words::quote(&self.close)
        )
    }
}

/// The same login, once more.
fn typed_again(target: &str, user: &str) -> String {
    format!("ctl probe {target} --user {user} --password-stdin --retry-login")
}

impl TryFrom<v1::Circuit> for Circuit {
    type Error = jiff::Error;

    fn try_from(wire: v1::Circuit) -> Result<Self, jiff::Error> {
        let close = match wire.credential.as_str() {
            "" => typed_again(&wire.host, &wire.user),
            name => format!("ctl credential retry {name}"),
        };
        Ok(Self {
            credential: Some(wire.credential).filter(|name| !name.is_empty()),
            host: wire.host,
            user: wire.user,
            since: Timestamp::from_microsecond(wire.opened_at_us)?,
            agent: wire.agent,
            run_id: wire.run_id,
            fault: wire.words,
            close,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> Status {
        Status {
            collector: "collector.example.org:7143".into(),
            version: "1.0.0".into(),
            started_at: Timestamp::UNIX_EPOCH,
            agents_connected: 1,
            agents_known: 2,
            telemetry: false,
            checks: 0,
            checks_paused: 0,
            checks_run_by_nobody: 0,
            alerts_firing: 0,
            drops: BTreeMap::new(),
            circuits: Vec::new(),
        }
    }

    #[test]
    fn checks_are_a_line_where_there_are_any() {
        let mut status = quiet();
        let now = Timestamp::from_second(60).unwrap();
        assert!(!status.lines(now, Canvas::PLAIN).contains("checks"));
        (status.checks, status.checks_paused, status.alerts_firing) = (3, 1, 2);
        assert!(
            status
                .lines(now, Canvas::PLAIN)
                .contains("\nchecks     3, 1 paused; 2 alerts firing\n"),
            "{}",
            status.lines(now, Canvas::PLAIN)
        );
        status.checks_run_by_nobody = 1;
        let lines = status.lines(now, Canvas::PLAIN);
        assert!(
            lines.contains("\nchecks     3, 1 paused, 1 run by nobody (see `ctl check`); 2 alerts firing\n"),
            "{lines}"
        );
    }

    #[test]
    fn what_was_lost_is_a_line_and_nothing_lost_is_none() {
        let mut status = quiet();
        let now = Timestamp::from_second(60).unwrap();
        assert!(!status.lines(now, Canvas::PLAIN).contains("dropped"));
        status.drops.insert("live_events".into(), 7);
        status.drops.insert("spans\x1b".into(), 1);
        assert!(
            status
                .lines(now, Canvas::PLAIN)
                .ends_with("\ndropped    7 live_events, 1 spans\\x1b\n"),
            "{}",
            status.lines(now, Canvas::PLAIN)
        );
    }
    #[test]
    fn a_secret_that_is_not_tried_any_more_is_a_line_that_says_how_it_is_tried_again() {
        let circuit = |credential: &str| v1::Circuit {
            host: "imap.example.org".into(),
            user: "anna\x1b".into(),
            opened_at_us: 0,
            agent: "fra-1".into(),
            run_id: "018f".into(),
            words: "credentials_rejected".into(),
            credential: credential.into(),
        };
        let status = Status {
            circuits: ["probe", ""]
                .map(|name| Circuit::try_from(circuit(name)).unwrap())
                .into(),
            ..quiet()
        };
        let lines = status.lines(Timestamp::from_second(60).unwrap(), Canvas::PLAIN);
        let lines: Vec<_> = lines.lines().skip(3).collect();
        let [kept, typed] = lines.as_slice() else {
            panic!("{lines:?}")
        };
        assert!(
            kept.starts_with("not tried  credential probe of anna\\x1b at imap.example.org: "),
            "{kept}"
        );
        assert!(
            kept.contains("credentials_rejected for fra-1 60 s ago")
                && kept.ends_with("ctl credential retry probe"),
            "{kept}"
        );
        assert!(
            typed.contains("a typed password") && typed.ends_with("--retry-login"),
            "{typed}"
        );
    }
}
