//! Where a run is to be had: from the collector, from a file, from standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use parallax_model::finding::Verdict;
use parallax_model::run::{RunDocument, RunSummary};
use parallax_proto::v1::{GetRunRequest, ListRunsRequest};

use crate::args::RunSource;
use crate::client::{Client, RecordedBy, call};
use crate::config::Config;
use crate::console;
use crate::exit::Trouble;

/// The largest run document that is read, in bytes.
const LARGEST: u64 = 64 << 20;

/// Gets runs, and dials the collector only when one of them is there.
pub(super) struct Runs<'a> {
    config: &'a Config,
    client: Option<Client>,
}

impl<'a> Runs<'a> {
    /// Nothing is dialled yet.
    pub(super) const fn new(config: &'a Config) -> Self {
        Self { config, client: None }
    }

    /// The run itself. `beside` is the one that it is compared with, where there is one already.
    pub(super) async fn get(
        &mut self,
        source: &RunSource,
        beside: Option<&RunDocument>,
    ) -> Result<RunDocument, Trouble> {
        match source {
            RunSource::Id(id) => self.by_id(id.clone()).await,
            RunSource::File(path) => from_file(path),
            RunSource::Stdin => from(io::stdin().lock(), "standard input"),
            RunSource::Last => {
                let found = self.newest(ListRunsRequest {
                    // The newest may be the one beside.
                    limit: 2,
                    target: beside.map(|other| other.target.clone().into()),
                    ..ListRunsRequest::default()
                });
                let mut found = found.await?.into_iter();
                let other = found.find(|run| beside.is_none_or(|beside| run.run_id != beside.run_id));
                let none = || match beside {
                    Some(beside) => format!("there is no other run of {}", beside.target.input),
                    None => "there is no run yet".to_owned(),
                };
                let other = other.ok_or_else(|| Trouble::new(none()))?;
                self.by_id(other.run_id.to_string()).await
            }
        }
    }

    /// The newest healthy run of the same target before this one.
    pub(super) async fn last_good_before(&mut self, run: &RunDocument) -> Result<RunDocument, Trouble> {
        let found = self.newest(ListRunsRequest {
            limit: 1,
            target: Some(run.target.clone().into()),
            verdict: Verdict::Healthy.to_string(),
            before_us: run.started_at.as_microsecond(),
            ..ListRunsRequest::default()
        });
        let Some(good) = found.await?.into_iter().next() else {
            let none = format!("no good run of {} before this one is known", run.target.input);
            return Err(Trouble::new(none).hint("name the run to compare with: ctl runs diff A B"));
        };
        self.by_id(good.run_id.to_string()).await
    }

    /// The packets recorded in a run, as far as the collector still keeps them and gives them to this operator. Without
    /// them the rest is worth as much.
    pub(super) async fn captures(&mut self, run: &RunDocument) -> Result<Vec<RecordedBy>, Trouble> {
        let asked = self.client().await?.captures(run.run_id).await;
        let captures = asked.unwrap_or_else(|trouble| {
            console::complain(&trouble.lines());
            Vec::new()
        });
        let missing = run.captures.len().saturating_sub(captures.len());
        if missing > 0 {
            let all = run.captures.len();
            console::complain(&format!(
                "warning: {missing} of {all} captures are not in the bundle: the collector keeps the newest, for operators\n"
            ));
        }
        Ok(captures)
    }

    async fn newest(&mut self, wanted: ListRunsRequest) -> Result<Vec<RunSummary>, Trouble> {
        list(self.client().await?, wanted).await
    }

    async fn by_id(&mut self, run_id: String) -> Result<RunDocument, Trouble> {
        let client = self.client().await?;
        let run = call(client.control.get_run(GetRunRequest { run_id })).await?;
        Ok(RunDocument::try_from(run)?)
    }

    async fn client(&mut self) -> Result<&mut Client, Trouble> {
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::dial(self.config).await?,
        };
        Ok(self.client.insert(client))
    }
}

/// The latest runs that are wanted, newest first.
pub(super) async fn list(client: &mut Client, wanted: ListRunsRequest) -> Result<Vec<RunSummary>, Trouble> {
    let answer = call(client.control.list_runs(wanted)).await?;
    let runs = answer.runs.into_iter().map(TryInto::try_into);
    Ok(runs.collect::<Result<_, _>>()?)
}

fn from_file(path: &Path) -> Result<RunDocument, Trouble> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| Trouble::new(format!("read {name}: {error}")))?;
    from(file, &name)
}

fn from(reader: impl Read, name: &str) -> Result<RunDocument, Trouble> {
    let mut text = String::new();
    let read = reader.take(LARGEST + 1).read_to_string(&mut text);
    read.map_err(|error| Trouble::new(format!("read {name}: {error}")))?;
    if text.len() as u64 > LARGEST {
        let most = LARGEST >> 20;
        return Err(Trouble::new(format!(
            "read {name}: a run document has at most {most} MiB"
        )));
    }
    document(&text).map_err(|error| {
        Trouble::new(format!("{name} holds no run document: {error}")).hint("write one with -o json")
    })
}

/// As `-o json` writes it, or `-o jsonl` in the last line.
fn document(text: &str) -> Result<RunDocument, serde_json::Error> {
    let last = || text.lines().rev().find(|line| !line.trim().is_empty());
    serde_json::from_str(text).or_else(|error| {
        let last = last().and_then(|line| serde_json::from_str(line).ok());
        last.ok_or(error)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const RUN: &str = r#"{"schema":"parallax.run/v1","run_id":"019852b4-7d6c-7a1e-9c40-3a5f0c9d2e11",
        "target":{"input":"x","host":"x","endpoints":[]},"depth":"greeting","started_at":"2026-07-28T10:31:07Z",
        "duration_ms":41.8,"vantages":[],"verdict":"healthy","summary":"well","findings":[]}"#;

    #[test]
    fn a_document_is_read_alone_and_behind_the_events_that_led_to_it() {
        assert_eq!(from(RUN.as_bytes(), "x").unwrap().summary, "well");
        let line = RUN.replace('\n', "");
        let events = format!("{{\"event\":\"started\"}}\n{line}\n\n");
        assert_eq!(from(events.as_bytes(), "x").unwrap().summary, "well");
    }

    #[test]
    fn what_is_no_document_is_said_in_one_line() {
        for text in ["", "{}", "[1]\n[2]", "no json\u{1b}[2J"] {
            let lines = from(text.as_bytes(), "run.json").unwrap_err().lines();
            assert!(
                lines.starts_with("error: run.json holds no run document: "),
                "{lines}"
            );
            assert_eq!(lines.lines().count(), 2, "{lines}");
        }
    }
}
