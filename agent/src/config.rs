//! How the agent is to run: flags before environment before file before defaults.

mod args;
mod file;
mod own;
mod policy;
mod web;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use parallax_identity::{CollectorAddress, OwnFiles};
use parallax_model::token::JoinToken;
use parallax_model::vantage::{AgentName, Labels, parse_label};
use parallax_telemetry::logs::LogFormat;
use serde::Serialize;

use crate::agent::{AgentOptions, DEFAULT_PROBES};
use crate::credentials::LocalCredentials;
use crate::identity;
use crate::network::LocalNetwork;
use crate::spool::SpoolLimits;
use crate::web::{Module, WebOptions};

pub use args::{Args, Command, RunArgs, StateArgs};
pub use file::ConfigError;
pub use own::OwnIdentity;
pub use policy::{Place, StatedPolicy};

use file::{File, NetworkTable};

/// Where an agent of this configuration keeps what it is.
///
/// # Errors
/// When the file can't be read.
pub fn state_dir(args: &StateArgs) -> Result<PathBuf, ConfigError> {
    let file = args.config.as_deref().map(File::read).transpose()?;
    let named = args.state_dir.clone().or(file.unwrap_or_default().state_dir);
    Ok(named.unwrap_or_else(default_state_dir))
}

/// A complete configuration. A token is not part of it: it is used once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Config {
    /// Where the collector is.
    #[serde(serialize_with = "as_text")]
    pub collector: CollectorAddress,
    /// The vantage point's unique name; without one, that of the identity that is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<AgentName>,
    /// Where key, certificate and sealing key are kept.
    pub state_dir: PathBuf,
    /// A file with the join token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// An identity that others certify, instead of one that a token buys.
    #[serde(flatten)]
    pub own: Option<OwnIdentity>,
    /// PEM files with trust anchors for the targets' certificates.
    pub ca_files: Vec<PathBuf>,
    /// Probes at a time.
    pub max_probes: usize,
    /// Where metrics and probes are to be had over HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<SocketAddr>,
    /// A file with the token that visitors show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_token_file: Option<PathBuf>,
    /// OTLP/gRPC endpoint for spans and numbers; without one they go through the collector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Which logs are written, in the syntax of `RUST_LOG`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_filter: Option<String>,
    /// Labels of the vantage point.
    pub labels: Labels,
    /// What may be touched, and where that is said.
    #[serde(flatten)]
    pub policy: StatedPolicy,
    /// Where the agent stands in its own network.
    pub network: LocalNetwork,
    /// How much of the disk results may take that wait for the collector.
    pub spool: SpoolLimits,
    /// Ways to probe over HTTP, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub modules: BTreeMap<String, Module>,
    /// What it logs in with by itself.
    #[serde(skip_serializing_if = "LocalCredentials::is_empty")]
    pub credentials: LocalCredentials,
}

impl Config {
    /// Puts together what was said in all places, and checks it.
    ///
    /// # Errors
    /// When a file can't be read, or a value makes no sense.
    pub fn load(args: &RunArgs) -> Result<Self, ConfigError> {
        let file = args
            .config
            .as_deref()
            .map(File::read)
            .transpose()?
            .unwrap_or_default();
        let collector = args.collector.as_ref().or(file.collector.as_ref());
        let collector = collector.ok_or(ConfigError::Missing {
            key: "collector",
            wanted: "HOST:PORT of the collector",
        })?;
        let mut labels = Labels::new();
        for (key, value) in file.labels {
            labels.extend([label(&format!("{key}={value}"))?]);
        }
        for text in &args.label {
            labels.extend([label(text)?]);
        }
        let name = args.name.as_ref().or(file.name.as_ref());
        let max_probes = args.max_probes.or(file.max_probes).unwrap_or(DEFAULT_PROBES);
        if max_probes == 0 {
            return Err(ConfigError::value("max-probes", "0", "a number from 1"));
        }
        let collector: CollectorAddress = collector
            .parse()
            .map_err(|error| ConfigError::wrong("collector", &error))?;
        let network = network(args, file.network, &collector)?;
        let policy = StatedPolicy::of(
            args.policy.as_deref(),
            args.config.as_deref(),
            file.policy,
            file.policy_file.as_deref(),
        )?;
        let token_file = args.token_file.clone().or(file.token_file);
        let own = OwnIdentity::of(
            args,
            OwnFiles {
                certificate: file.certificate.unwrap_or_default(),
                key: file.key.unwrap_or_default(),
                ca: file.collector_ca,
            },
        )?;
        if own.is_some() && token_file.is_some() {
            return Err(ConfigError::value(
                "token-file",
                "a token",
                "of use beside a certificate of your own PKI",
            ));
        }
        let (http, http_token_file) = web::place(args, file.http.as_deref(), file.http_token_file)?;
        web::check(&file.modules, &file.credentials)?;
        Ok(Self {
            collector,
            name: name
                .map(|name| name.parse().map_err(|error| ConfigError::wrong("name", &error)))
                .transpose()?,
            state_dir: args
                .state_dir
                .clone()
                .or(file.state_dir)
                .unwrap_or_else(default_state_dir),
            token_file,
            own,
            ca_files: if args.ca_file.is_empty() {
                file.ca_files
            } else {
                args.ca_file.clone()
            },
            max_probes,
            http,
            http_token_file,
            modules: file.modules,
            otlp_endpoint: endpoint(args.otlp_endpoint.clone().or(file.otlp_endpoint))?,
            log_format: args.log_format.or(file.log_format).unwrap_or_default(),
            log_filter: args.log_filter.clone().or(file.log_filter),
            labels,
            policy,
            network,
            credentials: file.credentials,
            spool: file.spool,
        })
    }

