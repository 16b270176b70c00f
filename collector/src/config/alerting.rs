//! Who is told of alerts.

use std::collections::BTreeSet;
use std::path::PathBuf;

use hyper::Uri;
use parallax_model::vantage::AgentName;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ConfigError, quoted};

/// Receivers at most, each URL of an Alertmanager cluster counted.
const RECEIVERS_AT_MOST: usize = 64;

/// What stands for the trace in a template.
const TRACE: &str = "{trace_id}";

/// The table `[alerting]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alerting {
    /// Where people find this collector's page, for links in notices: that of a run is `/runs/ID` below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_url: Option<String>,
    /// Where a trace is shown; `{trace_id}` in it stands for the trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_url_template: Option<String>,
    /// Who is told.
    pub receivers: Vec<Receiver>,
}

/// One who is told: an Alertmanager, a webhook or a mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Receiver {
    /// What it is called.
    pub name: String,
    /// Base URLs of an Alertmanager; of a cluster, those of all members.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alertmanager: Vec<String>,
    /// URL to which each notice is posted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    /// Key of the signature of what is posted to the webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// Mail server, `smtps://HOST[:PORT]` or, with STARTTLS, `smtp://HOST[:PORT]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp: Option<String>,
    /// Sender of the mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Its receivers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// Who logs in at the mail server; nobody without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// That one's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
}

impl Alerting {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if let Some(url) = &self.external_url {
            web_address("external_url", url)?;
            // Addresses of its pages are made by what is put behind it.
            if !is_plain(url) || url.contains(['?', '#']) {
                let wanted = "http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH], no query, odd characters as %XX";
                return Err(wrong("external_url", url, wanted));
            }
        }
        if let Some(template) = &self.trace_url_template {
            let of = |trace: &str| template.replace(TRACE, trace);
            let host = |url: &str| url.parse::<Uri>().ok().and_then(|uri| uri.into_parts().authority);
            let wanted = "a URL with {trace_id} behind its host where the trace's id belongs";
            if !template.contains(TRACE) || host(&of("0")) != host(&of("1")) {
                return Err(wrong("trace_url_template", template, wanted));
            }
            web_address("trace_url_template", &of("0"))?;
            if !is_plain(&of("0")) {
                let wanted = "a URL with {trace_id}, and every other odd character of it as %XX";
                return Err(wrong("trace_url_template", template, wanted));
            }
        }
        let mut names = BTreeSet::new();
        for receiver in &self.receivers {
            receiver.check()?;
            if !names.insert(&receiver.name) {
                return Err(wrong(
                    "receivers",
                    &receiver.name,
                    "a name of its own: two receivers have it",
                ));
            }
        }
        let all = self
            .receivers
            .iter()
            .map(|receiver| receiver.alertmanager.len().max(1));
        if all.sum::<usize>() > RECEIVERS_AT_MOST {
            return Err(wrong("receivers", "their number", "at most 64 with all URLs"));
        }
        Ok(())
    }

    /// The address of a run's page.
    pub(crate) fn run_url(&self, run: Uuid) -> Option<String> {
        let page = self.external_url.as_ref()?;
        Some(format!("{}/runs/{run}", page.trim_end_matches('/')))
    }

    /// The address of a trace's page.
    pub(crate) fn trace_url(&self, trace: &str) -> Option<String> {
        let template = self.trace_url_template.as_ref()?;
        Some(template.replace(TRACE, trace))
    }

    pub(super) fn to_toml(&self) -> Result<String, ConfigError> {
        if *self == Self::default() {
            return Ok(String::new());
        }
        let mut text = "\n[alerting]\n".to_owned();
        put(&mut text, "external_url", self.external_url.as_deref());
        put(
            &mut text,
            "trace_url_template",
            self.trace_url_template.as_deref(),
        );
        for receiver in &self.receivers {
            text.push_str(&receiver.to_toml()?);
        }
        Ok(text)
    }
}

impl Receiver {
    fn check(&self) -> Result<(), ConfigError> {
        if self.name.parse::<AgentName>().is_err() {
            let wanted =
                "a name: 1 to 63 of A-Z a-z 0-9 . _ -, beginning and ending with a letter or a digit";
            return Err(wrong("receivers", &self.name, wanted));
        }
        let ways = [
            !self.alertmanager.is_empty(),
            self.webhook.is_some(),
            self.smtp.is_some(),
        ];
        if ways.iter().filter(|there| **there).count() != 1 {
            let wanted = "a receiver with exactly one of alertmanager, webhook, smtp";
            return Err(wrong("receivers", &self.name, wanted));
        }
        for url in self.alertmanager.iter().chain(&self.webhook) {
            web_address("receivers", url)?;
        }
        self.belongs("secret_file", self.secret_file.is_some(), self.webhook.is_some())?;
        let mail = [
            ("from", self.from.is_some()),
            ("to", !self.to.is_empty()),
            ("user", self.user.is_some()),
            ("password_file", self.password_file.is_some()),
        ];
        for (key, there) in mail {
            self.belongs(key, there, self.smtp.is_some())?;
        }
        match &self.smtp {
            Some(url) => self.check_mail(url),
            None => Ok(()),
        }
    }

