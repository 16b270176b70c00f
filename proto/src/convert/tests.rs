use std::fmt::Debug;

use parallax_model::capture::Capture;
use parallax_model::evidence::Evidence;
use parallax_model::experiment::ExperimentKind;
use parallax_model::fault::{Fault, FaultKind, Layer};
use parallax_model::finding::{Finding, FindingKind, Severity, Verdict};
use parallax_model::observation::{Observation, Reason, VantageOutcome};
use parallax_model::run::{AgentSummary, RunDocument, RunSummary, RunTarget};
use parallax_model::spec::{Depth, ProbeSpec};
use parallax_model::stage::{Outcome, Stage, StageName};
use parallax_model::target::{Endpoint, Security, Target};
use parallax_model::{credential::SealedSecret, experiment::Experiment, observation::Attempt};
use proptest::prelude::*;
use prost::Message;

use super::{WireError, sample};
use crate::v1;

/// Through the bytes and back, from a reference and from the value.
pub(super) fn round_trip<M, W>(value: M)
where
    M: TryFrom<W, Error = WireError> + PartialEq + Debug + Clone,
    W: From<M> + for<'a> From<&'a M> + Message + Default,
{
    let bytes = W::from(&value).encode_to_vec();
    let wire = W::decode(bytes.as_slice()).unwrap();
    assert_eq!(M::try_from(wire).unwrap(), value);
    assert_eq!(M::try_from(W::from(value.clone())).unwrap(), value);
}

#[test]
fn every_value_comes_back_as_it_was_sent() {
    round_trip::<Endpoint, v1::Endpoint>(sample::endpoint());
    round_trip::<SealedSecret, v1::SealedSecret>(sample::secret());
    round_trip::<RunSummary, v1::RunSummary>(sample::summary());
    sample::captures()
        .into_iter()
        .for_each(round_trip::<Capture, v1::Capture>);
    sample::targets()
        .into_iter()
        .for_each(round_trip::<Target, v1::Target>);
    sample::targets()
        .iter()
        .map(RunTarget::from)
        .for_each(round_trip::<RunTarget, v1::Target>);
    sample::specs()
        .into_iter()
        .for_each(round_trip::<ProbeSpec, v1::ProbeSpec>);
    sample::experiments()
        .into_iter()
        .for_each(round_trip::<Experiment, v1::Experiment>);
    sample::stages()
        .into_iter()
        .for_each(round_trip::<Stage, v1::Stage>);
    sample::observations()
        .into_iter()
        .for_each(round_trip::<Observation, v1::Observation>);
    sample::observations()
        .into_iter()
        .flat_map(|seen| seen.attempts)
        .for_each(round_trip::<Attempt, v1::Attempt>);
    sample::findings()
        .into_iter()
        .for_each(round_trip::<Finding, v1::Finding>);
    sample::runs()
        .into_iter()
        .for_each(round_trip::<RunDocument, v1::Run>);
    sample::agents()
        .into_iter()
        .for_each(round_trip::<AgentSummary, v1::Agent>);
}

#[test]
fn the_samples_hold_every_kind_of_evidence() {
    let arm = |evidence: &Evidence| std::mem::discriminant(evidence);
    let seen: Vec<_> = sample::full_evidence().iter().map(arm).collect();
    assert_eq!(seen, sample::bare_evidence().iter().map(arm).collect::<Vec<_>>());
    let kinds: std::collections::HashSet<_> = seen.iter().collect();
    assert_eq!(kinds.len(), 17);
    for evidence in sample::full_evidence() {
        let json = Evidence::from_map(evidence.stage(), evidence.to_map().unwrap()).unwrap();
        assert_eq!(json, evidence);
    }
}

#[test]
fn every_name_comes_back_as_it_was_sent() {
    let [mut finding, _] = sample::findings().try_into().unwrap();
    for &kind in FindingKind::ALL {
        for &severity in Severity::ALL {
            (finding.kind, finding.severity) = (kind, severity);
            round_trip::<Finding, v1::Finding>(finding.clone());
        }
    }
    let [_, mut observation] = sample::observations().try_into().unwrap();
    for &outcome in VantageOutcome::ALL {
        for &reason in Reason::ALL {
            (observation.outcome, observation.reason) = (outcome, Some(reason));
            round_trip::<Observation, v1::Observation>(observation.clone());
        }
    }
    let [_, _, mut run] = sample::runs().try_into().unwrap();
    for (&verdict, &depth) in Verdict::ALL.iter().zip(Depth::ALL.iter().cycle()) {
        (run.verdict, run.depth) = (verdict, depth);
        round_trip::<RunDocument, v1::Run>(run.clone());
    }
    for &security in Security::ALL {
        round_trip::<Endpoint, v1::Endpoint>(Endpoint { port: 1, security });
    }
}

