use std::io::Write as _;
use std::process::{Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use parallax_model::alert::{Alert, AlertState};
use parallax_model::fault::{Fault, FaultKind, TcpFault};
use parallax_model::finding::{Severity, Verdict};
use parallax_model::observation::{Observation, Reason, VantageOutcome};
use parallax_model::stage::Outcome;
use parallax_model::vantage::Labels;
use uuid::Uuid;

use super::*;
use crate::measure::sample;
use crate::metrics::Metrics;
use crate::rounds::LeafFacts;

fn check() -> Arc<CheckRecord> {
    Arc::new(CheckRecord {
        id: Uuid::from_u128(5),
        no: 1,
        version: 1,
        definition: sample::check(0),
        paused: false,
        cleared: String::new(),
        changed_at: Timestamp::UNIX_EPOCH,
        changed_by: String::new(),
    })
}

/// A round that agent 0 finds well and agent 1 does not; of a third nothing is heard.
fn round(check: &Arc<CheckRecord>, at: Timestamp) -> RoundOutcome {
    let round = check.cadence().at(at);
    let well = sample::result(check, 0, at).observation;
    let mut bad = sample::result(check, 1, at).observation;
    bad.outcome = VantageOutcome::Failed;
    let fault = Fault::new(
        FaultKind::Tcp(TcpFault::TimedOut),
        "connect to 192.0.2.1:993: no answer",
    );
    bad.attempts[0].stages[0].outcome = Outcome::Failed(fault);
    let missing = Observation::unseen(
        sample::agent(2),
        Labels::new(),
        VantageOutcome::Missing,
        Reason::Offline,
        "",
    );
    let mut vantages: Vec<_> = [well, bad, missing]
        .iter()
        .map(|seen| VantagePart::of(seen, round.starts_at))
        .collect();
    vantages[0].certificate = Some(LeafFacts {
        sha256: "ab".repeat(32),
        subject: "CN=imap-0.example.org".into(),
        names: vec!["imap-0.example.org".into()],
        not_after: "2027-01-01T00:00:00Z".parse().unwrap(),
        ..LeafFacts::default()
    });
    vantages[0].tls = Some(("TLSv1.3".into(), "TLS_AES_128_GCM_SHA256".into()));
    RoundOutcome {
        check: Arc::clone(check),
        run_id: round.run_id,
        starts_at: round.starts_at,
        closed_at: at,
        late: false,
        new_trouble: true,
        verdict: Verdict::Partial,
        summary: String::new(),
        findings: Vec::new(),
        vantages,
        kept: true,
        traced: true,
    }
}

fn alert(silenced_by: Option<String>) -> Alert {
    Alert {
        fingerprint: String::new(),
        name: "ImapTargetFailing".into(),
        check: None,
        state: AlertState::Firing,
        severity: Severity::Critical,
        summary: String::new(),
        labels: Labels::new(),
        annotations: Labels::new(),
        since: now(),
        fired_at: None,
        resolved_at: None,
        run_id: None,
        trace_id: None,
        flapping: false,
        silenced_by,
    }
}

fn now() -> Timestamp {
    "2026-12-01T12:00:00Z".parse().unwrap()
}

fn page() -> Metrics {
    let (metrics, check) = (Metrics::new(), check());
    metrics.set_scene(vec![Arc::clone(&check)], Vec::new());
    metrics.probes.round(&round(&check, now()), Instant::now());
    metrics.agent_connected(&sample::agent(0), true);
    metrics.set_alerts(&[alert(None), alert(Some("silence 7".into()))]);
    metrics.run_concluded(Verdict::Partial);
    metrics
}

#[test]
fn the_page_shows_what_every_vantage_point_saw() {
    let text = page().text().unwrap();
    let of = |agent: &str| {
        format!(
            "job=\"parallax\",check=\"imap-0\",target=\"imap-0.example.org\",instance=\"imap-0.example.org:993\",\
             port=\"993\",security=\"tls\",probe=\"{agent}\",region=\"\",check_name=\"imap\"}}"
        )
    };
    for line in [
        format!("probe_success{{{} 1.0", of("agent-0")),
        format!("probe_success{{{} 0.0", of("agent-1")),
        "parallax_probes_total{check=\"imap-0\",target=\"imap-0.example.org\",probe=\"agent-1\",result=\"failure\"} 1"
            .into(),
        "stage=\"connect\",reason=\"timed_out\"} 1".into(),
        "parallax_target_up{check=\"imap-0\",target=\"imap-0.example.org\"".into(),
        "state=\"fail\"} 1.0".into(),
        "probe_ssl_earliest_cert_expiry".into(),
        format!(
            "probe_ip_addr_hash{{{} {:.1}",
            of("agent-0"),
            f64::from(address_hash("192.0.2.1".parse().unwrap()))
        ),
        "# TYPE probe_all_success summary".into(),
        "probe_all_success_sum{check=\"imap-0\",target=\"imap-0.example.org\",probe=\"agent-1\"} 0".into(),
        "probe_all_success_count{check=\"imap-0\",target=\"imap-0.example.org\",probe=\"agent-1\"} 1".into(),
        "parallax_alerts{state=\"pending\"} 0".into(),
        "parallax_alerts{state=\"firing\"} 1".into(),
        "parallax_alerts{state=\"silenced\"} 1".into(),
    ] {
        assert!(text.contains(&line), "{line}\n{text}");
    }
    assert!(!text.contains("agent-2"), "nothing was heard of it:\n{text}");
}

#[test]
fn stale_targets_have_no_series() {
    let (mut latest, check, begun) = (Latest::default(), check(), Instant::now());
    latest.note(&round(&check, now()), begun);
    let after = |seconds| begun + Duration::from_secs(seconds);
    assert_eq!(latest.alive(after(180)).count(), 2);
    assert_eq!(latest.is_up(check.id, after(180)), Some(true));
    assert_eq!(latest.alive(after(181)).count(), 0);
    assert_eq!(latest.is_up(check.id, after(181)), None, "nobody can say");
    assert_eq!(latest.agents(check.id, after(181))[2], ("stale", 2));
    let older = round(&check, now() - SignedDuration::from_mins(5));
    latest.note(&older, after(181));
    assert_eq!(
        latest.alive(after(181)).count(),
        0,
        "an older round makes nothing fresh"
    );
    latest.keep_checks(&BTreeSet::new());
    assert_eq!(latest.agents(check.id, begun)[2], ("stale", 0));
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_stale() {
    let (mut latest, check, begun) = (Latest::default(), check(), Instant::now());
    latest.note(&round(&check, now()), begun);
    let after = |seconds| begun + Duration::from_secs(seconds);
    latest.note(&round(&check, now() - SignedDuration::from_hours(3)), after(170));
    assert_eq!(latest.alive(after(300)).count(), 2);
    assert_eq!(latest.is_up(check.id, after(300)), Some(true));
}

#[test]
fn no_address_user_or_trace_is_in_a_label() {
    let metrics = page();
    let trace = round(&check(), now()).run_id.simple().to_string();
    let text = metrics.text().unwrap();
    let exemplar = format!("# {{trace_id=\"{trace}\"}} ");
    let found = text.lines().find_map(|line| line.split_once(&exemplar));
    let (_, told) = found.expect("an exemplar leads to it");
    assert_eq!(told.split(' ').count(), 2, "its value, and when: {told}");
    let classic = metrics.classic_text().unwrap();
    for never in ["192.0.2.1", trace.as_str(), "no answer", "# {"] {
        assert!(!classic.contains(never), "{never}\n{classic}");
    }
}

#[test]
fn ways_to_fail_have_a_bound() {
    let (metrics, check) = (Metrics::new(), check());
    let outcome = round(&check, now());
    for number in 0..1100 {
        let mut outcome = outcome.clone();
        outcome.vantages[1].agent = sample::agent(number);
        metrics.probes.round(&outcome, Instant::now());
    }
    let text = metrics.text().unwrap();
    let named = text.matches("reason=\"timed_out\"").count();
    assert_eq!(named, REASONS);
    assert_eq!(text.matches("reason=\"other\"").count(), 100);
}

#[test]
fn the_classic_page_passes_promtool() {
    let mut promtool = Command::new("promtool");
    promtool
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut promtool = match promtool.spawn() {
        Ok(promtool) => promtool,
        Err(problem) if std::env::var_os("PARALLAX_LAB").is_none() => {
            println!("left out, there is no promtool here: {problem}");
            return;
        }
        Err(problem) => panic!("promtool is needed (package prometheus): {problem}"),
    };
    let text = page().classic_text().unwrap();
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&said.stderr).into_owned() + &String::from_utf8_lossy(&said.stdout);
    assert!(
        said.status.success() && words.trim().is_empty(),
        "{words}\n{text}"
    );
}