    fn belongs(&self, key: &str, there: bool, wanted: bool) -> Result<(), ConfigError> {
        if there && !wanted {
            let value = format!("{}: {key}", self.name);
            return Err(wrong("receivers", &value, "a key of this kind of receiver"));
        }
        Ok(())
    }

    fn check_mail(&self, url: &str) -> Result<(), ConfigError> {
        let uri: Option<Uri> = url.parse().ok();
        let uri = uri.filter(|uri| {
            let scheme = matches!(uri.scheme_str(), Some("smtp" | "smtps"));
            let bare = uri.path().trim_matches('/').is_empty() && !has_user(uri);
            scheme && bare && uri.host().is_some()
        });
        if uri.is_none() {
            let wanted = "smtps://HOST[:PORT] or smtp://HOST[:PORT], the user under its own key";
            return Err(wrong("receivers", url, wanted));
        }
        if self.from.is_none() || self.to.is_empty() {
            return Err(wrong(
                "receivers",
                &self.name,
                "a receiver of mail with from and to",
            ));
        }
        for address in self.from.iter().chain(&self.to) {
            if address.parse::<lettre::message::Mailbox>().is_err() {
                return Err(wrong("receivers", address, "a mail address"));
            }
        }
        if self.user.is_some() != self.password_file.is_some() {
            let wanted = "a receiver with both of user and password_file, or with neither";
            return Err(wrong("receivers", &self.name, wanted));
        }
        Ok(())
    }

    fn to_toml(&self) -> Result<String, ConfigError> {
        let mut text = format!("\n[[alerting.receivers]]\nname = {}\n", quoted(&self.name));
        put_all(&mut text, "alertmanager", &self.alertmanager);
        put(&mut text, "webhook", self.webhook.as_deref());
        put(&mut text, "secret_file", path(self.secret_file.as_ref())?);
        put(&mut text, "smtp", self.smtp.as_deref());
        put(&mut text, "from", self.from.as_deref());
        put_all(&mut text, "to", &self.to);
        put(&mut text, "user", self.user.as_deref());
        put(&mut text, "password_file", path(self.password_file.as_ref())?);
        Ok(text)
    }
}

fn web_address(key: &'static str, url: &str) -> Result<(), ConfigError> {
    let uri: Option<Uri> = url.parse().ok();
    let good = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && !has_user(&uri)
    });
    if good {
        return Ok(());
    }
    Err(wrong(
        key,
        url,
        "http://HOST[:PORT]/... or https://HOST[:PORT]/..., without a user",
    ))
}

/// Whether a URL has no character that must be escaped in one (RFC 3986, section 2): what is put into a notice, a page
/// or a mail is a link as it stands.
fn is_plain(url: &str) -> bool {
    url.bytes().enumerate().all(|(at, byte)| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => true,
        b'%' => url
            .as_bytes()
            .get(at + 1..at + 3)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
        other => b"-._~:/?#[]@!$&'()*+,;=".contains(&other),
    })
}

fn has_user(uri: &Uri) -> bool {
    uri.authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
}

fn path(path: Option<&PathBuf>) -> Result<Option<&str>, ConfigError> {
    path.map(|path| path.to_str().ok_or(ConfigError::PathNotText("alerting")))
        .transpose()
}

fn put(text: &mut String, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        text.push_str(&format!("{key} = {}\n", quoted(value)));
    }
}

fn put_all(text: &mut String, key: &str, values: &[String]) {
    if !values.is_empty() {
        let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
        text.push_str(&format!("{key} = [{}]\n", values.join(", ")));
    }
}

