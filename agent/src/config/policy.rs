//! Where the policy is said: in a file of its own, or in the configuration.

use std::path::{Path, PathBuf};

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::config::file::{self, ConfigError, File};
use crate::policy::Policy;

/// The policy, and where it is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatedPolicy {
    /// What may be touched.
    pub policy: Policy,
    /// Where it is read, and read again on SIGHUP.
    pub place: Place,
}

/// Where a policy is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: it is the default.
    #[default]
    Nowhere,
    /// Under `[policy]` in the configuration file, or not there, which is the default.
    Configuration(PathBuf),
    /// In a file of its own.
    File(PathBuf),
}

impl StatedPolicy {
    /// The one policy of a flag and a configuration.
    pub(super) fn of(
        flag: Option<&Path>,
        path: Option<&Path>,
        table: Option<Policy>,
        key: Option<&Path>,
    ) -> Result<Self, ConfigError> {
        let place = match (flag.or(key), path) {
            (Some(_), _) if table.is_some() => {
                return Err(ConfigError::Value {
                    key: "policy",
                    problem: "there is a file of its own and [policy] in the configuration: keep one of them"
                        .into(),
                });
            }
            (Some(file), _) => Place::File(file.to_owned()),
            (None, Some(path)) => Place::Configuration(path.to_owned()),
            (None, None) => Place::Nowhere,
        };
        let policy = match &place {
            Place::File(file) => read(file)?,
            Place::Configuration(_) | Place::Nowhere => table.unwrap_or_default(),
        };
        Ok(Self { policy, place })
    }

    /// The policy as its place says it now.
    ///
    /// # Errors
    /// When it can't be read or makes no sense.
    pub fn read_again(&self) -> Result<Policy, ConfigError> {
        match &self.place {
            Place::Nowhere => Ok(self.policy.clone()),
            Place::File(file) => read(file),
            Place::Configuration(path) => {
                let now = File::read(path)?;
                let stated = Self::of(None, Some(path), now.policy, now.policy_file.as_deref())?;
                Ok(stated.policy)
            }
        }
    }
}

impl Place {
    /// The file that says it.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Nowhere => None,
            Self::Configuration(path) | Self::File(path) => Some(path),
        }
    }
}

/// As a configuration says it: the file's name, or what it is.
impl Serialize for StatedPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match &self.place {
            Place::File(file) => map.serialize_entry("policy_file", file)?,
            Place::Configuration(_) | Place::Nowhere => map.serialize_entry("policy", &self.policy)?,
        }
        map.end()
    }
}

fn read(path: &Path) -> Result<Policy, ConfigError> {
    file::read(path).map_err(|error| match error {
        ConfigError::Parse { path, problem } if problem.contains("unknown field `policy`") => {
            let problem = format!("{problem}; in a file of its own the keys stand alone, without [policy]");
            ConfigError::Parse { path, problem }
        }
        other => other,
    })
}
