//! How the collector is to run: flags before environment before file before defaults.

mod alerting;
mod args;
mod certificates;
mod changes;
mod file;
mod limits;
mod page;
mod retention;
mod tracing;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use parallax_telemetry::logs::{self, LogFormat};
use serde::Serialize;

pub use alerting::{Alerting, Receiver};
pub use args::{
    Args, CaArgs, CaCommand, Command, ListArgs, ListFormat, RevokeArgs, ServeArgs, TlsArgs, TokenArgs,
    TokenCommand,
};
pub use certificates::{OwnPki, Terms};
pub use file::ConfigError;
pub use limits::Limits;
pub use page::Page;
pub use retention::Retention;
pub use tracing::TraceRatio;

use file::File;

/// The gRPC port and address when nothing else is said: both families.
const LISTEN: &str = "[::]:7143";

/// The HTTP port and address when nothing else is said: this host only.
const HTTP: &str = "127.0.0.1:7180";

/// A complete configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Config {
    /// Where the certificate authority and the database are.
    pub data_dir: PathBuf,
    /// Where agents and operators connect.
    pub listen: SocketAddr,
    /// Where the web page, the metrics and the health checks are.
    pub http: SocketAddr,
    /// Host names and addresses that the server certificate is valid for; empty for this host's own.
    pub advertise: Vec<String>,
    /// OTLP/gRPC endpoint to which spans and numbers go; nothing is traced without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
    /// The share of the rounds in which all is well that are traced.
    pub trace_ratio: TraceRatio,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Which log lines are written; level `info` and above without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_filter: Option<String>,
    /// The terms on which identities are given out.
    #[serde(flatten)]
    pub terms: Terms,
    /// How the page is guarded.
    #[serde(flatten)]
    pub page: Page,
    /// Where identities come from, if not from the collector's own CA.
    #[serde(skip)]
    pub own_pki: Option<OwnPki>,
    /// How much one caller can have.
    pub limits: Limits,
    /// How long what came of checks is kept.
    pub retention: Retention,
    /// Who is told of alerts.
    pub alerting: Alerting,
}

impl Config {
    /// Puts together what was said in all places, and checks it.
    ///
    /// # Errors
    /// When the file can't be read, or a value in it or in the flags makes no sense.
    pub fn load(args: &ServeArgs) -> Result<Self, ConfigError> {
        let file = args
            .config
            .as_deref()
            .map(File::read)
            .transpose()?
            .unwrap_or_default();
        let page = Page::load(&args.page, &file)?;
        let terms = Terms::load(args, &file)?;
        let config = Self {
            data_dir: args
                .data_dir
                .clone()
                .or(file.data_dir)
                .unwrap_or_else(default_data_dir),
            listen: address("listen", args.listen.as_deref(), file.listen.as_deref(), LISTEN)?,
            http: address("http", args.http.as_deref(), file.http.as_deref(), HTTP)?,
            advertise: if args.advertise.is_empty() {
                file.advertise
            } else {
                args.advertise.clone()
            },
            otlp_endpoint: args.otlp_endpoint.clone().or(file.otlp_endpoint),
            trace_ratio: TraceRatio::load(args.trace_ratio, file.trace_ratio)?,
            log_format: args.log_format.or(file.log_format).unwrap_or_default(),
            log_filter: args.log_filter.clone().or(file.log_filter),
            terms,
            page,
            own_pki: OwnPki::load(&args.tls, file.tls)?,
            limits: file.limits,
            retention: Retention::load(&file.retention)?,
            alerting: file.alerting,
        };
        config.check()?;
        Ok(config)
    }

