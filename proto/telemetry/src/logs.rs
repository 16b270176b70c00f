//! Logs on standard error.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt};

use crate::process::{self, BoxedLayer};

/// What is written when nothing is asked for.
pub const DEFAULT_FILTER: &str = "info";

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
    let filter = filter.unwrap_or(DEFAULT_FILTER);
    let chosen = EnvFilter::try_new(filter).map_err(|source| FilterError {
        filter: filter.to_owned(),
        source,
    })?;
    let lines = lines(format).with_filter(chosen);
    // Another subscriber is already there in an in-process run and in tests; it stays.
    let _ = Registry::default()
        .with(lines)
        .with(process::late_layer())
        .try_init();
    Ok(())
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
    }
}