fn wrong(key: &'static str, value: &str, wanted: &'static str) -> ConfigError {
    ConfigError::Value {
        key,
        value: value.to_owned(),
        wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Alerting, String> {
        #[derive(Deserialize)]
        struct File {
            alerting: Alerting,
        }
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        file.alerting.check().map_err(|error| error.to_string())?;
        Ok(file.alerting)
    }

    const ALL: &str = r#"
        [alerting]
        external_url = "https://parallax.example.org"
        trace_url_template = "https://traces.example.org/trace/{trace_id}"
        [[alerting.receivers]]
        name = "on-call"
        alertmanager = ["http://am-1:9093", "http://am-2:9093/prefix"]
        [[alerting.receivers]]
        name = "chat"
        webhook = "https://hooks.example.org/parallax"
        secret_file = "/etc/parallax/webhook.key"
        [[alerting.receivers]]
        name = "mail"
        smtp = "smtps://mail.example.org"
        from = "Parallax <parallax@example.org>"
        to = ["ops@example.org"]
        user = "parallax@example.org"
        password_file = "/etc/parallax/mail.password"
    "#;

    #[test]
    fn what_is_printed_of_receivers_reads_back() {
        let alerting = read(ALL).unwrap();
        assert_eq!(alerting.receivers.len(), 3);
        assert_eq!(read(&alerting.to_toml().unwrap()).unwrap(), alerting);
        let trace = alerting.trace_url("0af7").unwrap();
        assert_eq!(trace, "https://traces.example.org/trace/0af7");
    }

    #[test]
    fn a_receiver_that_could_not_be_told_is_refused_with_what_to_fix() {
        let receiver = |lines: &str| read(&format!("[alerting]\n[[alerting.receivers]]\n{lines}"));
        for (lines, said) in [
            ("name = 'a'", "exactly one of"),
            (
                "name = 'a'\nwebhook = 'http://h/'\nsmtp = 'smtp://m'",
                "exactly one of",
            ),
            ("name = 'a b'\nwebhook = 'http://h/'", "a name"),
            ("name = 'a'\nwebhook = 'h:80'", "http://HOST"),
            ("name = 'a'\nwebhook = 'http://me:secret@h/'", "without a user"),
            (
                "name = 'a'\nalertmanager = ['http://h']\nsecret_file = 'k'",
                "secret_file",
            ),
            ("name = 'a'\nsmtp = 'smtp://m'", "from and to"),
            (
                "name = 'a'\nsmtp = 'smtp://u@m'\nfrom = 'a@b'\nto = ['c@d']",
                "its own key",
            ),
            (
                "name = 'a'\nsmtp = 'smtp://m'\nfrom = 'nobody'\nto = ['c@d']",
                "a mail address",
            ),
            (
                "name = 'a'\nsmtp = 'smtp://m'\nfrom = 'a@b'\nto = ['c@d']\nuser = 'u'",
                "both of",
            ),
        ] {
            let problem = receiver(lines).unwrap_err();
            assert!(problem.contains(said), "{lines}: {problem}");
        }
        let twice =
            "name = 'a'\nwebhook = 'http://h/'\n[[alerting.receivers]]\nname = 'a'\nwebhook = 'http://h/'";
        assert!(receiver(twice).unwrap_err().contains("two receivers have it"));
    }

    #[test]
    fn links_are_addresses_as_they_stand_or_refused() {
        let links = |key: &str, url: &str| {
            let mut alerting = Alerting::default();
            match key {
                "external_url" => alerting.external_url = Some(url.to_owned()),
                _ => alerting.trace_url_template = Some(url.to_owned()),
            }
            alerting.check().map(|()| alerting)
        };
        let trace = |template: &str| {
            let alerting = links("trace_url_template", template).unwrap();
            alerting.trace_url("0af7").unwrap()
        };
        for (template, url) in [
            (
                "https://t.example/trace/{trace_id}",
                "https://t.example/trace/0af7",
            ),
            (
                "http://[2001:db8::1]:3000/#/{trace_id}",
                "http://[2001:db8::1]:3000/#/0af7",
            ),
            (
                "https://g.example/explore?left=%7B%22query%22:%22{trace_id}%22%7D&or={trace_id}",
                "https://g.example/explore?left=%7B%22query%22:%220af7%22%7D&or=0af7",
            ),
        ] {
            assert_eq!(trace(template), url);
        }
        for template in [
            "https://t.example/",
            "https://{trace_id}.t.example/",
            "https://t.example:{trace_id}/",
            "{trace_id}://t.example/",
            "javascript:alert('{trace_id}')",
            "https://me@t.example/{trace_id}",
            "https://t.example/{\"q\":\"{trace_id}\"}",
            "https://t.example/{trace_id}\"><script>",
            "https://t.example/#{trace_id}\nX: y",
            "https://t.example/{trace_id} and more",
            "https://t.example/tr\u{e4}ce/{trace_id}",
            "https://t.example/{trace_id}%2",
        ] {
            let refused = links("trace_url_template", template);
            assert!(refused.is_err(), "{template}: {refused:?}");
        }
        let run = Uuid::from_u128(7);
        for page in [
            "https://p.example",
            "https://p.example/",
            "https://p.example/pre/fix",
        ] {
            let url = links("external_url", page).unwrap().run_url(run).unwrap();
            assert_eq!(url, format!("{}/runs/{run}", page.trim_end_matches('/')));
        }
        for page in [
            "https://p.example/?a=b",
            "https://p.example/#a",
            "https://p.example/a b",
            "ftp://p.example/",
            "p.example",
        ] {
            assert!(links("external_url", page).is_err(), "{page}");
        }
        assert_eq!(Alerting::default().run_url(run), None);
    }
}
