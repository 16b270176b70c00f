//! From the command line to [`Cli`], and what is said when it can't be read.

use std::ffi::OsString;
use std::time::Duration;

use clap::Parser as _;
use clap::error::ErrorKind;

use super::Cli;
use crate::exit::Trouble;

const LONGEST_PROBE: Duration = Duration::from_secs(600);
const SHORTEST_PROBE: Duration = Duration::from_millis(100);
const LONGEST_TTL: Duration = Duration::from_secs(366 * 86_400);

/// What stands on the command line instead of a command.
#[derive(Debug)]
pub(crate) enum Unread {
    /// Help or the version was asked for: print it, all is well.
    Asked(String),
    /// It can't be read.
    Wrong(Trouble),
}

/// Reads the command line, each flag's environment variable behind it.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, Unread> {
    Cli::try_parse_from(words).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Unread::Asked(error.render().to_string()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Unread::Wrong(Trouble::new("a command is missing").hint("see `ctl --help`"))
        }
        _ => Unread::Wrong(in_one_line(&error.render().to_string())),
    })
}

/// clap says it in paragraphs: what is wrong, sometimes a tip, the usage. The first makes the line, the tip the hint.
fn in_one_line(paragraphs: &str) -> Trouble {
    let mut parts = paragraphs.split("\n\n").map(|part| {
        let words: Vec<_> = part.split_whitespace().collect();
        words.join(" ")
    });
    let what = parts.next().unwrap_or_default();
    let tip = parts.find_map(|part| part.strip_prefix("tip: ").map(str::to_owned));
    let help = || "see `ctl --help` or `ctl COMMAND --help`".to_owned();
    Trouble::new(what.strip_prefix("error: ").unwrap_or(&what)).hint(tip.unwrap_or_else(help))
}

/// The time for a probe: 100ms to 10m.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if (SHORTEST_PROBE..=LONGEST_PROBE).contains(&time) {
        Ok(time)
    } else {
        Err("give a time from 100ms to 10m".to_owned())
    }
}

/// The life of a token: 1s to a year.
pub(super) fn ttl(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if (Duration::from_secs(1)..=LONGEST_TTL).contains(&time) {
        Ok(time)
    } else {
        Err("give a time from 1s to 366d".to_owned())
    }
}

/// `1500ms`, `20s`, `20`, `2m`, `1h`, `7d`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => Duration::from_millis(1),
        "s" | "" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3_600),
        "d" => Duration::from_secs(86_400),
        _ => return Err("the unit is one of ms, s, m, h, d".to_owned()),
    };
    let number = digits.parse::<u32>();
    number
        .ok()
        .and_then(|number| unit.checked_mul(number))
        .ok_or_else(|| "give a whole number and a unit, such as 20s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Command;

    fn read(line: &str) -> Result<Cli, Unread> {
        parse(line.split(' ').map(OsString::from))
    }

    fn trouble(line: &str) -> String {
        match read(line) {
            Err(Unread::Wrong(trouble)) => trouble.lines(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_probe_needs_its_target_alone() {
        let cli = read("ctl probe imap.example.org").expect("reads");
        assert!(matches!(cli.command, Some(Command::Probe(probe)) if probe.target == "imap.example.org"));
    }

    #[test]
    fn what_can_not_be_read_is_said_in_one_line_and_a_hint() {
        assert_eq!(
            trouble("ctl probe x --depth abyss"),
            "error: invalid value 'abyss' for '--depth <DEPTH>' [possible values: connect, tls, greeting, login, \
             mailbox, sync]\nhint: see `ctl --help` or `ctl COMMAND --help`\n"
        );
        for line in [
            "ctl probe",
            "ctl prob x",
            "ctl probe x --user u",
            "ctl probe x -4 -6",
        ] {
            assert_eq!(trouble(line).lines().count(), 2, "{}", trouble(line));
        }
    }

    #[test]
    fn times_have_units_and_bounds() {
        assert_eq!(timeout("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(timeout("20"), Ok(Duration::from_secs(20)));
        assert_eq!(ttl("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for bad in ["", "s", "-1s", "1w", "0s", "11m", "1.5s", "é"] {
            assert!(timeout(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_flag_has_an_environment_variable() {
        let mut commands = vec![<Cli as clap::CommandFactory>::command()];
        while let Some(command) = commands.pop() {
            for flag in command.get_arguments().filter(|flag| flag.get_long().is_some()) {
                let variable = flag.get_env().and_then(|name| name.to_str()).unwrap_or_default();
                assert!(variable.starts_with("PARALLAX_"), "{} {flag}", command.get_name());
            }
            commands.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn the_definition_of_the_command_line_holds_together() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
