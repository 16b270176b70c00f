//! What was typed behind `ctl runs`.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::BoolishValueParser;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use parallax_model::check::CheckName;
use parallax_model::finding::Verdict;
use parallax_model::target::Target;

use super::names::{diff_formats, run_formats, verdicts};
use super::{DiffFormat, OutputArgs, RunFormat, read, rules};

/// `ctl runs`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct RunsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<RunsCommand>,
    #[command(flatten)]
    pub(crate) list: RunsListArgs,
}

/// What is to be done with runs.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    List(RunsListArgs),
    /// One run, as it was printed
    Show {
        /// Its id, or an unambiguous beginning of it
        id: String,
        /// table, wide, json, jsonl, markdown or nagios
        #[arg(short, long, value_name = "FORMAT", env = "PARALLAX_OUTPUT", value_parser = run_formats())]
        output: Option<RunFormat>,
    },
    Diff(DiffArgs),
    Bundle(BundleArgs),
}

/// The latest runs, newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ctl runs list --check imap --verdict down
  ctl runs list --target imap.example.org --before 24h")]
pub(crate) struct RunsListArgs {
    /// At most so many
    #[arg(long, value_name = "N", env = "PARALLAX_RUNS_LIMIT", default_value_t = 50, value_parser = read::count)]
    pub(crate) limit: u32,
    /// Only rounds of this check
    #[arg(long, value_name = "NAME", env = "PARALLAX_RUNS_CHECK")]
    pub(crate) check: Option<CheckName>,
    /// Only runs of this target, as `ctl probe` takes it
    #[arg(long, value_name = "TARGET", env = "PARALLAX_RUNS_TARGET", value_parser = read::target)]
    pub(crate) target: Option<Target>,
    /// Only runs with this answer: healthy, partial, down or inconclusive
    #[arg(long, value_name = "VERDICT", env = "PARALLAX_RUNS_VERDICT", hide_possible_values = true, value_parser = verdicts())]
    pub(crate) verdict: Option<Verdict>,
    /// Only runs before a time such as 2026-12-05T22:00:00Z, or before so long ago, such as 24h
    #[arg(long, value_name = "TIME", env = "PARALLAX_RUNS_BEFORE", value_parser = rules::moment)]
    pub(crate) before: Option<Timestamp>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What changed between two runs, at each vantage point of both
#[derive(Debug, Args)]
#[command(after_help = "A and B are each one of:
  ID     the id of a run, or an unambiguous beginning of it
  last   the newest run; beside another run, the newest of the same target
  FILE   a run document, as printed with -o json (a file that is named like an id: ./NAME)
  -      a run document on standard input

Compared are, for each vantage point: whether it works, the addresses of the name, certificate,
capabilities, the way there, and how long a connection takes.

Examples:
  ctl runs diff last                     what is otherwise than when it last worked
  ctl runs diff 019852b4 019852c0
  ctl runs diff yesterday.json last -o markdown

Exit status: 0 nothing changed, 1 something did, 3 could not tell.")]
pub(crate) struct DiffArgs {
    /// The earlier run; alone, the run that is compared with the last good one before it
    #[arg(value_name = "A")]
    pub(crate) first: RunSource,
    /// The later run
    #[arg(value_name = "B")]
    pub(crate) second: Option<RunSource>,
    /// table, json or markdown
    #[arg(short, long, value_name = "FORMAT", env = "PARALLAX_DIFF_OUTPUT", value_parser = diff_formats())]
    pub(crate) output: Option<DiffFormat>,
}

/// Write a run into one archive, to be sent to whoever has to look at it
#[derive(Debug, Args)]
#[command(
    after_help = "The archive is a .tar.gz with the run document, the findings, the dialogues with their secrets
masked, the paths, what changed since the last good run, the next steps as a script of comments, and the
packets that were recorded, as files for Wireshark and tcpdump. Packets take the role operator, since the TLS
secrets of sessions without a login are in them. The same run gives the same bytes.

Examples:
  ctl runs bundle 019852b4               writes ./parallax-run-019852b4-7d6c.tar.gz
  ctl runs bundle last --file - | ssh desk 'cat > run.tar.gz'
  ctl probe imap.example.org -o json > run.json; ctl runs bundle run.json"
)]
pub(crate) struct BundleArgs {
    /// The id of a run or its beginning, `last`, a FILE with a run document, or - for standard input
    #[arg(value_name = "ID")]
    pub(crate) run: RunSource,
    /// Where to; - for standard output [default: ./parallax-run-ID.tar.gz]
    #[arg(long, value_name = "FILE", env = "PARALLAX_BUNDLE_FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Leave out the packets
    #[arg(long, env = "PARALLAX_BUNDLE_NO_CAPTURES", value_parser = BoolishValueParser::new())]
    pub(crate) no_captures: bool,
}

/// Where a run is to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RunSource {
    /// The newest one that the collector has.
    Last,
    /// The collector's, by its id or the beginning of it.
    Id(String),
    /// A run document in a file.
    File(PathBuf),
    /// A run document on standard input.
    Stdin,
}

impl FromStr for RunSource {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let like_an_id = text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        Ok(match text {
            "last" => Self::Last,
            "-" => Self::Stdin,
            _ if like_an_id && !text.is_empty() => Self::Id(text.to_owned()),
            _ => Self::File(text.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_a_file_and_standard_input_are_told_apart() {
        let read = |text: &str| text.parse::<RunSource>();
        assert_eq!(read("last"), Ok(RunSource::Last));
        assert_eq!(read("-"), Ok(RunSource::Stdin));
        assert_eq!(read("019852b4-7d6c"), Ok(RunSource::Id("019852b4-7d6c".into())));
        assert_eq!(read("./cafe"), Ok(RunSource::File("./cafe".into())));
        assert_eq!(read("run.json"), Ok(RunSource::File("run.json".into())));
    }
}
