//! Checks as an agent and an operator meet them: told over the link, results acknowledged, rounds in the database.

use std::time::Duration;

use jiff::Timestamp;
use parallax_model::check::CheckResult;
use parallax_model::fault::{Fault, FaultKind, TcpFault};
use parallax_model::identity::Role;
use parallax_model::round::{Cadence, Round};
use parallax_model::stage::Outcome;
use parallax_proto::convert::uuid;
use parallax_proto::v1;
use parallax_proto::v1::agent_message::Message as ToCollector;
use parallax_proto::v1::checks_client::ChecksClient;
use parallax_proto::v1::collector_message::Message as FromCollector;
use tonic::transport::Channel;
use uuid::Uuid;

use super::fake::{FakeAgent, identity, observation, operator, spec};
use super::telemetry::traced;
use crate::{Collector, Connector, InProcessOptions};

/// How long anything here may take.
const DEADLINE: Duration = Duration::from_secs(20);

const EPOCH: Uuid = Uuid::from_u128(0xe0);

fn checks(connector: &Connector) -> ChecksClient<Channel> {
    ChecksClient::new(connector.channel(identity(Role::Operator, "ada")))
}

fn definition(name: &str) -> v1::CheckDefinition {
    v1::CheckDefinition {
        name: name.into(),
        spec: Some(v1::ProbeSpec {
            timeout_ms: 1000,
            ..spec().into()
        }),
        every_ms: 1000,
        together: true,
        follow_up: true,
        ..v1::CheckDefinition::default()
    }
}

async fn apply(connector: &Connector, definition: v1::CheckDefinition) {
    let request = v1::ApplyChecksRequest {
        checks: vec![definition],
        ..v1::ApplyChecksRequest::default()
    };
    checks(connector).apply_checks(request).await.unwrap();
}

/// An agent that repeats checks when its test says so.
struct Repeating {
    agent: FakeAgent,
    check: Option<v1::CheckAssignment>,
    sequence: u64,
    resume: Option<v1::SpoolResume>,
}

impl Repeating {
    async fn connect(connector: &Connector, name: &str) -> Self {
        let agent = FakeAgent::repeating(connector, name, EPOCH).await;
        Self {
            agent,
            check: None,
            sequence: 0,
            resume: None,
        }
    }

    /// Reads until the word that is waited for.
    async fn until<T>(&mut self, mut wanted: impl FnMut(FromCollector) -> Option<T>) -> T {
        let reading = async {
            loop {
                let word = self.agent.next().await.unwrap().unwrap();
                if let FromCollector::Resume(resume) = &word {
                    self.resume = Some(resume.clone());
                }
                if let Some(found) = wanted(word) {
                    return found;
                }
            }
        };
        tokio::time::timeout(DEADLINE, reading).await.unwrap()
    }

    async fn gets_its_check(&mut self) {
        let sum = self.is_told_its_check().await;
        self.says_it_has(sum).await;
    }

    /// The sum of what it should have.
    async fn is_told_its_check(&mut self) -> u64 {
        let update = self
            .until(|word| match word {
                FromCollector::Checks(update) => Some(update),
                _ => None,
            })
            .await;
        self.check = update.set.into_iter().next();
        update.sum
    }

    async fn says_it_has(&self, sum: u64) {
        let applied = v1::ChecksApplied {
            sum,
            checks: 1,
            problems: Vec::new(),
        };
        self.agent.say(ToCollector::ChecksApplied(applied)).await;
    }

    fn round(&self, later: i64) -> Round {
        let check = self.check.as_ref().unwrap();
        let cadence = Cadence {
            check: uuid("check_id", &check.check_id).unwrap(),
            every: Duration::from_millis(check.every_ms.into()),
            together: check.together,
        };
        cadence.round(cadence.at(Timestamp::now()).number + later)
    }

    async fn sends(&mut self, round: Round, outcome: Outcome) {
        let check = self.check.as_ref().unwrap();
        self.sequence += 1;
        let result = CheckResult {
            id: Uuid::now_v7(),
            check: uuid("check_id", &check.check_id).unwrap(),
            run_id: round.run_id,
            digest: check.digest,
            round_at: round.starts_at,
            started_at: round.starts_at,
            observation: observation("somebody-else", outcome),
        };
        self.sends_again(result).await;
    }

