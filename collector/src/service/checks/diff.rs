//! What would become of checks, and what is otherwise of each.

use std::collections::BTreeMap;
use std::time::Duration;

use parallax_model::alert::{AlertRules, CertificateRule, FailRule, LatencyRule, Threshold};
use parallax_model::check::{CheckDefinition, Window};
use parallax_model::target::{Host, Target};
use parallax_proto::v1;
use sha2::{Digest as _, Sha256};

/// What is to become of one check.
#[derive(Debug, PartialEq)]
pub(super) enum Plan<'a> {
    Added(&'a CheckDefinition),
    Changed(&'a CheckDefinition, Vec<v1::FieldChange>),
    Unchanged(&'a CheckDefinition),
    Removed(&'a CheckDefinition),
}

/// From what there is to what is wanted; with `prune` nothing else stays.
pub(super) fn plan<'a>(
    known: impl IntoIterator<Item = &'a CheckDefinition>,
    wanted: &'a [CheckDefinition],
    prune: bool,
) -> Vec<Plan<'a>> {
    let mut known: BTreeMap<_, _> = known.into_iter().map(|known| (&known.name, known)).collect();
    let mut plans: Vec<_> = wanted
        .iter()
        .map(|wanted| match known.remove(&wanted.name) {
            None => Plan::Added(wanted),
            Some(before) if before == wanted => Plan::Unchanged(wanted),
            Some(before) => Plan::Changed(wanted, changes(before, wanted)),
        })
        .collect();
    if prune {
        plans.extend(known.into_values().map(Plan::Removed));
    }
    plans
}

impl Plan<'_> {
    /// The check it is about, as it will be, or was.
    pub(super) const fn definition(&self) -> &CheckDefinition {
        match self {
            Self::Added(definition)
            | Self::Changed(definition, _)
            | Self::Unchanged(definition)
            | Self::Removed(definition) => definition,
        }
    }

    /// In a word, as the contract has it.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Added(_) => "added",
            Self::Changed(..) => "changed",
            Self::Unchanged(_) => "unchanged",
            Self::Removed(_) => "removed",
        }
    }
}

fn changes(before: &CheckDefinition, after: &CheckDefinition) -> Vec<v1::FieldChange> {
    let sides = fields(before).into_iter().zip(fields(after));
    sides
        .filter(|((_, before), (_, after))| before != after)
        .map(|((field, before), (_, after))| v1::FieldChange {
            field: field.to_owned(),
            before,
            after,
        })
        .collect()
}

/// Everything that a person can say of a check, in words; always the same fields.
fn fields(check: &CheckDefinition) -> Vec<(&'static str, String)> {
    let spec = &check.spec;
    let options = &spec.options;
    let rules = &check.rules;
    vec![
        ("target", target(&spec.target)),
        ("depth", spec.depth.to_string()),
        ("family", spec.family.to_string()),
        ("addresses", joined(&spec.addresses)),
        ("timeout", time(spec.timeout)),
        ("resolver", some(options.resolver.as_ref())),
        ("examine", joined(&options.examine)),
        ("hold", options.hold.map(time).unwrap_or_default()),
        ("path", options.path.to_string()),
        ("anchors", anchors(&spec.anchors)),
        ("from", check.from.to_string()),
        ("limit", some(check.limit.as_ref())),
        ("every", time(check.every)),
        ("together", check.together.to_string()),
        ("follow_up", check.follow_up.to_string()),
        ("credential", some(check.credential.as_ref())),
        (
            "alerts.failing",
            rules.failing.as_ref().map(bad).unwrap_or_default(),
        ),
        (
            "alerts.degraded",
            rules.degraded.as_ref().map(bad).unwrap_or_default(),
        ),
        ("alerts.latency", latencies(rules)),
        (
            "alerts.certificate",
            rules.certificate.as_ref().map(certificate).unwrap_or_default(),
        ),
        ("labels", pairs(&check.labels)),
        ("runbook", some(check.runbook.as_ref())),
        (
            "maintenance",
            check
                .maintenance
                .iter()
                .map(window)
                .collect::<Vec<_>>()
                .join(", "),
        ),
    ]
}

/// `imap.example.org 993/tls`.
fn target(target: &Target) -> String {
    let host = match &target.host {
        Host::Name(name) => name.to_string(),
        Host::Address(address) => address.to_string(),
    };
    let endpoints = target.endpoints.iter();
    let endpoints = endpoints.map(|endpoint| format!(" {}/{}", endpoint.port, endpoint.security));
    host + &endpoints.collect::<String>()
}

