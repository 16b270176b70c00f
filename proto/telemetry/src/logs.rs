//! Logs on standard error.

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

use crate::process::{self, BoxedLayer};

/// What is written when nothing is asked for.
pub const DEFAULT_FILTER: &str = "info";

/// What chooses the lines of this process, once it has begun to write them.
static CHOICE: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The filter could not be read.
#[derive(Debug, thiserror::Error)]
#[error("log filter {filter:?}: {source}; write a level such as info, or target=level with commas between")]
pub struct FilterError {
    filter: String,
    source: tracing_subscriber::filter::ParseError,
}

/// Sends the logs of this process to standard error, and makes room for [`crate::Tracing::export_process_spans`].
///
/// The first call in a process counts; later ones only check their filter.
pub fn init(format: LogFormat, filter: Option<&str>) -> Result<(), FilterError> {
    let (chosen, choice) = reload::Layer::new(read(filter)?);
    let lines = lines(format).with_filter(chosen);
    let started = Registry::default()
        .with(lines)
        .with(process::late_layer())
        .try_init();
    // Another subscriber is already there in an in-process run and in tests; it stays.
    if started.is_ok() {
        let _ = CHOICE.set(choice);
    }
    Ok(())
}

/// Whether a filter can be read.
pub fn check(filter: Option<&str>) -> Result<(), FilterError> {
    read(filter).map(drop)
}

/// Has the lines chosen by another filter from now on, under the subscriber that [`init`] made; any other stays as it is.
pub fn choose(filter: Option<&str>) -> Result<(), FilterError> {
    let next = read(filter)?;
    if let Some(choice) = CHOICE.get() {
        // It fails only where the subscriber is gone, and nobody writes lines any more.
        let _ = choice.reload(next);
    }
    Ok(())
}

fn read(filter: Option<&str>) -> Result<EnvFilter, FilterError> {
    let filter = filter.unwrap_or(DEFAULT_FILTER);
    EnvFilter::try_new(filter).map_err(|source| FilterError {
        filter: filter.to_owned(),
        source,
    })
}

fn lines(format: LogFormat) -> BoxedLayer<Registry> {
    let layer = fmt::layer().with_writer(io::stderr);
    match format {
        LogFormat::Text => {
            let colour = io::stderr().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            layer.with_ansi(colour).boxed()
        }
        LogFormat::Json => layer.json().flatten_event(true).with_span_list(false).boxed(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_second_start_is_harmless_and_a_bad_filter_is_named() {
        init(LogFormat::Json, Some("parallax=debug,info")).unwrap();
        init(LogFormat::Text, None).unwrap();
        let error = init(LogFormat::Text, Some("parallax=loud")).unwrap_err();
        assert!(
            error.to_string().starts_with("log filter \"parallax=loud\": "),
            "{error}"
        );
        assert!(tracing::enabled!(target: "parallax", tracing::Level::DEBUG));
        assert!(choose(Some("parallax=loud")).is_err());
        assert!(
            tracing::enabled!(target: "parallax", tracing::Level::DEBUG),
            "a filter that can't be read changes nothing"
        );
        choose(Some("warn")).unwrap();
        assert!(!tracing::enabled!(target: "parallax", tracing::Level::INFO));
        choose(None).unwrap();
        assert!(tracing::enabled!(target: "parallax", tracing::Level::INFO));
        assert!(!tracing::enabled!(target: "parallax", tracing::Level::DEBUG));
    }
}