    /// The configuration as a file that says the same.
    ///
    /// # Errors
    /// When a path is not text.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        let advertise: Vec<String> = self.advertise.iter().map(|name| quoted(name)).collect();
        let mut text = format!(
            "data_dir = {}\nlisten = {}\nhttp = {}\nadvertise = [{}]\n",
            quoted(
                self.data_dir
                    .to_str()
                    .ok_or(ConfigError::PathNotText("data_dir"))?
            ),
            quoted(&self.listen.to_string()),
            quoted(&self.http.to_string()),
            advertise.join(", "),
        );
        if let Some(endpoint) = &self.otlp_endpoint {
            text.push_str(&format!("otlp_endpoint = {}\n", quoted(endpoint)));
        }
        text.push_str(&self.trace_ratio.to_toml());
        let format = match self.log_format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        text.push_str(&format!("log_format = {}\n", quoted(format)));
        if let Some(filter) = &self.log_filter {
            text.push_str(&format!("log_filter = {}\n", quoted(filter)));
        }
        text.push_str(&self.terms.to_toml());
        text.push_str(&self.page.to_toml()?);
        // A table ends what stands before it, so tables come last.
        if let Some(own) = &self.own_pki {
            text.push_str(&own.to_toml()?);
        }
        text.push_str(&self.limits.to_toml());
        text.push_str(&self.retention.to_toml());
        text.push_str(&self.alerting.to_toml()?);
        Ok(text)
    }

    /// Whether the files of a PKI of one's own, and the secrets of receivers, can be used now.
    ///
    /// # Errors
    /// For the first that can't.
    pub fn check_files(&self) -> Result<(), ConfigError> {
        if let Some(own) = &self.own_pki {
            let served = own.files.served();
            served.map_err(|error| ConfigError::Files(error.to_string()))?;
        }
        crate::alerts::deliver::Prepared::of(&self.alerting)
            .map(drop)
            .map_err(ConfigError::Secret)
    }

    /// What the server certificate is to be valid for.
    pub(crate) fn advertised_names(&self) -> Vec<String> {
        if !self.advertise.is_empty() {
            return self.advertise.clone();
        }
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        names.extend(host_name().filter(|name| is_host(name)));
        names
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.limits.check()?;
        self.alerting.check()?;
        logs::check(self.log_filter.as_deref())?;
        if let Some(name) = self.advertise.iter().find(|name| !is_host(name)) {
            return Err(ConfigError::Value {
                key: "advertise",
                value: name.clone(),
                wanted: "a host name or an address, without a port",
            });
        }
        let endpoint = self.otlp_endpoint.as_ref();
        let scheme = |endpoint: &&String| {
            !["http://", "https://"]
                .iter()
                .any(|scheme| endpoint.starts_with(scheme))
        };
        if let Some(endpoint) = endpoint.filter(scheme) {
            return Err(ConfigError::Value {
                key: "otlp-endpoint",
                value: endpoint.clone(),
                wanted: "http://HOST:PORT or https://HOST:PORT of an OTLP/gRPC receiver",
            });
        }
        Ok(())
    }
}

