//! How long a certificate is good, and how long after its end it can be renewed.

use std::time::Duration;

use serde::Serialize;

use super::args::{ServeArgs, duration};
use super::file::File;
use super::{ConfigError, quoted};

/// Certificates of hours to days: one that is stolen is worth little for long.
const BOUNDS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(30 * 86_400));

/// The terms on which identities are given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Terms {
    /// How long a certificate is good.
    pub lifetime: Duration,
    /// How long after its end it can be renewed, if nobody took its owner out.
    pub grace: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            lifetime: parallax_identity::LEAF_LIFETIME,
            grace: Duration::from_secs(7 * 86_400),
        }
    }
}

impl Terms {
    pub(super) fn load(args: &ServeArgs, file: &File) -> Result<Self, ConfigError> {
        let default = Self::default();
        let lifetime = args
            .certificate_lifetime
            .as_ref()
            .or(file.certificate_lifetime.as_ref());
        let grace = args.renew_grace.as_ref().or(file.renew_grace.as_ref());
        let terms = Self {
            lifetime: lifetime.map_or(Ok(default.lifetime), |text| {
                read("certificate_lifetime", text, BOUNDS.0)
            })?,
            grace: grace.map_or(Ok(default.grace), |text| {
                read("renew_grace", text, Duration::ZERO)
            })?,
        };
        Ok(terms)
    }

    pub(super) fn to_toml(self) -> String {
        let text = |time: Duration| quoted(&format!("{}s", time.as_secs()));
        format!(
            "certificate_lifetime = {}\nrenew_grace = {}\n",
            text(self.lifetime),
            text(self.grace)
        )
    }
}

fn read(key: &'static str, text: &str, at_least: Duration) -> Result<Duration, ConfigError> {
    duration(text)
        .filter(|time| (at_least..=BOUNDS.1).contains(time))
        .ok_or_else(|| ConfigError::Value {
            key,
            value: text.to_owned(),
            wanted: "a number and a unit, such as 24h or 7d, and at most 30d",
        })
}
