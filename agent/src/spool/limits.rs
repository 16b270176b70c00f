//! How much of the disk the spool may take.

use std::time::Duration;

use serde::{Deserialize, Serialize};

const LEAST_BYTES: u64 = 1 << 20;
const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
const TIMES: [(&str, u64); 4] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
const AGE: std::ops::RangeInclusive<u64> = 60..=365 * 86_400;

/// How much of the disk results may take that no collector has acknowledged, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolLimits {
    /// Size of all files together; `64MiB` in a configuration. Beyond it the oldest successes go first.
    #[serde(with = "size")]
    pub max_bytes: u64,
    /// Results that are older go, whatever room there is; `7d` in a configuration.
    #[serde(with = "age")]
    pub max_age: Duration,
}

impl Default for SpoolLimits {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            max_age: Duration::from_hours(7 * 24),
        }
    }
}

mod size {
    use super::{Deserialize, LEAST_BYTES, UNITS, read, write};

    pub(super) fn serialize<S: serde::Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&write(*bytes, &UNITS))
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = read(&text, &UNITS).filter(|bytes| *bytes >= LEAST_BYTES);
        bytes.ok_or_else(|| {
            serde::de::Error::custom(format!("{text:?} is not a size such as 64MiB, 1MiB at least"))
        })
    }
}

mod age {
    use super::{AGE, Deserialize, Duration, TIMES, read, write};

    pub(super) fn serialize<S: serde::Serializer>(age: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&write(age.as_secs(), &TIMES))
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        let seconds = read(&text, &TIMES).filter(|seconds| AGE.contains(seconds));
        let age = seconds.map(Duration::from_secs);
        age.ok_or_else(|| {
            serde::de::Error::custom(format!("{text:?} is not a time such as 7d, from 1m to 365d"))
        })
    }
}

fn read(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = units
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    number.parse::<u64>().ok()?.checked_mul(*unit)
}

/// In the largest unit that says it exactly.
fn write(amount: u64, units: &[(&str, u64)]) -> String {
    let unit = units.iter().find(|(_, unit)| amount.is_multiple_of(*unit));
    match unit {
        Some((name, unit)) => format!("{}{name}", amount / unit),
        None => amount.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_says_the_same_when_it_is_read() {
        let limits: SpoolLimits = toml::from_str("max_bytes = \"1536KiB\"\nmax_age = \"90m\"").unwrap();
        assert_eq!(
            limits,
            SpoolLimits {
                max_bytes: 1536 << 10,
                max_age: Duration::from_secs(5400)
            }
        );
        let text = toml::to_string(&limits).unwrap();
        assert_eq!(text, "max_bytes = \"1536KiB\"\nmax_age = \"90m\"\n");
        let text = toml::to_string(&SpoolLimits::default()).unwrap();
        assert_eq!(text, "max_bytes = \"64MiB\"\nmax_age = \"7d\"\n");
    }

    #[test]
    fn what_makes_no_sense_says_what_would() {
        for bad in ["64", "64MB", "-1MiB", "10KiB", "99999999999GiB", "MiB"] {
            let error = toml::from_str::<SpoolLimits>(&format!("max_bytes = {bad:?}")).unwrap_err();
            assert!(
                error.message().contains("is not a size such as 64MiB"),
                "{bad}: {error}"
            );
        }
        for bad in ["7", "1y", "10s", "400d"] {
            let error = toml::from_str::<SpoolLimits>(&format!("max_age = {bad:?}")).unwrap_err();
            assert!(
                error.message().contains("is not a time such as 7d"),
                "{bad}: {error}"
            );
        }
        assert!(toml::from_str::<SpoolLimits>("max = 1").is_err());
    }
}
