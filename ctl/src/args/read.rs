//! From the command line to [`Cli`], and what is said when it can't be read.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::Parser as _;
use clap::error::ErrorKind;
use parallax_model::spec::LONGEST_HOLD;
use parallax_model::target::{Target, has_zone};

use super::Cli;
use crate::exit::Trouble;

const LONGEST_PROBE: Duration = Duration::from_secs(600);
const SHORTEST_PROBE: Duration = Duration::from_millis(100);
const SHORTEST_HOLD: Duration = Duration::from_secs(1);
const DNS_PORT: u16 = 53;
/// The longest time from one round of a check to the next.
pub(crate) const LONGEST_INTERVAL: Duration = Duration::from_secs(86_400);
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
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
pub(crate) fn timeout(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if (SHORTEST_PROBE..=LONGEST_PROBE).contains(&time) {
        Ok(time)
    } else {
        Err("give a time from 100ms to 10m".to_owned())
    }
}

/// How long a session is held: 1s to 30m.
pub(crate) fn hold(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if (SHORTEST_HOLD..=LONGEST_HOLD).contains(&time) {
        Ok(time)
    } else {
        let minutes = LONGEST_HOLD.as_secs() / 60;
        Err(format!("give a time from 1s to {minutes}m"))
    }
}

/// What is probed, as it is typed.
pub(super) fn target(text: &str) -> Result<Target, String> {
    Target::parse(text, None).map_err(|error| error.to_string())
}

/// An address that means the same at every vantage point.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    without_zone(text)?;
    text.parse()
        .map_err(|_| "give an IPv4 or IPv6 address".to_owned())
}

/// A zone names an interface of one host (RFC 4007 section 6).
fn without_zone(text: &str) -> Result<(), String> {
    if has_zone(text.trim_start_matches('[')) {
        return Err("each agent has zones of its own: give the address without %ZONE".to_owned());
    }
    Ok(())
}

/// A resolver: `192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53`, `[2001:db8::53]:5353`.
pub(crate) fn resolver(text: &str) -> Result<SocketAddr, String> {
    without_zone(text)?;
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let resolver = bare
        .parse::<IpAddr>()
        .map(|address| SocketAddr::new(address, DNS_PORT))
        .or_else(|_| text.parse::<SocketAddr>());
    match resolver {
        Ok(resolver) if resolver.port() > 0 => Ok(resolver),
        _ => Err("give an address, with :PORT behind it if that is not 53".to_owned()),
    }
}

/// How often a check is made: 1s to 24h.
pub(crate) fn every(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if (SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&time) {
        Ok(time)
    } else {
        Err("give a time from 1s to 24h".to_owned())
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

/// How many of something: from 1 on.
pub(crate) fn count(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|&number| number > 0)
        .ok_or_else(|| "give a whole number, 1 or more".to_owned())
}

/// [`count`], up to `most`.
pub(crate) fn count_to(most: u32) -> impl Fn(&str) -> Result<u32, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = count(text).ok().filter(|&number| number <= most);
        number.ok_or_else(|| format!("give a whole number from 1 to {most}"))
    }
}

/// `1500ms`, `20s`, `20`, `2m`, `1h`, `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
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

    #[test]
    fn a_number_out_of_range_is_answered_in_plain_words() {
        assert_eq!((count("3"), count_to(1000)("1000")), (Ok(3), Ok(1000)));
        for bad in ["0", "-1", "x", "4294967296"] {
            assert_eq!(count(bad), Err("give a whole number, 1 or more".to_owned()));
            assert_eq!(
                count_to(9)(bad),
                Err("give a whole number from 1 to 9".to_owned())
            );
        }
    }
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
            "ctl probe x --password-stdin",
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
    fn a_list_of_runs_is_narrowed_by_what_there_is() {
        let said = |line| {
            trouble(line)
                .lines()
                .next()
                .map(str::to_owned)
                .unwrap_or_default()
        };
        let verdict = said("ctl runs list --verdict broken");
        assert!(verdict.contains("'--verdict <VERDICT>'"), "{verdict}");
        let check = said("ctl runs list --check no/name");
        assert!(check.contains("'--check <NAME>'"), "{check}");
        let target = said("ctl runs list --target http://x");
        assert!(target.contains("'--target <TARGET>'"), "{target}");
    }

    #[test]
    fn a_hold_is_bounded_by_what_a_quiet_client_is_granted() {
        assert_eq!(hold("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(hold("30m"), Ok(LONGEST_HOLD));
        assert_eq!(
            trouble("ctl probe x --hold 31m").lines().next(),
            Some("error: invalid value '31m' for '--hold <TIME>': give a time from 1s to 30m")
        );
        assert!(hold("0s").is_err());
    }

    #[test]
    fn a_resolver_has_port_53_unless_it_says_otherwise() {
        let read = |text| resolver(text).map(|resolver| resolver.to_string());
        for (text, meant) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(meant));
        }
        for bad in ["", "dns.example.org", "192.0.2.53:0", "192.0.2.53:99999"] {
            assert!(resolver(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_zone_is_no_part_of_an_address_that_many_agents_are_given() {
        for zoned in ["fe80::1%eth0", "fe80::1%2", "[fe80::1%2]:53"] {
            let said = [resolver(zoned).unwrap_err(), address(zoned).unwrap_err()];
            assert!(
                said.iter().all(|said| said.contains("%ZONE")),
                "{zoned}: {said:?}"
            );
        }
        assert!(address("fe80::1").is_ok() && address("fe80::g").is_err());
    }

    #[test]
    fn a_mechanism_that_is_not_known_is_answered_with_those_that_are() {
        let said = trouble("ctl probe x --mechanism CRAM-MD5");
        for &mechanism in parallax_model::credential::Mechanism::ALL {
            assert!(said.contains(mechanism.as_str()), "{said}");
            let line = format!("ctl probe x --mechanism {}", mechanism.as_str().to_lowercase());
            let cli = read(&line).expect("reads");
            assert!(matches!(cli.command, Some(Command::Probe(probe)) if probe.mechanism == Some(mechanism)));
        }
    }

    #[test]
    fn examinations_are_read_with_hyphens_underscores_and_commas() {
        let cli =
            read("ctl probe x --examine srv,STARTTLS-injection --examine legacy_tls,all").expect("reads");
        let Some(Command::Probe(probe)) = cli.command else {
            panic!("{cli:?}")
        };
        use crate::args::Examine::{All, One};
        use parallax_model::spec::Examination::{LegacyTls, Srv, StarttlsInjection};
        assert_eq!(
            probe.examine,
            [One(Srv), One(StarttlsInjection), One(LegacyTls), All]
        );
        assert!(trouble("ctl probe x --examine dnssec").contains("starttls-injection"));
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
