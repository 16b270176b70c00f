//! Checks, agents and results that could be real ones.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::alert::AlertRules;
use parallax_model::check::{CheckDefinition, CheckResult};
use parallax_model::observation::{Attempt, Observation, Purpose, Reason, VantageOutcome};
use parallax_model::selector::Selector;
use parallax_model::spec::{DEFAULT_TIMEOUT, Depth, FamilyChoice, ProbeOptions, ProbeSpec};
use parallax_model::stage::{Outcome, Stage, StageName};
use parallax_model::target::{Endpoint, Host, Security, Target};
use parallax_model::vantage::{AgentName, Labels};
use uuid::{Builder, Uuid};

use crate::store::CheckRecord;

const STAGES: [(StageName, u64); 6] = [
    (StageName::Connect, 18_000),
    (StageName::Tls, 41_000),
    (StageName::Greeting, 19_000),
    (StageName::Capability, 18_500),
    (StageName::Id, 18_700),
    (StageName::Logout, 18_200),
];

/// A check of `imap.example.org` each minute, by every agent.
pub(crate) fn definition(name: &str) -> CheckDefinition {
    CheckDefinition {
        name: parsed(name),
        spec: ProbeSpec {
            target: host("imap.example.org"),
            depth: Depth::Greeting,
            family: FamilyChoice::Any,
            addresses: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
            login: None,
            anchors: Vec::new(),
            options: ProbeOptions::default(),
        },
        from: Selector::all(),
        limit: None,
        every: Duration::from_secs(60),
        together: false,
        follow_up: true,
        credential: None,
        rules: AlertRules::default(),
        labels: Labels::new(),
        runbook: None,
        maintenance: Vec::new(),
    }
}

/// One of many, each of a host of its own.
pub(crate) fn check(number: i64) -> CheckDefinition {
    let mut check = definition(&format!("imap-{number}"));
    check.spec.target = host(&format!("imap-{number}.example.org"));
    check
}

/// A check as it is kept, in its first version.
pub(crate) fn record(id: Uuid, definition: CheckDefinition) -> Arc<CheckRecord> {
    Arc::new(CheckRecord {
        id,
        no: 1,
        version: 1,
        definition,
        paused: false,
        cleared: String::new(),
        changed_at: Timestamp::UNIX_EPOCH,
        changed_by: String::new(),
    })
}

pub(crate) fn agent(number: i64) -> AgentName {
    parsed(&format!("agent-{number}"))
}

/// What an agent saw, a little otherwise each time.
pub(crate) fn result(check: &CheckRecord, agent_number: i64, at: Timestamp) -> CheckResult {
    let round = check.cadence().at(at);
    let mut noise = Noise(u64::try_from(at.as_microsecond() ^ (agent_number << 20) ^ check.no).unwrap_or(1));
    let mut rest = [0; 10];
    rest[..8].copy_from_slice(&noise.next().to_be_bytes());
    let milliseconds = u64::try_from(at.as_millisecond()).unwrap_or(0);
    let seen = Observation::unseen(
        agent(agent_number),
        Labels::new(),
        VantageOutcome::Ok,
        Reason::Deadline,
        "",
    );
    CheckResult {
        id: Builder::from_unix_timestamp_millis(milliseconds, &rest).into_uuid(),
        check: check.id,
        run_id: round.run_id,
        digest: 1,
        round_at: round.starts_at,
        started_at: round.starts_at,
        observation: Observation {
            reason: None,
            note: None,
            attempts: vec![attempt(&mut noise)],
            ..seen
        },
    }
}

/// Durations of the stages of one probe.
pub(crate) fn stages(noise: &mut Noise) -> Vec<(StageName, Duration)> {
    STAGES
        .iter()
        .map(|&(stage, typical)| {
            (
                stage,
                Duration::from_micros(typical + noise.next() % (typical / 2)),
            )
        })
        .collect()
}

fn attempt(noise: &mut Noise) -> Attempt {
    let mut start = Duration::ZERO;
    let stages = stages(noise).into_iter().map(|(stage, duration)| {
        let begun = start;
        start += duration;
        Stage::new(stage, Outcome::Ok, begun, duration)
    });
    Attempt {
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        endpoint: endpoint(),
        purpose: Purpose::Requested,
        experiment: None,
        stages: stages.collect(),
        transcript: Vec::new(),
        by: None,
    }
}

fn endpoint() -> Endpoint {
    Endpoint {
        port: 993,
        security: Security::Tls,
    }
}

fn host(name: &str) -> Target {
    Target {
        input: name.to_owned(),
        host: Host::Name(name.to_owned()),
        endpoints: vec![endpoint()],
    }
}

fn parsed<N: std::str::FromStr>(text: &str) -> N
where
    N::Err: std::fmt::Debug,
{
    #[expect(clippy::expect_used, reason = "what is said above reads")]
    text.parse().expect("a name")
}

/// The same numbers each time, as good as any here (xorshift).
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.max(1);
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
