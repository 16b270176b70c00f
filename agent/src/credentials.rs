//! Passwords and tokens that this agent keeps by itself. The collector is told what they are called and what they are for;
//! a secret is read when it is used, and forgotten with the probe.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use parallax_model::credential::{LocalCredential, Secret};
use parallax_model::target::Host;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Bytes of a secret; a token has a few thousand.
const SECRET_AT_MOST: usize = 64 * 1024;
/// Characters of a name, a host or a user.
const TEXT_AT_MOST: usize = 253;
/// Credentials of one agent.
const CREDENTIALS_AT_MOST: usize = 64;

/// Where systemd puts a unit's credentials (systemd.exec(5), LoadCredential=).
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// All of them, each name once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<OwnCredential>")]
pub struct LocalCredentials(Vec<OwnCredential>);

impl LocalCredentials {
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether each secret can be read now.
    ///
    /// # Errors
    /// For the first that can't.
    pub fn check(&self) -> Result<(), Unreadable> {
        self.0.iter().try_for_each(|own| own.read().map(drop))
    }

    /// Each with where its secret is, and whether it can be read now.
    pub(crate) fn looked_at(
        &self,
    ) -> impl Iterator<Item = (&LocalCredential, String, Result<(), Unreadable>)> {
        let look = |own: &'_ OwnCredential| own.read().map(drop);
        self.0
            .iter()
            .map(move |own| (&own.told, own.source.described(), look(own)))
    }

    /// What the collector is told of them.
    pub(crate) fn told(&self) -> impl Iterator<Item = LocalCredential> {
        self.0.iter().map(|own| own.told.clone())
    }

    pub(crate) fn find(&self, name: &str) -> Option<&OwnCredential> {
        self.0.iter().find(|own| own.told.name == name)
    }
}

impl TryFrom<Vec<OwnCredential>> for LocalCredentials {
    type Error = String;

    fn try_from(all: Vec<OwnCredential>) -> Result<Self, String> {
        if all.len() > CREDENTIALS_AT_MOST {
            return Err(format!(
                "credentials: an agent keeps {CREDENTIALS_AT_MOST} at most"
            ));
        }
        let mut names = BTreeSet::new();
        match all.iter().find(|own| !names.insert(own.told.name.as_str())) {
            Some(twice) => Err(format!(
                "credential {}: there are two of this name; give one another",
                twice.told.name
            )),
            None => Ok(Self(all)),
        }
    }
}

/// One credential, and where its secret is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Entry", into = "Entry")]
pub(crate) struct OwnCredential {
    told: LocalCredential,
    source: Source,
}

/// Why a secret can't be read.
#[derive(Debug, thiserror::Error)]
#[error("credential {name}: {problem}")]
pub struct Unreadable {
    name: String,
    problem: String,
}

impl Unreadable {
    /// What is wrong, without the name.
    pub(crate) fn problem(&self) -> &str {
        &self.problem
    }
}

impl OwnCredential {
    pub(crate) const fn told(&self) -> &LocalCredential {
        &self.told
    }

