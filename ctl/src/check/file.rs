//! Checks in a TOML file.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use parallax_model::spec::{Depth, Examination, FamilyChoice, PathChoice};
use parallax_model::target::Security;
use parallax_proto::v1;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::{Spanned, Table, Value};

use super::{Wish, millis, usual_rules};
use crate::args::{Examine, ProbeArgs, read, rules};
use crate::exit::Trouble;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// What holds for every check that does not say otherwise.
    #[serde(default)]
    defaults: Table,
    #[serde(default)]
    check: Vec<Spanned<Table>>,
}

/// A time as it is typed on the command line too: `"60s"`, or a number of seconds.
struct Time(String);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            Value::Integer(seconds) => Ok(Self(seconds.to_string())),
            other => Err(D::Error::custom(format!(
                "{other} is no time: give one such as \"60s\""
            ))),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Option<String>,
    target: Option<String>,
    security: Option<String>,
    depth: Option<String>,
    credential: Option<String>,
    timeout: Option<Time>,
    family: Option<String>,
    #[serde(default)]
    addresses: Vec<IpAddr>,
    resolver: Option<String>,
    #[serde(default)]
    ca_file: Vec<PathBuf>,
    hold: Option<Time>,
    #[serde(default)]
    examine: Vec<String>,
    path: Option<String>,
    follow_up: Option<bool>,
    #[serde(default)]
    from: Vec<String>,
    limit: Option<u32>,
    every: Option<Time>,
    #[serde(default)]
    together: bool,
    alerts: Option<Alerts>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    runbook: String,
    #[serde(default)]
    maintenance: Vec<Maintenance>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Alerts {
    #[serde(default)]
    none: bool,
    failing: Option<Fail>,
    degraded: Option<Fail>,
    #[serde(default)]
    latency: Vec<Latency>,
    certificate: Option<Certificate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fail {
    vantages: Option<u32>,
    share: Option<f64>,
    rounds: Option<u32>,
    recover_rounds: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Latency {
    stage: String,
    above: Option<Time>,
    above_baseline: Option<f64>,
    rounds: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Certificate {
    days: Option<u32>,
    critical_days: Option<u32>,
    lifetime_left: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Maintenance {
    from: String,
    #[serde(rename = "for")]
    length: Time,
    every: Option<Time>,
}

/// What is wrong at a key.
type Wrong = (&'static str, String);

/// The checks of a file. `name` is how it is called in an error; files that it names are sought from `folder`.
pub(crate) fn read(text: &str, name: &str, folder: &Path) -> Result<Vec<Wish>, Trouble> {
    let file: File = toml::from_str(text).map_err(|error| {
        let before = error.span().map_or(0, |span| span.start);
        let line = text[..before.min(text.len())].matches('\n').count() + 1;
        Trouble::new(format!("{name}, line {line}: {}", error.message()))
    })?;
    let defaults = text.lines().position(|line| line.trim() == "[defaults]");
    let wrong =
        |place: &Place<'_>, what: &str| Trouble::new(format!("{name}{}: {what}", place.found(text, what)));
    let place = Place {
        called: "[defaults]",
        line: defaults.unwrap_or_default(),
    };
    entry(file.defaults.clone()).map_err(|what| wrong(&place, &what))?;
    let mut names = BTreeSet::new();
    let mut wishes = Vec::new();
    for (number, check) in file.check.into_iter().enumerate() {
        let before = check.span().start.min(text.len());
        let line = text[..before].matches('\n').count();
        let mut check = check.into_inner();
        let called = check.get("name").and_then(Value::as_str);
        let place = called.map_or_else(
            || format!("[[check]] number {}", number + 1),
            |called| format!("check {called}"),
        );
        let place = Place { called: &place, line };
        for (key, value) in &file.defaults {
            check.entry(key.clone()).or_insert_with(|| value.clone());
        }
        let entry = entry(check).map_err(|what| wrong(&place, &what))?;
        let wish = entry
            .wish(folder)
            .map_err(|(key, what)| wrong(&place, &format!("{key}: {what}")))?;
        if !names.insert(wish.name.clone()) {
            return Err(wrong(&place, "there are two of this name"));
        }
        wishes.push(wish);
    }
    Ok(wishes)
}

/// Where in the file something is wrong.
struct Place<'a> {
    called: &'a str,
    /// Lines before it.
    line: usize,
}

impl Place<'_> {
    /// ", line 7: check a", with the line of the key that `what` begins with or names; without, the check's own.
    fn found(&self, text: &str, what: &str) -> String {
        let named = what.split('`').nth(1).filter(|_| what.contains("unknown field"));
        let path = what.split(':').next().unwrap_or_default();
        let key = named.or_else(|| path.rsplit('.').next()).unwrap_or_default();
        let is_key = |line: &str| {
            let key_at = |at: usize| {
                let rest = line[at + key.len()..].trim_start();
                let before = line[..at].chars().next_back();
                rest.starts_with('=')
                    && before.is_none_or(|before| !before.is_alphanumeric() && before != '_')
            };
            !key.is_empty() && line.match_indices(key).any(|(at, _)| key_at(at))
        };
        let of_it = text.lines().enumerate().skip(self.line);
        let ends = |line: &str| matches!(line.trim(), "[[check]]" | "[defaults]");
        let mut of_it = of_it.take_while(|(at, line)| *at <= self.line + 1 || !ends(line));
        let line = of_it
            .find(|(_, line)| is_key(line))
            .map_or(self.line, |(at, _)| at);
        format!(", line {}: {}", line + 1, self.called)
    }
}

/// What is wrong begins with its key, if it is wrong at one.
fn entry(table: Table) -> Result<Entry, String> {
    Entry::deserialize(Value::Table(table)).map_err(|error| {
        let what = error.message().trim_end();
        let what = what.replace("expected a sequence", "expected a list, such as [\"...\"]");
        let whole = error.to_string();
        match whole
            .trim_end()
            .rsplit_once("\nin `")
            .and_then(|(_, key)| key.strip_suffix('`'))
        {
            Some(key) => format!("{key}: {what}"),
            None => what,
        }
    })
}

impl Entry {
    fn wish(self, folder: &Path) -> Result<Wish, Wrong> {
        let missing = || "is missing".to_owned();
        let every = self.every.as_ref().ok_or_else(|| ("every", missing()))?;
        let family = one_of("family", self.family.as_deref(), FamilyChoice::known)?;
        let probe = ProbeArgs {
            target: self.target.ok_or_else(|| ("target", missing()))?,
            security: one_of("security", self.security.as_deref(), Security::known)?,
            depth: one_of("depth", self.depth.as_deref(), Depth::known)?,
            credential: self.credential,
            timeout: parsed("timeout", typed(self.timeout.as_ref()), read::timeout)?,
            ipv4: family == Some(FamilyChoice::Ipv4),
            ipv6: family == Some(FamilyChoice::Ipv6),
            address: self.addresses,
            resolver: parsed("resolver", self.resolver.as_deref(), read::resolver)?,
            ca_file: self.ca_file.iter().map(|file| folder.join(file)).collect(),
            hold: parsed("hold", typed(self.hold.as_ref()), read::hold)?,
            examine: self
                .examine
                .iter()
                .map(|what| examination(what))
                .collect::<Result<_, _>>()?,
            path: one_of("path", self.path.as_deref(), PathChoice::known)?,
            no_follow_up: self.follow_up == Some(false),
            from: self.from,
            limit: self.limit,
            ..ProbeArgs::default()
        };
        Ok(Wish {
            name: self.name.ok_or_else(|| ("name", missing()))?,
            probe,
            every: read::every(&every.0).map_err(|what| ("every", what))?,
            together: self.together,
            rules: self.alerts.unwrap_or_default().rules()?,
            labels: self.labels,
            runbook: self.runbook,
            maintenance: self
                .maintenance
                .iter()
                .map(Maintenance::window)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Alerts {
    /// What is not said is as usual.
    fn rules(self) -> Result<v1::AlertRules, Wrong> {
        if self.none {
            return Ok(v1::AlertRules {
                none: true,
                ..v1::AlertRules::default()
            });
        }
        let mut rules = usual_rules();
        let usual = rules.failing.unwrap_or_default();
        let failing = self
            .failing
            .map_or(Ok(usual), |rule| rule.rule("alerts.failing", usual))?;
        let degraded = self.degraded.map(|rule| rule.rule("alerts.degraded", failing));
        rules.failing = Some(failing);
        rules.degraded = degraded.transpose()?;
        rules.latency = self
            .latency
            .into_iter()
            .map(|rule| rule.rule(failing.rounds))
            .collect::<Result<_, _>>()?;
        let certificate = rules.certificate.get_or_insert_default();
        if let Some(wanted) = self.certificate {
            certificate.days = wanted.days.unwrap_or(certificate.days);
            let critical = certificate.critical_days.min(certificate.days);
            certificate.critical_days = wanted.critical_days.unwrap_or(critical);
            certificate.lifetime_left = wanted.lifetime_left.unwrap_or(certificate.lifetime_left);
        }
        Ok(rules)
    }
}

impl Fail {
    fn rule(self, key: &'static str, usual: v1::FailRule) -> Result<v1::FailRule, Wrong> {
        let (vantages, share) = match (self.vantages, self.share) {
            (Some(_), Some(_)) => return Err((key, "give vantages or share, not both".to_owned())),
            (Some(vantages), None) => (vantages, 0.0),
            (None, Some(share)) => (0, share),
            (None, None) => (usual.vantages, usual.share),
        };
        Ok(v1::FailRule {
            vantages,
            share,
            rounds: self.rounds.unwrap_or(usual.rounds),
            recover_rounds: self.recover_rounds.unwrap_or(usual.recover_rounds),
        })
    }
}

impl Latency {
    fn rule(self, rounds: u32) -> Result<v1::LatencyRule, Wrong> {
        let key = "alerts.latency";
        let wrong = |what| (key, what);
        let above = parsed(key, typed(self.above.as_ref()), rules::above)?;
        if above.is_none() && self.above_baseline.is_none() {
            return Err(wrong("give above, above_baseline, or both".to_owned()));
        }
        let baseline = self.above_baseline.map(|times| rules::times_usual(Some(times)));
        Ok(v1::LatencyRule {
            stage: rules::stage(&self.stage).map_err(wrong)?,
            above_ms: above.map(millis).unwrap_or_default(),
            above_baseline: baseline.transpose().map_err(wrong)?.unwrap_or_default(),
            rounds: self.rounds.unwrap_or(rounds),
        })
    }
}

impl Maintenance {
    fn window(&self) -> Result<v1::Window, Wrong> {
        let key = "maintenance";
        let from: Timestamp = self
            .from
            .parse()
            .map_err(|_| (key, "from: give a time such as 2026-12-05T22:00:00Z".to_owned()))?;
        let time = |text: &str| {
            let time = read::duration(text).map_err(|what| (key, what))?;
            Ok(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
        };
        Ok(v1::Window {
            from_us: from.as_microsecond(),
            length_ms: time(&self.length.0)?,
            every_ms: typed(self.every.as_ref()).map_or(Ok(0), time)?,
        })
    }
}

fn typed(time: Option<&Time>) -> Option<&str> {
    time.map(|time| time.0.as_str())
}

fn parsed<T>(
    key: &'static str,
    text: Option<&str>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, Wrong> {
    text.map(parse).transpose().map_err(|what| (key, what))
}

fn one_of<T>(
    key: &'static str,
    text: Option<&str>,
    known: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Wrong> {
    parsed(key, text, |text| {
        known(text).ok_or_else(|| format!("{text:?} is not one of those that `ctl check add --help` names"))
    })
}

fn examination(name: &str) -> Result<Examine, Wrong> {
    if name == "all" {
        return Ok(Examine::All);
    }
    Examination::known(&name.replace('-', "_"))
        .map(Examine::One)
        .ok_or_else(|| ("examine", format!("{name:?} is nothing that can be examined")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(text: &str) -> String {
        match read(text, "checks.toml", Path::new(".")) {
            Ok(wishes) => panic!("{wishes:?}"),
            Err(trouble) => trouble.lines(),
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, said) in [
            ("[[check]\n", "checks.toml, line 1: "),
            ("[[chek]]\n", "unknown field `chek`"),
            (
                "[[check]]\ntarget = \"x\"\nevery = \"1m\"",
                "[[check]] number 1: name: is missing",
            ),
            (
                "[[check]]\nname = \"a\"\nevery = \"1m\"",
                "check a: target: is missing",
            ),
            (
                "[[check]]\nname = \"a\"\ntarget = \"x\"",
                "check a: every: is missing",
            ),
            (
                "[[check]]\nname = \"a\"\ntarget = \"x\"\nevery = \"1m\"\ndeph = \"tls\"",
                "check a: unknown field `deph`",
            ),
            (
                "[[check]]\nname = \"a\"\ntarget = \"x\"\nevery = \"1m\"\ndepth = \"abyss\"",
                "check a: depth: \"abyss\" is not one of those",
            ),
            (
                "[[check]]\nname = \"a\"\ntarget = \"x\"\nevery = \"10ms\"",
                "check a: every: give a time from 1s to 24h",
            ),
            (
                "[defaults]\nevry = \"1m\"",
                "checks.toml, line 2: [defaults]: unknown field `evry`",
            ),
            (
                "[[check]]\nname = \"a\"\ntarget = \"x\"\nevery = \"1m\"\nalerts.failing = { vantages = 2, share = 0.5 }",
                "check a: alerts.failing: give vantages or share, not both",
            ),
            (
                "[[check]]\nname = \"a\"\ntarget = \"x\"\nfrom = \"all\"\nevery = \"1m\"",
                "checks.toml, line 4: check a: from: invalid type: string \"all\", expected a list, such as",
            ),
            (
                "[[check]]\nname = \"b\"\ntarget = \"x\"\nevery = 60\n\n[[check]]\nname = \"a\"\ntarget = \"x\"\n\
                 every = \"1m\"\n[check.alerts]\nfaling = { vantages = 2 }",
                "checks.toml, line 11: check a: alerts: unknown field `faling`",
            ),
            (
                "[[check]]\nname = \"a\"\ntarget = \"x\"\nevery = true",
                "checks.toml, line 4: check a: every: true is no time: give one such as \"60s\"",
            ),
        ] {
            assert!(trouble(text).contains(said), "{text}\n{}", trouble(text));
        }
    }

    #[test]
    fn the_defaults_hold_for_what_a_check_does_not_say() {
        let text = "[defaults]\nevery = \"5m\"\nfrom = [\"eu-*\"]\n[[check]]\nname = \"a\"\ntarget = \"x\"\n\
                    [[check]]\nname = \"b\"\ntarget = \"y\"\nevery = \"1m\"";
        let wishes = read(text, "checks.toml", Path::new(".")).expect("reads");
        let seen: Vec<_> = wishes
            .iter()
            .map(|wish| (wish.every.as_secs(), wish.probe.from.join(" ")))
            .collect();
        assert_eq!(seen, [(300, "eu-*".to_owned()), (60, "eu-*".to_owned())]);
    }

    #[test]
    fn a_name_is_given_once() {
        let text =
            "[defaults]\ntarget = \"x\"\nevery = \"1m\"\n[[check]]\nname = \"a\"\n[[check]]\nname = \"a\"";
        assert!(trouble(text).contains("check a: there are two of this name"));
    }

    #[test]
    fn a_number_is_so_many_seconds_as_on_the_command_line() {
        let text = "[[check]]\nname = \"a\"\ntarget = \"x\"\nevery = 60\ntimeout = 5\nhold = \"2s\"";
        let wishes = read(text, "checks.toml", Path::new(".")).expect("reads");
        let seen = (
            wishes[0].every.as_secs(),
            wishes[0].probe.timeout.map(|time| time.as_secs()),
        );
        assert_eq!(seen, (60, Some(5)));
    }

    #[test]
    fn a_window_that_never_ends_is_refused_with_its_times() {
        let text = "[[check]]\nname = \"a\"\ntarget = \"x\"\nevery = \"1m\"\n\
                    maintenance = [{ from = \"2026-12-05T22:00:00Z\", for = \"8d\", every = \"7d\" }]";
        let wish = read(text, "checks.toml", Path::new("."))
            .expect("reads")
            .remove(0);
        let refused = wish
            .definition(&[])
            .expect_err("a window that never ends")
            .lines();
        assert!(
            refused.contains("maintenance: a window of 8d every 7d"),
            "{refused}"
        );
    }
}