/// Where the data is when nothing else is said: what systemd gives the unit, else the system's place for root, else
/// the user's own.
pub fn default_data_dir() -> PathBuf {
    let given = |variable| std::env::var_os(variable).map(PathBuf::from);
    if let Some(directory) = given("STATE_DIRECTORY") {
        return directory;
    }
    let own = given("XDG_STATE_HOME").or_else(|| given("HOME").map(|home| home.join(".local/state")));
    match own.filter(|_| !is_root()) {
        Some(state) => state.join("parallax-collector"),
        None => PathBuf::from("/var/lib/parallax-collector"),
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn address(
    key: &'static str,
    flag: Option<&str>,
    file: Option<&str>,
    default: &str,
) -> Result<SocketAddr, ConfigError> {
    let text = flag.or(file).unwrap_or(default);
    SocketAddr::from_str(text).map_err(|_| ConfigError::Value {
        key,
        value: text.to_owned(),
        wanted: "ADDRESS:PORT, for example 0.0.0.0:7143 or [::]:7143",
    })
}

/// A TOML basic string; JSON's are among them.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned())
}

fn is_host(text: &str) -> bool {
    let name = |text: &str| {
        (1..=253).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
    };
    text.parse::<std::net::IpAddr>().is_ok() || name(text)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn load(words: &[&str]) -> Result<Config, ConfigError> {
        let all = ["parallax-collector", "serve"].iter().chain(words);
        let Command::Serve(args) = Args::try_parse_from(all).unwrap().command else {
            panic!("serve")
        };
        Config::load(&args)
    }

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("collector.toml");
        std::fs::write(&path, text).unwrap();
        (directory, path.to_str().unwrap().to_owned())
    }

    #[test]
    fn nothing_needs_to_be_said() {
        let config = load(&[]).unwrap();
        assert_eq!(config.listen.to_string(), LISTEN);
        assert_eq!(config.http.to_string(), HTTP);
        assert!(config.advertised_names().contains(&"localhost".to_owned()));
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let (_directory, path) = file("listen = \"127.0.0.1:1\"\nhttp = \"127.0.0.1:2\"\n");
        let config = load(&["--config", &path, "--listen", "127.0.0.1:3"]).unwrap();
        assert_eq!(config.listen.port(), 3);
        assert_eq!(config.http.port(), 2);
    }

    #[test]
    fn a_limit_can_be_set_and_what_is_not_said_stays() {
        let (_directory, path) = file("[limits]\nper_identity = 8\n");
        let config = load(&["--config", &path]).unwrap();
        let expected = Limits {
            per_identity: 8,
            ..Limits::default()
        };
        assert_eq!(config.limits, expected);
        let (_again, printed) = file(&config.to_toml().unwrap());
        assert_eq!(load(&["--config", &printed]).unwrap(), config);
        let (_zero, path) = file("[limits]\nconnections = 0\n");
        let problem = load(&["--config", &path]).unwrap_err().to_string();
        assert!(problem.starts_with("connections: "), "{problem}");
    }

    #[test]
    fn an_unknown_key_is_told_in_one_line() {
        let (_directory, path) = file("listne = \"127.0.0.1:1\"\n");
        let problem = load(&["--config", &path]).unwrap_err().to_string();
        assert!(problem.contains("listne") && !problem.contains('\n'), "{problem}");
    }

    #[test]
    fn what_is_printed_reads_back() {
        let config = load(&[
            "--advertise",
            "a.example",
            "--otlp-endpoint",
            "http://127.0.0.1:4317",
            "--http-certificate",
            "a.pem",
            "--http-key",
            "b.pem",
            "--trace-ratio",
            "0.25",
            "--log-filter",
            "warn",
        ])
        .unwrap();
        let (_directory, path) = file(&config.to_toml().unwrap());
        assert_eq!(load(&["--config", &path]).unwrap(), config);
    }

    #[test]
    fn a_pki_of_ones_own_is_given_whole_or_not_at_all() {
        let table = "[tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\nclient_ca = \"ca.pem\"\n";
        let (_directory, path) = file(&format!("{table}trust_domain = \"corp.example\"\n"));
        let config = load(&["--config", &path, "--tls-client-ca", "a.pem,b.pem"]).unwrap();
        let own = config.own_pki.as_ref().unwrap();
        assert_eq!(own.trust_domain.to_string(), "corp.example");
        assert_eq!(own.files.ca, [PathBuf::from("a.pem"), PathBuf::from("b.pem")]);
        let (_again, printed) = file(&config.to_toml().unwrap());
        assert_eq!(load(&["--config", &printed]).unwrap(), config);
        let (_part, path) = file(table);
        let problem = load(&["--config", &path]).unwrap_err().to_string();
        assert!(problem.contains("trust_domain are given together"), "{problem}");
        assert!(load(&["--config", &path, "--trust-domain", "Corp"]).is_err());
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        for words in [
            ["--listen", "7143"],
            ["--advertise", "host:7143"],
            ["--otlp-endpoint", "localhost:4317"],
            ["--certificate-lifetime", "59s"],
            ["--certificate-lifetime", "31d"],
            ["--renew-grace", "soon"],
            ["--http-key", "key.pem"],
            ["--trace-ratio", "1.5"],
            ["--log-filter", "parallax=loud"],
        ] {
            assert!(load(&words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn a_secret_that_a_receiver_names_is_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("webhook.key");
        let (_file, path) = file(&format!(
            "[[alerting.receivers]]\nname = 'chat'\nwebhook = 'http://127.0.0.1/'\nsecret_file = '{}'",
            key.display()
        ));
        let config = load(&["--config", &path]).unwrap();
        let missing = config.check_files().unwrap_err().to_string();
        assert!(
            missing.contains("receiver chat: read ") && missing.contains("webhook.key"),
            "{missing}"
        );
        std::fs::write(&key, "short\n").unwrap();
        let short = config.check_files().unwrap_err().to_string();
        assert!(short.contains("receiver chat") && short.contains("16"), "{short}");
        std::fs::write(&key, "long enough to sign with\n").unwrap();
        config.check_files().unwrap();
    }
}