    /// The configuration as a file that says the same.
    ///
    /// # Errors
    /// When a path is not text.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        let mut text = as_toml(self)?;
        if let Place::File(file) = &self.policy.place {
            text.push_str(&format!("\n# {} says:\n", file.display()));
            for line in as_toml(&self.policy.policy)?.lines() {
                text.push_str(&format!("# {line}\n"));
            }
        }
        Ok(text)
    }

    /// Whether the identity that others certify can be read now.
    ///
    /// # Errors
    /// When it can't, or is not an agent's of this name.
    pub fn check_identity(&self) -> Result<(), ConfigError> {
        let Some(own) = &self.own else {
            return Ok(());
        };
        let read = identity::of_files(&own.clone().into_files(), self.name.as_ref());
        read.map(|_| ())
            .map_err(|error| ConfigError::wrong("certificate", &error))
    }

    /// Whether each secret of its own can be read now.
    ///
    /// # Errors
    /// For the first that can't.
    pub fn check_credentials(&self) -> Result<(), ConfigError> {
        let readable = self.credentials.check();
        readable.map_err(|error| ConfigError::wrong("credentials", &error))
    }

    /// What the agent is run with.
    ///
    /// # Errors
    /// When the token can't be read.
    pub fn into_options(self, args: &RunArgs) -> Result<AgentOptions, ConfigError> {
        let token = match (&args.token, &self.token_file) {
            (Some(token), _) => Some(parse_token(token)?),
            (None, Some(path)) => read_token(path)?,
            (None, None) => None,
        };
        let web = self.http.map(|address| WebOptions {
            address,
            token_file: self.http_token_file,
            modules: self.modules,
        });
        Ok(AgentOptions {
            web,
            collector: self.collector,
            token,
            token_file: self.token_file,
            own: self.own.map(OwnIdentity::into_files),
            name: self.name,
            labels: self.labels,
            state_dir: self.state_dir,
            ca_files: self.ca_files,
            policy: self.policy,
            network: self.network,
            credentials: self.credentials,
            spool: self.spool,
            otlp_endpoint: self.otlp_endpoint,
            max_probes: self.max_probes,
        })
    }
}

/// Where the identity is kept when nothing else is said: what systemd gives the unit, else the system's place for
/// root, else the user's own.
pub fn default_state_dir() -> PathBuf {
    let given = |variable| std::env::var_os(variable).map(PathBuf::from);
    if let Some(directory) = given("STATE_DIRECTORY") {
        return directory;
    }
    let own = given("XDG_STATE_HOME").or_else(|| given("HOME").map(|home| home.join(".local/state")));
    match own.filter(|_| !is_root()) {
        Some(state) => state.join("parallax-agent"),
        None => PathBuf::from("/var/lib/parallax-agent"),
    }
}

fn as_toml(value: &impl Serialize) -> Result<String, ConfigError> {
    toml::to_string_pretty(value).map_err(|error| ConfigError::Unprintable(error.to_string()))
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// What is not said of the network follows from the collector: whoever reaches it has a network that works.
fn network(
    args: &RunArgs,
    table: NetworkTable,
    collector: &CollectorAddress,
) -> Result<LocalNetwork, ConfigError> {
    let given = args.control_target.as_ref().or(table.control_target.as_ref());
    let control_target = match given {
        Some(target) => target
            .parse()
            .map_err(|_| ConfigError::value("control-target", target, "HOST:PORT"))?,
        None => collector.clone(),
    };
    let source_addresses = if args.source_address.is_empty() {
        table.source_addresses
    } else {
        args.source_address.clone()
    };
    if let Some(address) = source_addresses
        .iter()
        .find(|address| address.is_unspecified() || address.is_multicast())
    {
        let said = address.to_string();
        return Err(ConfigError::value(
            "source-address",
            &said,
            "an address of this host",
        ));
    }
    Ok(LocalNetwork {
        source_addresses,
        control_target: Some(control_target),
    })
}

fn endpoint(said: Option<String>) -> Result<Option<String>, ConfigError> {
    let Some(endpoint) = said else {
        return Ok(None);
    };
    let usable = ["http://", "https://"]
        .iter()
        .any(|scheme| endpoint.starts_with(scheme));
    if !usable {
        let wanted = "http://HOST:PORT or https://HOST:PORT of an OTLP/gRPC receiver";
        return Err(ConfigError::value("otlp-endpoint", &endpoint, wanted));
    }
    Ok(Some(endpoint))
}

fn label(text: &str) -> Result<(String, String), ConfigError> {
    parse_label(text).map_err(|error| ConfigError::wrong("label", &error))
}

fn parse_token(text: &str) -> Result<JoinToken, ConfigError> {
    text.parse().map_err(|error| ConfigError::wrong("token", &error))
}

/// A token that was used may be deleted: without the file there is none.
pub(crate) fn read_token(path: &Path) -> Result<Option<JoinToken>, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse_token(&text).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

fn as_text<S: serde::Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[cfg(test)]
mod tests;
