//! A way to probe that has a name, as blackbox exporters have them.

use std::time::Duration;

use parallax_model::spec::{Depth, FamilyChoice, LoginSpec, PathChoice, ProbeOptions, ProbeSpec};
use parallax_model::target::{Security, Target};
use serde::{Deserialize, Serialize};

use crate::credentials::LocalCredentials;

/// The longest probe that is waited for.
const LONGEST: Duration = Duration::from_secs(120);

/// How far a probe goes, how long it may take, and with what it logs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Module {
    /// How far; not as far as writing.
    pub depth: Depth,
    /// At most; a scrape may leave it less.
    pub timeout: Duration,
    /// The credential that this agent keeps by itself.
    pub credential: Option<String>,
    /// Unless the port says so.
    pub security: Option<Security>,
}

impl Default for Module {
    fn default() -> Self {
        Self {
            depth: Depth::Greeting,
            timeout: Duration::from_secs(20),
            credential: None,
            security: None,
        }
    }
}

/// As it is written in the configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    depth: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    security: Option<String>,
}

impl TryFrom<Written> for Module {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let named = |text: &str, wanted: &str| format!("{text:?} is not {wanted}");
        let default = Self::default();
        let logs_in = written.credential.is_some();
        let depth = match written.depth.as_deref() {
            None if logs_in => Depth::Login,
            None => default.depth,
            Some(text) => Depth::known(text)
                .filter(|depth| *depth != Depth::Sync)
                .ok_or_else(|| {
                    named(
                        text,
                        "a depth that a scrape may go to: connect, tls, greeting, login or mailbox",
                    )
                })?,
        };
        if (depth >= Depth::Login) != logs_in {
            return Err(format!(
                "depth {depth} and a credential: either both, as far as login, or neither"
            ));
        }
        let timeout = match written.timeout.as_deref() {
            None => default.timeout,
            Some(text) => seconds(text).ok_or_else(|| named(text, "a time from 1s to 120s"))?,
        };
        let security = match written.security.as_deref() {
            None => None,
            Some(text) => {
                Some(Security::known(text).ok_or_else(|| named(text, "tls, starttls or plaintext"))?)
            }
        };
        Ok(Self {
            depth,
            timeout,
            credential: written.credential,
            security,
        })
    }
}

impl From<Module> for Written {
    fn from(module: Module) -> Self {
        Self {
            depth: Some(module.depth.to_string()),
            timeout: Some(format!("{}s", module.timeout.as_secs())),
            credential: module.credential,
            security: module.security.map(|security| security.to_string()),
        }
    }
}

impl Module {
    /// What is asked of a target, within a time.
    pub(super) fn spec(
        &self,
        target: &str,
        timeout: Duration,
        own: &LocalCredentials,
    ) -> Result<ProbeSpec, String> {
        let target = Target::parse(target, self.security).map_err(|error| error.to_string())?;
        let login = match &self.credential {
            None => None,
            Some(name) => {
                let own = own.find(name);
                let own = own.ok_or_else(|| format!("this agent keeps no credential {name}"))?;
                Some(LoginSpec {
                    user: own.told().user.clone(),
                    mechanism: None,
                })
            }
        };
        Ok(ProbeSpec {
            target,
            depth: self.depth,
            family: FamilyChoice::Any,
            addresses: Vec::new(),
            timeout,
            login,
            anchors: Vec::new(),
            options: ProbeOptions {
                path: PathChoice::Never,
                ..ProbeOptions::default()
            },
        })
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds = text.strip_suffix('s')?.parse().ok()?;
    let time = Duration::from_secs(seconds);
    (time >= Duration::from_secs(1) && time <= LONGEST).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_reads_as_it_is_written_and_says_what_is_wrong() {
        let module: Module = toml::from_str("timeout = \"5s\"\ncredential = \"probe\"").unwrap();
        assert_eq!(
            (module.depth, module.timeout),
            (Depth::Login, Duration::from_secs(5))
        );
        let again: Module = toml::from_str(&toml::to_string(&module).unwrap()).unwrap();
        assert_eq!(again, module);
        for (wrong, problem) in [
            ("depth = \"abyss\"", "not a depth"),
            ("depth = \"sync\"", "not a depth"),
            ("depth = \"login\"", "either both"),
            ("depth = \"tls\"\ncredential = \"probe\"", "either both"),
            ("timeout = \"0s\"", "from 1s"),
            ("timeout = \"5\"", "from 1s"),
            ("security = \"ssl\"", "starttls"),
            ("tiemout = \"5s\"", "unknown field"),
        ] {
            let error = toml::from_str::<Module>(wrong).unwrap_err().to_string();
            assert!(error.contains(problem), "{wrong}: {error}");
        }
    }
}
