//! What holds for any observations at all.

#![allow(clippy::unwrap_used, missing_docs, dead_code)]

#[path = "support/any.rs"]
mod any;
#[path = "support/recorded.rs"]
mod recorded;

use std::collections::BTreeSet;
use std::time::Duration;

use any::{observation, question};
use parallax_diagnosis::{Question, conclude, experiments};
use parallax_model::evidence::TcpInfo;
use parallax_model::fault::{Fault, FaultKind, TcpFault};
use parallax_model::finding::{Conclusion, Finding, FindingKind, Severity, Verdict};
use parallax_model::observation::{Attempt, Observation, Purpose, Reason, VantageOutcome};
use parallax_model::path::NetworkFacts;
use parallax_model::run::RunDocument;
use parallax_model::stage::{Outcome, Stage, StageName};
use parallax_model::target::{Endpoint, Security};
use parallax_model::vantage::Labels;
use proptest::prelude::*;

/// So much surer may a single finding be without the paths.
const A_LITTLE: f64 = 0.16;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_conclusion_never_contradicts_itself(
        question in question(),
        observations in prop::collection::vec(observation(), 0..5),
    ) {
        let conclusion = conclude(&question, &observations, &[]);
        let asked: Vec<_> = observations.iter().map(|seen| &seen.agent).collect();
        let answered = observations.iter().filter(|seen| seen.answered()).count();
        let serious = conclusion.findings.iter().any(|finding| finding.severity != Severity::Info);
        match conclusion.verdict {
            Verdict::Healthy => prop_assert!(!serious && answered == observations.len() && answered > 0),
            Verdict::Down => prop_assert!(answered > 0 && conclusion.findings[0].severity == Severity::Critical),
            Verdict::Partial => prop_assert!(answered > 0 && serious),
            Verdict::Inconclusive => {}
        }
        prop_assert!(answered > 0 || conclusion.verdict == Verdict::Inconclusive);
        for client in &conclusion.clients {
            prop_assert!(client.affected.iter().all(|name| asked.contains(&name)));
            prop_assert!(client.because.iter().all(|line| !line.contains(|letter: char| letter.is_control())));
        }
        prop_assert!(!conclusion.summary.is_empty());
        prop_assert!(!conclusion.summary.contains(|letter: char| letter.is_control()));
        for finding in &conclusion.findings {
            prop_assert!((0.0..=1.0).contains(&finding.confidence));
            prop_assert!(!finding.summary.is_empty(), "{:?}", finding.kind);
            prop_assert!(!finding.because.is_empty(), "{:?}", finding.kind);
            prop_assert!(!finding.scope.affected.is_empty(), "{:?}", finding.kind);
            for name in finding.scope.affected.iter().chain(&finding.scope.unaffected) {
                prop_assert!(asked.contains(&name));
            }
            prop_assert!(finding.alternatives.iter().all(|other| (0.0..=1.0).contains(&other.confidence)));
            let together: f64 = finding.alternatives.iter().map(|other| other.confidence).sum();
            prop_assert!(finding.confidence + together <= 1.05, "{finding:?}");
            prop_assert!(finding.alternatives.iter().all(|other| !other.told_apart_by.is_empty()), "{:?}", finding);
            for line in finding.because.iter().chain(&finding.next_steps) {
                prop_assert!(!line.contains(|letter: char| letter.is_control()), "{line:?}");
            }
        }
    }

    #[test]
    fn whatever_failed_is_told(
        question in question(),
        observations in prop::collection::vec(observation(), 1..5),
    ) {
        let conclusion = conclude(&question, &observations, &[]);
        for seen in &observations {
            let told = conclusion.findings.iter().any(|finding| finding.scope.affected.contains(&seen.agent));
            prop_assert!(told || seen.outcome == VantageOutcome::Ok || seen.answered() && seen.requested().next().is_some()
                && seen.requested().all(|attempt| attempt.failed_stage().is_none() && !attempt.stages.is_empty()), "{seen:?}");
        }
    }

    #[test]
    fn experiments_are_few_new_and_only_where_somebody_answered(
        question in question(),
        observations in prop::collection::vec(observation(), 0..5),
    ) {
        let planned = experiments(&question, &observations, &[]);
        for wish in &planned {
            let mut agents = observations.iter().filter(|seen| seen.agent == wish.agent && seen.answered());
            prop_assert!(agents.next().is_some());
            prop_assert!(planned.iter().filter(|other| other.agent == wish.agent).count() <= 12);
            let made = observations.iter().filter(|seen| seen.agent == wish.agent).flat_map(|seen| seen.experiments(wish.kind));
            prop_assert!(made.into_iter().all(|attempt| attempt.address != wish.address || attempt.endpoint != wish.endpoint));
        }
    }

    #[test]
    fn the_order_of_the_answers_does_not_matter(
        question in question(),
        (observations, shuffled) in prop::collection::vec(observation(), 0..5)
            .prop_map(once_each)
            .prop_flat_map(|seen| (Just(seen.clone()), Just(seen).prop_shuffle())),
    ) {
        let one = conclude(&question, &observations, &[]);
        let other = conclude(&question, &shuffled, &[]);
        prop_assert_eq!(one.verdict, other.verdict);
        prop_assert_eq!(gist(&one), gist(&other));
    }

    #[test]
    fn a_healthy_vantage_point_more_never_makes_it_down(
        question in question(),
        observations in prop::collection::vec(observation(), 0..5),
    ) {
        let mut more = observations;
        more.push(seen_from("ber", vec![attempt(&question, &[const { Outcome::Ok }; 6], None)]));
        prop_assert_ne!(conclude(&question, &more, &[]).verdict, Verdict::Down);
    }

    #[test]
    fn what_was_before_adds_nobody_who_was_not_asked(
        question in question(),
        observations in prop::collection::vec(observation(), 0..4),
        before in prop::collection::vec(observation(), 0..4),
    ) {
        let asked: BTreeSet<_> = observations.iter().map(|seen| &seen.agent).collect();
        for finding in conclude(&question, &observations, &before).findings {
            prop_assert!(finding.scope.affected.iter().chain(&finding.scope.unaffected).all(|name| asked.contains(name)));
        }
    }

    #[test]
    fn faults_of_the_agents_alone_are_never_the_targets(
        question in question(),
        faults in prop::collection::vec(agents_own(), 1..5),
    ) {
        let names = ["ams", "fra", "lon", "par"];
        let observations: Vec<Observation> = faults
            .into_iter()
            .zip(names)
            .map(|(own, name)| match own {
                Own::Well => seen_from(name, vec![attempt(&question, &[const { Outcome::Ok }; 6], None)]),
                Own::Unsent(fault) => {
                    let failed = [Outcome::Failed(Fault::new(FaultKind::Tcp(fault), "not sent"))];
                    seen_from(name, vec![attempt(&question, &failed, Some(TcpInfo::default()))])
                }
                Own::Unheard => Observation::unseen(name.parse().unwrap(), Labels::new(), VantageOutcome::Missing, Reason::Offline, "gone"),
            })
            .collect();
        let conclusion = conclude(&question, &observations, &[]);
        prop_assert_ne!(conclusion.verdict, Verdict::Down);
        for finding in &conclusion.findings {
            let own = finding.kind.as_str().starts_with("agent_") || finding.kind == FindingKind::Inconclusive;
            prop_assert!(own || finding.severity == Severity::Info, "{finding:#?}");
        }
    }
}

