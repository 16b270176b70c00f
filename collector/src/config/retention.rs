//! How long what came of checks is kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::args::duration;
use super::{ConfigError, quoted};

const DAY: u64 = 86_400;

/// What can be asked for: an hour loses what nobody could have looked at yet, ten years is what dates are tested with.
const BOUNDS: (Duration, Duration) = (Duration::from_secs(3600), Duration::from_secs(3660 * DAY));

/// A database that may have less than this holds no day of a small fleet.
const LEAST_BYTES: u64 = 16 << 20;

/// The table `[retention]` as it stands in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RetentionTable {
    results: Option<String>,
    failures: Option<String>,
    rounds: Option<String>,
    unhealthy_rounds: Option<String>,
    hours: Option<String>,
    days: Option<String>,
    check_runs: Option<String>,
    max_bytes: Option<String>,
}

/// Ages from which things go, and the size from which they go earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Retention {
    /// Single results in which all was well.
    pub results: Duration,
    /// Single results in which something was not.
    pub failures: Duration,
    /// Rounds in which all was well.
    pub rounds: Duration,
    /// Rounds in which something was not.
    pub unhealthy_rounds: Duration,
    /// What each hour came to.
    pub hours: Duration,
    /// What each day came to.
    pub days: Duration,
    /// Runs of checks: whole, with everything that was seen.
    pub check_runs: Duration,
    /// What the database may hold, in bytes. Over that, ages shrink, results in which all was well first.
    pub max_bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days| Duration::from_secs(days * DAY);
        Self {
            results: days(14),
            failures: days(90),
            rounds: days(30),
            unhealthy_rounds: days(400),
            hours: days(90),
            days: days(400),
            check_runs: days(90),
            max_bytes: 20 << 30,
        }
    }
}

impl Retention {
    pub(super) fn load(table: &RetentionTable) -> Result<Self, ConfigError> {
        let default = Self::default();
        let kept = Self {
            results: age("retention.results", &table.results, default.results)?,
            failures: age("retention.failures", &table.failures, default.failures)?,
            rounds: age("retention.rounds", &table.rounds, default.rounds)?,
            unhealthy_rounds: age(
                "retention.unhealthy_rounds",
                &table.unhealthy_rounds,
                default.unhealthy_rounds,
            )?,
            hours: age("retention.hours", &table.hours, default.hours)?,
            days: age("retention.days", &table.days, default.days)?,
            check_runs: age("retention.check_runs", &table.check_runs, default.check_runs)?,
            max_bytes: size("retention.max_bytes", &table.max_bytes, default.max_bytes)?,
        };
        // Everything goes at the age of what was not well: before the others it would take them along.
        let longer =
            "at least as long as retention.results: failures are kept longer, or all results as long";
        not_shorter("retention.failures", kept.failures, kept.results, longer)?;
        let longer =
            "at least as long as retention.rounds: unhealthy rounds are kept longer, or all rounds as long";
        not_shorter(
            "retention.unhealthy_rounds",
            kept.unhealthy_rounds,
            kept.rounds,
            longer,
        )?;
        Ok(kept)
    }

    pub(super) fn to_toml(self) -> String {
        let ages = [
            ("results", self.results),
            ("failures", self.failures),
            ("rounds", self.rounds),
            ("unhealthy_rounds", self.unhealthy_rounds),
            ("hours", self.hours),
            ("days", self.days),
            ("check_runs", self.check_runs),
        ]
        .map(|(key, age)| format!("{key} = {}\n", quoted(&format!("{}s", age.as_secs()))));
        let size = quoted(&format!("{}B", self.max_bytes));
        format!("\n[retention]\n{}max_bytes = {size}\n", ages.concat())
    }
}

fn not_shorter(
    key: &'static str,
    age: Duration,
    than: Duration,
    wanted: &'static str,
) -> Result<(), ConfigError> {
    if age >= than {
        return Ok(());
    }
    Err(ConfigError::Value {
        key,
        value: in_days(age),
        wanted,
    })
}

/// `90d`, `36h`; seconds where it is neither.
fn in_days(age: Duration) -> String {
    let seconds = age.as_secs();
    let unit = [(DAY, 'd'), (3600, 'h')]
        .into_iter()
        .find(|(length, _)| seconds.is_multiple_of(*length));
    let (length, unit) = unit.unwrap_or((1, 's'));
    format!("{}{unit}", seconds / length)
}

fn age(key: &'static str, text: &Option<String>, default: Duration) -> Result<Duration, ConfigError> {
    let Some(text) = text else { return Ok(default) };
    duration(text)
        .filter(|age| (BOUNDS.0..=BOUNDS.1).contains(age))
        .ok_or_else(|| ConfigError::Value {
            key,
            value: text.clone(),
            wanted: "a number and a unit, such as 36h or 90d, between 1h and 3660d",
        })
}

fn size(key: &'static str, text: &Option<String>, default: u64) -> Result<u64, ConfigError> {
    let Some(text) = text else { return Ok(default) };
    bytes(text)
        .filter(|bytes| (LEAST_BYTES..=1 << 50).contains(bytes))
        .ok_or_else(|| ConfigError::Value {
            key,
            value: text.clone(),
            wanted: "a number and a unit, such as 500MiB or 20GiB, and at least 16MiB",
        })
}

/// `512MiB`, `20GiB`.
fn bytes(text: &str) -> Option<u64> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40), ("B", 0)];
    let (number, shift) = units
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)))?;
    number.trim_end().parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Retention, String> {
        let table: RetentionTable = toml::from_str(text).map_err(|error| error.to_string())?;
        Retention::load(&table).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_stays_and_what_is_printed_reads_back() {
        let kept = load("results = \"36h\"\nmax_bytes = \"500MiB\"\n").unwrap();
        let expected = Retention {
            results: Duration::from_hours(36),
            max_bytes: 500 << 20,
            ..Retention::default()
        };
        assert_eq!(kept, expected);
        let printed = kept.to_toml().replace("[retention]", "");
        assert_eq!(load(&printed), Ok(kept));
    }

    #[test]
    fn what_makes_no_sense_is_told_by_its_key() {
        for (bad, key) in [
            ("results = \"59m\"", "retention.results"),
            ("days = \"400\"", "retention.days"),
            ("max_bytes = \"1MiB\"", "retention.max_bytes"),
            ("max_bytes = \"20GB\"", "retention.max_bytes"),
            ("weeks = \"3d\"", "weeks"),
            ("failures = \"13d\"", "retention.failures"),
            ("results = \"120d\"", "retention.failures"),
            (
                "rounds = \"36h\"\nunhealthy_rounds = \"35h\"",
                "retention.unhealthy_rounds",
            ),
        ] {
            let problem = load(bad).unwrap_err();
            assert!(problem.contains(key), "{problem}");
        }
    }
}
