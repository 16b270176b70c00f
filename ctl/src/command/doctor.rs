//! `ctl doctor`

use std::time::SystemTime;

use jiff::Timestamp;

use crate::client::{self, Client};
use crate::config::Config;
use crate::console;
use crate::exit::{Trouble, UNKNOWN};
use crate::render::words;

pub(super) async fn run(config: &Config) -> Result<u8, Trouble> {
    let mut report = Report::default();
    report.good("config", &format!("read from {}", config.home.display()));
    let Some(collector) = &config.collector else {
        report.good(
            "collector",
            "none configured: `ctl probe` runs in this process, from this machine alone",
        );
        return report.end();
    };
    match client::identity(config) {
        Ok(identity) => report.good("identity", &describe(&identity)?),
        Err(trouble) => report.bad("identity", &trouble),
    }
    match Client::dial(config).await {
        Err(trouble) => report.bad("collector", &trouble),
        Ok(mut client) => match client.status().await {
            Ok(status) => {
                let text = format!("{collector} answers, version {}", words::quote(&status.version));
                report.good("collector", &text);
                let agents = format!("{} of {} connected", status.agents_connected, status.agents_known);
                report.good("agents", &agents);
            }
            Err(trouble) => report.bad("collector", &trouble),
        },
    }
    report.end()
}

fn describe(identity: &parallax_identity::Identity) -> Result<String, Trouble> {
    let until = Timestamp::try_from(identity.not_after())?;
    let left = until.as_second() - Timestamp::try_from(SystemTime::now())?.as_second();
    let spiffe = identity.spiffe();
    Ok(format!(
        "{} ({}), valid until {} ({} left), renewed by use",
        spiffe.name,
        spiffe.role,
        words::moment(until),
        words::span(left)
    ))
}

/// A line for each thing looked at.
#[derive(Default)]
struct Report {
    lines: String,
    ill: bool,
}

impl Report {
    fn good(&mut self, what: &str, text: &str) {
        self.lines.push_str(&format!("ok    {what:<9}  {text}\n"));
    }

    fn bad(&mut self, what: &str, trouble: &Trouble) {
        self.ill = true;
        for (at, line) in trouble.lines().lines().enumerate() {
            let (mark, what) = if at == 0 { ("FAIL", what) } else { ("", "") };
            self.lines.push_str(&format!("{mark:<4}  {what:<9}  {line}\n"));
        }
    }

    fn end(self) -> Result<u8, Trouble> {
        console::print(&self.lines)?;
        Ok(if self.ill { UNKNOWN } else { 0 })
    }
}
