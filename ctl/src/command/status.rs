//! `ctl status`

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::args::{ListFormat, OutputArgs};
use crate::client::Client;
use crate::config::Config;
use crate::exit::Trouble;
use crate::render::words;
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
    drops: BTreeMap<String, u64>,
}

pub(super) async fn run(args: OutputArgs, config: &Config) -> Result<u8, Trouble> {
    let mut client = Client::dial(config).await?;
    let answer = client.status().await?;
    let status = Status {
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
        drops: answer
            .drops
            .into_iter()
            .map(|drop| (drop.what, drop.count))
            .collect(),
    };
    let text = match args.output.unwrap_or_default() {
        ListFormat::Table => status.lines(Timestamp::now()),
        ListFormat::Json => render::json(&status)?,
    };
    console::print(&text)?;
    Ok(0)
}

impl Status {
    fn lines(&self, now: Timestamp) -> String {
        let up = words::span(now.as_second() - self.started_at.as_second());
        let mut lines = format!(
            "collector  {}, version {}, up {up}\nagents     {} of {} connected\ntraces     {}\n",
            self.collector,
            words::quote(&self.version),
            self.agents_connected,
            self.agents_known,
            if self.telemetry { "exported" } else { "off" }
        );
        if !self.drops.is_empty() {
            let drops = self.drops.iter();
            let drops: Vec<_> = drops
                .map(|(what, count)| format!("{count} {}", words::quote(what)))
                .collect();
            lines.push_str(&format!("dropped    {}\n", drops.join(", ")));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_is_a_line_and_nothing_lost_is_none() {
        let mut status = Status {
            collector: "collector.example.org:7143".into(),
            version: "1.0.0".into(),
            started_at: Timestamp::UNIX_EPOCH,
            agents_connected: 1,
            agents_known: 2,
            telemetry: false,
            drops: BTreeMap::new(),
        };
        let now = Timestamp::from_second(60).unwrap();
        assert!(!status.lines(now).contains("dropped"));
        status.drops.insert("live_events".into(), 7);
        status.drops.insert("spans\x1b".into(), 1);
        assert!(
            status
                .lines(now)
                .ends_with("\ndropped    7 live_events, 1 spans\\x1b\n"),
            "{}",
            status.lines(now)
        );
    }
}