    async fn sends_again(&self, result: CheckResult) {
        let batch = v1::ResultBatch {
            after: 0,
            spool_epoch: EPOCH.as_bytes().to_vec(),
            chain: "failures".into(),
            results: vec![v1::SpooledResult {
                sequence: self.sequence,
                result: Some(result.into()),
            }],
        };
        self.agent.say(ToCollector::Results(batch)).await;
    }

    async fn is_told_what_is_kept(&mut self) -> v1::ResultsKept {
        self.until(|word| match word {
            FromCollector::ResultsKept(kept) => Some(kept),
            _ => None,
        })
        .await
    }
}

fn no_answer() -> Outcome {
    Outcome::Failed(Fault::new(FaultKind::Tcp(TcpFault::TimedOut), "no answer"))
}

/// The last round that was closed, once it is this one or a later one.
async fn closed(connector: &Connector, run_id: Uuid) -> v1::RoundSummary {
    let waiting = async {
        loop {
            let request = v1::CheckHistoryRequest {
                name: "imap-fra".into(),
                step: "round".into(),
                since_us: (Timestamp::now() - jiff::SignedDuration::from_hours(12)).as_microsecond(),
                ..v1::CheckHistoryRequest::default()
            };
            let history = checks(connector)
                .check_history(request)
                .await
                .unwrap()
                .into_inner();
            let id = run_id.to_string();
            if let Some(round) = history.rounds.into_iter().find(|round| round.run_id == id) {
                return round;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.unwrap()
}

/// How the check stands at an agent.
async fn state_at(connector: &Connector, agent: &str) -> String {
    let request = v1::ListChecksRequest {
        name: "imap-fra".into(),
    };
    let listed = checks(connector).list_checks(request).await.unwrap().into_inner();
    let mut agents = listed.checks.into_iter().flat_map(|check| check.agents);
    agents.find(|at| at.agent == agent).unwrap().state
}

async fn collector() -> (Collector, Connector) {
    Collector::in_process(InProcessOptions::default()).await.unwrap()
}

#[tokio::test]
async fn a_check_goes_to_the_agent_and_its_round_into_the_database() {
    let (_collector, connector) = collector().await;
    let mut fra = Repeating::connect(&connector, "fra-1").await;
    apply(&connector, definition("imap-fra")).await;
    fra.gets_its_check().await;
    let round = fra.round(0);
    fra.sends(round, Outcome::Ok).await;
    let kept = fra.is_told_what_is_kept().await;
    assert_eq!((kept.through, kept.spool_epoch), (1, EPOCH.as_bytes().to_vec()));
    let resume = fra.resume.clone().unwrap();
    assert_eq!((resume.failures_through, resume.successes_through), (0, 0));
    let closed = closed(&connector, round.run_id).await;
    assert_eq!((closed.ok, closed.verdict.as_str()), (1, "healthy"));
    let request = v1::ListChecksRequest {
        name: "imap-fra".into(),
    };
    let listed = checks(&connector)
        .list_checks(request)
        .await
        .unwrap()
        .into_inner();
    let agent = &listed.checks[0].agents[0];
    assert_eq!((agent.agent.as_str(), agent.state.as_str()), ("fra-1", "running"));
    assert!(agent.last_result_us > 0);
}

#[tokio::test]
async fn a_check_for_an_agent_that_is_not_there_is_run_by_nobody() {
    let (_collector, connector) = collector().await;
    let _fra = Repeating::connect(&connector, "fra-1").await;
    let of = |name: &str, from: &[&str]| v1::CheckDefinition {
        from: from.iter().map(|&from| from.to_owned()).collect(),
        ..definition(name)
    };
    let request = v1::ApplyChecksRequest {
        checks: vec![
            of("nobody", &["tokyo"]),
            of("somebody", &["fra-1", "tokyo"]),
            of("all", &["all"]),
        ],
        ..v1::ApplyChecksRequest::default()
    };
    let applied = checks(&connector)
        .apply_checks(request)
        .await
        .unwrap()
        .into_inner();
    let said: Vec<_> = applied
        .changes
        .iter()
        .map(|change| (change.name.as_str(), change.asked.len(), change.unknown.concat()))
        .collect();
    assert_eq!(
        said,
        [
            ("nobody", 0, "tokyo".to_owned()),
            ("somebody", 1, "tokyo".to_owned()),
            ("all", 1, String::new())
        ]
    );
    let listed = checks(&connector)
        .list_checks(v1::ListChecksRequest::default())
        .await
        .unwrap()
        .into_inner();
    let nobody = listed.checks.into_iter().filter(|check| check.run_by_nobody);
    let nobody: Vec<_> = nobody.map(|check| check.definition.unwrap().name).collect();
    assert_eq!(nobody, ["nobody"]);
    let status = operator(&connector, Role::Viewer)
        .get_status(v1::GetStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!((status.checks, status.checks_run_by_nobody), (3, 1));
}

#[tokio::test]
async fn in_the_first_round_of_a_check_nobody_is_missing_who_came_to_it_later() {
    let (_collector, connector) = collector().await;
    let mut fra = Repeating::connect(&connector, "fra-1").await;
    let mut nyc = Repeating::connect(&connector, "nyc-1").await;
    let plain = v1::CheckDefinition {
        follow_up: false,
        every_ms: 2000,
        ..definition("imap-fra")
    };
    apply(&connector, plain).await;
    fra.gets_its_check().await;
    let sum = nyc.is_told_its_check().await;
    let first = fra.round(0);
    fra.sends(first, Outcome::Ok).await;
    let closed_first = closed(&connector, first.run_id).await;
    assert_eq!(
        (closed_first.ok, closed_first.missing),
        (1, 0),
        "{closed_first:?}"
    );
    assert!(!closed_first.late, "{closed_first:?}");
    nyc.says_it_has(sum).await;
    while state_at(&connector, "nyc-1").await != "running" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let later = fra.round(2);
    fra.sends(later, Outcome::Ok).await;
    let closed_later = closed(&connector, later.run_id).await;
    assert_eq!(
        (closed_later.ok, closed_later.missing),
        (1, 1),
        "{closed_later:?}"
    );
}

#[tokio::test]
async fn as_large_as_all_checks_may_be_they_reach_an_agent_in_messages_that_it_reads() {
    let (_collector, connector) = collector().await;
    let (checks_at_most, anchors) = (128, vec![vec![7; 254 << 10]]);
    for first in (0..checks_at_most).step_by(32) {
        let large = (first..first + 32).map(|number| {
            let mut large = definition(&format!("c{number}"));
            large.every_ms = 3_600_000;
            large.spec.as_mut().unwrap().anchors_der = anchors.clone();
            large
        });
        let request = v1::ApplyChecksRequest {
            checks: large.collect(),
            ..v1::ApplyChecksRequest::default()
        };
        checks(&connector).apply_checks(request).await.unwrap();
    }
    // It reads messages of 4 MiB, as agents do.
    let mut fra = Repeating::connect(&connector, "fra-1").await;
    let mut parts = Vec::new();
    while parts.last().is_none_or(|part: &v1::ChecksUpdate| part.more) {
        let part = fra.until(|word| match word {
            FromCollector::Checks(update) => Some(update),
            _ => None,
        });
        parts.push(part.await);
    }
    assert!(parts.len() > 8, "{}", parts.len());
    assert!(parts[0].full && parts[1..].iter().all(|part| !part.full));
    let sum = parts
        .iter()
        .flat_map(|part| &part.set)
        .fold(0, |sum, one| sum ^ one.digest);
    assert_eq!(sum, parts[0].sum, "all of them");
    let one_more = v1::ApplyChecksRequest {
        checks: (0..4)
            .map(|number| v1::CheckDefinition {
                name: format!("more-{number}"),
                spec: Some(v1::ProbeSpec {
                    anchors_der: anchors.clone(),
                    ..spec().into()
                }),
                ..definition("more")
            })
            .collect(),
        ..v1::ApplyChecksRequest::default()
    };
    let refused = checks(&connector).apply_checks(one_more).await.unwrap_err();
    assert!(refused.message().contains("32 MiB are the most"), "{refused}");
}

#[tokio::test]
async fn an_unhealthy_round_is_a_run_under_the_id_its_agents_gave_it() {
    let (_collector, connector) = collector().await;
    let mut fra = Repeating::connect(&connector, "fra-1").await;
    apply(
        &connector,
        v1::CheckDefinition {
            follow_up: false,
            ..definition("imap-fra")
        },
    )
    .await;
    fra.gets_its_check().await;
    let round = fra.round(0);
    fra.sends(round, no_answer()).await;
    fra.is_told_what_is_kept().await;
    let closed = closed(&connector, round.run_id).await;
    assert!(closed.kept && closed.failed == 1, "{closed:?}");
    let request = v1::GetRunRequest {
        run_id: round.run_id.to_string(),
    };
    let run = operator(&connector, Role::Viewer)
        .get_run(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(run.vantages[0].agent, "fra-1", "whoever it says it is");
    assert_eq!(run.check.unwrap().name, "imap-fra");
    assert_eq!(run.verdict, closed.verdict);
}

#[tokio::test]
async fn what_comes_twice_counts_once_and_is_acknowledged_again() {
    let (_collector, connector) = collector().await;
    let mut fra = Repeating::connect(&connector, "fra-1").await;
    apply(&connector, definition("imap-fra")).await;
    fra.gets_its_check().await;
    let round = fra.round(0);
    fra.sends(round, Outcome::Ok).await;
    assert_eq!(fra.is_told_what_is_kept().await.through, 1);
    fra.sequence = 0;
    fra.sends(round, Outcome::Ok).await;
    assert_eq!(fra.is_told_what_is_kept().await.through, 1);
    closed(&connector, round.run_id).await;
    let request = v1::CheckHistoryRequest {
        name: "imap-fra".into(),
        ..v1::CheckHistoryRequest::default()
    };
    let mut results = checks(&connector)
        .check_results(request)
        .await
        .unwrap()
        .into_inner();
    let mut count = 0;
    while results.message().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 1);
}

#[tokio::test]
async fn an_agent_that_connects_later_gets_the_check_and_one_without_a_spool_does_not() {
    let (_collector, connector) = collector().await;
    apply(&connector, definition("imap-fra")).await;
    let mut plain = FakeAgent::connect(&connector, "old-1").await;
    plain.beat().await;
    let mut fra = Repeating::connect(&connector, "fra-1").await;
    fra.gets_its_check().await;
    assert_eq!(fra.check.as_ref().unwrap().name, "imap-fra");
    plain.beat().await;
    let pause = v1::PauseCheckRequest {
        name: "imap-fra".into(),
        paused: true,
    };
    checks(&connector).pause_check(pause).await.unwrap();
    fra.gets_its_check().await;
    assert_eq!(fra.check, None, "it is nobody's now");
}

#[tokio::test]
async fn a_result_that_can_not_be_read_does_not_stop_those_behind_it() {
    let (_collector, connector) = collector().await;
    let mut fra = Repeating::connect(&connector, "fra-1").await;
    apply(&connector, definition("imap-fra")).await;
    fra.gets_its_check().await;
    let round = fra.round(0);
    let batch = v1::ResultBatch {
        after: 0,
        spool_epoch: EPOCH.as_bytes().to_vec(),
        chain: "failures".into(),
        results: vec![v1::SpooledResult {
            sequence: 1,
            result: Some(v1::CheckResult {
                id: vec![1, 2, 3],
                ..v1::CheckResult::default()
            }),
        }],
    };
    fra.agent.say(ToCollector::Results(batch)).await;
    assert_eq!(fra.is_told_what_is_kept().await.through, 1);
    fra.sequence = 1;
    fra.sends(round, Outcome::Ok).await;
    assert_eq!(fra.is_told_what_is_kept().await.through, 2);
    closed(&connector, round.run_id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_agents_of_a_round_are_under_one_root() {
    let (sink, collector, connector) = traced().await;
    let mut fra = Repeating::connect(&connector, "fra-1").await;
    let mut nyc = Repeating::connect(&connector, "nyc-1").await;
    let plain = v1::CheckDefinition {
        follow_up: false,
        ..definition("imap-fra")
    };
    apply(&connector, plain).await;
    fra.gets_its_check().await;
    nyc.gets_its_check().await;
    let round = fra.round(0);
    fra.sends(round, no_answer()).await;
    nyc.sends(round, Outcome::Ok).await;
    closed(&connector, round.run_id).await;
    collector.shutdown().await;
    let of_round = |name: &str| -> Vec<_> {
        let spans = sink.spans().into_iter();
        spans
            .filter(|span| span.name == name && span.trace_id == round.run_id.as_bytes())
            .collect()
    };
    let roots = of_round("scheduled probe");
    assert_eq!(roots.len(), 1);
    let probes = of_round("IMAP probe");
    assert_eq!(probes.len(), 2);
    assert!(
        probes
            .iter()
            .all(|probe| probe.parent_span_id == roots[0].span_id)
    );
    assert_eq!(of_round("IMAP attempt").len(), 2);
    let mut agents = sink.processes_of("TCP connect", "parallax.agent.id");
    agents.sort_unstable();
    assert_eq!(agents, ["fra-1", "nyc-1"], "each stage is of its own agent");
    assert_eq!(
        sink.processes_of("scheduled probe", "service.name"),
        ["parallax-collector"]
    );
    let sites = sink.processes_of("IMAP probe", "parallax.agent.location");
    assert!(sites.iter().all(|site| agents.contains(site)), "{sites:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_more_in_a_round_is_in_its_trace() {
    let (sink, collector, connector) = traced().await;
    let mut fra = Repeating::connect(&connector, "fra-1").await;
    let mut nyc = Repeating::connect(&connector, "nyc-1").await;
    apply(&connector, definition("imap-fra")).await;
    fra.gets_its_check().await;
    nyc.gets_its_check().await;
    let round = fra.round(0);
    fra.sends(round, no_answer()).await;
    nyc.sends(round, Outcome::Ok).await;
    let order = fra
        .until(|word| match word {
            FromCollector::Order(order) if order.run_id == round.run_id.to_string() => Some(order),
            _ => None,
        })
        .await;
    assert!(!order.experiments.is_empty());
    fra.agent.accept(&order).await;
    fra.agent.done(&order, no_answer()).await;
    let parent = order.traceparent.split('-').nth(2).unwrap().to_owned();
    let closed = closed(&connector, round.run_id).await;
    collector.shutdown().await;
    let mut spans = sink.spans();
    spans.retain(|span| span.trace_id == round.run_id.as_bytes());
    let root = spans.iter().find(|span| span.name == "scheduled probe");
    let root = root.unwrap();
    let order = spans.iter().find(|span| hex::encode(&span.span_id) == parent);
    let order = order.unwrap();
    assert_eq!(order.name, "parallax.v1.AgentLink/Order");
    assert_eq!(order.parent_span_id, root.span_id);
    assert!(
        root.end_time_unix_nano >= order.end_time_unix_nano,
        "the root ends with the last of what is below it"
    );
    assert!(closed.kept, "{closed:?}");
}

#[test]
fn killed_between_commit_and_close_a_round_is_closed_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("collector.db");
    let first = runtime();
    let round = first.block_on(async {
        let (_collector, connector) = Collector::in_process_on(&file).await;
        let mut fra = Repeating::connect(&connector, "fra-1").await;
        let mut nyc = Repeating::connect(&connector, "nyc-1").await;
        let slow = v1::CheckDefinition {
            every_ms: 3_600_000,
            ..definition("imap-fra")
        };
        apply(&connector, slow).await;
        fra.gets_its_check().await;
        nyc.gets_its_check().await;
        let round = fra.round(0);
        fra.sends(round, Outcome::Ok).await;
        fra.is_told_what_is_kept().await;
        round
    });
    // Nobody stops it in good order.
    first.shutdown_background();
    runtime().block_on(async {
        let (_collector, connector) = Collector::in_process_on(&file).await;
        let closed = closed(&connector, round.run_id).await;
        // The other came to the check after the round had begun.
        assert_eq!((closed.ok, closed.missing, closed.late), (1, 0, true));
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}
