//! A run as one archive, for whoever has to look at it and was not there.
//!
//! Nothing in it that is not in the run document, except the packets that are kept beside it: secrets were masked, or
//! withheld, before anything was recorded. The same document gives the same bytes.

mod archive;
mod packets;
mod readme;
mod script;
mod transcript;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use parallax_identity::{Readers, write_whole};
use parallax_model::experiment::ExperimentKind;
use parallax_model::observation::{Attempt, Observation};
use parallax_model::run::RunDocument;
use parallax_model::target::Endpoint;

use crate::args::RunFormat;
use crate::client::RecordedBy;
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
    pub(crate) bytes: Vec<u8>,
}

impl Entry {
    fn new(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self {
            path: path.into(),
            bytes: content.into(),
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
pub(crate) fn archive(document: &RunDocument, captures: &[RecordedBy]) -> Result<Vec<u8>, Trouble> {
    let entries = entries(document, captures)?;
    let made = archive::made_at(document.started_at, &name(document), &entries);
    made.map_err(|error| Trouble::new(format!("make the archive: {error}")))
}

/// Writes an archive, whole or not at all. What is no file, such as a device or a pipe, is written to and not replaced.
///
/// # Errors
/// When it can't be written.
pub(crate) fn write(file: &Path, archive: &[u8], captures: &[RecordedBy]) -> Result<(), Trouble> {
    let kind = std::fs::symlink_metadata(file).map(|found| found.file_type());
    let written = if kind.is_ok_and(|kind| !kind.is_file()) {
        std::fs::write(file, archive)
    } else {
        let readers = if captures.is_empty() {
            Readers::All
        } else {
            Readers::Owner
        };
        write_whole(file, archive, readers)
    };
    written.map_err(|error| Trouble::new(format!("write {}: {error}", file.display())))
}

/// Its files, by path.
fn entries(document: &RunDocument, captures: &[RecordedBy]) -> Result<Vec<Entry>, Trouble> {
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
    entries.extend(packets::entries(document, captures));
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

fn file_name(number: usize, attempt: &Attempt) -> String {
    place_name(number, attempt.address, attempt.endpoint, attempt.experiment)
}

/// `02-fd00_9__10-993-repeat`: colons are not for file names everywhere.
fn place_name(
    number: usize,
    address: IpAddr,
    endpoint: Endpoint,
    experiment: Option<ExperimentKind>,
) -> String {
    let address = address.to_string().replace(':', "_");
    let experiment = experiment.map(|kind| format!("-{kind}")).unwrap_or_default();
    format!("{number:02}-{address}-{}{experiment}", endpoint.port)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