/// What goes wrong with an agent itself.
#[derive(Debug, Clone, Copy)]
enum Own {
    Well,
    Unsent(TcpFault),
    Unheard,
}

fn agents_own() -> impl Strategy<Value = Own> {
    prop_oneof![
        Just(Own::Well),
        Just(Own::Unheard),
        prop::sample::select(vec![
            TcpFault::NetworkUnreachable,
            TcpFault::HostUnreachable,
            TcpFault::PermissionDenied,
            TcpFault::LocalAddress,
        ])
        .prop_map(Own::Unsent),
    ]
}

fn seen_from(name: &str, attempts: Vec<Attempt>) -> Observation {
    Observation {
        agent: name.parse().unwrap(),
        labels: Labels::new(),
        outcome: Observation::conclude_outcome(None, &attempts),
        reason: None,
        note: None,
        refusal: None,
        left_out: Vec::new(),
        clock: None,
        resolve: None,
        attempts,
        network: NetworkFacts::default(),
    }
}

/// An attempt at one address of the target, with these outcomes from the connection on.
fn attempt(question: &Question, outcomes: &[Outcome], tcp: Option<TcpInfo>) -> Attempt {
    let names = [
        StageName::Connect,
        StageName::Tls,
        StageName::Greeting,
        StageName::Capability,
        StageName::Authenticate,
        StageName::Select,
    ];
    let asked = names
        .into_iter()
        .filter(|&name| name < StageName::Authenticate || question.login)
        .zip(outcomes);
    Attempt {
        by: None,
        address: "10.9.0.10".parse().unwrap(),
        endpoint: Endpoint {
            port: 993,
            security: Security::Tls,
        },
        purpose: Purpose::Requested,
        experiment: None,
        stages: asked
            .map(|(name, outcome)| Stage {
                tcp: tcp.clone(),
                ..Stage::new(name, outcome.clone(), Duration::ZERO, Duration::from_micros(90))
            })
            .collect(),
        transcript: Vec::new(),
    }
}

