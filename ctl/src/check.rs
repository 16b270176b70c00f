//! A check as it is put down: by flags or in a file, the same comes of it.

pub(crate) mod file;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use parallax_model::alert::AlertRules;
use parallax_model::check::CheckDefinition;
use parallax_model::spec::{CaptureChoice, Depth, ProbeSpec};
use parallax_proto::v1;

use crate::args::rules::{Bound, HowMany, Slow};
use crate::args::{AddCheck, ProbeArgs};
use crate::exit::Trouble;
use crate::question::Question;

/// What is wanted.
#[derive(Debug)]
pub(crate) struct Wish {
    /// What it is called.
    pub(crate) name: String,
    /// What is asked, and of whom.
    pub(crate) probe: ProbeArgs,
    /// How often.
    pub(crate) every: Duration,
    /// Whether a round starts everywhere at once.
    pub(crate) together: bool,
    /// When somebody is told.
    pub(crate) rules: v1::AlertRules,
    /// Labels of its alerts.
    pub(crate) labels: BTreeMap<String, String>,
    /// Where it is said what to do.
    pub(crate) runbook: String,
    /// When nobody is told.
    pub(crate) maintenance: Vec<v1::Window>,
}

impl Wish {
    /// As it goes to the collector. The files it names are read.
    pub(crate) fn definition(self, anchors_in_config: &[PathBuf]) -> Result<v1::CheckDefinition, Trouble> {
        if let Some(depth) = self.probe.depth.filter(|&depth| depth >= Depth::Login)
            && self.probe.credential.is_none()
        {
            return Err(Trouble::new(format!("depth {depth} needs a credential")).hint(
                "add --credential NAME, in a file credential = \"NAME\"; `ctl credential set NAME` keeps it",
            ));
        }
        // What logs in by a credential trusts the credential's own anchors.
        let anchors = match self.probe.credential {
            Some(_) => &[],
            None => anchors_in_config,
        };
        // Packets are kept beside a run that somebody asked for.
        let probe = ProbeArgs {
            capture: Some(CaptureChoice::Never),
            ..self.probe
        };
        let question = Question::read(&probe, anchors)?;
        // Whose secret it is, the collector knows by the credential's name.
        let spec = ProbeSpec {
            login: None,
            ..question.spec
        };
        let wire = v1::CheckDefinition {
            name: self.name,
            spec: Some((&spec).into()),
            from: question.selector.to_texts(),
            limit: probe.limit.unwrap_or_default(),
            every_ms: millis(self.every),
            together: self.together,
            follow_up: !probe.no_follow_up,
            credential: probe.credential.unwrap_or_default(),
            rules: Some(self.rules),
            labels: self.labels.into_iter().collect(),
            runbook: self.runbook,
            maintenance: self.maintenance,
        };
        // What the collector would refuse is said here, where the file and the flags are known.
        CheckDefinition::try_from(wire.clone())?.check()?;
        Ok(wire)
    }
}

impl From<AddCheck> for Wish {
    fn from(args: AddCheck) -> Self {
        Self {
            rules: rules(&args),
            name: args.name,
            probe: ProbeArgs {
                target: args.target,
                from: args.from,
                limit: args.limit,
                security: args.security,
                ipv4: args.ipv4,
                ipv6: args.ipv6,
                address: args.address,
                resolver: args.resolver,
                ca_file: args.ca_file,
                depth: args.depth,
                hold: args.hold,
                examine: args.examine,
                path: args.path,
                no_follow_up: args.no_follow_up,
                timeout: args.timeout,
                credential: args.credential,
                ..ProbeArgs::default()
            },
            every: args.every,
            together: args.together,
            labels: args.label.into_iter().collect(),
            runbook: args.runbook.unwrap_or_default(),
            maintenance: Vec::new(),
        }
    }
}

/// The rules that hold where nothing else is said.
fn usual_rules() -> v1::AlertRules {
    (&AlertRules::default()).into()
}

fn rules(args: &AddCheck) -> v1::AlertRules {
    if args.no_alerts {
        return v1::AlertRules {
            none: true,
            ..v1::AlertRules::default()
        };
    }
    let mut rules = usual_rules();
    let failing = rules.failing.get_or_insert_default();
    if let Some(how_many) = args.fail_from {
        set_how_many(failing, how_many);
    }
    failing.rounds = args.for_rounds.unwrap_or(failing.rounds);
    failing.recover_rounds = args.recover_rounds.unwrap_or(failing.recover_rounds);
    let failing = *failing;
    rules.degraded = args.degraded.then_some(failing);
    let slow = args.latency.iter();
    rules.latency = slow.map(|slow| latency(slow, failing.rounds)).collect();
    let certificate = rules.certificate.get_or_insert_default();
    if let Some(days) = args.certificate_days {
        certificate.days = days;
        certificate.critical_days = certificate.critical_days.min(days);
    }
    if let Some(left) = args.certificate_left {
        certificate.lifetime_left = left;
    }
    rules
}

fn set_how_many(rule: &mut v1::FailRule, how_many: HowMany) {
    (rule.vantages, rule.share) = match how_many {
        HowMany::Vantages(vantages) => (vantages, 0.0),
        HowMany::Share(share) => (0, share),
    };
}

fn latency(slow: &Slow, rounds: u32) -> v1::LatencyRule {
    let (above_ms, above_baseline) = match slow.bound {
        Bound::Above(time) => (millis(time), 0.0),
        Bound::TimesUsual(times) => (0, times),
    };
    v1::LatencyRule {
        stage: slow.stage.clone(),
        above_ms,
        above_baseline,
        rounds,
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{CheckCommand, Command, parse};

    fn added(line: &str) -> v1::CheckDefinition {
        let cli = parse(line.split(' ').map(Into::into)).expect("reads");
        let Some(Command::Check(check)) = cli.command else {
            panic!("{cli:?}")
        };
        let Some(CheckCommand::Add(add)) = check.command else {
            panic!("{check:?}")
        };
        Wish::from(*add).definition(&[]).expect("is a check")
    }

    #[test]
    fn a_check_by_flags_and_one_in_a_file_are_the_same() {
        let by_flags = added(
            "ctl check add imap --target imap.example.org --from region=eu --every 60s --together --depth tls \
             --fail-from 50% --for-rounds 3 --latency connect:500ms --latency total:3x --certificate-days 30 \
             --label team=mail --runbook https://example.org/imap",
        );
        let in_file = r#"
            [[check]]
            name = "imap"
            target = "imap.example.org"
            from = ["region=eu"]
            every = "60s"
            together = true
            depth = "tls"
            labels = { team = "mail" }
            runbook = "https://example.org/imap"
            [check.alerts]
            failing = { share = 0.5, rounds = 3 }
            latency = [
                { stage = "connect", above = "500ms", rounds = 3 },
                { stage = "total", above_baseline = 3.0, rounds = 3 },
            ]
            certificate = { days = 30 }
        "#;
        let wishes = file::read(in_file, "checks.toml", ".".as_ref()).expect("reads");
        let in_file: Vec<_> = wishes
            .into_iter()
            .map(|wish| wish.definition(&[]).expect("is a check"))
            .collect();
        assert_eq!(in_file, [by_flags]);
    }

    #[test]
    fn where_nothing_is_said_the_usual_rules_hold() {
        let check = added("ctl check add imap --target imap.example.org --every 1m");
        assert_eq!(check.rules, Some(usual_rules()));
        let quiet = added("ctl check add imap --target imap.example.org --every 1m --no-alerts");
        assert!(
            quiet
                .rules
                .is_some_and(|rules| rules.none && rules.failing.is_none())
        );
    }
}
