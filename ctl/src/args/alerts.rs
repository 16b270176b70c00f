//! `ctl alerts`.

use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, Subcommand};

use super::{OutputArgs, read};

/// `ctl alerts`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct AlertsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<AlertsCommand>,
    #[command(flatten)]
    pub(crate) list: AlertsListArgs,
}

/// What is to be done with alerts.
#[derive(Debug, Subcommand)]
pub(crate) enum AlertsCommand {
    /// What is wrong, and how those who are told take it
    List(AlertsListArgs),
    Silence(SilenceWish),
    /// Silences that are not over
    Silences(OutputArgs),
    /// End a silence now; what fires still is told then
    Unsilence {
        /// Its ID of `ctl alerts silences`, or how that begins
        #[arg(value_name = "ID", value_parser = silence_id)]
        id: String,
    },
    /// Send every receiver a notice that says it is a test, and say how each takes it
    Test(OutputArgs),
}

/// `ctl alerts list`.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct AlertsListArgs {
    /// Also what was over in the last seven days
    #[arg(long, env = "PARALLAX_ALERTS_ALL", value_parser = BoolishValueParser::new())]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Keep alerts from being told for a time; their states go on, and what fires still is told at its end
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ctl alerts silence check=imap-fra --for 2h --why 'new firewall'
  ctl alerts silence 'target=*.example.org' severity=warning --for 1d --why 'known, ticket 4711'

All labels must match; `*` is any text, `?` one character. `ctl alerts -o json` shows the labels of an alert.")]
pub(crate) struct SilenceWish {
    /// LABEL=GLOB
    #[arg(required = true, value_name = "LABEL=GLOB", value_parser = matcher)]
    pub(crate) matchers: Vec<(String, String)>,
    /// For how long, such as 2h
    #[arg(long = "for", value_name = "TIME", env = "PARALLAX_SILENCE_FOR", value_parser = read::ttl)]
    pub(crate) length: Duration,
    /// Why, for those who wonder
    #[arg(long, value_name = "TEXT", env = "PARALLAX_SILENCE_WHY")]
    pub(crate) why: String,
}

/// `check=imap-*`.
fn matcher(text: &str) -> Result<(String, String), String> {
    let wrong = || "write LABEL=GLOB, such as check=imap-* or probe=fra-1".to_owned();
    let (label, glob) = text.split_once('=').ok_or_else(wrong)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if label.is_empty() || !label.bytes().all(fits) || glob.is_empty() {
        return Err(wrong());
    }
    Ok((label.to_owned(), glob.to_owned()))
}

/// An ID, or how it begins.
fn silence_id(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    if text.is_empty() || !text.bytes().all(fits) {
        return Err("give an ID of `ctl alerts silences`, or how it begins".to_owned());
    }
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_named_by_how_its_id_begins() {
        assert_eq!(silence_id("01A20f69-6ff7"), Ok("01a20f69-6ff7".to_owned()));
        for bad in ["", "imap", "01a2 "] {
            assert!(
                silence_id(bad).unwrap_err().contains("ctl alerts silences"),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_matcher_is_a_label_and_what_its_value_must_look_like() {
        let read = |label: &str, glob: &str| Ok((label.to_owned(), glob.to_owned()));
        assert_eq!(matcher("check=imap-*"), read("check", "imap-*"));
        assert_eq!(matcher("team_name=a=b"), read("team_name", "a=b"));
        for bad in ["check", "=x", "check=", "team.name=x", "check~=x"] {
            assert!(matcher(bad).is_err(), "{bad}");
        }
    }
}