fn once_each(observations: Vec<Observation>) -> Vec<Observation> {
    let mut names = BTreeSet::new();
    let first = observations
        .into_iter()
        .filter(|seen| names.insert(seen.agent.clone()));
    first.collect()
}

/// What is found, of whom, and how surely.
fn gist(conclusion: &Conclusion) -> Vec<(FindingKind, BTreeSet<String>, String)> {
    let mut gist: Vec<_> = conclusion
        .findings
        .iter()
        .map(|finding| {
            let affected = finding.scope.affected.iter().map(ToString::to_string).collect();
            (finding.kind, affected, format!("{:.2}", finding.confidence))
        })
        .collect();
    gist.sort();
    gist
}

/// Paths speak for look-alikes as well, so that one run may be told a little less surely with them; all runs together not.
#[test]
fn paths_make_right_findings_surer() {
    let (mut with, mut without) = (0.0, 0.0);
    let mut surer = Vec::new();
    for (path, recording) in recorded::catalogue() {
        let question = recorded::question(&recording.run, recording.login);
        let full = recording.judged();
        let mut blind = recording.run.vantages.clone();
        for seen in &mut blind {
            seen.network.paths.clear();
        }
        let blind = conclude(&question, &blind, &[]);
        let right = |findings: &[Finding]| -> f64 {
            let right = findings.iter().filter(|finding| recording.expects(finding));
            right.map(|finding| finding.confidence).sum()
        };
        with += right(&full.findings);
        without += right(&blind.findings);
        for finding in blind.findings.iter().filter(|finding| recording.expects(finding)) {
            let same = full
                .findings
                .iter()
                .find(|other| other.kind == finding.kind && other.scope.affected == finding.scope.affected);
            if same.is_some_and(|same| finding.confidence > same.confidence + A_LITTLE) {
                let (name, kind) = (path.file_stem().unwrap().to_string_lossy(), finding.kind);
                surer.push(format!(
                    "{name}: {kind} {} > {}",
                    finding.confidence,
                    same.unwrap().confidence
                ));
            }
        }
    }
    assert!(without < with, "{without} without paths, {with} with them");
    assert!(surer.is_empty(), "{surer:#?}");
}

#[test]
fn words_that_nobody_knows_are_judged_all_the_same() {
    for (_, recording) in recorded::catalogue() {
        let mut document = serde_json::to_value(&recording.run).unwrap();
        forget(&mut document);
        let run: RunDocument = serde_json::from_value(document).unwrap();
        let question = recorded::question(&run, recording.login);
        conclude(&question, &run.vantages, &run.vantages);
        experiments(&question, &run.vantages, &run.vantages);
    }
}

/// Replaces every word of the evidence and of the faults by one of a later version.
fn forget(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                let word = matches!(
                    name.as_str(),
                    "layer"
                        | "kind"
                        | "reply"
                        | "ended"
                        | "payload"
                        | "nudge"
                        | "soft_error"
                        | "end"
                        | "experiment"
                );
                if word && value.is_string() {
                    *value = "of_a_later_version".into();
                } else {
                    forget(value);
                }
            }
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(forget),
        _ => {}
    }
}
