use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use parallax_model::check::{Chain, CheckResult};
use parallax_model::observation::{
    Attempt, Observation, Purpose, Reason, Speaker, TranscriptLine, VantageOutcome,
};
use parallax_model::path::Sweep;
use parallax_model::target::{Endpoint, Security};
use parallax_model::vantage::Labels;
use parallax_proto::v1;
use prost::Message as _;
use tempfile::TempDir;
use uuid::Uuid;

use super::{Kept, Resumed, Spool, SpoolLimits, written};

mod disk;
mod equation;

/// A directory in memory where there is one: what is tested is what is written, not how long the disk takes.
pub(crate) fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// A result of a check that saw little.
pub(crate) fn result(outcome: VantageOutcome) -> CheckResult {
    CheckResult {
        id: Uuid::now_v7(),
        check: Uuid::from_u128(1),
        run_id: Uuid::now_v7(),
        digest: 7,
        round_at: Timestamp::UNIX_EPOCH,
        started_at: Timestamp::UNIX_EPOCH,
        observation: Observation::unseen(
            "fra-1".parse().unwrap(),
            Labels::new(),
            outcome,
            Reason::Overload,
            "there was little to see",
        ),
    }
}

/// Makes so many results, as many at once as go to the disk together.
pub(crate) async fn make(spool: &Spool, outcome: VantageOutcome, count: usize) {
    for some in (0..count).collect::<Vec<_>>().chunks(64) {
        for kept in join_all(some.iter().map(|_| spool.append(result(outcome)))).await {
            assert!(matches!(kept, Kept::Stored(_)), "{kept:?}");
        }
    }
}

#[tokio::test]
async fn a_result_is_there_when_its_sequence_is_known_and_after_a_restart() {
    let dir = scratch();
    let spool = Spool::open(dir.path(), SpoolLimits::default()).unwrap();
    let (epoch, made) = (spool.epoch(), result(VantageOutcome::Failed));
    assert_eq!(spool.append(made.clone()).await, Kept::Stored(1));
    assert_eq!(
        spool.append(result(VantageOutcome::Ok)).await,
        Kept::Stored(1),
        "each chain has numbers of its own"
    );
    assert_eq!(*spool.durable().borrow(), [1, 1]);
    assert_eq!((spool.state().made, spool.state().waiting), (2, 2));
    drop(spool);
    let spool = Spool::open(dir.path(), SpoolLimits::default()).unwrap();
    assert_eq!(spool.epoch(), epoch);
    let read = spool.read_after(Chain::Failures, 0, 1 << 20).await;
    assert_eq!(read, [(1, written(made).unwrap())]);
    spool.kept(epoch, Chain::Failures, 1);
    assert_eq!(spool.resume(epoch, [1, 0]).await, Resumed::Same([1, 0]));
    assert_eq!((spool.state().made, spool.state().waiting), (2, 1));
}

#[tokio::test]
async fn results_that_are_made_together_go_to_the_disk_together() {
    let dir = scratch();
    let spool = Spool::open(dir.path(), SpoolLimits::default()).unwrap();
    let began = std::time::Instant::now();
    make(&spool, VantageOutcome::Ok, 640).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    let sequences: BTreeMap<_, _> = spool
        .read_after(Chain::Successes, 0, 1 << 20)
        .await
        .into_iter()
        .collect();
    assert_eq!(sequences.len(), 256, "no more at a time");
}

#[test]
fn a_result_that_is_too_large_loses_the_dialogues_then_the_paths_and_is_kept() {
    let mut large = result(VantageOutcome::Failed);
    large.observation.attempts = vec![attempt(2000)];
    large.observation.network.sweeps = vec![sweep()];
    let read = |result: &CheckResult| {
        let wire = v1::CheckResult::decode(written(result.clone()).unwrap().as_slice()).unwrap();
        CheckResult::try_from(wire).unwrap().observation
    };
    assert_eq!(read(&large), large.observation);
    large.observation.attempts = vec![attempt(20_000)];
    let kept = read(&large);
    assert!(kept.attempts[0].transcript.is_empty());
    assert_eq!(kept.network, large.observation.network);
    large.observation.network.sweeps = vec![sweep(); 100_000];
    assert!(read(&large).network.sweeps.is_empty());
    large.observation.note = Some("x".repeat(2 << 20));
    assert_eq!(written(large), None);
}

fn attempt(lines: usize) -> Attempt {
    let line = TranscriptLine {
        at: Duration::ZERO,
        speaker: Speaker::Server,
        text: "x".repeat(80),
    };
    Attempt {
        address: [10, 9, 0, 10].into(),
        endpoint: Endpoint {
            port: 993,
            security: Security::Tls,
        },
        purpose: Purpose::Requested,
        experiment: None,
        stages: Vec::new(),
        transcript: vec![line; lines],
        by: None,
    }
}

fn sweep() -> Sweep {
    Sweep {
        address: [10, 9, 0, 10].into(),
        port: 993,
        source: None,
        flows: Vec::new(),
    }
}
