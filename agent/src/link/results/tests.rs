use std::time::Duration;

use parallax_model::observation::VantageOutcome;
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;
use crate::spool::SpoolLimits;
use crate::spool::tests::{make, scratch};

async fn spool(failures: usize, successes: usize) -> (TempDir, Spool) {
    let dir = scratch();
    let spool = Spool::open(dir.path(), SpoolLimits::default()).unwrap();
    make(&spool, VantageOutcome::Failed, failures).await;
    make(&spool, VantageOutcome::Ok, successes).await;
    (dir, spool)
}

fn going(spool: &Spool) -> Results {
    let mut results = Results::new(spool.clone());
    results.resume(&said(spool, [0, 0]));
    results
}

fn said(spool: &Spool, through: [u64; 2]) -> v1::SpoolResume {
    v1::SpoolResume {
        spool_epoch: spool.epoch().as_bytes().to_vec(),
        failures_through: through[0],
        successes_through: through[1],
    }
}

fn kept(batch: &v1::ResultBatch) -> v1::ResultsKept {
    v1::ResultsKept {
        spool_epoch: batch.spool_epoch.clone(),
        chain: batch.chain.clone(),
        through: last(batch),
    }
}

fn last(batch: &v1::ResultBatch) -> u64 {
    batch.results.last().unwrap().sequence
}

fn first(batch: &v1::ResultBatch) -> u64 {
    batch.results[0].sequence
}

async fn next(results: &mut Results) -> v1::ResultBatch {
    results.next(|| true).await
}

/// Nothing is sent, however often the disk answers.
async fn silent(results: &mut Results) {
    for _ in 0..3 {
        let wait = timeout(Duration::from_secs(5), next(results)).await;
        assert!(wait.is_err(), "{wait:?}");
        settled(&results.spool.clone()).await;
    }
}

/// Whatever the spool's thread still has to do is done when it answers.
async fn settled(spool: &Spool) {
    spool.read_after(Chain::Failures, 0, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_does_not_say_what_it_has_gets_nothing() {
    let (_dir, spool) = spool(1, 1).await;
    let mut results = Results::new(spool.clone());
    silent(&mut results).await;
    results.resume(&v1::SpoolResume::default());
    silent(&mut results).await;
    results.resume(&said(&spool, [0, 0]));
    assert_eq!(next(&mut results).await.chain, "failures");
}

#[tokio::test(start_paused = true)]
async fn failures_go_first_and_each_chain_in_order() {
    let (_dir, spool) = spool(300, 300).await;
    let mut results = going(&spool);
    let mut seen = Vec::new();
    for _ in 0..4 {
        let batch = next(&mut results).await;
        assert!(batch.results.len() <= 256);
        seen.push((batch.chain.clone(), first(&batch), last(&batch)));
        results.kept(&kept(&batch));
    }
    let chains: Vec<&str> = seen.iter().map(|(chain, _, _)| chain.as_str()).collect();
    assert!(chains.is_sorted(), "{seen:?}");
    assert_eq!((seen[0].1, seen[1].1), (1, seen[0].2 + 1));
    settled(&spool).await;
    assert_eq!(spool.state().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn little_is_on_its_way_without_an_answer() {
    let (_dir, spool) = spool(5000, 0).await;
    let mut results = going(&spool);
    let mut batches = Vec::new();
    for _ in 0..UNANSWERED {
        batches.push(next(&mut results).await);
    }
    silent(&mut results).await;
    results.kept(&kept(&batches[1]));
    let more = next(&mut results).await;
    assert_eq!(first(&more), last(&batches[3]) + 1);
    batches.push(more);
    for pair in batches.windows(2) {
        assert_eq!(pair[1].after, last(&pair[0]), "each says what it follows");
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_acknowledgement_it_is_sent_again_from_there() {
    let (_dir, spool) = spool(20, 0).await;
    let mut results = going(&spool);
    let batch = next(&mut results).await;
    let began = Instant::now();
    assert_eq!(next(&mut results).await, batch);
    assert_eq!(began.elapsed(), PATIENCE);
    assert_eq!(batch.after, 0);
    results.kept(&kept(&batch));
    silent(&mut results).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_made_later_follows_at_once() {
    let (_dir, spool) = spool(0, 0).await;
    let mut results = going(&spool);
    silent(&mut results).await;
    make(&spool, VantageOutcome::Ok, 1).await;
    assert_eq!(next(&mut results).await.results.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn more_urgent_words_have_the_room() {
    let (_dir, spool) = spool(1, 0).await;
    let mut results = going(&spool);
    let full = timeout(Duration::from_secs(5), results.next(|| false)).await;
    assert!(full.is_err());
    next(&mut results).await;
}

#[tokio::test(start_paused = true)]
async fn an_older_copy_of_the_spool_goes_on_under_another_epoch() {
    let (_dir, spool) = spool(3, 0).await;
    let mut results = Results::new(spool.clone());
    let epoch = spool.epoch();
    results.resume(&said(&spool, [50, 0]));
    let batch = next(&mut results).await;
    assert_ne!(batch.spool_epoch, epoch.as_bytes());
    assert_eq!((first(&batch), last(&batch)), (1, 3));
    results.kept(&kept(&batch));
    settled(&spool).await;
    assert_eq!((spool.state().made, spool.state().waiting), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_lost_its_memory_is_told_what_it_can_take() {
    let (_dir, spool) = spool(20, 0).await;
    let mut results = going(&spool);
    let batch = next(&mut results).await;
    results.kept(&kept(&batch));
    settled(&spool).await;
    make(&spool, VantageOutcome::Failed, 2).await;
    let mut results = Results::new(spool.clone());
    results.resume(&said(&spool, [5, 0]));
    let batch = next(&mut results).await;
    assert_eq!((batch.after, first(&batch), last(&batch)), (5, 21, 22));
}

#[tokio::test(start_paused = true)]
async fn words_of_another_spool_or_chain_change_nothing() {
    let (_dir, spool) = spool(3, 0).await;
    let mut results = going(&spool);
    let batch = next(&mut results).await;
    for wrong in [
        v1::ResultsKept {
            spool_epoch: vec![1; 16],
            ..kept(&batch)
        },
        v1::ResultsKept {
            chain: "others".to_owned(),
            ..kept(&batch)
        },
        v1::ResultsKept {
            through: 1000,
            ..kept(&batch)
        },
    ] {
        results.kept(&wrong);
    }
    results.resume(&said(&spool, [3, 0]));
    settled(&spool).await;
    assert_eq!(spool.state().waiting, 3);
}
