//! What is printed: functions from a document to text, without a terminal, a clock or colours of their own.

pub(crate) mod agents;
pub(crate) mod alerts;
pub(crate) mod audit;
mod canvas;
pub(crate) mod changes;
pub(crate) mod checks;
pub(crate) mod choices;
mod clients;
pub(crate) mod credentials;
mod evidence;
mod experiments;
mod facts;
mod fault_word;
mod findings;
mod grid;
pub(crate) mod history;
pub(crate) mod identities;
pub(crate) mod live;
mod markdown;
mod nagios;
pub(crate) mod paths;
pub(crate) mod runs;
mod stages;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod tokens;
pub(crate) mod words;

pub(crate) use canvas::{Canvas, hang};
use markdown::markdown;
use nagios::nagios;
use table::{table, wide};

use parallax_model::run::RunDocument;
use parallax_model::text::escape_json;
use serde::Serialize;

use crate::args::RunFormat;

/// A run in the format asked for.
pub(crate) fn run(
    document: &RunDocument,
    format: RunFormat,
    canvas: Canvas,
) -> Result<String, serde_json::Error> {
    Ok(match format {
        RunFormat::Table => table(document, canvas),
        RunFormat::Wide => wide(document, canvas),
        RunFormat::Json => json(document)?,
        RunFormat::Jsonl => json_line(document)?,
        RunFormat::Markdown => markdown(document),
        RunFormat::Nagios => nagios(document),
    })
}

/// A value as indented JSON with a line end.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(value).map(|text| escape_json(&text) + "\n")
}

/// A value as JSON in one line.
pub(crate) fn json_line<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string(value).map(|text| escape_json(&text) + "\n")
}

/// Lines as text, each with its line end.
fn text(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}