fn anchors(anchors: &[Vec<u8>]) -> String {
    let sums = anchors.iter().map(|anchor| {
        let digest = Sha256::digest(anchor);
        hex::encode(&digest[..8])
    });
    sums.collect::<Vec<_>>().join(", ")
}

fn bad(rule: &FailRule) -> String {
    let from = match rule.from {
        Threshold::Vantages(vantages) => vantages.to_string(),
        Threshold::Share(share) => format!("{}%", share * 100.0),
    };
    format!(
        "from {from} for {} rounds, over after {}",
        rule.rounds, rule.recover_rounds
    )
}

fn latencies(rules: &AlertRules) -> String {
    let all = rules.latency.iter().map(latency);
    all.collect::<Vec<_>>().join(", ")
}

fn latency(rule: &LatencyRule) -> String {
    let stage = rule.stage.map_or("total", |stage| stage.as_str());
    let above = rule.above.map(|above| format!(" over {}", time(above)));
    let usual = rule
        .above_baseline
        .map(|times| format!(" over {times} times the usual"));
    format!(
        "{stage}{}{} for {} rounds",
        above.unwrap_or_default(),
        usual.unwrap_or_default(),
        rule.rounds
    )
}

fn certificate(rule: &CertificateRule) -> String {
    format!(
        "{} days, {} critical, {}% of its life",
        rule.days,
        rule.critical_days,
        rule.lifetime_left * 100.0
    )
}

fn window(window: &Window) -> String {
    let again = window.every.map(|every| format!(" every {}", time(every)));
    format!(
        "{} for {}{}",
        window.from,
        time(window.length),
        again.unwrap_or_default()
    )
}

fn pairs(labels: &BTreeMap<String, String>) -> String {
    let pairs = labels.iter().map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join(" ")
}

fn joined<T: ToString>(values: &[T]) -> String {
    let texts = values.iter().map(ToString::to_string);
    texts.collect::<Vec<_>>().join(", ")
}

fn some<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

/// `90s`, `1500ms`.
fn time(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::sample::definition;

    #[test]
    fn applied_twice_it_changes_nothing() {
        let wanted = [definition("a"), definition("b")];
        let words = |known: &[CheckDefinition]| -> Vec<_> {
            plan(known, &wanted, true).iter().map(Plan::word).collect()
        };
        assert_eq!(words(&[]), ["added", "added"]);
        assert_eq!(words(&wanted), ["unchanged", "unchanged"]);
    }

    #[test]
    fn prune_only_with_the_word() {
        let known = [definition("a"), definition("old")];
        let wanted = [definition("a")];
        let words = |prune| -> Vec<_> { plan(&known, &wanted, prune).iter().map(Plan::word).collect() };
        assert_eq!(words(false), ["unchanged"]);
        assert_eq!(words(true), ["unchanged", "removed"]);
    }

    #[test]
    fn what_is_otherwise_is_said_field_by_field() {
        let before = definition("a");
        let mut after = definition("a");
        after.every = Duration::from_millis(1500);
        after.labels.insert("team".into(), "mail".into());
        let (known, wanted) = ([before], [after]);
        let plans = plan(&known, &wanted, false);
        let Plan::Changed(_, changes) = &plans[0] else {
            panic!("{plans:?}")
        };
        let said: Vec<_> = changes
            .iter()
            .map(|change| {
                (
                    change.field.as_str(),
                    change.before.as_str(),
                    change.after.as_str(),
                )
            })
            .collect();
        assert_eq!(said, [("every", "60s", "1500ms"), ("labels", "", "team=mail")]);
    }

    #[test]
    fn whatever_is_otherwise_has_a_field() {
        let before = definition("a");
        let mut changed = Vec::new();
        let mut with = |change: fn(&mut CheckDefinition)| {
            let mut after = definition("a");
            change(&mut after);
            changed.push(after);
        };
        with(|check| check.together = true);
        with(|check| check.follow_up = false);
        with(|check| check.limit = Some(3));
        with(|check| check.runbook = Some("https://example.org".into()));
        with(|check| check.spec.timeout = Duration::from_secs(3));
        with(|check| check.spec.anchors = vec![vec![1]]);
        with(|check| check.rules.failing = None);
        with(|check| check.rules.certificate = None);
        with(|check| check.credential = Some("probe".into()));
        for after in &changed {
            assert_eq!(changes(&before, after).len(), 1, "{after:?}");
        }
    }
}
