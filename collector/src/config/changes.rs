//! What is otherwise in a configuration that is read while the collector runs.

use super::{Config, Page, Terms};

/// The keys whose values differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// What a collector that runs can take.
    pub(crate) taken: Vec<&'static str>,
    /// What only another start can.
    pub(crate) after_restart: Vec<&'static str>,
}

impl Config {
    /// What is otherwise in another configuration.
    pub(crate) fn changes(&self, next: &Self) -> Changes {
        // Whole, so that nobody adds a key without saying which of the two it is.
        let Self {
            data_dir,
            listen,
            http,
            advertise,
            otlp_endpoint,
            trace_ratio,
            log_format,
            log_filter,
            terms: Terms { lifetime, grace },
            page:
                Page {
                    plain,
                    token_file,
                    certificate,
                },
            own_pki,
            limits,
            retention,
            alerting,
        } = self;
        let taken = [
            ("trace_ratio", *trace_ratio != next.trace_ratio),
            ("log_filter", *log_filter != next.log_filter),
            ("limits", *limits != next.limits),
            ("retention", *retention != next.retention),
            ("alerting", *alerting != next.alerting),
        ];
        let after_restart = [
            ("data_dir", *data_dir != next.data_dir),
            ("listen", *listen != next.listen),
            ("http", *http != next.http),
            ("http_plain", *plain != next.page.plain),
            ("http_token_file", *token_file != next.page.token_file),
            (
                "http_certificate or http_key",
                *certificate != next.page.certificate,
            ),
            ("advertise", *advertise != next.advertise),
            ("otlp_endpoint", *otlp_endpoint != next.otlp_endpoint),
            ("certificate_lifetime", *lifetime != next.terms.lifetime),
            ("renew_grace", *grace != next.terms.grace),
            ("log_format", *log_format != next.log_format),
            ("tls", *own_pki != next.own_pki),
        ];
        Changes {
            taken: otherwise(&taken),
            after_restart: otherwise(&after_restart),
        }
    }

    /// The same with what a collector that runs can take of another.
    pub(crate) fn take(&mut self, next: Self) {
        self.trace_ratio = next.trace_ratio;
        self.log_filter = next.log_filter;
        self.limits = next.limits;
        self.retention = next.retention;
        self.alerting = next.alerting;
    }
}

fn otherwise(keys: &[(&'static str, bool)]) -> Vec<&'static str> {
    let otherwise = keys.iter().filter(|(_, otherwise)| *otherwise);
    otherwise.map(|(key, _)| *key).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Args, Command, Config};
    use clap::Parser as _;

    fn read(file: &str) -> Config {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("collector.toml");
        std::fs::write(&path, file).unwrap();
        load(&path)
    }

    fn load(path: &Path) -> Config {
        let words = ["parallax-collector", "serve", "--config", path.to_str().unwrap()];
        let Command::Serve(args) = Args::try_parse_from(words).unwrap().command else {
            panic!("serve")
        };
        Config::load(&args).unwrap()
    }

    #[test]
    fn each_key_is_taken_or_takes_a_restart() {
        let before = read("");
        for (file, key) in [
            ("trace_ratio = 0.5", "trace_ratio"),
            ("log_filter = \"debug\"", "log_filter"),
            ("[limits]\nper_identity = 8", "limits"),
            ("[retention]\nresults = \"1h\"", "retention"),
            ("[alerting]\nexternal_url = \"http://a/\"", "alerting"),
        ] {
            let changes = before.changes(&read(file));
            assert_eq!((changes.taken, changes.after_restart), (vec![key], vec![]));
        }
        for (file, key) in [
            ("data_dir = \"/elsewhere\"", "data_dir"),
            ("listen = \"127.0.0.1:1\"", "listen"),
            ("http = \"127.0.0.1:2\"", "http"),
            ("http_plain = true", "http_plain"),
            ("http_token_file = \"/t\"", "http_token_file"),
            (
                "http_certificate = \"/c\"\nhttp_key = \"/k\"",
                "http_certificate or http_key",
            ),
            ("advertise = [\"a.example\"]", "advertise"),
            ("otlp_endpoint = \"http://o\"", "otlp_endpoint"),
            ("certificate_lifetime = \"1h\"", "certificate_lifetime"),
            ("renew_grace = \"1h\"", "renew_grace"),
            ("log_format = \"json\"", "log_format"),
            (
                "[tls]\ncertificate = \"c\"\nkey = \"k\"\nclient_ca = \"a\"\ntrust_domain = \"corp.example\"",
                "tls",
            ),
        ] {
            let changes = before.changes(&read(file));
            assert_eq!((changes.taken, changes.after_restart), (vec![], vec![key]));
        }
        assert_eq!(before.changes(&before), super::Changes::default());
    }

    #[test]
    fn what_was_taken_is_no_change_any_more_and_what_was_not_still_is() {
        let mut running = read("");
        let next = read(
            "listen = \"127.0.0.1:1\"\ntrace_ratio = 1\nlog_filter = \"debug\"\n[limits]\nper_identity = 8\n\
             [retention]\nresults = \"1h\"\n[alerting]\nexternal_url = \"http://a/\"\n",
        );
        running.take(next.clone());
        let changes = running.changes(&next);
        assert_eq!((changes.taken, changes.after_restart), (vec![], vec!["listen"]));
        assert_eq!(running.listen, read("").listen);
    }
}
