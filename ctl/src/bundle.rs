//! A run as one archive, for whoever has to look at it and was not there.
//!
//! Nothing in it that is not in the run document: secrets were masked before anything was recorded. The same document
//! gives the same bytes.

mod archive;
mod readme;
mod script;
mod transcript;

use std::collections::BTreeSet;

use parallax_model::observation::{Attempt, Observation};
use parallax_model::run::RunDocument;

use crate::args::RunFormat;
use crate::exit::Trouble;
use crate::render::{self, Canvas, changes, paths};

/// How much of a run's id its archive is named by: the time in it, to the millisecond.
const NAME: usize = 13;

/// One file of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Relative to the archive's folder, with `/`.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
}

impl Entry {
    fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }
}

/// `parallax-run-019852b4-7d6c`: the folder in the archive, and the archive's name without its extension.
pub(crate) fn name(document: &RunDocument) -> String {
    let id: String = document.run_id.to_string().chars().take(NAME).collect();
    format!("parallax-run-{id}")
}

/// The archive: gzip over tar.
///
/// # Errors
/// When the document can't be written as JSON, or the archive as bytes.
pub(crate) fn archive(document: &RunDocument) -> Result<Vec<u8>, Trouble> {
    let entries = entries(document)?;
    let made = archive::made_at(document.started_at, &name(document), &entries);
    made.map_err(|error| Trouble::new(format!("make the archive: {error}")))
}

/// Its files, by path.
fn entries(document: &RunDocument) -> Result<Vec<Entry>, Trouble> {
    let render = |format| render::run(document, format, Canvas::PLAIN);
    let mut entries = vec![
        Entry::new("run.json", render(RunFormat::Json)?),
        Entry::new("run.md", render(RunFormat::Markdown)?),
        Entry::new("findings.txt", render(RunFormat::Wide)?),
        Entry::new("changes.txt", changes_text(document)),
        Entry::new("reproduce.sh", script::text(document)),
    ];
    let mut told = BTreeSet::new();
    // Two observations of one name can only come from a document that somebody made up.
    for vantage in document.vantages.iter().filter(|seen| told.insert(&seen.agent)) {
        entries.extend(paths_of(vantage));
        entries.extend(transcripts_of(vantage));
    }
    let listing: Vec<_> = entries.iter().map(|entry| entry.path.clone()).collect();
    entries.push(Entry::new("README.txt", readme::text(document, &listing)));
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(entries)
}

fn changes_text(document: &RunDocument) -> String {
    changes::Difference::recorded(document).map_or_else(
        || "no earlier good run of this target was known\n".to_owned(),
        |difference| changes::table(&difference, Canvas::PLAIN),
    )
}

fn paths_of(vantage: &Observation) -> Option<Entry> {
    let paths = &vantage.network.paths;
    let blocks: Vec<_> = paths.iter().map(|path| paths::block(path).join("\n")).collect();
    (!blocks.is_empty())
        .then(|| Entry::new(format!("paths/{}.txt", vantage.agent), blocks.join("\n\n") + "\n"))
}

fn transcripts_of(vantage: &Observation) -> impl Iterator<Item = Entry> {
    let numbered = vantage.attempts.iter().enumerate();
    let spoken = numbered.filter(|(_, attempt)| !attempt.transcript.is_empty());
    spoken.map(|(at, attempt)| {
        let path = format!("transcripts/{}/{}.txt", vantage.agent, file_name(at + 1, attempt));
        Entry::new(path, transcript::text(attempt))
    })
}

/// `02-fd00_9__10-993-repeat`: colons are not for file names everywhere.
fn file_name(number: usize, attempt: &Attempt) -> String {
    let address = attempt.address.to_string().replace(':', "_");
    let experiment = attempt
        .experiment
        .map(|kind| format!("-{kind}"))
        .unwrap_or_default();
    format!("{number:02}-{address}-{}{experiment}", attempt.endpoint.port)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
