//! `ctl status`

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
        format!(
            "collector  {}, version {}, up {up}\nagents     {} of {} connected\ntraces     {}\n",
            self.collector,
            words::quote(&self.version),
            self.agents_connected,
            self.agents_known,
            if self.telemetry { "exported" } else { "off" }
        )
    }
}