    /// The secret as it is now.
    pub(crate) fn read(&self) -> Result<Secret, Unreadable> {
        self.source.read().map_err(|problem| Unreadable {
            name: self.told.name.clone(),
            problem,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    Systemd(String),
    Environment(String),
}

impl Source {
    /// Where it is and who may read it, for people.
    fn described(&self) -> String {
        match self {
            Self::File(path) => {
                let mode = fs::metadata(path).map(|facts| format!(", mode {:04o}", facts.mode() & 0o7777));
                format!("file {}{}", path.display(), mode.unwrap_or_default())
            }
            Self::Systemd(name) => format!("LoadCredential={name}"),
            Self::Environment(variable) => format!("${variable}"),
        }
    }

    fn read(&self) -> Result<Secret, String> {
        match self {
            Self::File(path) => from_file(path, private),
            Self::Systemd(name) => from_systemd(std::env::var_os(CREDENTIALS_DIRECTORY).as_deref(), name),
            Self::Environment(variable) => match std::env::var(variable) {
                Ok(text) => secret(Zeroizing::new(text), &format!("${variable}")),
                Err(std::env::VarError::NotPresent) => {
                    Err(format!("${variable} is not set in the agent's environment"))
                }
                Err(std::env::VarError::NotUnicode(_)) => Err(format!("${variable} is not text")),
            },
        }
    }
}

/// Its place is the unit's own, and systemd's to protect: with an ACL, which the mode shows as rights of the group.
fn from_systemd(directory: Option<&OsStr>, name: &str) -> Result<Secret, String> {
    let directory = directory.ok_or_else(|| {
        format!(
            "${CREDENTIALS_DIRECTORY} is not set: it needs LoadCredential={name}:/a/file in the agent's unit"
        )
    })?;
    from_file(&Path::new(directory).join(name), |_, _| Ok(()))
}

fn from_file(
    path: &Path,
    check: impl FnOnce(&Path, &fs::Metadata) -> Result<(), String>,
) -> Result<Secret, String> {
    let shown = path.display().to_string();
    let failed = |error: io::Error| format!("read {shown}: {error}");
    // Before it is opened: a pipe would wait for its writer.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(format!("{shown} is not a file"));
    }
    let file = File::open(path).map_err(failed)?;
    check(path, &file.metadata().map_err(failed)?)?;
    // With room for all of it, so that nothing is copied and left behind.
    let mut text = Zeroizing::new(String::with_capacity(SECRET_AT_MOST + 2));
    let bound = SECRET_AT_MOST as u64 + 1;
    file.take(bound).read_to_string(&mut text).map_err(failed)?;
    secret(text, &shown)
}

fn private(path: &Path, metadata: &fs::Metadata) -> Result<(), String> {
    let shown = path.display();
    let mode = metadata.mode() & 0o777;
    if mode & 0o177 != 0 {
        return Err(format!("{shown} has the mode {mode:04o}: chmod 0600 {shown}"));
    }
    let user = nix::unistd::geteuid().as_raw();
    if metadata.uid() != user && metadata.uid() != 0 {
        return Err(format!(
            "{shown} is owned by the user {}, and neither by the agent's ({user}) nor by root",
            metadata.uid()
        ));
    }
    Ok(())
}

/// The text without the end of its line.
fn secret(mut text: Zeroizing<String>, place: &str) -> Result<Secret, String> {
    if text.len() > SECRET_AT_MOST {
        return Err(format!("{place} has more than {SECRET_AT_MOST} bytes"));
    }
    let without = text.strip_suffix('\n').unwrap_or(&text);
    let length = without.strip_suffix('\r').unwrap_or(without).len();
    text.truncate(length);
    if text.is_empty() {
        return Err(format!("{place} is empty"));
    }
    if text.contains(['\r', '\n', '\0']) {
        return Err(format!("{place} has more than one line"));
    }
    Ok(Secret::new(std::mem::take(&mut *text)))
}

/// As it stands in the configuration.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    host: String,
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    systemd: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<String>,
}

impl TryFrom<Entry> for OwnCredential {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        let name = entry.name;
        for (key, text) in [("name", &name), ("user", &entry.user)] {
            if text.is_empty() || text.chars().count() > TEXT_AT_MOST || text.chars().any(char::is_control) {
                return Err(format!(
                    "credential {name:?}: {key}: from 1 to {TEXT_AT_MOST} characters that can be printed"
                ));
            }
        }
        let host: Host = entry
            .host
            .parse()
            .map_err(|error| format!("credential {name}: host: {error}"))?;
        let source = match (entry.file, entry.systemd, entry.env) {
            (Some(file), None, None) if file.is_absolute() => Source::File(file),
            (Some(_), None, None) => return Err(format!("credential {name}: file: give an absolute path")),
            (None, Some(id), None) if is_plain(&id) => Source::Systemd(id),
            (None, Some(_), None) => {
                return Err(format!(
                    "credential {name}: systemd: give the name from LoadCredential=, without a path"
                ));
            }
            (None, None, Some(variable)) if is_variable(&variable) => Source::Environment(variable),
            (None, None, Some(_)) => {
                return Err(format!(
                    "credential {name}: env: give the name of a variable, such as IMAP_PASSWORD"
                ));
            }
            _ => {
                return Err(format!(
                    "credential {name}: give exactly one of file, systemd and env"
                ));
            }
        };
        let told = LocalCredential {
            name,
            host: host.to_string(),
            user: entry.user,
        };
        Ok(Self { told, source })
    }
}

impl From<OwnCredential> for Entry {
    fn from(own: OwnCredential) -> Self {
        let LocalCredential { name, host, user } = own.told;
        let (mut file, mut systemd, mut env) = (None, None, None);
        match own.source {
            Source::File(path) => file = Some(path),
            Source::Systemd(id) => systemd = Some(id),
            Source::Environment(variable) => env = Some(variable),
        }
        Self {
            name,
            host,
            user,
            file,
            systemd,
            env,
        }
    }
}

fn is_plain(id: &str) -> bool {
    !id.is_empty() && id != "." && id != ".." && !id.contains(['/', '\0'])
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

#[cfg(test)]
mod tests;