#[test]
fn a_newer_peers_names_become_the_fallback() {
    let mut wire = v1::Observation::from(&sample::observations()[0]);
    wire.outcome = "asleep".into();
    wire.reason = "moonlight".into();
    wire.attempts[0].experiment = "teleport".into();
    wire.attempts[0].stages[0].name = "telepathy".into();
    let read = Observation::try_from(wire).unwrap();
    assert_eq!(read.outcome, VantageOutcome::Missing);
    assert_eq!(read.reason, Some(Reason::Unsupported));
    assert_eq!(read.attempts[0].experiment, Some(ExperimentKind::Repeat));
    assert_eq!(read.attempts[0].stages[0].name, StageName::Logout);
    let fault = Fault::from(v1::Fault {
        layer: "ether".into(),
        kind: "storm".into(),
        ..Default::default()
    });
    assert_eq!(fault.layer(), Layer::Agent);
    assert_eq!(FaultKind::from_names("tls", "storm").as_str(), "other");
}

#[test]
fn an_unknown_outcome_is_a_failure_only_with_a_fault() {
    let wire = |fault| v1::Stage {
        outcome: "wobbly".into(),
        fault,
        ..Default::default()
    };
    let with = Stage::try_from(wire(Some(v1::Fault::default()))).unwrap();
    assert!(with.failed());
    let without = Stage::try_from(wire(None)).unwrap();
    assert!(matches!(without.outcome, Outcome::Skipped(reason) if reason.contains("wobbly")));
}

#[test]
fn evidence_belongs_to_its_stage() {
    let mut wire = v1::Stage::from(&sample::stages()[0]);
    wire.evidence = Some((&sample::full_evidence()[0]).into());
    wire.name = "resolve".into();
    assert!(Stage::try_from(wire.clone()).unwrap().evidence.is_some());
    wire.name = "logout".into();
    assert_eq!(
        Stage::try_from(wire.clone()).unwrap_err().to_string(),
        "evidence: of resolve in a stage that is logout"
    );
    wire.name = "telepathy".into();
    assert_eq!(Stage::try_from(wire).unwrap().evidence, None);
}

#[test]
fn an_unknown_mechanism_never_becomes_another() {
    let mut wire = v1::ProbeSpec::from(&sample::specs()[0]);
    wire.login.as_mut().unwrap().mechanism = "GS2-KRB5".into();
    assert_eq!(
        ProbeSpec::try_from(wire).unwrap_err().to_string(),
        "login.mechanism: \"GS2-KRB5\" is not a mechanism known here"
    );
}

#[test]
fn an_error_names_the_field_in_one_safe_line() {
    let mut wire = v1::Run::from(&sample::runs()[0]);
    wire.vantages[0].attempts[1].address = format!("1.2.3\u{202e}\n{}", "x".repeat(1000));
    let error = RunDocument::try_from(wire).unwrap_err();
    assert_eq!(error.field(), "vantages[0].attempts[1].address");
    let line = error.to_string();
    assert!(line.len() < 200 && !line.contains(['\n', '\u{202e}']), "{line}");
}

#[test]
fn what_is_missing_or_out_of_range_is_refused() {
    let field = |change: fn(&mut v1::Run)| {
        let mut wire = v1::Run::from(&sample::runs()[0]);
        change(&mut wire);
        RunDocument::try_from(wire).unwrap_err().field().to_owned()
    };
    assert_eq!(field(|run| run.target = None), "target");
    assert_eq!(field(|run| run.run_id.clear()), "run_id");
    assert_eq!(field(|run| run.trace_id.push('0')), "trace_id");
    assert_eq!(field(|run| run.started_at_us = i64::MAX), "started_at_us");
    assert_eq!(field(|run| run.vantages[0].agent.clear()), "vantages[0].agent");
    assert_eq!(
        field(|run| drop(run.vantages[0].labels.insert("a b".into(), "\u{1b}[31m".into()))),
        "vantages[0].labels"
    );
    assert_eq!(
        field(|run| run.vantages[0].clock.as_mut().unwrap().offset_ms = f64::NAN),
        "vantages[0].clock.offset_ms"
    );
    assert_eq!(
        field(|run| run.vantages[0].attempts[0].endpoint.as_mut().unwrap().port = 65_536),
        "vantages[0].attempts[0].endpoint.port"
    );
    assert_eq!(
        field(|run| run.vantages[0].attempts[0].stages[1].fault = None),
        "vantages[0].attempts[0].stages[1].fault"
    );
    assert_eq!(
        field(|run| run.findings[0].location = None),
        "findings[0].location"
    );
    assert_eq!(
        field(|run| run.findings[0].confidence = f64::INFINITY),
        "findings[0].confidence"
    );
    assert_eq!(
        field(|run| run.findings[0].confidence = -1e-260),
        "findings[0].confidence"
    );
}

proptest! {
    /// What a hostile peer sends is read or refused, and what was read can be written and read again.
    #[test]
    fn damaged_bytes_are_read_or_refused(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = v1::Run::from(&sample::runs()[0]).encode_to_vec();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(wire) = v1::Run::decode(bytes.as_slice())
            && let Ok(run) = RunDocument::try_from(wire)
        {
            prop_assert_eq!(RunDocument::try_from(v1::Run::from(&run)), Ok(run));
        }
    }
}
