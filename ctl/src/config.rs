//! What is in force: flag, environment, file, default, in this order.

use std::io;
use std::path::{Path, PathBuf};

use parallax_identity::{CollectorAddress, OwnFiles, Readers, write_whole};
use parallax_telemetry::logs::LogFormat;
use serde::Deserialize;

use crate::args::Common;
use crate::exit::Trouble;

const FILE: &str = "config.toml";

/// What every command needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Where the identity is kept.
    pub(crate) home: PathBuf,
    /// The collector; without one a probe runs in this process.
    pub(crate) collector: Option<CollectorAddress>,
    /// An identity that others certify, instead of one that is kept at home.
    pub(crate) own: Option<OwnFiles>,
    /// How logs are written.
    pub(crate) log_format: LogFormat,
    /// Which logs are written.
    pub(crate) log: Option<String>,
    /// Trust anchors for every target, beside those of `--ca-file`.
    pub(crate) ca_file: Vec<PathBuf>,
}

/// The file, as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    collector: Option<String>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    #[serde(default)]
    collector_ca: Vec<PathBuf>,
    log_format: Option<String>,
    log: Option<String>,
    #[serde(default)]
    ca_file: Vec<PathBuf>,
}

impl Config {
    /// Reads the file, if there is one, and lays flags and environment over it.
    pub(crate) fn read(common: &Common) -> Result<Self, Trouble> {
        let home = home(common)?;
        let path = home.join(FILE);
        let file = read_file(&path)?;
        let in_file = |error: &dyn std::fmt::Display| Trouble::new(format!("{}: {error}", path.display()));
        let collector = file
            .collector
            .map(|text| text.parse())
            .transpose()
            .map_err(|error: parallax_identity::AddressError| in_file(&error))?;
        let log_format = match (common.log_format, file.log_format.as_deref()) {
            (Some(format), _) => format,
            (None, None | Some("text")) => LogFormat::Text,
            (None, Some("json")) => LogFormat::Json,
            (None, Some(other)) => {
                return Err(in_file(&format!("log_format {other:?} is neither text nor json")));
            }
        };
        let own = match (file.certificate, file.key) {
            (None, None) if file.collector_ca.is_empty() => None,
            (Some(certificate), Some(key)) if !file.collector_ca.is_empty() => Some(OwnFiles {
                certificate,
                key,
                ca: file.collector_ca,
            }),
            _ => return Err(in_file(&"certificate, key and collector_ca are given together")),
        };
        Ok(Self {
            home,
            collector,
            own,
            log_format,
            log: common.log.clone().or(file.log),
            ca_file: file.ca_file,
        })
    }

    /// The configuration as a file that would bring it about.
    pub(crate) fn to_toml(&self) -> String {
        let collector = self.collector.as_ref().map_or_else(
            || "# collector = \"HOST:7143\"  (none: probes run in this process)\n".to_owned(),
            |address| format!("collector = {}\n", quoted(&address.to_string())),
        );
        let format = match self.log_format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        let own = self.own.as_ref().map(own_lines).unwrap_or_default();
        let files: Vec<_> = self
            .ca_file
            .iter()
            .map(|path| quoted(&path.to_string_lossy()))
            .collect();
        format!(
            "# {}\n{collector}{own}log_format = \"{format}\"\nlog = {}\nca_file = [{}]\n",
            self.home.join(FILE).display(),
            quoted(self.log.as_deref().unwrap_or("warn")),
            files.join(", ")
        )
    }

    /// Writes the collector into the file, and where the identity for it is if that is not kept at home, and leaves every
    /// other line as it is.
    pub(crate) fn keep_collector(
        &self,
        collector: &CollectorAddress,
        own: Option<&OwnFiles>,
    ) -> Result<(), Trouble> {
        let path = self.home.join(FILE);
        let old = std::fs::read_to_string(&path).unwrap_or_default();
        let kept: String = old
            .lines()
            .filter(|line| !LOGIN.iter().any(|key| sets(line, key)))
            .map(|line| format!("{line}\n"))
            .collect();
        let own = own.map(own_lines).unwrap_or_default();
        let text = format!("collector = {}\n{own}{kept}", quoted(&collector.to_string()));
        let wrong = |error: io::Error| Trouble::new(format!("write {}: {error}", path.display()));
        std::fs::create_dir_all(&self.home).map_err(wrong)?;
        write_whole(&path, text.as_bytes(), Readers::All).map_err(wrong)
    }
}

fn home(common: &Common) -> Result<PathBuf, Trouble> {
    let given = common.home.clone().filter(|path| !path.as_os_str().is_empty());
    let usual = || std::env::home_dir().map(|home| home.join(".config").join("parallax"));
    given
        .or_else(usual)
        .ok_or_else(|| Trouble::new("there is no home directory").hint("set PARALLAX_HOME"))
}

fn read_file(path: &Path) -> Result<File, Trouble> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(File::default()),
        Err(error) => return Err(Trouble::new(format!("read {}: {error}", path.display()))),
    };
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map(|span| {
            let before = text.get(..span.start).unwrap_or(&text);
            format!(":{}", before.matches('\n').count() + 1)
        });
        let line = line.unwrap_or_default();
        Trouble::new(format!("{}{line}: {}", path.display(), error.message()))
    })
}

/// What a login writes; each has a line of its own.
const LOGIN: [&str; 4] = ["collector", "certificate", "key", "collector_ca"];

fn sets(line: &str, key: &str) -> bool {
    let rest = line.trim_start().strip_prefix(key);
    rest.is_some_and(|rest| rest.trim_start().starts_with('='))
}

fn own_lines(own: &OwnFiles) -> String {
    let text = |path: &PathBuf| quoted(&path.to_string_lossy());
    let ca: Vec<_> = own.ca.iter().map(text).collect();
    format!(
        "certificate = {}\nkey = {}\ncollector_ca = [{}]\n",
        text(&own.certificate),
        text(&own.key),
        ca.join(", ")
    )
}

/// A TOML basic string: JSON's escapes are all valid in it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(home: &Path) -> Common {
        Common {
            home: Some(home.to_owned()),
            log_format: None,
            log: None,
            check_config: false,
            print_config: false,
        }
    }

    fn directory(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("parallax-ctl-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[test]
    fn logging_in_keeps_every_other_line_and_what_is_printed_reads_back() {
        let home = directory("keep");
        std::fs::write(home.join(FILE), "# mine\ncollector = \"old:1\"\nlog = \"info\"\n").unwrap();
        let config = Config::read(&common(&home)).unwrap();
        config
            .keep_collector(&"mon.example.org".parse().unwrap(), None)
            .unwrap();
        let again = Config::read(&common(&home)).unwrap();
        assert_eq!(
            again.collector.as_ref().map(ToString::to_string).as_deref(),
            Some("mon.example.org:7143")
        );
        assert_eq!(again.log.as_deref(), Some("info"));
        std::fs::write(home.join(FILE), again.to_toml()).unwrap();
        let printed = Config::read(&common(&home)).unwrap();
        assert_eq!(printed.to_toml(), again.to_toml());
        std::fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn a_word_that_is_not_known_is_named_with_its_line() {
        let home = directory("unknown");
        std::fs::write(home.join(FILE), "log = \"info\"\ncolector = \"x\"\n").unwrap();
        let lines = Config::read(&common(&home)).unwrap_err().lines();
        assert!(
            lines.contains("config.toml:2") && lines.contains("colector"),
            "{lines}"
        );
        std::fs::remove_dir_all(home).unwrap();
    }
}
